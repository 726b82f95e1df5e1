// The frame of both peers: request id, one log line a request, and errors.
import { Hono } from "hono";
import { createMiddleware } from "hono/factory";
import { requestId } from "hono/request-id";
import { routePath } from "hono/route";
import type { AppEnv } from "./bindings.ts";
import { ApiError, answerError } from "./errors.ts";

const log = createMiddleware<AppEnv>(async (c, next) => {
  const started = Date.now();
  await next();
  const route = routePath(c, -1);
  const { status } = c.res;
  console.log(
    JSON.stringify({
      level: status >= 500 ? "error" : "info",
      request_id: c.get("requestId"),
      method: c.req.method,
      // Where no route matches, the last thing that did is this middleware.
      route: route === "/*" ? null : route,
      status,
      duration_ms: Date.now() - started,
      detail: status >= 500 ? String(c.error?.cause ?? c.error) : null,
    }),
  );
});

export const newApp = () =>
  new Hono<AppEnv>()
    .use(requestId(), log)
    .onError(answerError)
    .notFound((c) => answerError(new ApiError("NOT_FOUND"), c));
