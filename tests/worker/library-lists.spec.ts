// The lists of assets and folders: pages in both directions, cursors, and what others change between two pages.
import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { COMMON_HEADERS, expectErrors, fieldError, headersOf } from "./assertions.ts";
import { createAssets, createFolder, createPerson, organizationWithEditor } from "./fixtures.ts";
import { deleteAsset, listAssets, listFolders, restoreAsset, updateAsset } from "./requests.ts";
import { type Person, startServer } from "./server.ts";

const server = startServer();
const SORTS = ["created_at:asc", "created_at:desc", "name:asc", "name:desc"];
const WRONG_CURSOR = fieldError(
  ["query", "pq"], "cursor", "Must be next_pq or prev_pq of an answer to the same list, with the same sort_by, filters and organization.",
);

type List = typeof listAssets;
interface Row {
  id: string;
  name: string;
  created_at: number;
}
interface Page {
  items: any[];
  next_pq: string | null;
  prev_pq: string | null;
}

/** Ids in the order of a list: as SQLite's NOCASE compares names, then by id. */
function ordered(rows: Row[], sort: string): string[] {
  const [field, order] = sort.split(":") as ["name" | "created_at", string];
  const key = (row: Row) => (field === "name" ? Buffer.from(row.name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())) : row.created_at);
  const compare = (a: Row, b: Row) => {
    const [x, y] = [key(a), key(b)];
    const byKey = typeof x === "number" ? x - (y as number) : x.compare(y as Buffer);
    return byKey || (a.id < b.id ? -1 : 1);
  };
  const ids = rows.toSorted(compare).map(({ id }) => id);
  return order === "desc" ? ids.reverse() : ids;
}

const query = (params: Record<string, string | number | null | undefined>) =>
  "?" + Object.entries(params).filter(([, value]) => value != null).map(([name, value]) => `${name}=${encodeURIComponent(value!)}`).join("&");
const ids = (page: Page) => page.items.map(({ id }) => id as string);

async function pageOf(list: List, as: Person, params: Record<string, string | number | null | undefined>): Promise<Page> {
  const answer = await list(server, as, query(params));
  expect([answer.status, answer.json.errors]).toEqual([200, undefined]);
  expect(headersOf(answer)).toEqual(COMMON_HEADERS);
  expect(Object.keys(answer.json)).toEqual(["items", "next_pq", "prev_pq"]);
  expect(answer.json.items.length).toBeLessThanOrEqual(Number(params["limit"] ?? 50));
  return answer.json;
}

/** Every page from the beginning to the end, or from the end to the beginning: in the list's order. */
async function walk(list: List, as: Person, params: Record<string, string | number>, backward = false): Promise<Page[]> {
  const pages: Page[] = [];
  for (let pq: string | null | undefined; pq !== null; ) {
    const page: Page = await pageOf(list, as, { ...params, pq, from_prev: backward ? "true" : undefined });
    pages.push(page);
    pq = backward ? page.prev_pq : page.next_pq;
    expect(pages.length, "the walk does not end").toBeLessThan(200);
  }
  return backward ? pages.reverse() : pages;
}

describe.each<[string, List]>([["assets", listAssets], ["folders", listFolders]])("the list of %s", (what, list) => {
  let editor: Person;
  let rows: Row[];
  beforeAll(async () => {
    let org: string;
    ({ org, editor } = await organizationWithEditor(server));
    const names = ["b", "B", "a", "A ", "\u00df", "Z", "z", "[", "@", "\u0130", "i", "\u{1f600}", "\u{10ffff}", "\ud7ff", "\ue000", "e\u0301", "\u00e9", "_", "%", "\\", '"', "'", "a b"];
    const row = (name: string, n: number) => ({ id: randomUUID(), name, created_at: (n % 4) * 1000 });
    // Some have the same name, in other folders: siblings may not.
    const parents = Array.from({ length: 5 }, (_, n) => row(`p${n}`, n));
    const placed = names.map((name, n) => ({ ...row(name, n), parent_id: n % 3 ? parents[n % 3]!.id : null }));
    const equal = placed.slice(0, 8).map(({ name }, n) => ({ ...row(name, n), parent_id: parents[3 + (n % 2)]!.id }));
    rows = [...parents, ...placed, ...equal];
    if (what === "assets") await createAssets(server, org, editor, rows);
    else for (const row of rows) await createFolder(server, org, editor, row);
  });

  test.each(SORTS.flatMap((sort_by) => [1, 4, 50, 500].map((limit) => [sort_by, limit] as const)))("sorted by %s, %i a page, is the same forward and backward", async (sort_by, limit) => {
    const forward = await walk(list, editor, { sort_by, limit });
    expect(forward.flatMap(ids)).toEqual(ordered(rows, sort_by));
    for (const page of forward.slice(0, -1)) expect(page.items).toHaveLength(limit);
    expect(forward[0]!.prev_pq).toBeNull();
    for (const page of forward.slice(1)) expect(page.prev_pq).not.toBeNull();
    // Back from each page, and from the end.
    for (const [n, page] of forward.entries()) {
      if (n === 0) continue;
      const before = await pageOf(list, editor, { sort_by, limit, pq: page.prev_pq, from_prev: "true" });
      expect(ids(before)).toEqual(ids(forward[n - 1]!));
      expect([before.prev_pq === null, ids(await pageOf(list, editor, { sort_by, limit, pq: before.next_pq }))]).toEqual([n === 1, ids(page)]);
    }
    const backward = await walk(list, editor, { sort_by, limit }, true);
    expect(backward.flatMap(ids)).toEqual(ordered(rows, sort_by));
    expect(backward.at(-1)!.next_pq).toBeNull();
  });

  test("without sort_by has its default order, and 50 a page", async () => {
    const page = await pageOf(list, editor, {});
    expect([ids(page), page.next_pq, page.prev_pq]).toEqual([ordered(rows, what === "assets" ? "created_at:desc" : "name:asc"), null, null]);
    const last = await pageOf(list, editor, { from_prev: "true", limit: 5 });
    expect([ids(last), last.next_pq]).toEqual([ids(page).slice(-5), null]);
    expect(ids(await pageOf(list, editor, { from_prev: "false", limit: 5 }))).toEqual(ids(page).slice(0, 5));
  });

  test("a cursor of another sort, filter, organization or list, or an edited one, is 422", async () => {
    const filter = what === "assets" ? "folder_id" : "parent_id";
    const other = await organizationWithEditor(server);
    const { next_pq: pq } = await pageOf(list, editor, { limit: 2, sort_by: "name:asc" });
    const filtered = await pageOf(list, editor, { limit: 1, sort_by: "name:asc", [filter]: "none" });
    const send = (as: Person, params: Record<string, string | null | undefined>, of = list) => () => of(server, as, query(params));
    const wrong: [Person, Record<string, string | null | undefined>, List?][] = [
      ...["name:desc", "created_at:asc", "created_at:desc"].map((sort_by): [Person, any] => [editor, { pq, sort_by }]),
      [editor, { pq, sort_by: "name:asc", [filter]: "none" }],
      [editor, { pq, sort_by: "name:asc", deleted: "true" }],
      [editor, { pq, sort_by: "name:asc", deleted: "false" }],
      [editor, { pq: filtered.next_pq, sort_by: "name:asc" }],
      [editor, { pq: filtered.next_pq, sort_by: "name:asc", [filter]: randomUUID() }],
      [other.editor, { pq, sort_by: "name:asc" }],
      [editor, { pq, sort_by: "name:asc" }, what === "assets" ? listFolders : listAssets],
      ...edited(pq!).map((pq): [Person, any] => [editor, { pq, sort_by: "name:asc" }]),
    ];
    await expectErrors(server, wrong.map(([as, params, of]) => send(as, params, of)), "VALIDATION_ERROR", [WRONG_CURSOR]);
    // Another page size, other fields and the other direction are no other list.
    expect(ids(await pageOf(list, editor, { pq, sort_by: "name:asc", limit: 3, fields: "id" }))).toEqual(ordered(rows, "name:asc").slice(2, 5));
    expect(ids(await pageOf(list, editor, { pq, sort_by: "name:asc", from_prev: "true" }))).toEqual(ordered(rows, "name:asc").slice(0, 2));
  });

  test("a cursor shows nobody what they may not see, and is no right", async () => {
    const { next_pq } = await pageOf(list, editor, { limit: 2 });
    await expectErrors(server, [() => list(server, "au_1", query({ pq: next_pq }))], "UNAUTHORIZED");
    // What it holds is what the page showed.
    const payload = Buffer.from(next_pq!.slice(8), "hex").toString();
    expect(payload).not.toContain(editor.token);
    expect(JSON.parse(payload)).toHaveLength(4);
  });

  test("an empty list has no cursors in either direction", async () => {
    const { editor } = await organizationWithEditor(server);
    for (const params of [{}, { from_prev: "true" }, { deleted: "true" }, { sort_by: "name:desc", limit: 1 }]) {
      expect(await pageOf(list, editor, params)).toEqual({ items: [], next_pq: null, prev_pq: null });
    }
  });
});

/** A cursor with each digit changed, cut short, made longer, written otherwise, and others that were never given out. */
function edited(pq: string): string[] {
  const flip = (i: number) => pq.slice(0, i) + (pq[i] === "0" ? "1" : "0") + pq.slice(i + 1);
  return [
    ...Array.from({ length: pq.length }, (_, i) => flip(i)).filter((_, i) => i < 12 || i % 9 === 0),
    ...[pq.slice(2), pq.slice(0, -2), pq.slice(0, -1), `${pq}00`, ` ${pq}`, pq.toUpperCase().replace(/[a-f]/, "A"), `0x${pq}`],
    ...["", "0", "00000000", "null", "%", "{}", "A".repeat(10_000), "00".repeat(5_000), "\0", "\u{10ffff}"],
  ].filter((text) => text !== pq);
}

describe("a walk shows exactly once what existed throughout", () => {
  const NAMES = Array.from({ length: 20 }, (_, n) => `n${String(n).padStart(2, "0")}`);

  async function library() {
    const { org, editor } = await organizationWithEditor(server);
    const rows: Row[] = NAMES.map((name, n) => ({ id: randomUUID(), name, created_at: 1000 * (n + 1) }));
    await createAssets(server, org, editor, rows);
    return { org, editor, rows };
  }

  test.each(SORTS.flatMap((sort_by) => [false, true].map((backward) => [sort_by, backward] as const)))("sorted by %s, backward %s, while others insert, delete, restore and change", async (sort_by, backward) => {
    const { org, editor, rows } = await library();
    const gone = new Set<string>();
    const seen: string[] = [];
    let pq: string | null | undefined;
    for (let n = 0; pq !== null; n++) {
      const page: Page = await pageOf(listAssets, editor, { sort_by, limit: 4, pq, from_prev: backward ? "true" : undefined });
      seen.push(...(backward ? ids(page).reverse() : ids(page)));
      pq = backward ? page.prev_pq : page.next_pq;
      // The neighbours of the cursor go, one on either side; new ones come everywhere, with equal values, too.
      const unseen = rows.filter(({ id }) => !seen.includes(id) && !gone.has(id));
      for (const id of [seen.at(-1)!, ordered(unseen, sort_by)[backward ? unseen.length - 1 : 0]]) {
        if (id === undefined || gone.has(id)) continue;
        gone.add(id);
        expect((await deleteAsset(server, editor, id)).status).toBe(204);
      }
      await createAssets(server, org, editor, rows.filter((_, i) => i % 5 === n % 5).map(({ name, created_at }) => ({ name, created_at })));
      // What comes back was not there throughout.
      const back = [...gone].at(-3);
      if (back !== undefined) expect((await restoreAsset(server, editor, back)).status).toBe(201);
      // What is not sorted by may change.
      const other = rows.find(({ id }) => !gone.has(id));
      if (other && sort_by.startsWith("created_at")) expect((await updateAsset(server, editor, other.id, { name: `renamed ${n}` })).status).toBe(200);
      expect(n).toBeLessThan(60);
    }
    const throughout = rows.filter(({ id }) => !gone.has(id)).map(({ id }) => id);
    expect(seen.filter((id) => throughout.includes(id)).sort()).toEqual(throughout.sort());
    expect(new Set(seen).size).toBe(seen.length);
  });

  test("a page whose rows are gone meanwhile still leads in both directions", async () => {
    const { editor, rows } = await library();
    const at = { sort_by: "name:asc", limit: 5 };
    const first = await pageOf(listAssets, editor, at);
    const second = await pageOf(listAssets, editor, { ...at, pq: first.next_pq });
    for (const { id } of rows.slice(5)) await deleteAsset(server, editor, id);
    // Nothing follows any more, although the cursor said so.
    const empty = await pageOf(listAssets, editor, { ...at, pq: first.next_pq });
    expect([empty.items, empty.next_pq]).toEqual([[], null]);
    expect(ids(await pageOf(listAssets, editor, { ...at, pq: empty.prev_pq, from_prev: "true" }))).toEqual(ids(first));
    const back = await pageOf(listAssets, editor, { ...at, pq: second.prev_pq, from_prev: "true" });
    expect([ids(back), back.next_pq, back.prev_pq]).toEqual([ids(first), null, null]);
    // What comes back, comes back to its place.
    await restoreAsset(server, editor, rows[7]!.id);
    expect(ids(await pageOf(listAssets, editor, { ...at, pq: first.next_pq }))).toEqual([rows[7]!.id]);
    for (const { id } of rows.slice(0, 5)) await deleteAsset(server, editor, id);
    const before = await pageOf(listAssets, editor, { ...at, pq: second.prev_pq, from_prev: "true" });
    expect([before.items, before.prev_pq]).toEqual([[], null]);
    expect(ids(await pageOf(listAssets, editor, { ...at, pq: before.next_pq }))).toEqual([rows[7]!.id]);
  });

  test.each([false, true])("backward %s through rows that a filter without index leaves out, by pages that are short or empty", async (backward) => {
    const { org, editor } = await organizationWithEditor(server);
    const colleague = await createPerson(server, { [org]: "editor" });
    const rows = Array.from({ length: 4_000 }, (_, n) => ({ id: randomUUID(), name: "a", created_at: n, created_by: n % 1_900 === 50 ? colleague.userId : editor.userId }));
    await createAssets(server, org, editor, rows);
    const pages = await walk(listAssets, editor, { created_by: colleague.userId, limit: 2 }, backward);
    expect(pages.flatMap(ids)).toEqual(ordered(rows.filter((row) => row.created_by === colleague.userId), "created_at:desc"));
    expect(pages.some(({ items }) => items.length === 0)).toBe(true);
    expect([pages[0]!.prev_pq, pages.at(-1)!.next_pq]).toEqual([null, null]);
    expect(pages.length).toBeLessThan(10);
  });
});
