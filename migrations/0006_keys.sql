-- Keys that are made through the API: what each may do, which key made it, and which key started an upload.

ALTER TABLE api_keys ADD COLUMN scope TEXT NOT NULL DEFAULT 'full' CHECK (scope IN ('full', 'read', 'upload'));
-- The key that made this one; NULL for an operator's. No foreign key: a key whose maker is missing is nobody's.
ALTER TABLE api_keys ADD COLUMN parent_id TEXT CHECK (parent_id IS NULL OR parent_id <> id);
-- JSON: {"max_uploads"?, "max_size_bytes"?, "mime_types"?: ["image/png", "image/*", ...], "folder_id"?}
ALTER TABLE api_keys ADD COLUMN limits TEXT
  CHECK (limits IS NULL OR (scope = 'upload' AND json_valid(limits) AND json_type(limits) = 'object'));
-- Uploads that a key of the scope `upload` has started, those that were cancelled among them.
ALTER TABLE api_keys ADD COLUMN uploads_started INTEGER NOT NULL DEFAULT 0;

-- The key that started the upload; NULL in rows from before this migration. No foreign key: keys are removed.
ALTER TABLE asset_uploads ADD COLUMN api_key_id TEXT;

-- The lists of keys: one's own, those bound to no organization among them, and all of an organization.
CREATE INDEX api_keys_by_user ON api_keys (user_id, org_id, created_at, id);
CREATE INDEX api_keys_by_organization ON api_keys (org_id, created_at, id);
CREATE INDEX api_keys_by_parent ON api_keys (parent_id) WHERE parent_id IS NOT NULL;
-- When a key ended, by expiry or revocation.
CREATE INDEX api_keys_by_end ON api_keys (COALESCE(min(expires_at, revoked_at), expires_at, revoked_at))
  WHERE COALESCE(min(expires_at, revoked_at), expires_at, revoked_at) IS NOT NULL;

-- Counts an upload in the very transaction that starts it, and once, however often that is sent.
CREATE TRIGGER count_uploads_of_key AFTER INSERT ON asset_uploads
WHEN NEW.api_key_id IS NOT NULL
BEGIN
  UPDATE api_keys SET uploads_started = uploads_started + 1 WHERE id = NEW.api_key_id AND scope = 'upload';
END;

DROP VIEW caller_rights;
DROP VIEW callers;

-- One row an API key, with its user and the organization that it acts in when a request names none: the key's own, else
-- the user's only membership, else NULL. A key ends when it or one of those that it descends from is revoked or expires.
-- There are at most four generations, so three ancestors.
CREATE VIEW callers AS
SELECT
  k.id AS key_id,
  k.token_hash,
  k.user_id,
  k.impersonator_id,
  k.scope,
  k.limits,
  k.uploads_started,
  1 + (p.id IS NOT NULL) + (pp.id IS NOT NULL) + (ppp.id IS NOT NULL) AS generation,
  -- The earliest of the chain; NULL where none expires.
  nullif(
    min(
      ifnull(k.expires_at, 9e15), ifnull(p.expires_at, 9e15), ifnull(pp.expires_at, 9e15), ifnull(ppp.expires_at, 9e15)),
    9e15) AS expires_at,
  COALESCE(k.revoked_at, p.revoked_at, pp.revoked_at, ppp.revoked_at) AS revoked_at,
  -- Whether an ancestor is missing.
  k.parent_id IS NOT p.id OR p.parent_id IS NOT pp.id OR pp.parent_id IS NOT ppp.id OR ppp.parent_id IS NOT NULL
    AS is_orphan,
  COALESCE(u.disabled_at, i.disabled_at) AS disabled_at,
  u.email_verified_at,
  k.org_id AS bound_org_id,
  COALESCE(
    k.org_id,
    -- At most two rows are read, however many organizations the user belongs to.
    (SELECT CASE count(*) WHEN 1 THEN min(org_id) END
       FROM (SELECT m.org_id FROM memberships m WHERE m.user_id = k.user_id LIMIT 2))
  ) AS default_org_id
FROM api_keys k
JOIN users u ON u.id = k.user_id
LEFT JOIN users i ON i.id = k.impersonator_id
LEFT JOIN api_keys p ON p.id = k.parent_id
LEFT JOIN api_keys pp ON pp.id = p.parent_id
LEFT JOIN api_keys ppp ON ppp.id = pp.parent_id;

-- The rights of a request's caller: one row, or none where the key is unknown. The request is passed as JSON:
--   SELECT ... FROM caller_rights c
--   WHERE c.request = '[{"token_hash", "org_id", "now", "permission", "scopes", "writes", "file"}]'
-- A view has no parameters, but json_each has its argument as the hidden column `json`. token_hash: SHA-256 of the key;
-- org_id: the organization that the request names, or null; now: milliseconds; permission: as in role_permissions, or
-- null where any valid key will do; scopes: those of the keys that may send such a request; writes: whether it would
-- change something; file: {"size_bytes"?, "mime_types"?, "folder_id"?, "starts"?}, what the limits of a key are compared
-- with: mime_types are the patterns that permit the file's type, starts is whether the request starts an upload.
--
-- auth_error is NULL exactly if the caller may; its values are in the order of the checks (docs/behaviour.md, rows 3
-- to 8). within_limits is whether a key's limits permit the file. upload_key_id is the key where it may only touch the
-- uploads that it started itself, else NULL. manages_keys: whether the keys of others in the organization are the
-- caller's to see and revoke.
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
    WHEN r.value ->> '$.file.folder_id' <> k.limits ->> 'folder_id' THEN 'PERMISSION_DENIED'
  END AS auth_error,
  k.limits IS NULL OR (
    ifnull(r.value ->> '$.file.size_bytes' <= k.limits ->> 'max_size_bytes', 1)
    AND (k.limits ->> 'mime_types' IS NULL OR EXISTS (
      SELECT 1
      FROM json_each(k.limits, '$.mime_types') t
      WHERE t.value IN (SELECT f.value FROM json_each(r.value, '$.file.mime_types') f)))
    AND NOT ifnull(r.value ->> '$.file.starts' AND k.uploads_started >= k.limits ->> 'max_uploads', 0)
  ) AS within_limits
FROM json_each r
CROSS JOIN callers k ON k.token_hash = r.value ->> 'token_hash'
LEFT JOIN memberships m
  ON m.user_id = k.user_id
  AND m.org_id = COALESCE(r.value ->> 'org_id', k.default_org_id)
  AND (k.bound_org_id IS NULL OR k.bound_org_id = m.org_id)
LEFT JOIN role_permissions p ON p.role = m.role AND p.permission = r.value ->> 'permission';

-- Keys as JSON, without token_hash. One whose maker is revoked, or its maker's maker, is revoked.
CREATE VIEW api_keys_json AS
SELECT
  k.*,
  json_object('id', k.id, 'name', k.name, 'scope', k.scope, 'org_id', k.org_id, 'user_id', k.user_id,
    'parent_id', k.parent_id, 'impersonator_id', k.impersonator_id, 'limits', json(k.limits),
    'uploads_started', k.uploads_started, 'created_at', k.created_at, 'expires_at', k.expires_at,
    'revoked_at', COALESCE(k.revoked_at, (
      SELECT COALESCE(p.revoked_at, pp.revoked_at, ppp.revoked_at)
      FROM api_keys p
      LEFT JOIN api_keys pp ON pp.id = p.parent_id
      LEFT JOIN api_keys ppp ON ppp.id = pp.parent_id
      WHERE p.id = k.parent_id))) AS json
FROM api_keys k;
