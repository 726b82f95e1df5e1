// The purge in the built Worker: what has been in the trash long enough is removed for good by an hourly run, in D1 first
// and then in R2, and cannot come back.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { expectError, snapshot } from "./assertions.ts";
import { organizationWithEditor, S3 } from "./fixtures.ts";
import { deleteTree, newAsset, newFolder, outcomeOf } from "./library-requests.ts";
import {
  confirm, deleteAsset, EVERYTHING, NOTHING, once, partsOf, PHOTO, putFile, readAsset, readFolder, readUpload, requestUpload, restoreAsset,
  restoreFolder, startUpload, type Upload,
} from "./requests.ts";
import { type Fault, type Person, type Server, startServer, WITH_FAULTS } from "./server.ts";

const DAY = 86_400_000;
const DAYS = 30;

/** A Worker with this retention, and with calls of the sweeper that end soon. */
const serverWith = (days: number): Server =>
  startServer({ config: WITH_FAULTS, secrets: S3.secrets, vars: { ...S3.vars, SWEEP_TIMEOUT_MS: "3000", DELETED_RETENTION_DAYS: days } });

const NOTHING_PURGED = { level: "info", assets_purged: 0, folders_purged: 0, objects_removed: 0, detail: null };

/** When an asset or a folder was put into the trash. */
async function deletedAt(server: Server, id: string): Promise<number> {
  const [row] = await server.sql("SELECT deleted_at FROM assets WHERE id = ?1 UNION ALL SELECT deleted_at FROM folders WHERE id = ?1", id);
  expect(row?.deleted_at).toEqual(expect.any(Number));
  return row.deleted_at;
}

/** Starts an upload with an Idempotency-Key, sends its file through the signed URL and confirms it with another key. */
async function uploaded(server: Server, editor: Person, key: string): Promise<Upload> {
  const upload = await startUpload(server, editor, {}, { "idempotency-key": `start-${key}` });
  expect(await putFile(upload)).toBe("200");
  expect((await confirm(server, upload.id, { as: editor, headers: { "idempotency-key": `confirm-${key}` } })).status).toBe(201);
  return upload;
}

const retired = (server: Server, id: string) => server.sql("SELECT object_deleted_at, purged_at FROM retired_uploads WHERE id = ?", id);
const folderExists = async (server: Server, id: string) => (await server.sql("SELECT 1 FROM folders WHERE id = ?", id)).length === 1;

/** An upload that was purged can be neither confirmed nor started again, and its asset is unknown. */
async function expectGoneForGood(server: Server, { id }: Pick<Upload, "id">, editor: Person, key: string): Promise<void> {
  const headers = { "idempotency-key": `confirm-${key}` };
  for (const options of [{}, { headers }]) expect(outcomeOf(await confirm(server, id, { as: editor, ...options }))).toBe("404 ASSET_UPLOAD_NOT_FOUND");
  expect(outcomeOf(await readUpload(server, id, editor))).toBe("404 ASSET_UPLOAD_NOT_FOUND");
  const started = await requestUpload(server, PHOTO, { as: editor, headers: { "idempotency-key": `start-${key}` } });
  expect([outcomeOf(started), started.json.errors]).toMatchObject(["422 VALIDATION_ERROR", [{ loc: ["header", "Idempotency-Key"], type: "idempotency_key_reused" }]]);
  expect(outcomeOf(await readAsset(server, id, editor))).toBe("404 ASSET_NOT_FOUND");
  for (const request of [deleteAsset, restoreAsset]) expect(outcomeOf(await request(server, editor, id))).toBe("404 ASSET_NOT_FOUND");
}

describe(`DELETED_RETENTION_DAYS=${DAYS}`, () => {
  const server = serverWith(DAYS);

  test("an asset is purged that long after its deletion, and no sooner; its id never returns", async () => {
    const { editor } = await organizationWithEditor(server);
    const upload = await uploaded(server, editor, "one");
    const { id } = upload;
    expect((await deleteAsset(server, editor, id)).status).toBe(204);
    const due = (await deletedAt(server, id)) + DAYS * DAY;
    expect(await server.sweep(due - 1)).toMatchObject(NOTHING_PURGED);
    expect(await partsOf(server, id)).toEqual(EVERYTHING);

    expect(await server.sweep(due)).toMatchObject({ ...NOTHING_PURGED, assets_purged: 1, objects_removed: 1 });
    expect(await server.sweepCalls()).toEqual([
      "DB.batch(6)", "BUCKET.head(asset-uploads-database-id)", "DB.batch(3)", "DB.batch(4)", "DB.batch(3)",
      "BUCKET.list([object Object])", "DB.batch(3)", "DB.batch(2)", "DB.batch(1)", "BUCKET.delete(1)", "DB.batch(1)",
    ]);
    expect(await partsOf(server, id)).toEqual(NOTHING);
    expect(await retired(server, id)).toEqual([{ object_deleted_at: due, purged_at: due }]);
    await expectGoneForGood(server, upload, editor, "one");
    // Other ids are forgotten a day after their objects were removed.
    for (const days of [1, 2, 40, 4_000]) {
      expect(await server.sweep(due + days * DAY)).toMatchObject(NOTHING_PURGED);
      expect(await retired(server, id)).toHaveLength(1);
      await expectGoneForGood(server, upload, editor, "one");
    }
  });

  test("a file that is sent to the signed URL after the purge is removed by the next run, however often", async () => {
    const { editor } = await organizationWithEditor(server);
    const upload = await uploaded(server, editor, "again");
    await deleteAsset(server, editor, upload.id);
    const due = (await deletedAt(server, upload.id)) + DAYS * DAY;
    // While it is in the trash nothing can be sent there.
    expect(await putFile(upload)).toBe("412 PreconditionFailed");
    expect(await server.sweep(due)).toMatchObject({ assets_purged: 1, objects_removed: 1 });
    for (const hour of [1, 2, 200]) {
      expect(await putFile(upload)).toBe("200");
      expect(await partsOf(server, upload.id)).toEqual({ ...NOTHING, object: true });
      await expectGoneForGood(server, upload, editor, "again");
      const now = due + hour * 3_600_000;
      expect(await server.sweep(now)).toMatchObject({ level: "info", assets_purged: 0, orphans_noted: 0, objects_removed: 1 });
      expect(await partsOf(server, upload.id)).toEqual(NOTHING);
      expect(await retired(server, upload.id)).toEqual([{ object_deleted_at: now, purged_at: due }]);
    }
  });

  test("what was restored is kept, in its folder and out of it", async () => {
    const { org, editor } = await organizationWithEditor(server);
    const folder = await newFolder(server, editor);
    const [alone, inFolder] = [await newAsset(server, org, editor), await newAsset(server, org, editor, folder)];
    await deleteAsset(server, editor, alone);
    await deleteTree(server, editor, folder);
    const due = (await deletedAt(server, alone)) + DAYS * DAY;
    expect(await server.sweep(due - 1)).toMatchObject(NOTHING_PURGED);
    expect((await restoreAsset(server, editor, alone)).status).toBe(201);
    expect((await restoreFolder(server, editor, folder)).status).toBe(201);
    for (const days of [0, 30, 300]) expect(await server.sweep(due + days * DAY)).toMatchObject(NOTHING_PURGED);
    for (const id of [alone, inFolder]) {
      expect(await partsOf(server, id)).toEqual(EVERYTHING);
      expect(outcomeOf(await readAsset(server, id, editor))).toBe("200");
    }
    expect(outcomeOf(await readFolder(server, editor, folder))).toBe("200");
  });

  test("a folder is purged when everything in it is gone", async () => {
    const { org, editor } = await organizationWithEditor(server);
    const outer = await newFolder(server, editor);
    const inner = await newFolder(server, editor, outer);
    const first = await newFolder(server, editor, inner);
    const assets = [await newAsset(server, org, editor, outer), await newAsset(server, org, editor, inner)];
    const firstAssets = [await newAsset(server, org, editor, first), await newAsset(server, org, editor, inner)];
    // The innermost folder goes first, and an asset beside it; then all the rest.
    await deleteTree(server, editor, first);
    await deleteAsset(server, editor, firstAssets[1]!);
    const early = await deletedAt(server, firstAssets[1]!);
    while (Date.now() <= early) continue;
    await deleteTree(server, editor, outer);
    const due = (await deletedAt(server, outer)) + DAYS * DAY;

    expect(await server.sweep(early + DAYS * DAY)).toMatchObject({ ...NOTHING_PURGED, assets_purged: 2, folders_purged: 1, objects_removed: 2 });
    for (const id of firstAssets) expect(await partsOf(server, id)).toEqual(NOTHING);
    for (const id of assets) expect(await partsOf(server, id)).toEqual(EVERYTHING);
    expect([await folderExists(server, first), await folderExists(server, inner), await folderExists(server, outer)]).toEqual([false, true, true]);
    expect(await server.sweep(due)).toMatchObject({ ...NOTHING_PURGED, assets_purged: 2, folders_purged: 2, objects_removed: 2 });
    for (const id of assets) expect(await partsOf(server, id)).toEqual(NOTHING);
    for (const id of [outer, inner, first]) {
      expect(await folderExists(server, id)).toBe(false);
      for (const request of [readFolder, deleteTree, restoreFolder]) expect(outcomeOf(await request(server, editor, id))).toBe("404 FOLDER_NOT_FOUND");
    }
  });

  test("a run that comes late purges all of it, the innermost first", async () => {
    const { org, editor } = await organizationWithEditor(server);
    // Each in the one before it. Each was deleted itself, so that each is a purge of its own.
    const folders: string[] = [];
    for (let i = 0; i < 5; i++) folders.push(await newFolder(server, editor, folders.at(-1)));
    const assets: string[] = [];
    for (const folder of folders) assets.push(await newAsset(server, org, editor, folder));
    await deleteAsset(server, editor, assets[0]!);
    for (const folder of folders.toReversed()) expect((await deleteTree(server, editor, folder)).status).toBe(204);
    const due = (await deletedAt(server, folders[0]!)) + DAYS * DAY;
    // Only one round is certain to fit into a run.
    let purged = 0;
    for (let hour = 0; hour < 5; hour++) purged += (await server.sweep(due + hour * 3_600_000)).folders_purged;
    expect(purged).toBe(5);
    for (const id of assets) expect(await partsOf(server, id)).toEqual(NOTHING);
    expect(await server.sql("SELECT * FROM folders WHERE org_id = ?", org)).toEqual([]);
  });

  test("a run purges thousands with fewer statements than D1 permits, and the next one goes on", async () => {
    const { org, editor } = await organizationWithEditor(server);
    const folder = await newFolder(server, editor);
    // 100 of them go with their folder.
    await server.sql(
      `INSERT INTO assets (id, org_id, folder_id, name, r2_key, mime_type, size_bytes, asset_type, source_type, source_id, etag, confirmation_key,
         created_by, created_at, updated_at, deleted_at)
       WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 15999), ids AS (SELECT i, printf('018f4d2e-0000-7000-8000-%012x', i) AS id FROM n)
       SELECT id, ?1, CASE WHEN i < 100 THEN ?3 END, 'x', 'uploads/' || id, 'image/png', 1, 'image', 'upload', id, 'etag', '', ?2, 0, 0, CASE WHEN i >= 100 THEN 1 END FROM ids`,
      org, editor.userId, folder,
    );
    await deleteTree(server, editor, folder);
    const due = (await deletedAt(server, folder)) + DAYS * DAY;
    const total = { assets_purged: 0, folders_purged: 0, objects_removed: 0 };
    for (let hour = 0; hour < 3; hour++) {
      const line = await server.sweep(due + hour * 3_600_000);
      expect(line).toMatchObject({ level: "info", detail: null });
      const statements = (await server.sweepCalls()).map((call) => Number(/^DB.batch\((\d+)\)$/.exec(call)?.[1] ?? 0));
      expect(statements.reduce((sum, n) => sum + n)).toBeLessThanOrEqual(50);
      if (hour === 0) expect([line.assets_purged >= 5_000, line.assets_purged < 16_000]).toEqual([true, true]);
      for (const name of ["assets_purged", "folders_purged", "objects_removed"] as const) total[name] += line[name];
    }
    expect(total).toEqual({ assets_purged: 16_000, folders_purged: 1, objects_removed: 16_000 });
    expect(await server.sql("SELECT 1 FROM assets WHERE org_id = ?", org)).toEqual([]);
  }, 60_000);

  const overloaded = { message: "D1_ERROR: D1 DB is overloaded." };
  // The third transaction purges assets, the fourth folders.
  test.each<[string, Fault[]]>([
    ["R2 does not delete", [{ call: "BUCKET.delete", how: "throw", message: "never again (10043)" }]],
    ["R2 never answers a deletion", [{ call: "BUCKET.delete", how: "hang" }]],
    ["R2 deletes and its answers are lost", [{ call: "BUCKET.delete", how: "throw after", message: "lost (10020)" }]],
    ["R2 does not list", [{ call: "BUCKET.list", how: "throw", message: "never again (10043)" }]],
    ["D1 fails when assets are purged", [3, 4, 5].map((nth): Fault => ({ call: "DB.batch", nth, how: "throw", ...overloaded }))],
    ["D1's answer is lost when assets are purged", [{ call: "DB.batch", nth: 3, how: "hang after" }]],
    ["D1's answer is lost when folders are purged", [{ call: "DB.batch", nth: 4, how: "hang after" }]],
    ["D1 forgets which objects were removed", [{ call: "DB.batch", nth: 8, how: "hang" }]],
  ])("when %s, the log says so, and the next runs do the rest", async (name, faults) => {
    const { org, editor } = await organizationWithEditor(server);
    const upload = await uploaded(server, editor, name.replaceAll(/\W/g, "-"));
    const folder = await newFolder(server, editor);
    const inFolder = await newAsset(server, org, editor, folder);
    const kept = await newAsset(server, org, editor);
    await deleteAsset(server, editor, upload.id);
    await deleteTree(server, editor, folder);
    const due = (await deletedAt(server, folder)) + DAYS * DAY;
    expect(await server.sweep(due, faults)).toMatchObject({ level: "error", detail: expect.stringMatching(/^(D1: |R2: |\d removals failed: R2: )/) });
    for (const id of [upload.id, inFolder]) {
      const parts = await partsOf(server, id);
      // An object goes only after its asset, and the asset and its session go together.
      expect(parts.session).toBe(parts.asset);
      if (parts.asset) expect(parts.object).toBe(true);
      expect(await retired(server, id)).toHaveLength(parts.asset ? 0 : 1);
      if (!parts.asset) expect(outcomeOf(await restoreAsset(server, editor, id))).toBe("404 ASSET_NOT_FOUND");
    }
    // An object that was not removed is set aside for a day.
    const next = await server.sweep(due + DAY);
    expect(next).toMatchObject({ level: "info", detail: null });
    for (const id of [upload.id, inFolder]) expect(await partsOf(server, id)).toEqual(NOTHING);
    expect(await folderExists(server, folder)).toBe(false);
    expect(await partsOf(server, kept)).toEqual(EVERYTHING);
    await expectGoneForGood(server, upload, editor, name.replaceAll(/\W/g, "-"));
  }, 60_000);
});

describe("DELETED_RETENTION_DAYS=0", () => {
  const server = serverWith(0);

  test("the next run purges what is in the trash", async () => {
    const { org, editor } = await organizationWithEditor(server);
    const upload = await uploaded(server, editor, "zero");
    const folder = await newFolder(server, editor);
    const [inFolder, kept] = [await newAsset(server, org, editor, folder), await newAsset(server, org, editor)];
    await deleteAsset(server, editor, upload.id);
    await deleteTree(server, editor, folder);
    expect(await server.sweep(Date.now())).toMatchObject({ ...NOTHING_PURGED, assets_purged: 2, folders_purged: 1, objects_removed: 2 });
    for (const id of [upload.id, inFolder]) expect(await partsOf(server, id)).toEqual(NOTHING);
    expect(await folderExists(server, folder)).toBe(false);
    expect(await partsOf(server, kept)).toEqual(EVERYTHING);
    await expectGoneForGood(server, upload, editor, "zero");
    // The signed URL is good for 15 minutes.
    expect(await putFile(upload)).toBe("200");
    expect(await server.sweep(Date.now())).toMatchObject({ assets_purged: 0, objects_removed: 1 });
    expect(await partsOf(server, upload.id)).toEqual(NOTHING);
  });
});

describe.each(["-1", "3651", "1.5", "30 days"])("DELETED_RETENTION_DAYS=%s is invalid", (value) => {
  const server = startServer({ vars: { DELETED_RETENTION_DAYS: value } });

  test("every request is 500, the sweeper changes nothing, and their log lines name the variable", async () => {
    const answer = await expectError(server, () => server.request("GET", `/v1/assets/${randomUUID()}`), "INTERNAL_ERROR");
    expect(await server.logsOf(answer)).toMatchObject([{ level: "error", detail: expect.stringContaining("DELETED_RETENTION_DAYS") }]);
    const before = await snapshot(server);
    const line = await server.sweep(Date.now() + 1e10);
    expect(line).toMatchObject({ level: "error", detail: expect.stringContaining("DELETED_RETENTION_DAYS") });
    expect(await snapshot(server)).toEqual(before);
  });
});
