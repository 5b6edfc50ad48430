//! What naru creates at the source: two publications with tables listed by name, and the event trigger.
//!
//! Owns: their names, the statements that make, change and drop them, and the trigger's function.
//! Never uses FOR ALL TABLES: a publication that publishes updates makes PostgreSQL refuse UPDATE and DELETE on member
//! tables without a replica identity, so keyless tables are in one that publishes only inserts and truncates.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use crate::{
    error::SyncError,
    image::{IMAGE_SQL, literal, quote},
};

/// Prefix of logical messages that naru's event trigger writes.
pub const MESSAGE_PREFIX: &str = "naru";
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
    /// Builds the names; characters that PostgreSQL refuses in slot names become `_`.
    pub fn new(project_id: &str, source: &str) -> Self {
        let base: String = format!("naru_{project_id}_{source}")
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' })
            .take(50)
            .collect();
        Self {
            slot: base.clone(),
            keyed: format!("{base}_keyed"),
            keyless: format!("{base}_keyless"),
            schema: base.clone(),
            trigger: base,
        }
    }
}

/// Tables of one publication, as `schema.name` pairs.
pub type Members = BTreeSet<(String, String)>;

/// Reads a publication's members; `None` when it does not exist.
pub async fn members(client: &Client, publication: &str) -> Result<Option<Members>, SyncError> {
    let exists =
        client.query_opt("SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = $1", &[&publication]).await?;
    if exists.is_none() {
        return Ok(None);
    }
    let rows = client
        .query(
            "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_publication_rel r \
             JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid JOIN pg_catalog.pg_class c ON c.oid = r.prrelid \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1",
            &[&publication],
        )
        .await?;
    Ok(Some(rows.iter().map(|row| (row.get(0), row.get(1))).collect()))
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

/// Makes a publication hold exactly `wanted`, one statement a table, each bounded by a lock timeout.
///
/// Returns the tables that could not be added or removed now, with the server's reason.
pub async fn set_members(
    client: &Client,
    publication: &str,
    wanted: &Members,
) -> Result<Vec<((String, String), tokio_postgres::Error)>, SyncError> {
    let have = members(client, publication).await?.unwrap_or_default();
    let mut failed = Vec::new();
    let drops = have.difference(wanted).map(|table| ("DROP", table));
    let adds = wanted.difference(&have).map(|table| ("ADD", table));
    for (verb, (schema, name)) in drops.chain(adds) {
        let sql = format!(
            "SET lock_timeout = '{LOCK_TIMEOUT}'; ALTER PUBLICATION {} {verb} TABLE {}.{}; RESET lock_timeout",
            quote(publication),
            quote(schema),
            quote(name)
        );
        if let Err(error) = client.batch_execute(&sql).await {
            client.batch_execute("RESET lock_timeout").await?;
            failed.push(((schema.clone(), name.clone()), error));
        }
    }
    Ok(failed)
}

/// Statements that install the event trigger; run in one transaction.
///
/// The functions pin `search_path` and swallow every error, so that they never fail anyone's DDL. They write a
/// transactional logical message, which stands in the stream exactly where the change of schema happened: the message
/// is written outside the block that catches errors, because such a block is a sub-transaction, and what a
/// sub-transaction writes is decoded after later changes of its parent (seen on PostgreSQL 15).
pub fn trigger_sql(names: &SourceNames) -> String {
    let schema = quote(&names.schema);
    let prefix = literal(MESSAGE_PREFIX);
    let trigger = |suffix: &str| quote(&format!("{}_{suffix}", names.trigger));
    format!(
        r"
CREATE SCHEMA IF NOT EXISTS {schema};
GRANT USAGE ON SCHEMA {schema} TO PUBLIC;
CREATE OR REPLACE FUNCTION {schema}.on_ddl() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $naru$
DECLARE image jsonb; command record; message text; messages text[] := '{{}}';
BEGIN
  BEGIN
    IF current_setting('wal_level') <> 'logical' THEN RETURN; END IF;
    FOR command IN SELECT DISTINCT d.objid FROM pg_event_trigger_ddl_commands() d
        WHERE d.classid = 'pg_class'::regclass AND d.object_type IN ('table', 'table column') AND NOT coalesce(d.schema_name LIKE 'pg\_temp%', false) LOOP
      SELECT {IMAGE_SQL} INTO image FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = command.objid AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p';
      IF image IS NOT NULL THEN
        messages := messages || jsonb_build_object('event', 'table', 'tag', TG_TAG, 'image', image)::text;
      END IF;
    END LOOP;
  EXCEPTION WHEN OTHERS THEN RETURN;
  END;
  FOREACH message IN ARRAY messages LOOP PERFORM pg_logical_emit_message(true, {prefix}, message); END LOOP;
END $naru$;
CREATE OR REPLACE FUNCTION {schema}.on_drop() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $naru$
DECLARE message text; messages text[] := '{{}}';
BEGIN
  BEGIN
    IF current_setting('wal_level') <> 'logical' THEN RETURN; END IF;
    messages := ARRAY(SELECT jsonb_build_object('event', 'drop', 'oid', d.objid::int8)::text FROM pg_event_trigger_dropped_objects() d
      WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND d.object_type = 'table' AND NOT d.is_temporary);
  EXCEPTION WHEN OTHERS THEN RETURN;
  END;
  FOREACH message IN ARRAY messages LOOP PERFORM pg_logical_emit_message(true, {prefix}, message); END LOOP;
END $naru$;
CREATE OR REPLACE FUNCTION {schema}.on_rewrite() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $naru$
DECLARE message text;
BEGIN
  BEGIN
    IF current_setting('wal_level') <> 'logical' THEN RETURN; END IF;
    message := jsonb_build_object('event', 'rewrite', 'oid', pg_event_trigger_table_rewrite_oid()::int8)::text;
  EXCEPTION WHEN OTHERS THEN RETURN;
  END;
  PERFORM pg_logical_emit_message(true, {prefix}, message);
END $naru$;
DROP EVENT TRIGGER IF EXISTS {ddl}; DROP EVENT TRIGGER IF EXISTS {drop}; DROP EVENT TRIGGER IF EXISTS {rewrite};
CREATE EVENT TRIGGER {ddl} ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'COMMENT')
  EXECUTE FUNCTION {schema}.on_ddl();
CREATE EVENT TRIGGER {drop} ON sql_drop WHEN TAG IN ('DROP TABLE', 'DROP SCHEMA') EXECUTE FUNCTION {schema}.on_drop();
CREATE EVENT TRIGGER {rewrite} ON table_rewrite EXECUTE FUNCTION {schema}.on_rewrite();
",
        ddl = trigger("ddl"),
        drop = trigger("drop"),
        rewrite = trigger("rewrite"),
    )
}

/// Installs the event trigger. Fails where the role may not (then the engine polls the catalog instead).
pub async fn install_trigger(client: &Client, names: &SourceNames) -> Result<(), SyncError> {
    let sql = format!("BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; {} COMMIT", trigger_sql(names));
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
}
