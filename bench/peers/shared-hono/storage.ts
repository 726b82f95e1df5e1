// The object side of storage: where an upload lies, and what is there.
import type { Context } from "hono";
import type { AppEnv, StoredObject } from "./bindings.ts";

export const keyOf = (uploadId: string) => `uploads/${uploadId}`;

/** HEADs an object; null when there is none. */
export const head = (c: Context<AppEnv>, key: string): Promise<StoredObject | null> => c.get("request").r2(() => c.env.BUCKET.head(key));
