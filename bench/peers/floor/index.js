// The floor: the least JavaScript that does the job with our storage plan. It sends the very statements of
// the built Worker (the benchmark records them), trusts its callers to send what is valid, and neither logs
// nor names its requests.
import SQL from "./our-statements.js";

const HEADERS = { "content-type": "application/json" };
const encoder = new TextEncoder();

const answer = (status, body, headers = HEADERS) => new Response(JSON.stringify(body), { status, headers });
const refuse = (status, code, message) => answer(status, { code, message, errors: null });
const hex = (buffer) => new Uint8Array(buffer).toHex();

export default {
  async fetch(request, env) {
    const authorization = request.headers.get("authorization");
    if (authorization === null) {
      const headers = { ...HEADERS, "www-authenticate": "Bearer" };
      return answer(401, { code: "UNAUTHORIZED", message: "Send a valid API key as `Authorization: Bearer <key>`.", errors: null }, headers);
    }
    const token = hex(await crypto.subtle.digest("SHA-256", encoder.encode(authorization.slice(7))));
    const organization = request.headers.get("x-organization-id");
    const [, , kind, id] = new URL(request.url).pathname.split("/");
    if (kind === "assets") return read(env, [token, organization, Date.now(), "assets:read"], id);
    const caller = [token, organization, Date.now(), "assets:write"];
    return id === undefined ? create(request, env, caller) : confirm(request, env, caller, id);
  },
};

async function confirm(request, env, caller, id) {
  const { folder_id = null } = await request.json();
  const key = `uploads/${id}`;
  const object = await env.BUCKET.head(key);
  if (object === null) return refuse(409, "OBJECT_NOT_UPLOADED", "The file is not in storage yet; finish the upload, then confirm again.");
  const type = object.httpMetadata.contentType;
  const kind = type.slice(0, type.indexOf("/"));
  const assetType = kind === "image" || kind === "video" || kind === "audio" ? kind : "file";
  const confirmationKey = request.headers.get("idempotency-key") ?? "";
  const facts = [...caller, id, folder_id];
  const [inserted, found] = await env.DB.batch([
    env.DB.prepare(SQL.confirm[0]).bind(...facts, key, type, object.size, assetType, object.etag, confirmationKey, 0, crypto.randomUUID()),
    env.DB.prepare(SQL.confirm[1]).bind(...facts),
  ]);
  const row = JSON.parse(found.results[0].json);
  if (inserted.meta.changes === 0) {
    if (row.asset !== null) return refuse(409, "ASSET_UPLOAD_ALREADY_CONFIRMED", "This upload has its asset already; `errors` holds the asset's id.");
    return refuse(404, "ASSET_UPLOAD_NOT_FOUND", "There is no such upload in this organization.");
  }
  return answer(201, asset(env, row.asset, row.created_by_user), { ...HEADERS, location: `/v1/assets/${id}` });
}

async function read(env, caller, id) {
  const [{ results }] = await env.DB.batch([env.DB.prepare(SQL.read[0]).bind(...caller, id)]);
  const row = results.length > 0 ? JSON.parse(results[0].json) : undefined;
  if (!row?.asset) return refuse(404, "ASSET_NOT_FOUND", "There is no such asset in this organization.");
  return answer(200, asset(env, row.asset, null));
}

async function create(request, env, caller) {
  const { filename, mime_type, size_bytes } = await request.json();
  const id = crypto.randomUUID();
  const now = caller[2];
  const facts = [...caller, id];
  await env.DB.batch([
    env.DB.prepare(SQL.create[0]).bind(...facts, filename, mime_type, size_bytes, now + env.CONFIRM_TTL_SECONDS * 1000, crypto.randomUUID()),
    env.DB.prepare(SQL.create[1]).bind(...facts),
  ]);
  const disposition = `inline; filename="${filename}"; filename*=UTF-8''${encodeURIComponent(filename)}`;
  const url = await presign(env, `uploads/${id}`, mime_type, disposition, size_bytes, now);
  const headers = { "content-type": mime_type, "content-disposition": disposition, "if-none-match": "*" };
  const seconds = Math.floor(now / 1000) * 1000;
  const upload = { method: "PUT", url, headers, expires_at: new Date(seconds + env.UPLOAD_URL_TTL_SECONDS * 1000).toISOString() };
  return answer(201, { asset_id: id, upload_url: url, upload }, { ...HEADERS, location: `/v1/asset-uploads/${id}` });
}

const hmac = async (key, text) => {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return crypto.subtle.sign("HMAC", imported, encoder.encode(text));
};

let cached;

/** The key of a day's signatures. */
async function signingKey(secret, scope) {
  if (cached?.scope !== scope) {
    let key = encoder.encode(`AWS4${secret}`);
    for (const part of scope.split("/")) key = await hmac(key, part);
    cached = { scope, key };
  }
  return cached.key;
}

/** A presigned PUT of AWS Signature Version 4. */
async function presign(env, key, type, disposition, size, now) {
  const { origin, host, pathname } = new URL(`${env.S3_ENDPOINT}/${env.S3_BUCKET}/${key}`);
  const time = new Date(now).toISOString().replace(/[-:]|\.\d{3}/g, "");
  const scope = `${time.slice(0, 8)}/auto/s3/aws4_request`;
  const query =
    `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${encodeURIComponent(`${env.S3_ACCESS_KEY_ID}/${scope}`)}&X-Amz-Date=${time}` +
    `&X-Amz-Expires=${env.UPLOAD_URL_TTL_SECONDS}&X-Amz-SignedHeaders=content-disposition%3Bcontent-length%3Bcontent-type%3Bhost%3Bif-none-match`;
  const canonical =
    `PUT\n${pathname}\n${query}\ncontent-disposition:${disposition}\ncontent-length:${size}\ncontent-type:${type}\nhost:${host}\nif-none-match:*\n\n` +
    "content-disposition;content-length;content-type;host;if-none-match\nUNSIGNED-PAYLOAD";
  const digest = hex(await crypto.subtle.digest("SHA-256", encoder.encode(canonical)));
  const signature = hex(await hmac(await signingKey(env.S3_SECRET_ACCESS_KEY, scope), `AWS4-HMAC-SHA256\n${time}\n${scope}\n${digest}`));
  return `${origin}${pathname}?${query}&X-Amz-Signature=${signature}`;
}

/** The asset as sent. */
function asset(env, { created_at, updated_at, deleted_at, ...row }, user) {
  return {
    ...row,
    url: `${env.PUBLIC_BASE_URL}/${row.r2_key}`,
    thumbnail_url: null,
    created_at: new Date(created_at).toISOString(),
    updated_at: new Date(updated_at).toISOString(),
    deleted_at: null,
    created_by_user: user,
  };
}
