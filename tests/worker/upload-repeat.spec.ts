// Starting an upload again with the same Idempotency-Key: it is the same upload while that is pending.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { COMMON_HEADERS, confirmedError, expectError, expectErrorAnswer, headersOf, snapshot } from "./assertions.ts";
import { createOrganization, createPerson, organizationWithEditor } from "./fixtures.ts";
import { cancelUpload, confirm, PHOTO, putFile, requestUpload, uploadOf } from "./requests.ts";
import { type Person, startServer, wait } from "./server.ts";

const server = startServer();
const REUSED = {
  loc: ["header", "Idempotency-Key"],
  msg: "This key was used with another body; send the first body again, or another key.",
  type: "idempotency_key_reused",
};
const keyed = (as: Person, key = "k", file: unknown = PHOTO, headers = {}) => requestUpload(server, file, { as, headers: { "idempotency-key": key, ...headers } });
const sessionsOf = (person: Person) => server.sql("SELECT * FROM asset_uploads WHERE created_by = ?", person.userId);

test("without a key every start is another upload", async () => {
  const { editor } = await organizationWithEditor(server);
  const answers = await Promise.all(Array.from({ length: 5 }, () => requestUpload(server, PHOTO, { as: editor })));
  expect(new Set(answers.map(({ json }) => json.asset_id)).size).toBe(5);
  for (const answer of answers) expect([answer.status, answer.headers.has("idempotent-replayed")]).toEqual([201, false]);
  expect(await sessionsOf(editor)).toHaveLength(5);
});

test("a repeat with the same key and body gives the same upload and a fresh URL", async () => {
  const { editor } = await organizationWithEditor(server);
  const key = `~"!${randomUUID()}`.padEnd(255, "x");
  const first = await keyed(editor, key);
  expect([first.status, first.headers.has("idempotent-replayed")]).toEqual([201, false]);
  const before = await snapshot(server);
  await wait(1100);

  // The same values, written differently.
  const body = '{ "size_bytes": 10, "mime_type": "Image/PNG; a=b", "filename": "\\u0070hoto.png" }';
  const repeat = await keyed(editor, key, body);
  expect(repeat.status).toBe(201);
  expect(headersOf(repeat)).toEqual({ ...COMMON_HEADERS, location: `/v1/asset-uploads/${first.json.asset_id}`, "idempotent-replayed": "true" });
  const [old, fresh] = [uploadOf(first), uploadOf(repeat)];
  expect({ ...fresh, url: "", expires_at: "" }).toEqual({ ...old, url: "", expires_at: "" });
  expect(fresh.url).not.toBe(old.url);
  expect(Date.parse(fresh.expires_at)).toBeGreaterThan(Date.parse(old.expires_at));
  expect(await snapshot(server)).toEqual(before);

  // Both URLs are for one object, which can be written once.
  expect(await putFile(fresh)).toBe("200");
  expect(await putFile(old)).toBe("412 PreconditionFailed");
  // A repeat succeeds until the confirmation.
  expect((await keyed(editor, key)).json.asset_id).toBe(fresh.id);
  expect((await confirm(server, fresh.id, { as: editor })).status).toBe(201);
});

test("rule 10: the same key with another body is 422", async () => {
  const { editor } = await organizationWithEditor(server);
  const first = await keyed(editor);
  for (const other of [{ filename: "Photo.png" }, { mime_type: "image/jpeg" }, { size_bytes: 11 }]) {
    await expectError(server, () => keyed(editor, "k", { ...PHOTO, ...other }), "VALIDATION_ERROR", [REUSED]);
  }
  expect((await keyed(editor)).json.asset_id).toBe(first.json.asset_id);
});

test("50 concurrent starts with one key all get the same upload, and all but one are replays", async () => {
  const { editor } = await organizationWithEditor(server);
  const answers = await Promise.all(Array.from({ length: 50 }, () => keyed(editor)));
  expect(new Set(answers.map(({ status, json }) => `${status} ${json.asset_id}`)).size).toBe(1);
  expect(answers[0]!.status).toBe(201);
  expect(answers.filter((answer) => !answer.headers.has("idempotent-replayed"))).toHaveLength(1);
  expect(await sessionsOf(editor)).toHaveLength(1);
});

test("of 50 concurrent starts with one key and different bodies one is 201, the others are 422", async () => {
  const { editor } = await organizationWithEditor(server);
  const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => keyed(editor, "k", { ...PHOTO, size_bytes: i + 1 })));
  const winners = answers.filter(({ status }) => status === 201);
  expect(winners).toHaveLength(1);
  for (const answer of answers) if (answer !== winners[0]) expectErrorAnswer(answer, "VALIDATION_ERROR", [REUSED]);
  expect(await sessionsOf(editor)).toMatchObject([{ id: winners[0]!.json.asset_id }]);
});

test("an Idempotency-Key belongs to one API key and one X-Organization-Id", async () => {
  const { org, editor } = await organizationWithEditor(server);
  const [other, elsewhere] = [await createPerson(server, { [org]: "editor" }), await createOrganization(server)];
  const both = await createPerson(server, { [org]: "editor", [elsewhere]: "editor" });
  const ids = [
    await keyed(editor),
    await keyed(editor, "K"),
    await keyed(other),
    await keyed(both, "k", PHOTO, { "x-organization-id": org }),
    await keyed(both, "k", PHOTO, { "x-organization-id": elsewhere }),
  ].map(({ json }) => json.asset_id);
  expect(new Set(ids).size).toBe(5);
  const again = await keyed(both, "k", PHOTO, { "x-organization-id": elsewhere.toUpperCase() });
  expect([again.json.asset_id, again.headers.get("idempotent-replayed")]).toEqual([ids[4], "true"]);
});

test("rule 12: a repeat after the confirmation is 409 and names the asset", async () => {
  const { editor } = await organizationWithEditor(server);
  const upload = uploadOf(await keyed(editor));
  await putFile(upload);
  await confirm(server, upload.id, { as: editor });
  await expectError(server, () => keyed(editor), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(upload.id)]);
  await server.sql("UPDATE asset_uploads SET expires_at = 1 WHERE id = ?", upload.id);
  await expectError(server, () => keyed(editor), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(upload.id)]);
  await expectError(server, () => keyed(editor, "k", { ...PHOTO, size_bytes: 11 }), "VALIDATION_ERROR", [REUSED]);
});

test("rule 13: a repeat after the deadline is 409", async () => {
  const { editor } = await organizationWithEditor(server);
  const upload = uploadOf(await keyed(editor));
  await server.sql("UPDATE asset_uploads SET expires_at = ? WHERE id = ?", Date.now() - 1, upload.id);
  await expectError(server, () => keyed(editor), "ASSET_UPLOAD_EXPIRED");
});

test("the URL of a repeat expires no later than its session", async () => {
  const { editor } = await organizationWithEditor(server);
  const { id } = uploadOf(await keyed(editor));
  const deadline = Date.now() + 100_500;
  await server.sql("UPDATE asset_uploads SET expires_at = ? WHERE id = ?", deadline, id);
  const repeat = uploadOf(await keyed(editor));
  expect(Date.parse(repeat.expires_at)).toBeLessThanOrEqual(deadline);
  expect(Date.parse(repeat.expires_at)).toBeGreaterThan(deadline - 30_000);
  expect(Number(new URL(repeat.url).searchParams.get("X-Amz-Expires"))).toBeLessThanOrEqual(100);
});

test("after a cancellation the key is 422, so that the upload cannot start again while it is being removed", async () => {
  const { editor } = await organizationWithEditor(server);
  const first = uploadOf(await keyed(editor));
  await putFile(first);
  expect((await cancelUpload(server, first.id, editor)).status).toBe(204);
  const used = {
    loc: ["header", "Idempotency-Key"],
    msg: "This key was used for an upload that is no longer there; use another key.",
    type: "idempotency_key_reused",
  };
  for (const body of [PHOTO, { ...PHOTO, filename: "other.png" }]) {
    await expectError(server, () => keyed(editor, "k", body), "VALIDATION_ERROR", [used]);
  }
  const upload = uploadOf(await keyed(editor, "another"));
  expect(await putFile(upload)).toBe("200");
  expect((await confirm(server, upload.id, { as: editor })).status).toBe(201);
});

test("the start and the confirmation may have the same key", async () => {
  const { editor } = await organizationWithEditor(server);
  const upload = uploadOf(await keyed(editor, "one"));
  await putFile(upload);
  const headers = { "idempotency-key": "one" };
  const first = await confirm(server, upload.id, { as: editor, headers });
  const replay = await confirm(server, upload.id, { as: editor, headers });
  expect([first.status, replay.status, replay.headers.get("idempotent-replayed")]).toEqual([201, 201, "true"]);
});
