// The benchmark's peer `hono`: the API as the documentation of Hono, zod and drizzle teaches it, one step after the other.
import { and, eq, isNull } from "drizzle-orm";
import { assetJson, CONFIRM_MS, uploadJson } from "../shared-hono/answers.ts";
import { newApp } from "../shared-hono/app.ts";
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
  const { db, user, orgId } = c.var;
  const id = crypto.randomUUID();
  const now = new Date();
  await db.insert(assetUploads).values({
    id,
    orgId,
    filename: file.filename,
    mimeType: file.mime_type,
    sizeBytes: file.size_bytes,
    createdBy: user.id,
    createdAt: now,
    expiresAt: new Date(now.getTime() + CONFIRM_MS),
    requestId: crypto.randomUUID(),
  });
  return c.json(await uploadJson(id, file, c.env, c.req.url), 201, { Location: `/v1/asset-uploads/${id}` });
});

app.post("/v1/asset-uploads/:asset_upload_id/confirmations", authorize("assets:write"), async (c) => {
  const { asset_upload_id: id } = parse("path", uploadPath, c.req.param());
  const { "Idempotency-Key": confirmationKey = crypto.randomUUID() } = parse("header", idempotencyHeader, {
    "Idempotency-Key": c.req.header("Idempotency-Key"),
  });
  const { folder_id: folderId = null } = parse("body", confirmBody, await jsonOf(c));
  const { db, user, orgId } = c.var;
  const now = new Date();

  const session = await db
    .select()
    .from(assetUploads)
    .where(and(eq(assetUploads.id, id), eq(assetUploads.orgId, orgId)))
    .get();
  if (!session || session.expiresAt.getTime() < 0) throw new ApiError("ASSET_UPLOAD_NOT_FOUND");
  if (session.confirmedAt) throw alreadyConfirmed(id);
  if (session.expiresAt <= now) throw new ApiError("ASSET_UPLOAD_EXPIRED");

  if (folderId) {
    const folder = await db
      .select({ id: folders.id })
      .from(folders)
      .where(and(eq(folders.id, folderId), eq(folders.orgId, orgId), isNull(folders.deletedAt)))
      .get();
    if (!folder) throw new ApiError("FOLDER_NOT_FOUND");
  }

  const object = await head(c.env, keyOf(id));
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
    requestId: crypto.randomUUID(),
    confirmedFolderId: folderId,
  };
  // Of confirmations that race, the primary key lets one through.
  const written = await db.insert(assets).values(asset).onConflictDoNothing({ target: assets.id }).returning({ id: assets.id });
  if (written.length === 0) throw alreadyConfirmed(id);
  await db.update(assetUploads).set({ confirmedAt: now }).where(eq(assetUploads.id, id));

  return c.json(assetJson(asset, user, c.env), 201, { Location: `/v1/assets/${id}` });
});

app.get("/v1/assets/:id", authorize("assets:read"), async (c) => {
  const { id } = parse("path", assetPath, c.req.param());
  const asset = await c.var.db
    .select()
    .from(assets)
    .where(and(eq(assets.id, id), eq(assets.orgId, c.var.orgId), isNull(assets.deletedAt)))
    .get();
  if (!asset) throw new ApiError("ASSET_NOT_FOUND");
  return c.json(assetJson(asset, null, c.env));
});

export default app;
