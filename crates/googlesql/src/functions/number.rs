//! Conversions between number types, each with its exact rule, so that no other file needs an `as`.

use arrow::datatypes::i256;

use super::cell::Fail;

/// An integer as FLOAT64, rounded to nearest.
#[allow(clippy::as_conversions, clippy::cast_precision_loss)]
pub(crate) fn float(value: i64) -> f64 {
    value as f64
}

/// FLOAT64 to INT64, halves away from zero.
#[allow(clippy::as_conversions, clippy::cast_possible_truncation)]
pub(crate) fn int(value: f64) -> Result<i64, Fail> {
    let rounded = value.round();
    // 2^63 itself is not an INT64; -2^63 is.
    if rounded.is_nan() || !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded) {
        return Err("FLOAT64 is out of range of INT64".into());
    }
    Ok(rounded as i64)
}

/// FLOAT64 to a wide integer, towards zero; the caller has checked the range.
#[allow(clippy::as_conversions, clippy::cast_possible_truncation)]
pub(crate) fn wide(value: f64) -> i128 {
    value as i128
}

/// A length as INT64.
pub(crate) fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A non-negative INT64 as a length; larger ones saturate.
pub(crate) fn size(value: i64) -> usize {
    usize::try_from(value.max(0)).unwrap_or(usize::MAX)
}

/// The same bits, read as signed.
pub(crate) fn signed(value: u64) -> i64 {
    i64::from_ne_bytes(value.to_ne_bytes())
}

/// The same bits, read as unsigned.
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::from_ne_bytes(value.to_ne_bytes())
}

/// The shortest text that reads back as the same FLOAT64, as GoogleSQL writes it.
pub(crate) fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.into();
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-5..15).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// FLOAT64 from text, by GoogleSQL's rules: surrounding blanks, `inf`, `nan`, exponents.
pub(crate) fn parse_float(text: &str) -> Result<f64, Fail> {
    let trimmed = text.trim();
    let lower = trimmed.to_ascii_lowercase();
    let bare = lower.strip_prefix(['+', '-']).unwrap_or(&lower);
    let known = matches!(bare, "inf" | "infinity" | "nan")
        || (bare.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && bare.chars().all(|c| c.is_ascii_digit() || ".e+-".contains(c)));
    if !known {
        return Err("text is not a FLOAT64".into());
    }
    lower.parse().map_err(|_| Fail::from("text is not a FLOAT64"))
}

/// INT64 from text: decimal or 0x hexadecimal, with surrounding blanks.
pub(crate) fn parse_int(text: &str) -> Result<i64, Fail> {
    let fail = || Fail::from("text is not an INT64");
    let trimmed = text.trim();
    let (negative, digits) = match trimmed.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (16, hex),
        None => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(fail());
    }
    let wide = i128::from_str_radix(digits, radix).map_err(|_| fail())?;
    i64::try_from(if negative { -wide } else { wide }).map_err(|_| fail())
}

/// BIGNUMERIC's raw integer as FLOAT64.
pub(crate) fn float256(value: i256) -> f64 {
    let text = super::decimal::big_text(value);
    text.parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_googlesql_writes_them() {
        for (value, text) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (1e20, "1e+20"),
            (1e15, "1e+15"),
            (123_456_789_012_345.0, "123456789012345"),
            (1.5e-7, "1.5e-07"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(float_text(value), text);
        }
    }

    #[test]
    fn rounding_to_int_goes_away_from_zero_and_never_saturates() {
        assert_eq!(int(2.5), Ok(3));
        assert_eq!(int(-2.5), Ok(-3));
        assert!(int(9.3e18).is_err());
        assert!(int(f64::NAN).is_err());
    }
}
