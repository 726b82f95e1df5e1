// The benchmark's peer `hono-tuned`: the same libraries as `hono`, with one database call a request.
import type { Context } from "hono";
import { assetJson, CONFIRM_MS, uploadJson } from "../shared-hono/answers.ts";
import { newApp } from "../shared-hono/app.ts";
import type { AppEnv } from "../shared-hono/bindings.ts";
import { ApiError } from "../shared-hono/errors.ts";
import {
  assetPath,
  confirmBody,
  createBodyOf,
  idempotencyHeader,
  jsonOf,
  organizationHeader,
  parse,
  tokenHashOf,
  uploadPath,
} from "../shared-hono/requests.ts";
import { head, keyOf } from "../shared-hono/storage.ts";
import { batch } from "./batch.ts";
import { confirm } from "./confirm.ts";
import { queriesOf } from "./queries.ts";
import { type Ask, judge } from "./rights.ts";
import type { Permission } from "./schema.ts";

const app = newApp();

/** Who asks, and what `read` makes of the request. Of a faulty request the caller's rights are judged first. */
async function receive<Input>(c: Context<AppEnv>, permission: Permission, read: () => Input | Promise<Input>) {
  const tokenHash = await tokenHashOf(c);
  const header = { "X-Organization-Id": c.req.header("X-Organization-Id") };
  const named = organizationHeader.safeParse(header);
  const ask: Ask = { tokenHash, organization: named.data?.["X-Organization-Id"] ?? null, permission, now: Date.now() };
  try {
    if (!named.success) parse("header", organizationHeader, header);
    return { ask, input: await read() };
  } catch (fault) {
    const [row] = await queriesOf(c.env).refusal.all(ask);
    // In an organization that cannot be read, nobody has rights to judge.
    const early = !row || row.refusal === "UNAUTHORIZED" || row.refusal === "EMAIL_NOT_VERIFIED";
    if (named.success || early) judge(row);
    throw fault;
  }
}

app.post("/v1/asset-uploads", async (c) => {
  const { ask, input: file } = await receive(c, "assets:write", async () => parse("body", createBodyOf(c.env), await jsonOf(c)));
  const id = crypto.randomUUID();
  const { insertUpload, refusal } = queriesOf(c.env);
  const [, [row]] = await batch(c.env, [insertUpload, refusal], {
    ...ask,
    id,
    filename: file.filename,
    mimeType: file.mime_type,
    sizeBytes: file.size_bytes,
    expiresAt: ask.now + CONFIRM_MS,
    requestId: crypto.randomUUID(),
  });
  judge(row);
  return c.json(await uploadJson(id, file, c.env, c.req.url), 201, { Location: `/v1/asset-uploads/${id}` });
});

app.post("/v1/asset-uploads/:asset_upload_id/confirmations", async (c) => {
  const { ask, input } = await receive(c, "assets:write", async () => ({
    ...parse("path", uploadPath, c.req.param()),
    ...parse("header", idempotencyHeader, { "Idempotency-Key": c.req.header("Idempotency-Key") }),
    ...parse("body", confirmBody, await jsonOf(c)),
  }));
  const { asset_upload_id: id, folder_id, "Idempotency-Key": confirmationKey = crypto.randomUUID() } = input;
  // A failure is kept: rights and session are judged before it.
  const object = await head(c.env, keyOf(id)).catch((error: ApiError) => error);
  const { asset, creator } = await confirm(c.env, { ...ask, id, folderId: folder_id ?? null, confirmationKey, requestId: crypto.randomUUID() }, object);
  return c.json(assetJson(asset, creator, c.env), 201, { Location: `/v1/assets/${id}` });
});

app.get("/v1/assets/:id", async (c) => {
  const { ask, input } = await receive(c, "assets:read", () => parse("path", assetPath, c.req.param()));
  const [row] = await queriesOf(c.env).readAsset.all({ ...ask, id: input.id });
  const { asset } = judge(row);
  if (!asset) throw new ApiError("ASSET_NOT_FOUND");
  return c.json(assetJson(asset, null, c.env));
});

export default app;
