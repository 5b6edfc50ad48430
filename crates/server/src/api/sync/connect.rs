//! Connecting a database: what it lacks, and the file that makes naru follow it.
//!
//! Owns: [`Draft`], the text of the file, and the routes. A password is used for the one look that it came with, and
//! never kept: the file names a variable or a secret file. Only administrators of the project come here, because naru
//! connects to whatever address they give.

use axum::{Json, extract::State};
use naru_access::audit::Deed;
use naru_base::{Problem, Secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    api::{
        Api, ApiProblem,
        permit::{in_person, noted},
        views::ProblemView,
    },
    signin::caller::Caller,
};

/// A database that shall be followed.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = SourceDraft)]
pub struct Draft {
    /// Name of the source and of its file.
    pub name: String,
    /// Where the server is.
    pub host: String,
    /// Its port.
    #[serde(default = "port")]
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role that naru signs in as.
    pub user: String,
    /// What stands for the password in the file: `${SHOP_PASSWORD}` or `${file:/run/secrets/shop}`.
    pub password_reference: String,
    /// The password for this look only, which cannot be done without.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub password: Option<Typed>,
    /// Tables: `public.*`; all of the schema `public` when empty.
    #[serde(default)]
    pub include: Vec<String>,
    /// The owner accepts that a stopped naru may fill the source's disk.
    #[serde(default)]
    pub wal_unbounded: bool,
}

fn port() -> u16 {
    5432
}

/// A password that somebody typed. Never printed.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Typed(String);

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Typed {
    /// As it stands in a URL.
    pub fn encoded(&self) -> Secret {
        Secret::new(encoded(&self.0))
    }
}

/// What a look at a database found.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = SourceChecked)]
pub struct Checked {
    /// What keeps it from being followed; each hint has the exact statement.
    pub problems: Vec<ProblemView>,
    /// What could be better and keeps nothing from being followed.
    pub notes: Vec<ProblemView>,
}

/// What a look at a database found, and the file that would be written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourceCheckedDraft)]
pub struct CheckedDraft {
    /// What was found.
    #[serde(flatten)]
    pub checked: Checked,
    /// The file's path in the project folder.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Statements that make a role with exactly the rights that naru needs, for the database's administrator.
    pub role_sql: String,
}

/// A file that was written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourceWritten)]
pub struct Written {
    /// Its path.
    pub file: String,
    /// Whether naru has to be started again to follow it.
    pub restart: bool,
}

impl Draft {
    /// The text of the source's file; the password stands in it by its reference.
    pub fn text(&self) -> String {
        let url = format!(
            "postgres://{}:{}@{}:{}/{}",
            encoded(&self.user),
            self.password_reference,
            self.host,
            self.port,
            encoded(&self.database)
        );
        let mut text = format!("kind = \"postgres\"\nurl = {}\n", quoted(&url));
        let include: Vec<String> = self.include.iter().map(|pattern| quoted(pattern)).collect();
        if !include.is_empty() {
            text.push_str(&format!("include = [{}]\n", include.join(", ")));
        }
        if self.wal_unbounded {
            text.push_str("wal_unbounded = \"accepted\"\n");
        }
        text
    }

    /// What was typed. Without it a look would need what the reference stands for, and whoever asks chooses both the
    /// variable and the host that it would be sent to.
    ///
    /// # Errors
    /// Nothing was typed.
    pub fn typed(&self) -> Result<&Typed, Problem> {
        self.password.as_ref().ok_or_else(|| {
            Problem::new("sync.draft", "the password is needed for a look at the database")
                .hint("It is used for this look and not kept; variables of the server are not read for it.")
        })
    }

    /// Where the file lies in the project folder.
    pub fn file(&self) -> String {
        format!("sources/{}.toml", self.name)
    }

    /// What can be said without a connection.
    fn mistake(&self) -> Option<Problem> {
        let plain = |text: &str| !text.is_empty() && !text.contains(['"', '\n', '\r', '@', '/', '\\', '\0', '$']);
        let reference = self.password_reference.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let reference = reference.is_some_and(|name| !name.contains(['"', '\n', '\r', '@', '$', '{', '}']));
        let wrong = if self.name.is_empty() || !self.name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            "the name of a source has letters, digits and _"
        } else if !plain(&self.host) || self.user.is_empty() || self.database.is_empty() {
            "host, database and user are needed"
        } else if self.include.iter().any(|pattern| pattern.contains('$')) {
            "tables are named as they are, without variables"
        } else if !reference {
            "the password stands in the file as ${NAME} or ${file:/path}"
        } else {
            return None;
        };
        Some(Problem::new("sync.draft", wrong))
    }

    /// A role with exactly the rights that naru needs.
    fn role_sql(&self) -> String {
        let name = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let (role, database) = (name(&self.user), name(&self.database));
        let mut schemas: Vec<&str> = self.include.iter().filter_map(|pattern| pattern.split('.').next()).collect();
        schemas.retain(|schema| !schema.is_empty() && !schema.contains('*'));
        schemas.sort_unstable();
        schemas.dedup();
        if schemas.is_empty() {
            schemas.push("public");
        }
        let mut lines = vec![
            format!("CREATE ROLE {role} LOGIN REPLICATION PASSWORD '…';"),
            format!("GRANT CONNECT, CREATE ON DATABASE {database} TO {role};"),
        ];
        for schema in schemas {
            let schema = name(schema);
            lines.push(format!("GRANT USAGE ON SCHEMA {schema} TO {role};"));
            lines.push(format!("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role};"));
            lines.push(format!("ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role};"));
        }
        lines.push("-- Only its owner may publish a table; once for each role that owns tables:".to_owned());
        lines.push(format!("-- GRANT owner TO {role};"));
        lines.join("\n")
    }
}

/// A text as it stands in a URL.
fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A text of TOML.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn may_connect(api: &Api, caller: &Caller, draft: &Draft) -> Result<(), ApiProblem> {
    api.must_admin(caller)?;
    in_person(caller)?;
    draft.mistake().map_or(Ok(()), |problem| Err(problem.into()))
}

/// Looks at a database and says what it lacks, with the exact statements, and which file would be written. Changes
/// nothing.
#[utoipa::path(post, path = "/api/v1/sources/check", operation_id = "post_sources_check", tag = "sync", request_body = Draft,
    responses((status = 200, body = CheckedDraft), (status = 403)))]
pub(super) async fn check(
    State(api): State<Api>,
    caller: Caller,
    Json(draft): Json<Draft>,
) -> Result<Json<CheckedDraft>, ApiProblem> {
    may_connect(&api, &caller, &draft)?;
    let what = format!("sync.check {} at {}:{}", draft.name, draft.host, draft.port);
    let look = async { Ok(api.ports.sync().check(&draft).await) };
    let checked = noted(&api, &caller, Deed::Operate, what, [], look).await?;
    Ok(Json(CheckedDraft { checked, file: draft.file(), text: draft.text(), role_sql: draft.role_sql() }))
}

/// Writes the file of a source into the project folder.
#[utoipa::path(post, path = "/api/v1/sources", operation_id = "post_sources", tag = "sync", request_body = Draft,
    responses((status = 200, body = Written), (status = 403), (status = 409)))]
pub(super) async fn connect(
    State(api): State<Api>,
    caller: Caller,
    Json(draft): Json<Draft>,
) -> Result<Json<Written>, ApiProblem> {
    may_connect(&api, &caller, &draft)?;
    let write = async { api.ports.sync().write(&draft).await.map_err(ApiProblem::from) };
    let file = noted(&api, &caller, Deed::Operate, format!("sync.connect {}", draft.name), [], write).await?;
    Ok(Json(Written { file: file.display().to_string(), restart: true }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft {
            name: "shop".into(),
            host: "db.acme.kr".into(),
            port: 5432,
            database: "shop \"1\"".into(),
            user: "naru".into(),
            password_reference: "${SHOP_PASSWORD}".into(),
            password: Some(Typed("geheim".into())),
            include: vec!["public.*".into(), "sales.orders".into()],
            wal_unbounded: false,
        }
    }

    #[test]
    fn the_file_names_the_password_and_never_holds_it() {
        let text = draft().text();
        assert!(text.contains("${SHOP_PASSWORD}") && !text.contains("geheim"), "{text}");
        assert!(!format!("{:?}", draft()).contains("geheim"));
        let sql = draft().role_sql();
        assert!(sql.contains("ON DATABASE \"shop \"\"1\"\"\"") && sql.contains("SCHEMA \"sales\""), "{sql}");
    }

    #[test]
    fn what_could_leave_its_place_in_the_file_is_refused() {
        for (host, reference) in [
            ("h\"x", "${A}"),
            ("h/x", "${A}"),
            ("h", "geheim"),
            ("h", "${A}\"\nurl=\"${B}"),
            ("", "${A}"),
            ("h${A}", "${A}"),
            ("h", "${A}${B}"),
        ] {
            let draft = Draft { host: host.into(), password_reference: reference.into(), ..draft() };
            assert!(draft.mistake().is_some(), "{host} {reference}");
        }
        let named = Draft { include: vec!["public.${A}".into()], ..draft() };
        assert!(named.mistake().is_some());
        assert!(draft().mistake().is_none());
    }

    #[test]
    fn a_look_takes_what_was_typed_and_nothing_that_the_server_knows() {
        assert!(draft().typed().is_ok());
        assert_eq!(Draft { password: None, ..draft() }.typed().unwrap_err().code, "sync.draft");
    }
}
