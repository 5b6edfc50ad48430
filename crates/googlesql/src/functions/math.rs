//! Mathematical functions. Arguments outside a function's domain are errors, as in GoogleSQL, never NaN in silence.

use arrow::datatypes::i256;
use rand::Rng as _;

use super::{
    Table,
    cell::{Big, Bool, Fail, Float, Int, Numeric, Out, ok},
    decimal::{self, Rounding},
};

pub(super) fn register(t: &mut Table) {
    signs(t);
    rounding(t);
    powers(t);
    trigonometry(t);
    hyperbolic(t);
    t.f1::<Float, Bool>("IS_NAN", |a| ok(a.is_nan()));
    t.f1::<Float, Bool>("IS_INF", |a| ok(a.is_infinite()));
    t.f2::<Float, Float, Float>("IEEE_DIVIDE", |a, b| ok(a / b));
    t.f0::<Float>("RAND", || ok(rand::rng().random::<f64>()));
}

fn signs(t: &mut Table) {
    t.f1::<Int, Int>("ABS", |a| a.checked_abs().map(Some).ok_or_else(|| Fail::from("INT64 overflow")));
    t.f1::<Numeric, Numeric>("ABS", |a| ok(a.abs()));
    t.f1::<Big, Big>("ABS", |a| ok(a.wrapping_abs()));
    t.f1::<Float, Float>("ABS", |a| ok(a.abs()));
    t.f1::<Int, Int>("SIGN", |a| ok(a.signum()));
    t.f1::<Numeric, Numeric>("SIGN", |a| ok(a.signum() * decimal::ONE));
    t.f1::<Big, Big>("SIGN", |a| {
        let one = decimal::big_one();
        ok(if a == i256::ZERO {
            a
        } else if a.is_negative() {
            one.wrapping_neg()
        } else {
            one
        })
    });
    t.f1::<Float, Float>("SIGN", |a| ok(if a == 0.0 || a.is_nan() { a } else { a.signum() }));
}

fn rounding(t: &mut Table) {
    for (name, mode) in
        [("ROUND", Rounding::HalfAway), ("TRUNC", Rounding::Zero), ("CEIL", Rounding::Up), ("FLOOR", Rounding::Down)]
    {
        // INT64 comes first in GoogleSQL's choice only through FLOAT64: ROUND(3) is a FLOAT64.
        t.f1::<Float, Float>(name, move |a| ok(round_float(a, 0, mode)));
        t.f1::<Numeric, Numeric>(name, move |a| decimal::round(a, 0, mode).map(Some));
    }
    for (name, mode) in [("ROUND", Rounding::HalfAway), ("TRUNC", Rounding::Zero)] {
        t.f2::<Float, Int, Float>(name, move |a, digits| ok(round_float(a, digits, mode)));
        t.f2::<Numeric, Int, Numeric>(name, move |a, digits| decimal::round(a, digits, mode).map(Some));
    }
    t.alias("CEIL", "CEILING");
}

/// Rounds a FLOAT64 to a number of decimal digits; beyond 2^52 there is nothing to round.
fn round_float(value: f64, digits: i64, mode: Rounding) -> f64 {
    if !value.is_finite() {
        return value;
    }
    if digits == 0 {
        return match mode {
            Rounding::HalfAway => value.round(),
            Rounding::Zero => value.trunc(),
            Rounding::Up => value.ceil(),
            Rounding::Down => value.floor(),
        };
    }
    let Ok(digits) = i32::try_from(digits) else { return if digits > 0 { value } else { 0.0 } };
    if digits > 300 {
        return value;
    }
    if digits < -300 {
        return 0.0;
    }
    let scale = 10_f64.powi(digits.abs());
    let scaled = if digits > 0 { value * scale } else { value / scale };
    if !scaled.is_finite() || scaled.abs() > 4_503_599_627_370_496.0 {
        return value;
    }
    let whole = if mode == Rounding::Zero { scaled.trunc() } else { scaled.round() };
    if digits > 0 { whole / scale } else { whole * scale }
}

/// The domain and the range are both checked: a finite argument never gives an infinity or NaN.
fn checked(
    name: &'static str,
    f: impl Fn(f64) -> f64 + Send + Sync + 'static,
) -> impl Fn(f64) -> Out<f64> + Send + Sync + 'static {
    move |a| {
        let value = f(a);
        if a.is_finite() && !value.is_finite() {
            return Err(Fail(format!("{name} has no value for its argument")));
        }
        ok(value)
    }
}

#[allow(clippy::float_cmp)] // the bases 1, 2 and 10 exactly
fn powers(t: &mut Table) {
    t.f1::<Float, Float>("SQRT", |a| if a < 0.0 { Err("SQRT of a negative number".into()) } else { ok(a.sqrt()) });
    t.f1::<Float, Float>("CBRT", checked("CBRT", f64::cbrt));
    t.f1::<Float, Float>("EXP", checked("EXP", f64::exp));
    t.f2::<Float, Float, Float>("POW", |a, b| {
        let value = a.powf(b);
        if a.is_finite() && b.is_finite() && !value.is_finite() {
            return Err("POW has no value for its arguments".into());
        }
        ok(value)
    });
    t.f2::<Numeric, Numeric, Numeric>("POW", |a, b| match u32::try_from(b / decimal::ONE) {
        Ok(power) if b % decimal::ONE == 0 && power <= 200 => {
            (0..power).try_fold(decimal::ONE, |product, _| decimal::mul(product, a)).map(Some)
        }
        _ => {
            let value = decimal::to_float(a).powf(decimal::to_float(b));
            if value.is_finite() {
                decimal::from_float(value).map(Some)
            } else {
                Err("POW has no value for its arguments".into())
            }
        }
    });
    t.alias("POW", "POWER");
    t.f1::<Float, Float>("LN", |a| logarithm(a, f64::ln));
    t.f1::<Float, Float>("LOG10", |a| logarithm(a, f64::log10));
    t.f1::<Float, Float>("LOG", |a| logarithm(a, f64::ln));
    t.f2::<Float, Float, Float>("LOG", |a, base| {
        if base <= 0.0 || base == 1.0 {
            return Err("LOG needs a positive base other than 1".into());
        }
        logarithm(a, |a| {
            if base == 2.0 {
                a.log2()
            } else if base == 10.0 {
                a.log10()
            } else {
                a.ln() / base.ln()
            }
        })
    });
}

fn logarithm(a: f64, f: impl Fn(f64) -> f64) -> Out<f64> {
    if a <= 0.0 { Err("logarithm of a number that is not positive".into()) } else { ok(f(a)) }
}

/// A function of one number and its name.
type Named = (&'static str, fn(f64) -> f64);

fn trigonometry(t: &mut Table) {
    let plain: [Named; 5] =
        [("SIN", f64::sin), ("COS", f64::cos), ("TAN", f64::tan), ("ATAN", f64::atan), ("ASIN", f64::asin)];
    for (name, f) in plain {
        t.f1::<Float, Float>(name, checked(name, f));
    }
    t.f1::<Float, Float>("ACOS", checked("ACOS", f64::acos));
    t.f2::<Float, Float, Float>("ATAN2", |a, b| ok(a.atan2(b)));
    t.f1::<Float, Float>("SEC", checked("SEC", |a| a.cos().recip()));
    t.f1::<Float, Float>("CSC", checked("CSC", |a| a.sin().recip()));
    t.f1::<Float, Float>("COT", checked("COT", |a| a.tan().recip()));
}

fn hyperbolic(t: &mut Table) {
    let plain: [Named; 6] = [
        ("SINH", f64::sinh),
        ("COSH", f64::cosh),
        ("TANH", f64::tanh),
        ("ASINH", f64::asinh),
        ("ACOSH", f64::acosh),
        ("ATANH", f64::atanh),
    ];
    for (name, f) in plain {
        t.f1::<Float, Float>(name, checked(name, f));
    }
    t.f1::<Float, Float>("SECH", checked("SECH", |a| a.cosh().recip()));
    t.f1::<Float, Float>("CSCH", checked("CSCH", |a| a.sinh().recip()));
    t.f1::<Float, Float>("COTH", checked("COTH", |a| a.tanh().recip()));
}
