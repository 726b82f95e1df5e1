//! The transactions of storage's notifications of objects. The queue starts them, so they have no caller; the confirmation
//! itself is [`super::confirm::Confirm`], in the name of the user who started the upload.

use serde::{Deserialize, Serialize};

use super::{Operation, Param, Rows, Statement};
use crate::domain::ids::{AssetUploadId, OrganizationId, WebhookId};
use crate::domain::timestamp::Timestamp;
use crate::domain::webhook::EventType;
use crate::error::{ApiError, Envelope};
use crate::token::TokenHash;

/// Reads by which keys uploads were started, of those uploads that are still to be confirmed.
#[derive(Debug, Clone, PartialEq)]
pub struct FindStarters {
    /// The uploads.
    pub ids: Vec<AssetUploadId>,
    /// Now.
    pub now: Timestamp,
}

/// An upload that is still to be confirmed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Starter {
    /// The upload.
    pub id: AssetUploadId,
    /// Its organization.
    pub org_id: OrganizationId,
    /// The hash of the key that started it; `None` where that is unknown, or the key is gone.
    pub token_hash: Option<String>,
}

impl Starter {
    /// The hash, checked.
    pub fn token(&self) -> Option<TokenHash> {
        self.token_hash.as_deref().and_then(TokenHash::from_stored)
    }
}

impl Operation for FindStarters {
    type Output = Vec<Starter>;

    fn statements(&self) -> Vec<Statement> {
        // ?1 uploads, ?2 now.
        const FIND: &str = "
            SELECT json_object('id', u.id, 'org_id', u.org_id, 'token_hash', k.token_hash) AS json
            FROM json_each(?1) j
            CROSS JOIN asset_uploads u ON u.id = j.value AND u.expires_at > ?2
            LEFT JOIN api_keys k ON k.id = u.api_key_id
            WHERE NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = u.id)";
        vec![Statement {
            sql: FIND,
            params: vec![super::sweep::json_array(&self.ids), Param::Int(self.now.0)],
        }]
    }

    fn decode(&self, rows: &Rows) -> Result<Vec<Starter>, ApiError> {
        rows.all(0)
    }
}

/// Records that files may not become assets: once an upload, and only where a webhook is to be told.
#[derive(Debug)]
pub struct Reject {
    /// The uploads, and why.
    pub rejections: Vec<Rejection>,
    /// Now.
    pub now: Timestamp,
}

/// Why a file may not become an asset.
#[derive(Debug, Serialize)]
pub struct Rejection {
    /// The upload.
    pub id: AssetUploadId,
    /// The error that a client would get.
    pub error: Envelope,
}

impl Operation for Reject {
    /// The webhooks that have something to be delivered.
    type Output = Vec<WebhookId>;

    fn statements(&self) -> Vec<Statement> {
        // ?1 rejections, ?2 now, ?3 the event's type, quoted. An upload that was confirmed meanwhile is left alone.
        const REJECT: &str = "
            UPDATE asset_uploads
            SET rejected_at = ?2, rejection = json(j.value -> 'error')
            FROM json_each(?1) j
            WHERE asset_uploads.id = j.value ->> 'id'
              AND asset_uploads.rejected_at IS NULL
              AND asset_uploads.expires_at > ?2
              AND asset_uploads.expiry_told_at IS NULL
              AND NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = asset_uploads.id)
              AND EXISTS (
                SELECT 1 FROM webhooks w
                WHERE w.org_id = asset_uploads.org_id AND w.disabled_at IS NULL AND instr(w.event_types, ?3) > 0)";
        // ?1 rejections, ?2 now.
        const FIND: &str = "
            SELECT DISTINCT json_quote(w.id) AS json
            FROM json_each(?1) j
            CROSS JOIN asset_uploads u ON u.id = j.value ->> 'id'
            CROSS JOIN webhooks w ON w.org_id = u.org_id AND w.disabled_at IS NULL
            WHERE EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.due_at <= ?2)";
        // Texts cannot fail to serialize.
        let rejections = Param::Text(serde_json::to_string(&self.rejections).unwrap_or_default());
        let params = vec![rejections, Param::Int(self.now.0)];
        let find = Statement { sql: FIND, params: params.clone() };
        let mut reject = Statement { sql: REJECT, params };
        reject.params.push(Param::Text(format!("\"{}\"", EventType::UploadRejected.as_str())));
        vec![reject, find]
    }

    fn decode(&self, rows: &Rows) -> Result<Vec<WebhookId>, ApiError> {
        rows.all(1)
    }
}
