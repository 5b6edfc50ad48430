//! What a name or a dotted path means.

use sqlparser::ast::{AccessExpr, Expr as Ast, Ident, Subscript};

use super::{
    Planner,
    expr::Cx,
    scope::{Column, Found, Relation, Scope, Typed, column_expr, outer_expr},
};
use crate::{
    error::{Result, SqlError},
    types::SqlType,
};

/// Where a name was found: here, or in the query around.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Here,
    Around,
}

fn reference(column: &Column, level: Level) -> Typed {
    let expr = if level == Level::Here { column_expr(&column.id) } else { outer_expr(column) };
    Typed::new(expr, column.ty.clone())
}

impl Planner<'_> {
    pub(super) fn name(&mut self, path: &[Ident], cx: &Cx) -> Result<Typed> {
        let Some((first, rest)) = path.split_first() else { return Err(SqlError::syntax("empty name")) };
        if first.quote_style.is_none()
            && let Some(parameter) = first.value.strip_prefix('@')
        {
            return self.variable(parameter, rest);
        }
        let rest: Vec<&str> = rest.iter().map(|ident| ident.value.as_str()).collect();
        if let Some((_, typed)) = cx.aliases.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(&first.value)) {
            return self.fields(typed.clone(), &rest);
        }
        let outer: Vec<(Scope, Level)> =
            self.outer.last().cloned().map(|scope| (scope, Level::Around)).into_iter().collect();
        for (scope, level) in std::iter::once((cx.scope.clone(), Level::Here)).chain(outer) {
            if let Some(found) = self.find_path(&scope, level, &first.value, &rest)? {
                return Ok(found);
            }
        }
        let levels = self.outer.len();
        for scope in self.outer.iter().take(levels.saturating_sub(1)) {
            if scope.find(&first.value)?.is_some() {
                return Err(SqlError::unsupported(format!(
                    "\"{}\" belongs to a query two levels up, which is not built",
                    first.value
                )));
            }
        }
        Err(unknown(&first.value, &cx.scope).at(first.span))
    }

    fn variable(&self, name: &str, rest: &[Ident]) -> Result<Typed> {
        if name.eq_ignore_ascii_case("@time_zone") {
            return Ok(Typed::text(&self.options.time_zone));
        }
        if name.starts_with('@') || !rest.is_empty() {
            return Err(SqlError::unsupported(format!("system variable @{name} is not built")));
        }
        self.named_parameter(name)
    }

    fn find_path(&self, scope: &Scope, level: Level, first: &str, rest: &[&str]) -> Result<Option<Typed>> {
        if let (Some(relation), Some((column, fields))) = (scope.relation(first), rest.split_first()) {
            let base = match relation.columns.first().filter(|_| relation.value) {
                Some(value) => return self.fields(reference(value, level), rest).map(Some),
                None => relation_column(relation, column)?,
            };
            return self.fields(reference(&base, level), fields).map(Some);
        }
        let base = match scope.find(first)? {
            None => return Ok(None),
            Some(Found::Column(column)) => reference(&column, level),
            Some(Found::Field(column, at)) => Self::field_at(reference(&column, level), at)?,
            Some(Found::Row(relation)) => Self::row_of(&relation, level)?,
        };
        self.fields(base, rest).map(Some)
    }

    /// A relation used as a value is the STRUCT of its columns.
    fn row_of(relation: &Relation, level: Level) -> Result<Typed> {
        let fields = relation.columns.iter().map(|column| (column.name.clone(), reference(column, level))).collect();
        Self::make_struct(fields)
    }

    fn fields(&self, base: Typed, path: &[&str]) -> Result<Typed> {
        path.iter().try_fold(base, |value, field| self.field(value, field))
    }

    /// `x.a[OFFSET(0)].b`.
    pub(super) fn access(&mut self, root: &Ast, chain: &[AccessExpr], cx: &mut Cx) -> Result<Typed> {
        let mut value = self.expr(root, cx)?;
        for step in chain {
            value = match step {
                AccessExpr::Dot(Ast::Identifier(field)) => {
                    self.field(value, &field.value).map_err(|error| error.at(field.span))?
                }
                AccessExpr::Subscript(Subscript::Index { index }) => self.subscript(value, index, cx)?,
                _ => {
                    return Err(SqlError::unsupported("this form of access is not GoogleSQL")
                        .hint("write x[OFFSET(0)] or x.field"));
                }
            };
        }
        Ok(value)
    }

    /// One field of a STRUCT, or one member of a JSON object.
    pub(super) fn field(&self, value: Typed, name: &str) -> Result<Typed> {
        match &value.ty {
            SqlType::Struct(fields) => {
                let mut at = fields
                    .iter()
                    .enumerate()
                    .filter(|(_, (field, _))| field.eq_ignore_ascii_case(name))
                    .map(|(at, _)| at);
                match (at.next(), at.next()) {
                    (Some(at), None) => Self::field_at(value, at),
                    (Some(_), Some(_)) => Err(SqlError::name(format!("field \"{name}\" is ambiguous"))),
                    _ => Err(SqlError::name(format!("{} has no field \"{name}\"", value.ty))),
                }
            }
            SqlType::Json => self.call_form(
                "_json_member",
                "",
                crate::functions::TABLE.forms("_json_member"),
                vec![value, Typed::text(name)],
                false,
            ),
            other => Err(SqlError::typed(format!("{other} has no fields"))),
        }
    }
}

fn relation_column(relation: &Relation, name: &str) -> Result<Column> {
    let mut found = relation.columns.iter().filter(|column| column.name.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (Some(column), None) => Ok(column.clone()),
        (Some(_), Some(_)) => Err(SqlError::name(format!("column \"{name}\" is ambiguous"))),
        _ => {
            let scope = Scope { relations: vec![relation.clone()] };
            Err(unknown(name, &scope))
        }
    }
}

fn unknown(name: &str, scope: &Scope) -> SqlError {
    let error = SqlError::name(format!("column \"{name}\" does not exist here"));
    let lower = name.to_lowercase();
    let nearest = scope
        .names()
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&known.to_lowercase(), &lower), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match nearest {
        Some((_, known)) => error.hint(format!("did you mean \"{known}\"?")),
        None => error,
    }
}
