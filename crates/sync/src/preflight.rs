//! Everything that is wrong with a source before anything starts, and the exact statement that mends it.
//!
//! Owns: the decision, as pure functions over catalog facts: what blocks the source, and what becomes of each table.
//! Never connects and never changes anything.

use std::collections::BTreeSet;

use naru_base::Problem;
use naru_project::PostgresSource;

use crate::{
    catalog::ServerFacts,
    image::{LeafImage, TableImage, literal, quote},
};

/// Oldest server naru reads (13 lacks protocol v2).
const VERSION_MIN: u32 = 140_000;
/// Slots and senders naru needs free: its own, and one while a table is copied.
const HEADROOM: i64 = 2;
/// Partitions that a statement names; for more, it finds them by itself.
const LEAVES_NAMED_MAX: usize = 20;

/// What the owner accepted in the source file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accepted {
    /// `wal_unbounded = "accepted"`: a stopped naru may fill the source's disk.
    pub wal_unbounded: bool,
}

/// How a table is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// Rows are found by key: inserts, updates, deletes, truncates.
    Keyed,
    /// No key: rows are only ever added (and truncated).
    AppendOnly,
}

/// What becomes of one source table.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is synced, with remarks worth showing.
    Sync(TableKind, Vec<String>),
    /// It cannot be synced, for this reason; nothing is wrong with it.
    NotSynced(String),
    /// It should be synced but cannot until somebody mends it.
    Quarantine(Problem),
}

/// Problems that stop the whole source, in the order in which they are best mended.
pub fn source_problems(facts: &ServerFacts, accepted: Accepted) -> Vec<Problem> {
    let mut problems = Vec::new();
    if facts.version < VERSION_MIN {
        problems.push(
            Problem::new("sync.preflight.version", format!("PostgreSQL {} is too old", facts.version / 10_000))
                .detail("naru needs PostgreSQL 14 or later for streaming of large transactions.")
                .hint("Upgrade the server, or sync from a newer replica that was promoted."),
        );
    }
    if facts.in_recovery {
        problems.push(
            Problem::new("sync.preflight.standby", "the source is a standby")
                .detail("Publications live on the primary; a standby as a source is not supported yet.")
                .hint("Point the source's url at the primary."),
        );
    }
    problems.extend(wal_level(facts));
    problems.extend(privileges(facts));
    problems.extend(headroom(facts));
    problems.extend(wal_bound(facts, accepted));
    problems
}

fn wal_level(facts: &ServerFacts) -> Option<Problem> {
    if facts.wal_level == "logical" {
        return None;
    }
    let hint = if facts.rds {
        "Set rds.logical_replication = 1 in the instance's parameter group (for Aurora: the cluster parameter group) and reboot."
    } else if facts.cloud_sql {
        "Set the flag cloudsql.logical_decoding = on; the instance restarts."
    } else {
        "Run `ALTER SYSTEM SET wal_level = logical;` and restart the server."
    };
    Some(
        Problem::new("sync.preflight.wal_level", format!("wal_level is {}, not logical", facts.wal_level))
            .detail("Without it the server does not write what change capture reads.")
            .hint(hint),
    )
}

fn privileges(facts: &ServerFacts) -> Vec<Problem> {
    let role = quote(&facts.role);
    let mut problems = Vec::new();
    if !facts.replication {
        let hint = if facts.rds {
            format!("Run `GRANT rds_replication TO {role};`.")
        } else {
            format!("Run `ALTER ROLE {role} REPLICATION;` as a superuser.")
        };
        problems.push(
            Problem::new("sync.preflight.replication", format!("role {role} may not open a replication connection"))
                .hint(hint),
        );
    }
    if !facts.create {
        problems.push(
            Problem::new("sync.preflight.create", format!("role {role} may not create a publication"))
                .hint(format!("Run `GRANT CREATE ON DATABASE {} TO {role};`.", quote(&facts.database))),
        );
    }
    problems
}

fn headroom(facts: &ServerFacts) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, free) in [("max_replication_slots", facts.free_slots), ("max_wal_senders", facts.free_senders)] {
        if free < HEADROOM {
            let place = if facts.rds { "the parameter group" } else { "postgresql.conf" };
            problems.push(
                Problem::new("sync.preflight.headroom", format!("{name} leaves {free} free, naru needs {HEADROOM}"))
                    .detail("One for streaming, one while a table is copied.")
                    .hint(format!("Raise {name} in {place} and restart, or drop what is no longer used.")),
            );
        }
    }
    problems
}

fn wal_bound(facts: &ServerFacts, accepted: Accepted) -> Option<Problem> {
    if facts.wal_keep_mb >= 0 || accepted.wal_unbounded {
        return None;
    }
    let hint = if facts.rds {
        "Set max_slot_wal_keep_size (MB) in the parameter group, or write `wal_unbounded = \"accepted\"` in the source file."
    } else {
        "Run `ALTER SYSTEM SET max_slot_wal_keep_size = '20GB'; SELECT pg_reload_conf();` with what the disk can spare, or write `wal_unbounded = \"accepted\"` in the source file."
    };
    Some(
        Problem::new("sync.preflight.wal_unbounded", "max_slot_wal_keep_size is unbounded")
            .detail("If naru stops for days, its slot would keep WAL until the source's disk is full.")
            .hint(hint),
    )
}

/// What a source without the event trigger costs, and how it gets one.
pub fn no_trigger(facts: &ServerFacts) -> Problem {
    let role = quote(&facts.role);
    let (grant, revoke) = if facts.rds {
        (format!("GRANT rds_superuser TO {role};"), format!("REVOKE rds_superuser FROM {role};"))
    } else if facts.cloud_sql {
        (format!("GRANT cloudsqlsuperuser TO {role};"), format!("REVOKE cloudsqlsuperuser FROM {role};"))
    } else {
        (format!("ALTER ROLE {role} SUPERUSER;"), format!("ALTER ROLE {role} NOSUPERUSER;"))
    };
    Problem::new("sync.no_event_trigger", format!("role {role} may not make an event trigger; definitions are looked up instead"))
        .detail("A new table or a changed definition is noticed some seconds late, or with its next row; values that an ALTER TABLE rewrites are old until then. Nothing is lost.")
        .hint(format!("Run `{grant}` as a superuser, restart naru once, then run `{revoke}`: the trigger stays. To leave it so, write `event_trigger = false` in the source's file."))
}

/// Decides what becomes of one table that may have to be copied, with what the source's file says of it.
pub fn verdict_with(postgres: &PostgresSource, image: &TableImage, facts: &ServerFacts) -> Verdict {
    with_vectors(postgres, image, table_verdict(image, facts))
}

/// Decides what becomes of one table whose rows are in the lake already: rights at the source matter to copies alone,
/// before which it is judged as by [`verdict_with`].
pub fn verdict_to_follow(postgres: &PostgresSource, image: &TableImage) -> Verdict {
    with_vectors(postgres, image, shape_verdict(image))
}

fn with_vectors(postgres: &PostgresSource, image: &TableImage, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Sync(TableKind::Keyed, _) if !postgres.table(&image.schema, &image.name).deletion_vectors => {
            Verdict::Quarantine(
                Problem::new(
                    "sync.table.vectors_off",
                    format!("table {} has a key and `deletion_vectors = false`", image.full_name()),
                )
                .detail("Without them every change would write whole files anew, which naru does not do.")
                .hint(format!(
                    "Remove the line from [tables.\"{}\"] in the source's file; readers that do not know deletion vectors can read a mart of the table.",
                    image.full_name()
                )),
            )
        }
        verdict => verdict,
    }
}

fn table_verdict(image: &TableImage, facts: &ServerFacts) -> Verdict {
    match shape_verdict(image) {
        Verdict::NotSynced(reason) => Verdict::NotSynced(reason),
        verdict => access_problem(image, facts).map_or(verdict, Verdict::Quarantine),
    }
}

/// Partitions are read through their root and never reach this.
fn shape_verdict(image: &TableImage) -> Verdict {
    match (image.kind, image.persistence) {
        ('v', _) => return Verdict::NotSynced("a view: sync the tables it reads and make it a mart".into()),
        ('m', _) => {
            return Verdict::NotSynced("a materialized view: sync the tables it reads and make it a mart".into());
        }
        ('f', _) => return Verdict::NotSynced("a foreign table: its changes are in another server's log".into()),
        (_, 'u') => return Verdict::NotSynced("unlogged: its changes are in no log".into()),
        (_, 't') => return Verdict::NotSynced("temporary".into()),
        _ => {}
    }
    if let Some(problem) = leaf_problem(image) {
        return Verdict::Quarantine(problem);
    }
    let mut remarks = Vec::new();
    for column in image.columns.iter().filter(|c| !c.generated.is_empty()) {
        let why = if column.generated == "v" {
            "is computed when it is read (a virtual generated column): no log has its values"
        } else {
            "is generated: PostgreSQL leaves it out of the stream (before 18 always)"
        };
        remarks.push(format!("column \"{}\" {why}, so it is not synced", column.name));
    }
    key_verdict(image, remarks)
}

fn access_problem(image: &TableImage, facts: &ServerFacts) -> Option<Problem> {
    let (table, role) = (image.quoted(), quote(&facts.role));
    if !image.owned {
        return Some(
            Problem::new("sync.table.owner", format!("role {role} does not own {}", image.full_name()))
                .detail("PostgreSQL lets only a table's owner add it to a publication.")
                .hint(format!("Run `ALTER TABLE {table} OWNER TO {role};`, or grant the owner's role to {role}.")),
        );
    }
    let grants = grants(image, &facts.role);
    if !grants.is_empty() {
        let hidden = image.leaves.iter().find(|leaf| !leaf.readable || !leaf.reachable).filter(|_| image.readable);
        let what = match hidden {
            Some(leaf) => format!("partition {} of {}", leaf.name, image.full_name()),
            None => image.full_name(),
        };
        return Some(
            Problem::new("sync.table.select", format!("role {role} may not read {what}"))
                .detail("A copy reads every partition by itself; rights on the partitioned table are not enough.")
                .hint(format!("Run `{}` as the owner; naru notices it.", grants.join(" "))),
        );
    }
    let hidden = image.leaves.iter().find(|leaf| leaf.row_security).map(|leaf| leaf.name.clone());
    if let Some(hidden) = hidden.or_else(|| image.row_security.then(|| image.full_name())) {
        return Some(
            Problem::new("sync.table.row_security", format!("row security hides rows of {hidden} from {role}"))
                .detail("The copy would silently miss rows.")
                .hint(format!("Run `ALTER ROLE {role} BYPASSRLS;`.")),
        );
    }
    None
}

/// The statements that let a role read a table and every partition of it; none when it may.
fn grants(image: &TableImage, name: &str) -> Vec<String> {
    let role = quote(name);
    let own = (!image.reachable).then(|| image.schema.clone());
    let hidden = image.leaves.iter().filter(|leaf| !leaf.reachable).map(|leaf| leaf.schema.clone());
    let schemas: BTreeSet<String> = own.into_iter().chain(hidden).collect();
    let mut grants: Vec<String> =
        schemas.iter().map(|schema| format!("GRANT USAGE ON SCHEMA {} TO {role};", quote(schema))).collect();
    let own = (!image.readable).then(|| image.quoted());
    let unreadable: Vec<String> =
        own.into_iter().chain(image.leaves.iter().filter(|leaf| !leaf.readable).map(LeafImage::quoted)).collect();
    match unreadable.len() {
        0 => {}
        1..=LEAVES_NAMED_MAX => grants.push(format!("GRANT SELECT ON {} TO {role};", unreadable.join(", "))),
        _ => grants.push(format!(
            "DO $$ DECLARE leaf regclass; BEGIN FOR leaf IN SELECT relid FROM pg_partition_tree({}) LOOP \
             EXECUTE format('GRANT SELECT ON %s TO %I', leaf, {}); END LOOP; END $$;",
            literal(&image.quoted()),
            literal(name)
        )),
    }
    grants
}

/// A partitioned table is one table only if the log has the changes of every leaf.
fn leaf_problem(image: &TableImage) -> Option<Problem> {
    let table = image.full_name();
    let detach = |leaf: &LeafImage| {
        format!(
            "Make it an ordinary partition, or run `ALTER TABLE {} DETACH PARTITION {};`.",
            image.quoted(),
            leaf.quoted()
        )
    };
    if let Some(leaf) = image.leaves.iter().find(|leaf| leaf.kind == 'f') {
        return Some(
            Problem::new(
                "sync.table.foreign_partition",
                format!("partition {} of {table} is a foreign table", leaf.name),
            )
            .detail("Its changes are in another server's log, so the table could never be followed as a whole.")
            .hint(detach(leaf)),
        );
    }
    if let Some(leaf) = image.leaves.iter().find(|leaf| leaf.persistence != 'p') {
        return Some(
            Problem::new("sync.table.unlogged_partition", format!("partition {} of {table} is unlogged", leaf.name))
                .detail("Its changes are in no log, so the table could never be followed as a whole.")
                .hint(format!("Run `ALTER TABLE {} SET LOGGED;`.", leaf.quoted())),
        );
    }
    let key: BTreeSet<&str> =
        image.key().iter().filter_map(|attnum| image.column(*attnum)).map(|column| column.name.as_str()).collect();
    let other =
        |leaf: &&LeafImage| leaf.identity != 'f' && leaf.key.iter().map(String::as_str).collect::<BTreeSet<_>>() != key;
    let leaf = image.leaves.iter().find(other).filter(|_| !key.is_empty())?;
    Some(
        Problem::new(
            "sync.table.partition_identity",
            format!("partition {} of {table} has another replica identity than the table", leaf.name),
        )
        .detail("PostgreSQL names the old rows of a partition by the partition's own replica identity.")
        .hint(format!(
            "Give it that of the table, usually by `ALTER TABLE {} REPLICA IDENTITY DEFAULT;`, or FULL.",
            leaf.quoted()
        )),
    )
}

fn key_verdict(image: &TableImage, mut remarks: Vec<String>) -> Verdict {
    if image.identity == 'f' && image.primary_key.is_empty() {
        return Verdict::Quarantine(
            Problem::new("sync.table.full_without_key", format!("table {} has no key", image.full_name()))
                .detail("It has REPLICA IDENTITY FULL but no primary key, so equal rows cannot be told apart yet.")
                .hint(format!("Add a primary key: `ALTER TABLE {} ADD PRIMARY KEY (…);`.", image.quoted())),
        );
    }
    let key = image.key();
    if key.is_empty() {
        let why = match image.identity {
            'n' => "REPLICA IDENTITY NOTHING",
            'i' => "the index of its replica identity is gone",
            _ => "no primary key (a deferrable one does not count)",
        };
        remarks.push(format!("{why}: rows are only added; updates and deletes at the source are not followed"));
        return Verdict::Sync(TableKind::AppendOnly, remarks);
    }
    let collated = key.iter().filter_map(|attnum| image.column(*attnum)).find(|c| !c.deterministic);
    if let Some(column) = collated {
        return Verdict::Quarantine(
            Problem::new(
                "sync.table.collation",
                format!("the key of {} uses a nondeterministic collation", image.full_name()),
            )
            .detail(format!("Column \"{}\": different texts count as one key at the source.", column.name))
            .hint("Give the key column a deterministic collation, or exclude the table."),
        );
    }
    Verdict::Sync(TableKind::Keyed, remarks)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::image::tests::{column, leaf, table};

    pub(crate) fn facts() -> ServerFacts {
        ServerFacts {
            version: 150_018,
            wal_level: "logical".into(),
            in_recovery: false,
            role: "naru".into(),
            database: "shop".into(),
            superuser: false,
            replication: true,
            create: true,
            free_slots: 5,
            free_senders: 5,
            wal_keep_mb: 10_240,
            sender_timeout_ms: 60_000,
            rds: false,
            cloud_sql: false,
        }
    }

    fn codes(facts: &ServerFacts, accepted: Accepted) -> Vec<String> {
        source_problems(facts, accepted).into_iter().map(|p| p.code.into_owned()).collect()
    }

    #[test]
    fn a_source_that_is_ready_has_no_problems() {
        assert!(codes(&facts(), Accepted::default()).is_empty());
    }

    #[test]
    fn every_fault_of_a_source_is_reported_at_once_with_its_remedy() {
        let broken = ServerFacts {
            version: 130_002,
            wal_level: "replica".into(),
            in_recovery: true,
            replication: false,
            create: false,
            free_slots: 0,
            free_senders: 1,
            wal_keep_mb: -1,
            ..facts()
        };
        let problems = source_problems(&broken, Accepted::default());
        assert_eq!(problems.len(), 8);
        assert!(problems.iter().all(|p| p.hint.is_some()));
    }

    #[test]
    fn unbounded_wal_must_be_capped_or_accepted() {
        let open = ServerFacts { wal_keep_mb: -1, ..facts() };
        assert_eq!(codes(&open, Accepted::default()), ["sync.preflight.wal_unbounded"]);
        assert!(codes(&open, Accepted { wal_unbounded: true }).is_empty());
    }

    #[test]
    fn amazon_rds_is_told_the_parameter_group() {
        let rds = ServerFacts { wal_level: "replica".into(), rds: true, ..facts() };
        let problem = source_problems(&rds, Accepted::default()).remove(0);
        assert!(problem.hint.is_some_and(|hint| hint.contains("rds.logical_replication")));
    }

    #[test]
    fn tables_without_a_key_are_append_only_and_say_so() {
        let mut image = table(vec![column(1, "id", 20)]);
        image.primary_key.clear();
        let Verdict::Sync(TableKind::AppendOnly, remarks) = table_verdict(&image, &facts()) else { panic!() };
        assert!(remarks[0].contains("no primary key"));
    }

    #[test]
    fn full_identity_without_a_key_is_quarantined_with_a_remedy() {
        let mut image = table(vec![column(1, "id", 20)]);
        image.primary_key.clear();
        image.identity = 'f';
        let Verdict::Quarantine(problem) = table_verdict(&image, &facts()) else { panic!() };
        assert_eq!(problem.code, "sync.table.full_without_key");
    }

    #[test]
    fn a_leaf_that_the_log_does_not_cover_stops_its_table_with_a_remedy() {
        let leaf = leaf();
        let with = |leaf: LeafImage| {
            let mut image = table(vec![column(1, "id", 20)]);
            (image.kind, image.leaves) = ('p', vec![leaf]);
            table_verdict(&image, &facts())
        };
        assert!(matches!(with(leaf.clone()), Verdict::Sync(TableKind::Keyed, _)));
        for (broken, code) in [
            (LeafImage { kind: 'f', ..leaf.clone() }, "sync.table.foreign_partition"),
            (LeafImage { persistence: 'u', ..leaf.clone() }, "sync.table.unlogged_partition"),
            (LeafImage { identity: 'n', key: vec![], ..leaf }, "sync.table.partition_identity"),
        ] {
            let Verdict::Quarantine(problem) = with(broken) else { panic!("{code}") };
            assert_eq!(problem.code, code);
        }
    }

    #[test]
    fn what_a_copy_may_not_read_is_named_with_the_exact_grant_and_stops_no_table_that_is_followed() {
        let hidden = |number: u32| LeafImage {
            name: format!("cold store.T {number}"),
            schema: "cold store".into(),
            readable: false,
            ..leaf()
        };
        let mut image = table(vec![column(1, "id", 20)]);
        (image.kind, image.leaves) = ('p', vec![leaf(), LeafImage { reachable: false, ..hidden(1) }]);
        let Verdict::Quarantine(problem) = table_verdict(&image, &facts()) else { panic!() };
        assert!(problem.summary.contains("partition cold store.T 1 of public.orders"), "{problem}");
        let grants =
            "`GRANT USAGE ON SCHEMA \"cold store\" TO \"naru\"; GRANT SELECT ON \"cold store\".\"T 1\" TO \"naru\";`";
        assert!(problem.hint.is_some_and(|hint| hint.contains(grants)));
        assert!(matches!(shape_verdict(&image), Verdict::Sync(TableKind::Keyed, _)));
        image.leaves = (0..30).map(hidden).collect();
        let Verdict::Quarantine(problem) = table_verdict(&image, &facts()) else { panic!() };
        assert!(problem.hint.is_some_and(|hint| hint.contains("pg_partition_tree('\"public\".\"orders\"')")));
        image.leaves = vec![LeafImage { row_security: true, ..leaf() }];
        let Verdict::Quarantine(problem) = table_verdict(&image, &facts()) else { panic!() };
        assert_eq!(problem.code, "sync.table.row_security");
    }

    #[test]
    fn a_generated_column_is_named_as_what_it_is() {
        let mut image = table(vec![column(1, "id", 20), column(2, "stored", 20), column(3, "virtual", 20)]);
        (image.columns[1].generated, image.columns[2].generated) = ("s".into(), "v".into());
        let Verdict::Sync(TableKind::Keyed, remarks) = table_verdict(&image, &facts()) else { panic!() };
        assert!(remarks[0].contains("\"stored\" is generated") && remarks[1].contains("\"virtual\" is computed"));
    }

    #[test]
    fn views_unlogged_and_foreign_tables_are_listed_with_the_reason() {
        for (kind, persistence) in [('v', 'p'), ('m', 'p'), ('f', 'p'), ('r', 'u'), ('r', 't')] {
            let mut image = table(vec![column(1, "id", 20)]);
            image.kind = kind;
            image.persistence = persistence;
            assert!(matches!(table_verdict(&image, &facts()), Verdict::NotSynced(_)), "{kind} {persistence}");
        }
    }
}
