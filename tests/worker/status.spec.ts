// Health, readiness, the published description, and the log.
import { isDeepStrictEqual } from "node:util";
import { describe, expect, test } from "vitest";
import { makeToken, openapi, world } from "./harness.ts";

describe("the Worker as deployed", () => {
  const w = world();

  test("health touches no storage", async () => {
    const answer = await w.call("GET", "/v1/health");
    expect([answer.status, answer.json, answer.headers.get("server-timing")]).toEqual([200, { status: "ok" }, null]);
  });

  test("ready says that both parts of storage answer", async () => {
    const answer = await w.call("GET", "/v1/ready");
    expect([answer.status, answer.json]).toEqual([200, { status: "ready", checks: { d1: "ok", r2: "ok" } }]);
    expect(answer.headers.get("server-timing")).toMatch(/^r2;dur=\d+, d1;dur=\d+$/);
  });

  test.each(["/v1/health", "/v1/ready", "/openapi.json"])("HEAD %s is GET without the body", async (path) => {
    const answer = await w.call("HEAD", path);
    expect([answer.status, answer.text]).toEqual([200, ""]);
  });

  test("/openapi.json is src/openapi.json, and every operation in it exists", async () => {
    const served = (await w.call("GET", "/openapi.json")).json;
    expect(isDeepStrictEqual(served, openapi), "build/ is older than src/openapi.json").toBe(true);
    for (const [path, operations] of Object.entries<any>(openapi.paths)) {
      const methods = Object.keys(operations).filter((key) => ["get", "post", "put", "patch", "delete"].includes(key));
      for (const method of methods) {
        const answer = await w.call(method.toUpperCase(), path.replace(/\{\w+\}/g, "x"));
        expect(["NOT_FOUND", "METHOD_NOT_ALLOWED"], `${method} ${path}`).not.toContain(answer.json?.code);
      }
      // And no other: Allow lists the documented ones, with HEAD beside GET.
      const allow = (await w.call("PATCH", path.replace(/\{\w+\}/g, "x"))).headers.get("allow")!.split(", ");
      expect(allow.filter((method) => method !== "HEAD").map((method) => method.toLowerCase()).sort(), path).toEqual(methods.sort());
    }
  });

  test("every request leaves one line, with what an operator asks and no key", async () => {
    const org = await w.organization();
    const editor = await w.person({ [org]: "editor" });
    const upload = await w.upload(org, editor);
    const stray = makeToken();
    const cases = [
      [await w.confirm(upload, { as: editor }), { level: "info", method: "POST", route: "/v1/asset-uploads/{asset_upload_id}/confirmations", code: null, org_id: org, user_id: editor.userId, r2_ms: expect.any(Number), d1_ms: expect.any(Number) }],
      [await w.confirm(upload, { as: editor, body: '{"secret": "s3cr3t"}' }), { level: "info", method: "POST", code: "VALIDATION_ERROR", org_id: org, user_id: editor.userId, r2_ms: null, d1_ms: expect.any(Number) }],
      [await w.confirm(upload, { as: stray }), { level: "info", code: "UNAUTHORIZED", org_id: null, user_id: null }],
      [await w.confirm(upload, { as: `${editor.token}x` }), { code: "UNAUTHORIZED", r2_ms: null, d1_ms: null }],
      [await w.call("GET", `/v1/health?key=${editor.token}`), { route: "/v1/health", code: null, r2_ms: null, d1_ms: null }],
      [await w.call("GET", `/${editor.token}%0a{"level":"fake"}`), { route: null, code: "NOT_FOUND" }],
    ] as const;
    const lines = w.logs();
    for (const [answer, expected] of cases) {
      const ours = lines.filter((line) => line.request_id === answer.headers.get("x-request-id"));
      expect(ours).toHaveLength(1);
      expect(Object.keys(ours[0])).toEqual([
        "level", "request_id", "method", "route", "status", "code", "org_id", "user_id", "r2_ms", "d1_ms", "retries", "duration_ms", "detail",
      ]);
      expect(ours[0]).toMatchObject({ status: answer.status, retries: 0, detail: null, duration_ms: expect.any(Number), ...expected });
    }
    const everything = JSON.stringify(w.harness.getLogs().filter((log: any) => String(log.message).includes('"level"')));
    for (const secret of [editor.token, stray, "s3cr3t", "fake", "Bearer", "local-development-only"]) {
      expect(everything).not.toContain(secret);
    }
  });
});

describe("with faults in storage", () => {
  const w = world({ config: "tests/worker/faults.toml" });
  const ok = (part: string) => ({ loc: [part], msg: "Answers.", type: "ok" });
  const out = (part: string) => ({ loc: [part], msg: "Does not answer as it should; the log says why.", type: "unavailable" });

  test.each([
    ["R2", [{ call: "BUCKET.head", how: "throw", message: "head: out (10020)" }], [ok("d1"), out("r2")]],
    ["D1", [{ call: "DB.batch", how: "throw", message: "D1_ERROR: no such table: roles: SQLITE_ERROR" }], [out("d1"), ok("r2")]],
    ["both", [{ call: "BUCKET.head", how: "throw", message: "head: out (10020)" }, { call: "DB.batch", how: "throw", message: "D1_ERROR: overloaded" }], [out("d1"), out("r2")]],
  ] as const)("ready is 503 and says that %s is out", async (_, faults, errors) => {
    const answer = await w.call("GET", "/v1/ready", { faults: [...faults] });
    expect([answer.status, answer.json.code, answer.json.errors]).toEqual([503, "STORAGE_UNAVAILABLE", errors]);
    expect(answer.headers.get("retry-after")).toBe("2");
    const line = w.logs().find((line) => line.request_id === answer.headers.get("x-request-id"));
    for (const { message } of faults) expect(line.detail).toContain(message);
  });

  test("ready asks each part once", async () => {
    expect((await w.call("GET", "/v1/ready")).trace).toEqual(["BUCKET.head(ready)", "DB.batch(1)"]);
  });
});
