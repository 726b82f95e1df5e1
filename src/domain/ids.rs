//! Ids: UUIDs that cannot be taken for one another.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::idempotency::IdempotencyKey;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(inline))]
        pub struct $name(Uuid);

        impl $name {
            /// Reads the hyphenated form, in either case; `None` for anything else, the other forms of
            /// a UUID (braces, URN, no hyphens) among them.
            pub fn parse(text: &str) -> Option<Self> {
                // The uuid crate reads all forms; only the hyphenated one is 36 bytes long.
                (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten().map(Self)
            }

            /// The time that it begins with, in milliseconds, where it is of version 7, or of 8 with the same beginning.
            pub fn unix_ms(&self) -> i64 {
                i64::try_from(self.0.as_u128() >> 80).unwrap_or_default()
            }

            /// A version 7 id, which sorts by `unix_ms`; `random` makes it unguessable.
            pub fn v7(unix_ms: u64, random: &[u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, random).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| D::Error::custom("not a hyphenated UUID"))
            }
        }
    };
}

id! {
    /// An organization: the tenant that everything belongs to.
    OrganizationId
}
id! {
    /// A user.
    UserId
}
id! {
    /// A folder of an organization.
    FolderId
}
id! {
    /// An upload session.
    AssetUploadId
}
id! {
    /// An asset. One that was uploaded has its upload's id.
    AssetId
}
id! {
    /// An API key, by which it is revoked; it does not grant anything.
    ApiKeyId
}
id! {
    /// A webhook.
    WebhookId
}
id! {
    /// A delivery to a webhook, or the event that it delivers: the first delivery of an event has the event's id.
    DeliveryId
}
id! {
    /// One HTTP request, for the log and `X-Request-Id`.
    RequestId
}

/// What every object's key begins with.
pub const OBJECT_PREFIX: &str = "uploads/";

impl From<AssetUploadId> for AssetId {
    fn from(upload: AssetUploadId) -> Self {
        Self(upload.0)
    }
}

/// The same UUID for the same intent of a client. `kind` tells apart what one key may be used for; version 8 is the one
/// for ids of one's own making.
fn id_of_intent(
    token_hash: &str,
    organization: Option<&OrganizationId>,
    key: &IdempotencyKey,
    kind: &str,
) -> Uuid {
    let organization = organization.map(OrganizationId::to_string).unwrap_or_default();
    // No part can hold a line break, so no two intents have the same text.
    let intent = format!("{token_hash}\n{organization}\n{}{kind}", key.as_str());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(Sha256::digest(intent.as_bytes())).for_each(|(to, from)| *to = from);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

impl FolderId {
    /// The id of the folder that a client means by an Idempotency-Key, as for an upload.
    pub fn for_idempotency_key(
        token_hash: &str,
        organization: Option<&OrganizationId>,
        key: &IdempotencyKey,
    ) -> Self {
        Self(id_of_intent(token_hash, organization, key, "\nfolder"))
    }
}

impl AssetUploadId {
    /// The id of the upload that a client means by an Idempotency-Key: the same whenever it is asked for
    /// with the same API key and organization, so that the table's primary key makes it exist once. It
    /// is as hard to guess as the API key.
    pub fn for_idempotency_key(
        token_hash: &str,
        organization: Option<&OrganizationId>,
        key: &IdempotencyKey,
    ) -> Self {
        Self(id_of_intent(token_hash, organization, key, ""))
    }

    /// The object's key in R2. It follows from the id, so that nothing need be read to find the object.
    pub fn object_key(&self) -> String {
        format!("{OBJECT_PREFIX}{self}")
    }

    /// The id whose object has this key; `None` where no upload's has.
    pub fn of_object(key: &str) -> Option<Self> {
        Self::parse(key.strip_prefix(OBJECT_PREFIX)?).filter(|id| id.object_key() == key)
    }
}
