//! Functions of ARRAY and STRUCT of any element type: kernels that copy whole elements and never look inside.

use std::{cmp::Ordering, collections::HashSet, sync::Arc};

use arrow::{
    array::{
        Array as _, ArrayRef, AsArray as _, BooleanArray, ListArray, MutableArrayData, StructArray,
        make_array as from_data, make_comparator, new_empty_array,
    },
    buffer::{NullBuffer, OffsetBuffer},
    compute::SortOptions,
    datatypes::{DataType, Field, Int64Type},
    row::{RowConverter, SortField},
};
use datafusion::error::{DataFusionError, Result};

use super::{
    cell::{Args, Fail, Int, Kernel, list_of},
    number::{count, size},
};
use crate::types::{SqlType, struct_fields};

fn list_at(args: &Args, at: usize) -> Result<(&ListArray, bool)> {
    let (column, constant) = args.column(at)?;
    let list =
        column.as_list_opt::<i32>().ok_or_else(|| DataFusionError::Internal(format!("argument {at} is not a list")))?;
    Ok((list, constant))
}

fn row_of(row: usize, constant: bool) -> usize {
    if constant { 0 } else { row }
}

/// One column per argument, each as long as the batch.
fn expanded(args: &Args) -> Result<Vec<ArrayRef>> {
    args.columns
        .iter()
        .map(|(column, constant)| {
            if *constant && args.rows != 1 {
                let indices = arrow::array::UInt64Array::from(vec![0; args.rows]);
                return Ok(arrow::compute::take(column, &indices, None)?);
            }
            Ok(Arc::clone(column))
        })
        .collect()
}

/// STRUCT of the arguments.
pub(crate) fn make_struct(ty: SqlType) -> Kernel {
    Arc::new(move |args| {
        let SqlType::Struct(fields) = &ty else { return Err(DataFusionError::Internal("not a struct".into())) };
        Ok(Arc::new(StructArray::try_new_with_length(struct_fields(fields), expanded(args)?, None, args.rows)?))
    })
}

/// One field; NULL where the STRUCT is.
pub(crate) fn field(at: usize) -> Kernel {
    Arc::new(move |args| {
        let (column, constant) = args.column(0)?;
        let row: &StructArray =
            column.as_struct_opt().ok_or_else(|| DataFusionError::Internal("not a struct".into()))?;
        let field = row.columns().get(at).ok_or_else(|| DataFusionError::Internal("no such field".into()))?;
        let nulls = NullBuffer::union(row.nulls(), field.nulls());
        let merged = from_data(field.to_data().into_builder().nulls(nulls).build()?);
        if constant && args.rows != 1 {
            let indices = arrow::array::UInt64Array::from(vec![0; args.rows]);
            return Ok(arrow::compute::take(&merged, &indices, None)?);
        }
        Ok(merged)
    })
}

/// ARRAY of the arguments.
pub(crate) fn make_array(element: DataType) -> Kernel {
    Arc::new(move |args| {
        let columns = expanded(args)?;
        let flat = if columns.is_empty() {
            new_empty_array(&element)
        } else {
            let parts: Vec<&dyn arrow::array::Array> = columns.iter().map(AsRef::as_ref).collect();
            let indices: Vec<(usize, usize)> =
                (0..args.rows).flat_map(|row| (0..parts.len()).map(move |column| (column, row))).collect();
            arrow::compute::interleave(&parts, &indices)?
        };
        Ok(list_of(flat, vec![columns.len(); args.rows], vec![true; args.rows]))
    })
}

/// One element by position.
pub(crate) fn element(from: i64, safe: bool) -> Kernel {
    Arc::new(move |args| {
        let (list, constant) = list_at(args, 0)?;
        let index = args.open::<Int>(1)?;
        let mut indices: Vec<Option<u64>> = Vec::with_capacity(args.rows);
        for row in 0..args.rows {
            let at = row_of(row, constant);
            let Some(index) = index.get(row).filter(|_| list.is_valid(at)) else {
                indices.push(None);
                continue;
            };
            let start = list.value_offsets().get(at).copied().unwrap_or(0);
            let place =
                index.checked_sub(from).filter(|place| *place >= 0 && *place < i64::from(list.value_length(at)));
            match place {
                Some(place) => indices.push(u64::try_from(i64::from(start) + place).ok()),
                None if safe || args.safe => indices.push(None),
                None => return Err(DataFusionError::Execution("array index is out of bounds".into())),
            }
        }
        Ok(arrow::compute::take(list.values(), &arrow::array::UInt64Array::from(indices), None)?)
    })
}

/// Which list, and the start and end of some of its elements.
type Range = (usize, usize, usize);

/// Builds lists by copying ranges of the elements of lists.
fn copy_ranges(sources: &[&ListArray], element: &DataType, rows: &[Option<Vec<Range>>]) -> Result<ArrayRef> {
    let data: Vec<_> = sources.iter().map(|list| list.values().to_data()).collect();
    let mut flat = MutableArrayData::new(data.iter().collect(), true, rows.len());
    let mut lengths = Vec::with_capacity(rows.len());
    for row in rows {
        let mut length = 0;
        for (source, start, end) in row.iter().flatten() {
            flat.try_extend(*source, *start, *end)?;
            length += end - start;
        }
        lengths.push(length);
    }
    let values = if sources.is_empty() { new_empty_array(element) } else { from_data(flat.freeze()) };
    let field = Arc::new(Field::new_list_field(element.clone(), true));
    let nulls: NullBuffer = rows.iter().map(Option::is_some).collect::<Vec<_>>().into();
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), values, Some(nulls))?))
}

/// Start and end of one list's elements.
fn range_of(list: &ListArray, row: usize) -> Option<(usize, usize)> {
    if list.is_null(row) {
        return None;
    }
    let offsets = list.value_offsets();
    let start = usize::try_from(*offsets.get(row)?).ok()?;
    let end = usize::try_from(*offsets.get(row + 1)?).ok()?;
    Some((start, end))
}

/// ARRAY_CONCAT; NULL if an argument is.
pub(crate) fn concat(element: DataType) -> Kernel {
    Arc::new(move |args| {
        let lists = (0..args.columns.len()).map(|at| list_at(args, at)).collect::<Result<Vec<_>>>()?;
        let rows: Vec<_> = (0..args.rows)
            .map(|row| {
                lists
                    .iter()
                    .enumerate()
                    .map(|(source, (list, constant))| {
                        range_of(list, row_of(row, *constant)).map(|(start, end)| (source, start, end))
                    })
                    .collect::<Option<Vec<_>>>()
            })
            .collect();
        let sources: Vec<&ListArray> = lists.iter().map(|(list, _)| *list).collect();
        copy_ranges(&sources, &element, &rows)
    })
}

/// How many elements each list keeps, and which.
type Pick = dyn Fn(usize, usize) -> Vec<(usize, usize)> + Send + Sync;

fn picked(element: DataType, pick: Box<Pick>) -> Kernel {
    Arc::new(move |args| {
        let (list, constant) = list_at(args, 0)?;
        let rows: Vec<_> = (0..args.rows)
            .map(|row| {
                let (start, end) = range_of(list, row_of(row, constant))?;
                Some(pick(start, end).into_iter().map(|(start, end)| (0, start, end)).collect())
            })
            .collect();
        copy_ranges(&[list], &element, &rows)
    })
}

/// ARRAY_REVERSE.
pub(crate) fn reverse(element: DataType) -> Kernel {
    picked(element, Box::new(|start, end| (start..end).rev().map(|at| (at, at + 1)).collect()))
}

/// The first elements, at most a number of them.
pub(crate) fn first(element: DataType, most: usize) -> Kernel {
    picked(element, Box::new(move |start, end| vec![(start, end.min(start.saturating_add(most)))]))
}

/// ARRAY_SLICE: from one position to another, both included, negative from the end.
pub(crate) fn slice(element: DataType) -> Kernel {
    Arc::new(move |args| {
        let (list, constant) = list_at(args, 0)?;
        let (from, to) = (args.open::<Int>(1)?, args.open::<Int>(2)?);
        let rows: Vec<_> = (0..args.rows)
            .map(|row| {
                let (start, end) = range_of(list, row_of(row, constant))?;
                let length = count(end - start);
                let place = |at: i64| if at < 0 { at + length } else { at };
                let first = place(from.get(row)?).max(0);
                let last = place(to.get(row)?).min(length - 1);
                Some(if first > last { Vec::new() } else { vec![(0, start + size(first), start + size(last) + 1)] })
            })
            .collect();
        copy_ranges(&[list], &element, &rows)
    })
}

/// ARRAY_LENGTH.
pub(crate) fn length() -> Kernel {
    Arc::new(|args| {
        let (list, constant) = list_at(args, 0)?;
        args.each::<Int>(|row| Ok(range_of(list, row_of(row, constant)).map(|(start, end)| count(end - start))))
    })
}

/// The elements paired with their positions: what UNNEST WITH OFFSET makes rows of.
pub(crate) fn enumerate(element: SqlType) -> Kernel {
    Arc::new(move |args| {
        let (list, _) = list_at(args, 0)?;
        let mut offsets: Vec<i64> = Vec::with_capacity(list.values().len());
        for row in 0..list.len() {
            let length = list
                .value_offsets()
                .get(row + 1)
                .zip(list.value_offsets().get(row))
                .map_or(0, |(end, start)| end - start);
            offsets.extend(0..i64::from(length));
        }
        let first = list.value_offsets().first().and_then(|at| usize::try_from(*at).ok()).unwrap_or(0);
        let values = list.values().slice(first, offsets.len());
        let fields = vec![("value".to_owned(), element.clone()), ("offset".to_owned(), SqlType::Int64)];
        let pairs = StructArray::try_new(
            struct_fields(&fields),
            vec![values, Arc::new(arrow::array::PrimitiveArray::<Int64Type>::from(offsets))],
            None,
        )?;
        let lengths: Vec<usize> = list.offsets().lengths().collect();
        let field = Arc::new(Field::new_list_field(pairs.data_type().clone(), true));
        let made =
            ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), Arc::new(pairs), list.nulls().cloned())?;
        if args.rows != made.len() {
            let indices = arrow::array::UInt64Array::from(vec![0; args.rows]);
            return Ok(arrow::compute::take(&made, &indices, None)?);
        }
        Ok(Arc::new(made))
    })
}

/// `x IN UNNEST(list)`: TRUE if an element equals, NULL if none does and one is NULL, else FALSE.
pub(crate) fn contains() -> Kernel {
    Arc::new(|args| {
        let (value, value_constant) = args.column(0)?;
        let (list, list_constant) = list_at(args, 1)?;
        let converter = RowConverter::new(vec![SortField::new(value.data_type().clone())])?;
        let values = converter.convert_columns(&[zeroed(value)])?;
        let elements = converter.convert_columns(&[zeroed(list.values())])?;
        let places: Option<HashSet<&[u8]>> =
            (list_constant && list.len() == 1).then(|| range_of(list, 0)).flatten().map(|(start, end)| {
                (start..end).filter(|at| list.values().is_valid(*at)).map(|at| elements.row(at).data()).collect()
            });
        let answers: BooleanArray = (0..args.rows)
            .map(|row| {
                let (start, end) = range_of(list, row_of(row, list_constant))?;
                if start == end {
                    return Some(false);
                }
                let at = row_of(row, value_constant);
                if value.is_null(at) {
                    return None;
                }
                let wanted = values.row(at).data();
                let found = match &places {
                    Some(places) => places.contains(wanted),
                    None => (start..end).any(|at| list.values().is_valid(at) && elements.row(at).data() == wanted),
                };
                let is_nan = value
                    .as_primitive_opt::<arrow::datatypes::Float64Type>()
                    .is_some_and(|floats| floats.value(at).is_nan());
                if found && !is_nan {
                    return Some(true);
                }
                (start..end).all(|at| list.values().is_valid(at)).then_some(false)
            })
            .collect();
        Ok(Arc::new(answers))
    })
}

/// -0.0 equals 0.0 in SQL but not in Arrow's rows.
fn zeroed(column: &ArrayRef) -> ArrayRef {
    match column.as_primitive_opt::<arrow::datatypes::Float64Type>() {
        Some(floats) => Arc::new(floats.unary::<_, arrow::datatypes::Float64Type>(|value| value + 0.0)),
        None => Arc::clone(column),
    }
}

/// The least or greatest element, NULLs ignored; NaN if there is one.
pub(crate) fn extreme(greatest: bool) -> Kernel {
    Arc::new(move |args| {
        let (list, constant) = list_at(args, 0)?;
        let values = list.values();
        let order = make_comparator(values, values, SortOptions::default())?;
        let is_nan = |at: usize| {
            values.as_primitive_opt::<arrow::datatypes::Float64Type>().is_some_and(|floats| floats.value(at).is_nan())
        };
        let best = |start: usize, end: usize| {
            let mut best: Option<usize> = None;
            for at in (start..end).filter(|at| values.is_valid(*at)) {
                if is_nan(at) {
                    return Some(at);
                }
                let wanted = if greatest { Ordering::Greater } else { Ordering::Less };
                if best.is_none_or(|best| order(at, best) == wanted) {
                    best = Some(at);
                }
            }
            best
        };
        let indices: Vec<Option<u64>> = (0..args.rows)
            .map(|row| {
                let (start, end) = range_of(list, row_of(row, constant))?;
                best(start, end).and_then(|at| u64::try_from(at).ok())
            })
            .collect();
        Ok(arrow::compute::take(values, &arrow::array::UInt64Array::from(indices), None)?)
    })
}

/// Greatest or least of the arguments; NULL if one is NULL, NaN if one is NaN.
pub(crate) fn extreme_of(greatest: bool, element: DataType) -> Kernel {
    let make = make_array(element);
    let extreme = extreme(greatest);
    Arc::new(move |args| {
        let rows = make(args)?;
        let list = rows.as_list::<i32>();
        let any_null: Vec<bool> = (0..args.rows)
            .map(|row| {
                range_of(list, row).is_some_and(|(start, end)| (start..end).all(|at| list.values().is_valid(at)))
            })
            .collect();
        let found = extreme(&Args { columns: vec![(Arc::clone(&rows), false)], rows: args.rows, safe: args.safe })?;
        let missing = BooleanArray::from(any_null.iter().map(|complete| !complete).collect::<Vec<_>>());
        Ok(arrow::compute::nullif(&found, &missing)?)
    })
}

/// The elements without repetition, in order of first appearance.
pub(crate) fn distinct(element: DataType) -> Kernel {
    Arc::new(move |args| {
        let (list, constant) = list_at(args, 0)?;
        let converter = RowConverter::new(vec![SortField::new(list.values().data_type().clone())])?;
        let keys = converter.convert_columns(&[zeroed(list.values())])?;
        let rows: Vec<_> = (0..args.rows)
            .map(|row| {
                let (start, end) = range_of(list, row_of(row, constant))?;
                let mut seen = HashSet::new();
                Some((start..end).filter(|at| seen.insert(keys.row(*at).data())).map(|at| (0, at, at + 1)).collect())
            })
            .collect();
        copy_ranges(&[list], &element, &rows)
    })
}

/// Whether no element equals another.
pub(crate) fn is_distinct() -> Kernel {
    Arc::new(move |args| {
        let (list, constant) = list_at(args, 0)?;
        let converter = RowConverter::new(vec![SortField::new(list.values().data_type().clone())])?;
        let keys = converter.convert_columns(&[zeroed(list.values())])?;
        let answers: BooleanArray = (0..args.rows)
            .map(|row| {
                let (start, end) = range_of(list, row_of(row, constant))?;
                let mut seen = HashSet::new();
                Some((start..end).all(|at| seen.insert(keys.row(at).data())))
            })
            .collect();
        Ok(Arc::new(answers))
    })
}

/// The only element of a list; NULL of NULL or an empty one, an error of more: what a scalar subquery gives.
pub(crate) fn only() -> Kernel {
    Arc::new(|args| {
        let (list, constant) = list_at(args, 0)?;
        let mut indices: Vec<Option<u64>> = Vec::with_capacity(args.rows);
        for row in 0..args.rows {
            let range = range_of(list, row_of(row, constant));
            indices.push(match range {
                Some((start, end)) if end - start == 1 => u64::try_from(start).ok(),
                Some((start, end)) if end - start > 1 => {
                    return Err(DataFusionError::Execution("scalar subquery gave more than one row".into()));
                }
                _ => None,
            });
        }
        Ok(arrow::compute::take(list.values(), &arrow::array::UInt64Array::from(indices), None)?)
    })
}

/// GENERATE_ARRAY of INT64.
pub(crate) fn generate(first: i64, last: i64, step: i64) -> std::result::Result<Vec<Option<i64>>, Fail> {
    const ELEMENTS_MAX: usize = 1_000_000;
    if step == 0 {
        return Err("the step of a generated array cannot be 0".into());
    }
    let mut out = Vec::new();
    let mut next = Some(first);
    while let Some(value) = next.filter(|value| if step > 0 { *value <= last } else { *value >= last }) {
        if out.len() == ELEMENTS_MAX {
            return Err("the generated array has more than 1,000,000 elements".into());
        }
        out.push(Some(value));
        next = value.checked_add(step);
    }
    Ok(out)
}
