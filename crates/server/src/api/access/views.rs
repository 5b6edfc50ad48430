//! What rights look like in answers.
//!
//! Owns: the shapes, for the API and for `naru access --json` alike. Never decides who may see them.

use naru_access::{
    Principal, Role,
    compare::Change,
    why::{Reason, Why},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::views::ProblemView;

/// Rights as one caller may see them.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AccessView {
    /// When this was so.
    pub as_of: String,
    /// Whether the caller administers the project; only then are the file and other people told.
    pub admin: bool,
    /// Neither sign-in nor access.toml: tokens of the project view everything.
    pub open: bool,
    /// What the caller may do, by dataset.
    pub mine: Vec<MineView>,
    /// The file as it is in force.
    pub file: Option<FileView>,
    /// Why the file as it stands now is not in force.
    pub wrong: Vec<ProblemView>,
    /// People, services and tokens that can come in, and those who could.
    pub known: Vec<KnownView>,
}

/// What the caller may do with a dataset.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MineView {
    /// The dataset.
    pub dataset: String,
    /// The most that they may do with one of its tables: `view`, `edit` or `own`.
    pub role: String,
    /// Tables of it that they see.
    pub tables: usize,
}

/// `access.toml`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FileView {
    /// Its text, comments and all.
    pub text: String,
    /// Groups by name.
    pub groups: Vec<GroupView>,
    /// Grants in the order of the file.
    pub grants: Vec<GrantView>,
    /// Tables that only grants on the table itself reach.
    pub closed: Vec<String>,
    /// Addresses that `naru.toml` makes administrators.
    pub admins: Vec<String>,
}

/// A group.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// Addresses of its people.
    pub members: Vec<String>,
    /// Its line in the file.
    pub line: usize,
}

/// A grant.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GrantView {
    /// To whom, as written: `domain:acme.kr`, `group:analysts`, `person:kim@acme.kr`.
    pub to: Vec<String>,
    /// `view`, `edit` or `own`.
    pub can: String,
    /// On what: `*`, a dataset, a table.
    pub on: Vec<String>,
    /// The line of its `[[grants]]`.
    pub line: usize,
}

/// Someone who can come in, or could.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KnownView {
    /// As `access.toml` names them.
    pub who: String,
    /// How people call them.
    pub shown: String,
    /// `person`, `service` or `token`.
    pub kind: String,
    /// Whether they can come in now.
    pub active: bool,
    /// Whether they administer the project.
    pub admin: bool,
}

/// Why someone may do something with a table, or may not.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WhyView {
    /// Who, as `access.toml` names them.
    pub who: String,
    /// The table.
    pub table: String,
    /// The most that they may do; none when the table is not there for them.
    pub role: Option<String>,
    /// Rules that reach them.
    pub reasons: Vec<ReasonView>,
    /// Whether only grants on the table itself reach it.
    pub closed: bool,
}

/// A rule that reaches someone.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReasonView {
    /// `admin`, `open` or `grant`.
    pub kind: String,
    /// Under which name it reaches them.
    pub to: Option<String>,
    /// What it gives.
    pub can: Option<String>,
    /// On what.
    pub on: Option<String>,
    /// Where it stands: `access.toml:12:1`.
    pub place: Option<String>,
    /// Whether it counts: grants on more than a closed table do not.
    pub counts: bool,
}

/// Who may do what with a table.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WhoView {
    /// The table.
    pub table: String,
    /// Rules that reach it.
    pub rules: Vec<ReasonView>,
}

/// What a text would change.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    /// Who gains and who loses what.
    pub changes: Vec<ChangeView>,
    /// Mistakes in the text; with one it cannot be put in force.
    pub wrong: Vec<ProblemView>,
}

/// What changes for someone.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChangeView {
    /// For whom, as `access.toml` names them.
    pub who: String,
    /// The dataset.
    pub dataset: String,
    /// What they may do now; none: it is not there for them.
    pub before: Option<String>,
    /// What they may do then.
    pub after: Option<String>,
    /// How many tables of the dataset.
    pub tables: usize,
    /// Whether those are all of its tables.
    pub all: bool,
    /// Their names, the first 20.
    pub names: Vec<String>,
    /// Whether they lose something.
    pub loses: bool,
}

/// What ended when someone left.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OffboardedView {
    /// Sessions of browsers that were open.
    pub sessions: usize,
    /// Personal tokens that were live.
    pub tokens: usize,
    /// Service accounts that the heir answers for now.
    pub services: usize,
    /// Lines of `access.toml` that still name them.
    pub still_named: Vec<usize>,
}

fn word(role: Role) -> String {
    role.to_string()
}

/// Someone as `access.toml` names them.
pub fn name(principal: &Principal) -> String {
    naru_access::compare::grantee(principal).map_or_else(|| principal.to_string(), |who| who.to_string())
}

impl WhyView {
    /// The answer about someone and a table.
    pub fn of(who: String, table: String, why: Why) -> Self {
        let role = why.role.map(word);
        Self { who, table, role, reasons: why.reasons.into_iter().map(ReasonView::of).collect(), closed: why.closed }
    }
}

impl ReasonView {
    pub(super) fn of(reason: Reason) -> Self {
        let bare =
            |kind: &str| Self { kind: kind.to_owned(), to: None, can: None, on: None, place: None, counts: true };
        match reason {
            Reason::Admin => bare("admin"),
            Reason::Open => bare("open"),
            Reason::Grant { to, can, on, place, counts } => Self {
                to: Some(to.to_string()),
                can: Some(word(can)),
                on: Some(on.to_string()),
                place: Some(place.to_string()),
                counts,
                ..bare("grant")
            },
        }
    }
}

impl ChangeView {
    /// A change of rights.
    pub fn of(change: Change) -> Self {
        Self {
            loses: change.loses(),
            who: change.who.to_string(),
            dataset: change.dataset,
            before: change.before.map(word),
            after: change.after.map(word),
            tables: change.tables,
            all: change.all,
            names: change.names,
        }
    }
}
