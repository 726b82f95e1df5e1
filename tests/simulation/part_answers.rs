//! What is answered about parts and batches, and what clients learn from it.

use std::collections::BTreeSet;

use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::ErrorCode;
use chrono::DateTime;
use serde_json::{Value, json};

use crate::answers::{check_error, equal};
use crate::bucket::PutRequest;
use crate::library_answers::check_asset;
use crate::model::{Finding, SessionModel};
use crate::platform::client::TestAnswer;
use crate::record::TaskRecord;
use crate::request::{ActionModel, RequestModel};
use crate::state::State;

/// A signed request, and until when storage takes it.
#[derive(Debug, Clone)]
pub(crate) struct SignedPut {
    pub(crate) request: PutRequest,
    pub(crate) expires_at: Timestamp,
}

/// What clients know of a part.
#[derive(Debug, Clone)]
pub(crate) struct KnownPart {
    pub(crate) put: SignedPut,
    /// What storage answered last.
    pub(crate) etag: Option<String>,
}

impl State<'_> {
    /// A client learns of an asset.
    pub(crate) fn learn_asset(&self, id: &str) {
        let mut known = self.assets.borrow_mut();
        if !known.iter().any(|other| other == id) {
            known.push(id.to_owned());
        }
    }

    /// Storage has a part of the upload with this key.
    pub(crate) fn learn_etag(&self, key: &str, number: u64, etag: String) {
        let mut uploads = self.uploads.borrow_mut();
        let upload = uploads.iter_mut().find(|upload| upload.id.object_key() == key);
        if let Some(part) = upload.and_then(|upload| upload.parts.get_mut(&number)) {
            part.etag = Some(etag);
        }
    }
}

pub(crate) fn time_of(value: &Value) -> Result<Timestamp, String> {
    let text = value.as_str().ok_or("a time is missing")?;
    let time = DateTime::parse_from_rfc3339(text).map_err(|error| error.to_string())?;
    Ok(Timestamp(time.timestamp_millis()))
}

/// The signed parts: those that were asked for, in that order, of the very multipart upload that the session has.
pub(crate) fn check_parts(
    state: &State<'_>,
    request: &RequestModel,
    session: &SessionModel,
    multipart_id: &str,
    answer: &TestAnswer,
) -> Result<(), String> {
    let ActionModel::SignParts { upload, numbers: Ok(numbers), .. } = &request.action else {
        return Err("no parts were asked for".to_owned());
    };
    let sizes = session.declared.parts();
    let parts = answer.body()["parts"].as_array().ok_or("parts are missing")?;
    if parts.len() != numbers.len() {
        return Err(format!("{} parts were due", numbers.len()));
    }
    let upload_id: String = form_urlencoded::byte_serialize(multipart_id.as_bytes()).collect();
    for (number, part) in numbers.iter().zip(parts) {
        let size_bytes = usize::try_from(number - 1).ok().and_then(|n| sizes.get(n).copied());
        let expected = json!({
            "part_number": number,
            "method": "PUT",
            "url": part["url"],
            "headers": {},
            "size_bytes": size_bytes,
            "expires_at": part["expires_at"],
        });
        equal("the part", part, &expected)?;
        let url = part["url"].as_str().ok_or("the URL is missing")?.to_owned();
        if !url.contains(&format!("uploadId={upload_id}")) {
            return Err(format!("the URL of part {number} is not of {multipart_id}"));
        }
        let expires_at = time_of(&part["expires_at"])?;
        if expires_at > session.expires_at.plus_seconds(1) {
            return Err("the URL of a part outlives its upload".to_owned());
        }
        let size_bytes = size_bytes.unwrap_or_default();
        let request = PutRequest { url, headers: Vec::new(), size_bytes };
        let put = SignedPut { request, expires_at };
        let mut known = state.uploads.borrow_mut();
        if let Some(known) = known.iter_mut().find(|known| known.id == *upload) {
            let etag = known.parts.get(number).and_then(|part| part.etag.clone());
            known.parts.insert(*number, KnownPart { put, etag });
        }
    }
    Ok(())
}

/// Where storage did all that it was told, nothing is left of an upload in parts that was cancelled, nor of a multipart
/// upload that was begun when another request had been faster.
pub(crate) fn check_given_up(
    state: &State<'_>,
    record: &TaskRecord,
    request: &RequestModel,
    finding: &Finding,
) -> Result<(), String> {
    if record.removal_failed.get() || record.database_failed.get() {
        return Ok(());
    }
    let (bucket, session) = (state.bucket.borrow(), record.session.borrow());
    let open = |id: &Option<String>| id.as_ref().is_some_and(|id| bucket.open_multiparts().contains(id));
    let left = match (&request.action, session.as_ref()) {
        (ActionModel::Cancel { upload }, Some(session)) if *finding == Finding::Done => {
            let object = session.declared.multipart && bucket.head(&upload.object_key()).is_some();
            object || open(&session.multipart_id)
        }
        (ActionModel::SignParts { .. }, _) => {
            let ours = record.multipart_id.borrow();
            let kept = matches!(finding, Finding::PartsOpen(id) if ours.as_ref() == Some(id));
            if ours.is_some() && !kept {
                state.count("another request was faster to begin");
            }
            !kept && open(&ours)
        }
        _ => false,
    };
    if left { Err("parts or their object are left".to_owned()) } else { Ok(()) }
}

/// What became of an upload of a batch: the asset or the error, and whether the asset is a replay.
fn outcome(record: &TaskRecord, id: &str) -> Result<bool, ErrorCode> {
    match record.known.borrow().get(id) {
        Some(Finding::Confirmed { replayed }) => Ok(*replayed),
        Some(Finding::Error(code)) => Err(*code),
        // The database gave no answer when it was asked again.
        Some(Finding::Untyped | Finding::AwaitsClient) => Err(ErrorCode::StorageUnavailable),
        _ => Err(ErrorCode::InternalError),
    }
}

/// Whether a batch has assets, and every one of them was there before.
pub(crate) fn all_replayed(record: &TaskRecord) -> bool {
    let items = record.items.borrow();
    let outcomes: BTreeSet<bool> = items.keys().filter_map(|id| outcome(record, id).ok()).collect();
    outcomes == BTreeSet::from([true])
}

/// The items of a batch: each as a confirmation alone would have been answered, in the order of the request.
pub(crate) fn check_batch(
    state: &State<'_>,
    record: &TaskRecord,
    request: &RequestModel,
    answer: &TestAnswer,
) -> Result<(), String> {
    let ActionModel::ConfirmBatch { items: Ok(items), .. } = &request.action else {
        return Err("no batch was asked for".to_owned());
    };
    let answers = answer.body()["items"].as_array().ok_or("items are missing")?;
    if answers.len() != items.len() {
        return Err(format!("{} items were due", items.len()));
    }
    let mut statuses = BTreeSet::new();
    for ((upload, _), item) in items.iter().zip(answers) {
        let id = upload.to_string();
        let outcome = outcome(record, &id);
        let status = outcome.map_or_else(|code| code.status(), |_| 201);
        statuses.insert(status);
        let mut expected = json!({"asset_upload_id": id, "status": status});
        match outcome {
            Ok(_) => expected["asset"] = item["asset"].clone(),
            Err(_) => expected["error"] = item["error"].clone(),
        }
        equal("the item", item, &expected)?;
        match outcome {
            Ok(replayed) => {
                let found = record.items.borrow();
                let asset = found.get(&id).and_then(|(_, asset)| asset.as_ref());
                check_asset(&state.model.borrow(), &id, asset.ok_or("no asset")?, &item["asset"], true)?;
                state.learn_asset(&id);
                state.count(if replayed { "in a batch: 201, replayed" } else { "in a batch: 201" });
            }
            Err(code) => {
                let error = &item["error"];
                equal("the code", &error["code"], &json!(code.as_str()))?;
                if error["message"].as_str().is_none_or(str::is_empty) {
                    return Err("the message is missing".to_owned());
                }
                check_error(code, Some(&id), error)?;
                state.count(format!("in a batch: {status} {}", code.as_str()));
            }
        }
    }
    if statuses.len() > 1 {
        state.count("a batch of several outcomes");
    }
    if record.is_second_of_batch() {
        state.count("a batch with objects of no type");
    }
    Ok(())
}
