// Uploads in parts: their start, what it answers and records, and how a file is divided.
import { describe, expect, test } from "vitest";
import { COMMON_HEADERS, expectError, expectErrors, fieldError, headersOf } from "./assertions.ts";
import { organizationWithEditor, S3 } from "./fixtures.ts";
import { FILM, PART, signedParts, SMALL_PARTS, startParts } from "./multipart.ts";
import { PHOTO, putFile, readUpload, requestUpload, uploadOf } from "./requests.ts";
import { startServer, WITH_FAULTS } from "./server.ts";

const DAY = 86_400_000;
const { multipart: _, ...DECLARED } = FILM;
const MULTIPART_ERROR = fieldError(["body", "multipart"], "bool_type", "Must be true or false.");
const REUSED = fieldError(["header", "Idempotency-Key"], "idempotency_key_reused", "This key was used with another body; send the first body again, or another key.");

describe("parts of 5 MiB", () => {
  const server = startServer({ config: WITH_FAULTS, ...SMALL_PARTS });
  const session = async (id: string) => (await server.sql("SELECT * FROM asset_uploads WHERE id = ?", id))[0];

  test("a start says how the file is divided, and records it in one transaction", async () => {
    const { org, editor } = await organizationWithEditor(server);
    const answer = await requestUpload(server, FILM, { as: editor });
    expect(answer.status).toBe(201);
    const { asset_id: id } = answer.json;
    const stored = await session(id);
    const expires_at = new Date(stored.expires_at).toISOString();
    expect(answer.json).toEqual({ asset_id: id, upload_url: null, upload: { method: "MULTIPART", part_size: PART, part_count: 3, expires_at } });
    expect(headersOf(answer)).toEqual({ ...COMMON_HEADERS, location: `/v1/asset-uploads/${id}` });
    expect(answer.storageCalls).toEqual(["DB.batch(2)"]);
    expect(stored).toEqual({
      ...DECLARED, id, org_id: org, created_by: editor.userId, created_at: stored.created_at, expires_at: stored.created_at + DAY,
      request_id: answer.headers.get("x-request-id"), api_key_id: editor.keyId, part_size: PART, multipart_id: null,
      rejection: null, rejected_at: null, expiry_told_at: null,
    });
    const state = { id, ...DECLARED, expires_at, status: "waiting", asset_id: null, part_size: PART, part_count: 3 };
    expect((await readUpload(server, id, editor)).json).toEqual(state);
  });

  test.each([
    ["without `multipart`", PHOTO],
    ["with `multipart` false", { ...PHOTO, multipart: false }],
  ])("%s a start is what it was", async (_, file) => {
    const { editor } = await organizationWithEditor(server);
    const answer = await requestUpload(server, file, { as: editor });
    expect(answer.status).toBe(201);
    const { asset_id: id, upload_url, upload } = answer.json;
    const headers = { "content-type": "image/png", "content-disposition": `inline; filename="photo.png"; filename*=UTF-8''photo.png`, "if-none-match": "*" };
    expect(answer.json).toEqual({ asset_id: id, upload_url, upload: { method: "PUT", url: upload_url, headers, expires_at: upload.expires_at } });
    expect(await session(id)).toMatchObject({ part_size: null, multipart_id: null });
    const { json } = await readUpload(server, id, editor);
    expect(json).toEqual({ id, ...PHOTO, status: "waiting", expires_at: json.expires_at, asset_id: null });
    expect(await putFile(uploadOf(answer))).toBe("200");
  });

  test.each([["null", null], ["a string", "true"], ["a number", 1], ["a list", []], ["an object", {}]])("rule 10: `multipart` that is %s is 422", async (_, multipart) => {
    const { editor } = await organizationWithEditor(server);
    await expectError(server, () => requestUpload(server, { ...PHOTO, multipart }, { as: editor }), "VALIDATION_ERROR", [MULTIPART_ERROR]);
  });

  test("a repeat with the same Idempotency-Key is the same upload; with and without `multipart` are different bodies", async () => {
    const { editor } = await organizationWithEditor(server);
    const send = (file: object, key: string) => requestUpload(server, file, { as: editor, headers: { "idempotency-key": key } });
    const first = await send(FILM, "parts");
    const replay = await send(FILM, "parts");
    expect([replay.status, replay.json, replay.headers.get("idempotent-replayed")]).toEqual([201, first.json, "true"]);
    const whole = await send(DECLARED, "whole");
    expect([first.headers.get("idempotent-replayed"), whole.status]).toEqual([null, 201]);
    await expectErrors(server, [() => send(DECLARED, "parts"), () => send({ ...FILM, multipart: false }, "parts"), () => send(FILM, "whole")], "VALIDATION_ERROR", [REUSED]);
    const again = await send({ ...FILM, multipart: false }, "whole");
    expect([again.status, again.json.asset_id]).toEqual([201, whole.json.asset_id]);
  });

  test("a file stays divided as it was at its start, whatever the setting is later", async () => {
    const { editor } = await organizationWithEditor(server);
    const headers = { "idempotency-key": "later" };
    const id = await startParts(server, editor, FILM, headers);
    await server.sql("UPDATE asset_uploads SET part_size = ? WHERE id = ?", 2 * PART, id);
    const replay = await requestUpload(server, FILM, { as: editor, headers });
    expect([replay.status, replay.json.upload.part_size, replay.json.upload.part_count]).toEqual([201, 2 * PART, 2]);
    expect((await readUpload(server, id, editor)).json).toMatchObject({ part_size: 2 * PART, part_count: 2 });
    const parts = await signedParts(server, id, editor, [1, 2]);
    expect(parts.map(({ size_bytes }) => size_bytes)).toEqual([2 * PART, 7]);
  });

  test.each([[1, 1], [PART - 1, 1], [PART, 1], [PART + 1, 2], [2 * PART, 2], [2 * PART + 1, 3]])("a file of %i bytes has %i parts", async (size_bytes, part_count) => {
    const { editor } = await organizationWithEditor(server);
    const { status, json } = await requestUpload(server, { ...FILM, size_bytes }, { as: editor });
    expect([status, json.upload.part_size, json.upload.part_count]).toEqual([201, PART, part_count]);
  });

  test("more than MAX_UPLOAD_BYTES is 422, in parts as well", async () => {
    const { editor } = await organizationWithEditor(server);
    const error = fieldError(["body", "size_bytes"], "size_out_of_range", "Must be from 1 to 52428800 bytes.", { limit: 52_428_800 });
    await expectError(server, () => requestUpload(server, { ...FILM, size_bytes: 52_428_801 }, { as: editor }), "VALIDATION_ERROR", [error]);
  });
});

describe("MAX_UPLOAD_BYTES as large as it may be, and CONFIRM_TTL_SECONDS of 30 days", () => {
  const LARGEST = 1023 * 5 * 1024 ** 3;
  const MiB = 1024 ** 2;
  const server = startServer({ vars: { ...S3.vars, MAX_UPLOAD_BYTES: String(LARGEST), CONFIRM_TTL_SECONDS: String(30 * 86_400) }, secrets: S3.secrets });
  const SINGLE = 5 * 1024 ** 3 - 5 * MiB;

  test.each([
    ["10,000 parts suffice", 10_000 * 16 * MiB, 16 * MiB, 10_000],
    ["they do not by a byte", 10_000 * 16 * MiB + 1, 32 * MiB, 5_001],
    ["twice as large ones suffice", 10_000 * 32 * MiB, 32 * MiB, 10_000],
    ["those do not by a byte", 10_000 * 32 * MiB + 1, 64 * MiB, 5_001],
    ["it is the largest file", LARGEST, 1024 * MiB, 5_115],
  ])("parts are 16 MiB, doubled until 10,000 suffice: where %s", async (_, size_bytes, part_size, part_count) => {
    const { editor } = await organizationWithEditor(server);
    const { status, json } = await requestUpload(server, { ...FILM, size_bytes }, { as: editor });
    expect([status, json.upload]).toEqual([201, { method: "MULTIPART", part_size, part_count, expires_at: json.upload.expires_at }]);
    const read = (await readUpload(server, json.asset_id, editor)).json;
    expect(read).toEqual({ id: json.asset_id, ...DECLARED, size_bytes, status: "waiting", expires_at: json.upload.expires_at, asset_id: null, part_size, part_count });
  });

  test("one byte more than the largest file is 422", async () => {
    const { editor } = await organizationWithEditor(server);
    const error = fieldError(["body", "size_bytes"], "size_out_of_range", `Must be from 1 to ${LARGEST} bytes.`, { limit: LARGEST });
    const sends = [FILM, PHOTO].map((file) => () => requestUpload(server, { ...file, size_bytes: LARGEST + 1 }, { as: editor }));
    await expectErrors(server, sends, "VALIDATION_ERROR", [error]);
  });

  test("what one PUT cannot send is 422 without `multipart`, and the error says how to send it", async () => {
    const { editor } = await organizationWithEditor(server);
    const msg = `Must be at most ${SINGLE} bytes, or sent in parts: with \`multipart: true\`.`;
    const error = fieldError(["body", "size_bytes"], "size_out_of_range", msg, { limit: SINGLE });
    const larger = { ...DECLARED, size_bytes: SINGLE + 1 };
    const sends = [larger, { ...larger, multipart: false }].map((file) => () => requestUpload(server, file, { as: editor }));
    await expectErrors(server, sends, "VALIDATION_ERROR", [error]);
    expect((await requestUpload(server, { ...larger, size_bytes: SINGLE }, { as: editor })).status).toBe(201);
    expect((await requestUpload(server, { ...larger, multipart: true }, { as: editor })).status).toBe(201);
    // Beside the errors of other fields.
    await expectError(server, () => requestUpload(server, { ...larger, multipart: 1 }, { as: editor }), "VALIDATION_ERROR", [MULTIPART_ERROR, error]);
  });

  test("an upload in parts ends after 6 days, any other after 30", async () => {
    const { editor } = await organizationWithEditor(server);
    const life = async (id: string) => (await server.sql("SELECT expires_at - created_at AS ms, expires_at FROM asset_uploads WHERE id = ?", id))[0];
    const { json } = await requestUpload(server, FILM, { as: editor });
    const inParts = await life(json.asset_id);
    expect([inParts.ms, json.upload.expires_at]).toEqual([6 * DAY, new Date(inParts.expires_at).toISOString()]);
    const whole = await requestUpload(server, PHOTO, { as: editor });
    expect((await life(whole.json.asset_id)).ms).toBe(30 * DAY);
    expect(await startParts(server, editor, PHOTO)).not.toBe(whole.json.asset_id);
  });
});
