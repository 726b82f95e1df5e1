// Rules 1 and 2, and HTTP itself: methods, unusual paths, and raw bytes in headers. Requests that workerd rejects by itself
// are no success and change nothing; all others get an answer of the Worker.
import { beforeAll, describe, expect, test } from "vitest";
import { COMMON_HEADERS, type ErrorCode, expectError, expectErrors, headersOf, idempotencyKeyError, organizationError, pathError, snapshot } from "./assertions.ts";
import { createOrganization, createPerson, createUpload } from "./fixtures.ts";
import { type Answer, type Person, startServer } from "./server.ts";

const server = startServer();
const READ = ["/v1/health", "/v1/ready"];
let editor: Person;
let path: string;

beforeAll(async () => {
  const org = await createOrganization(server);
  editor = await createPerson(server, { [org]: "editor" });
  path = `/v1/asset-uploads/${await createUpload(server, org, editor)}/confirmations`;
});

/** A confirmation, byte for byte, with more header lines. */
const post = (extra: string, at = path, method = "POST") => {
  const lines = ["Host: x", `Authorization: Bearer ${editor.token}`, "Content-Type: application/json", "Content-Length: 2"];
  return server.rawRequest([`${method} ${at} HTTP/1.1`, ...lines, ...(extra ? [extra] : [])].join("\r\n"), "{}");
};
const get = (at: string, method = "GET") => server.rawRequest(`${method} ${at} HTTP/1.1\r\nHost: x`);

/** The Worker or workerd answers with an error, or closes the connection; nothing has changed. */
async function expectNoSuccess(send: () => Promise<Answer>) {
  const before = await snapshot(server);
  const answer = await send();
  expect(answer.status, answer.text).not.toSatisfy((status: number) => status < 400);
  expect(await snapshot(server)).toEqual(before);
}

describe("rule 2: methods:", () => {
  test.each(READ)("HEAD %s is GET without the body", async (at) => {
    const [whole, head] = [await server.request("GET", at), await server.request("HEAD", at)];
    expect([whole.status, head.status, head.text]).toEqual([200, 200, ""]);
    expect(headersOf(head)).toEqual(headersOf(whole));
    expect(headersOf(head)).toEqual(COMMON_HEADERS);
  });

  test("HEAD of a confirmation is 405 without a body", async () => {
    const before = await snapshot(server);
    const answer = await server.request("HEAD", path, { as: editor });
    expect([answer.status, answer.text, headersOf(answer)]).toEqual([405, "", { ...COMMON_HEADERS, allow: "POST" }]);
    expect(await snapshot(server)).toEqual(before);
  });

  test.each(["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "PURGE", "SEARCH"])("%s is 405, except at the paths that have it", async (method) => {
    await expectError(server, () => post("", path, method), "METHOD_NOT_ALLOWED", null, { allow: "POST" });
    if (method !== "GET") {
      await expectErrors(server, READ.map((at) => () => get(at, method)), "METHOD_NOT_ALLOWED", null, { allow: "GET, HEAD" });
    }
    await expectError(server, () => post("", "/v1/nothing", method), "NOT_FOUND");
  });

  test("POST is 405 at paths that are only read", async () => {
    await expectErrors(server, READ.map((at) => () => post("", at)), "METHOD_NOT_ALLOWED", null, { allow: "GET, HEAD" });
  });

  test.each(["BREW", "post", "Post", "CONNECT", "M-SEARCH", 'P"ST', "POST\x01", "P".repeat(5000)])("%o changes nothing", async (method) => {
    await expectNoSuccess(() => post("", path, method));
    await expectNoSuccess(() => get("/v1/health", method));
  });
});

describe("rule 1: paths:", () => {
  test.each([
    "//v1/health", "/v1//health", "/v1/health/", "/v1/health;a", "/v1/health%00", "/v1/health%0A", "/v1%2Fhealth",
    "/v1/%68ealth", "/V1/health", "/v1/HEALTH", "/v1/x/..;/health", "/openapi", "/v1", "/v2/health",
    "/v1/asset-uploads/", `/${"a".repeat(10_000)}`, `/${"a/".repeat(10_000)}`, "/v1/'; DROP TABLE assets; --".replaceAll(" ", "%20"),
  ])("%s is 404", async (at) => {
    await expectError(server, () => get(at), "NOT_FOUND");
  });

  test("a confirmation's path with anything before, after or in between is 404; an id that is no UUID is 422 (rule 10)", async () => {
    const id = path.split("/")[3]!;
    const odd = [`${path}/`, `${path}/x`, `/${path}`, `${path};x`, path.replace("confirmations", "Confirmations")];
    odd.push("/v1/asset-uploads//confirmations", `/v1/asset-uploads/${id}//confirmations`, `/v1/asset-uploads/${id}/`);
    await expectErrors(server, odd.map((at) => () => post("", at)), "NOT_FOUND");
    const ids = [`${id}%2Fx`, `%7B${id}%7D`, id.replace("-", "%2D"), `${id}%00`, "..;", `${id};x`, "a".repeat(9000)];
    const invalid = ids.map((one) => () => post("", `/v1/asset-uploads/${one}/confirmations`));
    await expectErrors(server, invalid, "VALIDATION_ERROR", [pathError]);
  });

  test.each(["/v1/health?", `/v1/health?${"a".repeat(60_000)}`, "/v1/./health", "/v1/x/../health", "/v1/%2e%2e/v1/health"])(
    "%s is the path without query and dots, as the platform reads it",
    async (at) => {
      const answer = await get(at);
      expect([answer.status, answer.json]).toEqual([200, { status: "ok" }]);
    },
  );

  test.each(["/v1/heal\xe9th", "\\v1\\health", "/v1/\thealth", "?", "*", "v1/health"])("%o is no success", async (at) => {
    await expectNoSuccess(() => get(at));
  });
});

describe("header values", () => {
  const key = (value: string): [string, ErrorCode, unknown] => [`Idempotency-Key: ${value}`, "VALIDATION_ERROR", [idempotencyKeyError]];
  const organization = (value: string): [string, ErrorCode, unknown] => [`X-Organization-Id: ${value}`, "VALIDATION_ERROR", [organizationError]];
  test.each<[string, ErrorCode, unknown]>([
    key("\xe9"), key("\xc3\xa9"), key("\xff\xfe"), key("a\xa0b"), key("a\tb"), key("a\x7fb"), key("a\x01b"), key(""), key("k".repeat(60_000)),
    key("a\r\nIdempotency-Key: b"), organization("\xe9"), organization("\xff".repeat(36)), organization(""), organization("x".repeat(60_000)),
    ["Authorization: Bearer au_x", "UNAUTHORIZED", null],
    ["Content-Type: application/json", "BAD_REQUEST", null],
    ["Content-Type: text/plain", "BAD_REQUEST", null],
  ])("%o", async (line, code, errors) => {
    await expectError(server, () => post(line), code, errors);
  });

  test("rule 10: a repeated X-Organization-Id is 422, even with the same value", async () => {
    const line = `X-Organization-Id: ${path.split("/")[3]}`;
    await expectError(server, () => post(`${line}\r\n${line}`), "VALIDATION_ERROR", [organizationError]);
  });

  test.each(["Bearer \xe9", `Bearer au_${"\xe9".repeat(49)}`, `Bearer ${"a".repeat(60_000)}`, "\xff", "Bearer\xa0x"])("Authorization %o", async (value) => {
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${value}\r\nContent-Length: 0`;
    await expectError(server, () => server.rawRequest(head), "UNAUTHORIZED");
  });

  test.each(["X: a\x00b", "Bad Header: x", "NoColon", " folded", "Content-Length: 3", "Transfer-Encoding: chunked", `X: ${"a".repeat(2_000_000)}`])(
    "%o is no success", async (line) => expectNoSuccess(() => post(line)),
  );

  test("a body that breaks off changes nothing", async () => {
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${editor.token}\r\nContent-Type: application/json`;
    await expectNoSuccess(() => server.rawRequest(`${head}\r\nTransfer-Encoding: chunked`, "2\r\n{}\r\nzz\r\n"));
  });

  test("rules 3 and 13: key and deadline are checked when a slow body has arrived", async () => {
    const soon = Date.now() + 2000;
    const org = await createOrganization(server);
    const upload = await createUpload(server, org, editor, { expiresAt: soon });
    const [lasting, expiring] = [await createPerson(server, { [org]: "editor" }), await createPerson(server, { [org]: "editor" }, { expires_at: soon })];
    const slow = (as: Person) => {
      const lines = ["Host: x", `Authorization: Bearer ${as.token}`, "Content-Type: application/json", "Content-Length: 2"];
      return server.rawRequest([`POST /v1/asset-uploads/${upload}/confirmations HTTP/1.1`, ...lines].join("\r\n"), "{", 3000, "}");
    };
    const answers = await Promise.all([slow(lasting), slow(expiring)]);
    // Both requests began in time: their ids carry the time of their start.
    for (const { headers } of answers) expect(Number.parseInt(headers.get("x-request-id")!.replaceAll("-", "").slice(0, 12), 16)).toBeLessThan(soon);
    expect(answers.map(({ json }) => json.code)).toEqual(["ASSET_UPLOAD_EXPIRED", "UNAUTHORIZED"]);
    expect(await server.assets(upload)).toEqual([]);
  });

  test("after all these requests the upload can still be confirmed", async () => {
    expect((await post("X: \xe9")).status).toBe(201);
  });
});
