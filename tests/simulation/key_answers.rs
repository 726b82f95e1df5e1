//! What is answered about keys, and what clients learn from it.

use asset_uploads::token::TokenHash;
use serde_json::{Value, json};

use crate::answers::equal;
use crate::model::{Finding, Model};
use crate::platform::client::TestAnswer;
use crate::record::TaskRecord;
use crate::state::State;

/// A key that was made just now.
pub(crate) fn check_key(model: &Model, id: &str, body: &Value) -> Result<(), String> {
    let key = model.keys.iter().find(|key| key.id.as_deref() == Some(id)).ok_or("no key was made")?;
    let token = body["token"].as_str().unwrap_or_default();
    if TokenHash::of(token).is_none() {
        return Err("token is none".to_owned());
    }
    let expected = json!({
        "id": id,
        "name": "page",
        "scope": key.scope.as_str(),
        "org_id": key.org.map(|org| model.orgs[org]),
        "user_id": key.user.map(|user| model.users[user].id),
        "parent_id": key.parent.and_then(|parent| model.keys[parent].id.clone()),
        "impersonator_id": null,
        "limits": key.max_uploads.map(|most| json!({"max_uploads": most})),
        "uploads_started": 0,
        "created_at": key.created_at.to_rfc3339(),
        "expires_at": key.expires_at.map(|at| at.to_rfc3339()),
        "revoked_at": null,
        "token": token,
    });
    equal("the key", body, &expected)
}

impl State<'_> {
    /// Whoever is answered with a key sends it from now on.
    pub(crate) fn learn_key(&self, record: &TaskRecord, answer: &TestAnswer) {
        let made = *record.finding.borrow() == Some(Finding::KeyMade) && answer.status == 201;
        if !made {
            return;
        }
        let mut model = self.model.borrow_mut();
        let id = record.id.borrow();
        let Some(n) = model.keys.iter().position(|key| key.id.is_some() && key.id == *id) else { return };
        model.keys[n].token = answer.body()["token"].as_str().map(str::to_owned);
        self.made_keys.borrow_mut().push(n);
    }
}
