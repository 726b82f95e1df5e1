// workerd's queueMicrotask takes 2 µs, because each call leaves JavaScript; the callback of a promise takes 0.1 µs. The
// executor of wasm-bindgen-futures queues one each time that a request goes on: 4% of a confirmation with canned storage.
const resolved = Promise.resolve();

export function queueMicrotasksByPromise() {
  globalThis.queueMicrotask = (task) => void resolved.then(task);
}
