//! What is answered about webhooks.

use asset_uploads::domain::ids::WebhookId;
use serde_json::{Value, json};

use crate::answers::equal;
use crate::model::Finding;
use crate::record::TaskRecord;
use crate::state::State;

/// A webhook that was made or changed. Clients know it from now on.
pub(crate) fn check_webhook(
    state: &State<'_>,
    record: &TaskRecord,
    id: &str,
    body: &Value,
) -> Result<(), String> {
    let model = state.model.borrow();
    let webhook = record.webhook.borrow();
    let webhook = webhook.as_ref().ok_or("no webhook was read")?;
    let mut expected = json!({
        "id": id,
        "org_id": model.orgs[webhook.org],
        "url": webhook.url,
        "event_types": webhook.types,
        "description": null,
        "disabled": webhook.disabled_at.is_some(),
        "disabled_at": webhook.disabled_at.map(|at| at.to_rfc3339()),
        "disabled_reason": body["disabled_reason"],
        "failing_since": body["failing_since"],
        "created_by": model.users[webhook.created_by].id,
        "created_at": webhook.created_at.to_rfc3339(),
        "updated_at": webhook.updated_at.to_rfc3339(),
    });
    if *record.finding.borrow() == Some(Finding::WebhookMade) {
        let webhook_id = WebhookId::parse(id).ok_or("the id is no UUID")?;
        let key = state.world.config.webhooks.signing_key.as_ref().map_err(ToString::to_string)?;
        expected["secret"] = json!(key.secret(webhook_id, 1).text());
    }
    equal("the webhook", body, &expected)?;
    let mut known = state.webhooks.borrow_mut();
    if !known.iter().any(|other| other == id) {
        known.push(id.to_owned());
    }
    Ok(())
}
