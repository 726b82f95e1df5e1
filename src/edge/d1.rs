//! Runs transactions on D1: each is one batch.

use worker::js_sys::{Array, Promise};
use worker::wasm_bindgen::{JsCast, JsValue};
// The SDK's thin layer: the one above it copies every row through serde once more.
use worker::worker_sys::types::D1Result;

use super::js::{Database, from_json, json_column};
use super::storage::{Storage, error_text};
use crate::storage_error::{StorageError, StorageErrorKind};
use crate::store::{Param, Rows, Statement};

/// The binding's name in wrangler.toml.
const BINDING: &str = "DB";

impl Storage {
    /// Runs one transaction. Every operation is safe to repeat, so one whose answer was lost is simply sent again.
    pub(super) async fn run_batch(&self, statements: &[Statement]) -> Result<Rows, StorageError> {
        let call = || self.batch(statements);
        let results: Array =
            self.call("D1", StorageErrorKind::of_d1, &self.d1_ms, &call).await?.unchecked_into();
        let texts = results.iter().map(|result| texts(result.unchecked_ref())).collect::<Result<_, _>>();
        let unexpected = |error: JsValue| StorageError {
            kind: StorageErrorKind::Unexpected,
            message: format!("D1: {}", error_text(&error)),
        };
        Ok(Rows { texts: texts.map_err(unexpected)? })
    }

    fn batch(&self, statements: &[Statement]) -> Result<Promise, JsValue> {
        let database: Database = self.binding(BINDING)?;
        let params: Vec<&[Param]> = statements.iter().map(|statement| statement.params.as_slice()).collect();
        // Texts and numbers cannot fail to serialize.
        let params: Array = from_json(&serde_json::to_string(&params).unwrap_or_default())?.unchecked_into();
        let bound = Array::new();
        for (statement, params) in statements.iter().zip(params.iter()) {
            bound.push(&database.prepare(statement.sql)?.bind(params.unchecked_into())?.into());
        }
        self.statements.set(self.statements.get() + bound.length());
        database.batch(bound)
    }
}

/// The one column that every statement returns.
fn texts(result: &D1Result) -> Result<Vec<String>, JsValue> {
    let rows = result.results()?.unwrap_or_default();
    let text = |row| json_column(row)?.ok_or_else(|| JsValue::from_str("a row without json"));
    rows.iter().map(text).collect()
}
