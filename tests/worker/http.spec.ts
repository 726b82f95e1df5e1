// HTTP itself: methods, odd paths and raw bytes in headers. What workerd refuses before the Worker sees it is
// no 2xx and changes nothing; what reaches the Worker gets a whole answer.
import { beforeAll, describe, expect, test } from "vitest";
import { type Code, COMMON, headersOf, keyFault, organizationFault, pathFault } from "./answers.ts";
import { type Person, world } from "./harness.ts";

const w = world();
const READ = ["/v1/health", "/v1/ready"];
let editor: Person;
let path: string;

beforeAll(async () => {
  const org = await w.organization();
  editor = await w.person({ [org]: "editor" });
  path = `/v1/asset-uploads/${await w.upload(org, editor)}/confirmations`;
});

/** A confirmation, byte for byte, with these header lines besides. */
const post = (extra: string, at = path, method = "POST") => {
  const lines = ["Host: x", `Authorization: Bearer ${editor.token}`, "Content-Type: application/json", "Content-Length: 2"];
  return w.raw([`${method} ${at} HTTP/1.1`, ...lines, ...(extra ? [extra] : [])].join("\r\n"), "{}");
};
const get = (at: string, method = "GET") => w.raw(`${method} ${at} HTTP/1.1\r\nHost: x`);

/** Refused, by whomever: no 2xx or no answer at all, and nothing has changed. */
async function refusedSomewhere(send: () => ReturnType<typeof w.raw>) {
  const before = await w.snapshot();
  const answer = await send();
  expect(answer.status, answer.text).not.toSatisfy((status: number) => status < 400);
  expect(await w.snapshot()).toEqual(before);
}

describe("methods", () => {
  test.each(READ)("HEAD %s is GET without the body", async (at) => {
    const [whole, head] = [await w.call("GET", at), await w.call("HEAD", at)];
    expect([whole.status, head.status, head.text]).toEqual([200, 200, ""]);
    expect(headersOf(head)).toEqual(headersOf(whole));
    expect(headersOf(head)).toEqual(COMMON);
  });

  test("HEAD of a confirmation is 405 without a body", async () => {
    const before = await w.snapshot();
    const answer = await w.call("HEAD", path, { as: editor });
    expect([answer.status, answer.text, headersOf(answer)]).toEqual([405, "", { ...COMMON, allow: "POST" }]);
    expect(await w.snapshot()).toEqual(before);
  });

  test.each(["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "PURGE", "SEARCH"])("%s is 405 but where it is taken", async (method) => {
    await w.refuses(() => post("", path, method), "METHOD_NOT_ALLOWED", null, { allow: "POST" });
    if (method !== "GET") {
      await w.refusesAll(READ.map((at) => () => get(at, method)), "METHOD_NOT_ALLOWED", null, { allow: "GET, HEAD" });
    }
    await w.refuses(() => post("", "/v1/nothing", method), "NOT_FOUND");
  });

  test("POST is 405 where only reading is", async () => {
    await w.refusesAll(READ.map((at) => () => post("", at)), "METHOD_NOT_ALLOWED", null, { allow: "GET, HEAD" });
  });

  test.each(["BREW", "post", "Post", "CONNECT", "M-SEARCH", 'P"ST', "POST\x01", "P".repeat(5000)])("%o changes nothing", async (method) => {
    await refusedSomewhere(() => post("", path, method));
    await refusedSomewhere(() => get("/v1/health", method));
  });
});

describe("paths", () => {
  test.each([
    "/", "//", "//v1/health", "/v1//health", "/v1/health/", "/v1/health;a", "/v1/health%00", "/v1/health%0A", "/v1%2Fhealth",
    "/v1/%68ealth", "/V1/health", "/v1/HEALTH", "/v1/x/..;/health", "/openapi", "/v1", "/v2/health",
    "/v1/asset-uploads/", `/${"a".repeat(10_000)}`, `/${"a/".repeat(10_000)}`, "/v1/'; DROP TABLE assets; --".replaceAll(" ", "%20"),
  ])("%s is 404", async (at) => {
    await w.refuses(() => get(at), "NOT_FOUND");
  });

  test("a confirmation's path takes nothing before, after or between", async () => {
    const id = path.split("/")[3]!;
    const odd = [`${path}/`, `${path}/x`, `/${path}`, `${path};x`, path.replace("confirmations", "Confirmations")];
    odd.push("/v1/asset-uploads//confirmations", `/v1/asset-uploads/${id}//confirmations`, `/v1/asset-uploads/${id}/`);
    await w.refusesAll(odd.map((at) => () => post("", at)), "NOT_FOUND");
    const ids = [`${id}%2Fx`, `%7B${id}%7D`, id.replace("-", "%2D"), `${id}%00`, "..;", `${id};x`, "a".repeat(9000)];
    const faulty = ids.map((one) => () => post("", `/v1/asset-uploads/${one}/confirmations`));
    await w.refusesAll(faulty, "VALIDATION_ERROR", [pathFault]);
  });

  test.each(["/v1/health?", `/v1/health?${"a".repeat(60_000)}`, "/v1/./health", "/v1/x/../health", "/v1/%2e%2e/v1/health"])(
    "%s is the path without query and dots, as the platform reads it",
    async (at) => {
      const answer = await get(at);
      expect([answer.status, answer.json]).toEqual([200, { status: "ok" }]);
    },
  );

  test.each(["/v1/heal\xe9th", "\\v1\\health", "/v1/\thealth", "?", "*", "v1/health"])("%o is refused", async (at) => {
    await refusedSomewhere(() => get(at));
  });
});

describe("header values", () => {
  const key = (value: string): [string, Code, unknown] => [`Idempotency-Key: ${value}`, "VALIDATION_ERROR", [keyFault]];
  const organization = (value: string): [string, Code, unknown] => [`X-Organization-Id: ${value}`, "VALIDATION_ERROR", [organizationFault]];
  test.each<[string, Code, unknown]>([
    key("\xe9"), key("\xc3\xa9"), key("\xff\xfe"), key("a\xa0b"), key("a\tb"), key("a\x7fb"), key("a\x01b"), key(""), key("k".repeat(60_000)),
    key("a\r\nIdempotency-Key: b"), organization("\xe9"), organization("\xff".repeat(36)), organization(""), organization("x".repeat(60_000)),
    ["Authorization: Bearer au_x", "UNAUTHORIZED", null],
    ["Content-Type: application/json", "BAD_REQUEST", null],
    ["Content-Type: text/plain", "BAD_REQUEST", null],
  ])("%o", async (line, code, errors) => {
    await w.refuses(() => post(line), code, errors);
  });

  test("a repeated X-Organization-Id is no UUID, even the same twice", async () => {
    const line = `X-Organization-Id: ${path.split("/")[3]}`;
    await w.refuses(() => post(`${line}\r\n${line}`), "VALIDATION_ERROR", [organizationFault]);
  });

  test.each(["Bearer \xe9", `Bearer au_${"\xe9".repeat(49)}`, `Bearer ${"a".repeat(60_000)}`, "\xff", "Bearer\xa0x"])("Authorization %o", async (value) => {
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${value}\r\nContent-Length: 0`;
    await w.refuses(() => w.raw(head), "UNAUTHORIZED");
  });

  test.each(["X: a\x00b", "Bad Header: x", "NoColon", " folded", "Content-Length: 3", "Transfer-Encoding: chunked", `X: ${"a".repeat(2_000_000)}`])(
    "%o is refused", async (line) => refusedSomewhere(() => post(line)),
  );

  test("a body that breaks off changes nothing", async () => {
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${editor.token}\r\nContent-Type: application/json`;
    await refusedSomewhere(() => w.raw(`${head}\r\nTransfer-Encoding: chunked`, "2\r\n{}\r\nzz\r\n"));
  });

  test("a body that is sent slowly outlives neither its key nor the upload's deadline", async () => {
    const soon = Date.now() + 2000;
    const org = await w.organization();
    const upload = await w.upload(org, editor, { expiresAt: soon });
    const [lasting, expiring] = [await w.person({ [org]: "editor" }), await w.person({ [org]: "editor" }, { expires_at: soon })];
    const slow = (as: Person) => {
      const lines = ["Host: x", `Authorization: Bearer ${as.token}`, "Content-Type: application/json", "Content-Length: 2"];
      return w.raw([`POST /v1/asset-uploads/${upload}/confirmations HTTP/1.1`, ...lines].join("\r\n"), "{", 3000, "}");
    };
    const answers = await Promise.all([slow(lasting), slow(expiring)]);
    // They began in time, as their ids tell.
    for (const { headers } of answers) expect(Number.parseInt(headers.get("x-request-id")!.replaceAll("-", "").slice(0, 12), 16)).toBeLessThan(soon);
    expect(answers.map(({ json }) => json.code)).toEqual(["ASSET_UPLOAD_EXPIRED", "UNAUTHORIZED"]);
    expect(await w.assets(upload)).toEqual([]);
  });

  test("and after all that the upload can still be confirmed", async () => {
    expect((await post("X: \xe9")).status).toBe(201);
  });
});
