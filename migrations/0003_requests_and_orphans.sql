-- Which request wrote a row, what the first confirmation asked for, and what the sweeper needs to be sure of a
-- bucket before it removes anything that the database does not know.

-- The X-Request-Id of the request that wrote the row; NULL in rows from before this migration. A request whose
-- answer from D1 was lost recognizes its own row by it when it asks again.
ALTER TABLE asset_uploads ADD COLUMN request_id TEXT;
ALTER TABLE assets ADD COLUMN request_id TEXT;

-- The folder that the confirmation's body named, which a repeat with the same Idempotency-Key must name again,
-- wherever the asset has been moved since. Until now no asset could be moved.
-- From now on assets.confirmation_key is '' where the confirmation had no Idempotency-Key.
ALTER TABLE assets ADD COLUMN confirmed_folder_id TEXT;
UPDATE assets SET confirmed_folder_id = folder_id WHERE folder_id IS NOT NULL;

-- The rights view, as before, but a key of which either person is disabled is nobody's: the user it acts as, or
-- the one who looks through it (impersonator_id).
DROP VIEW callers;
CREATE VIEW callers AS
SELECT
  k.token_hash,
  k.user_id,
  k.impersonator_id,
  k.expires_at,
  k.revoked_at,
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
LEFT JOIN users i ON i.id = k.impersonator_id;

-- An object that could not be removed waits until retry_at; those with the earliest are tried first.
ALTER TABLE retired_uploads ADD COLUMN retry_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE retired_uploads ADD COLUMN removal_error TEXT;  -- why the last try failed
DROP INDEX retired_uploads_by_deletion;
CREATE INDEX retired_uploads_by_removal ON retired_uploads (object_deleted_at, retry_at);

-- Objects that had neither session nor asset when the sweeper last listed them. They are removed when they have
-- been here for a week and still have neither.
CREATE TABLE orphans (
  id       TEXT PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????' AND id = lower(id)),
  noted_at INTEGER NOT NULL,  -- when it was first found
  pass     INTEGER NOT NULL   -- the number of the last pass of the bucket that found it
) STRICT, WITHOUT ROWID;
CREATE INDEX orphans_by_pass ON orphans (pass, noted_at);

-- Which database this is. The bucket that belongs to it carries the same id (src/sweeper.rs). A copy of a database
-- that gets a bucket of its own needs an id of its own, too: see docs/operations.md.
ALTER TABLE sweeper ADD COLUMN database_id TEXT NOT NULL DEFAULT '';
-- A pass lists the whole bucket, in as many runs as that takes; object_key is how far the present one has come.
ALTER TABLE sweeper ADD COLUMN pass INTEGER NOT NULL DEFAULT 1;
ALTER TABLE sweeper ADD COLUMN pass_objects INTEGER NOT NULL DEFAULT 0;       -- objects listed in it so far
ALTER TABLE sweeper ADD COLUMN completed_objects INTEGER NOT NULL DEFAULT 0;  -- objects in the last whole pass
ALTER TABLE sweeper ADD COLUMN completed_orphans INTEGER NOT NULL DEFAULT 0;  -- and the orphans among them
UPDATE sweeper SET object_key = '', database_id = lower(
  hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-a'
  || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)));
