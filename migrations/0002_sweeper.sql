-- What the hourly sweeper (src/sweeper.rs) works with.

-- Sessions in the order of their deadlines. Cancelling turns a deadline negative, and moves nothing here.
CREATE INDEX asset_uploads_by_deadline ON asset_uploads (abs(expires_at));

-- Ids that are given up for good: no session has such an id, and none can be made. Objects are removed only
-- under this protection: a key that is about to be emptied can never again be the key of an upload, though
-- the same Idempotency-Key would lead to the same id.
CREATE TABLE retired_uploads (
  id                TEXT PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????' AND id = lower(id)),
  object_deleted_at INTEGER  -- NULL: the object has still to be removed
) STRICT, WITHOUT ROWID;
CREATE INDEX retired_uploads_by_deletion ON retired_uploads (object_deleted_at);

-- How far the sweeper has come.
CREATE TABLE sweeper (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  deadline   INTEGER NOT NULL,  -- sessions up to this deadline, and in it up to this id, have been judged
  upload_id  TEXT NOT NULL,
  object_key TEXT NOT NULL      -- objects up to this key have been compared; '' begins anew
) STRICT;
INSERT INTO sweeper (id, deadline, upload_id, object_key) VALUES (1, 0, '', '');
