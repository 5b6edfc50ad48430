//! Exact arithmetic of NUMERIC (billionths in an i128) and BIGNUMERIC (units of 1e-38 in an i256).
//!
//! Every operation rounds halves away from zero and refuses what does not fit; nothing wraps.

use arrow::datatypes::i256;

use super::cell::Fail;

/// One, in NUMERIC's units.
pub(crate) const ONE: i128 = 1_000_000_000;
/// The smallest magnitude that NUMERIC does not hold.
const NUMERIC_END: i128 = 100_000_000_000_000_000_000_000_000_000_000_000_000;

fn overflow() -> Fail {
    Fail::from("NUMERIC overflow")
}

fn big_overflow() -> Fail {
    Fail::from("BIGNUMERIC overflow")
}

/// One, in BIGNUMERIC's units.
pub(crate) fn big_one() -> i256 {
    i256::from_i128(NUMERIC_END)
}

/// Checks the range of NUMERIC.
pub(crate) fn fit(value: i128) -> Result<i128, Fail> {
    if value > -NUMERIC_END && value < NUMERIC_END { Ok(value) } else { Err(overflow()) }
}

fn fit256(value: i256) -> Result<i128, Fail> {
    value.to_i128().ok_or_else(overflow).and_then(fit)
}

pub(crate) fn add(a: i128, b: i128) -> Result<i128, Fail> {
    a.checked_add(b).ok_or_else(overflow).and_then(fit)
}

pub(crate) fn sub(a: i128, b: i128) -> Result<i128, Fail> {
    a.checked_sub(b).ok_or_else(overflow).and_then(fit)
}

pub(crate) fn mul(a: i128, b: i128) -> Result<i128, Fail> {
    let product = i256::from_i128(a).checked_mul(i256::from_i128(b)).ok_or_else(overflow)?;
    fit256(round_div256(product, i256::from_i128(ONE)).ok_or_else(overflow)?)
}

pub(crate) fn div(a: i128, b: i128) -> Result<i128, Fail> {
    if b == 0 {
        return Err("division by zero".into());
    }
    let scaled = i256::from_i128(a).checked_mul(i256::from_i128(ONE)).ok_or_else(overflow)?;
    fit256(round_div256(scaled, i256::from_i128(b)).ok_or_else(overflow)?)
}

/// Division of integers, halves away from zero.
fn round_div256(a: i256, b: i256) -> Option<i256> {
    let quotient = a.checked_div(b)?;
    let rest = a.checked_rem(b)?.checked_abs()?;
    let half = b.checked_abs()?.checked_sub(rest)?;
    if rest < half {
        return Some(quotient);
    }
    let step = if a.is_negative() == b.is_negative() { i256::ONE } else { i256::MINUS_ONE };
    quotient.checked_add(step)
}

/// Rounds to a number of digits after the point; negative digits round before it.
pub(crate) fn round(value: i128, digits: i64, mode: Rounding) -> Result<i128, Fail> {
    if digits >= 9 {
        return Ok(value);
    }
    let Ok(power) = u32::try_from(9 - digits.max(-100)) else { return Ok(0) };
    let Some(unit) = 10_i128.checked_pow(power) else {
        return if matches!(mode, Rounding::Up | Rounding::Down) { Err(overflow()) } else { Ok(0) };
    };
    let (quotient, rest) = (value / unit, value % unit);
    let step = match mode {
        Rounding::HalfAway => i128::from(rest.abs() >= unit - rest.abs()) * value.signum(),
        Rounding::Zero => 0,
        Rounding::Up => i128::from(rest > 0),
        Rounding::Down => -i128::from(rest < 0),
    };
    (quotient + step).checked_mul(unit).ok_or_else(overflow).and_then(fit)
}

/// Which way a number goes that lies between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// To nearest, halves away from zero.
    HalfAway,
    /// Towards zero.
    Zero,
    /// Up.
    Up,
    /// Down.
    Down,
}

pub(crate) fn from_int(value: i64) -> i128 {
    i128::from(value) * ONE
}

/// To INT64, halves away from zero.
pub(crate) fn to_int(value: i128) -> Result<i64, Fail> {
    let whole = round(value, 0, Rounding::HalfAway)? / ONE;
    i64::try_from(whole).map_err(|_| Fail::from("NUMERIC is out of range of INT64"))
}

pub(crate) fn to_float(value: i128) -> f64 {
    text(value).parse().unwrap_or(f64::NAN)
}

/// From FLOAT64: its exact decimal value, rounded to nine digits.
pub(crate) fn from_float(value: f64) -> Result<i128, Fail> {
    if !value.is_finite() {
        return Err("FLOAT64 has no NUMERIC".into());
    }
    parse(&format!("{value:.25}"))
}

/// The decimal text without trailing zeros.
pub(crate) fn text(value: i128) -> String {
    plain(&value.unsigned_abs().to_string(), value < 0, 9)
}

fn plain(digits: &str, negative: bool, scale: usize) -> String {
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    let sign = if negative { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// NUMERIC from text; digits past the ninth round, halves away from zero.
pub(crate) fn parse(source: &str) -> Result<i128, Fail> {
    fit256(parse_scaled(source, 9, "NUMERIC")?)
}

/// BIGNUMERIC from text; digits past the 38th round, halves away from zero.
pub(crate) fn parse_big(source: &str) -> Result<i256, Fail> {
    fit_big(parse_scaled(source, 38, "BIGNUMERIC")?)
}

fn parse_scaled(source: &str, scale: i64, name: &str) -> Result<i256, Fail> {
    let fail = || Fail(format!("text is not a {name}"));
    let trimmed = source.trim();
    let (negative, body) = match trimmed.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().map_err(|_| fail())?),
        None => (body, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(fail());
    }
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(i256::ZERO);
    }
    // The number is `digits` times ten to the `shift` in the type's units.
    let shift = exponent.saturating_sub(i64::try_from(fraction.len()).unwrap_or(i64::MAX)).saturating_add(scale);
    let magnitude = if shift >= 0 {
        let zeros =
            usize::try_from(shift).ok().filter(|zeros| *zeros <= 80).ok_or_else(|| Fail(format!("{name} overflow")))?;
        format!("{digits}{}", "0".repeat(zeros))
    } else {
        let cut = usize::try_from(-shift).unwrap_or(usize::MAX);
        round_digits(digits, cut)
    };
    if magnitude.len() > 77 {
        return Err(Fail(format!("{name} overflow")));
    }
    let magnitude = i256::from_string(&magnitude).ok_or_else(|| Fail(format!("{name} overflow")))?;
    Ok(if negative { magnitude.wrapping_neg() } else { magnitude })
}

/// Drops the last `cut` digits, rounding halves up.
fn round_digits(digits: &str, cut: usize) -> String {
    if cut > digits.len() {
        return "0".into();
    }
    let (kept, dropped) = digits.split_at(digits.len() - cut);
    let mut bytes: Vec<u8> = kept.bytes().collect();
    if dropped.bytes().next().is_some_and(|first| first >= b'5') {
        for digit in bytes.iter_mut().rev() {
            if *digit == b'9' {
                *digit = b'0';
            } else {
                *digit += 1;
                return String::from_utf8_lossy(&bytes).into_owned();
            }
        }
        bytes.insert(0, b'1');
    }
    if bytes.is_empty() { "0".into() } else { String::from_utf8_lossy(&bytes).into_owned() }
}

/// Checks the range that `Decimal256(76, 38)` holds.
fn fit_big(value: i256) -> Result<i256, Fail> {
    let end = big_one().checked_mul(big_one()).ok_or_else(big_overflow)?;
    let magnitude = value.checked_abs().ok_or_else(big_overflow)?;
    if magnitude < end { Ok(value) } else { Err(big_overflow()) }
}

pub(crate) fn big_from_numeric(value: i128) -> i256 {
    i256::from_i128(value).wrapping_mul(i256::from_i128(10_i128.pow(29)))
}

pub(crate) fn big_from_int(value: i64) -> i256 {
    i256::from_i128(i128::from(value)).wrapping_mul(big_one())
}

pub(crate) fn big_to_numeric(value: i256) -> Result<i128, Fail> {
    fit256(round_div256(value, i256::from_i128(10_i128.pow(29))).ok_or_else(overflow)?)
}

pub(crate) fn big_to_int(value: i256) -> Result<i64, Fail> {
    let whole = round_div256(value, big_one()).and_then(i256::to_i128);
    whole.and_then(|whole| i64::try_from(whole).ok()).ok_or_else(|| "BIGNUMERIC is out of range of INT64".into())
}

pub(crate) fn big_from_float(value: f64) -> Result<i256, Fail> {
    if !value.is_finite() {
        return Err("FLOAT64 has no BIGNUMERIC".into());
    }
    parse_big(&format!("{value:.60}"))
}

pub(crate) fn big_text(value: i256) -> String {
    let digits = value.to_string();
    plain(digits.trim_start_matches('-'), value.is_negative(), 38)
}

/// Rounds to a scale, halves away from zero; `None` if more digits stand before the point than the precision allows.
pub(crate) fn big_within(value: i256, precision: u8, scale: u8) -> Result<Option<i256>, Fail> {
    let power = |exponent: u8| i256::from_i128(10).checked_pow(exponent.into()).ok_or_else(big_overflow);
    let unit = power(38_u8.saturating_sub(scale))?;
    let units = round_div256(value, unit).ok_or_else(big_overflow)?;
    let fits = units.checked_abs().ok_or_else(big_overflow)? < power(precision)?;
    if fits { units.checked_mul(unit).ok_or_else(big_overflow).and_then(fit_big).map(Some) } else { Ok(None) }
}

pub(crate) fn big_add(a: i256, b: i256) -> Result<i256, Fail> {
    a.checked_add(b).ok_or_else(big_overflow).and_then(fit_big)
}

pub(crate) fn big_sub(a: i256, b: i256) -> Result<i256, Fail> {
    a.checked_sub(b).ok_or_else(big_overflow).and_then(fit_big)
}

/// The product of two numbers with 38 digits after the point, split in halves so that nothing overflows on the way.
pub(crate) fn big_mul(a: i256, b: i256) -> Result<i256, Fail> {
    let negative = a.is_negative() != b.is_negative();
    let one = big_one();
    let product = || -> Option<i256> {
        let (a, b) = (a.checked_abs()?, b.checked_abs()?);
        let (a1, a0) = (a.checked_div(one)?, a.checked_rem(one)?);
        let (b1, b0) = (b.checked_div(one)?, b.checked_rem(one)?);
        let low = round_div256(a0.checked_mul(b0)?, one)?;
        a1.checked_mul(b)?.checked_add(a0.checked_mul(b1)?)?.checked_add(low)
    };
    let magnitude = product().ok_or_else(big_overflow)?;
    fit_big(if negative { magnitude.wrapping_neg() } else { magnitude })
}

/// Long division, one decimal digit at a time.
pub(crate) fn big_div(a: i256, b: i256) -> Result<i256, Fail> {
    if b == i256::ZERO {
        return Err("division by zero".into());
    }
    let negative = a.is_negative() != b.is_negative();
    let ten = i256::from_i128(10);
    let divide = || -> Option<i256> {
        let (a, b) = (a.checked_abs()?, b.checked_abs()?);
        let mut quotient = a.checked_div(b)?;
        let mut rest = a.checked_rem(b)?;
        for _ in 0..38 {
            let next = rest.checked_mul(ten)?;
            quotient = quotient.checked_mul(ten)?.checked_add(next.checked_div(b)?)?;
            rest = next.checked_rem(b)?;
        }
        let away = rest >= b.checked_sub(rest)?;
        if away { quotient.checked_add(i256::ONE) } else { Some(quotient) }
    };
    let magnitude = divide().ok_or_else(big_overflow)?;
    fit_big(if negative { magnitude.wrapping_neg() } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_rounds_halves_away_and_refuses_overflow() {
        assert_eq!(text(div(from_int(1), from_int(3)).unwrap()), "0.333333333");
        assert_eq!(text(div(from_int(-2), from_int(3)).unwrap()), "-0.666666667");
        assert_eq!(text(round(parse("-2.5").unwrap(), 0, Rounding::HalfAway).unwrap()), "-3");
        assert_eq!(text(mul(parse("1.5").unwrap(), parse("1.000000001").unwrap()).unwrap()), "1.500000002");
        assert!(parse("99999999999999999999999999999").is_ok());
        assert!(parse("100000000000000000000000000000").is_err());
        assert_eq!(text(parse("0.0000000005").unwrap()), "0.000000001");
    }

    #[test]
    fn bignumeric_multiplies_and_divides_exactly() {
        let third = big_div(big_from_int(1), big_from_int(3)).unwrap();
        assert_eq!(big_text(third), format!("0.{}", "3".repeat(38)));
        let big = parse_big("12345678901234567890.5").unwrap();
        assert_eq!(big_text(big_mul(big, big_from_int(2)).unwrap()), "24691357802469135781");
        assert!(big_mul(parse_big("1e37").unwrap(), parse_big("1e37").unwrap()).is_err());
    }
}
