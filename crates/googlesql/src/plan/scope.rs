//! Names in scope: relations, their columns, and what a dotted path means.

use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::{
    common::Column as PlanColumn,
    logical_expr::{Expr, LogicalPlan},
    scalar::ScalarValue,
};

use crate::{
    error::{Result, SqlError},
    types::SqlType,
};

/// A column of a plan: the name people use, the name in the plan, the type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// Empty if it has none.
    pub(super) name: String,
    pub(super) id: String,
    pub(super) ty: SqlType,
}

/// A planned query.
#[derive(Debug, Clone)]
pub(super) struct Rel {
    pub(super) plan: LogicalPlan,
    pub(super) columns: Vec<Column>,
}

/// How an expression was written, where that decides what it may become.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Lit {
    /// Not a literal.
    No,
    /// NULL without a type.
    Null,
    /// An integer.
    Int,
    /// A number with a point or an exponent, as written.
    Float(String),
    /// A string.
    Text,
    /// `[]`.
    EmptyArray,
    /// A STRUCT put together here: its fields, which coerce one by one.
    Row(Vec<Typed>),
}

/// An expression with its type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Typed {
    pub(super) expr: Expr,
    pub(super) ty: SqlType,
    pub(super) lit: Lit,
}

impl Typed {
    pub(super) fn new(expr: Expr, ty: SqlType) -> Self {
        Self { expr, ty, lit: Lit::No }
    }

    pub(super) fn literal(value: ScalarValue, ty: SqlType) -> Self {
        Self::new(Expr::Literal(value, None), ty)
    }

    pub(super) fn text(value: &str) -> Self {
        Self { lit: Lit::Text, ..Self::literal(ScalarValue::Utf8(Some(value.to_owned())), SqlType::String) }
    }

    pub(super) fn int(value: i64) -> Self {
        Self { lit: Lit::Int, ..Self::literal(ScalarValue::Int64(Some(value)), SqlType::Int64) }
    }

    pub(super) fn bool(value: bool) -> Self {
        Self::literal(ScalarValue::Boolean(Some(value)), SqlType::Bool)
    }

    /// NULL of a type.
    pub(super) fn null(ty: SqlType) -> Result<Self> {
        Ok(Self::literal(ScalarValue::try_from(&ty.arrow())?, ty))
    }

    /// The value of an integer literal or parameter.
    pub(super) fn as_int(&self) -> Option<i64> {
        match &self.expr {
            Expr::Literal(ScalarValue::Int64(Some(value)), _) => Some(*value),
            _ => None,
        }
    }
}

/// Something in FROM.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) alias: Option<String>,
    pub(super) columns: Vec<Column>,
    /// How many of the leading entries of `columns`, by position, are hidden because a USING merged them.
    pub(super) merged: Vec<bool>,
    /// Whether its rows are values, not sets of columns (UNNEST): `columns` has one entry, the value.
    pub(super) value: bool,
    /// Columns that `*` leaves out (the offset of UNNEST is not among them).
    pub(super) pseudo: bool,
}

impl Relation {
    pub(super) fn new(alias: Option<String>, columns: Vec<Column>) -> Self {
        let merged = vec![false; columns.len()];
        Self { alias, columns, merged, value: false, pseudo: false }
    }
}

/// All that FROM made visible.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) relations: Vec<Relation>,
}

/// What a name was found to be.
pub(super) enum Found {
    /// A column.
    Column(Column),
    /// A field of a value.
    Field(Column, usize),
    /// A relation as a whole.
    Row(Relation),
}

impl Scope {
    /// Finds what the first word of a path means here; `None` if nothing.
    pub(super) fn find(&self, name: &str) -> Result<Option<Found>> {
        let mut found: Vec<Found> = Vec::new();
        let mut rows: Vec<Found> = Vec::new();
        for relation in &self.relations {
            if relation.alias.as_deref().is_some_and(|alias| alias.eq_ignore_ascii_case(name)) {
                match relation.columns.first().filter(|_| relation.value) {
                    Some(value) => rows.push(Found::Column(value.clone())),
                    None => rows.push(Found::Row(relation.clone())),
                }
            }
            for (column, merged) in relation.columns.iter().zip(&relation.merged) {
                match (&column.ty, relation.value) {
                    (SqlType::Struct(fields), true) => {
                        for (at, (field, _)) in fields.iter().enumerate() {
                            if field.eq_ignore_ascii_case(name) {
                                found.push(Found::Field(column.clone(), at));
                            }
                        }
                    }
                    (_, true) => {}
                    _ if !merged && column.name.eq_ignore_ascii_case(name) => found.push(Found::Column(column.clone())),
                    _ => {}
                }
            }
        }
        if found.len() + rows.len() > 1 {
            return Err(SqlError::name(format!("name \"{name}\" is ambiguous"))
                .hint("write the table's alias before it, or give it another alias"));
        }
        Ok(found.pop().or(rows.pop()))
    }

    /// Finds a relation by alias.
    pub(super) fn relation(&self, alias: &str) -> Option<&Relation> {
        self.relations
            .iter()
            .find(|relation| relation.alias.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(alias)))
    }

    /// Every name, for "did you mean".
    pub(super) fn names(&self) -> Vec<String> {
        self.relations
            .iter()
            .flat_map(|relation| {
                relation.columns.iter().map(|column| column.name.clone()).chain(relation.alias.clone())
            })
            .filter(|name| !name.is_empty())
            .collect()
    }
}

/// A reference to a column of a plan.
pub(super) fn column_expr(id: &str) -> Expr {
    Expr::Column(PlanColumn::new_unqualified(id))
}

/// A reference to a column of the query around.
pub(super) fn outer_expr(column: &Column) -> Expr {
    let field = Arc::new(Field::new(&column.id, column.ty.arrow(), true));
    Expr::OuterReferenceColumn(field, PlanColumn::new_unqualified(&column.id))
}

/// All columns of a plan, in order.
pub(super) fn all_columns(plan: &LogicalPlan) -> Vec<Expr> {
    plan.schema().columns().into_iter().map(Expr::Column).collect()
}
