//! What columns a topic's table has, and how they may change.
//!
//! Owns: [`Shape`] (what rows are checked against), the plan from a file and a table's columns to the table's next
//! columns, and the revisions of the file that the state database keeps.
//! Never reads a row. Read next: [`plan`], [`sightings`] for fields that become columns.

mod plan;
mod sightings;
mod types;

use std::sync::Arc;

use naru_base::{Problem, time::now_us};
use naru_lake::{
    Column,
    rows::{RowColumn, RowShape, Unknown},
};
use naru_project::{Topic, topic};
use naru_store::{Store, topics as stored};
use serde::{Deserialize, Serialize};

use crate::{error::TopicError, log::TopicNo};

pub(crate) use plan::{EXTRA, OFFSET, TIME, evolved, table_columns};
pub(crate) use sightings::Sightings;

/// What the rows of a topic are checked against, at one revision.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Counts the changes of the file's columns, from 1.
    pub(crate) revision: u32,
    /// What a row may hold.
    pub(crate) rows: RowShape,
}

impl Shape {
    /// The shape of a topic whose table has these columns; none before it is open.
    pub(crate) fn of(topic: &Topic, columns_now: &[Column], revision: u32) -> Result<Arc<Self>, TopicError> {
        let unknown = match topic.unknown {
            topic::Unknown::Extra => Unknown::Extra,
            topic::Unknown::Reject => Unknown::Reject,
            topic::Unknown::Evolve => Unknown::Evolve,
        };
        let columns = topic.columns.iter().map(|one| RowColumn::new(&one.name, &one.type_name, one.required));
        let declared = |column: &Column| topic.columns.iter().any(|one| one.name.eq_ignore_ascii_case(&column.name));
        let evolved = columns_now.iter().filter(|column| plan::is_evolved(column) && !declared(column));
        let evolved = evolved.map(|column| RowColumn::new(&column.name, &types::sql_type(column), false));
        let rows = columns.chain(evolved).collect::<Result<Vec<_>, _>>();
        let rows = rows.and_then(|rows| RowShape::new(rows, unknown));
        let rows = rows.map_err(|error| TopicError::Columns(Box::new(error.problem().at(topic.place.clone()))))?;
        Ok(Arc::new(Self { revision, rows }))
    }
}

/// One declared column as a revision keeps it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Declared {
    name: String,
    #[serde(rename = "type")]
    type_name: String,
    required: bool,
}

/// Notes the file's columns as the newest revision where they changed; the revision.
pub(crate) async fn note_revision(store: &Store, topic: &Topic, number: TopicNo) -> Result<u32, TopicError> {
    let declared: Vec<Declared> = topic
        .columns
        .iter()
        .map(|column| Declared {
            name: column.name.clone(),
            type_name: column.type_name.clone(),
            required: column.required,
        })
        .collect();
    let text = serde_json::to_string(&declared).unwrap_or_default();
    Ok(store.write(move |db| stored::note_revision(db, number.0, &text, now_us())).await?)
}

/// What is wrong with a topic's columns beside those of its earlier revisions, oldest first: a column has the type that
/// it had first, for the table that was made with it is never rewritten.
pub fn refused<'a>(topic: &Topic, revisions: impl Iterator<Item = &'a str>) -> Vec<Problem> {
    let mut first: Vec<Declared> = Vec::new();
    for revision in revisions {
        let declared: Vec<Declared> = serde_json::from_str(revision).unwrap_or_default();
        let new = |column: &Declared| !first.iter().any(|known| known.name.eq_ignore_ascii_case(&column.name));
        let new: Vec<Declared> = declared.into_iter().filter(new).collect();
        first.extend(new);
    }
    let changed = topic.columns.iter().filter_map(|column| {
        let was = first.iter().find(|was| was.name.eq_ignore_ascii_case(&column.name))?;
        (was.type_name != column.type_name).then(|| plan::type_changed(topic, column, &was.type_name))
    });
    changed.collect()
}
