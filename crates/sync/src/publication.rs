//! What naru creates at the source: two publications with tables listed by name, and the event trigger.
//!
//! Owns: their names, the statements that make, change and drop them, and the trigger's function.
//! Never uses FOR ALL TABLES: a publication that publishes updates makes PostgreSQL refuse UPDATE and DELETE on member
//! tables without a replica identity, so keyless tables are in one that publishes only inserts and truncates.

use std::collections::BTreeSet;

use tokio_postgres::error::SqlState;

use crate::{
    error::SyncError,
    image::{literal, quote},
    postgres::{QueryError, SqlClient as Client},
    trigger,
};

/// Longest base of the names: with `_keyless`, `_compare` or `_rewrite` behind it, PostgreSQL's 63 bytes.
const BASE_CHARACTERS_MAX: usize = 55;
/// How long a statement of ours may wait for a lock at the source before it gives up and tries again later.
const LOCK_TIMEOUT: &str = "2s";

/// Names of what naru makes at the source. `naru_<project id>_<source>`, so that a copied folder cannot steal them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceNames {
    /// Replication slot.
    pub slot: String,
    /// Publication of keyed tables: everything.
    pub keyed: String,
    /// Publication of keyless tables: insert, truncate.
    pub keyless: String,
    /// Schema that holds the trigger's functions.
    pub schema: String,
    /// Event triggers: end of DDL, drops, rewrites.
    pub trigger: String,
}

impl SourceNames {
    /// Builds the names. PostgreSQL takes lower-case letters, digits and `_` in a slot's name, and 63 bytes in any:
    /// what does not fit is replaced or cut and told apart by a hash, so that two sources never share a name.
    pub fn new(project_id: &str, source: &str) -> Self {
        let whole = format!("naru_{project_id}_{source}");
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let plain: String =
            whole.to_lowercase().chars().map(|c| if fits(c) { c } else { '_' }).take(BASE_CHARACTERS_MAX + 1).collect();
        let base = if plain == whole && plain.len() <= BASE_CHARACTERS_MAX {
            plain
        } else {
            let kept: String = plain.chars().take(BASE_CHARACTERS_MAX - 17).collect();
            format!("{kept}_{:016x}", xxhash_rust::xxh3::xxh3_64(whole.as_bytes()))
        };
        Self {
            slot: base.clone(),
            keyed: format!("{base}_keyed"),
            keyless: format!("{base}_keyless"),
            schema: base.clone(),
            trigger: base,
        }
    }
}

/// What became of one table of a publication.
#[derive(Debug)]
pub struct Refused {
    /// The table.
    pub oid: u32,
    /// Whether it should have been added; otherwise taken out.
    pub adding: bool,
    /// The server's reason.
    pub error: QueryError,
}

/// What [`set_members`] did.
#[derive(Debug, Default)]
pub struct MembersSet {
    /// Tables that were not members before and are now.
    pub added: Vec<u32>,
    /// Tables that could not be added or taken out now.
    pub refused: Vec<Refused>,
}

/// Oids of a publication's members; `None` when it does not exist. A rename changes no membership.
pub async fn members(client: &Client, publication: &str) -> Result<Option<BTreeSet<u32>>, SyncError> {
    let sql = "SELECT r.prrelid FROM pg_catalog.pg_publication p LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid \
               WHERE p.pubname = $1";
    let rows = client.query(sql, &[&publication]).await?;
    Ok((!rows.is_empty()).then(|| rows.iter().filter_map(|row| row.get::<_, Option<u32>>(0)).collect()))
}

/// Creates both publications where they are missing, without tables.
pub async fn ensure(client: &Client, names: &SourceNames) -> Result<(), SyncError> {
    for (publication, operations) in
        [(&names.keyed, "insert, update, delete, truncate"), (&names.keyless, "insert, truncate")]
    {
        if members(client, publication).await?.is_none() {
            let sql = format!(
                "CREATE PUBLICATION {} WITH (publish = '{operations}', publish_via_partition_root = true)",
                quote(publication)
            );
            client.batch_execute(&sql).await?;
        }
    }
    Ok(())
}

/// The first publication that is not there as naru made it: dropped, or changed in what it publishes.
pub async fn broken(client: &Client, names: &SourceNames) -> Result<Option<String>, SyncError> {
    for (publication, keyed) in [(&names.keyed, true), (&names.keyless, false)] {
        let sql = "SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = $1 AND NOT puballtables AND pubviaroot \
                   AND pubinsert AND pubtruncate AND pubupdate = $2 AND pubdelete = $2";
        if client.query_opt(sql, &[publication, &keyed]).await?.is_none() {
            return Ok(Some(publication.clone()));
        }
    }
    Ok(None)
}

/// Drops both publications and makes them anew, without tables.
pub async fn remake(client: &Client, names: &SourceNames) -> Result<(), SyncError> {
    let sql = format!(
        "DROP PUBLICATION IF EXISTS {}; DROP PUBLICATION IF EXISTS {}",
        quote(&names.keyed),
        quote(&names.keyless)
    );
    client.batch_execute(&sql).await?;
    ensure(client, names).await
}

/// Those of `tables` (by oid) that exist and are in neither publication whole: somebody took them out, or put a row
/// filter or a list of columns there. What is narrowed is taken out, so that it can be listed whole again.
pub async fn unpublished(client: &Client, names: &SourceNames, tables: &[u32]) -> Result<Vec<u32>, SyncError> {
    let narrowed = client
        .query_opt(
            "SELECT 1 FROM pg_catalog.pg_attribute WHERE attrelid = 'pg_catalog.pg_publication_rel'::regclass AND attname = 'prqual'",
            &[],
        )
        .await?
        .map_or("false", |_| "(r.prqual IS NOT NULL OR r.prattrs IS NOT NULL)");
    let of_naru = "FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid AND p.pubname IN ($2, $3)";
    let sql = format!(
        "SELECT c.oid, n.nspname::text, c.relname::text, \
                (SELECT min(p.pubname::text) {of_naru} WHERE r.prrelid = c.oid AND {narrowed}) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.oid = ANY($1) AND NOT EXISTS (SELECT 1 {of_naru} WHERE r.prrelid = c.oid AND NOT {narrowed})"
    );
    let mut found = Vec::new();
    for row in client.query(&sql, &[&tables, &names.keyed, &names.keyless]).await? {
        if let Some(publication) = row.get::<_, Option<String>>(3) {
            let table = format!("{}.{}", quote(row.get(1)), quote(row.get(2)));
            client.batch_execute(&format!("ALTER PUBLICATION {} DROP TABLE {table}", quote(&publication))).await?;
        }
        found.push(row.get(0));
    }
    Ok(found)
}

/// How many of naru's three event triggers are there and fire.
pub async fn triggers(client: &Client, names: &SourceNames) -> Result<i64, SyncError> {
    let wanted: Vec<String> =
        ["ddl", "drop", "rewrite"].iter().map(|suffix| format!("{}_{suffix}", names.trigger)).collect();
    let sql = "SELECT count(*) FROM pg_catalog.pg_event_trigger WHERE evtname = ANY($1::text[]) AND evtenabled <> 'D'";
    Ok(client.query_one(sql, &[&wanted]).await?.get(0))
}

/// Whether some naru's event triggers are there and fire.
pub async fn some_trigger(client: &Client) -> Result<bool, SyncError> {
    let sql =
        "SELECT 1 FROM pg_catalog.pg_event_trigger WHERE evtname LIKE 'naru\\_%\\_ddl' AND evtenabled <> 'D' LIMIT 1";
    Ok(client.query_opt(sql, &[]).await?.is_some())
}

/// How many event triggers naru makes.
pub const TRIGGERS: i64 = 3;

/// Makes a publication hold exactly `wanted`, one statement a table, each bounded by a lock timeout.
pub async fn set_members(client: &Client, publication: &str, wanted: &BTreeSet<u32>) -> Result<MembersSet, SyncError> {
    let have = members(client, publication).await?.unwrap_or_default();
    let mut done = MembersSet::default();
    let drops = have.difference(wanted).map(|oid| (false, *oid));
    let adds = wanted.difference(&have).map(|oid| (true, *oid));
    for (adding, oid) in drops.chain(adds).collect::<Vec<_>>() {
        match change_member(client, publication, oid, adding).await? {
            Ok(true) if adding => done.added.push(oid),
            Ok(_) => {}
            Err(error) => done.refused.push(Refused { oid, adding, error }),
        }
    }
    Ok(done)
}

/// Takes tables out of the keyed publication whose rows nothing identifies any more: while they are in it, PostgreSQL
/// refuses their owner's updates. Returns them.
///
/// With the event trigger this has happened before their owner's statement ended.
pub async fn release_unidentified(client: &Client, names: &SourceNames) -> Result<Vec<u32>, SyncError> {
    let rows = client.query(&unidentified_sql(&names.keyed), &[]).await?;
    let mut released = Vec::new();
    for oid in rows.iter().map(|row| row.get::<_, u32>(0)) {
        match change_member(client, &names.keyed, oid, false).await? {
            Ok(_) => released.push(oid),
            Err(error) => {
                tracing::warn!(oid, problem = %SyncError::from(error).problem(), "a table without a key stays published for now");
            }
        }
    }
    Ok(released)
}

/// Adds a table to a publication or takes it out; `false` when the table is gone. `ONLY`: tables that inherit from it
/// are tables of their own.
async fn change_member(
    client: &Client,
    publication: &str,
    oid: u32,
    adding: bool,
) -> Result<Result<bool, QueryError>, SyncError> {
    let sql = "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1";
    let Some(row) = client.query_opt(sql, &[&oid]).await? else { return Ok(Ok(false)) };
    let sql = format!(
        "SET lock_timeout = '{LOCK_TIMEOUT}'; ALTER PUBLICATION {} {} TABLE ONLY {}.{}; RESET lock_timeout",
        quote(publication),
        if adding { "ADD" } else { "DROP" },
        quote(row.get(0)),
        quote(row.get(1))
    );
    let done = client.batch_execute(&sql).await;
    if done.is_err() {
        client.batch_execute("RESET lock_timeout").await?;
    }
    match done {
        // What an earlier session asked for may end only now.
        Err(QueryError::Refused(error)) if is_so_already(&error, adding) => Ok(Ok(true)),
        done => Ok(done.map(|()| true)),
    }
}

fn is_so_already(error: &tokio_postgres::Error, adding: bool) -> bool {
    let already = if adding { SqlState::DUPLICATE_OBJECT } else { SqlState::UNDEFINED_OBJECT };
    error.code() == Some(&already)
}

/// Lists the members of a publication of which a table, or a leaf, has no replica identity that PostgreSQL could use.
pub(crate) fn unidentified_sql(publication: &str) -> String {
    format!(
        r"SELECT r.prrelid FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid
    WHERE p.pubname = {} AND EXISTS (
      WITH RECURSIVE tree(oid) AS (
        SELECT r.prrelid UNION ALL
        SELECT h.inhrelid FROM tree JOIN pg_catalog.pg_class q ON q.oid = tree.oid AND q.relkind = 'p'
          JOIN pg_catalog.pg_inherits h ON h.inhparent = q.oid AND NOT h.inhdetachpending)
      SELECT 1 FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid
      WHERE c.relkind = 'r' AND c.relreplident <> 'f' AND NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indislive AND i.indimmediate
          AND i.indisunique AND i.indpred IS NULL
          AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END))",
        literal(publication)
    )
}

/// Installs the event trigger. Fails where the role may not (then the engine polls the catalog instead).
pub async fn install_trigger(client: &Client, names: &SourceNames) -> Result<(), SyncError> {
    in_one_transaction(client, &trigger::statements(names)).await
}

/// Brings the functions of an event trigger that is there up to date.
pub async fn renew_trigger(client: &Client, names: &SourceNames) -> Result<(), SyncError> {
    in_one_transaction(client, &trigger::functions(names)).await
}

async fn in_one_transaction(client: &Client, statements: &str) -> Result<(), SyncError> {
    let sql = format!("BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; {statements} COMMIT");
    if let Err(error) = client.batch_execute(&sql).await {
        client.batch_execute("ROLLBACK").await?;
        return Err(error.into());
    }
    Ok(())
}

/// Removes everything naru made at the source: trigger, functions, publications. The slot is dropped by its own call.
pub async fn remove(client: &Client, names: &SourceNames) -> Result<(), SyncError> {
    for suffix in ["ddl", "drop", "rewrite"] {
        let trigger = quote(&format!("{}_{suffix}", names.trigger));
        client.batch_execute(&format!("DROP EVENT TRIGGER IF EXISTS {trigger}")).await?;
    }
    let sql = format!(
        "DROP SCHEMA IF EXISTS {} CASCADE; DROP PUBLICATION IF EXISTS {}; DROP PUBLICATION IF EXISTS {}",
        quote(&names.schema),
        quote(&names.keyed),
        quote(&names.keyless)
    );
    client.batch_execute(&sql).await?;
    Ok(())
}

/// Ends the reader of a slot, if it is still this server process, and waits until the slot is free.
pub async fn end_reader(client: &Client, slot: &str, pid: i32) -> Result<(), SyncError> {
    let sql = "SELECT pg_catalog.pg_terminate_backend(active_pid) FROM pg_catalog.pg_replication_slots \
               WHERE slot_name = $1 AND active_pid = $2";
    for _ in 0..50 {
        if client.execute(sql, &[&slot, &pid]).await? == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Drops the replication slot if it exists, ending the connection that holds it.
pub async fn drop_slot(client: &Client, slot: &str) -> Result<(), SyncError> {
    client
        .execute(
            "SELECT pg_catalog.pg_terminate_backend(active_pid) FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND active",
            &[&slot],
        )
        .await?;
    for _ in 0..50 {
        let dropped = client
            .execute(
                "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND NOT active",
                &[&slot],
            )
            .await?;
        let left =
            client.query_opt("SELECT 1 FROM pg_catalog.pg_replication_slots WHERE slot_name = $1", &[&slot]).await?;
        if dropped > 0 || left.is_none() {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Err(SyncError::Protocol(format!("the slot \"{slot}\" is held by another client and could not be dropped")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_slot_names_whatever_the_source_is_called() {
        let names = SourceNames::new("k3f9", "Shop-주문");
        assert!(names.slot.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
        assert!(names.slot.starts_with("naru_k3f9_shop"));
        assert!(names.keyless.len() < 64);
    }

    #[test]
    fn two_sources_never_share_a_name_at_the_server() {
        let long = "a".repeat(60);
        let sources =
            ["shop-a", "shop_a", "Shop_a", "SHOP-A", &format!("{long}1"), &format!("{long}2"), "주문", "상점"];
        let names: std::collections::HashSet<String> =
            sources.iter().map(|source| SourceNames::new("k3f9", source).slot).collect();
        assert_eq!(names.len(), sources.len());
        assert!(names.iter().all(|name| name.len() <= BASE_CHARACTERS_MAX));
        assert_eq!(SourceNames::new("k3f9", "shop_a").slot, "naru_k3f9_shop_a");
    }
}
