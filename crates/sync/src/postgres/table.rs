//! The lake table that changes and copies are decoded for.
//!
//! Owns: [`TablePlan`], which says for each lake column what fills it, and the matching of a relation message's columns
//! to it by name. Never decides about schema changes: a relation that does not match is reported, not followed.

use std::{fmt, sync::Arc};

use arrow::datatypes::{Field, Schema, SchemaRef};
use naru_lake::Column;

use super::{cells::CellBuilder, pgoutput::Relation, types::ColumnPlan};

/// One column of the lake table.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetColumn {
    /// The column as the lake has it, with its stored name.
    pub column: Column,
    /// What fills it; `None` for a column the source has dropped, which is null from then on.
    pub plan: Option<ColumnPlan>,
}

/// A lake table and what fills its columns, in the table's order.
#[derive(Debug, Clone, PartialEq)]
pub struct TablePlan {
    columns: Vec<TargetColumn>,
    key: Vec<usize>,
    is_key: Vec<bool>,
    schema: SchemaRef,
}

/// A relation message that does not fit the plan: the source's schema has moved on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationMismatch {
    /// The column at the source.
    pub column: String,
    /// The type's oid and modifier in the plan.
    pub planned: (u32, i32),
    /// The type's oid and modifier in the message.
    pub got: (u32, i32),
}

impl fmt::Display for RelationMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "column \"{}\" has type {} (modifier {}) at the source and {} (modifier {}) in the plan",
            self.column, self.got.0, self.got.1, self.planned.0, self.planned.1
        )
    }
}

impl std::error::Error for RelationMismatch {}

impl TablePlan {
    /// Joins the columns; `key` holds indexes into `columns`, and is empty for a table without a key.
    pub fn new(columns: Vec<TargetColumn>, key: Vec<usize>) -> Self {
        let fields: Vec<Field> = columns
            .iter()
            .map(|target| Field::new(&target.column.stored, target.column.data_type.clone(), true))
            .collect();
        let is_key = (0..columns.len()).map(|index| key.contains(&index)).collect();
        Self { columns, key, is_key, schema: Arc::new(Schema::new(fields)) }
    }

    /// The columns in the table's order.
    pub fn columns(&self) -> &[TargetColumn] {
        &self.columns
    }

    /// Indexes of the key's columns.
    pub fn key(&self) -> &[usize] {
        &self.key
    }

    /// The schema of every batch: stored names, all nullable.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The plans of the columns that the source has, in the table's order; `COPY` selects exactly these.
    pub fn plans(&self) -> impl Iterator<Item = &ColumnPlan> {
        self.columns.iter().filter_map(|target| target.plan.as_ref())
    }

    /// Whether every column can be decoded from its binary form.
    pub fn has_binary_decoder(&self) -> bool {
        self.plans().all(ColumnPlan::has_binary_decoder)
    }

    pub(crate) fn is_key(&self, target: usize) -> bool {
        self.is_key.get(target).copied().unwrap_or(false)
    }

    /// One empty builder per column that the source has.
    pub(crate) fn builders(&self) -> Vec<Option<CellBuilder>> {
        self.columns
            .iter()
            .map(|target| target.plan.as_ref().map(|plan| CellBuilder::new(plan, &target.column.data_type)))
            .collect()
    }

    /// Finds for each column of a relation the lake column it fills, by name.
    ///
    /// Columns that the plan does not have (excluded, or added since) give `None`.
    ///
    /// # Errors
    /// A planned column whose type differs in the relation.
    pub(crate) fn match_relation(&self, relation: &Relation) -> Result<Vec<Option<usize>>, RelationMismatch> {
        relation
            .columns
            .iter()
            .map(|column| {
                let found = self.columns.iter().enumerate().find_map(|(index, target)| {
                    target.plan.as_ref().filter(|plan| plan.source.name == column.name).map(|plan| (index, plan))
                });
                let Some((index, plan)) = found else { return Ok(None) };
                let planned = (plan.source.type_source.oid, plan.source.type_source.typmod);
                let got = (column.type_oid, column.typmod);
                let same = planned.0 == got.0 && (planned.1 == got.1 || !plan.depends_on_typmod());
                if same { Ok(Some(index)) } else { Err(RelationMismatch { column: column.name.clone(), planned, got }) }
            })
            .collect()
    }
}
