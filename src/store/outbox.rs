//! The transactions of delivery to webhooks. Queue and cron start them, so they have no caller.
//!
//! A webhook is delivered to by one invocation at a time, which holds its lease. A lease that runs out (the invocation
//! was ended) is taken by the next one: then the same delivery may be sent twice, and never not at all.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Operation, Param, Rows, Statement};
use crate::domain::ids::{DeliveryId, OrganizationId, WebhookId};
use crate::domain::timestamp::Timestamp;
use crate::domain::webhook::{Attempt, MAX_FAILING_SECONDS};
use crate::error::ApiError;
use crate::webhook_secret::SecretVersions;

/// Finds webhooks with deliveries that are due, to which nobody is delivering.
#[derive(Debug, Clone, PartialEq)]
pub struct DueWebhooks {
    /// Now.
    pub now: Timestamp,
    /// What is due by then.
    pub due_by: Timestamp,
    /// Where to begin, chosen at random: if there are always too many, none is always the last.
    pub from: WebhookId,
    /// How many at most.
    pub limit: u32,
}

impl Operation for DueWebhooks {
    type Output = Vec<WebhookId>;

    fn statements(&self) -> Vec<Statement> {
        // ?1 now, ?2 where to begin, ?3 how many, ?4 due by then. Of each webhook one entry of the index is read, however
        // many deliveries it has.
        const FIND: &str = "
            WITH RECURSIVE pending (id) AS (
              SELECT (
                SELECT d.webhook_id FROM webhook_deliveries d
                WHERE d.due_at IS NOT NULL AND d.webhook_id >= ?2 ORDER BY d.webhook_id LIMIT 1)
              UNION ALL
              SELECT (
                SELECT d.webhook_id FROM webhook_deliveries d
                WHERE d.due_at IS NOT NULL AND d.webhook_id > p.id ORDER BY d.webhook_id LIMIT 1)
              FROM pending p
              WHERE p.id IS NOT NULL),
            before (id) AS (
              SELECT (
                SELECT d.webhook_id FROM webhook_deliveries d
                WHERE d.due_at IS NOT NULL AND d.webhook_id < ?2 ORDER BY d.webhook_id LIMIT 1)
              UNION ALL
              SELECT (
                SELECT d.webhook_id FROM webhook_deliveries d
                WHERE d.due_at IS NOT NULL AND d.webhook_id > b.id AND d.webhook_id < ?2 ORDER BY d.webhook_id LIMIT 1)
              FROM before b
              WHERE b.id IS NOT NULL)
            SELECT json_quote(w.id) AS json
            FROM (SELECT id FROM pending UNION ALL SELECT id FROM before) p
            CROSS JOIN webhooks w ON w.id = p.id AND w.disabled_at IS NULL AND w.leased_until <= ?1
            WHERE EXISTS (
              SELECT 1 FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.due_at <= ?4)
            LIMIT ?3";
        let params = vec![
            Param::Int(self.now.0),
            Param::from(&self.from),
            Param::Int(self.limit.into()),
            Param::Int(self.due_by.0),
        ];
        vec![Statement { sql: FIND, params }]
    }

    fn decode(&self, rows: &Rows) -> Result<Vec<WebhookId>, ApiError> {
        rows.all(0)
    }
}

/// A delivery that is to be sent.
#[derive(Debug, Clone, Deserialize)]
pub struct Due {
    /// The delivery.
    pub id: DeliveryId,
    /// When it was recorded, which is a part of its key.
    pub created_at: Timestamp,
    /// The event's id.
    pub event_id: DeliveryId,
    /// What happened.
    pub event_type: String,
    /// When it happened.
    pub event_at: Timestamp,
    /// The row that it happened to, as it was then.
    pub data: Box<RawValue>,
    /// Attempts that have failed.
    pub attempt_count: u32,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempted {
    /// The delivery.
    pub id: DeliveryId,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// Attempts before this one.
    pub attempt_count: u32,
    /// The attempt.
    pub attempt: Attempt,
    /// When to try again; `None` where it was delivered, or has failed for good.
    pub due_at: Option<Timestamp>,
}

/// Records what a round of deliveries to a webhook came to, and takes the next round: the lease of the webhook, and the
/// deliveries that have been due longest. The lease is given back where nothing is due, the webhook is switched off or
/// paused, or no more is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Names this invocation.
    pub lease_id: String,
    /// Now.
    pub now: Timestamp,
    /// What is due by then is taken; the time of what is recorded.
    pub due_by: Timestamp,
    /// Until when nobody else may deliver to it.
    pub leased_until: Timestamp,
    /// The last round.
    pub attempted: Vec<Attempted>,
    /// Whether to take something although the webhook is paused.
    pub ignores_pause: bool,
    /// How many deliveries to take at most; 0 ends it.
    pub limit: u32,
}

/// The next round.
#[derive(Debug, Clone, Deserialize)]
pub struct Taken {
    /// Whose webhook it is.
    pub org_id: OrganizationId,
    /// Where to send.
    pub url: String,
    /// What to sign with.
    pub secrets: SecretVersions,
    /// Until when the webhook is paused.
    pub paused_until: Timestamp,
    /// 1 where something is due that was not taken, and the webhook is on.
    pub more: u8,
    /// 1 where this round has switched it off.
    pub disabled: u8,
    /// The deliveries; none where the lease is not held.
    pub deliveries: Vec<Due>,
}

#[derive(Serialize)]
struct AttemptedParam<'a> {
    id: DeliveryId,
    created_at: i64,
    attempt_count: u32,
    due_at: Option<i64>,
    delivered_at: Option<i64>,
    attempt: AttemptParam<'a>,
}

/// An attempt as the database has it: with the time as a number.
#[derive(Serialize)]
struct AttemptParam<'a> {
    at: i64,
    status: Option<u16>,
    duration_ms: u64,
    error: Option<&'a str>,
    response: Option<&'a str>,
}

impl Attempted {
    fn param(&self) -> AttemptedParam<'_> {
        let Attempt { at, status, duration_ms, error, response } = &self.attempt;
        let delivered = self.attempt.succeeded().then(|| at.plus_ms(*duration_ms).0);
        AttemptedParam {
            id: self.id,
            created_at: self.created_at.0,
            attempt_count: self.attempt_count,
            due_at: self.due_at.map(|due| due.0),
            delivered_at: delivered,
            attempt: AttemptParam {
                at: at.0,
                status: *status,
                duration_ms: *duration_ms,
                error: error.as_deref(),
                response: response.as_deref(),
            },
        }
    }
}

impl Operation for Take {
    /// `None` where there is no such webhook.
    type Output = Option<Taken>;

    fn statements(&self) -> Vec<Statement> {
        // ?1 attempts, ?2 webhook. One that another invocation has recorded meanwhile stays as it is. With the webhook as a
        // value, SQLite would read all its deliveries instead of looking each one up.
        const RECORD: &str = "
            WITH attempted AS MATERIALIZED (
              SELECT ?2 AS webhook_id, j.value FROM json_each(?1) j)
            UPDATE webhook_deliveries
            SET attempts = json_insert(attempts, '$[#]', json(a.value -> 'attempt')),
              attempt_count = webhook_deliveries.attempt_count + 1,
              due_at = a.value ->> 'due_at',
              delivered_at = a.value ->> 'delivered_at'
            FROM attempted a
            WHERE webhook_deliveries.webhook_id = a.webhook_id
              AND webhook_deliveries.created_at = a.value ->> 'created_at'
              AND webhook_deliveries.id = a.value ->> 'id'
              AND webhook_deliveries.due_at IS NOT NULL
              AND webhook_deliveries.attempt_count = a.value ->> 'attempt_count'";
        // Written only where it changes. ?1 webhook, ?2 lease, ?3 now, ?4 1 where something was delivered, ?5 how long all
        // may fail, ?6 the time of the attempts.
        const HEALTH: &str = "
            UPDATE webhooks
            SET failing_since = CASE WHEN ?4 THEN NULL ELSE ifnull(failing_since, ?6) END,
              pauses = CASE WHEN ?4 THEN 0 ELSE pauses + 1 END,
              paused_until = CASE WHEN ?4 THEN 0 ELSE ?3 + min(60000, 5000 << min(pauses, 4)) END,
              disabled_at = CASE WHEN NOT ?4 AND failing_since <= ?6 - ?5 THEN ifnull(disabled_at, ?6) ELSE disabled_at END,
              disabled_reason = CASE
                WHEN NOT ?4 AND failing_since <= ?6 - ?5 AND disabled_at IS NULL THEN 'Every delivery has failed for 5 days.'
                ELSE disabled_reason
              END
            WHERE id = ?1 AND lease_id = ?2 AND (NOT ?4 OR failing_since IS NOT NULL OR pauses > 0)";
        // ?1 webhook, ?2 lease, ?3 now, ?4 until when, ?5 how many, ?6 1 where a pause does not matter, ?7 due by then.
        const LEASE: &str = "
            UPDATE webhooks
            SET lease_id = ?2,
              leased_until = CASE
                WHEN ?5 > 0 AND disabled_at IS NULL AND (?6 OR paused_until <= ?3) AND EXISTS (
                  SELECT 1 FROM webhook_deliveries d WHERE d.webhook_id = webhooks.id AND d.due_at <= ?7)
                  THEN ?4
                ELSE 0
              END
            WHERE id = ?1 AND (lease_id = ?2 OR leased_until <= ?3)";
        // ?1 webhook, ?2 lease, ?3 now, ?4 how many, ?5 due by then.
        const READ: &str = "
            SELECT json_object('org_id', w.org_id, 'url', w.url,
              'secrets', json_object('version', w.secret_version, 'earlier', json(w.earlier_secrets)), 'paused_until', w.paused_until,
              'disabled', w.disabled_at IS ?5,
              'more', w.disabled_at IS NULL AND w.leased_until <= ?3 AND EXISTS (
                SELECT 1 FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.due_at <= ?5),
              'deliveries', json(CASE WHEN w.lease_id = ?2 AND w.leased_until > ?3 THEN (
                SELECT json_group_array(json_object('id', d.id, 'created_at', d.created_at, 'event_id', d.event_id,
                  'event_type', d.event_type, 'event_at', d.event_at, 'data', json(d.data),
                  'attempt_count', d.attempt_count))
                FROM (
                  SELECT d.*
                  FROM webhook_deliveries d
                  WHERE d.webhook_id = ?1 AND d.due_at <= ?5
                  ORDER BY d.due_at, d.created_at, d.id LIMIT ?4) d)
                ELSE '[]' END)) AS json
            FROM webhooks w
            WHERE w.id = ?1";
        let (webhook, lease) = (Param::from(&self.webhook_id), Param::from(&self.lease_id));
        let (now, due_by) = (Param::Int(self.now.0), Param::Int(self.due_by.0));
        let limit = Param::Int(self.limit.into());
        let mut statements = Vec::with_capacity(4);
        if !self.attempted.is_empty() {
            let attempted: Vec<_> = self.attempted.iter().map(Attempted::param).collect();
            // Texts and numbers cannot fail to serialize.
            let attempted = Param::Text(serde_json::to_string(&attempted).unwrap_or_default());
            let delivered = self.attempted.iter().any(|attempted| attempted.attempt.succeeded());
            let failing = Timestamp(0).plus_seconds(MAX_FAILING_SECONDS);
            statements.push(Statement { sql: RECORD, params: vec![attempted, webhook.clone()] });
            statements.push(Statement {
                sql: HEALTH,
                params: vec![
                    webhook.clone(),
                    lease.clone(),
                    now.clone(),
                    Param::Int(delivered.into()),
                    Param::Int(failing.0),
                    due_by.clone(),
                ],
            });
        }
        statements.push(Statement {
            sql: LEASE,
            params: vec![
                webhook.clone(),
                lease.clone(),
                now.clone(),
                Param::Int(self.leased_until.0),
                limit.clone(),
                Param::Int(self.ignores_pause.into()),
                due_by.clone(),
            ],
        });
        statements.push(Statement { sql: READ, params: vec![webhook, lease, now, limit, due_by] });
        statements
    }

    fn decode(&self, rows: &Rows) -> Result<Option<Taken>, ApiError> {
        rows.last_row()
    }
}
