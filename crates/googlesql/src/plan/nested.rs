//! ARRAY and STRUCT: making them, and reaching into them.

use sqlparser::ast::{Expr as Ast, FunctionArg, FunctionArgExpr, FunctionArguments, StructField};

use super::{
    Planner,
    datatype::sql_type,
    expr::Cx,
    scope::{Lit, Typed},
};
use crate::{
    error::{Result, SqlError},
    functions::{TABLE, array, call::Call, cell::Kernel},
    types::SqlType,
};

impl Planner<'_> {
    /// Calls a kernel whose types are settled already.
    pub(super) fn settled(name: String, args: Vec<Typed>, returns: SqlType, kernel: Kernel, safe: bool) -> Typed {
        let types = args.iter().map(|arg| arg.ty.clone()).collect();
        let exprs = args.into_iter().map(|arg| arg.expr).collect();
        Typed::new(Call::expr(name, exprs, types, returns.clone(), kernel, safe, false), returns)
    }

    /// `STRUCT(1 AS a)`, `STRUCT<a INT64>(1)`, `(1, 2)`.
    pub(super) fn struct_value(&mut self, values: &[Ast], declared: &[StructField], cx: &mut Cx) -> Result<Typed> {
        let mut fields = Vec::with_capacity(values.len());
        for value in values {
            let (name, value) = match value {
                Ast::Named { expr, name } => (name.value.clone(), expr.as_ref()),
                other => (implied_name(other, declared.is_empty()), other),
            };
            fields.push((name, self.expr(value, cx)?));
        }
        if declared.is_empty() {
            return Self::make_struct(fields);
        }
        if declared.len() != fields.len() {
            return Err(SqlError::typed("STRUCT has another number of fields than its type"));
        }
        let mut typed = Vec::with_capacity(fields.len());
        for (field, (_, value)) in declared.iter().zip(fields) {
            let name = field.field_name.as_ref().map_or(String::new(), |name| name.value.clone());
            typed.push((name, self.coerce(value, &sql_type(&field.field_type)?)?));
        }
        Self::make_struct(typed)
    }

    pub(super) fn make_struct(fields: Vec<(String, Typed)>) -> Result<Typed> {
        if fields.is_empty() {
            return Err(SqlError::unsupported("a STRUCT without fields is not built"));
        }
        let ty = SqlType::Struct(fields.iter().map(|(name, value)| (name.clone(), value.ty.clone())).collect());
        let args: Vec<Typed> = fields.into_iter().map(|(_, value)| value).collect();
        let kernel = array::make_struct(ty.clone());
        let made = Self::settled(format!("struct[{ty}]"), args.clone(), ty, kernel, false);
        Ok(Typed { lit: Lit::Row(args), ..made })
    }

    /// `[1, 2]`.
    pub(super) fn array_value(&self, values: Vec<Typed>) -> Result<Typed> {
        let is_empty = values.is_empty();
        let (values, element) = self.unify(values)?;
        if matches!(element, SqlType::Array(_)) {
            return Err(SqlError::typed("an ARRAY cannot hold ARRAYs").hint("put a STRUCT between them"));
        }
        let made = Self::make_array(values, element);
        Ok(if is_empty { Typed { lit: Lit::EmptyArray, ..made } } else { made })
    }

    pub(super) fn make_array(values: Vec<Typed>, element: SqlType) -> Typed {
        let kernel = array::make_array(element.arrow());
        let ty = SqlType::Array(Box::new(element));
        Self::settled(format!("array[{ty}]"), values, ty, kernel, false)
    }

    /// A field by position.
    pub(super) fn field_at(value: Typed, at: usize) -> Result<Typed> {
        let SqlType::Struct(fields) = &value.ty else {
            return Err(SqlError::typed(format!("{} has no fields", value.ty)));
        };
        let (name, ty) = fields.get(at).cloned().ok_or_else(|| SqlError::typed("STRUCT has fewer fields"))?;
        Ok(Self::settled(format!("field[{at} {name}]"), vec![value], ty, array::field(at), false))
    }

    /// `x[OFFSET(0)]` and its kin.
    pub(super) fn subscript(&mut self, value: Typed, index: &Ast, cx: &mut Cx) -> Result<Typed> {
        let (mode, index) = match index {
            Ast::Function(function) => {
                let mode = function.name.to_string().to_ascii_uppercase();
                match (&function.args, mode.as_str()) {
                    (FunctionArguments::List(list), "OFFSET" | "ORDINAL" | "SAFE_OFFSET" | "SAFE_ORDINAL") => {
                        match list.args.as_slice() {
                            [FunctionArg::Unnamed(FunctionArgExpr::Expr(index))] => (mode, index),
                            _ => return Err(SqlError::syntax(format!("{mode} takes one argument"))),
                        }
                    }
                    _ => (String::new(), index),
                }
            }
            other => (String::new(), other),
        };
        let index = self.expr(index, cx)?;
        match &value.ty {
            SqlType::Json => {
                let name = if index.ty == SqlType::String { "_json_member" } else { "_json_element" };
                self.call_form(name, "", TABLE.forms(name), vec![value, index], false)
            }
            _ if mode.is_empty() => Err(SqlError::unsupported("x[n] needs to say how it counts")
                .hint("write x[OFFSET(0)] from 0, x[ORDINAL(1)] from 1, or SAFE_OFFSET, SAFE_ORDINAL")),
            SqlType::Struct(_) => {
                let from = i64::from(mode.ends_with("ORDINAL"));
                let at = index
                    .as_int()
                    .and_then(|at| usize::try_from(at - from).ok())
                    .ok_or_else(|| SqlError::typed("the position in a STRUCT must be a literal"))?;
                Self::field_at(value, at)
            }
            SqlType::Array(element) => {
                let element = element.as_ref().clone();
                let index = self.coerce(index, &SqlType::Int64)?;
                let kernel = array::element(i64::from(mode.ends_with("ORDINAL")), mode.starts_with("SAFE"));
                Ok(Self::settled(mode, vec![value, index], element, kernel, false))
            }
            other => Err(SqlError::typed(format!("{other} has no elements"))),
        }
    }

    /// `a || b` of arrays.
    pub(super) fn concat_arrays(&self, args: Vec<Typed>) -> Result<Typed> {
        let (args, ty) = self.unify(args)?;
        let SqlType::Array(element) = &ty else { return Err(SqlError::typed("ARRAY_CONCAT takes arrays")) };
        let kernel = array::concat(element.arrow());
        Ok(Self::settled("ARRAY_CONCAT".into(), args, ty, kernel, false))
    }

    /// `x IN UNNEST(array)`.
    pub(super) fn in_array(&self, value: Typed, array: Typed, negated: bool) -> Result<Typed> {
        let array = if array.lit == Lit::Null && Self::is_asked(&array) {
            self.coerce(array, &SqlType::Array(Box::new(value.ty.clone())))?
        } else {
            array
        };
        let SqlType::Array(element) = &array.ty else { return Err(SqlError::typed(format!("UNNEST of {}", array.ty))) };
        let element = element.as_ref().clone();
        let (value, array) = if array.lit == Lit::EmptyArray {
            let ty = SqlType::Array(Box::new(value.ty.clone()));
            (value, self.coerce(array, &ty)?)
        } else if let Ok(value) = self.coerce(value.clone(), &element) {
            (value, array)
        } else {
            let ty = SqlType::Array(Box::new(value.ty.clone()));
            (value, self.cast(array, &ty, false)?)
        };
        if matches!(value.ty, SqlType::Json | SqlType::Interval | SqlType::Struct(_) | SqlType::Array(_)) {
            return Err(SqlError::unsupported(format!("IN UNNEST of {} is not built", value.ty)));
        }
        let found = Self::settled("in_array".into(), vec![value, array], SqlType::Bool, array::contains(), false);
        Ok(if negated { Typed::new(!found.expr, SqlType::Bool) } else { found })
    }
}

/// A field of STRUCT(x) or STRUCT(t.x) is named x; a typed STRUCT names its own.
fn implied_name(ast: &Ast, infer: bool) -> String {
    match ast {
        Ast::Identifier(ident) if infer && !ident.value.starts_with('@') => ident.value.clone(),
        Ast::CompoundIdentifier(path) if infer => path.last().map_or(String::new(), |ident| ident.value.clone()),
        _ => String::new(),
    }
}
