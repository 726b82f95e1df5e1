// Starting an upload again: with an Idempotency-Key it is the same upload, as long as it can still be finished.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { confirmedFault, COMMON, expectRefusal, headersOf } from "./answers.ts";
import { type Person, world } from "./harness.ts";
import { ask, cancel, office, PHOTO, put, statusOf, uploadOf, wait } from "./uploading.ts";

const w = world();
const REUSED = {
  loc: ["header", "Idempotency-Key"],
  msg: "This key was used with another body; send the first body again, or another key.",
  type: "idempotency_key_reused",
};
const keyed = (as: Person, key = "k", file: unknown = PHOTO, headers = {}) => ask(w, file, { as, headers: { "idempotency-key": key, ...headers } });
const sessionsOf = (person: Person) => w.sql("SELECT * FROM asset_uploads WHERE created_by = ?", person.userId);

test("without a key every start is another upload", async () => {
  const { editor } = await office(w);
  const answers = await Promise.all(Array.from({ length: 5 }, () => ask(w, PHOTO, { as: editor })));
  expect(new Set(answers.map(({ json }) => json.asset_id)).size).toBe(5);
  for (const answer of answers) expect([answer.status, answer.headers.has("idempotent-replayed")]).toEqual([201, false]);
  expect(await sessionsOf(editor)).toHaveLength(5);
});

test("a repeat with the same key and body gives the same upload and a fresh URL", async () => {
  const { editor } = await office(w);
  const key = `~"!${randomUUID()}`.padEnd(255, "x");
  const first = await keyed(editor, key);
  expect([first.status, first.headers.has("idempotent-replayed")]).toEqual([201, false]);
  const before = await w.snapshot();
  await wait(1100);

  // The same values, otherwise written.
  const body = '{ "size_bytes": 10, "mime_type": "Image/PNG; a=b", "filename": "\\u0070hoto.png" }';
  const repeat = await keyed(editor, key, body);
  expect(repeat.status).toBe(201);
  expect(headersOf(repeat)).toEqual({ ...COMMON, location: `/v1/asset-uploads/${first.json.asset_id}`, "idempotent-replayed": "true" });
  const [old, fresh] = [uploadOf(first), uploadOf(repeat)];
  expect({ ...fresh, url: "", expires_at: "" }).toEqual({ ...old, url: "", expires_at: "" });
  expect(fresh.url).not.toBe(old.url);
  expect(Date.parse(fresh.expires_at)).toBeGreaterThan(Date.parse(old.expires_at));
  expect(await w.snapshot()).toEqual(before);

  // Both URLs are of one object, which is written once.
  expect(await put(fresh)).toBe("200");
  expect(await put(old)).toBe("412 PreconditionFailed");
  // A repeat is welcome until the confirmation.
  expect((await keyed(editor, key)).json.asset_id).toBe(fresh.id);
  expect((await w.confirm(fresh.id, { as: editor })).status).toBe(201);
});

test("the same key with another body is a fault", async () => {
  const { editor } = await office(w);
  const first = await keyed(editor);
  for (const other of [{ filename: "Photo.png" }, { mime_type: "image/jpeg" }, { size_bytes: 11 }]) {
    await w.refuses(() => keyed(editor, "k", { ...PHOTO, ...other }), "VALIDATION_ERROR", [REUSED]);
  }
  expect((await keyed(editor)).json.asset_id).toBe(first.json.asset_id);
});

test("of 50 racing starts with one key all get the same upload, and one is no replay", async () => {
  const { editor } = await office(w);
  const answers = await Promise.all(Array.from({ length: 50 }, () => keyed(editor)));
  expect(new Set(answers.map(({ status, json }) => `${status} ${json.asset_id}`)).size).toBe(1);
  expect(answers[0]!.status).toBe(201);
  expect(answers.filter((answer) => !answer.headers.has("idempotent-replayed"))).toHaveLength(1);
  expect(await sessionsOf(editor)).toHaveLength(1);
});

test("of 50 racing starts with one key and different bodies one wins", async () => {
  const { editor } = await office(w);
  const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => keyed(editor, "k", { ...PHOTO, size_bytes: i + 1 })));
  const winners = answers.filter(({ status }) => status === 201);
  expect(winners).toHaveLength(1);
  for (const answer of answers) if (answer !== winners[0]) expectRefusal(answer, "VALIDATION_ERROR", [REUSED]);
  expect(await sessionsOf(editor)).toMatchObject([{ id: winners[0]!.json.asset_id }]);
});

test("keys are of one API key and one organization named", async () => {
  const { org, editor } = await office(w);
  const [other, elsewhere] = [await w.person({ [org]: "editor" }), await w.organization()];
  const both = await w.person({ [org]: "editor", [elsewhere]: "editor" });
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

test("a repeat after the confirmation is a conflict that names the asset", async () => {
  const { editor } = await office(w);
  const upload = uploadOf(await keyed(editor));
  await put(upload);
  await w.confirm(upload.id, { as: editor });
  await w.refuses(() => keyed(editor), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedFault(upload.id)]);
  await w.sql("UPDATE asset_uploads SET expires_at = 1 WHERE id = ?", upload.id);
  await w.refuses(() => keyed(editor), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedFault(upload.id)]);
  await w.refuses(() => keyed(editor, "k", { ...PHOTO, size_bytes: 11 }), "VALIDATION_ERROR", [REUSED]);
});

test("a repeat after the deadline is a conflict", async () => {
  const { editor } = await office(w);
  const upload = uploadOf(await keyed(editor));
  await w.sql("UPDATE asset_uploads SET expires_at = ? WHERE id = ?", Date.now() - 1, upload.id);
  await w.refuses(() => keyed(editor), "ASSET_UPLOAD_EXPIRED");
});

test("no repeated URL outlives its session", async () => {
  const { editor } = await office(w);
  const { id } = uploadOf(await keyed(editor));
  const deadline = Date.now() + 100_500;
  await w.sql("UPDATE asset_uploads SET expires_at = ? WHERE id = ?", deadline, id);
  const repeat = uploadOf(await keyed(editor));
  expect(Date.parse(repeat.expires_at)).toBeLessThanOrEqual(deadline);
  expect(Date.parse(repeat.expires_at)).toBeGreaterThan(deadline - 30_000);
  expect(Number(new URL(repeat.url).searchParams.get("X-Amz-Expires"))).toBeLessThanOrEqual(100);
});

test("after a cancellation the key is used up, so that nothing can revive what is being removed", async () => {
  const { editor } = await office(w);
  const first = uploadOf(await keyed(editor));
  await put(first);
  expect((await cancel(w, first.id, editor)).status).toBe(204);
  const used = {
    loc: ["header", "Idempotency-Key"],
    msg: "This key was used for an upload that is no longer there; use another key.",
    type: "idempotency_key_reused",
  };
  for (const body of [PHOTO, { ...PHOTO, filename: "other.png" }]) {
    await w.refuses(() => keyed(editor, "k", body), "VALIDATION_ERROR", [used]);
  }
  const upload = uploadOf(await keyed(editor, "another"));
  expect(await put(upload)).toBe("200");
  expect((await w.confirm(upload.id, { as: editor })).status).toBe(201);
});

test("the key of a start and that of its confirmation do not meet", async () => {
  const { editor } = await office(w);
  const upload = uploadOf(await keyed(editor, "one"));
  await put(upload);
  const headers = { "idempotency-key": "one" };
  const first = await w.confirm(upload.id, { as: editor, headers });
  const replay = await w.confirm(upload.id, { as: editor, headers });
  expect([first.status, replay.status, replay.headers.get("idempotent-replayed")]).toEqual([201, 201, "true"]);
});
