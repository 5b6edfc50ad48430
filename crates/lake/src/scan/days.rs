//! Filters on the day of an instant, as filters on the partition column that holds that day.
//!
//! Owns: [`on_days`]. Pure. Knows one function of SQL by name, `DATE(instant, zone)`; what it does not understand it
//! leaves as it is. Only for skipping files: rows are filtered by what was asked.

use datafusion::{
    common::{
        Column, ScalarValue,
        tree_node::{Transformed, TransformedResult as _, TreeNode as _},
    },
    error::Result,
    logical_expr::{Between, BinaryExpr, Expr, Operator, lit, utils::split_conjunction},
};

use crate::{column::PartitionOf, view::TableView};

/// How many days the days of one instant in two zones lie apart at most: clocks differ by up to 26 hours.
const ZONES_APART: i32 = 2;

/// The filters, and what follows from them for the table's partition column.
pub(super) fn on_days(view: &TableView, filters: &[Expr]) -> Vec<Expr> {
    let mut all = filters.to_vec();
    let column = view.partition_column().and_then(|at| view.columns.get(at));
    let Some((column, partition)) = column.and_then(|column| Some((column, column.partition.as_ref()?))) else {
        return all;
    };
    let day = Expr::Column(Column::from_name(&column.name));
    for part in filters.iter().flat_map(split_conjunction) {
        all.extend(in_its_zone(part, partition, &day).ok().flatten());
        all.extend(in_another_zone(part, partition, &day));
    }
    all
}

/// The filter with the day in the partition's own zone read from the partition column; `None` when it has none.
fn in_its_zone(filter: &Expr, partition: &PartitionOf, day: &Expr) -> Result<Option<Expr>> {
    let mut found = false;
    let replaced = filter.clone().transform_up(|node| {
        Ok(match day_in_zone(&node, partition) {
            Some(zone) if zone == partition.zone => {
                found = true;
                Transformed::yes(day.clone())
            }
            _ => Transformed::no(node),
        })
    });
    Ok(replaced.data().map(Some)?.filter(|_| found))
}

/// What a comparison of a day in another zone says of the day in the partition's.
fn in_another_zone(filter: &Expr, partition: &PartitionOf, day: &Expr) -> Option<Expr> {
    let foreign = |node: &Expr| day_in_zone(node, partition).is_some_and(|zone| zone != partition.zone);
    let late = |last: i32| day.clone().lt_eq(date(last.saturating_add(ZONES_APART)));
    let early = |first: i32| day.clone().gt_eq(date(first.saturating_sub(ZONES_APART)));
    match filter {
        Expr::Between(Between { expr, negated: false, low, high }) if foreign(expr) => {
            Some(early(date_of(low)?).and(late(date_of(high)?)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (op, value) = if foreign(left) {
                (*op, date_of(right)?)
            } else if foreign(right) {
                (op.swap()?, date_of(left)?)
            } else {
                return None;
            };
            match op {
                Operator::Eq => Some(early(value).and(late(value))),
                Operator::Lt | Operator::LtEq => Some(late(value)),
                Operator::Gt | Operator::GtEq => Some(early(value)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The zone of `DATE(column, 'zone')`, when the column is the one that partitions are of.
fn day_in_zone(node: &Expr, partition: &PartitionOf) -> Option<String> {
    let Expr::ScalarFunction(call) = node else { return None };
    let ([Expr::Column(column), Expr::Literal(zone, _)], true) = (call.args.as_slice(), call.name() == "DATE") else {
        return None;
    };
    match zone {
        ScalarValue::Utf8(Some(zone)) | ScalarValue::Utf8View(Some(zone)) | ScalarValue::LargeUtf8(Some(zone))
            if column.name == partition.of =>
        {
            Some(zone.clone())
        }
        _ => None,
    }
}

fn date(day: i32) -> Expr {
    lit(ScalarValue::Date32(Some(day)))
}

fn date_of(node: &Expr) -> Option<i32> {
    match node {
        Expr::Literal(ScalarValue::Date32(day), _) => *day,
        _ => None,
    }
}
