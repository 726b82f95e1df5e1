// A peer that is watched: its storage calls, its log lines and whether it called waitUntil come with its answer, in the
// header x-bench-seen. A request may ask for one failure of storage in x-bench-fail: `r2 hangs`, `r2 lost`, `d1 hangs`
// or `d1 lost`. One request at a time.
import peer from "./peer.js";
import { envAround, handle } from "./around.ts";

interface Seen {
  calls: { what: string; sql: string[]; result?: unknown }[];
  log: string[];
  waitUntil: boolean;
}

let seen: Seen;
let failure: string | null;
for (const level of ["log", "error"] as const) console[level] = (line: string) => void seen.log.push(line);

// One for all requests: a peer may keep the first binding that it sees.
let recorded: unknown;
const record = (env: unknown) =>
  envAround(env, async (what, sql, call) => {
    const current: Seen["calls"][number] = { what, sql };
    seen.calls.push(current);
    const [part, how] = failure?.split(" ") ?? [];
    if (part === (what === "head" ? "r2" : "d1")) {
      failure = null;
      if (how === "hangs") return new Promise(() => {});
      const message = "Network connection lost.";
      throw new Error(part === "d1" ? `D1_ERROR: ${message}` : message, { cause: new Error(message) });
    }
    const result = await call();
    current.result = what === "head" && result !== null
      ? { key: result.key, size: result.size, etag: result.etag, httpMetadata: { ...result.httpMetadata } }
      : result;
    return result;
  });

export default {
  async fetch(request: Request, env: unknown, ctx: any): Promise<Response> {
    recorded ??= record(env);
    const current: Seen = (seen = { calls: [], log: [], waitUntil: false });
    failure = request.headers.get("x-bench-fail");
    const waitUntil = ctx.waitUntil.bind(ctx);
    ctx.waitUntil = (promise: Promise<unknown>) => {
      current.waitUntil = true;
      waitUntil(promise);
    };
    const answer = await handle(peer, request, recorded, ctx);
    const response = new Response(answer.body, answer);
    response.headers.set("x-bench-seen", encodeURIComponent(JSON.stringify(current)));
    return response;
  },
};
