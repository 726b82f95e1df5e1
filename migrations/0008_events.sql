-- Events: webhooks, and what is to be delivered to them (an outbox).

INSERT INTO role_permissions (role, permission) VALUES ('owner', 'webhooks:manage'), ('admin', 'webhooks:manage');

CREATE TABLE webhooks (
  id                TEXT PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????' AND id = lower(id)),
  org_id            TEXT NOT NULL REFERENCES organizations (id),
  url               TEXT NOT NULL CHECK (url <> ''),
  event_types       TEXT NOT NULL CHECK (json_valid(event_types) AND json_type(event_types) = 'array'),
  description       TEXT,
  created_by        TEXT NOT NULL REFERENCES users (id),
  created_at        INTEGER NOT NULL,
  updated_at        INTEGER NOT NULL,
  -- Not NULL: it is removed, and kept for a day, so that the repeat of a removal is answered the same.
  deleted_at        INTEGER CHECK (deleted_at IS NULL OR disabled_at IS NOT NULL),
  disabled_at       INTEGER,  -- not NULL: nothing is delivered, and no event is recorded for it
  disabled_reason   TEXT CHECK (disabled_reason IS NULL OR disabled_at IS NOT NULL),
  -- Its secret is derived from this number, its id and the Worker's own secret.
  secret_version    INTEGER NOT NULL DEFAULT 1,
  -- Earlier secrets that sign, too: a JSON list of [version, until].
  earlier_secrets   TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(earlier_secrets)),
  rotation_id       TEXT,     -- the request that rotated the secret last
  failing_since     INTEGER,  -- the first failure since the last success
  -- Who delivers to it: one at a time, until then at most.
  lease_id          TEXT,
  leased_until      INTEGER NOT NULL DEFAULT 0,
  -- After a round of deliveries that all failed the next one waits; pauses counts such rounds without a success.
  paused_until      INTEGER NOT NULL DEFAULT 0,
  pauses            INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX webhooks_by_organization ON webhooks (org_id, created_at, id);
CREATE INDEX webhooks_to_forget ON webhooks (deleted_at) WHERE deleted_at IS NOT NULL;

-- An event for a webhook. Written in the transaction that makes the change; it is pending while due_at is not NULL. The
-- primary key is the order of a webhook's history. No foreign key: what is left of a deleted webhook goes later.
CREATE TABLE webhook_deliveries (
  webhook_id    TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  id            TEXT NOT NULL CHECK (id GLOB '????????-????-????-????-????????????' AND id = lower(id)),
  org_id        TEXT NOT NULL,
  event_id      TEXT NOT NULL,    -- that of the first delivery, where this one repeats it
  event_type    TEXT NOT NULL,
  event_at      INTEGER NOT NULL,
  data          TEXT NOT NULL CHECK (json_valid(data)),  -- the row that the event is about, as it was then
  due_at        INTEGER,          -- when to try next; NULL: delivered or failed
  delivered_at  INTEGER,
  attempt_count INTEGER NOT NULL DEFAULT 0,
  attempts      TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(attempts)),
  PRIMARY KEY (webhook_id, created_at, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, due_at) WHERE due_at IS NOT NULL;

-- The time of the asset's last event: a statement that makes a change sets it to max(now, event_at + 1). NULL in rows
-- without an event since this migration.
ALTER TABLE assets ADD COLUMN event_at INTEGER;
-- 1: confirmed because storage told of the object, and by no client yet.
ALTER TABLE assets ADD COLUMN awaits_client INTEGER NOT NULL DEFAULT 0 CHECK (awaits_client IN (0, 1));
-- Who confirmed it, where that was not its creator: the first client after storage had told of it.
ALTER TABLE assets ADD COLUMN confirmed_by TEXT;

-- Why the object may not become an asset, and since when that is told: {"code", "message", "errors"?}.
ALTER TABLE asset_uploads ADD COLUMN rejection TEXT CHECK (rejection IS NULL OR json_valid(rejection));
ALTER TABLE asset_uploads ADD COLUMN rejected_at INTEGER;
-- When it was told that the upload expired. It cannot be confirmed any more then.
ALTER TABLE asset_uploads ADD COLUMN expiry_told_at INTEGER;

-- Sessions up to this deadline, and in it up to this id, have been told as expired where they were. Those that expired
-- before this migration are not.
ALTER TABLE sweeper ADD COLUMN told_deadline INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sweeper ADD COLUMN told_upload_id TEXT NOT NULL DEFAULT '';
UPDATE sweeper SET told_deadline = ifnull(
  (SELECT max(abs(u.expires_at)) FROM asset_uploads u WHERE abs(u.expires_at) <= unixepoch() * 1000), 0);

-- As before, but no further than webhooks have been told of.
DROP VIEW sessions_to_sweep;
CREATE VIEW sessions_to_sweep AS
SELECT u.id, abs(u.expires_at) AS deadline, u.multipart_id
FROM asset_uploads u
CROSS JOIN sweeper s
WHERE abs(u.expires_at) >= (SELECT +deadline FROM sweeper)
  AND (abs(u.expires_at) > s.deadline OR u.id > s.upload_id)
  AND abs(u.expires_at) <= (SELECT +told_deadline FROM sweeper)
  AND (abs(u.expires_at) < s.told_deadline OR (abs(u.expires_at) = s.told_deadline AND u.id <= s.told_upload_id));

-- As asset_uploads_json, with what an event tells of an upload.
CREATE VIEW event_uploads_json AS
SELECT
  u.*,
  json_object('id', u.id, 'org_id', u.org_id, 'filename', u.filename, 'mime_type', u.mime_type,
    'size_bytes', u.size_bytes, 'created_by', u.created_by, 'created_at', u.created_at, 'expires_at', u.expires_at,
    'error', json(u.rejection)) AS json
FROM asset_uploads u;

-- Where events are recorded: a row that is inserted here becomes a delivery for each webhook that wants it. The event's
-- id is a UUID, version 8: 48 bits of the time, then what is random in the id of the upload or asset. So each event has
-- an id of its own: the events of one upload and its asset have growing times.
CREATE VIEW new_events AS
SELECT NULL AS org_id, NULL AS event_type, NULL AS subject_id, NULL AS event_at WHERE false;

CREATE TRIGGER record_event INSTEAD OF INSERT ON new_events
BEGIN
  INSERT INTO webhook_deliveries (
    webhook_id, created_at, id, org_id, event_id, event_type, event_at, data, due_at)
  SELECT w.id, NEW.event_at, e.id, NEW.org_id, e.id, NEW.event_type, NEW.event_at, e.data, NEW.event_at
  FROM webhooks w
  CROSS JOIN (
    SELECT
      printf('%08x-%04x-8', NEW.event_at >> 16, NEW.event_at & 65535) || substr(NEW.subject_id, 16) AS id,
      CASE
        WHEN NEW.event_type LIKE 'asset.%' THEN (SELECT a.json FROM assets_json a WHERE a.id = NEW.subject_id)
        ELSE (SELECT u.json FROM event_uploads_json u WHERE u.id = NEW.subject_id)
      END AS data) e
  WHERE w.org_id = NEW.org_id
    AND w.disabled_at IS NULL
    AND instr(w.event_types, '"' || NEW.event_type || '"') > 0;
END;

CREATE TRIGGER record_asset_created AFTER INSERT ON assets
WHEN NEW.event_at IS NOT NULL
BEGIN
  INSERT INTO new_events VALUES (NEW.org_id, 'asset.created', NEW.id, NEW.event_at);
END;

CREATE TRIGGER record_asset_changed AFTER UPDATE OF event_at ON assets
WHEN NEW.event_at IS NOT OLD.event_at
BEGIN
  INSERT INTO new_events
  VALUES (
    NEW.org_id,
    CASE
      WHEN OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL THEN 'asset.deleted'
      WHEN OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL THEN 'asset.restored'
      ELSE 'asset.updated'
    END,
    NEW.id,
    NEW.event_at);
END;

-- The sweeper retires the id, with the time, in the transaction that deletes the asset.
CREATE TRIGGER record_asset_purged BEFORE DELETE ON assets
WHEN EXISTS (SELECT 1 FROM webhooks w WHERE w.org_id = OLD.org_id)
BEGIN
  INSERT INTO new_events
  SELECT OLD.org_id, 'asset.purged', OLD.id, max(r.purged_at, ifnull(OLD.event_at, 0) + 1)
  FROM retired_uploads r
  WHERE r.id = OLD.id AND r.purged_at IS NOT NULL;
END;

CREATE TRIGGER record_upload_rejected AFTER UPDATE OF rejected_at ON asset_uploads
WHEN OLD.rejected_at IS NULL AND NEW.rejected_at IS NOT NULL
BEGIN
  INSERT INTO new_events VALUES (NEW.org_id, 'upload.rejected', NEW.id, NEW.rejected_at);
END;

CREATE TRIGGER record_upload_expired AFTER UPDATE OF expiry_told_at ON asset_uploads
WHEN OLD.expiry_told_at IS NULL AND NEW.expiry_told_at IS NOT NULL
BEGIN
  INSERT INTO new_events VALUES (NEW.org_id, 'upload.expired', NEW.id, NEW.expiry_told_at);
END;

-- Webhooks and deliveries as JSON, with the one list of columns that the Worker reads.
CREATE VIEW webhooks_json AS
SELECT
  w.*,
  json_object('id', w.id, 'org_id', w.org_id, 'url', w.url, 'event_types', json(w.event_types),
    'description', w.description, 'created_by', w.created_by, 'created_at', w.created_at,
    'updated_at', w.updated_at, 'disabled', json(CASE WHEN w.disabled_at IS NULL THEN 'false' ELSE 'true' END),
    'disabled_at', w.disabled_at,
    'disabled_reason', w.disabled_reason, 'failing_since', w.failing_since) AS json
FROM webhooks w
WHERE w.deleted_at IS NULL;

CREATE VIEW webhook_deliveries_json AS
SELECT
  d.*,
  NULL AS created_by,  -- no user makes one; lists ask for it
  json_object('id', d.id, 'webhook_id', d.webhook_id, 'event_id', d.event_id, 'event_type', d.event_type,
    'event_at', d.event_at, 'created_at', d.created_at, 'due_at', d.due_at, 'delivered_at', d.delivered_at,
    'attempts', json(d.attempts)) AS json
FROM webhook_deliveries d;

-- As before, and:
-- - ignores_expiry in the request: whether a key that has expired may do it all the same (storage has told of an object
--   whose upload it started);
-- - due_webhooks: for a request that writes, the organization's webhooks with deliveries that are due, or will be within
--   a second: their ids as a JSON list; NULL for none.
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
  CASE WHEN r.value ->> 'writes' THEN (
    SELECT nullif(json_group_array(w.id), '[]')
    FROM webhooks w
    WHERE w.org_id = m.org_id AND w.disabled_at IS NULL AND EXISTS (
      SELECT 1 FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.due_at <= r.value ->> 'now' + 1000))
  END AS due_webhooks,
  CASE
    WHEN k.revoked_at IS NOT NULL OR k.is_orphan OR k.disabled_at IS NOT NULL
      OR (k.expires_at <= r.value ->> 'now' AND r.value ->> 'ignores_expiry' IS NOT 1)
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
