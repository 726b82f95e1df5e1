//! Every URL on one page.

use crate::error::ApiError;

/// What a request asks for. Path parameters are as they stand in the path, not yet validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// Is the Worker up? Touches no storage.
    Health,
    /// Do D1 and R2 answer?
    Ready,
    /// The API's description.
    OpenApi,
    /// Start an upload.
    CreateAssetUpload,
    /// See how the upload with this id stands.
    ReadAssetUpload(&'a str),
    /// Give up the upload with this id.
    CancelAssetUpload(&'a str),
    /// Confirm the upload with this id.
    ConfirmAssetUpload(&'a str),
    /// See the asset with this id.
    ReadAsset(&'a str),
}

/// What a path takes: pairs of method and route.
type Methods<'a> = Vec<(&'static str, Route<'a>)>;

impl<'a> Route<'a> {
    /// Finds the route of a path.
    ///
    /// # Errors
    /// `NotFound` when no route has the path, `MethodNotAllowed` when one has, but with other methods.
    pub fn find(method: &str, path: &'a str) -> Result<Self, ApiError> {
        let methods = Self::at(path).ok_or(ApiError::NotFound)?;
        // The raw method is compared, because the platform's own type reads an unknown one as GET.
        let found = methods.iter().find(|(name, _)| *name == method);
        found.map(|(_, route)| *route).ok_or_else(|| ApiError::MethodNotAllowed(allow(&methods)))
    }

    /// The methods that a path takes, as in `Allow`; `None` when there is no such path.
    pub fn allowed_methods(path: &str) -> Option<String> {
        Route::at(path).map(|methods| allow(&methods))
    }

    /// The pattern of a path, for the log; `None` when there is no such path.
    pub fn pattern_at(path: &str) -> Option<&'static str> {
        Route::at(path)?.first().map(|(_, route)| route.pattern())
    }

    /// Every path there is, with its methods.
    fn at(path: &'a str) -> Option<Methods<'a>> {
        let segments: Vec<&str> = path.strip_prefix('/')?.splitn(6, '/').collect();
        match *segments.as_slice() {
            ["openapi.json"] => Some(read(Self::OpenApi)),
            ["v1", "health"] => Some(read(Self::Health)),
            ["v1", "ready"] => Some(read(Self::Ready)),
            ["v1", "asset-uploads"] => Some(vec![("POST", Self::CreateAssetUpload)]),
            ["v1", "asset-uploads", id] if !id.is_empty() => {
                let mut methods = read(Self::ReadAssetUpload(id));
                methods.push(("DELETE", Self::CancelAssetUpload(id)));
                Some(methods)
            }
            ["v1", "asset-uploads", id, "confirmations"] if !id.is_empty() => {
                Some(vec![("POST", Self::ConfirmAssetUpload(id))])
            }
            ["v1", "assets", id] if !id.is_empty() => Some(read(Self::ReadAsset(id))),
            _ => None,
        }
    }

    fn pattern(self) -> &'static str {
        match self {
            Self::Health => "/v1/health",
            Self::Ready => "/v1/ready",
            Self::OpenApi => "/openapi.json",
            Self::CreateAssetUpload => "/v1/asset-uploads",
            Self::ReadAssetUpload(_) | Self::CancelAssetUpload(_) => "/v1/asset-uploads/{asset_upload_id}",
            Self::ConfirmAssetUpload(_) => "/v1/asset-uploads/{asset_upload_id}/confirmations",
            Self::ReadAsset(_) => "/v1/assets/{asset_id}",
        }
    }
}

/// A route that is read: HEAD is GET without the body.
fn read(route: Route<'_>) -> Methods<'_> {
    vec![("GET", route), ("HEAD", route)]
}

fn allow(methods: &Methods<'_>) -> String {
    let names: Vec<&str> = methods.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}
