//! What the database holds of webhooks and of what is to be delivered to them.

use asset_uploads::domain::timestamp::Timestamp;

use crate::database::or_null;
use crate::event_rules::{DeliveryModel, WebhookModel};
use crate::model::Model;

pub(crate) const WEBHOOKS: &str = "
    SELECT concat_ws('|', id, org_id, url, event_types, created_by, created_at, updated_at, coalesce(disabled_at, '-'),
      coalesce(deleted_at, '-'))
    FROM webhooks ORDER BY id";
pub(crate) const WEBHOOK_COLUMNS: &str =
    "id|org_id|url|event_types|created_by|created_at|updated_at|disabled_at|deleted_at";

/// Of the row that the event is about: its name, folder, deletion, user, last change or deadline, and error.
pub(crate) const DELIVERIES: &str = "
    SELECT concat_ws('|', webhook_id, created_at, id, org_id, event_id, event_type, event_at, data ->> 'id',
      coalesce(data ->> 'name', data ->> 'filename'), coalesce(data ->> 'folder_id', '-'),
      coalesce(data ->> 'deleted_at', '-'), data ->> 'created_by', coalesce(data ->> 'updated_at', data ->> 'expires_at'),
      coalesce(data ->> '$.error.code', '-'),
      coalesce(due_at, '-'), coalesce(delivered_at, '-'), attempt_count, json_array_length(attempts))
    FROM webhook_deliveries ORDER BY webhook_id, created_at, id";
pub(crate) const DELIVERY_COLUMNS: &str = "webhook_id|created_at|id|org_id|event_id|event_type|event_at|subject|name|folder_id|deleted_at|created_by|updated_at or expires_at|error|due_at|delivered_at|attempt_count|attempts";

pub(crate) fn webhook_texts(model: &Model) -> Vec<String> {
    let present = model.webhooks.iter().filter(|webhook| !webhook.removed);
    let text = |webhook: &WebhookModel| {
        let time = |at: Option<Timestamp>| or_null(at.map(|at| at.0.to_string()));
        format!(
            "{}|{}|{}|[\"{}\"]|{}|{}|{}|{}|{}",
            webhook.id,
            model.orgs[webhook.org],
            webhook.url,
            webhook.types.join("\",\""),
            model.users[webhook.created_by].id,
            webhook.created_at.0,
            webhook.updated_at.0,
            time(webhook.disabled_at),
            time(webhook.deleted_at),
        )
    };
    let mut texts: Vec<String> = present.map(text).collect();
    texts.sort();
    texts
}

pub(crate) fn delivery_texts(model: &Model) -> Vec<String> {
    let mut present: Vec<_> = model.deliveries.iter().filter(|delivery| !delivery.removed).collect();
    present.sort_by_key(|delivery| (&model.webhooks[delivery.webhook].id, delivery.at, &delivery.id));
    let text = |delivery: &DeliveryModel| {
        let webhook = &model.webhooks[delivery.webhook];
        format!(
            "{}|{at}|{id}|{}|{id}|{}|{at}|{}|{}|{}|{}|{attempts}|{attempts}",
            webhook.id,
            model.orgs[webhook.org],
            delivery.event_type,
            delivery.subject,
            delivery.told,
            or_null(delivery.due_at.map(|at| at.to_string())),
            or_null(delivery.delivered_at.map(|at| at.to_string())),
            at = delivery.at,
            id = delivery.id,
            attempts = delivery.attempts,
        )
    };
    present.into_iter().map(text).collect()
}
