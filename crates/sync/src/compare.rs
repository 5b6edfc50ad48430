//! Is the lake what the source is, at one same commit?
//!
//! Owns: the temporary slot whose snapshot defines the commit, reading both sides, comparing row counts and hashes.
//! Never changes either side.

use std::sync::Arc;

use futures::StreamExt as _;
use naru_base::{Lsn, TableId};
use naru_lake::{RowDigest, live::Cut};
use serde::Serialize;

use crate::{
    catalog,
    copy::Snapshot,
    engine::{Commands, Context, prepare::create_slot},
    error::SyncError,
    image::literal,
    plan::TableShape,
    postgres::{CopyDecoder, ReplicationConnection, connect_sql, copy_select_list},
    preflight::{Verdict, table_verdict},
};

/// Rows decoded at once.
const BATCH_ROWS: usize = 65_536;

/// Outcome for one table.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// Name in SQL.
    pub table: TableId,
    /// Rows at the source.
    pub source_rows: u64,
    /// Rows in the lake.
    pub lake_rows: u64,
    /// Whether counts and hashes agree.
    pub equal: bool,
}

/// Compares live tables at one commit; only `only`, when given.
///
/// # Errors
/// A failing connection, or a command that the engine could not carry out.
pub async fn compare(
    context: &Context,
    commands: &Commands,
    only: Option<&TableId>,
) -> Result<(Lsn, Vec<Comparison>), SyncError> {
    let client = connect_sql(&context.connect).await?;
    let mut replication = ReplicationConnection::connect(&context.connect).await?;
    let name = format!("{}_compare", context.names.slot);
    let mut snapshot = None;
    let cut = {
        let take = async {
            let made = create_slot(&mut replication, &client, &name, true).await?;
            let at = made.consistent_point;
            snapshot = Some(made);
            Ok::<_, SyncError>(at)
        };
        commands.cut_at(take).await.map_err(|error| SyncError::Protocol(error.to_string()))??
    };
    let Some(snapshot) = snapshot else { return Err(SyncError::Protocol("no snapshot to compare with".into())) };
    let compared = tables(context, &snapshot, &cut, only).await;
    replication.close().await;
    Ok((snapshot.consistent_point, compared?))
}

async fn tables(
    context: &Context,
    snapshot: &Snapshot,
    cut: &Arc<Cut>,
    only: Option<&TableId>,
) -> Result<Vec<Comparison>, SyncError> {
    let client = connect_sql(&context.connect).await?;
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
        literal(&snapshot.name)
    );
    client.batch_execute(&begin).await?;
    let facts = catalog::server_facts(&client).await?;
    let mut compared = Vec::new();
    for image in catalog::tables(&client).await?.into_iter().filter(|image| context.wants(image)) {
        let Verdict::Sync(kind, _) = table_verdict(&image, &facts) else { continue };
        let shape = context.shape_of(&image, kind, &[])?;
        if only.is_some_and(|only| *only != shape.id) {
            continue;
        }
        let Some(view) = cut.tables.get(&shape.id) else {
            compared.push(Comparison { table: shape.id, source_rows: 0, lake_rows: 0, equal: false });
            continue;
        };
        let source = source_digest(&client, &shape, &image.quoted(), image.kind == 'p').await?;
        let names: Vec<String> = shape.columns.iter().map(|column| column.name.clone()).collect();
        let lake = context.lake.digest(view, &names).await?;
        compared.push(Comparison {
            table: shape.id,
            source_rows: source.rows(),
            lake_rows: lake.rows(),
            equal: source == lake,
        });
    }
    Ok(compared)
}

async fn source_digest(
    client: &tokio_postgres::Client,
    shape: &TableShape,
    table: &str,
    partitioned: bool,
) -> Result<RowDigest, SyncError> {
    let only = if partitioned { "" } else { "ONLY " };
    let sql =
        format!("COPY (SELECT {} FROM {only}{table}) TO STDOUT (FORMAT binary)", copy_select_list(shape.plan.plans()));
    let stream = client.copy_out(sql.as_str()).await?;
    futures::pin_mut!(stream);
    let mut decoder = CopyDecoder::new(shape.plan.clone());
    let mut digest = RowDigest::default();
    while let Some(bytes) = stream.next().await {
        decoder.feed(&bytes?)?;
        while let Some(batch) = decoder.take_batch(BATCH_ROWS)? {
            digest.add(&batch)?;
        }
    }
    decoder.end()?;
    while let Some(batch) = decoder.take_batch(1)? {
        digest.add(&batch)?;
    }
    Ok(digest)
}
