// What may be declared of an upload, and every fault of what may not.
import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { DEFAULT_TYPES, keyFault, missingFault, organizationFault, repeatedField, unknownField } from "./answers.ts";
import { type Person, world } from "./harness.ts";
import { ask, cancel, office, PHOTO, put, read, readAsset, start, uploadOf } from "./uploading.ts";

const w = world();
const MAX = 52_428_800;
let org: string;
let editor: Person;

beforeAll(async () => {
  ({ org, editor } = await office(w));
});

const fault = (field: string, type: string, msg: string, rest = {}) => ({ loc: ["body", field], msg, type, ...rest });
const NAME = "Must be a string of 1 to 500 characters, not . or .., without control and bidirectional-override characters, / and \\.";
const TYPE = "Must be a string holding a media type such as image/png.";
const badName = fault("filename", "filename", NAME);
const noName = fault("filename", "string_type", NAME);
const badType = fault("mime_type", "mime_type_parsing", TYPE);
const noType = fault("mime_type", "string_type", TYPE);
const otherType = fault("mime_type", "mime_type_not_allowed", "This media type is not permitted.", { limit: DEFAULT_TYPES });
const badSize = fault("size_bytes", "size_out_of_range", `Must be from 1 to ${MAX} bytes.`, { limit: MAX });
const noSize = fault("size_bytes", "int_type", "Must be a whole number of bytes.");
const missing = (field: string) => fault(field, "missing", "This field is required.");

/** A photo with one field given as JSON text. */
const withField = (field: string, json: string) =>
  `{${Object.entries(PHOTO).map(([name, value]) => `"${name}":${name === field ? json : JSON.stringify(value)}`).join()}}`;
async function refused(body: unknown, errors: unknown[]): Promise<void> {
  await w.refuses(() => ask(w, body, { as: editor }), "VALIDATION_ERROR", errors);
}

describe("a filename", () => {
  test.each([
    ["one character", "x"],
    ["a space", " "],
    ["dots", "..."],
    ["quotes and SQL", "'\"; DROP TABLE assets; -- .png"],
    ["what shells and URLs read", "a$(b)`c`?d#e%00&f|g<h>*.png"],
    ["combining characters", "e\u0301\u0323.png"],
    ["a mark of direction", "\u200fשלום.png"],
    ["line separators", "a\u2028b\u2029c"],
    ["many alphabets", "Ünï–日本語–العربية–ไทย–🏳️‍🌈.png"],
    ["500 letters", "x".repeat(500)],
    ["500 wider characters", "é".repeat(500)],
    ["500 characters beyond the first plane", "😀".repeat(500)],
  ])("of %s is kept as it is, to the asset's name", async (_, filename) => {
    const upload = await start(w, editor, { filename });
    expect((await read(w, upload.id, editor)).json.filename).toBe(filename);
    expect(await put(upload)).toBe("200");
    expect((await w.confirm(upload.id, { as: editor })).json.name).toBe(filename);
    expect((await readAsset(w, upload.id, editor)).json.name).toBe(filename);
    expect(await w.assets(upload.id)).toMatchObject([{ name: filename }]);
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
  ])("of %s is refused", (_, json) => refused(withField("filename", json), [badName]));

  test.each(["null", "5", "true", "[]", '["a"]', "{}", '"\\ud800"', '"\\udc00\\ud800"'])("that is %s is refused", (json) =>
    refused(withField("filename", json), [noName]));
});

describe("a media type", () => {
  test.each([
    ["image/png", "image/png"],
    ["IMAGE/PNG", "image/png"],
    [" image/png; charset=binary ", "image/png"],
    ["application/json", "application/json"],
    ["video/x-matroska", "video/x-matroska"],
    ["audio/vnd.a+b.c-d", "audio/vnd.a+b.c-d"],
  ])("%o is signed and recorded as %o", async (mime_type, expected) => {
    const upload = await start(w, editor, { mime_type });
    const kind = expected === "application/json" ? "attachment" : "inline";
    const disposition = `${kind}; filename="photo.png"; filename*=UTF-8''photo.png`;
    expect(upload.headers).toEqual({ "content-type": expected, "content-disposition": disposition, "if-none-match": "*" });
    expect((await read(w, upload.id, editor)).json.mime_type).toBe(expected);
    expect(await put(upload)).toBe("200");
    expect((await w.confirm(upload.id, { as: editor })).json.mime_type).toBe(expected);
  });

  test.each(["text/html", "image/anything+xml", "image/xml", "image/svg+xml", "IMAGE/SVG+XML; a=b", "imagery/png", "application/x-msdownload", "text/javascript", "x/y"])(
    "%s is not permitted, and the permitted ones are listed", (mime_type) => refused({ ...PHOTO, mime_type }, [otherType]));

  test.each(["application/gzip", "text/markdown", "application/rtf", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"])(
    "%s is permitted unless the operator says otherwise", async (mime_type) => {
      const upload = await start(w, editor, { mime_type });
      expect(await put(upload)).toBe("200");
      expect((await w.confirm(upload.id, { as: editor })).json.mime_type).toBe(mime_type);
    });

  test.each([
    "", " ", "image", "image/", "/png", "image//png", "image/png/x", "image/png, text/html", "image/png\r\nX-Evil: 1", "image/png\u0000", "imäge/png", "image/*", "*/*",
    "'; DROP TABLE assets; --", `image/${"x".repeat(300)}`,
  ])("%o is none", (mime_type) => refused({ ...PHOTO, mime_type }, [badType]));

  test.each(["null", "5", "false", "[]", "{}", '"\\ud800"'])("that is %s is refused", (json) => refused(withField("mime_type", json), [noType]));
});

describe("a size", () => {
  test.each([1, 2, MAX - 1, MAX])("of %d is signed and recorded", async (size_bytes) => {
    const upload = await start(w, editor, { size_bytes });
    expect((await read(w, upload.id, editor)).json.size_bytes).toBe(size_bytes);
  });

  test.each(["5.0", "5.000"])("of %s is 5, as JSON has one kind of number", async (json) => {
    const upload = uploadOf(await ask(w, withField("size_bytes", json), { as: editor }));
    expect((await read(w, upload.id, editor)).json.size_bytes).toBe(5);
  });

  test.each(["0", "0.0", "-0", "-1.0", "-1", "-52428800", String(MAX + 1), "9007199254740993", "18446744073709551616", "9".repeat(1000)])("of %s is out of range", (json) =>
    refused(withField("size_bytes", json), [badSize]));

  test.each(["1.5", "1.05", "1e3", "1.0e3", "1E3", "1e-3", "-1.5", "1e400", '"5"', '""', "null", "true", "[]", "[5]", "{}"])("of %s is no whole number", (json) =>
    refused(withField("size_bytes", json), [noSize]));
});

describe("a body", () => {
  test("must have every field and no other", async () => {
    await refused("{}", ["filename", "mime_type", "size_bytes"].map(missing));
    const { filename, mime_type, size_bytes } = PHOTO;
    await refused({ mime_type, size_bytes }, [missing("filename")]);
    await refused({ filename, size_bytes }, [missing("mime_type")]);
    await refused({ filename, mime_type }, [missing("size_bytes")]);
    await refused({ ...PHOTO, folder_id: randomUUID() }, [unknownField("folder_id")]);
    await refused({ Filename: filename, mime_type, size_bytes }, [unknownField("Filename"), missing("filename")]);
    await refused('{"__proto__":1,"constructor":2}', [unknownField("__proto__"), unknownField("constructor"), missing("filename"), missing("mime_type"), missing("size_bytes")]);
  });

  test("may hold a field once", async () => {
    await refused(withField("filename", '"a","filename":"b"'), [repeatedField("filename")]);
    await refused(withField("size_bytes", '0,"size_bytes":10,"size_bytes":"x"'), [badSize, noSize, repeatedField("size_bytes")]);
  });

  test("is told of every fault at once", async () => {
    const headers = { "x-organization-id": "mine", "idempotency-key": "a b" };
    const bad = '{"size_bytes":0,"x":1,"mime_type":"text/html","filename":"a/b"}';
    const errors = [badSize, unknownField("x"), otherType, badName, keyFault, organizationFault];
    await w.refuses(() => ask(w, bad, { as: editor, headers }), "VALIDATION_ERROR", errors);
    await w.refuses(() => ask(w, "", { as: editor, headers }), "VALIDATION_ERROR", [missingFault, keyFault, organizationFault]);
    const half = [noSize, missing("filename"), missing("mime_type"), keyFault, organizationFault];
    await w.refuses(() => ask(w, '{"size_bytes":"1"}', { as: editor, headers }), "VALIDATION_ERROR", half);
  });

  test.each([
    ["no JSON", "{"], ["null", "null"], ["an array", "[]"], ["a string", '"x"'], ["two objects", "{}{}"], ["UTF-16", "\ufeff{}"],
    ["more than 64 KiB", `{"filename":"${"x".repeat(65_536)}"}`],
  ])("of %s is 400", async (_, body) => {
    await w.refuses(() => ask(w, body, { as: editor }), "BAD_REQUEST");
  });

  test("of another content type is 400", async () => {
    await w.refuses(() => ask(w, PHOTO, { as: editor, headers: { "content-type": "text/plain" } }), "BAD_REQUEST");
  });
});

test("an id that is none is a fault in every route, as is an organization that is none", async () => {
  const faulty = (name: string) => ({ loc: ["path", name], msg: "Must be a UUID such as 018f4d2e-7c4b-7a35-9c1f-0242ac120002.", type: "uuid_parsing" });
  for (const id of ["1", "%00", "a".repeat(36), randomUUID().replaceAll("-", ""), `{${randomUUID()}}`]) {
    const options = { headers: { "x-organization-id": "x" } };
    const uploads = [() => read(w, id, editor, options), () => cancel(w, id, editor, options)];
    await w.refusesAll(uploads, "VALIDATION_ERROR", [faulty("asset_upload_id"), organizationFault]);
    await w.refuses(() => readAsset(w, id, editor, options), "VALIDATION_ERROR", [faulty("asset_id"), organizationFault]);
  }
});

test("the organization named is the one that the upload belongs to", async () => {
  const other = await w.organization();
  const both = await w.person({ [org]: "editor", [other]: "editor" });
  await w.refuses(() => ask(w, PHOTO, { as: both }), "ORGANIZATION_MEMBERSHIP_REQUIRED");
  const headers = { "x-organization-id": other.toUpperCase() };
  const { id } = uploadOf(await ask(w, PHOTO, { as: both, headers }));
  expect(await w.sql("SELECT org_id FROM asset_uploads WHERE id = ?", id)).toEqual([{ org_id: other }]);
  expect((await read(w, id, both, { headers })).json.status).toBe("waiting");
  const here = { headers: { "x-organization-id": org } };
  await w.refusesAll([() => read(w, id, both, here), () => cancel(w, id, both, here)], "ASSET_UPLOAD_NOT_FOUND");
});
