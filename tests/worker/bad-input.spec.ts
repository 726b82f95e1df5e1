// Rules 9 and 10 for a confirmation: bodies, fields, headers and ids that are wrong, unusual or hostile.
import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { type ErrorCode, expectError, expectErrors, folderError, folderTypeError, idempotencyKeyError, missingBodyError, organizationError, pathError, repeatedField, unknownField } from "./assertions.ts";
import { createOrganization, createPerson, createUpload } from "./fixtures.ts";
import { confirm, once } from "./requests.ts";
import { type Person, type RequestOptions, startServer } from "./server.ts";

const server = startServer();
const LIMIT = 65_536;
let org: string;
let editor: Person;
/** A pending upload, which errors leave pending. */
let upload: string;

beforeAll(async () => {
  org = await createOrganization(server);
  editor = await createPerson(server, { [org]: "editor" });
  upload = await createUpload(server, org, editor);
});

const bytes = (...parts: (string | number)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.from([part]))));
const deep = (open: string, close: string, depth = 30_000) => open.repeat(depth) + close.repeat(depth);
const folder = (json: string) => `{"folder_id":${json}}`;
/** `{}` with white space to exactly this many bytes. */
const padded = (length: number) => `{${" ".repeat(length - 2)}}`;

/** A body without Content-Length, in chunks. */
function chunked(body: string | Uint8Array, size = 4096): ReadableStream {
  const whole = Buffer.from(body as string);
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= whole.length) return controller.close();
      controller.enqueue(new Uint8Array(whole.subarray(at, (at += size))));
    },
  });
}

const confirmed = async (id: string, options: RequestOptions = {}) => {
  const answer = await confirm(server, id, { as: editor, ...options });
  expect([answer.status, answer.json.id, answer.json.folder_id]).toEqual([201, id.toLowerCase(), null]);
  expect(await server.assets(id.toLowerCase())).toHaveLength(1);
};

test("rule 10: of thousands of wrong fields the first 100 are listed", async () => {
  const names = Array.from({ length: 5_000 }, (_, i) => `f${i}`);
  const body = JSON.stringify(Object.fromEntries(names.map((name) => [name, 1])));
  const listed = names.slice(0, 100).map(unknownField);
  const answer = await expectError(server, () => confirm(server, upload, { as: editor, body }), "VALIDATION_ERROR", listed);
  expect(answer.text.length).toBeLessThan(body.length);
  await expectError(server, () => server.request("POST", "/v1/asset-uploads", { as: editor, body }), "VALIDATION_ERROR", listed);
});

describe("rule 9: a body that is no JSON object of 64 KiB at most is 400:", () => {
  test.each<[string, string | Uint8Array]>([
    ["a byte that is no UTF-8", bytes('{"folder_id":"', 0xff, '"}')],
    ["an overlong encoding", bytes('{"', 0xc0, 0x80, '":1}')],
    ["a cut off character", bytes('{"x":"', 0xe2, 0x82, '"}')],
    ["a surrogate in UTF-8", bytes('{"x":"', 0xed, 0xa0, 0x80, '"}')],
    ["UTF-16", Buffer.from("\ufeff{}", "utf16le")],
    ["UTF-16 without a byte order mark", Buffer.from("{}", "utf16le")],
    ["a byte order mark", bytes(0xef, 0xbb, 0xbf, "{}")],
    ["NUL", "\0"],
    ["NUL after it", "{}\0"],
    ["NUL within", '{"folder_id":\0null}'],
    ["a raw NUL in a string", '{"folder_id":"\0"}'],
    ["a line end in a string", '{"folder_id":"\n"}'],
    ["white space", " \r\n\t"],
    ["Unicode white space", "\u00a0{}\u2003"],
    ["null", "null"],
    ["an array", "[]"],
    ["an array of an object", "[{}]"],
    ["a string", '""'],
    ["a number", "0"],
    ["a boolean", "true"],
    ["a word", "folder_id"],
    ["a form", "folder_id=x"],
    ["30,000 arrays", deep("[", "]")],
    ["30,000 arrays left open", "[".repeat(30_000)],
    ["30,000 arrays left open within", folder("[".repeat(30_000))],
    ["two objects", "{}{}"],
    ["half an object", '{"folder_id"'],
    ["a comma too many", '{"folder_id":null,}'],
    ["no value", '{"folder_id":}'],
    ["no quotes", "{folder_id:null}"],
    ["single quotes", "{'folder_id':null}"],
    ["a comment", "{} // done"],
    ["NaN", folder("NaN")],
    ["a number with a leading zero", folder("01")],
    ["a bad escape", folder('"\\x"')],
    ["a lone surrogate as a name", '{"\\ud800":1}'],
    ["SQL", "'; DROP TABLE assets; --"],
    ["one byte over the limit", padded(LIMIT + 1)],
    ["the limit in characters, not in bytes", `{"x":"${"é".repeat(LIMIT / 2)}"}`],
    // Not more: where the answer comes long before the end of the body, miniflare may lose it.
    ["twice the limit", padded(2 * LIMIT)],
  ])("%s", async (_, body) => {
    const bodies = [body, chunked(body)];
    await expectErrors(server, bodies.map((one) => () => confirm(server, upload, { as: editor, body: one })), "BAD_REQUEST");
  });

  test.each([
    ["text/plain"], ["text/json"], ["application/jsonp"], ["application/json5"], ["application/problem+json"], ["json"],
    ["application/x-www-form-urlencoded"], ["multipart/form-data; boundary=x"], ["application/octet-stream"], ["*/*"], [""],
    ["application/json, text/plain"], ["text/plain; application/json"], ["'; DROP TABLE assets; --"],
  ])("content type %o", async (type) => {
    await expectError(server, () => confirm(server, upload, { as: editor, headers: { "content-type": type } }), "BAD_REQUEST");
  });

  test("no content type", async () => {
    const head = `POST /v1/asset-uploads/${upload}/confirmations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${editor.token}`;
    await expectError(server, () => server.rawRequest(`${head}\r\nContent-Length: 2`, "{}"), "BAD_REQUEST");
  });
});

describe("rule 10: wrong fields, headers and ids are 422:", () => {
  const long = "x".repeat(60_000);
  test.each<[string, string, unknown[]]>([
    ["30,000 arrays as folder_id", folder(deep("[", "]")), [folderTypeError]],
    ["10,000 objects as folder_id", folder(deep('{"a":', "}", 10_000).replace("}", "1}")), [folderTypeError]],
    ["30,000 arrays as another field", `{"x":${deep("[", "]")}}`, [unknownField("x")]],
    ["a number as folder_id", folder("1"), [folderTypeError]],
    ["a huge number as folder_id", folder(`1e${"9".repeat(1000)}`), [folderTypeError]],
    ["false as folder_id", folder("false"), [folderTypeError]],
    ["an object as folder_id", folder("{}"), [folderTypeError]],
    ["an empty folder_id", folder('""'), [folderError]],
    ["null in quotes", folder('"null"'), [folderError]],
    ["a UUID without hyphens", folder(`"${"0".repeat(32)}"`), [folderError]],
    ["a UUID in braces", folder(`"{${randomUUID()}}"`), [folderError]],
    ["a UUID as URN", folder(`"urn:uuid:${randomUUID()}"`), [folderError]],
    ["a UUID and a space", folder(`"${randomUUID()} "`), [folderError]],
    ["a UUID and NUL", folder(`"${randomUUID()}\\u0000"`), [folderError]],
    ["a UUID in other digits", folder('"０1234567-89ab-cdef-0123-456789abcd"'), [folderError]],
    ["a lone surrogate", folder('"\\ud800"'), [folderError]],
    ["a pair the wrong way round", folder('"\\udc00\\ud800"'), [folderError]],
    ["60,000 characters", folder(`"${long}"`), [folderError]],
    ["SQL", folder(`"' OR 1=1; DROP TABLE assets; --"`), [folderError]],
    ["SQL as a name", `{"'; DROP TABLE assets; --":1}`, [unknownField("'; DROP TABLE assets; --")]],
    ["an unknown field", '{"x":1}', [unknownField("x")]],
    ["a field of the asset", '{"size_bytes":1}', [unknownField("size_bytes")]],
    ["another case", '{"Folder_Id":null}', [unknownField("Folder_Id")]],
    ["an empty name", '{"":1}', [unknownField("")]],
    ["a name with NUL", '{"\\u0000":1}', [unknownField("\0")]],
    ["names of JavaScript properties", '{"__proto__":{},"constructor":1}', ["__proto__", "constructor"].map(unknownField)],
    ["a name of 60,000 characters", `{"${long}":1}`, [unknownField("x".repeat(100))]],
    ["a name of 20,000 wider ones", `{"${"é😀".repeat(10_000)}":1}`, [unknownField("é😀".repeat(50))]],
    ["a field twice", '{"folder_id":null,"folder_id":null}', [repeatedField("folder_id")]],
    ["a field twice, once escaped", '{"folder_id":null,"folder\\u005fid":null}', [repeatedField("folder_id")]],
    ["a field thrice, wrong twice", '{"folder_id":1,"folder_id":null,"folder_id":2}', [folderTypeError, folderTypeError, repeatedField("folder_id")]],
    ["an unknown field twice", '{"x":1,"x":2}', [unknownField("x"), unknownField("x"), repeatedField("x")]],
  ])("%s", async (_, body, errors) => {
    const bodies = [body, chunked(body)];
    await expectErrors(server, bodies.map((one) => () => confirm(server, upload, { as: editor, body: one })), "VALIDATION_ERROR", errors);
  });

  test("no body at all, with and without a content type", async () => {
    const head = `POST /v1/asset-uploads/${upload}/confirmations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${editor.token}`;
    const sent = [
      () => confirm(server, upload, { as: editor, body: "" }),
      () => confirm(server, upload, { as: editor, body: chunked("") }),
      () => confirm(server, upload, { as: editor, body: "", headers: { "content-type": "text/plain" } }),
      () => server.rawRequest(head),
      () => server.rawRequest(`${head}\r\nContent-Length: 0`),
      () => server.rawRequest(`${head}\r\nTransfer-Encoding: chunked`, "0\r\n\r\n"),
    ];
    await expectErrors(server, sent, "VALIDATION_ERROR", [missingBodyError]);
  });

  test("every error is listed in one answer", async () => {
    const body = `{"x":1,"folder_id":"","y":[],"x":null,"folder_id":5}`;
    const headers = { "x-organization-id": "mine", "idempotency-key": "a b" };
    const errors = [
      unknownField("x"), folderError, unknownField("y"), unknownField("x"), folderTypeError,
      repeatedField("x"), repeatedField("folder_id"), pathError, idempotencyKeyError, organizationError,
    ];
    await expectError(server, () => confirm(server, "1", { as: editor, body, headers }), "VALIDATION_ERROR", errors);
    const withoutBody = [missingBodyError, pathError, idempotencyKeyError, organizationError];
    await expectError(server, () => confirm(server, "1", { as: editor, body: "", headers }), "VALIDATION_ERROR", withoutBody);
  });

  test.each<[string, Record<string, string>, ErrorCode, unknown[] | null]>([
    ["an empty X-Organization-Id", { "x-organization-id": "" }, "VALIDATION_ERROR", [organizationError]],
    ["an X-Organization-Id without hyphens", { "x-organization-id": "0".repeat(32) }, "VALIDATION_ERROR", [organizationError]],
    ["SQL as X-Organization-Id", { "x-organization-id": "' OR '1'='1" }, "VALIDATION_ERROR", [organizationError]],
    ["an empty Idempotency-Key", { "idempotency-key": "" }, "VALIDATION_ERROR", [idempotencyKeyError]],
    ["a space in Idempotency-Key", { "idempotency-key": "'; DROP TABLE assets; --" }, "VALIDATION_ERROR", [idempotencyKeyError]],
    ["256 characters of Idempotency-Key", { "idempotency-key": "k".repeat(256) }, "VALIDATION_ERROR", [idempotencyKeyError]],
    ["SQL as a key", { authorization: "Bearer au_' OR 1=1; --" }, "UNAUTHORIZED", null],
  ])("%s", async (_, headers, code, errors) => {
    const extra: Record<string, string> = code === "UNAUTHORIZED" ? { "www-authenticate": "Bearer" } : {};
    await expectError(server, () => confirm(server, upload, { as: editor, headers }), code, errors, extra);
  });

  test.each([
    "1", "null", "0".repeat(32), `{${randomUUID()}}`, `${randomUUID()}0`, randomUUID().replace("-", "%2D"),
    `${randomUUID()}%00`, `${randomUUID()}%2F`, "%2e%2e%2f", "..;", "%", "%zz", "%ff", "é", "'%20OR%201=1%20--", "x".repeat(10_000),
  ])("path id %s", async (id) => {
    await expectError(server, () => confirm(server, id, { as: editor }), "VALIDATION_ERROR", [pathError]);
  });
});

describe("rules 9 and 10 permit", () => {
  test.each<[string, string | Uint8Array | ReadableStream, Record<string, string>]>([
    ["a body of exactly the limit", padded(LIMIT), {}],
    ["a small body in chunks", chunked("{}", 1), {}],
    ["a body in chunks of exactly the limit", chunked(padded(LIMIT)), {}],
    ["a body in chunks with white space around", chunked(` \r\n\t{"folder_id" : null}\n`, 3), {}],
    ["an escaped name", '{"folder\\u005fid":null}', {}],
    ["a charset", "{}", { "content-type": "application/json; charset=UTF-8" }],
    ["another case and spaces", "{}", { "content-type": " Application/JSON ;x=y" }],
    ["Idempotency-Key of 255 characters", "{}", { "idempotency-key": "~".repeat(255) }],
    ["SQL as Idempotency-Key", "{}", { "idempotency-key": "');DROP/**/TABLE/**/assets;--" }],
    ["an unknown header", "{}", { "x-anything": "'; DROP TABLE assets; --" }],
  ])("%s", async (_, body, headers) => {
    const id = await createUpload(server, org, editor);
    await confirmed(id, { body, headers });
    const key = headers["idempotency-key"];
    if (key) expect(await server.assets(id)).toMatchObject([{ confirmation_key: key }]);
  });

  test("an upper-case id, which comes back in lower case", async () => {
    const id = (await createUpload(server, org, editor)).toUpperCase();
    await confirmed(id, { headers: { "x-organization-id": org.toUpperCase() } });
  });

  test("a query, which nothing reads", async () => {
    const id = await createUpload(server, org, editor);
    const path = `/v1/asset-uploads/${id}/confirmations?folder_id=x&'; DROP TABLE assets; --`;
    expect((await server.request("POST", path, { as: editor, body: "{}" })).status).toBe(201);
  });

  test.each(["'); DROP TABLE assets; --", "a\0b", 'quo"te\n<script>', "😀.png", "..\\../etc/passwd"])("a file named %o keeps its name", async (filename) => {
    const id = await createUpload(server, org, editor, { filename });
    const answer = await confirm(server, id, { as: editor });
    expect([answer.status, answer.json.name]).toEqual([201, filename]);
  });
});
