//! Percent-encoding (RFC 3986).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a value must encode: all but the unreserved characters of RFC 3986.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What a path must encode: the same, but for the slash.
const PATH: &AsciiSet = &VALUE.remove(b'/');

/// A text as one value of a query or of a header.
pub fn encode_value(text: &str) -> String {
    utf8_percent_encode(text, VALUE).to_string()
}

/// A text as a path, its slashes kept.
pub fn encode_path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}
