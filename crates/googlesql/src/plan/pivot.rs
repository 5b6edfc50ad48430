//! UNPIVOT: columns become rows. PIVOT is not built.

use sqlparser::ast::{Expr as Ast, NullInclusion, Spanned, TableFactor};

use super::{
    Planner, refuse,
    scope::{Rel, Scope, Typed},
    select::result_scope,
    stars::Item,
};
use crate::{
    error::{Result, SqlError},
    types::SqlType,
};

impl Planner<'_> {
    /// Plans PIVOT and UNPIVOT.
    pub(super) fn pivoted(&mut self, factor: &TableFactor) -> Result<(datafusion::logical_expr::LogicalPlan, Scope)> {
        let TableFactor::Unpivot { table, value: Ast::Identifier(value), name, columns, null_inclusion, alias } =
            factor
        else {
            return Err(SqlError::unsupported("PIVOT, and UNPIVOT into several columns, are not built")
                .hint("write one IF inside an aggregate for each column")
                .at(factor.span()));
        };
        refuse::alias(alias.as_ref())?;
        let (plan, scope) = self.plain_factor(table)?;
        let items = Self::visible(&scope)?;
        let mut labels = Vec::new();
        let mut values = Vec::new();
        for column in columns {
            let Ast::Identifier(ident) = &column.expr else {
                return Err(
                    SqlError::unsupported("UNPIVOT of several columns at once is not built").at(column.expr.span())
                );
            };
            let (found, cell) =
                items.iter().find(|(known, _)| known.eq_ignore_ascii_case(&ident.value)).ok_or_else(|| {
                    SqlError::name(format!("column \"{}\" does not exist here", ident.value)).at(ident.span)
                })?;
            labels.push((
                found.clone(),
                column.alias.as_ref().map_or_else(|| found.clone(), |label| label.value.clone()),
            ));
            values.push(cell.clone());
        }
        if values.windows(2).any(|pair| matches!(pair, [a, b] if a.ty != b.ty)) {
            return Err(SqlError::typed("the columns of UNPIVOT must have one type"));
        }
        let Some(first) = values.first() else { return Err(SqlError::syntax("UNPIVOT of no columns")) };
        let value_type = first.ty.clone();
        let mut pairs = Vec::new();
        for (cell, (_, label)) in values.into_iter().zip(&labels) {
            pairs.push(Self::make_struct(vec![
                (value.value.clone(), cell),
                (name.value.clone(), Typed::new(Typed::text(label).expr, SqlType::String)),
            ])?);
        }
        let element = SqlType::Struct(vec![(value.value.clone(), value_type), (name.value.clone(), SqlType::String)]);
        let array = Self::make_array(pairs, element);
        let kept: Vec<Item> = items
            .into_iter()
            .filter(|(known, _)| !labels.iter().any(|(label, _)| label.eq_ignore_ascii_case(known)))
            .collect();
        let keep_nulls = matches!(null_inclusion, Some(NullInclusion::IncludeNulls));
        let rel: Rel = self.unpivoted(plan, kept, array, keep_nulls)?;
        let scope = result_scope(&rel, alias.as_ref().map(|alias| alias.name.value.clone()));
        Ok((rel.plan, scope))
    }
}
