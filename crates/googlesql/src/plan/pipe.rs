//! Pipe syntax: `FROM t |> WHERE ... |> SELECT ...`.

use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{AssignmentTarget, PipeOperator, Query, SelectItem, SetOperator, SetQuantifier};

use super::{
    Planner,
    expr::Cx,
    scope::{Column, Rel, Relation, Scope},
    select::result_scope,
    stars::Item,
};
use crate::error::{Result, SqlError};

impl Planner<'_> {
    /// Runs a result through the pipes behind it.
    pub(super) fn pipes(&mut self, rel: Rel, pipes: &[PipeOperator]) -> Result<Rel> {
        if pipes.is_empty() {
            return Ok(rel);
        }
        let scope = result_scope(&rel, None);
        self.piped(rel.plan, scope, pipes)
    }

    /// Runs rows and their names through pipes.
    pub(super) fn piped(&mut self, mut plan: LogicalPlan, mut scope: Scope, pipes: &[PipeOperator]) -> Result<Rel> {
        for pipe in pipes {
            (plan, scope) = self.pipe(plan, scope, pipe)?;
        }
        let items = Self::visible(&scope)?;
        self.projected(plan, items)
    }

    /// A projection of some items.
    fn projected(&mut self, plan: LogicalPlan, items: Vec<Item>) -> Result<Rel> {
        let mut exprs = Vec::new();
        let mut columns = Vec::new();
        for (name, value) in items {
            let id = self.fresh(&name);
            exprs.push(value.expr.alias(&id));
            columns.push(Column { name, id, ty: value.ty });
        }
        Ok(Rel { plan: LogicalPlanBuilder::from(plan).project(exprs)?.build()?, columns })
    }

    fn pipe(&mut self, plan: LogicalPlan, scope: Scope, pipe: &PipeOperator) -> Result<(LogicalPlan, Scope)> {
        match pipe {
            PipeOperator::Where { expr } => Ok((self.filter(plan, &scope, expr, "WHERE")?, scope)),
            PipeOperator::Limit { expr, offset } => {
                let mut cx = Cx::plain(Scope::default(), "LIMIT");
                let fetch = self.count_literal(expr, &mut cx)?;
                let skip = offset.as_ref().map_or(Ok(0), |offset| self.count_literal(offset, &mut cx))?;
                Ok((LogicalPlanBuilder::from(plan).limit(skip, Some(fetch))?.build()?, scope))
            }
            PipeOperator::OrderBy { exprs } => {
                let mut cx = Cx::plain(scope.clone(), "ORDER BY");
                let columns = Self::scope_columns(&scope);
                let rel = self.order_rows(Rel { plan, columns }, exprs, &mut cx)?;
                Ok((rel.plan, scope))
            }
            PipeOperator::As { alias } => {
                let items = Self::visible(&scope)?;
                let rel = self.projected(plan, items)?;
                let scope = result_scope(&rel, Some(alias.value.clone()));
                Ok((rel.plan, scope))
            }
            PipeOperator::Select { exprs } => {
                let items = self.pipe_items(exprs, &scope)?;
                let rel = self.projected(plan, items)?;
                let scope = result_scope(&rel, None);
                Ok((rel.plan, scope))
            }
            PipeOperator::Extend { exprs } => {
                let items = self.pipe_items(exprs, &scope)?;
                let mut columns = Vec::new();
                let mut added = Vec::new();
                for (name, value) in items {
                    let id = self.fresh(&name);
                    added.push((value.expr, id.clone()));
                    columns.push(Column { name, id, ty: value.ty });
                }
                let mut scope = scope;
                scope.relations.push(Relation::new(None, columns));
                Ok((Self::extend(plan, added)?, scope))
            }
            PipeOperator::Join(join) => self.join((plan, scope), join),
            other => {
                let items = Self::visible(&scope)?;
                let rel = self.changed(plan, items, &scope, other)?;
                let scope = result_scope(&rel, None);
                Ok((rel.plan, scope))
            }
        }
    }

    fn scope_columns(scope: &Scope) -> Vec<Column> {
        scope.relations.iter().flat_map(|relation| relation.columns.clone()).collect()
    }

    /// The items of |> SELECT and |> EXTEND: no aggregates, no windows.
    fn pipe_items(&mut self, exprs: &[SelectItem], scope: &Scope) -> Result<Vec<Item>> {
        let mut cx = Cx::plain(scope.clone(), "a pipe");
        self.select_list(exprs, &mut cx)
    }

    /// Pipes that change the list of columns, or join whole results.
    fn changed(&mut self, plan: LogicalPlan, mut items: Vec<Item>, scope: &Scope, pipe: &PipeOperator) -> Result<Rel> {
        let missing = |name: &str| SqlError::name(format!("column \"{name}\" does not exist here"));
        match pipe {
            PipeOperator::Drop { columns } => {
                for column in columns {
                    let before = items.len();
                    items.retain(|(name, _)| !name.eq_ignore_ascii_case(&column.value));
                    if items.len() == before {
                        return Err(missing(&column.value).at(column.span));
                    }
                }
            }
            PipeOperator::Rename { mappings } => {
                for mapping in mappings {
                    let item = items
                        .iter_mut()
                        .find(|(name, _)| name.eq_ignore_ascii_case(&mapping.ident.value))
                        .ok_or_else(|| missing(&mapping.ident.value))?;
                    item.0.clone_from(&mapping.alias.value);
                }
            }
            PipeOperator::Set { assignments } => {
                for assignment in assignments {
                    let AssignmentTarget::ColumnName(name) = &assignment.target else {
                        return Err(SqlError::syntax("|> SET takes column = value"));
                    };
                    let name = name.to_string();
                    let mut cx = Cx::plain(scope.clone(), "SET");
                    let value = self.expr(&assignment.value, &mut cx)?;
                    items
                        .iter_mut()
                        .find(|(known, _)| known.eq_ignore_ascii_case(&name))
                        .ok_or_else(|| missing(&name))?
                        .1 = value;
                }
            }
            PipeOperator::Union { set_quantifier, queries } => {
                return self.piped_set(plan, items, SetOperator::Union, *set_quantifier, queries);
            }
            PipeOperator::Intersect { set_quantifier, queries } => {
                return self.piped_set(plan, items, SetOperator::Intersect, *set_quantifier, queries);
            }
            PipeOperator::Except { set_quantifier, queries } => {
                return self.piped_set(plan, items, SetOperator::Except, *set_quantifier, queries);
            }
            _ => return Err(SqlError::unsupported("this pipe is not built").hint(
                "WHERE, SELECT, EXTEND, SET, DROP, RENAME, AS, JOIN, ORDER BY, LIMIT, UNION, INTERSECT and EXCEPT are",
            )),
        }
        self.projected(plan, items)
    }

    fn piped_set(
        &mut self,
        plan: LogicalPlan,
        items: Vec<Item>,
        op: SetOperator,
        quantifier: SetQuantifier,
        queries: &[Query],
    ) -> Result<Rel> {
        let mut rel = self.projected(plan, items)?;
        for query in queries {
            let right = self.query(query)?;
            rel = self.set_operation(rel, op, quantifier, right)?;
        }
        Ok(rel)
    }
}
