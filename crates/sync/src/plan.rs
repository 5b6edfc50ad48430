//! A source table's shape in the lake: columns, key, decoders.
//!
//! Owns: [`TableShape`]: which source columns are synced, what they become, which make the key, and the columns that
//! stay although the source dropped them. Pure. Never connects. Read next: `postgres::types` for single columns.

use std::sync::Arc;

use arrow::datatypes::DataType;
use naru_base::{Problem, TableId};
use naru_lake::Column;

use crate::{
    error::SyncError,
    image::{ColumnImage, TableImage},
    postgres::{ColumnPlan, TablePlan, TargetColumn},
    preflight::TableKind,
};

/// How one source table stands in the lake.
#[derive(Debug, Clone)]
pub struct TableShape {
    /// Name in SQL.
    pub id: TableId,
    /// `schema.name` at the source.
    pub source_table: String,
    /// Keyed or append-only.
    pub kind: TableKind,
    /// Lake columns: the synced ones in the source's order, then dropped ones.
    pub columns: Vec<Column>,
    /// Names of the key columns; empty for append-only tables.
    pub key: Vec<String>,
    /// Decoders for the synced columns.
    pub plan: Arc<TablePlan>,
}

impl TableShape {
    /// Shapes a table. `excluded` says which columns the source file excludes; `before` are the lake's present columns,
    /// whose dropped ones stay.
    ///
    /// # Errors
    /// [`SyncError::Table`] when a key column is excluded or generated, or nothing is left.
    pub fn new(
        id: TableId,
        image: &TableImage,
        kind: TableKind,
        excluded: impl Fn(&str) -> bool,
        before: &[Column],
    ) -> Result<Self, SyncError> {
        let wanted = |column: &&ColumnImage| column.generated.is_empty() && !excluded(&column.name);
        let plans: Vec<ColumnPlan> =
            image.columns.iter().filter(wanted).map(|column| ColumnPlan::new(column.to_source())).collect();
        let source_table = image.full_name();
        let broke = |summary: String, hint: &str| SyncError::Table {
            table: source_table.clone(),
            problem: Box::new(Problem::new("sync.table.shape", summary).hint(hint)),
        };
        if plans.is_empty() {
            return Err(broke(format!("table {source_table} has no column to sync"), "Include at least one column."));
        }
        let mut key = Vec::new();
        if kind == TableKind::Keyed {
            for attnum in image.key() {
                let name = image.column(*attnum).map(|c| c.name.clone()).unwrap_or_default();
                if !plans.iter().any(|plan| plan.column.name == name) {
                    return Err(broke(
                        format!("key column \"{name}\" of {source_table} is excluded or generated"),
                        "Include the key's columns; without them rows cannot be told apart.",
                    ));
                }
                key.push(name);
            }
        }
        let mut columns: Vec<Column> = plans.iter().map(|plan| plan.column.clone()).collect();
        for column in &mut columns {
            // A fill stays until a rewrite has put it into the files.
            if let Some(old) = before.iter().find(|old| old.name == column.name && old.data_type == column.data_type) {
                column.fill.clone_from(&old.fill);
                column.stored.clone_from(&old.stored);
            }
        }
        for old in before.iter().filter(|old| !columns.iter().any(|c| c.name == old.name)).cloned().collect::<Vec<_>>()
        {
            columns.push(Column { dropped: true, nullable: true, fill: None, ..old });
        }
        let positions = key.iter().filter_map(|name| columns.iter().position(|c| c.name == *name)).collect();
        let targets = columns
            .iter()
            .enumerate()
            .map(|(at, column)| TargetColumn {
                // Batches carry true names; the lake escapes what Delta cannot hold.
                column: Column { stored: column.name.clone(), ..column.clone() },
                plan: plans.get(at).cloned(),
            })
            .collect();
        let plan = Arc::new(TablePlan::new(targets, positions));
        Ok(Self { id, source_table, kind, columns, key, plan })
    }

    /// Whether every synced column can be read in binary.
    pub fn binary(&self) -> bool {
        self.plan.has_binary_decoder()
    }

    /// Wraps a reason for which this table alone cannot go on.
    pub fn broke(&self, problem: Problem) -> SyncError {
        SyncError::Table { table: self.source_table.clone(), problem: Box::new(problem) }
    }
}

/// The value that old rows show for an added column, as JSON in the form `Column::fill` takes.
pub fn fill_value(column: &ColumnImage, data_type: &DataType) -> Option<serde_json::Value> {
    let text = column.missing.as_deref()?;
    Some(match data_type {
        DataType::Boolean => serde_json::Value::Bool(text == "t" || text == "true"),
        DataType::Int64 => serde_json::Value::from(text.parse::<i64>().ok()?),
        DataType::Float32 | DataType::Float64 => serde_json::Value::from(text.parse::<f64>().ok()?),
        _ => serde_json::Value::from(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::{column, table};

    #[test]
    fn excluded_and_generated_columns_are_left_out_and_dropped_ones_stay() {
        let mut image = table(vec![column(1, "id", 20), column(2, "secret", 25), column(3, "twice", 20)]);
        image.columns[2].generated = "s".into();
        let before = [Column::new("id", DataType::Int64), Column::new("gone", DataType::Utf8)];
        let shape =
            TableShape::new(TableId::new("shop", "orders"), &image, TableKind::Keyed, |c| c == "secret", &before)
                .unwrap();
        let names: Vec<_> = shape.columns.iter().map(|c| (c.name.as_str(), c.dropped)).collect();
        assert_eq!(names, [("id", false), ("gone", true)]);
        assert_eq!(shape.key, ["id"]);
    }

    #[test]
    fn excluding_a_key_column_stops_that_table_with_a_remedy() {
        let image = table(vec![column(1, "id", 20), column(2, "name", 25)]);
        let shape = TableShape::new(TableId::new("shop", "orders"), &image, TableKind::Keyed, |c| c == "id", &[]);
        assert!(matches!(shape, Err(SyncError::Table { .. })));
    }
}
