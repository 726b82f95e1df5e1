-- What the peer `hono` needs on top of migrations/: a session that knows of its confirmation.
ALTER TABLE asset_uploads ADD COLUMN confirmed_at INTEGER;
