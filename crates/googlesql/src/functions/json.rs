//! JSON: reading it, paths into it, and writing values as it.
//!
//! A JSON value is kept as compact text, members in the order they came. Text that holds JSON is read in place, see
//! `json_raw.rs`.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, ListArray, StringArray, StructArray};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use datafusion::error::{DataFusionError, Result as PlanResult};
use serde_json::{Map, Value};

use super::{
    Table,
    cell::{
        Args, Big, Bool, Bytes, Cell, Date, Datetime, Fail, Float, Instant, Int, Interval, Json, Kernel, Numeric, Out,
        Text, Time, ok,
    },
    civil, date, decimal, json_raw, number,
};
use crate::types::SqlType;

/// INT64s beyond this are written as strings by TO_JSON_STRING.
const EXACT: i64 = 9_007_199_254_740_992;

/// Reads JSON text.
pub(crate) fn parse(text: &str) -> Result<Value, Fail> {
    serde_json::from_str(text).map_err(|_| Fail::from("text is not JSON"))
}

/// JSON text in its compact form; a number that JSON's types do not hold is refused, as PARSE_JSON does.
pub(crate) fn normalise(text: &str) -> Result<String, Fail> {
    let value = parse(text)?;
    if !json_raw::holds_every_number(text) {
        return Err("a number of the JSON text has more digits than JSON holds; write it as a string".into());
    }
    Ok(value.to_string())
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Member(String),
    Element(usize),
}

/// Reads `$.a.b[0]."c d"` and `$['a']`.
pub(crate) fn path(text: &str) -> Result<Vec<Step>, Fail> {
    let fail = || Fail::from("not a JSON path; it looks like $.a.b[0]");
    let mut rest = text.trim().strip_prefix('$').ok_or_else(fail)?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(member) = rest.strip_prefix('.') {
            if let Some(quoted) = member.strip_prefix('"') {
                let (name, after) = quoted.split_once('"').ok_or_else(fail)?;
                steps.push(Step::Member(name.to_owned()));
                rest = after;
            } else {
                let end = member.find(['.', '[']).unwrap_or(member.len());
                let (name, after) = member.split_at(end);
                if name.is_empty() || name.contains(['*', '\'', '"', ' ', '?', '@', '(']) {
                    return Err(fail());
                }
                steps.push(Step::Member(name.to_owned()));
                rest = after;
            }
        } else if let Some(inside) = rest.strip_prefix('[') {
            let (index, after) = inside.split_once(']').ok_or_else(fail)?;
            let index = index.trim();
            let quoted = index
                .strip_prefix('\'')
                .and_then(|name| name.strip_suffix('\''))
                .or_else(|| index.strip_prefix('"').and_then(|name| name.strip_suffix('"')));
            steps.push(match quoted {
                Some(name) => Step::Member(name.to_owned()),
                None => Step::Element(index.parse().map_err(|_| fail())?),
            });
            rest = after;
        } else {
            return Err(fail());
        }
    }
    Ok(steps)
}

/// Follows a path.
pub(crate) fn follow<'a>(value: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Member(name) => value.as_object()?.get(name),
        Step::Element(at) => value.as_array()?.get(*at),
    })
}

/// A scalar's text; NULL of objects, arrays and null.
pub(super) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

pub(super) fn register(t: &mut Table) {
    t.f1::<Text, Json>("PARSE_JSON", |a| normalise(a).map(Some));
    t.f1::<Json, Text>("JSON_TYPE", |a| ok(kind(&parse(a)?).to_owned()));
    t.f2::<Json, Text, Json>("_json_member", |a, name| Ok(parse(a)?.get(name).map(ToString::to_string)));
    t.f2::<Json, Int, Json>("_json_element", |a, at| {
        Ok(usize::try_from(at).ok().and_then(|at| parse(a).ok()?.get(at).map(ToString::to_string)))
    });
    for name in ["JSON_VALUE", "JSON_EXTRACT_SCALAR"] {
        t.f1::<Text, Text>(name, |a| Ok(json_raw::at(a, &[]).and_then(json_raw::scalar)));
        t.f2::<Text, Text, Text>(name, |a, at| Ok(json_raw::at(a, &path(at)?).and_then(json_raw::scalar)));
        t.f1::<Json, Text>(name, |a| Ok(scalar_text(&parse(a)?)));
        t.f2::<Json, Text, Text>(name, scalar_at);
    }
    for name in ["JSON_QUERY", "JSON_EXTRACT"] {
        t.f1::<Text, Text>(name, |a| Ok(json_raw::at(a, &[]).map(json_raw::compact)));
        t.f2::<Text, Text, Text>(name, |a, at| {
            Ok(json_raw::at(a, &path(at)?).map(json_raw::compact).filter(|text| text != "null"))
        });
        t.f1::<Json, Json>(name, |a| ok(a.to_owned()));
        t.f2::<Json, Text, Json>(name, query_at);
    }
    t.f1::<Json, Int>("INT64", |a| whole(&parse(a)?).map(Some));
    t.f1::<Json, Float>("FLOAT64", |a| parse(a)?.as_f64().map(Some).ok_or_else(|| Fail::from("JSON is not a number")));
    t.f1::<Json, Bool>("BOOL", |a| parse(a)?.as_bool().map(Some).ok_or_else(|| Fail::from("JSON is not a boolean")));
    t.f1::<Json, Text>("STRING", |a| match parse(a)? {
        Value::String(text) => ok(text),
        _ => Err("JSON is not a string".into()),
    });
    lax(t);
}

fn lax(t: &mut Table) {
    for name in ["LAX_INT64", "LAX_INT32"] {
        let narrow = name == "LAX_INT32";
        t.f1::<Json, Int>(name, move |a| {
            Ok(lax_int(&parse(a)?).filter(|value| !narrow || i32::try_from(*value).is_ok()))
        });
    }
    for name in ["LAX_FLOAT64", "LAX_DOUBLE", "LAX_FLOAT"] {
        t.f1::<Json, Float>(name, |a| Ok(lax_float(&parse(a)?)));
    }
    t.alias("FLOAT64", "DOUBLE");
    t.alias("FLOAT64", "FLOAT");
    t.f1::<Json, Bool>("LAX_BOOL", |a| Ok(lax_bool(&parse(a)?)));
    t.f1::<Json, Text>("LAX_STRING", |a| Ok(scalar_text(&parse(a)?)));
}

pub(super) fn lax_int(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(value) => Some(i64::from(*value)),
        Value::Number(number) => number.as_i64().or_else(|| number::int(number.as_f64()?).ok()),
        Value::String(text) => {
            number::parse_int(text).ok().or_else(|| number::int(number::parse_float(text).ok()?).ok())
        }
        _ => None,
    }
}

pub(super) fn lax_float(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => number::parse_float(text).ok(),
        _ => None,
    }
}

pub(super) fn lax_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) => number.as_f64().map(|value| value != 0.0),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A JSON number that is an INT64.
pub(super) fn whole(value: &Value) -> Result<i64, Fail> {
    let fail = || Fail::from("JSON is not an INT64");
    if let Some(value) = value.as_i64() {
        return Ok(value);
    }
    let float = value.as_f64().filter(|value| value.fract() == 0.0).ok_or_else(fail)?;
    number::int(float).map_err(|_| fail())
}

fn scalar_at(text: &str, at: &str) -> Out<String> {
    let steps = path(at)?;
    Ok(follow(&parse(text)?, &steps).and_then(scalar_text))
}

fn query_at(text: &str, at: &str) -> Out<String> {
    let steps = path(at)?;
    Ok(follow(&parse(text)?, &steps).map(ToString::to_string))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// How exact numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exact {
    /// TO_JSON: as numbers where a FLOAT64 holds them.
    Number,
    /// TO_JSON_STRING: as numbers only where they are whole and at most 2^53.
    Text,
}

/// Writes a value of any type as JSON.
pub(crate) fn to_json(ty: SqlType, form: Exact) -> Kernel {
    Arc::new(move |args| {
        let (column, constant) = args.column(0)?;
        let values: Vec<Option<String>> = (0..args.rows)
            .map(|row| value_text(column, if constant { 0 } else { row }, &ty, form).map(Some))
            .collect::<PlanResult<_>>()?;
        Ok(Arc::new(StringArray::from(values)))
    })
}

fn value_text(column: &ArrayRef, row: usize, ty: &SqlType, form: Exact) -> PlanResult<String> {
    if column.is_null(row) {
        return Ok("null".into());
    }
    let args = Args { columns: vec![(Arc::clone(column), false)], rows: row + 1, safe: false };
    let failed = |fail: Fail| DataFusionError::Execution(fail.0);
    let quoted = |text: String| Value::String(text).to_string();
    Ok(match ty {
        SqlType::Bool => read::<Bool>(&args, row)?.to_string(),
        SqlType::Int64 => {
            let value = read::<Int>(&args, row)?;
            if (-EXACT..=EXACT).contains(&value) { value.to_string() } else { quoted(value.to_string()) }
        }
        SqlType::Float64 => {
            let value = read::<Float>(&args, row)?;
            if value.is_finite() { number::float_text(value) } else { quoted(float_name(value).into()) }
        }
        SqlType::Numeric => exact(decimal::text(read::<Numeric>(&args, row)?), form),
        SqlType::BigNumeric => exact(decimal::big_text(read::<Big>(&args, row)?), form),
        SqlType::String => quoted(column.as_string::<i32>().value(row).to_owned()),
        SqlType::Json => column.as_string::<i32>().value(row).to_owned(),
        SqlType::Bytes => {
            quoted(STANDARD.encode(<Bytes as Cell>::get(column.as_binary::<i32>(), row).unwrap_or_default()))
        }
        SqlType::Date => quoted(civil::date_text(read::<Date>(&args, row)?).map_err(failed)?),
        SqlType::Datetime => quoted(civil::datetime_text(read::<Datetime>(&args, row)?, 'T').map_err(failed)?),
        SqlType::Time => quoted(civil::time_text(read::<Time>(&args, row)?)),
        SqlType::Timestamp => {
            quoted(format!("{}Z", civil::datetime_text(read::<Instant>(&args, row)?, 'T').map_err(failed)?))
        }
        SqlType::Interval => quoted(date::interval_text(read::<Interval>(&args, row)?)),
        SqlType::Array(element) => list_text(column.as_list::<i32>(), row, element, form)?,
        SqlType::Struct(fields) => struct_text(column.as_struct(), row, fields, form)?,
    })
}

fn read<T>(args: &Args, row: usize) -> PlanResult<T::Own>
where
    T: for<'a> Cell<Get<'a> = <T as Cell>::Own>,
{
    args.open::<T>(0)?.get(row).ok_or_else(|| DataFusionError::Internal("NULL where a value was".into()))
}

fn float_name(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// Exact numbers are written as numbers if a FLOAT64 holds them, else as strings; see [`Exact`].
fn exact(text: String, form: Exact) -> String {
    let holds = match form {
        Exact::Number => text.parse::<f64>().is_ok_and(|value| number::float_text(value) == text),
        Exact::Text => text.parse::<i64>().is_ok_and(|value| (-EXACT..=EXACT).contains(&value)),
    };
    if holds { text } else { Value::String(text).to_string() }
}

fn list_text(list: &ListArray, row: usize, element: &SqlType, form: Exact) -> PlanResult<String> {
    let values = list.value(row);
    let parts: Vec<String> =
        (0..values.len()).map(|at| value_text(&values, at, element, form)).collect::<PlanResult<_>>()?;
    Ok(format!("[{}]", parts.join(",")))
}

fn struct_text(row_of: &StructArray, row: usize, fields: &[(String, SqlType)], form: Exact) -> PlanResult<String> {
    let mut parts = Vec::new();
    for ((name, ty), column) in fields.iter().zip(row_of.columns()) {
        parts.push(format!("{}:{}", Value::String(name.clone()), value_text(column, row, ty, form)?));
    }
    Ok(format!("{{{}}}", parts.join(",")))
}

fn json_args(args: &Args, row: usize) -> PlanResult<Vec<Option<String>>> {
    (0..args.columns.len()).map(|at| Ok(args.open::<Text>(at)?.get(row).map(ToOwned::to_owned))).collect()
}

/// JSON_ARRAY of values already written as JSON.
pub(crate) fn make_array() -> Kernel {
    Arc::new(|args| {
        let rows: Vec<Option<String>> = (0..args.rows)
            .map(|row| {
                let parts: Vec<String> =
                    json_args(args, row)?.into_iter().map(|value| value.unwrap_or_else(|| "null".into())).collect();
                Ok(Some(format!("[{}]", parts.join(","))))
            })
            .collect::<PlanResult<_>>()?;
        Ok(Arc::new(StringArray::from(rows)))
    })
}

/// JSON_OBJECT of keys and values; the first of a repeated key stays.
pub(crate) fn make_object() -> Kernel {
    Arc::new(|args| {
        let rows: Vec<Option<String>> = (0..args.rows)
            .map(|row| {
                let mut object = Map::new();
                let parts = json_args(args, row)?;
                for pair in parts.chunks(2) {
                    let [Some(key), value] = pair else {
                        return Err(DataFusionError::Execution("JSON_OBJECT with a NULL key".into()));
                    };
                    let value =
                        parse(value.as_deref().unwrap_or("null")).map_err(|fail| DataFusionError::Execution(fail.0))?;
                    object.entry(key.clone()).or_insert(value);
                }
                Ok(Some(Value::Object(object).to_string()))
            })
            .collect::<PlanResult<_>>()?;
        Ok(Arc::new(StringArray::from(rows)))
    })
}
