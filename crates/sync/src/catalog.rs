//! What the source database holds, asked over an ordinary SQL connection.
//!
//! Owns: the catalog queries (server facts, table images, blockers, progress of slots).
//! Never changes anything at the source. Read next: `image` for the shape, `preflight` for what is made of the facts.

use std::{fmt, time::Duration};

use naru_base::Lsn;

use crate::{
    error::SyncError,
    image::{IMAGE_SQL, TableImage},
    postgres::SqlClient as Client,
};

/// Facts about the server and the connected role that decide whether syncing can start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// `server_version_num`, for example 150018.
    pub version: u32,
    /// `wal_level`.
    pub wal_level: String,
    /// Whether the server is a standby.
    pub in_recovery: bool,
    /// Connected role.
    pub role: String,
    /// Database.
    pub database: String,
    /// Superuser, or a managed service's equivalent that may create event triggers.
    pub superuser: bool,
    /// May open replication connections.
    pub replication: bool,
    /// May create objects (publications) in the database.
    pub create: bool,
    /// Free replication slots.
    pub free_slots: i64,
    /// Free WAL senders.
    pub free_senders: i64,
    /// `max_slot_wal_keep_size` in MB; -1 means unbounded.
    pub wal_keep_mb: i64,
    /// `wal_sender_timeout` in milliseconds; 0 means that it waits for ever.
    pub sender_timeout_ms: i64,
    /// Whether this is Amazon RDS or Aurora.
    pub rds: bool,
    /// Whether this is Google Cloud SQL.
    pub cloud_sql: bool,
}

/// A session that keeps something waiting. What it runs is never read: a query's text may hold values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Server process id; 0 for a prepared transaction, which has none.
    pub pid: i32,
    /// Role.
    pub role: String,
    /// Client application; the name of a prepared transaction.
    pub application: String,
    /// When its transaction began, in UTC to the second.
    pub since: String,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, role, application, since } = self;
        let application = if application.is_empty() { "without a name" } else { application };
        if *pid == 0 {
            return write!(f, "the prepared transaction \"{application}\" of role \"{role}\", since {since}");
        }
        write!(f, "session {pid} of role \"{role}\" (application {application}), in its transaction since {since}")
    }
}

/// SQL of a moment as people read it.
const SINCE: &str = "to_char(coalesce(%, now()) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"')";

/// State of naru's replication slot at the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotFacts {
    /// Server process of the client that is connected to it.
    pub active_pid: Option<i32>,
    /// Position up to which everything was acknowledged.
    pub confirmed: Lsn,
    /// Whether it is a slot that naru could read from: one of this database, for pgoutput.
    pub readable: bool,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: String,
    /// Bytes of WAL the slot keeps.
    pub retained_bytes: i64,
    /// Bytes that may still be written before the slot is in danger; `None` when unbounded.
    pub safe_bytes: Option<i64>,
}

const FACTS_SQL: &str = r"
SELECT current_setting('server_version_num')::int4,
       current_setting('wal_level'),
       pg_catalog.pg_is_in_recovery(),
       current_user::text,
       current_database()::text,
       r.rolsuper OR EXISTS (SELECT 1 FROM pg_catalog.pg_roles g WHERE g.rolname IN ('rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin')
                             AND pg_catalog.pg_has_role(current_user, g.oid, 'MEMBER')),
       r.rolsuper OR r.rolreplication OR EXISTS (SELECT 1 FROM pg_catalog.pg_roles g WHERE g.rolname = 'rds_replication'
                             AND pg_catalog.pg_has_role(current_user, g.oid, 'MEMBER')),
       pg_catalog.has_database_privilege(current_database(), 'CREATE'),
       current_setting('max_replication_slots')::int8 - (SELECT count(*) FROM pg_catalog.pg_replication_slots),
       current_setting('max_wal_senders')::int8 - (SELECT count(*) FROM pg_catalog.pg_stat_replication),
       (SELECT setting::int8 FROM pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size'),
       (SELECT setting::int8 FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'),
       EXISTS (SELECT 1 FROM pg_catalog.pg_settings WHERE name LIKE 'rds.%'),
       EXISTS (SELECT 1 FROM pg_catalog.pg_settings WHERE name LIKE 'cloudsql.%')
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";

/// Reads what [`ServerFacts`] holds.
pub async fn server_facts(client: &Client) -> Result<ServerFacts, SyncError> {
    let row = client.query_one(FACTS_SQL, &[]).await?;
    Ok(ServerFacts {
        version: u32::try_from(row.get::<_, i32>(0)).unwrap_or(0),
        wal_level: row.get(1),
        in_recovery: row.get(2),
        role: row.get(3),
        database: row.get(4),
        superuser: row.get(5),
        replication: row.get(6),
        create: row.get(7),
        free_slots: row.get(8),
        free_senders: row.get(9),
        wal_keep_mb: row.get(10),
        sender_timeout_ms: row.get(11),
        rds: row.get(12),
        cloud_sql: row.get(13),
    })
}

/// Reads every table, view and foreign table outside the system schemas, in order of schema and name.
pub async fn tables(client: &Client) -> Result<Vec<TableImage>, SyncError> {
    let sql = format!(
        "SELECT ({IMAGE_SQL})::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
           AND n.nspname NOT LIKE 'pg\\_temp\\_%' AND n.nspname NOT LIKE 'pg\\_toast\\_temp\\_%' AND n.nspname NOT LIKE 'naru\\_%' \
           AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid \
                           AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e') \
         ORDER BY n.nspname, c.relname"
    );
    let rows = client.query(&sql, &[]).await?;
    rows.iter().map(|row| parse_image(row.get(0))).collect()
}

/// Reads one table by oid; `None` when it is gone.
pub async fn table(client: &Client, oid: u32) -> Result<Option<TableImage>, SyncError> {
    let sql = format!(
        "SELECT ({IMAGE_SQL})::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1"
    );
    let row = client.query_opt(&sql, &[&oid]).await?;
    row.map(|row| parse_image(row.get(0))).transpose()
}

/// Reads an image from the JSON that [`IMAGE_SQL`] gives.
pub fn parse_image(json: &str) -> Result<TableImage, SyncError> {
    serde_json::from_str(json).map_err(|error| SyncError::Catalog(error.to_string()))
}

/// The server's current write position.
pub async fn current_lsn(client: &Client) -> Result<Lsn, SyncError> {
    let row = client.query_one("SELECT pg_catalog.pg_current_wal_lsn()::text", &[]).await?;
    parse_lsn(row.get(0))
}

fn parse_lsn(text: &str) -> Result<Lsn, SyncError> {
    text.parse().map_err(|error| SyncError::Catalog(format!("{error}")))
}

/// Reads the slot's state; `None` when it does not exist.
pub async fn slot(client: &Client, name: &str) -> Result<Option<SlotFacts>, SyncError> {
    let sql = "SELECT active_pid, coalesce(confirmed_flush_lsn, '0/0')::text, coalesce(wal_status, 'lost'), \
               coalesce(pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
                 ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn), 0)::int8, safe_wal_size, \
               coalesce(plugin = 'pgoutput' AND database = current_database(), false) \
               FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";
    let Some(row) = client.query_opt(sql, &[&name]).await? else { return Ok(None) };
    Ok(Some(SlotFacts {
        active_pid: row.get(0),
        confirmed: parse_lsn(row.get(1))?,
        wal_status: row.get(2),
        retained_bytes: row.get(3),
        safe_bytes: row.get(4),
        readable: row.get(5),
    }))
}

/// Transactions that have been open for longer than `age` and hold a transaction id: slot creation waits for them, and
/// the server keeps its log from the oldest on. The oldest comes first.
pub async fn open_transactions(client: &Client, age: Duration) -> Result<Vec<Blocker>, SyncError> {
    let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
    let (session, prepared) = (SINCE.replace('%', "xact_start"), SINCE.replace('%', "prepared"));
    let sql = format!(
        "SELECT pid, role, application, since FROM ( \
           SELECT pid, coalesce(usename, '')::text AS role, coalesce(application_name, '') AS application, {session} AS since, xact_start AS began \
           FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_catalog.pg_backend_pid() \
           UNION ALL SELECT 0, owner::text, gid, {prepared}, prepared FROM pg_catalog.pg_prepared_xacts) t \
         WHERE began <= now() - make_interval(secs => $1::int8::float8) ORDER BY began"
    );
    Ok(client.query(&sql, &[&seconds]).await?.iter().map(blocker).collect())
}

/// Sessions that have been waiting for a lock held by `pid` for at least `wait`.
pub async fn waiting_for(client: &Client, pid: i32, wait: Duration) -> Result<Vec<Blocker>, SyncError> {
    let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
    let since = SINCE.replace('%', "a.xact_start");
    let sql = format!(
        "SELECT a.pid, coalesce(a.usename, '')::text, coalesce(a.application_name, ''), {since} \
         FROM pg_catalog.pg_stat_activity a WHERE a.wait_event_type = 'Lock' AND $1 = ANY (pg_catalog.pg_blocking_pids(a.pid)) \
         AND a.state_change < now() - make_interval(secs => $2::int8::float8)"
    );
    Ok(client.query(&sql, &[&pid, &seconds]).await?.iter().map(blocker).collect())
}

/// Who holds a lock on a table with which no table can be added to a publication or taken from it; the oldest.
/// `None` when nobody does any more.
pub async fn lock_holder(client: &Client, oid: u32) -> Result<Option<Blocker>, SyncError> {
    let since = SINCE.replace('%', "coalesce(p.prepared, a.xact_start)");
    let sql = format!(
        "SELECT coalesce(l.pid, 0), coalesce(a.usename, p.owner, '')::text, coalesce(a.application_name, p.gid, ''), {since} \
         FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
         LEFT JOIN pg_catalog.pg_locks x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid' \
           AND x.virtualtransaction = l.virtualtransaction \
         LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = x.transactionid \
         WHERE l.locktype = 'relation' AND l.relation = $1 AND l.granted \
           AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) \
           AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock') \
           AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() \
         ORDER BY coalesce(p.prepared, a.xact_start) LIMIT 1"
    );
    Ok(client.query_opt(&sql, &[&oid]).await?.as_ref().map(blocker))
}

fn blocker(row: &tokio_postgres::Row) -> Blocker {
    Blocker { pid: row.get(0), role: row.get(1), application: row.get(2), since: row.get(3) }
}
