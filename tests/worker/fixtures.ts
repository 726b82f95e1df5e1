// What a test begins with: organizations, people with keys, folders and uploads, written to D1 and R2 directly.
import { randomUUID } from "node:crypto";
import { hashOf, makeToken } from "./key.ts";
import type { Person, Server } from "./server.ts";
import type { Statement } from "./storage-worker.ts";

/** The local bucket's S3 endpoint as .dev.vars has it, for Workers that do not read that file. */
export const S3 = {
  vars: { S3_ENDPOINT: "/cdn-cgi/local/r2/s3", S3_BUCKET: "asset-uploads" },
  secrets: { S3_ACCESS_KEY_ID: "local-development", S3_SECRET_ACCESS_KEY: "local-development-only" },
};

/** Columns of the key or of its user that differ from a valid key of a verified user. */
export interface PersonColumns {
  disabled_at?: number;
  email_verified_at?: number | null;
  first_name?: string;
  org_id?: string;
  impersonator_id?: string;
  expires_at?: number;
  revoked_at?: number;
  scope?: "full" | "read" | "upload";
  parent_id?: string;
  limits?: Record<string, unknown>;
}

export async function createOrganization(server: Server): Promise<string> {
  const id = randomUUID();
  await server.sql("INSERT INTO organizations VALUES (?, 'Acme', 0)", id);
  return id;
}

/** A user with a verified e-mail address and a key; `memberships` has the role in each organization. */
export async function createPerson(server: Server, memberships: Record<string, string | null> = {}, columns: PersonColumns = {}): Promise<Person> {
  const userId = randomUUID();
  const email = `${userId}@example.com`;
  const { disabled_at = null, email_verified_at = 1, first_name = null } = columns;
  const { org_id = null, impersonator_id = null, expires_at = null, revoked_at = null } = columns;
  const { scope = "full", parent_id = null, limits } = columns;
  const token = makeToken();
  const keyId = randomUUID();
  await server.storage([
    [
      "INSERT INTO users (id, email, first_name, email_verified_at, disabled_at, created_at) VALUES (?, ?, ?, ?, ?, 0)",
      userId, email, first_name, email_verified_at, disabled_at,
    ],
    ...Object.entries(memberships).map(
      ([org, role]): Statement => ["INSERT INTO memberships (org_id, user_id, role) VALUES (?, ?, ?)", org, userId, role],
    ),
    [
      `INSERT INTO api_keys (id, token_hash, user_id, org_id, impersonator_id, name, created_at, expires_at, revoked_at, scope,
         parent_id, limits)
       VALUES (?, ?, ?, ?, ?, 'test', 0, ?, ?, ?, ?, ?)`,
      keyId, hashOf(token), userId, org_id, impersonator_id, expires_at, revoked_at, scope,
      parent_id, limits === undefined ? null : JSON.stringify(limits),
    ],
  ]);
  return { userId, keyId, token, email };
}

export async function organizationWithEditor(server: Server): Promise<{ org: string; editor: Person }> {
  const org = await createOrganization(server);
  return { org, editor: await createPerson(server, { [org]: "editor" }) };
}

/** An organization, its editor, and an upload that can be confirmed. */
export async function organizationWithUpload(server: Server): Promise<{ org: string; editor: Person; id: string }> {
  const { org, editor } = await organizationWithEditor(server);
  return { org, editor, id: await createUpload(server, org, editor) };
}

/** Columns of a folder that differ from one at the top that is not deleted; without a name it has one of its own. */
export interface FolderColumns {
  id?: string;
  name?: string;
  parent_id?: string | null;
  created_at?: number;
  deleted_at?: number | null;
  deleted_with?: string | null;
}

export async function createFolder(server: Server, orgId: string, by: Person, columns: FolderColumns = {}): Promise<string> {
  const { id = randomUUID() } = columns;
  const { name = `Folder ${id}`, parent_id = null, created_at = 0, deleted_at = null, deleted_with = null } = columns;
  await server.sql(
    `INSERT INTO folders (id, org_id, parent_id, name, created_by, created_at, updated_at, deleted_at, deleted_with)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8)`,
    id, orgId, parent_id, name, by.userId, created_at, deleted_at, deleted_with,
  );
  return id;
}

/** Columns of an asset that differ from an image at the top that is not deleted. */
export interface AssetColumns {
  id?: string;
  name?: string;
  mime_type?: string;
  asset_type?: string;
  folder_id?: string | null;
  created_by?: string;
  created_at?: number;
  deleted_at?: number | null;
  deleted_with?: string | null;
}

/** Assets that have neither session nor object: their ids. */
export async function createAssets(server: Server, orgId: string, by: Person, assets: AssetColumns[]): Promise<string[]> {
  const rows = assets.map((columns) => ({
    ...{ id: randomUUID(), name: "photo.png", mime_type: "image/png", asset_type: "image", folder_id: null, created_by: by.userId },
    ...{ created_at: 0, deleted_at: null, deleted_with: null },
    ...columns,
  }));
  // D1 takes no more than two million characters at once.
  for (let from = 0; from < rows.length; from += 2_000) {
    await server.sql(
      `INSERT INTO assets (id, org_id, folder_id, name, r2_key, mime_type, size_bytes, asset_type, source_type, source_id, etag,
         confirmation_key, created_by, created_at, updated_at, deleted_at, deleted_by, deleted_with)
       SELECT r.value ->> 'id', ?1, r.value ->> 'folder_id', r.value ->> 'name', 'uploads/' || (r.value ->> 'id'), r.value ->> 'mime_type', 7,
         r.value ->> 'asset_type', 'upload', r.value ->> 'id', 'etag', '', r.value ->> 'created_by', r.value ->> 'created_at',
         r.value ->> 'created_at', r.value ->> 'deleted_at', iif(r.value ->> 'deleted_at', ?2, NULL), r.value ->> 'deleted_with'
       FROM json_each(?3) r`,
      orgId, by.userId, JSON.stringify(rows.slice(from, from + 2_000)),
    );
  }
  return rows.map(({ id }) => id);
}

export interface UploadFixture {
  filename?: string;
  mime?: string;
  size?: number;
  expiresAt?: number;
  object?: { body: string | Uint8Array; contentType?: string } | null;
}

/** An upload session and, unless `object` is null, its object in R2. */
export async function createUpload(server: Server, orgId: string, by: Person, options: UploadFixture = {}): Promise<string> {
  const { filename = "photo.png", mime = "image/png", expiresAt = Date.now() + 3_600_000 } = options;
  const { object = { body: "not really a picture", contentType: mime } } = options;
  const id = randomUUID();
  await server.sql(
    `INSERT INTO asset_uploads (id, org_id, filename, mime_type, size_bytes, created_by, created_at, expires_at, api_key_id)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    id, orgId, filename, mime, options.size ?? object?.body.length ?? 1, by.userId, Date.now(), expiresAt, by.keyId,
  );
  if (object) await putObject(server, id, object.body, object.contentType);
  return id;
}

/** Writes an upload's object, past the signed URL. */
export async function putObject(server: Server, uploadId: string, body: string | Uint8Array, contentType?: string): Promise<void> {
  await server.env.BUCKET.put(`uploads/${uploadId}`, body, contentType === undefined ? {} : { httpMetadata: { contentType } });
}
