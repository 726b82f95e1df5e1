// Confirming an upload: what a client gets, and what stands in D1 and R2 afterwards.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { confirmedFault } from "./answers.ts";
import { world } from "./harness.ts";
import { hashOf, makeToken } from "./key.ts";

const w = world();

test("an uploaded file becomes an asset with what R2 says of it", async () => {
  const org = await w.organization();
  const editor = await w.person({ [org]: "editor" }, { first_name: "Édith" });
  const folder = await w.folder(org, editor);
  const upload = await w.upload(org, editor, {
    filename: "holiday.png",
    size: 9999,
    object: { body: "12345", contentType: "Image/PNG; charset=binary" },
  });
  const before = Date.now();
  const answer = await w.confirm(upload, { as: editor, body: JSON.stringify({ folder_id: folder.toUpperCase() }) });

  expect(answer.status).toBe(201);
  const { created_at, updated_at, ...rest } = answer.json;
  expect(rest).toEqual({
    id: upload,
    org_id: org,
    folder_id: folder,
    name: "holiday.png",
    r2_key: `uploads/${upload}`,
    url: expect.stringContaining(`${w.url.origin}/cdn-cgi/local/r2/s3/asset-uploads/uploads/${upload}?X-Amz-Algorithm=`),
    thumbnail_url: null,
    mime_type: "image/png",
    size_bytes: 5,
    asset_type: "image",
    source_type: "upload",
    source_id: upload,
    created_by: editor.userId,
    deleted_at: null,
    deleted_by: null,
    created_by_user: { id: editor.userId, email: editor.email, first_name: "Édith", last_name: null, avatar_url: null },
  });
  expect(created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  expect(updated_at).toBe(created_at);
  expect(Date.parse(created_at)).toBeGreaterThanOrEqual(before - 1000);
  expect(Date.parse(created_at)).toBeLessThanOrEqual(Date.now() + 1000);
  expect(answer.headers.get("location")).toBe(`/v1/assets/${upload}`);
  expect(answer.headers.get("idempotent-replayed")).toBeNull();
  expect(answer.headers.get("server-timing")).toMatch(/^r2;dur=\d+, d1;dur=\d+$/);

  const { etag } = await w.env.BUCKET.head(`uploads/${upload}`);
  expect(await w.assets(upload)).toEqual([
    {
      id: upload,
      org_id: org,
      folder_id: folder,
      name: "holiday.png",
      r2_key: `uploads/${upload}`,
      mime_type: "image/png",
      size_bytes: 5,
      asset_type: "image",
      source_type: "upload",
      source_id: upload,
      etag,
      confirmation_key: "",
      confirmed_folder_id: folder,
      request_id: answer.headers.get("x-request-id"),
      created_by: editor.userId,
      created_at: Date.parse(created_at),
      updated_at: Date.parse(created_at),
      deleted_at: null,
      deleted_by: null,
    },
  ]);
});

test("a repeat without Idempotency-Key is 409 and names the asset", async () => {
  const org = await w.organization();
  const editor = await w.person({ [org]: "editor" });
  const upload = await w.upload(org, editor);
  expect((await w.confirm(upload, { as: editor })).status).toBe(201);
  const before = await w.snapshot();
  const repeat = await w.confirm(upload, { as: editor });
  expect(repeat.status).toBe(409);
  expect(repeat.json).toMatchObject({
    code: "ASSET_UPLOAD_ALREADY_CONFIRMED",
    errors: [{ loc: ["path", "asset_upload_id"], type: "already_confirmed", asset_id: upload }],
  });
  expect(await w.snapshot()).toEqual(before);
});

test("a repeat with the same Idempotency-Key gets the first answer again", async () => {
  const org = await w.organization();
  const editor = await w.person({ [org]: "editor" });
  const upload = await w.upload(org, editor);
  const key = `~"!${randomUUID()}`;
  const send = (body: string, other = key) =>
    w.confirm(upload, { as: editor, body, headers: { "idempotency-key": other } });
  const first = await send("{}");
  expect(first.status).toBe(201);
  expect(first.headers.get("idempotent-replayed")).toBeNull();
  const before = await w.snapshot();

  const replay = await send('{"folder_id": null}');
  expect(replay.status).toBe(201);
  expect({ ...replay.json, url: null }).toEqual({ ...first.json, url: null });
  expect(replay.headers.get("idempotent-replayed")).toBe("true");
  expect(replay.headers.get("location")).toBe(first.headers.get("location"));

  const otherBody = await send(JSON.stringify({ folder_id: randomUUID() }));
  expect(otherBody.status).toBe(422);
  expect(otherBody.json).toMatchObject({
    code: "VALIDATION_ERROR",
    errors: [{ loc: ["header", "Idempotency-Key"], type: "idempotency_key_reused" }],
  });
  expect((await send("{}", "another")).json.code).toBe("ASSET_UPLOAD_ALREADY_CONFIRMED");
  expect((await w.confirm(upload, { as: editor })).json.code).toBe("ASSET_UPLOAD_ALREADY_CONFIRMED");
  expect(await w.snapshot()).toEqual(before);
});

test("a replay is the same user's, with any key of theirs; a colleague's is a conflict", async () => {
  const org = await w.organization();
  const [editor, colleague] = [await w.person({ [org]: "editor" }), await w.person({ [org]: "owner" })];
  const upload = await w.upload(org, editor);
  const headers = { "idempotency-key": "same" };
  expect((await w.confirm(upload, { as: editor, headers })).status).toBe(201);
  await w.refuses(() => w.confirm(upload, { as: colleague, headers }), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedFault(upload)]);
  const token = makeToken();
  await w.sql("INSERT INTO api_keys (id, token_hash, user_id, name, created_at) VALUES (?, ?, ?, 'second', 0)", randomUUID(), hashOf(token), editor.userId);
  const replay = await w.confirm(upload, { as: token, headers });
  expect([replay.status, replay.headers.get("idempotent-replayed")]).toEqual([201, "true"]);
});

test("a replay repeats the first body, and answers the asset as it is now", async () => {
  const org = await w.organization();
  const editor = await w.person({ [org]: "editor" });
  const [first, second] = [await w.folder(org, editor), await w.folder(org, editor)];
  const upload = await w.upload(org, editor);
  const send = (folder_id: string | null) =>
    w.confirm(upload, { as: editor, body: JSON.stringify({ folder_id }), headers: { "idempotency-key": "k" } });
  expect((await send(first)).status).toBe(201);
  await w.sql("UPDATE assets SET folder_id = ?, name = 'moved.png' WHERE id = ?", second, upload);
  const replay = await send(first);
  expect([replay.status, replay.json.folder_id, replay.json.name, replay.headers.get("idempotent-replayed")]).toEqual([201, second, "moved.png", "true"]);
  const reused = { loc: ["header", "Idempotency-Key"], msg: "This key was used with another body; send the first body again, or another key.", type: "idempotency_key_reused" };
  await w.refusesAll([() => send(second), () => send(null)], "VALIDATION_ERROR", [reused]);

  await w.sql("UPDATE assets SET deleted_at = 1 WHERE id = ?", upload);
  await w.refuses(() => send(first), "ASSET_NOT_FOUND");
  await w.refuses(() => w.confirm(upload, { as: editor }), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedFault(upload)]);
});

test.each([
  ["image/jpeg", "image"],
  ["video/mp4", "video"],
  ["audio/ogg", "audio"],
  ["application/pdf", "document"],
  ["text/csv; header=present", "document"],
  ["application/zip", "file"],
])("a %s makes an asset of type %s", async (mime, type) => {
  const org = await w.organization();
  const editor = await w.person({ [org]: "editor" });
  const upload = await w.upload(org, editor, { object: { body: "x", contentType: mime } });
  const { json } = await w.confirm(upload, { as: editor });
  expect([json.asset_type, json.mime_type]).toEqual([type, mime.split(";")[0]]);
});

test("an object stored without a content type takes the declared one, which must be permitted", async () => {
  const org = await w.organization();
  const editor = await w.person({ [org]: "editor" });
  const untyped = { body: "x" };
  const good = await w.upload(org, editor, { mime: "text/plain", object: untyped });
  expect((await w.confirm(good, { as: editor })).json).toMatchObject({ mime_type: "text/plain", asset_type: "document" });

  const bad = await w.upload(org, editor, { mime: "text/html", object: untyped });
  const refused = await w.confirm(bad, { as: editor });
  expect(refused.json).toMatchObject({ code: "UPLOAD_REJECTED", errors: [{ type: "mime_type_not_allowed", actual: "text/html" }] });
  expect(await w.assets(bad)).toEqual([]);
});

test.each(["owner", "admin", "editor"])("an %s may confirm what another member started", async (role) => {
  const org = await w.organization();
  const starter = await w.person({ [org]: "viewer" });
  const confirmer = await w.person({ [org]: role });
  const upload = await w.upload(org, starter);
  const answer = await w.confirm(upload, { as: confirmer });
  expect(answer.status).toBe(201);
  expect(answer.json.created_by).toBe(confirmer.userId);
});

test("of 100 racing confirmations exactly one gets 201", async () => {
  const org = await w.organization();
  const editors = await Promise.all(Array.from({ length: 4 }, () => w.person({ [org]: "editor" })));
  const upload = await w.upload(org, editors[0]!);
  const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => w.confirm(upload, { as: editors[i % 4]! })));
  const winners = answers.filter((answer) => answer.status === 201);
  expect(winners).toHaveLength(1);
  const losers = answers.filter((answer) => answer.status !== 201);
  expect(new Set(losers.map((answer) => `${answer.status} ${answer.json.code} ${answer.json.errors[0].asset_id}`))).toEqual(
    new Set([`409 ASSET_UPLOAD_ALREADY_CONFIRMED ${upload}`]),
  );
  expect(await w.assets(upload)).toMatchObject([{ created_by: winners[0]!.json.created_by }]);
});

test("of 100 racing confirmations with one Idempotency-Key all get the same asset, and one is no replay", async () => {
  const org = await w.organization();
  const editor = await w.person({ [org]: "editor" });
  const upload = await w.upload(org, editor);
  const headers = { "idempotency-key": "one-intent" };
  const answers = await Promise.all(Array.from({ length: 100 }, () => w.confirm(upload, { as: editor, headers })));
  // The URL is signed anew each time.
  const bodies = answers.map(({ json: { url, ...rest } }) => JSON.stringify(rest));
  expect(new Set(bodies).size).toBe(1);
  expect(answers.filter((answer) => answer.status === 201)).toHaveLength(100);
  expect(answers.filter((answer) => !answer.headers.has("idempotent-replayed"))).toHaveLength(1);
  expect(await w.assets(upload)).toHaveLength(1);
});
