//! Functions whose types follow their arguments: conditions, arrays of anything.

use datafusion::{common::ScalarValue, functions::expr_fn};
use sqlparser::ast::Expr as Ast;

use super::{
    Planner,
    call::Invoked,
    compare::Comparison,
    expr::Cx,
    scope::{Lit, Typed},
};
use crate::{
    error::{Result, SqlError},
    functions::{
        Form, TABLE, array,
        cell::{Array1, Cell, Fail, Float, Int, Numeric, Text, kernel1, kernel3, ok},
        json, printf,
    },
    types::SqlType,
};

/// The functions here.
pub(super) const NAMES: &[&str] = &[
    "IF",
    "IFNULL",
    "NULLIF",
    "COALESCE",
    "GREATEST",
    "LEAST",
    "TYPEOF",
    "ERROR",
    "ARRAY_LENGTH",
    "ARRAY_CONCAT",
    "ARRAY_REVERSE",
    "ARRAY_TO_STRING",
    "ARRAY_FIRST",
    "ARRAY_LAST",
    "ARRAY_SLICE",
    "ARRAY_MIN",
    "ARRAY_MAX",
    "ARRAY_SUM",
    "ARRAY_AVG",
    "ARRAY_INCLUDES",
    "ARRAY_IS_DISTINCT",
    "ARRAY_DISTINCT",
    "GENERATE_ARRAY",
    "MAKE_INTERVAL",
    "DATETIME",
    "TO_JSON",
    "TO_JSON_STRING",
    "JSON_ARRAY",
    "JSON_OBJECT",
    "FORMAT",
    "COLLATE",
    "BIT_CAST_TO_INT64",
    "BIT_CAST_TO_INT32",
    "ZEROIFNULL",
    "NULLIFZERO",
];

pub(super) fn is_special(name: &str) -> bool {
    NAMES.contains(&name)
}

fn counted(name: &str, args: Vec<Typed>, count: usize) -> Result<Vec<Typed>> {
    if args.len() == count {
        Ok(args)
    } else {
        Err(SqlError::syntax(format!("{name} takes {count} arguments, got {}", args.len())))
    }
}

fn one(name: &str, args: Vec<Typed>) -> Result<Typed> {
    counted(name, args, 1)?.pop().ok_or_else(|| SqlError::syntax(format!("{name} takes an argument")))
}

fn two(name: &str, args: Vec<Typed>) -> Result<(Typed, Typed)> {
    let mut args = counted(name, args, 2)?;
    match (args.pop(), args.pop()) {
        (Some(second), Some(first)) => Ok((first, second)),
        _ => Err(SqlError::syntax(format!("{name} takes two arguments"))),
    }
}

fn element_of(name: &str, array: &Typed) -> Result<SqlType> {
    match &array.ty {
        SqlType::Array(element) => Ok(element.as_ref().clone()),
        other => Err(SqlError::typed(format!("{name} takes an ARRAY, got {other}"))),
    }
}

impl Planner<'_> {
    pub(super) fn special_call(&mut self, call: &Invoked<'_>, cx: &mut Cx) -> Result<Typed> {
        if call.name.starts_with("JSON_") || call.name == "STRUCT" {
            return self.json_made(call, cx);
        }
        let asts = call.plain()?;
        let mut args = Vec::new();
        for ast in &asts {
            args.push(self.expr(ast, cx)?);
        }
        let name = call.name.as_str();
        match name {
            "IF" | "IFNULL" | "NULLIF" | "COALESCE" | "ZEROIFNULL" | "NULLIFZERO" => self.conditional(name, args),
            "GREATEST" | "LEAST" => self.extreme(name, args),
            "TYPEOF" => {
                let arg = one(name, args)?;
                // The name in GoogleSQL itself, where FLOAT64 is DOUBLE.
                Ok(Typed::literal(
                    ScalarValue::Utf8(Some(arg.ty.to_string().replace("FLOAT64", "DOUBLE"))),
                    SqlType::String,
                ))
            }
            "ERROR" => {
                let arg = self.coerce(one(name, args)?, &SqlType::String)?;
                let kernel = kernel1::<Text, Int>(|message| Err(Fail(message.to_owned())));
                Ok(Typed {
                    lit: Lit::No,
                    ..Self::settled("ERROR".into(), vec![arg], SqlType::Int64, kernel, call.safe)
                })
            }
            "MAKE_INTERVAL" => self.padded_call("_interval6", args),
            "DATETIME" => {
                if args.len() == 6 {
                    return self.call_form("_datetime6", "", TABLE.forms("_datetime6"), args, call.safe);
                }
                let args = self.with_zone_argument("DATETIME", args);
                self.call_form("DATETIME", "", TABLE.forms("DATETIME"), args, call.safe)
            }
            "BIT_CAST_TO_INT64" => self.coerce(one(name, args)?, &SqlType::Int64),
            "TO_JSON" | "TO_JSON_STRING" => Self::to_json(name, args, call.safe),
            "FORMAT" => self.format(args, call.safe),
            "BIT_CAST_TO_INT32" | "COLLATE" => Err(SqlError::unsupported(format!("{name} is not built"))),
            _ => self.array_function(name, args, call.safe),
        }
    }

    /// Missing arguments of a function of six numbers are 0.
    fn padded_call(&self, name: &str, mut args: Vec<Typed>) -> Result<Typed> {
        while args.len() < 6 {
            args.push(Typed::int(0));
        }
        self.call_form(name, "", TABLE.forms(name), args, false)
    }

    fn conditional(&self, name: &str, mut args: Vec<Typed>) -> Result<Typed> {
        match name {
            "IF" => {
                let mut args = counted(name, args, 3)?;
                let condition = self.coerce(args.remove(0), &SqlType::Bool)?;
                self.case_of(vec![condition.expr], args)
            }
            "NULLIF" => {
                let (value, other) = two(name, args)?;
                let (sides, ty) = self.unify(vec![value, other])?;
                let (value, other) = two(name, sides)?;
                let equal = self.compare(Comparison::Eq, value.clone(), other)?.expr;
                self.case_of(vec![equal], vec![Typed::null(ty)?, value])
            }
            "ZEROIFNULL" => self.conditional("COALESCE", vec![one(name, args)?, Typed::int(0)]),
            "NULLIFZERO" => self.conditional("NULLIF", vec![one(name, args)?, Typed::int(0)]),
            _ => {
                if name == "IFNULL" {
                    args = counted(name, args, 2)?;
                }
                if args.is_empty() {
                    return Err(SqlError::syntax(format!("{name} takes an argument")));
                }
                let (args, ty) = self.unify(args)?;
                Ok(Typed::new(expr_fn::coalesce(args.into_iter().map(|arg| arg.expr).collect()), ty))
            }
        }
    }

    fn extreme(&self, name: &str, args: Vec<Typed>) -> Result<Typed> {
        let (args, ty) = self.unify(args)?;
        if !Self::orderable(&ty) || args.is_empty() {
            return Err(SqlError::typed(format!("{name} does not take {ty}")));
        }
        let kernel = array::extreme_of(name == "GREATEST", ty.arrow());
        Ok(Self::settled(name.into(), args, ty, kernel, false))
    }

    fn array_function(&mut self, name: &str, mut args: Vec<Typed>, safe: bool) -> Result<Typed> {
        match name {
            "GENERATE_ARRAY" => return self.generate_array(args, safe),
            "ARRAY_CONCAT" => return self.concat_arrays(args),
            "ARRAY_TO_STRING" => return self.array_to_string(args, safe),
            "ARRAY_INCLUDES" => {
                let (array, value) = two(name, args)?;
                let found = self.in_array(value, array, false)?;
                return self.conditional("COALESCE", vec![found, Typed::bool(false)]);
            }
            _ => {}
        }
        let count = if name == "ARRAY_SLICE" { 3 } else { 1 };
        args = counted(name, args, count)?;
        let array = args.first().ok_or_else(|| SqlError::syntax(format!("{name} takes an argument")))?;
        let element = element_of(name, array)?;
        let ty = array.ty.clone();
        let arrow = element.arrow();
        let same = |kernel| Ok(Self::settled(name.to_owned(), args.clone(), ty.clone(), kernel, safe));
        let inner = |kernel| Ok(Self::settled(name.to_owned(), args.clone(), element.clone(), kernel, safe));
        match name {
            "ARRAY_LENGTH" => Ok(Self::settled(name.to_owned(), args, SqlType::Int64, array::length(), safe)),
            "ARRAY_REVERSE" => same(array::reverse(arrow)),
            "ARRAY_SLICE" => same(array::slice(arrow)),
            "ARRAY_DISTINCT" if Self::groupable(&element) => same(array::distinct(arrow)),
            "ARRAY_IS_DISTINCT" if Self::groupable(&element) => {
                Ok(Self::settled(name.to_owned(), args, SqlType::Bool, array::is_distinct(), safe))
            }
            "ARRAY_MIN" | "ARRAY_MAX" if Self::orderable(&element) => inner(array::extreme(name == "ARRAY_MAX")),
            "ARRAY_FIRST" | "ARRAY_LAST" => {
                let position =
                    Self::settled("ARRAY_LENGTH".into(), args.clone(), SqlType::Int64, array::length(), false);
                let position = if name == "ARRAY_FIRST" { Typed::int(1) } else { position };
                args.push(position);
                Ok(Self::settled(name.to_owned(), args, element, array::element(1, false), safe))
            }
            "ARRAY_SUM" | "ARRAY_AVG" => self.array_total(name, args, &element, safe),
            _ => Err(SqlError::typed(format!("{name} does not take {ty}"))),
        }
    }

    /// Sums and means skip NULLs; of nothing they are NULL.
    fn array_total(&self, name: &str, args: Vec<Typed>, element: &SqlType, safe: bool) -> Result<Typed> {
        let mean = name == "ARRAY_AVG";
        let floats = move |list: arrow::array::ArrayRef| {
            let values: Vec<f64> = crate::functions::cell::elements::<Float>(&list)?.iter().flatten().collect();
            if values.is_empty() {
                return Ok(None);
            }
            let sum: f64 = values.iter().sum();
            ok(if mean {
                sum / crate::functions::number::float(crate::functions::number::count(values.len()))
            } else {
                sum
            })
        };
        let form = |params: SqlType, returns: SqlType, kernel| Form {
            params: vec![params],
            rest: None,
            returns,
            kernel,
            volatile: false,
        };
        let chosen = match element {
            SqlType::Float64 => form(Array1::<Float>::sql(), SqlType::Float64, kernel1::<Array1<Float>, Float>(floats)),
            SqlType::Int64 if !mean => form(
                Array1::<Int>::sql(),
                SqlType::Int64,
                kernel1::<Array1<Int>, Int>(|list| {
                    let values = crate::functions::cell::elements::<Int>(&list)?;
                    values
                        .iter()
                        .flatten()
                        .try_fold(None, |sum: Option<i64>, value| sum.unwrap_or(0).checked_add(value).map(Some))
                        .ok_or_else(|| "INT64 overflow".into())
                }),
            ),
            SqlType::Numeric if !mean => form(
                Array1::<Numeric>::sql(),
                SqlType::Numeric,
                kernel1::<Array1<Numeric>, Numeric>(|list| {
                    let values = crate::functions::cell::elements::<Numeric>(&list)?;
                    values.iter().flatten().try_fold(None, |sum: Option<i128>, value| {
                        crate::functions::decimal::add(sum.unwrap_or(0), value).map(Some)
                    })
                }),
            ),
            SqlType::Int64 => {
                let arg = self.cast(one(name, args)?, &SqlType::Array(Box::new(SqlType::Float64)), false)?;
                return self.array_total(name, vec![arg], &SqlType::Float64, safe);
            }
            other => return Err(SqlError::unsupported(format!("{name} of {other} is not built"))),
        };
        self.call_form(name, "", &[chosen], args, safe)
    }

    fn generate_array(&self, mut args: Vec<Typed>, safe: bool) -> Result<Typed> {
        if args.len() == 2 {
            args.push(Typed::int(1));
        }
        if args.iter().any(|arg| arg.ty != SqlType::Int64) {
            return Err(SqlError::unsupported("GENERATE_ARRAY of other numbers than INT64 is not built"));
        }
        let kernel =
            kernel3::<Int, Int, Int, Array1<Int>>(|first, last, step| array::generate(first, last, step).map(Some));
        let form = Form {
            params: vec![SqlType::Int64; 3],
            rest: None,
            returns: Array1::<Int>::sql(),
            kernel,
            volatile: false,
        };
        self.call_form("GENERATE_ARRAY", "", &[form], args, safe)
    }

    /// ARRAY_TO_STRING of a gathered list.
    pub(super) fn joined_text(&self, list: Typed, delimiter: Typed) -> Result<Typed> {
        self.array_to_string(vec![list, delimiter], false)
    }

    fn array_to_string(&self, args: Vec<Typed>, safe: bool) -> Result<Typed> {
        let with_null = args.len() == 3;
        let mut params = vec![Array1::<Text>::sql(), SqlType::String];
        let join =
            |list: &arrow::array::ArrayRef, delimiter: &str, null: Option<&str>| -> std::result::Result<String, Fail> {
                let values = crate::functions::cell::elements::<Text>(list)?;
                Ok(values.iter().filter_map(|value| value.or(null)).collect::<Vec<_>>().join(delimiter))
            };
        let kernel = if with_null {
            params.push(SqlType::String);
            kernel3::<Array1<Text>, Text, Text, Text>(move |list, delimiter, null| {
                join(&list, delimiter, Some(null)).map(Some)
            })
        } else {
            crate::functions::cell::kernel2::<Array1<Text>, Text, Text>(move |list, delimiter| {
                join(&list, delimiter, None).map(Some)
            })
        };
        let form = Form { params, rest: None, returns: SqlType::String, kernel, volatile: false };
        self.call_form("ARRAY_TO_STRING", "", &[form], args, safe)
    }

    fn to_json(name: &str, args: Vec<Typed>, safe: bool) -> Result<Typed> {
        let arg = match args.len() {
            1 => one(name, args)?,
            _ => return Err(SqlError::unsupported(format!("{name} takes one argument here"))),
        };
        let returns = if name == "TO_JSON" { SqlType::Json } else { SqlType::String };
        let ty = arg.ty.clone();
        let form = if name == "TO_JSON" { json::Exact::Number } else { json::Exact::Text };
        let kernel = json::to_json(ty.clone(), form);
        Ok(Self::settled(format!("{name}[{ty}]"), vec![arg], returns, kernel, safe))
    }

    /// JSON_ARRAY and JSON_OBJECT.
    fn json_made(&mut self, call: &Invoked<'_>, cx: &mut Cx) -> Result<Typed> {
        let asts: Vec<&Ast> = call.plain()?;
        let mut args = Vec::new();
        for (at, ast) in asts.iter().enumerate() {
            let value = self.expr(ast, cx)?;
            let is_key = call.name == "JSON_OBJECT" && at % 2 == 0;
            let value = if is_key {
                self.coerce(value, &SqlType::String)?
            } else if value.ty == SqlType::Json {
                value
            } else {
                Self::to_json("TO_JSON", vec![value], call.safe)?
            };
            args.push(value);
        }
        if call.name == "JSON_OBJECT" && args.len() % 2 != 0 {
            return Err(SqlError::syntax("JSON_OBJECT takes pairs of a key and a value"));
        }
        let kernel = if call.name == "JSON_ARRAY" { json::make_array() } else { json::make_object() };
        Ok(Self::settled(call.name.clone(), args, SqlType::Json, kernel, call.safe))
    }

    fn format(&self, mut args: Vec<Typed>, safe: bool) -> Result<Typed> {
        if args.is_empty() {
            return Err(SqlError::syntax("FORMAT takes a format"));
        }
        let format = self.coerce(args.remove(0), &SqlType::String)?;
        let types: Vec<SqlType> = args.iter().map(|arg| arg.ty.clone()).collect();
        let kernel = printf::format(types, self.options.time_zone.clone());
        args.insert(0, format);
        Ok(Self::settled("FORMAT".into(), args, SqlType::String, kernel, safe))
    }

    /// At most the first elements of an array.
    pub(super) fn limit_array(value: Typed, most: usize) -> Typed {
        match value.ty.clone() {
            SqlType::Array(element) => {
                let kernel = array::first(element.arrow(), most);
                let ty = value.ty.clone();
                Self::settled(format!("first[{most}]"), vec![value], ty, kernel, false)
            }
            _ => value,
        }
    }
}
