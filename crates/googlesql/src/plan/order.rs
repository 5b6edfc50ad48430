//! ORDER BY: keys, directions, and where NULLs go (first ascending, last descending, unless told).

use datafusion::logical_expr::{Expr, LogicalPlanBuilder, expr::Sort};
use sqlparser::ast::{Expr as Ast, OrderBy, OrderByExpr, OrderByKind, Spanned, Value, ValueWithSpan};

use super::{
    Planner,
    expr::Cx,
    scope::{Rel, Relation, Scope, Typed, column_expr},
};
use crate::{
    error::{Result, SqlError},
    types::SqlType,
};

/// A literal position, as in `ORDER BY 2`.
pub(super) fn ordinal(ast: &Ast) -> Option<usize> {
    match ast {
        Ast::Value(ValueWithSpan { value: Value::Number(text, false), .. }) => text.parse().ok(),
        _ => None,
    }
}

/// The keys of ORDER BY, as written.
pub(super) fn order_items(order: Option<&OrderBy>) -> Result<&[OrderByExpr]> {
    match order {
        None => Ok(&[]),
        Some(OrderBy { kind: OrderByKind::Expressions(items), interpolate: None }) => Ok(items),
        Some(_) => Err(SqlError::unsupported("this form of ORDER BY is not GoogleSQL")),
    }
}

/// The direction of a key, and whether NULLs come first.
pub(super) fn direction(item: &OrderByExpr) -> Result<(bool, bool)> {
    if item.with_fill.is_some() {
        return Err(SqlError::unsupported("WITH FILL is not GoogleSQL"));
    }
    let asc = item.options.asc.unwrap_or(true);
    Ok((asc, item.options.nulls_first.unwrap_or(asc)))
}

impl Planner<'_> {
    /// One key: its value, ascending, NULLs first.
    pub(super) fn order_item(&mut self, item: &OrderByExpr, cx: &mut Cx) -> Result<(Typed, bool, bool)> {
        let (asc, nulls_first) = direction(item)?;
        let key = self.expr(&item.expr, cx)?;
        let key = Self::sort_key(key).map_err(|error| error.at(item.expr.span()))?;
        Ok((key, asc, nulls_first))
    }

    /// A key whose order in Arrow is GoogleSQL's.
    pub(super) fn sort_key(key: Typed) -> Result<Typed> {
        if !Self::orderable(&key.ty) {
            return Err(SqlError::typed(format!("ORDER BY does not take {}", key.ty)));
        }
        if key.ty == SqlType::Float64 {
            let kernel =
                crate::functions::cell::kernel1::<crate::functions::cell::Float, crate::functions::cell::Float>(|a| {
                    // NaN comes before every number; -0 and 0 are one.
                    crate::functions::cell::ok(if a.is_nan() { -f64::NAN.abs() } else { a + 0.0 })
                });
            return Ok(Self::settled("sort_float".into(), vec![key], SqlType::Float64, kernel, false));
        }
        Ok(key)
    }

    /// ORDER BY over a result of which only its own columns are visible.
    pub(super) fn order_result(&mut self, rel: Rel, order: Option<&OrderBy>) -> Result<Rel> {
        let items = order_items(order)?;
        if items.is_empty() {
            return Ok(rel);
        }
        let scope = Scope { relations: vec![Relation::new(None, rel.columns.clone())] };
        let mut cx = Cx::plain(scope, "ORDER BY");
        self.order_rows(rel, items, &mut cx)
    }

    /// Sorts a result by expressions over a scope.
    pub(super) fn order_rows(&mut self, rel: Rel, items: &[OrderByExpr], cx: &mut Cx) -> Result<Rel> {
        let mut sorts = Vec::new();
        for item in items {
            let (asc, nulls_first) = direction(item)?;
            let key = match ordinal(&item.expr) {
                Some(at) => {
                    let column = at.checked_sub(1).and_then(|at| rel.columns.get(at)).ok_or_else(|| {
                        SqlError::name(format!("ORDER BY {at} is not a column of the result")).at(item.expr.span())
                    })?;
                    Self::sort_key(Typed::new(column_expr(&column.id), column.ty.clone()))?
                }
                None => self.order_item(item, cx)?.0,
            };
            if matches!(key.expr, Expr::Literal(..)) {
                return Err(SqlError::unsupported("ORDER BY a constant").at(item.expr.span()));
            }
            sorts.push(Sort::new(key.expr, asc, nulls_first));
        }
        Ok(Rel { plan: LogicalPlanBuilder::from(rel.plan).sort(sorts)?.build()?, columns: rel.columns })
    }
}
