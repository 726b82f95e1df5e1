// Folders in the trash: what a deletion takes along, and how a restoration undoes it whole.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { COMMON_HEADERS, expectError, expectErrors, expectNoChange, fieldError, headersOf, MUST_BE_UUID, unknownField } from "./assertions.ts";
import { createAssets, createFolder, createPerson, createUpload, organizationWithEditor } from "./fixtures.ts";
import { confirm, deleteAsset, deleteFolder, listAssets, listFolders, makeFolder, readAsset, readFolder, restoreAsset, restoreFolder, updateFolder } from "./requests.ts";
import { type Answer, type Person, startServer, wait } from "./server.ts";

const server = startServer();
const { "content-type": _, ...WITHOUT_BODY } = COMMON_HEADERS;
const badId = fieldError(["path", "folder_id"], "uuid_parsing", MUST_BE_UUID);

const rowOf = async (id: string) => (await server.sql("SELECT * FROM folders WHERE id = ?", id))[0];
/** All rows of the organization's folders and assets. */
/** Its folders and assets; the times of its events are the matter of webhook-events.spec.ts. */
async function library(org: string) {
  const stored = await server.storage([["SELECT * FROM folders WHERE org_id = ? ORDER BY id", org], ["SELECT * FROM assets WHERE org_id = ? ORDER BY id", org]]);
  for (const row of stored.rows[1]!) delete row.event_at;
  return stored;
}
const deleteAll = (as: Person, id: string) => deleteFolder(server, as, `${id}?recursive=true`);
const location = (id: string) => ({ ...COMMON_HEADERS, location: `/v1/asset-folders/${id}` });

function expectEmpty(answer: Answer): void {
  expect([answer.status, answer.text, headersOf(answer)]).toEqual([204, "", WITHOUT_BODY]);
}
/** The names that the lists show, in the trash or not. */
async function shown(as: Person, query = ""): Promise<string[]> {
  const [folders, assets] = [await listFolders(server, as, `?limit=500${query}`), await listAssets(server, as, `?limit=500${query}`)];
  return [...folders.json.items, ...assets.json.items].map(({ name }: any) => name).sort();
}

/** A tree: `a` holds an asset and `b`, which holds an asset and `c`, which holds one; `z` is beside it, with an asset. */
async function tree() {
  const { org, editor } = await organizationWithEditor(server);
  const a = await createFolder(server, org, editor, { name: "a" });
  const b = await createFolder(server, org, editor, { name: "b", parent_id: a });
  const c = await createFolder(server, org, editor, { name: "c", parent_id: b });
  const z = await createFolder(server, org, editor, { name: "z" });
  const [inA, inB, inC, inZ, inNone] = (await createAssets(server, org, editor, [a, b, c, z, null].map((folder_id, n) => ({ name: `${"abcz-"[n]}.png`, folder_id })))) as [string, string, string, string, string];
  return { org, editor, a, b, c, z, inA, inB, inC, inZ, inNone };
}
const EVERYTHING = ["-.png", "a", "a.png", "b", "b.png", "c", "c.png", "z", "z.png"];

describe("DELETE", () => {
  test("of an empty folder is 204, also when it is repeated, which changes nothing; it is in the trash", async () => {
    const { org, editor } = await organizationWithEditor(server);
    const [id, colleague] = [await createFolder(server, org, editor), await createPerson(server, { [org]: "admin" })];
    const [before, begun] = [await rowOf(id), Date.now()];
    expectEmpty(await deleteFolder(server, editor, id));
    const after = await rowOf(id);
    expect(after).toEqual({ ...before, deleted_at: after.deleted_at });
    expect(Math.abs(after.deleted_at - begun)).toBeLessThan(5_000);
    await wait(2);
    for (const query of ["", "?recursive=true", "?recursive=false"]) {
      for (const as of [editor, colleague]) expectEmpty(await expectNoChange(server, () => deleteFolder(server, as, id + query)));
    }
    await expectError(server, () => readFolder(server, editor, id), "FOLDER_NOT_FOUND");
    expect((await listFolders(server, editor)).json.items).toEqual([]);
    expect((await listFolders(server, editor, "?deleted=true")).json.items).toMatchObject([{ id, deleted_at: new Date(after.deleted_at).toISOString() }]);
  });

  test("of a folder that holds a folder or an asset is FOLDER_NOT_EMPTY without recursive=true; what is in the trash does not count", async () => {
    const { editor, a, c, z, inC, inZ } = await tree();
    await expectErrors(server, [a, c, z].flatMap((id) => ["", "?recursive=false"].map((query) => () => deleteFolder(server, editor, id + query))), "FOLDER_NOT_EMPTY");
    expect((await deleteAsset(server, editor, inZ)).status).toBe(204);
    expectEmpty(await deleteFolder(server, editor, z));
    expect((await deleteAsset(server, editor, inC)).status).toBe(204);
    expectEmpty(await deleteFolder(server, editor, c));
  });

  test("with recursive=true takes along everything beneath that is not in the trash, and nothing else", async () => {
    const { org, editor, a, b, c, inA, inB, inC } = await tree();
    const colleague = await createPerson(server, { [org]: "editor" });
    expect((await deleteAsset(server, editor, inA)).status).toBe(204);
    const before = await library(org);
    await wait(2);
    expectEmpty(await deleteAll(colleague, a));
    const deleted_at = (await rowOf(a)).deleted_at;
    const taken = { deleted_at, deleted_with: a };
    const expected = (rows: any[], ids: string[], change: object) => rows.map((row) => (ids.includes(row.id) ? { ...row, ...change } : row.id === a ? { ...row, deleted_at } : row));
    expect((await library(org)).rows).toEqual([
      expected(before.rows[0]!, [b, c], taken),
      expected(before.rows[1]!, [inB, inC], { ...taken, deleted_by: colleague.userId }),
    ]);
    expect([await shown(editor), await shown(editor, "&deleted=true")]).toEqual([["-.png", "z", "z.png"], ["a", "a.png", "b", "b.png", "c", "c.png"]]);
    for (const id of [a, b, c]) expectEmpty(await expectNoChange(server, () => deleteAll(editor, id)));
    await expectErrors(server, [b, c].map((id) => () => readFolder(server, editor, id)), "FOLDER_NOT_FOUND");
    await expectErrors(server, [inA, inB, inC].map((id) => () => readAsset(server, id, editor)), "ASSET_NOT_FOUND");
    // Nothing can be put there any more.
    const upload = await createUpload(server, org, editor);
    await expectErrors(server, [() => makeFolder(server, editor, { name: "new", parent_id: b }), () => confirm(server, upload, { as: editor, body: JSON.stringify({ folder_id: c }) })], "FOLDER_NOT_FOUND");
  });

  test.each([
    ["assets", 1, 4_999], ["folders", 4_999, 1], ["both", 2_500, 2_500],
  ])("takes exactly 5,000 folders and assets along, and with one more is FOLDER_TOO_LARGE and changes nothing: mostly %s", async (_, folders, assets) => {
    const { org, editor } = await organizationWithEditor(server);
    const top = await createFolder(server, org, editor, { name: "top" });
    const inner = await createFolder(server, org, editor, { name: "inner", parent_id: top });
    await server.sql(
      `WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
       INSERT INTO folders (id, org_id, parent_id, name, created_by, created_at, updated_at)
       SELECT printf('%s%08d', ?4, i), ?2, ?3, i, ?5, 0, 0 FROM n WHERE i <= ?1`, folders, org, inner, randomUUID().slice(0, -8), editor.userId,
    );
    await createAssets(server, org, editor, Array.from({ length: assets }, (_, n) => ({ folder_id: n % 2 ? top : inner, name: `${n}` })));
    // What is in the trash does not count.
    await createAssets(server, org, editor, [{ folder_id: inner, deleted_at: 1 }]);
    await createFolder(server, org, editor, { parent_id: inner, deleted_at: 1 });
    for (const more of [async () => (await createAssets(server, org, editor, [{ folder_id: inner }]))[0]!, () => createFolder(server, org, editor, { parent_id: inner })]) {
      const id = await more();
      const before = await library(org);
      const answer = await deleteAll(editor, top);
      expect([answer.status, answer.json.code, answer.json.errors]).toEqual([409, "FOLDER_TOO_LARGE", null]);
      expect(await library(org)).toEqual(before);
      await server.sql("DELETE FROM assets WHERE id = ?", id);
      await server.sql("DELETE FROM folders WHERE id = ?", id);
    }
    const before = await library(org);
    expectEmpty(await deleteAll(editor, top));
    const left = async (table: string) => (await server.sql(`SELECT count(*) AS n FROM ${table} WHERE org_id = ? AND deleted_at IS NULL`, org))[0].n;
    expect([await left("folders"), await left("assets")]).toEqual([0, 0]);
    expect((await restoreFolder(server, editor, top)).status).toBe(201);
    expect(await library(org)).toEqual(before);
  }, 120_000);

  test("rule 10: recursive is true or false, and nothing else is there", async () => {
    const { editor, a } = await tree();
    const flag = fieldError(["query", "recursive"], "bool_parsing", "Must be true or false.");
    const unknown = fieldError(["query", "x"], "extra_forbidden", "There is no such parameter here; leave it out.");
    const repeated = fieldError(["query", "recursive"], "duplicate_parameter", "Stands more than once; send it once.");
    await expectErrors(server, ["", "1", "True", "yes"].map((value) => () => deleteFolder(server, editor, `${a}?recursive=${value}`)), "VALIDATION_ERROR", [flag]);
    await expectError(server, () => deleteFolder(server, editor, `${a}?recursive=true&recursive=true`), "VALIDATION_ERROR", [repeated]);
    await expectError(server, () => deleteFolder(server, editor, `x?x=1&recursive=`), "VALIDATION_ERROR", [badId, flag, unknown]);
  });
});

describe("a restoration", () => {
  test("undoes a deletion whole, whichever of its folders is named: 201 with that folder and Location; a repeat is the same", async () => {
    const { org, editor, a, b, c } = await tree();
    const before = await library(org);
    for (const [id, body] of [[a, undefined], [b, {}], [c, undefined]] as const) {
      const { path: _, ...folder } = (await readFolder(server, editor, id)).json;
      expectEmpty(await deleteAll(editor, a));
      const answer = await restoreFolder(server, editor, id, body);
      expect([answer.status, answer.json, headersOf(answer)]).toEqual([201, folder, location(id)]);
      expect(await library(org)).toEqual(before);
      const repeat = await expectNoChange(server, () => restoreFolder(server, editor, id, body));
      expect([repeat.status, repeat.json, headersOf(repeat)]).toEqual([201, folder, location(id)]);
    }
    expect([await shown(editor), await shown(editor, "&deleted=true")]).toEqual([EVERYTHING, []]);
  });

  test("leaves in the trash what was there before: that comes back by itself, into its folder", async () => {
    const { org, editor, a, b, c, inA } = await tree();
    const before = await library(org);
    expectEmpty(await deleteAll(editor, b));
    expect((await deleteAsset(server, editor, inA)).status).toBe(204);
    expectEmpty(await deleteAll(editor, a));
    expect((await restoreFolder(server, editor, a)).status).toBe(201);
    expect([await shown(editor), await shown(editor, "&deleted=true")]).toEqual([["-.png", "a", "z", "z.png"], ["a.png", "b", "b.png", "c", "c.png"]]);
    // The folder that went with `b` stands for it.
    expect((await restoreFolder(server, editor, c)).json).toMatchObject({ id: c, parent_id: b, deleted_at: null });
    expect((await restoreAsset(server, editor, inA)).json.folder_id).toBe(a);
    expect(await library(org)).toEqual(before);
  });

  test("leaves alone what was restored or deleted by itself meanwhile, and what has come to lie beside it", async () => {
    const { editor, a, b, inB, inC } = await tree();
    expectEmpty(await deleteAll(editor, a));
    expect((await restoreAsset(server, editor, inC)).json.folder_id).toBeNull();
    expect((await restoreAsset(server, editor, inB)).json.folder_id).toBeNull();
    expect((await deleteAsset(server, editor, inB)).status).toBe(204);
    expect((await restoreFolder(server, editor, b)).status).toBe(201);
    expect(await shown(editor)).toEqual(EVERYTHING.filter((name) => name !== "b.png"));
    expect((await readAsset(server, inC, editor)).json.folder_id).toBeNull();
  });

  test("goes under no parent if its parent is gone, and stays there", async () => {
    const { editor, a, b, c } = await tree();
    expectEmpty(await deleteAll(editor, b));
    expectEmpty(await deleteAll(editor, a));
    expect((await restoreFolder(server, editor, c)).json).toMatchObject({ id: c, parent_id: b });
    expect((await readFolder(server, editor, c)).json.path).toEqual([{ id: b, name: "b" }]);
    expect((await restoreFolder(server, editor, a)).status).toBe(201);
    expect((await readFolder(server, editor, b)).json).toMatchObject({ parent_id: null, path: [] });
    expect(await shown(editor)).toEqual(EVERYTHING);
  });

  test("is FOLDER_NAME_TAKEN, and changes nothing, while a sibling has its name; whichever of its folders is named", async () => {
    const { editor, a, b, c } = await tree();
    expectEmpty(await deleteAll(editor, b));
    const { json } = await makeFolder(server, editor, { name: "B", parent_id: a });
    await expectErrors(server, [b, c, b].map((id) => () => restoreFolder(server, editor, id)), "FOLDER_NAME_TAKEN");
    expect((await updateFolder(server, editor, json.id, { name: "other" })).status).toBe(200);
    expect((await restoreFolder(server, editor, c)).status).toBe(201);
    // The same at the top, where it goes if its parent is gone.
    expectEmpty(await deleteAll(editor, b));
    expectEmpty(await deleteAll(editor, a));
    const top = await makeFolder(server, editor, { name: "b" });
    await expectErrors(server, [b, c].map((id) => () => restoreFolder(server, editor, id)), "FOLDER_NAME_TAKEN");
    expectEmpty(await deleteFolder(server, editor, top.json.id));
    expect((await restoreFolder(server, editor, b)).json.parent_id).toBeNull();
  });

  test("is 422 where the folders would be more than 32 deep by now", async () => {
    const { org, editor, a, b, c } = await tree();
    expectEmpty(await deleteAll(editor, b));
    let parent: string | null = null;
    for (let n = 0; n < 30; n++) parent = await createFolder(server, org, editor, { parent_id: parent });
    expect((await updateFolder(server, editor, a, { parent_id: parent })).status).toBe(200);
    const tooDeep = fieldError(["path", "folder_id"], "folder_too_deep", "Folders can be at most 32 deep.");
    await expectErrors(server, [b, c].map((id) => () => restoreFolder(server, editor, id)), "VALIDATION_ERROR", [tooDeep]);
    expect((await updateFolder(server, editor, a, { parent_id: null })).status).toBe(200);
    expect((await restoreFolder(server, editor, b)).status).toBe(201);
  });

  test("rules 9 and 10: a body is none or {}", async () => {
    const { editor, a } = await tree();
    expectEmpty(await deleteAll(editor, a));
    const send = (body: string | undefined, headers = {}, id = a) => () => server.request("POST", `/v1/asset-folders/${id}/restorations`, { as: editor, ...(body === undefined ? {} : { body }), headers });
    await expectErrors(server, [...["[]", "null", "{", " "].map((body) => send(body)), send("{}", { "content-type": "text/plain" })], "BAD_REQUEST");
    await expectError(server, send('{"parent_id": null}', {}, "x"), "VALIDATION_ERROR", [unknownField("parent_id"), badId]);
    for (const body of ["", " {\n} ", undefined]) {
      expect((await send(body)()).status).toBe(201);
      expectEmpty(await deleteAll(editor, a));
    }
  });

  test("another organization's folders are as if they were not there, to deletions and restorations, too", async () => {
    const { a, b } = await tree();
    const { editor: outsider } = await organizationWithEditor(server);
    const sends = (id: string) => [() => deleteFolder(server, outsider, id), () => deleteAll(outsider, id), () => restoreFolder(server, outsider, id), () => restoreFolder(server, outsider, id, {})];
    await expectErrors(server, [a, b, randomUUID()].flatMap(sends), "FOLDER_NOT_FOUND");
    await server.sql("UPDATE folders SET deleted_at = 1 WHERE id = ?", a);
    await server.sql("UPDATE folders SET deleted_at = 1, deleted_with = ? WHERE id = ?", a, b);
    await expectErrors(server, [a, b].flatMap(sends), "FOLDER_NOT_FOUND");
  });
});
