//! The fields of a request: each is parsed by itself, so that every error is found at once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::request::{Body, Input};
use crate::domain::upload::Filename;
use crate::error::{ApiError, FieldError};

/// The errors of a request's fields, in the order of `errors`.
#[derive(Debug, Default)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// The value, or `None` with its error put on the list.
    pub fn check<T>(&mut self, result: Result<T, FieldError>) -> Option<T> {
        result.map_err(|error| self.0.push(error)).ok()
    }

    /// Puts an error on the list.
    pub fn push(&mut self, error: FieldError) {
        self.0.push(error);
    }

    /// The request, where every field of it has a value and there are no errors.
    ///
    /// # Errors
    /// `Validation` with every error.
    pub fn finish<T>(self, request: Option<T>) -> Result<T, ApiError> {
        request.filter(|_| self.0.is_empty()).ok_or(ApiError::Validation(self.0))
    }
}

/// An id of the path. `name` is the parameter's.
///
/// # Errors
/// When it is no UUID.
pub fn path_id<T>(name: &str, value: &str, parse: fn(&str) -> Option<T>) -> Result<T, FieldError> {
    parse(value).ok_or_else(|| FieldError::not_a_uuid(&["path", name]))
}

/// A JSON string.
///
/// # Errors
/// Any other value, with this message.
pub fn string(name: &str, value: &RawValue, msg: &str) -> Result<String, FieldError> {
    let text = value.get().starts_with('"').then(|| serde_json::from_str(value.get()).ok()).flatten();
    text.ok_or_else(|| FieldError::new(&["body", name], "string_type", msg))
}

/// A JSON boolean.
///
/// # Errors
/// Any other value.
pub fn boolean(name: &str, value: &RawValue) -> Result<bool, FieldError> {
    value.get().parse().map_err(|_| FieldError::new(&["body", name], "bool_type", "Must be true or false."))
}

/// A JSON array of so many values.
///
/// # Errors
/// Any other value.
pub fn list<'a>(
    name: &str,
    value: &'a RawValue,
    length: RangeInclusive<usize>,
) -> Result<Vec<&'a RawValue>, FieldError> {
    let values: Option<Vec<&RawValue>> = serde_json::from_str(value.get()).ok();
    values.filter(|values| length.contains(&values.len())).ok_or_else(|| {
        let msg = format!("Must be a list of {} to {} entries.", length.start(), length.end());
        FieldError::new(&["body", name], "list_type", msg)
    })
}

/// A JSON string that holds a file's name.
///
/// # Errors
/// Any other value.
pub fn filename(name: &str, value: &RawValue) -> Result<Filename, FieldError> {
    const MSG: &str = "Must be a string of 1 to 500 characters, not . or .., without control and bidirectional-override characters, / and \\.";
    let text = string(name, value, MSG)?;
    Filename::parse(&text).ok_or_else(|| FieldError::new(&["body", name], "filename", MSG))
}

/// A JSON number that is whole; `Some(None)` where it is negative or beyond 64 bits, `None` for any other value.
pub fn whole_number(value: &RawValue) -> Option<Option<u64>> {
    // 5.0 is the whole number 5, to JSON Schema and to languages that write it so.
    let whole = match value.get().split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => value.get(),
    };
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| whole.parse().ok())
}

/// A JSON string that holds a UUID. `loc` is the way to it.
///
/// # Errors
/// Any other value.
pub fn id<T>(loc: &[&str], value: &RawValue, parse: fn(&str) -> Option<T>) -> Result<T, FieldError> {
    if value.get().starts_with('"') {
        return optional_id(loc, value, parse)?.ok_or_else(|| FieldError::not_a_uuid(loc));
    }
    Err(FieldError::new(loc, "string_type", "Must be a string holding a UUID."))
}

/// A JSON string that holds a UUID, or null. `loc` is the way to it.
///
/// # Errors
/// Any other value.
pub fn optional_id<T>(
    loc: &[&str],
    value: &RawValue,
    parse: fn(&str) -> Option<T>,
) -> Result<Option<T>, FieldError> {
    if value.get() == "null" {
        return Ok(None);
    }
    if !value.get().starts_with('"') {
        let msg = "Must be a string holding a UUID, or null.";
        return Err(FieldError::new(loc, "string_type", msg));
    }
    let text: Option<String> = serde_json::from_str(value.get()).ok();
    text.and_then(|text| parse(&text)).map(Some).ok_or_else(|| FieldError::not_a_uuid(loc))
}

/// The members of a JSON body, in order and with duplicates, their values unread: nesting costs nothing.
pub struct JsonBody<'a> {
    /// The way to the object: `["body"]`, or to one in it.
    at: Vec<Cow<'static, str>>,
    members: Vec<Member<'a>>,
    known: Vec<&'static str>,
    /// Whether there is no body at all.
    absent: bool,
    /// The errors of what is not there.
    missing: Vec<FieldError>,
}

pub(super) struct Member<'a> {
    name: String,
    value: &'a RawValue,
    error: Option<FieldError>,
}

impl<'a> JsonBody<'a> {
    /// The members of a request's body; none, with an error on the list, when there is no body at all.
    ///
    /// # Errors
    /// `BadRequest` when the body is no JSON object.
    pub fn parse(input: &Input<'a>) -> Result<Self, ApiError> {
        let mut body = Self::parse_optional(input)?;
        if body.absent {
            body.missing.push(FieldError::new(
                &["body"],
                "missing",
                "A JSON body is required; send at least {}.",
            ));
        }
        Ok(body)
    }

    /// The same for a request that needs no body.
    ///
    /// # Errors
    /// `BadRequest` when there is a body that is no JSON object.
    pub fn parse_optional(input: &Input<'a>) -> Result<Self, ApiError> {
        let bytes = match input.body {
            Body::Bytes(bytes) => bytes,
            Body::Over(limit) => return Err(ApiError::BadRequest(limit.error())),
            Body::Broken => {
                return Err(ApiError::BadRequest("The body did not arrive whole; send the request again."));
            }
        };
        if bytes.is_empty() {
            return Ok(Self::of(vec!["body".into()], Vec::new(), true));
        }
        if !input.headers.content_type.as_deref().is_some_and(is_json) {
            return Err(ApiError::BadRequest("Send the body with Content-Type: application/json."));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|_| ApiError::BadRequest("The body is not UTF-8; send JSON in UTF-8."))?;
        let Members(members) = serde_json::from_str(text)
            .map_err(|_| ApiError::BadRequest("The body is not a JSON object; send one such as {}."))?;
        Ok(Self::of(vec!["body".into()], members, false))
    }

    /// The members of an object that is a member of the body.
    ///
    /// # Errors
    /// When it is no object.
    pub fn nested(name: &'static str, value: &'a RawValue) -> Result<Self, FieldError> {
        Self::object_at(vec!["body".into(), name.into()], value)
    }

    /// The members of an object that stands in a list of the body, at this place.
    ///
    /// # Errors
    /// When it is no object.
    pub fn element(name: &'static str, place: usize, value: &'a RawValue) -> Result<Self, FieldError> {
        Self::object_at(vec!["body".into(), name.into(), place.to_string().into()], value)
    }

    fn object_at(at: Vec<Cow<'static, str>>, value: &'a RawValue) -> Result<Self, FieldError> {
        match serde_json::from_str(value.get()) {
            Ok(Members(members)) => Ok(Self::of(at, members, false)),
            Err(_) => {
                let at: Vec<&str> = at.iter().map(AsRef::as_ref).collect();
                Err(FieldError::new(&at, "dict_type", "Must be a JSON object."))
            }
        }
    }

    fn of(at: Vec<Cow<'static, str>>, members: Vec<Member<'a>>, absent: bool) -> Self {
        Self { at, members, known: Vec::new(), absent, missing: Vec::new() }
    }

    /// The way to one of its members.
    fn way<'b>(&'b self, name: &'b str) -> Vec<&'b str> {
        self.at.iter().map(AsRef::as_ref).chain([name]).collect()
    }

    /// A field that may be left out.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&'a RawValue) -> Result<T, FieldError>,
    ) -> Option<T> {
        self.known.push(name);
        let mut found = None;
        for member in self.members.iter_mut().filter(|member| member.name == name) {
            match parse(member.value) {
                Ok(value) => found = Some(value),
                Err(error) => member.error = Some(error),
            }
        }
        found
    }

    /// A field that must be there.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&'a RawValue) -> Result<T, FieldError>,
    ) -> Option<T> {
        if !self.absent && !self.members.iter().any(|member| member.name == name) {
            self.missing.push(FieldError::new(&self.way(name), "missing", "This field is required."));
        }
        self.optional(name, parse)
    }

    /// Puts an error on the list where the body has none of the fields that were asked for.
    pub fn require_one(&mut self, msg: &str) {
        let known = |member: &Member<'_>| self.known.contains(&member.name.as_str());
        if !self.absent && !self.members.iter().any(known) {
            self.missing.push(FieldError::new(&["body"], "missing", msg));
        }
    }

    /// Every error of the body, in the order of its members; then those of members that are duplicated or missing.
    pub fn finish(mut self, errors: &mut FieldErrors) {
        let at = std::mem::take(&mut self.at);
        let way = |name| at.iter().map(AsRef::as_ref).chain([shortened(name)]).collect::<Vec<_>>();
        let (mut counts, mut duplicates) = (BTreeMap::<&str, usize>::new(), Vec::new());
        for Member { name, error, .. } in &mut self.members {
            if !self.known.contains(&name.as_str()) {
                errors.push(FieldError::new(
                    &way(name),
                    "extra_forbidden",
                    "There is no such field; leave it out.",
                ));
            }
            errors.0.extend(error.take());
            let count = counts.entry(name).or_default();
            *count += 1;
            if *count == 2 {
                duplicates.push(FieldError::new(
                    &way(name),
                    "duplicate_field",
                    "Stands more than once; send it once.",
                ));
            }
        }
        errors.0.extend(duplicates);
        errors.0.extend(self.missing);
    }
}

/// A name as repeated in an error: it may be as long as the body.
pub(super) fn shortened(name: &str) -> &str {
    name.char_indices().nth(100).and_then(|(end, _)| name.get(..end)).unwrap_or(name)
}

fn is_json(content_type: &str) -> bool {
    content_type
        .split(';')
        .next()
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// The members of a JSON object.
pub(super) struct Members<'a>(Vec<Member<'a>>);

impl<'a> Members<'a> {
    /// Names and values, in order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|member| (member.name.as_str(), member.value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<Member<'de>>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry()? {
                    members.push(Member { name, value, error: None });
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object).map(Members)
    }
}
