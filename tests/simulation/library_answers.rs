//! What is answered about assets, folders and lists of them.

use asset_uploads::domain::timestamp::Timestamp;
use serde_json::{Value, json};

use crate::answers::equal;
use crate::lists::{Cursor, PageModel, Position};
use crate::model::{AssetModel, Finding, FolderModel, Model};
use crate::platform::client::TestAnswer;
use crate::record::TaskRecord;
use crate::request::{ActionModel, RequestModel};
use crate::state::State;

/// A row of a list.
#[derive(Debug, Clone)]
pub(crate) enum RowModel {
    Asset(AssetModel),
    Folder(FolderModel),
}

impl Model {
    /// The rows of a page.
    pub(crate) fn rows_of(&self, page: &PageModel) -> Vec<RowModel> {
        let asset = |id: &String| self.assets.get(id).cloned().map(RowModel::Asset);
        let folder = |id: &String| self.folders.get(id).cloned().map(RowModel::Folder);
        page.ids.iter().filter_map(|id| asset(id).or_else(|| folder(id))).collect()
    }

    /// The folders that a folder lies in, outermost first.
    pub(crate) fn path_of(&self, id: &str) -> Vec<(String, &'static str)> {
        let name = |id: &String| self.folders.get(id).map_or("", |folder| folder.name);
        self.ancestors(id).into_iter().rev().map(|id| (id.clone(), name(&id))).collect()
    }
}

fn time(at: Timestamp) -> Value {
    json!(at.to_rfc3339())
}

/// `embedded`: with the user who made it.
pub(crate) fn check_asset(
    model: &Model,
    id: &str,
    asset: &AssetModel,
    body: &Value,
    embedded: bool,
) -> Result<(), String> {
    let user = model.users[asset.created_by].id;
    let expected = json!({
        "id": id,
        "org_id": model.orgs[asset.org],
        "folder_id": asset.folder,
        "name": asset.name,
        "r2_key": format!("uploads/{id}"),
        "url": body["url"],
        "thumbnail_url": null,
        "mime_type": asset.mime_type,
        "size_bytes": asset.size_bytes,
        "asset_type": asset.mime_type.split('/').next(),
        "source_type": "upload",
        "source_id": id,
        "created_by": user,
        "created_at": time(asset.created_at),
        "updated_at": time(asset.updated_at),
        "deleted_at": asset.deleted.map(|(at, _)| time(at)),
        "deleted_by": asset.deleted.map(|(_, by)| model.users[by].id),
        "created_by_user": if embedded { body["created_by_user"].clone() } else { Value::Null },
    });
    equal("the asset", body, &expected)?;
    if embedded { equal("created_by_user", &body["created_by_user"]["id"], &json!(user)) } else { Ok(()) }
}

fn folder_json(model: &Model, id: &str, folder: &FolderModel) -> Value {
    json!({
        "id": id,
        "org_id": model.orgs[folder.org],
        "parent_id": folder.parent,
        "name": folder.name,
        "created_by": model.users[folder.created_by].id,
        "created_at": time(folder.created_at),
        "updated_at": time(folder.updated_at),
        "deleted_at": folder.deleted_at.map(time),
    })
}

/// A folder that was read, made, changed or restored. The client knows it from now on.
pub(crate) fn check_folder(
    state: &State<'_>,
    record: &TaskRecord,
    finding: &Finding,
    answer: &TestAnswer,
) -> Result<(), String> {
    let id = record.id.borrow().clone().unwrap_or_default();
    let folder = record.folder.borrow();
    let folder = folder.as_ref().ok_or("no folder was read")?;
    let mut expected = folder_json(&state.model.borrow(), &id, folder);
    if *finding == Finding::Folder {
        let path = record.path.borrow();
        expected["path"] = path.iter().map(|(id, name)| json!({"id": id, "name": name})).collect();
    }
    equal("the folder", answer.body(), &expected)?;
    let mut known = state.folders.borrow_mut();
    if !known.contains(&id) {
        known.push(id);
    }
    Ok(())
}

/// A page of a list; at the end of a walk, what all of it has shown.
pub(crate) fn check_page(
    state: &State<'_>,
    record: &TaskRecord,
    request: &RequestModel,
    page: &PageModel,
    answer: &TestAnswer,
) -> Result<(), String> {
    let ActionModel::List(list) = &request.action else { return Err("no list was asked for".to_owned()) };
    let (model, body) = (state.model.borrow(), answer.body());
    let items = body["items"].as_array().ok_or("items is no list")?;
    let ids: Vec<&str> = items.iter().filter_map(|item| item["id"].as_str()).collect();
    equal("the ids of the items", &json!(ids), &json!(page.ids))?;
    for ((item, id), row) in items.iter().zip(&page.ids).zip(record.rows.borrow().iter()) {
        match row {
            RowModel::Asset(asset) => check_asset(&model, id, asset, item, false)?,
            RowModel::Folder(folder) => equal("the folder", item, &folder_json(&model, id, folder))?,
        }
    }
    let mut walk = list.walk(page);
    if let Some(walk) = &mut walk {
        walk.shown.extend(ids.into_iter().map(str::to_owned));
        walk.pages += 1;
    }
    // What the walk can go on with stands last.
    let mut ways = [("next_pq", &page.next, false), ("prev_pq", &page.prev, true)];
    ways.sort_by_key(|(_, _, backward)| *backward == list.backward);
    for (name, position, backward) in ways {
        let walk = walk.clone().filter(|_| backward == list.backward);
        match (body[name].as_str(), position) {
            (Some(text), Some(position)) => {
                let (text, of, position): (_, _, Position) =
                    (text.to_owned(), list.of.clone(), position.clone());
                let (limit, org) = (list.limit, page.org);
                let cursor = Cursor { text, of, limit, org, position, backward, walk };
                state.cursors.borrow_mut().push(cursor);
            }
            (None, None) => {}
            (text, _) => return Err(format!("{name} must not be {text:?}")),
        }
    }
    let ended = if list.backward { page.prev.is_none() } else { page.next.is_none() };
    let Some(walk) = walk.filter(|_| ended) else { return Ok(()) };
    if walk.pages > 1 {
        state.count(if walk.began < page.step { "walk while others write" } else { "walk" });
    }
    for id in &page.stayed {
        let times = walk.shown.iter().filter(|shown| *shown == id).count();
        if times != 1 {
            return Err(format!("the walk has shown {id}, which was there throughout, {times} times"));
        }
    }
    Ok(())
}
