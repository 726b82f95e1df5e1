//! The tests' bucket in memory: the cases that workerd's R2 passes too (tests/worker/bucket.spec.ts), and what
//! workerd answers otherwise.

#[path = "bucket/cases.rs"]
mod cases;

use asset_uploads::domain::media::MimeType;
use asset_uploads::domain::multipart::{CompletedPart, Completion};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::Filename;
use asset_uploads::presign::{Put, S3};
use cases::{ENDPOINT, File, KEY_ID, NAME, NOW, Run, SECRET};
use serde_json::{Map, Value, json};

use crate::bucket::{Bucket, PutRequest};

#[test]
fn the_cases_that_workerds_r2_passes_too() {
    let file = File::read();
    for case in file.cases {
        let mut run = Run::new(&file.request);
        for (n, step) in case.steps.iter().enumerate() {
            let (answer, expected) = run.step(step);
            assert_eq!(answer, expected, "{}, step {}: {step:?}", case.name, n + 1);
        }
    }
}

/// Of the same request that the cases sign.
fn usual_put(sign: &Value) -> PutRequest {
    let file = File::read();
    Run::new(&file.request).signed_put(sign.as_object().unwrap(), &Map::new())
}

#[test]
fn a_put_is_stored_as_the_worker_signs_it() {
    let s3 = S3 {
        endpoint: "https://S3.example:443/a%20b/".to_owned(),
        bucket: "f+les".to_owned(),
        access_key_id: "id/x".to_owned(),
        secret_access_key: SECRET.to_owned(),
    };
    let mut bucket = Bucket::new(&s3.endpoint, &s3.bucket, &s3.access_key_id, &s3.secret_access_key);
    let put = Put {
        key: "uploads//a b+c%20d~e/Ünï–côdé.png",
        mime_type: &MimeType::parse("image/png").unwrap(),
        filename: &Filename::parse("a  \"b\".png").unwrap(),
        size_bytes: u64::MAX,
        write_once: true,
    };
    let signed = s3.put(put, "", NOW, 900).unwrap();
    let headers = signed.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let request = PutRequest { url: signed.url, headers, size_bytes: u64::MAX };
    assert_eq!(bucket.authorize_put(&request, NOW), Ok(put.key.to_owned()));
    assert_eq!(bucket.keys(), Vec::<String>::new());
    assert_eq!((bucket.put_signed(&request, NOW), bucket.keys()), (200, vec![put.key.to_owned()]));
    assert_eq!(bucket.authorize_put(&request, NOW), Err(412));
}

#[test]
fn a_part_is_stored_as_the_worker_signs_it() {
    let s3 = S3 {
        endpoint: "https://S3.example:443/a%20b/".to_owned(),
        bucket: "f+les".to_owned(),
        access_key_id: "id/x".to_owned(),
        secret_access_key: SECRET.to_owned(),
    };
    let mut bucket = Bucket::new(&s3.endpoint, &s3.bucket, &s3.access_key_id, &s3.secret_access_key);
    let key = "uploads//a b+c%20d~e/Ünï–côdé.png";
    // Its ids have characters that a query encodes.
    let id = bucket.create_multipart(key, "image/png");
    let url = s3.signer("", NOW).unwrap().part(key, &id, 10_000, 7, 900);
    let request = PutRequest { url, headers: Vec::new(), size_bytes: 7 };
    let longer = PutRequest { size_bytes: 8, ..request.clone() };
    assert_eq!(bucket.put_part(&longer, NOW), Err(403));
    assert_eq!(bucket.put_part(&request, NOW.plus_seconds(901)), Err(403));
    let etag = bucket.put_part(&request, NOW).unwrap();
    let parts = [CompletedPart { part_number: 10_000, etag }];
    assert_eq!(bucket.complete_multipart(key, &id, &parts, NOW), Completion::Completed);
    assert_eq!(bucket.head(key).unwrap().size_bytes, 7);
    assert_eq!((bucket.put_part(&request, NOW), bucket.open_multiparts()), (Err(404), Vec::new()));
}

/// What the cases cannot have, because workerd answers otherwise.
#[test]
fn a_put_is_rejected_unless_everything_in_its_url_is_the_buckets() {
    let request = usual_put(&json!({}));
    let status = |bucket: &Bucket| bucket.clone().put_signed(&request, NOW);
    let bucket = Bucket::new(ENDPOINT, NAME, KEY_ID, SECRET);
    assert_eq!(status(&bucket), 200);
    for (what, other) in [
        ("scheme", Bucket::new("http://s3.example/a/b", NAME, KEY_ID, SECRET)),
        ("host", Bucket::new("https://s4.example/a/b", NAME, KEY_ID, SECRET)),
        ("port", Bucket::new("https://s3.example:80/a/b", NAME, KEY_ID, SECRET)),
        ("path", Bucket::new("https://s3.example/a", NAME, KEY_ID, SECRET)),
        ("bucket", Bucket::new(ENDPOINT, "file", KEY_ID, SECRET)),
        ("key id", Bucket::new(ENDPOINT, NAME, "012", SECRET)),
        ("secret", Bucket::new(ENDPOINT, NAME, KEY_ID, "secret ")),
        ("no endpoint", Bucket::new("/a/b", NAME, KEY_ID, SECRET)),
        ("nothing", Bucket::default()),
    ] {
        assert_eq!(status(&other), 403, "{what}");
    }
    for (from, to) in [
        ("https://s3.example", "http://s3.example"),
        ("https://s3.example", "https://s4.example"),
        ("/files/", "/other/"),
        ("/files/uploads/a?", "/files/?"),
        ("%2Fauto%2F", "%2Feu%2F"),
        ("%2Fs3%2F", "%2Fs4%2F"),
        ("0123%2F", "0124%2F"),
        ("0123%2F20261122", "0123%2F20261121"),
        ("HMAC-SHA256", "HMAC-SHA1"),
        ("T125107Z", "T125108Z"),
        ("T125107Z", "T1251Z"),
        ("X-Amz-Date=20261122T125107Z&", ""),
        ("X-Amz-Date=", "X-Amz-Date=é"),
        ("X-Amz-Expires=900&", ""),
        ("X-Amz-Expires=900", "X-Amz-Expires=+900"),
        ("X-Amz-Signature=", "x-amz-signature="),
        ("?", "#"),
    ] {
        assert!(request.url.contains(from), "{from} in {}", request.url);
        let changed = PutRequest { url: request.url.replace(from, to), ..request.clone() };
        assert_eq!(bucket.authorize_put(&changed, NOW), Err(403), "{from} -> {to}");
    }
    let (start, signature) = request.url.split_once("X-Amz-Signature=").unwrap();
    for (n, digit) in signature.char_indices() {
        let other = if digit == '0' { "1" } else { "0" };
        let url = format!("{start}X-Amz-Signature={}{other}{}", &signature[..n], &signature[n + 1..]);
        assert_eq!(bucket.authorize_put(&PutRequest { url, ..request.clone() }, NOW), Err(403), "digit {n}");
    }
    // As clients send it.
    let url = request.url.replace("https://s3.example/", "https://S3.Example:443/");
    assert!(bucket.authorize_put(&PutRequest { url, ..request.clone() }, NOW).is_ok());
}

/// Signed with Python's `hmac`, as no library signs such requests.
#[test]
fn a_right_signature_is_not_enough() {
    let bucket = Bucket::new(ENDPOINT, NAME, KEY_ID, SECRET);
    for (what, [key, algorithm, seconds, signed_headers], signature, authorized) in [
        (
            "as it should be",
            ["uploads/a", "AWS4-HMAC-SHA256", "900", "content-type%3Bhost"],
            "0680bc7d93da142b1b8fd9ae5798f30fa1effc2058bb52e5fde6a1c7ea5f65b6",
            true,
        ),
        (
            "the host is not signed",
            ["uploads/a", "AWS4-HMAC-SHA256", "900", "content-type"],
            "69805c56ee1cb3d05807770b588ca234d8faa220383c4e847dc107638e5b41d1",
            false,
        ),
        (
            "a header is signed as empty",
            ["uploads/a", "AWS4-HMAC-SHA256", "900", "content-type%3Bhost%3Bx-amz-acl"],
            "6cd63c457e15e04bc3a0af07db60de1ad333ae36ba09a1d8d856fe218809a061",
            false,
        ),
        (
            "no key",
            ["", "AWS4-HMAC-SHA256", "900", "content-type%3Bhost"],
            "b2236e805493d921de64d48a420f8a5ad68226acc557a8ad44ab914ec73136a7",
            false,
        ),
        (
            "another algorithm",
            ["uploads/a", "AWS4-HMAC-SHA1", "900", "content-type%3Bhost"],
            "81fea8af2692c607f4b74a73014c564827d79c20de0e328eb0d66ce80ad97b7e",
            false,
        ),
        (
            "a life with a sign",
            ["uploads/a", "AWS4-HMAC-SHA256", "%2B900", "content-type%3Bhost"],
            "62f101a34e60653d50b4d4b6f55fc3c93994bef9da6ba6b115057b010ca6a055",
            false,
        ),
    ] {
        let url = format!(
            "{ENDPOINT}/{NAME}/{key}?X-Amz-Algorithm={algorithm}\
             &X-Amz-Credential=0123%2F20261122%2Fauto%2Fs3%2Faws4_request&X-Amz-Date=20261122T125107Z\
             &X-Amz-Expires={seconds}&X-Amz-SignedHeaders={signed_headers}&X-Amz-Signature={signature}"
        );
        let headers = vec![("content-type".to_owned(), "image/png".to_owned())];
        let answer = bucket.authorize_put(&PutRequest { url, headers, size_bytes: 1 }, NOW);
        assert_eq!(answer.is_ok(), authorized, "{what}: {answer:?}");
    }
}

#[test]
fn a_signature_is_valid_from_a_quarter_of_an_hour_before_its_date_to_its_last_second() {
    let bucket = Bucket::new(ENDPOINT, NAME, KEY_ID, SECRET);
    let signed_at = NOW.whole_second().0;
    for (seconds, from_ms, to_ms) in [(900, -900_000, 900_000), (604_800, -900_000, 604_800_000)] {
        let request = usual_put(&json!({"seconds": seconds}));
        for (ms, authorized) in [(from_ms - 1, false), (from_ms, true), (to_ms, true), (to_ms + 1, false)] {
            let answer = bucket.authorize_put(&request, Timestamp(signed_at + ms));
            assert_eq!(answer.is_ok(), authorized, "{seconds} s at {ms} ms: {answer:?}");
        }
    }
    for seconds in [0, 604_801] {
        let request = usual_put(&json!({"seconds": seconds}));
        assert_eq!(bucket.authorize_put(&request, Timestamp(signed_at)), Err(403), "{seconds}");
    }
}

#[test]
fn every_write_has_its_time_and_no_customer_key() {
    let mut bucket = Bucket::new(ENDPOINT, NAME, KEY_ID, SECRET);
    let [first, second, third] = [0, 10, 20].map(|seconds| NOW.plus_seconds(seconds));
    let key = "uploads/a";
    let state = |bucket: &Bucket| {
        let listed = bucket.list("", "", 1).objects.first().map(|object| object.uploaded_at);
        assert_eq!(listed, bucket.uploaded_at(key));
        listed.zip(bucket.head(key).map(|object| object.customer_key))
    };
    assert_eq!(state(&bucket), None);
    bucket.set_customer_key(key, true);
    assert_eq!(state(&bucket), None);
    assert_eq!(bucket.put_signed(&usual_put(&json!({})), first), 200);
    assert_eq!(state(&bucket), Some((first, false)));
    bucket.set_customer_key(key, true);
    assert_eq!(state(&bucket), Some((first, true)));
    bucket.put(key, 10, None, second);
    assert_eq!(state(&bucket), Some((second, false)));
    bucket.set_customer_key(key, true);
    bucket.set_customer_key(key, false);
    assert_eq!(state(&bucket), Some((second, false)));
    assert_eq!(bucket.put_signed(&usual_put(&json!({"if_none_match": null})), third), 200);
    assert_eq!(state(&bucket), Some((third, false)));
}

#[test]
fn a_list_has_at_most_1000_objects() {
    let mut bucket = Bucket::default();
    (0..1_001).for_each(|n| bucket.put(&format!("{n:04}"), 1, None, NOW));
    let page = bucket.list("", "", u32::MAX);
    assert_eq!((page.objects.len(), page.truncated), (1_000, true));
    assert!(!bucket.list("", "0000", 1_000).truncated);
}
