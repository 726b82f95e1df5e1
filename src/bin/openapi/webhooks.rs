//! What webhooks are sent: the requests that the Worker makes.

use asset_uploads::domain::webhook::{EventType, TEST_EVENT};
use serde_json::{Map, Value, json};

use crate::operations::content;
use crate::samples::{ID, upload_rejected};
use crate::schemas::set;

/// Fields of an asset that its events do not have: URLs end, and its user is not stored with it.
const NOT_IN_EVENTS: [&str; 3] = ["url", "thumbnail_url", "created_by_user"];

/// A kind of event: the schema of its body and of its data.
struct Kind {
    name: &'static str,
    data: &'static str,
    types: Vec<(&'static str, &'static str)>,
}

fn kinds() -> [Kind; 4] {
    let told = |wanted: fn(&EventType) -> bool| {
        let types = EventType::ALL.into_iter().filter(wanted);
        types.map(|one| (one.as_str(), one.description())).collect()
    };
    [
        Kind {
            name: "AssetEvent",
            data: "EventAsset",
            types: told(|one| one.as_str().starts_with("asset.")),
        },
        Kind {
            name: "UploadRejectedEvent",
            data: "RejectedUpload",
            types: told(|one| *one == EventType::UploadRejected),
        },
        Kind {
            name: "UploadExpiredEvent",
            data: "EventUpload",
            types: told(|one| *one == EventType::UploadExpired),
        },
        Kind {
            name: "WebhookTestEvent",
            data: "TestedWebhook",
            types: vec![(TEST_EVENT, "A test of the webhook was asked for.")],
        },
    ]
}

/// The requests by type of event; their schemas are added to the components.
pub(crate) fn webhooks(components: &mut Map<String, Value>) -> Result<Value, String> {
    add_data(components)?;
    let event = components.get("WebhookDeliveryWithEvent").and_then(|one| one.pointer("/properties/event"));
    let event = event.cloned().ok_or("no delivery has an event")?;
    let mut requests = Map::new();
    for Kind { name, data, types } in kinds() {
        let names: Vec<_> = types.iter().map(|(name, _)| name).collect();
        let mut schema = event.clone();
        let properties = schema.get_mut("properties").ok_or("an event has no properties")?;
        set(
            properties,
            "type",
            json!({"type": "string", "enum": names, "description": "What happened.", "title": "Type"}),
        );
        set(properties, "data", json!({"$ref": format!("#/components/schemas/{data}")}));
        set(&mut schema, "title", json!(name));
        set(&mut schema, "description", json!("The body of a delivery."));
        components.insert(name.to_owned(), schema);
        let schema = json!({"$ref": format!("#/components/schemas/{name}")});
        for (event_type, meaning) in types {
            let mut content = content(&schema, &[], components)?;
            if let Some(example) = content.pointer_mut("/application~1json/examples/example/value") {
                set(example, "type", json!(event_type));
            }
            requests.insert(event_type.to_owned(), json!({"post": request(event_type, meaning, &content)}));
        }
    }
    Ok(Value::Object(requests))
}

/// What events tell of assets and of uploads.
fn add_data(components: &mut Map<String, Value>) -> Result<(), String> {
    let mut asset = components.get("Asset").cloned().ok_or("there is no Asset")?;
    for field in NOT_IN_EVENTS {
        remove_field(&mut asset, field);
    }
    set(&mut asset, "title", json!("EventAsset"));
    set(&mut asset, "description", json!("An asset as it was when it happened. It has no URL: those end."));

    let upload = components.get_mut("EventUpload").ok_or("there is no EventUpload")?;
    let mut rejected = upload.clone();
    remove_field(upload, "error");
    set(&mut rejected, "title", json!("RejectedUpload"));
    if let Some(required) = rejected.get_mut("required").and_then(Value::as_array_mut) {
        required.push(json!("error"));
    }
    if let Some(example) = rejected.pointer_mut("/examples/0") {
        set(example, "error", json!(upload_rejected()?.envelope()));
    }
    components.insert("EventAsset".to_owned(), asset);
    components.insert("RejectedUpload".to_owned(), rejected);
    Ok(())
}

fn remove_field(schema: &mut Value, field: &str) {
    for part in ["/properties", "/examples/0"] {
        if let Some(fields) = schema.pointer_mut(part).and_then(Value::as_object_mut) {
            fields.shift_remove(field);
        }
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name != field);
    }
}

fn request(event_type: &str, meaning: &str, content: &Value) -> Value {
    let mut operation_id = "receive".to_owned();
    operation_id.extend(event_type.split(['.', '_']).map(|part| {
        let (first, rest) = part.split_at(1.min(part.len()));
        first.to_ascii_uppercase() + rest
    }));
    let header = |name: &str, description: &str, schema: Value, example: Value| json!({"name": name, "in": "header", "required": true, "description": description, "schema": schema, "example": example});
    json!({
        "tags": ["Webhooks"],
        "summary": meaning.trim_end_matches('.'),
        "description": format!("{} It may come more than once.", if event_type == TEST_EVENT {
            "Sent to the webhook that is tested."
        } else {
            "Sent to each webhook of the organization that wants it."
        }),
        "operationId": operation_id,
        "parameters": [
            header("webhook-id", "The event's id.", json!({"type": "string", "format": "uuid"}), json!(ID)),
            header("webhook-timestamp", "When this attempt was made, in seconds since 1970.", json!({"type": "integer"}), json!(1_795_351_867)),
            header(
                "webhook-signature",
                "`v1,` and the base64 HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{body}`, as Standard Webhooks says; for each secret one, with spaces between them.",
                json!({"type": "string"}),
                json!("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            ),
        ],
        "security": [],
        "requestBody": {"required": true, "content": content},
        "responses": {
            "2XX": {"description": "It was taken. Any other answer, and none within ten seconds, is a failed attempt."},
        },
    })
}
