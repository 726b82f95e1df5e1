//! The rules of webhooks, and of what they are told: which events there are, when, and for whom.

use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::ErrorCode;

use crate::database::or_null;
use crate::model::{AssetModel, Change, Finding, Model, SessionModel};
use crate::rules::{By, Found};

/// What webhooks ask for.
const EVENT_TYPES: [&[&str]; 5] = [
    &[
        "asset.created",
        "asset.deleted",
        "asset.purged",
        "asset.restored",
        "asset.updated",
        "upload.expired",
        "upload.rejected",
    ],
    &["asset.created", "upload.expired"],
    &["asset.created", "asset.deleted", "asset.purged", "asset.restored", "asset.updated"],
    &["asset.deleted", "upload.rejected"],
    &["asset.updated"],
];

/// The organization, who made it, and what it asks for, of webhooks that may be there from the beginning.
pub(crate) const FIRST_WEBHOOKS: [(usize, usize, usize); 4] = [(0, 1, 0), (1, 3, 0), (0, 1, 1), (0, 1, 3)];

/// Webhooks of an organization at most.
const MOST: usize = 20;
/// How long deliveries are kept: 30 days.
const HISTORY_MS: i64 = 30 * 86_400_000;
/// How long a removed webhook is kept: a day.
const REMOVED_MS: i64 = 86_400_000;

/// Event types that a number means.
pub(crate) fn event_types(n: u8) -> &'static [&'static str] {
    EVENT_TYPES[usize::from(n) % EVENT_TYPES.len()]
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WebhookModel {
    pub(crate) id: String,
    pub(crate) org: usize,
    pub(crate) url: String,
    pub(crate) types: &'static [&'static str],
    pub(crate) created_by: usize,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) disabled_at: Option<Timestamp>,
    pub(crate) deleted_at: Option<Timestamp>,
    /// Since when all deliveries have failed.
    pub(crate) failing_since: Option<i64>,
    /// Since when it is told what it is told now.
    pub(crate) told_since: Timestamp,
    /// Whether the sweeper has removed it.
    pub(crate) removed: bool,
}

impl WebhookModel {
    pub(crate) fn wants(&self, event_type: &str) -> bool {
        self.disabled_at.is_none() && self.types.contains(&event_type)
    }
}

/// An event that a webhook is to be told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeliveryModel {
    /// Its place in [`Model::webhooks`].
    pub(crate) webhook: usize,
    pub(crate) id: String,
    pub(crate) event_type: &'static str,
    pub(crate) at: i64,
    /// The asset or upload.
    pub(crate) subject: String,
    /// What is told of it, as text.
    pub(crate) told: String,
    /// When it is tried next; none once it was delivered, or has failed for good.
    pub(crate) due_at: Option<i64>,
    pub(crate) delivered_at: Option<i64>,
    pub(crate) attempts: u32,
    /// Whether its row is gone.
    pub(crate) removed: bool,
}

impl Model {
    /// A webhook that was not removed by a request.
    fn webhook_of(&self, id: &str, org: usize) -> Result<&WebhookModel, ErrorCode> {
        let webhook = self.webhooks.iter().find(|webhook| webhook.id == id && webhook.org == org);
        webhook.filter(|webhook| webhook.deleted_at.is_none()).ok_or(ErrorCode::WebhookNotFound)
    }

    pub(crate) fn make_webhook(
        &self,
        by: By,
        types: &'static [&'static str],
        url: &str,
        id: Option<&str>,
    ) -> Found {
        // Made by this very request, in a call before this one whose answer was lost.
        if let Some(id) = id {
            return self.webhook_of(id, by.org).map(|_| (Finding::WebhookMade, Vec::new()));
        }
        let of_org = self.webhooks.iter().filter(|webhook| webhook.org == by.org);
        if of_org.filter(|webhook| webhook.deleted_at.is_none()).count() >= MOST {
            return Err(ErrorCode::WebhookLimitReached);
        }
        let webhook = WebhookModel {
            id: String::new(),
            org: by.org,
            url: url.to_owned(),
            types,
            created_by: by.user,
            created_at: by.now,
            updated_at: by.now,
            disabled_at: None,
            deleted_at: None,
            failing_since: None,
            told_since: by.now,
            removed: false,
        };
        Ok((Finding::WebhookMade, vec![(None, Change::Webhook(webhook))]))
    }

    pub(crate) fn update_webhook(
        &self,
        by: By,
        id: &str,
        types: Option<&'static [&'static str]>,
        disabled: Option<bool>,
    ) -> Found {
        let old = self.webhook_of(id, by.org)?;
        let mut webhook = old.clone();
        webhook.types = types.unwrap_or(old.types);
        webhook.disabled_at = match disabled {
            Some(true) => old.disabled_at.or(Some(by.now)),
            Some(false) => None,
            None => old.disabled_at,
        };
        if old.disabled_at.is_some() && webhook.disabled_at.is_none() {
            webhook.failing_since = None;
        }
        if webhook == *old {
            return Ok((Finding::WebhookUpdated, Vec::new()));
        }
        webhook.updated_at = by.now;
        Ok((Finding::WebhookUpdated, vec![(Some(id.to_owned()), Change::Webhook(webhook))]))
    }

    pub(crate) fn delete_webhook(&self, by: By, id: &str) -> Found {
        let old = self.webhooks.iter().find(|webhook| webhook.id == id && webhook.org == by.org);
        let old = old.filter(|webhook| !webhook.removed).ok_or(ErrorCode::WebhookNotFound)?;
        if old.deleted_at.is_some() {
            return Ok((Finding::Done, Vec::new()));
        }
        let webhook = WebhookModel {
            deleted_at: Some(by.now),
            disabled_at: old.disabled_at.or(Some(by.now)),
            ..old.clone()
        };
        Ok((Finding::Done, vec![(Some(id.to_owned()), Change::Webhook(webhook))]))
    }

    pub(crate) fn put_webhook(&mut self, id: &str, mut webhook: WebhookModel) {
        id.clone_into(&mut webhook.id);
        match self.webhooks.iter_mut().find(|old| old.id == id) {
            Some(old) => *old = webhook,
            None => self.webhooks.push(webhook),
        }
    }

    /// The event of an asset that is made or changed: its time is later than that of the asset's last one.
    pub(crate) fn tell_of_change(&mut self, id: &str, asset: &mut AssetModel, now: Timestamp) {
        let rejected = self.sessions.get(id).and_then(|session| session.rejected.as_ref());
        let event_type = match self.assets.get(id) {
            None => {
                asset.event_at = rejected.map_or(0, |(at, _)| *at);
                "asset.created"
            }
            Some(old) if old.deleted.is_none() && asset.deleted.is_some() => "asset.deleted",
            Some(old) if old.deleted.is_some() && asset.deleted.is_none() => "asset.restored",
            Some(old) if (old.name, &old.folder) == (asset.name, &asset.folder) => return,
            Some(_) => "asset.updated",
        };
        asset.event_at = now.0.max(asset.event_at + 1);
        if event_type == "asset.created" {
            asset.first_event_at = asset.event_at;
        }
        let told = self.told_of_asset(asset);
        self.tell(asset.org, event_type, id, asset.event_at, told);
    }

    /// The event of an asset that is purged, which the sweeper has retired.
    pub(crate) fn tell_of_purge(&mut self, id: &str) {
        let purged_at = self.retired.get(id).and_then(|retired| retired.purged_at).unwrap_or_default();
        let Some(asset) = self.assets.get(id).cloned() else { return };
        let told = self.told_of_asset(&asset);
        self.tell(asset.org, "asset.purged", id, purged_at.max(asset.event_at + 1), told);
    }

    /// The event of an upload that expired.
    pub(crate) fn tell_of_expiry(&mut self, id: &str, at: i64) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.expiry_told_at = Some(at);
        let session = session.clone();
        let told = self.told_of_upload(&session);
        self.tell(session.org, "upload.expired", id, at, told);
    }

    /// The event of an upload whose object may not become an asset.
    pub(crate) fn tell_of_rejection(&mut self, id: &str, at: i64, code: &str) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.rejected = Some((at, code.to_owned()));
        let session = session.clone();
        let told = self.told_of_upload(&session);
        self.tell(session.org, "upload.rejected", id, at, told);
    }

    fn tell(&mut self, org: usize, event_type: &'static str, subject: &str, at: i64, told: String) {
        // A UUID of version 8: 48 bits of the time, then what is random in the subject's id.
        let id = format!("{:08x}-{:04x}-8{}", at >> 16, at & 0xffff, &subject[15..]);
        for (webhook, _) in self
            .webhooks
            .iter()
            .enumerate()
            .filter(|(_, webhook)| webhook.org == org && webhook.wants(event_type))
        {
            self.deliveries.push(DeliveryModel {
                webhook,
                id: id.clone(),
                event_type,
                at,
                subject: subject.to_owned(),
                told: told.clone(),
                due_at: Some(at),
                delivered_at: None,
                attempts: 0,
                removed: false,
            });
        }
    }

    fn told_of_asset(&self, asset: &AssetModel) -> String {
        format!(
            "{}|{}|{}|{}|{}|-",
            asset.name,
            or_null(asset.folder.clone()),
            or_null(asset.deleted.map(|(at, _)| at.0.to_string())),
            self.users[asset.created_by].id,
            asset.updated_at.0,
        )
    }

    fn told_of_upload(&self, session: &SessionModel) -> String {
        let SessionModel { declared, created_by, expires_at, rejected, .. } = session;
        let code = or_null(rejected.as_ref().map(|(_, code)| code.clone()));
        format!("{}|-|-|{}|{}|{code}", declared.filename, self.users[*created_by].id, expires_at.0)
    }

    /// Whether an upload that expired may be told: nobody has confirmed or cancelled it, and somebody wants to know.
    pub(crate) fn may_tell_expiry(&self, id: &str, at: i64) -> bool {
        self.sessions.get(id).is_some_and(|session| {
            let wants =
                |webhook: &WebhookModel| webhook.org == session.org && webhook.wants("upload.expired");
            session.expiry_told_at.is_none()
                && !session.cancelled
                && session.expires_at.0 <= at
                && !self.assets.contains_key(id)
                && self.webhooks.iter().any(wants)
        })
    }

    /// Whether a session may not go before it was told that it expired: some webhook has wanted to know all along.
    pub(crate) fn is_to_be_told(&self, id: &str) -> bool {
        self.sessions.get(id).is_some_and(|session| {
            let wants = |webhook: &WebhookModel| {
                webhook.org == session.org
                    && webhook.wants("upload.expired")
                    && webhook.told_since < session.expires_at
            };
            session.expiry_told_at.is_none()
                && !session.cancelled
                && !self.assets.contains_key(id)
                && self.webhooks.iter().any(wants)
        })
    }

    /// Whether a delivery may be forgotten at this time. What is still to be delivered, to a webhook that is on, stays.
    pub(crate) fn may_forget_delivery(&self, delivery: &DeliveryModel, now: Timestamp) -> bool {
        let webhook = &self.webhooks[delivery.webhook];
        let is_over = delivery.due_at.is_none() || webhook.disabled_at.is_some();
        webhook.deleted_at.is_some() || is_over && delivery.at + HISTORY_MS <= now.0
    }

    /// Whether a webhook may be forgotten at this time.
    pub(crate) fn may_forget_webhook(&self, webhook: &WebhookModel, now: Timestamp) -> bool {
        webhook.deleted_at.is_some_and(|at| at.0 + REMOVED_MS <= now.0)
    }
}
