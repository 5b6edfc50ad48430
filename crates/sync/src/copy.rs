//! Copies one table under an exported snapshot into staged files.
//!
//! Owns: the snapshot transaction, its lock and the checks after it, the ctid chunks, stepping aside for waiting
//! sessions, speed limits, progress. Never commits to the lake and never touches the stream; the engine joins both.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use naru_base::{
    Lsn, failpoint,
    number::{u64_from, usize_from},
};
use naru_lake::{StagedFile, Stager, StagerOptions, Table};
use parking_lot::Mutex;
use tokio_postgres::CancelToken;

use crate::{
    catalog,
    error::SyncError,
    image::{TableImage, literal, quote},
    plan::TableShape,
    postgres::{
        ConnectSettings, CopyDecoder, DecodeCounts, SqlClient as Client, cancel_query, connect_sql, copy_select_list,
    },
};

/// Heap pages of one chunk: 128 MB.
const CHUNK_PAGES: u64 = 16_384;
/// How long somebody may wait for the table's lock before the copy steps aside.
const YIELD_AFTER: Duration = Duration::from_secs(2);
/// How often the copy looks whether somebody waits.
const WATCH_EVERY: Duration = Duration::from_millis(500);
/// Rows handed to the stager at once, few enough to lie in the processor's cache between the two; fewer still when a
/// limit is set, so that each pause is short.
const BATCH_ROWS: usize = 16_384;
/// Bytes of wide rows handed on at once, however few rows they are.
const BATCH_BYTES: usize = 8 << 20;
/// Parts of a second that a limited copy goes at once.
const PACES_A_SECOND: u64 = 4;

/// A snapshot of the source that other connections can import while its keeper lives.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The name to import.
    pub name: String,
    /// It holds exactly the commits whose commit record starts before this position.
    pub consistent_point: Lsn,
}

/// Counters that `naru status` reads while a copy runs.
#[derive(Debug, Default)]
pub struct CopyProgress {
    /// Rows written so far.
    pub rows: AtomicU64,
    /// Bytes received so far.
    pub bytes: AtomicU64,
    /// Chunks finished.
    pub chunks_done: AtomicU64,
    /// Chunks in all.
    pub chunks: AtomicU64,
}

/// Limits the owner set for copies.
#[derive(Debug, Clone, Copy)]
pub struct CopyLimits {
    /// Connections that copy one table at the same time.
    pub parallelism: usize,
    /// Rows a second over all connections of one table; `None` is no limit.
    pub rows_per_second: Option<u64>,
}

/// What a finished copy hands to the engine.
#[derive(Debug)]
pub struct Copied {
    /// The table as it was under the snapshot.
    pub image: TableImage,
    /// Columns, key and decoders made from it.
    pub shape: TableShape,
    /// Rows in Parquet files that no commit names yet.
    pub staged: Vec<StagedFile>,
    /// Rows copied.
    pub rows: u64,
    /// Values changed by the stated rules (infinities, out of range, NaN).
    pub counts: DecodeCounts,
}

/// One chunk: a relation and a range of its pages; `None` as the end means "to the end".
#[derive(Debug, Clone)]
struct Chunk {
    relation: String,
    from_page: u64,
    to_page: Option<u64>,
}

/// Makes the lake table for a shape and gives it to the copy.
#[async_trait::async_trait]
pub trait CopyTarget: Send + Sync {
    /// The lake table that receives rows of this shape (created where missing, columns not yet changed).
    async fn table(&self, shape: &TableShape) -> Result<Table, SyncError>;
    /// The shape for an image: lake columns, those dropped earlier among them, exclusions, names.
    ///
    /// # Errors
    /// [`SyncError::Rewritten`] when the snapshot has another table than the one that was judged.
    async fn shape(&self, image: &TableImage) -> Result<TableShape, SyncError>;
}

/// Copies the table `oid` under `snapshot`.
///
/// # Errors
/// - [`SyncError::Yielded`], [`SyncError::Rewritten`]: start again under a new snapshot.
/// - [`SyncError::Table`]: this table cannot go on; the others can.
pub async fn copy_table(
    settings: &ConnectSettings,
    oid: u32,
    snapshot: &Snapshot,
    limits: CopyLimits,
    target: &dyn CopyTarget,
    progress: Arc<CopyProgress>,
) -> Result<Copied, SyncError> {
    let client = connect_sql(settings).await?;
    let mut guard = CancelGuard { settings, tokens: vec![client.cancel_token()] };
    begin(&client, snapshot).await?;
    let image = lock_and_check(&client, oid).await?;
    let shape = target.shape(&image).await?;
    let table = target.table(&shape).await?;
    let chunks = chunks(&client, &image).await?;
    progress.chunks.store(u64_from(chunks.len()), Ordering::Relaxed);
    let queue = Arc::new(Mutex::new(chunks));
    let pace = Arc::new(Pace::new(limits.rows_per_second));

    let mut workers = vec![client];
    for _ in 1..limits.parallelism.max(1) {
        let client = connect_sql(settings).await?;
        guard.tokens.push(client.cancel_token());
        begin(&client, snapshot).await?;
        workers.push(client);
    }
    let watcher = connect_sql(settings).await?;
    let mut pids = Vec::new();
    for worker in &workers {
        pids.push(worker.query_one("SELECT pg_catalog.pg_backend_pid()", &[]).await?.get::<_, i32>(0));
    }
    let mut work = Vec::new();
    for client in &workers {
        let stager = table.stager_for(
            shape.columns.clone(),
            &shape.key,
            StagerOptions { index: true, ..StagerOptions::default() },
        )?;
        work.push(copy_chunks(client, queue.clone(), &shape, stager, &progress, pace.clone()));
    }
    let work = futures::future::try_join_all(work);
    let parts = tokio::select! {
        parts = work => parts?,
        waiter = watch(&watcher, &pids) => {
            return Err(SyncError::Yielded { table: image.full_name(), waiter: waiter? });
        }
    };
    guard.tokens.clear();
    let mut counts = DecodeCounts::default();
    let mut staged = Vec::new();
    for (files, part) in parts {
        staged.extend(files);
        counts += part;
    }
    Ok(Copied { image, shape, staged, rows: progress.rows.load(Ordering::Relaxed), counts })
}

/// Cancels at the server whatever a copy still runs when it is given up, however it is: the connections' own end would
/// come only after the rest of their chunks, and the table's lock with it.
struct CancelGuard<'a> {
    settings: &'a ConnectSettings,
    tokens: Vec<CancelToken>,
}

impl Drop for CancelGuard<'_> {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        for token in self.tokens.drain(..) {
            let settings = self.settings.clone();
            runtime.spawn(async move {
                if let Err(error) = cancel_query(&settings, &token).await {
                    tracing::debug!(problem = %error.problem(), "a copy that was given up could not be cancelled");
                }
            });
        }
    }
}

async fn begin(client: &Client, snapshot: &Snapshot) -> Result<(), SyncError> {
    let sql = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}; SET LOCAL lock_timeout = '2s'; \
         SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0",
        literal(&snapshot.name)
    );
    Ok(client.batch_execute(&sql).await?)
}

/// A table and, when it is partitioned, everything below it, as the snapshot sees them: the functions for partition trees
/// see the present.
const TREE_SQL: &str = "WITH RECURSIVE tree(oid) AS (SELECT $1::oid UNION ALL \
    SELECT h.inhrelid FROM tree JOIN pg_catalog.pg_class q ON q.oid = tree.oid AND q.relkind = 'p' \
    JOIN pg_catalog.pg_inherits h ON h.inhparent = q.oid AND NOT h.inhdetachpending)";

/// Takes the ACCESS SHARE lock first, then makes sure the snapshot still sees the table's present files:
/// a TRUNCATE or a rewrite that committed in between would make the snapshot read no rows. And that the names it knows
/// still mean the same tables: statements find tables by their present names, whatever the snapshot.
pub(crate) async fn lock_and_check(client: &Client, oid: u32) -> Result<TableImage, SyncError> {
    let name: Option<String> = client
        .query_opt("SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1", &[&oid])
        .await?
        .map(|row| row.get(0));
    let Some(name) = name else { return Err(SyncError::Rewritten { table: format!("table {oid}") }) };
    client.batch_execute(&format!("LOCK TABLE {name} IN ACCESS SHARE MODE")).await?;
    let changed = client
        .query_one(
            &format!(
                "{TREE_SQL} SELECT EXISTS (SELECT 1 FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE (c.relkind = 'r' AND c.relfilenode <> coalesce(pg_catalog.pg_relation_filenode(c.oid), 0)) \
                   OR pg_catalog.to_regclass(format('%I.%I', n.nspname, c.relname)) IS DISTINCT FROM c.oid::regclass)"
            ),
            &[&oid],
        )
        .await?
        .get::<_, bool>(0);
    if changed {
        return Err(SyncError::Rewritten { table: name });
    }
    let image = catalog::table(client, oid).await?;
    image.ok_or(SyncError::Rewritten { table: name })
}

/// Splits the heap (of every leaf, for a partitioned table) into page ranges; the last range of each is open.
async fn chunks(client: &Client, image: &TableImage) -> Result<Vec<Chunk>, SyncError> {
    let leaves = if image.kind == 'p' {
        let sql = format!(
            "{TREE_SQL} SELECT n.nspname::text, c.relname::text, pg_catalog.pg_relation_size(c.oid)::int8 / 8192 \
             FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' ORDER BY c.oid"
        );
        let rows = client.query(&sql, &[&image.oid]).await?;
        rows.iter().map(|row| (format!("{}.{}", quote(row.get(0)), quote(row.get(1))), row.get::<_, i64>(2))).collect()
    } else {
        let row = client.query_one("SELECT pg_catalog.pg_relation_size($1::oid)::int8 / 8192", &[&image.oid]).await?;
        vec![(image.quoted(), row.get::<_, i64>(0))]
    };
    let mut chunks = Vec::new();
    for (relation, pages) in leaves {
        let pages = u64::try_from(pages).unwrap_or(0);
        let mut from_page = 0;
        while from_page + CHUNK_PAGES < pages {
            chunks.push(Chunk { relation: relation.clone(), from_page, to_page: Some(from_page + CHUNK_PAGES) });
            from_page += CHUNK_PAGES;
        }
        chunks.push(Chunk { relation, from_page, to_page: None });
    }
    chunks.reverse();
    Ok(chunks)
}

/// Takes chunks from the queue until it is empty.
async fn copy_chunks(
    client: &Client,
    queue: Arc<Mutex<Vec<Chunk>>>,
    shape: &TableShape,
    mut stager: Stager,
    progress: &CopyProgress,
    pace: Arc<Pace>,
) -> Result<(Vec<StagedFile>, DecodeCounts), SyncError> {
    let mut counts = DecodeCounts::default();
    loop {
        let next = queue.lock().pop();
        let Some(chunk) = next else { break };
        counts += copy_chunk(client, &chunk, shape, &mut stager, progress, &pace).await?;
        progress.chunks_done.fetch_add(1, Ordering::Relaxed);
        if failpoint::hit("sync.copy.chunk_done") {
            return Err(SyncError::Protocol("failpoint sync.copy.chunk_done".into()));
        }
    }
    Ok((stager.finish().await?, counts))
}

fn chunk_sql(chunk: &Chunk, shape: &TableShape) -> String {
    let list = copy_select_list(shape.plan.plans());
    let range = match (chunk.from_page, chunk.to_page) {
        (0, None) => String::new(),
        (from, None) => format!(" WHERE ctid >= '({from},0)'::tid"),
        (from, Some(to)) => format!(" WHERE ctid >= '({from},0)'::tid AND ctid < '({to},0)'::tid"),
    };
    format!("COPY (SELECT {list} FROM ONLY {}{range}) TO STDOUT (FORMAT binary)", chunk.relation)
}

async fn copy_chunk(
    client: &Client,
    chunk: &Chunk,
    shape: &TableShape,
    stager: &mut Stager,
    progress: &CopyProgress,
    pace: &Pace,
) -> Result<DecodeCounts, SyncError> {
    let stream = client.copy_out(chunk_sql(chunk, shape).as_str()).await?;
    futures::pin_mut!(stream);
    let mut decoder = CopyDecoder::new(shape.plan.clone());
    let batch_rows = pace.batch_rows();
    while let Some(bytes) = stream.next().await {
        let bytes = bytes?;
        progress.bytes.fetch_add(u64_from(bytes.len()), Ordering::Relaxed);
        decoder.feed(&bytes).map_err(|error| shape.broke(error.problem()))?;
        // Every row comes as a piece of its own.
        if decoder.rows() >= batch_rows || decoder.bytes() >= BATCH_BYTES {
            take(&mut decoder, shape, stager, progress, pace).await?;
        }
    }
    decoder.end().map_err(|error| shape.broke(error.problem()))?;
    take(&mut decoder, shape, stager, progress, pace).await?;
    Ok(sum(decoder.take_counts()))
}

/// Hands the decoded rows to the stager.
async fn take(
    decoder: &mut CopyDecoder,
    shape: &TableShape,
    stager: &mut Stager,
    progress: &CopyProgress,
    pace: &Pace,
) -> Result<(), SyncError> {
    let Some(batch) = decoder.take_batch(1).map_err(|error| shape.broke(error.problem()))? else { return Ok(()) };
    let rows = u64_from(batch.num_rows());
    stager.write(&batch).await?;
    progress.rows.fetch_add(rows, Ordering::Relaxed);
    pace.wait(rows).await;
    Ok(())
}

/// Adds up the counters of all columns.
pub(crate) fn sum(counts: Vec<DecodeCounts>) -> DecodeCounts {
    counts.into_iter().fold(DecodeCounts::default(), |mut total, column| {
        total += column;
        total
    })
}

/// Returns who waits, as soon as somebody has waited for one of `pids` for [`YIELD_AFTER`].
async fn watch(client: &Client, pids: &[i32]) -> Result<String, SyncError> {
    loop {
        tokio::time::sleep(WATCH_EVERY).await;
        for pid in pids {
            if let Some(waiter) = catalog::waiting_for(client, *pid, YIELD_AFTER).await?.first() {
                return Ok(waiter.to_string());
            }
        }
    }
}

/// Holds the copy to a number of rows a second.
#[derive(Debug)]
struct Pace {
    rows_per_second: Option<u64>,
    started: Instant,
    rows: AtomicU64,
}

impl Pace {
    fn new(rows_per_second: Option<u64>) -> Self {
        Self { rows_per_second, started: Instant::now(), rows: AtomicU64::new(0) }
    }

    /// Rows to take before the next pause.
    fn batch_rows(&self) -> usize {
        let paced = self.rows_per_second.map_or(u64::MAX, |limit| limit / PACES_A_SECOND);
        usize_from(paced).clamp(1, BATCH_ROWS)
    }

    async fn wait(&self, rows: u64) {
        let total = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        let Some(limit) = self.rows_per_second.filter(|limit| *limit > 0) else { return };
        let due = Duration::from_millis(total.saturating_mul(1000) / limit);
        tokio::time::sleep_until((self.started + due).into()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::{ConnectSettings, connect_sql};

    #[tokio::test]
    async fn a_snapshot_never_reads_a_table_that_was_emptied_or_renamed_after_it() {
        let server = naru_testkit::PostgresServer::start_default().await;
        for table in ["kept", "emptied", "renamed", "gone"] {
            server.execute(&format!("CREATE TABLE {table} (id int PRIMARY KEY); INSERT INTO {table} VALUES (1)")).await;
        }
        let mut oids = Vec::new();
        for table in ["kept", "emptied", "renamed", "gone"] {
            oids.push(server.value(&format!("SELECT '{table}'::regclass::oid")).await.parse::<u32>().unwrap());
        }
        let client = connect_sql(&ConnectSettings::parse(&server.url()).unwrap()).await.unwrap();
        client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await.unwrap();
        server.execute("TRUNCATE emptied; ALTER TABLE renamed RENAME TO other; DROP TABLE gone").await;
        for (oid, reads) in oids.into_iter().zip([true, false, false, false]) {
            client.batch_execute("SAVEPOINT one").await.unwrap();
            let checked = lock_and_check(&client, oid).await;
            client.batch_execute("ROLLBACK TO SAVEPOINT one").await.unwrap();
            assert_eq!(checked.is_ok(), reads, "{checked:?}");
        }
    }

    #[tokio::test]
    async fn a_limited_copy_takes_as_long_as_its_limit_says() {
        let pace = Pace::new(Some(10_000));
        let before = Instant::now();
        for _ in 0..10 {
            pace.wait(100).await;
        }
        assert!(before.elapsed() >= Duration::from_millis(95));
        assert_eq!(pace.batch_rows(), 2_500);
        assert_eq!(Pace::new(Some(1)).batch_rows(), 1);
        assert_eq!(Pace::new(None).batch_rows(), BATCH_ROWS);
    }
}
