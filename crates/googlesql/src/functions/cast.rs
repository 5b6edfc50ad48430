//! CAST between types: which pairs exist, and what each does.

use std::sync::Arc;

use super::{
    cell::{
        Big, Bool, Bytes, Cell, Date, Datetime, Fail, Float, Instant, Int, Interval, Kernel, Numeric, Out, Text, Time,
        kernel1, kernel2, ok,
    },
    civil::{self, DAY, Zone},
    decimal, number,
};
use crate::types::SqlType;

/// How a pair of types is cast.
pub(crate) enum Caster {
    /// A function of the value.
    Plain(Kernel),
    /// A function of the value and a zone.
    Zoned(Kernel),
}

#[allow(clippy::unnecessary_wraps)] // every arm of a table of Options
fn plain<A: Cell, R: Cell>(f: impl for<'a> Fn(A::Get<'a>) -> Out<R::Own> + Send + Sync + 'static) -> Option<Caster> {
    Some(Caster::Plain(kernel1::<A, R>(f)))
}

#[allow(clippy::unnecessary_wraps)]
fn zoned<A: Cell, R: Cell>(
    f: impl for<'a> Fn(A::Get<'a>, &'a str) -> Out<R::Own> + Send + Sync + 'static,
) -> Option<Caster> {
    Some(Caster::Zoned(kernel2::<A, Text, R>(f)))
}

/// The cast from one scalar type to another; `None` if GoogleSQL has none. Equal types are the caller's.
pub(crate) fn scalar(from: &SqlType, to: &SqlType) -> Option<Caster> {
    match from {
        SqlType::Int64 => from_int(to),
        SqlType::Float64 => from_float(to),
        SqlType::Numeric => from_numeric(to),
        SqlType::BigNumeric => from_big(to),
        SqlType::Bool => match to {
            SqlType::Int64 => plain::<Bool, Int>(|a| ok(i64::from(a))),
            SqlType::String => plain::<Bool, Text>(|a| ok(if a { "true" } else { "false" }.into())),
            _ => None,
        },
        SqlType::String => from_text(to),
        SqlType::Bytes => match to {
            SqlType::String => plain::<Bytes, Text>(|a| {
                std::str::from_utf8(a)
                    .map(|text| Some(text.to_owned()))
                    .map_err(|_| Fail::from("BYTES are not UTF-8 text"))
            }),
            _ => None,
        },
        SqlType::Date => match to {
            SqlType::String => plain::<Date, Text>(|a| civil::date_text(a).map(Some)),
            SqlType::Datetime => plain::<Date, Datetime>(|a| ok(i64::from(a) * DAY)),
            SqlType::Timestamp => {
                zoned::<Date, Instant>(|a, zone| Zone::parse(zone)?.instant(i64::from(a) * DAY).map(Some))
            }
            _ => None,
        },
        SqlType::Datetime => match to {
            SqlType::String => plain::<Datetime, Text>(|a| civil::datetime_text(a, ' ').map(Some)),
            SqlType::Date => plain::<Datetime, Date>(|a| civil::day_of(a).map(Some)),
            SqlType::Time => plain::<Datetime, Time>(|a| ok(a.rem_euclid(DAY))),
            SqlType::Timestamp => zoned::<Datetime, Instant>(|a, zone| Zone::parse(zone)?.instant(a).map(Some)),
            _ => None,
        },
        SqlType::Time => match to {
            SqlType::String => plain::<Time, Text>(|a| ok(civil::time_text(a))),
            _ => None,
        },
        SqlType::Timestamp => from_instant(to),
        SqlType::Interval => match to {
            SqlType::String => plain::<Interval, Text>(|a| ok(super::date::interval_text(a))),
            _ => None,
        },
        SqlType::Json | SqlType::Array(_) | SqlType::Struct(_) => None,
    }
}

fn from_int(to: &SqlType) -> Option<Caster> {
    match to {
        SqlType::Float64 => plain::<Int, Float>(|a| ok(number::float(a))),
        SqlType::Numeric => plain::<Int, Numeric>(|a| ok(decimal::from_int(a))),
        SqlType::BigNumeric => plain::<Int, Big>(|a| ok(decimal::big_from_int(a))),
        SqlType::Bool => plain::<Int, Bool>(|a| ok(a != 0)),
        SqlType::String => plain::<Int, Text>(|a| ok(a.to_string())),
        _ => None,
    }
}

fn from_float(to: &SqlType) -> Option<Caster> {
    match to {
        SqlType::Int64 => plain::<Float, Int>(|a| number::int(a).map(Some)),
        SqlType::Numeric => plain::<Float, Numeric>(|a| decimal::from_float(a).map(Some)),
        SqlType::BigNumeric => plain::<Float, Big>(|a| decimal::big_from_float(a).map(Some)),
        SqlType::String => plain::<Float, Text>(|a| ok(number::float_text(a))),
        _ => None,
    }
}

fn from_numeric(to: &SqlType) -> Option<Caster> {
    match to {
        SqlType::Int64 => plain::<Numeric, Int>(|a| decimal::to_int(a).map(Some)),
        SqlType::Float64 => plain::<Numeric, Float>(|a| ok(decimal::to_float(a))),
        SqlType::BigNumeric => plain::<Numeric, Big>(|a| ok(decimal::big_from_numeric(a))),
        SqlType::String => plain::<Numeric, Text>(|a| ok(decimal::text(a))),
        _ => None,
    }
}

fn from_big(to: &SqlType) -> Option<Caster> {
    match to {
        SqlType::Int64 => plain::<Big, Int>(|a| decimal::big_to_int(a).map(Some)),
        SqlType::Float64 => plain::<Big, Float>(|a| ok(number::float256(a))),
        SqlType::Numeric => plain::<Big, Numeric>(|a| decimal::big_to_numeric(a).map(Some)),
        SqlType::String => plain::<Big, Text>(|a| ok(decimal::big_text(a))),
        _ => None,
    }
}

fn from_text(to: &SqlType) -> Option<Caster> {
    match to {
        SqlType::Int64 => plain::<Text, Int>(|a| number::parse_int(a).map(Some)),
        SqlType::Float64 => plain::<Text, Float>(|a| number::parse_float(a).map(Some)),
        SqlType::Numeric => plain::<Text, Numeric>(|a| decimal::parse(a).map(Some)),
        SqlType::BigNumeric => plain::<Text, Big>(|a| decimal::parse_big(a).map(Some)),
        SqlType::Bool => plain::<Text, Bool>(|a| match a.trim().to_ascii_lowercase().as_str() {
            "true" => ok(true),
            "false" => ok(false),
            _ => Err("text is not a BOOL".into()),
        }),
        SqlType::Bytes => plain::<Text, Bytes>(|a| ok(a.as_bytes().to_vec())),
        SqlType::Date => plain::<Text, Date>(|a| civil::parse_datetime(a).and_then(civil::day_of).map(Some)),
        SqlType::Datetime => plain::<Text, Datetime>(|a| civil::parse_datetime(a).map(Some)),
        SqlType::Time => plain::<Text, Time>(|a| civil::parse_time(a).map(Some)),
        SqlType::Timestamp => zoned::<Text, Instant>(|a, zone| civil::parse_instant(a, Zone::parse(zone)?).map(Some)),
        SqlType::Interval => plain::<Text, Interval>(|a| super::date::parse_interval(a).map(Some)),
        _ => None,
    }
}

fn from_instant(to: &SqlType) -> Option<Caster> {
    match to {
        SqlType::String => zoned::<Instant, Text>(|a, zone| civil::instant_text(a, Zone::parse(zone)?).map(Some)),
        SqlType::Date => zoned::<Instant, Date>(|a, zone| civil::day_of(Zone::parse(zone)?.local(a)?).map(Some)),
        SqlType::Datetime => zoned::<Instant, Datetime>(|a, zone| Zone::parse(zone)?.local(a).map(Some)),
        SqlType::Time => zoned::<Instant, Time>(|a, zone| ok(Zone::parse(zone)?.local(a)?.rem_euclid(DAY))),
        _ => None,
    }
}

/// A kernel that gives its only argument back.
pub(crate) fn identity() -> Kernel {
    Arc::new(|args| {
        let (column, constant) = args.column(0)?;
        if constant && args.rows != 1 {
            return datafusion::common::ScalarValue::try_from_array(column, 0)?.to_array_of_size(args.rows);
        }
        Ok(Arc::clone(column))
    })
}
