//! Webhooks: making, listing, reading, changing and removing them, and rotating their secrets.

use serde::Deserialize;

use super::page::{self, Bounds, page_sql};
use super::rights::{AuthorizedCaller, Caller, CallerOperation};
use super::{Param, Statement};
use crate::domain::ids::{OrganizationId, RequestId, WebhookId};
use crate::domain::page::{Page, PageRequest};
use crate::domain::timestamp::Timestamp;
use crate::domain::webhook::{EventType, MAX_EARLIER_SECRETS, MAX_WEBHOOKS, ROTATION_SECONDS, Webhook};
use crate::error::ApiError;

/// Event types as stored: a JSON list, in alphabetical order.
fn event_types(types: &[EventType]) -> Param {
    let mut names: Vec<&str> = types.iter().map(|event_type| event_type.as_str()).collect();
    names.sort_unstable();
    // Strings cannot fail to serialize.
    Param::Text(serde_json::to_string(&names).unwrap_or_default())
}

/// Makes a webhook of the organization acted in.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    /// Who makes it.
    pub caller: Caller,
    /// Its id.
    pub id: WebhookId,
    /// Where its events are sent.
    pub url: String,
    /// Which events.
    pub event_types: Vec<EventType>,
    /// What it is for.
    pub description: Option<String>,
}

/// What [`Create`] finds.
#[derive(Debug, Deserialize)]
pub struct FoundNew {
    webhook: Option<Webhook>,
}

impl CallerOperation for Create {
    type Found = FoundNew;
    type Output = Webhook;

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 webhook, ?3 URL, ?4 event types, ?5 description, ?6 how many there may be.
        const INSERT: &str = "
            INSERT INTO webhooks (id, org_id, url, event_types, description, created_by, created_at, updated_at)
            SELECT ?2, c.org_id, ?3, ?4, ?5, c.user_id, c.now, c.now
            FROM caller_rights c
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND (SELECT count(*) FROM webhooks w WHERE w.org_id = c.org_id AND w.deleted_at IS NULL) < ?6
            ON CONFLICT (id) DO NOTHING";
        const FIND: &str = "
            SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
              'due_webhooks', json(c.due_webhooks), 'found', json(CASE WHEN c.auth_error IS NULL THEN json_object('webhook', json(w.json)) END)) AS json
            FROM caller_rights c
            LEFT JOIN webhooks_json w ON w.id = ?2 AND w.org_id = c.org_id
            WHERE c.request = ?1";
        let mut params = vec![self.caller.param(), Param::from(&self.id)];
        let find = Statement { sql: FIND, params: params.clone() };
        params.extend([
            Param::from(&self.url),
            event_types(&self.event_types),
            Param::from(self.description.as_ref()),
            Param::Int(MAX_WEBHOOKS.into()),
        ]);
        vec![Statement { sql: INSERT, params }, find]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<FoundNew>) -> Result<Webhook, ApiError> {
        found.and_then(|found| found.webhook).ok_or(ApiError::WebhookLimitReached)
    }
}

/// Reads a webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Who asks.
    pub caller: Caller,
    /// The webhook.
    pub id: WebhookId,
}

/// Reads the caller and the webhook.
fn find(caller: &Caller, id: WebhookId) -> Statement {
    // ?1 caller, ?2 webhook.
    const SQL: &str = "
        SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
          'due_webhooks', json(c.due_webhooks), 'found', json(w.json)) AS json
        FROM caller_rights c
        LEFT JOIN webhooks_json w ON w.id = ?2 AND w.org_id = c.org_id AND c.auth_error IS NULL
        WHERE c.request = ?1";
    Statement { sql: SQL, params: vec![caller.param(), Param::from(&id)] }
}

impl CallerOperation for Read {
    type Found = Webhook;
    type Output = Webhook;

    fn statements(&self) -> Vec<Statement> {
        vec![find(&self.caller, self.id)]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<Webhook>) -> Result<Webhook, ApiError> {
        found.ok_or(ApiError::WebhookNotFound)
    }
}

/// Reads one page of the organization's webhooks.
#[derive(Debug, Clone, PartialEq)]
pub struct List<'a> {
    /// Who asks.
    pub caller: Caller,
    /// Which of them, in which order.
    pub page: &'a PageRequest,
}

impl CallerOperation for List<'_> {
    type Found = page::Found<Webhook>;
    type Output = (OrganizationId, Page<Webhook>);

    fn statements(&self) -> Vec<Statement> {
        let sql = page_sql!("webhooks_json", "?2 IS NULL", "true", "created_at", self.page.reads_ascending());
        let params = page::params(&self.caller, Param::Null, &Bounds::default(), self.page, false, false);
        vec![Statement { sql, params }]
    }

    fn decode(&self, caller: AuthorizedCaller, found: Option<Self::Found>) -> Result<Self::Output, ApiError> {
        let found = found.ok_or_else(|| ApiError::Internal("a list without rows".to_owned()))?;
        let place =
            |webhook: &Webhook| (self.page.sort.by.key(webhook.created_at, ""), webhook.id.to_string());
        Ok((caller.organization()?, found.page(self.page, place).0))
    }
}

/// Changes a webhook. Where nothing changes nothing is written. One that is switched on again begins anew: what is still
/// to be delivered is tried at once, and the time since it fails counts from the next failure.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// Who changes it.
    pub caller: Caller,
    /// The webhook.
    pub id: WebhookId,
    /// Where its events are sent.
    pub url: Option<String>,
    /// Which events.
    pub event_types: Option<Vec<EventType>>,
    /// What it is for; `Some(None)` for nothing.
    pub description: Option<Option<String>>,
    /// Whether it is switched off.
    pub disabled: Option<bool>,
}

impl CallerOperation for Update {
    type Found = Webhook;
    type Output = Webhook;

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 webhook, ?3 URL or NULL, ?4 event types or NULL, ?5 1 where the description changes, ?6 that, ?7 1
        // to switch it off, 0 to switch it on, or NULL.
        const UPDATE: &str = "
            UPDATE webhooks
            SET url = ifnull(?3, url),
              event_types = ifnull(?4, event_types),
              description = CASE WHEN ?5 THEN ?6 ELSE description END,
              disabled_at = CASE ?7 WHEN 1 THEN ifnull(disabled_at, c.now) WHEN 0 THEN NULL ELSE disabled_at END,
              disabled_reason = CASE WHEN ?7 = 0 THEN NULL ELSE disabled_reason END,
              failing_since = CASE WHEN ?7 = 0 AND disabled_at IS NOT NULL THEN NULL ELSE failing_since END,
              paused_until = 0,
              pauses = 0,
              updated_at = c.now
            FROM caller_rights c
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND webhooks.id = ?2 AND webhooks.org_id = c.org_id AND webhooks.deleted_at IS NULL
              AND (webhooks.url <> ?3 OR webhooks.event_types <> ?4
                OR (?5 AND webhooks.description IS NOT ?6)
                OR (webhooks.disabled_at IS NOT NULL) <> ?7)";
        let find = find(&self.caller, self.id);
        let mut params = find.params.clone();
        params.extend([
            Param::from(self.url.as_ref()),
            self.event_types.as_ref().map_or(Param::Null, |types| event_types(types)),
            Param::Int(self.description.is_some().into()),
            Param::from(self.description.as_ref().and_then(Option::as_ref)),
            self.disabled.map_or(Param::Null, |disabled| Param::Int(disabled.into())),
        ]);
        vec![Statement { sql: UPDATE, params }, find]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<Webhook>) -> Result<Webhook, ApiError> {
        found.ok_or(ApiError::WebhookNotFound)
    }
}

/// Removes a webhook. What was still to be delivered to it is not.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// Who removes it.
    pub caller: Caller,
    /// The webhook.
    pub id: WebhookId,
}

impl CallerOperation for Delete {
    type Found = bool;
    type Output = ();

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 webhook. The sweeper removes the row, and its deliveries.
        const DELETE: &str = "
            UPDATE webhooks SET deleted_at = c.now, disabled_at = ifnull(disabled_at, c.now)
            FROM caller_rights c
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND webhooks.id = ?2 AND webhooks.org_id = c.org_id AND webhooks.deleted_at IS NULL";
        // Also one that was removed before: a client that got no answer repeats the request.
        const FIND: &str = "
            SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
              'found', json(CASE WHEN w.id IS NOT NULL THEN 'true' END)) AS json
            FROM caller_rights c
            LEFT JOIN webhooks w ON w.id = ?2 AND w.org_id = c.org_id AND c.auth_error IS NULL
            WHERE c.request = ?1";
        let params = vec![self.caller.param(), Param::from(&self.id)];
        vec![Statement { sql: DELETE, params: params.clone() }, Statement { sql: FIND, params }]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<bool>) -> Result<(), ApiError> {
        found.map(drop).ok_or(ApiError::WebhookNotFound)
    }
}

/// Gives a webhook a new secret. The one before signs, too, for a day.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotate {
    /// Who asks for it.
    pub caller: Caller,
    /// The webhook.
    pub id: WebhookId,
    /// Tells a repeat of this request, whose answer was lost, from another one.
    pub request_id: RequestId,
}

/// What [`Rotate`] finds.
#[derive(Debug, Deserialize)]
pub struct FoundRotated {
    webhook: Webhook,
    secret_version: u32,
}

impl CallerOperation for Rotate {
    type Found = FoundRotated;
    /// The webhook, and the number of its secret.
    type Output = (Webhook, u32);

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 webhook, ?3 request, ?4 how long the present secret still signs, ?5 how many earlier ones may.
        const ROTATE: &str = "
            UPDATE webhooks
            SET secret_version = secret_version + 1,
              earlier_secrets = (
                SELECT json_group_array(json(e.secret))
                FROM (
                  SELECT json_array(webhooks.secret_version, CAST(c.now + ?4 AS INTEGER)) AS secret,
                    webhooks.secret_version AS version
                  UNION ALL
                  SELECT j.value, j.value ->> 0
                  FROM json_each(webhooks.earlier_secrets) j
                  WHERE j.value ->> 1 > c.now
                  ORDER BY version DESC LIMIT ?5) e),
              rotation_id = ?3,
              updated_at = c.now
            FROM caller_rights c
            WHERE c.request = ?1
              AND c.auth_error IS NULL
              AND webhooks.id = ?2 AND webhooks.org_id = c.org_id AND webhooks.deleted_at IS NULL
              AND webhooks.rotation_id IS NOT ?3";
        const FIND: &str = "
            SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
              'due_webhooks', json(c.due_webhooks), 'found', json(CASE WHEN w.id IS NOT NULL THEN json_object(
                'webhook', json(w.json), 'secret_version', w.secret_version) END)) AS json
            FROM caller_rights c
            LEFT JOIN webhooks_json w ON w.id = ?2 AND w.org_id = c.org_id AND c.auth_error IS NULL
            WHERE c.request = ?1";
        let mut params = vec![self.caller.param(), Param::from(&self.id)];
        let find = Statement { sql: FIND, params: params.clone() };
        let until = Timestamp(0).plus_seconds(ROTATION_SECONDS);
        let earlier = i64::try_from(MAX_EARLIER_SECRETS).unwrap_or_default();
        params.extend([Param::from(&self.request_id), Param::Int(until.0), Param::Int(earlier)]);
        vec![Statement { sql: ROTATE, params }, find]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<FoundRotated>) -> Result<Self::Output, ApiError> {
        let FoundRotated { webhook, secret_version } = found.ok_or(ApiError::WebhookNotFound)?;
        Ok((webhook, secret_version))
    }
}
