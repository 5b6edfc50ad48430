//! Catalog queries as the engine can plan them.
//!
//! Owns: one pass over a parsed statement. Functions that have one answer here become that answer; casts to
//! PostgreSQL's own types, `OPERATOR(…)`, `COLLATE` and `= ANY(…)` become what the engine knows; scalar subqueries of
//! relations that never have rows become NULL. Never touches a query of user tables.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query,
    Select, SelectItem, SetExpr, Statement, TableFactor, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::{
    Facts,
    relations::{Relations, is_empty_relation},
};

/// What was learnt on the way.
pub struct Rewritten {
    /// Whether a relation that never has rows is read.
    pub asks_empty: bool,
    /// Names of the outermost result columns.
    pub names: Vec<String>,
}

/// Rewrites a statement in place.
pub fn rewrite(statement: &mut Statement, tables: &Relations, facts: &Facts) -> Rewritten {
    let mut seen = EmptyRelations { found: false };
    let _ = Visit::visit(statement, &mut seen);
    name_columns(statement);
    let mut pass = Pass { tables, facts };
    let _ = VisitMut::visit(statement, &mut pass);
    Rewritten { asks_empty: seen.found, names: names(statement) }
}

/// Stands behind the name of a column that `*` may bring once more; taken off again in the answer.
pub const BESIDE_STAR: char = '\u{1}';

struct EmptyRelations {
    found: bool,
}

impl Visitor for EmptyRelations {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        self.found |= reads_empty(factor);
        ControlFlow::Continue(())
    }
}

fn reads_empty(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Table { name, .. } => {
            name.0.last().and_then(|part| part.as_ident()).is_some_and(|ident| is_empty_relation(&ident.value))
        }
        _ => false,
    }
}

fn select_of(statement: &mut Statement) -> Option<&mut Select> {
    let Statement::Query(query) = statement else { return None };
    let mut body = query.body.as_mut();
    loop {
        match body {
            SetExpr::Select(select) => return Some(select),
            SetExpr::SetOperation { left, .. } => body = left.as_mut(),
            _ => return None,
        }
    }
}

/// Gives unnamed result columns the names that PostgreSQL gives them, and a second one of a name a number.
fn name_columns(statement: &mut Statement) {
    let Some(select) = select_of(statement) else { return };
    let is_star = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    let stars = select.projection.iter().any(is_star);
    let mut taken: Vec<String> = Vec::new();
    for item in &mut select.projection {
        let (name, unnamed) = match &*item {
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) => (ident.value.clone(), false),
            SelectItem::UnnamedExpr(expr) => (column_name(expr), true),
            SelectItem::ExprWithAlias { alias, .. } => (alias.value.clone(), false),
            _ => continue,
        };
        let mut unique = name.clone();
        let mut number = 1;
        while taken.contains(&unique) {
            number += 1;
            unique = format!("{name}_{number}");
        }
        // `SELECT t.oid, t.*` is fine in PostgreSQL and two columns of one name to the engine.
        let shown = if stars { format!("{unique}{BESIDE_STAR}") } else { unique.clone() };
        if (unnamed || shown != name)
            && let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
        {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', &shown) };
        }
        taken.push(unique);
    }
}

fn column_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => ident.value.clone(),
        Expr::CompoundIdentifier(parts) => parts.last().map_or_else(String::new, |part| part.value.clone()),
        Expr::Function(function) => last_name(function),
        Expr::Cast { expr, data_type, .. } => match column_name(expr) {
            name if name == "?column?" => data_type.to_string().to_lowercase(),
            name => name,
        },
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => column_name(inner),
        Expr::Case { .. } => "case".to_owned(),
        Expr::Exists { .. } => "exists".to_owned(),
        Expr::Value(value) if matches!(value.value, Value::Boolean(_)) => "bool".to_owned(),
        _ => "?column?".to_owned(),
    }
}

fn last_name(function: &Function) -> String {
    let last = function.name.0.last().and_then(|part| part.as_ident());
    last.map_or_else(String::new, |ident| ident.value.to_lowercase())
}

fn names(statement: &mut Statement) -> Vec<String> {
    let Some(select) = select_of(statement) else { return Vec::new() };
    let named = select.projection.iter().map(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => alias.value.trim_end_matches(BESIDE_STAR).to_owned(),
        SelectItem::UnnamedExpr(expr) => column_name(expr),
        _ => "?column?".to_owned(),
    });
    named.collect()
}

struct Pass<'a> {
    tables: &'a Relations,
    facts: &'a Facts,
}

impl VisitorMut for Pass<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(other) = self.instead(expr) {
            *expr = other;
        }
        ControlFlow::Continue(())
    }
}

fn text(value: impl Into<String>) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.into()).with_empty_span())
}

fn number(value: i64) -> Expr {
    Expr::Value(Value::Number(value.to_string(), false).with_empty_span())
}

fn flag(value: bool) -> Expr {
    Expr::Value(Value::Boolean(value).with_empty_span())
}

fn cast(expr: Expr, to: DataType) -> Expr {
    Expr::Cast { kind: ast::CastKind::Cast, expr: Box::new(expr), data_type: to, array: false, format: None }
}

fn null_text() -> Expr {
    cast(Expr::Value(Value::Null.with_empty_span()), DataType::Text)
}

fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let mut function = Function {
        name: ast::ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::None,
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    };
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    function.args =
        FunctionArguments::List(ast::FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() });
    Expr::Function(function)
}

fn arguments(function: &Function) -> Vec<Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let plain = list.args.iter().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    plain.collect()
}

fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
            _ => None,
        },
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => literal(inner),
        _ => None,
    }
}

impl Pass<'_> {
    /// What stands for an expression whose parts are rewritten already; `None` to keep it.
    fn instead(&self, expr: &mut Expr) -> Option<Expr> {
        match expr {
            Expr::Collate { expr, .. } => Some(expr.as_ref().clone()),
            Expr::BinaryOp { op, .. } => {
                if let BinaryOperator::PGCustomBinaryOperator(parts) = op {
                    *op = plain_operator(parts.last().map_or("", String::as_str))?;
                }
                None
            }
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                // The engine knows only the backslash as escape.
                if let Some(escape) = escape_char.take() {
                    let escape = escape.to_string();
                    let plain = text(escape.trim_matches('\''));
                    **pattern = call("replace", vec![pattern.as_ref().clone(), plain, text("\\")]);
                }
                None
            }
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => {
                Some(call("array_has", vec![right.as_ref().clone(), left.as_ref().clone()]))
            }
            Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => Some(Expr::UnaryOp {
                op: ast::UnaryOperator::Not,
                expr: Box::new(call("array_has", vec![right.as_ref().clone(), left.as_ref().clone()])),
            }),
            Expr::Cast { expr, data_type, .. } => self.cast(expr, data_type),
            Expr::Subquery(query) => subquery(query),
            Expr::Function(function) => self.function(function),
            Expr::Identifier(ident) if ident.quote_style.is_none() => self.word(&ident.value),
            Expr::Value(value) => match &value.value {
                Value::EscapedStringLiteral(inner) => Some(text(inner.clone())),
                _ => None,
            },
            _ => None,
        }
    }

    fn cast(&self, expr: &Expr, to: &DataType) -> Option<Expr> {
        let name = to.to_string().to_lowercase();
        let name = name.strip_prefix("pg_catalog.").unwrap_or(&name).trim_matches('"');
        match name {
            "regclass" | "oid" | "regtype" | "regproc" | "regnamespace" | "regrole" => match literal(expr) {
                Some(digits) if digits.parse::<i64>().is_ok() => Some(number(digits.parse().ok()?)),
                Some(relation) if name == "regclass" => Some(number(self.tables.find(relation).unwrap_or(0))),
                Some(function) if name == "regproc" => Some(text(function.rsplit('.').next().unwrap_or(function))),
                Some(_) => Some(number(0)),
                None if name == "regtype" => Some(call("format_type", vec![expr.clone(), number(-1)])),
                None => Some(expr.clone()),
            },
            "name"
            | "text"
            | "char"
            | "character varying"
            | "varchar"
            | "regexp"
            | "information_schema.sql_identifier"
            | "information_schema.character_data" => Some(cast(expr.clone(), DataType::Varchar(None))),
            "int2" | "int4" | "int8" | "xid" | "information_schema.cardinal_number" => {
                Some(cast(expr.clone(), DataType::BigInt(None)))
            }
            "text[]" | "name[]" | "char[]" | "aclitem[]" | "json" | "jsonb" => Some(expr.clone()),
            _ => None,
        }
    }

    /// A relation given by its number, or by its name.
    fn oid(&self, expr: &Expr) -> Expr {
        match literal(expr) {
            Some(name) if name.parse::<i64>().is_err() => self.tables.find(name).map_or_else(null_number, number),
            _ => cast(expr.clone(), DataType::BigInt(None)),
        }
    }

    fn word(&self, word: &str) -> Option<Expr> {
        match word.to_ascii_lowercase().as_str() {
            "current_user" | "session_user" | "current_role" | "user" => Some(text(&self.facts.user)),
            "current_catalog" => Some(text(&self.tables.project)),
            "current_schema" => Some(text(&self.tables.current_schema)),
            _ => None,
        }
    }

    fn function(&self, function: &Function) -> Option<Expr> {
        let name = last_name(function);
        let given = arguments(function);
        let first = given.first();
        let same_for_everyone = constant(&name);
        if same_for_everyone.is_some() {
            return same_for_everyone;
        }
        Some(match name.as_str() {
            "version" => text(format!("PostgreSQL {} on naru, 64-bit", self.facts.version)),
            "current_database" | "current_catalog" => text(&self.tables.project),
            "current_schema" => text(&self.tables.current_schema),
            "current_user" | "session_user" | "current_role" | "user" => text(&self.facts.user),
            "current_schemas" => Expr::Array(ast::Array {
                elem: self.tables.schema_names().into_iter().map(text).collect(),
                named: true,
            }),
            "to_regclass" => match first.and_then(literal).and_then(|relation| self.tables.find(relation)) {
                Some(oid) => number(oid),
                None => null_number(),
            },
            "pg_relation_size" | "pg_table_size" | "pg_total_relation_size" => {
                call("pg_total_relation_size", vec![self.oid(first?)])
            }
            "pg_database_size" | "pg_tablespace_size" => number(self.tables.bytes()),
            "pg_size_pretty" => call("pg_size_pretty", vec![cast(first?.clone(), DataType::BigInt(None))]),
            "has_schema_privilege"
            | "has_table_privilege"
            | "has_database_privilege"
            | "has_column_privilege"
            | "has_any_column_privilege" => flag(given.last().and_then(literal).is_none_or(may)),
            "quote_ident" => first?.clone(),
            "set_config" => given.get(1)?.clone(),
            "current_setting" => match first.and_then(literal) {
                Some("server_version_num") => text("150000"),
                Some("server_version") => text(&self.facts.version),
                _ => text(""),
            },
            // Options and access lists, of which there are none.
            "array_to_string" if !matches!(first, Some(Expr::Array(_))) => null_text(),
            _ if function.name.0.len() > 1 => {
                let mut plain = function.clone();
                plain.name = ast::ObjectName::from(vec![Ident::new(name)]);
                Expr::Function(plain)
            }
            _ => return None,
        })
    }
}

/// Whether one of some privileges is given to whoever sees a table: reading is, nothing else.
fn may(privileges: &str) -> bool {
    let given = ["select", "usage", "connect"];
    privileges.split(',').any(|one| given.iter().any(|known| one.trim().eq_ignore_ascii_case(known)))
}

fn null_number() -> Expr {
    cast(Expr::Value(Value::Null.with_empty_span()), DataType::BigInt(None))
}

/// The answer of a function that says the same to everyone here.
fn constant(name: &str) -> Option<Expr> {
    Some(match name {
        "pg_get_userbyid" => text("naru"),
        "pg_encoding_to_char" => text("UTF8"),
        "pg_backend_pid" | "txid_current" | "pg_my_temp_schema" | "pg_indexes_size" | "inet_server_port" => number(0),
        "pg_is_in_recovery" | "pg_is_other_temp_schema" | "pg_relation_is_publishable" => flag(false),
        "pg_table_is_visible"
        | "pg_type_is_visible"
        | "pg_function_is_visible"
        | "pg_operator_is_visible"
        | "pg_opclass_is_visible"
        | "pg_collation_is_visible"
        | "pg_has_role" => flag(true),
        "to_regtype" => null_number(),
        // `ARRAY(SELECT …)` gathers access lists and settings, which there are none of.
        "pg_get_expr"
        | "pg_get_constraintdef"
        | "pg_get_indexdef"
        | "pg_get_viewdef"
        | "pg_get_partkeydef"
        | "pg_get_ruledef"
        | "pg_get_triggerdef"
        | "pg_get_serial_sequence"
        | "obj_description"
        | "col_description"
        | "shobj_description"
        | "json_build_object"
        | "jsonb_build_object"
        | "pg_tablespace_location"
        | "pg_get_function_identity_arguments"
        | "pg_get_function_result"
        | "pg_get_statisticsobjdef_columns"
        | "inet_server_addr"
        | "inet_client_addr"
        | "pg_advisory_unlock_all"
        | "array" => null_text(),
        _ => return None,
    })
}

fn plain_operator(name: &str) -> Option<BinaryOperator> {
    Some(match name {
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "=" => BinaryOperator::Eq,
        "<>" => BinaryOperator::NotEq,
        "+" => BinaryOperator::Plus,
        _ => return None,
    })
}

/// A scalar subquery: NULL when what it reads never has rows, else its one value as an aggregate, which is what lets
/// the engine decorrelate it.
fn subquery(query: &mut Query) -> Option<Expr> {
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let reads = |table: &ast::TableWithJoins| {
        reads_empty(&table.relation) || table.joins.iter().any(|join| reads_empty(&join.relation))
    };
    if select.from.iter().any(reads) {
        return Some(null_text());
    }
    query.order_by = None;
    query.limit_clause = None;
    if let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] = select.projection.as_mut_slice()
        && !matches!(expr, Expr::Function(function) if matches!(last_name(function).as_str(), "max" | "min" | "count" | "array_agg" | "string_agg" | "sum"))
    {
        *expr = call("max", vec![expr.clone()]);
    }
    None
}
