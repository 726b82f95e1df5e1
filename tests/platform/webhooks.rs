//! Requests to the endpoints of webhooks.

use asset_uploads::domain::timestamp::Timestamp;
use serde_json::{Value, json};

use super::client::{TestAnswer, TestRequest};
use super::fixtures::Api;

/// As an admin of the organization.
pub(crate) fn send(api: &Api, method: &str, path: &str, body: Option<&Value>) -> TestAnswer {
    let request = TestRequest::new(method, path).token(&api.admin_token);
    api.send(&body.map_or_else(|| request.clone(), |body| request.clone().json(&body.to_string())))
}

/// Makes a webhook.
pub(crate) fn make(api: &Api, body: &Value) -> TestAnswer {
    send(api, "POST", "/v1/webhooks", Some(body))
}

/// What to make.
pub(crate) fn some_webhook() -> Value {
    json!({"url": "https://hooks.example.com/a", "event_types": ["asset.created"]})
}

/// As the API shows it.
pub(crate) fn time(time: Timestamp) -> Value {
    json!(time.to_rfc3339().unwrap())
}

/// So many milliseconds later: the new time.
pub(crate) fn later(api: &Api, ms: u64) -> Timestamp {
    api.platform.clock.set(api.platform.clock.get().plus_ms(ms));
    api.platform.clock.get()
}

/// The secret of an answer, which is taken out of it.
pub(crate) fn take_secret(answer: &TestAnswer) -> (Value, String) {
    let mut webhook = answer.body().clone();
    let secret = webhook.as_object_mut().unwrap().remove("secret").unwrap();
    (webhook, secret.as_str().unwrap().to_owned())
}
