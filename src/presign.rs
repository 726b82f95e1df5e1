//! Presigned URLs (AWS Signature Version 4 in the query): what a client may do with one object in storage,
//! for a limited time, without a key of storage.
//!
//! Pure: the time is an argument, and nothing is sent. Steps and names are those of Amazon's reference,
//! "Authenticating Requests: Using Query Parameters".

use sha2::{Digest, Sha256};

use crate::domain::disposition::content_disposition;
use crate::domain::media::MimeType;
use crate::domain::percent::{encode_path, encode_value};
use crate::domain::timestamp::Timestamp;
use crate::domain::upload::Filename;
use crate::error::ApiError;
use crate::hex::hex;
use crate::mac::hmac_sha256;

/// The longest life that S3 gives a signature: 7 days, in seconds.
pub const LONGEST_SIGNATURE_SECONDS: u64 = 604_800;

/// R2 knows one region.
const REGION: &str = "auto";

/// The S3 side of the bucket: where it is and who signs. Has no `Debug`, which would show the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct S3 {
    /// Absolute http or https URL without query, or a path on the origin that the client used.
    pub endpoint: String,
    /// The bucket's name.
    pub bucket: String,
    /// Key id of an R2 API token.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
}

/// A signed upload: a request that a client may send to storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPut {
    /// The URL.
    pub url: String,
    /// The headers that the client must send, each exactly so. Content-Length is signed too, but not
    /// here: every client sends it by itself, and browsers let no page set it.
    pub headers: Vec<(&'static str, String)>,
}

/// What is signed into an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put<'a> {
    /// The object's key.
    pub key: &'a str,
    /// Its media type.
    pub mime_type: &'a MimeType,
    /// The name that a download of it gets.
    pub filename: &'a Filename,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Whether storage rejects a second PUT to the same key.
    pub write_once: bool,
}

impl S3 {
    /// Signs the upload of an object for so many seconds from `now`, 1 to 604800.
    ///
    /// # Errors
    /// `Internal` when the endpoint is no URL or the clock is out of range.
    pub fn put(
        &self,
        put: Put<'_>,
        origin: &str,
        now: Timestamp,
        seconds: u64,
    ) -> Result<SignedPut, ApiError> {
        let disposition = ("content-disposition", content_disposition(put.mime_type, put.filename));
        let length = ("content-length", put.size_bytes.to_string());
        let content_type = ("content-type", put.mime_type.to_string());
        let write_once = put.write_once.then(|| ("if-none-match", "*".to_owned()));
        let mut signed = vec![&disposition, &length, &content_type];
        signed.extend(&write_once);
        let url = self.signer(origin, now)?.sign("PUT", put.key, "", &signed, seconds);
        let mut headers = vec![content_type, disposition];
        headers.extend(write_once);
        Ok(SignedPut { url, headers })
    }

    /// Signs the download of an object for so many seconds from `now`, 1 to 604800.
    ///
    /// # Errors
    /// `Internal` when the endpoint is no URL or the clock is out of range.
    pub fn get(&self, key: &str, origin: &str, now: Timestamp, seconds: u64) -> Result<String, ApiError> {
        Ok(self.signer(origin, now)?.get(key, seconds))
    }

    /// Signs requests at this time. `origin` is the client's, for an endpoint that is a path.
    ///
    /// # Errors
    /// `Internal` when the endpoint is no URL or the clock is out of range.
    pub fn signer(&self, origin: &str, now: Timestamp) -> Result<Signer<'_>, ApiError> {
        // The host is signed, so a path is resolved against the origin that the client itself used.
        let base = if self.endpoint.starts_with('/') { origin } else { "" };
        let endpoint = format!("{base}{}", self.endpoint);
        let (scheme, host, prefix) = parts_of(&endpoint)
            .ok_or_else(|| ApiError::Internal("S3_ENDPOINT is no http or https URL".to_owned()))?;
        let date_time =
            now.basic().ok_or_else(|| ApiError::Internal("the clock is out of range".to_owned()))?;
        let date = date_time.get(..8).unwrap_or_default();
        let mut signing_key =
            hmac_sha256(format!("AWS4{}", self.secret_access_key).as_bytes(), date.as_bytes());
        for part in [REGION, "s3", "aws4_request"] {
            signing_key = hmac_sha256(&signing_key, part.as_bytes());
        }
        let scope = format!("{date}/{REGION}/s3/aws4_request");
        Ok(Signer {
            access_key_id: &self.access_key_id,
            server: format!("{scheme}://{host}"),
            bucket: format!("{prefix}/{}", encode_path(&self.bucket)),
            host,
            date_time,
            scope,
            signing_key,
        })
    }
}

/// Signs requests at one time. The key to sign with depends on the day alone.
pub struct Signer<'a> {
    access_key_id: &'a str,
    /// URL without path.
    server: String,
    /// Path of the bucket.
    bucket: String,
    host: String,
    date_time: String,
    scope: String,
    signing_key: Vec<u8>,
}

impl Signer<'_> {
    /// Signs the download of an object for so many seconds, 1 to 604800.
    pub fn get(&self, key: &str, seconds: u64) -> String {
        self.sign("GET", key, "", &[], seconds)
    }

    /// Signs the upload of one part (`UploadPart`) for so many seconds, 1 to 604800. Its length is signed, as it is into
    /// [`S3::put`]. `upload_id` is storage's.
    pub fn part(&self, key: &str, upload_id: &str, number: u64, size_bytes: u64, seconds: u64) -> String {
        let length = ("content-length", size_bytes.to_string());
        let query = format!("&partNumber={number}&uploadId={}", encode_value(upload_id));
        self.sign("PUT", key, &query, &[&length], seconds)
    }

    /// Signs one request. `query` is further parameters, encoded, each with `&` before it, whose names sort behind
    /// `X-Amz-SignedHeaders`. `headers` are in lower case and sorted by name; `host` is put in its place among them.
    fn sign(
        &self,
        method: &str,
        key: &str,
        query: &str,
        headers: &[&(&str, String)],
        seconds: u64,
    ) -> String {
        let Self { access_key_id, server, bucket, host, date_time, scope, signing_key } = self;
        let mut headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.insert(headers.partition_point(|(name, _)| *name < "host"), ("host", host));
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let signed_headers = names.join(";");
        let canonical_headers: String =
            headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();

        let path = format!("{bucket}/{}", encode_path(key));
        let credential = format!("{access_key_id}/{scope}");
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={date_time}&X-Amz-Expires={seconds}&X-Amz-SignedHeaders={}{query}",
            encode_value(&credential),
            encode_value(&signed_headers),
        );
        let canonical_request =
            format!("{method}\n{path}\n{query}\n{canonical_headers}\n{signed_headers}\nUNSIGNED-PAYLOAD");
        let hash = hex(&Sha256::digest(canonical_request.as_bytes()));
        let string_to_sign = format!("AWS4-HMAC-SHA256\n{date_time}\n{scope}\n{hash}");
        let signature = hex(&hmac_sha256(signing_key, string_to_sign.as_bytes()));
        format!("{server}{path}?{query}&X-Amz-Signature={signature}")
    }
}

/// Scheme, host as a client sends it, and path without a trailing slash.
fn parts_of(url: &str) -> Option<(&str, String, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (host, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
    let host = host.to_ascii_lowercase();
    // Clients leave the scheme's own port out of the Host header.
    let host = match scheme {
        "http" => host.strip_suffix(":80").unwrap_or(&host).to_owned(),
        "https" => host.strip_suffix(":443").unwrap_or(&host).to_owned(),
        _ => return None,
    };
    (!host.is_empty()).then_some((scheme, host, path.trim_end_matches('/')))
}
