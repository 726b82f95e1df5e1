//! The rules of uploads in parts, and of confirmations of several uploads: what a request about them must be answered.

use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::ErrorCode;

use crate::model::{Change, Changes, Declared, Finding, Model, PART_BYTES, SessionModel};
use crate::record::Seen;
use crate::rules::{By, Found};

impl Declared {
    /// Bytes of each part, the first one first; none for a file that is sent with one PUT.
    pub(crate) fn parts(&self) -> Vec<u64> {
        let mut parts = Vec::new();
        let mut left = if self.multipart { self.size_bytes } else { 0 };
        while left > 0 {
            let part = left.min(PART_BYTES);
            parts.push(part);
            left -= part;
        }
        parts
    }
}

/// The first of a session's rules that parts and a completion break, but for the deadline and the asset.
fn divided(session: Option<&SessionModel>) -> Result<(&SessionModel, Vec<u64>), ErrorCode> {
    let session = session.filter(|session| !session.cancelled).ok_or(ErrorCode::AssetUploadNotFound)?;
    let parts = session.declared.parts();
    if parts.is_empty() { Err(ErrorCode::ValidationError) } else { Ok((session, parts)) }
}

impl Model {
    /// `begun` is the multipart upload that storage has begun for this request.
    pub(crate) fn sign_parts(
        &self,
        by: By,
        upload: &AssetUploadId,
        numbers: &[u64],
        begun: Option<&str>,
    ) -> Found {
        let (session, parts) = divided(self.session(by, upload))?;
        let known = |number: &u64| (1..=parts.len() as u64).contains(number);
        let repeated = numbers.iter().enumerate().any(|(n, number)| numbers[..n].contains(number));
        if repeated || !numbers.iter().all(known) {
            return Err(ErrorCode::ValidationError);
        }
        if self.assets.contains_key(&upload.to_string()) {
            return Err(ErrorCode::AssetUploadAlreadyConfirmed);
        }
        if session.expires_at <= by.now {
            return Err(ErrorCode::AssetUploadExpired);
        }
        Ok(match (&session.multipart_id, begun) {
            // Another request was faster.
            (Some(id), _) => (Finding::PartsOpen(id.clone()), Vec::new()),
            (None, Some(id)) => {
                let change = (Some(upload.to_string()), Change::Multipart(id.to_owned()));
                (Finding::PartsOpen(id.to_owned()), vec![change])
            }
            (None, None) => (Finding::PartsToBegin, Vec::new()),
        })
    }

    pub(crate) fn complete(&self, by: By, upload: &AssetUploadId, numbers: &[u64]) -> Found {
        let (session, parts) = divided(self.session(by, upload))?;
        if !numbers.iter().copied().eq(1..=parts.len() as u64) {
            return Err(ErrorCode::ValidationError);
        }
        if self.assets.contains_key(&upload.to_string()) {
            return Ok((Finding::UploadConfirmed, Vec::new()));
        }
        if session.expires_at <= by.now {
            return Err(ErrorCode::AssetUploadExpired);
        }
        if session.multipart_id.is_none() {
            return Err(ErrorCode::UploadRejected);
        }
        Ok((Finding::PartsToComplete, Vec::new()))
    }

    /// Each upload as if it were confirmed alone; the second time only those whose objects have no content type.
    pub(crate) fn confirm_batch(
        &self,
        by: By,
        items: &[(AssetUploadId, Option<String>)],
        key: Option<u8>,
        seen: Seen<'_>,
    ) -> (Finding, Changes) {
        let (mut findings, mut changes) = (Vec::new(), Vec::new());
        for (upload, folder) in items {
            let id = upload.to_string();
            if seen.claims.or(seen.untyped).is_some_and(|again| !again.contains(&id)) {
                continue;
            }
            match self.confirm(by, upload, folder.as_deref(), key, seen) {
                Ok((finding, more)) => {
                    findings.push((id, finding));
                    changes.extend(more);
                }
                Err(code) => findings.push((id, Finding::Error(code))),
            }
        }
        (Finding::Batch(findings), changes)
    }

    /// Whether a multipart upload that is open may be given up now: no session has it that is neither cancelled nor past
    /// its deadline.
    pub(crate) fn may_abort(&self, key: &str, multipart_id: &str, now: Timestamp) -> Result<(), String> {
        let session = key.strip_prefix("uploads/").and_then(|id| self.sessions.get(id));
        match session.filter(|session| !session.cancelled && session.expires_at > now) {
            Some(session) if session.multipart_id.as_deref() == Some(multipart_id) => {
                Err(format!("the parts of {key}, an upload that is still to be sent, are given up"))
            }
            _ => Ok(()),
        }
    }
}
