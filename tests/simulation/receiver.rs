//! The receivers of webhooks: what they are sent, compared with what they are to be told, and what they answer.

use asset_uploads::domain::ids::WebhookId;
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::platform::{Answered, Outgoing, SendError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::answers::equal;
use crate::model::Model;
use crate::part_answers::time_of;
use crate::record::TaskRecord;
use crate::schedule::Receiver;
use crate::state::State;

/// A request that a task has sent to a receiver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Posted {
    /// Whether the receiver said that it took it.
    pub(crate) taken: bool,
    /// When the task knew.
    pub(crate) answered_at: Timestamp,
}

impl State<'_> {
    /// A request arrives at a receiver, or is lost on its way: what it is answered, and which delivery it was.
    pub(crate) fn arrive(
        &self,
        request: Outgoing<'_>,
    ) -> (Result<Answered, SendError>, Option<(usize, String)>) {
        let model = self.model.borrow();
        let webhook = match self.webhook_of(&model, &request) {
            Ok(webhook) => webhook,
            Err(text) => {
                self.violate(format!("{text}: {request:?}"));
                return (Err(SendError::NotSent), None);
            }
        };
        let id = header(&request, "webhook-id").to_owned();
        let mut receivers = self.receivers.borrow_mut();
        let receiver = receivers.entry(webhook).or_insert(Receiver::Up);
        let answered = |status: u16| Ok(Answered { status, response: "as the schedule has it".to_owned() });
        let lost = || Err(SendError::Failed("connection lost".to_owned()));
        let (arrives, answer) = match *receiver {
            Receiver::Up => (true, answered(204)),
            Receiver::Wavering => {
                *receiver = Receiver::WaveringUp;
                (true, answered(500))
            }
            Receiver::WaveringUp => {
                *receiver = Receiver::Wavering;
                (true, answered(200))
            }
            Receiver::Failing => (true, answered(500)),
            Receiver::Gone => (false, lost()),
            Receiver::Mute => (true, lost()),
            Receiver::Forbidden => (false, Err(SendError::NotSent)),
        };
        let delivery = (webhook, id);
        if arrives {
            self.report(self.check_received(&model, &delivery, request));
            let known = !self.received.borrow_mut().insert(delivery.clone());
            if known {
                self.count("received again");
            }
        }
        (answer, Some(delivery))
    }

    /// The webhook that a request is for: the one whose secret has signed it.
    fn webhook_of(&self, model: &Model, request: &Outgoing<'_>) -> Result<usize, String> {
        let key = self.world.config.webhooks.signing_key.as_ref().map_err(ToString::to_string)?;
        let content = format!(
            "{}.{}.{}",
            header(request, "webhook-id"),
            header(request, "webhook-timestamp"),
            request.body
        );
        let signed = |id: &str| {
            let secret = WebhookId::parse(id).map(|id| key.secret(id, 1).text())?;
            let secret = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
            let mut mac = Hmac::<Sha256>::new_from_slice(&secret).ok()?;
            mac.update(content.as_bytes());
            Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
        };
        let signature = header(request, "webhook-signature");
        let mut webhooks = model.webhooks.iter();
        webhooks
            .position(|webhook| {
                webhook.url == request.url && signed(&webhook.id).as_deref() == Some(signature)
            })
            .ok_or_else(|| "no webhook of this URL has signed a request".to_owned())
    }

    /// An event that a receiver has got: one that its webhook is to be told, as it was committed.
    fn check_received(
        &self,
        model: &Model,
        (webhook, id): &(usize, String),
        request: Outgoing<'_>,
    ) -> Result<(), String> {
        let body: Value = serde_json::from_str(request.body).map_err(|error| error.to_string())?;
        let delivery =
            model.deliveries.iter().find(|delivery| delivery.webhook == *webhook && delivery.id == *id);
        let delivery =
            delivery.ok_or_else(|| format!("a webhook is told what it is not to be told: {body}"))?;
        let expected = json!({
            "id": id,
            "type": delivery.event_type,
            "timestamp": Timestamp(delivery.at).to_rfc3339(),
            "organization_id": model.orgs[model.webhooks[*webhook].org],
            "data": body["data"],
        });
        equal("the event", &body, &expected)?;
        let data = &body["data"];
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let time = |value: &Value| {
            if value.is_null() { Ok("-".to_owned()) } else { time_of(value).map(|at| at.0.to_string()) }
        };
        let either = |name: &str, other: &str| {
            if data[name].is_null() { data[other].clone() } else { data[name].clone() }
        };
        let told = format!(
            "{}|{}|{}|{}|{}|{}",
            text(&either("name", "filename")),
            text(&data["folder_id"]),
            time(&data["deleted_at"])?,
            text(&data["created_by"]),
            time(&either("updated_at", "expires_at"))?,
            text(&data["error"]["code"]),
        );
        // The row has the error of an upload that was rejected before; only a rejection tells it.
        let expected = match delivery.told.rsplit_once('|') {
            Some((upload, _)) if delivery.event_type == "upload.expired" => format!("{upload}|-"),
            _ => delivery.told.clone(),
        };
        let org = json!(model.orgs[model.webhooks[*webhook].org]);
        if told != expected || data["id"] != json!(delivery.subject) || data["org_id"] != org {
            return Err(format!("a webhook is told {body}, and {delivery:?} is what happened"));
        }
        if request.body.contains("://") {
            return Err(format!("a webhook is told a URL: {body}"));
        }
        Ok(())
    }
}

fn header<'a>(request: &Outgoing<'a>, name: &str) -> &'a str {
    request.headers.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value)
}

/// Notes what a task has sent.
pub(crate) fn note(record: &TaskRecord, delivery: (usize, String), taken: bool, answered_at: Timestamp) {
    record.posted.borrow_mut().insert(delivery, Posted { taken, answered_at });
}
