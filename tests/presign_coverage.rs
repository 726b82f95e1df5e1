//! Presigned URLs: what a signature covers, and when there is none. tests/presign.rs has that it is right.

use std::sync::LazyLock;

use asset_uploads::domain::media::MimeType;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::Filename;
use asset_uploads::error::ErrorCode;
use asset_uploads::presign::{Put, S3};

/// 2026-11-22T12:51:07.042Z
const NOW: Timestamp = Timestamp(1_795_351_867_042);
const ORIGIN: &str = "http://localhost:8787";

fn s3(endpoint: &str) -> S3 {
    S3 {
        endpoint: endpoint.to_owned(),
        bucket: "asset-uploads".to_owned(),
        access_key_id: "local-development".to_owned(),
        secret_access_key: "local-development-only".to_owned(),
    }
}

static BEACH: LazyLock<Filename> = LazyLock::new(|| Filename::parse("beach.png").unwrap());

fn upload_of(mime_type: &MimeType) -> Put<'_> {
    Put { key: "uploads/x", mime_type, filename: &BEACH, size_bytes: 640, write_once: true }
}

#[test]
fn times_are_signed_to_the_second() {
    let mime_type = MimeType::parse("image/png").unwrap();
    let s3 = s3("https://storage.example");
    let url = |now: i64| s3.put(upload_of(&mime_type), ORIGIN, Timestamp(now), 900).unwrap().url;
    assert_eq!(url(NOW.0), url(NOW.whole_second().0));
    assert_eq!(url(NOW.0), url(NOW.whole_second().0 + 999));
    assert_ne!(url(NOW.0), url(NOW.whole_second().0 + 1000));
    assert!(url(NOW.0).contains("&X-Amz-Date=20261122T125107Z&X-Amz-Expires=900&"), "{}", url(NOW.0));
}

#[test]
fn a_signature_covers_everything_that_was_asked_for() {
    let [image, text] = ["image/png", "text/plain"].map(|mime| MimeType::parse(mime).unwrap());
    let other = S3 { secret_access_key: "another".to_owned(), ..s3("https://storage.example") };
    let base = s3("https://storage.example");
    let put = upload_of(&image);
    let signature = |s3: &S3, put: Put<'_>, seconds: u64| {
        let url = s3.put(put, ORIGIN, NOW, seconds).unwrap().url;
        url.rsplit_once('=').unwrap().1.to_owned()
    };
    let mut signatures = vec![
        signature(&base, put, 900),
        signature(&base, put, 901),
        signature(&base, Put { key: "uploads/y", ..put }, 900),
        signature(&base, Put { mime_type: &text, ..put }, 900),
        signature(&base, Put { size_bytes: 641, ..put }, 900),
        signature(&base, Put { filename: &Filename::parse("Beach.png").unwrap(), ..put }, 900),
        signature(&base, Put { write_once: false, ..put }, 900),
        signature(&s3("https://elsewhere.example"), put, 900),
        signature(&s3("https://storage.example:8443"), put, 900),
        signature(&S3 { bucket: "other".to_owned(), ..base.clone() }, put, 900),
        signature(&S3 { access_key_id: "other".to_owned(), ..base.clone() }, put, 900),
        signature(&other, put, 900),
        base.get("uploads/x", ORIGIN, NOW, 900).unwrap().rsplit_once('=').unwrap().1.to_owned(),
    ];
    let all = signatures.len();
    signatures.sort();
    signatures.dedup();
    assert_eq!(signatures.len(), all);
    assert!(signatures.iter().all(|one| one.len() == 64 && one.bytes().all(|c| c.is_ascii_hexdigit())));
}

#[test]
fn a_signature_covers_everything_of_a_part() {
    let s3 = s3("https://storage.example");
    let signer = s3.signer(ORIGIN, NOW).unwrap();
    let mut urls = vec![
        signer.part("uploads/x", "one", 1, 640, 900),
        signer.part("uploads/y", "one", 1, 640, 900),
        signer.part("uploads/x", "two", 1, 640, 900),
        signer.part("uploads/x", "one", 2, 640, 900),
        signer.part("uploads/x", "one", 1, 641, 900),
        signer.part("uploads/x", "one", 1, 640, 901),
    ];
    assert!(
        urls[0].contains(
            "&X-Amz-SignedHeaders=content-length%3Bhost&partNumber=1&uploadId=one&X-Amz-Signature="
        )
    );
    let signature = |url: &mut String| *url = url.rsplit_once('=').unwrap().1.to_owned();
    urls.iter_mut().for_each(signature);
    let all = urls.len();
    urls.sort();
    urls.dedup();
    assert_eq!(urls.len(), all);
}

#[test]
fn no_secret_is_in_a_url() {
    let secret = "TOPSECRET";
    let s3 = S3 { secret_access_key: secret.to_owned(), ..s3("https://storage.example") };
    assert!(!s3.get("uploads/x", ORIGIN, NOW, 900).unwrap().contains(secret));
}

#[test]
fn an_endpoint_that_is_no_url_is_an_error() {
    for endpoint in ["", "storage.example", "ftp://storage.example", "https://", "https:///x", "HTTPS//x"] {
        let answer = s3(endpoint).get("uploads/x", ORIGIN, NOW, 900);
        assert_eq!(answer.unwrap_err().code(), ErrorCode::InternalError, "{endpoint}");
    }
    // A path needs an origin.
    assert!(s3("/s3").get("uploads/x", "", NOW, 900).is_err());
}

/// A time that cannot be written has no signature either; it must not become one of another time.
#[test]
fn a_time_out_of_range_is_an_error() {
    for now in [i64::MIN, i64::MAX, 253_402_300_800_000] {
        assert!(
            s3("https://storage.example").get("uploads/x", ORIGIN, Timestamp(now), 900).is_err(),
            "{now}"
        );
    }
}
