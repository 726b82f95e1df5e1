// What the Worker is bound to: the part of each binding that the peers use, and the variables.
import type { AnyD1Database, DrizzleD1Database } from "drizzle-orm/d1";
import type { RequestContext } from "./context.ts";
import type { User } from "./schema.ts";

export interface Bindings {
  DB: AnyD1Database;
  BUCKET: { head(key: string): Promise<StoredObject | null> };
  PUBLIC_BASE_URL?: string;
  MAX_UPLOAD_BYTES?: string;
  ALLOWED_MIME_TYPES?: string;
  STORAGE_TIMEOUT_MS?: string;
  S3_ENDPOINT: string;
  S3_BUCKET: string;
  S3_ACCESS_KEY_ID: string;
  S3_SECRET_ACCESS_KEY: string;
}

/** What HEAD says of an object. */
export interface StoredObject {
  size: number;
  etag: string;
  httpMetadata?: { contentType?: string };
}

export interface AppEnv {
  Bindings: Bindings;
  /** The last three are set by the peer `hono` alone. */
  Variables: { request: RequestContext; db: DrizzleD1Database; user: User; orgId: string };
}
