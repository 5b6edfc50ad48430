//! Promises about whole project folders.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::{fmt::Write as _, path::Path, time::Duration};

use naru_base::TableId;
use naru_project::{
    Environment, InitOptions, Literal, Loaded, MartKind, Mistake, Project, Publication, Rule, Severity, init,
    topic::{Grain, Unknown},
};

/// Makes a folder of files and reads it.
fn load(files: &[(&str, &str)]) -> (tempfile::TempDir, Loaded) {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in files {
        write(folder.path(), file, text);
    }
    let loaded = Project::load(folder.path(), &environment());
    (folder, loaded)
}

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn environment() -> Environment {
    Environment::of([("SHOP_URL", "postgres://naru:hidden-password@db:5432/shop"), ("NOT_A_URL", "hidden-password")])
}

/// Problems and notes as a person sees them.
fn told(loaded: &Loaded) -> String {
    let mut text = String::new();
    for problem in &loaded.problems {
        writeln!(text, "{problem}\ncode: {}\n", problem.code).unwrap();
    }
    for note in &loaded.notes {
        writeln!(text, "note: {note}\n").unwrap();
    }
    text
}

const SETTINGS: &str = "[project]\nname = \"acme\"\ntimezone = \"Asia/Seoul\"\n";

const SHOP: &str = "kind = \"postgres\"\nurl = \"${SHOP_URL}\"\n";

#[test]
fn a_sound_folder_becomes_typed_values() {
    let (folder, loaded) = load(&[
        (
            "naru.toml",
            &format!(
                "{SETTINGS}[server]\nhttp = 0\npostgres = \"localhost:7000\"\npubsub = false\n[lake]\nflush_interval = \"500ms\"\n"
            ),
        ),
        (
            "sources/shop.toml",
            &format!(
                "{SHOP}include = [\"public.*\"]\nexclude = [\"public.users.password_hash\"]\npublication = \"all_tables\"\nwal_unbounded = \"accepted\"\n[copy]\nparallelism = 3\nrows_per_second = 1000\nhours = \"22:00-06:00\"\n[tables.\"public.orders\"]\ndeletion_vectors = false\n"
            ),
        ),
        (
            "topics/app_log.toml",
            "partition = \"day(at)\"\ncluster = [\"user_id\"]\nretention = \"400d\"\ndedup = { key = \"event_id\", window = \"24h\" }\nunknown = \"evolve\"\n[columns]\nevent_id = { type = \"STRING\", required = true }\nname = { type = \"STRING\", required = true }\nat = { type = \"TIMESTAMP\", required = true }\nuser_id = \"INT64\"\n",
        ),
        (
            "marts/매출/일별.sql",
            "/* naru\nkind: view\nschedule: \"0 6 * * *\"\nlimits: {timeout: 10m, retries: 2, memory: 512MB}\ndescription: 하루 매출\nowner: 김\ncolumns: {\"금액(원)\": 합계}\nchecks:\n  - unique: [a, b]\n  - {not_null: \"매출(원)\"}\n  - {accepted_values: {column: s, values: [paid, 1, 2.5, true]}}\n  - {relationships: {column: c, to: shop.customers, field: id}}\n  - {query: checks/totals.sql}\n  - {warn: \"row_count > 100\"}\n  - {warn: {unique: a}}\n  - row_count > 0\n*/\nSELECT 1\n",
        ),
        ("marts/a/b/plain.sql", "SELECT 2"),
        ("functions/won.sql", "CREATE FUNCTION won(x INT64) AS (x * 2);"),
        ("checks/totals.sql", "/* naru\nseverity: warn */ SELECT * FROM a_b.plain"),
    ]);
    assert_eq!(told(&loaded), "");
    let project = loaded.sound().unwrap();
    assert_eq!(project.root, std::path::absolute(folder.path()).unwrap());
    assert_eq!((project.settings.name.as_str(), project.settings.timezone.name.as_str()), ("acme", "Asia/Seoul"));
    assert_eq!(project.settings.server.http, Some("127.0.0.1:0".parse().unwrap()));
    assert_eq!(project.settings.server.postgres, Some("127.0.0.1:7000".parse().unwrap()));
    assert_eq!(project.settings.lake.flush_interval, Duration::from_millis(500));
    assert_eq!(project.lake_folder(), project.root.join("lake"));
    check_source(&project);
    check_mart(&project);
    assert_eq!(project.marts[0].id, TableId::new("a_b", "plain"));
    assert_eq!(project.marts[0].kind, MartKind::Table);
    assert_eq!((project.checks[0].name.as_str(), project.checks[0].severity), ("totals", Severity::Warn));
    let topic = &project.topics[0];
    assert_eq!(
        topic.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
        ["event_id", "name", "at", "user_id"]
    );
    assert_eq!((topic.unknown, topic.partition.as_ref().unwrap().grain), (Unknown::Evolve, Grain::Day));
}

fn check_source(project: &Project) {
    let source = project.source("shop").unwrap();
    let postgres = source.postgres().unwrap();
    assert_eq!(postgres.url.expose(), "postgres://naru:hidden-password@db:5432/shop");
    assert!(!format!("{project:?}").contains("hidden-password"));
    assert_eq!((postgres.publication, postgres.wal_unbounded_accepted), (Publication::AllTables, true));
    assert_eq!((postgres.copy.parallelism, postgres.copy.rows_per_second), (3, Some(1000)));
    assert_eq!(postgres.copy.hours.unwrap().to_string(), "22:00-06:00");
    assert!(!postgres.table("public", "orders").deletion_vectors && postgres.table("public", "users").deletion_vectors);
    assert!(postgres.selection.takes_table("public", "users"));
    assert!(!postgres.selection.takes_column("public", "users", "password_hash"));
    assert_eq!(source.table_id("public", "orders"), TableId::new("shop", "orders"));
    assert_eq!(source.table_id("유럽", "orders"), TableId::new("shop_유럽", "orders"));
}

fn check_mart(project: &Project) {
    let mart = project.mart(&TableId::new("매출", "일별")).unwrap();
    assert_eq!((mart.kind, mart.limits.retries, mart.limits.memory), (MartKind::View, 2, Some(512_000_000)));
    assert_eq!(mart.limits.timeout, Some(Duration::from_mins(10)));
    assert_eq!(mart.schedule.as_ref().unwrap().text(), "0 6 * * *");
    assert_eq!(mart.columns, [("금액(원)".to_owned(), "합계".to_owned())]);
    assert_eq!(mart.sql.body().trim(), "SELECT 1");
    assert_eq!(mart.sql.body_place(1).line, 18);
    let rules: Vec<_> =
        mart.checks.iter().map(|check| (check.severity, check.rule.clone(), check.place.line)).collect();
    let values = [
        Literal::Text("paid".into()),
        Literal::Number("1".into()),
        Literal::Number("2.5".into()),
        Literal::Boolean(true),
    ];
    assert_eq!(
        rules,
        [
            (Severity::Block, Rule::Unique { columns: vec!["a".into(), "b".into()] }, 9),
            (Severity::Block, Rule::NotNull { column: "매출(원)".into() }, 10),
            (Severity::Block, Rule::AcceptedValues { column: "s".into(), values: values.to_vec() }, 11),
            (
                Severity::Block,
                Rule::Relationships { column: "c".into(), to: TableId::new("shop", "customers"), field: "id".into() },
                12
            ),
            (Severity::Block, Rule::Query { file: "checks/totals.sql".into() }, 13),
            (Severity::Warn, Rule::Condition { sql: "row_count > 100".into() }, 14),
            (Severity::Warn, Rule::Unique { columns: vec!["a".into()] }, 15),
            (Severity::Block, Rule::Condition { sql: "row_count > 0".into() }, 16),
        ]
    );
}

#[test]
fn every_mistake_is_told_at_once_with_its_place_and_a_hint() {
    let (folder, _) = load(&[
        (
            "naru.toml",
            "[project]\nname = \"a b\"\ntimezone = \"Asia/Soul\"\ncolour = 1\n[lake]\nlocation = \"s3://bucket/x\"\nflush_intervall = \"5s\"\nflush_bytes = \"64\"\n[server]\nhttp = true\npostgres = \"0.0.0.0:6279\"\npubsub = 70000\n[sql]\nmemory = 5\nmemory = \"1GB\"\ntimeout = \"soon\"\n[sqll]\n",
        ),
        ("access.toml", "[groups]\nanalysts = [\"kim\"]\n[grant]\n"),
        (
            "sources/shop.toml",
            "kind = \"postgres\"\nurl = \"postgres://naru:pw@db/shop\"\ninclude = [\"users\", 5]\nexlude = []\npublication = \"all tables\"\n[copy]\nhours = \"22-6\"\nparallelism = 99\n[tables.public.orders]\ndeletion_vectors = false\n",
        ),
        ("sources/crm.toml", "kind = \"postgres\"\nurl = \"${CRM_URL}\"\ndataset = \"naru\"\n"),
        ("sources/erp.toml", "kind = \"postgres\"\nurl = \"${file:/nonexistent/erp}\"\ndataset = \"crm\"\n"),
        ("sources/old.toml", "kind = \"mysql\"\n"),
        ("sources/odd.toml", "kind = \"postgre\"\n"),
        ("sources/none.toml", "url = \"${NOT_A_URL}\"\n"),
        ("sources/weird.toml", "kind = \"postgres\"\nurl = \"${NOT_A_URL}\"\ndataset = \"${NOT_A_URL} \"\n"),
        ("sources/broken.toml", "kind = \"postgres\nurl = \"${SHOP_URL}\"\ninclude = [\n"),
        ("sources/notes.yaml", ""),
        (
            "topics/log.toml",
            "partition = \"week(at)\"\ndedup = { kee = \"id\" }\nunknown = \"drop\"\ncluster = [\"usr\"]\n[columns]\nat = \"TIMESTMP\"\nuser = { required = true }\nuser_id = \"INT64\"\nUSER_ID = \"STRING\"\n",
        ),
        ("topics/log__dead.toml", "[columns]\nid = \"STRING\"\n"),
        ("marts/loose.sql", "SELECT 1"),
        ("marts/topics/x.sql", "SELECT 1"),
        ("marts/a/b/x.sql", "SELECT 1"),
        ("marts/a_b/x.sql", "SELECT 1"),
        ("marts/a/spaced name.sql", "SELECT 1"),
        (
            "marts/a/options.sql",
            "/* naru\nkind: {by_time: d, grain: day}\nshedule: \"0 6 * * *\"\nlimits: {timeout: 10, retries: 11, cpu: 1}\ncolumns: [a]\nowner: 5\nowner: kim\nchecks:\n  - uniqe: a\n  - {unique: a, not_null: b}\n  - {query: checks/total.sql}\n  - {accepted_values: {column: s}}\n  - {relationships: {column: c, to: customers, field: id}}\n  - {warn: 5}\n  - 5\n*/\nSELECT 1",
        ),
        ("marts/a/cron.sql", "/* naru\nkind: snapshot\nschedule: \"0 25 * * *\"\n*/\nSELECT 1"),
        ("marts/a/stars.sql", "/* naru\nschedule: \"*/5 * * * *\"\n*/\nSELECT 1"),
        ("marts/a/yaml.sql", "/* naru\nchecks: [{unique: a}\n*/\nSELECT 1"),
        ("marts/a/open.sql", "/* naru\nkind: view\nSELECT 1"),
        ("marts/a/empty.sql", "-- later\n"),
        ("checks/totals.sql", "/* naru\nkind: view\n*/ SELECT 1"),
        ("functions/f.sql", ""),
        ("mart/x.sql", ""),
    ]);
    std::fs::write(folder.path().join("marts/a/latin.sql"), b"SELECT '\xe9'").unwrap();
    let loaded = Project::load(folder.path(), &environment());
    let told = told(&loaded);
    assert!(!told.contains("hidden-password") && !told.contains(":pw@"), "{told}");
    insta::assert_snapshot!(told);
    assert!(loaded.sound().is_err());
}

#[test]
fn a_mart_with_mistakes_still_exists_for_others() {
    let (_folder, loaded) = load(&[("naru.toml", SETTINGS), ("marts/a/x.sql", "/* naru\nkind: nonsense */ SELECT 1")]);
    assert_eq!(loaded.problems.len(), 1);
    assert!(loaded.project.unwrap().mart(&TableId::new("a", "x")).is_some());
}

#[test]
fn tables_of_sources_collide_with_marts_and_each_other_by_name() {
    let (_folder, loaded) = load(&[
        ("naru.toml", SETTINGS),
        ("sources/shop.toml", SHOP),
        ("sources/shop_eu.toml", SHOP),
        ("marts/shop/daily.sql", "SELECT 1"),
    ]);
    let project = loaded.sound().unwrap();
    let tables = [
        ("shop", TableId::new("shop", "daily")),
        ("shop", TableId::new("shop_eu", "orders")),
        ("shop_eu", TableId::new("shop_eu", "orders")),
        ("shop", TableId::new("shop", "orders")),
    ];
    let problems: Vec<String> = project.collisions(&tables).iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "marts/shop/daily.sql:1:1: two things are named shop.daily: marts/shop/daily.sql and sources/shop.toml\nhint: Rename one of them.",
            "sources/shop_eu.toml:1:1: two things are named shop_eu.orders: sources/shop_eu.toml and sources/shop.toml\nhint: Rename one of them.",
        ]
    );
}

#[test]
fn a_new_project_is_sound_and_is_found_from_below() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("우리 회사");
    std::fs::create_dir_all(root.join(".git")).unwrap();
    init(&root, &InitOptions::default()).unwrap();
    let loaded = Project::load(&root, &Environment::default());
    assert_eq!(told(&loaded), "");
    let project = loaded.sound().unwrap();
    assert_eq!((project.settings.name.as_str(), project.settings.timezone.name.as_str()), ("우리_회사", "UTC"));
    assert!(project.sources.is_empty() && project.marts.is_empty());
    for inside in ["sources", "topics", "marts", "functions", "checks"] {
        assert!(root.join(inside).is_dir(), "{inside}");
    }
    assert!(std::fs::read_to_string(root.join(".gitignore")).unwrap().contains("/.naru/"));
    assert_eq!(Project::find(&root.join("marts")).unwrap(), root);
    assert!(matches!(Project::find(folder.path()), Err(Mistake::NoProject { .. })));
    assert!(matches!(init(&root, &InitOptions::default()), Err(Mistake::FolderNotEmpty { .. })));
    let named = InitOptions { name: Some("acme".into()), timezone: Some("Mars/Base".into()) };
    assert!(matches!(init(&folder.path().join("new"), &named), Err(Mistake::BadValue { .. })));
    assert!(!folder.path().join("new").exists());
}

#[test]
fn a_folder_without_settings_is_a_problem_and_not_a_project() {
    let (_folder, loaded) = load(&[("marts/a/x.sql", "SELECT 1")]);
    assert!(loaded.project.is_none());
    assert_eq!(loaded.problems[0].code, "project.unreachable_file");
}
