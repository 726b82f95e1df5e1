// The shared schema, with the column that confirmed_at.sql adds.
import { integer, sqliteTable } from "drizzle-orm/sqlite-core";
import { uploadColumns } from "../shared-hono/schema.ts";

export * from "../shared-hono/schema.ts";

export const assetUploads = sqliteTable("asset_uploads", {
  ...uploadColumns,
  confirmedAt: integer("confirmed_at", { mode: "timestamp_ms" }),
});
