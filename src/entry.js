// What workerd calls. The class that worker-build makes is given the same, without being made anew for each
// request: that alone cost a tenth of a refusal. It relies on two things of worker-build 0.8.7, which the
// Makefile pins: that its handlers take `env` and `ctx` from `this`, and `__worker_init_state`.
import Worker from "../build/index.js";

const { fetch, scheduled } = Worker.prototype;
// worker-build's own note of whether WebAssembly has trapped, in which case nothing in it can be trusted.
const state = globalThis.__worker_init_state;

function call(handler, env, ctx, argument) {
  // The class begins with a new instance then.
  if (state.criticalError) new Worker(ctx, env);
  try {
    return handler.call({ env, ctx }, argument);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) state.criticalError = true;
    throw error;
  }
}

export default {
  fetch: (request, env, ctx) => call(fetch, env, ctx, request),
  scheduled: (event, env, ctx) => call(scheduled, env, ctx, event),
};
