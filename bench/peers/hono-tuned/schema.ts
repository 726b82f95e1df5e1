// The shared schema, with upload sessions exactly as migrations/ has them.
import { sqliteTable } from "drizzle-orm/sqlite-core";
import { uploadColumns } from "../shared-hono/schema.ts";

export * from "../shared-hono/schema.ts";

export const assetUploads = sqliteTable("asset_uploads", uploadColumns);
