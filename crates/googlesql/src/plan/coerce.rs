//! Casts, coercions, and choosing the form of a function that fits.
//!
//! Only what GoogleSQL coerces by itself is coerced: INT64 to NUMERIC, BIGNUMERIC and FLOAT64 and so on upwards,
//! DATE to DATETIME, and literals to what they can be read as. Everything else needs a CAST.

use std::sync::Arc;

use arrow::{
    array::{Array as _, AsArray as _, ListArray, StringArray, StructArray},
    datatypes::DataType,
};
use datafusion::{common::ScalarValue, error::DataFusionError};

use super::{
    Planner,
    scope::{Lit, Typed},
};
use crate::{
    error::{Result, SqlError},
    functions::{
        Form,
        call::Call,
        cast::{self, Caster},
        cell::{Args, Kernel},
        decimal,
    },
    types::{SqlType, struct_fields},
};

/// How far an argument is from a parameter; compared in this order, as GoogleSQL does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    coerced: u32,
    distance: u32,
    literals: u32,
    literal_distance: u32,
}

/// How far apart two types are that coerce, `None` if they do not.
fn distance(from: &SqlType, to: &SqlType) -> Option<u32> {
    use SqlType::{BigNumeric, Date, Datetime, Float64, Int64, Numeric};
    Some(match (from, to) {
        // ROUND(1) and its kin have no INT64 form: they take FLOAT64 before NUMERIC.
        (Int64 | BigNumeric, Float64) | (Numeric, BigNumeric) | (Date, Datetime) => 1,
        (Int64, Numeric) | (Numeric, Float64) => 2,
        (Int64, BigNumeric) => 3,
        _ => return None,
    })
}

fn literal_distance(lit: &Lit, to: &SqlType) -> Option<u32> {
    match (lit, to) {
        (Lit::Null, _)
        | (Lit::EmptyArray, SqlType::Array(_))
        | (Lit::Float(_), SqlType::Numeric)
        | (Lit::Text, SqlType::Date | SqlType::Datetime | SqlType::Time | SqlType::Timestamp) => Some(1),
        (Lit::Float(_), SqlType::BigNumeric) => Some(2),
        _ => None,
    }
}

impl Cost {
    fn and(self, other: Self) -> Self {
        Self {
            coerced: self.coerced + other.coerced,
            distance: self.distance + other.distance,
            literals: self.literals + other.literals,
            literal_distance: self.literal_distance + other.literal_distance,
        }
    }
}

fn cost(arg: &Typed, to: &SqlType) -> Option<Cost> {
    if same_shape(&arg.ty, to) && arg.lit != Lit::Null {
        return Some(Cost::default());
    }
    if let (Lit::Row(fields), SqlType::Struct(into)) = (&arg.lit, to) {
        let same = fields.len() == into.len();
        let mut pairs = fields.iter().zip(into);
        return pairs
            .try_fold(Cost::default(), |sum, (field, (_, to))| cost(field, to).map(|one| sum.and(one)))
            .filter(|_| same);
    }
    let is_literal = arg.lit != Lit::No;
    if let Some(far) = literal_distance(&arg.lit, to) {
        return Some(Cost { literals: 1, literal_distance: far, ..Cost::default() });
    }
    let far = distance(&arg.ty, to)?;
    Some(if is_literal {
        Cost { literals: 1, literal_distance: far, ..Cost::default() }
    } else {
        Cost { coerced: 1, distance: far, ..Cost::default() }
    })
}

/// Whether two types differ in field names only.
fn same_shape(a: &SqlType, b: &SqlType) -> bool {
    match (a, b) {
        (SqlType::Struct(a), SqlType::Struct(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((_, a), (_, b))| same_shape(a, b))
        }
        (SqlType::Array(a), SqlType::Array(b)) => same_shape(a, b),
        _ => a == b,
    }
}

/// The type that all of some expressions can have.
pub(super) fn common_type(args: &[Typed]) -> Result<SqlType> {
    let mut candidates: Vec<SqlType> = Vec::new();
    for arg in args.iter().filter(|arg| arg.lit != Lit::Null) {
        if !candidates.contains(&arg.ty) {
            candidates.push(arg.ty.clone());
        }
    }
    if let [SqlType::Struct(_), _, ..] = candidates.as_slice() {
        return common_struct(args, &candidates);
    }
    let written = candidates.len();
    for numeric in [SqlType::Numeric, SqlType::BigNumeric, SqlType::Float64] {
        if candidates.iter().any(SqlType::is_numeric)
            && !candidates.contains(&numeric)
            && candidates.iter().any(|ty| *ty != SqlType::Int64)
        {
            candidates.push(numeric);
        }
    }
    let fits = candidates.iter().filter_map(|to| {
        let total = args.iter().try_fold(Cost::default(), |sum, arg| cost(arg, to).map(|one| sum.and(one)));
        total.map(|total| (total, to))
    });
    if let Some((_, to)) = fits.min_by_key(|(total, _)| *total) {
        return Ok(to.clone());
    }
    if candidates.is_empty() {
        return Ok(SqlType::Int64);
    }
    Err(no_common(candidates.get(..written).unwrap_or(&candidates)))
}

fn no_common(types: &[SqlType]) -> SqlError {
    let names: Vec<String> = types.iter().map(ToString::to_string).collect();
    let error = SqlError::typed(format!("{} have no type in common", names.join(" and ")));
    let has = |wanted: &SqlType| types.contains(wanted);
    match types.iter().find(|ty| **ty != SqlType::String) {
        Some(SqlType::Timestamp) if has(&SqlType::Date) || has(&SqlType::Datetime) => {
            error.hint("write DATE(ts, 'Asia/Seoul') or DATETIME(ts, 'Asia/Seoul') for the day or time of an instant")
        }
        Some(SqlType::Date | SqlType::Datetime) if has(&SqlType::Timestamp) => {
            error.hint("write DATE(ts, 'Asia/Seoul') or DATETIME(ts, 'Asia/Seoul') for the day or time of an instant")
        }
        Some(SqlType::Date) if has(&SqlType::Int64) => error.hint("write a day as DATE '2026-01-31'"),
        Some(ty) if has(&SqlType::String) => {
            error.hint(format!("write CAST(... AS {ty}) or CAST(... AS STRING) around one of them"))
        }
        _ => error.hint("write CAST(... AS type) around one of them"),
    }
}

/// Structs meet field by field, under the first one's names.
fn common_struct(args: &[Typed], candidates: &[SqlType]) -> Result<SqlType> {
    let Some(SqlType::Struct(first)) = candidates.first() else { return Err(no_common(candidates)) };
    let mut fields = Vec::with_capacity(first.len());
    for (at, (name, _)) in first.iter().enumerate() {
        let mut column = Vec::new();
        for arg in args.iter().filter(|arg| arg.lit != Lit::Null) {
            let field = match (&arg.lit, &arg.ty) {
                (Lit::Row(values), _) if values.len() == first.len() => values.get(at).cloned(),
                (_, SqlType::Struct(other)) if other.len() == first.len() => {
                    other.get(at).map(|(_, ty)| Typed::null(ty.clone())).transpose()?
                }
                _ => None,
            };
            column.push(field.ok_or_else(|| no_common(candidates))?);
        }
        let shown = if name.is_empty() { format!("field {}", at + 1) } else { format!("field \"{name}\"") };
        let ty = common_type(&column)
            .map_err(|error| SqlError { message: format!("{shown} of the STRUCTs: {}", error.message), ..error })?;
        fields.push((name.clone(), ty));
    }
    Ok(SqlType::Struct(fields))
}

impl Planner<'_> {
    /// Coerces an expression as GoogleSQL does by itself.
    pub(super) fn coerce(&self, arg: Typed, to: &SqlType) -> Result<Typed> {
        if arg.ty == *to && arg.lit != Lit::Null {
            return Ok(arg);
        }
        if arg.lit == Lit::Null {
            self.learn(&arg, to);
            return Typed::null(to.clone());
        }
        if let (Lit::Float(text), SqlType::Numeric) = (&arg.lit, to) {
            let value = decimal::parse(text).map_err(|fail| SqlError::typed(fail.0))?;
            return Ok(Typed::literal(ScalarValue::Decimal128(Some(value), 38, 9), SqlType::Numeric));
        }
        if let (Lit::Float(text), SqlType::BigNumeric) = (&arg.lit, to) {
            let value = decimal::parse_big(text).map_err(|fail| SqlError::typed(fail.0))?;
            return Ok(Typed::literal(ScalarValue::Decimal256(Some(value), 76, 38), SqlType::BigNumeric));
        }
        let allowed = cost(&arg, to).is_some() || struct_coerces(&arg.ty, to);
        if !allowed {
            return Err(
                SqlError::typed(format!("expected {to}, got {}", arg.ty)).hint(format!("write CAST(... AS {to})"))
            );
        }
        self.cast(arg, to, false)
    }

    /// Coerces several expressions to the one type that all can have.
    pub(super) fn unify(&self, args: Vec<Typed>) -> Result<(Vec<Typed>, SqlType)> {
        let to = common_type(&args)?;
        let args = args.into_iter().map(|arg| self.coerce(arg, &to)).collect::<Result<_>>()?;
        Ok((args, to))
    }

    /// CAST and SAFE_CAST.
    pub(super) fn cast(&self, arg: Typed, to: &SqlType, safe: bool) -> Result<Typed> {
        if arg.lit == Lit::Null {
            self.learn(&arg, to);
            return Typed::null(to.clone());
        }
        if arg.ty == *to {
            return Ok(Typed::new(arg.expr, arg.ty));
        }
        match (&arg.lit, to) {
            (Lit::Float(_), SqlType::Numeric | SqlType::BigNumeric) => return self.coerce(arg, to),
            (Lit::EmptyArray, SqlType::Array(element)) => {
                return Ok(Self::make_array(Vec::new(), element.as_ref().clone()));
            }
            (Lit::Row(values), SqlType::Struct(into)) if values.len() == into.len() => {
                let fields = values.iter().zip(into);
                let fields = fields.map(|(value, (name, ty))| Ok((name.clone(), self.cast(value.clone(), ty, safe)?)));
                return Self::make_struct(fields.collect::<Result<_>>()?);
            }
            _ => {}
        }
        let kernel = self
            .cast_kernel(&arg.ty, to)
            .ok_or_else(|| SqlError::typed(format!("{} cannot be cast to {to}", arg.ty)))?;
        let name = format!("cast[{}->{to}@{}]", arg.ty, self.options.time_zone);
        Ok(Typed::new(Call::expr(name, vec![arg.expr], vec![arg.ty], to.clone(), kernel, safe, false), to.clone()))
    }

    fn cast_kernel(&self, from: &SqlType, to: &SqlType) -> Option<Kernel> {
        if from == to {
            return Some(cast::identity());
        }
        match (from, to) {
            (SqlType::Array(from), SqlType::Array(to)) => Some(array_kernel(self.cast_kernel(from, to)?, to.arrow())),
            (SqlType::Struct(from), SqlType::Struct(into)) if from.len() == into.len() => {
                let fields: Option<Vec<Kernel>> =
                    from.iter().zip(into).map(|((_, from), (_, to))| self.cast_kernel(from, to)).collect();
                Some(struct_kernel(fields?, into.clone()))
            }
            _ => match cast::scalar(from, to)? {
                Caster::Plain(kernel) => Some(kernel),
                Caster::Zoned(kernel) => Some(with_zone(kernel, &self.options.time_zone)),
            },
        }
    }

    /// Calls the form that fits its arguments best.
    ///
    /// `name` is what plans and errors show; `key` distinguishes kernels of that name.
    pub(super) fn call_form(
        &self,
        name: &str,
        key: &str,
        forms: &[Form],
        args: Vec<Typed>,
        safe: bool,
    ) -> Result<Typed> {
        let fits = forms.iter().filter_map(|form| fit(form, &args).map(|total| (total, form)));
        let Some((_, form)) = fits.min_by_key(|(total, _)| *total) else {
            return Err(no_form(name, forms, &args));
        };
        let mut exprs = Vec::with_capacity(args.len());
        let mut types = Vec::with_capacity(args.len());
        for (at, arg) in args.into_iter().enumerate() {
            let Some(to) = form.params.get(at).or(form.rest.as_ref()) else {
                return Err(SqlError::typed("too many arguments"));
            };
            let arg = self.coerce(arg, to)?;
            // A struct keeps its own field names; kernels of lists and scalars want exactly their type.
            exprs.push(arg.expr);
            types.push(to.clone());
        }
        let expr = Call::expr(
            format!("{name}{key}"),
            exprs,
            types,
            form.returns.clone(),
            Arc::clone(&form.kernel),
            safe,
            form.volatile,
        );
        Ok(Typed::new(expr, form.returns.clone()))
    }
}

fn struct_coerces(from: &SqlType, to: &SqlType) -> bool {
    match (from, to) {
        (SqlType::Struct(from), SqlType::Struct(to)) => {
            from.len() == to.len()
                && from
                    .iter()
                    .zip(to)
                    .all(|((_, from), (_, to))| from == to || distance(from, to).is_some() || struct_coerces(from, to))
        }
        _ => false,
    }
}

fn fit(form: &Form, args: &[Typed]) -> Option<Cost> {
    let enough = args.len() == form.params.len() || (form.rest.is_some() && args.len() > form.params.len());
    if !enough {
        return None;
    }
    args.iter().enumerate().try_fold(Cost::default(), |sum, (at, arg)| {
        cost(arg, form.params.get(at).or(form.rest.as_ref())?).map(|one| sum.and(one))
    })
}

fn no_form(name: &str, forms: &[Form], args: &[Typed]) -> SqlError {
    let list = |types: Vec<String>| types.join(", ");
    let got =
        list(args.iter().map(|arg| if arg.lit == Lit::Null { "NULL".into() } else { arg.ty.to_string() }).collect());
    let known: Vec<String> = forms
        .iter()
        .map(|form| {
            let mut params: Vec<String> = form.params.iter().map(ToString::to_string).collect();
            params.extend(form.rest.iter().map(|_| "...".to_owned()));
            format!("({})", list(params))
        })
        .collect();
    let error = SqlError::typed(format!("{} has no form for ({got})", shown(name)));
    if name == "CONCAT" && args.iter().any(|arg| arg.ty == SqlType::String) {
        return error.hint("write CAST(x AS STRING) around what is not a STRING");
    }
    error.hint(format!("it takes {}", known.join(" or ")))
}

/// The name a person wrote, for a function's inner name.
pub(super) fn shown(name: &str) -> &str {
    match name {
        "_add" => "operator +",
        "_sub" => "operator -",
        "_mul" => "operator *",
        "_div" => "operator /",
        "_neg" => "unary -",
        "_bitand" => "operator &",
        "_bitor" => "operator |",
        "_bitxor" => "operator ^",
        "_bitnot" => "operator ~",
        "_shl" => "operator <<",
        "_shr" => "operator >>",
        "_datetime6" => "DATETIME",
        "_interval6" => "MAKE_INTERVAL",
        other => other,
    }
}

/// Applies a kernel to every element of an array.
pub(super) fn array_kernel(inner: Kernel, element: DataType) -> Kernel {
    Arc::new(move |args| {
        let (column, _) = args.column(0)?;
        let list: &ListArray =
            column.as_list_opt().ok_or_else(|| DataFusionError::Internal("expected a list".into()))?;
        let rows = list.values().len();
        let values = inner(&Args { columns: vec![(Arc::clone(list.values()), false)], rows, safe: args.safe })?;
        let field = Arc::new(arrow::datatypes::Field::new_list_field(element.clone(), true));
        Ok(Arc::new(ListArray::try_new(field, list.offsets().clone(), values, list.nulls().cloned())?))
    })
}

/// Applies a kernel to each field of a struct.
fn struct_kernel(inner: Vec<Kernel>, fields: Vec<(String, SqlType)>) -> Kernel {
    Arc::new(move |args| {
        let (column, _) = args.column(0)?;
        let row: &StructArray =
            column.as_struct_opt().ok_or_else(|| DataFusionError::Internal("expected a struct".into()))?;
        let columns = inner
            .iter()
            .zip(row.columns())
            .map(|(kernel, field)| {
                kernel(&Args { columns: vec![(Arc::clone(field), false)], rows: row.len(), safe: args.safe })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(StructArray::try_new_with_length(
            struct_fields(&fields),
            columns,
            row.nulls().cloned(),
            row.len(),
        )?))
    })
}

/// Gives a kernel the session's zone as its last argument.
fn with_zone(kernel: Kernel, zone: &str) -> Kernel {
    let zone: arrow::array::ArrayRef = Arc::new(StringArray::from(vec![zone.to_owned()]));
    Arc::new(move |args| {
        let mut columns = args.columns.clone();
        columns.push((Arc::clone(&zone), true));
        kernel(&Args { columns, rows: args.rows, safe: args.safe })
    })
}
