// The benchmark's peer `hono`: the API as the documentation of Hono, zod and drizzle teaches it, one step after the other.
import { and, eq, isNull } from "drizzle-orm";
import { assetJson, CONFIRM_MS, uploadJson } from "../shared-hono/answers.ts";
import { answer, newApp } from "../shared-hono/app.ts";
import { uuidV7 } from "../shared-hono/context.ts";
import { ApiError, alreadyConfirmed } from "../shared-hono/errors.ts";
import { assetTypeOf, isAcceptable, mimeTypeOf, rejections } from "../shared-hono/media.ts";
import { assetPath, confirmBody, createBodyOf, idempotencyHeader, jsonOf, parse, uploadPath } from "../shared-hono/requests.ts";
import { settingsOf } from "../shared-hono/settings.ts";
import { head, keyOf } from "../shared-hono/storage.ts";
import { authorize } from "./auth.ts";
import { type Asset, assets, assetUploads, folders } from "./schema.ts";

const app = newApp();

app.post("/v1/asset-uploads", authorize("assets:write"), async (c) => {
  const file = parse("body", createBodyOf(c.env), await jsonOf(c));
  const { db, user, orgId, request } = c.var;
  const now = new Date();
  const id = uuidV7(now.getTime());
  const insert = db.insert(assetUploads).values({
    id,
    orgId,
    filename: file.filename,
    mimeType: file.mime_type,
    sizeBytes: file.size_bytes,
    createdBy: user.id,
    createdAt: now,
    expiresAt: new Date(now.getTime() + CONFIRM_MS),
    requestId: request.id,
  });
  await request.d1(() => insert);
  return answer(c, 201, await uploadJson(id, file, c.env, c.req.url), { location: `/v1/asset-uploads/${id}` });
});

app.post("/v1/asset-uploads/:asset_upload_id/confirmations", authorize("assets:write"), async (c) => {
  const { asset_upload_id: id } = parse("path", uploadPath, c.req.param());
  const { "Idempotency-Key": confirmationKey = crypto.randomUUID() } = parse("header", idempotencyHeader, {
    "Idempotency-Key": c.req.header("Idempotency-Key"),
  });
  const { folder_id: folderId = null } = parse("body", confirmBody, await jsonOf(c));
  const { db, user, orgId, request } = c.var;
  const now = new Date();

  const findSession = db.select().from(assetUploads).where(and(eq(assetUploads.id, id), eq(assetUploads.orgId, orgId)));
  const session = await request.d1(() => findSession.get());
  if (!session || session.expiresAt.getTime() < 0) throw new ApiError("ASSET_UPLOAD_NOT_FOUND");
  if (session.confirmedAt) throw alreadyConfirmed(id);
  if (session.expiresAt <= now) throw new ApiError("ASSET_UPLOAD_EXPIRED");

  if (folderId) {
    const findFolder = db
      .select({ id: folders.id })
      .from(folders)
      .where(and(eq(folders.id, folderId), eq(folders.orgId, orgId), isNull(folders.deletedAt)));
    const folder = await request.d1(() => findFolder.get());
    if (!folder) throw new ApiError("FOLDER_NOT_FOUND");
  }

  const object = await head(c, keyOf(id));
  if (!object) throw new ApiError("OBJECT_NOT_UPLOADED");
  const contentType = object.httpMetadata?.contentType || session.mimeType;
  const mimeType = mimeTypeOf(contentType);
  const settings = settingsOf(c.env);
  if (!mimeType || !isAcceptable(object, mimeType, settings)) {
    throw new ApiError("UPLOAD_REJECTED", rejections(object, contentType, session, settings));
  }

  const asset: Asset = {
    id,
    orgId,
    folderId,
    name: session.filename,
    r2Key: keyOf(id),
    mimeType,
    sizeBytes: object.size,
    assetType: assetTypeOf(mimeType),
    sourceType: "upload",
    sourceId: id,
    etag: object.etag,
    confirmationKey,
    createdBy: user.id,
    createdAt: now,
    updatedAt: now,
    deletedAt: null,
    deletedBy: null,
    requestId: request.id,
    confirmedFolderId: folderId,
    eventAt: now,
  };
  // Of confirmations that race, the primary key lets one through.
  const insert = db.insert(assets).values(asset).onConflictDoNothing({ target: assets.id }).returning({ id: assets.id });
  const written = await request.d1(() => insert);
  if (written.length === 0) throw alreadyConfirmed(id);
  const update = db.update(assetUploads).set({ confirmedAt: now }).where(eq(assetUploads.id, id));
  await request.d1(() => update);

  return answer(c, 201, assetJson(asset, user, c.env), { location: `/v1/assets/${id}` });
});

app.get("/v1/assets/:asset_id", authorize("assets:read"), async (c) => {
  const { asset_id: id } = parse("path", assetPath, c.req.param());
  const { db, orgId, request } = c.var;
  const find = db.select().from(assets).where(and(eq(assets.id, id), eq(assets.orgId, orgId), isNull(assets.deletedAt)));
  const asset = await request.d1(() => find.get());
  if (!asset) throw new ApiError("ASSET_NOT_FOUND");
  return answer(c, 200, assetJson(asset, null, c.env));
});

export default app;
