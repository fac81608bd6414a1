/** The part of the WebAssembly JavaScript interface that is used here: TypeScript has it only together with the DOM. */
declare namespace WebAssembly {
  interface Module {
    readonly [Symbol.toStringTag]: string;
  }
  class Instance {
    constructor(module: Module, imports?: Readonly<Record<string, unknown>>);
    readonly exports: Readonly<Record<string, unknown>>;
  }
  class Memory {
    constructor(descriptor: { readonly initial: number; readonly maximum: number });
    readonly buffer: ArrayBuffer;
    /** Pages before; throws RangeError when it cannot grow. */
    grow(pages: number): number;
  }
  class RuntimeError extends Error {}
  const Module: {
    imports(module: Module): { readonly module: string; readonly name: string }[];
  };
  function compile(bytes: Uint8Array): Promise<Module>;
}
