// The Worker with other variables: limits, links, CORS, and invalid variables.
import { describe, expect, test } from "vitest";
import { expectError, expectErrorAnswer, snapshot } from "./assertions.ts";
import { createOrganization, createPerson, createUpload } from "./fixtures.ts";
import { openapi, operations } from "./openapi.ts";
import { confirm } from "./requests.ts";
import { type Person, startServer } from "./server.ts";

describe("limits and links set", () => {
  const server = startServer({
    vars: {
      MAX_UPLOAD_BYTES: "5",
      ALLOWED_MIME_TYPES: "image/*, !image/gif, application/pdf",
      DECLARED_MISMATCH: "reject",
      PUBLIC_BASE_URL: "https://cdn.example.com/files/",
      THUMBNAIL_URL_TEMPLATE: "https://img.example.com/w=200/{key}?from={url}",
    },
  });
  const TYPES = ["image/*", "application/pdf", "!image/gif"];

  async function confirmUploadOf(mime: string, size: number, body: string, contentType = mime) {
    const org = await createOrganization(server);
    const editor = await createPerson(server, { [org]: "editor" });
    const id = await createUpload(server, org, editor, { mime, size, object: { body, contentType } });
    const before = await snapshot(server);
    return { id, answer: await confirm(server, id, { as: editor }), before };
  }

  test("a file at the limit passes and has its public links", async () => {
    const { id, answer } = await confirmUploadOf("image/png", 5, "12345");
    expect(answer.status).toBe(201);
    expect(answer.json).toMatchObject({
      size_bytes: 5,
      url: `https://cdn.example.com/files/uploads/${id}`,
      thumbnail_url: `https://img.example.com/w=200/uploads/${id}?from=${encodeURIComponent(`https://cdn.example.com/files/uploads/${id}`)}`,
    });
  });

  test("only images have thumbnails", async () => {
    const { answer } = await confirmUploadOf("application/pdf", 1, "x");
    expect([answer.status, answer.json.thumbnail_url]).toEqual([201, null]);
  });

  const tooLarge = { loc: ["object", "size_bytes"], msg: "The stored object is too large.", type: "object_too_large" };
  const empty = { loc: ["object", "size_bytes"], msg: "The stored object is empty.", type: "object_empty" };
  const forbidden = { loc: ["object", "mime_type"], msg: "The stored object's media type is not permitted.", type: "mime_type_not_allowed" };
  const mismatch = { type: "declared_mismatch" };
  test.each([
    ["a file that is one byte too large", "image/png", 6, "123456", undefined, [{ ...tooLarge, declared: 6, actual: 6, limit: 5 }]],
    ["an empty file", "image/png", 5, "", undefined, [{ ...empty, declared: 5, actual: 0, limit: 5 }]],
    ["a type that no pattern permits", "image/png", 1, "x", "text/html", [{ ...forbidden, declared: "image/png", actual: "text/html", limit: TYPES }]],
    ["a type that a pattern forbids", "image/gif", 1, "x", undefined, [{ ...forbidden, declared: "image/gif", actual: "image/gif", limit: TYPES }]],
    ["no media type", "image/png", 1, "x", "nonsense", [{ ...forbidden, declared: "image/png", actual: "nonsense", limit: TYPES }]],
    ["both", "image/png", 9, "123456789", "text/html", [
      { ...tooLarge, declared: 9, actual: 9, limit: 5 },
      { ...forbidden, declared: "image/png", actual: "text/html", limit: TYPES },
    ]],
    ["another size than declared", "image/png", 4, "123", undefined, [
      { ...mismatch, loc: ["object", "size_bytes"], msg: "The stored object has another size than declared.", declared: 4, actual: 3, limit: 5 },
    ]],
    ["another type than declared", "image/png", 1, "x", "image/webp", [
      { ...mismatch, loc: ["object", "mime_type"], msg: "The stored object has another media type than declared.", declared: "image/png", actual: "image/webp", limit: TYPES },
    ]],
  ])("rule 17: %s is 422, and nothing is recorded", async (_, mime, size, body, contentType, errors) => {
    const { answer, before } = await confirmUploadOf(mime, size, body, contentType ?? mime);
    expectErrorAnswer(answer, "UPLOAD_REJECTED", errors);
    expect(await snapshot(server)).toEqual(before);
  });
});

describe("the defaults", () => {
  const server = startServer();

  test.each(["image/svg+xml", "text/html", "application/xhtml+xml", "application/javascript", "imagery/png", "x"])(
    "rule 17: %s is not permitted",
    async (contentType) => {
      const org = await createOrganization(server);
      const editor = await createPerson(server, { [org]: "editor" });
      const id = await createUpload(server, org, editor, { object: { body: "x", contentType } });
      expect((await confirm(server, id, { as: editor })).json.code).toBe("UPLOAD_REJECTED");
    },
  );

  test("an object that differs from what was declared is accepted, and the asset is what R2 reports", async () => {
    const org = await createOrganization(server);
    const editor = await createPerson(server, { [org]: "editor" });
    const id = await createUpload(server, org, editor, { mime: "image/png", size: 999, object: { body: "abc", contentType: "text/plain" } });
    expect((await confirm(server, id, { as: editor })).json).toMatchObject({ size_bytes: 3, mime_type: "text/plain", asset_type: "document" });
  });

  test("no CORS", async () => {
    const headers = { origin: "https://app.example.com", "access-control-request-method": "POST" };
    const preflight = await server.request("OPTIONS", "/v1/asset-uploads", { headers });
    expect([preflight.status, preflight.headers.get("allow")]).toEqual([405, "POST"]);
    const answer = await server.request("GET", "/v1/health", { headers });
    for (const { headers } of [preflight, answer]) {
      expect([...headers.keys()].filter((name) => name.startsWith("access-control") || name === "vary")).toEqual([]);
    }
  });
});

describe("CORS for two origins", () => {
  const server = startServer({ vars: { CORS_ALLOWED_ORIGINS: "https://app.example.com, http://localhost:3000" } });
  const cors = (headers: Headers) =>
    Object.fromEntries([...headers].filter(([name]) => name.startsWith("access-control") || name === "vary"));
  const EXPOSED = "Location, X-Request-Id, Idempotent-Replayed, Retry-After, Server-Timing, WWW-Authenticate";

  test.each(["https://app.example.com", "http://localhost:3000"])("%s is allowed", async (origin) => {
    const preflight = await server.request("OPTIONS", "/v1/asset-uploads/x/confirmations", {
      headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type" },
    });
    expect([preflight.status, preflight.text]).toEqual([204, ""]);
    expect(cors(preflight.headers)).toEqual({
      "access-control-allow-origin": origin,
      "access-control-allow-methods": "POST",
      "access-control-allow-headers": "Authorization, Content-Type, Idempotency-Key, X-Organization-Id",
      "access-control-expose-headers": EXPOSED,
      "access-control-max-age": "86400",
      vary: "Origin",
    });
    const rejected = await server.request("POST", "/v1/asset-uploads/x/confirmations", { headers: { origin }, body: "{}" });
    expect(rejected.status).toBe(401);
    expect(cors(rejected.headers)).toEqual({
      "access-control-allow-origin": origin,
      "access-control-expose-headers": EXPOSED,
      vary: "Origin",
    });
  });

  test.each(["https://app.example.com.evil.example", "https://APP.example.com", "http://app.example.com", "null", "https://app.example.com/"])(
    "%s is not allowed",
    async (origin) => {
      const answer = await server.request("GET", "/v1/health", { headers: { origin } });
      expect([answer.status, cors(answer.headers)]).toEqual([200, { vary: "Origin" }]);
    },
  );

  test("rules 1 and 2: a preflight for an unknown path or method is 404 or 405", async () => {
    const headers = { origin: "https://app.example.com", "access-control-request-method": "POST" };
    expect((await server.request("OPTIONS", "/nothing", { headers })).status).toBe(404);
    expect((await server.request("OPTIONS", "/v1/health", { headers: { origin: headers.origin } })).status).toBe(405);
    const item = await server.request("OPTIONS", "/v1/asset-uploads/x", { headers });
    expect(item.headers.get("access-control-allow-methods")).toBe("GET, HEAD, DELETE");
  });
});

describe("CORS for every origin, and variables in other forms", () => {
  const server = startServer({
    vars: {
      CORS_ALLOWED_ORIGINS: "*",
      MAX_UPLOAD_BYTES: 5,
      ALLOWED_MIME_TYPES: ["text/plain", "image/*"],
      DECLARED_MISMATCH: " accept ",
      PUBLIC_BASE_URL: "https://cdn.example.com",
      THUMBNAIL_URL_TEMPLATE: "https://img.example.com/{key}/w=200",
    },
  });

  test("a number, a list and a base URL without a slash are accepted", async () => {
    const org = await createOrganization(server);
    const editor = await createPerson(server, { [org]: "editor" });
    const id = await createUpload(server, org, editor, { size: 1, object: { body: "12345", contentType: "image/webp" } });
    expect((await confirm(server, id, { as: editor })).json).toMatchObject({
      size_bytes: 5,
      url: `https://cdn.example.com/uploads/${id}`,
      thumbnail_url: `https://img.example.com/uploads/${id}/w=200`,
    });
    const bad = await createUpload(server, org, editor, { size: 1, object: { body: "123456", contentType: "application/pdf" } });
    const errors = [
      { loc: ["object", "size_bytes"], msg: "The stored object is too large.", type: "object_too_large", declared: 1, actual: 6, limit: 5 },
      {
        loc: ["object", "mime_type"], msg: "The stored object's media type is not permitted.", type: "mime_type_not_allowed",
        declared: "image/png", actual: "application/pdf", limit: ["text/plain", "image/*"],
      },
    ];
    const headers = { "access-control-allow-origin": "*", "access-control-expose-headers": expect.any(String), vary: "Origin" };
    await expectError(server, () => confirm(server, bad, { as: editor }), "UPLOAD_REJECTED", errors, headers);
  });

  test("any origin is allowed", async () => {
    const answer = await server.request("GET", "/v1/health", { headers: { origin: "https://anything.example" } });
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
    expect(answer.headers.get("access-control-allow-credentials")).toBeNull();
  });
});

describe("invalid variables", () => {
  const wrong = {
    MAX_UPLOAD_BYTES: "50MB",
    ALLOWED_MIME_TYPES: "image",
    DECLARED_MISMATCH: "maybe",
    PUBLIC_BASE_URL: "cdn.example.com",
    THUMBNAIL_URL_TEMPLATE: "https://img.example.com/{file}",
    CORS_ALLOWED_ORIGINS: "https://app.example.com/path",
    WRITE_ONCE: "yes",
    UPLOAD_URL_TTL_SECONDS: "0",
    DOWNLOAD_URL_TTL_SECONDS: "604801",
    CONFIRM_TTL_SECONDS: "1h",
    MULTIPART_PART_BYTES: "5242879",
    STORAGE_TIMEOUT_MS: "99",
    SWEEP_ORPHANS: "some",
    WEBHOOK_INSECURE_HOSTS: "http://localhost:9000",
    AUTO_CONFIRM: "yes",
  };
  const server = startServer({ vars: wrong });

  test("every request is 500, and its log line names every invalid variable", async () => {
    const routes = Object.entries<any>(openapi.paths).flatMap(([pattern, operations]) =>
      Object.keys(operations).map((method) => [method.toUpperCase(), pattern.replace(/\{\w+\}/g, "x")] as const),
    );
    expect(routes.length).toBeGreaterThan(3);
    for (const [method, path] of [...routes, ["GET", "/nothing"] as const]) {
      const answer = await expectError(server, () => server.request(method, path, method === "POST" ? { body: "{}" } : {}), "INTERNAL_ERROR");
      const lines = await server.logsOf(answer);
      expect(lines).toHaveLength(1);
      expect(lines[0].level).toBe("error");
      for (const name of Object.keys(wrong)) expect(lines[0].detail).toContain(name);
      // No values: a secret in the wrong variable must not get into the log.
      expect(lines[0].detail).not.toContain("cdn.example.com");
    }
  });

  test("the sweeper changes nothing, and its log line names them as well", async () => {
    const before = await snapshot(server);
    const line = await server.sweep(Date.now() + 1e10);
    expect([line.level, line.r2_ms, line.d1_ms]).toEqual(["error", null, null]);
    for (const name of Object.keys(wrong)) expect(line.detail).toContain(name);
    expect(await snapshot(server)).toEqual(before);
  });
});

describe("hosts of webhooks that may be local", () => {
  const server = startServer({ vars: { WEBHOOK_INSECURE_HOSTS: "localhost:9000, 127.0.0.1:9001" } });
  const warnings = () => server.logs.filter(({ level }) => level === "warn");

  test("are warned of once in the log, and are permitted, and no others", async () => {
    const org = await createOrganization(server);
    const admin = await createPerson(server, { [org]: "admin" });
    const make = (url: string) => server.request("POST", "/v1/webhooks", { as: admin, body: JSON.stringify({ url, event_types: ["asset.purged"] }) });
    for (const url of ["http://localhost:9000/a", "https://127.0.0.1:9001"]) expect([url, (await make(url)).status]).toEqual([url, 201]);
    for (const url of ["http://localhost:9001/", "https://localhost/", "http://hooks.example.com/"]) {
      expect([url, (await make(url)).json.errors]).toMatchObject([url, [{ loc: ["body", "url"], type: "webhook_url" }]]);
    }
    await server.logsOf(await server.request("GET", "/v1/health"));
    expect(warnings()).toEqual([{ level: "warn", detail: "WEBHOOK_INSECURE_HOSTS permits webhooks on local hosts without TLS: localhost:9000, 127.0.0.1:9001" }]);
  });
});

describe("without WEBHOOK_SIGNING_KEY", () => {
  const server = startServer({ secrets: { WEBHOOK_SIGNING_KEY: "" } });

  test("every endpoint of webhooks is 503 for those who may use it, the log names it, and all else works", async () => {
    const org = await createOrganization(server);
    const [admin, editor] = [await createPerson(server, { [org]: "admin" }), await createPerson(server, { [org]: "editor" })];
    const paths = operations().filter(({ path }) => path.startsWith("/v1/webhooks"));
    expect(paths).toHaveLength(11);
    for (const { method, path } of paths) {
      const send = (as?: Person) => () => server.request(method.toUpperCase(), path.replace(/\{\w+\}/g, "x"), { as, ...(method === "get" ? {} : { body: "{}" }) });
      const answer = await expectError(server, send(admin), "STORAGE_UNAVAILABLE");
      expect(await server.logsOf(answer)).toMatchObject([{ level: "error", detail: "cannot sign webhooks, not set: WEBHOOK_SIGNING_KEY" }]);
      await expectError(server, send(editor), "PERMISSION_DENIED");
      await expectError(server, send(), "UNAUTHORIZED");
    }
    const id = await createUpload(server, org, editor);
    expect((await confirm(server, id, { as: editor })).status).toBe(201);
    expect(server.logs.filter(({ level }) => level === "warn")).toEqual([]);
  });
});

describe("sizes of more than R2 takes", () => {
  const server = startServer({ vars: { MAX_UPLOAD_BYTES: "5492189429761", MULTIPART_PART_BYTES: "5368709121" } });

  test("are 500, and the log line says how large they may be", async () => {
    const [line] = await server.logsOf(await expectError(server, () => server.request("GET", "/v1/health"), "INTERNAL_ERROR"));
    expect(line.detail).toContain("MAX_UPLOAD_BYTES must be a whole number of bytes from 1 to 5492189429760");
    expect(line.detail).toContain("MULTIPART_PART_BYTES must be a whole number of bytes from 5242880 to 5368709120");
  });
});
