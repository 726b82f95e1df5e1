// The frame of both peers: a request's context, and the one way out with headers and log line.
import { type Context, Hono } from "hono";
import { createMiddleware } from "hono/factory";
import { routePath } from "hono/route";
import type { AppEnv } from "./bindings.ts";
import { RequestContext } from "./context.ts";
import { ApiError, envelopeOf, HEADERS, STATUS } from "./errors.ts";

const withContext = createMiddleware<AppEnv>((c, next) => {
  c.set("request", new RequestContext(c.env));
  const handled = next();
  // Carried to its end also where the client goes away.
  c.executionCtx.waitUntil(handled);
  return handled;
});

/**
 * Headers, log line, response; without a body for null. A plain Response takes its headers as one object; `c.json` sets them one after the
 * other on a copy, which is slower.
 */
export function answer(c: Context<AppEnv>, status: number, body: unknown, own?: Record<string, string>, code: string | null = null, detail: string | null = null): Response {
  const request = c.get("request");
  request.close();
  const { r2Ms, d1Ms } = request;
  const headers: Record<string, string> = {
    ...own,
    "x-request-id": request.id,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  };
  if (body !== null) headers["content-type"] = "application/json";
  if (r2Ms !== null || d1Ms !== null) {
    const r2 = r2Ms === null ? "" : `r2;dur=${r2Ms}`;
    const d1 = d1Ms === null ? "" : `d1;dur=${d1Ms}`;
    headers["server-timing"] = r2 && d1 ? `${r2}, ${d1}` : r2 + d1;
  }
  const route = routePath(c, -1);
  const line = JSON.stringify({
    level: status >= 500 ? "error" : "info",
    request_id: request.id,
    method: c.req.method,
    // Where no route matches, the last thing that did is the middleware.
    route: route === "/*" ? null : route,
    status,
    code,
    org_id: request.orgId,
    user_id: request.userId,
    r2_ms: r2Ms,
    d1_ms: d1Ms,
    retries: request.retries,
    duration_ms: Date.now() - request.started,
    detail,
  });
  if (status >= 500) console.error(line);
  else console.log(line);
  return new Response(body === null ? null : JSON.stringify(body), { status, headers });
}

/** Answers whatever a handler threw. */
function answerError(error: Error, c: Context<AppEnv>): Response {
  const known = error instanceof ApiError ? error : new ApiError("INTERNAL_ERROR", null, error.message);
  return answer(c, STATUS[known.code][0], envelopeOf(known), HEADERS[known.code], known.code, known.detail);
}

export const newApp = () =>
  new Hono<AppEnv>()
    .use(withContext)
    .onError(answerError)
    .notFound((c) => answerError(new ApiError("NOT_FOUND"), c));
