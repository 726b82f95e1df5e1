// Confirming in one transaction: a guarded insert, and a query of what decides the answer.
import type { Context } from "hono";
import type { AppEnv, StoredObject } from "../shared-hono/bindings.ts";
import { ApiError, alreadyConfirmed } from "../shared-hono/errors.ts";
import { assetTypeOf, isAcceptable, mimeTypeOf, rejections } from "../shared-hono/media.ts";
import { settingsOf } from "../shared-hono/settings.ts";
import { keyOf } from "../shared-hono/storage.ts";
import { batch } from "./batch.ts";
import { queriesOf } from "./queries.ts";
import { type CallerParams, checkCaller } from "./rights.ts";
import type { Asset, User } from "./schema.ts";

export interface Confirmation extends CallerParams {
  id: string;
  folderId: string | null;
  confirmationKey: string;
  requestId: string;
}

/**
 * The asset and who made it. `head` is what HEAD gave: null where there is no object, the error where storage did
 * not answer. `declared` stands in for the type of an object stored without one.
 */
export async function confirm(
  c: Context<AppEnv>,
  confirmation: Confirmation,
  head: StoredObject | null | ApiError,
  declared?: string,
): Promise<{ asset: Asset; creator: User }> {
  const { insertAsset, confirmState } = queriesOf(c.env);
  const settings = settingsOf(c.env);
  const { id, folderId, now } = confirmation;
  const object = head instanceof ApiError ? null : head;
  const type = object?.httpMetadata?.contentType || declared;
  const mimeType = type && mimeTypeOf(type);

  const [written, [state]] =
    object && mimeType && isAcceptable(object, mimeType, settings)
      ? await batch(c, [insertAsset, confirmState], {
          ...confirmation,
          key: keyOf(id),
          mimeType,
          sizeBytes: object.size,
          assetType: assetTypeOf(mimeType),
          etag: object.etag,
        })
      : [[], await c.get("request").d1(() => confirmState.all(confirmation))];

  const { session, asset, creator, folderFound } = checkCaller(state, c.get("request"));
  if (written.length > 0 && asset && creator) return { asset, creator: { id: asset.createdBy, ...creator } };
  if (!session || session.expiresAt.getTime() < 0) throw new ApiError("ASSET_UPLOAD_NOT_FOUND");
  if (asset) throw alreadyConfirmed(id);
  if (session.expiresAt.getTime() <= now) throw new ApiError("ASSET_UPLOAD_EXPIRED");
  if (folderId && !folderFound) throw new ApiError("FOLDER_NOT_FOUND");
  if (head instanceof ApiError) throw head;
  if (!object) throw new ApiError("OBJECT_NOT_UPLOADED");
  // Only the session knows the declared type, so that here it takes a second transaction.
  if (!type) return confirm(c, confirmation, head, session.mimeType);
  throw new ApiError("UPLOAD_REJECTED", rejections(object, type, session, settings));
}
