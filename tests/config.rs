//! The Worker's variables: defaults, every valid form, and a sentence for each that is wrong.

use asset_uploads::config::{Config, Cors, DEFAULT_ALLOWED_MIME_TYPES, DEFAULT_MAX_UPLOAD_BYTES};
use asset_uploads::domain::asset::Links;
use asset_uploads::domain::media::{AllowedTypes, MimeType};
use asset_uploads::webhook_secret::SigningKey;

/// The configuration in which these variables are set.
fn read(variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    Config::parse(|name| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
}

fn good(name: &str, value: &str) -> Config {
    read(&[(name, value)]).unwrap_or_else(|errors| panic!("{name}={value}: {errors:?}"))
}

/// There is one error, a sentence, which names it.
fn wrong(name: &str, value: &str) {
    let errors = read(&[(name, value)]).err().unwrap_or_else(|| panic!("{name}={value:?} is accepted"));
    assert!(matches!(&errors[..], [error] if error.starts_with(&format!("{name} must be "))), "{errors:?}");
}

#[test]
fn without_variables_there_are_defaults() {
    let config = read(&[]).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(DEFAULT_MAX_UPLOAD_BYTES, 50 * 1024 * 1024);
    assert_eq!(config.rules.max_bytes, DEFAULT_MAX_UPLOAD_BYTES);
    assert!(!config.rules.reject_mismatch);
    assert_eq!(config.links, Links { public_base_url: None, thumbnail_template: None });
    assert_eq!(config.cors, Cors::Off);
    let permits = |text: &str| config.rules.allowed_types.permits(&MimeType::parse(text).unwrap());
    let office_type = |name: &str| format!("application/vnd.openxmlformats-officedocument.{name}");
    for yes in [
        "image/png",
        "video/mp4",
        "audio/mpeg",
        "application/pdf",
        "application/json",
        "application/zip",
        "application/gzip",
        "application/octet-stream",
        "text/plain",
        "text/csv",
        "text/markdown",
        "application/rtf",
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        &office_type("wordprocessingml.document"),
        &office_type("spreadsheetml.sheet"),
        &office_type("presentationml.presentation"),
        "application/vnd.oasis.opendocument.text",
        "application/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.oasis.opendocument.presentation",
    ] {
        assert!(permits(yes), "{yes}");
    }
    for no in [
        "image/svg+xml",
        "image/anything+xml",
        "image/xml",
        "video/x+xml",
        "text/html",
        "text/xml",
        "text/javascript",
        "application/xhtml+xml",
        "application/x-sh",
    ] {
        assert!(!permits(no), "{no}");
    }
}

#[test]
fn the_sweepers_limits() {
    let defaults = read(&[]).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!((defaults.sweep_timeout_ms, defaults.sweep.max_statements), (30_000, 50));
    assert_eq!(good("SWEEP_TIMEOUT_MS", "1000").sweep_timeout_ms, 1_000);
    assert_eq!(good("SWEEP_MAX_STATEMENTS", "1000").sweep.max_statements, 1_000);
    for (name, values) in [
        ("SWEEP_TIMEOUT_MS", ["999", "60001", "x", "-1", "1e3"]),
        ("SWEEP_MAX_STATEMENTS", ["49", "10001", "x", "-1", "5e1"]),
    ] {
        values.iter().for_each(|value| wrong(name, value));
    }
}

#[test]
fn blank_is_unset() {
    const NAMES: [&str; 6] = [
        "MAX_UPLOAD_BYTES",
        "ALLOWED_MIME_TYPES",
        "DECLARED_MISMATCH",
        "PUBLIC_BASE_URL",
        "THUMBNAIL_URL_TEMPLATE",
        "CORS_ALLOWED_ORIGINS",
    ];
    for blank in ["", " ", "\n\t "] {
        assert!(read(&NAMES.map(|name| (name, blank))) == read(&[]), "{blank:?}");
    }
}

#[test]
fn sizes() {
    for (text, bytes) in [("1", 1), (" 1000\n", 1_000), ("5492189429760", 5_492_189_429_760)] {
        assert_eq!(good("MAX_UPLOAD_BYTES", text).rules.max_bytes, bytes);
    }
    for text in ["0", "-1", "1.5", "1e6", "50MB", "5492189429761", "18446744073709551616", "x", "1 000"] {
        wrong("MAX_UPLOAD_BYTES", text);
    }
}

#[test]
fn parts() {
    assert_eq!(good("MULTIPART_PART_BYTES", "").uploads.part_bytes, 16 * 1024 * 1024);
    for (text, bytes) in [("5242880", 5_242_880), ("5368709120", 5_368_709_120)] {
        assert_eq!(good("MULTIPART_PART_BYTES", text).uploads.part_bytes, bytes);
    }
    for text in ["0", "5242879", "5368709121", "16MiB", "-1"] {
        wrong("MULTIPART_PART_BYTES", text);
    }
}

#[test]
fn types() {
    let parsed = |entries: &[&str]| AllowedTypes::parse(entries.iter().copied()).unwrap();
    for (text, entries) in [
        ("image/*", &["image/*"][..]),
        ("image/png,image/gif", &["image/png", "image/gif"]),
        ("image/*, !image/svg+xml", &["image/*", "!image/svg+xml"]),
        ("image/png\n  image/gif\t,, video/*", &["image/png", "image/gif", "video/*"]),
        // A list in TOML arrives as JSON.
        (r#"["image/*", "!image/svg+xml"]"#, &["image/*", "!image/svg+xml"]),
    ] {
        assert_eq!(good("ALLOWED_MIME_TYPES", text).rules.allowed_types, parsed(entries), "{text}");
    }
    for text in [
        "*",
        "image",
        "image/p*",
        "image/png; q=1",
        ",",
        "!image/png",
        "[]",
        "[1]",
        "[\"image/*\"",
        "[\"!a/b\"]",
        "{\"a\":1}",
    ] {
        wrong("ALLOWED_MIME_TYPES", text);
    }
    let defaults = good("ALLOWED_MIME_TYPES", DEFAULT_ALLOWED_MIME_TYPES);
    assert!(defaults == read(&[]).unwrap_or_else(|errors| panic!("{errors:?}")));
}

#[test]
fn mismatches() {
    assert!(!good("DECLARED_MISMATCH", "accept").rules.reject_mismatch);
    assert!(good("DECLARED_MISMATCH", " reject ").rules.reject_mismatch);
    for text in ["Reject", "true", "1", "rejected", "accept,reject"] {
        wrong("DECLARED_MISMATCH", text);
    }
}

#[test]
fn public_base_urls() {
    for (text, base) in [
        ("https://cdn.example.com", "https://cdn.example.com"),
        ("https://cdn.example.com/", "https://cdn.example.com"),
        ("http://localhost:8787/files//", "http://localhost:8787/files"),
        ("http://[::1]:8787", "http://[::1]:8787"),
    ] {
        let config = good("PUBLIC_BASE_URL", text);
        assert_eq!(config.links.public_base_url.as_deref(), Some(base));
        assert_eq!(config.links.url("uploads/x"), Some(format!("{base}/uploads/x")));
    }
    for text in [
        "cdn.example.com",
        "/files",
        "//cdn.example.com",
        "ftp://cdn.example.com",
        "https://",
        "https:///files",
        "https:cdn.example.com",
        "https://cdn.example.com?a=b",
        "https://cdn.example.com/#top",
        "https://cdn.example.com/a b",
        "javascript:alert(1)",
        "https://user@cdn.example.com",
    ] {
        wrong("PUBLIC_BASE_URL", text);
    }
}

#[test]
fn thumbnail_templates() {
    for text in [
        "https://thumbs.example.com/{key}",
        "https://a.example/cdn-cgi/image/width=320/{url}",
        "{url}?width=320",
        "https://a.example/{key}?src={url}&again={key}",
    ] {
        assert_eq!(good("THUMBNAIL_URL_TEMPLATE", text).links.thumbnail_template.as_deref(), Some(text));
    }
    for text in [
        "https://thumbs.example.com/",
        "/{key}",
        "{key}",
        "ftp://a.example/{key}",
        "https://a.example/{name}",
        "https://a.example/{key}/{name}",
        "https://a.example/{{key}}",
        "https://a.example/{key",
        "https:///{key}",
    ] {
        wrong("THUMBNAIL_URL_TEMPLATE", text);
    }
}

#[test]
fn origins() {
    let list = |origins: &[&str]| Cors::Origins(origins.iter().map(|&origin| origin.to_owned()).collect());
    for (text, expected) in [
        ("*", Cors::Any),
        ("https://app.example.com", list(&["https://app.example.com"])),
        ("http://localhost:5173, http://[::1]:3000", list(&["http://localhost:5173", "http://[::1]:3000"])),
        (r#"["https://a.example","https://b.example"]"#, list(&["https://a.example", "https://b.example"])),
    ] {
        assert_eq!(good("CORS_ALLOWED_ORIGINS", text).cors, expected);
    }
    for text in [
        "app.example.com",
        "https://app.example.com/",
        "https://app.example.com/x",
        "https://App.example.com",
        "HTTPS://app.example.com",
        "null",
        "https://a.example, *",
        "ftp://a.example",
        "https://",
        "[]",
        "[1]",
        ",",
        "https://user@a.example",
        "https://a.example?x",
        "https://a.example#x",
    ] {
        wrong("CORS_ALLOWED_ORIGINS", text);
    }
}

/// Origins are compared exactly, so an origin that no browser sends would silently never match.
#[test]
fn origins_that_no_browser_sends_are_wrong() {
    let sent_by_none = [
        // The path ends as the host does.
        "https://a.example/a.example",
        "https://a.example?a.example",
        // Wildcards are known from elsewhere.
        "https://*.example.com",
        // Browsers leave out the scheme's own port.
        "https://a.example:443",
        "http://a.example:80",
        "https://a.example:",
        "https://:8443",
        "https://a.example:99999",
        "https://a.example:http",
    ];
    let accepted = sent_by_none.iter().filter(|text| read(&[("CORS_ALLOWED_ORIGINS", text)]).is_ok());
    assert_eq!(accepted.collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn an_origin_is_allowed_when_it_is_listed() {
    let page = Some("https://a.example");
    assert_eq!(Cors::Off.allow_origin(page), None);
    assert_eq!(Cors::Any.allow_origin(page), Some("*"));
    assert_eq!(Cors::Any.allow_origin(None), Some("*"));
    let listed = Cors::Origins(vec!["https://a.example".to_owned(), "https://b.example".to_owned()]);
    assert_eq!(listed.allow_origin(page), page);
    for other in ["https://c.example", "http://a.example", "https://a.example.evil.example", "null", ""] {
        assert_eq!(listed.allow_origin(Some(other)), None);
    }
    assert_eq!(listed.allow_origin(None), None);
    assert!(!Cors::Off.is_on() && Cors::Any.is_on() && listed.is_on());
}

/// Without it webhooks do not work; all else does.
#[test]
fn the_signing_key_of_webhooks() {
    for unset in [&[][..], &[("WEBHOOK_SIGNING_KEY", " ")]] {
        let config = read(unset).unwrap_or_else(|errors| panic!("{errors:?}"));
        let missing = "cannot sign webhooks, not set: WEBHOOK_SIGNING_KEY";
        assert_eq!(config.webhooks.signing_key.err().as_deref(), Some(missing));
    }
    assert!(good("WEBHOOK_SIGNING_KEY", "x").webhooks.signing_key == Ok(SigningKey::new("x".to_owned())));
}

#[test]
fn hosts_of_webhooks_that_may_be_local() {
    const NONE: [&str; 0] = [];
    assert_eq!(read(&[]).ok().map(|config| config.webhooks.insecure_hosts), Some(Vec::new()));
    for (text, hosts) in [
        (" ", &NONE[..]),
        (",", &NONE),
        ("localhost:9000", &["localhost:9000"]),
        ("127.0.0.1:9000, [::1]:80\nhooks.local:65535", &["127.0.0.1:9000", "[::1]:80", "hooks.local:65535"]),
        (r#"["localhost:1", "a-b.c:443"]"#, &["localhost:1", "a-b.c:443"]),
    ] {
        assert_eq!(good("WEBHOOK_INSECURE_HOSTS", text).webhooks.insecure_hosts, hosts, "{text}");
    }
    for text in [
        "localhost",
        "localhost:",
        "localhost:0",
        "localhost:080",
        "localhost:65536",
        "Localhost:9000",
        "http://localhost:9000",
        "localhost:9000/",
        "user@localhost:9000",
        "*:9000",
        "*.example.com:443",
        ":9000",
        "::1:9000",
        "[::g]:9000",
        "[127.0.0.1]:9000",
        "a..b:1",
        "-a:1",
        "localhost:9000, other",
        "[1]",
        "[\"localhost:9000\"",
    ] {
        wrong("WEBHOOK_INSECURE_HOSTS", text);
    }
}

#[test]
fn confirmation_by_storages_notification() {
    for (text, on) in [("", false), ("false", false), (" true ", true)] {
        assert_eq!(good("AUTO_CONFIRM", text).auto_confirm, on, "{text:?}");
    }
    for text in ["True", "1", "yes", "on", "true,false"] {
        wrong("AUTO_CONFIRM", text);
    }
    let errors = read(&[("AUTO_CONFIRM", "yes"), ("WEBHOOK_INSECURE_HOSTS", "localhost")]).err().unwrap();
    let expected = [
        "WEBHOOK_INSECURE_HOSTS must be a list of hosts with their ports, in lower case, like `localhost:9000, 127.0.0.1:9000`",
        "AUTO_CONFIRM must be `true` or `false`",
    ];
    assert_eq!(errors, expected);
}

#[test]
fn every_wrong_variable_is_named_at_once() {
    let errors = read(&[
        ("MAX_UPLOAD_BYTES", "all"),
        ("ALLOWED_MIME_TYPES", "all"),
        ("DECLARED_MISMATCH", "all"),
        ("PUBLIC_BASE_URL", "all"),
        ("THUMBNAIL_URL_TEMPLATE", "all"),
        ("CORS_ALLOWED_ORIGINS", "all"),
        ("STORAGE_TIMEOUT_MS", "all"),
        ("WEBHOOK_INSECURE_HOSTS", "all"),
        ("AUTO_CONFIRM", "all"),
    ]);
    let mut errors = errors.err().unwrap();
    errors.sort();
    let names: Vec<&str> = errors.iter().map(|error| error.split(' ').next().unwrap()).collect();
    let expected = [
        "ALLOWED_MIME_TYPES",
        "AUTO_CONFIRM",
        "CORS_ALLOWED_ORIGINS",
        "DECLARED_MISMATCH",
        "MAX_UPLOAD_BYTES",
        "PUBLIC_BASE_URL",
        "STORAGE_TIMEOUT_MS",
        "THUMBNAIL_URL_TEMPLATE",
        "WEBHOOK_INSECURE_HOSTS",
    ];
    assert_eq!(names, expected);
    assert!(errors[0].contains("`all`"), "{}", errors[0]);
}
