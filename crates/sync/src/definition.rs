//! What to do when a table's definition changes: the pure decision.
//!
//! Owns: [`DefinitionEvent`] (what the event trigger writes), [`Action`] and [`decide`].
//! Never applies anything. Read next: `engine::definitions` carries the actions out.

use serde::Deserialize;

use crate::{
    image::{ColumnImage, Difference, REWRITTEN, TableImage},
    postgres::ColumnPlan,
};

/// Content of a logical message with naru's prefix.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum DefinitionEvent {
    /// A table was created, altered or commented on; this is how it is now.
    Table {
        /// The statement's tag, for example `ALTER TABLE`.
        tag: String,
        /// The table from here on.
        image: Box<TableImage>,
    },
    /// A table was dropped.
    Drop {
        /// Its oid.
        oid: u32,
    },
    /// A table's rows are being rewritten by ALTER TABLE; their new values are in no change message.
    Rewrite {
        /// Its oid.
        oid: u32,
    },
}

impl DefinitionEvent {
    /// The table it is about.
    pub fn oid(&self) -> u32 {
        match self {
            Self::Table { image, .. } => image.oid,
            Self::Drop { oid } | Self::Rewrite { oid } => *oid,
        }
    }
}

/// What the engine does about a changed definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing that concerns the rows; remember the newer image.
    Remember,
    /// Columns came or went; the rows stay.
    Evolve {
        /// New columns; old rows show their `missing` value.
        added: Vec<ColumnImage>,
        /// Names of columns that went; they stay in the lake, null from here on.
        dropped: Vec<String>,
    },
    /// Copy the table again while the old rows stay readable.
    Rebuild {
        /// Why, for people.
        reason: String,
    },
    /// The table has another name: the old one is dropped, the new one begins with a copy.
    Move,
}

/// Decides what a newer image of a known table means.
///
/// `rewritten` is whether the server announced a rewrite in the same transaction.
/// `announced` is whether the image came with an announcement of the event trigger, which would have told of a rewrite;
/// otherwise a new storage file together with a new definition of a column means one.
pub fn decide(older: &TableImage, newer: &TableImage, rewritten: bool, announced: bool) -> Action {
    let difference = Difference::between(older, newer);
    if difference.moved {
        return Action::Move;
    }
    if rewritten || (!announced && difference.rewritten) {
        return Action::Rebuild { reason: REWRITTEN.into() };
    }
    if let Some(reason) = difference.leaves {
        return Action::Rebuild { reason };
    }
    if let Some((before, after)) = difference.renamed.first() {
        return Action::Rebuild { reason: format!("column \"{before}\" was renamed to \"{after}\"") };
    }
    if difference.key_changed {
        return Action::Rebuild { reason: "its key changed".into() };
    }
    let retyped = difference.retyped.iter().find(|name| match (older.column_named(name), newer.column_named(name)) {
        (Some(before), Some(after)) => !same_lake_type(before, after),
        _ => true,
    });
    if let Some(name) = retyped {
        return Action::Rebuild { reason: format!("column \"{name}\" changed its type") };
    }
    let reused =
        difference.added.iter().find(|added| difference.dropped.iter().any(|dropped| dropped.name == added.name));
    if let Some(column) = reused {
        return Action::Rebuild { reason: format!("column \"{}\" was dropped and added again", column.name) };
    }
    if !announced && let Some(column) = after_another(older, &difference.added) {
        return Action::Rebuild { reason: format!("column \"{}\" came after one that came and went", column.name) };
    }
    if difference.added.is_empty() && difference.dropped.is_empty() {
        return Action::Remember;
    }
    Action::Evolve { added: difference.added, dropped: difference.dropped.into_iter().map(|c| c.name).collect() }
}

/// The first added column that is not the next one: another was there in between, and rows may have been written under
/// it that a relation message of the same names and types announces.
fn after_another<'a>(older: &TableImage, added: &'a [ColumnImage]) -> Option<&'a ColumnImage> {
    let last = older.columns.iter().map(|column| column.attnum).max().unwrap_or(0);
    added.iter().zip(1..).find(|(column, at)| column.attnum != last.saturating_add(*at)).map(|(column, _)| column)
}

/// Whether two definitions of a column give the same lake column.
fn same_lake_type(before: &ColumnImage, after: &ColumnImage) -> bool {
    let (before, after) = (ColumnPlan::new(before.to_source()), ColumnPlan::new(after.to_source()));
    before.column.data_type == after.column.data_type && before.column.naru_type == after.column.naru_type
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{
        LeafImage,
        tests::{column, leaf, table},
    };

    const INT8: u32 = 20;
    const INT4: u32 = 23;
    const TEXT: u32 = 25;

    fn base() -> TableImage {
        table(vec![column(1, "id", INT8), column(2, "name", TEXT)])
    }

    #[test]
    fn an_added_column_evolves_and_a_rewriting_one_rebuilds() {
        let mut newer = base();
        newer.columns.push(column(3, "email", TEXT));
        assert!(matches!(decide(&base(), &newer, false, true), Action::Evolve { .. }));
        assert!(matches!(decide(&base(), &newer, true, true), Action::Rebuild { .. }));
    }

    #[test]
    fn renames_retypes_and_key_changes_rebuild() {
        let mut renamed = base();
        renamed.columns[1].name = "title".into();
        let mut retyped = base();
        retyped.columns[1] = column(2, "name", INT8);
        let mut keyed = base();
        keyed.primary_key = vec![1, 2];
        for newer in [renamed, retyped, keyed] {
            assert!(matches!(decide(&base(), &newer, false, true), Action::Rebuild { .. }));
        }
    }

    #[test]
    fn widening_an_integer_keeps_the_rows_unless_they_were_rewritten() {
        let mut older = base();
        older.columns[1] = column(2, "n", INT4);
        let mut newer = base();
        newer.columns[1] = column(2, "n", INT8);
        assert_eq!(decide(&older, &newer, false, true), Action::Remember);
        assert!(matches!(decide(&older, &newer, true, true), Action::Rebuild { .. }));
    }

    #[test]
    fn a_new_file_with_a_new_definition_is_a_rewrite_unless_the_trigger_would_have_said_so() {
        let mut emptied = base();
        emptied.file = 99;
        assert_eq!(decide(&base(), &emptied, false, false), Action::Remember);
        let mut rewritten = emptied;
        rewritten.definition = 99;
        assert_eq!(decide(&base(), &rewritten, false, true), Action::Remember);
        assert!(matches!(decide(&base(), &rewritten, false, false), Action::Rebuild { .. }));
    }

    #[test]
    fn rows_that_came_or_went_with_a_partition_rebuild() {
        let older = TableImage { kind: 'p', file: 0, ..base() };
        let attached = LeafImage { born: false, ..leaf() };
        let newer = TableImage { leaves: vec![attached.clone()], ..older.clone() };
        assert!(matches!(decide(&older, &newer, false, true), Action::Rebuild { .. }));
        let made = TableImage { leaves: vec![LeafImage { born: true, ..attached }], ..older.clone() };
        assert_eq!(decide(&older, &made, false, true), Action::Remember);
    }

    #[test]
    fn a_name_that_was_dropped_and_added_again_is_never_read_from_old_files() {
        let mut newer = base();
        newer.columns[1] = column(3, "name", TEXT);
        assert!(matches!(decide(&base(), &newer, false, true), Action::Rebuild { .. }));
    }

    #[test]
    fn a_column_that_came_after_one_that_went_unnoticed_rebuilds() {
        let mut newer = base();
        newer.columns.push(column(4, "email", TEXT));
        assert!(matches!(decide(&base(), &newer, false, false), Action::Rebuild { .. }));
        assert!(matches!(decide(&base(), &newer, false, true), Action::Evolve { .. }));
        newer.columns[2] = column(3, "email", TEXT);
        assert!(matches!(decide(&base(), &newer, false, false), Action::Evolve { .. }));
    }

    #[test]
    fn messages_of_the_event_trigger_parse() {
        let event: DefinitionEvent = serde_json::from_str(r#"{"event": "drop", "oid": 16391}"#).unwrap();
        assert_eq!(event, DefinitionEvent::Drop { oid: 16391 });
        let image = serde_json::to_value(base()).unwrap();
        let json = serde_json::json!({"event": "table", "tag": "ALTER TABLE", "image": image});
        assert!(matches!(serde_json::from_value(json).unwrap(), DefinitionEvent::Table { .. }));
    }
}
