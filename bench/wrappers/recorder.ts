// A peer whose storage calls are recorded: they come with its answer, in the header x-bench-calls.
import peer from "./peer.js";
import { ask, envAround } from "./around.ts";

export default {
  async fetch(request: Request, env: unknown, ctx: unknown): Promise<Response> {
    const calls: unknown[] = [];
    const recorded = envAround(env, async (what, sql, call) => {
      const made: { what: string; sql: string[]; result?: unknown } = { what, sql };
      calls.push(made);
      const result = await call();
      made.result = what === "head" && result !== null
        ? { key: result.key, size: result.size, etag: result.etag, httpMetadata: { ...result.httpMetadata } }
        : result;
      return result;
    });
    const answer = await ask(peer, request, recorded, ctx);
    const response = new Response(answer.body, answer);
    response.headers.set("x-bench-calls", encodeURIComponent(JSON.stringify(calls)));
    return response;
  },
};
