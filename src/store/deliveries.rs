//! The history of a webhook, and what is delivered on request: a test, or an event once more.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::page::{self, Bounds, page_sql};
use super::rights::{AuthorizedCaller, Caller, CallerOperation};
use super::{Param, Statement};
use crate::domain::ids::{DeliveryId, OrganizationId, WebhookId};
use crate::domain::page::{Page, PageRequest};
use crate::domain::webhook::{Delivery, TEST_EVENT};
use crate::error::ApiError;

/// Reads one page of a webhook's deliveries.
#[derive(Debug, Clone, PartialEq)]
pub struct List<'a> {
    /// Who asks.
    pub caller: Caller,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Which of them, in which order.
    pub page: &'a PageRequest,
}

impl CallerOperation for List<'_> {
    type Found = page::Found<Delivery>;
    type Output = (OrganizationId, Page<Delivery>);

    fn statements(&self) -> Vec<Statement> {
        let sql = page_sql!(
            "EXISTS (SELECT 1 FROM webhooks_json w WHERE w.id = ?2 AND w.org_id = c.org_id)",
            "webhook_deliveries_json",
            "t.webhook_id = ?2",
            "true",
            "created_at",
            self.page.reads_ascending()
        );
        let webhook = Param::from(&self.webhook_id);
        let params = page::params(&self.caller, webhook, &Bounds::default(), self.page, false, false);
        vec![Statement { sql, params }]
    }

    fn decode(&self, caller: AuthorizedCaller, found: Option<Self::Found>) -> Result<Self::Output, ApiError> {
        let found = found.ok_or(ApiError::WebhookNotFound)?;
        let place =
            |delivery: &Delivery| (self.page.sort.by.key(delivery.created_at, ""), delivery.id.to_string());
        Ok((caller.organization()?, found.page(self.page, place).0))
    }
}

/// A delivery, and what it tells.
#[derive(Debug, Deserialize)]
pub struct FoundDelivery {
    /// The delivery; `None` where the webhook has no such one.
    delivery: Option<Delivery>,
    /// The row that its event is about, as it was then.
    data: Option<Box<RawValue>>,
}

impl FoundDelivery {
    fn delivery(found: Option<Self>) -> Result<(Delivery, Box<RawValue>), ApiError> {
        let Self { delivery, data } = found.ok_or(ApiError::WebhookNotFound)?;
        delivery.zip(data).ok_or(ApiError::WebhookDeliveryNotFound)
    }
}

/// Reads the caller and a delivery of a webhook.
fn find(caller: &Caller, webhook_id: WebhookId, id: DeliveryId) -> Statement {
    // ?1 caller, ?2 webhook, ?3 delivery, ?4 its time.
    const SQL: &str = "
        SELECT json_object('user_id', c.user_id, 'org_id', c.org_id, 'auth_error', c.auth_error,
          'due_webhooks', json(c.due_webhooks), 'found', json(CASE WHEN w.id IS NOT NULL THEN json_object(
            'delivery', json(d.json), 'data', json(d.data)) END)) AS json
        FROM caller_rights c
        LEFT JOIN webhooks_json w ON w.id = ?2 AND w.org_id = c.org_id AND c.auth_error IS NULL
        LEFT JOIN webhook_deliveries_json d ON d.webhook_id = w.id AND d.created_at = ?4 AND d.id = ?3
        WHERE c.request = ?1";
    let params = vec![
        caller.param(),
        Param::from(&webhook_id),
        Param::from(&id),
        // A delivery's id begins with it.
        Param::Int(id.unix_ms()),
    ];
    Statement { sql: SQL, params }
}

/// Reads one delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Who asks.
    pub caller: Caller,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The delivery.
    pub id: DeliveryId,
}

impl CallerOperation for Read {
    type Found = FoundDelivery;
    /// The organization, the delivery, and the row that its event is about.
    type Output = (OrganizationId, Delivery, Box<RawValue>);

    fn statements(&self) -> Vec<Statement> {
        vec![find(&self.caller, self.webhook_id, self.id)]
    }

    fn decode(
        &self,
        caller: AuthorizedCaller,
        found: Option<FoundDelivery>,
    ) -> Result<Self::Output, ApiError> {
        let (delivery, data) = FoundDelivery::delivery(found)?;
        Ok((caller.organization()?, delivery, data))
    }
}

/// Ends a webhook's pause: whoever asks for a delivery wants to see it tried.
fn resume(caller: &Caller, webhook_id: WebhookId) -> Statement {
    // ?1 caller, ?2 webhook.
    const SQL: &str = "
        UPDATE webhooks SET paused_until = 0
        WHERE id = ?2
          AND paused_until > 0
          AND deleted_at IS NULL
          AND org_id = (SELECT c.org_id FROM caller_rights c WHERE c.request = ?1 AND c.auth_error IS NULL)";
    Statement { sql: SQL, params: vec![caller.param(), Param::from(&webhook_id)] }
}

/// Delivers the event of a delivery once more.
#[derive(Debug, Clone, PartialEq)]
pub struct Redeliver {
    /// Who asks for it.
    pub caller: Caller,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The delivery to repeat.
    pub id: DeliveryId,
    /// The new delivery, whose id begins with the time of the request.
    pub new_id: DeliveryId,
}

impl CallerOperation for Redeliver {
    type Found = FoundDelivery;
    /// The new delivery.
    type Output = Delivery;

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 webhook, ?3 delivery, ?4 its time, ?5 new delivery, ?6 its time.
        const INSERT: &str = "
            INSERT INTO webhook_deliveries (
              webhook_id, created_at, id, org_id, event_id, event_type, event_at, data, due_at)
            SELECT d.webhook_id, ?6, ?5, d.org_id, d.event_id, d.event_type, d.event_at, d.data, ?6
            FROM caller_rights c
            CROSS JOIN webhooks_json w ON w.id = ?2 AND w.org_id = c.org_id
            CROSS JOIN webhook_deliveries d ON d.webhook_id = w.id AND d.created_at = ?4 AND d.id = ?3
            WHERE c.request = ?1
              AND c.auth_error IS NULL
            ON CONFLICT DO NOTHING";
        let mut params = find(&self.caller, self.webhook_id, self.id).params;
        params.extend([Param::from(&self.new_id), Param::Int(self.new_id.unix_ms())]);
        let insert = Statement { sql: INSERT, params };
        let resume = resume(&self.caller, self.webhook_id);
        vec![resume, insert, find(&self.caller, self.webhook_id, self.new_id)]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<FoundDelivery>) -> Result<Delivery, ApiError> {
        FoundDelivery::delivery(found).map(|(delivery, _)| delivery)
    }
}

/// Sends a webhook an event that only it is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// Who asks for it.
    pub caller: Caller,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The delivery and its event, whose id begins with the time of the request.
    pub id: DeliveryId,
}

impl CallerOperation for Test {
    type Found = FoundDelivery;
    type Output = Delivery;

    fn statements(&self) -> Vec<Statement> {
        // ?1 caller, ?2 webhook, ?3 delivery, ?4 its time, ?5 type.
        const INSERT: &str = "
            INSERT INTO webhook_deliveries (
              webhook_id, created_at, id, org_id, event_id, event_type, event_at, data, due_at)
            SELECT w.id, ?4, ?3, w.org_id, ?3, ?5, ?4, json_object('webhook_id', w.id), ?4
            FROM caller_rights c
            CROSS JOIN webhooks_json w ON w.id = ?2 AND w.org_id = c.org_id
            WHERE c.request = ?1
              AND c.auth_error IS NULL
            ON CONFLICT DO NOTHING";
        let find = find(&self.caller, self.webhook_id, self.id);
        let mut params = find.params.clone();
        params.push(Param::from(&TEST_EVENT));
        vec![resume(&self.caller, self.webhook_id), Statement { sql: INSERT, params }, find]
    }

    fn decode(&self, _: AuthorizedCaller, found: Option<FoundDelivery>) -> Result<Delivery, ApiError> {
        FoundDelivery::delivery(found).map(|(delivery, _)| delivery)
    }
}
