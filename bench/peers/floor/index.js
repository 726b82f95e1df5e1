// The floor: the least JavaScript that does what our Worker does for a valid request, with the very statements of the
// built Worker (the benchmark records them). It has what an operator needs: a log line, a request id, the same
// headers, time limits and retries of storage calls, waitUntil. It validates nothing.
import SQL from "./our-statements.js";

const encoder = new TextEncoder();
const hex = (buffer) => new Uint8Array(buffer).toHex();

/** A UUID of version 7. What follows the version in a random one is random in both. */
function uuidV7(ms) {
  const time = ms.toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${crypto.randomUUID().slice(15)}`;
}

const STATUS = {
  UNAUTHORIZED: [401, "Send a valid API key as `Authorization: Bearer <key>`.", { "www-authenticate": "Bearer" }],
  ASSET_UPLOAD_NOT_FOUND: [404, "There is no such upload in this organization."],
  ASSET_NOT_FOUND: [404, "There is no such asset in this organization."],
  ASSET_UPLOAD_ALREADY_CONFIRMED: [409, "This upload has its asset already; `errors` holds the asset's id."],
  OBJECT_NOT_UPLOADED: [409, "The file is not in storage yet; finish the upload, then confirm again."],
  STORAGE_UNAVAILABLE: [503, "Storage did not answer; send the same request again after the time in Retry-After.", { "retry-after": "2" }],
  INTERNAL_ERROR: [500, "Something went wrong here; report the X-Request-Id if it persists."],
};

// A HEAD and every transaction here are safe to repeat.
const D1_TRANSIENT = /Network connection lost|storage caused object to be reset|reset because its code was updated|Cannot resolve D1 DB/;
const D1_UNAVAILABLE = /overloaded|Too many requests queued|timed out|timeout|exceeded its (memory|CPU time) limit|internal error/;
const R2_PERMANENT = /\((10002|10003|10005|10006|10020|10031|10037|10042|10069)\)/;
const MAX_CALLS = 3;

class StorageUnavailable extends Error {}

/** One request, and what its log line says of it. */
class RequestContext {
  started = Date.now();
  id = uuidV7(this.started);
  now = this.started;
  route = null;
  orgId = null;
  userId = null;
  r2Ms = null;
  d1Ms = null;
  retries = 0;
  timer = undefined;
  deadline = 0;
  expire = undefined;

  constructor(request, env) {
    this.request = request;
    this.env = env;
    this.limit = Number(env.STORAGE_TIMEOUT_MS);
  }

  async head(key) {
    const started = Date.now();
    try {
      return await this.limited(() => this.env.BUCKET.head(key), (message) => !R2_PERMANENT.test(message));
    } catch (error) {
      throw new StorageUnavailable(`R2: ${error.message}`);
    } finally {
      this.r2Ms = (this.r2Ms ?? 0) + Date.now() - started;
    }
  }

  async batch(statements) {
    const started = Date.now();
    try {
      return await this.limited(() => this.env.DB.batch(statements), (message) => D1_TRANSIENT.test(message));
    } catch (error) {
      const message = `D1: ${error.message}`;
      const unavailable = error instanceof StorageUnavailable || D1_TRANSIENT.test(message) || D1_UNAVAILABLE.test(message);
      throw unavailable ? new StorageUnavailable(message) : new Error(message);
    } finally {
      this.d1Ms = (this.d1Ms ?? 0) + Date.now() - started;
    }
  }

  /** The call with its repeats, within the time limit. One timer serves all calls of a request. */
  limited(call, isTransient) {
    this.deadline = Date.now() + this.limit;
    if (this.timer === undefined) this.startTimer(this.limit);
    return new Promise((resolve, reject) => {
      this.expire = reject;
      this.repeated(call, isTransient).then(resolve, reject);
    });
  }

  startTimer(ms) {
    this.timer = setTimeout(() => {
      this.timer = undefined;
      const left = this.deadline - Date.now();
      if (left > 0) this.startTimer(left);
      else this.expire(new StorageUnavailable(`no answer within ${this.limit} ms`));
    }, ms);
  }

  async repeated(call, isTransient) {
    for (let calls = 1; ; calls++) {
      try {
        return await call();
      } catch (error) {
        if (calls === MAX_CALLS || !isTransient(error.message)) throw error;
        this.retries++;
        await scheduler.wait(Math.random() * 250 * 2 ** calls);
      }
    }
  }

  /** Notes who called; of a row of our statements. */
  note({ org_id, user_id }) {
    this.orgId = org_id;
    this.userId = user_id;
  }

  /** The one way out: headers, log line, response. */
  answer(status, body, own, code = null, detail = null) {
    clearTimeout(this.timer);
    const headers = { ...own, "x-request-id": this.id, "cache-control": "no-store", "x-content-type-options": "nosniff", "content-type": "application/json" };
    if (this.r2Ms !== null || this.d1Ms !== null) {
      const r2 = this.r2Ms === null ? "" : `r2;dur=${this.r2Ms}`;
      const d1 = this.d1Ms === null ? "" : `d1;dur=${this.d1Ms}`;
      headers["server-timing"] = r2 && d1 ? `${r2}, ${d1}` : r2 + d1;
    }
    const line = JSON.stringify({
      level: status >= 500 ? "error" : "info",
      request_id: this.id,
      method: this.request.method,
      route: this.route,
      status,
      code,
      org_id: this.orgId,
      user_id: this.userId,
      r2_ms: this.r2Ms,
      d1_ms: this.d1Ms,
      retries: this.retries,
      duration_ms: Date.now() - this.started,
      detail,
    });
    if (status >= 500) console.error(line);
    else console.log(line);
    return new Response(JSON.stringify(body), { status, headers });
  }

  error(code, errors = null, detail = null) {
    const [status, message, headers] = STATUS[code];
    return this.answer(status, { code, message, errors }, headers, code, detail);
  }
}

export default {
  fetch(request, env, ctx) {
    const context = new RequestContext(request, env);
    const answer = handle(context).catch((error) => context.error(error instanceof StorageUnavailable ? "STORAGE_UNAVAILABLE" : "INTERNAL_ERROR", null, error.message));
    // Carried to its end also where the client goes away.
    ctx.waitUntil(answer);
    return answer;
  },
};

async function handle(context) {
  const { headers, url } = context.request;
  const [, , kind, id] = new URL(url).pathname.split("/");
  context.route = kind === "assets" ? "/v1/assets/{asset_id}" : id === undefined ? "/v1/asset-uploads" : "/v1/asset-uploads/{asset_upload_id}/confirmations";
  const authorization = headers.get("authorization");
  if (authorization === null) return context.error("UNAUTHORIZED");
  const caller = { token_hash: hex(await crypto.subtle.digest("SHA-256", encoder.encode(authorization.slice(7)))), org_id: headers.get("x-organization-id") };
  if (kind === "assets") return read(context, JSON.stringify([{ ...caller, now: context.now, permission: "assets:read", scopes: ["full", "read"], writes: false }]), id);
  const body = await context.request.json();
  context.now = Date.now();
  return write(context, JSON.stringify([{ ...caller, now: context.now, permission: "assets:write", scopes: ["full", "upload"], writes: true }]), id, body);
}

function write(context, caller, id, body) {
  return id === undefined ? create(context, caller, body) : confirm(context, caller, id, body);
}

async function confirm(context, caller, id, { folder_id = null }) {
  const { DB } = context.env;
  const object = await context.head(`uploads/${id}`);
  if (object === null) {
    const [{ results }] = await context.batch([DB.prepare(SQL.confirm[1]).bind(caller, JSON.stringify([{ id, folder_id }]))]);
    context.note(JSON.parse(results[0].json));
    return context.error("OBJECT_NOT_UPLOADED");
  }
  const type = object.httpMetadata.contentType;
  const kind = type.slice(0, type.indexOf("/"));
  const assetType = kind === "image" || kind === "video" || kind === "audio" ? kind : "file";
  const confirmationKey = context.request.headers.get("idempotency-key") ?? "";
  const items = JSON.stringify([{ id, folder_id, mime_type: type, asset_type: assetType, etag: object.etag, size_bytes: object.size }]);
  const insert = DB.prepare(SQL.confirm[0]).bind(caller, items, confirmationKey, 0, context.id, 0);
  const [, { results }] = await context.batch([insert, DB.prepare(SQL.confirm[1]).bind(caller, items)]);
  const row = JSON.parse(results[0].json);
  context.note(row);
  const found = row.found?.uploads[0];
  if (!found?.asset) return context.error("ASSET_UPLOAD_NOT_FOUND");
  const { confirmation } = found;
  const written = confirmation.request_id === context.id;
  const ours = written || (confirmationKey !== "" && confirmation.key === confirmationKey);
  if (!ours) {
    return context.error("ASSET_UPLOAD_ALREADY_CONFIRMED", [
      { loc: ["path", "asset_upload_id"], msg: "This upload was confirmed before.", type: "already_confirmed", asset_id: id },
    ]);
  }
  const headers = { location: `/v1/assets/${id}` };
  if (!written) headers["idempotent-replayed"] = "true";
  return context.answer(201, asset(context.env, found.asset, found.created_by_user), headers);
}

async function read(context, caller, id) {
  const [{ results }] = await context.batch([context.env.DB.prepare(SQL.read[0]).bind(caller, id, null)]);
  const row = JSON.parse(results[0].json);
  context.note(row);
  const found = row.found?.asset;
  return found?.deleted_at !== null ? context.error("ASSET_NOT_FOUND") : context.answer(200, asset(context.env, found, null));
}

async function create(context, caller, { filename, mime_type, size_bytes }) {
  const { env, now } = context;
  const id = uuidV7(now);
  const question = [caller, id];
  const [, { results }] = await context.batch([
    env.DB.prepare(SQL.create[0]).bind(...question, filename, mime_type, size_bytes, now + env.CONFIRM_TTL_SECONDS * 1000, context.id, null, null),
    env.DB.prepare(SQL.create[1]).bind(...question),
  ]);
  context.note(JSON.parse(results[0].json));
  const disposition = `inline; filename="${filename}"; filename*=UTF-8''${encodeURIComponent(filename)}`;
  const url = await presign(env, `uploads/${id}`, mime_type, disposition, size_bytes, now);
  const headers = { "content-type": mime_type, "content-disposition": disposition, "if-none-match": "*" };
  const seconds = Math.floor(now / 1000) * 1000;
  const upload = { method: "PUT", url, headers, expires_at: new Date(seconds + env.UPLOAD_URL_TTL_SECONDS * 1000).toISOString() };
  return context.answer(201, { asset_id: id, upload_url: url, upload }, { location: `/v1/asset-uploads/${id}` });
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
