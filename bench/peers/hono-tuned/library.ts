// The library with our Worker's very statements: the list of assets, a folder's path, and the deletion of a folder with
// what is in it.
import type { Context } from "hono";
import * as z from "zod";
import type { AppEnv, Bindings } from "../shared-hono/bindings.ts";
import { ApiError } from "../shared-hono/errors.ts";
import { id, parse } from "../shared-hono/requests.ts";
import { decode, encode } from "./cursor.ts";
import SQL from "./our-statements.js";
import { type CallerParams, type CallerRow, checkCaller } from "./rights.ts";

const MAX_BENEATH = 5_000;
/** Rows that are looked at where each has to be checked: for the page, and for what lies behind it. */
const [WINDOW, WINDOW_BEHIND] = [1_100, 500];

export const folderPath = z.object({ folder_id: id });

const flag = z.enum(["true", "false"]).transform((text) => text === "true").default(false);
const time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text)).optional();
const FIELDS = [
  "id", "org_id", "folder_id", "name", "r2_key", "url", "thumbnail_url", "mime_type", "size_bytes", "asset_type", "source_type", "source_id", "created_by",
  "created_at", "updated_at", "deleted_at", "deleted_by", "created_by_user",
] as const;

export const noQuery = z.strictObject({});
export const deletionQuery = z.strictObject({ recursive: flag });
const listQuery = z.strictObject({
  limit: z.string().regex(/^\d+$/).transform(Number).pipe(z.int().min(1).max(500)).default(50),
  pq: z.string().optional(),
  from_prev: flag,
  sort_by: z.enum(["created_at:desc", "created_at:asc", "name:asc", "name:desc"]).optional(),
  fields: z.string().transform((text) => text.split(",")).pipe(z.array(z.enum(FIELDS))).optional(),
  embed: z.literal("created_by_user").optional(),
  folder_id: z.union([z.literal("none"), id]).optional(),
  asset_type: z.enum(["image", "video", "audio", "document", "file"]).optional(),
  mime_type: z.string().toLowerCase().regex(/^[\w!#$&^.+-]+\/(\*|[\w!#$&^.+-]+)$/).optional(),
  created_by: id.optional(),
  created_from: time,
  created_before: time,
  name_prefix: z.string().min(1).max(500).optional(),
  deleted: flag,
});
const SHARED = ["limit", "pq", "from_prev", "sort_by", "fields", "embed"];

/** The parameters of the query, each at most once. */
export function queryOf(c: Context<AppEnv>): Record<string, string> {
  const all: Record<string, string> = {};
  for (const [name, values] of Object.entries(c.req.queries())) {
    if (values.length > 1) throw new ApiError("VALIDATION_ERROR", [{ loc: ["query", name], msg: "Send it once.", type: "duplicate_parameter" }]);
    all[name] = values[0]!;
  }
  return all;
}

const wrongCursor = () => new ApiError("VALIDATION_ERROR", [{ loc: ["query", "pq"], msg: "Send a cursor of this list.", type: "cursor" }]);

/** A list's query, checked, with what its cursors are bound to. */
export function listOf(given: Record<string, string>) {
  const query = parse("query", listQuery, given);
  const sort = query.sort_by ?? (query.name_prefix === undefined ? "created_at:desc" : "name:asc");
  const by = sort.startsWith("name") ? "name" : "created_at";
  const filters = Object.keys(given).filter((name) => !SHARED.includes(name)).map((name) => `${name}=${given[name]}\n`).sort();
  const binding = `assets\n${sort}\n${filters.join("")}`;
  const from = query.pq === undefined ? undefined : decode(query.pq, binding, by === "name" ? "string" : "number");
  if (query.pq !== undefined && from === undefined) throw wrongCursor();
  return { ...query, by, descending: sort.endsWith("desc"), binding, from } as const;
}

type List = ReturnType<typeof listOf>;

/** `?1` of every statement; `others` are the scopes of keys that may write this, too. */
export const asParameter = ({ tokenHash, organization, now, permission }: CallerParams, others: string[] = []) => {
  const writes = permission !== "assets:read";
  return JSON.stringify([{ token_hash: tokenHash, org_id: organization, now, permission, scopes: ["full", ...(writes ? others : ["read"])], writes }]);
};

/** What the statement found, once the caller may. */
export function foundIn<Found>(c: Context<AppEnv>, json: string | null | undefined): { orgId: string; found: Found | null } {
  const row = typeof json === "string" ? JSON.parse(json) : undefined;
  const caller: CallerRow | undefined = row && { denial: row.auth_error, userId: row.user_id, callerOrg: row.org_id };
  checkCaller(caller, c.get("request"));
  return { orgId: row.org_id, found: row.found };
}

async function ask<Found>(c: Context<AppEnv>, sql: string, params: unknown[]): Promise<{ orgId: string; found: Found | null }> {
  const { DB } = c.env;
  return foundIn<Found>(c, await c.get("request").d1<string | null>(() => DB.prepare(sql).bind(...params).first("json")));
}

const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());

export interface Row {
  id: string;
  name: string;
  r2_key: string;
  created_by: string;
  created_at: number;
  [column: string]: any;
}

/** An asset as it is answered. */
export const assetOf = (row: Row, user: unknown, { PUBLIC_BASE_URL }: Bindings) => ({
  id: row.id,
  org_id: row["org_id"],
  folder_id: row["folder_id"],
  name: row.name,
  r2_key: row.r2_key,
  url: PUBLIC_BASE_URL ? `${PUBLIC_BASE_URL}/${row.r2_key}` : null,
  thumbnail_url: null,
  mime_type: row["mime_type"],
  size_bytes: row["size_bytes"],
  asset_type: row["asset_type"],
  source_type: row["source_type"],
  source_id: row["source_id"],
  created_by: row.created_by,
  created_at: iso(row.created_at),
  updated_at: iso(row["updated_at"]),
  deleted_at: iso(row["deleted_at"]),
  deleted_by: row["deleted_by"],
  created_by_user: user,
});

interface FoundPage {
  rows: Row[];
  scanned_to: [key: string | number, id: string] | null;
  behind: number;
  users: { id: string }[] | null;
}

type Place = readonly [key: string | number | null, id: string];

export async function listAssets(c: Context<AppEnv>, caller: CallerParams, list: List) {
  const { by, from, folder_id, asset_type, mime_type, name_prefix } = list;
  const ascending = list.descending === list.from_prev;
  const index = list.deleted ? "trash" : folder_id !== undefined ? "folder" : asset_type !== undefined && by === "created_at" ? "type" : "all";
  const folder = folder_id === "none" ? null : (folder_id ?? null);
  const indexed = index === "folder" ? folder : index === "type" ? asset_type! : null;
  const prefix = name_prefix === undefined ? null : [name_prefix, prefixEnd(name_prefix)] as const;
  // What the index answers is no filter any more.
  const byTime = by === "created_at";
  const ofType = mime_type?.endsWith("/*") ?? false;
  const filters = [
    index === "type" ? null : (asset_type ?? null),
    ofType ? null : (mime_type ?? null),
    ofType ? mime_type!.slice(0, -1) : null,
    list.created_by ?? null,
    byTime ? null : (list.created_from ?? null),
    byTime ? null : (list.created_before ?? null),
    byTime ? (prefix?.[0] ?? null) : null,
    byTime ? (prefix?.[1] ?? null) : null,
    index === "folder" || folder_id === undefined ? null : (folder ?? ""),
  ];
  const isFiltered = filters.some((filter) => filter !== null);
  const least: Place = [(byTime ? list.created_from : prefix?.[0]) ?? (byTime ? -(2 ** 63) : ""), ""];
  const tooGreat: Place = [(byTime ? list.created_before : prefix?.[1]) ?? null, ""];
  const at: Place | undefined = from && [from.key, from.above ? `${from.id}~` : from.id];
  const rows = list.limit + 1;
  const page = ascending ? [...(at ?? least), ...tooGreat] : [...least, ...(at ?? tooGreat)];
  const other = ascending ? [...least, ...(at ?? least)] : [...(at ?? tooGreat), ...tooGreat];
  const [window, behind] = isFiltered ? [WINDOW, WINDOW_BEHIND] : [rows, 1];
  const params = [
    asParameter(caller), indexed, ...page, rows, window, Number(isFiltered), ...other, at ? behind : 0, Number(list.embed !== undefined), ...filters,
  ];
  const { orgId, found } = await ask<FoundPage>(c, SQL.page[`${index} ${by} ${ascending}`]!, params);
  if (from && from.orgId !== orgId) throw wrongCursor();
  return pageOf(c, list, ascending, orgId, found!);
}

/** The answer: items, and where to read on. */
function pageOf(c: Context<AppEnv>, list: List, ascending: boolean, orgId: string, { rows, scanned_to, behind, users }: FoundPage) {
  const { by, from, binding, fields } = list;
  const cursor = (row: Row | undefined, above: boolean) => row && encode(binding, { orgId, id: row.id, above, key: row[by] });
  const more = rows.length > list.limit;
  if (more) rows.length = list.limit;
  const far = more ? cursor(rows.at(-1), ascending)
    : scanned_to ? encode(binding, { orgId, id: scanned_to[1], above: ascending, key: scanned_to[0] }) : undefined;
  const near = behind ? cursor(rows[0], !ascending) ?? (from && encode(binding, from)) : undefined;
  if (list.from_prev) rows.reverse();
  const items = rows.map((row) => {
    const user = users?.find(({ id }) => id === row.created_by) ?? null;
    const item: Record<string, unknown> = assetOf(row, user, c.env);
    return fields ? Object.fromEntries(FIELDS.filter((name) => fields.includes(name)).map((name) => [name, item[name]])) : item;
  });
  const [next, prev] = list.from_prev ? [near, far] : [far, near];
  return { items, next_pq: next ?? null, prev_pq: prev ?? null };
}

/** The least text greater than all with this prefix, as SQLite's NOCASE compares. */
function prefixEnd(prefix: string): string | null {
  const points = Array.from(prefix.replace(/[A-Z]/g, (letter) => letter.toLowerCase()), (character) => character.codePointAt(0)!);
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    if (last === 0x10ffff) continue;
    const next = last === 0x40 ? 0x5b : last === 0xd7ff ? 0xe000 : last + 1;
    return String.fromCodePoint(...points, next);
  }
  return null;
}

interface Folder {
  created_at: number;
  updated_at: number;
  deleted_at: number | null;
}

export async function readFolder(c: Context<AppEnv>, caller: CallerParams, folderId: string) {
  const { found } = await ask<{ folder: Folder; path: unknown[] }>(c, SQL.folder[0]!, [asParameter(caller), folderId]);
  if (!found) throw new ApiError("FOLDER_NOT_FOUND");
  const { folder, path } = found;
  return {
    ...folder,
    created_at: iso(folder.created_at),
    updated_at: iso(folder.updated_at),
    deleted_at: iso(folder.deleted_at),
    path: path.reverse(),
  };
}

export async function deleteFolder(c: Context<AppEnv>, caller: CallerParams, folderId: string, recursive: boolean): Promise<void> {
  const { DB } = c.env;
  const params = [asParameter(caller), folderId];
  const [folder, ...others] = recursive ? SQL.deletion : [SQL.deletion[0], SQL.deletion.at(-1)];
  const statements = [
    DB.prepare(folder!).bind(...params, recursive ? MAX_BENEATH : 0),
    ...others.map((sql) => DB.prepare(sql!).bind(...params)),
  ];
  const results = await c.get("request").d1<{ results: { json: string }[] }[]>(() => DB.batch(statements));
  const { found } = foundIn<{ folder: Folder }>(c, results.at(-1)!.results[0]?.json);
  if (!found) throw new ApiError("FOLDER_NOT_FOUND");
  if (found.folder.deleted_at === null) throw new ApiError(recursive ? "FOLDER_TOO_LARGE" : "FOLDER_NOT_EMPTY");
}
