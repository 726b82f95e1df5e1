// The JSON of successful answers, and the presigned upload.
import { AwsClient } from "aws4fetch";
import type { Bindings } from "./bindings.ts";
import type { Asset, User } from "./schema.ts";
import { keyOf } from "./storage.ts";

const UPLOAD_URL_SECONDS = 900;
export const CONFIRM_MS = 86_400_000;

export function assetJson(asset: Asset, creator: User | null, { PUBLIC_BASE_URL }: Bindings) {
  return {
    id: asset.id,
    org_id: asset.orgId,
    folder_id: asset.folderId,
    name: asset.name,
    r2_key: asset.r2Key,
    url: PUBLIC_BASE_URL ? `${PUBLIC_BASE_URL}/${asset.r2Key}` : null,
    thumbnail_url: null,
    mime_type: asset.mimeType,
    size_bytes: asset.sizeBytes,
    asset_type: asset.assetType,
    source_type: asset.sourceType,
    source_id: asset.sourceId,
    created_by: asset.createdBy,
    // JSON has dates as RFC 3339 in UTC with milliseconds.
    created_at: asset.createdAt,
    updated_at: asset.updatedAt,
    deleted_at: asset.deletedAt,
    deleted_by: asset.deletedBy,
    created_by_user: creator && {
      id: creator.id,
      email: creator.email,
      first_name: creator.firstName,
      last_name: creator.lastName,
      avatar_url: creator.avatarUrl,
    },
  };
}

let client: AwsClient | undefined;

/** The started upload, with a PUT that storage accepts for this file only, and only once. */
export async function uploadJson(id: string, file: { filename: string; mime_type: string; size_bytes: number }, env: Bindings, requestUrl: string) {
  // One for all requests: it keeps the key that it derives from the secret every day.
  client ??= new AwsClient({ accessKeyId: env.S3_ACCESS_KEY_ID, secretAccessKey: env.S3_SECRET_ACCESS_KEY, service: "s3", region: "auto" });
  // A local bucket's endpoint is a path.
  const target = new URL(`${env.S3_ENDPOINT}/${env.S3_BUCKET}/${keyOf(id)}`, requestUrl);
  target.searchParams.set("X-Amz-Expires", String(UPLOAD_URL_SECONDS));
  const disposition = `inline; filename="${file.filename}"; filename*=UTF-8''${encodeURIComponent(file.filename)}`;
  const headers = { "content-type": file.mime_type, "content-disposition": disposition, "if-none-match": "*" };
  const signedAt = Math.floor(Date.now() / 1000);
  const { url } = await client.sign(target, {
    method: "PUT",
    headers: { ...headers, "content-length": String(file.size_bytes) },
    // Without allHeaders, type and length would be left out of the signature.
    aws: { signQuery: true, allHeaders: true },
  });
  const expires_at = new Date((signedAt + UPLOAD_URL_SECONDS) * 1000);
  return { asset_id: id, upload_url: url, upload: { method: "PUT", url, headers, expires_at } };
}
