// The parts of an upload: signed URLs that storage accepts and rejects, the calls that signing makes, and faulty numbers.
import { randomBytes, randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { COMMON_HEADERS, confirmedError, expectError, expectErrors, fieldError, headersOf, missingBodyError, pathError, unknownField } from "./assertions.ts";
import { organizationWithEditor, S3 } from "./fixtures.ts";
import { complete, FILM, NOTE, PART, putPart, sendAll, sendPart, sentNote, signedParts, signParts, SMALL_PARTS, startParts, uploadIdOf } from "./multipart.ts";
import { confirm, cancelUpload, partsOf, putFile, startUpload, statusOf } from "./requests.ts";
import { startServer, wait, WITH_FAULTS } from "./server.ts";

const SIGNATURE_MISMATCH = "403 SignatureDoesNotMatch";

describe("signed parts", () => {
  const server = startServer({ config: WITH_FAULTS, ...SMALL_PARTS });
  const session = async (id: string) => (await server.sql("SELECT * FROM asset_uploads WHERE id = ?", id))[0];

  test("the first time R2's multipart upload begins, and its id stays in the session; then it is read there", async () => {
    const { editor } = await organizationWithEditor(server);
    const id = await startParts(server, editor);
    const before = await session(id);
    const first = await signParts(server, id, [1, 2, 3], { as: editor });
    expect([first.status, headersOf(first)]).toEqual([200, COMMON_HEADERS]);
    expect(first.storageCalls).toEqual(["DB.batch(1)", `BUCKET.createMultipartUpload(uploads/${id})`, "DB.batch(2)"]);
    expect(first.multipartIds).toHaveLength(1);
    const [multipart_id] = first.multipartIds;
    expect(await session(id)).toEqual({ ...before, multipart_id });

    const later = await signParts(server, id, [3, 1], { as: editor });
    expect([later.status, later.storageCalls, later.json.parts.map((part: any) => part.part_number)]).toEqual([200, ["DB.batch(1)"], [3, 1]]);
    for (const { json } of [first, later]) for (const part of json.parts) expect(uploadIdOf(part)).toBe(multipart_id);
    // No object until the completion.
    expect(await partsOf(server, id)).toEqual({ session: true, asset: false, object: false });
  });

  test("each part has its URL, its exact length and the end of its signature", async () => {
    const { editor } = await organizationWithEditor(server);
    const id = await startParts(server, editor);
    const parts = await signedParts(server, id, editor, [3, 1, 2]);
    const sizes = { 1: PART, 2: PART, 3: 7 };
    for (const [n, part] of parts.entries()) {
      const number = [3, 1, 2][n]! as 1 | 2 | 3;
      const url = new URL(part.url);
      expect(part).toEqual({ part_number: number, method: "PUT", url: part.url, headers: {}, size_bytes: sizes[number], expires_at: part.expires_at });
      expect([url.origin, url.pathname]).toEqual([server.url.origin, `/cdn-cgi/local/r2/s3/asset-uploads/uploads/${id}`]);
      expect([...url.searchParams.keys()].sort()).toEqual([
        "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature", "X-Amz-SignedHeaders", "partNumber", "uploadId",
      ]);
      expect([url.searchParams.get("X-Amz-SignedHeaders"), url.searchParams.get("partNumber")]).toEqual(["content-length;host", String(number)]);
      const signedAt = Date.parse(url.searchParams.get("X-Amz-Date")!.replace(/(....)(..)(..)T(..)(..)(..)Z/, "$1-$2-$3T$4:$5:$6Z"));
      expect(signedAt + 900_000).toBe(Date.parse(part.expires_at));
    }
  });

  test("storage takes a part of the exact length only, as often as it is sent, in any order", async () => {
    const { editor } = await organizationWithEditor(server);
    const [id, file, other] = [await startParts(server, editor), randomBytes(FILM.size_bytes), randomBytes(PART)];
    const signed = await signedParts(server, id, editor, [1, 2, 3]);
    for (const body of ["", "123456", "12345678", "x".repeat(100)]) expect((await putPart(signed[2]!, body)).status).toBe(SIGNATURE_MISMATCH);
    // None of these is large: storage answers before it has read the body, and then closes the connection.
    expect((await putPart(signed[0]!, "1234567")).status).toBe(SIGNATURE_MISMATCH);
    // The URL of one part sends no other, and no object.
    for (const [from, to] of [["partNumber=3", "partNumber=2"], [/&partNumber=3&uploadId=[^&]*/, ""], [/&uploadId=[^&]*/, "&uploadId=x"]] as const) {
      const url = signed[2]!.url.replace(from, to);
      expect(url).not.toBe(signed[2]!.url);
      expect((await putPart({ url, headers: {} }, "1234567")).status).toBe(SIGNATURE_MISMATCH);
    }
    expect(await partsOf(server, id)).toEqual({ session: true, asset: false, object: false });

    const last = await sendPart(signed[2]!, file);
    const stale = await putPart(signed[0]!, other);
    expect(stale.status).toBe("200");
    // From here on signed anew, as by a client that resumes.
    const again = await signedParts(server, id, editor, [2, 1]);
    const [second, first] = [await sendPart(again[0]!, file), await sendPart(again[1]!, file)];
    expect(first.etag).not.toBe(stale.etag);
    // The ETag of what was replaced is not known any more.
    const replaced = [{ ...first, etag: stale.etag }, second, last];
    expect((await complete(server, id, replaced, { as: editor })).json.code).toBe("UPLOAD_REJECTED");
    expect((await complete(server, id, [first, second, last], { as: editor })).status).toBe(200);
    const { json } = await confirm(server, id, { as: editor });
    expect(Buffer.compare(Buffer.from(await (await fetch(json.url)).arrayBuffer()), file)).toBe(0);
  });

  test("no signature outlives its session", async () => {
    const { editor } = await organizationWithEditor(server);
    const id = await startParts(server, editor, NOTE);
    const deadline = Date.now() + 60_000;
    await server.sql("UPDATE asset_uploads SET expires_at = ? WHERE id = ?", deadline, id);
    const [part] = await signedParts(server, id, editor, [1]);
    const seconds = Number(new URL(part!.url).searchParams.get("X-Amz-Expires"));
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(60);
    expect(Date.parse(part!.expires_at)).toBeLessThanOrEqual(deadline);
  });

  const LIST = fieldError(["body", "part_numbers"], "list_type", "Must be a list of 1 to 100 entries.");
  const NUMBERS = fieldError(["body", "part_numbers"], "int_type", "Must be a list of part numbers, the first part being 1.");
  const RANGE = fieldError(["body", "part_numbers"], "out_of_range", "This upload has the parts 1 to 3; name no others.");
  const REPEATED = fieldError(["body", "part_numbers"], "repeated", "Name each part once.");
  const range = (length: number) => Array.from({ length }, (_, n) => n + 1);

  test("rule 10: numbers that are none of the upload's parts are 422", async () => {
    const { editor } = await organizationWithEditor(server);
    const id = await startParts(server, editor);
    const send = (numbers: unknown) => () => signParts(server, id, numbers, { as: editor });
    await expectErrors(server, [[], range(101), {}, "1", 1, null, true].map(send), "VALIDATION_ERROR", [LIST]);
    await expectErrors(server, [[1.5], ["1"], [null], [[1]], [{}], [true]].map(send), "VALIDATION_ERROR", [NUMBERS]);
    const ranges = [[0], [-1], [1, 2, 0], [4], [10_000], [10_001], [1, 4], [1e10], [1e20], range(100)];
    await expectErrors(server, ranges.map(send), "VALIDATION_ERROR", [RANGE]);
    await expectErrors(server, [[1, 1], [3, 2, 1, 3]].map(send), "VALIDATION_ERROR", [REPEATED]);
    // 2.0 is the whole number 2.
    const whole = await signParts(server, id, undefined, { as: editor, body: '{"part_numbers":[2.0]}' });
    expect([whole.status, whole.json.parts[0].part_number]).toEqual([200, 2]);
  });

  test("rules 9 and 10: a body that is none is 400 or 422, and every error is named", async () => {
    const { editor } = await organizationWithEditor(server);
    const id = await startParts(server, editor);
    const send = (body: string, at = id) => () => signParts(server, at, undefined, { as: editor, body });
    await expectErrors(server, ["{", "[]", "null", "[1]", `{"part_numbers":[1],"x":"${"x".repeat(65_536)}"}`].map((body) => send(body)), "BAD_REQUEST");
    await expectError(server, send(""), "VALIDATION_ERROR", [missingBodyError]);
    await expectError(server, send("{}"), "VALIDATION_ERROR", [fieldError(["body", "part_numbers"], "missing", "This field is required.")]);
    await expectError(server, send('{"x":1,"part_numbers":[]}', "x"), "VALIDATION_ERROR", [unknownField("x"), LIST, pathError]);
  });

  test("rules 10 to 13: an upload without parts is 422; one that is confirmed, expired, cancelled or unknown an error of its own", async () => {
    const { editor } = await organizationWithEditor(server);
    const ordinary = await startUpload(server, editor);
    const msg = "This upload is sent with one PUT; start one with `multipart: true` to send parts.";
    const notMultipart = [fieldError(["path", "asset_upload_id"], "not_multipart", msg)];
    const send = (id: string) => () => signParts(server, id, [1], { as: editor });
    const sendBoth = (id: string) => [send(id), () => complete(server, id, [{ part_number: 1, etag: "x" }], { as: editor })];
    await expectErrors(server, sendBoth(ordinary.id), "VALIDATION_ERROR", notMultipart);
    await putFile(ordinary);
    await confirm(server, ordinary.id, { as: editor });
    await expectErrors(server, sendBoth(ordinary.id), "VALIDATION_ERROR", notMultipart);

    const confirmed = await sentNote(server, editor);
    expect((await complete(server, confirmed.id, confirmed.parts, { as: editor })).status).toBe(200);
    expect((await confirm(server, confirmed.id, { as: editor })).status).toBe(201);
    await expectError(server, send(confirmed.id), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(confirmed.id)]);

    const expired = [await startParts(server, editor, NOTE), (await sentNote(server, editor)).id];
    for (const id of expired) {
      await server.sql("UPDATE asset_uploads SET expires_at = ? WHERE id = ?", Date.now() - 1, id);
      await expectErrors(server, sendBoth(id), "ASSET_UPLOAD_EXPIRED");
      expect(await statusOf(server, id, editor)).toBe("expired");
    }
    expect((await cancelUpload(server, expired[0]!, editor)).status).toBe(204);
    await expectErrors(server, [expired[0]!, randomUUID()].flatMap(sendBoth), "ASSET_UPLOAD_NOT_FOUND");
  });

  test("100 parts are signed at once", async () => {
    const { editor } = await organizationWithEditor(server);
    // No such file is sent: the declared size is what the parts are reckoned from.
    await server.sql("UPDATE asset_uploads SET size_bytes = ? WHERE id = ?", 100 * PART - 3, await startParts(server, editor, { ...FILM, filename: "large" }));
    const [{ id }] = await server.sql("SELECT id FROM asset_uploads WHERE created_by = ?", editor.userId);
    const parts = await signedParts(server, id, editor, range(100).reverse());
    expect(parts.map(({ part_number, size_bytes }) => [part_number, size_bytes])).toEqual(range(100).reverse().map((n) => [n, n === 100 ? PART - 3 : PART]));
    expect(new Set(parts.map(({ url }) => url)).size).toBe(100);
  });
});

describe("signatures that last three seconds", () => {
  const server = startServer({ vars: { ...S3.vars, UPLOAD_URL_TTL_SECONDS: "3" }, secrets: S3.secrets });

  test("expire: the part is 403, and signed anew it is taken", async () => {
    const { editor } = await organizationWithEditor(server);
    const id = await startParts(server, editor, NOTE);
    const [part] = await signedParts(server, id, editor, [1]);
    await wait(4100);
    expect(Date.parse(part!.expires_at)).toBeLessThan(Date.now());
    expect((await putPart(part!, "0123456789")).status).toBe("403 ExpiredRequest");
    const parts = await sendAll(server, id, editor, "0123456789");
    expect((await complete(server, id, parts, { as: editor })).status).toBe(200);
  });
});

describe("without the secrets that sign", () => {
  const server = startServer({ vars: S3.vars, secrets: { S3_ACCESS_KEY_ID: "", S3_SECRET_ACCESS_KEY: "" } });

  test("rule 15: a start and its parts are 503, and nothing begins in R2", async () => {
    const { editor, org } = await organizationWithEditor(server);
    const id = randomUUID();
    await server.sql(
      `INSERT INTO asset_uploads (id, org_id, filename, mime_type, size_bytes, created_by, created_at, expires_at, part_size)
       VALUES (?, ?, 'film.mp4', 'video/mp4', 10, ?, 0, ?, ?)`,
      id, org, editor.userId, Date.now() + 60_000, PART,
    );
    await expectError(server, () => server.request("POST", "/v1/asset-uploads", { as: editor, body: JSON.stringify(FILM) }), "STORAGE_UNAVAILABLE");
    await expectError(server, () => signParts(server, id, [1], { as: editor }), "STORAGE_UNAVAILABLE");
  });
});
