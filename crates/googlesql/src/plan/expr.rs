//! Expressions: syntax to typed expressions. What no arm takes is refused.

use datafusion::logical_expr::{Expr, Like, Operator, binary_expr, expr::Case};
use sqlparser::{
    ast::{
        BinaryOperator, CaseWhen, CastKind, CeilFloorKind, DateTimeField, Expr as Ast, Ident, NamedWindowDefinition,
        ObjectNamePart, Spanned, UnaryOperator,
    },
    tokenizer::Span,
};

use super::{
    Planner,
    compare::Comparison,
    datatype::{bounded_type, sql_type},
    scope::{Lit, Scope, Typed},
};
use crate::{
    error::{Result, SqlError},
    functions::{TABLE, civil::Part},
    types::SqlType,
};

/// Where an expression stands: what it may see and use.
pub(super) struct Cx {
    pub(super) scope: Scope,
    /// Aliases of the select list, where they are visible.
    pub(super) aliases: Vec<(String, Typed)>,
    /// Aggregates met so far, where they are allowed.
    pub(super) aggregates: Option<Vec<(Expr, String)>>,
    /// Window calls met so far, where they are allowed.
    pub(super) windows: Option<Vec<(Expr, String)>>,
    pub(super) named_windows: Vec<NamedWindowDefinition>,
    /// The clause, for messages.
    pub(super) clause: &'static str,
    /// Where the columns that stand outside of aggregates are named, for messages.
    pub(super) named: Vec<(String, Span)>,
}

impl Cx {
    /// A place where neither aggregates nor windows are allowed.
    pub(super) fn plain(scope: Scope, clause: &'static str) -> Self {
        Self {
            scope,
            aliases: Vec::new(),
            aggregates: None,
            windows: None,
            named_windows: Vec::new(),
            clause,
            named: Vec::new(),
        }
    }

    /// The same names, without aggregates and windows.
    pub(super) fn inner(&self, clause: &'static str) -> Self {
        Self::plain(self.scope.clone(), clause)
    }
}

impl Planner<'_> {
    /// Plans an expression.
    pub(super) fn expr(&mut self, ast: &Ast, cx: &mut Cx) -> Result<Typed> {
        self.expr_inner(ast, cx).map_err(|error| error.at(ast.span()))
    }

    /// Plans an expression that must be BOOL.
    pub(super) fn condition(&mut self, ast: &Ast, cx: &mut Cx) -> Result<Expr> {
        let clause = cx.clause;
        let typed = self.expr(ast, cx)?;
        if typed.ty != SqlType::Bool && typed.lit != Lit::Null {
            return Err(SqlError::typed(format!("{clause} needs a BOOL, got {}", typed.ty)).at(ast.span()));
        }
        Ok(self.coerce(typed, &SqlType::Bool)?.expr)
    }

    pub(super) fn exprs(&mut self, asts: &[Ast], cx: &mut Cx) -> Result<Vec<Typed>> {
        asts.iter().map(|ast| self.expr(ast, cx)).collect()
    }

    fn expr_inner(&mut self, ast: &Ast, cx: &mut Cx) -> Result<Typed> {
        match ast {
            Ast::Identifier(ident) => self.placed_name(std::slice::from_ref(ident), cx),
            Ast::CompoundIdentifier(path) => self.placed_name(path, cx),
            Ast::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain, cx),
            Ast::Nested(inner) => self.expr(inner, cx),
            Ast::Value(value) => self.value(value),
            Ast::TypedString(typed) => self.typed_string(typed),
            Ast::Interval(interval) => self.interval(interval, cx),
            Ast::UnaryOp { op, expr } => self.unary(*op, expr, cx),
            Ast::BinaryOp { left, op, right } => self.binary(left, op, right, cx),
            Ast::Function(function) => self.function(function, cx),
            Ast::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), cx)
            }
            Ast::Cast { kind, expr, data_type, array: false, format: None } => {
                let safe = match kind {
                    CastKind::Cast => false,
                    CastKind::SafeCast => true,
                    CastKind::DoubleColon => return self.postgres_cast(expr, data_type, cx),
                    CastKind::TryCast => {
                        return Err(SqlError::unsupported("this form of cast is not GoogleSQL")
                            .hint("write CAST(x AS type) or SAFE_CAST(x AS type)"));
                    }
                };
                let (to, bound) = bounded_type(data_type)?;
                let arg = self.expr(expr, cx)?;
                let value = self.cast(arg, &to, safe)?;
                match bound {
                    Some(bound) => Self::bounded(value, bound, safe),
                    None => Ok(value),
                }
            }
            Ast::Cast { kind: CastKind::Cast, expr, data_type, array: true, format: None } => {
                let ty = sql_type(data_type)?;
                self.typed_array(expr, &ty, cx)
            }
            Ast::Prefixed { prefix, value } if prefix.value.eq_ignore_ascii_case("SAFE") => self.safe_call(value, cx),
            Ast::Struct { values, fields } => self.struct_value(values, fields, cx),
            Ast::Tuple(values) => self.struct_value(values, &[], cx),
            Ast::Array(array) => {
                let values = self.exprs(&array.elem, cx)?;
                self.array_value(values)
            }
            Ast::Subquery(query) => self.scalar_subquery(query, cx),
            Ast::Exists { subquery, negated } => self.exists(subquery, *negated, cx),
            Ast::Extract { field, expr, .. } => self.extract(field, expr, cx),
            _ => self.predicate(ast, cx),
        }
    }

    /// The forms that give a BOOL, and the rest.
    fn predicate(&mut self, ast: &Ast, cx: &mut Cx) -> Result<Typed> {
        let bool_of = |expr: Expr| Ok(Typed::new(expr, SqlType::Bool));
        match ast {
            Ast::IsNull(inner) => bool_of(self.expr(inner, cx)?.expr.is_null()),
            Ast::IsNotNull(inner) => bool_of(self.expr(inner, cx)?.expr.is_not_null()),
            Ast::IsTrue(inner) => bool_of(self.truth(inner, cx)?.is_true()),
            Ast::IsNotTrue(inner) => bool_of(self.truth(inner, cx)?.is_not_true()),
            Ast::IsFalse(inner) => bool_of(self.truth(inner, cx)?.is_false()),
            Ast::IsNotFalse(inner) => bool_of(self.truth(inner, cx)?.is_not_false()),
            Ast::IsUnknown(inner) => bool_of(self.truth(inner, cx)?.is_null()),
            Ast::IsNotUnknown(inner) => bool_of(self.truth(inner, cx)?.is_not_null()),
            Ast::IsDistinctFrom(left, right) => self.distinctness(left, right, Operator::IsDistinctFrom, cx),
            Ast::IsNotDistinctFrom(left, right) => self.distinctness(left, right, Operator::IsNotDistinctFrom, cx),
            Ast::InList { expr, list, negated } => {
                let value = self.expr(expr, cx)?;
                let list = self.exprs(list, cx)?;
                self.in_list(value, list, *negated)
            }
            Ast::InUnnest { expr, array_expr, negated } => {
                let value = self.expr(expr, cx)?;
                let array = self.expr(array_expr, cx)?;
                self.in_array(value, array, *negated)
            }
            Ast::InSubquery { expr, subquery, negated } => {
                let value = self.expr(expr, cx)?;
                self.in_subquery(value, subquery, *negated, cx)
            }
            Ast::Between { expr, negated, low, high } => {
                let value = self.expr(expr, cx)?;
                let low = self.expr(low, cx)?;
                let high = self.expr(high, cx)?;
                self.between(value, low, high, *negated)
            }
            Ast::Like { negated, any: false, expr, pattern, escape_char: None } => {
                let text = self.expr(expr, cx)?;
                let text = self.coerce(text, &SqlType::String)?;
                let pattern = self.expr(pattern, cx)?;
                let pattern = self.coerce(pattern, &SqlType::String)?;
                bool_of(Expr::Like(Like::new(*negated, Box::new(text.expr), Box::new(pattern.expr), None, false)))
            }
            Ast::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                self.one_argument("CEIL", expr, cx)
            }
            Ast::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                self.one_argument("FLOOR", expr, cx)
            }
            Ast::Substring { expr, substring_from: Some(from), substring_for, special: true, .. } => {
                let mut args = vec![self.expr(expr, cx)?, self.expr(from, cx)?];
                if let Some(length) = substring_for {
                    args.push(self.expr(length, cx)?);
                }
                self.call_form("SUBSTR", "", TABLE.forms("SUBSTR"), args, false)
            }
            Ast::Trim { trim_where: None, trim_what: None, expr, trim_characters } => {
                let mut args = vec![self.expr(expr, cx)?];
                args.extend(self.exprs(trim_characters.as_deref().unwrap_or_default(), cx)?);
                self.call_form("TRIM", "", TABLE.forms("TRIM"), args, false)
            }
            other => Err(super::refuse::expression(other)),
        }
    }

    /// A name; its columns' places are kept where a GROUP BY may miss them.
    fn placed_name(&mut self, path: &[Ident], cx: &mut Cx) -> Result<Typed> {
        let found = self.name(path, cx)?;
        if let (true, Some(first)) = (cx.aggregates.is_some(), path.first()) {
            cx.named.extend(found.expr.column_refs().into_iter().map(|column| (column.name.clone(), first.span)));
        }
        Ok(found)
    }

    /// `SAFE.f(...)`.
    fn safe_call(&mut self, value: &Ast, cx: &mut Cx) -> Result<Typed> {
        let (name, args): (&str, Vec<&Ast>) = match value {
            Ast::Function(function) => {
                let mut function = function.clone();
                function.name.0.insert(0, ObjectNamePart::Identifier(Ident::new("SAFE")));
                return self.function(&function, cx);
            }
            Ast::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                ("CEIL", vec![expr.as_ref()])
            }
            Ast::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                ("FLOOR", vec![expr.as_ref()])
            }
            Ast::Substring { expr, substring_from: Some(from), substring_for, special: true, .. } => {
                ("SUBSTR", [expr, from].into_iter().chain(substring_for).map(AsRef::as_ref).collect())
            }
            Ast::Trim { trim_where: None, trim_what: None, expr, trim_characters } => {
                ("TRIM", std::iter::once(expr.as_ref()).chain(trim_characters.iter().flatten()).collect())
            }
            _ => return Err(SqlError::unsupported("SAFE. before this is not built")),
        };
        let args = args.into_iter().map(|arg| self.expr(arg, cx)).collect::<Result<_>>()?;
        self.call_form(name, "", TABLE.forms(name), args, true)
    }

    /// `ARRAY<INT64>[1, 2]`: each element is coerced to the type.
    fn typed_array(&mut self, ast: &Ast, ty: &SqlType, cx: &mut Cx) -> Result<Typed> {
        let (Ast::Array(array), SqlType::Array(element)) = (ast, ty) else {
            return Err(SqlError::syntax("ARRAY<type> needs [...]"));
        };
        let mut values = Vec::new();
        for value in &array.elem {
            let value = self.expr(value, cx)?;
            values.push(self.coerce(value, element)?);
        }
        Ok(Self::make_array(values, element.as_ref().clone()))
    }

    fn one_argument(&mut self, name: &str, ast: &Ast, cx: &mut Cx) -> Result<Typed> {
        let arg = self.expr(ast, cx)?;
        self.call_form(name, "", TABLE.forms(name), vec![arg], false)
    }

    /// A BOOL that may be NULL.
    fn truth(&mut self, ast: &Ast, cx: &mut Cx) -> Result<Expr> {
        let typed = self.expr(ast, cx)?;
        Ok(self.coerce(typed, &SqlType::Bool)?.expr)
    }

    fn distinctness(&mut self, left: &Ast, right: &Ast, op: Operator, cx: &mut Cx) -> Result<Typed> {
        let (left, right) = (self.expr(left, cx)?, self.expr(right, cx)?);
        self.distinct_of(left, right, op)
    }

    /// Comparison in which NULL equals NULL.
    pub(super) fn distinct_of(&self, left: Typed, right: Typed, op: Operator) -> Result<Typed> {
        let (mut sides, ty) = self.unify(vec![left, right])?;
        if matches!(ty, SqlType::Json | SqlType::Array(_) | SqlType::Struct(_) | SqlType::Interval) {
            return Err(SqlError::unsupported(format!("IS DISTINCT FROM of {ty} is not built")));
        }
        match (sides.pop(), sides.pop()) {
            (Some(right), Some(left)) => {
                let (left, right) = (Self::group_form(left).expr, Self::group_form(right).expr);
                Ok(Typed::new(binary_expr(left, op, right), SqlType::Bool))
            }
            _ => Err(SqlError::typed("IS DISTINCT FROM takes two operands")),
        }
    }

    fn unary(&mut self, op: UnaryOperator, ast: &Ast, cx: &mut Cx) -> Result<Typed> {
        match op {
            UnaryOperator::Minus => {
                if let Some(number) = Self::negative_number(ast)? {
                    return Ok(number);
                }
                let arg = self.expr(ast, cx)?;
                self.call_form("_neg", "", TABLE.forms("_neg"), vec![arg], false)
            }
            UnaryOperator::Plus => {
                let arg = self.expr(ast, cx)?;
                if arg.ty.is_numeric() { Ok(arg) } else { Err(SqlError::typed(format!("unary + of {}", arg.ty))) }
            }
            UnaryOperator::Not => Ok(Typed::new(!self.truth(ast, cx)?, SqlType::Bool)),
            UnaryOperator::BitwiseNot if matches!(ast, Ast::BinaryOp { .. }) => {
                Err(SqlError::unsupported("~ before an operator").hint("write parentheses around what ~ belongs to"))
            }
            UnaryOperator::BitwiseNot => {
                let arg = self.expr(ast, cx)?;
                self.call_form("_bitnot", "", TABLE.forms("_bitnot"), vec![arg], false)
            }
            other => Err(SqlError::unsupported(format!("operator {other} is not GoogleSQL"))),
        }
    }

    fn binary(&mut self, left: &Ast, op: &BinaryOperator, right: &Ast, cx: &mut Cx) -> Result<Typed> {
        if let Some(comparison) = Comparison::of(op) {
            for side in [left, right] {
                if matches!(side, Ast::BinaryOp { op, .. } if Comparison::of(op).is_some()) {
                    return Err(SqlError::syntax("comparisons do not chain")
                        .hint("write parentheses, or AND between two comparisons"));
                }
            }
            let (left, right) = (self.expr(left, cx)?, self.expr(right, cx)?);
            return self.compare(comparison, left, right);
        }
        if matches!(op, BinaryOperator::And | BinaryOperator::Or) {
            let (left, right) = (self.truth(left, cx)?, self.truth(right, cx)?);
            let both = if *op == BinaryOperator::And { left.and(right) } else { left.or(right) };
            return Ok(Typed::new(both, SqlType::Bool));
        }
        let name = match op {
            BinaryOperator::Plus => "_add",
            BinaryOperator::Minus => "_sub",
            BinaryOperator::Multiply => "_mul",
            BinaryOperator::Divide => "_div",
            BinaryOperator::StringConcat => "CONCAT",
            BinaryOperator::BitwiseAnd => "_bitand",
            BinaryOperator::BitwiseOr => "_bitor",
            BinaryOperator::BitwiseXor => "_bitxor",
            BinaryOperator::PGBitwiseShiftLeft => "_shl",
            BinaryOperator::PGBitwiseShiftRight => "_shr",
            other => return Err(super::refuse::operator(other)),
        };
        let args = vec![self.expr(left, cx)?, self.expr(right, cx)?];
        if name == "CONCAT" && args.iter().any(|arg| matches!(arg.ty, SqlType::Array(_))) {
            return self.concat_arrays(args);
        }
        self.call_form(name, "", TABLE.forms(name), args, false)
    }

    fn case(
        &mut self,
        operand: Option<&Ast>,
        conditions: &[CaseWhen],
        otherwise: Option<&Ast>,
        cx: &mut Cx,
    ) -> Result<Typed> {
        let operand = operand.map(|ast| self.expr(ast, cx)).transpose()?;
        let mut whens = Vec::new();
        let mut results = Vec::new();
        for branch in conditions {
            whens.push(match &operand {
                None => self.truth(&branch.condition, cx)?,
                Some(operand) => {
                    let value = self.expr(&branch.condition, cx)?;
                    self.compare(Comparison::Eq, operand.clone(), value)?.expr
                }
            });
            results.push(self.expr(&branch.result, cx)?);
        }
        results.push(match otherwise {
            Some(ast) => self.expr(ast, cx)?,
            None => Typed { lit: Lit::Null, ..Typed::null(SqlType::Int64)? },
        });
        self.case_of(whens, results)
    }

    /// CASE over planned branches; the last result is ELSE.
    pub(super) fn case_of(&self, whens: Vec<Expr>, results: Vec<Typed>) -> Result<Typed> {
        let (mut results, ty) = self.unify(results)?;
        let otherwise = results.pop().map(|last| Box::new(last.expr));
        let branches =
            whens.into_iter().zip(results).map(|(when, then)| (Box::new(when), Box::new(then.expr))).collect();
        Ok(Typed::new(Expr::Case(Case::new(None, branches, otherwise)), ty))
    }

    fn extract(&mut self, field: &DateTimeField, ast: &Ast, cx: &mut Cx) -> Result<Typed> {
        let part =
            Part::parse(&field.to_string()).ok_or_else(|| SqlError::unsupported(format!("EXTRACT of {field}")))?;
        let (value, zone) = match ast {
            Ast::AtTimeZone { timestamp, time_zone } => (self.expr(timestamp, cx)?, Some(self.expr(time_zone, cx)?)),
            other => (self.expr(other, cx)?, None),
        };
        self.extract_part(part, value, zone)
    }
}
