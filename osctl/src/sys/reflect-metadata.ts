/**
 * The four functions of the "reflect metadata" proposal that tsyringe, below @peculiar/x509, wants to find on Reflect
 * when it is loaded. Import this before @peculiar/x509.
 */

type Key = unknown;
const store = new WeakMap<object, Map<Key, unknown>>();

function define(key: Key, value: unknown, target: object): void {
  const own = store.get(target) ?? new Map<Key, unknown>();
  store.set(target, own.set(key, value));
}

function getOwn(key: Key, target: object): unknown {
  return store.get(target)?.get(key);
}

function get(key: Key, target: object): unknown {
  for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at)) {
    if (store.get(at)?.has(key)) return getOwn(key, at);
  }
  return undefined;
}

if (!('getMetadata' in Reflect)) {
  Object.assign(Reflect, {
    defineMetadata: define,
    getMetadata: get,
    getOwnMetadata: getOwn,
    metadata: (key: Key, value: unknown) => (target: object) => define(key, value, target),
  });
}
