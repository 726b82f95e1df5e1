//! Completion without the client: storage's notification of an object confirms its upload.
//!
//! A message only names an object. What becomes of it follows from the database and the object as they are now, so it does
//! not matter whether a message is forged, late, or comes twice.

use serde::{Deserialize, Serialize};

use crate::api::confirmations::confirm_objects;
use crate::api::context::RequestContext;
use crate::config::Config;
use crate::domain::api_key::Scope;
use crate::domain::ids::{AssetUploadId, OrganizationId, RequestId, WebhookId};
use crate::domain::webhook::Nudge;
use crate::error::{ApiError, AuthError};
use crate::platform::Platform;
use crate::store::Operation;
use crate::store::confirm::{By, Confirmed};
use crate::store::notifications::{FindStarters, Reject, Rejection, Starter};
use crate::store::rights::{Access, Caller, Permission};
use crate::token::TokenHash;

/// Uploads that are confirmed in one transaction.
const AT_A_TIME: usize = 25;

/// A message of R2's event notifications, as Cloudflare documents it, as far as it is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Notification {
    /// The object that was made.
    pub object: NotifiedObject,
}

/// The object that a notification names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NotifiedObject {
    /// Its key.
    pub key: String,
}

/// What a run has done; for the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Objects that were told of.
    pub objects: u32,
    /// Uploads that were confirmed.
    pub confirmed: u32,
    /// Uploads whose objects may not become assets.
    pub rejected: u32,
    /// Objects of no upload that is still to be confirmed.
    pub ignored: u32,
    /// What went wrong.
    #[serde(skip)]
    pub problems: Vec<String>,
}

/// Confirms the uploads whose objects have these keys. Returns, beside the report, the keys whose messages must come
/// again: storage did not answer.
pub async fn run<P: Platform>(platform: &P, config: &Config, keys: &[String]) -> (Report, Vec<String>) {
    let mut run = Run { platform, config, report: Report::default(), again: Vec::new(), due: Vec::new() };
    run.report.objects = u32::try_from(keys.len()).unwrap_or(u32::MAX);
    let mut ids: Vec<AssetUploadId> = Vec::new();
    for id in keys.iter().filter_map(|key| AssetUploadId::of_object(key)) {
        if config.auto_confirm && !ids.contains(&id) {
            ids.push(id);
        }
    }
    for ids in ids.chunks(AT_A_TIME) {
        run.confirm(ids).await;
    }
    run.send_nudges().await;
    let handled =
        run.report.confirmed + run.report.rejected + u32::try_from(run.again.len()).unwrap_or(u32::MAX);
    run.report.ignored = run.report.objects.saturating_sub(handled);
    (run.report, run.again)
}

struct Run<'a, P> {
    platform: &'a P,
    config: &'a Config,
    report: Report,
    again: Vec<String>,
    /// Webhooks that have something to be delivered.
    due: Vec<WebhookId>,
}

impl<P: Platform> Run<'_, P> {
    async fn confirm(&mut self, ids: &[AssetUploadId]) {
        let starters = match self.run(&FindStarters { ids: ids.to_vec(), now: self.platform.now() }).await {
            Ok(starters) => starters,
            Err(error) => return self.retry(ids, &error),
        };
        let mut groups: Vec<(Option<TokenHash>, OrganizationId, Vec<AssetUploadId>)> = Vec::new();
        for starter in starters {
            let Starter { id, org_id, .. } = starter;
            let token = starter.token();
            match groups.iter_mut().find(|group| group.0 == token && group.1 == org_id) {
                Some(group) => group.2.push(id),
                None => groups.push((token, org_id, vec![id])),
            }
        }
        let mut rejections = Vec::new();
        for (token, organization, ids) in groups {
            // Without its key nobody can say that it was not revoked.
            let Some(token) = token else {
                let error = ApiError::from(AuthError::Unauthorized);
                rejections.extend(ids.into_iter().map(|id| Rejection { id, error: error.envelope() }));
                continue;
            };
            self.confirm_as(token, organization, &ids, &mut rejections).await;
        }
        if rejections.is_empty() {
            return;
        }
        let rejected: Vec<_> = rejections.iter().map(|rejection| rejection.id).collect();
        match self.run(&Reject { rejections, now: self.platform.now() }).await {
            Ok(due) => {
                self.report.rejected += u32::try_from(rejected.len()).unwrap_or(u32::MAX);
                self.due.extend(due);
            }
            Err(error) => self.retry(&rejected, &error),
        }
    }

    /// Confirms uploads that one key has started.
    async fn confirm_as(
        &mut self,
        token: TokenHash,
        organization: OrganizationId,
        ids: &[AssetUploadId],
        rejections: &mut Vec<Rejection>,
    ) {
        let mut random = [0; 10];
        if let Err(error) = self.platform.fill_random(&mut random) {
            return self.retry(ids, &ApiError::Internal(error));
        }
        let now = self.platform.now();
        let request_id = RequestId::v7(now.unix_ms(), &random);
        let cx = RequestContext::new(self.platform, self.config, request_id, "", "");
        let access = Access {
            permission: Permission::AssetsWrite,
            scopes: &[Scope::Full, Scope::Upload],
            writes: true,
        };
        let organization = Some(organization);
        let caller = Caller { token, organization, now, access, ignores_expiry: true };
        let items = ids.iter().map(|id| (*id, None)).collect();
        let outcomes = confirm_objects(&cx, caller, None, items, By::Storage).await;
        let outcomes = outcomes.unwrap_or_else(|error| vec![Err(error); ids.len()]);
        for (id, outcome) in ids.iter().zip(outcomes) {
            match outcome {
                Ok(Confirmed::Asset { .. }) => self.report.confirmed += 1,
                Err(error @ (ApiError::StorageUnavailable { .. } | ApiError::Internal(_))) => {
                    self.retry(&[*id], &error);
                }
                Err(error @ (ApiError::UploadRejected(_) | ApiError::Auth(_) | ApiError::FolderNotFound)) => {
                    rejections.push(Rejection { id: *id, error: error.envelope() });
                }
                // Confirmed, cancelled or expired meanwhile, or the object is gone.
                _ => {}
            }
        }
        self.due.extend(cx.due_webhooks());
    }

    async fn send_nudges(&mut self) {
        self.due.sort_unstable_by_key(WebhookId::to_string);
        self.due.dedup();
        let nudges: Vec<_> =
            self.due.iter().map(|webhook_id| (Nudge { webhook_id: *webhook_id, as_of: None }, 0)).collect();
        if nudges.is_empty() {
            return;
        }
        // The cron finds what the queue was not told.
        if let Err(error) = self.platform.send_nudges(&nudges).await {
            self.report.problems.push(error.message);
        }
    }

    async fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, ApiError> {
        operation.decode(&self.platform.transact(&operation.statements()).await?)
    }

    fn retry(&mut self, ids: &[AssetUploadId], error: &ApiError) {
        self.report.problems.push(error.log_text());
        self.again.extend(ids.iter().map(AssetUploadId::object_key));
    }
}
