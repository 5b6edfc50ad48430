//! Values of the workload: one expression per kind of column, in SQL and in Rust, over a row's number and a salt.
//!
//! Owns: what each kind of column holds, and the one text form in which source, lake, wire and model are compared.
//! Never knows a table.

use std::sync::Arc;

use rand::{Rng, rngs::StdRng};

/// A value in canonical text; `None` is NULL.
pub type Value = Option<Arc<str>>;

/// Microseconds of a second.
const SECOND_US: i64 = 1_000_000;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `int`.
    Int,
    /// `bigint`.
    Bigint,
    /// Short `text`.
    Text,
    /// `text` of some kilobytes, stored out of line.
    Big,
    /// `numeric(18,4)`.
    Number,
    /// `numeric` without bounds, part of a key: equal numbers are written with different scales.
    Exact,
    /// `timestamptz`.
    Instant,
    /// `boolean`.
    Flag,
    /// `double precision`.
    Float,
    /// `uuid`.
    Uuid,
}

impl Kind {
    /// Kinds of columns that come and go.
    pub const ADDED: [Self; 8] =
        [Self::Int, Self::Bigint, Self::Text, Self::Number, Self::Instant, Self::Flag, Self::Float, Self::Uuid];

    /// The type in SQL.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Bigint => "bigint",
            Self::Text | Self::Big => "text",
            Self::Number => "numeric(18,4)",
            Self::Exact => "numeric",
            Self::Instant => "timestamptz",
            Self::Flag => "boolean",
            Self::Float => "double precision",
            Self::Uuid => "uuid",
        }
    }

    /// The expression of a value that is not NULL; `i` is a bigint expression.
    pub fn expression(self, i: &str, salt: i64) -> String {
        match self {
            Self::Int => format!("(({i} * {salt}) % 100003)::int"),
            Self::Bigint => format!("({i} * {salt} * 1000003)"),
            Self::Text => format!("('s' || {i} % {})", salt + 7),
            Self::Big => format!("repeat('b' || {i} || '-' || {salt} || ',', 300)"),
            Self::Number => format!("((({i} * {salt}) % 1000000007)::numeric / 10000)::numeric(18,4)"),
            Self::Exact => format!("({i} || CASE WHEN {salt} % 2 = 0 THEN '.50' ELSE '.5' END)::numeric"),
            Self::Instant => format!(
                "('2020-01-01 00:00:00+00'::timestamptz + (({i} * {salt}) % 100000000) * interval '1 microsecond')"
            ),
            Self::Flag => format!("({i} % 3 = 0)"),
            Self::Float => format!("((({i} * {salt}) % 100003)::double precision / 8)"),
            Self::Uuid => format!("lpad(to_hex({i} * {salt}), 32, '0')::uuid"),
        }
    }

    /// What [`Self::expression`] gives.
    pub fn value(self, i: i64, salt: i64) -> Arc<str> {
        let text = match self {
            Self::Int => (i * salt % 100_003).to_string(),
            Self::Bigint => (i * salt * 1_000_003).to_string(),
            Self::Text => format!("s{}", i % (salt + 7)),
            Self::Big => format!("b{i}-{salt},").repeat(300),
            Self::Number => {
                let scaled = i * salt % 1_000_000_007;
                format!("{}.{:04}", scaled / 10_000, scaled % 10_000)
            }
            Self::Exact => format!("{i}.5"),
            Self::Instant => {
                let us = i * salt % 100_000_000;
                let (seconds, us) = (us / SECOND_US, us % SECOND_US);
                format!("2020-01-01 00:{:02}:{:02}.{us:06}", seconds / 60, seconds % 60)
            }
            Self::Flag => (i % 3 == 0).to_string(),
            Self::Float => (((i * salt % 100_003) as f64) / 8.0).to_string(),
            Self::Uuid => {
                let hex = format!("{:032x}", i * salt);
                [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
            }
        };
        self.canonical(&text)
    }

    /// The one form of a value that PostgreSQL, naru's wire or Arrow wrote in theirs.
    pub fn canonical(self, text: &str) -> Arc<str> {
        match self {
            Self::Number | Self::Exact => without_zeros(text).into(),
            Self::Float => text.parse::<f64>().map_or_else(|_| text.to_owned(), |number| number.to_string()).into(),
            Self::Flag if text == "t" => "true".into(),
            Self::Flag if text == "f" => "false".into(),
            Self::Instant => {
                let text = text.trim_end_matches('Z').trim_end_matches(" UTC").trim_end_matches(":00+00:00");
                let text = text.trim_end_matches("+00:00").trim_end_matches("+00");
                without_zeros(&text.replacen('T', " ", 1)).into()
            }
            _ => text.into(),
        }
    }

    /// The source's own text of a canonical value, as `::text` gives it.
    pub fn source_text(self, value: &str) -> String {
        match self {
            Self::Number => {
                let (whole, digits) = value.split_once('.').unwrap_or((value, ""));
                format!("{whole}.{digits:0<4}")
            }
            Self::Instant => format!("{value}+00"),
            _ => value.to_owned(),
        }
    }

    /// A literal of a canonical value.
    pub fn literal(self, value: &str) -> String {
        match self {
            Self::Int | Self::Bigint | Self::Exact | Self::Number => value.to_owned(),
            Self::Instant => format!("'{value}+00'"),
            _ => format!("'{value}'"),
        }
    }
}

/// A salt that keeps every expression inside its type.
pub fn salt(rng: &mut StdRng) -> i64 {
    rng.random_range(1..1_000)
}

/// Whether a nullable column is NULL for this number; the condition in SQL is [`null_sql`].
pub fn is_null(i: i64, salt: i64) -> bool {
    i % 6 == salt % 6
}

/// See [`is_null`].
pub fn null_sql(i: &str, salt: i64) -> String {
    format!("{i} % 6 = {}", salt % 6)
}

fn without_zeros(number: &str) -> String {
    if !number.contains('.') {
        return number.to_owned();
    }
    number.trim_end_matches('0').trim_end_matches('.').to_owned()
}
