//! What the database really holds, read with plain SQL, and compared with the model.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use crate::event_database::{
    DELIVERIES, DELIVERY_COLUMNS, WEBHOOK_COLUMNS, WEBHOOKS, delivery_texts, webhook_texts,
};
use crate::key_database::{KEY_COLUMNS, KEYS, key_text};
use crate::model::{AssetModel, Change, FolderModel, Model, PART_BYTES, RetiredModel, SessionModel};

/// Rows of a query, each as one text.
pub(crate) fn texts(conn: &Connection, sql: &str) -> Vec<String> {
    let mut prepared = conn.prepare_cached(sql).unwrap();
    prepared.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// The ids of a table.
pub(crate) fn ids(conn: &Connection, table: &str) -> BTreeSet<String> {
    texts(conn, &format!("SELECT id FROM {table}")).into_iter().collect()
}

/// The id of a row that was made just now.
pub(crate) fn new_id(conn: &Connection, model: &Model, change: &Change) -> Option<String> {
    let (table, known): (_, BTreeSet<&String>) = match change {
        Change::Session(_) => ("asset_uploads", model.sessions.keys().collect()),
        Change::Folder(_) => ("folders", model.folders.keys().collect()),
        Change::Webhook(_) => ("webhooks", model.webhooks.iter().map(|webhook| &webhook.id).collect()),
        Change::Key(_) => ("api_keys", model.keys.iter().filter_map(|key| key.id.as_ref()).collect()),
        Change::Asset(_) | Change::Cancellation | Change::Multipart(_) | Change::Revocation(..) => {
            return None;
        }
    };
    ids(conn, table).into_iter().find(|id| !known.contains(id))
}

/// Retired ids.
pub(crate) fn retired(conn: &Connection) -> BTreeMap<String, RetiredModel> {
    let mut prepared = conn
        .prepare_cached("SELECT id, object_deleted_at, purged_at, multipart_id FROM retired_uploads")
        .unwrap();
    let rows = prepared.query_map([], |row| {
        let [object_deleted_at, purged_at] = [row.get(1)?, row.get(2)?];
        Ok((row.get(0)?, RetiredModel { object_deleted_at, purged_at, multipart_id: row.get(3)? }))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// The ids of the sessions that have no multipart upload.
pub(crate) fn without_parts(conn: &Connection) -> BTreeSet<String> {
    texts(conn, "SELECT id FROM asset_uploads WHERE multipart_id IS NULL").into_iter().collect()
}

/// Objects that belong to nothing, and when that was noted.
pub(crate) fn orphans(conn: &Connection) -> BTreeMap<String, i64> {
    let mut prepared = conn.prepare_cached("SELECT id, noted_at FROM orphans").unwrap();
    prepared.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Every column that a request decides. A NULL is written as `-`.
const SESSIONS: &str = "
    SELECT concat_ws('|', id, org_id, filename, mime_type, size_bytes, created_by, created_at, expires_at,
      coalesce(api_key_id, '-'), coalesce(part_size, '-'), coalesce(multipart_id, '-'), coalesce(expiry_told_at, '-'),
      coalesce(rejected_at, '-'), coalesce(rejection ->> 'code', '-'))
    FROM asset_uploads ORDER BY id";
const ASSETS: &str = "
    SELECT concat_ws('|', id, org_id, coalesce(folder_id, '-'), name, r2_key, mime_type, size_bytes, asset_type,
      source_type, source_id, etag, confirmation_key, coalesce(confirmed_folder_id, '-'), created_by, created_at,
      updated_at, coalesce(deleted_at, '-'), coalesce(deleted_by, '-'), coalesce(deleted_with, '-'), coalesce(event_at, '-'),
      awaits_client, coalesce(confirmed_by, '-'))
    FROM assets ORDER BY id";
const FOLDERS: &str = "
    SELECT concat_ws('|', id, org_id, coalesce(parent_id, '-'), name, created_by, created_at, updated_at,
      coalesce(deleted_at, '-'), coalesce(deleted_with, '-'), coalesce(first_name, '-'), coalesce(first_parent_id, '-'))
    FROM folders ORDER BY id";

const SESSION_COLUMNS: &str = "id|org_id|filename|mime_type|size_bytes|created_by|created_at|expires_at|api_key_id|part_size|multipart_id|expiry_told_at|rejected_at|rejection";
const ASSET_COLUMNS: &str = "id|org_id|folder_id|name|r2_key|mime_type|size_bytes|asset_type|source_type|source_id|etag|confirmation_key|confirmed_folder_id|created_by|created_at|updated_at|deleted_at|deleted_by|deleted_with|event_at|awaits_client|confirmed_by";
const FOLDER_COLUMNS: &str = "id|org_id|parent_id|name|created_by|created_at|updated_at|deleted_at|deleted_with|first_name|first_parent_id";

/// The database holds what the model holds, and a retired id is nobody's.
pub(crate) fn compare(conn: &Connection, model: &Model) -> Result<(), String> {
    let sessions: Vec<String> =
        model.sessions.iter().map(|(id, session)| session_text(model, id, session)).collect();
    let assets: Vec<String> = model.assets.iter().map(|(id, asset)| asset_text(model, id, asset)).collect();
    let folders: Vec<String> =
        model.folders.iter().map(|(id, folder)| folder_text(model, id, folder)).collect();
    let present = model.keys.iter().filter(|key| !key.removed);
    let mut keys: Vec<String> =
        present.filter_map(|key| Some(key_text(model, key.id.as_ref()?, key))).collect();
    keys.sort();
    for (columns, expected, actual) in [
        (SESSION_COLUMNS, sessions, texts(conn, SESSIONS)),
        (ASSET_COLUMNS, assets, texts(conn, ASSETS)),
        (FOLDER_COLUMNS, folders, texts(conn, FOLDERS)),
        (KEY_COLUMNS, keys, texts(conn, KEYS)),
        (WEBHOOK_COLUMNS, webhook_texts(model), texts(conn, WEBHOOKS)),
        (DELIVERY_COLUMNS, delivery_texts(model), texts(conn, DELIVERIES)),
    ] {
        let only = |rows: &[String], others: &[String]| {
            rows.iter().filter(|row| !others.contains(row)).cloned().collect::<Vec<_>>().join("\n  ")
        };
        if expected != actual {
            return Err(format!(
                "rows are not as they must be ({columns})\n  must be there:\n  {}\n  are there:\n  {}",
                only(&expected, &actual),
                only(&actual, &expected)
            ));
        }
    }
    let in_use = |id: &String| model.sessions.contains_key(id) || model.assets.contains_key(id);
    match retired(conn).keys().find(|id| in_use(id)) {
        Some(id) => Err(format!("the id {id} is retired, and in use")),
        None => Ok(()),
    }
}

fn session_text(model: &Model, id: &str, session: &SessionModel) -> String {
    let SessionModel {
        org,
        declared,
        created_by,
        created_at,
        expires_at,
        key,
        cancelled,
        multipart_id,
        expiry_told_at,
        rejected,
        ..
    } = session;
    let sign = if *cancelled { -1 } else { 1 };
    format!(
        "{id}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}",
        model.orgs[*org],
        declared.filename,
        declared.mime_type,
        declared.size_bytes,
        model.users[*created_by].id,
        created_at.0,
        sign * expires_at.0,
        or_null(model.keys[*key].id.clone()),
        or_null(declared.multipart.then(|| PART_BYTES.to_string())),
        or_null(multipart_id.clone()),
        or_null(expiry_told_at.map(|at| at.to_string())),
        or_null(rejected.as_ref().map(|(at, _)| at.to_string())),
        or_null(rejected.as_ref().map(|(_, code)| code.clone())),
    )
}

pub(crate) fn or_null(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn asset_text(model: &Model, id: &str, asset: &AssetModel) -> String {
    let kind = asset.mime_type.split('/').next().unwrap_or_default();
    format!(
        "{id}|{}|{}|{}|uploads/{id}|{}|{}|{kind}|upload|{id}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}",
        model.orgs[asset.org],
        or_null(asset.folder.clone()),
        asset.name,
        asset.mime_type,
        asset.size_bytes,
        asset.etag,
        asset.key.map(|key| format!("key-{key}")).unwrap_or_default(),
        or_null(asset.first_folder.clone()),
        model.users[asset.created_by].id,
        asset.created_at.0,
        asset.updated_at.0,
        or_null(asset.deleted.map(|(at, _)| at.0.to_string())),
        or_null(asset.deleted.map(|(_, by)| model.users[by].id.to_string())),
        or_null(asset.deleted_with.clone()),
        asset.event_at,
        u8::from(asset.awaits_client),
        or_null(asset.confirmed_by.map(|by| model.users[by].id.to_string())),
    )
}

fn folder_text(model: &Model, id: &str, folder: &FolderModel) -> String {
    let first = folder.first.clone();
    format!(
        "{id}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}",
        model.orgs[folder.org],
        or_null(folder.parent.clone()),
        folder.name,
        model.users[folder.created_by].id,
        folder.created_at.0,
        folder.updated_at.0,
        or_null(folder.deleted_at.map(|at| at.0.to_string())),
        or_null(folder.deleted_with.clone()),
        or_null(first.as_ref().map(|(name, _)| (*name).to_owned())),
        or_null(first.and_then(|(_, parent)| parent)),
    )
}
