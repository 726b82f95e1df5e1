//! Reads requests as an endpoint does, without serving them.

#![allow(dead_code, reason = "no test file needs all of it")]
use asset_uploads::api::endpoint::{self, Endpoint, Parsed};
use asset_uploads::config::Config;
use asset_uploads::domain::ids::OrganizationId;
use asset_uploads::error::ApiError;
use asset_uploads::http::request::{Body, Input, RequestHeaders};
use asset_uploads::http::route::PathParams;

/// A configuration in which URLs can be signed, with these variables beside.
pub(crate) fn config(set: &[(&str, &str)]) -> Config {
    const SIGNING: [(&str, &str); 5] = [
        ("S3_ENDPOINT", "https://s3.example"),
        ("S3_BUCKET", "files"),
        ("S3_ACCESS_KEY_ID", "id"),
        ("S3_SECRET_ACCESS_KEY", "secret"),
        ("WEBHOOK_SIGNING_KEY", "derived from this"),
    ];
    let value = |name: &str| {
        let mut all = set.iter().chain(&SIGNING);
        all.find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
    };
    Config::parse(value).unwrap()
}

/// What an endpoint reads, and the organization that the request names.
pub(crate) fn parse<E: Endpoint>(
    id: &str,
    query: &str,
    headers: &RequestHeaders,
    body: &Body,
    config: &Config,
) -> Result<(E, Option<OrganizationId>), ApiError> {
    let path = PathParams::new(&[id]);
    let Parsed { endpoint, organization, organization_readable } =
        endpoint::parse(&Input { path, query, headers, body }, config);
    assert!(organization_readable || endpoint.is_err());
    endpoint.map(|endpoint| (endpoint, organization))
}
