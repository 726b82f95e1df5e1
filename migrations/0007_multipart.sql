-- Uploads in parts, and confirmations of several uploads at once.

-- Bytes of every part but the last; NULL for an upload that is sent with one PUT.
ALTER TABLE asset_uploads ADD COLUMN part_size INTEGER CHECK (part_size IS NULL OR part_size > 0);
-- The id of R2's multipart upload; NULL until the first part is asked for, and once its parts are given up.
ALTER TABLE asset_uploads ADD COLUMN multipart_id TEXT CHECK (multipart_id IS NULL OR part_size IS NOT NULL);
-- Those whose parts are to be given up, by their deadlines.
CREATE INDEX asset_uploads_with_parts ON asset_uploads (abs(expires_at)) WHERE multipart_id IS NOT NULL;
-- The same, where the session is gone before that has succeeded: it is aborted before the object is removed, so that no part is kept.
ALTER TABLE retired_uploads ADD COLUMN multipart_id TEXT;

-- Retired uploads whose objects are to be removed: those with parts to give up first, and the others.
DROP INDEX retired_uploads_to_remove;
CREATE INDEX retired_uploads_to_remove ON retired_uploads (retry_at)
  WHERE object_deleted_at IS NULL AND multipart_id IS NULL;
CREATE INDEX retired_uploads_to_abort ON retired_uploads (retry_at)
  WHERE object_deleted_at IS NULL AND multipart_id IS NOT NULL;

-- As before, with the id of the multipart upload.
DROP VIEW sessions_to_sweep;
CREATE VIEW sessions_to_sweep AS
SELECT u.id, abs(u.expires_at) AS deadline, u.multipart_id
FROM asset_uploads u
CROSS JOIN sweeper s
WHERE abs(u.expires_at) >= (SELECT +deadline FROM sweeper)
  AND (abs(u.expires_at) > s.deadline OR u.id > s.upload_id);

DROP VIEW asset_uploads_json;
CREATE VIEW asset_uploads_json AS
SELECT
  u.*,
  json_object('filename', u.filename, 'mime_type', u.mime_type, 'size_bytes', u.size_bytes,
    'expires_at', u.expires_at, 'part_size', u.part_size) AS json
FROM asset_uploads u;

-- Whether a file is within the limits of a key. The request is passed as JSON, as to caller_rights:
--   '[{"limits", "file": {"size_bytes", "mime_types"}}]'
-- limits: as in api_keys; mime_types: the patterns that permit the file's type.
CREATE VIEW limit_checks AS
SELECT
  r.json AS request,
  ifnull(r.value ->> '$.file.size_bytes' <= r.value ->> '$.limits.max_size_bytes', 1)
    AND (r.value ->> '$.limits.mime_types' IS NULL OR EXISTS (
      SELECT 1
      FROM json_each(r.value, '$.limits.mime_types') t
      WHERE t.value IN (SELECT f.value FROM json_each(r.value, '$.file.mime_types') f)))
    AS within_limits
FROM json_each r;

-- The rights of a request's caller, as before, but without its file: a request may have several.
--   SELECT ... FROM caller_rights c
--   WHERE c.request = '[{"token_hash", "org_id", "now", "permission", "scopes", "writes"}]'
DROP VIEW caller_rights;
CREATE VIEW caller_rights AS
SELECT
  r.json AS request,
  r.value ->> 'now' AS now,
  k.user_id,
  m.org_id,
  k.key_id,
  k.scope,
  k.limits,
  k.uploads_started,
  k.generation,
  k.expires_at,
  CASE k.scope WHEN 'upload' THEN k.key_id END AS upload_key_id,
  m.role IN ('owner', 'admin') AS manages_keys,
  CASE
    WHEN k.revoked_at IS NOT NULL OR k.expires_at <= r.value ->> 'now' OR k.is_orphan OR k.disabled_at IS NOT NULL
      THEN 'UNAUTHORIZED'
    WHEN r.value ->> 'permission' IS NULL THEN NULL
    WHEN k.email_verified_at IS NULL THEN 'EMAIL_NOT_VERIFIED'
    WHEN m.org_id IS NULL THEN 'ORGANIZATION_MEMBERSHIP_REQUIRED'
    WHEN m.role IS NULL THEN 'ROLE_UNRESOLVED'
    WHEN k.impersonator_id IS NOT NULL AND r.value ->> 'writes' THEN 'IMPERSONATION_READ_ONLY'
    WHEN p.permission IS NULL OR instr(r.value ->> 'scopes', k.scope) = 0 THEN 'PERMISSION_DENIED'
  END AS auth_error
FROM json_each r
CROSS JOIN callers k ON k.token_hash = r.value ->> 'token_hash'
LEFT JOIN memberships m
  ON m.user_id = k.user_id
  AND m.org_id = COALESCE(r.value ->> 'org_id', k.default_org_id)
  AND (k.bound_org_id IS NULL OR k.bound_org_id = m.org_id)
LEFT JOIN role_permissions p ON p.role = m.role AND p.permission = r.value ->> 'permission';
