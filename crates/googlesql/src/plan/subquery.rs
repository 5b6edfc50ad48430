//! Subqueries in expressions. A query may refer to the one around it, not to one further out.

use std::sync::Arc;

use datafusion::{
    common::{
        Spans,
        tree_node::{TreeNode as _, TreeNodeRecursion},
    },
    functions_aggregate::array_agg::array_agg_udaf,
    logical_expr::{
        Expr, LogicalPlan, LogicalPlanBuilder, Subquery,
        expr::{AggregateFunction, Exists, InSubquery, Sort},
        lit,
    },
};
use sqlparser::ast::Query;

use super::{
    Planner,
    expr::Cx,
    scope::{Column, Rel, Typed, column_expr},
};
use crate::{
    error::{Result, SqlError},
    functions::array,
    types::SqlType,
};

fn subquery(plan: LogicalPlan) -> Subquery {
    let outer_ref_columns = plan.all_out_ref_exprs();
    Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: Spans::new() }
}

/// What a correlated query may hold so that it can be turned into a join without changing its answer.
fn check_correlated(plan: &LogicalPlan) -> Result<()> {
    if plan.all_out_ref_exprs().is_empty() {
        return Ok(());
    }
    let mut refused = None;
    plan.apply(|node| {
        let what = match node {
            LogicalPlan::Limit(_) => Some("LIMIT"),
            LogicalPlan::Window(_) => Some("a window function"),
            LogicalPlan::Union(_) => Some("UNION"),
            LogicalPlan::Distinct(_) => Some("DISTINCT"),
            LogicalPlan::Unnest(_) => Some("UNNEST"),
            LogicalPlan::RecursiveQuery(_) => Some("WITH RECURSIVE"),
            LogicalPlan::Join(join) if join.join_type != datafusion::logical_expr::JoinType::Inner => {
                Some("an outer join")
            }
            _ => None,
        };
        // Below the places that name the query around, anything goes.
        refused = refused.or(what.filter(|_| !node.all_out_ref_exprs().is_empty()));
        Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    match refused {
        Some(what) => Err(SqlError::unsupported(format!(
            "a subquery with {what} that refers to the query around it is not built"
        ))
        .hint("write it as a join")),
        None => Ok(()),
    }
}

impl Planner<'_> {
    /// Plans a query inside an expression.
    fn inner_query(&mut self, query: &Query, cx: &Cx) -> Result<Rel> {
        self.outer.push(cx.scope.clone());
        let planned = self.query(query);
        self.outer.pop();
        let rel = planned?;
        check_correlated(&rel.plan)?;
        Ok(rel)
    }

    fn one_column(rel: &Rel, what: &str) -> Result<Column> {
        match rel.columns.as_slice() {
            [column] => Ok(column.clone()),
            columns => Err(SqlError::typed(format!("{what} needs one column, the query has {}", columns.len()))
                .hint("write SELECT AS STRUCT for several")),
        }
    }

    /// Gathers a query's only column into one array; NULL of no rows.
    fn gathered(&mut self, rel: Rel, column: &Column) -> Result<(LogicalPlan, Column)> {
        let (plan, order) = take_sort(rel.plan);
        let expr = Expr::AggregateFunction(AggregateFunction::new_udf(
            array_agg_udaf(),
            vec![column_expr(&column.id)],
            false,
            None,
            order,
            None,
        ));
        let id = self.fresh(&column.name);
        let plan = LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), vec![expr.alias(&id)])?.build()?;
        let ty = SqlType::Array(Box::new(column.ty.clone()));
        Ok((plan, Column { name: column.name.clone(), id, ty }))
    }

    /// `(SELECT x ...)`: NULL of no rows, an error of more than one.
    pub(super) fn scalar_subquery(&mut self, query: &Query, cx: &mut Cx) -> Result<Typed> {
        let rel = self.inner_query(query, cx)?;
        let column = Self::one_column(&rel, "a scalar subquery")?;
        if is_one_row(&rel.plan) {
            return Ok(Typed::new(Expr::ScalarSubquery(subquery(rel.plan)), column.ty));
        }
        let (plan, list) = self.gathered(rel, &column)?;
        let list = Typed::new(Expr::ScalarSubquery(subquery(plan)), list.ty);
        Ok(Self::settled("only_row".into(), vec![list], column.ty, array::only(), false))
    }

    /// `ARRAY(SELECT x ...)`: empty of no rows.
    pub(super) fn array_subquery(&mut self, query: &Query, cx: &mut Cx) -> Result<Typed> {
        let rel = self.inner_query(query, cx)?;
        let column = Self::one_column(&rel, "ARRAY")?;
        if matches!(column.ty, SqlType::Array(_)) {
            return Err(SqlError::typed("an ARRAY cannot hold ARRAYs"));
        }
        let (plan, list) = self.gathered(rel, &column)?;
        let found = Typed::new(Expr::ScalarSubquery(subquery(plan)), list.ty.clone());
        let empty = Self::make_array(Vec::new(), column.ty);
        Ok(Typed::new(datafusion::functions::expr_fn::coalesce(vec![found.expr, empty.expr]), list.ty))
    }

    pub(super) fn exists(&mut self, query: &Query, negated: bool, cx: &mut Cx) -> Result<Typed> {
        let rel = self.inner_query(query, cx)?;
        if !matches!(cx.clause, "WHERE" | "HAVING" | "QUALIFY") {
            // The engine knows EXISTS in filters only; anywhere else the rows are counted.
            let id = self.fresh("exists");
            let rows = datafusion::functions_aggregate::expr_fn::count(lit(1_i64)).alias(&id);
            let plan = LogicalPlanBuilder::from(rel.plan).aggregate(Vec::<Expr>::new(), vec![rows])?.build()?;
            let count =
                datafusion::functions::expr_fn::coalesce(vec![Expr::ScalarSubquery(subquery(plan)), lit(0_i64)]);
            let found = if negated { count.eq(lit(0_i64)) } else { count.gt(lit(0_i64)) };
            return Ok(Typed::new(found, SqlType::Bool));
        }
        Ok(Typed::new(Expr::Exists(Exists::new(subquery(rel.plan), negated)), SqlType::Bool))
    }

    /// `x IN (SELECT ...)` where NULL and FALSE must be told apart: over the gathered column.
    pub(super) fn in_subquery(&mut self, value: Typed, query: &Query, negated: bool, cx: &mut Cx) -> Result<Typed> {
        let rel = self.inner_query(query, cx)?;
        let column = Self::one_column(&rel, "IN")?;
        let (plan, list) = self.gathered(rel, &column)?;
        let found = Typed::new(Expr::ScalarSubquery(subquery(plan)), list.ty.clone());
        let empty = Self::make_array(Vec::new(), column.ty);
        let list = Typed::new(datafusion::functions::expr_fn::coalesce(vec![found.expr, empty.expr]), list.ty);
        self.in_array(value, list, negated)
    }

    /// `WHERE x IN (SELECT ...)`, where only TRUE counts: a semi-join, which can spill.
    pub(super) fn semi_join(&mut self, value: Typed, query: &Query, cx: &mut Cx) -> Result<Expr> {
        let rel = self.inner_query(query, cx)?;
        let column = Self::one_column(&rel, "IN")?;
        let right = Typed::new(column_expr(&column.id), column.ty.clone());
        let (mut sides, ty) = self.unify(vec![value, right])?;
        let (Some(right), Some(left)) = (sides.pop(), sides.pop()) else {
            return Err(SqlError::typed("IN takes two operands"));
        };
        if matches!(ty, SqlType::Float64) || !Self::orderable(&ty) {
            return Err(SqlError::unsupported(format!("IN of {ty} with a subquery is not built")));
        }
        let id = self.fresh(&column.name);
        let plan = LogicalPlanBuilder::from(rel.plan).project(vec![right.expr.alias(id)])?.build()?;
        Ok(Expr::InSubquery(InSubquery::new(Box::new(left.expr), subquery(plan), false)))
    }
}

/// A query that always gives one row: aggregates without GROUP BY, under projections only.
fn is_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => is_one_row(&projection.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        _ => false,
    }
}

/// The order of a query's result, taken off its top so that an aggregate can keep it.
fn take_sort(plan: LogicalPlan) -> (LogicalPlan, Vec<Sort>) {
    match &plan {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
            let order = sort.expr.clone();
            (sort.input.as_ref().clone(), order)
        }
        LogicalPlan::Limit(_) => match under_limit(&plan) {
            Some(order) => (plan, order),
            None => (plan, Vec::new()),
        },
        _ => (plan, Vec::new()),
    }
}

/// The order that a LIMIT cuts.
fn under_limit(plan: &LogicalPlan) -> Option<Vec<Sort>> {
    let LogicalPlan::Limit(limit) = plan else { return None };
    match limit.input.as_ref() {
        LogicalPlan::Sort(sort) => Some(sort.expr.clone()),
        _ => None,
    }
}
