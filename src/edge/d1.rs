//! Runs operations on D1: one batch, which is one transaction, tried again where that is safe.

use worker::js_sys::{Array, Reflect};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
// The SDK's thin layer: the one above it copies every row through serde once more.
use worker::worker_sys::types::{D1Database, D1Result};

use super::exchange::{Exchange, add_since, now, text_of};
use crate::error::ApiError;
use crate::outage::{MAX_ATTEMPTS, Outage};
use crate::store::{Operation, Param, Rows, Statement};

/// The binding's name in wrangler.toml.
const BINDING: &str = "DB";

impl Exchange {
    /// Runs one transaction and decodes its rows.
    ///
    /// Every operation is safe to repeat, so one whose answer was lost is simply sent again.
    ///
    /// # Errors
    /// What the operation decides; `StorageUnavailable` when D1 does not answer; `Internal` when it
    /// refuses the statements.
    pub(super) async fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, ApiError> {
        let statements = operation.statements();
        let started = now();
        let rows = self.transact(&statements).await;
        add_since(&self.d1_ms, started);
        let mut identity = self.identity.get();
        let output = operation.decode(&rows?, &mut identity);
        self.identity.set(identity);
        output
    }

    async fn transact(&self, statements: &[Statement]) -> Result<Rows, ApiError> {
        let mut attempt = 1;
        loop {
            let message = match self.batch(statements).await {
                Ok(texts) => return Ok(Rows { texts, repeated: attempt > 1 }),
                Err(error) => format!("D1: {}", text_of(&error)),
            };
            match Outage::of_d1(&message) {
                Outage::Transient if attempt < MAX_ATTEMPTS => {
                    attempt += 1;
                    self.back_off(attempt).await;
                }
                Outage::Transient | Outage::Shed => return Err(ApiError::unavailable(message)),
                Outage::Unforeseen => return Err(ApiError::Internal(message)),
            }
        }
    }

    async fn batch(&self, statements: &[Statement]) -> Result<Vec<Vec<String>>, JsValue> {
        let database: D1Database = self.binding(BINDING)?;
        let bound = Array::new();
        for statement in statements {
            let params: Array = statement.params.iter().map(to_js).collect();
            bound.push(&database.prepare(statement.sql)?.bind(params)?.into());
        }
        let results: Array = JsFuture::from(database.batch(bound)?).await?.dyn_into()?;
        results.iter().map(|result| texts(result.unchecked_ref())).collect()
    }
}

/// The one column that every statement returns.
fn texts(result: &D1Result) -> Result<Vec<String>, JsValue> {
    let rows = result.results()?.unwrap_or_default();
    let column = JsValue::from_str("json");
    let text =
        |row| Reflect::get(&row, &column)?.as_string().ok_or_else(|| JsValue::from_str("a row without json"));
    rows.iter().map(text).collect()
}

fn to_js(param: &Param) -> JsValue {
    match param {
        Param::Text(text) => JsValue::from_str(text),
        // D1 takes no BigInt, so integers travel as doubles; INTEGER columns make them whole again.
        #[allow(clippy::cast_precision_loss)]
        Param::Int(number) => JsValue::from_f64(*number as f64),
        Param::Null => JsValue::NULL,
    }
}
