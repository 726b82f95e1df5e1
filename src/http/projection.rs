//! Projection: which fields of an item are answered.

use serde::ser::{Error, SerializeMap};
use serde::{Serialize, Serializer};

use super::fields::{FieldErrors, Members};
use super::query::Query;
use crate::domain::page::SortBy;
use crate::error::FieldError;

/// An item of a list, or what else `fields` applies to.
pub trait Item: Serialize {
    /// The names of all its fields, in order.
    const FIELDS: &'static [&'static str];
    /// What a list of them can be sorted by.
    const SORTED_BY: &'static [SortBy] = &[SortBy::CreatedAt, SortBy::Name];
}

/// The fields that a request asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Option<Vec<&'static str>>);

impl Fields {
    /// Those of the query.
    pub fn parse<T: Item>(query: &mut Query, errors: &mut FieldErrors) -> Self {
        Self(query.optional("fields", errors, |text| chosen(text, T::FIELDS)))
    }

    /// Whether this one is to be answered.
    pub fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(&name))
    }

    /// An item with these fields alone.
    pub fn of<T: Item>(&self, item: T) -> Projected<'_, T> {
        Projected { item, names: self.0.as_deref() }
    }
}

/// Not generic over the item, so that the Worker has this code once.
fn chosen(text: &str, all: &'static [&'static str]) -> Result<Vec<&'static str>, FieldError> {
    let names = text.split(',').map(|name| all.iter().copied().find(|known| *known == name));
    names.collect::<Option<_>>().ok_or_else(|| {
        let msg = format!("Must be one or more of these, separated by commas: {}.", all.join(", "));
        FieldError::new(&["query", "fields"], "enum", msg)
    })
}

/// An item with some of its fields.
#[derive(Debug)]
pub struct Projected<'a, T> {
    item: T,
    names: Option<&'a [&'static str]>,
}

/// The item's schema, of which no field need be there.
#[cfg(not(target_arch = "wasm32"))]
impl<T: schemars::JsonSchema> schemars::JsonSchema for Projected<'_, T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}Fields", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = T::json_schema(generator);
        schema.remove("required");
        schema.insert(
            "description".to_owned(),
            format!("As `{}`. With `fields`, only those.", T::schema_name()).into(),
        );
        schema
    }
}

impl<T: Serialize> Serialize for Projected<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(names) = self.names else { return self.item.serialize(serializer) };
        let json = serde_json::to_string(&self.item).map_err(S::Error::custom)?;
        let members: Members<'_> = serde_json::from_str(&json).map_err(S::Error::custom)?;
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in members.pairs().filter(|(name, _)| names.contains(name)) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
