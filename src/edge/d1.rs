//! Runs operations on D1: one batch, which is one transaction, tried again where that is safe.

use worker::js_sys::{Array, Promise};
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::wasm_bindgen::{self, JsCast, JsValue};
// The SDK's lower layer: the one above it panics where a statement cannot be prepared, and copies every row through
// serde once more.
use worker::worker_sys::types::{D1Database, D1Result};

use super::storage::{Storage, text_of};
use crate::error::ApiError;
use crate::outage::Outage;
use crate::store::rights::Identity;
use crate::store::{Operation, Param, Rows, Statement};

#[wasm_bindgen]
extern "C" {
    /// A row of one column.
    type Row;

    #[wasm_bindgen(method, catch, getter)]
    fn json(this: &Row) -> Result<Option<String>, JsValue>;
}

/// The binding's name in wrangler.toml.
const BINDING: &str = "DB";

impl Storage {
    /// Runs one transaction and decodes its rows.
    ///
    /// Every operation is safe to repeat, so one whose answer was lost is simply sent again.
    ///
    /// # Errors
    /// What the operation decides; `StorageUnavailable` when D1 does not answer; `Internal` when it
    /// refuses the statements.
    pub(super) async fn run<O: Operation>(
        &self,
        operation: &O,
        identity: &mut Identity,
    ) -> Result<O::Output, ApiError> {
        operation.decode(&self.transact(&operation.statements()).await?, identity)
    }

    async fn transact(&self, statements: &[Statement]) -> Result<Rows, ApiError> {
        let answer = self.attempt(Outage::of_d1, &self.d1_ms, &|| self.batch(statements)).await;
        let results = answer.map_err(|(outage, message)| match outage {
            Outage::Unforeseen => ApiError::Internal(format!("D1: {message}")),
            Outage::Transient | Outage::Shed => ApiError::unavailable(format!("D1: {message}")),
        })?;
        let results: Array = results.unchecked_into();
        let texts = results.iter().map(|result| texts(result.unchecked_ref())).collect::<Result<_, _>>();
        let texts = texts.map_err(|error| ApiError::Internal(format!("D1: {}", text_of(&error))))?;
        Ok(Rows { texts })
    }

    fn batch(&self, statements: &[Statement]) -> Result<Promise, JsValue> {
        let database: D1Database = self.binding(BINDING)?;
        let bound = Array::new();
        for statement in statements {
            let params = statement.params.iter().map(value_of).collect();
            bound.push(&database.prepare(statement.sql)?.bind(params)?.into());
        }
        self.statements.set(self.statements.get() + bound.length());
        database.batch(bound)
    }
}

/// A parameter as D1 takes it.
fn value_of(param: &Param) -> JsValue {
    match param {
        Param::Text(text) => JsValue::from_str(text),
        // Exact below 2^53; D1 takes no BigInt.
        #[allow(clippy::cast_precision_loss)]
        Param::Int(number) => JsValue::from_f64(*number as f64),
        Param::Null => JsValue::NULL,
    }
}

/// The one column that every statement returns.
fn texts(result: &D1Result) -> Result<Vec<String>, JsValue> {
    let rows = result.results()?.unwrap_or_default();
    let text = |row: JsValue| {
        row.unchecked_into::<Row>().json()?.ok_or_else(|| JsValue::from_str("a row without json"))
    };
    rows.iter().map(text).collect()
}
