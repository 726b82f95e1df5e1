// A peer whose every storage call takes 20 ms longer: latency then shows round trips.
import peer from "./peer.js";
import { handle, envAround } from "./around.ts";

const DELAY_MS = 20;

// One for all requests: a peer may keep the first binding that it sees.
let delayed: unknown;

export default {
  fetch(request: Request, env: unknown, ctx: unknown): Promise<Response> {
    delayed ??= envAround(env, async (_what, _sql, call) => {
      await scheduler.wait(DELAY_MS);
      return call();
    });
    return handle(peer, request, delayed, ctx);
  },
};
