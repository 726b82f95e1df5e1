// What requests must look like, with zod, and the API key's hash.
import type { Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import * as z from "zod";
import type { AppEnv, Bindings } from "./bindings.ts";
import { ApiError } from "./errors.ts";
import { isAllowed, mimeTypeOf } from "./media.ts";
import { type Settings, settingsOf } from "./settings.ts";

const encoder = new TextEncoder();
/** workerd's `Uint8Array.toHex`, which the types of ES2024 do not know yet. */
const hex = (bytes: ArrayBuffer) => (new Uint8Array(bytes) as unknown as { toHex(): string }).toHex();

export const id = z.guid().toLowerCase();

export const uploadPath = z.object({ asset_upload_id: id });
export const assetPath = z.object({ asset_id: id });
export const organizationHeader = z.object({ "X-Organization-Id": id.optional() });
export const idempotencyHeader = z.object({ "Idempotency-Key": z.string().regex(/^[!-~]{1,255}$/).optional() });
export const confirmBody = z.strictObject({ folder_id: id.nullish() });

const newCreateBody = (settings: Settings) =>
  z.strictObject({
    filename: z.string().max(500).regex(/^[^\p{Cc}/\\]+$/u),
    mime_type: z.string().transform((text, ctx) => {
      const mimeType = mimeTypeOf(text);
      if (mimeType !== undefined && isAllowed(mimeType, settings)) return mimeType;
      ctx.addIssue("This media type is malformed or not permitted.");
      return z.NEVER;
    }),
    size_bytes: z.int().min(1).max(settings.maxBytes),
  });

let createBody: ReturnType<typeof newCreateBody> | undefined;

/** Made at the first request, because its limits are variables of the Worker. */
export const createBodyOf = (env: Bindings) => (createBody ??= newCreateBody(settingsOf(env)));

/** The value as the schema has it; every field error otherwise. */
export function parse<Schema extends z.ZodType>(part: "path" | "query" | "header" | "body", schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const fields = result.error.issues.map(({ path, message, code }) => ({ loc: [part, ...path.map(String)], msg: message, type: code }));
  throw new ApiError("VALIDATION_ERROR", fields);
}

// A middleware by its form; called below, since in neither peer may it answer before the caller's rights are known.
const limitBody = bodyLimit({
  maxSize: 64 * 1024,
  onError: () => {
    throw new ApiError("BAD_REQUEST");
  },
});

/** The body, which must be a JSON object. */
export async function jsonOf(c: Context<AppEnv>): Promise<object> {
  await limitBody(c, async () => {});
  const text = await c.req.text();
  if (text === "") throw new ApiError("VALIDATION_ERROR", [{ loc: ["body"], msg: "A JSON body is required.", type: "missing" }]);
  if (!/^application\/json\s*(;|$)/i.test(c.req.header("Content-Type") ?? "")) throw new ApiError("BAD_REQUEST");
  const value = jsonIn(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new ApiError("BAD_REQUEST");
  return value;
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ApiError("BAD_REQUEST", null, String(cause));
  }
}

/** SHA-256 of the API key, as the database has it. What cannot be a key is 401 without asking the database. */
export async function tokenHashOf(c: Context<AppEnv>): Promise<string> {
  const token = /^bearer +(au_[0-9A-Za-z]{49})$/i.exec(c.req.header("Authorization") ?? "")?.[1];
  if (token === undefined) throw new ApiError("UNAUTHORIZED");
  return hex(await crypto.subtle.digest("SHA-256", encoder.encode(token)));
}
