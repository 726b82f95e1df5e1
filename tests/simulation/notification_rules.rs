//! The rules of storage's notifications: what becomes of an upload whose object storage tells of.

use std::collections::BTreeMap;

use asset_uploads::domain::api_key::Scope;
use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::ErrorCode;
use asset_uploads::store::rights::{Access, Permission};

use crate::event_rules::WebhookModel;
use crate::model::{AssetModel, Change, Changes, Finding, HeadResult, Model};
use crate::record::Seen;
use crate::rules::{By, Found};
use crate::sqlite::callers::Place;

/// What a notification comes to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Notified {
    /// The upload is confirmed.
    Confirmed(Box<AssetModel>),
    /// Its object may not become an asset.
    Rejected(ErrorCode),
    /// Nothing changes.
    Ignored,
}

impl Model {
    /// What storage's notification of an object comes to at this time: the upload is confirmed by the user who started it,
    /// as if that user sent the request with the same key, but for its expiry.
    pub(crate) fn notified(
        &self,
        id: &str,
        number: u64,
        now: Timestamp,
        heads: &BTreeMap<String, HeadResult>,
    ) -> Notified {
        let pending = self.sessions.get(id).filter(|session| {
            !session.cancelled && session.expires_at > now && !self.assets.contains_key(id)
        });
        let (Some(session), Some(upload)) = (pending, AssetUploadId::parse(id)) else {
            return Notified::Ignored;
        };
        let place = if session.org == 0 { Place::Here } else { Place::Elsewhere };
        let scopes = &[Scope::Full, Scope::Upload];
        let access = Access { permission: Permission::AssetsWrite, scopes, writes: true };
        if let Err(code) = self.rights(session.key, Some(place), access, now, true) {
            return Notified::Rejected(code);
        }
        let user = self.keys[session.key].user.unwrap_or_default();
        let by = By { number, key: session.key, org: session.org, user, now };
        let seen = Seen { heads, multipart_id: None, untyped: Some(&[]), claims: None };
        match self.confirm(by, &upload, None, None, seen) {
            Ok((_, changes)) => match changes.into_iter().next() {
                Some((_, Change::Asset(asset))) => {
                    Notified::Confirmed(Box::new(AssetModel { awaits_client: true, ..asset }))
                }
                _ => Notified::Ignored,
            },
            Err(ErrorCode::UploadRejected) => Notified::Rejected(ErrorCode::UploadRejected),
            Err(_) => Notified::Ignored,
        }
    }

    /// Whether a rejection may be recorded at this time: nobody has confirmed the upload, cancelled it or been told that it
    /// expired, it was not rejected before, and somebody wants to know.
    pub(crate) fn may_reject(&self, id: &str, at: i64) -> bool {
        self.sessions.get(id).is_some_and(|session| {
            let wants =
                |webhook: &WebhookModel| webhook.org == session.org && webhook.wants("upload.rejected");
            session.rejected.is_none()
                && session.expiry_told_at.is_none()
                && !session.cancelled
                && session.expires_at.0 > at
                && !self.assets.contains_key(id)
                && self.webhooks.iter().any(wants)
        })
    }

    /// The first confirmation by a client of what storage has told of. It has been looked at before, where `now_ours`: then
    /// the asset becomes this confirmation's.
    pub(crate) fn claim(
        &self,
        by: By,
        id: &str,
        asset: &AssetModel,
        folder: Option<&str>,
        key: Option<u8>,
        now_ours: bool,
    ) -> Found {
        if asset.deleted.is_some() {
            return Err(ErrorCode::AssetNotFound);
        }
        if let Some(folder) = folder {
            self.folder_of(folder, by.org)?;
        }
        if !now_ours {
            return Ok((Finding::AwaitsClient, Vec::new()));
        }
        let mut claimed = AssetModel {
            awaits_client: false,
            confirmed_by: Some(by.user),
            key,
            first_folder: folder.map(str::to_owned),
            request: by.number,
            ..asset.clone()
        };
        let unchanged = asset.event_at == asset.first_event_at;
        if folder.is_some() && unchanged && folder != asset.folder.as_deref() {
            claimed.folder = folder.map(str::to_owned);
            claimed.updated_at = by.now;
        }
        let changes = vec![(Some(id.to_owned()), Change::Asset(claimed))];
        Ok((Finding::Confirmed { replayed: false }, changes))
    }
}

impl Model {
    /// What a confirmation comes across that its answer alone does not tell, for the statistics.
    pub(crate) fn claim_cases(&self, finding: &Finding, changes: &Changes) -> Vec<&'static str> {
        let mut cases = Vec::new();
        let mut add = |found: bool, case| cases.extend(found.then_some(case));
        for (id, change) in changes {
            let (Some(id), Change::Asset(asset)) = (id, change) else { continue };
            let Some(old) = self.assets.get(id) else {
                let rejected = self.sessions.get(id).is_some_and(|session| session.rejected.is_some());
                add(rejected, "an asset whose upload was rejected before");
                continue;
            };
            let claimed = old.awaits_client && !asset.awaits_client;
            add(claimed, "a client confirms after storage");
            add(claimed && old.folder != asset.folder, "a client confirms after storage, into its folder");
            let changed = old.event_at != old.first_event_at;
            add(claimed && changed, "a client confirms after storage what was changed since");
            let deleted = old.deleted.is_none() && asset.deleted.is_some();
            add(deleted && old.awaits_client, "in the trash before its client confirms");
        }
        add(*finding == Finding::AwaitsClient, "awaits its client");
        cases
    }
}
