//! An endpoint as an operation.

use std::collections::BTreeMap;

use asset_uploads::api::endpoint::{Description, Example, Parameter, Values};
use asset_uploads::error::ErrorCode;
use asset_uploads::http::page::EXAMPLE_CURSOR;
use asset_uploads::http::route::Route;
use asset_uploads::store::rights::Permission;
use serde_json::{Map, Value, json};

use crate::endpoint::Endpoint;
use crate::errors::{Errors, either, forbidden};
use crate::headers::headers;
use crate::samples::{ID, TIME};
use crate::schemas::{example, resolve, set, title};

const ORGANIZATION: &str = "018f4d2a-11d0-7c52-8b3e-5f0c9d7a6e41";

/// The operation; `schemas` are the components with their examples.
pub(crate) fn operation(
    endpoint: &Endpoint,
    schemas: &Map<String, Value>,
    errors: &mut Errors,
) -> Result<Value, String> {
    let Description { route, permission, doc, .. } = endpoint.description;
    let mut operation = json!({
        "tags": [doc.tag],
        "summary": doc.summary,
        "description": describe(&endpoint.description),
        "operationId": doc.operation_id,
    });
    let parameters = parameters(&endpoint.description)?;
    if !parameters.is_empty() {
        set(&mut operation, "parameters", json!(parameters));
    }
    if route.method.has_body() {
        let body = match &endpoint.body {
            Some(schema) => json!({
                "required": true,
                "description": format!("At most {} of JSON in UTF-8.", endpoint.description.body_limit.as_str()),
                "content": content(schema, doc.body_examples, schemas)?,
            }),
            None => json!({
                "required": false,
                "description": "Nothing, or an empty JSON object.",
                "content": {"application/json": {
                    "schema": {"type": "object", "additionalProperties": false},
                    "examples": {"empty": {"summary": "Nothing", "value": {}}},
                }},
            }),
        };
        set(&mut operation, "requestBody", body);
    }
    let security = if permission.is_some() { json!([{"HTTPBearer": []}]) } else { json!([]) };
    set(&mut operation, "security", security);

    let codes = codes(&endpoint.description);
    let asks_storage = codes.contains(&ErrorCode::StorageUnavailable);
    let mut responses = BTreeMap::new();
    let (status, meaning) = doc.success;
    responses.insert(status, success(endpoint, meaning, asks_storage, schemas)?);
    let fields =
        endpoint.body.as_ref().and_then(|schema| resolve(schema, schemas)?.get("properties")?.as_object());
    let fields = fields.cloned().unwrap_or_default();
    for status in codes.iter().map(|code| code.status()) {
        let same: Vec<ErrorCode> = codes.iter().copied().filter(|code| code.status() == status).collect();
        responses.insert(status, errors.response(&same, endpoint, &fields)?);
    }
    let responses = responses.into_iter().map(|(status, response)| (status.to_string(), response));
    set(&mut operation, "responses", Value::Object(responses.collect()));
    Ok(operation)
}

/// Every error of an endpoint, in the order of the checks.
pub(crate) fn codes(description: &Description) -> Vec<ErrorCode> {
    let Description { route, permission, doc, .. } = description;
    let mut codes = vec![ErrorCode::MethodNotAllowed];
    if let Some(permission) = permission {
        codes.push(ErrorCode::Unauthorized);
        if *permission != Permission::AnyKey {
            codes.extend(forbidden(route.method.writes()));
        }
    }
    if route.method.has_body() {
        codes.push(ErrorCode::BadRequest);
    }
    if permission.is_some() || !doc.path.is_empty() || !doc.query.is_empty() {
        codes.push(ErrorCode::ValidationError);
    }
    codes.extend(doc.errors);
    // The rights of a caller are in storage.
    if permission.is_some() && !codes.contains(&ErrorCode::StorageUnavailable) {
        codes.push(ErrorCode::StorageUnavailable);
    }
    codes.push(ErrorCode::InternalError);
    codes
}

/// What the table says, and the order in which the errors are looked for.
fn describe(description: &Description) -> String {
    let doc = &description.doc;
    if description.permission.is_none() {
        return doc.description.to_owned();
    }
    let codes = codes(description);
    let checks: Vec<ErrorCode> = codes.into_iter().filter(|code| *code != ErrorCode::InternalError).collect();
    let steps = checks.chunk_by(|one, next| one.status() == next.status()).map(|codes| {
        let words: Vec<String> = codes.iter().map(|code| format!("`{}`", code.as_str())).collect();
        format!("{} ({})", words.join(", "), codes.first().map_or(0, |code| code.status()))
    });
    let scopes: Vec<&str> = description.scopes.iter().map(|scope| scope.as_str()).collect();
    let scopes = format!("For keys of the scope {}.", either(&scopes));
    let order = format!("The answer is the first that applies: {}.", steps.collect::<Vec<_>>().join(", "));
    [doc.description, &scopes, &order]
        .iter()
        .filter(|text| !text.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join("\n\n")
}

fn parameters(description: &Description) -> Result<Vec<Value>, String> {
    let Description { route, permission, doc, .. } = description;
    let named = doc.path.iter().map(|parameter| parameter.name);
    if !placeholders(route.path).eq(named) {
        return Err(format!("{} describes other parameters than its path has", doc.operation_id));
    }
    let mut parameters: Vec<Value> = doc.path.iter().map(|one| parameter(one, "path")).collect();
    parameters.extend(doc.query.iter().map(|one| parameter(one, "query")));
    if permission.is_some() {
        parameters.push(json!({
            "name": "X-Organization-Id",
            "in": "header",
            "required": false,
            "description": "The organization to act in. Without it: the one the key is bound to, else the only one its user is a member of.",
            "schema": {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "null"}], "title": "X-Organization-Id"},
            "example": ORGANIZATION,
        }));
    }
    if let Some(repeats) = doc.idempotency_key {
        parameters.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "required": false,
            "description": format!("The client's name for this request: 1 to 255 visible ASCII characters. {repeats}"),
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]{1,255}$", "title": "Idempotency-Key"},
            "example": "request-7f3a9c",
        }));
    }
    Ok(parameters)
}

/// The names in braces.
fn placeholders(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn parameter(parameter: &Parameter, place: &str) -> Value {
    let (mut schema, example) = match parameter.values {
        Values::Id => (json!({"type": "string", "format": "uuid"}), json!(ID)),
        Values::IdOr(word) => {
            let schemas = json!([{"type": "string", "format": "uuid"}, {"type": "string", "const": word}]);
            (json!({"anyOf": schemas}), json!(ID))
        }
        Values::OneOf(words) => (json!({"type": "string", "enum": words}), json!(words.first())),
        Values::Integer { min, max, default } => {
            let mut schema = json!({"type": "integer", "minimum": min, "maximum": max});
            if let Some(default) = default {
                set(&mut schema, "default", json!(default));
            }
            (schema, json!(default.unwrap_or(min)))
        }
        Values::Bool => (json!({"type": "boolean"}), json!(true)),
        Values::DateTime => (json!({"type": "string", "format": "date-time"}), json!(TIME)),
        Values::Cursor => (json!({"type": "string", "pattern": "^[0-9a-f]+$"}), json!(EXAMPLE_CURSOR)),
        Values::Text(example) => (json!({"type": "string"}), json!(example)),
    };
    set(&mut schema, "title", json!(title(parameter.name)));
    json!({
        "name": parameter.name,
        "in": place,
        "required": place == "path",
        "description": parameter.description,
        "schema": schema,
        "example": example,
    })
}

fn success(
    endpoint: &Endpoint,
    meaning: &str,
    asks_storage: bool,
    schemas: &Map<String, Value>,
) -> Result<Value, String> {
    let doc = &endpoint.description.doc;
    let mut names = vec!["X-Request-Id"];
    names.extend(doc.idempotency_key.map(|_| "Idempotent-Replayed"));
    names.extend(asks_storage.then_some("Server-Timing"));
    let mut headers = headers(&names)?;
    if let Some(route) = doc.location {
        set(&mut headers, "Location", location(route));
    }
    let mut response = json!({"description": meaning, "headers": headers});
    if let Some(schema) = &endpoint.response {
        set(&mut response, "content", content(schema, doc.examples, schemas)?);
    }
    Ok(response)
}

/// The header with the path of what was made.
fn location(route: Route) -> Value {
    let parts = |value: &str| {
        let parts = route.path.split('/').map(|part| if part.starts_with('{') { value } else { part });
        parts.collect::<Vec<_>>().join("/")
    };
    json!({
        "description": format!("Where it can be read: `{}`.", route.path),
        "required": true,
        "schema": {
            "type": "string",
            "format": "uri-reference",
            "pattern": format!("^{}$", parts("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")),
        },
        "example": parts(ID),
    })
}

/// A JSON body with its examples.
pub(crate) fn content(
    schema: &Value,
    examples: &[Example],
    schemas: &Map<String, Value>,
) -> Result<Value, String> {
    const PLAIN: Example = Example { name: "example", summary: "An example", changes: "{}" };
    let base = example(schema, schemas)?;
    let mut all = Map::new();
    for Example { name, summary, changes } in if examples.is_empty() { &[PLAIN] } else { examples } {
        let changes: Map<String, Value> =
            serde_json::from_str(changes).map_err(|error| format!("the example {name}: {error}"))?;
        let mut value = base.clone();
        for (member, changed) in changes {
            set(&mut value, &member, changed);
        }
        all.insert((*name).to_owned(), json!({"summary": summary, "value": value}));
    }
    Ok(json!({"application/json": {"schema": schema, "examples": all}}))
}
