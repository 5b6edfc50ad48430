//! Whole queries: WITH, set operations, ORDER BY, LIMIT.

use std::sync::Arc;

use datafusion::{
    catalog::cte_worktable::CteWorkTable,
    datasource::provider_as_source,
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit},
};
use sqlparser::ast::{Cte as AstCte, LimitClause, Query, SelectFlavor, SetExpr, SetOperator, SetQuantifier, Spanned};

use super::{
    Cte, CteBody, Planner,
    coerce::common_type,
    expr::Cx,
    refuse,
    scope::{Column, Lit, Rel, Scope, Typed, column_expr},
};
use crate::{
    error::{Result, SqlError},
    types::SqlType,
};

impl Planner<'_> {
    /// Plans a query.
    pub(super) fn query(&mut self, query: &Query) -> Result<Rel> {
        refuse::query(query)?;
        let before = self.ctes.len();
        let planned = self.query_with(query);
        self.ctes.truncate(before);
        planned
    }

    fn query_with(&mut self, query: &Query) -> Result<Rel> {
        if let Some(with) = &query.with {
            for cte in &with.cte_tables {
                self.cte(cte, with.recursive)?;
            }
        }
        if let SetExpr::Select(select) = query.body.as_ref()
            && select.flavor == SelectFlavor::FromFirstNoSelect
        {
            if query.order_by.is_some() || query.limit_clause.is_some() || !select.projection.is_empty() {
                return Err(SqlError::syntax("a query that begins with FROM goes on with |>"));
            }
            refuse::select(select)?;
            let (plan, scope) = self.from(&select.from)?;
            return self.piped(plan, scope, &query.pipe_operators);
        }
        let rel = match query.body.as_ref() {
            // A lone SELECT sorts by what it could still see.
            SetExpr::Select(select) => self.select(select, query.order_by.as_ref())?,
            body => {
                let rel = self.set_expr(body)?;
                self.order_result(rel, query.order_by.as_ref())?
            }
        };
        let rel = self.limit(rel, query.limit_clause.as_ref())?;
        self.pipes(rel, &query.pipe_operators)
    }

    fn set_expr(&mut self, body: &SetExpr) -> Result<Rel> {
        match body {
            SetExpr::Select(select) => self.select(select, None),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let left_rel = self.set_expr(left)?;
                let right_rel = self.set_expr(right)?;
                self.set_operation(left_rel, *op, *set_quantifier, right_rel).map_err(|error| error.at(right.span()))
            }
            other => Err(refuse::set_expression(other)),
        }
    }

    /// UNION, INTERSECT, EXCEPT: by position, under the left side's names.
    pub(super) fn set_operation(
        &mut self,
        left: Rel,
        op: SetOperator,
        quantifier: SetQuantifier,
        right: Rel,
    ) -> Result<Rel> {
        if left.columns.len() != right.columns.len() {
            return Err(SqlError::typed(format!("{op} of {} and {} columns", left.columns.len(), right.columns.len())));
        }
        let distinct = match (op, quantifier) {
            (SetOperator::Union, SetQuantifier::All) => false,
            (_, SetQuantifier::Distinct) if op != SetOperator::Minus => true,
            (_, SetQuantifier::None) => {
                return Err(
                    SqlError::syntax(format!("{op} needs ALL or DISTINCT")).hint(format!("write {op} DISTINCT"))
                );
            }
            (_, SetQuantifier::All) => {
                return Err(
                    SqlError::unsupported(format!("{op} ALL is not built")).hint(format!("write {op} DISTINCT"))
                );
            }
            _ => return Err(SqlError::unsupported(format!("{op} {quantifier} is not built"))),
        };
        let mut types = Vec::new();
        for (at, (one, other)) in left.columns.iter().zip(&right.columns).enumerate() {
            let ty = common_type(&[side(&left, one), side(&right, other)]).map_err(|error| {
                let name = if one.name.is_empty() { String::new() } else { format!(" (\"{}\")", one.name) };
                SqlError { message: format!("column {}{name} of {op}: {}", at + 1, error.message), ..error }
            })?;
            if distinct && !Self::groupable(&ty) {
                return Err(SqlError::unsupported(format!("{op} DISTINCT of {ty} is not built")));
            }
            types.push(ty);
        }
        let ids: Vec<String> = left.columns.iter().map(|column| self.fresh(&column.name)).collect();
        let names: Vec<String> = left.columns.iter().map(|column| column.name.clone()).collect();
        let left = self.aligned(left, &types, &ids, distinct)?;
        let right = self.aligned(right, &types, &ids, distinct)?;
        let plan = match op {
            SetOperator::Union if distinct => LogicalPlanBuilder::from(left).union_distinct(right)?.build()?,
            SetOperator::Union => LogicalPlanBuilder::from(left).union(right)?.build()?,
            SetOperator::Intersect => LogicalPlanBuilder::intersect(left, right, false)?,
            SetOperator::Except | SetOperator::Minus => LogicalPlanBuilder::except(left, right, false)?,
        };
        // Set operations may qualify their columns; a projection gives them plain names again.
        let mut columns = Vec::new();
        let mut exprs = Vec::new();
        for ((field, name), ty) in plan.schema().columns().into_iter().zip(names).zip(types) {
            let id = self.fresh(&name);
            exprs.push(Expr::Column(field).alias(&id));
            columns.push(Column { name, id, ty });
        }
        Ok(Rel { plan: LogicalPlanBuilder::from(plan).project(exprs)?.build()?, columns })
    }

    /// One side of a set operation, with the result's types and names; `distinct` when its rows are to be compared.
    fn aligned(&mut self, rel: Rel, types: &[SqlType], ids: &[String], distinct: bool) -> Result<LogicalPlan> {
        let mut exprs = Vec::new();
        for ((column, ty), id) in rel.columns.iter().zip(types).zip(ids) {
            let value = self.coerce(side(&rel, column), ty)?;
            let value = if distinct { Self::group_form(value) } else { value };
            exprs.push(value.expr.alias(id));
        }
        Ok(LogicalPlanBuilder::from(rel.plan).project(exprs)?.build()?)
    }

    /// Only the columns of a result, and nothing that was needed on the way.
    pub(super) fn trimmed(rel: Rel) -> Result<Rel> {
        let exprs: Vec<Expr> = rel.columns.iter().map(|column| column_expr(&column.id)).collect();
        Ok(Rel { plan: LogicalPlanBuilder::from(rel.plan).project(exprs)?.build()?, columns: rel.columns })
    }

    /// LIMIT and OFFSET.
    fn limit(&mut self, rel: Rel, clause: Option<&LimitClause>) -> Result<Rel> {
        let (limit, offset) = match clause {
            None => return Ok(rel),
            Some(LimitClause::LimitOffset { limit: Some(limit), offset, limit_by }) if limit_by.is_empty() => {
                (limit, offset.as_ref().map(|offset| &offset.value))
            }
            Some(_) => {
                return Err(SqlError::unsupported("this form of LIMIT is not GoogleSQL")
                    .hint("write LIMIT count OFFSET skipped"));
            }
        };
        let mut cx = Cx::plain(Scope::default(), "LIMIT");
        let limit = self.count_literal(limit, &mut cx)?;
        let skip = offset.map_or(Ok(0), |offset| self.count_literal(offset, &mut cx))?;
        Self::limited(rel, skip, limit)
    }

    pub(super) fn limited(rel: Rel, skip: usize, fetch: usize) -> Result<Rel> {
        Ok(Rel { plan: LogicalPlanBuilder::from(rel.plan).limit(skip, Some(fetch))?.build()?, columns: rel.columns })
    }

    /// A number of rows: a literal or a parameter.
    pub(super) fn count_literal(&mut self, ast: &sqlparser::ast::Expr, cx: &mut Cx) -> Result<usize> {
        let count = self.expr(ast, cx)?.as_int().and_then(|count| usize::try_from(count).ok());
        count.ok_or_else(|| SqlError::typed("LIMIT and OFFSET need a literal or parameter of 0 or more").at(ast.span()))
    }

    /// Plans one CTE and puts it in scope.
    fn cte(&mut self, cte: &AstCte, recursive: bool) -> Result<()> {
        refuse::cte(cte)?;
        let name = cte.alias.name.value.clone();
        if self.ctes.iter().any(|known| known.name.eq_ignore_ascii_case(&name)) && recursive {
            return Err(SqlError::name(format!("two WITH entries are named \"{name}\"")).at(cte.alias.name.span));
        }
        let rel = match cte.query.body.as_ref() {
            SetExpr::SetOperation { left, op: SetOperator::Union, set_quantifier, right }
                if recursive && names_itself(&cte.query, &name) =>
            {
                if cte.query.order_by.is_some()
                    || cte.query.limit_clause.is_some()
                    || !cte.query.pipe_operators.is_empty()
                    || cte.query.with.is_some()
                {
                    return Err(SqlError::unsupported("ORDER BY, LIMIT or WITH on a recursive query"));
                }
                self.recursive(&name, left, *set_quantifier, right)?
            }
            _ if recursive && names_itself(&cte.query, &name) => {
                return Err(SqlError::syntax(format!(
                    "the recursive query \"{name}\" must be a first part UNION ALL a part that names it"
                )));
            }
            _ => {
                // A CTE sees no columns of queries around it.
                let outer = std::mem::take(&mut self.outer);
                let planned = self.query(&cte.query);
                self.outer = outer;
                planned?
            }
        };
        let rel = Self::trimmed(rel)?;
        self.ctes.push(Cte { name, body: CteBody::Planned(rel) });
        Ok(())
    }

    fn recursive(&mut self, name: &str, first: &SetExpr, quantifier: SetQuantifier, again: &SetExpr) -> Result<Rel> {
        let distinct = match quantifier {
            SetQuantifier::All => false,
            SetQuantifier::Distinct => true,
            _ => return Err(SqlError::syntax("UNION needs ALL or DISTINCT")),
        };
        let base = self.set_expr(first)?;
        let types: Vec<_> = base.columns.iter().map(|column| column.ty.clone()).collect();
        let names: Vec<String> = base.columns.iter().map(|column| column.name.clone()).collect();
        let ids: Vec<String> = base.columns.iter().map(|column| self.fresh(&column.name)).collect();
        let first = self.aligned(base, &types, &ids, distinct)?;
        let work = self.fresh(name);
        let schema = Arc::new(first.schema().as_arrow().clone());
        let table = provider_as_source(Arc::new(CteWorkTable::new(&work, schema)));
        let columns: Vec<Column> = names
            .into_iter()
            .zip(ids.clone())
            .zip(types.clone())
            .map(|((name, id), ty)| Column { name, id, ty })
            .collect();
        self.ctes.push(Cte { name: name.to_owned(), body: CteBody::Round(table, columns.clone()) });
        let round = self.set_expr(again);
        self.ctes.pop();
        let round = round?;
        if round.columns.len() != types.len() {
            return Err(SqlError::typed("the two parts of a recursive query have different numbers of columns"));
        }
        let again = self.aligned(round, &types, &ids, distinct)?;
        let plan = LogicalPlanBuilder::from(first).to_recursive_query(work, again, distinct)?.build()?;
        let mut renamed = Vec::new();
        let mut exprs = Vec::new();
        for (field, column) in plan.schema().columns().into_iter().zip(columns) {
            let id = self.fresh(&column.name);
            exprs.push(Expr::Column(field).alias(&id));
            renamed.push(Column { id, ..column });
        }
        Ok(Rel { plan: LogicalPlanBuilder::from(plan).project(exprs)?.build()?, columns: renamed })
    }

    /// One row without columns, to compute on.
    pub(super) fn one_row() -> Result<LogicalPlan> {
        // A column keeps the row alive through rewrites that drop empty projections.
        Ok(LogicalPlanBuilder::empty(true).project(vec![lit(1_i64).alias("_one")])?.build()?)
    }
}

/// Whether a query reads a table of this name.
fn names_itself(query: &Query, name: &str) -> bool {
    use sqlparser::ast::visit_relations;
    use std::ops::ControlFlow;
    let found: ControlFlow<()> = visit_relations(query, |relation| {
        if relation.0.len() == 1 && relation.to_string().trim_matches('`').eq_ignore_ascii_case(name) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    found.is_break()
}

/// A column of one side of a set operation. One that is nothing but NULL there takes the other side's type.
fn side(rel: &Rel, column: &Column) -> Typed {
    let typed = Typed::new(column_expr(&column.id), column.ty.clone());
    if column.ty == SqlType::Int64 && is_null(&rel.plan, &column.id) {
        Typed { lit: Lit::Null, ..typed }
    } else {
        typed
    }
}

/// Whether a column of a plan is the literal NULL in every row.
fn is_null(plan: &LogicalPlan, id: &str) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => projection.expr.iter().any(|expr| match expr {
            Expr::Alias(alias) if alias.name == id => match alias.expr.as_ref() {
                Expr::Literal(value, _) => value.is_null(),
                Expr::Column(column) => is_null(&projection.input, &column.name),
                _ => false,
            },
            Expr::Column(column) if column.name == id => is_null(&projection.input, &column.name),
            _ => false,
        }),
        LogicalPlan::Union(union) => {
            let place = union.schema.fields().iter().position(|field| field.name() == id);
            place.is_some_and(|place| {
                union
                    .inputs
                    .iter()
                    .all(|input| input.schema().fields().get(place).is_some_and(|field| is_null(input, field.name())))
            })
        }
        LogicalPlan::Limit(limit) => is_null(&limit.input, id),
        LogicalPlan::Sort(sort) => is_null(&sort.input, id),
        _ => false,
    }
}
