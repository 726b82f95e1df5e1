//! The whole description.

use asset_uploads::api;
use asset_uploads::api::endpoint::{self, Description, Visitor};
use asset_uploads::error::Envelope;
use asset_uploads::events::{EventUpload, TestedWebhook};
use serde_json::{Map, Value, json};

use crate::endpoint::Endpoint;
use crate::errors::Errors;
use crate::headers::header_components;
use crate::operations::operation;
use crate::schemas::{Schemas, remove_examples, set};
use crate::webhooks::webhooks;

const DESCRIPTION: &str = "Three steps make a file an asset:

1. `POST /v1/asset-uploads` starts an upload and answers a signed request: method, URL and headers.
2. Send the file with that request and exactly its headers, straight to storage. A 412 from storage means that this upload's file is there already (an answer was lost): go on to step 3.
3. `POST /v1/asset-uploads/{asset_upload_id}/confirmations` verifies what is stored and creates the asset.

Every response carries `X-Request-Id` and `Cache-Control: no-store`. Every error is an ErrorResponse; its `code` is for programs and its `message` says what to do next. Each operation lists which codes it answers with a status. A path that is not listed here is 404 with the code NOT_FOUND. `Idempotency-Key` counts only where it is listed. Where GET is listed, HEAD is answered too, without a body. Where the operator has named origins, browsers' pages of these origins may call.";

/// Groups of operations.
const TAGS: [(&str, &str); 5] = [
    ("Account", "Who the caller is, and the keys that they make."),
    ("Media", "Uploads and the assets made of them."),
    ("Folders", "The tree in which assets are filed."),
    ("Webhooks", "Who is told what happens, and what was delivered. For owners and admins."),
    ("Status", "Is the service up, and what does it offer? No key needed."),
];

struct Collect {
    schemas: Schemas,
    endpoints: Vec<Endpoint>,
}

impl Visitor for Collect {
    fn visit<E: endpoint::Endpoint>(&mut self) {
        self.endpoints.push(Endpoint {
            description: Description::of::<E>(),
            body: self.schemas.request::<E::Body>(),
            response: self.schemas.response::<E::Response>(),
            parse: |input, config| endpoint::parse::<E>(input, config).endpoint.err(),
        });
    }
}

/// openapi.json.
pub(crate) fn openapi() -> Result<Value, String> {
    let mut collect = Collect { schemas: Schemas::new(), endpoints: Vec::new() };
    api::visit(&mut collect);
    let Collect { mut schemas, endpoints } = collect;
    schemas.response::<Envelope>();
    schemas.response::<EventUpload<'static>>();
    schemas.response::<TestedWebhook>();
    let mut components = schemas.components()?;

    let mut errors = Errors::new()?;
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in &endpoints {
        let Description { route, doc, .. } = endpoint.description;
        if !TAGS.iter().any(|(name, _)| *name == doc.tag) {
            return Err(format!(
                "{} is in the group {}, of which nothing is said",
                doc.operation_id, doc.tag
            ));
        }
        let operation = operation(endpoint, &components, &mut errors)?;
        let method = route.method.as_str().to_ascii_lowercase();
        set(paths.entry(route.path).or_insert_with(|| json!({})), &method, operation);
    }
    let webhooks = webhooks(&mut components)?;
    components.values_mut().for_each(remove_examples);
    components.append(&mut errors.schemas);

    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": env!("CARGO_PKG_NAME"),
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Turns a finished direct upload into a verified asset.",
            "description": DESCRIPTION,
            "contact": {"name": "asset-uploads", "url": "https://github.com/asset-uploads/asset-uploads"},
            "license": {"name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE")},
        },
        "servers": [{"url": "/"}],
        "security": [{"HTTPBearer": []}],
        "tags": TAGS.map(|(name, description)| json!({"name": name, "description": description})),
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "schemas": components,
            "responses": errors.responses,
            "examples": errors.examples,
            "headers": header_components(),
            "securitySchemes": {
                "HTTPBearer": {"type": "http", "scheme": "bearer", "description": "An API key: `au_` and 49 letters and digits."},
            },
        },
    }))
}
