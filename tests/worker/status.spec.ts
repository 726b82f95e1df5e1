// Health, readiness, the published description, and the log.
import { isDeepStrictEqual } from "node:util";
import { describe, expect, test } from "vitest";
import { createOrganization, createPerson, createUpload } from "./fixtures.ts";
import { makeToken } from "./key.ts";
import { openapi, operations } from "./openapi.ts";
import { confirm } from "./requests.ts";
import { startServer, WITH_FAULTS } from "./server.ts";

describe("the Worker as deployed", () => {
  const server = startServer();

  test("health makes no storage call", async () => {
    const answer = await server.request("GET", "/v1/health");
    expect([answer.status, answer.json, answer.headers.get("server-timing")]).toEqual([200, { status: "ok" }, null]);
  });

  test("ready is 200 when D1 and R2 answer", async () => {
    const answer = await server.request("GET", "/v1/ready");
    expect([answer.status, answer.json]).toEqual([200, { status: "ready", checks: { d1: "ok", r2: "ok" } }]);
    expect(answer.headers.get("server-timing")).toMatch(/^r2;dur=\d+, d1;dur=\d+$/);
  });

  test("ready is 503 when a migration is missing", async () => {
    await server.sql("ALTER TABLE roles RENAME TO elsewhere");
    const answer = await server.request("GET", "/v1/ready");
    await server.sql("ALTER TABLE elsewhere RENAME TO roles");
    expect([answer.status, answer.json.errors.map(({ loc, type }: any) => [loc, type])]).toEqual([503, [[["d1"], "unavailable"], [["r2"], "ok"]]]);
    expect((await server.request("GET", "/v1/ready")).status).toBe(200);
  });

  test.each(["/v1/health", "/v1/ready"])("HEAD %s is GET without the body", async (path) => {
    const answer = await server.request("HEAD", path);
    expect([answer.status, answer.text]).toEqual([200, ""]);
  });

  test("/openapi.json is the checked-in file, and every operation in it exists", async () => {
    const answer = await fetch(new URL("/openapi.json", server.url));
    expect([answer.status, answer.headers.get("content-type"), answer.headers.get("x-request-id")]).toEqual([200, "application/json", null]);
    const served = await answer.json();
    expect(isDeepStrictEqual(served, openapi), "build/ is older than openapi.json").toBe(true);
    for (const [path, operations] of Object.entries<any>(openapi.paths)) {
      const methods = Object.keys(operations).filter((key) => ["get", "post", "put", "patch", "delete"].includes(key));
      for (const method of methods) {
        const answer = await server.request(method.toUpperCase(), path.replace(/\{\w+\}/g, "x"));
        expect(["NOT_FOUND", "METHOD_NOT_ALLOWED"], `${method} ${path}`).not.toContain(answer.json?.code);
      }
      // No others exist: Allow lists the documented ones, with HEAD beside GET.
      const allow = (await server.request("PUT", path.replace(/\{\w+\}/g, "x"))).headers.get("allow")!.split(", ");
      expect(allow.filter((method) => method !== "HEAD").map((method) => method.toLowerCase()).sort(), path).toEqual(methods.sort());
    }
  });

  test("every request writes one line, with no key in it", async () => {
    const org = await createOrganization(server);
    const editor = await createPerson(server, { [org]: "editor" });
    const upload = await createUpload(server, org, editor);
    const stray = makeToken();
    const cases = [
      [await confirm(server, upload, { as: editor }), { level: "info", method: "POST", route: "/v1/asset-uploads/{asset_upload_id}/confirmations", code: null, org_id: org, user_id: editor.userId, r2_ms: expect.any(Number), d1_ms: expect.any(Number) }],
      [await confirm(server, upload, { as: editor, body: '{"secret": "s3cr3t"}' }), { level: "info", method: "POST", code: "VALIDATION_ERROR", org_id: org, user_id: editor.userId, r2_ms: null, d1_ms: expect.any(Number) }],
      [await confirm(server, upload, { as: stray }), { level: "info", code: "UNAUTHORIZED", org_id: null, user_id: null }],
      [await confirm(server, upload, { as: `${editor.token}x` }), { code: "UNAUTHORIZED", r2_ms: null, d1_ms: null }],
      [await server.request("GET", `/v1/health?key=${editor.token}`), { route: "/v1/health", code: null, r2_ms: null, d1_ms: null }],
      [await server.request("GET", `/${editor.token}%0a{"level":"fake"}`), { route: null, code: "NOT_FOUND" }],
    ] as const;
    for (const [answer, expected] of cases) {
      const ours = await server.logsOf(answer);
      expect(ours).toHaveLength(1);
      expect(Object.keys(ours[0])).toEqual([
        "level", "request_id", "method", "route", "status", "code", "org_id", "user_id", "r2_ms", "d1_ms", "retries", "duration_ms", "detail",
      ]);
      expect(ours[0]).toMatchObject({ status: answer.status, retries: 0, detail: null, duration_ms: expect.any(Number), ...expected });
    }
    const everything = server.messages.filter((message) => message.includes('"level"')).join("\n");
    for (const secret of [editor.token, stray, "s3cr3t", "fake", "Bearer", "local-development-only"]) {
      expect(everything).not.toContain(secret);
    }
  });
});

describe("a log line", () => {
  const server = startServer();
  const hostile = String.raw`x","level":"fake`;

  test.each([
    ["a method that no route takes", "PROPFIND /v1/health", "", { method: "OTHER", route: "/v1/health", code: "METHOD_NOT_ALLOWED" }],
    ["a path", `GET /${encodeURI(hostile)}%0A%0D`, "", { method: "GET", route: null, code: "NOT_FOUND" }],
    ["a path with quotes", `GET /v1/x"'fake`, "", { method: "GET", route: null, code: "NOT_FOUND" }],
    ["an id", `POST /v1/asset-uploads/fake%22%0A/confirmations`, "", { method: "POST", code: "UNAUTHORIZED" }],
    ["a query", `GET /v1/health?fake=%22%0A`, "", { method: "GET", route: "/v1/health", code: null }],
    ["a key", "POST /v1/asset-uploads/x/confirmations", `Authorization: Bearer ${hostile}`, { code: "UNAUTHORIZED", user_id: null }],
    ["other headers", "GET /v1/health", `X-Request-Id: ${hostile}\r\nCF-Ray: ${hostile}\r\nUser-Agent: ${hostile}`, { code: null }],
  ])("has no text of a client's: %s", async (_, line, header, expected) => {
    const answer = await server.rawRequest([`${line} HTTP/1.1`, "Host: x", header, "Content-Length: 0"].filter(Boolean).join("\r\n"));
    const lines = await server.logsOf(answer);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ level: "info", status: answer.status, ...expected });
    expect(JSON.stringify(server.logs)).not.toContain("fake");
  });
});

describe("with faults in storage", () => {
  const server = startServer({ config: WITH_FAULTS });
  const ok = (part: string) => ({ loc: [part], msg: "Answers.", type: "ok" });
  const out = (part: string) => ({ loc: [part], msg: "Does not answer as it should; the log says why.", type: "unavailable" });

  test.each([
    ["R2", [{ call: "BUCKET.head", how: "throw", message: "head: out (10020)" }], [ok("d1"), out("r2")]],
    ["D1", [{ call: "DB.batch", how: "throw", message: "D1_ERROR: no such table: roles: SQLITE_ERROR" }], [out("d1"), ok("r2")]],
    ["both", [{ call: "BUCKET.head", how: "throw", message: "head: out (10020)" }, { call: "DB.batch", how: "throw", message: "D1_ERROR: overloaded" }], [out("d1"), out("r2")]],
  ] as const)("rule 15: ready is 503 and names what fails: %s", async (_, faults, errors) => {
    const answer = await server.request("GET", "/v1/ready", { faults: [...faults] });
    expect([answer.status, answer.json.code, answer.json.errors]).toEqual([503, "STORAGE_UNAVAILABLE", errors]);
    expect(answer.headers.get("retry-after")).toBe("2");
    const [line] = await server.logsOf(answer);
    for (const { message } of faults) expect(line.detail).toContain(message);
  });

  test("ready calls each part once", async () => {
    expect((await server.request("GET", "/v1/ready")).storageCalls).toEqual(["BUCKET.head(ready)", "DB.batch(1)"]);
  });
});
