//! FROM: tables, subqueries, joins, UNNEST.

use datafusion::{
    common::{Column as PlanColumn, NullHandling, UnnestOptions, tree_node::TreeNode as _},
    functions::expr_fn,
    logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder},
};
use sqlparser::ast::{
    Expr as Ast, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Spanned, TableAlias, TableFactor, TableVersion,
    TableWithJoins,
};

use super::{
    CteBody, Planner,
    coerce::array_kernel,
    expr::Cx,
    refuse,
    scope::{Column, Rel, Relation, Scope, Typed, all_columns, column_expr},
    select::result_scope,
};
use crate::{
    error::{Result, SqlError},
    functions::{
        array,
        cell::{Datetime, Instant, Kernel, kernel1, ok},
    },
    reads::{name_parts, name_span},
    types::SqlType,
};

/// A plan and the names it makes visible.
type Source = (LogicalPlan, Scope);

/// WITH OFFSET, and its alias.
#[derive(Clone, Copy)]
enum Offset<'a> {
    Absent,
    Unnamed,
    Named(&'a Ident),
}

/// An UNNEST in FROM.
struct Unnest<'a> {
    array: &'a Ast,
    alias: Option<&'a TableAlias>,
    offset: Offset<'a>,
}

/// The clock that an instant shows in UTC.
fn utc_datetime() -> Kernel {
    kernel1::<Instant, Datetime>(ok)
}

impl Planner<'_> {
    /// Plans FROM; without one, a single row.
    pub(super) fn from(&mut self, from: &[TableWithJoins]) -> Result<Source> {
        let mut source: Option<Source> = None;
        for item in from {
            source = Some(self.item(item, source)?);
        }
        match source {
            Some(source) => Ok(source),
            None => Ok((Self::one_row()?, Scope::default())),
        }
    }

    fn item(&mut self, item: &TableWithJoins, left: Option<Source>) -> Result<Source> {
        let mut source = match left {
            None => self.factor(&item.relation)?,
            Some(left) => {
                if let Some(unnest) = Self::lateral(&item.relation, &left.1)? {
                    self.unnest(left, &unnest, JoinType::Inner)?
                } else {
                    let right = self.factor(&item.relation)?;
                    Self::cross(left, right)?
                }
            }
        };
        for join in &item.joins {
            source = self.join(source, join).map_err(|error| error.at(join.relation.span()))?;
        }
        Ok(source)
    }

    /// One thing in FROM that does not depend on what stands before it.
    fn factor(&mut self, factor: &TableFactor) -> Result<Source> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                with_hints,
                version,
                with_ordinality: false,
                partitions,
                json_path: None,
                sample: None,
                index_hints,
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
                refuse::alias(alias.as_ref())?;
                if let Some(TableVersion::ForSystemTimeAsOf(_)) = version {
                    return Err(SqlError::unsupported("FOR SYSTEM_TIME AS OF is not built").at(factor.span()));
                }
                if version.is_some() {
                    return Err(
                        SqlError::unsupported("this form of a table's version is not GoogleSQL").at(factor.span())
                    );
                }
                self.table(name, alias.as_ref())
            }
            TableFactor::Table { sample: Some(_), .. } => Err(SqlError::unsupported("TABLESAMPLE is not built")
                .hint("write WHERE RAND() < 0.1")
                .at(factor.span())),
            TableFactor::Table { args: Some(_), name, .. } => {
                Err(SqlError::unsupported(format!("table function {name} is not built")).at(factor.span()))
            }
            TableFactor::Table { .. } => {
                Err(SqlError::unsupported("a hint, partition or ordinality behind a table is not GoogleSQL")
                    .at(factor.span()))
            }
            TableFactor::Derived { lateral: false, subquery, alias, sample: None } => {
                refuse::alias(alias.as_ref())?;
                let rel = Self::trimmed(self.query(subquery)?)?;
                Ok(Self::source(rel, alias.as_ref()))
            }
            TableFactor::UNNEST { .. } => {
                let row = (Self::one_row()?, Scope::default());
                match Self::lateral(factor, &row.1)? {
                    Some(unnest) => self.unnest(row, &unnest, JoinType::Inner),
                    None => Err(SqlError::unsupported("this UNNEST")),
                }
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => self.item(table_with_joins, None),
            TableFactor::Pivot { .. } | TableFactor::Unpivot { .. } => self.pivoted(factor),
            other => Err(SqlError::unsupported("this form of FROM is not GoogleSQL, or not built").at(other.span())),
        }
    }

    /// Plans what PIVOT and UNPIVOT work on.
    pub(super) fn plain_factor(&mut self, factor: &TableFactor) -> Result<Source> {
        self.factor(factor)
    }

    fn source(rel: Rel, alias: Option<&TableAlias>) -> Source {
        let scope = result_scope(&rel, alias.map(|alias| alias.name.value.clone()));
        (rel.plan, scope)
    }

    fn table(&mut self, name: &ObjectName, alias: Option<&TableAlias>) -> Result<Source> {
        let place = |error: SqlError| match name_span(name) {
            Some(span) => error.at(span),
            None => error,
        };
        let parts = name_parts(name).ok_or_else(|| SqlError::unsupported("this form of a table's name"))?;
        let alias_name = alias.map(|alias| alias.name.value.clone()).or_else(|| parts.last().cloned());
        if let [only] = parts.as_slice()
            && let Some(at) = self.ctes.iter().rposition(|cte| cte.name.eq_ignore_ascii_case(only))
        {
            let rel = self.cte_rel(at)?;
            let scope = result_scope(&rel, alias_name);
            return Ok((rel.plan, scope));
        }
        let source = self.tables.get(&parts).cloned().ok_or_else(|| place(SqlError::no_table(&parts)))?;
        let schema = source.schema();
        let plan = LogicalPlanBuilder::scan(parts.join("."), source, None)?.build()?;
        let mut exprs = Vec::new();
        let mut columns = Vec::new();
        for (field, column) in schema.fields().iter().zip(plan.schema().columns()) {
            let ty = SqlType::of_field(field, self.options).ok_or_else(|| {
                place(SqlError::typed(format!(
                    "column \"{}\" has type {}, which GoogleSQL does not have",
                    field.name(),
                    field.data_type()
                )))
            })?;
            let id = self.fresh(field.name());
            exprs.push(self.read_column(Expr::Column(column), field, &ty)?.alias(&id));
            columns.push(Column { name: field.name().clone(), id, ty });
        }
        let plan = LogicalPlanBuilder::from(plan).project(exprs)?.build()?;
        let scope = Scope { relations: vec![Relation::new(alias_name, columns)] };
        Ok((plan, scope))
    }

    /// A stored column as its GoogleSQL type lies in memory.
    fn read_column(&self, column: Expr, field: &arrow::datatypes::Field, ty: &SqlType) -> Result<Expr> {
        let wanted = ty.arrow();
        let stored = SqlType::of_arrow(field.data_type(), self.options);
        if *field.data_type() == wanted {
            return Ok(column);
        }
        match (&stored, ty) {
            // What Delta cannot say lies in text, or as UTC for a DATETIME.
            (Some(SqlType::String), SqlType::BigNumeric | SqlType::Time | SqlType::Interval) => {
                let text = Typed::new(datafusion::logical_expr::cast(column, SqlType::String.arrow()), SqlType::String);
                Ok(self.cast(text, ty, false)?.expr)
            }
            (Some(SqlType::Timestamp), SqlType::Datetime) => {
                let instant =
                    Typed::new(datafusion::logical_expr::cast(column, SqlType::Timestamp.arrow()), SqlType::Timestamp);
                Ok(Self::settled("utc_datetime".into(), vec![instant], SqlType::Datetime, utc_datetime(), false).expr)
            }
            (Some(SqlType::Array(from)), SqlType::Array(to)) => self.read_array(column, from, to),
            _ => Ok(datafusion::logical_expr::cast(column, wanted)),
        }
    }

    /// A stored array as its elements' GoogleSQL type lies in memory.
    fn read_array(&self, column: Expr, stored: &SqlType, element: &SqlType) -> Result<Expr> {
        let (from, to) = (SqlType::Array(Box::new(stored.clone())), SqlType::Array(Box::new(element.clone())));
        let plain = Typed::new(datafusion::logical_expr::cast(column, from.arrow()), from);
        match (stored, element) {
            (SqlType::String, SqlType::BigNumeric | SqlType::Time | SqlType::Interval) => {
                Ok(self.cast(plain, &to, false)?.expr)
            }
            (SqlType::Timestamp, SqlType::Datetime) => {
                let kernel = array_kernel(utc_datetime(), SqlType::Datetime.arrow());
                Ok(Self::settled("utc_datetimes".into(), vec![plain], to, kernel, false).expr)
            }
            _ => Ok(plain.expr),
        }
    }

    /// A CTE's rows, under names of their own.
    fn cte_rel(&mut self, at: usize) -> Result<Rel> {
        let Some(cte) = self.ctes.get(at) else { return Err(SqlError::name("no such WITH entry")) };
        let (plan, columns) = match &cte.body {
            CteBody::Planned(rel) => (rel.plan.clone(), rel.columns.clone()),
            CteBody::Round(source, columns) => {
                let name = columns.first().map_or("round", |column| column.id.as_str()).to_owned();
                (LogicalPlanBuilder::scan(name, std::sync::Arc::clone(source), None)?.build()?, columns.clone())
            }
        };
        let mut exprs = Vec::new();
        let mut renamed = Vec::new();
        for (column, field) in columns.into_iter().zip(plan.schema().columns()) {
            let id = self.fresh(&column.name);
            exprs.push(Expr::Column(field).alias(&id));
            renamed.push(Column { id, ..column });
        }
        Ok(Rel { plan: LogicalPlanBuilder::from(plan).project(exprs)?.build()?, columns: renamed })
    }

    fn cross(left: Source, right: Source) -> Result<Source> {
        let plan = LogicalPlanBuilder::from(left.0).cross_join(right.0)?.build()?;
        joined_scope(left.1, right.1).map(|scope| (plan, scope))
    }

    /// UNNEST and paths into arrays depend on what stands before them.
    fn lateral<'a>(factor: &'a TableFactor, scope: &Scope) -> Result<Option<Unnest<'a>>> {
        match factor {
            TableFactor::UNNEST { alias, array_exprs, with_offset, with_offset_alias, with_ordinality: false } => {
                refuse::alias(alias.as_ref())?;
                let [array] = array_exprs.as_slice() else {
                    return Err(SqlError::unsupported("UNNEST of several arrays is not built").at(factor.span()));
                };
                let offset = match (with_offset, with_offset_alias) {
                    (false, _) => Offset::Absent,
                    (true, None) => Offset::Unnamed,
                    (true, Some(name)) => Offset::Named(name),
                };
                Ok(Some(Unnest { array, alias: alias.as_ref(), offset }))
            }
            TableFactor::Table { name, args: None, .. } if name.0.len() > 1 => {
                let first = name_parts(name).and_then(|parts| parts.first().cloned()).unwrap_or_default();
                if scope.relation(&first).is_some() {
                    return Err(SqlError::unsupported("a path into an array in FROM is not built")
                        .hint(format!("write UNNEST({name})"))
                        .at(factor.span()));
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Joins each row to the elements of its array.
    fn unnest(&mut self, left: Source, unnest: &Unnest<'_>, join: JoinType) -> Result<Source> {
        let (plan, mut scope) = left;
        let mut cx = Cx::plain(scope.clone(), "UNNEST");
        let array = self.expr(unnest.array, &mut cx)?;
        if array.expr.contains_outer() {
            return Err(SqlError::unsupported("UNNEST of an array of the query around is not built")
                .hint("put UNNEST into the outer FROM, or use the ARRAY_ functions")
                .at(unnest.array.span()));
        }
        let SqlType::Array(element) = array.ty.clone() else {
            return Err(SqlError::typed(format!("UNNEST of {}", array.ty)).at(unnest.array.span()));
        };
        if join == JoinType::Inner && !scope.relations.is_empty() && stands_alone(&array.expr) {
            // Beside each row the array would be held once a row.
            let right = self.unnest((Self::one_row()?, Scope::default()), unnest, join)?;
            return Self::cross((plan, scope), right);
        }
        let pair = SqlType::Array(Box::new(SqlType::Struct(vec![
            ("value".into(), element.as_ref().clone()),
            ("offset".into(), SqlType::Int64),
        ])));
        let pairs =
            Self::settled("enumerate".into(), vec![array], pair, array::enumerate(element.as_ref().clone()), false);
        // A single row without a FROM has a column of its own, of use to nobody.
        let before = if scope.relations.is_empty() { Vec::new() } else { all_columns(&plan) };
        let id = self.fresh("unnest");
        let plan = Self::extend(plan, vec![(pairs.expr, id.clone())])?;
        let handling = if join == JoinType::Left { NullHandling::PreserveAndExpandEmpty } else { NullHandling::Drop };
        let options = UnnestOptions::new().with_null_handling(handling);
        let plan = LogicalPlanBuilder::from(plan)
            .unnest_columns_with_options(vec![PlanColumn::new_unqualified(&id)], options)?
            .build()?;
        let pair = SqlType::Struct(vec![("value".into(), element.as_ref().clone()), ("offset".into(), SqlType::Int64)]);
        let row = Typed::new(column_expr(&id), pair);
        let name = unnest.alias.map(|alias| alias.name.value.clone());
        let value = Column {
            name: name.clone().unwrap_or_default(),
            id: self.fresh(name.as_deref().unwrap_or("value")),
            ty: element.as_ref().clone(),
        };
        let mut exprs = before;
        exprs.push(Self::field_at(row.clone(), 0)?.expr.alias(&value.id));
        let mut relation = Relation::new(name, vec![value]);
        relation.value = true;
        scope.relations.push(relation);
        let offset = match unnest.offset {
            Offset::Absent => None,
            Offset::Unnamed => Some("offset".to_owned()),
            Offset::Named(ident) => Some(ident.value.clone()),
        };
        if let Some(name) = offset {
            let column = Column { name: name.clone(), id: self.fresh(&name), ty: SqlType::Int64 };
            exprs.push(Self::field_at(row, 1)?.expr.alias(&column.id));
            scope.relations.push(Relation::new(None, vec![column]));
        }
        let plan = LogicalPlanBuilder::from(plan).project(exprs)?.build()?;
        Ok((plan, scope))
    }

    /// The rows of UNPIVOT: what is kept, beside each element of an array of (value, name).
    pub(super) fn unpivoted(
        &mut self,
        plan: LogicalPlan,
        kept: Vec<super::stars::Item>,
        array: Typed,
        keep_nulls: bool,
    ) -> Result<Rel> {
        let SqlType::Array(element) = array.ty.clone() else { return Err(SqlError::typed("UNPIVOT of no array")) };
        let mut exprs = Vec::new();
        let mut columns = Vec::new();
        for (name, value) in kept {
            let id = self.fresh(&name);
            exprs.push(value.expr.alias(&id));
            columns.push(Column { name, id, ty: value.ty });
        }
        let id = self.fresh("unpivot");
        exprs.push(array.expr.alias(&id));
        let options = UnnestOptions::new().with_null_handling(NullHandling::Drop);
        let plan = LogicalPlanBuilder::from(plan)
            .project(exprs)?
            .unnest_columns_with_options(vec![PlanColumn::new_unqualified(&id)], options)?
            .build()?;
        let row = Typed::new(column_expr(&id), element.as_ref().clone());
        let SqlType::Struct(fields) = element.as_ref() else { return Err(SqlError::typed("UNPIVOT of no pairs")) };
        let mut exprs: Vec<Expr> = columns.iter().map(|column| column_expr(&column.id)).collect();
        for (at, (name, ty)) in fields.iter().enumerate() {
            let id = self.fresh(name);
            exprs.push(Self::field_at(row.clone(), at)?.expr.alias(&id));
            columns.push(Column { name: name.clone(), id, ty: ty.clone() });
        }
        let mut plan = LogicalPlanBuilder::from(plan).project(exprs)?;
        if let Some(value) = columns.get(columns.len().saturating_sub(2)).filter(|_| !keep_nulls) {
            plan = plan.filter(column_expr(&value.id).is_not_null())?;
        }
        Ok(Rel { plan: plan.build()?, columns })
    }

    pub(super) fn join(&mut self, left: Source, join: &Join) -> Result<Source> {
        if join.global {
            return Err(SqlError::unsupported("GLOBAL JOIN is not GoogleSQL"));
        }
        let (kind, constraint) = match &join.join_operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (JoinType::Inner, constraint),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (JoinType::Left, constraint),
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => (JoinType::Right, constraint),
            JoinOperator::FullOuter(constraint) => (JoinType::Full, constraint),
            JoinOperator::CrossJoin(JoinConstraint::None) => return self.cross_or_unnest(left, &join.relation),
            _ => {
                return Err(SqlError::unsupported("this kind of JOIN is not GoogleSQL")
                    .hint("write INNER, LEFT, RIGHT, FULL or CROSS JOIN; EXISTS for a semi-join"));
            }
        };
        if let Some(unnest) = Self::lateral(&join.relation, &left.1)? {
            return self.join_unnest(left, &unnest, kind, constraint);
        }
        let right = self.factor(&join.relation)?;
        match constraint {
            JoinConstraint::On(on) => {
                let scope = joined_scope(left.1, right.1)?;
                let mut cx = Cx::plain(scope.clone(), "ON");
                let on = self.condition(on, &mut cx)?;
                let plan = LogicalPlanBuilder::from(left.0).join_on(right.0, kind, [on])?.build()?;
                Ok((plan, scope))
            }
            JoinConstraint::Using(names) => self.join_using(left, right, kind, names),
            JoinConstraint::None => {
                Err(SqlError::syntax("JOIN needs ON or USING").hint("write CROSS JOIN for all pairs"))
            }
            JoinConstraint::Natural => {
                Err(SqlError::unsupported("NATURAL JOIN is not GoogleSQL").hint("write USING (...)"))
            }
        }
    }

    fn cross_or_unnest(&mut self, left: Source, relation: &TableFactor) -> Result<Source> {
        if let Some(unnest) = Self::lateral(relation, &left.1)? {
            self.unnest(left, &unnest, JoinType::Inner)
        } else {
            let right = self.factor(relation)?;
            Self::cross(left, right)
        }
    }

    fn join_unnest(
        &mut self,
        left: Source,
        unnest: &Unnest<'_>,
        kind: JoinType,
        constraint: &JoinConstraint,
    ) -> Result<Source> {
        let is_true =
            |ast: &Ast| matches!(ast, Ast::Value(value) if value.value == sqlparser::ast::Value::Boolean(true));
        match (kind, constraint) {
            (JoinType::Inner | JoinType::Left, JoinConstraint::None) => self.unnest(left, unnest, kind),
            (JoinType::Inner, JoinConstraint::On(on)) => {
                let (plan, scope) = self.unnest(left, unnest, kind)?;
                let plan = self.filter(plan, &scope, on, "ON")?;
                Ok((plan, scope))
            }
            (JoinType::Left, JoinConstraint::On(on)) if is_true(on) => self.unnest(left, unnest, kind),
            _ => Err(SqlError::unsupported("this join with UNNEST is not built")
                .hint("write CROSS JOIN UNNEST(...), or LEFT JOIN UNNEST(...) ON TRUE")),
        }
    }

    /// USING: one column for each name, before all others.
    fn join_using(&mut self, left: Source, right: Source, kind: JoinType, names: &[ObjectName]) -> Result<Source> {
        let (left_plan, mut left_scope) = left;
        let (right_plan, mut right_scope) = right;
        let mut conditions = Vec::new();
        let mut merged = Vec::new();
        for name in names {
            let name = name_parts(name)
                .and_then(|mut parts| if parts.len() == 1 { parts.pop() } else { None })
                .ok_or_else(|| SqlError::syntax("USING takes plain column names"))?;
            let left = take_column(&mut left_scope, &name)?;
            let right = take_column(&mut right_scope, &name)?;
            let (a, b) = (Typed::new(column_expr(&left.id), left.ty), Typed::new(column_expr(&right.id), right.ty));
            conditions.push(self.compare(super::compare::Comparison::Eq, a.clone(), b.clone())?.expr);
            let (mut sides, ty) = self.unify(vec![a, b])?;
            let (Some(b), Some(a)) = (sides.pop(), sides.pop()) else {
                return Err(SqlError::typed("USING of nothing"));
            };
            let value = match kind {
                JoinType::Right => b.expr,
                JoinType::Full => expr_fn::coalesce(vec![a.expr, b.expr]),
                _ => a.expr,
            };
            let id = self.fresh(&name);
            merged.push((value, Column { name, id, ty }));
        }
        let plan = LogicalPlanBuilder::from(left_plan).join_on(right_plan, kind, conditions)?.build()?;
        let plan =
            Self::extend(plan, merged.iter().map(|(value, column)| (value.clone(), column.id.clone())).collect())?;
        let mut scope =
            Scope { relations: vec![Relation::new(None, merged.into_iter().map(|(_, column)| column).collect())] };
        scope.relations.extend(left_scope.relations);
        scope.relations.extend(right_scope.relations);
        Ok((plan, scope))
    }
}

/// Hides a column that USING merges, wherever it is.
fn take_column(scope: &mut Scope, name: &str) -> Result<Column> {
    let mut found = None;
    for relation in scope.relations.iter_mut().filter(|relation| !relation.value) {
        for (column, merged) in relation.columns.iter().zip(relation.merged.iter_mut()) {
            if !*merged && column.name.eq_ignore_ascii_case(name) {
                if found.is_some() {
                    return Err(SqlError::name(format!("column \"{name}\" of USING is ambiguous")));
                }
                *merged = true;
                found = Some(column.clone());
            }
        }
    }
    found.ok_or_else(|| SqlError::name(format!("column \"{name}\" of USING does not exist on both sides")))
}

fn joined_scope(left: Scope, right: Scope) -> Result<Scope> {
    let mut relations = left.relations;
    for relation in &right.relations {
        if let Some(alias) = &relation.alias
            && relations
                .iter()
                .any(|other| other.alias.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(alias)))
        {
            return Err(SqlError::name(format!("two tables in FROM are named \"{alias}\""))
                .hint("give one of them an alias with AS"));
        }
    }
    relations.extend(right.relations);
    Ok(Scope { relations })
}

/// Whether an expression has one value, whatever row it stands beside.
fn stands_alone(expr: &Expr) -> bool {
    let is_query = |part: &Expr| matches!(part, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_));
    let queries = expr.exists(|part| Ok(is_query(part))).unwrap_or(true);
    !queries && expr.column_refs().is_empty() && !expr.is_volatile()
}
