// The memory of the Worker's WebAssembly instance. Imported before the built Worker, which makes its instance when it is
// loaded and keeps it to itself.
let exports: any;

// Node's types, which these tests have, know nothing of WebAssembly.
const { WebAssembly } = globalThis as any;
WebAssembly.Instance = new Proxy(WebAssembly.Instance, {
  construct(target, args) {
    const instance = new target(...args);
    exports = instance.exports;
    return instance;
  },
});

/** Bytes of its memory, and objects of JavaScript that it can hold. Neither ever shrinks: the most that was ever needed. */
export const memory = () => ({ bytes: exports.memory.buffer.byteLength as number, objects: exports.__wbindgen_externrefs.length as number });
