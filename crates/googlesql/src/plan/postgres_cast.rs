//! PostgreSQL's `x::type`, where it means what CAST means here.
//!
//! Owns: which pairs of types those are. Everywhere else the two answer differently (halves round to even, fractions
//! of a second lose their zeros, NUMERIC has no scale of its own), so the cast is refused with the form that says
//! what is meant. `numeric(10, 2)` rounds and `varchar(5)` keeps what fits, as both do; a text that is too long,
//! which PostgreSQL would cut, is an error. Only texts read by [`crate::parse_with_postgres_casts`] come here.

use sqlparser::ast::{CharacterLength, DataType, ExactNumberInfo, Expr as Ast, TimezoneInfo};

use super::{
    Planner,
    datatype::{Bound, digits},
    expr::Cx,
    scope::{Lit, Typed},
};
use crate::{
    error::{Result, SqlError},
    types::SqlType,
};

impl Planner<'_> {
    pub(super) fn postgres_cast(&mut self, expr: &Ast, data_type: &DataType, cx: &mut Cx) -> Result<Typed> {
        if let Some((to, bound)) = with_parameters(data_type) {
            let arg = self.expr(expr, cx)?;
            return self.postgres_cast_within(arg, &to, bound, data_type);
        }
        let to = named(data_type)?;
        let arg = self.expr(expr, cx)?;
        if arg.lit == Lit::Null || arg.ty == to || same_meaning(&arg.ty, &to) {
            return self.cast(arg, &to, false);
        }
        Err(SqlError::unsupported(format!("PostgreSQL's cast from {} to {data_type} may give another value", arg.ty))
            .hint(hint(&arg.ty, &to)))
    }

    /// A cast to a type with parameters.
    fn postgres_cast_within(&self, arg: Typed, to: &SqlType, bound: Bound, data_type: &DataType) -> Result<Typed> {
        let takes = match to {
            SqlType::String => arg.ty == SqlType::String || same_meaning(&arg.ty, to),
            // A FLOAT64 is rounded to 15 digits there first; a literal is exact in both.
            _ => {
                matches!(arg.ty, SqlType::Int64 | SqlType::Numeric | SqlType::BigNumeric | SqlType::String)
                    || matches!(arg.lit, Lit::Float(_))
            }
        };
        if arg.lit != Lit::Null && !takes {
            return Err(SqlError::unsupported(format!(
                "PostgreSQL's cast from {} to {data_type} may give another value",
                arg.ty
            ))
            .hint("write ROUND(CAST(x AS NUMERIC), 2), or CAST(x AS STRING)"));
        }
        // Through the wider type, so that nothing is rounded twice.
        let wide = if *to == SqlType::Numeric { &SqlType::BigNumeric } else { to };
        let value = self.cast(arg, wide, false)?;
        let value = Self::bounded(value, bound, false)?;
        self.cast(value, to, false)
    }
}

/// NUMERIC and VARCHAR with parameters, as PostgreSQL writes them.
fn with_parameters(data_type: &DataType) -> Option<(SqlType, Bound)> {
    match data_type {
        DataType::Numeric(info) | DataType::Decimal(info) => digits(*info, 29, 9)
            .map(|bound| (SqlType::Numeric, bound))
            .or_else(|| digits(*info, 38, 38).map(|bound| (SqlType::BigNumeric, bound))),
        DataType::Varchar(Some(CharacterLength::IntegerLength { length, unit: None }))
        | DataType::CharacterVarying(Some(CharacterLength::IntegerLength { length, unit: None })) => {
            let length = usize::try_from(*length).ok().filter(|length| *length > 0)?;
            Some((SqlType::String, Bound::Length(length)))
        }
        _ => None,
    }
}

/// The GoogleSQL type of a name as PostgreSQL uses it.
fn named(data_type: &DataType) -> Result<SqlType> {
    let name = data_type.to_string().to_ascii_lowercase();
    Ok(match data_type {
        DataType::Bool | DataType::Boolean => SqlType::Bool,
        DataType::SmallInt(None)
        | DataType::Int2(None)
        | DataType::Int(None)
        | DataType::Integer(None)
        | DataType::Int4(None)
        | DataType::BigInt(None)
        | DataType::Int8(None)
        | DataType::Int64 => SqlType::Int64,
        DataType::Float8 | DataType::DoublePrecision | DataType::Float(ExactNumberInfo::None) | DataType::Float64 => {
            SqlType::Float64
        }
        DataType::Numeric(ExactNumberInfo::None) | DataType::Decimal(ExactNumberInfo::None) => SqlType::Numeric,
        DataType::Text | DataType::Varchar(None) | DataType::CharacterVarying(None) | DataType::String(None) => {
            SqlType::String
        }
        DataType::Date => SqlType::Date,
        DataType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => SqlType::Datetime,
        DataType::Timestamp(None, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => SqlType::Timestamp,
        DataType::Time(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => SqlType::Time,
        _ => return Err(no_such(&name)),
    })
}

fn no_such(name: &str) -> SqlError {
    let start = |word: &str| name.starts_with(word);
    let hint = if start("numeric") || start("decimal") {
        "NUMERIC holds up to 38 digits, 9 of them behind the point; BIGNUMERIC more"
    } else if start("char") || start("bpchar") {
        "write LEFT(x, 5), or RPAD(x, 5)"
    } else if start("json") {
        "write PARSE_JSON(x)"
    } else if start("interval") {
        "write INTERVAL 1 DAY"
    } else if start("bytea") {
        "write FROM_HEX('00ff') or b'...'"
    } else if start("uuid") {
        "a UUID is a STRING here, in lowercase"
    } else {
        "write CAST(x AS type)"
    };
    SqlError::unsupported(format!("PostgreSQL's cast to {name} has no equal in GoogleSQL")).hint(hint)
}

/// Whether PostgreSQL's cast gives the value that CAST gives, for every value that both take.
fn same_meaning(from: &SqlType, to: &SqlType) -> bool {
    use SqlType::{BigNumeric, Bool, Date, Datetime, Float64, Int64, Numeric, String, Time, Timestamp};
    match to {
        Bool => matches!(from, Int64 | String),
        Int64 => matches!(from, Bool | Numeric | BigNumeric | String),
        Float64 => matches!(from, Int64 | Numeric | BigNumeric | String),
        Numeric => matches!(from, Int64),
        String => matches!(from, Bool | Int64 | Numeric | BigNumeric | Date),
        Date => matches!(from, String | Datetime | Timestamp),
        Datetime => matches!(from, String | Date | Timestamp),
        Timestamp => matches!(from, String | Date | Datetime),
        Time => matches!(from, String | Datetime | Timestamp),
        _ => false,
    }
}

fn hint(from: &SqlType, to: &SqlType) -> String {
    match (from, to) {
        (SqlType::Float64, SqlType::Int64) => {
            "write CAST(x AS INT64), which rounds halves away from zero, or CAST(TRUNC(x) AS INT64)".to_owned()
        }
        (SqlType::Json, _) => "write JSON_VALUE(x, '$.key') or TO_JSON_STRING(x)".to_owned(),
        (_, SqlType::Numeric) => "write CAST(x AS NUMERIC), which keeps 9 digits after the point".to_owned(),
        _ => format!("write CAST(x AS {to})"),
    }
}
