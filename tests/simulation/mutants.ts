// `make simulate-mutants`: plants one bug at a time in a copy of the source, and has the simulation find it. A bug that
// is not found within SEEDS simulations is one that the simulation is blind to.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";

interface Mutant {
  bug: string;
  file: string;
  /** Occurs once in the file. */
  find: string;
  replace: string;
}

const CONFIRM = "src/store/confirm.rs";
const UPLOADS = "src/store/uploads.rs";
const SWEEP = "src/store/sweep.rs";
const REMOVALS = "src/store/removals.rs";
const LIBRARY = "migrations/0005_library.sql";
const EVENTS = "migrations/0008_events.sql";
const ASSETS = "src/store/assets.rs";
const FOLDERS = "src/store/folders.rs";
const TRASH = "src/store/folder_trash.rs";
const OUTBOX = "src/store/outbox.rs";
const NOTIFICATIONS = "src/store/notifications.rs";
const PURGE = "src/store/purge.rs";
const PAGE = "src/domain/page.rs";
const ROUTE = "src/api/confirmations.rs";
const START = "src/api/asset_uploads.rs";
const BATCH = "src/api/confirmation_batch.rs";
const PARTS = "src/api/multipart.rs";
const BEGIN = "src/store/multipart.rs";

const MUTANTS: Mutant[] = [
  { bug: "a confirmation writes without rights", file: CONFIRM, find: "      AND c.auth_error IS NULL\n      AND i.value", replace: "      AND i.value" },
  { bug: "a confirmation writes after the deadline", file: CONFIRM, find: "      AND u.expires_at > c.now AND u.expiry_told_at IS NULL\n", replace: "      AND u.expires_at > 0 AND u.expiry_told_at IS NULL\n" },
  { bug: "a confirmation writes into a deleted folder", file: CONFIRM, find: "AND f.org_id = u.org_id\n          AND f.deleted_at IS NULL))\n    ON CONFLICT", replace: "AND f.org_id = u.org_id))\n    ON CONFLICT" },
  { bug: "a confirmation confirms another organization's upload", file: CONFIRM, find: "JOIN asset_uploads u ON u.id = i.value ->> 'id' AND u.org_id = c.org_id\n      AND (c.upload_key_id IS NULL OR u.api_key_id = c.upload_key_id)\n    WHERE c.request = ?1\n      AND c.auth_error IS NULL\n      AND i.value", replace: "JOIN asset_uploads u ON u.id = i.value ->> 'id'\n      AND (c.upload_key_id IS NULL OR u.api_key_id = c.upload_key_id)\n    WHERE c.request = ?1\n      AND c.auth_error IS NULL\n      AND i.value" },
  { bug: "a second confirmation replaces the first", file: CONFIRM, find: "    ON CONFLICT (id) DO NOTHING", replace: "    ON CONFLICT (id) DO UPDATE SET request_id = excluded.request_id, created_by = excluded.created_by" },
  { bug: "a declared type or size that differs is written, though it is to be rejected", file: CONFIRM, find: "AND (?4 = 0 OR (u.size_bytes = i.value ->> 'size_bytes' AND u.mime_type = i.value ->> 'mime_type'))", replace: "AND (?4 = ?4)" },
  { bug: "rules 13 and 14 swapped: the folder before the deadline", file: CONFIRM, find: "        if session.expires_at <= confirm.caller.now || expiry_told != 0 {\n            return Err(ApiError::AssetUploadExpired);\n        }\n        if folder_found == 0 {\n            return Err(ApiError::FolderNotFound);\n        }\n", replace: "        if folder_found == 0 {\n            return Err(ApiError::FolderNotFound);\n        }\n        if session.expires_at <= confirm.caller.now || expiry_told != 0 {\n            return Err(ApiError::AssetUploadExpired);\n        }\n" },
  { bug: "an answer of D1 that was lost is taken for another's asset", file: CONFIRM, find: "let ours = confirmation.request_id == Some(confirm.request_id);", replace: "let ours = confirmation.request_id.is_none();" },
  { bug: "any user's repeat is a replay", file: CONFIRM, find: " || user_id != confirmed_by", replace: "" },
  { bug: "a replay may name another folder", file: CONFIRM, find: "if confirmation.folder_id != self.folder_id {", replace: "if confirmation.folder_id.is_none() && self.folder_id.is_some() && false {" },
  { bug: "a replay shows a deleted asset", file: CONFIRM, find: "if asset.deleted_at.is_some() {", replace: "if asset.deleted_at.is_some() && user_id != asset.created_by {" },
  { bug: "the Idempotency-Key of a confirmation is not remembered", file: CONFIRM, find: 'let key = Param::from(&self.idempotency_key.as_ref().map_or("", IdempotencyKey::as_str));', replace: 'let key = Param::from(&"");' },
  { bug: "rule 16 for rule 15: R2 that does not answer is a missing object", file: ROUTE, find: "Err(error) => ObjectState::Unavailable(error.message),", replace: "Err(_) => ObjectState::Missing," },
  { bug: "a cancellation without its condition cancels what is confirmed", file: UPLOADS, find: "              AND expires_at > 0\n              AND NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = ?2)", replace: "              AND expires_at > 0" },
  { bug: "a cancellation repeated takes itself back", file: UPLOADS, find: "              AND expires_at > 0\n", replace: "" },
  { bug: "a cancellation of another organization's upload", file: UPLOADS, find: " AND c.org_id = asset_uploads.org_id", replace: "" },
  { bug: "a cancellation removes the object before the database says so", file: START, find: "        if let Some(multipart_id) = cx.run(&uploads::Cancel { caller, asset_upload_id: id }).await?\n            && let Err(error) = cx.platform.abort_multipart(&id.object_key(), &multipart_id).await\n        {\n            cx.log_failure(error);\n        }\n        if let Err(error) = cx.platform.delete_objects(&[id.object_key()]).await {\n            cx.log_failure(error);\n        }\n", replace: "        if let Err(error) = cx.platform.delete_objects(&[id.object_key()]).await {\n            cx.log_failure(error);\n        }\n        if let Some(multipart_id) = cx.run(&uploads::Cancel { caller, asset_upload_id: id }).await?\n            && let Err(error) = cx.platform.abort_multipart(&id.object_key(), &multipart_id).await\n        {\n            cx.log_failure(error);\n        }\n" },
  { bug: "an upload that was given up for good starts again", file: UPLOADS, find: "              AND NOT EXISTS (SELECT 1 FROM retired_uploads r WHERE r.id = ?2)\n", replace: "" },
  { bug: "a start that was answered before is no replay", file: UPLOADS, find: "let ours = request_id == Some(self.request_id);", replace: "let ours = request_id.is_some();" },
  { bug: "a signed URL outlives its upload", file: "src/config.rs", find: "self.upload_url_seconds.min(now.seconds_until(deadline)).max(1)", replace: "self.upload_url_seconds.max(now.seconds_until(deadline).min(1))" },
  { bug: "the signature does not cover the length", file: "src/presign.rs", find: "vec![&disposition, &length, &content_type];", replace: "vec![&disposition, &content_type];\n        let _ = &length;" },
  { bug: "rules 9 and 10 before rules 3 to 8", file: "src/api/endpoint.rs", find: "        Err(first) => first,\n", replace: "        Err(_) => error,\n" },
  { bug: "a revoked key still works", file: EVENTS, find: "k.revoked_at IS NOT NULL OR ", replace: "" },
  { bug: "a key acts outside the organization that it is bound to", file: EVENTS, find: "  AND (k.bound_org_id IS NULL OR k.bound_org_id = m.org_id)\n", replace: "" },
  { bug: "an impersonation key writes", file: EVENTS, find: "    WHEN k.impersonator_id IS NOT NULL AND r.value ->> 'writes' THEN 'IMPERSONATION_READ_ONLY'\n", replace: "" },
  { bug: "an asset is read by another organization", file: ASSETS, find: "LEFT JOIN assets_json a ON a.id = ?2 AND a.org_id = c.org_id AND c.auth_error IS NULL", replace: "LEFT JOIN assets_json a ON a.id = ?2 AND c.auth_error IS NULL" },
  { bug: "a deleted asset is read", file: ASSETS, find: "found.filter(|found| found.asset.deleted_at.is_none()).ok_or(", replace: "found.ok_or(" },
  { bug: "an upload is shown with another size", file: START, find: "            size_bytes: session.size_bytes,\n            expires_at: session.expires_at,", replace: "            size_bytes: 1,\n            expires_at: session.expires_at," },
  { bug: "the error of a second confirmation names the user, not the asset", file: CONFIRM, find: "ApiError::AssetUploadAlreadyConfirmed(asset.id.to_string())", replace: "ApiError::AssetUploadAlreadyConfirmed(asset.created_by.to_string())" },
  { bug: "the sweeper retires an orphan whose upload has started meanwhile", file: SWEEP, find: "              AND NOT EXISTS (SELECT 1 FROM asset_uploads u WHERE u.id = o.id)\n", replace: "" },
  { bug: "the time of a request is that of its beginning", file: "src/api/context.rs", find: "        self.now.set(self.platform.now());\n", replace: "" },
  { bug: "the sweeper retires what is confirmed", file: SWEEP, find: "d\n            WHERE NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = d.id)\n              AND NOT EXISTS (", replace: "d\n            WHERE NOT EXISTS (" },
  { bug: "the sweeper takes uploads right after their deadline", file: "src/sweeper.rs", find: "pub const GRACE_SECONDS: u64 = LONGEST_SIGNATURE_SECONDS + 86_400;", replace: "pub const GRACE_SECONDS: u64 = LONGEST_SIGNATURE_SECONDS - 604_800;" },
  { bug: "the sweeper forgets a retired id at once", file: "src/sweeper.rs", find: "pub const SETTLE_SECONDS: u64 = 86_400;", replace: "pub const SETTLE_SECONDS: u64 = 0;" },
  { bug: "the sweeper removes orphans without notice", file: "src/sweeper.rs", find: "pub const ORPHAN_NOTICE_SECONDS: u64 = 7 * 86_400;", replace: "pub const ORPHAN_NOTICE_SECONDS: u64 = 0;" },
  { bug: "the sweeper notes a removal that failed", file: "src/sweeper.rs", find: "Err(error) => failed.note(batch, ApiError::from(error).log_text()),", replace: "Err(_) => removed.extend(batch)," },
  { bug: "the sweeper overlooks sessions of one deadline", file: EVENTS, find: "  AND (abs(u.expires_at) > s.deadline OR u.id > s.upload_id)\n", replace: "  AND abs(u.expires_at) > s.deadline\n" },
  { bug: "an asset is changed without rights", file: ASSETS, find: "              AND c.auth_error IS NULL\n              AND assets.id = ?2 AND assets.org_id = c.org_id AND assets.deleted_at IS NULL\n              AND (assets.name", replace: "              AND assets.id = ?2 AND assets.org_id = c.org_id AND assets.deleted_at IS NULL\n              AND (assets.name" },
  { bug: "an asset moves into a deleted folder", file: ASSETS, find: "WHERE f.id = ?3 AND f.org_id = c.org_id AND f.deleted_at IS NULL", replace: "WHERE f.id = ?3 AND f.org_id = c.org_id" },
  { bug: "an asset is written although nothing changes", file: ASSETS, find: "              AND (assets.name <> ?5 COLLATE BINARY OR (?4 AND assets.folder_id IS NOT ?3))\n", replace: "" },
  { bug: "an asset cannot be renamed to other cases", file: ASSETS, find: "assets.name <> ?5 COLLATE BINARY", replace: "assets.name <> ?5" },
  { bug: "an asset that is deleted again was deleted by another", file: ASSETS, find: "AND assets.deleted_at IS NULL\";\n        let params = vec![self.caller.param(), Param::from(&self.asset_id)];", replace: "\";\n        let params = vec![self.caller.param(), Param::from(&self.asset_id)];" },
  { bug: "an asset returns to a folder that is gone", file: ASSETS, find: "folder_id = (SELECT f.id FROM folders f WHERE f.id = assets.folder_id AND f.deleted_at IS NULL)", replace: "folder_id = (SELECT f.id FROM folders f WHERE f.id = assets.folder_id)" },
  { bug: "a replay compares where the asset is now", file: CONFIRM, find: "'folder_id', a.confirmed_folder_id,", replace: "'folder_id', a.folder_id," },
  { bug: "a folder moves into itself", file: LIBRARY, find: "    WHEN r.value ->> 'moves' AND EXISTS (\n", replace: "    WHEN 0 AND EXISTS (\n" },
  { bug: "a folder is placed in a deleted one", file: LIBRARY, find: "AND p.org_id = r.value ->> 'org_id' AND p.deleted_at IS NULL)", replace: "AND p.org_id = r.value ->> 'org_id')" },
  { bug: "nothing asks whether a sibling has the name", file: LIBRARY, find: "AND s.name = r.value ->> 'name' AND s.deleted_at IS NULL AND s.id <> r.value ->> 'id')", replace: "AND 0)" },
  { bug: "a name in the trash is taken", file: LIBRARY, find: "AND s.name = r.value ->> 'name' AND s.deleted_at IS NULL AND", replace: "AND s.name = r.value ->> 'name' AND" },
  { bug: "another organization's folder is renamed", file: FOLDERS, find: "            CROSS JOIN folders f ON f.id = ?2 AND f.org_id = c.org_id AND f.deleted_at IS NULL\n            CROSS JOIN folder_placements", replace: "            CROSS JOIN folders f ON f.id = ?2 AND f.deleted_at IS NULL\n            CROSS JOIN folder_placements" },
  { bug: "a folder's replay compares its name of now", file: FOLDERS, find: "found.first_name.as_deref() != Some(self.name.as_str())", replace: "folder.name != self.name.as_str()" },
  { bug: "a folder's replay shows what is in the trash", file: FOLDERS, find: "        if folder.deleted_at.is_some() {\n            return Err(ApiError::FolderNotFound);\n        }\n", replace: "" },
  { bug: "a folder's answer that was lost is a replay", file: FOLDERS, find: "if found.request_id == Some(self.request_id) {", replace: "if found.request_id.is_none() {" },
  { bug: "a folder is deleted with what is in it, though that was not asked", file: TRASH, find: "if self.recursive {", replace: "if true {" },
  { bug: "a deletion forgets the assets of folders beneath", file: TRASH, find: "ON a.org_id = tree.org_id AND a.folder_id = tree.id", replace: "ON a.org_id = tree.org_id AND a.folder_id = tree.id AND a.folder_id = ?2" },
  { bug: "a deletion takes again what was deleted before", file: TRASH, find: "ON a.org_id = tree.org_id AND a.folder_id = tree.id AND a.deleted_at IS NULL", replace: "ON a.org_id = tree.org_id AND a.folder_id = tree.id" },
  { bug: "a restoration brings back what was deleted before", file: TRASH, find: "assets a INDEXED BY assets_by_deletion ON a.deleted_with = d.id", replace: "assets a ON a.deleted_with = d.id OR a.folder_id = d.id AND a.deleted_at IS NOT NULL" },
  { bug: "a restoration forgets folders beneath", file: TRASH, find: "INDEXED BY folders_by_deletion ON f.deleted_with = d.id", replace: "INDEXED BY folders_by_deletion ON f.deleted_with = d.id AND f.id = x.id" },
  { bug: "a folder returns to a parent that is gone", file: TRASH, find: "WHERE u.id = folders.parent_id AND u.deleted_at IS NULL)", replace: "WHERE u.id = folders.parent_id)" },
  { bug: "the purge comes at once", file: "src/sweeper.rs", find: "minus_seconds(self.settings.retention_seconds)", replace: "minus_seconds(self.settings.retention_seconds.min(0))" },
  { bug: "the purge does not retire", file: PURGE, find: "            WHERE a.deleted_at <= ?1 AND a.deleted_with IS NULL\n            ORDER BY a.deleted_at, a.id LIMIT ?2\n            ON CONFLICT", replace: "            WHERE a.deleted_at <= ?1 AND a.deleted_with IS NULL AND 0\n            ORDER BY a.deleted_at, a.id LIMIT ?2\n            ON CONFLICT" },
  { bug: "the purge of a folder keeps its uploads", file: PURGE, find: "              CROSS JOIN assets a ON a.deleted_with = j.value)\";", replace: "              CROSS JOIN assets a ON a.deleted_with = j.value AND 0)\";" },
  { bug: "the purge takes a folder in which something else lies", file: PURGE, find: "AND a.deleted_with IS NOT d.id)", replace: "AND 0)" },
  { bug: "the sweeper forgets purged ids", file: SWEEP, find: "object_deleted_at <= ?1 AND purged_at IS NULL", replace: "object_deleted_at <= ?1" },
  { bug: "an object that was sent after the purge stays", file: SWEEP, find: "AND purged_at IS NOT NULL AND object_deleted_at IS NOT NULL\";", replace: "AND purged_at IS NOT NULL AND 0\";" },
  { bug: "a page repeats the last row of the one before", file: PAGE, find: "above: ascending });", replace: "above: !ascending });" },
  { bug: "a page backward repeats the first row of the one behind", file: PAGE, find: "above: !ascending });\n        let near", replace: "above: ascending });\n        let near" },
  { bug: "a page leaves out rows of the same value", file: "src/store/page.rs", find: "format!(\"{}~\", from.id)", replace: "\"~\".to_owned()" },
  { bug: "a list in a folder shows what is deleted", file: "src/store/asset_list.rs", find: "likelihood(t.folder_id IS ?2, 0.0001) AND t.deleted_at IS NULL\",\n                \"created_at\"", replace: "likelihood(t.folder_id IS ?2, 0.0001)\",\n                \"created_at\"" },
  { bug: "a list shows another organization's rows", file: "src/store/page.rs", find: "WHERE t.org_id = c.org_id AND \", $index, \"\n            AND (t.\", $key, \", t.id) >= (?3, ?4)", replace: "WHERE \", $index, \"\n            AND (t.\", $key, \", t.id) >= (?3, ?4)" },
  { bug: "a list takes another organization's cursor", file: "src/http/page.rs", find: "is_some_and(|organization| organization != org)", replace: "is_some_and(|organization| organization != org && false)" },
  { bug: "a list takes another list's cursor", file: "src/http/page.rs", find: "digest.update(binding.as_bytes());", replace: "digest.update(&binding.as_bytes()[..1]);" },
  { bug: "a cancellation does not give up the parts", file: START, find: "if let Some(multipart_id) = cx.run(&uploads::Cancel { caller, asset_upload_id: id }).await?", replace: "if let Some(multipart_id) = cx.run(&uploads::Cancel { caller, asset_upload_id: id }).await?.filter(|_| false)" },
  { bug: "of two requests that begin the parts, the slower one keeps its own", file: PARTS, find: "Ok(Multipart { multipart_id: Some(stored), .. }) => Some(stored.clone()),", replace: "Ok(Multipart { multipart_id: Some(stored), .. }) => Some(if stored.is_empty() { stored.clone() } else { ours.clone() })," },
  { bug: "of two requests that begin the parts, the slower one leaves its own behind", file: PARTS, find: "    if stored.as_ref() != Some(&ours)\n", replace: "    if stored.as_ref() != Some(&ours) && ours.is_empty()\n" },
  { bug: "of two requests that begin the parts, the slower one's id replaces the first", file: BEGIN, find: "              AND multipart_id IS NULL\n", replace: "" },
  { bug: "parts begin after the cancellation", file: BEGIN, find: "\n                  AND asset_uploads.expires_at > c.now)", replace: ")" },
  { bug: "the signature of a part does not cover its length", file: "src/presign.rs", find: "self.sign(\"PUT\", key, &query, &[&length], seconds)", replace: "self.sign(\"PUT\", key, &query, if length.0.is_empty() { &[] } else { &[] }, seconds)" },
  { bug: "parts are completed after the deadline", file: PARTS, find: "let Multipart { session, multipart_id, .. } = found.open(&caller, id)?;", replace: "let Multipart { session, multipart_id, .. } = found;" },
  { bug: "parts that were completed before are unknown", file: PARTS, find: "Completion::NoSuchUpload => cx.platform.head_object(&key).await?.is_some(),", replace: "Completion::NoSuchUpload => false," },
  { bug: "parts are given up before the deadline", file: REMOVALS, find: "WHERE multipart_id IS NOT NULL AND abs(expires_at) <= ?1\n", replace: "WHERE multipart_id IS NOT NULL AND abs(expires_at) - 3600000 <= ?1\n" },
  { bug: "a retired session loses its parts", file: SWEEP, find: "            SELECT d.id, d.multipart_id\n", replace: "            SELECT d.id, NULL\n" },
  { bug: "the sweeper notes that parts are gone though storage failed", file: "src/sweeper.rs", find: "Err(error) => failed.note(vec![upload.id], ApiError::from(error).log_text()),", replace: "Err(_) => aborted.push(upload)," },
  { bug: "a batch ignores its folders", file: CONFIRM, find: "SELECT u.id, u.org_id, ifnull(i.value ->> 'folder_id', c.limits ->> 'folder_id'), u.filename,", replace: "SELECT u.id, u.org_id, c.limits ->> 'folder_id', u.filename," },
  { bug: "a batch is answered in another order", file: BATCH, find: "ids.into_iter().zip(&outcomes)", replace: "ids.into_iter().zip(outcomes.iter().rev())" },
  { bug: "a batch is a replay as soon as one of it is", file: BATCH, find: "confirmed.all(|confirmed| confirmed.replayed)", replace: "confirmed.any(|confirmed| confirmed.replayed)" },
  { bug: "a batch mixes up objects without a type", file: ROUTE, find: "        Some((place, Item { asset_upload_id, folder_id, object }))", replace: "        Some((place.min(0), Item { asset_upload_id, folder_id, object }))" },
  { bug: "an event may be as old as the one before", file: ASSETS, find: "updated_at = c.now,\n              event_at = max(c.now, ifnull(event_at, 0) + 1)", replace: "updated_at = c.now,\n              event_at = c.now" },
  { bug: "a folder that is deleted does not tell of its assets", file: TRASH, find: "deleted_with = ?2,\n              event_at = max(c.now, ifnull(event_at, 0) + 1)", replace: "deleted_with = ?2" },
  { bug: "a purge may be as old as the deletion", file: EVENTS, find: "max(r.purged_at, ifnull(OLD.event_at, 0) + 1)", replace: "r.purged_at" },
  { bug: "a webhook is told of another organization's events", file: EVENTS, find: "  WHERE w.org_id = NEW.org_id\n    AND w.disabled_at IS NULL\n", replace: "  WHERE w.disabled_at IS NULL\n" },
  { bug: "a webhook that is switched off is told of events", file: EVENTS, find: "  WHERE w.org_id = NEW.org_id\n    AND w.disabled_at IS NULL\n", replace: "  WHERE w.org_id = NEW.org_id\n" },
  { bug: "a webhook is told of events of every type", file: EVENTS, find: "\n    AND instr(w.event_types, '\"' || NEW.event_type || '\"') > 0;", replace: ";" },
  { bug: "a request has another organization's webhooks looked after", file: EVENTS, find: "    WHERE w.org_id = m.org_id AND w.disabled_at IS NULL AND EXISTS (", replace: "    WHERE w.disabled_at IS NULL AND EXISTS (" },
  { bug: "an attempt is recorded on top of another's", file: OUTBOX, find: "\n              AND webhook_deliveries.attempt_count = a.value ->> 'attempt_count'", replace: "" },
  { bug: "a webhook is sent another's deliveries", file: OUTBOX, find: "                  WHERE d.webhook_id = ?1 AND d.due_at <= ?5\n", replace: "                  WHERE d.due_at <= ?5\n" },
  { bug: "a webhook that has failed once is switched off at its next failure", file: OUTBOX, find: "disabled_at = CASE WHEN NOT ?4 AND failing_since <= ?6 - ?5 THEN", replace: "disabled_at = CASE WHEN NOT ?4 AND failing_since <= ?6 THEN" },
  { bug: "a delivery counts before it is answered", file: "src/delivery/round.rs", find: "            Err(SendError::Failed(error)) => Some(failed(duration_ms, error)),", replace: "            Err(SendError::Failed(error)) => Some(Attempt { status: Some(200), ..failed(duration_ms, error) })," },
  { bug: "any answer is a delivery", file: "src/domain/webhook.rs", find: "is_some_and(|status| (200..300).contains(&status))", replace: "is_some_and(|status| (200..600).contains(&status))" },
  { bug: "the sweeper forgets what is still to be delivered", file: SWEEP, find: "              WHERE d.due_at IS NULL OR w.id IS NULL OR w.disabled_at IS NOT NULL\n", replace: "" },
  { bug: "what is confirmed is told as expired", file: SWEEP, find: "\n              AND NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = asset_uploads.id)\n            RETURNING 'true' AS json", replace: "\n            RETURNING 'true' AS json" },
  { bug: "what was told as expired is confirmed", file: CONFIRM, find: "      AND u.expires_at > c.now AND u.expiry_told_at IS NULL\n", replace: "      AND u.expires_at > c.now\n" },
  { bug: "storage's notification minds that a key has expired", file: EVENTS, find: " AND r.value ->> 'ignores_expiry' IS NOT 1)", replace: ")" },
  { bug: "storage's notification ignores that a key was revoked", file: EVENTS, find: "    WHEN k.revoked_at IS NOT NULL OR k.is_orphan", replace: "    WHEN (k.revoked_at IS NOT NULL AND r.value ->> 'ignores_expiry' IS NOT 1) OR k.is_orphan" },
  { bug: "storage's notification leaves nothing to the client", file: CONFIRM, find: "Param::Int((self.by == By::Storage).into())", replace: "Param::Int(0)" },
  { bug: "a client's folder moves what was changed since", file: CONFIRM, find: "          AND assets.updated_at = assets.created_at\n          AND assets.event_at = max(assets.created_at, ifnull(u.rejected_at, 0) + 1)\n", replace: "" },
  { bug: "a client's folder takes the time of the move from the event before", file: CONFIRM, find: "SELECT i.value ->> 'folder_id', c.now, max(c.now, assets.event_at + 1)", replace: "SELECT i.value ->> 'folder_id', c.now, assets.event_at" },
  { bug: "two clients confirm for the first time", file: CONFIRM, find: "      AND assets.awaits_client = 1\n", replace: "" },
  { bug: "an upload is rejected a second time", file: NOTIFICATIONS, find: "              AND asset_uploads.rejected_at IS NULL\n", replace: "" },
  { bug: "a rejection is recorded that nobody wants to know", file: NOTIFICATIONS, find: "WHERE w.org_id = asset_uploads.org_id AND w.disabled_at IS NULL AND instr(w.event_types, ?3) > 0)", replace: "WHERE w.org_id = asset_uploads.org_id AND ?3 = ?3)" },
  { bug: "an asset may be as old as the rejection of its upload", file: CONFIRM, find: "max(c.now, ifnull(u.rejected_at, 0) + 1), ?6", replace: "c.now, ?6" },
];

const ROOT = new URL("../../", import.meta.url).pathname;
const TREE = join(ROOT, "build/mutants/tree");
const SEEDS = process.env["SEEDS"] || "10000";
const only = process.env["ONLY"];

/** Plays the simulation on the copy: the seed that fails; undefined where none does. */
function simulate(): { seed?: string; says: string } {
  const args = ["test", "--quiet", "--profile", "simulation", "--test", "simulation"];
  const env = { ...process.env, CARGO_TARGET_DIR: join(ROOT, "build/mutants/target"), SIMULATION_SEEDS: SEEDS, SIMULATION_SHORTER: "0", RUST_BACKTRACE: "0" };
  const { status, stdout, stderr } = spawnSync("cargo", args, { cwd: TREE, env, encoding: "utf8", maxBuffer: 1 << 28 });
  const text = stdout + stderr;
  const seed = /^seed (\d+) fails (.*)$/m.exec(text);
  if (status !== 0 && seed === null) throw new Error(`the copy does not build or run:\n${text.slice(-4_000)}`);
  return seed === null ? { says: "" } : { seed: seed[1]!, says: seed[2]! };
}

rmSync(TREE, { recursive: true, force: true });
mkdirSync(TREE, { recursive: true });
const original = (file: string) => readFileSync(join(ROOT, file), "utf8");
for (const path of ["src", "tests", "migrations", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "clippy.toml"]) {
  cpSync(join(ROOT, path), join(TREE, path), { recursive: true, force: true });
}
for (const { bug, file, find } of MUTANTS) {
  const count = original(file).split(find).length - 1;
  if (count !== 1) throw new Error(`${bug}: ${file} has the place ${count} times; bring tests/simulation/mutants.ts up to date`);
}

const planted = MUTANTS.filter(({ bug }) => only === undefined || bug.includes(only));
let missed = 0;
const unchanged = simulate();
if (unchanged.seed !== undefined) throw new Error(`the unchanged source fails, too: seed ${unchanged.seed} ${unchanged.says}`);
console.log(`no bug: ${SEEDS} simulations pass`);
for (const { bug, file, find, replace } of planted) {
  writeFileSync(join(TREE, file), original(file).replace(find, () => replace));
  const { seed, says } = simulate();
  writeFileSync(join(TREE, file), original(file));
  if (seed === undefined) missed++;
  console.log(seed === undefined ? `NOT FOUND: ${bug}` : `found by seed ${seed}: ${bug}\n  ${says.slice(0, 160)}`);
}
console.log(`${missed} of ${planted.length} bugs were not found within ${SEEDS} simulations`);
process.exitCode = missed === 0 ? 0 : 1;
