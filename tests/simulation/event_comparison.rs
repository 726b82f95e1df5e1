//! What the sweeper told webhooks and forgot of them, compared with what it may do; and the webhooks that are there from
//! the beginning.

use std::collections::BTreeSet;

use asset_uploads::domain::timestamp::Timestamp;

use crate::database;
use crate::event_rules::{FIRST_WEBHOOKS, WebhookModel, event_types};
use crate::model::Model;
use crate::state::State;

impl State<'_> {
    /// `which`: a bit for each.
    pub(crate) fn make_first_webhooks(&self, which: u8) {
        let (mut model, now) = (self.model.borrow_mut(), self.clock.get());
        for (n, (org, user, types)) in FIRST_WEBHOOKS.into_iter().enumerate() {
            if which & (1 << n) == 0 {
                continue;
            }
            let id = format!("0000000{n}-0000-7000-8000-000000000000");
            let webhook = WebhookModel {
                id: id.clone(),
                org,
                url: format!("https://hooks.example.com/first-{n}"),
                types: event_types(u8::try_from(types).unwrap_or_default()),
                created_by: user,
                created_at: now,
                updated_at: now,
                disabled_at: None,
                deleted_at: None,
                failing_since: None,
                told_since: now,
                removed: false,
            };
            let sql =
                "INSERT INTO webhooks (id, org_id, url, event_types, created_by, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)";
            let (org, user) = (model.orgs[org].to_string(), model.users[user].id.to_string());
            let types = serde_json::to_string(webhook.types).unwrap();
            self.world.execute(sql, rusqlite::params![id, org, webhook.url, types, user, now.0]);
            model.webhooks.push(webhook);
            self.webhooks.borrow_mut().push(id);
        }
    }

    /// Counts what a transaction tells: all deliveries but the first so many.
    pub(crate) fn count_told(&self, model: &Model, before: usize) {
        for n in before..model.deliveries.len() {
            let delivery = &model.deliveries[n];
            self.count(format!("told of {}", delivery.event_type));
            let org = model.webhooks[delivery.webhook].org;
            let told = |webhook: usize| {
                let mut others = model.deliveries[before..].iter();
                others.any(|other| other.webhook == webhook && other.id == delivery.id)
            };
            for (webhook, other) in model.webhooks.iter().enumerate().filter(|(_, other)| other.org == org) {
                if other.deleted_at.is_some() || told(webhook) {
                    continue;
                }
                self.count(match other.disabled_at {
                    Some(_) => "an event for a webhook that is switched off",
                    None => "an event that one webhook wants, and another does not",
                });
            }
            // Of one subject each event is later than the one before.
            let mut earlier = model.deliveries[..n].iter().rev();
            let earlier =
                earlier.find(|other| other.webhook == delivery.webhook && other.subject == delivery.subject);
            if let Some(earlier) = earlier {
                if earlier.at >= delivery.at {
                    self.violate(format!("{delivery:?} comes after {earlier:?}, and is not later"));
                }
                if earlier.at + 1 == delivery.at {
                    self.count("an event right after another");
                }
            }
        }
    }

    /// The sweeper changed something: uploads are told as expired that may be.
    pub(crate) fn compare_told(&self, model: &mut Model, now: Timestamp) {
        let sql = "SELECT id || '|' || expiry_told_at FROM asset_uploads WHERE expiry_told_at IS NOT NULL";
        for text in database::texts(&self.world.conn, sql) {
            let (id, at) = text.split_once('|').unwrap_or_default();
            let at: i64 = at.parse().unwrap_or_default();
            let told = model.sessions.get(id).and_then(|session| session.expiry_told_at);
            if told.is_some() {
                continue;
            }
            if !model.may_tell_expiry(id, at) || at > now.0 {
                self.violate(format!("the sweeper tells that the upload {id} expired at {at}"));
            }
            model.tell_of_expiry(id, at);
        }
    }

    /// The sweeper changed something: only what is old enough is gone.
    pub(crate) fn compare_forgotten(&self, model: &mut Model, now: Timestamp) {
        let conn = &self.world.conn;
        let present: BTreeSet<String> =
            database::texts(conn, "SELECT webhook_id || id FROM webhook_deliveries").into_iter().collect();
        let is_gone = |n: &usize| {
            let delivery = &model.deliveries[*n];
            let id = format!("{}{}", model.webhooks[delivery.webhook].id, delivery.id);
            !delivery.removed && !present.contains(&id)
        };
        let gone: Vec<usize> = (0..model.deliveries.len()).filter(is_gone).collect();
        for n in gone {
            self.count("delivery forgotten");
            if !model.may_forget_delivery(&model.deliveries[n], now) {
                self.violate(format!("the sweeper forgets {:?}", model.deliveries[n]));
            }
            model.deliveries[n].removed = true;
        }
        let present = database::ids(conn, "webhooks");
        for n in 0..model.webhooks.len() {
            let webhook = &model.webhooks[n];
            if webhook.removed || present.contains(&webhook.id) {
                continue;
            }
            self.count("webhook forgotten");
            if !model.may_forget_webhook(webhook, now) {
                self.violate(format!("the sweeper forgets {webhook:?}"));
            }
            model.webhooks[n].removed = true;
        }
    }
}
