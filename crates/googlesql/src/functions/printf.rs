//! FORMAT: printf's language as GoogleSQL has it.

use std::{fmt::Write as _, sync::Arc};

use arrow::array::{Array as _, ArrayRef, AsArray as _, StringArray};
use datafusion::error::{DataFusionError, Result as PlanResult};

use super::{
    cell::{Args, Big, Bool, Cell, Date, Datetime, Fail, Float, Instant, Int, Interval, Kernel, Numeric, Time},
    civil::{self, Zone},
    date, decimal, number,
};
use crate::types::SqlType;

/// One `%` of a format.
struct Spec {
    flags: String,
    width: Option<usize>,
    precision: Option<usize>,
    verb: char,
}

/// FORMAT over arguments of some types; the format is the first argument.
pub(crate) fn format(types: Vec<SqlType>, zone: String) -> Kernel {
    Arc::new(move |args| {
        let zone = Zone::parse(&zone).map_err(|fail| DataFusionError::Execution(fail.0))?;
        let formats = args.open::<super::cell::Text>(0)?;
        let mut rows: Vec<Option<String>> = Vec::with_capacity(args.rows);
        for row in 0..args.rows {
            rows.push(match formats.get(row) {
                Some(format) => one(format, args, row, &types, zone)?,
                None => None,
            });
        }
        Ok(Arc::new(StringArray::from(rows)))
    })
}

fn refused(text: &str) -> DataFusionError {
    DataFusionError::Execution(text.to_owned())
}

fn one(format: &str, args: &Args, row: usize, types: &[SqlType], zone: Zone) -> PlanResult<Option<String>> {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let mut next = 0_usize;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.peek() == Some(&'%') {
            chars.next();
            out.push('%');
            continue;
        }
        let spec = read_spec(&mut chars)?;
        let ty = types.get(next).ok_or_else(|| refused("FORMAT has more verbs than arguments"))?;
        next += 1;
        let (column, constant) = args.column(next)?;
        let at = if constant { 0 } else { row };
        if column.is_null(at) && !matches!(spec.verb, 't' | 'T') {
            return Ok(None);
        }
        let text = verb(&spec, column, at, ty, zone)?;
        padded(&mut out, &text, &spec);
    }
    if next != types.len() {
        return Err(refused("FORMAT has more arguments than verbs"));
    }
    Ok(Some(out))
}

fn read_spec(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> PlanResult<Spec> {
    let mut flags = String::new();
    while let Some(flag) = chars.next_if(|c| "-+ #0'".contains(*c)) {
        flags.push(flag);
    }
    let mut digits = |dotted: bool| -> Option<usize> {
        if dotted {
            chars.next_if_eq(&'.')?;
        }
        let mut text = String::new();
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            text.push(digit);
        }
        if text.is_empty() && dotted { Some(0) } else { text.parse().ok() }
    };
    let width = digits(false);
    let precision = digits(true);
    let verb = chars.next().ok_or_else(|| refused("FORMAT ends inside a verb"))?;
    if verb == '*' || width.is_some_and(|width| width > 10_000) || precision.is_some_and(|precision| precision > 300) {
        return Err(refused("FORMAT with * or with a very large width is not built"));
    }
    Ok(Spec { flags, width, precision, verb })
}

fn verb(spec: &Spec, column: &ArrayRef, row: usize, ty: &SqlType, zone: Zone) -> PlanResult<String> {
    let args = Args { columns: vec![(Arc::clone(column), false)], rows: row + 1, safe: false };
    match (spec.verb, ty) {
        ('t' | 'T', _) => shown(column, row, ty, zone, spec.verb == 'T'),
        ('s', SqlType::String) => {
            let text = column.as_string::<i32>().value(row);
            Ok(spec.precision.map_or_else(|| text.to_owned(), |most| text.chars().take(most).collect()))
        }
        ('d' | 'i', SqlType::Int64) => Ok(signed(read::<Int>(&args, row)?.to_string(), spec)),
        ('x' | 'X' | 'o', SqlType::Int64) => {
            let value = read::<Int>(&args, row)?;
            let magnitude = value.unsigned_abs();
            let digits = match spec.verb {
                'x' => format!("{magnitude:x}"),
                'X' => format!("{magnitude:X}"),
                _ => format!("{magnitude:o}"),
            };
            Ok(if value < 0 { format!("-{digits}") } else { digits })
        }
        ('f' | 'F', SqlType::Float64) => {
            let value = read::<Float>(&args, row)?;
            if !value.is_finite() {
                return Ok(number::float_text(value));
            }
            Ok(signed(format!("{value:.*}", spec.precision.unwrap_or(6)), spec))
        }
        ('e' | 'E', SqlType::Float64) => {
            let value = read::<Float>(&args, row)?;
            let text = format!("{value:.*e}", spec.precision.unwrap_or(6));
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let exponent: i32 = exponent.parse().unwrap_or(0);
            let text = format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
            Ok(signed(if spec.verb == 'E' { text.to_uppercase() } else { text }, spec))
        }
        _ => Err(refused("FORMAT has a verb that does not go with its argument's type, or is not built")),
    }
}

fn read<T>(args: &Args, row: usize) -> PlanResult<T::Own>
where
    T: for<'a> Cell<Get<'a> = <T as Cell>::Own>,
{
    args.open::<T>(0)?.get(row).ok_or_else(|| refused("NULL where a value was"))
}

/// Adds a sign and groups of thousands.
fn signed(text: String, spec: &Spec) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits.to_owned()),
        None if spec.flags.contains('+') => ("+", text),
        None if spec.flags.contains(' ') => (" ", text),
        None => ("", text),
    };
    let digits = if spec.flags.contains('\'') { grouped(&digits) } else { digits };
    let zeros = match spec.width {
        Some(width) if spec.flags.contains('0') && !spec.flags.contains('-') => {
            width.saturating_sub(sign.len() + digits.len())
        }
        _ => 0,
    };
    format!("{sign}{}{digits}", "0".repeat(zeros))
}

fn grouped(digits: &str) -> String {
    let end = digits.find(['.', 'e']).unwrap_or(digits.len());
    let (whole, rest) = digits.split_at(end);
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

fn padded(out: &mut String, text: &str, spec: &Spec) {
    let width = spec.width.unwrap_or(0);
    let _ = if spec.flags.contains('-') { write!(out, "{text:<width$}") } else { write!(out, "{text:>width$}") };
}

/// A value as `%t` shows it, or as a literal for `%T`.
fn shown(column: &ArrayRef, row: usize, ty: &SqlType, zone: Zone, literal: bool) -> PlanResult<String> {
    if column.is_null(row) {
        return Ok("NULL".into());
    }
    let args = Args { columns: vec![(Arc::clone(column), false)], rows: row + 1, safe: false };
    let failed = |fail: Fail| refused(&fail.0);
    let typed = |name: &str, text: String| if literal { format!("{name} \"{text}\"") } else { text };
    Ok(match ty {
        SqlType::Bool => read::<Bool>(&args, row)?.to_string(),
        SqlType::Int64 => read::<Int>(&args, row)?.to_string(),
        SqlType::Float64 => {
            let value = read::<Float>(&args, row)?;
            let text = number::float_text(value);
            if value.is_finite() && !text.contains(['.', 'e']) { text + ".0" } else { text }
        }
        SqlType::Numeric => typed("NUMERIC", decimal::text(read::<Numeric>(&args, row)?)),
        SqlType::BigNumeric => typed("BIGNUMERIC", decimal::big_text(read::<Big>(&args, row)?)),
        SqlType::String => {
            let text = column.as_string::<i32>().value(row);
            if literal {
                format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
            } else {
                text.to_owned()
            }
        }
        SqlType::Date => typed("DATE", civil::date_text(read::<Date>(&args, row)?).map_err(failed)?),
        SqlType::Datetime => {
            typed("DATETIME", civil::datetime_text(read::<Datetime>(&args, row)?, ' ').map_err(failed)?)
        }
        SqlType::Time => typed("TIME", civil::time_text(read::<Time>(&args, row)?)),
        SqlType::Timestamp => {
            typed("TIMESTAMP", civil::instant_text(read::<Instant>(&args, row)?, zone).map_err(failed)?)
        }
        SqlType::Interval => date::interval_text(read::<Interval>(&args, row)?),
        SqlType::Array(element) => {
            let values = column.as_list::<i32>().value(row);
            let parts: Vec<String> =
                (0..values.len()).map(|at| shown(&values, at, element, zone, literal)).collect::<PlanResult<_>>()?;
            format!("[{}]", parts.join(", "))
        }
        SqlType::Struct(fields) => {
            let row_of = column.as_struct();
            let parts: Vec<String> = fields
                .iter()
                .zip(row_of.columns())
                .map(|((_, ty), column)| shown(column, row, ty, zone, literal))
                .collect::<PlanResult<_>>()?;
            format!("({})", parts.join(", "))
        }
        SqlType::Json | SqlType::Bytes => return Err(refused("FORMAT of JSON or BYTES is not built")),
    })
}
