// Confirming several uploads: HEADs six at a time, then our Worker's very statements in one transaction for all.
import type { Context } from "hono";
import * as z from "zod";
import type { AppEnv, StoredObject } from "../shared-hono/bindings.ts";
import { ApiError, alreadyConfirmed, envelopeOf, STATUS } from "../shared-hono/errors.ts";
import { assetTypeOf, isAcceptable, mimeTypeOf, rejections } from "../shared-hono/media.ts";
import { id } from "../shared-hono/requests.ts";
import { settingsOf } from "../shared-hono/settings.ts";
import { head, keyOf } from "../shared-hono/storage.ts";
import { asParameter, assetOf, foundIn, type Row } from "./library.ts";
import SQL from "./our-statements.js";
import type { CallerParams } from "./rights.ts";

/** What the platform opens for a request. */
const CONNECTIONS = 6;

const item = z.strictObject({ asset_upload_id: id, folder_id: id.nullish() });

export const itemsBody = z.strictObject({
  items: z.array(item).min(1).max(25).superRefine((items, ctx) => {
    const seen = new Set<string>();
    for (const [i, { asset_upload_id }] of items.entries()) {
      if (seen.has(asset_upload_id)) ctx.addIssue({ code: "custom", message: "Name each upload once.", path: [i, "asset_upload_id"] });
      seen.add(asset_upload_id);
    }
  }),
});

/** An upload to confirm, and what HEAD gave: null where there is no object, the error where storage did not answer. */
interface Item {
  id: string;
  folderId: string | null;
  object: StoredObject | null | ApiError;
  /** Of the object; what is declared stands in for it where it has none. */
  type: string | undefined;
}

interface FoundUpload {
  id: string;
  session: { mime_type: string; size_bytes: number; expires_at: number };
  asset: Row | null;
  confirmation: { request_id: string } | null;
  created_by_user: unknown;
  folder_found: number;
}

/** The answer: what a confirmation of its own would have come to, of each upload. */
export async function confirmBatch(c: Context<AppEnv>, caller: CallerParams, given: z.output<typeof item>[], key: string) {
  const items = new Array<Item>(given.length);
  let next = 0;
  const look = async () => {
    for (let i = next++; i < given.length; i = next++) {
      const { asset_upload_id: id, folder_id } = given[i]!;
      const object = await head(c, keyOf(id)).catch((error: ApiError) => error);
      items[i] = { id, folderId: folder_id ?? null, object, type: object && !(object instanceof ApiError) ? object.httpMetadata?.contentType : undefined };
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONNECTIONS, given.length) }, look));

  const found = await run(c, caller, items, key);
  const untyped = items.filter((item) => needsType(item, found.get(item.id), caller));
  if (untyped.length > 0) {
    // Only the session knows the declared type, so that these take a second transaction.
    for (const item of untyped) item.type = found.get(item.id)!.session.mime_type;
    try {
      for (const [id, upload] of await run(c, caller, untyped, key)) found.set(id, upload);
    } catch (error) {
      // The others stand already.
      for (const item of untyped) item.object = error as ApiError;
    }
  }
  return { items: items.map((item) => answerOf(c, caller, item, found.get(item.id))) };
}

/** Writes the assets that may be, and reads what decides the answers. */
async function run(c: Context<AppEnv>, caller: CallerParams, items: Item[], key: string): Promise<Map<string, FoundUpload>> {
  const { DB } = c.env;
  const settings = settingsOf(c.env);
  let any = false;
  const rows = items.map(({ id, folderId, object, type }) => {
    const mimeType = type && mimeTypeOf(type);
    if (!object || object instanceof ApiError || !mimeType || !isAcceptable(object, mimeType, settings)) return { id, folder_id: folderId };
    any = true;
    return { id, folder_id: folderId, mime_type: mimeType, asset_type: assetTypeOf(mimeType), etag: object.etag, size_bytes: object.size };
  });
  const params = [asParameter(caller, ["upload"]), JSON.stringify(rows)];
  const find = DB.prepare(SQL.confirm[1]!).bind(...params);
  const statements = any ? [DB.prepare(SQL.confirm[0]!).bind(...params, key, 0, c.get("request").id, 0), find] : [find];
  const results = await c.get("request").d1<{ results: { json: string }[] }[]>(() => DB.batch(statements));
  const { found } = foundIn<{ uploads: FoundUpload[] }>(c, results.at(-1)!.results[0]?.json);
  return new Map(found!.uploads.map((upload) => [upload.id, upload]));
}

/** Whether nothing but the type of the object is missing. */
function needsType({ object, type }: Item, upload: FoundUpload | undefined, { now }: CallerParams): boolean {
  return object !== null && !(object instanceof ApiError) && !type && upload !== undefined && !upload.asset && upload.session.expires_at > now && upload.folder_found === 1;
}

function answerOf(c: Context<AppEnv>, caller: CallerParams, item: Item, upload: FoundUpload | undefined) {
  if (upload?.asset && upload.confirmation?.request_id === c.get("request").id) {
    return { asset_upload_id: item.id, status: 201, asset: assetOf(upload.asset, upload.created_by_user, c.env) };
  }
  const error = errorOf(c, caller, item, upload);
  return { asset_upload_id: item.id, status: STATUS[error.code][0], error: envelopeOf(error) };
}

function errorOf(c: Context<AppEnv>, { now }: CallerParams, { id, object, type }: Item, upload: FoundUpload | undefined): ApiError {
  if (!upload || upload.session.expires_at < 0) return new ApiError("ASSET_UPLOAD_NOT_FOUND");
  const { session, asset, folder_found } = upload;
  if (asset) return alreadyConfirmed(id);
  if (session.expires_at <= now) return new ApiError("ASSET_UPLOAD_EXPIRED");
  if (folder_found === 0) return new ApiError("FOLDER_NOT_FOUND");
  if (object instanceof ApiError) return object;
  if (!object) return new ApiError("OBJECT_NOT_UPLOADED");
  const declared = { mimeType: session.mime_type, sizeBytes: session.size_bytes };
  return new ApiError("UPLOAD_REJECTED", rejections(object, type ?? session.mime_type, declared, settingsOf(c.env)));
}
