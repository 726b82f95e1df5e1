// Renaming and moving an asset, the trash, restorations, and repeated confirmations of what was moved or deleted.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { COMMON_HEADERS, confirmedError, expectError, expectErrorAnswer, expectErrors, expectNoChange, expectSameAnswers, fieldError, folderError, folderTypeError, headersOf, missingBodyError, MUST_BE_UUID, repeatedField, unknownField } from "./assertions.ts";
import { createFolder, createPerson, organizationWithEditor, organizationWithUpload } from "./fixtures.ts";
import { cancelUpload, confirm, deleteAsset, deleteFolder, listAssets, readAsset, readUpload, restoreAsset, restoreFolder, updateAsset } from "./requests.ts";
import { type Answer, type Person, startServer, wait } from "./server.ts";

const server = startServer();
const { "content-type": _, ...WITHOUT_BODY } = COMMON_HEADERS;
const UNKNOWN_ID = fieldError(["path", "asset_id"], "uuid_parsing", MUST_BE_UUID);
const NAME = "Must be a string of 1 to 500 characters, not . or .., without control and bidirectional-override characters, / and \\.";
const badName = fieldError(["body", "name"], "filename", NAME);
const noName = fieldError(["body", "name"], "string_type", NAME);
const nothing = fieldError(["body"], "missing", "Send name, folder_id or both.");
const SIGNED = expect.stringMatching(/\/uploads\/[0-9a-f-]{36}\?X-Amz-/);

/** A confirmed upload of an editor's, in a folder. */
async function confirmed() {
  const { org, editor, id } = await organizationWithUpload(server);
  const folder = await createFolder(server, org, editor);
  const answer = await confirm(server, id, { as: editor, body: JSON.stringify({ folder_id: folder }), headers: { "idempotency-key": "k" } });
  expect(answer.status).toBe(201);
  return { org, editor, id, folder, asset: answer.json };
}
/** Its row; the times of its events are the matter of webhook-events.spec.ts. */
const rowOf = async (id: string) => {
  const [{ event_at: _, ...row }] = await server.assets(id);
  return row;
};
const listed = async (as: Person, query = "") => (await listAssets(server, as, query)).json.items.map(({ id }: any) => id);

function expectAsset(answer: Answer, status: number, asset: unknown, headers = {}): void {
  expect([answer.status, answer.json]).toEqual([status, asset]);
  expect(headersOf(answer)).toEqual({ ...COMMON_HEADERS, ...headers });
}
function expectEmpty(answer: Answer): void {
  expect([answer.status, answer.text, headersOf(answer)]).toEqual([204, "", WITHOUT_BODY]);
}

describe("PATCH", () => {
  test("renames, moves, or both: 200 with the asset; its object stays as it is", async () => {
    const { org, editor, id, folder, asset } = await confirmed();
    const [other, objects, before] = [await createFolder(server, org, editor), await server.objects(), await rowOf(id)];
    let expected = { ...asset, url: SIGNED, created_by_user: null };
    for (const change of [{ name: "sunset.png" }, { folder_id: other }, { name: "noon.png", folder_id: folder }, { folder_id: null }, { folder_id: other.toUpperCase(), name: "Noon.png" }, { name: "🌅".repeat(500) }]) {
      await wait(2);
      const answer = await updateAsset(server, editor, id, change);
      const { folder_id = expected.folder_id } = change as { folder_id?: string | null };
      expected = { ...expected, ...change, folder_id: folder_id?.toLowerCase() ?? null, updated_at: answer.json.updated_at };
      expectAsset(answer, 200, expected);
      expect(answer.json.updated_at > asset.updated_at).toBe(true);
      expectAsset(await readAsset(server, id, editor), 200, expected);
    }
    const { name, folder_id, updated_at } = expected;
    expect(await rowOf(id)).toEqual({ ...before, name, folder_id, updated_at: Date.parse(updated_at) });
    expect(await server.objects()).toEqual(objects);
  });

  test("changes nothing where it is so already, not even updated_at", async () => {
    const { editor, id, folder, asset } = await confirmed();
    await wait(2);
    for (const change of [{ name: asset.name }, { folder_id: folder }, { name: asset.name, folder_id: folder }]) {
      expectAsset(await expectNoChange(server, () => updateAsset(server, editor, id, change)), 200, { ...asset, url: SIGNED, created_by_user: null });
    }
    // Another person's change is theirs, the asset stays its maker's.
    const colleague = await createPerson(server, { [asset.org_id]: "editor" });
    expect((await updateAsset(server, colleague, id, { name: "theirs" })).json).toMatchObject({ name: "theirs", created_by: editor.userId });
  });

  test.each<[string, unknown[]]>([
    ["{}", [nothing]],
    ['{"x": 1}', [unknownField("x"), nothing]],
    ['{"name": "a", "x": 1, "folder_id": 1}', [unknownField("x"), folderTypeError]],
    ["", [missingBodyError]],
    ['{"name": null}', [noName]],
    ['{"name": 1}', [noName]],
    ['{"name": ["a"]}', [noName]],
    ['{"name": ""}', [badName]],
    ['{"name": "."}', [badName]],
    ['{"name": ".."}', [badName]],
    ['{"name": "a/b"}', [badName]],
    ['{"name": "a\\\\b"}', [badName]],
    ['{"name": "a\\u0000"}', [badName]],
    ['{"name": "a\\u202eb"}', [badName]],
    [JSON.stringify({ name: "x".repeat(501) }), [badName]],
    [JSON.stringify({ name: "🌅".repeat(10_000) }), [badName]],
    ['{"name": "\\ud800"}', [noName]],
    ['{"folder_id": "none"}', [folderError]],
    ['{"folder_id": ""}', [folderError]],
    ['{"folder_id": false}', [folderTypeError]],
    ['{"name": "a", "name": "b"}', [repeatedField("name")]],
    ['{"deleted_at": null}', [unknownField("deleted_at"), nothing]],
    ['{"id": "x", "org_id": "x", "name": ""}', [unknownField("id"), unknownField("org_id"), badName]],
  ])("rule 10: %s is 422", async (body, errors) => {
    const { editor, id } = await confirmed();
    await expectError(server, () => server.request("PATCH", `/v1/assets/${id}`, { as: editor, body }), "VALIDATION_ERROR", errors);
  });

  test("rules 9 and 10: no JSON object is 400, and an id that is none comes after the body's errors", async () => {
    const { editor, id } = await confirmed();
    const send = (id: string, body: string, headers = {}) => () => server.request("PATCH", `/v1/assets/${id}`, { as: editor, body, headers });
    await expectErrors(server, [...["[]", "null", "{", "\u00a0{}"].map((body) => send(id, body)), send("x", "["), send(id, "{}", { "content-type": "text/plain" })], "BAD_REQUEST");
    await expectError(server, send("x", '{"name": ""}'), "VALIDATION_ERROR", [badName, UNKNOWN_ID]);
    await expectErrors(server, ["x", id.slice(1), `{${id}}`].map((id) => send(id, '{"name": "a"}')), "VALIDATION_ERROR", [UNKNOWN_ID]);
  });

  test("rule 14: a folder that is unknown, deleted or another organization's is 404, and nothing changes", async () => {
    const { org, editor, id } = await confirmed();
    const other = await confirmed();
    const folders = [randomUUID(), await createFolder(server, org, editor, { deleted_at: 1 }), other.folder];
    const sends = folders.flatMap((folder_id) => [{ folder_id }, { folder_id, name: "new" }].map((body) => () => updateAsset(server, editor, id, body)));
    expectSameAnswers(await expectErrors(server, sends, "FOLDER_NOT_FOUND"));
  });
});

test("an asset that is unknown, another organization's or never confirmed is 404 everywhere; in the trash, too, where it is not about that", async () => {
  const { editor, id, folder } = await confirmed();
  const { editor: outsider, id: pending } = await organizationWithUpload(server);
  const sends = (as: Person, id: string) => [
    () => readAsset(server, id, as), () => readAsset(server, `${id}?embed=created_by_user&fields=id`, as),
    ...[{ name: "new" }, { folder_id: null }, { folder_id: folder }].map((body) => () => updateAsset(server, as, id, body)),
  ];
  const trash = (as: Person, id: string) => [() => deleteAsset(server, as, id), () => restoreAsset(server, as, id), () => restoreAsset(server, as, id, {})];
  const unknown = [[outsider, id], [outsider, pending], [outsider, randomUUID()], [editor, pending]] as const;
  expectSameAnswers(await expectErrors(server, unknown.flatMap(([as, id]) => [...sends(as, id), ...trash(as, id)]), "ASSET_NOT_FOUND"));
  expectEmpty(await deleteAsset(server, editor, id));
  // Also with a folder that is not there: the asset comes first.
  const gone = [...sends(editor, id), () => updateAsset(server, editor, id, { folder_id: randomUUID() }), ...sends(outsider, id), ...trash(outsider, id)];
  expectSameAnswers(await expectErrors(server, gone, "ASSET_NOT_FOUND"));
});

describe("DELETE", () => {
  test("puts an asset into the trash: 204, also when it is repeated, by anybody, which changes nothing; its object stays", async () => {
    const { org, editor, id, folder } = await confirmed();
    const colleague = await createPerson(server, { [org]: "admin" });
    const [before, objects, begun] = [await rowOf(id), await server.objects(), Date.now()];
    expectEmpty(await deleteAsset(server, colleague, id));
    const after = await rowOf(id);
    expect(after).toEqual({ ...before, deleted_at: after.deleted_at, deleted_by: colleague.userId });
    expect(after.deleted_at).toBeGreaterThanOrEqual(begun - 1000);
    expect(after.deleted_at).toBeLessThanOrEqual(Date.now() + 1000);
    await wait(2);
    for (const as of [colleague, editor]) expectEmpty(await expectNoChange(server, () => deleteAsset(server, as, id)));
    expect(await server.objects()).toEqual(objects);

    expect([await listed(editor), await listed(editor, `?folder_id=${folder}`)]).toEqual([[], []]);
    const { items } = (await listAssets(server, editor, "?deleted=true&embed=created_by_user")).json;
    expect(items).toMatchObject([{ id, folder_id: folder, deleted_at: new Date(after.deleted_at).toISOString(), deleted_by: colleague.userId, created_by_user: { id: editor.userId } }]);
    expect(await listed(editor, `?deleted=true&folder_id=${folder}`)).toEqual([id]);
    // Its upload is confirmed as ever.
    expect((await readUpload(server, id, editor)).json).toMatchObject({ status: "confirmed", asset_id: id });
    await expectErrors(server, [() => cancelUpload(server, id, editor), () => confirm(server, id, { as: editor })], "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(id)]);
  });

  test("signed URLs that were handed out before hold on", async () => {
    const { editor, id, asset } = await confirmed();
    expectEmpty(await deleteAsset(server, editor, id));
    expect((await fetch(asset.url)).status).toBe(200);
  });

  test("rule 10: an id that is none is 422", async () => {
    const { editor } = await organizationWithEditor(server);
    await expectErrors(server, ["x", "Types", "0", `${randomUUID()}0`].map((id) => () => deleteAsset(server, editor, id)), "VALIDATION_ERROR", [UNKNOWN_ID]);
  });
});

describe("a restoration", () => {
  test("takes an asset out of the trash: 201 with the asset as it was, Location, and its user; a repeat is the same", async () => {
    const { org, editor, id, asset } = await confirmed();
    const [before, colleague] = [await rowOf(id), await createPerson(server, { [org]: "editor" })];
    for (const body of [undefined, {}]) {
      expectEmpty(await deleteAsset(server, colleague, id));
      expectAsset(await restoreAsset(server, colleague, id, body), 201, { ...asset, url: SIGNED }, { location: `/v1/assets/${id}` });
      expect(await rowOf(id)).toEqual(before);
      expectAsset(await expectNoChange(server, () => restoreAsset(server, editor, id, body)), 201, { ...asset, url: SIGNED }, { location: `/v1/assets/${id}` });
    }
    expectAsset(await readAsset(server, id, editor), 200, { ...asset, url: SIGNED, created_by_user: null });
    expect([await listed(editor), await listed(editor, "?deleted=true")]).toEqual([[id], []]);
  });

  test("into no folder, if its own is in the trash, whether that went after it or with it", async () => {
    for (const how of ["after", "with"]) {
      const { org, editor, id, folder } = await confirmed();
      if (how === "after") expectEmpty(await deleteAsset(server, editor, id));
      expectEmpty(await deleteFolder(server, editor, `${folder}?recursive=true`));
      expect((await rowOf(id)).folder_id).toBe(folder);
      const answer = await restoreAsset(server, editor, id);
      expect([how, answer.status, answer.json.folder_id, answer.json.deleted_at]).toEqual([how, 201, null, null]);
      expect(await rowOf(id)).toMatchObject({ folder_id: null, deleted_at: null, deleted_by: null, deleted_with: null });
      // It is no part of the folder's deletion any more.
      expect((await restoreFolder(server, editor, folder)).status).toBe(201);
      expect((await readAsset(server, id, editor)).json.folder_id).toBeNull();
      expect(await listed(editor, `?folder_id=${folder}`)).toEqual([]);
    }
  });

  test("into its folder, if that has been restored before it", async () => {
    const { editor, id, folder } = await confirmed();
    expectEmpty(await deleteAsset(server, editor, id));
    // Only what is not in the trash keeps a folder from being empty.
    expectEmpty(await deleteFolder(server, editor, folder));
    expect((await restoreFolder(server, editor, folder)).status).toBe(201);
    await expectError(server, () => readAsset(server, id, editor), "ASSET_NOT_FOUND");
    expect((await restoreAsset(server, editor, id)).json.folder_id).toBe(folder);
  });

  test("rules 9 and 10: a body is none or {}", async () => {
    const { editor, id } = await confirmed();
    expectEmpty(await deleteAsset(server, editor, id));
    const send = (body: string | undefined, headers = {}, of = id) => () => server.request("POST", `/v1/assets/${of}/restorations`, { as: editor, ...(body === undefined ? {} : { body }), headers });
    await expectErrors(server, [...["[]", "null", "{", "x", " ", '""'].map((body) => send(body)), send("{}", { "content-type": "text/plain" }), send(" ".repeat(65_537))], "BAD_REQUEST");
    await expectError(server, send('{"x": 1, "folder_id": null}', {}, "x"), "VALIDATION_ERROR", [unknownField("x"), unknownField("folder_id"), UNKNOWN_ID]);
    await expectError(server, send(undefined, {}, "x"), "VALIDATION_ERROR", [UNKNOWN_ID]);
    for (const [body, headers] of [["", {}], ["", { "content-type": "text/plain" }], [" {\n} ", {}], [undefined, { "content-type": "application/json" }]] as const) {
      await server.sql("UPDATE assets SET deleted_at = 1 WHERE id = ?", id);
      expect((await send(body, headers)()).status).toBe(201);
      expect((await rowOf(id)).deleted_at).toBeNull();
    }
  });
});

describe("a repeated confirmation with its Idempotency-Key", () => {
  const repeat = (id: string, as: Person, folder_id: string | null, key = "k") => confirm(server, id, { as, body: JSON.stringify({ folder_id }), headers: { "idempotency-key": key } });
  const REUSED = fieldError(["header", "Idempotency-Key"], "idempotency_key_reused", "This key was used with another body; send the first body again, or another key.");

  test("answers the asset as it is now, wherever it is, as long as the first body is repeated", async () => {
    const { org, editor, id, folder, asset } = await confirmed();
    const other = await createFolder(server, org, editor);
    for (const change of [{ folder_id: other }, { folder_id: null, name: "renamed.png" }]) {
      const { json } = await updateAsset(server, editor, id, change);
      const answer = await expectNoChange(server, () => repeat(id, editor, folder));
      expectAsset(answer, 201, { ...json, url: SIGNED, created_by_user: asset.created_by_user }, { location: `/v1/assets/${id}`, "idempotent-replayed": "true" });
      // Where it lies now was not the first body.
      await expectErrors(server, [() => repeat(id, editor, other), () => repeat(id, editor, null)], "VALIDATION_ERROR", [REUSED]);
    }
    // Even if the first folder is gone.
    expectEmpty(await deleteFolder(server, editor, folder));
    expect((await repeat(id, editor, folder)).json.folder_id).toBeNull();
  });

  test("is 404 while the asset is in the trash, and works again when it is restored", async () => {
    const { editor, id, folder } = await confirmed();
    expectEmpty(await deleteAsset(server, editor, id));
    await expectError(server, () => repeat(id, editor, folder), "ASSET_NOT_FOUND");
    await expectError(server, () => repeat(id, editor, null), "VALIDATION_ERROR", [REUSED]);
    expect((await restoreAsset(server, editor, id)).status).toBe(201);
    const answer = await repeat(id, editor, folder);
    expect([answer.status, answer.json.folder_id, answer.headers.get("idempotent-replayed")]).toEqual([201, folder, "true"]);
    // The same where a folder took it along.
    expectEmpty(await deleteFolder(server, editor, `${folder}?recursive=true`));
    await expectError(server, () => repeat(id, editor, folder), "ASSET_NOT_FOUND");
  });

  test("by another user, or with another key, is 409, in the trash or not", async () => {
    const { org, editor, id, folder } = await confirmed();
    const colleague = await createPerson(server, { [org]: "editor" });
    const sends = [() => repeat(id, colleague, folder), () => repeat(id, editor, folder, "other"), () => repeat(id, colleague, null)];
    for (const prepare of [async () => {}, () => updateAsset(server, editor, id, { folder_id: null }), () => deleteAsset(server, editor, id)]) {
      await prepare();
      await expectErrors(server, sends, "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(id)]);
    }
  });
});

test("methods that assets do not have are 405 with those that they have", async () => {
  const { editor, id } = await confirmed();
  const allow: [string, string, string][] = [
    ["POST", "/v1/assets", "GET, HEAD"], ["DELETE", "/v1/assets/types", "GET, HEAD"], ["PUT", `/v1/assets/${id}`, "GET, HEAD, PATCH, DELETE"],
    ["GET", `/v1/assets/${id}/restorations`, "POST"], ["DELETE", `/v1/assets/${id}/restorations`, "POST"],
  ];
  for (const [method, path, methods] of allow) {
    const answer = await server.request(method, path, { as: editor });
    expectErrorAnswer(answer, "METHOD_NOT_ALLOWED", null, { allow: answer.headers.get("allow") });
    expect([method, path, answer.headers.get("allow")!.split(", ").sort()]).toEqual([method, path, methods.split(", ").sort()]);
  }
});
