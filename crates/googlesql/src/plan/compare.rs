//! Comparisons, with GoogleSQL's answer for every type that has one.

use std::sync::Arc;

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, StructArray},
    datatypes::Float64Type,
};
use datafusion::logical_expr::{Between, Expr, Operator, binary_expr, expr::InList};
use sqlparser::ast::BinaryOperator;

use super::{
    Planner,
    scope::{Lit, Typed},
};
use crate::{
    error::{Result, SqlError},
    functions::{
        call::Call,
        cell::{Bool, Float, Kernel, kernel2, ok},
    },
    types::SqlType,
};

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
}

impl Comparison {
    pub(super) fn of(op: &BinaryOperator) -> Option<Self> {
        Some(match op {
            BinaryOperator::Eq => Self::Eq,
            BinaryOperator::NotEq => Self::NotEq,
            BinaryOperator::Lt => Self::Lt,
            BinaryOperator::LtEq => Self::LtEq,
            BinaryOperator::Gt => Self::Gt,
            BinaryOperator::GtEq => Self::GtEq,
            _ => return None,
        })
    }

    fn operator(self) -> Operator {
        match self {
            Self::Eq => Operator::Eq,
            Self::NotEq => Operator::NotEq,
            Self::Lt => Operator::Lt,
            Self::LtEq => Operator::LtEq,
            Self::Gt => Operator::Gt,
            Self::GtEq => Operator::GtEq,
        }
    }

    /// By IEEE 754, as GoogleSQL compares: NaN equals nothing, -0 equals 0. Arrow orders all bit patterns instead.
    fn floats(self, a: f64, b: f64) -> bool {
        match self {
            #[allow(clippy::float_cmp)] // the SQL operator is exact comparison
            Self::Eq => a == b,
            #[allow(clippy::float_cmp)]
            Self::NotEq => a != b,
            Self::Lt => a < b,
            Self::LtEq => a <= b,
            Self::Gt => a > b,
            Self::GtEq => a >= b,
        }
    }
}

fn holds_float(ty: &SqlType) -> bool {
    match ty {
        SqlType::Float64 => true,
        SqlType::Struct(fields) => fields.iter().any(|(_, field)| holds_float(field)),
        _ => false,
    }
}

fn with_one_form(array: &ArrayRef) -> ArrayRef {
    if let Some(floats) = array.as_primitive_opt::<Float64Type>() {
        let one = |value: f64| if value.is_nan() { f64::NAN } else { value + 0.0 };
        return Arc::new(floats.unary::<_, Float64Type>(one));
    }
    let Some(fields) = array.as_struct_opt() else { return array.clone() };
    let columns = fields.columns().iter().map(with_one_form).collect();
    Arc::new(StructArray::new(fields.fields().clone(), columns, fields.nulls().cloned()))
}

/// Whether Arrow compares the type as GoogleSQL does.
fn is_plain(ty: &SqlType) -> bool {
    !matches!(ty, SqlType::Float64 | SqlType::Json | SqlType::Interval | SqlType::Array(_) | SqlType::Struct(_))
}

impl Planner<'_> {
    /// Compares two expressions.
    pub(super) fn compare(&self, comparison: Comparison, left: Typed, right: Typed) -> Result<Typed> {
        let (mut sides, ty) = self.unify(vec![left, right])?;
        let (Some(right), Some(left)) = (sides.pop(), sides.pop()) else {
            return Err(SqlError::typed("a comparison takes two operands"));
        };
        let bool_of = |expr| Ok(Typed::new(expr, SqlType::Bool));
        match &ty {
            SqlType::Float64 => {
                let kernel = kernel2::<Float, Float, Bool>(move |a, b| ok(comparison.floats(a, b)));
                let name = format!("float{}", comparison.operator());
                bool_of(Call::expr(
                    name,
                    vec![left.expr, right.expr],
                    vec![ty.clone(), ty],
                    SqlType::Bool,
                    kernel,
                    false,
                    false,
                ))
            }
            SqlType::Struct(fields) if matches!(comparison, Comparison::Eq | Comparison::NotEq) => {
                let mut all: Option<Expr> = None;
                for at in 0..fields.len() {
                    let one = self
                        .compare(Comparison::Eq, Self::field_at(left.clone(), at)?, Self::field_at(right.clone(), at)?)?
                        .expr;
                    all = Some(match all {
                        Some(before) => before.and(one),
                        None => one,
                    });
                }
                let all = all.ok_or_else(|| SqlError::typed("STRUCTs without fields cannot be compared"))?;
                bool_of(if comparison == Comparison::Eq { all } else { !all })
            }
            SqlType::Interval if comparison == Comparison::Eq => self.call_form(
                "_interval_eq",
                "",
                crate::functions::TABLE.forms("_interval_eq"),
                vec![left, right],
                false,
            ),
            plain if is_plain(plain) => bool_of(binary_expr(left.expr, comparison.operator(), right.expr)),
            other => Err(SqlError::typed(format!("{other} cannot be compared this way"))),
        }
    }

    /// `x IN (a, b)`.
    pub(super) fn in_list(&self, value: Typed, list: Vec<Typed>, negated: bool) -> Result<Typed> {
        let mut all = vec![value];
        all.extend(list);
        let (mut all, ty) = self.unify(all)?;
        let value = all.remove(0);
        if is_plain(&ty) {
            let list = all.into_iter().map(|item| item.expr).collect();
            return Ok(Typed::new(Expr::InList(InList::new(Box::new(value.expr), list, negated)), SqlType::Bool));
        }
        let mut any: Option<Expr> = None;
        for item in all {
            let one = self.compare(Comparison::Eq, value.clone(), item)?.expr;
            any = Some(match any {
                Some(before) => before.or(one),
                None => one,
            });
        }
        let any = any.ok_or_else(|| SqlError::syntax("IN of an empty list"))?;
        Ok(Typed::new(if negated { !any } else { any }, SqlType::Bool))
    }

    /// `x BETWEEN low AND high`.
    pub(super) fn between(&self, value: Typed, low: Typed, high: Typed, negated: bool) -> Result<Typed> {
        let (mut all, ty) = self.unify(vec![value, low, high])?;
        let (Some(high), Some(low), Some(value)) = (all.pop(), all.pop(), all.pop()) else {
            return Err(SqlError::typed("BETWEEN takes three operands"));
        };
        if is_plain(&ty) {
            let between = Between::new(Box::new(value.expr), negated, Box::new(low.expr), Box::new(high.expr));
            return Ok(Typed::new(Expr::Between(between), SqlType::Bool));
        }
        if value.expr.is_volatile() {
            return Err(SqlError::unsupported("BETWEEN of a value that changes each time it is read"));
        }
        let low = self.compare(Comparison::GtEq, value.clone(), low)?.expr;
        let both = low.and(self.compare(Comparison::LtEq, value, high)?.expr);
        Ok(Typed::new(if negated { !both } else { both }, SqlType::Bool))
    }

    /// Whether values of a type can be grouped, joined in sets, or made DISTINCT.
    pub(super) fn groupable(ty: &SqlType) -> bool {
        match ty {
            SqlType::Json | SqlType::Interval | SqlType::Array(_) => false,
            SqlType::Struct(fields) => fields.iter().all(|(_, field)| Self::groupable(field)),
            _ => true,
        }
    }

    /// The value as it stands for all that are equal to it in GROUP BY, DISTINCT and PARTITION BY, where -0 is 0 and
    /// all NaN are one. Arrow tells their bits apart.
    pub(super) fn group_form(value: Typed) -> Typed {
        if !holds_float(&value.ty) {
            return value;
        }
        let ty = value.ty.clone();
        let kernel: Kernel = Arc::new(|args| args.column(0).map(|(array, _)| with_one_form(array)));
        Self::settled("group_form".into(), vec![value], ty, kernel, false)
    }

    /// Whether values of a type have an order.
    pub(super) fn orderable(ty: &SqlType) -> bool {
        !matches!(ty, SqlType::Json | SqlType::Interval | SqlType::Array(_) | SqlType::Struct(_))
    }

    /// A literal NULL of no type.
    pub(super) fn untyped_null() -> Result<Typed> {
        Ok(Typed { lit: Lit::Null, ..Typed::null(SqlType::Int64)? })
    }
}
