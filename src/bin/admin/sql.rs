//! Values as SQL literals: `wrangler d1 execute` binds no parameters.

/// An SQL literal. Text of anything but harmless characters is written as the hexadecimal digits of its
/// bytes, so that there is nothing in it that a parser, a splitter of statements or a shell could take
/// for the end of the literal.
pub(crate) fn quote(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || " .@_-+".contains(c);
    if text.chars().all(harmless) && !text.contains("--") {
        return format!("'{text}'");
    }
    let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("CAST(x'{digits}' AS TEXT)")
}

pub(crate) fn optional(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), quote)
}
