// Confirming an upload: the answer, the asset in D1, repeats and concurrent confirmations.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { confirmedError, expectError, expectErrors, snapshot } from "./assertions.ts";
import { createFolder, createOrganization, createPerson, createUpload } from "./fixtures.ts";
import { hashOf, makeToken } from "./key.ts";
import { confirm } from "./requests.ts";
import { startServer } from "./server.ts";

const server = startServer();

test("a confirmation is 201 with the asset, whose size and type are what R2 reports", async () => {
  const org = await createOrganization(server);
  const editor = await createPerson(server, { [org]: "editor" }, { first_name: "Édith" });
  const folder = await createFolder(server, org, editor);
  const upload = await createUpload(server, org, editor, {
    filename: "holiday.png",
    size: 9999,
    object: { body: "12345", contentType: "Image/PNG; charset=binary" },
  });
  const before = Date.now();
  const answer = await confirm(server, upload, { as: editor, body: JSON.stringify({ folder_id: folder.toUpperCase() }) });

  expect(answer.status).toBe(201);
  const { created_at, updated_at, ...rest } = answer.json;
  expect(rest).toEqual({
    id: upload,
    org_id: org,
    folder_id: folder,
    name: "holiday.png",
    r2_key: `uploads/${upload}`,
    url: expect.stringContaining(`${server.url.origin}/cdn-cgi/local/r2/s3/asset-uploads/uploads/${upload}?X-Amz-Algorithm=`),
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

  const { etag } = await server.env.BUCKET.head(`uploads/${upload}`);
  expect(await server.assets(upload)).toEqual([
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
      deleted_with: null,
      event_at: Date.parse(created_at),
      awaits_client: 0,
      confirmed_by: null,
    },
  ]);
});

test("rule 12: a repeat without Idempotency-Key is 409 and names the asset", async () => {
  const org = await createOrganization(server);
  const editor = await createPerson(server, { [org]: "editor" });
  const upload = await createUpload(server, org, editor);
  expect((await confirm(server, upload, { as: editor })).status).toBe(201);
  const before = await snapshot(server);
  const repeat = await confirm(server, upload, { as: editor });
  expect(repeat.status).toBe(409);
  expect(repeat.json).toMatchObject({
    code: "ASSET_UPLOAD_ALREADY_CONFIRMED",
    errors: [{ loc: ["path", "asset_upload_id"], type: "already_confirmed", asset_id: upload }],
  });
  expect(await snapshot(server)).toEqual(before);
});

test("a repeat with the same Idempotency-Key gets the first answer again", async () => {
  const org = await createOrganization(server);
  const editor = await createPerson(server, { [org]: "editor" });
  const upload = await createUpload(server, org, editor);
  const key = `~"!${randomUUID()}`;
  const send = (body: string, other = key) =>
    confirm(server, upload, { as: editor, body, headers: { "idempotency-key": other } });
  const first = await send("{}");
  expect(first.status).toBe(201);
  expect(first.headers.get("idempotent-replayed")).toBeNull();
  const before = await snapshot(server);

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
  expect((await confirm(server, upload, { as: editor })).json.code).toBe("ASSET_UPLOAD_ALREADY_CONFIRMED");
  expect(await snapshot(server)).toEqual(before);
});

test("a repeat by the same user with another API key is a replay; rule 12: a colleague's is 409", async () => {
  const org = await createOrganization(server);
  const [editor, colleague] = [await createPerson(server, { [org]: "editor" }), await createPerson(server, { [org]: "owner" })];
  const upload = await createUpload(server, org, editor);
  const headers = { "idempotency-key": "same" };
  expect((await confirm(server, upload, { as: editor, headers })).status).toBe(201);
  await expectError(server, () => confirm(server, upload, { as: colleague, headers }), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(upload)]);
  const token = makeToken();
  await server.sql("INSERT INTO api_keys (id, token_hash, user_id, name, created_at) VALUES (?, ?, ?, 'second', 0)", randomUUID(), hashOf(token), editor.userId);
  const replay = await confirm(server, upload, { as: token, headers });
  expect([replay.status, replay.headers.get("idempotent-replayed")]).toEqual([201, "true"]);
});

test("a replay needs the first body, and answers the asset as it is now", async () => {
  const org = await createOrganization(server);
  const editor = await createPerson(server, { [org]: "editor" });
  const [first, second] = [await createFolder(server, org, editor), await createFolder(server, org, editor)];
  const upload = await createUpload(server, org, editor);
  const send = (folder_id: string | null) =>
    confirm(server, upload, { as: editor, body: JSON.stringify({ folder_id }), headers: { "idempotency-key": "k" } });
  expect((await send(first)).status).toBe(201);
  await server.sql("UPDATE assets SET folder_id = ?, name = 'moved.png' WHERE id = ?", second, upload);
  const replay = await send(first);
  expect([replay.status, replay.json.folder_id, replay.json.name, replay.headers.get("idempotent-replayed")]).toEqual([201, second, "moved.png", "true"]);
  const reused = { loc: ["header", "Idempotency-Key"], msg: "This key was used with another body; send the first body again, or another key.", type: "idempotency_key_reused" };
  await expectErrors(server, [() => send(second), () => send(null)], "VALIDATION_ERROR", [reused]);

  await server.sql("UPDATE assets SET deleted_at = 1 WHERE id = ?", upload);
  await expectError(server, () => send(first), "ASSET_NOT_FOUND");
  await expectError(server, () => confirm(server, upload, { as: editor }), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(upload)]);
});

test.each([
  ["image/jpeg", "image"],
  ["video/mp4", "video"],
  ["audio/ogg", "audio"],
  ["application/pdf", "document"],
  ["text/csv; header=present", "document"],
  ["application/zip", "file"],
])("a %s makes an asset of type %s", async (mime, type) => {
  const org = await createOrganization(server);
  const editor = await createPerson(server, { [org]: "editor" });
  const upload = await createUpload(server, org, editor, { object: { body: "x", contentType: mime } });
  const { json } = await confirm(server, upload, { as: editor });
  expect([json.asset_type, json.mime_type]).toEqual([type, mime.split(";")[0]]);
});

test("an object without a content type takes the declared one; rule 17: a type that is not permitted is 422", async () => {
  const org = await createOrganization(server);
  const editor = await createPerson(server, { [org]: "editor" });
  const untyped = { body: "x" };
  const good = await createUpload(server, org, editor, { mime: "text/plain", object: untyped });
  expect((await confirm(server, good, { as: editor })).json).toMatchObject({ mime_type: "text/plain", asset_type: "document" });

  const bad = await createUpload(server, org, editor, { mime: "text/html", object: untyped });
  const rejected = await confirm(server, bad, { as: editor });
  expect(rejected.json).toMatchObject({ code: "UPLOAD_REJECTED", errors: [{ type: "mime_type_not_allowed", actual: "text/html" }] });
  expect(await server.assets(bad)).toEqual([]);
});

test.each(["owner", "admin", "editor"])("an %s may confirm what another member started", async (role) => {
  const org = await createOrganization(server);
  const starter = await createPerson(server, { [org]: "viewer" });
  const confirmer = await createPerson(server, { [org]: role });
  const upload = await createUpload(server, org, starter);
  const answer = await confirm(server, upload, { as: confirmer });
  expect(answer.status).toBe(201);
  expect(answer.json.created_by).toBe(confirmer.userId);
});

test("of 100 concurrent confirmations one gets 201", async () => {
  const org = await createOrganization(server);
  const editors = await Promise.all(Array.from({ length: 4 }, () => createPerson(server, { [org]: "editor" })));
  const upload = await createUpload(server, org, editors[0]!);
  const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => confirm(server, upload, { as: editors[i % 4]! })));
  const winners = answers.filter((answer) => answer.status === 201);
  expect(winners).toHaveLength(1);
  const losers = answers.filter((answer) => answer.status !== 201);
  expect(new Set(losers.map((answer) => `${answer.status} ${answer.json.code} ${answer.json.errors[0].asset_id}`))).toEqual(
    new Set([`409 ASSET_UPLOAD_ALREADY_CONFIRMED ${upload}`]),
  );
  expect(await server.assets(upload)).toMatchObject([{ created_by: winners[0]!.json.created_by }]);
});

test("100 concurrent confirmations with one Idempotency-Key all get the same asset, and all but one are replays", async () => {
  const org = await createOrganization(server);
  const editor = await createPerson(server, { [org]: "editor" });
  const upload = await createUpload(server, org, editor);
  const headers = { "idempotency-key": "one-intent" };
  const answers = await Promise.all(Array.from({ length: 100 }, () => confirm(server, upload, { as: editor, headers })));
  // The URL is signed anew each time.
  const bodies = answers.map(({ json: { url, ...rest } }) => JSON.stringify(rest));
  expect(new Set(bodies).size).toBe(1);
  expect(answers.filter((answer) => answer.status === 201)).toHaveLength(100);
  expect(answers.filter((answer) => !answer.headers.has("idempotent-replayed"))).toHaveLength(1);
  expect(await server.assets(upload)).toHaveLength(1);
});
