// The object side of storage: where an upload lies, and what is there.
import type { Bindings, StoredObject } from "./bindings.ts";
import { ApiError } from "./errors.ts";

export const keyOf = (uploadId: string) => `uploads/${uploadId}`;

/** HEADs an object; null when there is none. */
export async function head(env: Bindings, key: string): Promise<StoredObject | null> {
  try {
    return await env.BUCKET.head(key);
  } catch (cause) {
    throw new ApiError("STORAGE_UNAVAILABLE", null, { cause });
  }
}
