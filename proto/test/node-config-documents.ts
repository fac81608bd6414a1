/** Random acceptable node configurations, as an operator could write them: settings with a default may be absent. */
import fc from 'fast-check';

const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,8}[a-z0-9])?$/);
const hostName = fc
  .array(label, { minLength: 1, maxLength: 4 })
  .map((labels) => labels.join('.'))
  .filter((name) => name.length <= 64);

const unicastIpv4 = fc.ipV4().filter((text) => {
  const first = Number(text.split('.')[0]);
  return first > 0 && first < 224;
});

/** An interface with networks of its own: the second byte is its number, so no two share an address. */
function interfaceNumber(number: number) {
  return fc
    .record({
      host: fc.integer({ min: 2, max: 254 }),
      withGateways: fc.boolean(),
      withIpv6: fc.boolean(),
      isFirst: fc.constant(number === 0),
    })
    .map(({ host, withGateways, withIpv6, isFirst }) => ({
      name: `eth${number}`,
      addresses: [
        `10.${number}.0.${host}/24`,
        ...(withIpv6 ? [`2001:db8:${number}::${host}/64`] : []),
      ],
      ...(withGateways ? { gateways: isFirst ? [`10.${number}.0.1`, 'fe80::1'] : [] } : {}),
    }));
}

const interfaces = fc
  .integer({ min: 0, max: 4 })
  .chain((count) => fc.tuple(...Array.from({ length: count }, (_, at) => interfaceNumber(at))));

const port = fc.integer({ min: 1, max: 65_535 });
const endpoint = fc.tuple(fc.oneof(hostName, unicastIpv4), port).map((parts) => parts.join(':'));
const seconds = fc.integer({ min: 1, max: 3_600 });

/** A probe, whose name its number makes its own. */
function probeNumber(number: number) {
  const target = fc.oneof(
    endpoint.map((tcp) => ({ tcp })),
    endpoint.map((host) => ({ http: `http://${host}/healthz` })),
    endpoint.map((host) => ({ http: `https://${host}/`, serverName: 'a.example' })),
    endpoint.map((host) => ({ grpc: `grpc://${host}` })),
    endpoint.map((host) => ({ grpc: `grpcs://${host}/shop.v1.Store` })),
  );
  const timing = fc.record(
    { timeoutSeconds: seconds, periodSeconds: seconds },
    { requiredKeys: [] },
  );
  return fc.tuple(target, timing).map((parts) => Object.assign({ name: `p-${number}` }, ...parts));
}

const probes = fc
  .integer({ min: 0, max: 3 })
  .chain((count) => fc.tuple(...Array.from({ length: count }, (_, at) => probeNumber(at))));

/** Documents that are accepted. */
export function documents() {
  return fc.record(
    {
      apiVersion: fc.constant('keel/v1'),
      hostname: hostName,
      network: fc.record(
        {
          interfaces,
          nameservers: fc.uniqueArray(fc.constantFrom('192.0.2.1', '2001:db8::53', '192.0.2.3'), {
            maxLength: 3,
          }),
        },
        { requiredKeys: [] },
      ),
      time: fc.record(
        {
          servers: fc.uniqueArray(fc.oneof(hostName, unicastIpv4), { maxLength: 8 }),
        },
        { requiredKeys: [] },
      ),
      enrolment: fc.record(
        { consoleToken: fc.constantFrom('every-boot', 'until-enrolled') },
        { requiredKeys: [] },
      ),
      probes,
      update: fc.record(
        {
          proxy: endpoint.map((host) => `http://user:password@${host}`),
          noProxy: fc.array(fc.oneof(hostName, unicastIpv4, fc.constant('2001:db8::/32')), {
            maxLength: 4,
          }),
        },
        { requiredKeys: [] },
      ),
      health: fc.record({ networkTarget: endpoint }, { requiredKeys: [] }),
    },
    { requiredKeys: ['apiVersion'] },
  );
}
