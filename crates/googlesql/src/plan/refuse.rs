//! Parts of the syntax tree that are not GoogleSQL, or not built: each is an error, so that none is ignored.

use sqlparser::ast::{BinaryOperator, Cte, Expr as Ast, Query, Select, SelectFlavor, SetExpr, Spanned, TableAlias};

use crate::{
    dialect::{backticks, is_name},
    error::{Result, SqlError},
};

fn when(found: bool, what: &str, hint: &str) -> Result<()> {
    if !found {
        return Ok(());
    }
    let error = SqlError::unsupported(format!("{what} is not GoogleSQL"));
    Err(if hint.is_empty() { error } else { error.hint(hint) })
}

/// Clauses of a query that GoogleSQL does not have.
pub(super) fn query(query: &Query) -> Result<()> {
    let check = || {
        when(query.fetch.is_some(), "FETCH", "write LIMIT")?;
        when(!query.locks.is_empty(), "FOR UPDATE", "")?;
        when(query.for_clause.is_some(), "FOR", "")?;
        when(query.settings.is_some(), "SETTINGS", "")?;
        when(query.format_clause.is_some(), "FORMAT", "")
    };
    check().map_err(|error| error.at(query.span()))
}

/// Clauses of a SELECT that GoogleSQL does not have.
pub(super) fn select(select: &Select) -> Result<()> {
    let check = || {
        when(!select.optimizer_hints.is_empty(), "an optimizer hint", "")?;
        when(select.select_modifiers.is_some(), "a modifier of SELECT", "")?;
        when(select.top.is_some(), "TOP", "write LIMIT")?;
        when(select.exclude.is_some(), "EXCLUDE", "write * EXCEPT (...)")?;
        when(select.into.is_some(), "SELECT INTO", "write CREATE TABLE ... AS SELECT")?;
        when(!select.lateral_views.is_empty(), "LATERAL VIEW", "write CROSS JOIN UNNEST(...)")?;
        when(select.prewhere.is_some(), "PREWHERE", "write WHERE")?;
        when(!select.connect_by.is_empty(), "CONNECT BY", "write WITH RECURSIVE")?;
        when(!select.cluster_by.is_empty(), "CLUSTER BY", "")?;
        when(!select.distribute_by.is_empty(), "DISTRIBUTE BY", "")?;
        when(!select.sort_by.is_empty(), "SORT BY", "write ORDER BY")?;
        when(select.flavor == SelectFlavor::FromFirst, "FROM before SELECT", "write |> SELECT")
    };
    check().map_err(|error| error.at(select.select_token.0.span))
}

/// Parts of a CTE that GoogleSQL does not have.
pub(super) fn cte(cte: &Cte) -> Result<()> {
    let check = || {
        when(cte.from.is_some(), "FROM behind a WITH entry", "")?;
        when(cte.materialized.is_some(), "MATERIALIZED", "")?;
        when(
            !cte.alias.columns.is_empty(),
            "a list of column names behind a WITH entry",
            "name the columns in its SELECT",
        )
    };
    check().map_err(|error| error.at(cte.alias.name.span))
}

/// Column lists and the like behind an alias.
pub(super) fn alias(alias: Option<&TableAlias>) -> Result<()> {
    let Some(alias) = alias else { return Ok(()) };
    if !is_name(&alias.name) {
        return Err(SqlError::syntax(format!("{} is not a name", alias.name))
            .hint(backticks(&alias.name))
            .at(alias.name.span));
    }
    when(!alias.columns.is_empty(), "a list of column names behind an alias", "name the columns in the subquery")
        .and_then(|()| when(alias.at.is_some(), "AT behind an alias", ""))
        .map_err(|error| error.at(alias.name.span))
}

/// A body that is not SELECT, a query in brackets, or a set operation.
pub(super) fn set_expression(body: &SetExpr) -> SqlError {
    let (what, hint) = match body {
        SetExpr::Values(_) => ("VALUES as a query", "write SELECT * FROM UNNEST([STRUCT(1 AS a), ...])"),
        SetExpr::Table(_) => ("TABLE as a query", "write SELECT * FROM ..."),
        _ => ("a statement that writes, inside a query,", ""),
    };
    let error = SqlError::unsupported(format!("{what} is not GoogleSQL")).at(body.span());
    if hint.is_empty() { error } else { error.hint(hint) }
}

/// An operator that GoogleSQL does not have.
pub(super) fn operator(op: &BinaryOperator) -> SqlError {
    let hint = match op {
        BinaryOperator::Modulo => "write MOD(a, b)",
        BinaryOperator::Xor => "write a != b",
        BinaryOperator::Spaceship => "write IS NOT DISTINCT FROM",
        BinaryOperator::DuckIntegerDivide | BinaryOperator::MyIntegerDivide => "write DIV(a, b)",
        BinaryOperator::PGRegexMatch | BinaryOperator::Regexp | BinaryOperator::PGRegexIMatch => {
            "write REGEXP_CONTAINS(a, r'...')"
        }
        BinaryOperator::Arrow | BinaryOperator::LongArrow => "write JSON_VALUE(a, '$.key')",
        _ => return SqlError::unsupported(format!("operator {op} is not GoogleSQL")),
    };
    SqlError::unsupported(format!("operator {op} is not GoogleSQL")).hint(hint)
}

/// An expression that GoogleSQL does not have, or that is not built.
pub(super) fn expression(ast: &Ast) -> SqlError {
    let (what, hint) = match ast {
        Ast::ILike { .. } => ("ILIKE", "write LOWER(a) LIKE ..."),
        Ast::SimilarTo { .. } | Ast::RLike { .. } => ("SIMILAR TO or RLIKE", "write REGEXP_CONTAINS(a, r'...')"),
        Ast::Like { escape_char: Some(_), .. } => ("LIKE with ESCAPE", "write a backslash before % or _"),
        Ast::Like { .. } => ("LIKE ANY", "write several LIKE with OR"),
        Ast::AnyOp { .. } | Ast::AllOp { .. } => ("a comparison with ANY or ALL", "write IN UNNEST(array), or EXISTS"),
        Ast::Convert { .. } => ("CONVERT", "write CAST(a AS type)"),
        Ast::Cast { .. } => ("this form of CAST", "write CAST(a AS type)"),
        Ast::AtTimeZone { .. } => ("AT TIME ZONE outside EXTRACT", "write DATETIME(ts, 'Asia/Seoul')"),
        Ast::Position { .. } => ("POSITION", "write STRPOS(a, b)"),
        Ast::Substring { .. } => ("SUBSTRING with FROM", "write SUBSTR(a, 1, 2)"),
        Ast::Overlay { .. } => ("OVERLAY", "write CONCAT(SUBSTR(...), ...)"),
        Ast::Trim { .. } => ("TRIM with FROM", "write TRIM(a, 'xyz')"),
        Ast::Ceil { .. } | Ast::Floor { .. } => ("CEIL or FLOOR to a unit", "write DATE_TRUNC(...)"),
        Ast::Collate { .. } => ("COLLATE", ""),
        Ast::JsonAccess { .. } => ("this path", "write x.field or JSON_VALUE(x, '$.field')"),
        Ast::Lambda(_) => ("a lambda", ""),
        Ast::Dictionary(_) | Ast::Map(_) => ("a map", "write STRUCT(...) or JSON '{...}'"),
        Ast::Prefixed { .. } => ("a prefix before a literal", ""),
        Ast::GroupingSets(_) | Ast::Cube(_) | Ast::Rollup(_) => ("ROLLUP, CUBE or GROUPING SETS outside GROUP BY", ""),
        Ast::Wildcard(_) | Ast::QualifiedWildcard(..) => ("* here", ""),
        Ast::Named { .. } => ("AS inside an expression", "only STRUCT(... AS name) has it"),
        _ => ("this expression", ""),
    };
    let error = SqlError::unsupported(format!("{what} is not supported"));
    if hint.is_empty() { error } else { error.hint(hint) }
}
