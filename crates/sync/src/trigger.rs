//! The event trigger that tells naru of changed definitions, at their place in the stream.
//!
//! Owns: the statements that install it and the prefix of its messages. Never runs them; `publication` does.
//!
//! The functions pin `search_path` and swallow every error, so that they never fail anyone's DDL. They write a
//! transactional logical message, which stands in the stream exactly where the change of schema happened: the message
//! is written outside the block that catches errors, because such a block is a sub-transaction, and what a
//! sub-transaction writes is decoded after later changes of its parent (seen on PostgreSQL 15).
//!
//! A statement that takes a table's key away also takes the table out of the keyed publication, in the same
//! transaction: afterwards PostgreSQL would refuse the owner's next UPDATE.

use crate::{
    image::{IMAGE_SQL, literal, quote},
    publication::{SourceNames, unidentified_sql},
};

/// Prefix of logical messages that naru's event trigger writes.
pub const MESSAGE_PREFIX: &str = "naru";

/// Statements that install the event trigger, as a superuser; run in one transaction.
pub fn statements(names: &SourceNames) -> String {
    [functions(names), triggers(names, &quote(&names.schema))].concat()
}

/// Statements that bring the functions of an event trigger that is there up to date. Their owner may, also one who is no
/// superuser any more.
pub fn functions(names: &SourceNames) -> String {
    let schema = quote(&names.schema);
    [what_they_share(names, &schema), on_ddl(&schema), on_drop(&schema), on_rewrite(&schema)].concat()
}

/// A table's image as a message, and taking tables without a key out of the keyed publication.
fn what_they_share(names: &SourceNames, schema: &str) -> String {
    let (unidentified, keyed) = (unidentified_sql(&names.keyed), literal(&names.keyed));
    format!(
        r"
CREATE SCHEMA IF NOT EXISTS {schema};
GRANT USAGE ON SCHEMA {schema} TO PUBLIC;
CREATE OR REPLACE FUNCTION {schema}.table_message(tag text, oid oid) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $naru$
  SELECT jsonb_build_object('event', 'table', 'tag', tag, 'image', {IMAGE_SQL})::text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid = table_message.oid AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
$naru$;
CREATE OR REPLACE FUNCTION {schema}.release_unidentified() RETURNS SETOF oid LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $naru$
DECLARE member record;
BEGIN
  FOR member IN SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid IN ({unidentified}) LOOP
    EXECUTE format('ALTER PUBLICATION %I DROP TABLE ONLY %I.%I', {keyed}, member.nspname, member.relname);
    RETURN NEXT member.oid;
  END LOOP;
END $naru$;
REVOKE ALL ON FUNCTION {schema}.table_message(text, oid), {schema}.release_unidentified() FROM PUBLIC;
"
    )
}

/// After DDL: every table it touched, a partition as its root.
fn on_ddl(schema: &str) -> String {
    let prefix = literal(MESSAGE_PREFIX);
    format!(
        r"
CREATE OR REPLACE FUNCTION {schema}.on_ddl() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $naru$
DECLARE command record; message text; messages text[] := '{{}}';
BEGIN
  BEGIN
    IF current_setting('wal_level') <> 'logical' THEN RETURN; END IF;
    FOR command IN SELECT DISTINCT coalesce(pg_partition_root(d.objid)::oid, d.objid) AS oid FROM pg_event_trigger_ddl_commands() d
        WHERE d.classid = 'pg_class'::regclass AND d.object_type IN ('table', 'table column') AND NOT coalesce(d.schema_name LIKE 'pg\_temp%', false) LOOP
      messages := messages || {schema}.table_message(TG_TAG, command.oid);
    END LOOP;
  EXCEPTION WHEN OTHERS THEN RETURN;
  END;
  BEGIN
    PERFORM {schema}.release_unidentified();
  EXCEPTION WHEN OTHERS THEN NULL;
  END;
  FOREACH message IN ARRAY array_remove(messages, NULL) LOOP PERFORM pg_logical_emit_message(true, {prefix}, message); END LOOP;
END $naru$;
"
    )
}

/// After a drop: tables that are gone, and those that lost what identified their rows.
fn on_drop(schema: &str) -> String {
    let prefix = literal(MESSAGE_PREFIX);
    format!(
        r"
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
  BEGIN
    IF EXISTS (SELECT 1 FROM pg_event_trigger_dropped_objects() d
        WHERE d.object_type IN ('index', 'table column', 'table constraint') AND NOT d.is_temporary) THEN
      messages := messages || ARRAY(SELECT {schema}.table_message(TG_TAG, r.oid) FROM {schema}.release_unidentified() r(oid));
    END IF;
  EXCEPTION WHEN OTHERS THEN NULL;
  END;
  FOREACH message IN ARRAY array_remove(messages, NULL) LOOP PERFORM pg_logical_emit_message(true, {prefix}, message); END LOOP;
END $naru$;
"
    )
}

/// Before rows are written anew: their new values are in no change message.
fn on_rewrite(schema: &str) -> String {
    let prefix = literal(MESSAGE_PREFIX);
    format!(
        r"
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
"
    )
}

fn triggers(names: &SourceNames, schema: &str) -> String {
    let [ddl, drop, rewrite] = ["ddl", "drop", "rewrite"].map(|suffix| quote(&format!("{}_{suffix}", names.trigger)));
    format!(
        r"
DROP EVENT TRIGGER IF EXISTS {ddl}; DROP EVENT TRIGGER IF EXISTS {drop}; DROP EVENT TRIGGER IF EXISTS {rewrite};
CREATE EVENT TRIGGER {ddl} ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'COMMENT')
  EXECUTE FUNCTION {schema}.on_ddl();
CREATE EVENT TRIGGER {drop} ON sql_drop EXECUTE FUNCTION {schema}.on_drop();
CREATE EVENT TRIGGER {rewrite} ON table_rewrite EXECUTE FUNCTION {schema}.on_rewrite();
"
    )
}
