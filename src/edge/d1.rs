//! Runs transactions on D1: each is one batch.

use worker::js_sys::{Array, JsString, Promise, Reflect, Uint8Array};
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::wasm_bindgen::{self, JsCast, JsValue};
// The SDK's lower layer: the one above it panics where a statement cannot be prepared, and copies every row through
// serde once more.
use worker::worker_sys::types::{D1Database, D1Result};

use super::runtime::error_text;
use super::storage::Storage;
use crate::storage_error::{StorageError, StorageErrorKind};
use crate::store::{Param, Rows, Statement};

#[wasm_bindgen]
extern "C" {
    type TextEncoder;

    #[wasm_bindgen(catch, constructor)]
    fn new() -> Result<TextEncoder, JsValue>;

    #[wasm_bindgen(method)]
    fn encode(this: &TextEncoder, text: &JsString) -> Uint8Array;
}

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
        let json = Reflect::get(&row, &"json".into())?;
        let text = json.dyn_ref().map(read_text).transpose()?.flatten();
        text.ok_or_else(|| JsValue::from_str("a row without json"))
    };
    rows.iter().map(text).collect()
}

/// wasm-bindgen copies a string character by character. A page of a list is 30 KB, and with the platform's encoder 5%
/// faster (canned storage); a short text is 2% slower so.
fn read_text(text: &JsString) -> Result<Option<String>, JsValue> {
    const LONG: u32 = 4_096;
    if text.length() < LONG {
        return Ok(text.as_string());
    }
    Ok(String::from_utf8(TextEncoder::new()?.encode(text).to_vec()).ok())
}
