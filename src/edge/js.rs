//! Bindings that cross to JavaScript as seldom as can be: constant texts cross once an isolate, and what has
//! many parts crosses as one text of JSON. Each of them catches: an exception that is not caught here leaves what
//! the isolate's other requests share in no state to go on.

use std::cell::RefCell;
use std::ptr;

use worker::js_sys::{Array, JSON, JsString, Promise};
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::wasm_bindgen::{self, JsCast, JsValue};

#[wasm_bindgen]
extern "C" {
    /// `Request`
    pub type Request;

    #[wasm_bindgen(method, catch, getter)]
    pub(super) fn url(this: &Request) -> Result<String, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    pub(super) fn method(this: &Request) -> Result<String, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    pub(super) fn headers(this: &Request) -> Result<Headers, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    pub(super) fn body(this: &Request) -> Result<Option<Body>, JsValue>;

    #[wasm_bindgen(method, catch, js_name = arrayBuffer)]
    pub(super) fn array_buffer(this: &Request) -> Result<Promise, JsValue>;

    /// `ReadableStream`
    pub(super) type Body;

    #[wasm_bindgen(method, catch, js_name = getReader)]
    pub(super) fn reader(this: &Body) -> Result<Reader, JsValue>;

    /// `ReadableStreamDefaultReader`
    pub(super) type Reader;

    #[wasm_bindgen(method, catch)]
    pub(super) fn read(this: &Reader) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(super) fn cancel(this: &Reader) -> Result<JsValue, JsValue>;

    /// `Headers`
    pub(super) type Headers;

    #[wasm_bindgen(method, catch, js_name = get)]
    fn get_header(this: &Headers, name: &JsString) -> Result<Option<String>, JsValue>;

    /// `R2Object`, where the SDK's type lacks a property.
    pub(super) type StoredObject;

    #[wasm_bindgen(method, catch, getter, js_name = ssecKeyMd5)]
    pub(super) fn customer_key_md5(this: &StoredObject) -> Result<JsValue, JsValue>;

    /// `D1Database`
    pub(super) type Database;

    #[wasm_bindgen(method, catch, js_name = prepare)]
    fn prepare_sql(this: &Database, sql: &JsString) -> Result<Statement, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(super) fn batch(this: &Database, statements: Array) -> Result<Promise, JsValue>;

    /// `D1PreparedStatement`
    pub(super) type Statement;

    #[wasm_bindgen(method, catch, variadic)]
    pub(super) fn bind(this: &Statement, values: Array) -> Result<Statement, JsValue>;

    /// A row of one column.
    type Row;

    #[wasm_bindgen(method, catch, getter)]
    fn json(this: &Row) -> Result<Option<String>, JsValue>;
}

thread_local! {
    /// Two dozen, found by the place of the text, which a constant keeps.
    static CONSTANTS: RefCell<Vec<(&'static str, &'static JsString)>> = const { RefCell::new(Vec::new()) };
}

/// A constant as JavaScript's text.
pub(super) fn constant(text: &'static str) -> &'static JsString {
    let found = |all: &Vec<(&'static str, &'static JsString)>| {
        all.iter().find(|(one, _)| ptr::eq(*one, text)).map(|(_, constant)| *constant)
    };
    CONSTANTS.with_borrow(found).unwrap_or_else(|| {
        let constant: &'static JsString = Box::leak(Box::new(text.into()));
        CONSTANTS.with_borrow_mut(|all| all.push((text, constant)));
        constant
    })
}

impl Headers {
    /// A header of the request.
    pub(super) fn value(&self, name: &'static str) -> Result<Option<String>, JsValue> {
        self.get_header(constant(name))
    }
}

impl Database {
    pub(super) fn prepare(&self, sql: &'static str) -> Result<Statement, JsValue> {
        self.prepare_sql(constant(sql))
    }
}

/// The column `json` of a row.
pub(super) fn json_column(row: JsValue) -> Result<Option<String>, JsValue> {
    row.unchecked_into::<Row>().json()
}

/// A value as JavaScript's, by way of JSON.
pub(super) fn from_json(text: &str) -> Result<JsValue, JsValue> {
    JSON::parse(text)
}
