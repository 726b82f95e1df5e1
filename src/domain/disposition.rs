//! `Content-Disposition`: the name under which a download is saved, and whether a browser shows it instead.

use super::media::MimeType;
use super::percent::encode_value;
use super::upload::Filename;

/// The header's value for a file of this type and name (RFC 6266), in visible ASCII and single spaces.
///
/// `filename` is for clients that do not know `filename*`: what it cannot say is `_` in it. Runs of spaces
/// become one, as a signature (SigV4) folds them. `filename*` has the name itself, as RFC 8187 writes it.
pub fn content_disposition(mime_type: &MimeType, filename: &Filename) -> String {
    let kind = if is_shown(mime_type) { "inline" } else { "attachment" };
    let mut ascii = String::with_capacity(filename.as_str().len());
    for c in filename.as_str().chars() {
        match c {
            // In quotes, \ would begin an escape, and some clients decode %.
            '"' | '\\' | '%' => ascii.push('_'),
            ' ' if ascii.ends_with(' ') => {}
            ' '..='~' => ascii.push(c),
            _ => ascii.push('_'),
        }
    }
    format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''{}", encode_value(filename.as_str()))
}

/// Whether a browser may show it: what cannot run scripts where it is served.
fn is_shown(mime_type: &MimeType) -> bool {
    match mime_type.as_str() {
        "application/pdf" | "text/plain" => true,
        _ => matches!(mime_type.top_level(), "image" | "video" | "audio") && !mime_type.is_xml(),
    }
}
