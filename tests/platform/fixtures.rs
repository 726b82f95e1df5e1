//! An organization with people, an upload and an asset, and a request for every endpoint.

use asset_uploads::api::descriptions;
use asset_uploads::api::endpoint::Description;
use asset_uploads::config::Config;
use asset_uploads::domain::asset::User;
use asset_uploads::domain::ids::{AssetUploadId, DeliveryId, FolderId, OrganizationId, UserId, WebhookId};
use asset_uploads::domain::webhook::EventType;
use asset_uploads::error::AuthError;
use asset_uploads::store::rights::{Access, Permission};

use super::TestPlatform;
use super::client::{ORIGIN, TestAnswer, TestRequest};
use crate::bucket::Bucket;
use crate::requests;
use crate::sqlite::fixtures::DEADLINE;
use crate::sqlite::{self, Key, Person, unused_token};

/// An API with things in it.
pub(crate) struct Api {
    pub(crate) platform: TestPlatform,
    pub(crate) config: Config,
    pub(crate) org: OrganizationId,
    pub(crate) editor: User,
    /// The editor's key.
    pub(crate) token: String,
    /// A pending upload, whose object is in the bucket.
    pub(crate) upload: AssetUploadId,
    /// A pending upload of one part, which is in the bucket.
    pub(crate) multipart: AssetUploadId,
    /// The ETag of that part.
    pub(crate) part_etag: String,
    /// A confirmed upload.
    pub(crate) asset: AssetUploadId,
    /// An empty folder.
    pub(crate) folder: FolderId,
    /// The id of another key of the editor's.
    pub(crate) key: String,
    pub(crate) admin: UserId,
    /// The admin's key.
    pub(crate) admin_token: String,
    /// A webhook that wants no event of this organization's so far.
    pub(crate) webhook: WebhookId,
    /// What was delivered to it.
    pub(crate) delivery: DeliveryId,
}

/// Somebody with a key, and the rule that denies them reading and writing.
pub(crate) struct DeniedCaller {
    pub(crate) who: &'static str,
    pub(crate) token: String,
    read: Option<AuthError>,
    write: AuthError,
}

impl DeniedCaller {
    /// Why they may not; `None` where they may.
    pub(crate) fn error(&self, access: Access) -> Option<AuthError> {
        // Any valid key will do.
        if access.permission == Permission::AnyKey {
            return self.read.filter(|error| *error == AuthError::Unauthorized);
        }
        // The role is asked for the permission, the impersonator for what the request would do.
        match self.write {
            AuthError::PermissionDenied
                if [Permission::AssetsWrite, Permission::WebhooksManage].contains(&access.permission) =>
            {
                Some(self.write)
            }
            _ if access.writes => Some(self.write),
            _ => self.read,
        }
    }
}

impl Api {
    /// With these variables beside those that signing needs.
    pub(crate) fn new(variables: &[(&str, &str)]) -> Self {
        let conn = sqlite::open();
        let org = sqlite::organization(&conn);
        let editor = sqlite::user(&conn, "Edith");
        sqlite::add_member(&conn, &editor, org, Some("editor"));
        let token = sqlite::give_token(&conn, &editor, Key::default());
        let person = Person { user: editor.clone(), key: sqlite::unused_key() };
        let [upload, multipart, asset] = [(); 3].map(|()| sqlite::session(&conn, org, &person, DEADLINE));
        sqlite::asset(&conn, asset, None, "");
        let folder = sqlite::folder(&conn, org, &person, None);
        let config = requests::config(variables);
        let hash = sqlite::key(&conn, &editor, Key { org: Some(org), ..Key::default() });
        let key = sqlite::key_id(&conn, &hash);
        let mut bucket = bucket(&config);
        let multipart_id = bucket.create_multipart(&multipart.object_key(), "image/png");
        let part_etag = bucket.upload_part(&multipart_id, 1, 640).unwrap();
        let sql = "UPDATE asset_uploads SET part_size = 5242880, multipart_id = ?2 WHERE id = ?1";
        assert_eq!(conn.execute(sql, [multipart.to_string(), multipart_id]), Ok(1));
        let platform = TestPlatform::new(conn, bucket);
        for id in [upload, asset] {
            platform.put(&id.object_key(), 640, Some("image/png"));
        }
        let admin = sqlite::user(&platform.conn, "Adam");
        sqlite::add_member(&platform.conn, &admin, org, Some("admin"));
        let admin_token = sqlite::give_token(&platform.conn, &admin, Key::default());
        let webhook = sqlite::webhook(&platform.conn, org, admin.id, &[EventType::UploadExpired]);
        let delivery = sqlite::delivery(&platform.conn, org, webhook);
        Self {
            platform,
            config,
            org,
            editor,
            token,
            upload,
            multipart,
            part_etag,
            asset,
            folder,
            key,
            admin: admin.id,
            admin_token,
            webhook,
            delivery,
        }
    }

    /// Sends a request. An error must be among those that openapi.json has for its endpoint.
    pub(crate) fn send(&self, request: &TestRequest) -> TestAnswer {
        let answer = self.platform.send(request, Ok(&self.config));
        let endpoint = descriptions().into_iter().find(|endpoint| {
            let route = endpoint.route;
            answer.log.route == Some(route.path)
                && request.method.replace("HEAD", "GET") == route.method.as_str()
        });
        if let (Some(endpoint), Some(code)) = (endpoint, answer.log.code) {
            let of_all = endpoint.permission.is_some()
                && ["BAD_REQUEST", "VALIDATION_ERROR", "STORAGE_UNAVAILABLE"].contains(&code)
                || [401, 403, 500].contains(&answer.status);
            let documented = endpoint.doc.errors.iter().any(|error| error.as_str() == code);
            assert!(
                of_all || documented,
                "{} answers {code}, which its description lacks: add it to DOC.errors",
                endpoint.route.path
            );
        }
        answer
    }

    /// A request of the editor's with which an endpoint succeeds. A new endpoint needs a line here.
    pub(crate) fn example(&self, endpoint: &Description) -> TestRequest {
        let path = match endpoint.doc.operation_id {
            "getHealth"
            | "getReady"
            | "getMe"
            | "createApiKey"
            | "listApiKeys"
            | "createAssetUpload"
            | "createAssetUploadConfirmations"
            | "listAssets"
            | "listAssetTypes"
            | "listAssetSourceTypes"
            | "listAssetFolders"
            | "createAssetFolder"
            | "listWebhooks"
            | "createWebhook"
            | "listWebhookEventTypes" => endpoint.route.path.to_owned(),
            "revokeApiKey" => endpoint.route.path.replace("{api_key_id}", &self.key),
            "getAssetUpload" | "cancelAssetUpload" | "createAssetUploadConfirmation" => {
                endpoint.route.path.replace("{asset_upload_id}", &self.upload.to_string())
            }
            "signAssetUploadParts" | "completeAssetUpload" => {
                endpoint.route.path.replace("{asset_upload_id}", &self.multipart.to_string())
            }
            "getAsset" | "updateAsset" | "deleteAsset" | "createAssetRestoration" => {
                endpoint.route.path.replace("{asset_id}", &self.asset.to_string())
            }
            "getAssetFolder" | "updateAssetFolder" | "deleteAssetFolder" | "createAssetFolderRestoration" => {
                endpoint.route.path.replace("{folder_id}", &self.folder.to_string())
            }
            "getWebhook"
            | "updateWebhook"
            | "deleteWebhook"
            | "createWebhookSecretRotation"
            | "createWebhookTest"
            | "listWebhookDeliveries"
            | "getWebhookDelivery"
            | "createWebhookRedelivery" => {
                let path = endpoint.route.path.replace("{webhook_id}", &self.webhook.to_string());
                path.replace("{delivery_id}", &self.delivery.to_string())
            }
            other => panic!("{other} has no example: add a valid request to Api::example"),
        };
        let request = TestRequest::new(endpoint.route.method.as_str(), &path);
        let request = match endpoint.doc.operation_id {
            "createAssetUpload" => {
                request.json(r#"{"filename":"beach.png","mime_type":"image/png","size_bytes":640}"#)
            }
            "createApiKey" => request.json(r#"{"name":"page","scope":"upload","expires_in_seconds":900}"#),
            "createAssetUploadConfirmation" => request.json("{}"),
            "createAssetUploadConfirmations" => {
                request.json(&format!(r#"{{"items":[{{"asset_upload_id":"{}"}}]}}"#, self.upload))
            }
            "signAssetUploadParts" => request.json(r#"{"part_numbers":[1]}"#),
            "completeAssetUpload" => {
                request.json(&format!(r#"{{"parts":[{{"part_number":1,"etag":"{}"}}]}}"#, self.part_etag))
            }
            "createWebhook" => {
                request.json(r#"{"url":"https://hooks.example.com/","event_types":["asset.created"]}"#)
            }
            "updateWebhook" => request.json(r#"{"disabled":true}"#),
            "updateAsset" | "createAssetFolder" | "updateAssetFolder" => {
                request.json(r#"{"name":"other.png"}"#)
            }
            _ => request,
        };
        match endpoint.permission {
            Some(Permission::WebhooksManage) => request.token(&self.admin_token),
            Some(_) => request.token(&self.token),
            None => request,
        }
    }

    /// Whose key the example of an endpoint has; `None` where it has none.
    pub(crate) fn user_of_example(&self, endpoint: &Description) -> Option<UserId> {
        match endpoint.permission? {
            Permission::WebhooksManage => Some(self.admin),
            _ => Some(self.editor.id),
        }
    }

    /// Rules 3 to 8: one caller for each.
    pub(crate) fn denied_callers(&self) -> Vec<DeniedCaller> {
        use AuthError::{
            EmailNotVerified, ImpersonationReadOnly, OrganizationMembershipRequired, PermissionDenied,
            RoleUnresolved, Unauthorized,
        };
        let conn = &self.platform.conn;
        let user = |role: Option<Option<&str>>| {
            let user = sqlite::user(conn, "Carla");
            role.into_iter().for_each(|role| sqlite::add_member(conn, &user, self.org, role));
            user
        };
        let token_of = |user: &User| sqlite::give_token(conn, user, Key::default());
        let unverified = user(Some(Some("editor")));
        let sql = "UPDATE users SET email_verified_at = NULL WHERE id = ?1";
        conn.execute(sql, [unverified.id.to_string()]).unwrap();
        let impersonation = Key { impersonator: Some(user(None).id), ..Key::default() };
        let all = |who, token, error| DeniedCaller { who, token, read: Some(error), write: error };
        let writers = |who, token, error| DeniedCaller { who, token, read: None, write: error };
        vec![
            all("an unknown key", unused_token(), Unauthorized),
            all("an unverified user", token_of(&unverified), EmailNotVerified),
            all("no member", token_of(&user(None)), OrganizationMembershipRequired),
            all("a member without a role", token_of(&user(Some(None))), RoleUnresolved),
            writers(
                "an impersonation key",
                sqlite::give_token(conn, &user(Some(Some("owner"))), impersonation),
                ImpersonationReadOnly,
            ),
            writers("a viewer", token_of(&user(Some(Some("viewer")))), PermissionDenied),
        ]
    }
}

/// The bucket whose S3 endpoint the configuration names; a path is on the API's origin.
fn bucket(config: &Config) -> Bucket {
    config.uploads.s3.as_ref().map_or_else(
        |_| Bucket::default(),
        |s3| {
            let base = if s3.endpoint.starts_with('/') { ORIGIN } else { "" };
            let endpoint = format!("{base}{}", s3.endpoint);
            Bucket::new(&endpoint, &s3.bucket, &s3.access_key_id, &s3.secret_access_key)
        },
    )
}

/// The endpoints that need a key, with what they ask for.
pub(crate) fn endpoints_with_callers() -> Vec<(Description, Access)> {
    let with_access = |endpoint: Description| Some((endpoint, endpoint.access()?));
    descriptions().into_iter().filter_map(with_access).collect()
}
