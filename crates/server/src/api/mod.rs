//! The JSON API under `/api/v1/`: for the console, the CLI and other programs.
//!
//! Owns: what handlers share ([`Api`]), the list of nouns, and the document that describes them
//! (`console/openapi.json`, compared by a test). Never decides: rights are [`naru_access::Policy`]'s, work is done behind
//! [`Ports`]. Read next: [`frame`] for the way in, then one module a noun.

pub mod access;
pub mod account;
pub mod audit;
pub mod drafts;
pub mod frame;
pub mod history;
pub mod home;
pub mod marts;
mod permit;
pub mod queries;
pub mod saved;
pub mod shares;
pub mod sync;
pub mod topics;
pub mod views;
pub mod work;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    middleware::{from_fn, from_fn_with_state},
    routing::get,
};
use naru_access::{Policy, audit::Audit};
use naru_base::Problem;
use naru_warehouse::Warehouse;
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;

pub use frame::{ApiProblem, ProblemBody};

use crate::signin::{SignIn, caller::Caller};

/// What every handler can reach.
#[derive(Clone)]
pub struct Api {
    /// Who calls.
    pub signin: SignIn,
    /// SQL.
    pub warehouse: Warehouse,
    /// Who may do what.
    pub policy: Policy,
    /// Where deeds are written down.
    pub audit: Audit,
    /// Jobs, and where people's queries are kept.
    pub queries: queries::Queries,
    /// What leaves saved queries for spreadsheets.
    pub shares: shares::Shares,
    /// What only the process that wires everything can do.
    pub ports: Arc<dyn Ports>,
}

/// What the nouns need of the running naru; `cli` implements it. One function a noun, giving that noun's own trait.
pub trait Ports: Send + Sync {
    /// Rights, and who is known.
    fn access(&self) -> &dyn access::AccessPort;
    /// How everything is.
    fn home(&self) -> &dyn home::HomePort;
    /// Marts and their runs.
    fn marts(&self) -> &dyn marts::MartsPort;
    /// Sources and their tables.
    fn sync(&self) -> &dyn sync::SyncPort;
    /// Topics; none where they are not open.
    fn topics(&self) -> Option<&dyn topics::TopicsPort>;
    /// Long work that somebody asked for.
    fn works(&self) -> &work::Works;
}

impl Api {
    /// Lets pass who administers the project.
    ///
    /// # Errors
    /// 403 for everybody else.
    pub fn must_admin(&self, caller: &Caller) -> Result<(), ApiProblem> {
        if self.policy.admin(&caller.principal) {
            return Ok(());
        }
        let problem = Problem::new("access.admins_only", "this is for administrators of the project")
            .hint("Ask one of those whom `naru.toml` names under [sign_in] admins.");
        Err(ApiProblem::forbidden(problem))
    }
}

fn routes() -> OpenApiRouter<Api> {
    let info = InfoBuilder::new().title("naru").version("1").description(Some(
        "Everything the console does. Requests carry a session's cookie or a personal token (`Authorization: Bearer`).",
    ));
    OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info.build()).build())
        .merge(account::router())
        .merge(access::router())
        .merge(audit::router())
        .merge(drafts::router())
        .merge(history::router())
        .merge(home::router())
        .merge(marts::router())
        .merge(queries::router())
        .merge(saved::router())
        .merge(shares::router())
        .merge(sync::router())
        .merge(topics::router())
        .merge(work::router())
}

/// The document that describes the API.
pub fn document() -> OpenApi {
    named(routes().into_openapi())
}

/// Names every operation by its method and path: `get_marts_mart`. Functions of two nouns may have one name.
fn named(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        let words = path.trim_start_matches("/api/v1/").replace(['{', '}'], "").replace(['/', '-', '.'], "_");
        for (method, operation) in [
            ("get", &mut item.get),
            ("post", &mut item.post),
            ("put", &mut item.put),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ] {
            if let Some(operation) = operation {
                operation.operation_id = Some(format!("{method}_{words}"));
            }
        }
    }
    document
}

/// The API over an open naru, with everything below `/api/v1/` closed to who is unknown.
pub fn router(api: Api) -> Router {
    let (routes, document) = routes().split_for_parts();
    let document = Arc::new(named(document));
    let routes = routes
        .route("/api/v1/openapi.json", get(async move || Json(document.as_ref().clone())))
        .route("/api/{*path}", axum::routing::any(frame::door::no_such_path))
        .layer(from_fn_with_state(api.clone(), frame::door::enter))
        .layer(DefaultBodyLimit::max(frame::door::BODY_BYTES_MAX))
        .layer(from_fn(frame::door::frame));
    routes.with_state(api)
}

/// Adds the headers that every answer of the console, its API and sign-in has.
pub fn with_safe_headers(router: Router) -> Router {
    router.layer(from_fn(frame::door::safe_headers))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `NARU_WRITE_OPENAPI=1` writes it; `npm run types` in `console/` makes TypeScript of it.
    #[test]
    fn openapi_document_is_the_committed_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console/openapi.json");
        let document = document().to_pretty_json().expect("a document has a JSON form") + "\n";
        if std::env::var_os("NARU_WRITE_OPENAPI").is_some() {
            std::fs::write(&path, &document).expect("write the document");
        }
        let committed = std::fs::read_to_string(&path).expect("console/openapi.json");
        assert!(committed == document, "console/openapi.json is stale: NARU_WRITE_OPENAPI=1 cargo nextest run openapi");
    }

    #[test]
    fn every_operation_is_named_once_and_says_what_it_answers() {
        let document = serde_json::to_value(document()).expect("a document has a JSON form");
        let mut names = std::collections::HashMap::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            assert!(path.starts_with("/api/v1/"), "{path}");
            for (method, operation) in item.as_object().expect("methods") {
                let name = operation["operationId"].as_str().unwrap_or_default().to_owned();
                let earlier = names.insert(name.clone(), path.clone());
                assert!(!name.is_empty() && earlier.is_none(), "{method} {path} and {earlier:?} are both {name:?}");
                assert!(operation["responses"].as_object().is_some_and(|it| !it.is_empty()), "{method} {path}");
            }
        }
    }
}
