// The tables of migrations/ that the peers use, for drizzle.
import { integer, sqliteTable, sqliteView, text } from "drizzle-orm/sqlite-core";

const time = (name: string) => integer(name, { mode: "timestamp_ms" });

export const users = sqliteTable("users", {
  id: text("id").primaryKey(),
  email: text("email").notNull(),
  firstName: text("first_name"),
  lastName: text("last_name"),
  avatarUrl: text("avatar_url"),
});

/** One row an API key: its user, and the organization it acts in when a request names none. */
export const callers = sqliteView("callers", {
  tokenHash: text("token_hash").notNull(),
  userId: text("user_id").notNull(),
  impersonatorId: text("impersonator_id"),
  expiresAt: time("expires_at"),
  revokedAt: time("revoked_at"),
  disabledAt: time("disabled_at"),
  emailVerifiedAt: time("email_verified_at"),
  boundOrgId: text("bound_org_id"),
  defaultOrgId: text("default_org_id"),
}).existing();

export const memberships = sqliteTable("memberships", {
  orgId: text("org_id").notNull(),
  userId: text("user_id").notNull(),
  role: text("role"),
});

export const rolePermissions = sqliteTable("role_permissions", {
  role: text("role").notNull(),
  permission: text("permission").notNull(),
});

export const folders = sqliteTable("folders", {
  id: text("id").primaryKey(),
  orgId: text("org_id").notNull(),
  deletedAt: time("deleted_at"),
});

export const uploadColumns = {
  id: text("id").primaryKey(),
  orgId: text("org_id").notNull(),
  filename: text("filename").notNull(),
  mimeType: text("mime_type").notNull(),
  sizeBytes: integer("size_bytes").notNull(),
  createdBy: text("created_by").notNull(),
  createdAt: time("created_at").notNull(),
  /** The deadline of confirmation; negative when the upload was cancelled. */
  expiresAt: time("expires_at").notNull(),
  requestId: text("request_id"),
};

export const assets = sqliteTable("assets", {
  id: text("id").primaryKey(),
  orgId: text("org_id").notNull(),
  folderId: text("folder_id"),
  name: text("name").notNull(),
  r2Key: text("r2_key").notNull(),
  mimeType: text("mime_type").notNull(),
  sizeBytes: integer("size_bytes").notNull(),
  assetType: text("asset_type").notNull(),
  sourceType: text("source_type").notNull(),
  sourceId: text("source_id").notNull(),
  etag: text("etag").notNull(),
  confirmationKey: text("confirmation_key").notNull(),
  createdBy: text("created_by").notNull(),
  createdAt: time("created_at").notNull(),
  updatedAt: time("updated_at").notNull(),
  deletedAt: time("deleted_at"),
  deletedBy: text("deleted_by"),
  requestId: text("request_id"),
  confirmedFolderId: text("confirmed_folder_id"),
  eventAt: time("event_at"),
});

export type Asset = typeof assets.$inferSelect;
export type User = typeof users.$inferSelect;
export type Permission = "assets:read" | "assets:write";
