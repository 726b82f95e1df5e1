//! The rules of callers: who may do what, and where.

use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::error::ErrorCode;
use asset_uploads::store::rights::Access;

use crate::model::{Model, UserModel};
use crate::request::RequestModel;
use crate::schedule::Named;
use crate::sqlite::callers::{self, CallerState, Impersonator, KeyState, Place};

impl Model {
    /// Rules 3 to 10: the organization and the user.
    pub(crate) fn authorize(
        &self,
        request: &RequestModel,
        now: Timestamp,
    ) -> Result<(usize, usize), ErrorCode> {
        let key = self.keys.get(request.client).ok_or(ErrorCode::Unauthorized)?;
        let Some(user) = key.user else { return Err(ErrorCode::Unauthorized) };
        let named = match request.organization {
            Named::Nothing | Named::Malformed => None,
            Named::Acme => Some(Place::Here),
            Named::Other => Some(Place::Elsewhere),
            Named::Unknown => Some(Place::Unknown),
        };
        let rights = self.rights(request.client, named, request.action.access(), now, false);
        let malformed = request.organization == Named::Malformed;
        match rights {
            // A malformed organization cannot be resolved, so only rules 3 and 4 come before rules 9 and 10.
            Err(code @ (ErrorCode::Unauthorized | ErrorCode::EmailNotVerified)) => return Err(code),
            Err(code) if !malformed => return Err(code),
            _ => {}
        }
        // Rules 9 and 10.
        let of_body = request.action.malformed();
        if let Some(code) = of_body.or_else(|| malformed.then_some(ErrorCode::ValidationError)) {
            return Err(code);
        }
        rights.map(|place| if place == Some(Place::Here) { (0, user) } else { (1, user) })
    }

    /// Rules 3 to 8: where the user of a key may do something.
    pub(crate) fn rights(
        &self,
        client: usize,
        named: Option<Place>,
        access: Access,
        now: Timestamp,
        ignores_expiry: bool,
    ) -> Result<Option<Place>, ErrorCode> {
        let key = &self.keys[client];
        let Some(user) = key.user else { return Err(ErrorCode::Unauthorized) };
        let UserModel { disabled, verified, memberships: [here, elsewhere], .. } = self.users[user].clone();
        // Before anything expired.
        let valid_at = if ignores_expiry { Timestamp(0) } else { now };
        let state = CallerState {
            scope: key.scope,
            ancestry: self.ancestry(client, valid_at),
            key: match key.org {
                _ if key.removed => KeyState::Unknown,
                _ if key.revoked.is_some() => KeyState::Revoked,
                _ if key.expires_at.is_some_and(|at| at <= valid_at) => KeyState::Expired,
                Some(0) => KeyState::BoundHere,
                Some(_) => KeyState::BoundElsewhere,
                None => KeyState::Unbound,
            },
            impersonator: match key.impersonator {
                None => Impersonator::None,
                Some(user) if self.users[user].disabled => Impersonator::Disabled,
                Some(_) => Impersonator::Enabled,
            },
            disabled,
            verified,
            here,
            elsewhere,
        };
        callers::oracle(state, named, access).map_err(|error| error.code())
    }
}
