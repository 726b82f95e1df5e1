// The benchmark's peer `hono-tuned`: the same libraries as `hono`, with one database call a request.
import type { Context } from "hono";
import { assetJson, CONFIRM_MS, uploadJson } from "../shared-hono/answers.ts";
import { answer, newApp } from "../shared-hono/app.ts";
import type { AppEnv } from "../shared-hono/bindings.ts";
import { uuidV7 } from "../shared-hono/context.ts";
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
import { confirmBatch, itemsBody } from "./confirm-batch.ts";
import { queriesOf } from "./queries.ts";
import { deleteFolder, deletionQuery, folderPath, listAssets, listOf, noQuery, queryOf, readFolder } from "./library.ts";
import { type CallerParams, checkCaller } from "./rights.ts";
import type { Permission } from "./schema.ts";

const app = newApp();

/** Who calls, and what `read` makes of the request. Of a faulty request the caller's rights are checked first. */
async function receive<Input>(c: Context<AppEnv>, permission: Permission, read: () => Input | Promise<Input>) {
  const tokenHash = await tokenHashOf(c);
  const header = { "X-Organization-Id": c.req.header("X-Organization-Id") };
  const named = organizationHeader.safeParse(header);
  const caller: CallerParams = { tokenHash, organization: named.data?.["X-Organization-Id"] ?? null, permission, now: Date.now() };
  try {
    if (!named.success) parse("header", organizationHeader, header);
    return { caller, input: await read() };
  } catch (error) {
    const [row] = await c.get("request").d1(() => queriesOf(c.env).checkRights.all(caller));
    // In an organization that cannot be read, nobody has rights to check.
    const early = !row || row.denial === "UNAUTHORIZED" || row.denial === "EMAIL_NOT_VERIFIED";
    if (named.success || early) checkCaller(row, c.get("request"));
    throw error;
  }
}

app.post("/v1/asset-uploads", async (c) => {
  const { caller, input: file } = await receive(c, "assets:write", async () => parse("body", createBodyOf(c.env), await jsonOf(c)));
  const id = uuidV7(caller.now);
  const { insertUpload, checkRights } = queriesOf(c.env);
  const [, [row]] = await batch(c, [insertUpload, checkRights], {
    ...caller,
    id,
    filename: file.filename,
    mimeType: file.mime_type,
    sizeBytes: file.size_bytes,
    expiresAt: caller.now + CONFIRM_MS,
    requestId: c.get("request").id,
  });
  checkCaller(row, c.get("request"));
  return answer(c, 201, await uploadJson(id, file, c.env, c.req.url), { location: `/v1/asset-uploads/${id}` });
});

app.post("/v1/asset-uploads/:asset_upload_id/confirmations", async (c) => {
  const { caller, input } = await receive(c, "assets:write", async () => ({
    ...parse("path", uploadPath, c.req.param()),
    ...parse("header", idempotencyHeader, { "Idempotency-Key": c.req.header("Idempotency-Key") }),
    ...parse("body", confirmBody, await jsonOf(c)),
  }));
  const { asset_upload_id: id, folder_id, "Idempotency-Key": confirmationKey = crypto.randomUUID() } = input;
  // A failure is kept: rights and session are checked before it.
  const object = await head(c, keyOf(id)).catch((error: ApiError) => error);
  const { asset, creator } = await confirm(c, { ...caller, id, folderId: folder_id ?? null, confirmationKey, requestId: c.get("request").id }, object);
  return answer(c, 201, assetJson(asset, creator, c.env), { location: `/v1/assets/${id}` });
});

app.post("/v1/asset-upload-confirmations", async (c) => {
  const { caller, input } = await receive(c, "assets:write", async () => ({
    ...parse("header", idempotencyHeader, { "Idempotency-Key": c.req.header("Idempotency-Key") }),
    ...parse("body", itemsBody, await jsonOf(c)),
  }));
  return answer(c, 200, await confirmBatch(c, caller, input.items, input["Idempotency-Key"] ?? ""));
});

app.get("/v1/assets/:asset_id", async (c) => {
  const { caller, input } = await receive(c, "assets:read", () => parse("path", assetPath, c.req.param()));
  const values = { ...caller, id: input.asset_id };
  const [row] = await c.get("request").d1(() => queriesOf(c.env).readAsset.all(values));
  const { asset } = checkCaller(row, c.get("request"));
  if (!asset) throw new ApiError("ASSET_NOT_FOUND");
  return answer(c, 200, assetJson(asset, null, c.env));
});

app.get("/v1/assets", async (c) => {
  const { caller, input: list } = await receive(c, "assets:read", () => listOf(queryOf(c)));
  return answer(c, 200, await listAssets(c, caller, list));
});

app.get("/v1/asset-folders/:folder_id", async (c) => {
  const { caller, input } = await receive(c, "assets:read", () => {
    parse("query", noQuery, queryOf(c));
    return parse("path", folderPath, c.req.param());
  });
  return answer(c, 200, await readFolder(c, caller, input.folder_id));
});

app.delete("/v1/asset-folders/:folder_id", async (c) => {
  const { caller, input } = await receive(c, "assets:write", () => ({
    ...parse("path", folderPath, c.req.param()),
    ...parse("query", deletionQuery, queryOf(c)),
  }));
  await deleteFolder(c, caller, input.folder_id, input.recursive);
  return answer(c, 204, null);
});

export default app;
