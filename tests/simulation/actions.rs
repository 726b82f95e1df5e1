//! What an event means by its numbers: the requests of a schedule, as they are sent.

use asset_uploads::domain::api_key::Scope;
use asset_uploads::domain::idempotency::IdempotencyKey;
use asset_uploads::domain::ids::{AssetUploadId, FolderId, OrganizationId};
use asset_uploads::error::ErrorCode;
use asset_uploads::token::TokenHash;
use serde_json::json;

use crate::answers::KnownUpload;
use crate::choices::{
    ASSET_NAMES, FILES, FIRST_KEYS, FOLDER_NAMES, Filtered, KEY_SECONDS, LISTS, usual_seconds,
};
use crate::client::file_of;
use crate::event_rules::event_types;
use crate::lists::{Filter, ListOf, ListRequest};
use crate::request::{ActionModel, ChangeModel, NewKeyModel};
use crate::run::{Run, newest};
use crate::schedule::{Action, FolderNamed, Named};
use crate::world::UNKNOWN_ID;

impl Run<'_> {
    /// The upload that a number means; one that nobody knows where there is none yet.
    pub(crate) fn upload(&self, n: u8) -> AssetUploadId {
        self.known_upload(n).map_or_else(|| self.state.unused_id(), |upload| upload.id)
    }

    pub(crate) fn known_upload(&self, n: u8) -> Option<KnownUpload> {
        let uploads = self.state.uploads.borrow();
        newest(&uploads, n).map(|n| uploads[n].clone())
    }

    /// The key that a number means; the first one where none has been made yet.
    pub(crate) fn client(&self, n: u8) -> usize {
        let made = self.state.made_keys.borrow();
        match n.checked_sub(FIRST_KEYS) {
            None => n.into(),
            Some(n) => newest(&made, n).map_or(0, |n| made[n]),
        }
    }

    /// Makes keys, each with the one before; ends where one is not made.
    pub(crate) fn make_keys(&mut self, client: u8, keys: u8, scope: Scope, max_uploads: Option<u8>) {
        let mut client = client;
        for left in (0..keys).rev() {
            let (others, known) = (self.under_way(), self.state.made_keys.borrow().len());
            let (scope, max_uploads) = if left == 0 { (scope, max_uploads) } else { (Scope::Full, None) };
            let seconds = usual_seconds(scope);
            self.request(client, Named::Nothing, 0, Action::MakeKey { scope, max_uploads, seconds });
            self.finish_newest(others);
            if self.state.made_keys.borrow().len() == known {
                return;
            }
            client = FIRST_KEYS;
        }
    }

    /// The request that an action means; none where there is no cursor to go on with.
    pub(crate) fn action(&self, client: usize, organization: Named, action: Action) -> Option<ActionModel> {
        Some(match action {
            Action::Start { file, key } => {
                let key = key.filter(|key| !self.leads_to_foreign_object(client, organization, *key, file));
                let id = key.and_then(|key| self.id_for_key(client, organization, key));
                ActionModel::Start { file: file_of(file), id, key, body: FILES[usize::from(file)] }
            }
            Action::Confirm { upload, folder, key } => {
                let (change, body) = self.change(&[], None, "folder_id", Some(folder));
                let folder = change.map(|change| change.place.flatten());
                ActionModel::Confirm { upload: self.upload(upload), folder, key, body }
            }
            Action::ConfirmBatch { items, unknown, key } => self.batch(&items, unknown, key),
            Action::SignParts { upload, parts } => self.sign_parts(upload, parts),
            Action::Complete { upload, parts, wrong } => self.completion(upload, parts, wrong),
            Action::Cancel { upload } => ActionModel::Cancel { upload: self.upload(upload) },
            Action::ReadUpload { upload } => ActionModel::ReadUpload { upload: self.upload(upload) },
            Action::ReadAsset { asset } => ActionModel::ReadAsset { asset: self.asset(asset) },
            Action::UpdateAsset { asset, name, folder } => {
                let (change, body) = self.change(&ASSET_NAMES, name, "folder_id", folder);
                ActionModel::UpdateAsset { asset: self.asset(asset), change, body }
            }
            Action::DeleteAsset { asset } => ActionModel::DeleteAsset { asset: self.asset(asset) },
            Action::RestoreAsset { asset } => ActionModel::RestoreAsset { asset: self.asset(asset) },
            Action::CreateFolder { name, parent, key } => {
                let (change, body) = self.change(&FOLDER_NAMES, Some(name), "parent_id", Some(parent));
                let folder = change.map(|change| (change.name.unwrap_or_default(), change.place.flatten()));
                let id =
                    key.and_then(|key| self.intent(client, organization, key, FolderId::for_idempotency_key));
                ActionModel::CreateFolder { folder, id: id.map(|id| id.to_string()), key, body }
            }
            Action::ReadFolder { folder } => ActionModel::ReadFolder { folder: self.folder(folder) },
            Action::UpdateFolder { folder, name, parent } => {
                let (change, body) = self.change(&FOLDER_NAMES, name, "parent_id", parent);
                ActionModel::UpdateFolder { folder: self.folder(folder), change, body }
            }
            Action::DeleteFolder { folder, recursive } => {
                ActionModel::DeleteFolder { folder: self.folder(folder), recursive }
            }
            Action::RestoreFolder { folder } => ActionModel::RestoreFolder { folder: self.folder(folder) },
            Action::MakeKey { scope, max_uploads, seconds } => {
                let (key, body) = new_key(scope, max_uploads, seconds);
                ActionModel::MakeKey { key, id: None, body }
            }
            Action::RevokeKey { key } => {
                let id = self.state.model.borrow().keys[self.client(key)].id.clone();
                ActionModel::RevokeKey { key: id.unwrap_or_else(|| UNKNOWN_ID.to_owned()) }
            }
            Action::MakeWebhook { types, url } => {
                let types = event_types(types);
                let url = format!("https://hooks.example.com/{url}");
                let body = json!({"url": url, "event_types": types}).to_string();
                ActionModel::MakeWebhook { types, url, id: None, body }
            }
            Action::UpdateWebhook { webhook, types, disabled } => {
                let types = types.map(event_types);
                // Something is to be changed.
                let disabled = disabled.or(types.is_none().then_some(false));
                let mut body = json!({});
                if let Some(types) = types {
                    body["event_types"] = json!(types);
                }
                if let Some(disabled) = disabled {
                    body["disabled"] = json!(disabled);
                }
                let (webhook, body) = (self.webhook(webhook), body.to_string());
                ActionModel::UpdateWebhook { webhook, types, disabled, body }
            }
            Action::DeleteWebhook { webhook } => {
                ActionModel::DeleteWebhook { webhook: self.webhook(webhook) }
            }
            Action::List { list, folder, limit, backward } => {
                let of = self.list_of(list, folder);
                let limit = usize::from(limit).max(1);
                ActionModel::List(ListRequest { of, limit, backward, cursor: None, malformed: false })
            }
            Action::Page { cursor, turned, mistaken } => {
                let cursors = self.state.cursors.borrow();
                let cursor = newest(&cursors, cursor).map(|n| cursors[n].clone())?;
                let limit = cursor.limit;
                let mut of = cursor.of.clone();
                of.descending ^= mistaken;
                let backward = cursor.backward != turned;
                ActionModel::List(ListRequest {
                    of,
                    limit,
                    backward,
                    cursor: Some(cursor),
                    malformed: mistaken,
                })
            }
        })
    }

    /// The asset that a number means; where nobody knows of one yet, what is none.
    fn asset(&self, n: u8) -> String {
        let assets = self.state.assets.borrow();
        newest(&assets, n).map_or_else(|| self.upload(n).to_string(), |n| assets[n].clone())
    }

    /// The folder that a number means.
    fn folder(&self, n: u8) -> String {
        let folders = self.state.folders.borrow();
        newest(&folders, n).map_or_else(|| UNKNOWN_ID.to_owned(), |n| folders[n].clone())
    }

    /// The webhook that a number means.
    pub(crate) fn webhook(&self, n: u8) -> String {
        let webhooks = self.state.webhooks.borrow();
        newest(&webhooks, n).map_or_else(|| UNKNOWN_ID.to_owned(), |n| webhooks[n].clone())
    }

    /// A body with a name, a folder or both, and what it asks for.
    pub(crate) fn change(
        &self,
        names: &[&'static str],
        name: Option<u8>,
        member: &str,
        place: Option<FolderNamed>,
    ) -> (Result<ChangeModel, ErrorCode>, String) {
        let last = names.len().saturating_sub(1);
        let name = name.map(|n| usize::from(n).min(last));
        let (place, place_json) = match place {
            Some(FolderNamed::NoJson) => return (Err(ErrorCode::BadRequest), "nonsense".to_owned()),
            None => (Ok(None), None),
            Some(FolderNamed::NoUuid) => (Err(ErrorCode::ValidationError), Some("5".to_owned())),
            Some(FolderNamed::Nothing) => (Ok(Some(None)), Some("null".to_owned())),
            Some(FolderNamed::Folder(n)) => {
                let id = self.folder(n);
                (Ok(Some(Some(id.clone()))), Some(format!("\"{id}\"")))
            }
            Some(FolderNamed::Unknown) => {
                (Ok(Some(Some(UNKNOWN_ID.to_owned()))), Some(format!("\"{UNKNOWN_ID}\"")))
            }
        };
        let members = [
            name.map(|n| format!(r#""name":"{}""#, names[n])),
            place_json.map(|json| format!(r#""{member}":{json}"#)),
        ];
        let members: Vec<String> = members.into_iter().flatten().collect();
        let body = format!("{{{}}}", members.join(","));
        let valid = !members.is_empty() && name.is_none_or(|n| n < last);
        let change = place.and_then(|place| {
            let change = ChangeModel { name: name.map(|n| names[n]), place };
            if valid { Ok(change) } else { Err(ErrorCode::ValidationError) }
        });
        (change, body)
    }

    fn list_of(&self, list: u8, folder: u8) -> ListOf {
        let (assets, filtered, by_name, descending) = LISTS[usize::from(list) % LISTS.len()];
        let filter = match filtered {
            Filtered::Live => Filter::Live,
            Filtered::InFolder => Filter::In(Some(self.folder(folder))),
            Filtered::InNone => Filter::In(None),
            Filtered::Trash => Filter::Trash,
            Filtered::TrashOfFolder => Filter::TrashOf(Some(self.folder(folder))),
            Filtered::Images => Filter::Type("image"),
            Filtered::Videos => Filter::Mime("video/"),
            Filtered::Names => Filter::Prefix("b"),
        };
        ListOf { assets, filter, by_name, descending }
    }

    /// The id of the upload that a client means by an Idempotency-Key.
    pub(crate) fn id_for_key(&self, client: usize, organization: Named, key: u8) -> Option<AssetUploadId> {
        self.intent(client, organization, key, AssetUploadId::for_idempotency_key)
    }

    /// The id that a client means by an Idempotency-Key.
    fn intent<T>(
        &self,
        client: usize,
        organization: Named,
        key: u8,
        id: fn(&str, Option<&OrganizationId>, &IdempotencyKey) -> T,
    ) -> Option<T> {
        let model = self.state.model.borrow();
        let hash = TokenHash::of(model.keys[client].token.as_deref()?)?;
        let organization = match organization {
            Named::Acme => Some(&model.orgs[0]),
            Named::Other => Some(&model.orgs[1]),
            Named::Nothing => None,
            // Denied before the id counts.
            Named::Unknown | Named::Malformed => return None,
        };
        let key = IdempotencyKey::parse(&format!("key-{key}"))?;
        Some(id(hash.as_str(), organization, &key))
    }
}

/// A body that asks for a key, and what it asks for.
fn new_key(scope: Scope, max_uploads: Option<u8>, seconds: u8) -> (Result<NewKeyModel, ErrorCode>, String) {
    let seconds = KEY_SECONDS[usize::from(seconds) % KEY_SECONDS.len()];
    let max_uploads = max_uploads.map(u32::from);
    let limits = max_uploads.map(|n| format!(r#","limits":{{"max_uploads":{n}}}"#)).unwrap_or_default();
    let body =
        format!(r#"{{"name":"page","scope":"{}","expires_in_seconds":{seconds}{limits}}}"#, scope.as_str());
    let longest = if scope == Scope::Upload { 86_400 } else { 7_776_000 };
    let valid =
        (60..=longest).contains(&seconds) && max_uploads.is_none_or(|n| n > 0 && scope == Scope::Upload);
    let key = NewKeyModel { scope, max_uploads, seconds };
    (if valid { Ok(key) } else { Err(ErrorCode::ValidationError) }, body)
}
