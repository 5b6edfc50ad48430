//! The kinds of single values, and how each is read from its text and its binary form.
//!
//! Owns: [`Scalar`], the choice of one per source type, and the dispatch to the decoders beside this file.
//! Never builds arrays. Both forms of a value give the same result; tests against a real server hold that.

use arrow::datatypes::{DataType, TimeUnit};
use naru_lake::NaruType;
use postgres_types::Type;

use super::{TypeKind, TypeSource, interval, network, number, range, range::Bound, time};
use crate::postgres::error::CellFault;

/// A value as the server sent it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Raw<'a> {
    /// The output function's text.
    Text(&'a [u8]),
    /// The send function's bytes.
    Binary(&'a [u8]),
}

impl<'a> Raw<'a> {
    /// The bytes, whichever form they are in.
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) => bytes,
        }
    }

    /// The bytes as text.
    pub(crate) fn str(self) -> Result<&'a str, CellFault> {
        std::str::from_utf8(self.bytes()).map_err(|_| CellFault::NotUtf8)
    }
}

/// A decoded value, or why by rule it is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit<T> {
    /// It fits.
    Value(T),
    /// ±infinity.
    Infinite,
    /// Outside what the lake's type holds.
    OutOfRange,
    /// Not a number.
    Nan,
}

impl<T> Fit<T> {
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Fit<U> {
        match self {
            Self::Value(value) => Fit::Value(f(value)),
            Self::Infinite => Fit::Infinite,
            Self::OutOfRange => Fit::OutOfRange,
            Self::Nan => Fit::Nan,
        }
    }
}

/// One kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    /// numeric(p,s) that a 128-bit decimal holds.
    Decimal {
        precision: u8,
        scale: u8,
    },
    /// Any other numeric, as text.
    BigNumeric,
    /// text, varchar, bpchar, name, citext: text in both forms.
    Text,
    /// `"char"`, one byte.
    Char,
    Enum,
    Json,
    Jsonb,
    Bytea,
    Date,
    Timestamp,
    TimestampTz,
    Time,
    TimeTz,
    Interval,
    Uuid,
    Inet,
    Cidr,
    MacAddr,
    Bit,
    Xid,
    Xid8,
    PgLsn,
    Range(Bound),
    Multirange(Bound),
    /// A range whose bounds' type is not known here: its text.
    OpaqueRange,
    /// Anything else: its text.
    Opaque,
}

impl Scalar {
    /// Chooses by the type; domains are seen through, an array here (below a domain) is kept as its text.
    pub(crate) fn of(source: &TypeSource) -> Self {
        match &source.kind {
            TypeKind::Domain(base) => Self::of(base),
            TypeKind::Enum => Self::Enum,
            TypeKind::Range(bound) => {
                Bound::of_range(source.oid, bound.as_deref()).map_or(Self::OpaqueRange, Self::Range)
            }
            TypeKind::Multirange(bound) => {
                Bound::of_range(source.oid, bound.as_deref()).map_or(Self::OpaqueRange, Self::Multirange)
            }
            TypeKind::Array(_) | TypeKind::Composite | TypeKind::Pseudo => Self::Opaque,
            TypeKind::Base => Self::of_base(source),
        }
    }

    fn of_base(source: &TypeSource) -> Self {
        let Some(known) = Type::from_oid(source.oid) else {
            // An extension's type has no fixed oid; citext sends and prints plain text.
            return if source.name == "citext" { Self::Text } else { Self::Opaque };
        };
        match known {
            Type::BOOL => Self::Bool,
            Type::INT2 => Self::Int2,
            Type::INT4 => Self::Int4,
            Type::INT8 => Self::Int8,
            Type::OID => Self::Oid,
            Type::FLOAT4 => Self::Float4,
            Type::FLOAT8 => Self::Float8,
            Type::NUMERIC => number::numeric_scalar(source.typmod),
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => Self::Text,
            Type::CHAR => Self::Char,
            Type::JSON => Self::Json,
            Type::JSONB => Self::Jsonb,
            Type::BYTEA => Self::Bytea,
            Type::DATE => Self::Date,
            Type::TIMESTAMP => Self::Timestamp,
            Type::TIMESTAMPTZ => Self::TimestampTz,
            Type::TIME => Self::Time,
            Type::TIMETZ => Self::TimeTz,
            Type::INTERVAL => Self::Interval,
            Type::UUID => Self::Uuid,
            Type::INET => Self::Inet,
            Type::CIDR => Self::Cidr,
            Type::MACADDR | Type::MACADDR8 => Self::MacAddr,
            Type::BIT | Type::VARBIT => Self::Bit,
            Type::XID | Type::CID => Self::Xid,
            Type::XID8 => Self::Xid8,
            Type::PG_LSN => Self::PgLsn,
            _ => Self::Opaque,
        }
    }

    /// The stored Arrow type and what it does not say.
    pub(crate) fn storage(self) -> (DataType, Option<NaruType>) {
        let utc = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        match self {
            Self::Bool => (DataType::Boolean, None),
            Self::Int2 | Self::Int4 | Self::Int8 | Self::Oid => (DataType::Int64, None),
            Self::Float4 | Self::Float8 => (DataType::Float64, None),
            Self::Decimal { precision, scale } => {
                (DataType::Decimal128(precision, i8::try_from(scale).unwrap_or(i8::MAX)), None)
            }
            Self::BigNumeric => (DataType::Utf8, Some(NaruType::Bignumeric)),
            Self::Bytea => (DataType::Binary, None),
            Self::Date => (DataType::Date32, None),
            Self::Timestamp => (utc(), Some(NaruType::Datetime)),
            Self::TimestampTz => (utc(), None),
            Self::Time | Self::TimeTz => (DataType::Utf8, Some(NaruType::Time)),
            Self::Interval => (DataType::Utf8, Some(NaruType::Interval)),
            Self::Uuid => (DataType::Utf8, Some(NaruType::Uuid)),
            Self::Json | Self::Jsonb => (DataType::Utf8, Some(NaruType::Json)),
            Self::Enum => (DataType::Utf8, Some(NaruType::Enum)),
            Self::Range(_) | Self::Multirange(_) | Self::OpaqueRange => (DataType::Utf8, Some(NaruType::Range)),
            Self::Text
            | Self::Char
            | Self::Inet
            | Self::Cidr
            | Self::MacAddr
            | Self::Bit
            | Self::Xid
            | Self::Xid8
            | Self::PgLsn
            | Self::Opaque => (DataType::Utf8, None),
        }
    }

    /// Whether the binary form can be decoded.
    pub(crate) fn has_binary(self) -> bool {
        !matches!(self, Self::Opaque | Self::OpaqueRange)
    }

    /// Reads a boolean.
    pub(crate) fn boolean(raw: Raw<'_>) -> Result<bool, CellFault> {
        match raw {
            Raw::Binary([0]) | Raw::Text(b"f" | b"false") => Ok(false),
            Raw::Binary([1]) | Raw::Text(b"t" | b"true") => Ok(true),
            _ => Err(CellFault::Malformed("a boolean")),
        }
    }

    /// Reads an integer of any width.
    pub(crate) fn integer(self, raw: Raw<'_>) -> Result<i64, CellFault> {
        match raw {
            Raw::Text(text) => number::integer_text(text),
            Raw::Binary(bytes) => match self {
                Self::Int2 => Ok(i64::from(i16::from_be_bytes(exact(bytes, "2 bytes")?))),
                Self::Int4 => Ok(i64::from(i32::from_be_bytes(exact(bytes, "4 bytes")?))),
                Self::Oid => Ok(i64::from(u32::from_be_bytes(exact(bytes, "4 bytes")?))),
                _ => Ok(i64::from_be_bytes(exact(bytes, "8 bytes")?)),
            },
        }
    }

    /// Reads a floating-point number; a 32-bit one is widened, not rounded to its shortest text.
    pub(crate) fn float(self, raw: Raw<'_>) -> Result<f64, CellFault> {
        match (raw, self) {
            (Raw::Text(_), Self::Float4) => parse::<f32>(raw, "a number").map(f64::from),
            (Raw::Text(_), _) => parse::<f64>(raw, "a number"),
            (Raw::Binary(bytes), Self::Float4) => Ok(f64::from(f32::from_be_bytes(exact(bytes, "4 bytes")?))),
            (Raw::Binary(bytes), _) => Ok(f64::from_be_bytes(exact(bytes, "8 bytes")?)),
        }
    }

    /// Reads a date as days since 1970-01-01.
    pub(crate) fn date(raw: Raw<'_>) -> Result<Fit<i32>, CellFault> {
        match raw {
            Raw::Text(text) => time::date_text(text),
            Raw::Binary(bytes) => Ok(time::date_binary(i32::from_be_bytes(exact(bytes, "4 bytes")?))),
        }
    }

    /// Reads a timestamp, with or without zone, as microseconds since 1970-01-01 UTC.
    pub(crate) fn timestamp(raw: Raw<'_>) -> Result<Fit<i64>, CellFault> {
        match raw {
            Raw::Text(text) => time::timestamp_text(text),
            Raw::Binary(bytes) => Ok(time::timestamp_binary(i64::from_be_bytes(exact(bytes, "8 bytes")?))),
        }
    }

    /// Whether the value's bytes are already its text, in both forms.
    pub(crate) fn is_plain_text(self) -> bool {
        matches!(self, Self::Text | Self::Enum | Self::Json | Self::Opaque | Self::OpaqueRange)
    }

    /// Writes the stored text of a value of any kind whose storage is text.
    pub(crate) fn write_text(self, raw: Raw<'_>, out: &mut String) -> Result<Fit<()>, CellFault> {
        match (self, raw) {
            (Self::BigNumeric, _) => return number::write_bignumeric(raw, out),
            (Self::Time, _) => return time::write_time(raw, out),
            (Self::TimeTz, _) => return time::write_timetz(raw, out),
            (Self::Interval, _) => return interval::write_interval(raw, out),
            (Self::Char, _) => network::write_char(raw, out)?,
            (Self::Jsonb, Raw::Binary(bytes)) => match bytes.split_first() {
                Some((1, json)) => out.push_str(Raw::Text(json).str()?),
                _ => return Err(CellFault::Malformed("jsonb of version 1")),
            },
            (Self::Uuid, Raw::Binary(bytes)) => network::write_uuid(exact(bytes, "16 bytes")?, out),
            (Self::Inet | Self::Cidr, Raw::Binary(bytes)) => network::write_inet(bytes, out)?,
            (Self::MacAddr, Raw::Binary(bytes)) => network::write_macaddr(bytes, out)?,
            (Self::Bit, Raw::Binary(bytes)) => network::write_bits(bytes, out)?,
            (Self::Xid, Raw::Binary(bytes)) => {
                number::write_unsigned(u64::from(u32::from_be_bytes(exact(bytes, "4 bytes")?)), out);
            }
            (Self::Xid8, Raw::Binary(bytes)) => {
                number::write_unsigned(u64::from_be_bytes(exact(bytes, "8 bytes")?), out);
            }
            (Self::PgLsn, Raw::Binary(bytes)) => {
                let lsn = naru_base::Lsn(u64::from_be_bytes(exact(bytes, "8 bytes")?));
                number::write_display(lsn, out);
            }
            (Self::Range(bound), Raw::Binary(bytes)) => range::write_range(bound, bytes, out)?,
            (Self::Multirange(bound), Raw::Binary(bytes)) => range::write_multirange(bound, bytes, out)?,
            (Self::Opaque | Self::OpaqueRange, Raw::Binary(_)) => return Err(CellFault::NoBinaryDecoder),
            (_, raw) => out.push_str(raw.str()?),
        }
        Ok(Fit::Value(()))
    }
}

/// The bytes as an array of the one length the type has.
pub(crate) fn exact<const N: usize>(bytes: &[u8], expected: &'static str) -> Result<[u8; N], CellFault> {
    bytes.try_into().map_err(|_| CellFault::Malformed(expected))
}

/// The text as a value.
pub(crate) fn parse<T: std::str::FromStr>(raw: Raw<'_>, expected: &'static str) -> Result<T, CellFault> {
    raw.str()?.parse().map_err(|_| CellFault::Malformed(expected))
}
