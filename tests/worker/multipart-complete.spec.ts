// Putting the parts of an upload together: the answer, the object, the confirmation after it, repeats, and faulty lists.
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { COMMON_HEADERS, expectError, expectErrorAnswer, expectErrors, fieldError, headersOf, missingBodyError, pathError, unknownField } from "./assertions.ts";
import { organizationWithEditor, S3 } from "./fixtures.ts";
import { complete, FILM, NOTE, PART, sendAll, sendPart, sentNote, signedParts, signParts, SMALL_PARTS, startParts } from "./multipart.ts";
import { cancelUpload, confirm, EVERYTHING, NOTHING, partsOf, putFile, readAsset, readUpload, startUpload } from "./requests.ts";
import { type Answer, startServer, WITH_FAULTS } from "./server.ts";

const server = startServer({ config: WITH_FAULTS, ...SMALL_PARTS });
const REJECTED = fieldError(["body", "parts"], "parts_rejected", "Storage does not have all of these parts with these ETags. Send those again that it may lack, and complete the upload with the ETags that it answers.");
const incomplete = (count: number) => fieldError(["body", "parts"], "parts_incomplete", `Must be all parts from 1 to ${count}, in this order, each once.`);
const LIST = fieldError(["body", "parts"], "list_type", "Must be a list of 1 to 10000 objects, each with `part_number`, a whole number, and `etag`, a string of 1 to 255 characters.");
const SENT = { session: true, asset: false, object: false };
const RECEIVED = { session: true, asset: false, object: true };

test("from start to end: the asset has the bytes, the type and the name, as after a single PUT", async () => {
  const { editor } = await organizationWithEditor(server);
  const file = randomBytes(FILM.size_bytes);
  const filename = "Ünïted – film.mp4";
  const id = await startParts(server, editor, { ...FILM, filename });
  const parts = await sendAll(server, id, editor, file);
  expect(await partsOf(server, id)).toEqual(SENT);
  const early = await confirm(server, id, { as: editor });
  expectErrorAnswer(early, "OBJECT_NOT_UPLOADED");
  const waiting = (await readUpload(server, id, editor)).json;
  expect([waiting.status, waiting.part_size, waiting.part_count]).toEqual(["waiting", PART, 3]);

  const done = await complete(server, id, parts, { as: editor });
  expect([done.status, headersOf(done), done.storageCalls]).toEqual([200, COMMON_HEADERS, ["DB.batch(1)", `BUCKET.completeMultipartUpload(uploads/${id})`]]);
  expect(done.json).toEqual({ ...waiting, status: "received" });
  expect((await readUpload(server, id, editor)).json).toEqual(done.json);
  expect(await partsOf(server, id)).toEqual(RECEIVED);

  const confirmed = await confirm(server, id, { as: editor });
  expect([confirmed.status, confirmed.storageCalls]).toEqual([201, [`BUCKET.head(uploads/${id})`, "DB.batch(2)"]]);
  expect(confirmed.json).toMatchObject({ id, name: filename, mime_type: "video/mp4", size_bytes: file.length, asset_type: "video" });
  const { etag } = await server.env.BUCKET.head(`uploads/${id}`);
  expect(await server.assets(id)).toMatchObject([{ etag, size_bytes: file.length, r2_key: `uploads/${id}` }]);

  const single = await startUpload(server, editor, { filename, mime_type: "video/mp4" });
  const served = await fetch((await readAsset(server, id, editor)).json.url);
  expect([served.status, served.headers.get("content-type"), served.headers.get("content-disposition")]).toEqual([200, "video/mp4", single.headers["content-disposition"]]);
  expect(Buffer.compare(Buffer.from(await served.arrayBuffer()), file)).toBe(0);
});

test("a repeat is 200, before the confirmation and after it; after a cancellation 404", async () => {
  const { editor } = await organizationWithEditor(server);
  const { id, parts } = await sentNote(server, editor);
  const first = await complete(server, id, parts, { as: editor });
  expect(first.status).toBe(200);
  const { etag } = await server.env.BUCKET.head(`uploads/${id}`);
  const calls = ["DB.batch(1)", `BUCKET.completeMultipartUpload(uploads/${id})`];
  const repeat = await complete(server, id, parts, { as: editor });
  expect([repeat.status, repeat.json, repeat.storageCalls]).toEqual([200, first.json, [...calls, `BUCKET.head(uploads/${id})`]]);
  // A part that is sent then goes nowhere, and the URL cannot replace the object.
  const [part] = await signedParts(server, id, editor, [1]);
  expect((await fetch(part!.url, { method: "PUT", body: "9876543210" })).status).toBe(404);

  expect((await confirm(server, id, { as: editor })).status).toBe(201);
  const after = await complete(server, id, parts, { as: editor });
  expect([after.status, after.json, after.storageCalls]).toEqual([200, { ...first.json, status: "confirmed", asset_id: id }, ["DB.batch(1)"]]);
  expect(after.json).toEqual((await readUpload(server, id, editor)).json);
  expect((await server.env.BUCKET.head(`uploads/${id}`)).etag).toBe(etag);
  // With another list it is as faulty as ever.
  await expectError(server, () => complete(server, id, [...parts, { part_number: 2, etag: "x" }], { as: editor }), "VALIDATION_ERROR", [incomplete(1)]);

  const other = await sentNote(server, editor);
  expect((await complete(server, other.id, other.parts, { as: editor })).status).toBe(200);
  expect((await cancelUpload(server, other.id, editor)).status).toBe(204);
  expect(await partsOf(server, other.id)).toEqual(NOTHING);
  await expectError(server, () => complete(server, other.id, other.parts, { as: editor }), "ASSET_UPLOAD_NOT_FOUND");
});

test("a wrong ETag and a part that storage lacks are UPLOAD_REJECTED, and then it can still be completed", async () => {
  const { editor } = await organizationWithEditor(server);
  const file = randomBytes(FILM.size_bytes);
  const id = await startParts(server, editor);
  const send = (parts: unknown) => () => complete(server, id, parts, { as: editor });
  const some = (etag: string) => [1, 2, 3].map((part_number) => ({ part_number, etag }));
  const none = fieldError(["body", "parts"], "parts_rejected", "No part of this upload was sent: have the parts signed, and send them.");
  await expectError(server, send(some("x")), "UPLOAD_REJECTED", [none]);
  const signed = await signedParts(server, id, editor, [1, 2, 3]);
  await expectError(server, send(some("x")), "UPLOAD_REJECTED", [REJECTED]);
  const [first, second] = [await sendPart(signed[0]!, file), await sendPart(signed[1]!, file)];
  await expectError(server, send([first, second, { part_number: 3, etag: first.etag }]), "UPLOAD_REJECTED", [REJECTED]);
  const third = await sendPart(signed[2]!, file);
  const wrong = [[second, first, third].map(({ etag }, n) => ({ part_number: n + 1, etag })), some("😀".repeat(255)), some("\u0000"), some("x'; --")];
  const answers = await expectErrors(server, wrong.map(send), "UPLOAD_REJECTED", [REJECTED]);
  for (const { storageCalls } of answers) expect(storageCalls).toEqual(["DB.batch(1)", `BUCKET.completeMultipartUpload(uploads/${id})`]);
  expect(await partsOf(server, id)).toEqual(SENT);
  expect((await send([first, second, third])()).status).toBe(200);
  expect((await confirm(server, id, { as: editor })).json.size_bytes).toBe(file.length);
});

test("an upload that R2 gave up is UPLOAD_REJECTED", async () => {
  const { editor } = await organizationWithEditor(server);
  const { id, parts } = await sentNote(server, editor);
  const [{ multipart_id }] = await server.sql("SELECT multipart_id FROM asset_uploads WHERE id = ?", id);
  await (await server.env.BUCKET.resumeMultipartUpload(`uploads/${id}`, multipart_id)).abort();
  const gone = fieldError(["body", "parts"], "upload_ended", "Storage has given this upload up, and its parts with it. Start another one.");
  const answer = await expectError(server, () => complete(server, id, parts, { as: editor }), "UPLOAD_REJECTED", [gone]);
  expect(answer.storageCalls).toEqual(["DB.batch(1)", `BUCKET.completeMultipartUpload(uploads/${id})`, `BUCKET.head(uploads/${id})`]);
  expect((await cancelUpload(server, id, editor)).status).toBe(204);
});

test("the quotes of the ETag header are removed, and may be left out; lengths and numbers are as they should be", async () => {
  const { editor } = await organizationWithEditor(server);
  for (const change of [(etag: string) => etag, (etag: string) => etag.replaceAll('"', "")]) {
    const { id, parts } = await sentNote(server, editor);
    expect(parts[0]!.etag).toMatch(/^".+"$/);
    // 1.0 is the whole number 1.
    const body = `{"parts":[{"part_number":1.0,"etag":${JSON.stringify(change(parts[0]!.etag))}}]}`;
    expect((await complete(server, id, undefined, { as: editor, body })).status).toBe(200);
    expect((await confirm(server, id, { as: editor })).status).toBe(201);
  }
});

test("rule 10: a list that is not all parts, ascending, each once is 422", async () => {
  const { editor } = await organizationWithEditor(server);
  const id = await startParts(server, editor);
  const list = (...numbers: unknown[]) => numbers.map((part_number) => ({ part_number, etag: "x" }));
  const send = (parts: unknown) => () => complete(server, id, parts, { as: editor });
  const wrong = [list(1), list(1, 2), list(2, 3), list(1, 3), list(1, 3, 2), list(3, 2, 1), list(1, 1, 2, 3), list(1, 2, 2), list(1, 2, 3, 3), list(1, 2, 3, 4), list(4, 5, 6), list(1, 2, 0), list(1, 2, -1), list(1, 2, 1e10)];
  await expectErrors(server, wrong.map(send), "VALIDATION_ERROR", [incomplete(3)]);
  const [first, second, third] = list(1, 2, 3);
  const etags = ["", '""', "x".repeat(256), "é".repeat(256), `"${"x".repeat(256)}"`, 1, null, ["x"], "\ud800"].map((etag) => [first, second, { ...third, etag }]);
  const items = [null, 1, "x", [], [3, "x"], {}, { part_number: 3 }, { etag: "x" }, { ...third, x: 1 }, { ...third, part_number: "3" }].map((item) => [first, second, item]);
  const numbers = [1.5, null].map((number) => list(1, 2, number));
  await expectErrors(server, [[], {}, "x", 1, null, true, ...etags, ...items, ...numbers].map(send), "VALIDATION_ERROR", [LIST]);
  // The quotes do not count.
  await expectErrors(server, [send(list(1, 2, 3).map((part) => ({ ...part, etag: `"${"x".repeat(255)}"` })))], "UPLOAD_REJECTED", [
    fieldError(["body", "parts"], "parts_rejected", "No part of this upload was sent: have the parts signed, and send them."),
  ]);
});

test("rules 9 and 10: a body that is none is 400 or 422, and every error is named", async () => {
  const { editor } = await organizationWithEditor(server);
  const id = await startParts(server, editor);
  const send = (body: string, at = id) => () => complete(server, at, undefined, { as: editor, body });
  await expectErrors(server, ["{", "[]", "null"].map((body) => send(body)), "BAD_REQUEST");
  await expectError(server, send(""), "VALIDATION_ERROR", [missingBodyError]);
  await expectError(server, send("{}"), "VALIDATION_ERROR", [fieldError(["body", "parts"], "missing", "This field is required.")]);
  await expectError(server, send('{"x":1,"parts":[]}', "x"), "VALIDATION_ERROR", [unknownField("x"), LIST, pathError]);
  await expectError(server, () => complete(server, id, [], { as: editor, headers: { "content-type": "text/plain" } }), "BAD_REQUEST");
});

describe("10,000 parts", () => {
  const server = startServer({ ...SMALL_PARTS, vars: { ...SMALL_PARTS.vars, MAX_UPLOAD_BYTES: String(10_000 * PART) } });
  const list = (length: number) => Array.from({ length }, (_, n) => ({ part_number: n + 1, etag: `"${(n + 1).toString(16).padStart(32, "0")}"` }));

  test("a body of more than 64 KiB is read, and storage is asked about all of them", async () => {
    const { editor } = await organizationWithEditor(server);
    const id = await startParts(server, editor, { ...FILM, size_bytes: 10_000 * PART });
    const { json } = await signParts(server, id, [10_000], { as: editor });
    expect([json.parts[0].part_number, json.parts[0].size_bytes]).toEqual([10_000, PART]);
    const send = (parts: unknown[]) => () => complete(server, id, parts, { as: editor });
    expect(JSON.stringify(list(10_000)).length).toBeGreaterThan(500_000);
    await expectError(server, send(list(10_000)), "UPLOAD_REJECTED", [REJECTED]);
    await expectError(server, send(list(9_999)), "VALIDATION_ERROR", [incomplete(10_000)]);
    await expectError(server, send(list(10_001)), "VALIDATION_ERROR", [LIST]);
  });

  test("rule 9: a body of 4 MiB is read, one of a byte more is 400", async () => {
    const { editor } = await organizationWithEditor(server);
    const { id, parts } = await sentNote(server, editor);
    const body = JSON.stringify({ parts });
    const padded = (length: number) => body + " ".repeat(length - body.length);
    // The answer comes before the body is sent, so the connection may break: then again.
    const send = async (): Promise<Answer> => {
      for (let left = 99; ; left--) {
        try {
          return await complete(server, id, undefined, { as: editor, body: padded(4 * 1024 * 1024 + 1) });
        } catch (error) {
          if (left === 0) throw error;
        }
      }
    };
    const answer = await expectError(server, send, "BAD_REQUEST");
    expect(answer.json.message).toBe("The body is over 4 MiB; send a smaller one.");
    expect((await complete(server, id, undefined, { as: editor, body: padded(4 * 1024 * 1024) })).status).toBe(200);
  });
});
