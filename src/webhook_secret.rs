//! Secrets of webhooks, and signatures with them, as in Standard Webhooks (<https://www.standardwebhooks.com>).
//!
//! No secret is stored. Each is the HMAC-SHA256, under the Worker's own secret, of the webhook's id and a number that
//! grows with every rotation.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::domain::ids::{DeliveryId, WebhookId};
use crate::domain::timestamp::Timestamp;
use crate::mac::hmac_sha256;

/// The Worker's own secret. Has no `Debug`, which would show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(String);

/// The secret of a webhook. Has no `Debug`, which would show it.
pub struct WebhookSecret(Vec<u8>);

/// Which secrets of a webhook sign, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SecretVersions {
    /// The present one.
    pub version: u32,
    /// Earlier ones, each with the time until which it signs, too.
    pub earlier: Vec<(u32, Timestamp)>,
}

impl SigningKey {
    /// Any text will do; 32 random bytes are as good as the signatures get.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Whether it is so short that somebody might guess it, with a webhook's secret to compare guesses with.
    pub fn is_short(&self) -> bool {
        self.0.len() < 32
    }

    /// The secret of a webhook, of this version.
    pub fn secret(&self, webhook: WebhookId, version: u32) -> WebhookSecret {
        WebhookSecret(hmac_sha256(self.0.as_bytes(), format!("webhook\n{webhook}\n{version}").as_bytes()))
    }

    /// The value of `webhook-signature`: one signature for each secret that is valid, the present one first.
    pub fn signatures(
        &self,
        webhook: WebhookId,
        versions: &SecretVersions,
        event: DeliveryId,
        now: Timestamp,
        body: &str,
    ) -> String {
        let earlier = versions.earlier.iter().filter(|(_, until)| now < *until);
        let valid = std::iter::once(versions.version).chain(earlier.map(|(version, _)| *version));
        let signed = valid.map(|version| self.secret(webhook, version).sign(event, now, body));
        signed.collect::<Vec<_>>().join(" ")
    }
}

impl WebhookSecret {
    /// As its owner gets it: `whsec_` and base64.
    pub fn text(&self) -> String {
        format!("whsec_{}", STANDARD.encode(&self.0))
    }

    /// A signature: `v1,` and base64.
    fn sign(&self, event: DeliveryId, now: Timestamp, body: &str) -> String {
        let content = format!("{event}.{}.{body}", now.unix_seconds());
        format!("v1,{}", STANDARD.encode(hmac_sha256(&self.0, content.as_bytes())))
    }
}
