//! What a request must be answered, once it is known what its last transaction found.

use std::collections::BTreeMap;

use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::domain::multipart::Completion;
use asset_uploads::error::ErrorCode;
use serde_json::{Value, json};

use crate::bucket::PutRequest;
use crate::event_answers::check_webhook;
use crate::key_answers::check_key;
use crate::library_answers::{self, check_asset, check_page};
use crate::model::{Declared, Finding, HeadResult, PART_BYTES, SessionModel};
use crate::part_answers::{
    KnownPart, SignedPut, all_replayed, check_batch, check_given_up, check_parts, time_of,
};
use crate::platform::client::TestAnswer;
use crate::record::TaskRecord;
use crate::request::RequestModel;
use crate::state::State;

/// What clients know of an upload.
#[derive(Debug, Clone)]
pub(crate) struct KnownUpload {
    pub(crate) id: AssetUploadId,
    /// The request that sends the file; none where it is sent in parts.
    pub(crate) put: Option<SignedPut>,
    /// Parts that were signed, by their numbers.
    pub(crate) parts: BTreeMap<u64, KnownPart>,
    pub(crate) declared: Declared,
}

impl State<'_> {
    /// A client receives an answer.
    pub(crate) fn receive(&self, record: &TaskRecord, answer: &TestAnswer) {
        match check_answer(self, record, answer) {
            Ok(None) => self.learn_key(record, answer),
            Ok(Some(mut upload)) => {
                let mut uploads = self.uploads.borrow_mut();
                if let Some(n) = uploads.iter().position(|known| known.id == upload.id) {
                    upload.parts = uploads.remove(n).parts;
                }
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
        _ if record.got_nothing() => Finding::Error(ErrorCode::StorageUnavailable),
        Some(finding) => finding,
        None => return Err("nothing was asked of the database".to_owned()),
    };
    let (status, code) = due(record, &finding);
    if (answer.status, answer.code()) != (status, code) {
        return Err(format!("{} was due", format!("{status} {code}").trim_end()));
    }
    let replayed = matches!(
        finding,
        Finding::Started { replayed: true }
            | Finding::Confirmed { replayed: true }
            | Finding::FolderCreated { replayed: true }
    ) || matches!(finding, Finding::Batch(_)) && all_replayed(record);
    if (answer.header("idempotent-replayed") == Some("true")) != replayed {
        return Err(format!("replayed: {replayed} was due"));
    }
    let what = if code.is_empty() { request.action.kind() } else { code };
    state.count(format!("{status} {what}{}", if replayed { ", replayed" } else { "" }));
    let id = record.id.borrow().clone();
    check_given_up(state, record, request, &finding)?;
    match finding {
        _ if status >= 400 && code == ErrorCode::UploadRejected.as_str() => {
            check_error(ErrorCode::UploadRejected, None, error_of(answer)).map(|()| None)
        }
        Finding::Error(code) => check_error(code, id.as_deref(), error_of(answer)).map(|()| None),
        _ if status >= 300 => Ok(None),
        _ => check_success(state, record, request, &finding, answer),
    }
}

/// Status and code that a request is due, as its last transaction found it.
fn due(record: &TaskRecord, finding: &Finding) -> (u16, &'static str) {
    let head = record.id.borrow().as_ref().and_then(|id| record.head(id));
    let unavailable = (503, "STORAGE_UNAVAILABLE");
    match finding {
        Finding::Error(code) => (code.status(), code.as_str()),
        Finding::Started { .. }
        | Finding::Confirmed { .. }
        | Finding::AssetRestored
        | Finding::FolderCreated { .. }
        | Finding::FolderRestored
        | Finding::KeyMade
        | Finding::WebhookMade => (201, ""),
        Finding::Done => (204, ""),
        Finding::UploadPending if head == Some(HeadResult::Failed) => unavailable,
        // Storage did not begin, or nothing more was asked.
        Finding::PartsToBegin | Finding::Untyped | Finding::AwaitsClient => unavailable,
        Finding::PartsToComplete => match (&*record.completion.borrow(), head) {
            (None, _) | (Some(Completion::NoSuchUpload), None | Some(HeadResult::Failed)) => unavailable,
            (Some(Completion::Rejected), _) | (_, Some(HeadResult::Missing)) => (422, "UPLOAD_REJECTED"),
            (Some(Completion::Completed | Completion::NoSuchUpload), _) => (200, ""),
        },
        Finding::UploadPending
        | Finding::UploadConfirmed
        | Finding::UploadExpired
        | Finding::Batch(_)
        | Finding::PartsOpen(_)
        | Finding::Asset
        | Finding::AssetUpdated
        | Finding::Folder
        | Finding::FolderUpdated
        | Finding::WebhookUpdated
        | Finding::Page(_) => (200, ""),
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
            state.learn_asset(&id);
            check_asset(&model, &id, asset()?, answer.body(), true).map(|()| None)
        }
        Finding::Asset => check_asset(&model, &id, asset()?, answer.body(), true).map(|()| None),
        Finding::AssetUpdated => check_asset(&model, &id, asset()?, answer.body(), false).map(|()| None),
        Finding::UploadConfirmed => check_upload(&id, session()?, "confirmed", answer.body()),
        Finding::UploadExpired => check_upload(&id, session()?, "expired", answer.body()),
        Finding::UploadPending => {
            let received = matches!(record.head(&id), Some(HeadResult::Object(_)));
            check_upload(&id, session()?, if received { "received" } else { "waiting" }, answer.body())
        }
        Finding::FolderCreated { .. } | Finding::FolderRestored => {
            location("asset-folders")?;
            folder().map(|()| None)
        }
        Finding::Folder | Finding::FolderUpdated => folder().map(|()| None),
        Finding::KeyMade => check_key(&model, &id, answer.body()).map(|()| None),
        Finding::WebhookMade | Finding::WebhookUpdated => {
            check_webhook(state, record, &id, answer.body()).map(|()| None)
        }
        Finding::Page(page) => check_page(state, record, request, page, answer).map(|()| None),
        Finding::PartsToComplete => {
            let before = *record.completion.borrow() == Some(Completion::NoSuchUpload);
            state.count(if before { "completed before" } else { "completed now" });
            check_upload(&id, session()?, "received", answer.body())
        }
        Finding::PartsOpen(multipart_id) => {
            check_parts(state, request, session()?, multipart_id, answer).map(|()| None)
        }
        Finding::Batch(_) => check_batch(state, record, request, answer).map(|()| None),
        Finding::Done
        | Finding::Error(_)
        | Finding::PartsToBegin
        | Finding::Untyped
        | Finding::AwaitsClient => Ok(None),
    }
}

pub(crate) fn equal(what: &str, actual: &Value, expected: &Value) -> Result<(), String> {
    if actual == expected { Ok(()) } else { Err(format!("{what} must be {expected}")) }
}

fn check_start(id: &str, session: &SessionModel, answer: &TestAnswer) -> Result<KnownUpload, String> {
    let body = answer.body();
    equal("asset_id", &body["asset_id"], &json!(id))?;
    let known = KnownUpload {
        id: AssetUploadId::parse(id).ok_or("the id is no UUID")?,
        put: None,
        parts: BTreeMap::new(),
        declared: session.declared.clone(),
    };
    let parts = session.declared.parts().len();
    if parts > 0 {
        let expected = json!({"asset_id": id, "upload_url": null, "upload": {
            "method": "MULTIPART",
            "part_size": PART_BYTES,
            "part_count": parts,
            "expires_at": session.expires_at.to_rfc3339(),
        }});
        return equal("the start", body, &expected).map(|()| known);
    }
    let upload = &body["upload"];
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("a text is missing");
    let url_expires_at = time_of(&upload["expires_at"])?;
    if url_expires_at > session.expires_at.plus_seconds(1) {
        return Err("the URL outlives its upload".to_owned());
    }
    let headers = upload["headers"].as_object().ok_or("headers are missing")?;
    let headers = headers.iter().map(|(name, value)| Ok((name.clone(), text(value)?)));
    let request = PutRequest {
        url: text(&upload["url"])?,
        headers: headers.collect::<Result<_, &str>>()?,
        size_bytes: session.declared.size_bytes,
    };
    Ok(KnownUpload { put: Some(SignedPut { request, expires_at: url_expires_at }), ..known })
}

fn check_upload(
    id: &str,
    session: &SessionModel,
    status: &str,
    body: &Value,
) -> Result<Option<KnownUpload>, String> {
    let mut expected = json!({
        "id": id,
        "status": status,
        "filename": session.declared.filename,
        "mime_type": session.declared.mime_type,
        "size_bytes": session.declared.size_bytes,
        "expires_at": session.expires_at.to_rfc3339(),
        "asset_id": (status == "confirmed").then_some(id),
    });
    let parts = session.declared.parts().len();
    if parts > 0 {
        expected["part_size"] = json!(PART_BYTES);
        expected["part_count"] = json!(parts);
    }
    equal("the upload", body, &expected).map(|()| None)
}

fn error_of(answer: &TestAnswer) -> &Value {
    answer.json.as_ref().unwrap_or(&Value::Null)
}

/// `errors` of an error: what each code has to say.
pub(crate) fn check_error(code: ErrorCode, id: Option<&str>, error: &Value) -> Result<(), String> {
    let errors = &error["errors"];
    let entries = errors.as_array().map_or(0, Vec::len);
    match code {
        ErrorCode::AssetUploadAlreadyConfirmed => {
            equal("errors.0.asset_id", &errors[0]["asset_id"], &json!(id))
        }
        ErrorCode::ValidationError | ErrorCode::UploadRejected if entries > 0 => Ok(()),
        ErrorCode::ValidationError | ErrorCode::UploadRejected => Err("errors is empty".to_owned()),
        _ => equal("errors", errors, &Value::Null),
    }
}
