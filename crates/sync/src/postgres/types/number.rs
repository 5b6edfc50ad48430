//! Exact numbers: integers from text, numeric from both forms.
//!
//! Owns: reading numeric into a 128-bit decimal or into text, its NaN and infinities, the meaning of its type modifier.
//! Never rounds: a value with more digits than declared is an error.
//! The binary layout is `numeric_send`: digit count, weight, sign, display scale, then digits to base 10,000.

use std::fmt::{Display, Write};

use super::scalar::{Fit, Raw, Scalar, exact};
use crate::postgres::error::CellFault;

/// The most digits a 128-bit decimal holds.
const DECIMAL_DIGITS_MAX: i32 = 38;
/// Digits in one group of the binary form.
const GROUP_DIGITS: i32 = 4;
/// One more than the largest group.
const GROUP_BASE: u16 = 10_000;

const SIGN_NEGATIVE: u16 = 0x4000;
const SIGN_NAN: u16 = 0xC000;
const SIGN_POSITIVE_INFINITY: u16 = 0xD000;
const SIGN_NEGATIVE_INFINITY: u16 = 0xF000;

const MALFORMED: CellFault = CellFault::Malformed("a numeric");

/// Chooses how a numeric with this modifier is stored: a decimal when `p ≤ 38` and `0 ≤ s ≤ p`, else text.
pub(crate) fn numeric_scalar(typmod: i32) -> Scalar {
    if typmod < 4 {
        return Scalar::BigNumeric;
    }
    let packed = typmod - 4;
    let precision = (packed >> 16) & 0xFFFF;
    // Eleven bits with sign since PostgreSQL 15; earlier scales fit the same bits.
    let scale = ((packed & 0x7FF) ^ 0x400) - 0x400;
    match (u8::try_from(precision), u8::try_from(scale)) {
        (Ok(precision), Ok(scale)) if i32::from(precision) <= DECIMAL_DIGITS_MAX && scale <= precision => {
            Scalar::Decimal { precision, scale }
        }
        _ => Scalar::BigNumeric,
    }
}

/// Reads an integer's text.
pub(crate) fn integer_text(text: &[u8]) -> Result<i64, CellFault> {
    super::scalar::parse(Raw::Text(text), "a whole number")
}

/// Writes a whole number.
pub(crate) fn write_unsigned(value: u64, out: &mut String) {
    write_display(value, out);
}

/// Writes anything printable; writing to a `String` cannot fail.
pub(crate) fn write_display(value: impl Display, out: &mut String) {
    let _ = write!(out, "{value}");
}

/// Writes a floating-point number in its shortest exact form; the infinities and NaN as PostgreSQL spells them.
pub(crate) fn write_float(value: f64, out: &mut String) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        let _ = write!(out, "{value:?}");
        if out.ends_with(".0") {
            out.truncate(out.len() - 2);
        }
    }
}

/// Reads a numeric into an unscaled decimal with this precision and scale.
pub(crate) fn decimal(raw: Raw<'_>, precision: u8, scale: u8) -> Result<Fit<i128>, CellFault> {
    let unscaled = match raw {
        Raw::Text(text) => decimal_text(text, i32::from(scale))?,
        Raw::Binary(bytes) => decimal_binary(bytes, i32::from(scale))?,
    };
    match unscaled {
        Fit::Value(value) if value.unsigned_abs() < power_of_ten(i32::from(precision)).unsigned_abs() => {
            Ok(Fit::Value(value))
        }
        Fit::Value(_) => Err(CellFault::TooManyDigits),
        other => Ok(other),
    }
}

/// 10^`exponent` for 0 ≤ exponent ≤ 38; anything else is 0, which no caller's product survives.
fn power_of_ten(exponent: i32) -> i128 {
    u32::try_from(exponent).ok().and_then(|exponent| 10_i128.checked_pow(exponent)).unwrap_or(0)
}

fn special(text: &[u8]) -> Option<Fit<i128>> {
    match text {
        b"NaN" => Some(Fit::Nan),
        b"Infinity" | b"-Infinity" => Some(Fit::Infinite),
        _ => None,
    }
}

fn decimal_text(text: &[u8], scale: i32) -> Result<Fit<i128>, CellFault> {
    if let Some(special) = special(text) {
        return Ok(special);
    }
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some(_) => (false, text),
        None => return Err(MALFORMED),
    };
    let mut value: i128 = 0;
    // Fraction digits still to come; `None` before the point.
    let mut fraction: Option<i32> = None;
    for &byte in digits {
        match (byte, fraction) {
            (b'.', None) => fraction = Some(scale),
            (b'0', Some(0)) => {}
            (b'0'..=b'9', Some(0)) => return Err(CellFault::TooManyDigits),
            (b'0'..=b'9', _) => {
                value = value
                    .checked_mul(10)
                    .and_then(|value| value.checked_add(i128::from(byte - b'0')))
                    .ok_or(CellFault::TooManyDigits)?;
                fraction = fraction.map(|left| left - 1);
            }
            _ => return Err(MALFORMED),
        }
    }
    let value = match value {
        0 => 0,
        value => value.checked_mul(power_of_ten(fraction.unwrap_or(scale))).ok_or(CellFault::TooManyDigits)?,
    };
    Ok(Fit::Value(if negative { -value } else { value }))
}

/// The parts of a binary numeric that is neither NaN nor infinite.
#[derive(Debug, Clone, Copy)]
struct Digits<'a> {
    negative: bool,
    /// Exponent of the first group, to base 10,000.
    weight: i32,
    /// Digits after the point when shown.
    display_scale: usize,
    groups: &'a [u8],
}

fn digits(bytes: &[u8]) -> Result<Fit<Digits<'_>>, CellFault> {
    let (header, groups) = bytes.split_first_chunk::<8>().ok_or(MALFORMED)?;
    let [n0, n1, w0, w1, s0, s1, d0, d1] = *header;
    if groups.len() != usize::from(u16::from_be_bytes([n0, n1])) * 2 {
        return Err(MALFORMED);
    }
    let negative = match u16::from_be_bytes([s0, s1]) {
        0 => false,
        SIGN_NEGATIVE => true,
        SIGN_NAN => return Ok(Fit::Nan),
        SIGN_POSITIVE_INFINITY | SIGN_NEGATIVE_INFINITY => return Ok(Fit::Infinite),
        _ => return Err(MALFORMED),
    };
    Ok(Fit::Value(Digits {
        negative,
        weight: i32::from(i16::from_be_bytes([w0, w1])),
        display_scale: usize::from(u16::from_be_bytes([d0, d1])),
        groups,
    }))
}

impl Digits<'_> {
    /// The groups from the most significant on, each with its exponent to base 10.
    fn groups(&self) -> impl Iterator<Item = (u16, i32)> {
        let first = self.weight * GROUP_DIGITS;
        self.groups.chunks_exact(2).zip((0..).map(move |index: i32| first - index * GROUP_DIGITS)).map(
            |(pair, exponent)| match pair {
                [high, low] => (u16::from_be_bytes([*high, *low]), exponent),
                _ => (0, exponent),
            },
        )
    }

    /// The group with this exponent to base 10,000, 0 where none is stored.
    fn group(&self, exponent: i32) -> u16 {
        let index = usize::try_from(self.weight - exponent).unwrap_or(usize::MAX);
        let start = index.saturating_mul(2);
        match self.groups.get(start..start.saturating_add(2)) {
            Some([high, low]) => u16::from_be_bytes([*high, *low]),
            _ => 0,
        }
    }
}

fn decimal_binary(bytes: &[u8], scale: i32) -> Result<Fit<i128>, CellFault> {
    let digits = match digits(bytes)? {
        Fit::Value(digits) => digits,
        other => return Ok(other.map(|_| 0)),
    };
    let mut value: i128 = 0;
    for (group, exponent) in digits.groups() {
        if group >= GROUP_BASE {
            return Err(MALFORMED);
        }
        if group == 0 {
            continue;
        }
        let shift = exponent + scale;
        let part = match shift {
            0..=DECIMAL_DIGITS_MAX => i128::from(group).checked_mul(power_of_ten(shift)),
            -3..=-1 => {
                let divisor = power_of_ten(-shift);
                let group = i128::from(group);
                (group % divisor == 0).then(|| group / divisor)
            }
            _ => None,
        };
        value = part.and_then(|part| value.checked_add(part)).ok_or(CellFault::TooManyDigits)?;
    }
    Ok(Fit::Value(if digits.negative { -value } else { value }))
}

/// Writes a numeric as text in its shortest exact form: no zeros at the end of the fraction.
pub(crate) fn write_bignumeric(raw: Raw<'_>, out: &mut String) -> Result<Fit<()>, CellFault> {
    let start = out.len();
    match raw {
        Raw::Text(text) => {
            if let Some(special) = special(text) {
                return Ok(special.map(|_| ()));
            }
            if text.is_empty() || !text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'.')) {
                return Err(MALFORMED);
            }
            out.push_str(raw.str()?);
        }
        Raw::Binary(bytes) => match digits(bytes)? {
            Fit::Value(digits) => write_digits(&digits, out)?,
            other => return Ok(other.map(|_| ())),
        },
    }
    let written = out.get(start..).unwrap_or_default();
    if written.contains('.') {
        let kept = written.trim_end_matches('0').trim_end_matches('.').len();
        out.truncate(start + kept);
    }
    Ok(Fit::Value(()))
}

/// Writes a binary numeric as the server prints it, zeros included.
pub(crate) fn write_numeric(bytes: &[u8], out: &mut String) -> Result<(), CellFault> {
    match digits(bytes)? {
        Fit::Value(digits) => return write_digits(&digits, out),
        Fit::Nan | Fit::OutOfRange => out.push_str("NaN"),
        Fit::Infinite => {
            let [.., s0, s1, _, _] = exact::<8>(bytes, "a numeric")?;
            let negative = u16::from_be_bytes([s0, s1]) == SIGN_NEGATIVE_INFINITY;
            out.push_str(if negative { "-Infinity" } else { "Infinity" });
        }
    }
    Ok(())
}

fn write_digits(digits: &Digits<'_>, out: &mut String) -> Result<(), CellFault> {
    if digits.groups().any(|(group, _)| group >= GROUP_BASE) {
        return Err(MALFORMED);
    }
    if digits.negative {
        out.push('-');
    }
    if digits.weight < 0 {
        out.push('0');
    }
    for exponent in (0..=digits.weight).rev() {
        let group = digits.group(exponent);
        if exponent == digits.weight {
            write_display(group, out);
        } else {
            let _ = write!(out, "{group:04}");
        }
    }
    if digits.display_scale > 0 {
        out.push('.');
        let end = out.len() + digits.display_scale;
        let mut exponent = -1;
        while out.len() < end {
            let _ = write!(out, "{:04}", digits.group(exponent));
            exponent -= 1;
        }
        out.truncate(end);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(sign: u16, weight: i16, display_scale: u16, groups: &[u16]) -> Vec<u8> {
        let count = u16::try_from(groups.len()).unwrap();
        let mut bytes = Vec::new();
        bytes.extend(count.to_be_bytes());
        bytes.extend(weight.to_be_bytes());
        bytes.extend(sign.to_be_bytes());
        bytes.extend(display_scale.to_be_bytes());
        bytes.extend(groups.iter().flat_map(|group| group.to_be_bytes()));
        bytes
    }

    #[test]
    fn the_modifier_decides_between_decimal_and_text() {
        let typmod = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7FF)) + 4;
        assert_eq!(numeric_scalar(typmod(38, 9)), Scalar::Decimal { precision: 38, scale: 9 });
        assert_eq!(numeric_scalar(typmod(5, 5)), Scalar::Decimal { precision: 5, scale: 5 });
        for text in [-1, typmod(39, 0), typmod(5, -2), typmod(2, 4), typmod(1000, 1000)] {
            assert_eq!(numeric_scalar(text), Scalar::BigNumeric, "{text}");
        }
    }

    #[test]
    fn both_forms_of_a_numeric_give_one_decimal() {
        let cases: [(&str, Vec<u8>, i128); 6] = [
            ("0.00", binary(0, 0, 2, &[]), 0),
            ("12345.67", binary(0, 1, 2, &[1, 2345, 6700]), 1_234_567),
            ("-0.05", binary(SIGN_NEGATIVE, -1, 2, &[500]), -5),
            ("10000", binary(0, 1, 0, &[1]), 1_000_000),
            (
                "99999999999999999999999999999999999.99",
                binary(0, 8, 2, &[999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9900]),
                9_999_999_999_999_999_999_999_999_999_999_999_999,
            ),
            ("1", binary(0, 0, 2, &[1]), 100),
        ];
        for (text, bytes, expected) in cases {
            assert_eq!(decimal(Raw::Text(text.as_bytes()), 38, 2), Ok(Fit::Value(expected)), "{text}");
            assert_eq!(decimal(Raw::Binary(&bytes), 38, 2), Ok(Fit::Value(expected)), "{text}");
        }
        assert_eq!(decimal(Raw::Text(b"NaN"), 5, 2), Ok(Fit::Nan));
        assert_eq!(decimal(Raw::Binary(&binary(SIGN_NAN, 0, 0, &[])), 5, 2), Ok(Fit::Nan));
    }

    #[test]
    fn a_number_with_more_digits_than_declared_is_refused_not_rounded() {
        for text in ["1000", "1.234", "170141183460469231731687303715884105728"] {
            assert_eq!(decimal(Raw::Text(text.as_bytes()), 5, 2), Err(CellFault::TooManyDigits), "{text}");
        }
        assert_eq!(decimal(Raw::Binary(&binary(0, 0, 4, &[1, 2340])), 5, 2), Err(CellFault::TooManyDigits));
        assert_eq!(decimal(Raw::Binary(&binary(0, 0, 0, &[1000])), 5, 2), Err(CellFault::TooManyDigits));
        assert_eq!(decimal(Raw::Binary(&binary(0, 300, 0, &[1])), 38, 2), Err(CellFault::TooManyDigits));
    }

    #[test]
    fn a_bignumeric_loses_only_the_zeros_at_its_end() {
        for (text, bytes, expected) in [
            ("1.50", binary(0, 0, 2, &[1, 5000]), "1.5"),
            ("100", binary(0, 0, 0, &[100]), "100"),
            ("-0.000010", binary(SIGN_NEGATIVE, -2, 6, &[1000]), "-0.00001"),
            ("0.00", binary(0, 0, 2, &[]), "0"),
            ("10000000.0", binary(0, 1, 1, &[1000]), "10000000"),
        ] {
            for raw in [Raw::Text(text.as_bytes()), Raw::Binary(&bytes)] {
                let mut out = String::from("x");
                assert_eq!(write_bignumeric(raw, &mut out), Ok(Fit::Value(())));
                assert_eq!(out, format!("x{expected}"));
            }
            let mut out = String::new();
            write_numeric(&bytes, &mut out).unwrap();
            assert_eq!(out, text);
        }
    }
}
