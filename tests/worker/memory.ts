// The memory of the Worker's WebAssembly instance. Imported before the built Worker, which makes its instance when it is
// loaded and keeps it to itself.
let exports: any;
let made = 0;

// Node's types, which these tests have, know nothing of WebAssembly.
const { WebAssembly } = globalThis as any;
WebAssembly.Instance = new Proxy(WebAssembly.Instance, {
  construct(target, args) {
    const instance = new target(...args);
    exports = instance.exports;
    made += 1;
    return instance;
  },
});

/** Bytes of its memory, and objects of JavaScript that it can hold. Neither ever shrinks: the most that was ever needed. */
export const memory = () => ({ bytes: exports.memory.buffer.byteLength as number, objects: exports.__wbindgen_externrefs.length as number });

/** How many instances were made, each in place of the one before. */
export const instances = (): number => made;

/** Takes all memory that the instance can ever have, and of its heap all but blocks smaller than so many bytes. */
export function fill(bytes: number): void {
  for (let pages = 65_536; pages >= 1; pages = Math.floor(pages / 2)) untilIt(RangeError, () => exports.memory.grow(pages));
  for (let size = 1_048_576; size >= bytes; size /= 2) untilIt(WebAssembly.RuntimeError, () => exports.__wbindgen_malloc(size, 1));
}

/** Calls it until it throws such an error. */
function untilIt(kind: typeof Error, call: () => unknown): void {
  try {
    for (;;) call();
  } catch (error) {
    if (!(error instanceof kind)) throw error;
  }
}
