//! Operations on the database: each is one transaction of SQL statements, and the decoding of its rows.
//!
//! Every statement returns rows with one text column, `json`. A row crosses from D1 to the Worker as one string, and
//! SQLite in the tests returns the same.

pub mod account;
pub mod api_keys;
pub mod asset_list;
pub mod assets;
pub mod confirm;
pub mod deliveries;
pub mod folder_list;
pub mod folder_trash;
pub mod folders;
pub mod health;
mod limits;
pub mod multipart;
pub mod notifications;
pub mod outbox;
pub mod page;
pub mod purge;
pub mod removals;
pub mod rights;
pub mod sweep;
pub mod uploads;
pub mod webhooks;

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// A value bound to a statement. It travels to D1 as JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Param {
    /// TEXT
    Text(String),
    /// INTEGER. Travels to D1 as a double, as all numbers do; exact below 2^53.
    Int(i64),
    /// NULL
    Null,
}

impl Param {
    /// Not generic, so that the Worker has this code once.
    fn text(value: &dyn fmt::Display) -> Self {
        Self::Text(value.to_string())
    }
}

impl<T: fmt::Display> From<&T> for Param {
    fn from(value: &T) -> Self {
        Self::text(value)
    }
}

impl<T: fmt::Display> From<Option<&T>> for Param {
    fn from(value: Option<&T>) -> Self {
        value.map_or(Self::Null, Self::from)
    }
}

/// One SQL statement, with values for `?1`, `?2`, ...
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The text. Static, so that no value can ever be part of it.
    pub sql: &'static str,
    /// The values, as many as the text names.
    pub params: Vec<Param>,
}

/// What a transaction returned.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// For each statement the JSON text of its rows.
    pub texts: Vec<Vec<String>>,
}

impl Rows {
    /// The first row of the last statement that returned any; `None` where none did.
    ///
    /// # Errors
    /// `Internal` when the row is not a `T`.
    pub fn last_row<'a, T: Deserialize<'a>>(&'a self) -> Result<Option<T>, ApiError> {
        self.texts.iter().rposition(|rows| !rows.is_empty()).map_or(Ok(None), |n| self.first(n))
    }

    /// The first row of statement `n`; `None` where it returned none.
    ///
    /// # Errors
    /// `Internal` when the statement is missing or the row is not a `T`.
    pub fn first<'a, T: Deserialize<'a>>(&'a self, n: usize) -> Result<Option<T>, ApiError> {
        self.statement(n)?.first().map(|json| parse(n, json)).transpose()
    }

    /// All rows of statement `n`.
    ///
    /// # Errors
    /// `Internal` when the statement is missing or a row is not a `T`.
    pub fn all<T: DeserializeOwned>(&self, n: usize) -> Result<Vec<T>, ApiError> {
        self.statement(n)?.iter().map(|json| parse(n, json)).collect()
    }

    /// How many rows statement `n` returned.
    ///
    /// # Errors
    /// `Internal` when the statement is missing.
    pub fn count(&self, n: usize) -> Result<u32, ApiError> {
        Ok(u32::try_from(self.statement(n)?.len()).unwrap_or(u32::MAX))
    }

    fn statement(&self, n: usize) -> Result<&[String], ApiError> {
        let rows = self.texts.get(n).map(Vec::as_slice);
        rows.ok_or_else(|| ApiError::Internal(format!("D1 answered no statement {n}")))
    }
}

fn parse<'a, T: Deserialize<'a>>(n: usize, json: &'a str) -> Result<T, ApiError> {
    serde_json::from_str(json).map_err(|error| ApiError::Internal(format!("row of statement {n}: {error}")))
}

/// One transaction of the system itself, without a caller; [`rights::CallerOperation`] is one for a caller.
/// It must be safe to repeat when its answer was lost after the commit.
pub trait Operation {
    /// Its result.
    type Output;

    /// The statements, at least one, in order.
    fn statements(&self) -> Vec<Statement>;

    /// Decodes the rows.
    ///
    /// # Errors
    /// `Internal` when rows are not as expected.
    fn decode(&self, rows: &Rows) -> Result<Self::Output, ApiError>;
}
