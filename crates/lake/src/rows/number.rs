//! Numbers by their text, exactly.
//!
//! Owns: JSON's grammar of numbers, and a number's text as 64-bit integer, scaled decimal, or plain decimal text.
//! Never rounds: what a type cannot hold is an error that says why. Floating point is the caller's, by its nature.

/// Why a number does not fit its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Not the text of a number.
    NoNumber,
    /// More digits after the point than the type has, and not all zero.
    Fraction,
    /// Beyond the type's range.
    Range,
}

/// The length of the number at the beginning of `text` (0: there is none), and whether it has neither fraction nor
/// exponent.
#[inline]
pub(super) fn scan(text: &[u8]) -> (usize, bool) {
    let mut at = usize::from(text.first() == Some(&b'-'));
    let digits = |from: usize| {
        let mut to = from;
        while text.get(to).is_some_and(u8::is_ascii_digit) {
            to += 1;
        }
        to
    };
    let whole = digits(at);
    // No digit at all, or one behind a leading zero.
    if whole == at || (whole - at > 1 && text.get(at) == Some(&b'0')) {
        return (0, false);
    }
    at = whole;
    if text.get(at) == Some(&b'.') {
        let end = digits(at + 1);
        if end == at + 1 {
            return (0, false);
        }
        at = end;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let signed = at + 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let end = digits(signed);
        if end == signed {
            return (0, false);
        }
        at = end;
    }
    (at, at == whole)
}

/// A decimal number taken apart: `digits` × 10^`exponent`, without zeros at either end of the digits.
struct Parts<'t> {
    negative: bool,
    /// The digits before and behind the point, leading and trailing zeros of the whole cut off.
    front: &'t [u8],
    back: &'t [u8],
    /// Power of ten of the last digit.
    exponent: i64,
}

impl<'t> Parts<'t> {
    /// Takes apart a whole text that must be a number of JSON's grammar.
    fn of(text: &'t [u8]) -> Result<Self, Misfit> {
        let (length, _) = scan(text);
        if length == 0 || length != text.len() {
            return Err(Misfit::NoNumber);
        }
        let negative = text.first() == Some(&b'-');
        let text = text.get(usize::from(negative)..).unwrap_or_default();
        let (mantissa, power) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (text.get(..at).unwrap_or_default(), power(text.get(at + 1..).unwrap_or_default())),
            None => (text, 0),
        };
        let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
        let front = mantissa.get(..point).unwrap_or_default();
        let back = trim_end(mantissa.get(point + 1..).unwrap_or_default());
        let mut parts = Self { negative, front, back, exponent: power.saturating_sub(signed(back.len())) };
        if back.is_empty() {
            parts.front = trim_end(front);
            parts.exponent = parts.exponent.saturating_add(signed(front.len() - parts.front.len()));
        }
        parts.front = trim_start(parts.front);
        if parts.front.is_empty() {
            parts.back = trim_start(back);
        }
        if parts.front.is_empty() && parts.back.is_empty() {
            // Zero has no sign and no size here.
            parts.negative = false;
            parts.exponent = 0;
        }
        Ok(parts)
    }

    fn count(&self) -> i64 {
        signed(self.front.len().saturating_add(self.back.len()))
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.front.iter().chain(self.back).map(|digit| digit - b'0')
    }
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn trim_start(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

fn trim_end(digits: &[u8]) -> &[u8] {
    let kept = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    digits.get(..kept).unwrap_or_default()
}

/// An exponent, far ones no farther than what is out of every range.
fn power(text: &[u8]) -> i64 {
    const FAR: i64 = 1 << 40;
    let negative = text.first() == Some(&b'-');
    let digits = text.iter().filter(|byte| byte.is_ascii_digit());
    let size = digits.fold(0_i64, |sum, digit| (sum * 10 + i64::from(digit - b'0')).min(FAR));
    if negative { -size } else { size }
}

/// What happens to digits behind the last one that a type keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// They make the number a misfit unless they are zero.
    Refuse,
    /// They are cut: the number goes down to the next one of the type.
    Floor,
}

/// The number times 10^`scale`, of at most `digits_max` (38) digits.
pub(super) fn scaled(text: &[u8], scale: u8, digits_max: u8, rest: Rest) -> Result<i128, Misfit> {
    let parts = Parts::of(text)?;
    let shift = parts.exponent.saturating_add(i64::from(scale));
    let digits = parts.count().saturating_add(shift);
    if digits > i64::from(digits_max) {
        return Err(Misfit::Range);
    }
    if shift < 0 && rest == Rest::Refuse {
        return Err(Misfit::Fraction);
    }
    let kept = usize::try_from(digits).unwrap_or(0);
    let zeros = u32::try_from(shift.max(0)).map_err(|_| Misfit::Range)?;
    let sum = parts.digits().take(kept).fold(0_i128, |sum, digit| sum * 10 + i128::from(digit));
    let size = sum * 10_i128.pow(zeros);
    Ok(match (parts.negative, shift < 0) {
        (true, true) => -size - 1,
        (true, false) => -size,
        (false, _) => size,
    })
}

/// A whole number of 64 bits, in any notation.
pub(super) fn integer(text: &[u8]) -> Result<i64, Misfit> {
    // Most integers: few digits and nothing else.
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        _ => (false, text),
    };
    let plain = (1..=18).contains(&digits.len())
        && digits.iter().all(u8::is_ascii_digit)
        && (digits.len() == 1 || digits.first() != Some(&b'0'));
    if plain {
        let size = digits.iter().fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        return Ok(if negative { -size } else { size });
    }
    scaled(text, 0, 19, Rest::Refuse).and_then(|value| i64::try_from(value).map_err(|_| Misfit::Range))
}

/// The nearest floating-point number; beyond the largest one is a misfit.
pub(super) fn float(text: &[u8]) -> Result<f64, Misfit> {
    if scan(text).0 != text.len() || text.is_empty() {
        return Err(Misfit::NoNumber);
    }
    let value: f64 = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Misfit::NoNumber)?;
    if value.is_finite() { Ok(value) } else { Err(Misfit::Range) }
}

/// Digits on either side of the point that a BIGNUMERIC has here.
pub(super) const BIGNUMERIC_DIGITS: u8 = 38;

/// Writes the number as plain decimal text behind `out`: no exponent, no zeros at the end of the fraction, no `-0`.
pub(super) fn write_decimal(text: &[u8], out: &mut Vec<u8>) -> Result<(), Misfit> {
    let parts = Parts::of(text)?;
    let most = i64::from(BIGNUMERIC_DIGITS);
    let before = parts.count().saturating_add(parts.exponent);
    if before > most {
        return Err(Misfit::Range);
    }
    if parts.exponent < -most {
        return Err(Misfit::Fraction);
    }
    if parts.negative {
        out.push(b'-');
    }
    if before <= 0 {
        out.push(b'0');
        if parts.exponent < 0 {
            out.push(b'.');
        }
        out.extend(std::iter::repeat_n(b'0', usize::try_from(-before).unwrap_or(0)));
    }
    let point = usize::try_from(before).ok().filter(|before| *before > 0);
    for (at, digit) in parts.digits().enumerate() {
        if Some(at) == point {
            out.push(b'.');
        }
        out.push(b'0' + digit);
    }
    out.extend(std::iter::repeat_n(b'0', usize::try_from(parts.exponent).unwrap_or(0)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_grammar_is_that_of_json() {
        for text in ["0", "-0", "7", "10", "1.5", "0.0", "1e5", "1E+05", "-1.25e-3"] {
            assert_eq!(scan(text.as_bytes()).0, text.len(), "{text}");
        }
        for text in ["", "-", "+1", "01", "-01", ".5", "1.", "1e", "1e+", "NaN", "Infinity", "0x1"] {
            assert_ne!(scan(text.as_bytes()).0, text.len().max(1), "{text}");
        }
    }

    #[test]
    fn integers_are_exact_to_the_last_of_64_bits() {
        for (text, value) in [
            ("7", Ok(7)),
            ("-0", Ok(0)),
            ("9007199254740993", Ok(9_007_199_254_740_993)),
            ("9223372036854775807", Ok(i64::MAX)),
            ("-9223372036854775808", Ok(i64::MIN)),
            ("9223372036854775808", Err(Misfit::Range)),
            ("-9223372036854775809", Err(Misfit::Range)),
            ("1.0", Ok(1)),
            ("12e2", Ok(1200)),
            ("1200e-2", Ok(12)),
            ("0e999999999999999999999", Ok(0)),
            ("1.5", Err(Misfit::Fraction)),
            ("1e400", Err(Misfit::Range)),
            ("1e-99999999999999999999", Err(Misfit::Fraction)),
            ("007", Err(Misfit::NoNumber)),
            (" 7", Err(Misfit::NoNumber)),
            ("", Err(Misfit::NoNumber)),
        ] {
            assert_eq!(integer(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn decimals_keep_every_digit_or_are_refused() {
        for (text, value) in [
            ("0.1", Ok(100_000_000)),
            ("-12345678901234567890.123456789", Ok(-12_345_678_901_234_567_890_123_456_789)),
            ("99999999999999999999999999999.999999999", Ok(99_999_999_999_999_999_999_999_999_999_999_999_999)),
            ("100000000000000000000000000000", Err(Misfit::Range)),
            ("0.1234567891", Err(Misfit::Fraction)),
            ("0.1234567890000", Ok(123_456_789)),
            ("1e-9", Ok(1)),
            ("1e-10", Err(Misfit::Fraction)),
        ] {
            assert_eq!(scaled(text.as_bytes(), 9, 38, Rest::Refuse), value, "{text}");
        }
        assert_eq!(scaled(b"-1.5000001", 6, 18, Rest::Floor), Ok(-1_500_001));
        assert_eq!(scaled(b"1.5000009", 6, 18, Rest::Floor), Ok(1_500_000));
        assert_eq!(scaled(b"-1e-30", 6, 18, Rest::Floor), Ok(-1));
    }

    #[test]
    fn big_decimals_are_written_plainly() {
        for (text, plain) in [
            ("-0.0", "0"),
            ("1.2300", "1.23"),
            ("12e3", "12000"),
            ("1200", "1200"),
            ("0.00012", "0.00012"),
            ("-12.5e-4", "-0.00125"),
            ("123.456e1", "1234.56"),
            ("1e37", "10000000000000000000000000000000000000"),
        ] {
            let mut out = Vec::new();
            assert_eq!(write_decimal(text.as_bytes(), &mut out), Ok(()), "{text}");
            assert_eq!(String::from_utf8(out).unwrap(), plain, "{text}");
        }
        assert_eq!(write_decimal(b"1e38", &mut Vec::new()), Err(Misfit::Range));
        assert_eq!(write_decimal(b"1e-39", &mut Vec::new()), Err(Misfit::Fraction));
    }

    proptest! {
        #[test]
        fn any_decimal_of_38_digits_comes_back(value in -(10_i128.pow(38) - 1)..10_i128.pow(38)) {
            let sign = if value < 0 { "-" } else { "" };
            let (whole, part) = (value.unsigned_abs() / 10_u128.pow(9), value.unsigned_abs() % 10_u128.pow(9));
            let text = format!("{sign}{whole}.{part:09}");
            prop_assert_eq!(scaled(text.as_bytes(), 9, 38, Rest::Refuse), Ok(value));
            let mut plain = Vec::new();
            prop_assert_eq!(write_decimal(text.as_bytes(), &mut plain), Ok(()));
            prop_assert_eq!(scaled(&plain, 9, 38, Rest::Refuse), Ok(value));
            let shifted = format!("{value}e-9");
            prop_assert_eq!(scaled(shifted.as_bytes(), 9, 38, Rest::Refuse), Ok(value));
        }
    }
}
