// Rules 9 and 10 for the start of an upload: names, types and sizes that are accepted, and the errors of all others.
import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { DEFAULT_TYPES, expectError, expectErrors, idempotencyKeyError, missingBodyError, organizationError, repeatedField, unknownField } from "./assertions.ts";
import { createOrganization, createPerson, organizationWithEditor } from "./fixtures.ts";
import { cancelUpload, confirm, PHOTO, putFile, readAsset, readUpload, requestUpload, startUpload, uploadOf } from "./requests.ts";
import { type Person, startServer } from "./server.ts";

const server = startServer();
const MAX = 52_428_800;
let org: string;
let editor: Person;

beforeAll(async () => {
  ({ org, editor } = await organizationWithEditor(server));
});

const fieldError = (field: string, type: string, msg: string, rest = {}) => ({ loc: ["body", field], msg, type, ...rest });
const NAME = "Must be a string of 1 to 500 characters, not . or .., without control and bidirectional-override characters, / and \\.";
const TYPE = "Must be a string holding a media type such as image/png.";
const badName = fieldError("filename", "filename", NAME);
const noName = fieldError("filename", "string_type", NAME);
const badType = fieldError("mime_type", "mime_type_parsing", TYPE);
const noType = fieldError("mime_type", "string_type", TYPE);
const otherType = fieldError("mime_type", "mime_type_not_allowed", "This media type is not permitted.", { limit: DEFAULT_TYPES });
const badSize = fieldError("size_bytes", "size_out_of_range", `Must be from 1 to ${MAX} bytes.`, { limit: MAX });
const noSize = fieldError("size_bytes", "int_type", "Must be a whole number of bytes.");
const missing = (field: string) => fieldError(field, "missing", "This field is required.");

/** A photo with one field given as JSON text. */
const withField = (field: string, json: string) =>
  `{${Object.entries(PHOTO).map(([name, value]) => `"${name}":${name === field ? json : JSON.stringify(value)}`).join()}}`;
async function expectInvalid(body: unknown, errors: unknown[]): Promise<void> {
  await expectError(server, () => requestUpload(server, body, { as: editor }), "VALIDATION_ERROR", errors);
}

describe("rule 10: a filename", () => {
  test.each([
    ["one character", "x"],
    ["a space", " "],
    ["dots", "..."],
    ["quotes and SQL", "'\"; DROP TABLE assets; -- .png"],
    ["what shells and URLs read", "a$(b)`c`?d#e%00&f|g<h>*.png"],
    ["combining characters", "e\u0301\u0323.png"],
    ["a direction character", "\u200fשלום.png"],
    ["line separators", "a\u2028b\u2029c"],
    ["many alphabets", "Ünï–日本語–العربية–ไทย–🏳️‍🌈.png"],
    ["500 letters", "x".repeat(500)],
    ["500 wider characters", "é".repeat(500)],
    ["500 characters beyond the first plane", "😀".repeat(500)],
  ])("of %s is kept as it is, to the asset's name", async (_, filename) => {
    const upload = await startUpload(server, editor, { filename });
    expect((await readUpload(server, upload.id, editor)).json.filename).toBe(filename);
    expect(await putFile(upload)).toBe("200");
    expect((await confirm(server, upload.id, { as: editor })).json.name).toBe(filename);
    expect((await readAsset(server, upload.id, editor)).json.name).toBe(filename);
    expect(await server.assets(upload.id)).toMatchObject([{ name: filename }]);
  });

  test.each([
    ["nothing", '""'],
    ["501 letters", JSON.stringify("x".repeat(501))],
    ["501 wider characters", JSON.stringify("é".repeat(501))],
    ["501 characters beyond the first plane", JSON.stringify("😀".repeat(501))],
    ["a path", '"a/b"'],
    ["a path in Windows", '"a\\\\b"'],
    ["a slash written as an escape", '"a\\u002fb"'],
    ["NUL", '"a\\u0000b"'],
    ["a line end", '"a\\nb"'],
    ["a tab", '"\\t"'],
    ["escape", '"\\u001b[31m"'],
    ["delete", '"a\\u007f"'],
    ["a control character of Latin-1", '"a\\u0085b"'],
    ["a dot", '"."'],
    ["two dots", '".."'],
    ["a text that is read from the right", '"\\u202egnp.exe"'],
    ["an isolate", '"a\\u2066b"'],
  ])("of %s is 422", (_, json) => expectInvalid(withField("filename", json), [badName]));

  test.each(["null", "5", "true", "[]", '["a"]', "{}", '"\\ud800"', '"\\udc00\\ud800"'])("that is %s is 422", (json) =>
    expectInvalid(withField("filename", json), [noName]));
});

describe("rule 10: a media type", () => {
  test.each([
    ["image/png", "image/png"],
    ["IMAGE/PNG", "image/png"],
    [" image/png; charset=binary ", "image/png"],
    ["application/json", "application/json"],
    ["video/x-matroska", "video/x-matroska"],
    ["audio/vnd.a+b.c-d", "audio/vnd.a+b.c-d"],
  ])("%o is signed and recorded as %o", async (mime_type, expected) => {
    const upload = await startUpload(server, editor, { mime_type });
    const kind = expected === "application/json" ? "attachment" : "inline";
    const disposition = `${kind}; filename="photo.png"; filename*=UTF-8''photo.png`;
    expect(upload.headers).toEqual({ "content-type": expected, "content-disposition": disposition, "if-none-match": "*" });
    expect((await readUpload(server, upload.id, editor)).json.mime_type).toBe(expected);
    expect(await putFile(upload)).toBe("200");
    expect((await confirm(server, upload.id, { as: editor })).json.mime_type).toBe(expected);
  });

  test.each(["text/html", "image/anything+xml", "image/xml", "image/svg+xml", "IMAGE/SVG+XML; a=b", "imagery/png", "application/x-msdownload", "text/javascript", "x/y"])(
    "%s is not permitted, and the permitted ones are listed", (mime_type) => expectInvalid({ ...PHOTO, mime_type }, [otherType]));

  test.each(["application/gzip", "text/markdown", "application/rtf", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"])(
    "%s is permitted unless the operator says otherwise", async (mime_type) => {
      const upload = await startUpload(server, editor, { mime_type });
      expect(await putFile(upload)).toBe("200");
      expect((await confirm(server, upload.id, { as: editor })).json.mime_type).toBe(mime_type);
    });

  test.each([
    "", " ", "image", "image/", "/png", "image//png", "image/png/x", "image/png, text/html", "image/png\r\nX-Evil: 1", "image/png\u0000", "imäge/png", "image/*", "*/*",
    "'; DROP TABLE assets; --", `image/${"x".repeat(300)}`,
  ])("%o is 422", (mime_type) => expectInvalid({ ...PHOTO, mime_type }, [badType]));

  test.each(["null", "5", "false", "[]", "{}", '"\\ud800"'])("that is %s is 422", (json) => expectInvalid(withField("mime_type", json), [noType]));
});

describe("rule 10: a size", () => {
  test.each([1, 2, MAX - 1, MAX])("of %d is signed and recorded", async (size_bytes) => {
    const upload = await startUpload(server, editor, { size_bytes });
    expect((await readUpload(server, upload.id, editor)).json.size_bytes).toBe(size_bytes);
  });

  test.each(["5.0", "5.000"])("of %s is 5, as JSON has one kind of number", async (json) => {
    const upload = uploadOf(await requestUpload(server, withField("size_bytes", json), { as: editor }));
    expect((await readUpload(server, upload.id, editor)).json.size_bytes).toBe(5);
  });

  test.each(["0", "0.0", "-0", "-1.0", "-1", "-52428800", String(MAX + 1), "9007199254740993", "18446744073709551616", "9".repeat(1000)])("of %s is out of range", (json) =>
    expectInvalid(withField("size_bytes", json), [badSize]));

  test.each(["1.5", "1.05", "1e3", "1.0e3", "1E3", "1e-3", "-1.5", "1e400", '"5"', '""', "null", "true", "[]", "[5]", "{}"])("of %s is no whole number", (json) =>
    expectInvalid(withField("size_bytes", json), [noSize]));
});

describe("rules 9 and 10: a body", () => {
  test("must have every field and no other", async () => {
    await expectInvalid("{}", ["filename", "mime_type", "size_bytes"].map(missing));
    const { filename, mime_type, size_bytes } = PHOTO;
    await expectInvalid({ mime_type, size_bytes }, [missing("filename")]);
    await expectInvalid({ filename, size_bytes }, [missing("mime_type")]);
    await expectInvalid({ filename, mime_type }, [missing("size_bytes")]);
    await expectInvalid({ ...PHOTO, folder_id: randomUUID() }, [unknownField("folder_id")]);
    await expectInvalid({ Filename: filename, mime_type, size_bytes }, [unknownField("Filename"), missing("filename")]);
    await expectInvalid('{"__proto__":1,"constructor":2}', [unknownField("__proto__"), unknownField("constructor"), missing("filename"), missing("mime_type"), missing("size_bytes")]);
  });

  test("may hold a field once", async () => {
    await expectInvalid(withField("filename", '"a","filename":"b"'), [repeatedField("filename")]);
    await expectInvalid(withField("size_bytes", '0,"size_bytes":10,"size_bytes":"x"'), [badSize, noSize, repeatedField("size_bytes")]);
  });

  test("with several errors is answered with all of them", async () => {
    const headers = { "x-organization-id": "mine", "idempotency-key": "a b" };
    const bad = '{"size_bytes":0,"x":1,"mime_type":"text/html","filename":"a/b"}';
    const errors = [badSize, unknownField("x"), otherType, badName, idempotencyKeyError, organizationError];
    await expectError(server, () => requestUpload(server, bad, { as: editor, headers }), "VALIDATION_ERROR", errors);
    await expectError(server, () => requestUpload(server, "", { as: editor, headers }), "VALIDATION_ERROR", [missingBodyError, idempotencyKeyError, organizationError]);
    const half = [noSize, missing("filename"), missing("mime_type"), idempotencyKeyError, organizationError];
    await expectError(server, () => requestUpload(server, '{"size_bytes":"1"}', { as: editor, headers }), "VALIDATION_ERROR", half);
  });

  test.each([
    ["no JSON", "{"], ["null", "null"], ["an array", "[]"], ["a string", '"x"'], ["two objects", "{}{}"], ["UTF-16", "\ufeff{}"],
    ["more than 64 KiB", `{"filename":"${"x".repeat(65_536)}"}`],
  ])("of %s is 400", async (_, body) => {
    await expectError(server, () => requestUpload(server, body, { as: editor }), "BAD_REQUEST");
  });

  test("of another content type is 400", async () => {
    await expectError(server, () => requestUpload(server, PHOTO, { as: editor, headers: { "content-type": "text/plain" } }), "BAD_REQUEST");
  });
});

test("rule 10: an id or X-Organization-Id that is no UUID is 422 in every route", async () => {
  const invalidId = (name: string) => ({ loc: ["path", name], msg: "Must be a UUID such as 018f4d2e-7c4b-7a35-9c1f-0242ac120002.", type: "uuid_parsing" });
  for (const id of ["1", "%00", "a".repeat(36), randomUUID().replaceAll("-", ""), `{${randomUUID()}}`]) {
    const options = { headers: { "x-organization-id": "x" } };
    const uploads = [() => readUpload(server, id, editor, options), () => cancelUpload(server, id, editor, options)];
    await expectErrors(server, uploads, "VALIDATION_ERROR", [invalidId("asset_upload_id"), organizationError]);
    await expectError(server, () => readAsset(server, id, editor, options), "VALIDATION_ERROR", [invalidId("asset_id"), organizationError]);
  }
});

test("the organization named is the one that the upload belongs to", async () => {
  const other = await createOrganization(server);
  const both = await createPerson(server, { [org]: "editor", [other]: "editor" });
  await expectError(server, () => requestUpload(server, PHOTO, { as: both }), "ORGANIZATION_MEMBERSHIP_REQUIRED");
  const headers = { "x-organization-id": other.toUpperCase() };
  const { id } = uploadOf(await requestUpload(server, PHOTO, { as: both, headers }));
  expect(await server.sql("SELECT org_id FROM asset_uploads WHERE id = ?", id)).toEqual([{ org_id: other }]);
  expect((await readUpload(server, id, both, { headers })).json.status).toBe("waiting");
  const here = { headers: { "x-organization-id": org } };
  await expectErrors(server, [() => readUpload(server, id, both, here), () => cancelUpload(server, id, both, here)], "ASSET_UPLOAD_NOT_FOUND");
});
