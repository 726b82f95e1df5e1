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
    /// Confirm the upload with this id.
    ConfirmAssetUpload(&'a str),
}

const READ: &str = "GET, HEAD";
const WRITE: &str = "POST";

impl<'a> Route<'a> {
    /// Finds the route of a path.
    ///
    /// # Errors
    /// `NotFound` when no route has the path, `MethodNotAllowed` when one has, but with other methods.
    pub fn find(method: &str, path: &'a str) -> Result<Self, ApiError> {
        let (route, allow) = Self::at(path).ok_or(ApiError::NotFound)?;
        // The raw method is compared, because the platform's own type reads an unknown one as GET.
        if allow.split(", ").any(|allowed| allowed == method) {
            Ok(route)
        } else {
            Err(ApiError::MethodNotAllowed(allow))
        }
    }

    /// The route at a path and the methods it takes.
    fn at(path: &'a str) -> Option<(Self, &'static str)> {
        let segments: Vec<&str> = path.strip_prefix('/')?.splitn(6, '/').collect();
        match *segments.as_slice() {
            ["openapi.json"] => Some((Self::OpenApi, READ)),
            ["v1", "health"] => Some((Self::Health, READ)),
            ["v1", "ready"] => Some((Self::Ready, READ)),
            ["v1", "asset-uploads", id, "confirmations"] if !id.is_empty() => {
                Some((Self::ConfirmAssetUpload(id), WRITE))
            }
            _ => None,
        }
    }

    /// The methods that the path takes, as in `Allow`; `None` when there is no such path.
    pub fn allowed_methods(path: &str) -> Option<&'static str> {
        Route::at(path).map(|(_, allow)| allow)
    }

    /// The pattern of the route at a path, for the log; `None` when there is no such path.
    pub fn pattern_at(path: &str) -> Option<&'static str> {
        Route::at(path).map(|(route, _)| route.pattern())
    }

    /// The pattern, for the log and for the tests that compare the routes with openapi.json.
    pub fn pattern(self) -> &'static str {
        match self {
            Self::Health => "/v1/health",
            Self::Ready => "/v1/ready",
            Self::OpenApi => "/openapi.json",
            Self::ConfirmAssetUpload(_) => "/v1/asset-uploads/{asset_upload_id}/confirmations",
        }
    }
}
