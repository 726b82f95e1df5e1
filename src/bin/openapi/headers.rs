//! The headers of answers.

use serde_json::{Map, Value, json};

/// Refers to these headers.
pub(crate) fn headers(names: &[&str]) -> Result<Value, String> {
    let known = header_components();
    let reference = |name: &&str| {
        let known = known.keys().find(|known| known.eq_ignore_ascii_case(name));
        let known = known.ok_or_else(|| format!("nothing is said of the header {name}"))?;
        Ok((known.clone(), json!({"$ref": format!("#/components/headers/{known}")})))
    };
    names.iter().map(reference).collect::<Result<Map<_, _>, String>>().map(Value::Object)
}

/// The headers of answers.
pub(crate) fn header_components() -> Map<String, Value> {
    let headers = [
        (
            "X-Request-Id",
            json!({"description": "Names this request in the log.", "required": true, "schema": {"type": "string", "format": "uuid"}, "example": "018f4d30-90ab-7f12-8c3d-4e5f60718293"}),
        ),
        (
            "Allow",
            json!({"description": "The methods that the path takes.", "required": true, "schema": {"type": "string", "pattern": "^[A-Z]+(, [A-Z]+)*$"}, "example": "GET, HEAD"}),
        ),
        (
            "Idempotent-Replayed",
            json!({"description": "There only when an earlier request with this Idempotency-Key created what is answered.", "schema": {"type": "string", "const": "true"}, "example": "true"}),
        ),
        (
            "Server-Timing",
            json!({"description": "Milliseconds spent in object storage (`r2`) and database (`d1`), retries included; absent where neither was asked.", "schema": {"type": "string", "pattern": "^(r2;dur=[0-9]+(, d1;dur=[0-9]+)?|d1;dur=[0-9]+)$"}, "example": "r2;dur=14, d1;dur=9"}),
        ),
        (
            "WWW-Authenticate",
            json!({"description": "The scheme to use.", "required": true, "schema": {"type": "string", "const": "Bearer"}, "example": "Bearer"}),
        ),
        (
            "Retry-After",
            json!({"description": "Seconds to wait before the same request is sent again.", "required": true, "schema": {"type": "integer", "minimum": 1}, "example": 2}),
        ),
    ];
    headers.into_iter().map(|(name, header)| (name.to_owned(), header)).collect()
}
