//! File names, and the header that keeps them for downloads.

use asset_uploads::domain::disposition::content_disposition;
use asset_uploads::domain::media::MimeType;
use asset_uploads::domain::upload::Filename;
use proptest::prelude::*;

#[test]
fn invalid_file_names_are_rejected() {
    for name in [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "a\nb",
        "a\0",
        "\u{7f}",
        "\u{85}",
        // A picture to a person, a program to the system: exe.jpg, read from the right.
        "\u{202e}gpj.exe",
        "a\u{202a}",
        "\u{202b}a",
        "\u{202c}",
        "\u{202d}b",
        "\u{2066}a",
        "\u{2067}",
        "\u{2068}",
        "\u{2069}",
        &"x".repeat(501),
    ] {
        assert_eq!(Filename::parse(name), None, "{name:?}");
    }
    // Right-to-left marks belong to Hebrew and Arabic text, and override nothing.
    for name in ["...", ".a", "a.", " ", "\u{200f}שלום.pdf", "x\u{2065}", "\u{206a}", &"😀".repeat(500)]
    {
        assert_eq!(Filename::parse(name).unwrap().as_str(), name);
    }
}

#[test]
fn a_download_keeps_its_name() {
    for (mime_type, name, expected) in [
        ("image/png", "photo.png", "inline; filename=\"photo.png\"; filename*=UTF-8''photo.png"),
        (
            "application/zip",
            "Report Q3 2026.zip",
            "attachment; filename=\"Report Q3 2026.zip\"; filename*=UTF-8''Report%20Q3%202026.zip",
        ),
        (
            "application/pdf",
            "a \"quoted\"; name=1 100%.pdf",
            "inline; filename=\"a _quoted_; name=1 100_.pdf\"; filename*=UTF-8''a%20%22quoted%22%3B%20name%3D1%20100%25.pdf",
        ),
        ("text/plain", "日本.txt", "inline; filename=\"__.txt\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.txt"),
        // A signature folds runs of spaces, so there are none.
        ("video/mp4", "  a   b ", "inline; filename=\" a b \"; filename*=UTF-8''%20%20a%20%20%20b%20"),
        ("audio/mpeg", "it's", "inline; filename=\"it's\"; filename*=UTF-8''it%27s"),
    ] {
        let (mime_type, name) = (MimeType::parse(mime_type).unwrap(), Filename::parse(name).unwrap());
        assert_eq!(content_disposition(&mime_type, &name), expected);
    }
    for (mime_type, kind) in [
        ("image/svg+xml", "attachment"),
        ("image/xml", "attachment"),
        ("video/x+xml", "attachment"),
        ("text/html", "attachment"),
        ("text/csv", "attachment"),
        ("application/json", "attachment"),
        ("application/octet-stream", "attachment"),
        ("image/webp", "inline"),
        ("video/webm", "inline"),
        ("audio/ogg", "inline"),
        ("text/plain", "inline"),
        ("application/pdf", "inline"),
    ] {
        let value = content_disposition(&MimeType::parse(mime_type).unwrap(), &Filename::parse("x").unwrap());
        assert_eq!(value, format!("{kind}; filename=\"x\"; filename*=UTF-8''x"), "{mime_type}");
    }
}

proptest! {
    #[test]
    fn any_name_makes_a_header_that_can_be_signed_and_read_back(name in "\\PC{1,60}") {
        let Some(filename) = Filename::parse(&name) else { return Ok(()) };
        let value = content_disposition(&MimeType::parse("image/png").unwrap(), &filename);
        prop_assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !value.contains("  "), "{}", value);
        let (ascii, encoded) = value.strip_prefix("inline; filename=\"").unwrap().split_once("\"; filename*=UTF-8''").unwrap();
        prop_assert!(!ascii.contains(['"', '\\', '%']));
        let decoded = percent_encoding::percent_decode_str(encoded).decode_utf8().unwrap();
        prop_assert_eq!(decoded, name);
    }
}
