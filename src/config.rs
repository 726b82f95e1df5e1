//! The Worker's variables, validated once.

use std::ops::RangeInclusive;

use crate::domain::asset::Links;
use crate::domain::media::AllowedTypes;
use crate::domain::multipart::{MAX_PART_BYTES, MIN_PART_BYTES};
use crate::domain::timestamp::Timestamp;
use crate::domain::upload::UploadRules;
use crate::domain::webhook_url::{is_host_and_port, split_port};
use crate::error::ApiError;
use crate::presign::{LONGEST_SIGNATURE_SECONDS, S3, Signer};
use crate::webhook_secret::SigningKey;

/// Types permitted where `ALLOWED_MIME_TYPES` is not set. No XML, which may hold scripts (SVG does). Two have a
/// second name that browsers on Windows and Linux give: ZIP and GZIP.
pub const DEFAULT_ALLOWED_MIME_TYPES: &str = "image/*, video/*, audio/*, application/pdf, application/json, application/zip, \
     application/x-zip-compressed, application/gzip, application/x-gzip, \
     application/octet-stream, text/plain, text/csv, text/markdown, text/rtf, application/rtf, \
     application/msword, \
     application/vnd.openxmlformats-officedocument.wordprocessingml.document, \
     application/vnd.ms-excel, \
     application/vnd.openxmlformats-officedocument.spreadsheetml.sheet, \
     application/vnd.ms-powerpoint, \
     application/vnd.openxmlformats-officedocument.presentationml.presentation, \
     application/vnd.oasis.opendocument.text, application/vnd.oasis.opendocument.spreadsheet, \
     application/vnd.oasis.opendocument.presentation, \
     application/vnd.oasis.opendocument.graphics";
/// Bytes permitted where `MAX_UPLOAD_BYTES` is not set: 50 MiB.
pub const DEFAULT_MAX_UPLOAD_BYTES: u64 = 52_428_800;
/// Where `STORAGE_TIMEOUT_MS` is not set.
pub const DEFAULT_STORAGE_TIMEOUT_MS: u64 = 5_000;
/// Where `SWEEP_TIMEOUT_MS` is not set. Longer than a request may wait: a call moves up to 5,000 rows or objects.
pub const DEFAULT_SWEEP_TIMEOUT_MS: u64 = 30_000;
/// Where `DELETED_RETENTION_DAYS` is not set.
pub const DEFAULT_RETENTION_DAYS: u64 = 30;
/// Where `SWEEP_MAX_STATEMENTS` is not set: what D1 permits an invocation on the Free plan.
pub const DEFAULT_SWEEP_MAX_STATEMENTS: u64 = 50;
/// The largest object that R2 keeps: 5 GiB less than 5 TiB.
const LARGEST_OBJECT: u64 = (1024 - 1) * 5 * 1024 * 1024 * 1024;
/// Where `MULTIPART_PART_BYTES` is not set: 16 MiB.
pub const DEFAULT_PART_BYTES: u64 = 16 * 1024 * 1024;

/// The configuration of a running Worker.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// What may become an asset.
    pub rules: UploadRules,
    /// Where assets are served.
    pub links: Links,
    /// Which browsers' pages may call.
    pub cors: Cors,
    /// How uploads are signed and how long they may take.
    pub uploads: Uploads,
    /// The time limit of a storage call, retries included, in milliseconds.
    pub storage_timeout_ms: u64,
    /// The limits of the sweeper, and what it does with orphans.
    pub sweep: SweepSettings,
    /// The time limit of a storage call of the sweeper, retries included, in milliseconds.
    pub sweep_timeout_ms: u64,
    /// How events are sent to webhooks.
    pub webhooks: WebhookSettings,
    /// Whether storage's notification of an object confirms its upload.
    pub auto_confirm: bool,
}

/// How events are sent to webhooks.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// What the secrets of webhooks are derived from; the error names the secret that is missing.
    pub signing_key: Result<SigningKey, String>,
    /// Pairs of host and port that may be local and plain http.
    pub insecure_hosts: Vec<String>,
}

/// The limits of a run of the sweeper, and what it does with orphans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepSettings {
    /// How long after its deletion what is in the trash is purged.
    pub retention_seconds: u64,
    /// What to do with orphans.
    pub orphans: SweepOrphans,
    /// Statements sent to the database at most, repeats included.
    pub max_statements: u32,
}

/// What the sweeper does with orphans: objects with neither a session nor an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepOrphans {
    /// Removes them a week after it has found them, unless they are so many that the database may be incomplete.
    Few,
    /// Removes them a week after it has found them, however many they are.
    All,
    /// Leaves them alone.
    None,
}

/// How uploads and downloads are signed, and how long they may take.
#[derive(Clone, PartialEq, Eq)]
pub struct Uploads {
    /// The S3 side of the bucket; the error names the variables and secrets that are missing.
    pub s3: Result<S3, String>,
    /// Whether storage rejects a second PUT to the same key.
    pub write_once: bool,
    /// Life of an upload URL, in seconds.
    pub upload_url_seconds: u64,
    /// Life of a download URL, in seconds.
    pub download_url_seconds: u64,
    /// How long an upload may be confirmed, in seconds from its start.
    pub confirm_seconds: u64,
    /// Bytes of a part of an upload in parts, if [`MAX_PARTS`](crate::domain::multipart::MAX_PARTS) of them suffice.
    pub part_bytes: u64,
}

impl Uploads {
    /// How many seconds an upload URL that is signed now is valid, and until when, for a session with this deadline. No URL
    /// outlives its session, and a signature counts in whole seconds.
    pub fn url_life(&self, now: Timestamp, deadline: Timestamp) -> (u64, Timestamp) {
        let seconds = self.upload_url_seconds.min(now.seconds_until(deadline)).max(1);
        (seconds, now.whole_second().plus_seconds(seconds))
    }
}

/// Origins whose pages may call the API from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// No CORS headers at all.
    Off,
    /// Any page.
    Any,
    /// Pages of these origins, compared exactly.
    Origins(Vec<String>),
}

impl Cors {
    /// Whether the API answers browsers on other origins at all.
    pub fn is_on(&self) -> bool {
        *self != Self::Off
    }

    /// The value of `Access-Control-Allow-Origin` for a page of `origin`; `None` when it may not call.
    pub fn allow_origin<'a>(&self, origin: Option<&'a str>) -> Option<&'a str> {
        match self {
            Self::Off => None,
            Self::Any => Some("*"),
            Self::Origins(list) => origin.filter(|origin| list.iter().any(|one| one == origin)),
        }
    }
}

impl Config {
    /// Reads the variables through `get`; one that is unset or blank takes its default.
    ///
    /// # Errors
    /// A sentence for each invalid variable: its name, and what is valid.
    pub fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let get =
            |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let mut errors = Vec::new();

        let max_bytes = match get("MAX_UPLOAD_BYTES")
            .map_or(Ok(DEFAULT_MAX_UPLOAD_BYTES), |text| text.parse())
        {
            Ok(bytes) if (1..=LARGEST_OBJECT).contains(&bytes) => bytes,
            _ => {
                errors.push(format!(
                    "MAX_UPLOAD_BYTES must be a whole number of bytes from 1 to {LARGEST_OBJECT}, the most that an object in R2 can have"
                ));
                DEFAULT_MAX_UPLOAD_BYTES
            }
        };

        let types = get("ALLOWED_MIME_TYPES").unwrap_or_else(|| DEFAULT_ALLOWED_MIME_TYPES.to_owned());
        let allowed_types = list(&types)
            .and_then(|entries| AllowedTypes::parse(entries.iter().map(String::as_str)))
            .map_err(|entry| {
                errors.push(format!(
                    "ALLOWED_MIME_TYPES must be a list like `image/*, application/pdf, !image/svg+xml` that permits something; wrong: `{entry}`"
                ));
            });

        let reject_mismatch = match get("DECLARED_MISMATCH").as_deref() {
            None | Some("accept") => false,
            Some("reject") => true,
            Some(_) => {
                errors.push("DECLARED_MISMATCH must be `accept` or `reject`".to_owned());
                false
            }
        };

        let public_base_url = get("PUBLIC_BASE_URL").and_then(|text| {
            if host_of(&text).is_none() || text.contains(['?', '#']) {
                errors.push(
                    "PUBLIC_BASE_URL must be an absolute http or https URL without query and fragment"
                        .to_owned(),
                );
                return None;
            }
            Some(text.trim_end_matches('/').to_owned())
        });

        let thumbnail_template = get("THUMBNAIL_URL_TEMPLATE").filter(|template| {
            let filled = template.replace("{key}", "k").replace("{url}", "https://a.example/k");
            let valid = filled != *template && !filled.contains(['{', '}']) && host_of(&filled).is_some();
            if !valid {
                errors.push(
                    "THUMBNAIL_URL_TEMPLATE must be an absolute http or https URL with `{key}` or `{url}` in it, and no other braces"
                        .to_owned(),
                );
            }
            valid
        });

        let write_once = match get("WRITE_ONCE").as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => {
                errors.push("WRITE_ONCE must be `true` or `false`".to_owned());
                true
            }
        };

        let mut number = |name: &str, default: u64, unit: &str, range: RangeInclusive<u64>| match get(name)
            .map_or(Ok(default), |text| text.parse())
        {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (least, most) = range.into_inner();
                errors.push(format!("{name} must be a whole number of {unit} from {least} to {most}"));
                default
            }
        };
        let of_signature = 1..=LONGEST_SIGNATURE_SECONDS;
        let upload_url_seconds = number("UPLOAD_URL_TTL_SECONDS", 900, "seconds", of_signature.clone());
        let download_url_seconds = number("DOWNLOAD_URL_TTL_SECONDS", 3600, "seconds", of_signature);
        let confirm_seconds = number("CONFIRM_TTL_SECONDS", 86_400, "seconds", 1..=30 * 86_400);
        let part_bytes =
            number("MULTIPART_PART_BYTES", DEFAULT_PART_BYTES, "bytes", MIN_PART_BYTES..=MAX_PART_BYTES);
        let storage_timeout_ms =
            number("STORAGE_TIMEOUT_MS", DEFAULT_STORAGE_TIMEOUT_MS, "milliseconds", 100..=25_000);
        let sweep_timeout_ms =
            number("SWEEP_TIMEOUT_MS", DEFAULT_SWEEP_TIMEOUT_MS, "milliseconds", 1_000..=60_000);
        let max_statements =
            number("SWEEP_MAX_STATEMENTS", DEFAULT_SWEEP_MAX_STATEMENTS, "statements", 50..=10_000);
        let retention_days = number("DELETED_RETENTION_DAYS", DEFAULT_RETENTION_DAYS, "days", 0..=3_650);
        if upload_url_seconds > confirm_seconds {
            errors.push("CONFIRM_TTL_SECONDS must be at least UPLOAD_URL_TTL_SECONDS, or an upload could end too late to be confirmed".to_owned());
        }

        let sweep_orphans = match get("SWEEP_ORPHANS").as_deref() {
            None | Some("few") => SweepOrphans::Few,
            Some("all") => SweepOrphans::All,
            Some("none") => SweepOrphans::None,
            Some(_) => {
                errors.push("SWEEP_ORPHANS must be `few`, `all` or `none`".to_owned());
                SweepOrphans::None
            }
        };

        let endpoint = get("S3_ENDPOINT");
        if endpoint.as_ref().is_some_and(|text| {
            text.contains(['?', '#']) || !text.starts_with('/') && host_of(text).is_none()
        }) {
            errors.push(
                "S3_ENDPOINT must be an absolute http or https URL, or a path that begins with `/`, without query and fragment"
                    .to_owned(),
            );
        }
        let s3 = s3(endpoint, get("S3_BUCKET"), get("S3_ACCESS_KEY_ID"), get("S3_SECRET_ACCESS_KEY"));

        let signing_key = get("WEBHOOK_SIGNING_KEY")
            .map(SigningKey::new)
            .ok_or_else(|| "cannot sign webhooks, not set: WEBHOOK_SIGNING_KEY".to_owned());
        let insecure_hosts = match get("WEBHOOK_INSECURE_HOSTS").map_or(Ok(Vec::new()), |text| list(&text)) {
            Ok(hosts) if hosts.iter().all(|pair| is_host_and_port(pair)) => hosts,
            _ => {
                errors.push(
                    "WEBHOOK_INSECURE_HOSTS must be a list of hosts with their ports, in lower case, like `localhost:9000, 127.0.0.1:9000`"
                        .to_owned(),
                );
                Vec::new()
            }
        };
        let auto_confirm = match get("AUTO_CONFIRM").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                errors.push("AUTO_CONFIRM must be `true` or `false`".to_owned());
                false
            }
        };

        let cors = match get("CORS_ALLOWED_ORIGINS") {
            None => Cors::Off,
            Some(text) if text == "*" => Cors::Any,
            Some(text) => match list(&text) {
                Ok(origins) if !origins.is_empty() && origins.iter().all(|origin| is_origin(origin)) => {
                    Cors::Origins(origins)
                }
                _ => {
                    errors.push(
                        "CORS_ALLOWED_ORIGINS must be `*` or a list of origins like `https://app.example.com`, without path or trailing slash"
                            .to_owned(),
                    );
                    Cors::Off
                }
            },
        };

        match allowed_types {
            Ok(allowed_types) if errors.is_empty() => Ok(Self {
                rules: UploadRules { max_bytes, allowed_types, reject_mismatch },
                links: Links { public_base_url, thumbnail_template },
                cors,
                uploads: Uploads {
                    s3,
                    write_once,
                    upload_url_seconds,
                    download_url_seconds,
                    confirm_seconds,
                    part_bytes,
                },
                storage_timeout_ms,
                sweep: SweepSettings {
                    orphans: sweep_orphans,
                    retention_seconds: retention_days * 86_400,
                    max_statements: u32::try_from(max_statements).unwrap_or(u32::MAX),
                },
                sweep_timeout_ms,
                webhooks: WebhookSettings { signing_key, insecure_hosts },
                auto_confirm,
            }),
            _ => Err(errors),
        }
    }
}

impl Config {
    /// URL of an object: the public one where there is a base, else one signed for a while, else none.
    ///
    /// # Errors
    /// `Internal` when the configured endpoint is no URL.
    pub fn asset_url(&self, key: &str, origin: &str, now: Timestamp) -> Result<Option<String>, ApiError> {
        Ok(self.asset_urls(origin, now)?.url(key))
    }

    /// The URLs of several objects.
    ///
    /// # Errors
    /// `Internal` when the configured endpoint is no URL.
    pub fn asset_urls(&self, origin: &str, now: Timestamp) -> Result<AssetUrls<'_>, ApiError> {
        let links = &self.links;
        let s3 = self.uploads.s3.as_ref().ok().filter(|_| links.public_base_url.is_none());
        let signer = s3.map(|s3| s3.signer(origin, now)).transpose()?;
        Ok(AssetUrls { links, signer, seconds: self.uploads.download_url_seconds })
    }
}

/// The URLs of objects, at one time.
pub struct AssetUrls<'a> {
    links: &'a Links,
    signer: Option<Signer<'a>>,
    seconds: u64,
}

impl AssetUrls<'_> {
    /// URL of one object; `None` where neither a public base nor signing is configured.
    pub fn url(&self, key: &str) -> Option<String> {
        let signed = || self.signer.as_ref().map(|signer| signer.get(key, self.seconds));
        self.links.url(key).or_else(signed)
    }
}

/// The S3 side of the bucket; the error names what is missing of it.
fn s3(
    endpoint: Option<String>,
    bucket: Option<String>,
    id: Option<String>,
    secret: Option<String>,
) -> Result<S3, String> {
    match (endpoint, bucket, id, secret) {
        (Some(endpoint), Some(bucket), Some(access_key_id), Some(secret_access_key)) => {
            Ok(S3 { endpoint, bucket, access_key_id, secret_access_key })
        }
        (endpoint, bucket, id, secret) => {
            let parts = [
                ("S3_ENDPOINT", endpoint.is_none()),
                ("S3_BUCKET", bucket.is_none()),
                ("S3_ACCESS_KEY_ID", id.is_none()),
                ("S3_SECRET_ACCESS_KEY", secret.is_none()),
            ];
            let missing: Vec<&str> =
                parts.iter().filter(|(_, missing)| *missing).map(|(name, _)| *name).collect();
            Err(format!("cannot sign URLs, not set: {}", missing.join(", ")))
        }
    }
}

/// A list: separated by commas or white space, or a JSON array of strings (as a TOML array arrives).
/// The error is the text that is neither.
fn list(text: &str) -> Result<Vec<String>, String> {
    if text.starts_with('[') {
        return serde_json::from_str(text).map_err(|_| text.to_owned());
    }
    let entries = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
    Ok(entries.map(str::to_owned).collect())
}

/// The host, with its port, of an absolute http or https URL in ASCII; `None` for anything else. A URL
/// library would be a fifth of the Worker's size, and a browser will tell of what this lets through.
fn host_of(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let host = rest.split(['/', '?', '#']).next().filter(|host| !host.contains('@'))?;
    split_port(host).filter(|(name, _)| !name.is_empty())?;
    url.bytes().all(|byte| byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte)).then_some(host)
}

/// Whether the text is an origin exactly as a browser sends it: scheme, lower-case host, and the port
/// unless it is the scheme's own.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let own_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    split_port(authority).is_some_and(|(host, port)| {
        let valid = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                let known = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_');
                !host.is_empty() && host.bytes().all(known)
            }
        };
        valid && port != Some(own_port)
    })
}
