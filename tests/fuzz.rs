//! Parsers under arbitrary and nearly valid input, each compared with an oracle written here. PROPTEST_CASES sets
//! how many inputs a property gets; without it there are 256.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code may panic")]

mod requests;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use asset_uploads::api::ROUTES;
use asset_uploads::api::asset_response::AssetResponse;
use asset_uploads::api::asset_uploads::Create;
use asset_uploads::api::assets::Read;
use asset_uploads::config::{Config, Cors};
use asset_uploads::domain::idempotency::IdempotencyKey;
use asset_uploads::domain::ids::{AssetUploadId, OrganizationId};
use asset_uploads::domain::media::{AllowedTypes, MimeType};
use asset_uploads::domain::page::prefix_end;
use asset_uploads::error::ApiError;
use asset_uploads::http::projection::Item;
use asset_uploads::http::request::{Body, RequestHeaders};
use asset_uploads::http::route::{self, Method, Route};
use asset_uploads::token::TokenHash;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;
use sha2::{Digest, Sha256};

const ID: &str = "018f4d2e-7c4b-7a35-9c1f-0242ac120002";

/// Failures print their input; they are kept as tests, not as files of seeds.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// A text with up to three of its characters changed, removed or preceded by another.
fn nearly(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let other = prop_oneof![
        2 => select(Vec::from_iter(" \t\0/-_:;,.*!+=\"[]{}%?#@é".chars())),
        2 => select(Vec::from_iter(BASE62.iter().map(|byte| char::from(*byte)))),
        1 => any::<char>(),
    ];
    let times = prop_oneof![2 => Just(0..=0), 2 => Just(1..=1), 1 => Just(2..=3)];
    let changes =
        times.prop_flat_map(move |times| prop::collection::vec((any::<Index>(), 0..3, other.clone()), times));
    (text, changes).prop_map(|(text, changes)| {
        let mut chars: Vec<char> = text.chars().collect();
        for (place, how, other) in changes {
            let place = place.index(chars.len() + 1);
            match how {
                0 => chars.insert(place, other),
                _ if place == chars.len() => {}
                1 => chars[place] = other,
                _ => drop(chars.remove(place)),
            }
        }
        chars.into_iter().collect()
    })
}

// API keys.

const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// CRC-32 (IEEE), a bit at a time.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

/// The rule for keys, read from the other end: the checksum is decoded, not encoded.
fn is_key(text: &str) -> bool {
    let digit = |byte: u8| BASE62.iter().position(|digit| *digit == byte);
    let Some(digits) = text.strip_prefix("au_") else { return false };
    let values: Option<Vec<usize>> = digits.bytes().map(digit).collect();
    values.is_some_and(|values| {
        values.len() == 49
            && values[43..].iter().fold(0_u64, |sum, value| sum * 62 + *value as u64)
                == u64::from(crc32(&text.as_bytes()[..46]))
    })
}

/// Any 43 digits with their checksum, those of numbers over 256 bits among them.
fn key() -> impl Strategy<Value = String> {
    "au_[0-9A-Za-z]{43}".prop_map(|checked| {
        let mut number = crc32(checked.as_bytes()) as usize;
        let mut digits = [b'0'; 6];
        for digit in digits.iter_mut().rev() {
            *digit = BASE62[number % 62];
            number /= 62;
        }
        checked + std::str::from_utf8(&digits).unwrap()
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn rule_3_a_header_is_accepted_when_it_is_bearer_and_a_key(
        scheme in prop_oneof![4 => "[Bb]earer|BEARER", 1 => nearly("Bearer|Basic")],
        space in prop_oneof![4 => " {1,3}", 1 => "|[ \t]{1,2}"],
        key in nearly(key()),
    ) {
        let header = format!("{scheme}{space}{key}");
        let words = header.split_once(' ').map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest.trim_start_matches(' ')));
        let accepted = words.filter(|(scheme, key)| scheme == "bearer" && is_key(key));
        let hash = accepted.map(|(_, key)| {
            Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        });
        let found = TokenHash::from_authorization(Some(&header));
        prop_assert_eq!(found.as_ref().map(TokenHash::as_str), hash.as_deref(), "{:?}", header);
    }
}

// Ids and the keys of objects.

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_object_is_an_uploads_when_its_key_is_exactly_the_uploads(
        key in nearly("(uploads/){0,2}[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|uploads/[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|uploads/.{0,40}"),
    ) {
        let id = key.strip_prefix("uploads/").filter(|id| {
            id.len() == 36
                && id.bytes().enumerate().all(|(place, byte)| match place {
                    8 | 13 | 18 | 23 => byte == b'-',
                    _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
                })
        });
        let found = AssetUploadId::of_object(&key);
        prop_assert_eq!(found.map(|id| id.to_string()), id.map(str::to_owned));
        prop_assert_eq!(found.map(|id| id.object_key()), id.map(|_| key.clone()));
    }

    /// The id is a pure function of key, organization and Idempotency-Key, and differs when one of them does.
    #[test]
    fn an_idempotency_key_has_one_id(
        keys in [key(), key()], organizations in prop::array::uniform2(any::<Option<[u8; 10]>>()), names in ["[!-~]{1,9}", "[!-~]{1,9}"],
    ) {
        let id_of = |at: [usize; 3]| {
            let organization = organizations[at[1]].map(|random| OrganizationId::v7(1, &random));
            let name = IdempotencyKey::parse(&names[at[2]]).unwrap();
            AssetUploadId::for_idempotency_key(TokenHash::of(&keys[at[0]]).unwrap().as_str(), organization.as_ref(), &name)
        };
        let id = id_of([0, 0, 0]).to_string();
        prop_assert_eq!(&id, &id_of([0, 0, 0]).to_string());
        // Version 8, and the variant of RFC 9562.
        prop_assert!(id.as_bytes()[14] == b'8' && b"89ab".contains(&id.as_bytes()[19]), "{}", id);
        let same = [keys[0] == keys[1], organizations[0] == organizations[1], names[0] == names[1]];
        for other in [[1, 0, 0], [0, 1, 0], [0, 0, 1]] {
            let expected = same.iter().zip(other).all(|(same, changed)| *same || changed == 0);
            prop_assert_eq!(id_of(other).to_string() == id, expected);
        }
    }
}

// Media types.

/// A name in a media type: RFC 6838, section 4.2, with the two more characters of an HTTP token that the
/// parser knows.
fn is_name(text: &str) -> bool {
    (1..=127).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+%'".contains(c))
}

/// `type/subtype` without parameters; a structured suffix is a name of its own.
fn is_bare_type(text: &str) -> bool {
    let Some((kind, subtype)) = text.split_once('/') else { return false };
    let (name, suffix) = subtype.rsplit_once('+').unwrap_or((subtype, "xml"));
    text.len() <= 255 && is_name(kind) && is_name(name) && is_name(suffix)
}

fn bare_type() -> impl Strategy<Value = String> {
    "[A-Za-z]{1,9}/[a-z0-9][-.a-z0-9]{0,9}(\\+[a-z]{0,4}){0,2}|[a-z0-9]{124,129}/[a-z]{120,129}|[a-z]{110}/[a-z]{110}\\+[a-z]{30,36}"
}

/// Whether the entry of ALLOWED_MIME_TYPES is a pattern.
fn is_pattern(entry: &str) -> bool {
    let entry = entry.strip_prefix('!').unwrap_or(entry);
    match entry.strip_suffix("/*") {
        Some(kind) => is_name(kind.trim_start()) && kind.len() <= 253,
        None => !entry.contains([';', '*']) && entry.len() <= 255 && is_bare_type(entry.trim()),
    }
}

fn pattern() -> impl Strategy<Value = String> {
    nearly(prop_oneof![bare_type(), "!?[a-z]{1,9}/(\\*|[a-z]{1,9})"])
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_bare_media_type_is_checked_by_the_rule(text in nearly(bare_type())) {
        // Types with parameters have a property of their own.
        prop_assume!(!text.contains(';'));
        let expected = (text.len() <= 255 && is_bare_type(text.trim())).then(|| text.trim().to_ascii_lowercase());
        let parsed = MimeType::parse(&text);
        prop_assert_eq!(parsed.as_ref().map(MimeType::as_str), expected.as_deref());
    }

    #[test]
    fn a_list_of_types_names_its_first_wrong_entry(entries in prop::collection::vec(pattern(), 0..4)) {
        let parsed = AllowedTypes::parse(entries.iter().map(String::as_str));
        let expected = match entries.iter().find(|entry| !is_pattern(entry)) {
            Some(wrong) => Err(wrong.clone()),
            None if entries.iter().all(|entry| entry.starts_with('!')) => Err(String::new()),
            None => Ok(()),
        };
        prop_assert_eq!(parsed.map(|_| ()), expected);
    }
}

// Routes.

/// The paths of the table, each with its methods.
fn patterns() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut patterns: Vec<(&str, Vec<&str>)> = Vec::new();
    for Route { method, path } in ROUTES {
        let methods = match method {
            Method::Get => vec!["GET", "HEAD"],
            method => vec![method.as_str()],
        };
        match patterns.iter_mut().find(|(pattern, _)| pattern == path) {
            Some((_, known)) => known.extend(methods),
            None => patterns.push((path, methods)),
        }
    }
    patterns
}

/// What stands in the path where the pattern has a parameter; `None` when the path is not of that pattern.
fn matched<'a>(pattern: &str, path: &'a str) -> Option<Option<&'a str>> {
    let (names, parts): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    let fits =
        |(name, part): (&&str, &&str)| if name.starts_with('{') { !part.is_empty() } else { name == part };
    (names.len() == parts.len() && names.iter().zip(&parts).all(fits))
        .then(|| names.iter().position(|name| name.starts_with('{')).map(|place| parts[place]))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn rules_1_and_2_a_path_has_the_route_of_its_pattern_and_method(
        path in nearly(prop_oneof![
            select(patterns()).prop_map(|(pattern, _)| pattern.to_owned()),
            "/v1/(asset-uploads|assets)/[^/]{0,3}(/confirmations)?",
            "(/(v1|assets|asset-uploads|confirmations|health|[^/]{0,3})){0,7}",
        ]),
        method in nearly(select(vec!["GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS"]).prop_map(str::to_owned)),
    ) {
        let patterns = patterns();
        let matching = patterns.iter().filter_map(|(pattern, methods)| Some((*pattern, methods, matched(pattern, &path)?)));
        let found = matching.min_by_key(|(pattern, ..)| pattern.matches('{').count());
        let matched = route::find(ROUTES, &path);
        prop_assert_eq!(matched.map(|matched| matched.pattern), found.map(|(pattern, ..)| pattern));
        if let (Some(matched), Some((pattern, methods, parameter))) = (matched, found) {
            prop_assert_eq!(matched.allow(), methods.join(", "));
            prop_assert_eq!(matched.params.get(0), parameter.unwrap_or_default());
            let route = matched.endpoint(&method).map(|place| ROUTES[place]);
            let expected = methods.contains(&method.as_str()).then(|| method.replace("HEAD", "GET"));
            prop_assert_eq!(route.map(|route| route.method.as_str()), expected.as_deref());
            prop_assert!(route.is_none_or(|route| route.path == pattern));
        }
    }
}

// Requests.

/// A value of a body's field, as JSON, and the kind of error it is.
type Checked = (String, Option<&'static str>);

fn valid(text: &str) -> Checked {
    (text.to_owned(), None)
}

fn invalid(kind: &'static str) -> impl Fn(String) -> Checked {
    move |text| (text, Some(kind))
}

/// A JSON string of this text.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn filename() -> impl Strategy<Value = Checked> {
    prop_oneof![
        4 => "[^\\pC/\\\\]{1,40}|é{500}|\\.{3}"
            .prop_filter("no name", |text| text != "." && text != "..")
            .prop_map(|text| (quoted(&text), None)),
        1 => "\\.{1,2}|a{0,9}[\u{202a}-\u{202e}\u{2066}-\u{2069}]b?".prop_map(|text| invalid("filename")(quoted(&text))),
        1 => "a{0,9}[\\x00-\\x1f\\x7f-\\x9f/\\\\]b?|é{501,505}|".prop_map(|text| invalid("filename")(quoted(&text))),
        1 => "-?[1-9]{1,3}|null|true|\\[\"a\"\\]|\\{\\}|\"\\\\ud800\"".prop_map(invalid("string_type")),
    ]
}

fn mime_type() -> impl Strategy<Value = Checked> {
    prop_oneof![
        4 => "(image|IMAGE)/[a-z]{0,8}[a-km-z]( ?; ?[a-z]{1,3}=[a-z]{1,3})?|text/plain".prop_map(|text| (quoted(&text), None)),
        1 => "imagery/[a-z]{1,9}|text/html|image/svg\\+xml|image/([a-z]{1,5}(\\+|\\.)?)?xml".prop_map(|text| invalid("mime_type_not_allowed")(quoted(&text))),
        1 => "[a-z ]{0,9}|image/|image/\\*|image//a|/".prop_map(|text| invalid("mime_type_parsing")(quoted(&text))),
        1 => "-?[1-9]{1,3}|null|\\[\\]".prop_map(invalid("string_type")),
    ]
}

fn size_bytes() -> impl Strategy<Value = Checked> {
    prop_oneof![
        4 => (1..=MAX_BYTES).prop_map(|size| valid(&size.to_string())),
        1 => (MAX_BYTES + 1..).prop_map(|size| invalid("size_out_of_range")(size.to_string())),
        1 => "0|-[1-9][0-9]{0,30}|-0|[1-9][0-9]{20,40}".prop_map(invalid("size_out_of_range")),
        1 => "[1-9]\\.[1-9]|[1-9]e-[1-9]|\"[1-9]\"|null|\\{\"a\":1\\}".prop_map(invalid("int_type")),
    ]
}

const MAX_BYTES: u64 = 1_000_000;

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let max_bytes = MAX_BYTES.to_string();
    requests::config(&[
        ("MAX_UPLOAD_BYTES", max_bytes.as_str()),
        ("ALLOWED_MIME_TYPES", "image/*, !image/svg+xml, text/plain"),
    ])
});

/// A header that is absent, valid or not.
fn header(good: &'static str, wrong: &'static str) -> impl Strategy<Value = (Option<String>, bool)> {
    prop_oneof![
        2 => Just((None, true)),
        2 => good.prop_map(|text| (Some(text), true)),
        1 => wrong.prop_map(|text| (Some(text), false)),
    ]
}

fn organization() -> impl Strategy<Value = (Option<String>, bool)> {
    header(
        "[0-9a-fA-F]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "[0-9a-f]{32}|null||\\{[0-9a-f-]{34}\\}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{11}g",
    )
}

fn idempotency_key() -> impl Strategy<Value = (Option<String>, bool)> {
    header("[!-~]{1,9}|[!-~]{255}", "[!-~]{256,260}||[!-~]{0,9}[ \\x7fé\t][!-~]{0,9}")
}

/// Where each error is and of what kind, in no order.
fn errors_of<T>(result: Result<T, ApiError>) -> Vec<(String, String)> {
    let Err(ApiError::Validation(errors)) = result else { return Vec::new() };
    let mut found: Vec<_> = errors.iter().map(|error| (error.loc.join(" "), error.kind.to_owned())).collect();
    found.sort();
    found
}

fn expect(place: &str, kind: &str) -> (String, String) {
    (place.to_owned(), kind.to_owned())
}

proptest! {
    #![proptest_config(config())]

    /// The errors are exactly those that were put into the request.
    #[test]
    fn rule_10_a_start_lists_every_error_and_no_other(
        fields in (filename(), mime_type(), size_bytes()),
        present in prop::array::uniform3(prop::bool::weighted(0.9)),
        twice in prop::option::weighted(0.2, 0_usize..3),
        unknown in prop::option::weighted(0.2, "[a-e_]{0,9}"),
        organization in organization(),
        key in idempotency_key(),
    ) {
        let names = ["filename", "mime_type", "size_bytes"];
        let values = [&fields.0, &fields.1, &fields.2];
        let mut members = Vec::new();
        let mut expected = Vec::new();
        for place in 0..3 {
            let (name, (value, error)) = (names[place], values[place]);
            let at = format!("body {name}");
            // A field that stands twice is an error, beside those of its value each time.
            let times = if !present[place] { 0 } else if twice == Some(place) { 2 } else { 1 };
            for _ in 0..times {
                members.push(format!("{}:{value}", quoted(name)));
                expected.extend(error.map(|kind| expect(&at, kind)));
            }
            match times {
                0 => expected.push(expect(&at, "missing")),
                2 => expected.push(expect(&at, "duplicate_field")),
                _ => {}
            }
        }
        if let Some(name) = &unknown {
            members.insert(members.len() / 2, format!("{}:[{{}}]", quoted(name)));
            expected.push(expect(&format!("body {name}"), "extra_forbidden"));
        }
        if !organization.1 {
            expected.push(expect("header X-Organization-Id", "uuid_parsing"));
        }
        if !key.1 {
            expected.push(expect("header Idempotency-Key", "idempotency_key"));
        }
        expected.sort();
        let headers = RequestHeaders {
            content_type: Some("application/json".to_owned()),
            organization: organization.0.clone(),
            idempotency_key: key.0.clone(),
        };
        let body = format!("{{{}}}", members.join(","));
        let read = requests::parse::<Create>("", "", &headers, &Body::Bytes(body.clone().into_bytes()), &CONFIG);
        prop_assert_eq!(read.is_ok(), expected.is_empty(), "{}", body);
        if let Ok((read, named)) = &read {
            let sent: Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(sent["filename"].as_str(), Some(read.filename.as_str()));
            prop_assert_eq!(sent["size_bytes"].as_u64(), Some(read.size_bytes));
            let essence = sent["mime_type"].as_str().unwrap().split(';').next().unwrap().trim().to_ascii_lowercase();
            prop_assert_eq!(read.mime_type.as_str(), essence);
            prop_assert_eq!(named.map(|id| id.to_string()), organization.0.map(|id| id.to_ascii_lowercase()));
            prop_assert_eq!(read.idempotency_key.as_ref().map(IdempotencyKey::as_str), key.0.as_deref());
        }
        prop_assert_eq!(errors_of(read), expected, "{}", body);
    }

    /// Another reading of the same bytes finds an object wherever this one does, and the same in it. (This one
    /// knows more objects: it leaves values unread, however large their numbers and deep their nesting.)
    #[test]
    fn rule_9_bytes_are_a_body_when_they_are_a_json_object(
        bytes in prop_oneof![
            4 => nearly(Just(r#"{"filename":"a \u00e9.png", "mime_type":"image/png" ,"size_bytes":12}"#.to_owned())).prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 1..40),
            1 => "[{}\\[\\]\":,0-9a-z\\\\ ]{1,30}".prop_map(String::into_bytes),
        ],
        flip in prop::option::weighted(0.3, (any::<Index>(), any::<u8>())),
        content_type in prop_oneof![
            4 => Just("application/json".to_owned()),
            1 => nearly(select(vec!["application/json", "Application/JSON; charset=utf-8", " application/json ;"]).prop_map(str::to_owned)),
        ],
    ) {
        let mut bytes = bytes;
        if let Some((place, byte)) = flip && !bytes.is_empty() {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        prop_assume!(!bytes.is_empty());
        let is_json = content_type.split(';').next().unwrap().trim().eq_ignore_ascii_case("application/json");
        let headers = RequestHeaders { content_type: Some(content_type), ..RequestHeaders::default() };
        let read = requests::parse::<Create>("", "", &headers, &Body::Bytes(bytes.clone()), &CONFIG);
        let other: Option<BTreeMap<String, Value>> = serde_json::from_slice(&bytes).ok().filter(|_| is_json);
        match read {
            Ok((read, _)) => {
                let other = other.expect("it was accepted as JSON");
                prop_assert_eq!(other.keys().collect::<Vec<_>>(), ["filename", "mime_type", "size_bytes"]);
                prop_assert_eq!(other["filename"].as_str(), Some(read.filename.as_str()));
                prop_assert_eq!(MimeType::parse(other["mime_type"].as_str().unwrap()), Some(read.mime_type));
                prop_assert_eq!(other["size_bytes"].as_f64(), Some(read.size_bytes as f64));
            }
            Err(ApiError::BadRequest(_)) => prop_assert!(other.is_none()),
            Err(ApiError::Validation(errors)) => prop_assert!(is_json && !errors.is_empty()),
            Err(error) => prop_assert!(false, "{error:?}"),
        }
    }

    #[test]
    fn rule_10_a_query_has_each_known_parameter_at_most_once(
        id in nearly(Just(ID.to_owned())),
        pairs in prop::collection::vec(nearly(select(vec!["embed=created_by_user", "embed", "fields=id,url", "a=b", ""]).prop_map(str::to_owned)), 0..4),
        organization in organization(),
    ) {
        let query = pairs.join("&");
        // A second opinion on the decoding.
        let values: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let of = |name: &str| values.iter().filter(|pair| pair.0 == name).map(|pair| pair.1.clone()).collect::<Vec<_>>();
        let readable = |text: &str| !text.contains('\u{fffd}');
        prop_assume!(values.iter().all(|(name, value)| readable(name) && readable(value)));
        let mut expected = Vec::new();
        if AssetUploadId::parse(&id).is_none() {
            expected.push(expect("path asset_id", "uuid_parsing"));
        }
        if !organization.1 {
            expected.push(expect("header X-Organization-Id", "uuid_parsing"));
        }
        let (embeds, fields) = (of("embed"), of("fields"));
        if embeds.first().is_some_and(|value| value != "created_by_user") {
            expected.push(expect("query embed", "enum"));
        }
        if fields.first().is_some_and(|value| value.split(',').any(|name| !AssetResponse::FIELDS.contains(&name))) {
            expected.push(expect("query fields", "enum"));
        }
        for (name, values) in [("embed", &embeds), ("fields", &fields)] {
            if values.len() > 1 {
                expected.push(expect(&format!("query {name}"), "duplicate_parameter"));
            }
        }
        for (name, _) in values.iter().filter(|(name, _)| !["embed", "fields"].contains(&name.as_str())) {
            let shown: String = name.chars().take(100).collect();
            expected.push(expect(&format!("query {shown}"), "extra_forbidden"));
        }
        expected.sort();
        let headers = RequestHeaders { organization: organization.0, ..RequestHeaders::default() };
        let read = requests::parse::<Read>(&id, &query, &headers, &Body::Bytes(Vec::new()), &CONFIG);
        prop_assert_eq!(read.as_ref().ok().map(|(read, _)| read.embed_user), expected.is_empty().then_some(!embeds.is_empty()));
        prop_assert_eq!(errors_of(read), expected);
    }

    #[test]
    fn a_name_begins_with_a_prefix_exactly_if_it_lies_in_its_range(
        prefix in "[@A-C\\[`a-c%_\u{7f}\u{d7ff}\u{e000}\u{10ffff}\u{c4}ß]{1,3}",
        name in "[@A-C\\[`a-c%_\u{7f}\u{d7ff}\u{e000}\u{10ffff}\u{c4}ß]{1,5}",
    ) {
        thread_local! {
            static CONN: rusqlite::Connection = rusqlite::Connection::open_in_memory().unwrap();
        }
        let begins = name.to_ascii_lowercase().starts_with(&prefix.to_ascii_lowercase());
        // As in store::page: NULL is above all others.
        let in_range = CONN.with(|conn| {
            let sql = "SELECT ?1 COLLATE NOCASE >= ?2 AND ?1 COLLATE NOCASE < ifnull(?3, x'')";
            conn.query_row(sql, (&name, &prefix, prefix_end(&prefix)), |row| row.get::<_, bool>(0)).unwrap()
        });
        prop_assert_eq!(in_range, begins);
    }
}

// Variables.

/// The configuration in which these variables are set.
fn variables(set: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    Config::parse(|name| set.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned()))
}

const NAMES: [&str; 16] = [
    "MAX_UPLOAD_BYTES",
    "MULTIPART_PART_BYTES",
    "ALLOWED_MIME_TYPES",
    "DECLARED_MISMATCH",
    "PUBLIC_BASE_URL",
    "THUMBNAIL_URL_TEMPLATE",
    "WRITE_ONCE",
    "UPLOAD_URL_TTL_SECONDS",
    "DOWNLOAD_URL_TTL_SECONDS",
    "CONFIRM_TTL_SECONDS",
    "STORAGE_TIMEOUT_MS",
    "CORS_ALLOWED_ORIGINS",
    "S3_ENDPOINT",
    "S3_BUCKET",
    "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY",
];

/// A host as it stands in a URL, and whether it may.
fn host() -> impl Strategy<Value = (String, bool)> {
    prop_oneof![
        3 => "[a-z0-9]{1,5}(\\.[a-z0-9-]{1,5}){0,2}|\\[::1\\]".prop_map(|host| (host, true)),
        1 => "(user@|u:p@)[a-z]{1,5}|[a-z]{1,4}[ \"<>\\\\^`{|}é][a-z]|".prop_map(|host| (host, false)),
    ]
}

fn port() -> impl Strategy<Value = (String, bool)> {
    prop_oneof![
        2 => Just((String::new(), true)),
        2 => (1_u16..).prop_map(|port| (format!(":{port}"), true)),
        1 => ":80|:443".prop_map(|port| (port, true)),
        1 => ":|:0|:0[1-9]|:[1-9][0-9]{5}|:[a-z]{1,4}|:\\+1|:-1".prop_map(|port| (port, false)),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn variables_cause_no_panic_and_errors_name_one_without_a_secret(
        values in prop::array::uniform16(prop::option::weighted(0.4, nearly(select(vec![
            "1", "52428800", "image/*, !image/svg+xml", "[\"a/b\"]", "accept", "reject", "true", "*", "https://a.example",
            "https://a.example/{key}", "/cdn-cgi/local", "http://[::1]:80",
        ]).prop_map(str::to_owned)))),
        secret in "secret[a-z]{20}",
    ) {
        let mut set: Vec<(&str, &str)> = NAMES.into_iter().zip(&values).filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
        set.retain(|(name, _)| *name != "S3_SECRET_ACCESS_KEY");
        set.push(("S3_SECRET_ACCESS_KEY", &secret));
        match variables(&set) {
            Ok(config) => {
                let uploads = &config.uploads;
                prop_assert!(uploads.confirm_seconds >= uploads.upload_url_seconds && uploads.upload_url_seconds > 0);
                prop_assert!(config.rules.max_bytes > 0);
                prop_assert!(uploads.s3.as_ref().err().is_none_or(|missing| !missing.contains(&secret)));
            }
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                for error in errors {
                    prop_assert!(NAMES.contains(&error.split(' ').next().unwrap()), "{}", error);
                    prop_assert!(!error.contains(&secret), "{}", error);
                }
            }
        }
    }

    #[test]
    fn numbers_are_digits_within_their_range(text in "5492189429760|5492189429761|900|899|259200[01]|100|99|6000[01]|[ \t]?[-+]?0{0,2}[0-9]{1,13}[ \n]?|[0-9]{17,40}|[0-9]{1,4}[.e_ ][0-9]?") {
        // Widths of the texts go beyond what i128 holds, which is out of every range.
        let number = text.trim().parse::<i128>().ok();
        for (name, range) in [("MAX_UPLOAD_BYTES", 1..=5_492_189_429_760), ("CONFIRM_TTL_SECONDS", 900..=2_592_000), ("STORAGE_TIMEOUT_MS", 100..=25_000)] {
            let valid = number.is_some_and(|number| range.contains(&number));
            prop_assert_eq!(variables(&[(name, &text)]).is_ok(), valid, "{}={:?}", name, text);
        }
    }

    /// However a list is written, it is the same list.
    #[test]
    fn a_list_is_its_entries(
        entries in prop::collection::vec("!?[a-z]{1,5}/(\\*|[a-z]{1,5})", 1..5), separators in prop::collection::vec("[ \n\t]{0,2},[ ,\n]{0,2}|[ \n\t]{1,3}", 5),
    ) {
        let text: String = entries.iter().zip(&separators).flat_map(|(entry, separator)| [entry.as_str(), separator]).collect();
        let json = serde_json::to_string(&entries).unwrap();
        let expected = AllowedTypes::parse(entries.iter().map(String::as_str)).ok();
        for written in [text, json] {
            let config = variables(&[("ALLOWED_MIME_TYPES", &written)]);
            prop_assert_eq!(config.ok().map(|config| config.rules.allowed_types), expected.clone(), "{}", written);
        }
    }

    #[test]
    fn a_url_is_accepted_when_all_its_parts_are(
        scheme in prop_oneof![4 => "https?://", 1 => "ftp://|//|javascript:|HTTPS://|"],
        host in host(),
        port in port(),
        path in "(/[a-zA-Z0-9._~-]{0,5}){0,3}/{0,2}",
        rest in prop_oneof![4 => Just(""), 1 => select(vec!["?a=b", "#top", " x"])],
    ) {
        let url = format!("{scheme}{}{}{path}{rest}", host.0, port.0);
        // White space around a variable is no part of it, and what is blank is not set.
        prop_assume!(!url.trim().is_empty());
        let valid = (scheme == "http://" || scheme == "https://") && host.1 && port.1 && rest.is_empty();
        let config = variables(&[("PUBLIC_BASE_URL", &url)]).ok();
        let expected = valid.then(|| format!("{}/uploads/x", url.trim_end_matches('/')));
        prop_assert_eq!(config.and_then(|config| config.links.url("uploads/x")), expected, "{}", url);
        let endpoint = variables(&[("S3_ENDPOINT", &url)]).is_ok();
        prop_assert_eq!(endpoint, valid || (url.starts_with('/') && !url.contains(['?', '#'])), "{}", url);
    }

    #[test]
    fn an_origin_is_accepted_when_a_browser_sends_it(
        scheme in prop_oneof![4 => "https?", 1 => "ftp|HTTPS|file|"],
        host in host(),
        port in port(),
        rest in prop_oneof![4 => Just(""), 1 => select(vec!["/", "/x", "?x", "#x"])],
    ) {
        let origin = format!("{scheme}://{}{}{rest}", host.0, port.0);
        let own_port = matches!((scheme.as_str(), port.0.as_str()), ("http", ":80") | ("https", ":443"));
        let valid = (scheme == "http" || scheme == "https") && host.1 && port.1 && !own_port && rest.is_empty();
        // A space would part a list.
        prop_assume!(!origin.contains(' '));
        let cors = variables(&[("CORS_ALLOWED_ORIGINS", &origin)]).ok().map(|config| config.cors);
        prop_assert_eq!(cors, valid.then(|| Cors::Origins(vec![origin.clone()])), "{}", origin);
    }
}
