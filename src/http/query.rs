//! The parameters of a query: each known one at most once, and every error at once.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::fields::{FieldErrors, shortened};
use crate::error::FieldError;

/// The parameters of a query, in order, decoded as `application/x-www-form-urlencoded`.
pub struct Query {
    params: Vec<Param>,
    known: Vec<&'static str>,
}

struct Param {
    name: String,
    /// `None` where it is not UTF-8.
    value: Option<String>,
}

impl Query {
    /// Those of what follows `?`.
    pub fn parse(query: &str) -> Self {
        let params = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| {
                let text = text.replace('+', " ");
                String::from_utf8(percent_decode_str(&text).collect()).ok()
            };
            Param { name: decode(name).unwrap_or_else(|| name.to_owned()), value: decode(value) }
        });
        Self { params: params.collect(), known: Vec::new() }
    }

    /// A parameter that may be left out.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        errors: &mut FieldErrors,
        parse: impl FnOnce(&str) -> Result<T, FieldError>,
    ) -> Option<T> {
        let text = self.text(name, errors)?;
        errors.check(parse(text))
    }

    /// A parameter that is `true` or `false`; false where it is left out.
    pub fn flag(&mut self, name: &'static str, errors: &mut FieldErrors) -> bool {
        let parse = |text: &str| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(FieldError::new(&["query", name], "bool_parsing", "Must be true or false.")),
        };
        self.optional(name, errors, parse).unwrap_or(false)
    }

    /// The decoded text of a parameter; its first, where it stands more than once.
    fn text(&mut self, name: &'static str, errors: &mut FieldErrors) -> Option<&str> {
        self.known.push(name);
        let value = &self.params.iter().find(|param| param.name == name)?.value;
        if value.is_none() {
            errors.push(FieldError::new(&["query", name], "utf8", "Must be UTF-8, percent-encoded."));
        }
        value.as_deref()
    }

    /// The parameters that no list shares with others, in alphabetical order: what its cursors are bound to.
    pub fn filters(&self, shared: &[&str]) -> String {
        let mut filters: Vec<_> = self
            .params
            .iter()
            .filter(|param| !shared.contains(&param.name.as_str()))
            .map(|Param { name, value }| format!("{name}={}\n", value.as_deref().unwrap_or_default()))
            .collect();
        filters.sort();
        filters.concat()
    }

    /// The errors of parameters that are unknown, or stand more than once.
    pub fn finish(self, errors: &mut FieldErrors) {
        let mut counts = BTreeMap::<&str, usize>::new();
        for Param { name, .. } in &self.params {
            let loc = ["query", shortened(name)];
            let count = counts.entry(name).or_default();
            *count += 1;
            if !self.known.contains(&name.as_str()) {
                let msg = "There is no such parameter here; leave it out.";
                errors.push(FieldError::new(&loc, "extra_forbidden", msg));
            } else if *count == 2 {
                let msg = "Stands more than once; send it once.";
                errors.push(FieldError::new(&loc, "duplicate_parameter", msg));
            }
        }
    }
}

/// A parameter that is a UUID.
///
/// # Errors
/// When it is none.
pub fn query_id<T>(name: &str, text: &str, parse: fn(&str) -> Option<T>) -> Result<T, FieldError> {
    parse(text).ok_or_else(|| FieldError::not_a_uuid(&["query", name]))
}

/// A parameter that is a UUID, or a word that stands for none.
///
/// # Errors
/// When it is neither.
pub fn query_id_or<T>(
    name: &str,
    word: &str,
    text: &str,
    parse: fn(&str) -> Option<T>,
) -> Result<Option<T>, FieldError> {
    if text == word {
        return Ok(None);
    }
    parse(text).map(Some).ok_or_else(|| {
        let msg = format!("Must be a UUID such as 018f4d2e-7c4b-7a35-9c1f-0242ac120002, or {word}.");
        FieldError::new(&["query", name], "uuid_parsing", msg)
    })
}
