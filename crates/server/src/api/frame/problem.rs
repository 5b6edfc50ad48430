//! A problem as an answer of the API.
//!
//! Owns: the body, its status, and the request's id in both the body and the log. Never adds a cause of its own.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use naru_base::{Problem, problem::Retry};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

tokio::task_local! {
    /// The id of the request that this task answers.
    pub(super) static REQUEST: String;
}

/// A problem with the status that it is answered with. `From<Problem>` chooses one by what the problem says.
#[derive(Debug, Clone)]
pub struct ApiProblem(pub Problem, pub StatusCode);

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ProblemBody {
    /// Stable code; translations and programs go by it.
    pub code: String,
    /// What happened to which object.
    pub summary: String,
    /// Why, in sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do, in sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// `never`: the same request fails again until something is changed; `later`: waiting can help.
    pub retry: String,
    /// The request, as the log names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl ApiProblem {
    /// 404: unknown, or not to be known.
    pub fn not_found(problem: Problem) -> Self {
        Self(problem, StatusCode::NOT_FOUND)
    }

    /// 403: known, and not for this caller.
    pub fn forbidden(problem: Problem) -> Self {
        Self(problem, StatusCode::FORBIDDEN)
    }

    /// 409: it stands in a state in which this cannot be done.
    pub fn conflict(problem: Problem) -> Self {
        Self(problem, StatusCode::CONFLICT)
    }
}

/// What a code says about its status: names that do not exist are 404, what may pass by itself is 503, all else is a
/// request that cannot be served as it is.
fn status_of(problem: &Problem) -> StatusCode {
    let what = problem.code.rsplit('.').next().unwrap_or_default();
    if what.starts_with("no_such_") || what.starts_with("unknown_") || what == "not_found" {
        return StatusCode::NOT_FOUND;
    }
    match problem.retry {
        Retry::Later => StatusCode::SERVICE_UNAVAILABLE,
        Retry::Never => StatusCode::BAD_REQUEST,
    }
}

impl From<Problem> for ApiProblem {
    fn from(problem: Problem) -> Self {
        let status = status_of(&problem);
        Self(problem, status)
    }
}

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        let Self(problem, status) = self;
        let request = REQUEST.try_with(Clone::clone).ok();
        if status.is_server_error() {
            tracing::warn!(%problem, code = %problem.code, request, "a request of the API failed");
        }
        let body = ProblemBody {
            code: problem.code.into_owned(),
            summary: problem.summary,
            detail: problem.detail,
            hint: problem.hint,
            retry: match problem.retry {
                Retry::Never => "never".into(),
                Retry::Later => "later".into(),
            },
            request,
        };
        (status, Json(body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_without_a_status_gets_one_by_what_it_says() {
        let status = |problem: Problem| ApiProblem::from(problem).1;
        assert_eq!(status(Problem::new("flow.no_such_mart", "no mart")), StatusCode::NOT_FOUND);
        assert_eq!(status(Problem::new("sync.busy", "busy").later()), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(Problem::new("cli.table_name", "a name")), StatusCode::BAD_REQUEST);
    }
}
