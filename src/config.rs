//! The Worker's variables, validated once.

use crate::domain::asset::Links;
use crate::domain::media::AllowedTypes;
use crate::domain::upload::UploadRules;

/// Types permitted where `ALLOWED_MIME_TYPES` is not set. SVG is left out because it may hold scripts.
pub const DEFAULT_ALLOWED_MIME_TYPES: &str = "image/*, video/*, audio/*, !image/svg+xml, application/pdf, \
     application/json, application/zip, application/octet-stream, text/plain, text/csv";
/// Bytes permitted where `MAX_UPLOAD_BYTES` is not set: 50 MiB.
pub const DEFAULT_MAX_UPLOAD_BYTES: u64 = 52_428_800;
/// The largest object a single PUT can make in R2: just under 5 GiB.
const LARGEST_SINGLE_PUT: u64 = 5 * 1024 * 1024 * 1024 - 5 * 1024 * 1024;

/// The configuration of a running Worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What may become an asset.
    pub rules: UploadRules,
    /// Where assets are served.
    pub links: Links,
    /// Which browsers' pages may call.
    pub cors: Cors,
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
    /// A sentence for each variable that is wrong, which names it and says what it may be.
    pub fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let get =
            |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let mut faults = Vec::new();

        let max_bytes = match get("MAX_UPLOAD_BYTES")
            .map_or(Ok(DEFAULT_MAX_UPLOAD_BYTES), |text| text.parse())
        {
            Ok(bytes) if (1..=LARGEST_SINGLE_PUT).contains(&bytes) => bytes,
            _ => {
                faults.push(format!(
                    "MAX_UPLOAD_BYTES must be a whole number of bytes from 1 to {LARGEST_SINGLE_PUT}, the most that R2 takes in one PUT"
                ));
                DEFAULT_MAX_UPLOAD_BYTES
            }
        };

        let types = get("ALLOWED_MIME_TYPES").unwrap_or_else(|| DEFAULT_ALLOWED_MIME_TYPES.to_owned());
        let allowed_types = list(&types)
            .and_then(|entries| AllowedTypes::parse(entries.iter().map(String::as_str)))
            .map_err(|entry| {
                faults.push(format!(
                    "ALLOWED_MIME_TYPES must be a list like `image/*, application/pdf, !image/svg+xml` that permits something; wrong: `{entry}`"
                ));
            });

        let reject_mismatch = match get("DECLARED_MISMATCH").as_deref() {
            None | Some("accept") => false,
            Some("reject") => true,
            Some(_) => {
                faults.push("DECLARED_MISMATCH must be `accept` or `reject`".to_owned());
                false
            }
        };

        let public_base_url = get("PUBLIC_BASE_URL").and_then(|text| {
            if host_of(&text).is_none() || text.contains(['?', '#']) {
                faults.push(
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
                faults.push(
                    "THUMBNAIL_URL_TEMPLATE must be an absolute http or https URL with `{key}` or `{url}` in it, and no other braces"
                        .to_owned(),
                );
            }
            valid
        });

        let cors = match get("CORS_ALLOWED_ORIGINS") {
            None => Cors::Off,
            Some(text) if text == "*" => Cors::Any,
            Some(text) => match list(&text) {
                Ok(origins) if !origins.is_empty() && origins.iter().all(|origin| is_origin(origin)) => {
                    Cors::Origins(origins)
                }
                _ => {
                    faults.push(
                        "CORS_ALLOWED_ORIGINS must be `*` or a list of origins like `https://app.example.com`, without path or trailing slash"
                            .to_owned(),
                    );
                    Cors::Off
                }
            },
        };

        match allowed_types {
            Ok(allowed_types) if faults.is_empty() => Ok(Self {
                rules: UploadRules { max_bytes, allowed_types, reject_mismatch },
                links: Links { public_base_url, thumbnail_template },
                cors,
            }),
            _ => Err(faults),
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
    let host = rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty() && !host.contains('@'))?;
    url.bytes().all(|byte| byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte)).then_some(host)
}

/// Whether the text is an origin as a browser would send it.
fn is_origin(text: &str) -> bool {
    host_of(text).is_some_and(|host| text.ends_with(host)) && !text.contains(|c: char| c.is_ascii_uppercase())
}
