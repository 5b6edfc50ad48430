//! Literals and parameters.

use datafusion::common::ScalarValue;
use sqlparser::ast::{DataType, Expr as Ast, Interval, TypedString, Value, ValueWithSpan};

use super::{
    Planner,
    datatype::sql_type,
    expr::Cx,
    scope::{Lit, Typed},
};
use crate::{
    error::{Result, SqlError},
    functions::{
        TABLE,
        cell::Fail,
        civil::{self, Part, Zone},
        decimal, json,
    },
    literal,
    types::SqlType,
};

fn bad(fail: Fail) -> SqlError {
    SqlError::typed(fail.0)
}

/// A string literal's text, whatever its quotes.
fn string_text(value: &Value) -> Result<Option<String>> {
    Ok(Some(match value {
        Value::SingleQuotedString(raw) => literal::text(raw, Some('\''))?,
        Value::DoubleQuotedString(raw) => literal::text(raw, Some('"'))?,
        Value::TripleSingleQuotedString(raw) | Value::TripleDoubleQuotedString(raw) => literal::text(raw, None)?,
        Value::SingleQuotedRawStringLiteral(raw)
        | Value::DoubleQuotedRawStringLiteral(raw)
        | Value::TripleSingleQuotedRawStringLiteral(raw)
        | Value::TripleDoubleQuotedRawStringLiteral(raw) => literal::raw_text(raw)?,
        _ => return Ok(None),
    }))
}

impl Planner<'_> {
    pub(super) fn value(&mut self, value: &ValueWithSpan) -> Result<Typed> {
        if let Some(text) = string_text(&value.value)? {
            return Ok(Typed::text(&text));
        }
        let bytes = |raw: &str, quote| -> Result<Typed> {
            Ok(Typed::literal(ScalarValue::Binary(Some(literal::bytes(raw, quote)?)), SqlType::Bytes))
        };
        match &value.value {
            Value::Number(text, false) => number(text),
            Value::Boolean(value) => Ok(Typed::bool(*value)),
            Value::Null => Ok(Typed { lit: Lit::Null, ..Typed::null(SqlType::Int64)? }),
            Value::SingleQuotedByteStringLiteral(raw) => bytes(raw, Some('\'')),
            Value::DoubleQuotedByteStringLiteral(raw) => bytes(raw, Some('"')),
            Value::TripleSingleQuotedByteStringLiteral(raw) | Value::TripleDoubleQuotedByteStringLiteral(raw) => {
                bytes(raw, None)
            }
            Value::HexStringLiteral(digits)
                if value.span.end.column - value.span.start.column == u64::try_from(digits.len()).unwrap_or(0) + 2 =>
            {
                i64::from_str_radix(digits, 16).map(Typed::int).map_err(|_| SqlError::typed("INT64 overflow"))
            }
            Value::Placeholder(name) => self.placeholder(name),
            other => Err(SqlError::unsupported(format!("literal {other} is not GoogleSQL"))),
        }
    }

    /// `?` and `$1`.
    fn placeholder(&mut self, name: &str) -> Result<Typed> {
        let at = if let Some(number) = name.strip_prefix('$') {
            number.parse::<usize>().ok().and_then(|at| at.checked_sub(1))
        } else {
            self.placeholders += 1;
            Some(self.placeholders - 1)
        };
        if let Some(asked) = &self.asked
            && let Some(at) = at
        {
            return asked.parameter(at);
        }
        let value = at
            .and_then(|at| self.params.positional.get(at))
            .ok_or_else(|| SqlError::name(format!("no value was given for parameter {name}")))?;
        self.parameter(value)
    }

    /// `@name`.
    pub(super) fn named_parameter(&self, name: &str) -> Result<Typed> {
        let found = self.params.named.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, value) = found.ok_or_else(|| SqlError::name(format!("no value was given for parameter @{name}")))?;
        self.parameter(value)
    }

    fn parameter(&self, value: &ScalarValue) -> Result<Typed> {
        let ty = SqlType::of_arrow(&value.data_type(), self.options)
            .ok_or_else(|| SqlError::typed("a parameter's type is not GoogleSQL's"))?;
        let lit = if matches!(value, ScalarValue::Null) {
            Lit::Null
        } else if ty == SqlType::String {
            Lit::Text
        } else {
            Lit::No
        };
        Ok(Typed { lit, ..Typed::literal(value.cast_to(&ty.arrow())?, ty) })
    }

    /// The number behind a minus sign: -9223372036854775808 has no positive form.
    pub(super) fn negative_number(ast: &Ast) -> Result<Option<Typed>> {
        let Ast::Value(ValueWithSpan { value: Value::Number(text, false), .. }) = ast else { return Ok(None) };
        number(&format!("-{text}")).map(Some)
    }

    /// `DATE '2024-03-15'` and the like.
    pub(super) fn typed_string(&mut self, typed: &TypedString) -> Result<Typed> {
        if typed.uses_odbc_syntax {
            return Err(SqlError::unsupported("{d '...'} is not GoogleSQL").hint("write DATE '...'"));
        }
        let text =
            string_text(&typed.value.value)?.ok_or_else(|| SqlError::syntax("a typed literal needs a string"))?;
        let ty = match &typed.data_type {
            DataType::Custom(name, _) => return Err(SqlError::unsupported(format!("{name} literals are not built"))),
            known => sql_type(known)?,
        };
        let zone = Zone::parse(&self.options.time_zone).map_err(bad)?;
        let scalar = match ty {
            SqlType::Date => ScalarValue::Date32(Some(civil::parse_date(&text).map_err(bad)?)),
            SqlType::Datetime => {
                ScalarValue::TimestampMicrosecond(Some(civil::parse_datetime(&text).map_err(bad)?), None)
            }
            SqlType::Time => ScalarValue::Time64Microsecond(Some(civil::parse_time(&text).map_err(bad)?)),
            SqlType::Timestamp => ScalarValue::TimestampMicrosecond(
                Some(civil::parse_instant(&text, zone).map_err(bad)?),
                Some("UTC".into()),
            ),
            SqlType::Numeric => ScalarValue::Decimal128(Some(decimal::parse(&text).map_err(bad)?), 38, 9),
            SqlType::BigNumeric => ScalarValue::Decimal256(Some(decimal::parse_big(&text).map_err(bad)?), 76, 38),
            SqlType::Json => ScalarValue::Utf8(Some(json::normalise(&text).map_err(bad)?)),
            other => {
                return Err(SqlError::syntax(format!("there are no {other} literals of this form"))
                    .hint(format!("write CAST('...' AS {other})")));
            }
        };
        Ok(Typed::literal(scalar, ty))
    }

    /// `INTERVAL 5 DAY` as a value.
    pub(super) fn interval(&mut self, interval: &Interval, cx: &mut Cx) -> Result<Typed> {
        let (value, part) = self.interval_parts(interval, cx)?;
        let zero = || Typed::int(0);
        let place = match part {
            Part::Year => 0,
            Part::Quarter | Part::Month => 1,
            Part::Week(_) | Part::Day => 2,
            Part::Hour => 3,
            Part::Minute => 4,
            Part::Second => 5,
            _ => return Err(SqlError::unsupported("INTERVAL of this unit is only built inside the date functions")),
        };
        let each = match part {
            Part::Quarter => 3,
            Part::Week(_) => 7,
            _ => 1,
        };
        let value = if each == 1 {
            value
        } else {
            self.call_form("_mul", "", TABLE.forms("_mul"), vec![value, Typed::int(each)], false)?
        };
        let args = (0..6).map(|at| if at == place { value.clone() } else { zero() }).collect();
        self.call_form("_interval6", "", TABLE.forms("_interval6"), args, false)
    }

    /// The count and the unit of `INTERVAL 5 DAY`.
    pub(super) fn interval_parts(&mut self, interval: &Interval, cx: &mut Cx) -> Result<(Typed, Part)> {
        let Interval {
            value,
            leading_field: Some(field),
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        } = interval
        else {
            return Err(SqlError::unsupported("this form of INTERVAL is not built")
                .hint("write INTERVAL 5 DAY, or CAST('0-0 5 0:0:0' AS INTERVAL)"));
        };
        let part =
            Part::parse(&field.to_string()).ok_or_else(|| SqlError::unsupported(format!("INTERVAL of {field}")))?;
        let count = self.expr(value, cx)?;
        if count.ty != SqlType::Int64 {
            return Err(SqlError::typed(format!("INTERVAL needs an INT64, got {}", count.ty)));
        }
        Ok((self.coerce(count, &SqlType::Int64)?, part))
    }
}

/// A number as written: an INT64, or a FLOAT64 if it has a point or an exponent.
fn number(text: &str) -> Result<Typed> {
    if text.contains(['.', 'e', 'E']) {
        let value: f64 = text.parse().map_err(|_| SqlError::syntax("not a number"))?;
        if !value.is_finite() {
            return Err(SqlError::typed("FLOAT64 overflow"));
        }
        return Ok(Typed {
            lit: Lit::Float(text.to_owned()),
            ..Typed::literal(ScalarValue::Float64(Some(value)), SqlType::Float64)
        });
    }
    text.parse()
        .map(Typed::int)
        .map_err(|_| SqlError::typed("INT64 overflow").hint("write NUMERIC '...' for larger numbers"))
}
