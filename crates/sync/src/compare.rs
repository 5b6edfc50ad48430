//! Is the lake what the source is, at one same commit?
//!
//! Owns: the temporary slot whose snapshot defines the commit, reading both sides, comparing row counts and hashes.
//! Never changes either side.

use std::{collections::BTreeSet, sync::Arc};

use futures::StreamExt as _;
use naru_base::{Lsn, TableId};
use naru_lake::{Column, RowDigest, TableView};
use serde::Serialize;

use crate::{
    catalog,
    copy::{Snapshot, lock_and_check},
    engine::{Commands, Context, CutShown, prepare::create_slot},
    error::SyncError,
    image::{TableImage, literal},
    plan::TableShape,
    postgres::{CopyDecoder, ReplicationConnection, SqlClient, connect_sql, copy_select_list},
    preflight::{TableKind, Verdict},
    state::TableState,
};

/// Rows decoded at once.
const BATCH_ROWS: usize = 65_536;

/// Longest wait for a table's lock.
const LOCK_TIMEOUT: &str = "5s";

/// Outcome for one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Name in SQL.
    pub table: TableId,
    /// Where it stood, as [`TableState::as_str`]; only live tables are compared.
    pub state: &'static str,
    /// Rows at the source; 0 where it was not compared.
    pub source_rows: u64,
    /// Rows in the lake; 0 where it was not compared.
    pub lake_rows: u64,
    /// Whether rows, hashes and columns agree; `None` where it was not compared.
    pub equal: Option<bool>,
    /// Why it was not compared, or what differs besides rows.
    pub note: Option<String>,
}

impl Comparison {
    fn not_compared(table: TableId, state: TableState, note: String) -> Self {
        Self { table, state: state.as_str(), source_rows: 0, lake_rows: 0, equal: None, note: Some(note) }
    }
}

/// Compares live tables at one commit; only `only`, when given. Tables that are not live are listed as what they are.
///
/// # Errors
/// A failing connection, or a command that the engine could not carry out. What concerns one table stands in its note.
pub async fn compare(
    context: &Context,
    commands: &Commands,
    only: Option<&TableId>,
) -> Result<(Lsn, Vec<Comparison>), SyncError> {
    let client = connect_sql(&context.connect()).await?;
    let mut replication = ReplicationConnection::connect(&context.connect()).await?;
    let name = format!("{}_compare", context.names.slot);
    let mut snapshot = None;
    let shown = {
        let take = async {
            let made = create_slot(&mut replication, &client, &name, true).await?;
            let at = made.consistent_point;
            snapshot = Some(made);
            Ok::<_, SyncError>(at)
        };
        commands.cut_at(take).await.map_err(|error| SyncError::Protocol(error.to_string()))??
    };
    let Some(snapshot) = snapshot else { return Err(SyncError::Protocol("no snapshot to compare with".into())) };
    let compared = tables(context, &snapshot, &shown, only).await;
    replication.close().await;
    Ok((snapshot.consistent_point, compared?))
}

async fn tables(
    context: &Context,
    snapshot: &Snapshot,
    shown: &CutShown,
    only: Option<&TableId>,
) -> Result<Vec<Comparison>, SyncError> {
    let client = connect_sql(&context.connect()).await?;
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}; \
         SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL statement_timeout = 0; \
         SET LOCAL idle_in_transaction_session_timeout = 0",
        literal(&snapshot.name)
    );
    client.batch_execute(&begin).await?;
    let wanted = |id: &TableId| only.is_none_or(|only| only == id);
    let mut compared = Vec::new();
    let mut seen = BTreeSet::new();
    for image in catalog::tables(&client).await?.into_iter().filter(|image| context.wants(image)) {
        let id = context.source.table_id(&image.schema, &image.name);
        let state = shown.states.get(&id).copied();
        if !wanted(&id) || state == Some(TableState::NotSynced) || !seen.insert(id.clone()) {
            continue;
        }
        let view = shown.cut.tables.get(&id);
        let (Some(TableState::Live), Some(view)) = (state, view) else {
            let note = match state {
                Some(state) => format!("it is {state}, not live"),
                None => "naru has not seen it yet".into(),
            };
            compared.push(Comparison::not_compared(id, state.unwrap_or(TableState::Discovered), note));
            continue;
        };
        client.batch_execute("SAVEPOINT naru_compare").await?;
        compared.push(match one(context, &client, &image, view).await {
            Ok(comparison) => comparison,
            Err(error) => {
                // A connection that is gone says so here.
                client.batch_execute("ROLLBACK TO SAVEPOINT naru_compare").await?;
                Comparison::not_compared(id, TableState::Live, why_not(&error))
            }
        });
    }
    for (id, state) in shown.states.iter().filter(|(id, _)| wanted(id) && !seen.contains(id)) {
        if *state != TableState::NotSynced {
            compared.push(Comparison::not_compared(id.clone(), *state, "the source does not have it".into()));
        }
    }
    Ok(compared)
}

fn why_not(error: &SyncError) -> String {
    match error {
        SyncError::Rewritten { .. } => {
            "it was emptied, rewritten or renamed while it was compared; compare it again".into()
        }
        error => {
            let problem = error.problem();
            problem.detail.map_or(problem.summary.clone(), |detail| format!("{}: {detail}", problem.summary))
        }
    }
}

/// Compares one live table. The definition at the snapshot may be ahead of what the stream has told: without the event
/// trigger a new column is known when its first row comes.
async fn one(
    context: &Context,
    client: &SqlClient,
    image: &TableImage,
    view: &Arc<TableView>,
) -> Result<Comparison, SyncError> {
    let table = context.source.table_id(&image.schema, &image.name);
    let not_compared = |note: &str| Ok(Comparison::not_compared(table.clone(), TableState::Live, note.to_owned()));
    let Verdict::Sync(kind, _) = context.verdict_to_follow(image) else {
        return not_compared("it cannot be synced any more as it stands at the source");
    };
    if image.row_security {
        return not_compared("row security hides rows of it from naru's role");
    }
    let image = lock_and_check(client, image.oid).await?;
    let shape = context.shape_of(&image, kind, &[])?;
    let differing = differing_columns(&shape.columns, &view.columns);
    let source = source_digest(client, &shape, &image.quoted(), image.kind == 'p').await?;
    if let Some(note) = differing {
        let (source_rows, lake_rows) = (source.rows(), view.live_rows());
        let state = TableState::Live.as_str();
        return Ok(Comparison { table, state, source_rows, lake_rows, equal: Some(false), note: Some(note) });
    }
    let names: Vec<String> = shape.columns.iter().map(|column| column.name.clone()).collect();
    let lake = context.lake.digest(view, &names).await?;
    let equal = source == lake;
    let note = (!equal && kind == TableKind::AppendOnly).then(|| {
        format!(
            "it has no key, so it is append-only: updates and deletes at the source since its copy are not seen, which \
             may be all that differs; `naru sync resync {table}` copies it again"
        )
    });
    let (source_rows, lake_rows) = (source.rows(), lake.rows());
    Ok(Comparison { table, state: TableState::Live.as_str(), source_rows, lake_rows, equal: Some(equal), note })
}

/// What the columns of one side have that those of the other do not, in words. Dropped columns are the lake's own.
fn differing_columns(source: &[Column], lake: &[Column]) -> Option<String> {
    for column in source {
        match lake.iter().find(|other| other.name == column.name) {
            None => return Some(format!("column \"{}\" is at the source and not in the lake", column.name)),
            Some(other) if other.dropped => {
                return Some(format!("column \"{}\" is at the source and dropped in the lake", column.name));
            }
            Some(other) if other.data_type != column.data_type => {
                return Some(format!("column \"{}\" has another type in the lake than at the source", column.name));
            }
            Some(_) => {}
        }
    }
    let gone = lake.iter().find(|column| !column.dropped && !source.iter().any(|other| other.name == column.name))?;
    Some(format!("column \"{}\" is in the lake and not at the source", gone.name))
}

async fn source_digest(
    client: &SqlClient,
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

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    #[test]
    fn a_column_of_one_side_is_named_and_a_dropped_one_is_no_difference() {
        let id = Column::new("id", DataType::Int64);
        let name = Column::new("name", DataType::Utf8);
        let gone = Column { dropped: true, ..Column::new("gone", DataType::Utf8) };
        let both = [id.clone(), name.clone()];
        assert_eq!(differing_columns(&both, &[id.clone(), name.clone(), gone]), None);
        assert!(
            differing_columns(&both, std::slice::from_ref(&id)).is_some_and(|note| note.contains("not in the lake"))
        );
        assert!(
            differing_columns(std::slice::from_ref(&id), &both).is_some_and(|note| note.contains("not at the source"))
        );
        let retyped = [id, Column::new("name", DataType::Int64)];
        assert!(differing_columns(&both, &retyped).is_some_and(|note| note.contains("another type")));
    }
}
