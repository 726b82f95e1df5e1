//! The small parsers, under arbitrary input: ids, API keys, Idempotency-Keys, media types and the list
//! of those permitted.

use asset_uploads::domain::idempotency::IdempotencyKey;
use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::domain::media::{AllowedTypes, AssetType, MimeType};
use asset_uploads::token::{TokenHash, generate};
use proptest::prelude::*;

const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Failures print their input; they are kept as tests, not as files of seeds.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// The rule for ids, spelt out.
fn is_hyphenated(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn hyphenated_ids_are_read_in_either_case(text in "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}") {
        let id = AssetUploadId::parse(&text).expect("a hyphenated UUID");
        prop_assert_eq!(id.to_string(), text.to_ascii_lowercase());
        prop_assert_eq!(AssetUploadId::parse(&id.to_string()), Some(id));
        prop_assert_eq!(id.object_key(), format!("uploads/{id}"));
    }

    #[test]
    fn nothing_else_is_an_id(text in "[-0-9a-fA-F{}]{30,40}|\\PC{0,40}|.{36}") {
        prop_assert_eq!(AssetUploadId::parse(&text).is_some(), is_hyphenated(&text));
    }

    #[test]
    fn an_id_with_one_other_character_is_checked_by_the_rule(
        place in 0_usize..36, other in any::<char>(), random in any::<[u8; 10]>(), ms in 0_u64..1 << 48,
    ) {
        let mut text: Vec<char> = AssetUploadId::v7(ms, &random).to_string().chars().collect();
        text[place] = other;
        let text: String = text.into_iter().collect();
        prop_assert_eq!(AssetUploadId::parse(&text).is_some(), is_hyphenated(&text));
    }

    #[test]
    fn ids_sort_by_time(earlier in 0_u64..(1 << 48) - 1, random in any::<[[u8; 10]; 2]>()) {
        let [first, second] = random;
        let ids = [AssetUploadId::v7(earlier, &first), AssetUploadId::v7(earlier + 1, &second)];
        prop_assert!(ids[0].to_string() < ids[1].to_string());
        prop_assert_eq!(ids[0].to_string().as_bytes()[14], b'7');
    }

    #[test]
    fn a_generated_key_is_accepted(random in any::<[u8; 32]>(), scheme in "[bB][eE][aA][rR][eE][rR]") {
        let key = generate(&random);
        prop_assert!(key.len() == 52 && key.starts_with("au_"));
        let hash = TokenHash::of(&key).expect("its own key");
        let digits = hash.as_str();
        prop_assert!(digits.len() == 64 && digits.bytes().all(|digit| b"0123456789abcdef".contains(&digit)));
        let header = format!("{scheme} {key}");
        prop_assert_eq!(TokenHash::from_authorization(Some(&header)), Some(hash));
        for wrong in [
            key.clone(),
            format!("{scheme}{key}"),
            format!("{scheme}\t{key}"),
            format!(" {scheme} {key}"),
            format!("{scheme} {key} "),
            format!("{scheme} {key}, {key}"),
            format!("{scheme} \"{key}\""),
            format!("Basic {key}"),
            format!("Token {key}"),
            format!("{scheme}s {key}"),
        ] {
            prop_assert_eq!(TokenHash::from_authorization(Some(&wrong)), None, "{}", wrong);
        }
    }

    #[test]
    fn rule_3_a_mistyped_key_is_no_key(random in any::<[u8; 32]>(), place in 0_usize..52, digit in 0_usize..62) {
        let key = generate(&random);
        let other = &BASE62[digit..=digit];
        let changed = format!("{}{other}{}", &key[..place], &key[place + 1..]);
        prop_assert_eq!(TokenHash::of(&changed).is_some(), changed == key);
        let shorter = format!("{}{}", &key[..place], &key[place + 1..]);
        prop_assert_eq!(TokenHash::of(&shorter), None);
        let longer = format!("{}{other}{}", &key[..place], &key[place..]);
        prop_assert_eq!(TokenHash::of(&longer), None);
    }

    #[test]
    fn rule_3_a_key_with_any_other_character_is_no_key(
        random in any::<[u8; 32]>(), place in 0_usize..52, other in any::<char>(),
    ) {
        let key = generate(&random);
        let changed = format!("{}{other}{}", &key[..place], &key[place + 1..]);
        prop_assert_eq!(TokenHash::of(&changed).is_some(), changed == key);
    }

    #[test]
    fn rule_3_what_was_not_generated_is_no_key(text in "au_[0-9A-Za-z]{49}|au_.{0,60}|.{0,60}") {
        // One in 2^32 texts of the right form has a right checksum by chance.
        prop_assert_eq!(TokenHash::of(&text), None);
        prop_assert_eq!(TokenHash::from_authorization(Some(&text)), None);
    }

    #[test]
    fn idempotency_keys_are_visible_ascii(text in "[!-~]{0,260}|.{0,20}|[ -~]{0,20}") {
        let valid = (1..=255).contains(&text.len()) && text.chars().all(|c| ('!'..='~').contains(&c));
        let parsed = IdempotencyKey::parse(&text);
        prop_assert_eq!(parsed.as_ref().map(IdempotencyKey::as_str), valid.then_some(text.as_str()));
    }

    #[test]
    fn a_media_type_is_lower_case_and_bare(
        text in "\\PC{0,40}|[A-Za-z*]{1,9}/[-.+A-Za-z0-9*]{1,9}( ?; ?[a-z]{1,3}=[A-Za-z\"]{1,4}){0,2}",
    ) {
        if let Some(mime) = MimeType::parse(&text) {
            let bare = mime.as_str();
            prop_assert_eq!(bare, bare.to_ascii_lowercase());
            prop_assert!(!bare.contains([';', ' ', ',', '"']), "{bare:?}");
            prop_assert_eq!(bare.matches('/').count(), 1);
            prop_assert!(text.to_ascii_lowercase().trim_start().starts_with(bare), "{text:?} -> {bare:?}");
            prop_assert_eq!(MimeType::parse(bare), Some(mime.clone()));
            prop_assert_eq!(MimeType::parse(&bare.to_ascii_uppercase()), Some(mime.clone()));
        }
    }

    #[test]
    fn plain_media_types_are_read(
        kind in "[a-z]{1,20}",
        name in "[a-z][-.a-z0-9]{0,20}(\\+[a-z]{1,5})?",
        parameter in "(; ?[a-z]{1,9}=([-a-zA-Z0-9]{1,9}|\"[ ;,a-z]{0,9}\")){0,3}",
    ) {
        let essence = format!("{kind}/{name}");
        let parsed = MimeType::parse(&format!("{}{parameter}", essence.to_ascii_uppercase()));
        prop_assert_eq!(parsed.as_ref().map(MimeType::as_str), Some(essence.as_str()));
    }

    #[test]
    fn accepted_patterns_are_those_configured(
        entries in prop::collection::vec("!?[a-z]{1,3}/([a-z+]{1,4}|\\*)|\\PC{0,12}", 0..5),
    ) {
        if let Ok(allowed) = AllowedTypes::parse(entries.iter().map(String::as_str)) {
            let patterns = allowed.patterns();
            prop_assert_eq!(patterns.len(), entries.len());
            prop_assert!(patterns.iter().any(|pattern| !pattern.starts_with('!')));
            let again = AllowedTypes::parse(patterns.iter().map(String::as_str));
            prop_assert_eq!(again, Ok(allowed));
        }
    }

    #[test]
    fn a_type_passes_when_one_permits_it_and_none_forbids_it(
        permit in prop::collection::vec("[ab]/([xy]|\\*)", 1..4),
        forbid in prop::collection::vec("[ab]/([xy]|\\*)", 0..3),
        mime in "[ab]/[xy]",
    ) {
        let forbidding = forbid.iter().map(|text| format!("!{text}"));
        let entries: Vec<String> = permit.iter().cloned().chain(forbidding).collect();
        let allowed = AllowedTypes::parse(entries.iter().map(String::as_str)).expect("patterns");
        let in_list = |list: &[String]| list.contains(&mime) || list.contains(&format!("{}/*", &mime[..1]));
        let expected = in_list(&permit) && !in_list(&forbid);
        prop_assert_eq!(allowed.permits(&MimeType::parse(&mime).expect("a type")), expected);
    }
}

/// Computed apart, by Python's `zlib.crc32`, `hashlib.sha256` and integers:
/// `c = "au_" + base62(int.from_bytes(random, "big"), 43); key = c + base62(zlib.crc32(c.encode()), 6)`.
#[test]
fn known_keys() {
    let counting: [u8; 32] = std::array::from_fn(|n| u8::try_from(n).unwrap());
    for (random, key, hash) in [
        (
            counting,
            "au_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf4TG7qt",
            "d8dc44662d3a582d6a6549b906a68d6947f679df66df74752f4b33850e51aad8",
        ),
        (
            [0xff; 32],
            "au_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp126Ekgt",
            "c25d0f7e79bb44474388fd2e052aa0a98eebe6065bd454f1592a58504e4ab798",
        ),
        (
            [0; 32],
            "au_00000000000000000000000000000000000000000003yeCnD",
            "c09551bad4211376c1b3f4b8a46dd8dbe8720055bf87777756ae4ee512e50705",
        ),
    ] {
        assert_eq!(generate(&random), key);
        assert_eq!(TokenHash::of(key).unwrap().as_str(), hash);
        let header = format!("Bearer   {key}");
        assert_eq!(TokenHash::from_authorization(Some(&header)).unwrap().as_str(), hash);
    }
    assert_eq!(TokenHash::from_authorization(None), None);
    assert_eq!(TokenHash::from_authorization(Some("Bearer")), None);
    assert_eq!(TokenHash::from_authorization(Some("")), None);
}

#[test]
fn other_forms_of_a_uuid_are_no_ids() {
    let plain = "018f4d2e-7c4b-7a35-9c1f-0242ac120002";
    assert!(AssetUploadId::parse(plain).is_some());
    for text in [
        "018f4d2e7c4b7a359c1f0242ac120002",
        "{018f4d2e-7c4b-7a35-9c1f-0242ac120002}",
        "urn:uuid:018f4d2e-7c4b-7a35-9c1f-0242ac120002",
        " 018f4d2e-7c4b-7a35-9c1f-0242ac120002",
        "018f4d2e-7c4b-7a35-9c1f-0242ac120002\n",
        // 36 bytes each.
        "{018f4d2e7c4b7a359c1f0242ac120002}  ",
        "018f4d2e7c4b7a359c1f0242ac120002    ",
        "018f4d2e7-c4b-7a35-9c1f-0242ac120002",
        "018f4d2e-7c4b-7a35-9c1f-0242ac12000é",
        "",
    ] {
        assert_eq!(AssetUploadId::parse(text), None, "{text:?}");
    }
}

#[test]
fn media_types_determine_the_asset_type() {
    for (mime, expected) in [
        ("image/png", "image"),
        ("image/svg+xml", "image"),
        ("video/mp4", "video"),
        ("audio/mpeg", "audio"),
        ("text/csv", "document"),
        ("application/pdf", "document"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "document"),
        ("application/vnd.oasis.opendocument.text", "document"),
        ("application/zip", "file"),
        ("application/json", "file"),
        ("application/pdfx", "file"),
        ("imagery/png", "file"),
        ("model/gltf+json", "file"),
    ] {
        assert_eq!(AssetType::of(&MimeType::parse(mime).unwrap()).as_str(), expected, "{mime}");
    }
}

#[test]
fn malformed_media_types_are_none() {
    let long = format!("image/{}", "x".repeat(250));
    for text in [
        "",
        "/",
        "image",
        "image/",
        "/png",
        "image//png",
        "a/b/c",
        "image/png, text/html",
        "i mage/png",
        "image/png\0",
        "imäge/png",
        &long,
    ] {
        assert_eq!(MimeType::parse(text), None, "{text:?}");
    }
    assert_eq!(MimeType::parse(" text/plain;charset=utf-8 ").unwrap().as_str(), "text/plain");
    assert_eq!(MimeType::parse("image/svg+xml; a=b").unwrap().as_str(), "image/svg+xml");
}

/// RFC 6838 has no `*` in names. An object stored as `image/*` would pass as permitted by `image/*`
/// and be recorded with a type that is none.
#[test]
fn a_wildcard_is_no_media_type() {
    let parsed = ["image/*", "*/*", "*/png", "image/p*"].map(MimeType::parse);
    assert_eq!(parsed, [None, None, None, None]);
}

/// `*/*` reads as "everything"; taken for a type called `*`, it would permit nothing, without a word.
#[test]
fn a_wildcard_for_everything_works_or_is_an_error() {
    if let Ok(allowed) = AllowedTypes::parse(["*/*"]) {
        assert!(allowed.permits(&MimeType::parse("image/png").unwrap()), "`*/*` permits nothing");
    }
}

/// XML can run scripts where it is served (SVG does), so a whole family of types never includes it.
#[test]
fn a_whole_type_permits_no_xml() {
    let permits = |entries: &[&str], mime: &str| {
        AllowedTypes::parse(entries.iter().copied()).unwrap().permits(&MimeType::parse(mime).unwrap())
    };
    for mime in ["image/svg+xml", "image/anything+xml", "image/xml", "image/SVG+XML; charset=utf-8"] {
        assert!(!permits(&["image/*"], mime), "{mime}");
    }
    assert!(permits(&["image/*", "image/svg+xml"], "image/svg+xml"));
    assert!(!permits(&["image/*", "image/svg+xml"], "image/other+xml"));
    assert!(
        !permits(&["image/svg+xml", "image/png", "!image/*"], "image/svg+xml"),
        "what forbids a family forbids it whole"
    );
    let office_type = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    assert!(permits(&["application/*"], office_type) && !permits(&["application/*"], "application/xml"));
}

#[test]
fn wrong_patterns_are_named() {
    for wrong in [
        "*",
        "image",
        "image*",
        "image/p*",
        "image/png;q=1",
        "image/*/*",
        "/*",
        "!",
        "!!image/png",
        "image/ *",
        "image/*;q=1",
    ] {
        assert_eq!(AllowedTypes::parse(["video/*", wrong]), Err(wrong.to_owned()), "{wrong:?}");
    }
    assert_eq!(AllowedTypes::parse([]), Err(String::new()));
    assert_eq!(AllowedTypes::parse(["!image/png"]), Err(String::new()));
    let allowed = AllowedTypes::parse(["IMAGE/*", "!image/svg+xml", "Application/PDF"]).unwrap();
    assert_eq!(allowed.patterns(), ["image/*", "application/pdf", "!image/svg+xml"]);
    let permits = |text: &str| allowed.permits(&MimeType::parse(text).unwrap());
    assert!(permits("image/png") && permits("application/pdf; version=2"));
    assert!(!permits("image/svg+xml; charset=utf-8") && !permits("imagery/png") && !permits("text/html"));
}
