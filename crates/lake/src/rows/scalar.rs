//! What each GoogleSQL type takes from JSON, and how the lake keeps it.
//!
//! Owns: the rules of `docs/reference/topics.md`, one function a type. Never coerces what it could not give back.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{
    cells::Store,
    fault::FaultKind,
    number::{self, Misfit, Rest},
    shape::Scalar,
    tape::{Node, Token, unescape},
    time,
};

/// Why a value does not fit: the kind, and what it is.
pub(super) type Wrong = (FaultKind, &'static str);

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A value that is not null, and where to resolve its escapes.
pub(super) struct Source<'s> {
    pub(super) text: &'s [u8],
    pub(super) node: Node,
    pub(super) scratch: &'s mut Vec<u8>,
}

impl Source<'_> {
    /// The bytes of a text, escapes resolved; `None` for other JSON types.
    fn string(&mut self) -> Option<&[u8]> {
        match self.node.token {
            Token::Text => Some(self.node.of(self.text)),
            Token::Escaped => {
                self.scratch.clear();
                unescape(self.node.of(self.text), self.scratch);
                Some(self.scratch)
            }
            _ => None,
        }
    }

    /// A number's text, also one that stands in quotes.
    fn number(&mut self) -> Result<&[u8], Wrong> {
        match self.node.token {
            Token::Integer | Token::Decimal => Ok(self.node.of(self.text)),
            _ => {
                let other = self.mismatch();
                self.string().ok_or(other)
            }
        }
    }

    fn mismatch(&self) -> Wrong {
        (FaultKind::Type, self.node.type_name())
    }
}

/// Puts the value behind the others; what a fault leaves half written is cut off by the caller.
pub(super) fn push(scalar: Scalar, store: &mut Store, mut source: Source<'_>) -> Result<(), Wrong> {
    match (scalar, store) {
        (Scalar::Int64, Store::Long(values)) => values.push(integer(&mut source)?),
        (Scalar::Timestamp, Store::Long(values)) => values.push(timestamp(&mut source)?),
        (Scalar::Datetime, Store::Long(values)) => {
            values.push(parsed(&mut source, time::datetime, "a string that is no date and time without zone")?);
        }
        (_, Store::Long(_)) => return Err(source.mismatch()),
        (_, Store::Float(values)) => values.push(float(&mut source)?),
        (_, Store::Decimal(values)) => {
            let number = source.number()?;
            values.push(number::scaled(number, 9, 38, Rest::Refuse).map_err(|misfit| match misfit {
                Misfit::NoNumber => NO_NUMBER,
                Misfit::Fraction => (FaultKind::Value, "more than 9 digits behind the point"),
                Misfit::Range => (FaultKind::Value, "more than 29 digits before the point"),
            })?);
        }
        (_, Store::Day(values)) => values.push(parsed(&mut source, time::date, "a string that is no date")?),
        (_, Store::Bool(bits)) => bits.append(boolean(&mut source)?),
        (_, Store::Bytes(values)) => {
            write(scalar, &mut values.bytes, &mut source)?;
            values.end().map_err(|fault| (fault.kind, "more than 2 GiB in a batch"))?;
        }
    }
    Ok(())
}

const NO_NUMBER: Wrong = (FaultKind::Value, "a string that is no number");

fn integer(source: &mut Source<'_>) -> Result<i64, Wrong> {
    number::integer(source.number()?).map_err(|misfit| match misfit {
        Misfit::NoNumber => NO_NUMBER,
        Misfit::Fraction => (FaultKind::Value, "a number with a fraction"),
        Misfit::Range => (FaultKind::Value, "an integer beyond 64 bits"),
    })
}

fn float(source: &mut Source<'_>) -> Result<f64, Wrong> {
    let number = source.number()?;
    number::float(number).or_else(|misfit| match misfit {
        Misfit::NoNumber => special(number).ok_or(NO_NUMBER),
        Misfit::Fraction | Misfit::Range => Err((FaultKind::Value, "a number beyond the largest of 64 bits")),
    })
}

/// The texts for what JSON's numbers cannot say.
fn special(text: &[u8]) -> Option<f64> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    if is(&["nan"]) {
        Some(f64::NAN)
    } else if is(&["infinity", "+infinity", "inf", "+inf"]) {
        Some(f64::INFINITY)
    } else if is(&["-infinity", "-inf"]) {
        Some(f64::NEG_INFINITY)
    } else {
        None
    }
}

/// A text, or a number of seconds since 1970.
fn timestamp(source: &mut Source<'_>) -> Result<i64, Wrong> {
    if !matches!(source.node.token, Token::Integer | Token::Decimal) {
        return parsed(source, time::timestamp, "a string that is no timestamp of the years 1 to 9999");
    }
    let micros = number::scaled(source.node.of(source.text), 6, 18, Rest::Floor).ok();
    let micros = micros.and_then(|micros| i64::try_from(micros).ok());
    micros
        .filter(|micros| (time::INSTANT_US_MIN..=time::INSTANT_US_MAX).contains(micros))
        .ok_or((FaultKind::Value, "a number that is no second of the years 1 to 9999, counted from 1970"))
}

fn parsed<T>(source: &mut Source<'_>, parse: impl Fn(&[u8]) -> Option<T>, otherwise: &'static str) -> Result<T, Wrong> {
    let mismatch = source.mismatch();
    source.string().ok_or(mismatch).and_then(|text| parse(text).ok_or((FaultKind::Value, otherwise)))
}

fn boolean(source: &mut Source<'_>) -> Result<bool, Wrong> {
    match source.node.token {
        Token::True => Ok(true),
        Token::False => Ok(false),
        _ => parsed(
            source,
            |text| match text {
                _ if text.eq_ignore_ascii_case(b"true") => Some(true),
                _ if text.eq_ignore_ascii_case(b"false") => Some(false),
                _ => None,
            },
            "a string that is neither true nor false",
        ),
    }
}

/// Types that are kept as bytes of any length.
fn write(scalar: Scalar, out: &mut Vec<u8>, source: &mut Source<'_>) -> Result<(), Wrong> {
    match scalar {
        Scalar::Json => out.extend_from_slice(source.node.json(source.text)),
        Scalar::Time => {
            let micros = parsed(source, time::time, "a string that is no time of day")?;
            time::write_clock(micros, out);
        }
        Scalar::Bignumeric => {
            let number = source.number()?;
            number::write_decimal(number, out).map_err(|misfit| match misfit {
                Misfit::NoNumber => NO_NUMBER,
                Misfit::Fraction => (FaultKind::Value, "more than 38 digits behind the point"),
                Misfit::Range => (FaultKind::Value, "more than 38 digits before the point"),
            })?;
        }
        Scalar::Bytes => {
            let mismatch = source.mismatch();
            let text = source.string().ok_or(mismatch)?;
            BASE64.decode_vec(text, out).map_err(|_| (FaultKind::Value, "a string that is no base64"))?;
        }
        _ => match source.node.token {
            Token::Text => out.extend_from_slice(source.node.of(source.text)),
            Token::Escaped => unescape(source.node.of(source.text), out),
            _ => return Err(source.mismatch()),
        },
    }
    Ok(())
}

/// The type that holds a value as JSON says it.
pub(super) fn guess(text: &[u8], node: Node) -> Option<&'static str> {
    Some(match node.token {
        Token::Null => return None,
        Token::True | Token::False => "BOOL",
        Token::Integer => {
            number::integer(node.of(text)).ok()?;
            "INT64"
        }
        Token::Decimal => "FLOAT64",
        Token::Text | Token::Escaped => "STRING",
        Token::Array | Token::Object => "JSON",
    })
}
