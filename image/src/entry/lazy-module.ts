/** A module that is loaded when something of it is used for the first time. */

type Exports = Record<string | symbol, unknown>;

/** Stands for what `load` returns, in every way that bundled code looks at a module. `load` is called at most once. */
export function lazyModule(load: () => Exports): object {
  let loaded: Exports | undefined;
  const real = (): Exports => {
    loaded ??= load();
    return loaded;
  };
  return new Proxy(
    {},
    {
      get: (_target, key) => real()[key],
      has: (_target, key) => key in real(),
      ownKeys: () => Reflect.ownKeys(real()),
      getOwnPropertyDescriptor: (_target, key) => {
        const found = Reflect.getOwnPropertyDescriptor(real(), key);
        // A proxy may not call a property fixed that its own target does not have.
        return found === undefined ? undefined : { ...found, configurable: true };
      },
    },
  );
}
