// Folders: making, naming, reading, renaming and moving them. Their trash is in library-trash.spec.ts.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { COMMON_HEADERS, expectError, expectErrors, expectNoChange, expectSameAnswers, fieldError, headersOf, idempotencyKeyError, missingBodyError, MUST_BE_UUID, repeatedField, unknownField } from "./assertions.ts";
import { createFolder, createPerson, organizationWithEditor } from "./fixtures.ts";
import { deleteFolder, listFolders, makeFolder, readFolder, restoreFolder, updateFolder } from "./requests.ts";
import { type Answer, type Person, startServer, wait } from "./server.ts";

const server = startServer();
const NAME = "Must be a string of 1 to 255 characters, not . or .., without control characters.";
const badName = fieldError(["body", "name"], "folder_name", NAME);
const noName = fieldError(["body", "name"], "string_type", NAME);
const missingName = fieldError(["body", "name"], "missing", "This field is required.");
const badParent = fieldError(["body", "parent_id"], "uuid_parsing", MUST_BE_UUID);
const noParent = fieldError(["body", "parent_id"], "string_type", "Must be a string holding a UUID, or null.");
const badId = fieldError(["path", "folder_id"], "uuid_parsing", MUST_BE_UUID);
const nothing = fieldError(["body"], "missing", "Send name, parent_id or both.");
const tooDeep = fieldError(["body", "parent_id"], "folder_too_deep", "Folders can be at most 32 deep.");
const reused = fieldError(["header", "Idempotency-Key"], "idempotency_key_reused", "This key was used with another body; send the first body again, or another key.");

const rowOf = async (id: string) => (await server.sql("SELECT * FROM folders WHERE id = ?", id))[0];
const keyed = (as: Person, body: unknown, key = "k", headers = {}) => makeFolder(server, as, body, { headers: { "idempotency-key": key, ...headers } });

/** Makes a folder, which must succeed: the folder. */
async function made(as: Person, name: string, parent_id: string | null = null): Promise<any> {
  const answer = await makeFolder(server, as, { name, parent_id });
  expect([answer.status, answer.json.code]).toEqual([201, undefined]);
  return answer.json;
}
/** Folders in one another, the outermost first: their ids. */
async function chain(as: Person, length: number, parent: string | null = null): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < length; n++) ids.push((await made(as, `level ${n}`, ids.at(-1) ?? parent)).id);
  return ids;
}
function expectFolder(answer: Answer, status: number, folder: unknown, headers = {}): void {
  expect([answer.status, answer.json, headersOf(answer)]).toEqual([status, folder, { ...COMMON_HEADERS, ...headers }]);
}

describe("POST", () => {
  test("makes a folder: 201 with the folder, and Location", async () => {
    const { org, editor } = await organizationWithEditor(server);
    const begun = Date.now();
    const answer = await makeFolder(server, editor, { name: "Holiday" });
    const { id, created_at } = answer.json;
    const folder = { id, org_id: org, parent_id: null, name: "Holiday", created_by: editor.userId, created_at, updated_at: created_at, deleted_at: null };
    expectFolder(answer, 201, folder, { location: `/v1/asset-folders/${id}` });
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(Math.abs(Date.parse(created_at) - begun)).toBeLessThan(5_000);
    const at = Date.parse(created_at);
    expect(await rowOf(id)).toEqual({
      ...folder, created_at: at, updated_at: at, deleted_with: null, first_name: "Holiday", first_parent_id: null, request_id: answer.headers.get("x-request-id"),
    });
    const inner = await makeFolder(server, editor, { name: "2026", parent_id: id.toUpperCase() });
    expect([inner.status, inner.json.parent_id]).toEqual([201, id]);
    expectFolder(await readFolder(server, editor, inner.json.id), 200, { ...inner.json, path: [{ id, name: "Holiday" }] });
    expectFolder(await readFolder(server, editor, id), 200, { ...folder, path: [] });
  });

  test.each<[string, unknown[]]>([
    ["", [missingBodyError]],
    ["{}", [missingName]],
    ['{"parent_id": null}', [missingName]],
    ['{"name": null}', [noName]],
    ['{"name": 7}', [noName]],
    ['{"name": ["a"]}', [noName]],
    ['{"name": "\\udc00"}', [noName]],
    ['{"name": "a", "name": "b"}', [repeatedField("name")]],
    ['{"name": "a", "id": "x"}', [unknownField("id")]],
    ['{"name": "", "parent_id": 1, "x": 1}', [badName, noParent, unknownField("x")]],
    ['{"name": "a", "parent_id": "none"}', [badParent]],
    ['{"name": "a", "parent_id": ""}', [badParent]],
    ['{"name": "a", "parent_id": {}}', [noParent]],
    ...["", ".", "..", "x".repeat(256), "🏝".repeat(256), "x".repeat(10_000), "a\0", "\n", "a\tb", "\u007f", "\u0085", "\u009f"].map((name): [string, unknown[]] => [JSON.stringify({ name }), [badName]]),
  ])("rule 10: %s is 422", async (body, errors) => {
    const { editor } = await organizationWithEditor(server);
    await expectError(server, () => server.request("POST", "/v1/asset-folders", { as: editor, body }), "VALIDATION_ERROR", errors);
  });

  test("rule 9: no JSON object is 400, whatever else is wrong", async () => {
    const { editor } = await organizationWithEditor(server);
    const send = (body: string, headers = {}) => () => server.request("POST", "/v1/asset-folders", { as: editor, body, headers });
    await expectErrors(server, [...["[]", '"a"', "{", "null"].map((body) => send(body)), send("{", { "idempotency-key": "a b" }), send('{"name": "a"}', { "content-type": "text/plain" })], "BAD_REQUEST");
    await expectError(server, send('{"name": ""}', { "idempotency-key": "a b" }), "VALIDATION_ERROR", [badName, idempotencyKeyError]);
  });

  test("a name is text of 1 to 255 characters, and kept as it is", async () => {
    const { editor } = await organizationWithEditor(server);
    const names = ["x", " ", "...", ".a", "x".repeat(255), "🏝".repeat(255), "a/b\\c", "'; DROP TABLE folders; --", "%", "_", '"', "e\u0301", "\u202e", "\u2028", "\ud7ff", "\ue000", "\u{10ffff}", "שלום", "null"];
    for (const name of names) expect((await readFolder(server, editor, (await made(editor, name)).id)).json.name).toBe(name);
    const { items } = (await listFolders(server, editor)).json;
    expect(items.map(({ name }: any) => name).sort()).toEqual(names.toSorted());
  });

  test("a name is a sibling's without regard to the case of ASCII letters alone", async () => {
    const { editor } = await organizationWithEditor(server);
    const other = await organizationWithEditor(server);
    const parent = await made(editor, "Parent");
    for (const [as, where] of [[editor, null], [editor, parent.id]] as const) {
      for (const name of ["Photos", "ÄÖ", "é", "İ", "ß", "a b", "%", "k"]) await made(as, name, where);
      const taken = ["Photos", "photos", "PHOTOS", "ÄÖ", "é", "A B", "%", "K"];
      expectSameAnswers(await expectErrors(server, taken.map((name) => () => makeFolder(server, as, { name, parent_id: where })), "FOLDER_NAME_TAKEN"));
      for (const name of ["Photos ", "äö", "É", "e\u0301", "i", "SS", "a  b", "_", "\u212a", "Photo", "Photos2"]) await made(as, name, where);
    }
    await made(other.editor, "Photos");
    // A name is free again when its folder is in the trash.
    const gone = await made(editor, "Gone");
    expect((await deleteFolder(server, editor, gone.id)).status).toBe(204);
    await made(editor, "gone");
  });

  test("rule 14: a parent that is unknown, deleted or another organization's is 404", async () => {
    const { org, editor } = await organizationWithEditor(server);
    const other = await organizationWithEditor(server);
    const parents = [randomUUID(), await createFolder(server, org, editor, { deleted_at: 1 }), await createFolder(server, other.org, other.editor)];
    expectSameAnswers(await expectErrors(server, parents.map((parent_id) => () => makeFolder(server, editor, { name: "a", parent_id })), "FOLDER_NOT_FOUND"));
  });

  test("folders are at most 32 deep", async () => {
    const { editor } = await organizationWithEditor(server);
    const ids = await chain(editor, 32);
    expect((await readFolder(server, editor, ids[31]!)).json.path.map(({ id }: any) => id)).toEqual(ids.slice(0, 31));
    await expectError(server, () => makeFolder(server, editor, { name: "a", parent_id: ids[31] }), "VALIDATION_ERROR", [tooDeep]);
    // A move counts what comes along.
    const [one, two] = await chain(editor, 2, (await made(editor, "other")).id);
    await expectErrors(server, [() => updateFolder(server, editor, one!, { parent_id: ids[30] }), () => updateFolder(server, editor, two!, { parent_id: ids[31] })], "VALIDATION_ERROR", [tooDeep]);
    expect((await updateFolder(server, editor, one!, { parent_id: ids[29] })).status).toBe(200);
    await expectError(server, () => makeFolder(server, editor, { name: "a", parent_id: two }), "VALIDATION_ERROR", [tooDeep]);
    expect((await readFolder(server, editor, two!)).json.path).toHaveLength(31);
    // A rename at the bottom is no move.
    expect((await updateFolder(server, editor, ids[31]!, { name: "bottom" })).status).toBe(200);
  });
});

describe("POST with an Idempotency-Key", () => {
  test("is answered again with the folder as it is now, wherever it is", async () => {
    const { editor } = await organizationWithEditor(server);
    const parent = await made(editor, "Parent");
    const body = { name: "Holiday", parent_id: parent.id };
    const first = await keyed(editor, body);
    expectFolder(first, 201, { ...first.json, ...body }, { location: `/v1/asset-folders/${first.json.id}` });
    const replayed = { location: `/v1/asset-folders/${first.json.id}`, "idempotent-replayed": "true" };
    expectFolder(await expectNoChange(server, () => keyed(editor, body)), 201, first.json, replayed);
    for (const change of [{ name: "Renamed" }, { parent_id: null }, { name: "Both", parent_id: parent.id }]) {
      const { json } = await updateFolder(server, editor, first.json.id, change);
      expectFolder(await expectNoChange(server, () => keyed(editor, body)), 201, json, replayed);
    }
    // Where another has its first name by now, that is no matter.
    await made(editor, "Holiday", parent.id);
    expect((await keyed(editor, body)).json.name).toBe("Both");
    const others = [{ name: "Both", parent_id: parent.id }, { name: "holiday", parent_id: parent.id }, { name: "Holiday" }, { name: "Holiday", parent_id: null }, { name: "Holiday", parent_id: randomUUID() }];
    await expectErrors(server, others.map((other) => () => keyed(editor, other)), "VALIDATION_ERROR", [reused]);
  });

  test("is 404 while the folder is in the trash, and the folder again once it is restored", async () => {
    const { editor } = await organizationWithEditor(server);
    const first = await keyed(editor, { name: "a" });
    expect((await deleteFolder(server, editor, first.json.id)).status).toBe(204);
    await expectError(server, () => keyed(editor, { name: "a" }), "FOLDER_NOT_FOUND");
    await expectError(server, () => keyed(editor, { name: "b" }), "VALIDATION_ERROR", [reused]);
    expect((await restoreFolder(server, editor, first.json.id)).status).toBe(201);
    expect((await keyed(editor, { name: "a" })).json).toEqual(first.json);
  });

  test("is another folder's with another key, by another person or in another organization; an error uses no key up", async () => {
    const { org, editor } = await organizationWithEditor(server);
    const other = await organizationWithEditor(server);
    const colleague = await createPerson(server, { [org]: "editor", [other.org]: "editor" });
    const first = await keyed(editor, { name: "a" });
    await expectError(server, () => keyed(editor, { name: "A" }, "second"), "FOLDER_NAME_TAKEN");
    await expectError(server, () => keyed(colleague, { name: "a" }, "k", { "x-organization-id": org }), "FOLDER_NAME_TAKEN");
    expect((await updateFolder(server, editor, first.json.id, { name: "b" })).status).toBe(200);
    const ids = [first, await keyed(editor, { name: "A" }, "second"), await keyed(colleague, { name: "c" }, "k", { "x-organization-id": org }), await keyed(colleague, { name: "c" }, "k", { "x-organization-id": other.org })];
    for (const { status, headers } of ids) expect([status, headers.has("idempotent-replayed")]).toEqual([201, false]);
    expect(new Set(ids.map(({ json }) => json.id)).size).toBe(4);
  });
});

describe("PATCH", () => {
  test("renames, moves, or both: 200 with the folder; what is in it moves with it", async () => {
    const { editor } = await organizationWithEditor(server);
    const [one, two] = [await made(editor, "one"), await made(editor, "two")];
    const folder = await made(editor, "folder", one.id);
    const [inner] = await chain(editor, 1, folder.id);
    const before = await rowOf(folder.id);
    let expected = folder;
    for (const change of [{ name: "renamed" }, { parent_id: two.id }, { parent_id: null, name: "at the top" }, { name: "AT THE TOP" }, { parent_id: one.id.toUpperCase() }]) {
      await wait(2);
      const answer = await updateFolder(server, editor, folder.id, change);
      const { parent_id = expected.parent_id } = change as { parent_id?: string | null };
      expected = { ...expected, ...change, parent_id: parent_id?.toLowerCase() ?? null, updated_at: answer.json.updated_at };
      expectFolder(answer, 200, expected);
      expect(answer.json.updated_at > folder.updated_at).toBe(true);
    }
    const { name, parent_id, updated_at } = expected;
    expect(await rowOf(folder.id)).toEqual({ ...before, name, parent_id, updated_at: Date.parse(updated_at) });
    expect((await readFolder(server, editor, inner!)).json.path).toEqual([{ id: one.id, name: "one" }, { id: folder.id, name }]);
  });

  test("changes nothing where it is so already, not even updated_at", async () => {
    const { editor } = await organizationWithEditor(server);
    const [one, ...ids] = await chain(editor, 32);
    await wait(2);
    const bottom = (await readFolder(server, editor, ids.at(-1)!)).json;
    for (const change of [{ name: bottom.name }, { parent_id: bottom.parent_id }, { name: bottom.name, parent_id: bottom.parent_id }]) {
      const { path: _, ...folder } = bottom;
      expectFolder(await expectNoChange(server, () => updateFolder(server, editor, bottom.id, change)), 200, folder);
    }
    expect((await expectNoChange(server, () => updateFolder(server, editor, one!, { parent_id: null }))).status).toBe(200);
  });

  test.each<[string, unknown[]]>([
    ["{}", [nothing]],
    ['{"x": 1}', [unknownField("x"), nothing]],
    ["", [missingBodyError]],
    ['{"name": null}', [noName]],
    ['{"name": ".."}', [badName]],
    [JSON.stringify({ name: "x".repeat(256) }), [badName]],
    ['{"parent_id": 1, "name": "\\n"}', [noParent, badName]],
    ['{"parent_id": "x"}', [badParent]],
    ['{"parent_id": null, "parent_id": null}', [repeatedField("parent_id")]],
    ['{"deleted_at": null, "name": "a"}', [unknownField("deleted_at")]],
  ])("rule 10: %s is 422", async (body, errors) => {
    const { editor } = await organizationWithEditor(server);
    const { id } = await made(editor, "a");
    const send = (id: string) => () => server.request("PATCH", `/v1/asset-folders/${id}`, { as: editor, body });
    await expectError(server, send(id), "VALIDATION_ERROR", errors);
    await expectError(server, send("x"), "VALIDATION_ERROR", [...errors, badId]);
  });

  test("into itself or what is beneath it is FOLDER_CYCLE, at any depth, and changes nothing", async () => {
    const { editor } = await organizationWithEditor(server);
    const ids = await chain(editor, 31);
    const [top] = ids;
    const sends = ids.map((parent_id) => () => updateFolder(server, editor, top!, { parent_id }));
    sends.push(() => updateFolder(server, editor, top!, { parent_id: ids[5], name: "level 6" }), () => updateFolder(server, editor, ids[10]!, { parent_id: ids[20] }), () => updateFolder(server, editor, ids[10]!, { parent_id: ids[10]!.toUpperCase() }));
    expectSameAnswers(await expectErrors(server, sends, "FOLDER_CYCLE"));
    // Not into a sibling, nor upward.
    expect((await updateFolder(server, editor, ids[10]!, { parent_id: ids[3] })).status).toBe(200);
    expect((await updateFolder(server, editor, ids[9]!, { parent_id: ids[30] })).status).toBe(200);
  });

  test("to a sibling's name is FOLDER_NAME_TAKEN, by a rename, a move or both", async () => {
    const { editor } = await organizationWithEditor(server);
    const [parent, folder] = [await made(editor, "parent"), await made(editor, "folder")];
    await made(editor, "taken");
    await made(editor, "FOLDER", parent.id);
    await made(editor, "taken", parent.id);
    const changes = [{ name: "Taken" }, { name: "taken" }, { parent_id: parent.id }, { parent_id: parent.id, name: "TAKEN" }];
    expectSameAnswers(await expectErrors(server, changes.map((change) => () => updateFolder(server, editor, folder.id, change)), "FOLDER_NAME_TAKEN"));
    expect((await updateFolder(server, editor, folder.id, { parent_id: parent.id, name: "free" })).status).toBe(200);
    expect((await updateFolder(server, editor, folder.id, { name: "FREE" })).json.name).toBe("FREE");
  });

  test("rule 14: a parent that is unknown, deleted or another organization's is 404, and nothing changes", async () => {
    const { org, editor } = await organizationWithEditor(server);
    const other = await organizationWithEditor(server);
    const { id } = await made(editor, "a");
    const parents = [randomUUID(), await createFolder(server, org, editor, { deleted_at: 1 }), await createFolder(server, other.org, other.editor)];
    expectSameAnswers(await expectErrors(server, parents.map((parent_id) => () => updateFolder(server, editor, id, { parent_id, name: "b" })), "FOLDER_NOT_FOUND"));
  });
});

test("a folder that is unknown, another organization's or in the trash is 404", async () => {
  const { org, editor } = await organizationWithEditor(server);
  const { editor: outsider } = await organizationWithEditor(server);
  const [{ id }, gone] = [await made(editor, "a"), await createFolder(server, org, editor, { deleted_at: 1 })];
  const sends = ([[outsider, id], [outsider, gone], [editor, gone], [editor, randomUUID()], [outsider, randomUUID()]] as const).flatMap(([as, id]) => [
    () => readFolder(server, as, id), ...[{ name: "b" }, { parent_id: null }, { parent_id: id }, { parent_id: randomUUID() }].map((change) => () => updateFolder(server, as, id, change)),
    ...(as === editor ? [] : [() => deleteFolder(server, as, id), () => deleteFolder(server, as, `${id}?recursive=true`), () => restoreFolder(server, as, id)]),
  ]);
  expectSameAnswers(await expectErrors(server, sends, "FOLDER_NOT_FOUND"));
  await expectErrors(server, ["x", "0", `${id}0`].flatMap((id) => [() => readFolder(server, editor, id), () => deleteFolder(server, editor, id), () => restoreFolder(server, editor, id)]), "VALIDATION_ERROR", [badId]);
});
