//! Where webhooks may be sent: nowhere that only this network can reach.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Characters of a webhook's URL at most.
pub const MAX_URL_LENGTH: usize = 2_000;

/// Why a URL cannot be a webhook's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    /// It is no absolute URL in ASCII, or has credentials, a fragment or characters that must be percent-encoded.
    Malformed,
    /// It is not https.
    Scheme,
    /// The host is an address, a local name, or no public name at all.
    Host,
    /// The port is below 1024 and not 443.
    Port,
}

impl UrlError {
    /// What to do about it.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Malformed => {
                "Must be an absolute https URL of at most 2000 characters, in ASCII, without credentials and fragment."
            }
            Self::Scheme => "Must be an https URL.",
            Self::Host => "Must have a public host name, in ASCII (punycode); no address and no local name.",
            Self::Port => "Must have port 443, or one above 1023.",
        }
    }
}

/// Names that networks use for themselves (RFC 6761, RFC 6762, RFC 8375, and what routers and offices use).
const LOCAL_SUFFIXES: [&str; 12] = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "workgroup",
    "svc",
    "arpa",
];

/// Checks where a webhook wants its events: https, no credentials, a public host name, port 443 or above 1023. A pair of
/// host and port that the operator lists may be local and plain http. The host is compared as text, so only what every
/// reader of URLs takes for the same host passes: lower-case or upper-case letters, digits, hyphens and dots.
///
/// # Errors
/// What is wrong with it.
pub fn check_url(url: &str, insecure_hosts: &[String]) -> Result<(), UrlError> {
    let printable = |byte: u8| byte.is_ascii_graphic() && !br#""<>\^`{|}#"#.contains(&byte);
    if url.len() > MAX_URL_LENGTH || !url.bytes().all(printable) {
        return Err(UrlError::Malformed);
    }
    let (scheme, rest) = url.split_once("://").ok_or(UrlError::Malformed)?;
    let secure = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return Err(UrlError::Scheme),
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(UrlError::Malformed);
    }
    let authority = authority.to_ascii_lowercase();
    let (host, port) = split_port(&authority).ok_or(UrlError::Malformed)?;
    let port = port.unwrap_or(if secure { 443 } else { 80 });
    let pair = format!("{host}:{port}");
    if insecure_hosts.contains(&pair) {
        return Ok(());
    }
    if !secure {
        return Err(UrlError::Scheme);
    }
    if !is_public_name(host) {
        return Err(UrlError::Host);
    }
    if port != 443 && port < 1024 { Err(UrlError::Port) } else { Ok(()) }
}

/// Host and port; `None` where either is none.
pub fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        // An IPv6 address has colons of its own, inside brackets.
        Some((host, port)) if !port.ends_with(']') => {
            let number = port.parse::<u16>().ok().filter(|number| number.to_string() == port);
            (host, Some(number.filter(|number| *number > 0)?))
        }
        _ => (authority, None),
    };
    (!host.is_empty()).then_some((host, port))
}

/// Whether a pair of host and port can be listed as permitted although it is local: a name or an address, in the form
/// that [`check_url`] compares.
pub fn is_host_and_port(pair: &str) -> bool {
    split_port(pair).is_some_and(|(host, port)| {
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let valid = match address {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => host.split('.').all(is_label),
        };
        valid && port.is_some() && pair == pair.to_ascii_lowercase()
    })
}

/// A part of a host name.
fn is_label(label: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(letter)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Whether it is a name of the public DNS: at least two labels, of which the last is no number (all forms of an IPv4
/// address end in one) and reserved for no local use.
fn is_public_name(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let Some(top) = labels.last() else { return false };
    let is_number = top.bytes().all(|byte| byte.is_ascii_digit())
        || top.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    host.len() <= 253
        && labels.len() >= 2
        && labels.iter().all(|label| is_label(label))
        && !is_number
        && host.parse::<Ipv4Addr>().is_err()
        && !LOCAL_SUFFIXES.contains(top)
}
