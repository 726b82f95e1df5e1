//! What a request must be answered, once it is known what its last transaction found.

use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::ErrorCode;
use chrono::DateTime;
use serde_json::{Value, json};

use crate::bucket::PutRequest;
use crate::key_answers::check_key;
use crate::library_answers::{self, check_asset, check_page};
use crate::model::{Declared, Finding, HeadResult, SessionModel};
use crate::platform::client::TestAnswer;
use crate::request::RequestModel;
use crate::simulated::{State, TaskRecord};

/// What clients know of an upload.
#[derive(Debug, Clone)]
pub(crate) struct KnownUpload {
    pub(crate) id: AssetUploadId,
    pub(crate) put: PutRequest,
    pub(crate) url_expires_at: Timestamp,
    pub(crate) declared: Declared,
}

impl State<'_> {
    /// A client receives an answer.
    pub(crate) fn receive(&self, record: &TaskRecord, answer: &TestAnswer) {
        match check_answer(self, record, answer) {
            Ok(None) => self.learn_key(record, answer),
            Ok(Some(upload)) => {
                let mut uploads = self.uploads.borrow_mut();
                uploads.retain(|known| known.id != upload.id);
                uploads.push(upload);
            }
            Err(text) => {
                let body = answer.json.as_ref().unwrap_or(&Value::Null);
                let (number, status) = (record.number, answer.status);
                self.violate(format!(
                    "{text}: request {number}, {:?}, is answered {status} {body}",
                    record.request
                ));
            }
        }
    }
}

/// Compares an answer with what it must be: the upload that the client learnt of.
fn check_answer(
    state: &State<'_>,
    record: &TaskRecord,
    answer: &TestAnswer,
) -> Result<Option<KnownUpload>, String> {
    let Some(request) = &record.request else { return Ok(None) };
    let model = state.model.borrow();
    let finding = match record.finding.borrow().clone() {
        // Rule 3, as far as the key itself tells: storage is not asked.
        _ if model.keys[request.client].user.is_none() && record.calls.get() == 0 => {
            Finding::Error(ErrorCode::Unauthorized)
        }
        _ if record.database_failed.get() => Finding::Error(ErrorCode::StorageUnavailable),
        Some(finding) => finding,
        None => return Err("nothing was asked of the database".to_owned()),
    };
    let head = record.head.borrow();
    let (status, code) = match &finding {
        Finding::Error(code) => (code.status(), code.as_str()),
        Finding::Started { .. }
        | Finding::Confirmed { .. }
        | Finding::AssetRestored
        | Finding::FolderCreated { .. }
        | Finding::FolderRestored
        | Finding::KeyMade => (201, ""),
        Finding::Done => (204, ""),
        Finding::UploadPending if *head == Some(HeadResult::Failed) => (503, "STORAGE_UNAVAILABLE"),
        Finding::UploadPending
        | Finding::UploadConfirmed
        | Finding::UploadExpired
        | Finding::Asset
        | Finding::AssetUpdated
        | Finding::Folder
        | Finding::FolderUpdated
        | Finding::Page(_) => (200, ""),
    };
    if (answer.status, answer.code()) != (status, code) {
        return Err(format!("{} was due", format!("{status} {code}").trim_end()));
    }
    let replayed = matches!(
        finding,
        Finding::Started { replayed: true }
            | Finding::Confirmed { replayed: true }
            | Finding::FolderCreated { replayed: true }
    );
    if (answer.header("idempotent-replayed") == Some("true")) != replayed {
        return Err(format!("replayed: {replayed} was due"));
    }
    let what = if code.is_empty() { request.action.kind() } else { code };
    state.count(format!("{status} {what}{}", if replayed { ", replayed" } else { "" }));
    let id = record.id.borrow().clone();
    match finding {
        Finding::Error(code) => check_error(code, id.as_deref(), answer).map(|()| None),
        _ if status >= 300 => Ok(None),
        _ => check_success(state, record, request, &finding, answer),
    }
}

fn check_success(
    state: &State<'_>,
    record: &TaskRecord,
    request: &RequestModel,
    finding: &Finding,
    answer: &TestAnswer,
) -> Result<Option<KnownUpload>, String> {
    let model = state.model.borrow();
    let id = record.id.borrow().clone().unwrap_or_default();
    let session = record.session.borrow();
    let session = || session.as_ref().ok_or("no session was read");
    let asset = record.asset.borrow();
    let asset = || asset.as_ref().ok_or("no asset was read");
    let folder = || library_answers::check_folder(state, record, finding, answer);
    let location = |of: &str| match answer.header("location") {
        Some(location) if location == format!("/v1/{of}/{id}") => Ok(()),
        location => Err(format!("Location is {location:?}")),
    };
    match finding {
        Finding::Started { .. } => check_start(&id, session()?, answer).map(Some),
        Finding::Confirmed { .. } | Finding::AssetRestored => {
            location("assets")?;
            let mut known = state.assets.borrow_mut();
            if !known.contains(&id) {
                known.push(id.clone());
            }
            check_asset(&model, &id, asset()?, answer.body(), true).map(|()| None)
        }
        Finding::Asset => check_asset(&model, &id, asset()?, answer.body(), true).map(|()| None),
        Finding::AssetUpdated => check_asset(&model, &id, asset()?, answer.body(), false).map(|()| None),
        Finding::UploadConfirmed => check_upload(&id, session()?, "confirmed", answer.body()),
        Finding::UploadExpired => check_upload(&id, session()?, "expired", answer.body()),
        Finding::UploadPending => {
            let received = matches!(&*record.head.borrow(), Some(HeadResult::Object(_)));
            check_upload(&id, session()?, if received { "received" } else { "waiting" }, answer.body())
        }
        Finding::FolderCreated { .. } | Finding::FolderRestored => {
            location("asset-folders")?;
            folder().map(|()| None)
        }
        Finding::Folder | Finding::FolderUpdated => folder().map(|()| None),
        Finding::KeyMade => check_key(&model, &id, answer.body()).map(|()| None),
        Finding::Page(page) => check_page(state, record, request, page, answer).map(|()| None),
        Finding::Done | Finding::Error(_) => Ok(None),
    }
}

pub(crate) fn equal(what: &str, actual: &Value, expected: &Value) -> Result<(), String> {
    if actual == expected { Ok(()) } else { Err(format!("{what} must be {expected}")) }
}

fn check_start(id: &str, session: &SessionModel, answer: &TestAnswer) -> Result<KnownUpload, String> {
    let body = answer.body();
    equal("asset_id", &body["asset_id"], &json!(id))?;
    let upload = &body["upload"];
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("a text is missing");
    let expires_at =
        DateTime::parse_from_rfc3339(&text(&upload["expires_at"])?).map_err(|error| error.to_string())?;
    let url_expires_at = Timestamp(expires_at.timestamp_millis());
    if url_expires_at > session.expires_at.plus_seconds(1) {
        return Err("the URL outlives its upload".to_owned());
    }
    let headers = upload["headers"].as_object().ok_or("headers are missing")?;
    let headers = headers.iter().map(|(name, value)| Ok((name.clone(), text(value)?)));
    let put = PutRequest {
        url: text(&upload["url"])?,
        headers: headers.collect::<Result<_, &str>>()?,
        size_bytes: session.declared.size_bytes,
    };
    let id = AssetUploadId::parse(id).ok_or("the id is no UUID")?;
    Ok(KnownUpload { id, put, url_expires_at, declared: session.declared.clone() })
}

fn check_upload(
    id: &str,
    session: &SessionModel,
    status: &str,
    body: &Value,
) -> Result<Option<KnownUpload>, String> {
    let expected = json!({
        "id": id,
        "status": status,
        "filename": session.declared.filename,
        "mime_type": session.declared.mime_type,
        "size_bytes": session.declared.size_bytes,
        "expires_at": session.expires_at.to_rfc3339(),
        "asset_id": (status == "confirmed").then_some(id),
    });
    equal("the upload", body, &expected).map(|()| None)
}

/// `errors` of an error: what each code has to say.
fn check_error(code: ErrorCode, id: Option<&str>, answer: &TestAnswer) -> Result<(), String> {
    let errors = answer.json.as_ref().map(|body| &body["errors"]);
    let entries = errors.and_then(Value::as_array).map_or(0, Vec::len);
    match code {
        ErrorCode::AssetUploadAlreadyConfirmed => {
            equal("errors.0.asset_id", &errors.unwrap_or(&Value::Null)[0]["asset_id"], &json!(id))
        }
        ErrorCode::ValidationError | ErrorCode::UploadRejected if entries > 0 => Ok(()),
        ErrorCode::ValidationError | ErrorCode::UploadRejected => Err("errors is empty".to_owned()),
        _ => equal("errors", errors.unwrap_or(&Value::Null), &Value::Null),
    }
}
