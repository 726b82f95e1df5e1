-- The whole schema. Every id is a lower-case hyphenated UUID, every time is in milliseconds since the
-- Unix epoch, UTC. Tables are STRICT, so that no value of another type gets in, and those with a text
-- key are WITHOUT ROWID: one b-tree and one billed row a write instead of two.

CREATE TABLE organizations (
  id         TEXT PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????' AND id = lower(id)),
  name       TEXT NOT NULL CHECK (name <> ''),
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
  id                TEXT PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????' AND id = lower(id)),
  email             TEXT NOT NULL UNIQUE CHECK (email <> ''),
  first_name        TEXT,
  last_name         TEXT,
  avatar_url        TEXT,
  email_verified_at INTEGER,  -- NULL: may not act yet
  disabled_at       INTEGER,  -- not NULL: none of the user's keys works any more
  created_at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (
  name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE role_permissions (
  role       TEXT NOT NULL REFERENCES roles (name),
  permission TEXT NOT NULL,
  PRIMARY KEY (role, permission)
) STRICT, WITHOUT ROWID;

INSERT INTO roles (name) VALUES ('owner'), ('admin'), ('editor'), ('viewer');
INSERT INTO role_permissions (role, permission) VALUES
  ('owner',  'assets:read'), ('owner',  'assets:write'),
  ('admin',  'assets:read'), ('admin',  'assets:write'),
  ('editor', 'assets:read'), ('editor', 'assets:write'),
  ('viewer', 'assets:read');

-- The key leads with the user because a request knows the user and looks for the organization.
CREATE TABLE memberships (
  org_id  TEXT NOT NULL REFERENCES organizations (id),
  user_id TEXT NOT NULL REFERENCES users (id),
  role    TEXT REFERENCES roles (name),  -- NULL: invited, no role assigned yet
  PRIMARY KEY (user_id, org_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
  id              TEXT PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????' AND id = lower(id)),
  token_hash      TEXT NOT NULL UNIQUE CHECK (length(token_hash) = 64 AND token_hash NOT GLOB '*[^0-9a-f]*'),
  user_id         TEXT NOT NULL REFERENCES users (id),
  org_id          TEXT REFERENCES organizations (id),  -- not NULL: acts in this organization only
  impersonator_id TEXT REFERENCES users (id),          -- not NULL: somebody else looks as this user, and may not write
  name            TEXT NOT NULL,
  created_at      INTEGER NOT NULL,
  expires_at      INTEGER,
  revoked_at      INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE folders (
  id         TEXT PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????' AND id = lower(id)),
  org_id     TEXT NOT NULL REFERENCES organizations (id),
  parent_id  TEXT,
  name       TEXT NOT NULL CHECK (name <> ''),
  created_by TEXT NOT NULL REFERENCES users (id),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  deleted_at INTEGER,
  UNIQUE (id, org_id),  -- what the two-column references below point to
  FOREIGN KEY (parent_id, org_id) REFERENCES folders (id, org_id)
) STRICT, WITHOUT ROWID;

-- An upload session. It is pending as long as no asset has its id and it has not been cancelled.
CREATE TABLE asset_uploads (
  id         TEXT PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????' AND id = lower(id)),
  org_id     TEXT NOT NULL REFERENCES organizations (id),
  filename   TEXT NOT NULL CHECK (length(filename) BETWEEN 1 AND 500),
  mime_type  TEXT NOT NULL CHECK (length(mime_type) BETWEEN 1 AND 255),
  size_bytes INTEGER NOT NULL CHECK (size_bytes > 0),
  created_by TEXT NOT NULL REFERENCES users (id),
  created_at INTEGER NOT NULL,
  -- The deadline of confirmation: from this millisecond on it is too late. Cancelling turns it negative,
  -- and the row stays: were it gone, a repeat of the request that made it (same Idempotency-Key, same id)
  -- could make it again and confirm the object that the cancellation is about to remove.
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A verified object. For an upload the id is the session's, so that a second asset of it cannot exist.
CREATE TABLE assets (
  id               TEXT PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????' AND id = lower(id)),
  org_id           TEXT NOT NULL REFERENCES organizations (id),
  folder_id        TEXT,
  name             TEXT NOT NULL,
  r2_key           TEXT NOT NULL UNIQUE,
  mime_type        TEXT NOT NULL,
  size_bytes       INTEGER NOT NULL CHECK (size_bytes > 0),
  asset_type       TEXT NOT NULL CHECK (asset_type IN ('image', 'video', 'audio', 'document', 'file')),
  source_type      TEXT NOT NULL,
  source_id        TEXT NOT NULL,
  etag             TEXT NOT NULL,
  confirmation_key TEXT NOT NULL,  -- the Idempotency-Key, else a random id: whose confirmation this was
  created_by       TEXT NOT NULL REFERENCES users (id),
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL,
  deleted_at       INTEGER,
  deleted_by       TEXT REFERENCES users (id),
  CHECK (deleted_by IS NULL OR deleted_at IS NOT NULL),
  -- Two columns, so that the schema itself refuses another organization's folder.
  FOREIGN KEY (folder_id, org_id) REFERENCES folders (id, org_id)
) STRICT, WITHOUT ROWID;

-- The rights view: one row an API key, with its user and the organization it acts in when a request
-- names none: the key's own, else the user's only membership, else NULL. What a caller may do there
-- follows from one membership and one role, which src/store/rights.sql joins by their full keys.
CREATE VIEW callers AS
SELECT
  k.token_hash,
  k.user_id,
  k.impersonator_id,
  k.expires_at,
  k.revoked_at,
  u.disabled_at,
  u.email_verified_at,
  k.org_id AS bound_org_id,
  COALESCE(
    k.org_id,
    -- At most two rows are read, however many organizations the user belongs to.
    (SELECT CASE count(*) WHEN 1 THEN min(org_id) END
       FROM (SELECT m.org_id FROM memberships m WHERE m.user_id = k.user_id LIMIT 2))
  ) AS default_org_id
FROM api_keys k
JOIN users u ON u.id = k.user_id;
