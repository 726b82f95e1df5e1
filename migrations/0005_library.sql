-- The library: lists of assets and folders, the trash, and the purge.
--
-- `assets` and `folders` are made anew: a column's collation, by which names are sorted and compared without regard to
-- the case of ASCII letters, cannot be changed otherwise. Each is copied once, so this takes about half a minute for
-- 1,000,000 assets.

DROP VIEW assets_json;

CREATE TABLE new_folders (
  id              TEXT PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????' AND id = lower(id)),
  org_id          TEXT NOT NULL REFERENCES organizations (id),
  parent_id       TEXT,
  name            TEXT NOT NULL COLLATE NOCASE CHECK (name <> ''),
  created_by      TEXT NOT NULL REFERENCES users (id),
  created_at      INTEGER NOT NULL,
  updated_at      INTEGER NOT NULL,
  deleted_at      INTEGER,  -- not NULL: in the trash
  -- The folder whose deletion put this one into the trash; NULL where it was deleted itself. What one deletion put
  -- there comes back together, and is purged together.
  deleted_with    TEXT CHECK (deleted_with IS NULL OR deleted_at IS NOT NULL),
  -- What the request that made it asked for: a repeat with the same Idempotency-Key must ask for the same, wherever the
  -- folder is by now. NULL in rows from before this migration.
  first_name      TEXT,
  first_parent_id TEXT,
  request_id      TEXT,  -- as in asset_uploads
  UNIQUE (id, org_id),
  FOREIGN KEY (parent_id, org_id) REFERENCES new_folders (id, org_id)
) STRICT, WITHOUT ROWID;

-- A folder whose parent is deleted goes to the top: until now nothing kept it from being left behind.
INSERT INTO new_folders (id, org_id, parent_id, name, created_by, created_at, updated_at, deleted_at)
SELECT f.id, f.org_id,
  CASE WHEN f.deleted_at IS NOT NULL OR p.deleted_at IS NULL THEN f.parent_id END,
  f.name, f.created_by, f.created_at, f.updated_at, f.deleted_at
FROM folders f
LEFT JOIN folders p ON p.id = f.parent_id;

-- The oldest of equal siblings keeps its name; the others get ` (2)`, ` (3)` and so on, behind those that exist.
-- The numbers of each name are found once, and not for each of its siblings.
UPDATE new_folders SET name = renamed.name
FROM (
  SELECT d.id, d.name || ' (' || (d.equal_before + ifnull(x.n, 1)) || ')' AS name
  FROM (
    SELECT *, row_number() OVER (
      PARTITION BY org_id, ifnull(parent_id, ''), name ORDER BY created_at, id) - 1 AS equal_before
    FROM new_folders
    WHERE deleted_at IS NULL) d
  LEFT JOIN (
    SELECT org_id, parent, base, max(n) AS n
    FROM (
      -- `stem` is `base (`, where the name is `base (n)`.
      SELECT org_id, parent, name, substr(stem, 1, length(stem) - 2) COLLATE NOCASE AS base,
        CAST(substr(name, length(stem) + 1) AS INTEGER) AS n
      FROM (
        SELECT org_id, ifnull(parent_id, '') AS parent, name, rtrim(rtrim(name, ')'), '0123456789') AS stem
        FROM new_folders
        WHERE deleted_at IS NULL))
    WHERE n BETWEEN 2 AND 999999999 AND name = base || ' (' || n || ')'
    GROUP BY org_id, parent, base) x
    ON x.org_id = d.org_id AND x.parent = ifnull(d.parent_id, '') AND x.base = d.name
  WHERE d.equal_before > 0) renamed
WHERE new_folders.id = renamed.id;

CREATE TABLE new_assets (
  id                  TEXT PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????' AND id = lower(id)),
  org_id              TEXT NOT NULL REFERENCES organizations (id),
  folder_id           TEXT,
  name                TEXT NOT NULL COLLATE NOCASE,
  r2_key              TEXT NOT NULL,
  mime_type           TEXT NOT NULL,
  size_bytes          INTEGER NOT NULL CHECK (size_bytes > 0),
  asset_type          TEXT NOT NULL CHECK (asset_type IN ('image', 'video', 'audio', 'document', 'file')),
  source_type         TEXT NOT NULL,
  source_id           TEXT NOT NULL,
  etag                TEXT NOT NULL,
  confirmation_key    TEXT NOT NULL,  -- the Idempotency-Key, else '' (before migration 0003 a random id)
  created_by          TEXT NOT NULL REFERENCES users (id),
  created_at          INTEGER NOT NULL,
  updated_at          INTEGER NOT NULL,
  deleted_at          INTEGER,  -- not NULL: in the trash
  deleted_by          TEXT REFERENCES users (id),
  request_id          TEXT,
  confirmed_folder_id TEXT,
  deleted_with        TEXT CHECK (deleted_with IS NULL OR deleted_at IS NOT NULL),  -- as in folders
  CHECK (deleted_by IS NULL OR deleted_at IS NOT NULL),
  -- Two columns, so that the schema itself refuses another organization's folder.
  FOREIGN KEY (folder_id, org_id) REFERENCES new_folders (id, org_id)
) STRICT, WITHOUT ROWID;

-- An asset whose folder is deleted goes into none.
INSERT INTO new_assets (id, org_id, folder_id, name, r2_key, mime_type, size_bytes, asset_type, source_type, source_id,
  etag, confirmation_key, created_by, created_at, updated_at, deleted_at, deleted_by, request_id, confirmed_folder_id)
SELECT a.id, a.org_id,
  CASE WHEN a.deleted_at IS NOT NULL OR f.deleted_at IS NULL THEN a.folder_id END,
  a.name, a.r2_key, a.mime_type, a.size_bytes, a.asset_type, a.source_type, a.source_id,
  a.etag, a.confirmation_key, a.created_by, a.created_at, a.updated_at, a.deleted_at, a.deleted_by, a.request_id,
  a.confirmed_folder_id
FROM assets a
LEFT JOIN folders f ON f.id = a.folder_id;

-- Renaming the new tables renames the references to them, too.
DROP TABLE assets;
DROP TABLE folders;
ALTER TABLE new_folders RENAME TO folders;
ALTER TABLE new_assets RENAME TO assets;

-- One index for each order of a list. A confirmation writes the first five, and with them six rows. Those that end in
-- deleted_at answer without reading the table. None is unique: a key in R2 follows from the asset's id.
CREATE INDEX assets_by_creation ON assets (org_id, created_at, id, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX assets_by_type ON assets (org_id, asset_type, created_at, id, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX assets_by_name ON assets (org_id, name, id, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX assets_by_folder_and_name ON assets (org_id, folder_id, name, id, deleted_at) WHERE deleted_at IS NULL;
-- The trash is in this one, too: whoever deletes a folder's row looks for assets in it, and so does the foreign key.
CREATE INDEX assets_by_folder_and_creation ON assets (org_id, folder_id, deleted_at, created_at, id);
CREATE INDEX deleted_assets_by_creation ON assets (org_id, created_at, id, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX deleted_assets_by_name ON assets (org_id, name, id, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX assets_to_purge ON assets (deleted_at, id) WHERE deleted_at IS NOT NULL AND deleted_with IS NULL;
CREATE INDEX assets_by_deletion ON assets (deleted_with) WHERE deleted_with IS NOT NULL;
-- Assets whose objects have other keys than their uploads: none that the Worker made.
CREATE UNIQUE INDEX assets_by_other_key ON assets (r2_key) WHERE r2_key <> 'uploads/' || id;

CREATE UNIQUE INDEX folders_by_sibling ON folders (org_id, ifnull(parent_id, ''), name) WHERE deleted_at IS NULL;
CREATE INDEX folders_by_parent_and_name ON folders (org_id, parent_id, name, id, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX folders_by_parent_and_creation ON folders (org_id, parent_id, deleted_at, created_at, id);
CREATE INDEX folders_by_name ON folders (org_id, name, id, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX folders_by_creation ON folders (org_id, created_at, id, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX deleted_folders_by_name ON folders (org_id, name, id, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX deleted_folders_by_creation ON folders (org_id, created_at, id, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX folders_to_purge ON folders (deleted_at, id) WHERE deleted_at IS NOT NULL AND deleted_with IS NULL;
CREATE INDEX folders_by_deletion ON folders (deleted_with) WHERE deleted_with IS NOT NULL;

-- Rows as JSON, with the one list of columns that the Worker reads (see migration 0004).
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

CREATE VIEW folders_json AS
SELECT
  f.*,
  json_object('id', f.id, 'org_id', f.org_id, 'parent_id', f.parent_id, 'name', f.name, 'created_by', f.created_by,
    'created_at', f.created_at, 'updated_at', f.updated_at, 'deleted_at', f.deleted_at) AS json
FROM folders f;

-- Whether a folder may be put somewhere: it is new, renamed, moved or restored. The request is passed as JSON, as to
-- caller_rights:
--   '[{"org_id", "id", "parent_id", "name", "moves"}]'
-- moves: whether its parent changes; false for a folder that is only renamed. error is NULL where it may.
CREATE VIEW folder_placements AS
SELECT
  r.json AS request,
  CASE
    WHEN r.value ->> 'parent_id' IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM folders p
      WHERE p.id = r.value ->> 'parent_id' AND p.org_id = r.value ->> 'org_id' AND p.deleted_at IS NULL)
      THEN 'PARENT_NOT_FOUND'
    -- From the parent up to the top, which a circle would never reach.
    WHEN r.value ->> 'moves' AND EXISTS (
      WITH RECURSIVE up (id, level) AS (
        SELECT r.value ->> 'parent_id', 1
        UNION ALL
        SELECT f.parent_id, u.level + 1 FROM up u CROSS JOIN folders f ON f.id = u.id WHERE u.level <= 32)
      SELECT 1 FROM up WHERE up.id = r.value ->> 'id')
      THEN 'CYCLE'
    -- Levels above it, itself, and levels below it: of what is not deleted, or comes back with it.
    WHEN r.value ->> 'moves' AND (
      WITH RECURSIVE up (id, level) AS (
        SELECT r.value ->> 'parent_id', 0
        UNION ALL
        SELECT f.parent_id, u.level + 1 FROM up u CROSS JOIN folders f ON f.id = u.id WHERE u.level <= 32)
      SELECT max(level) FROM up) + (
      WITH RECURSIVE down (id, level) AS (
        SELECT r.value ->> 'id', 1
        UNION ALL
        SELECT f.id, d.level + 1
        FROM down d
        CROSS JOIN folders f ON f.org_id = r.value ->> 'org_id' AND f.parent_id = d.id
        WHERE d.level <= 32 AND (f.deleted_at IS NULL OR f.deleted_with = r.value ->> 'id'))
      SELECT max(level) FROM down) > 32
      THEN 'TOO_DEEP'
    WHEN EXISTS (
      SELECT 1 FROM folders s
      WHERE s.org_id = r.value ->> 'org_id' AND ifnull(s.parent_id, '') = ifnull(r.value ->> 'parent_id', '')
        AND s.name = r.value ->> 'name' AND s.deleted_at IS NULL AND s.id <> r.value ->> 'id')
      THEN 'NAME_TAKEN'
  END AS error
FROM json_each r;

-- A purged upload stays retired for good: what is sent to its signed URL later is removed again, and no Idempotency-Key
-- leads to it any more. All others are forgotten when no removal can be under way.
ALTER TABLE retired_uploads ADD COLUMN purged_at INTEGER;
DROP INDEX retired_uploads_by_removal;
CREATE INDEX retired_uploads_to_remove ON retired_uploads (retry_at) WHERE object_deleted_at IS NULL;
CREATE INDEX retired_uploads_to_forget ON retired_uploads (object_deleted_at) WHERE purged_at IS NULL;

-- The deleted folders that are being purged: a JSON list of ids, within one transaction.
ALTER TABLE sweeper ADD COLUMN purging TEXT NOT NULL DEFAULT '[]';
