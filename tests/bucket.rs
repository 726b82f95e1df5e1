//! The tests' bucket in memory.

#![allow(clippy::unwrap_used, reason = "test code may panic")]

// This file would be `mod bucket` itself.
#[path = "bucket/mod.rs"]
mod bucket;

use asset_uploads::domain::media::MimeType;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::Filename;
use asset_uploads::presign::{Put, S3};
use bucket::{Bucket, PutRequest};

/// 2026-11-22T12:51:07.042Z
const NOW: Timestamp = Timestamp(1_795_351_867_042);

#[test]
fn it_stores_what_the_worker_signs() {
    let s3 = S3 {
        endpoint: "https://S3.example:443/a".to_owned(),
        bucket: "files".to_owned(),
        access_key_id: "id/x".to_owned(),
        secret_access_key: "secret".to_owned(),
    };
    let mut bucket = Bucket::new(&s3.endpoint, &s3.bucket, &s3.access_key_id, &s3.secret_access_key);
    let put = Put {
        key: "uploads/a b+c%20/ü",
        mime_type: &MimeType::parse("image/png").unwrap(),
        filename: &Filename::parse("a  b.png").unwrap(),
        size_bytes: 640,
        write_once: true,
    };
    let signed = s3.put(put, "", NOW, 900).unwrap();
    let headers = signed.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let request = PutRequest { url: signed.url, headers, size_bytes: 640 };
    assert_eq!(bucket.put_signed(&PutRequest { size_bytes: 641, ..request.clone() }, NOW), 403);
    assert_eq!(bucket.put_signed(&request, NOW.plus_seconds(900)), 403);
    assert_eq!(bucket.put_signed(&request, NOW.plus_seconds(899)), 200);
    assert_eq!(bucket.put_signed(&request, NOW), 412);
    assert_eq!(bucket.keys(), [put.key]);
}
