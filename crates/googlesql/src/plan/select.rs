//! One SELECT: from, where, group, having, windows, qualify, list, distinct, order; in that order.

use datafusion::{
    common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion},
    logical_expr::{Expr, GroupingSet, LogicalPlan, LogicalPlanBuilder},
};
use sqlparser::{
    ast::{Distinct, Expr as Ast, GroupByExpr, OrderBy, Select, SelectItem, Spanned, ValueTableMode},
    tokenizer::Span,
};

use super::{
    Planner,
    expr::Cx,
    order::{order_items, ordinal},
    refuse,
    scope::{Column, Lit, Rel, Relation, Scope, Typed, column_expr},
    stars::Item,
};
use crate::{
    dialect::{backticks, is_name},
    error::{Result, SqlError},
    types::SqlType,
};

/// GROUP BY, read: the keys as columns, and in which sets they stand.
#[derive(Default)]
pub(super) struct Grouping {
    pub(super) keys: Vec<Key>,
    pub(super) sets: Vec<Expr>,
}

/// One key of GROUP BY.
pub(super) struct Key {
    /// As the query writes it, over FROM.
    written: Expr,
    /// What rows are grouped by.
    expr: Expr,
    /// The column it becomes.
    id: String,
}

impl Planner<'_> {
    /// Plans a SELECT and the ORDER BY behind it.
    pub(super) fn select(&mut self, select: &Select, order: Option<&OrderBy>) -> Result<Rel> {
        refuse::select(select)?;
        let (mut plan, scope) = self.from(&select.from)?;
        if let Some(filter) = &select.selection {
            plan = self.filter(plan, &scope, filter, "WHERE")?;
        }
        let mut cx = Cx {
            aggregates: Some(Vec::new()),
            windows: Some(Vec::new()),
            named_windows: select.named_window.clone(),
            ..Cx::plain(scope.clone(), "SELECT")
        };
        let items = self.select_list(&select.projection, &mut cx)?;
        let aliases = aliases_of(&items);
        let grouping = self.grouping(select, &items, &scope)?;

        cx.aliases = aliases.iter().filter(|(name, _)| !is_visible(&scope, name)).cloned().collect();
        cx.clause = "HAVING";
        let windows = cx.windows.take();
        let having = select.having.as_ref().map(|ast| self.condition(ast, &mut cx)).transpose()?;
        cx.windows = windows;
        cx.clause = "QUALIFY";
        cx.aliases = aliases;
        let qualify = select.qualify.as_ref().map(|ast| self.condition(ast, &mut cx)).transpose()?;
        cx.clause = "ORDER BY";
        let order_items = order_items(order)?;
        let mut sorts = Vec::new();
        for item in order_items {
            sorts.push(match ordinal(&item.expr) {
                Some(_) => None,
                None => Some(self.order_item(item, &mut cx)?),
            });
        }

        let is_grouped = grouping.is_some()
            || cx.aggregates.as_ref().is_some_and(|aggregates| !aggregates.is_empty())
            || having.is_some();
        let aggregates = cx.aggregates.take().unwrap_or_default();
        let mut regroup = Regroup::default();
        if is_grouped {
            let grouping = grouping.unwrap_or_default();
            regroup.keys = grouping.keys.iter().map(|key| (key.written.clone(), key.id.clone())).collect();
            regroup.gone = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
            plan = aggregate_plan(plan, grouping, aggregates)?;
            regroup.gone.retain(|id| !plan.schema().has_column_with_unqualified_name(id));
            regroup.named = std::mem::take(&mut cx.named);
            regroup.all = Some(select.select_token.0.span);
            if let Some(having) = having {
                plan = LogicalPlanBuilder::from(plan).filter(regroup.rewrite(having)?)?.build()?;
            }
        }
        plan = window_plan(plan, cx.windows.take().unwrap_or_default(), &regroup)?;
        if let Some(qualify) = qualify {
            plan = LogicalPlanBuilder::from(plan).filter(regroup.rewrite(qualify)?)?.build()?;
        }
        let items = items
            .into_iter()
            .map(|(name, value)| Ok((name, Typed { expr: regroup.rewrite(value.expr)?, ..value })))
            .collect::<Result<Vec<Item>>>()?;
        let sorts = sorts
            .into_iter()
            .map(|sort| {
                sort.map(|(key, asc, first)| Ok((Typed { expr: regroup.rewrite(key.expr)?, ..key }, asc, first)))
                    .transpose()
            })
            .collect::<Result<Vec<_>>>()?;
        let finished = self.finish_select(select, plan, items, sorts, order_items)?;
        Ok(finished)
    }

    /// WHERE and the like. `x IN (query)` as a whole condition becomes a semi-join.
    pub(super) fn filter(
        &mut self,
        plan: LogicalPlan,
        scope: &Scope,
        ast: &Ast,
        clause: &'static str,
    ) -> Result<LogicalPlan> {
        let mut cx = Cx::plain(scope.clone(), clause);
        let mut conditions = Vec::new();
        self.conjuncts(ast, &mut cx, &mut conditions)?;
        match conditions.into_iter().reduce(Expr::and) {
            Some(condition) => Ok(LogicalPlanBuilder::from(plan).filter(condition)?.build()?),
            None => Ok(plan),
        }
    }

    fn conjuncts(&mut self, ast: &Ast, cx: &mut Cx, out: &mut Vec<Expr>) -> Result<()> {
        match ast {
            Ast::Nested(inner) => return self.conjuncts(inner, cx, out),
            Ast::BinaryOp { left, op: sqlparser::ast::BinaryOperator::And, right } => {
                self.conjuncts(left, cx, out)?;
                return self.conjuncts(right, cx, out);
            }
            Ast::InSubquery { expr, subquery, negated: false } => {
                let value = self.expr(expr, cx)?;
                if value.ty != SqlType::Float64 && Self::orderable(&value.ty) {
                    out.push(self.semi_join(value, subquery, cx).map_err(|error| error.at(ast.span()))?);
                    return Ok(());
                }
            }
            _ => {}
        }
        out.push(self.condition(ast, cx)?);
        Ok(())
    }

    pub(super) fn select_list(&mut self, list: &[SelectItem], cx: &mut Cx) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for item in list {
            match item {
                SelectItem::UnnamedExpr(ast) => items.push((implied_name(ast), self.expr(ast, cx)?)),
                SelectItem::ExprWithAlias { expr, alias } if !is_name(alias) => {
                    return Err(SqlError::syntax(format!("{alias} is not a name"))
                        .hint(backticks(alias))
                        .at(alias.span)
                        // An alias in quotes has no place of its own.
                        .at(expr.span()));
                }
                SelectItem::ExprWithAlias { expr, alias } => items.push((alias.value.clone(), self.expr(expr, cx)?)),
                SelectItem::Wildcard(options) => items.extend(self.star(options, cx)?),
                SelectItem::QualifiedWildcard(kind, options) => items.extend(self.qualified_star(kind, options, cx)?),
                SelectItem::ExprWithAliases { .. } => {
                    return Err(
                        SqlError::unsupported("several aliases of one expression are not GoogleSQL").at(item.span())
                    );
                }
            }
        }
        Ok(items)
    }

    fn grouping(&mut self, select: &Select, items: &[Item], scope: &Scope) -> Result<Option<Grouping>> {
        let asts = match &select.group_by {
            GroupByExpr::Expressions(asts, modifiers) if asts.is_empty() && modifiers.is_empty() => return Ok(None),
            GroupByExpr::Expressions(asts, modifiers) if modifiers.is_empty() => asts,
            GroupByExpr::All(modifiers) if modifiers.is_empty() => return self.group_by_all(items, scope).map(Some),
            _ => {
                return Err(
                    SqlError::unsupported("this form of GROUP BY is not GoogleSQL").hint("write GROUP BY ROLLUP(a, b)")
                );
            }
        };
        let mut grouping = Grouping::default();
        let mut plain = Vec::new();
        let mut cx = Cx::plain(scope.clone(), "GROUP BY");
        for ast in asts {
            let mut sets_of = |planner: &mut Self, sets: &[Vec<Ast>]| -> Result<Vec<Vec<Expr>>> {
                sets.iter()
                    .map(|set| {
                        set.iter().map(|key| planner.group_key(key, items, &mut cx, &mut grouping.keys)).collect()
                    })
                    .collect()
            };
            match ast {
                Ast::Rollup(sets) => {
                    let sets = sets_of(self, sets)?;
                    if sets.iter().any(|set| set.len() != 1) {
                        return Err(SqlError::unsupported("several columns as one step of ROLLUP"));
                    }
                    grouping.sets.push(Expr::GroupingSet(GroupingSet::Rollup(sets.concat())));
                }
                Ast::Cube(sets) => {
                    let sets = sets_of(self, sets)?;
                    if sets.iter().any(|set| set.len() != 1) {
                        return Err(SqlError::unsupported("several columns as one step of CUBE"));
                    }
                    grouping.sets.push(Expr::GroupingSet(GroupingSet::Cube(sets.concat())));
                }
                Ast::GroupingSets(sets) => {
                    let sets = sets_of(self, sets)?;
                    grouping.sets.push(Expr::GroupingSet(GroupingSet::GroupingSets(sets)));
                }
                Ast::Tuple(keys) if keys.is_empty() => {}
                key => plain.push(self.group_key(key, items, &mut cx, &mut grouping.keys)?),
            }
        }
        if !grouping.sets.is_empty() && (!plain.is_empty() || grouping.sets.len() > 1) {
            return Err(SqlError::unsupported("ROLLUP, CUBE or GROUPING SETS beside other keys is not built")
                .hint("write one GROUPING SETS"));
        }
        if grouping.sets.is_empty() {
            grouping.sets = plain;
        }
        Ok(Some(grouping))
    }

    /// One key: a position, an alias of the select list, or an expression over FROM.
    fn group_key(&mut self, ast: &Ast, items: &[Item], cx: &mut Cx, keys: &mut Vec<Key>) -> Result<Expr> {
        let by_position = ordinal(ast)
            .map(|at| {
                at.checked_sub(1)
                    .and_then(|at| items.get(at))
                    .ok_or_else(|| SqlError::name(format!("GROUP BY {at} is not a column of the select list")))
            })
            .transpose();
        let by_alias = match ast {
            Ast::Identifier(ident) => {
                items.iter().find(|(name, value)| name.eq_ignore_ascii_case(&ident.value) && !value.expr.is_volatile())
            }
            _ => None,
        };
        let key = match by_position.map_err(|error| error.at(ast.span()))?.or(by_alias) {
            Some((_, value)) => value.clone(),
            None => self.expr(ast, cx)?,
        };
        self.add_key(key, keys).map_err(|error| error.at(ast.span()))
    }

    pub(super) fn add_key(&mut self, key: Typed, keys: &mut Vec<Key>) -> Result<Expr> {
        if !Self::groupable(&key.ty) {
            return Err(SqlError::typed(format!("GROUP BY does not take {}", key.ty)));
        }
        if let Some(known) = keys.iter().find(|known| known.written == key.expr) {
            return Ok(column_expr(&known.id));
        }
        let written = key.expr.clone();
        let expr = Self::group_form(key).expr;
        let id = match &expr {
            Expr::Column(column) => column.name.clone(),
            _ => self.fresh("key"),
        };
        keys.push(Key { written, expr, id: id.clone() });
        Ok(column_expr(&id))
    }

    fn group_by_all(&mut self, items: &[Item], scope: &Scope) -> Result<Grouping> {
        let mut grouping = Grouping::default();
        let known: Vec<&String> =
            scope.relations.iter().flat_map(|relation| relation.columns.iter().map(|column| &column.id)).collect();
        for (_, value) in items {
            let columns = value.expr.column_refs();
            let uses_rows = !columns.is_empty() && columns.iter().all(|column| known.contains(&&column.name));
            if uses_rows {
                let key = self.add_key(value.clone(), &mut grouping.keys)?;
                grouping.sets.push(key);
            } else if columns.iter().any(|column| known.contains(&&column.name)) {
                return Err(SqlError::unsupported("GROUP BY ALL with a column beside an aggregate in one expression")
                    .hint("write the keys out"));
            }
        }
        Ok(grouping)
    }

    fn finish_select(
        &mut self,
        select: &Select,
        plan: LogicalPlan,
        items: Vec<Item>,
        sorts: Vec<Option<(Typed, bool, bool)>>,
        order: &[sqlparser::ast::OrderByExpr],
    ) -> Result<Rel> {
        let (mode, distinct) = mode_of(select)?;
        let items = match mode {
            None => items,
            Some(ValueTableMode::AsStruct | ValueTableMode::DistinctAsStruct) => {
                vec![(String::new(), Self::make_struct(items)?)]
            }
            Some(_) => match items.len() {
                1 => items.into_iter().map(|(_, value)| (String::new(), value)).collect(),
                _ => return Err(SqlError::syntax("SELECT AS VALUE takes one expression")),
            },
        };
        let mut exprs = Vec::new();
        let mut columns = Vec::new();
        for (name, value) in &items {
            if distinct && !Self::groupable(&value.ty) {
                return Err(SqlError::unsupported(format!("SELECT DISTINCT of {} is not built", value.ty)));
            }
            let id = self.fresh(name);
            let shown = if distinct { Self::group_form(value.clone()) } else { value.clone() };
            exprs.push(shown.expr.alias(&id));
            columns.push(Column { name: name.clone(), id, ty: value.ty.clone() });
        }
        let mut keys = Vec::new();
        for (sort, item) in sorts.into_iter().zip(order) {
            keys.push(match sort {
                None => None,
                Some((key, asc, first)) => match items.iter().position(|(_, value)| value.expr == key.expr) {
                    Some(at) => Some((columns.get(at).map(|column| column_expr(&column.id)), asc, first)),
                    None if distinct => match Self::sorted_item(&items, &columns, &key) {
                        Some(expr) => Some((Some(expr), asc, first)),
                        None => {
                            return Err(SqlError::typed(
                                "with SELECT DISTINCT, ORDER BY can only name columns of the result",
                            )
                            .at(item.expr.span()));
                        }
                    },
                    None => {
                        let id = self.fresh("sort");
                        exprs.push(key.expr.alias(&id));
                        Some((Some(column_expr(&id)), asc, first))
                    }
                },
            });
        }
        let plan = LogicalPlanBuilder::from(plan).project(exprs)?;
        let plan = if distinct { plan.distinct()?.build()? } else { plan.build()? };
        Self::sort_selected(Rel { plan, columns }, keys, order)
    }

    /// A sort key over an item of the result, such as the FLOAT64 key of a column.
    fn sorted_item(items: &[Item], columns: &[Column], key: &Typed) -> Option<Expr> {
        let mut found = None;
        for ((_, value), column) in items.iter().zip(columns) {
            let sorted = Self::sort_key(value.clone()).ok()?;
            if sorted.expr == key.expr {
                found = Some(Self::sort_key(Typed::new(column_expr(&column.id), column.ty.clone())).ok()?.expr);
            }
        }
        found
    }

    fn sort_selected(
        rel: Rel,
        keys: Vec<Option<(Option<Expr>, bool, bool)>>,
        order: &[sqlparser::ast::OrderByExpr],
    ) -> Result<Rel> {
        if order.is_empty() {
            return Ok(rel);
        }
        let mut sorts = Vec::new();
        for (key, item) in keys.into_iter().zip(order) {
            let (asc, nulls_first) = super::order::direction(item)?;
            let expr = if let Some((Some(expr), _, _)) = key {
                expr
            } else {
                let at = ordinal(&item.expr).and_then(|at| at.checked_sub(1));
                let column = at.and_then(|at| rel.columns.get(at)).ok_or_else(|| {
                    SqlError::name("ORDER BY names a position that the result does not have").at(item.expr.span())
                })?;
                Self::sort_key(Typed::new(column_expr(&column.id), column.ty.clone()))?.expr
            };
            sorts.push(datafusion::logical_expr::expr::Sort::new(expr, asc, nulls_first));
        }
        Ok(Rel { plan: LogicalPlanBuilder::from(rel.plan).sort(sorts)?.build()?, columns: rel.columns })
    }
}

/// DISTINCT, AS STRUCT, AS VALUE.
fn mode_of(select: &Select) -> Result<(Option<ValueTableMode>, bool)> {
    let distinct = match &select.distinct {
        None | Some(Distinct::All) => false,
        Some(Distinct::Distinct) => true,
        Some(Distinct::On(_)) => {
            return Err(SqlError::unsupported("DISTINCT ON is not GoogleSQL")
                .hint("write QUALIFY ROW_NUMBER() OVER (PARTITION BY ... ORDER BY ...) = 1")
                .at(select.select_token.0.span));
        }
    };
    let distinct = distinct
        || matches!(select.value_table_mode, Some(ValueTableMode::DistinctAsStruct | ValueTableMode::DistinctAsValue));
    Ok((select.value_table_mode, distinct))
}

/// The names that the select list gives, without those it gives twice.
fn aliases_of(items: &[Item]) -> Vec<(String, Typed)> {
    let twice = |name: &str| items.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).count() > 1;
    items
        .iter()
        .filter(|(name, _)| !name.is_empty() && !twice(name))
        .map(|(name, value)| (name.clone(), Typed { lit: Lit::No, ..value.clone() }))
        .collect()
}

fn is_visible(scope: &Scope, name: &str) -> bool {
    !matches!(scope.find(name), Ok(None))
}

/// The name of a column that is not given one.
pub(super) fn implied_name(ast: &Ast) -> String {
    match ast {
        Ast::Identifier(ident) if ident.quote_style.is_some() || !ident.value.starts_with('@') => ident.value.clone(),
        Ast::CompoundIdentifier(path) => path.last().map_or(String::new(), |ident| ident.value.clone()),
        Ast::CompoundFieldAccess { access_chain, .. } => match access_chain.last() {
            Some(sqlparser::ast::AccessExpr::Dot(Ast::Identifier(field))) => field.value.clone(),
            _ => String::new(),
        },
        Ast::Nested(inner) => implied_name(inner),
        _ => String::new(),
    }
}

/// Replaces group keys by their columns in expressions above the grouping.
#[derive(Default)]
struct Regroup {
    keys: Vec<(Expr, String)>,
    /// Columns that the grouping leaves behind.
    gone: Vec<String>,
    /// Where columns are named.
    named: Vec<(String, Span)>,
    /// The SELECT, for columns that `*` names.
    all: Option<Span>,
}

impl Regroup {
    fn rewrite(&self, expr: Expr) -> Result<Expr> {
        let rewritten = self.replaced(expr)?;
        let used = rewritten.column_refs();
        let Some(id) = self.gone.iter().find(|id| used.iter().any(|column| column.name == **id)) else {
            return Ok(rewritten);
        };
        let place = self.named.iter().find(|(known, _)| known == id).map(|(_, span)| *span).or(self.all);
        let name = id.rsplit_once('#').map_or(id.as_str(), |(name, _)| name);
        let error = SqlError::name(format!("column \"{name}\" is neither grouped nor aggregated"))
            .hint(format!("add {name} to GROUP BY, or take one of its values with ANY_VALUE({name})"));
        Err(place.map_or_else(|| error.clone(), |place| error.clone().at(place)))
    }

    fn replaced(&self, expr: Expr) -> Result<Expr> {
        if self.keys.iter().all(|(key, id)| matches!(key, Expr::Column(column) if column.name == *id)) {
            return Ok(expr);
        }
        let rewritten = expr.transform_down(|part| {
            Ok(match self.keys.iter().find(|(key, _)| *key == part) {
                Some((_, id)) => Transformed::new(column_expr(id), true, TreeNodeRecursion::Jump),
                None => Transformed::no(part),
            })
        })?;
        Ok(rewritten.data)
    }
}

/// Groups a plan; its columns are then the keys and the aggregates.
pub(super) fn aggregate_plan(
    plan: LogicalPlan,
    grouping: Grouping,
    aggregates: Vec<(Expr, String)>,
) -> Result<LogicalPlan> {
    let computed = grouping.keys.iter().filter(|key| !matches!(key.expr, Expr::Column(_)));
    let plan = Planner::extend(plan, computed.map(|key| (key.expr.clone(), key.id.clone())).collect())?;
    let (plan, aggregates) = lifted(plan, aggregates)?;
    let keys: Vec<String> = grouping.keys.iter().map(|key| key.id.clone()).collect();
    let names: Vec<String> = aggregates.iter().map(|(_, id)| id.clone()).collect();
    let exprs: Vec<Expr> = aggregates.into_iter().map(|(expr, id)| expr.alias(id)).collect();
    if exprs.is_empty() && grouping.sets.is_empty() {
        // HAVING alone: one group of all rows.
        let count =
            datafusion::functions_aggregate::expr_fn::count(datafusion::logical_expr::lit(1_i64)).alias("_rows");
        return Ok(LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), vec![count])?.build()?);
    }
    let is_sets = grouping.sets.iter().any(|set| matches!(set, Expr::GroupingSet(_)));
    let plan = LogicalPlanBuilder::from(plan).aggregate(grouping.sets, exprs)?.build()?;
    if !is_sets {
        return Ok(plan);
    }
    // The id of the set is of no use above, and would be seen by rewrites that keep all columns.
    let kept: Vec<Expr> = keys.iter().chain(&names).map(|id| column_expr(id)).collect();
    Ok(LogicalPlanBuilder::from(plan).project(kept)?.build()?)
}

/// Takes subqueries out of aggregates' arguments: the engine knows them in projections and filters only.
fn lifted(plan: LogicalPlan, aggregates: Vec<(Expr, String)>) -> Result<(LogicalPlan, Vec<(Expr, String)>)> {
    let mut added = Vec::new();
    let mut kept = Vec::with_capacity(aggregates.len());
    for (aggregate, id) in aggregates {
        let changed = aggregate.transform_down(|part| {
            if !matches!(part, Expr::ScalarSubquery(_)) {
                return Ok(Transformed::no(part));
            }
            let name = format!("{id}.{}", added.len());
            let column = column_expr(&name);
            added.push((part, name));
            Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
        })?;
        kept.push((changed.data, id));
    }
    Ok((Planner::extend(plan, added)?, kept))
}

/// Adds the window calls' columns.
fn window_plan(plan: LogicalPlan, windows: Vec<(Expr, String)>, regroup: &Regroup) -> Result<LogicalPlan> {
    if windows.is_empty() {
        return Ok(plan);
    }
    let mut kept = super::scope::all_columns(&plan);
    let mut calls = Vec::new();
    for (call, id) in windows {
        let call = regroup.rewrite(call)?;
        kept.push(Expr::Column(datafusion::common::Column::new_unqualified(call.schema_name().to_string())).alias(id));
        if !calls.contains(&call) {
            calls.push(call);
        }
    }
    let plan = LogicalPlanBuilder::window_plan(plan, calls)?;
    Ok(LogicalPlanBuilder::from(plan).project(kept)?.build()?)
}

/// The scope of a finished result.
pub(super) fn result_scope(rel: &Rel, alias: Option<String>) -> Scope {
    Scope { relations: vec![Relation::new(alias, rel.columns.clone())] }
}
