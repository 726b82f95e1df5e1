// Confirming in one transaction: a guarded insert, and the facts that decide the answer.
import type { Bindings, StoredObject } from "../shared-hono/bindings.ts";
import { ApiError, alreadyConfirmed } from "../shared-hono/errors.ts";
import { assetTypeOf, isAcceptable, mimeTypeOf, rejections } from "../shared-hono/media.ts";
import { settingsOf } from "../shared-hono/settings.ts";
import { keyOf } from "../shared-hono/storage.ts";
import { batch } from "./batch.ts";
import { queriesOf } from "./queries.ts";
import { type Ask, judge } from "./rights.ts";
import type { Asset, User } from "./schema.ts";

export interface Confirmation extends Ask {
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
  env: Bindings,
  confirmation: Confirmation,
  head: StoredObject | null | ApiError,
  declared?: string,
): Promise<{ asset: Asset; creator: User }> {
  const { insertAsset, confirmFacts } = queriesOf(env);
  const settings = settingsOf(env);
  const { id, folderId, now } = confirmation;
  const object = head instanceof ApiError ? null : head;
  const type = object?.httpMetadata?.contentType || declared;
  const mimeType = type && mimeTypeOf(type);

  const [written, [facts]] =
    object && mimeType && isAcceptable(object, mimeType, settings)
      ? await batch(env, [insertAsset, confirmFacts], {
          ...confirmation,
          key: keyOf(id),
          mimeType,
          sizeBytes: object.size,
          assetType: assetTypeOf(mimeType),
          etag: object.etag,
        })
      : [[], await confirmFacts.all(confirmation)];

  const { session, asset, creator, folderFound } = judge(facts);
  if (written.length > 0 && asset && creator) return { asset, creator: { id: asset.createdBy, ...creator } };
  if (!session || session.expiresAt.getTime() < 0) throw new ApiError("ASSET_UPLOAD_NOT_FOUND");
  if (asset) throw alreadyConfirmed(id);
  if (session.expiresAt.getTime() <= now) throw new ApiError("ASSET_UPLOAD_EXPIRED");
  if (folderId && !folderFound) throw new ApiError("FOLDER_NOT_FOUND");
  if (head instanceof ApiError) throw head;
  if (!object) throw new ApiError("OBJECT_NOT_UPLOADED");
  // Only the session knows the declared type, so that here it takes a second transaction.
  if (!type) return confirm(env, confirmation, head, session.mimeType);
  throw new ApiError("UPLOAD_REJECTED", rejections(object, type, session, settings));
}
