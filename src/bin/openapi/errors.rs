//! The answers that are errors: a component for each set of codes that some operation answers with one status.

use std::collections::BTreeMap;

use asset_uploads::api::endpoint::Description;
use asset_uploads::error::ErrorCode;
use serde_json::{Map, Value, json};

use crate::endpoint::Endpoint;
use crate::headers::headers;
use crate::samples::WrongRequests;

/// Collects the components of errors.
pub(crate) struct Errors {
    meanings: BTreeMap<&'static str, String>,
    wrong: WrongRequests,
    /// Components of `schemas`.
    pub(crate) schemas: Map<String, Value>,
    /// Components of `responses`.
    pub(crate) responses: Map<String, Value>,
    /// Components of `examples`.
    pub(crate) examples: Map<String, Value>,
}

impl Errors {
    /// None yet.
    pub(crate) fn new() -> Result<Self, String> {
        let wrong = WrongRequests::new()?;
        let (schemas, responses, examples) = (Map::new(), Map::new(), Map::new());
        Ok(Self { meanings: meanings()?, wrong, schemas, responses, examples })
    }

    /// Refers to the answer of an endpoint that has one of these codes, which all have one status. `fields` are the
    /// properties of its body.
    pub(crate) fn response(
        &mut self,
        codes: &[ErrorCode],
        endpoint: &Endpoint,
        fields: &Map<String, Value>,
    ) -> Result<Value, String> {
        // The same set is the same component, whatever the order of an operation.
        let codes: Vec<ErrorCode> = ErrorCode::ALL.into_iter().filter(|code| codes.contains(code)).collect();
        let name = name(&codes);
        let schema_name = if name.ends_with("Error") { name.clone() } else { format!("{name}Error") };
        let response_name = if codes.contains(&ErrorCode::ValidationError) {
            format!("{}{name}", validated_parts(&endpoint.description))
        } else {
            name
        };
        let reference = json!({"$ref": format!("#/components/responses/{response_name}")});
        if self.responses.contains_key(&response_name) {
            return Ok(reference);
        }

        let mut header_names = vec!["X-Request-Id"];
        let mut examples = Map::new();
        for code in &codes {
            for sample in self.wrong.samples(*code, endpoint, fields)? {
                if sample.error.code() != *code {
                    return Err(format!("the example {} of {code:?} is {:?}", sample.name, sample.error));
                }
                header_names.extend(sample.error.header().map(|(header, _)| header));
                let value: Value =
                    serde_json::from_str(&sample.error.body()).map_err(|error| error.to_string())?;
                let meaning = self.meaning(*code)?;
                let summary = if sample.summary.is_empty() { first_clause(meaning) } else { sample.summary };
                let mut example = json!({"summary": summary, "value": value});
                // An endpoint may word it in its own way.
                let other = self.examples.get(sample.name).is_some_and(|known| *known != example);
                if sample.shared && !other {
                    self.examples.insert(sample.name.to_owned(), example);
                    example = json!({"$ref": format!("#/components/examples/{}", sample.name)});
                }
                examples.insert(sample.name.to_owned(), example);
            }
        }
        if codes.iter().any(|code| after_routing(*code)) {
            header_names.push("Server-Timing");
        }

        let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
        let response = json!({
            "description": self.describe(&codes)?,
            "headers": headers(&header_names)?,
            "content": {"application/json": {
                "schema": {"$ref": format!("#/components/schemas/{schema_name}")},
                "examples": examples,
            }},
        });
        let schema = json!({
            "allOf": [
                {"$ref": "#/components/schemas/ErrorResponse"},
                {
                    "properties": {"code": {"type": "string", "enum": words, "title": "Code"}},
                    "type": "object",
                    "required": ["code"],
                },
            ],
            "title": schema_name,
            "description": format!("An error with the code {}.", either(&words)),
        });
        self.responses.insert(response_name, response);
        self.schemas.insert(schema_name, schema);
        Ok(reference)
    }

    fn meaning(&self, code: ErrorCode) -> Result<&str, String> {
        let meaning = self.meanings.get(code.as_str());
        meaning.map(String::as_str).ok_or_else(|| format!("nothing is said of {code:?}"))
    }

    fn describe(&self, codes: &[ErrorCode]) -> Result<String, String> {
        if let [code] = codes {
            return self.meaning(*code).map(str::to_owned);
        }
        let mut text = "`code` says which:\n".to_owned();
        for code in codes {
            text += &format!("\n- `{}`: {}", code.as_str(), self.meaning(*code)?);
        }
        Ok(text)
    }
}

/// What the name of a `VALIDATION_ERROR` says of the parts of a request that are validated.
fn validated_parts(endpoint: &Description) -> &'static str {
    match (endpoint.route.method.has_body(), endpoint.doc.idempotency_key) {
        (false, _) => "Parameter",
        (true, None) => "Body",
        (true, Some(_)) => "BodyOrKey",
    }
}

/// Whether storage may have been asked before this is answered.
fn after_routing(code: ErrorCode) -> bool {
    !matches!(code, ErrorCode::NotFound | ErrorCode::MethodNotAllowed)
}

/// What is said of each code: the comments of its variants.
fn meanings() -> Result<BTreeMap<&'static str, String>, String> {
    let schema = schemars::schema_for!(ErrorCode).to_value();
    let variants = schema.get("oneOf").and_then(Value::as_array).ok_or("ErrorCode has no variants")?;
    let text = |variant: &Value, key| Some(variant.get(key)?.as_str()?.replace('\n', " "));
    let said: BTreeMap<_, _> =
        variants.iter().filter_map(|one| Some((text(one, "const")?, text(one, "description")?))).collect();
    let known = ErrorCode::ALL.into_iter();
    Ok(known.filter_map(|code| Some((code.as_str(), said.get(code.as_str())?.clone()))).collect())
}

/// The name of the answer with these codes.
fn name(codes: &[ErrorCode]) -> String {
    for (writes, name) in [(true, "WriteForbidden"), (false, "ReadForbidden")] {
        if let Some(others) = codes.strip_prefix(forbidden(writes).as_slice()) {
            let others = others.iter().map(|code| format!("Or{code:?}"));
            return format!("{name}{}", others.collect::<String>());
        }
    }
    let names: Vec<String> = codes.iter().map(|code| format!("{code:?}")).collect();
    names.join("Or")
}

/// The codes of 403, in the order of the checks; `writes` for an endpoint that changes something.
pub(crate) fn forbidden(writes: bool) -> Vec<ErrorCode> {
    let mut codes = vec![
        ErrorCode::EmailNotVerified,
        ErrorCode::OrganizationMembershipRequired,
        ErrorCode::RoleUnresolved,
        ErrorCode::ImpersonationReadOnly,
        ErrorCode::PermissionDenied,
    ];
    codes.retain(|code| writes || *code != ErrorCode::ImpersonationReadOnly);
    codes
}

/// What a sentence begins with.
fn first_clause(text: &str) -> &str {
    let end = text.find([':', ';', '.']).unwrap_or(text.len());
    text.get(..end).unwrap_or(text)
}

/// `A, B or C`
pub(crate) fn either(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}
