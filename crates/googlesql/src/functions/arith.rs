//! The operators + - * / and their SAFE_ forms. Nothing wraps and nothing becomes infinite in silence.

use super::{
    Table,
    cell::{Big, Date, Datetime, Fail, Float, Instant, Int, Interval, Numeric, Out, ok},
    date, decimal,
    number::float,
};

fn int_overflow() -> Fail {
    Fail::from("INT64 overflow")
}

/// Finite operands that give an infinity or NaN are an error.
fn finite(value: f64, a: f64, b: f64) -> Out<f64> {
    if value.is_finite() || !a.is_finite() || !b.is_finite() { ok(value) } else { Err("FLOAT64 overflow".into()) }
}

pub(super) fn register(t: &mut Table) {
    plus_minus(t);
    times_divide(t);
    signs(t);
    dates(t);
    for (operator, safe) in [
        ("_add", "SAFE_ADD"),
        ("_sub", "SAFE_SUBTRACT"),
        ("_mul", "SAFE_MULTIPLY"),
        ("_div", "SAFE_DIVIDE"),
        ("_neg", "SAFE_NEGATE"),
    ] {
        t.alias(operator, safe);
    }
}

fn plus_minus(t: &mut Table) {
    t.f2::<Int, Int, Int>("_add", |a, b| a.checked_add(b).map(Some).ok_or_else(int_overflow));
    t.f2::<Numeric, Numeric, Numeric>("_add", |a, b| decimal::add(a, b).map(Some));
    t.f2::<Big, Big, Big>("_add", |a, b| decimal::big_add(a, b).map(Some));
    t.f2::<Float, Float, Float>("_add", |a, b| finite(a + b, a, b));
    t.f2::<Int, Int, Int>("_sub", |a, b| a.checked_sub(b).map(Some).ok_or_else(int_overflow));
    t.f2::<Numeric, Numeric, Numeric>("_sub", |a, b| decimal::sub(a, b).map(Some));
    t.f2::<Big, Big, Big>("_sub", |a, b| decimal::big_sub(a, b).map(Some));
    t.f2::<Float, Float, Float>("_sub", |a, b| finite(a - b, a, b));
}

fn times_divide(t: &mut Table) {
    t.f2::<Int, Int, Int>("_mul", |a, b| a.checked_mul(b).map(Some).ok_or_else(int_overflow));
    t.f2::<Numeric, Numeric, Numeric>("_mul", |a, b| decimal::mul(a, b).map(Some));
    t.f2::<Big, Big, Big>("_mul", |a, b| decimal::big_mul(a, b).map(Some));
    t.f2::<Float, Float, Float>("_mul", |a, b| finite(a * b, a, b));
    t.f2::<Int, Int, Float>("_div", |a, b| divide(float(a), float(b)));
    t.f2::<Numeric, Numeric, Numeric>("_div", |a, b| decimal::div(a, b).map(Some));
    t.f2::<Big, Big, Big>("_div", |a, b| decimal::big_div(a, b).map(Some));
    t.f2::<Float, Float, Float>("_div", divide);
    t.f2::<Int, Int, Int>("DIV", |a, b| {
        if b == 0 { Err("division by zero".into()) } else { a.checked_div(b).map(Some).ok_or_else(int_overflow) }
    });
    t.f2::<Numeric, Numeric, Numeric>("DIV", |a, b| {
        if b == 0 {
            Err("division by zero".into())
        } else {
            decimal::fit((a / b).checked_mul(decimal::ONE).ok_or("NUMERIC overflow")?).map(Some)
        }
    });
    t.f2::<Int, Int, Int>("MOD", |a, b| if b == 0 { Err("division by zero".into()) } else { ok(a.wrapping_rem(b)) });
    t.f2::<Numeric, Numeric, Numeric>("MOD", |a, b| if b == 0 { Err("division by zero".into()) } else { ok(a % b) });
}

fn divide(a: f64, b: f64) -> Out<f64> {
    if b == 0.0 { Err("division by zero".into()) } else { finite(a / b, a, b) }
}

fn signs(t: &mut Table) {
    t.f1::<Int, Int>("_neg", |a| a.checked_neg().map(Some).ok_or_else(int_overflow));
    t.f1::<Numeric, Numeric>("_neg", |a| ok(-a));
    t.f1::<Big, Big>("_neg", |a| ok(a.wrapping_neg()));
    t.f1::<Float, Float>("_neg", |a| ok(-a));
    t.f1::<Interval, Interval>("_neg", date::negate);
}

fn dates(t: &mut Table) {
    t.f2::<Date, Int, Date>("_add", date::add_days);
    t.f2::<Int, Date, Date>("_add", |n, d| date::add_days(d, n));
    t.f2::<Date, Int, Date>("_sub", |d, n| date::add_days(d, n.checked_neg().ok_or_else(int_overflow)?));
    t.f2::<Date, Interval, Datetime>("_add", |d, i| date::add_interval(date::midnight(d), i));
    t.f2::<Date, Interval, Datetime>("_sub", |d, i| date::sub_interval(date::midnight(d), i));
    t.f2::<Datetime, Interval, Datetime>("_add", date::add_interval);
    t.f2::<Interval, Datetime, Datetime>("_add", |i, d| date::add_interval(d, i));
    t.f2::<Datetime, Interval, Datetime>("_sub", date::sub_interval);
    t.f2::<Instant, Interval, Instant>("_add", date::add_exact_interval);
    t.f2::<Interval, Instant, Instant>("_add", |i, d| date::add_exact_interval(d, i));
    t.f2::<Instant, Interval, Instant>("_sub", |d, i| match date::negate(i)? {
        Some(i) => date::add_exact_interval(d, i),
        None => Ok(None),
    });
    t.f2::<Date, Date, Interval>("_sub", |a, b| ok(date::days_interval(a, b)));
    t.f2::<Datetime, Datetime, Interval>("_sub", date::micros_interval);
    t.f2::<Instant, Instant, Interval>("_sub", date::micros_interval);
}
