//! Verifies a presigned PUT as S3 does (AWS Signature Version 4 in the query). Written from Amazon's reference,
//! "Authenticating Requests: Using Query Parameters", and apart from src/presign.rs, so that a mistake there is found.

use std::borrow::Cow;
use std::cell::RefCell;

use asset_uploads::domain::timestamp::Timestamp;
use chrono::NaiveDate;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use super::PutRequest;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What follows the day in the scope of every signature for R2.
const SCOPE: &str = "auto/s3/aws4_request";
/// The longest life of a signature, in seconds.
const LONGEST_LIFE: u64 = 7 * 24 * 60 * 60;
/// How far ahead the signer's clock may be, in seconds.
const LARGEST_SKEW: u64 = 15 * 60;

/// Where the bucket is, and whose signatures it accepts.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    scheme: String,
    /// As clients send it.
    host: String,
    /// The decoded path of every key: that of the endpoint, and the bucket's name.
    folder: String,
    access_key_id: String,
    secret_access_key: String,
    /// The key that signs on a day (YYYYMMDD). Kept, because four HMACs make it.
    signing_key: RefCell<Option<(String, Hmac<Sha256>)>>,
}

/// The parameters of a presigned URL, decoded.
struct Parameters {
    all: Vec<(String, String)>,
}

impl Parameters {
    fn parse(query: &str) -> Option<Self> {
        let decode = |text: &str| decode(text).map(Cow::into_owned);
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        };
        Some(Self { all: query.split('&').map(pair).collect::<Option<_>>()? })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.all.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// All but the signature, encoded and in their order.
    fn canonical(&self) -> String {
        let signed = self.all.iter().filter(|(name, _)| name != "X-Amz-Signature");
        let mut pairs: Vec<[String; 2]> =
            signed.map(|(name, value)| [name, value].map(|text| encode(text, false))).collect();
        pairs.sort_unstable();
        pairs.iter().map(|pair| pair.join("=")).collect::<Vec<_>>().join("&")
    }
}

impl Endpoint {
    /// `None` where `url` is no absolute URL.
    pub(super) fn new(url: &str, bucket: &str, access_key_id: &str, secret_access_key: &str) -> Option<Self> {
        let (scheme, host, path) = parts_of(url)?;
        Some(Self {
            scheme: scheme.to_owned(),
            host,
            folder: format!("{}/{bucket}/", decode(path)?.trim_end_matches('/')),
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            signing_key: RefCell::default(),
        })
    }

    /// The key that a PUT writes; `None` where it is not authorized now.
    pub(super) fn key_of_put(&self, request: &PutRequest, now: Timestamp) -> Option<String> {
        let (location, query) = request.url.split_once('?')?;
        let (scheme, host, path) = parts_of(location)?;
        let path = decode(path)?;
        let key = path.strip_prefix(&self.folder).filter(|key| !key.is_empty())?;
        let parameters = Parameters::parse(query)?;
        let date_time = parameters.get("X-Amz-Date")?;
        let day = date_time.get(..8)?;
        let scope = format!("{day}/{SCOPE}");

        let valid = (scheme, &host) == (self.scheme.as_str(), &self.host)
            && parameters.get("X-Amz-Algorithm")? == ALGORITHM
            && parameters.get("X-Amz-Credential")? == format!("{}/{scope}", self.access_key_id)
            && is_current(date_time, parameters.get("X-Amz-Expires")?, now)?;
        if !valid {
            return None;
        }

        let signed_headers = parameters.get("X-Amz-SignedHeaders")?;
        let canonical_request = format!(
            "PUT\n{}\n{}\n{}\n{signed_headers}\nUNSIGNED-PAYLOAD",
            encode(&path, true),
            parameters.canonical(),
            canonical_headers(signed_headers, &host, request)?,
        );
        let hash = hex(&Sha256::digest(canonical_request));
        let mut mac = self.signing_key(day)?;
        mac.update(format!("{ALGORITHM}\n{date_time}\n{scope}\n{hash}").as_bytes());
        (hex(&mac.finalize().into_bytes()) == parameters.get("X-Amz-Signature")?).then(|| key.to_owned())
    }

    fn signing_key(&self, day: &str) -> Option<Hmac<Sha256>> {
        if let Some((of, key)) = self.signing_key.borrow().as_ref()
            && of == day
        {
            return Some(key.clone());
        }
        let mut key = hmac(format!("AWS4{}", self.secret_access_key).as_bytes())?;
        for part in std::iter::once(day).chain(SCOPE.split('/')) {
            key.update(part.as_bytes());
            key = hmac(&key.finalize().into_bytes())?;
        }
        self.signing_key.replace(Some((day.to_owned(), key.clone())));
        Some(key)
    }
}

/// Scheme, host as clients send it, and path of an absolute URL.
fn parts_of(url: &str) -> Option<(&str, String, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (host, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(default_port).map(str::to_owned).unwrap_or(host);
    (!host.is_empty()).then_some((scheme, host, path))
}

/// Whether a signature of this time and life is valid now, its last second included; `None` where they are malformed.
fn is_current(date_time: &str, seconds: &str, now: Timestamp) -> Option<bool> {
    let signed_at = parse_time(date_time)?;
    let seconds = if is_number(seconds) { seconds.parse().ok()? } else { return None };
    Some(
        (1..=LONGEST_LIFE).contains(&seconds)
            && signed_at <= now.plus_seconds(LARGEST_SKEW)
            && now <= signed_at.plus_seconds(seconds),
    )
}

/// `20261122T125107Z`.
fn parse_time(text: &str) -> Option<Timestamp> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    if (day.len(), time.len()) != (8, 6) || !is_number(day) || !is_number(time) {
        return None;
    }
    let [day, time] = [day, time].map(|digits| digits.parse::<u32>().ok());
    let (day, time) = (day?, time?);
    let date = NaiveDate::from_ymd_opt(i32::try_from(day / 10_000).ok()?, day / 100 % 100, day % 100)?;
    let date_time = date.and_hms_opt(time / 10_000, time / 100 % 100, time % 100)?;
    Some(Timestamp(date_time.and_utc().timestamp_millis()))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// One line for each signed header; `None` where one was not sent, or `host` is not signed.
fn canonical_headers(names: &str, host: &str, request: &PutRequest) -> Option<String> {
    let length = request.size_bytes.to_string();
    let mut lines = String::new();
    let mut host_is_signed = false;
    for name in names.split(';') {
        let mut values: Vec<&str> = match name {
            "host" => vec![host],
            "content-length" => vec![&length],
            _ => Vec::new(),
        };
        host_is_signed |= name == "host";
        let sent = request.headers.iter().filter(|(other, _)| other == name);
        values.extend(sent.map(|(_, value)| value.as_str()));
        if values.is_empty() {
            return None;
        }
        lines += name;
        lines += ":";
        for (n, value) in values.into_iter().enumerate() {
            lines += if n > 0 { "," } else { "" };
            push_folded(&mut lines, value);
        }
        lines += "\n";
    }
    host_is_signed.then_some(lines)
}

/// A header's value without spaces around it, and with one in place of several.
fn push_folded(line: &mut String, value: &str) {
    for (n, word) in value.split(' ').filter(|word| !word.is_empty()).enumerate() {
        *line += if n > 0 { " " } else { "" };
        *line += word;
    }
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

/// Amazon's `UriEncode`.
fn encode(text: &str, keep_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            b'/' if keep_slash => encoded.push('/'),
            _ => {
                encoded.push('%');
                encoded.extend([byte >> 4, byte & 15].map(|digit| hex_digit(digit).to_ascii_uppercase()));
            }
        }
    }
    encoded
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15].map(hex_digit)).collect()
}

fn hex_digit(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or_default()
}

fn hmac(key: &[u8]) -> Option<Hmac<Sha256>> {
    Hmac::new_from_slice(key).ok()
}
