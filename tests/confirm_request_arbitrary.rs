//! Reading a confirmation under arbitrary input: nothing unforeseen comes of it, and what is accepted is
//! what another reading of the same JSON says.

use asset_uploads::api::confirmations::Confirm;
use asset_uploads::config::Config;
use asset_uploads::domain::ids::{AssetUploadId, FolderId, OrganizationId};
use asset_uploads::error::ApiError;
use asset_uploads::http::request::{Body, RequestHeaders};
use proptest::prelude::*;
use serde_json::Value;

use crate::requests;

const UPLOAD: &str = "018f4d2e-7c4b-7a35-9c1f-0242ac120001";
const FOLDER: &str = "018f4d2e-7c4b-7a35-9c1f-0242ac120002";
const ORG: &str = "018f4d2e-7c4b-7a35-9c1f-0242ac120003";

static CONFIG: std::sync::LazyLock<Config> = std::sync::LazyLock::new(|| requests::config(&[]));

/// JSON as clients make it, right and nearly right.
fn json_text() -> impl Strategy<Value = String> {
    let name = prop_oneof![8 => Just("folder_id".to_owned()), 1 => "[a-z\\\\u0]{0,6}"];
    let value = prop_oneof![
        2 => Just("null".to_owned()),
        5 => Just(format!("\"{FOLDER}\"")),
        1 => "\"\\PC{0,40}\"",
        1 => "[-0-9.eE\\[\\]{}]{1,8}",
    ];
    prop::collection::vec((name, value), 0..3).prop_map(|members| {
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

fn text_or_none(pattern: &'static str) -> impl Strategy<Value = Option<String>> {
    prop::option::of(pattern)
}

proptest! {
    // Failures print their input; they are kept as tests, not as files of seeds.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    /// Whatever comes, the answer is a request, a 400, or a 422 that lists something.
    #[test]
    fn rules_9_and_10_are_all_that_a_request_can_break(
        // Mostly acceptable: else hardly a request would have all its parts so at once.
        id in prop_oneof![6 => Just(UPLOAD.to_owned()), 1 => "\\PC{0,40}"],
        content_type in prop_oneof![
            6 => Just(Some("application/json".to_owned())),
            1 => text_or_none("\\PC{0,20}"),
        ],
        organization in prop_oneof![
            3 => Just(None),
            3 => Just(Some(ORG.to_owned())),
            1 => text_or_none("\\PC{0,40}"),
        ],
        idempotency_key in prop_oneof![
            3 => Just(None),
            3 => "[!-~]{1,255}".prop_map(Some),
            1 => text_or_none("\\PC{0,300}"),
        ],
        bytes in prop_oneof![
            4 => json_text().prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 0..200),
            1 => "[\\[\\]{}\":,0-9a-z\\\\ ]{0,60}".prop_map(String::into_bytes),
        ],
    ) {
        let headers = RequestHeaders { content_type, organization, idempotency_key };
        match requests::parse::<Confirm>(&id, "", &headers, &Body::Bytes(bytes.clone()), &CONFIG) {
            Ok((read, named)) => {
                prop_assert_eq!(AssetUploadId::parse(&id), Some(read.asset_upload_id));
                let organization = headers.organization.as_deref().and_then(OrganizationId::parse);
                prop_assert_eq!(organization, named);
                let key = read.idempotency_key.as_ref().map(|key| key.as_str().to_owned());
                prop_assert_eq!(headers.idempotency_key, key);
                let body: Value = serde_json::from_slice(&bytes).expect("it was accepted as JSON");
                let members = body.as_object().expect("it was accepted as an object");
                prop_assert!(members.keys().all(|name| name == "folder_id"));
                let folder = members.get("folder_id").and_then(Value::as_str).and_then(FolderId::parse);
                prop_assert_eq!(folder, read.folder_id);
            }
            Err(ApiError::Validation(errors)) => prop_assert!(!errors.is_empty()),
            Err(ApiError::BadRequest(what)) => prop_assert!(!what.is_empty()),
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }
}
