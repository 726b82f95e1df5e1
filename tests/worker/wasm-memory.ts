// How much memory the Worker's WebAssembly instance has, and how to use it up. It must be imported before the built Worker,
// which creates its instance when it is loaded and does not export it.
let exports: any;
let created = 0;

// The types of Node have no WebAssembly.
const { WebAssembly } = globalThis as any;
WebAssembly.Instance = new Proxy(WebAssembly.Instance, {
  construct(target, args) {
    const instance = new target(...args);
    exports = instance.exports;
    created += 1;
    return instance;
  },
});

/** Bytes of its memory, and how many JavaScript objects it has room for. Neither ever shrinks. */
export const memory = () => ({ bytes: exports.memory.buffer.byteLength as number, objects: exports.__wbindgen_externrefs.length as number });

/** How many instances were created, each in place of the one before. */
export const instances = (): number => created;

/** Uses up the instance's memory: all pages, and of its heap every block of at least so many bytes. */
export function fill(bytes: number): void {
  for (let pages = 65_536; pages >= 1; pages = Math.floor(pages / 2)) callUntilItThrows(RangeError, () => exports.memory.grow(pages));
  for (let size = 1_048_576; size >= bytes; size /= 2) callUntilItThrows(WebAssembly.RuntimeError, () => exports.__wbindgen_malloc(size, 1));
}

/** Repeats a call until it throws an error of this kind. */
function callUntilItThrows(kind: typeof Error, call: () => unknown): void {
  try {
    for (;;) call();
  } catch (error) {
    if (!(error instanceof kind)) throw error;
  }
}
