//! PIVOT: rows become columns. UNPIVOT: columns become rows.

use datafusion::{
    common::ScalarValue,
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Operator},
};
use sqlparser::ast::{Expr as Ast, ExprWithAlias, NullInclusion, PivotValueSource, Spanned, TableAlias, TableFactor};

use super::{
    Planner, aggregate,
    call::Invoked,
    expr::Cx,
    refuse,
    scope::{Column, Lit, Rel, Scope, Typed},
    select::{Grouping, aggregate_plan, result_scope},
    stars::Item,
};
use crate::{
    error::{Result, SqlError},
    functions::civil,
    types::SqlType,
};

/// One value of PIVOT's list: the name of its columns, and the condition that a row has it.
struct Spread {
    name: String,
    rows: Expr,
}

impl Planner<'_> {
    /// Plans PIVOT and UNPIVOT.
    pub(super) fn pivoted(&mut self, factor: &TableFactor) -> Result<(LogicalPlan, Scope)> {
        if let TableFactor::Pivot { table, aggregate_functions, value_column, value_source, default_on_null, alias } =
            factor
        {
            let ([by], PivotValueSource::List(values), None) = (value_column.as_slice(), value_source, default_on_null)
            else {
                return Err(SqlError::unsupported("this form of PIVOT is not GoogleSQL")
                    .hint("write PIVOT(SUM(x) FOR y IN ('a', 'b'))")
                    .at(factor.span()));
            };
            return self
                .spread(table, aggregate_functions, by, values, alias.as_ref())
                .map_err(|error| error.at(factor.span()));
        }
        let TableFactor::Unpivot { table, value: Ast::Identifier(value), name, columns, null_inclusion, alias } =
            factor
        else {
            return Err(SqlError::unsupported("UNPIVOT into several columns is not built")
                .hint("write SELECT ... UNION ALL SELECT ..., one for each column")
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

    /// PIVOT: a group for each set of the other columns, an aggregate for each value of `by`.
    fn spread(
        &mut self,
        table: &TableFactor,
        calls: &[ExprWithAlias],
        by: &Ast,
        values: &[ExprWithAlias],
        alias: Option<&TableAlias>,
    ) -> Result<(LogicalPlan, Scope)> {
        refuse::alias(alias)?;
        if calls.iter().filter(|call| call.alias.is_none()).count() > 1 {
            return Err(SqlError::syntax("of several aggregates in PIVOT only one may go without AS"));
        }
        let (plan, scope) = self.plain_factor(table)?;
        if scope.relations.iter().any(|relation| relation.value) {
            return Err(SqlError::unsupported("PIVOT right behind UNNEST is not built")
                .hint("put the UNNEST into a subquery: FROM (SELECT * FROM UNNEST(...)) PIVOT(...)"));
        }
        let items = Self::visible(&scope)?;
        let by = self.expr(by, &mut Cx::plain(scope.clone(), "FOR"))?;
        let mut used: Vec<String> = by.expr.column_refs().into_iter().map(|column| column.name.clone()).collect();
        let spreads = values.iter().map(|value| self.spread_value(&by, value)).collect::<Result<Vec<_>>>()?;
        let mut cx = Cx { aggregates: Some(Vec::new()), ..Cx::plain(scope, "PIVOT") };
        let mut cells: Vec<Item> = Vec::new();
        for spread in &spreads {
            for call in calls {
                let value = self.spread_call(call, &spread.rows, &mut cx)?;
                let name = match &call.alias {
                    Some(alias) => format!("{}_{}", alias.value, spread.name),
                    None => spread.name.clone(),
                };
                cells.push((name, value));
            }
        }
        let aggregates = cx.aggregates.take().unwrap_or_default();
        for (aggregate, _) in &aggregates {
            used.extend(aggregate.column_refs().into_iter().map(|column| column.name.clone()));
        }
        let mut grouping = Grouping::default();
        let mut kept: Vec<Item> = Vec::new();
        for (name, value) in items {
            if value.expr.column_refs().iter().any(|column| used.contains(&column.name)) {
                continue;
            }
            let key = self.add_key(value.clone(), &mut grouping.keys)?;
            grouping.sets.push(key.clone());
            kept.push((name, Typed::new(key, value.ty)));
        }
        let plan = aggregate_plan(plan, grouping, aggregates)?;
        let mut exprs = Vec::new();
        let mut columns = Vec::new();
        for (name, value) in kept.into_iter().chain(cells) {
            let id = self.fresh(&name);
            exprs.push(value.expr.alias(&id));
            columns.push(Column { name, id, ty: value.ty });
        }
        let rel = Rel { plan: LogicalPlanBuilder::from(plan).project(exprs)?.build()?, columns };
        let scope = result_scope(&rel, alias.map(|alias| alias.name.value.clone()));
        Ok((rel.plan, scope))
    }

    fn spread_call(&mut self, call: &ExprWithAlias, rows: &Expr, cx: &mut Cx) -> Result<Typed> {
        let not_one = || SqlError::syntax("PIVOT takes aggregate calls, such as SUM(x)").at(call.expr.span());
        let Ast::Function(function) = &call.expr else { return Err(not_one()) };
        let call = Invoked::read(function)?;
        if !aggregate::is_aggregate(&call.name) || function.over.is_some() {
            return Err(not_one());
        }
        self.aggregate_where(&call, Some(rows), cx).map_err(|error| error.at(function.span()))
    }

    fn spread_value(&mut self, by: &Typed, value: &ExprWithAlias) -> Result<Spread> {
        let place = value.expr.span();
        let typed = self.expr(&value.expr, &mut Cx::plain(Scope::default(), "IN"))?;
        let name = match &value.alias {
            Some(alias) => alias.value.clone(),
            None => spread_name(&typed).ok_or_else(|| {
                SqlError::syntax("a value of PIVOT that is no plain literal needs a name")
                    .hint("write value AS name")
                    .at(place)
            })?,
        };
        let rows = self.distinct_of(by.clone(), typed, Operator::IsNotDistinctFrom).map_err(|error| error.at(place))?;
        Ok(Spread { name, rows: rows.expr })
    }
}

/// The name that PIVOT gives to the columns of a value without AS.
fn spread_name(value: &Typed) -> Option<String> {
    if value.lit == Lit::Null {
        return Some("NULL".into());
    }
    let Expr::Literal(scalar, _) = &value.expr else { return None };
    Some(match scalar {
        ScalarValue::Utf8(Some(text)) if value.ty == SqlType::String => text.clone(),
        ScalarValue::Int64(Some(number)) if *number < 0 => format!("minus_{}", number.unsigned_abs()),
        ScalarValue::Int64(Some(number)) => format!("_{number}"),
        ScalarValue::Boolean(Some(truth)) => truth.to_string().to_uppercase(),
        ScalarValue::Date32(Some(day)) => format!("_{}", civil::date_text(*day).ok()?.replace('-', "_")),
        _ => return None,
    })
}
