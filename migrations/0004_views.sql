-- Views that the Worker's statements read, so that each rule and each list of columns is defined once.

-- The rights of a request's caller: one row, or none where the key is unknown. The request is passed as JSON:
--   SELECT ... FROM caller_rights c WHERE c.request = '[{"token_hash", "org_id", "now", "permission", "writes"}]'
-- A view has no parameters, but json_each has its argument as the hidden column `json`. token_hash: SHA-256 of the key;
-- org_id: the organization that the request names, or null; now: milliseconds; permission: as in role_permissions;
-- writes: whether that permission allows changes. auth_error is NULL exactly if the caller has the permission; its
-- values are in the order of the checks (docs/behaviour.md, rows 3 to 8).
CREATE VIEW caller_rights AS
SELECT
  r.json AS request,
  r.value ->> 'now' AS now,
  k.user_id,
  m.org_id,
  CASE
    WHEN k.revoked_at IS NOT NULL OR k.expires_at <= r.value ->> 'now' OR k.disabled_at IS NOT NULL THEN 'UNAUTHORIZED'
    WHEN k.email_verified_at IS NULL THEN 'EMAIL_NOT_VERIFIED'
    WHEN m.org_id IS NULL THEN 'ORGANIZATION_MEMBERSHIP_REQUIRED'
    WHEN m.role IS NULL THEN 'ROLE_UNRESOLVED'
    WHEN k.impersonator_id IS NOT NULL AND r.value ->> 'writes' THEN 'IMPERSONATION_READ_ONLY'
    WHEN p.permission IS NULL THEN 'PERMISSION_DENIED'
  END AS auth_error
FROM json_each r
CROSS JOIN callers k ON k.token_hash = r.value ->> 'token_hash'
LEFT JOIN memberships m
  ON m.user_id = k.user_id
  AND m.org_id = COALESCE(r.value ->> 'org_id', k.default_org_id)
  AND (k.bound_org_id IS NULL OR k.bound_org_id = m.org_id)
LEFT JOIN role_permissions p ON p.role = m.role AND p.permission = r.value ->> 'permission';

-- Rows as JSON, with the one list of columns that the Worker reads. D1 permits 32 arguments to a function, so a long
-- list continues in json_insert, which can be nested.
CREATE VIEW assets_json AS
SELECT
  a.*,
  json_insert(
    json_object(
      'id', a.id, 'org_id', a.org_id, 'folder_id', a.folder_id, 'name', a.name, 'r2_key', a.r2_key,
      'mime_type', a.mime_type, 'size_bytes', a.size_bytes, 'asset_type', a.asset_type,
      'source_type', a.source_type, 'source_id', a.source_id, 'created_by', a.created_by),
    '$.created_at', a.created_at, '$.updated_at', a.updated_at,
    '$.deleted_at', a.deleted_at, '$.deleted_by', a.deleted_by) AS json
FROM assets a;

CREATE VIEW asset_uploads_json AS
SELECT
  u.*,
  json_object('filename', u.filename, 'mime_type', u.mime_type, 'size_bytes', u.size_bytes,
    'expires_at', u.expires_at) AS json
FROM asset_uploads u;

CREATE VIEW users_json AS
SELECT
  u.*,
  json_object('id', u.id, 'email', u.email, 'first_name', u.first_name, 'last_name', u.last_name,
    'avatar_url', u.avatar_url) AS json
FROM users u;

-- Sessions that the sweeper has not checked yet, by deadline. The deadline of a cancelled session is negative.
-- SQLite uses the index of deadlines only if the sessions are the outer table, and if the bound has no affinity, like
-- the indexed expression: hence CROSS JOIN and the unary plus.
CREATE VIEW sessions_to_sweep AS
SELECT u.id, abs(u.expires_at) AS deadline
FROM asset_uploads u
CROSS JOIN sweeper s
WHERE abs(u.expires_at) >= (SELECT +deadline FROM sweeper)
  AND (abs(u.expires_at) > s.deadline OR u.id > s.upload_id);

-- Whether the last complete pass of the bucket found too many orphans: more than ten, and more than a tenth of all
-- objects. So many mean that the database has lost rows, and then their objects must not be lost, too.
CREATE VIEW sweeper_state AS
SELECT
  s.*,
  s.completed_orphans > 10 AND s.completed_orphans * 10 > s.completed_objects AS too_many_orphans
FROM sweeper s;
