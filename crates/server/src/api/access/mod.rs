//! Rights for the console, the CLI and other programs: what is granted, why, and what a change would do.
//!
//! Owns: the port to `access.toml` as it is in force, the routes, and who may ask for what. Everyone may ask about
//! themselves, an administrator about everyone; what somebody may not see is answered as what does not exist.
//! Never decides: rights are [`naru_access::Rights`]'s.

mod actions;
mod read;
pub mod views;

use async_trait::async_trait;
use naru_access::{Offboarded, Policy, Principal};
use naru_base::{Problem, TableId};
use naru_warehouse::Warehouse;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use actions::offboard;
pub use read::{plan, show, why};

use super::Api;

/// Someone whom naru knows beside the file.
#[derive(Debug, Clone)]
pub struct Known {
    /// Who.
    pub principal: Principal,
    /// Whether they can come in now.
    pub active: bool,
}

/// What the pages of rights need of the running naru.
#[async_trait]
pub trait AccessPort: Send + Sync {
    /// `access.toml` as it is in force; none where there is none.
    fn text(&self) -> Option<String>;
    /// Why the file as it stands now is not in force; empty when it is.
    fn wrong(&self) -> Vec<Problem>;
    /// Everyone who has signed in, every service account, every token of the project.
    ///
    /// # Errors
    /// The state database.
    async fn known(&self) -> Result<Vec<Known>, Problem>;
    /// The rights that a text would give.
    ///
    /// # Errors
    /// Every mistake in the text.
    fn rights(&self, text: &str) -> Result<naru_access::Rights, Vec<Problem>>;
    /// Writes `access.toml` and puts it in force. `base` is the text that the change was made from.
    ///
    /// # Errors
    /// `access.changed_meanwhile` when the file is not `base` any more; the first mistake in the text.
    async fn apply(&self, text: &str, base: &str) -> Result<(), Problem>;
    /// Lets someone go: ends what they hold, gives what others need to `heir`. Both by e-mail address.
    ///
    /// # Errors
    /// Nobody of that address, or the state database.
    async fn offboard(&self, who: &str, heir: Option<&str>) -> Result<Offboarded, Problem>;
}

/// The routes of this noun.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(read::access))
        .routes(routes!(read::access_why))
        .routes(routes!(read::access_who))
        .routes(routes!(actions::access_plan))
        .routes(routes!(actions::access_apply))
        .routes(routes!(actions::access_offboard))
}

/// Every table and view there is, whoever may see it.
async fn all_tables(warehouse: &Warehouse) -> Result<Vec<TableId>, Problem> {
    let source = warehouse.tables();
    let mut all = source.list().await.map_err(|error| error.problem())?;
    all.extend(source.views().into_keys());
    all.sort();
    all.dedup();
    Ok(all)
}

/// What the routes look at.
struct Desk<'d> {
    policy: &'d Policy,
    warehouse: &'d Warehouse,
    port: &'d dyn AccessPort,
}

impl<'d> Desk<'d> {
    fn of(api: &'d Api) -> Self {
        Self { policy: &api.policy, warehouse: &api.warehouse, port: api.ports.access() }
    }
}
