//! Who calls, as an argument of a handler.
//!
//! Owns: handing on what [`super::door`] found out. Never decides who may come in.

use axum::{extract::FromRequestParts, http::request::Parts};
use naru_access::audit::{Door, Origin};

use crate::{
    api::{Api, ApiProblem},
    signin::caller::{Caller, Via},
};

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiProblem> {
        match parts.extensions.get::<Self>() {
            Some(caller) => Ok(caller.clone()),
            // A handler on an open route that asks who calls all the same.
            None => api.signin.caller(parts).await,
        }
    }
}

impl Caller {
    /// Where the request came from, for the audit.
    pub fn origin(&self) -> Origin {
        let door = match self.via {
            Via::Session { .. } => Door::Console,
            Via::Token { .. } => Door::Api,
        };
        Origin { door, address: Some(self.peer), client: self.client.clone() }
    }
}
