import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { freePort } from '@keelos/image/sys/qemu-process.ts';

describe('a port for a machine', () => {
  it('is none that an outgoing connection can take while the machine is off', async () => {
    const range = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim();
    const [first = 0] = range.split(/\s+/).map(Number);
    for (let count = 0; count < 20; count += 1) {
      const port = await freePort();
      assert.ok(port > 1024 && port < first, `${port} is not below ${first}`);
    }
  });
});
