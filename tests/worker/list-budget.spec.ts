// What requests cost in an organization of 1,000,000 assets and 100,000 folders: the rows that D1 bills for a page of a
// list, at any depth, and for what changes assets and folders.
import { crc32 } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { createUpload, organizationWithEditor } from "./fixtures.ts";
import { deleteTree, newAsset, newFolder } from "./library-requests.ts";
import { confirm, deleteAsset, makeFolder, readFolder, restoreAsset, restoreFolder, updateAsset, updateFolder } from "./requests.ts";
import { type Answer, type Person, startServer, WITH_FAULTS } from "./server.ts";
import type { Statement } from "./storage-worker.ts";

const server = startServer({ config: WITH_FAULTS });

const ASSETS = 1_000_000;
const FOLDERS = 100_000;
/** Each eleventh row is in the trash, beside the others. */
const IN_TRASH = 11;
const withTrash = (count: number) => (count / (IN_TRASH - 1)) * IN_TRASH;

const assetId = (i: number) => `018f4d2e-0000-7000-8000-${i.toString(16).padStart(12, "0")}`;
const folderId = (i: number) => `018f4d2e-0000-7000-9000-${i.toString(16).padStart(12, "0")}`;
const userId = (i: number) => `018f4d2e-0000-7000-a000-${i.toString(16).padStart(12, "0")}`;
const START = Date.parse("2026-01-01T00:00:00Z");
/** When the i-th row was made: four at a time. */
const createdAt = (i: number) => new Date(START + Math.floor(i / 4) * 1000).toISOString();

/** Half of all assets are in BIG, one of 64 in SMALL, and more than a third in none. */
const [BIG, SMALL] = [folderId(1), folderId(2)];
/** A page of 500 assets by time has as many creators. */
const USERS = 1_009;
/** Made three of the assets in SMALL: at its beginning, in its middle and at its end. */
const RARE_USER = userId(USERS);
const RARE = [64, 550_016, 1_099_968];

let org: string;
let editor: Person;

/** Rows `i` from 0 to before `count`, in statements of at most 250,000. */
function fill(into: string, count: number, select: string): Statement[] {
  const statements: Statement[] = [];
  for (let from = 0; from < count; from += 250_000) {
    const rows = `WITH RECURSIVE n (i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ${Math.min(count, from + 250_000)})`;
    statements.push([`INSERT INTO ${into} ${rows} ${select}`]);
  }
  return statements;
}

/** Adds rows to a table without its indexes, which are made anew at the end: a fifth of the time. */
async function fillWithoutIndexes(table: string, statements: Statement[]): Promise<void> {
  const indexes = await server.sql("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?", table);
  for (const { name } of indexes) await server.sql(`DROP INDEX ${name}`);
  for (const statement of statements) await server.sql(...statement);
  for (const { sql } of indexes) await server.sql(sql);
}

beforeAll(async () => {
  ({ org, editor } = await organizationWithEditor(server));
  const id = (kind: string, i = "i") => `printf('018f4d2e-0000-7000-${kind}-%012x', ${i})`;
  const time = `${START} + i / 4 * 1000`;
  for (const statement of fill("users (id, email, created_at)", USERS + 1, `SELECT ${id("a000")}, i, 0 FROM n`)) await server.sql(...statement);
  await fillWithoutIndexes("folders", fill(
    "folders (id, org_id, parent_id, name, created_by, created_at, updated_at, deleted_at)", withTrash(FOLDERS),
    `SELECT ${id("9000")}, '${org}', CASE WHEN i > 9 AND i % 2 THEN '${BIG}' END, printf('%s %06d', CASE WHEN i % 3 THEN 'Folder' ELSE 'folder' END, i * 7919 % 110017),
       '${editor.userId}', ${time}, 0, CASE WHEN i % ${IN_TRASH} = 0 THEN 1 END FROM n`,
  ));
  await fillWithoutIndexes("assets", fill(
    `assets (id, org_id, folder_id, name, r2_key, mime_type, size_bytes, asset_type, source_type, source_id, etag,
       confirmation_key, created_by, created_at, updated_at, deleted_at)`, withTrash(ASSETS),
    `SELECT ${id("8000")}, '${org}', CASE WHEN i % 2 THEN '${BIG}' WHEN i % 64 = 0 THEN '${SMALL}' WHEN i % 8 = 4 THEN '${folderId(3)}' END,
       CASE WHEN i % 1000 = 0 THEN 'Zebra' WHEN i % 3 THEN printf('File %06d', i * 7919 % 366667) ELSE printf('FILE %06d', i * 7919 % 366667) END,
       'uploads/' || ${id("8000")}, CASE i % 5 WHEN 3 THEN 'video/mp4' WHEN 4 THEN 'application/pdf' ELSE 'image/png' END, 1,
       CASE i % 5 WHEN 3 THEN 'video' WHEN 4 THEN 'document' ELSE 'image' END, 'upload', ${id("8000")}, 'etag', '',
       CASE WHEN i IN (${RARE}) THEN '${RARE_USER}' ELSE ${id("a000", `i * 7919 % ${USERS}`)} END, ${time}, 0, CASE WHEN i % ${IN_TRASH} = 0 THEN 1 END
     FROM n`,
  ));
  expect(await server.sql("SELECT count(*) - count(deleted_at) AS n, count(deleted_at) AS deleted FROM assets")).toEqual([{ n: ASSETS, deleted: ASSETS / 10 }]);
}, 240_000);

type Filters = Record<string, string>;
/** A list, a field to sort by, filters, and the rows that these select. */
type Pair = [list: "assets" | "folders", sort: "created_at" | "name", filters: Filters, where: string];
type Row = { id: string; key: string | number };

const PATHS = { assets: "/v1/assets", folders: "/v1/asset-folders" };

const page = (list: Pair[0], query: Record<string, string | number>): Promise<Answer> =>
  server.request("GET", `${PATHS[list]}?${new URLSearchParams(query as Record<string, string>)}`, { as: editor });

/** A cursor as src/http/page.rs describes it, so that a test need not walk to where it points. */
function cursor([list, sort, filters]: Pair, direction: string, above: boolean, { id, key }: Row): string {
  const sorted = Object.entries(filters).map(([name, value]) => `${name}=${value}\n`).sort();
  const payload = JSON.stringify([org, id, above, key]);
  const checksum = crc32(`${list}\n${sort}:${direction}\n${sorted.join("")}${payload}`);
  return checksum.toString(16).padStart(8, "0") + Buffer.from(payload).toString("hex");
}

const LIVE = "deleted_at IS NULL";
/** A condition that SQLite finds in an index, here as in the Worker. */
const indexed = (condition: string) => `likelihood(${condition}, 0.0001) AND ${LIVE}`;
const at = (time: string) => Date.parse(time);
const [FROM, BEFORE] = [createdAt(1_000), createdAt(1_090_000)];
const PROMISED: Pair[] = [
  ["assets", "created_at", {}, LIVE],
  ["assets", "created_at", { folder_id: BIG }, indexed(`folder_id = '${BIG}'`)],
  ["assets", "created_at", { folder_id: "none" }, indexed("folder_id IS NULL")],
  ["assets", "created_at", { asset_type: "image" }, indexed("asset_type = 'image'")],
  ["assets", "created_at", { created_from: FROM }, `created_at >= ${at(FROM)} AND ${LIVE}`],
  ["assets", "created_at", { created_before: BEFORE }, `created_at < ${at(BEFORE)} AND ${LIVE}`],
  ["assets", "created_at", { created_from: FROM, created_before: BEFORE }, `created_at >= ${at(FROM)} AND created_at < ${at(BEFORE)} AND ${LIVE}`],
  ["assets", "created_at", { deleted: "true" }, "deleted_at IS NOT NULL"],
  ["assets", "name", {}, LIVE],
  ["assets", "name", { folder_id: BIG }, indexed(`folder_id = '${BIG}'`)],
  ["assets", "name", { folder_id: "none" }, indexed("folder_id IS NULL")],
  ["assets", "name", { name_prefix: "fILE 1" }, `name >= 'file 1' AND name < 'file 2' AND ${LIVE}`],
  ["assets", "name", { deleted: "true" }, "deleted_at IS NOT NULL"],
  ...(["created_at", "name"] as const).flatMap((sort): Pair[] => [
    ["folders", sort, {}, LIVE],
    ["folders", sort, { parent_id: BIG }, indexed(`parent_id = '${BIG}'`)],
    ["folders", sort, { parent_id: "none" }, indexed("parent_id IS NULL")],
    ["folders", sort, { deleted: "true" }, "deleted_at IS NOT NULL"],
  ]),
];

/** The rows around a place `depth` rows after the beginning. */
async function rowsAround([list, sort, , where]: Pair, direction: string, depth: number, limit: number): Promise<{ before: Row[]; after: Row[] }> {
  const rows: Row[] = await server.sql(
    `SELECT id, ${sort} AS key FROM ${list} WHERE org_id = '${org}' AND ${where} ORDER BY ${sort} ${direction}, id ${direction}
     LIMIT ${2 * limit} OFFSET ${depth - limit}`,
  );
  expect(rows).toHaveLength(2 * limit);
  return { before: rows.slice(0, limit), after: rows.slice(limit) };
}

const idsOf = ({ json }: Answer): string[] => json.items.map(({ id }: Row) => id);

describe("a page reads at most 2 x limit + 60 rows", { timeout: 60_000 }, () => {
  test.each(PROMISED)("of %s by %s with %j", async (...pair) => {
    const [list, sort, filters, where] = pair;
    const [{ n }] = await server.sql(`SELECT count(*) AS n FROM ${list} WHERE org_id = '${org}' AND ${where}`);
    for (const direction of ["asc", "desc"]) {
      const ascending = direction === "asc";
      for (const limit of [1, 50, 500]) {
        const { before, after } = await rowsAround(pair, direction, Math.min(9_999 * limit, n - limit), limit);
        // Directly behind the last row of the page before, and before the first of the one behind.
        const next = cursor(pair, direction, ascending, before.at(-1)!);
        const prev = cursor(pair, direction, !ascending, after[0]!);
        // The users are read beside the rest, so that without them it is less.
        const embed: Filters = list === "assets" ? { embed: "created_by_user" } : {};
        const query = { ...filters, ...embed, limit, sort_by: `${sort}:${direction}` };
        const first = await page(list, query);
        const deep = await page(list, { ...query, pq: next });
        const back = await page(list, { ...query, pq: prev, from_prev: "true" });
        const last = await page(list, { ...query, from_prev: "true" });
        for (const [name, { status, json, rowsBilled }] of Object.entries({ first, deep, back, last })) {
          const which = `${name} page of ${limit}, ${direction}`;
          expect([which, status, json.items.length]).toEqual([which, 200, limit]);
          expect(rowsBilled.rows_read, which).toBeLessThanOrEqual(2 * limit + 60);
        }
        expect([first.json.prev_pq, last.json.next_pq]).toEqual([null, null]);
        expect(idsOf(deep)).toEqual(after.map(({ id }) => id));
        expect(idsOf(back)).toEqual(before.map(({ id }) => id));
        expect([deep.json.prev_pq, back.json.next_pq]).toEqual([prev, next]);
      }
    }
  });
});

/** Walks from one end of a list to the other: the ids in the list's order. */
async function walk(list: Pair[0], query: Record<string, string>): Promise<string[]> {
  const pages: string[][] = [];
  const backward = query.from_prev === "true";
  for (let pq: string | undefined; pq !== null; ) {
    const answer: Answer = await page(list, { ...query, ...(pq === undefined ? {} : { pq }) });
    expect(answer.status).toBe(200);
    expect(answer.rowsBilled.rows_read).toBeLessThanOrEqual(5_000);
    pages.push(idsOf(answer));
    pq = backward ? answer.json.prev_pq : answer.json.next_pq;
  }
  return (backward ? pages.reverse() : pages).flat();
}

describe("with other filters a page reads at most 5,000 rows", { timeout: 60_000 }, () => {
  const unknown = userId(USERS + 1);
  const inSmall = indexed(`folder_id = '${SMALL}'`);
  const zebras = "name = 'zebra'";
  const [from, before] = [createdAt(500_000), createdAt(500_400)];
  const within = `created_at >= ${at(from)} AND created_at < ${at(before)}`;

  test.each<[...Pair, direction: string]>([
    ["assets", "created_at", { created_by: RARE_USER, folder_id: SMALL }, `created_by = '${RARE_USER}' AND ${inSmall}`, "desc"],
    ["assets", "name", { created_by: RARE_USER, folder_id: SMALL }, `created_by = '${RARE_USER}' AND ${inSmall}`, "asc"],
    ["assets", "created_at", { created_by: unknown, deleted: "true", created_before: createdAt(300_000) }, "false", "asc"],
    ["assets", "created_at", { mime_type: "text/*", folder_id: SMALL }, "false", "desc"],
    ["assets", "name", { mime_type: "application/pdf", name_prefix: "file 091" }, `mime_type = 'application/pdf' AND name >= 'file 091' AND name < 'file 092' AND ${LIVE}`, "desc"],
    ["assets", "created_at", { name_prefix: "zEB", folder_id: SMALL }, `${zebras} AND ${inSmall}`, "desc"],
    ["assets", "created_at", { name_prefix: "zEB", deleted: "true", created_before: createdAt(200_000) }, `${zebras} AND created_at < ${at(createdAt(200_000))} AND deleted_at IS NOT NULL`, "asc"],
    ["assets", "name", { created_from: from, created_before: before, folder_id: SMALL }, `${within} AND ${inSmall}`, "desc"],
    ["assets", "name", { created_from: from, deleted: "true", name_prefix: "file 12" }, `created_at >= ${at(from)} AND name >= 'file 12' AND name < 'file 13' AND deleted_at IS NOT NULL`, "asc"],
    ["assets", "name", { asset_type: "audio", folder_id: SMALL }, "false", "asc"],
    ["folders", "name", { parent_id: SMALL, deleted: "true" }, "false", "asc"],
    ["folders", "created_at", { parent_id: "none", deleted: "true" }, "parent_id IS NULL AND deleted_at IS NOT NULL", "desc"],
  ])("of %s by %s with %j, and a walk finds everything", async (list, sort, filters, where, direction) => {
    const rows = await server.sql(`SELECT id FROM ${list} WHERE org_id = '${org}' AND ${where} ORDER BY ${sort} ${direction}, id ${direction}`);
    const query = { ...filters, sort_by: `${sort}:${direction}`, limit: "500" };
    for (const end of [{}, { from_prev: "true" }]) expect(await walk(list, { ...query, ...end })).toEqual(rows.map(({ id }) => id));
  });

  test("of assets, however filters are combined and whatever they match", async () => {
    const values: Record<string, string[]> = {
      folder_id: [BIG, "none"],
      asset_type: ["image", "audio"],
      mime_type: ["image/*", "text/plain"],
      created_by: [userId(1), unknown],
      created_from: [createdAt(600_000)],
      created_before: [createdAt(700_000)],
      name_prefix: ["File 1", "zebra"],
      deleted: ["true"],
    };
    // Each value, alone and with each of another filter.
    const single = Object.entries(values).flatMap(([name, values]) => values.map((value): Filters => ({ [name]: value })));
    const combinations = single.flatMap((one, i) => single.slice(i).map((other) => ({ ...other, ...one })));
    let most = 0;
    for (const [i, filters] of combinations.entries()) {
      for (const sort of ["created_at", "name"] as const) {
        const direction = i % 2 ? "asc" : "desc";
        const query = { ...filters, sort_by: `${sort}:${direction}`, limit: [1, 50, 500][i % 3]!, embed: "created_by_user" };
        const middle = { id: assetId(550_001), key: sort === "name" ? "file 123456" : at(createdAt(550_001)) };
        const pq = cursor(["assets", sort, filters, ""], direction, i % 2 === 0, middle);
        const place = [{}, { pq }, { pq, from_prev: "true" }][(i >> 1) % 3]!;
        const { status, rowsBilled } = await page("assets", { ...query, ...place });
        expect(status).toBe(200);
        most = Math.max(most, rowsBilled.rows_read);
      }
    }
    expect(most).toBeLessThanOrEqual(5_000);
  });
});

test("a confirmation writes six rows", async () => {
  for (const body of ["{}", JSON.stringify({ folder_id: BIG })]) {
    const confirmed = await confirm(server, await createUpload(server, org, editor), { as: editor, body });
    expect([confirmed.status, confirmed.rowsBilled.rows_written]).toEqual([201, 6]);
  }
});

test("changes read the rows that they concern", async () => {
  const folder = await newFolder(server, editor, SMALL);
  const inner = await newFolder(server, editor, folder);
  const asset = await newAsset(server, org, editor, inner);
  // The folders of SMALL are few; 50,000 are in BIG.
  const answers: [number, () => Promise<Answer>][] = [
    [201, () => makeFolder(server, editor, { name: "new", parent_id: BIG })],
    [200, () => updateFolder(server, editor, folder, { parent_id: BIG })],
    [200, () => updateFolder(server, editor, folder, { name: "renamed" })],
    [200, () => readFolder(server, editor, inner)],
    [200, () => updateAsset(server, editor, asset, { folder_id: BIG })],
    [200, () => updateAsset(server, editor, asset, { folder_id: inner, name: "renamed" })],
    [204, () => deleteAsset(server, editor, asset)],
    [201, () => restoreAsset(server, editor, asset)],
    [204, () => deleteTree(server, editor, folder)],
    [201, () => restoreFolder(server, editor, folder)],
    [409, () => server.request("DELETE", `/v1/asset-folders/${BIG}`, { as: editor })],
    [409, () => deleteTree(server, editor, SMALL)],
  ];
  const rows: number[] = [];
  for (const [status, send] of answers) {
    const answer = await send();
    expect([answer.path, answer.status]).toEqual([answer.path, status]);
    rows.push(answer.rowsBilled.rows_read);
  }
  // Until it is sure that there are too many in SMALL.
  expect(rows.pop()).toBeLessThanOrEqual(5_100);
  for (const n of rows) expect(n, String(rows)).toBeLessThanOrEqual(100);
});

test("a run of the sweeper that has one asset to purge reads few rows", async () => {
  // Nothing is to be purged yet.
  await server.sql("UPDATE assets SET deleted_at = ?1 WHERE deleted_at = 1", Date.now());
  await server.sql("UPDATE folders SET deleted_at = ?1 WHERE deleted_at = 1", Date.now());
  const asset = await newAsset(server, org, editor);
  await server.sql("UPDATE assets SET deleted_at = 1 WHERE id = ?", asset);
  expect(await server.sweep(Date.now())).toMatchObject({ level: "info", assets_purged: 1, objects_removed: 1 });
  expect((await server.sweepTrace()).rows_read).toBeLessThanOrEqual(100);
}, 60_000);

test("a page is read from the same index when D1 has statistics", async () => {
  await server.sql("ANALYZE");
  for (const [list, sort, filters] of PROMISED) {
    for (const direction of ["asc", "desc"]) {
      const { status, rowsBilled } = await page(list, { ...filters, limit: 50, sort_by: `${sort}:${direction}` });
      expect([list, filters, status]).toEqual([list, filters, 200]);
      expect(rowsBilled.rows_read, JSON.stringify(filters)).toBeLessThanOrEqual(160);
    }
  }
});
