/** HTTP by hand, for what no client library would send. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A connection that keeps what comes. */
export class RawClient {
  readonly socket: Socket;
  #received = Buffer.alloc(0);
  isClosed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (piece: Buffer) => {
      this.#received = Buffer.concat([this.#received, piece]);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isClosed = true;
    });
  }

  /** Connects to a server of this machine. */
  static async open(url: string): Promise<RawClient> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port) });
    const client = new RawClient(socket);
    await once(socket, 'connect');
    return client;
  }

  /** What came so far. */
  get bytes(): Buffer {
    return this.#received;
  }

  /** The same as text, a character a byte. */
  get text(): string {
    return this.#received.toString('latin1');
  }

  /** Status of the first answer; 0 when none came. */
  get status(): number {
    return Number(/^HTTP\/1\.1 (\d{3})/.exec(this.text)?.[1] ?? 0);
  }

  /** Waits until the server has closed the connection. */
  async closed(): Promise<void> {
    if (!this.isClosed) await once(this.socket, 'close');
  }

  /** Sends a request and takes all until the connection ends. */
  static async ask(url: string, request: string): Promise<RawClient> {
    const client = await RawClient.open(url);
    client.socket.write(request);
    await client.closed();
    return client;
  }
}
