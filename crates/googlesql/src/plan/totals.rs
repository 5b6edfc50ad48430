//! Sums wide enough not to wrap, and statistics of gathered lists: the steps between DataFusion's aggregates and SQL's answers.

use std::sync::Arc;

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, Decimal256Array, ListArray, UInt64Array, make_comparator},
    compute::SortOptions,
    datatypes::{DataType, Decimal128Type, Decimal256Type, Float64Type, i256},
};
use datafusion::{
    common::ScalarValue,
    error::{DataFusionError, Result as PlanResult},
    logical_expr::Expr,
};

use super::scope::Typed;
use crate::{
    functions::{
        call::Call,
        cell::{Args, Big, Fail, Float, Int, Kernel, Numeric},
        decimal,
        number::{count, float, int, size},
    },
    types::{SqlType, struct_fields},
};

const INT_SUM: DataType = DataType::Decimal128(38, 0);
const HALF_SUM: DataType = DataType::Decimal256(76, 38);

/// NaN.
pub(super) fn nan() -> Typed {
    Typed::literal(ScalarValue::Float64(Some(f64::NAN)), SqlType::Float64)
}

/// The sum of INT64s as INT64.
pub(super) fn int_of(sum: Expr) -> Typed {
    let kernel: Kernel = Arc::new(|args| {
        let (column, _) = args.column(0)?;
        let sums = column.as_primitive::<Decimal128Type>();
        args.each::<Int>(|row| {
            if sums.is_null(row) {
                return Ok(None);
            }
            i64::try_from(sums.value(row)).map(Some).map_err(|_| Fail::from("INT64 overflow in SUM"))
        })
    });
    Typed::new(
        Call::raw("sum_int".into(), vec![sum], vec![INT_SUM], DataType::Int64, kernel, false, false),
        SqlType::Int64,
    )
}

/// The sum of NUMERICs as NUMERIC.
pub(super) fn numeric_of(sum: Expr) -> Typed {
    let kernel: Kernel = Arc::new(|args| {
        let (column, _) = args.column(0)?;
        let sums = column.as_primitive::<Decimal256Type>();
        args.each::<Numeric>(|row| {
            if sums.is_null(row) {
                return Ok(None);
            }
            sums.value(row)
                .to_i128()
                .ok_or_else(|| Fail::from("NUMERIC overflow in SUM"))
                .and_then(decimal::fit)
                .map(Some)
        })
    });
    let returns = SqlType::Numeric;
    Typed::new(
        Call::raw(
            "sum_numeric".into(),
            vec![sum],
            vec![DataType::Decimal256(76, 9)],
            returns.arrow(),
            kernel,
            false,
            false,
        ),
        returns,
    )
}

/// Splits BIGNUMERIC's 76 digits in the middle: each half leaves room for 1e38 rows.
fn middle() -> i256 {
    i256::from_i128(10_i128.pow(38))
}

/// A BIGNUMERIC as two parts whose sums cannot overflow.
pub(super) fn halves(arg: &Typed) -> (Expr, Expr) {
    let half = |name: &str, split: fn(i256) -> i256| {
        let kernel: Kernel = Arc::new(move |args| {
            let (column, _) = args.column(0)?;
            let values = column.as_primitive::<Decimal256Type>();
            let halves: Decimal256Array = values.unary(split);
            Ok(Arc::new(halves.with_precision_and_scale(76, 38)?))
        });
        Call::raw(name.into(), vec![arg.expr.clone()], vec![HALF_SUM], HALF_SUM, kernel, false, false)
    };
    (half("high", |value| value.wrapping_div(middle())), half("low", |value| value.wrapping_rem(middle())))
}

/// The two sums put together.
pub(super) fn big_of(high: Expr, low: Expr) -> Typed {
    let kernel: Kernel = Arc::new(|args| {
        let (high, low) = (args.open::<Big>(0)?, args.open::<Big>(1)?);
        args.each::<Big>(|row| match (high.get(row), low.get(row)) {
            (Some(high), Some(low)) => {
                let high = high.checked_mul(middle()).ok_or("BIGNUMERIC overflow in SUM")?;
                decimal::big_add(high, low).map(Some)
            }
            _ => Ok(None),
        })
    });
    let returns = SqlType::BigNumeric;
    Typed::new(
        Call::raw("sum_big".into(), vec![high, low], vec![HALF_SUM, HALF_SUM], returns.arrow(), kernel, false, false),
        returns,
    )
}

fn list_of(args: &Args) -> PlanResult<&ListArray> {
    let (column, _) = args.column(0)?;
    column.as_list_opt::<i32>().ok_or_else(|| DataFusionError::Internal("not a list".into()))
}

fn bounds(list: &ListArray, row: usize) -> Option<(usize, usize)> {
    let offsets = list.value_offsets();
    let start = usize::try_from(*offsets.get(row)?).ok()?;
    let end = usize::try_from(*offsets.get(row + 1)?).ok()?;
    (list.is_valid(row) && end > start).then_some((start, end))
}

/// The places of a list's elements in ascending order.
fn sorted(values: &ArrayRef, start: usize, end: usize) -> PlanResult<Vec<usize>> {
    let order = make_comparator(values, values, SortOptions::default())?;
    let mut places: Vec<usize> = (start..end).collect();
    places.sort_by(|a, b| order(*a, *b));
    Ok(places)
}

/// Each list in order.
pub(super) fn sorted_list(asc: bool, nulls_first: bool) -> Kernel {
    let options = SortOptions { descending: !asc, nulls_first };
    Arc::new(move |args| {
        let list = list_of(args)?;
        let order = make_comparator(list.values(), list.values(), options)?;
        let (mut rows, mut lengths, mut valid) = (Vec::<u64>::new(), Vec::new(), Vec::new());
        for row in 0..args.rows {
            let (start, end) = bounds(list, row).unwrap_or_default();
            let mut places: Vec<usize> = (start..end).collect();
            places.sort_by(|a, b| order(*a, *b));
            rows.extend(places.iter().filter_map(|place| u64::try_from(*place).ok()));
            lengths.push(places.len());
            valid.push(list.is_valid(row));
        }
        let flat = arrow::compute::take(list.values(), &UInt64Array::from(rows), None)?;
        Ok(crate::functions::cell::list_of(flat, lengths, valid))
    })
}

/// The least value, the ones at each boundary between equal parts, and the greatest.
pub(super) fn quantiles(parts: usize) -> Kernel {
    Arc::new(move |args| {
        let list = list_of(args)?;
        let mut rows: Vec<u64> = Vec::new();
        let mut lengths = Vec::new();
        let mut valid = Vec::new();
        for row in 0..args.rows {
            let Some((start, end)) = bounds(list, row) else {
                lengths.push(0);
                valid.push(false);
                continue;
            };
            let places = sorted(list.values(), start, end)?;
            for part in 0..=parts {
                // The value of rank ceil(part * n / parts), counted from 1.
                let rank = (part * places.len()).div_ceil(parts).max(1);
                rows.extend(places.get(rank - 1).and_then(|at| u64::try_from(*at).ok()));
            }
            lengths.push(parts + 1);
            valid.push(true);
        }
        let flat = arrow::compute::take(list.values(), &UInt64Array::from(rows), None)?;
        Ok(crate::functions::cell::list_of(flat, lengths, valid))
    })
}

/// The most frequent values with their counts, the most frequent first; NULL counts as a value.
pub(super) fn top(most: usize, fields: Vec<(String, SqlType)>) -> Kernel {
    Arc::new(move |args| {
        let list = list_of(args)?;
        let same = make_comparator(list.values(), list.values(), SortOptions::default())?;
        let (mut rows, mut counts) = (Vec::<u64>::new(), Vec::<i64>::new());
        let (mut lengths, mut valid) = (Vec::new(), Vec::new());
        for row in 0..args.rows {
            let Some((start, end)) = bounds(list, row) else {
                lengths.push(0);
                valid.push(false);
                continue;
            };
            let mut runs: Vec<(usize, usize)> = Vec::new();
            for place in sorted(list.values(), start, end)? {
                match runs.last_mut() {
                    Some((first, count)) if same(*first, place).is_eq() => *count += 1,
                    _ => runs.push((place, 1)),
                }
            }
            runs.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            runs.truncate(most);
            lengths.push(runs.len());
            valid.push(true);
            rows.extend(runs.iter().filter_map(|(place, _)| u64::try_from(*place).ok()));
            counts.extend(runs.iter().map(|(_, found)| count(*found)));
        }
        let values = arrow::compute::take(list.values(), &UInt64Array::from(rows), None)?;
        let counts: ArrayRef = Arc::new(arrow::array::Int64Array::from(counts));
        let pairs = arrow::array::StructArray::try_new(struct_fields(&fields), vec![values, counts], None)?;
        Ok(crate::functions::cell::list_of(Arc::new(pairs), lengths, valid))
    })
}

fn fraction(args: &Args, row: usize) -> PlanResult<f64> {
    let at =
        args.open::<Float>(1)?.get(row).ok_or_else(|| DataFusionError::Execution("the percentile is NULL".into()))?;
    if (0.0..=1.0).contains(&at) {
        Ok(at)
    } else {
        Err(DataFusionError::Execution("the percentile must be from 0 to 1".into()))
    }
}

/// PERCENTILE_CONT: between two values, in proportion.
pub(super) fn percentile_cont() -> Kernel {
    Arc::new(|args| {
        let list = list_of(args)?;
        let mut out: Vec<Option<f64>> = Vec::with_capacity(args.rows);
        for row in 0..args.rows {
            let Some((start, end)) = bounds(list, row) else {
                out.push(None);
                continue;
            };
            let mut values: Vec<f64> =
                list.values().as_primitive::<Float64Type>().values().get(start..end).unwrap_or_default().to_vec();
            values.sort_by(f64::total_cmp);
            let rank = fraction(args, row)? * float(count(values.len()) - 1);
            let below = size(int(rank.floor()).unwrap_or(0));
            let (low, high) = (values.get(below), values.get(below + 1));
            out.push(match (low, high) {
                (Some(low), Some(high)) => Some(low + (high - low) * (rank - rank.floor())),
                (Some(low), None) => Some(*low),
                _ => None,
            });
        }
        Ok(Arc::new(arrow::array::Float64Array::from(out)))
    })
}

/// PERCENTILE_DISC: the first value whose share of rows reaches the percentile.
pub(super) fn percentile_disc() -> Kernel {
    Arc::new(|args| {
        let list = list_of(args)?;
        let mut out: Vec<Option<u64>> = Vec::with_capacity(args.rows);
        for row in 0..args.rows {
            let Some((start, end)) = bounds(list, row) else {
                out.push(None);
                continue;
            };
            let places = sorted(list.values(), start, end)?;
            let rank = fraction(args, row)? * float(count(places.len()));
            let at = int(rank.ceil()).map_or(0, size).saturating_sub(1);
            out.push(places.get(at).and_then(|at| u64::try_from(*at).ok()));
        }
        Ok(arrow::compute::take(list.values(), &UInt64Array::from(out), None)?)
    })
}
