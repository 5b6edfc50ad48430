//! One value of each type, as kernels see it: read from an Arrow array, built into one.
//!
//! A kernel written as a plain closure over Rust values becomes a vectorised function here; NULL arguments give
//! NULL.

use std::{fmt, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float64Array,
        Int64Array, IntervalMonthDayNanoArray, ListArray, StringArray, Time64MicrosecondArray,
        TimestampMicrosecondArray,
    },
    datatypes::{IntervalMonthDayNano, i256},
};
use datafusion::error::{DataFusionError, Result};

use crate::types::SqlType;

/// Why a row has no value. Never holds the row's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fail(pub(crate) String);

impl From<&str> for Fail {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Fail {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a kernel gives for one row: a value, NULL, or an error.
pub(crate) type Out<T> = std::result::Result<Option<T>, Fail>;

/// A value.
#[allow(clippy::unnecessary_wraps)] // the shape of every kernel
pub(crate) fn ok<T>(value: T) -> Out<T> {
    Ok(Some(value))
}

/// A type of value that kernels take and give.
pub(crate) trait Cell: 'static {
    /// The array it is read from.
    type Array: Array + 'static;
    /// It, read.
    type Get<'a>;
    /// It, made.
    type Own;
    /// Its GoogleSQL type.
    fn sql() -> SqlType;
    /// Reads a row; `None` is NULL and ends the row.
    fn get(array: &Self::Array, row: usize) -> Option<Self::Get<'_>>;
    /// Makes a column.
    fn build(values: Vec<Option<Self::Own>>) -> ArrayRef;
}

macro_rules! plain_cell {
    (@ $life:lifetime $(#[$doc:meta])* $name:ident, $sql:expr, $array:ty, $get:ty, $own:ty, $build:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name;

        impl Cell for $name {
            type Array = $array;
            type Get<$life> = $get;
            type Own = $own;
            fn sql() -> SqlType {
                $sql
            }
            fn get<$life>(array: &$life Self::Array, row: usize) -> Option<$get> {
                array.is_valid(row).then(|| array.value(row))
            }
            fn build(values: Vec<Option<$own>>) -> ArrayRef {
                let build: fn(Vec<Option<$own>>) -> ArrayRef = $build;
                build(values)
            }
        }
    };
    ($(#[$doc:meta])* $name:ident, $sql:expr, $array:ty, $get:ty, $own:ty, $build:expr) => {
        plain_cell!(@ 'a $(#[$doc])* $name, $sql, $array, $get, $own, $build);
    };
}

plain_cell!(/** BOOL. */ Bool, SqlType::Bool, BooleanArray, bool, bool, |v| Arc::new(BooleanArray::from(v)));
plain_cell!(/** INT64. */ Int, SqlType::Int64, Int64Array, i64, i64, |v| Arc::new(Int64Array::from(v)));
plain_cell!(/** FLOAT64. */ Float, SqlType::Float64, Float64Array, f64, f64, |v| Arc::new(Float64Array::from(v)));
plain_cell!(
    /** DATE, in days since 1970. */
    Date, SqlType::Date, Date32Array, i32, i32, |v| Arc::new(Date32Array::from(v))
);
plain_cell!(
    /** DATETIME, in microseconds since 1970. */
    Datetime, SqlType::Datetime, TimestampMicrosecondArray, i64, i64, |v| Arc::new(TimestampMicrosecondArray::from(v))
);
plain_cell!(
    /** TIMESTAMP, in microseconds since 1970, UTC. */
    Instant, SqlType::Timestamp, TimestampMicrosecondArray, i64, i64,
    |v| Arc::new(TimestampMicrosecondArray::from(v).with_timezone("UTC"))
);
plain_cell!(
    /** TIME, in microseconds since midnight. */
    Time, SqlType::Time, Time64MicrosecondArray, i64, i64, |v| Arc::new(Time64MicrosecondArray::from(v))
);
plain_cell!(
    /** INTERVAL. */
    Interval, SqlType::Interval, IntervalMonthDayNanoArray, IntervalMonthDayNano, IntervalMonthDayNano,
    |v| Arc::new(IntervalMonthDayNanoArray::from(v))
);
plain_cell!(
    /** NUMERIC, in billionths. */
    Numeric, SqlType::Numeric, Decimal128Array, i128, i128,
    |v| Arc::new(Decimal128Array::from(v).with_data_type(crate::types::NUMERIC))
);
plain_cell!(
    /** BIGNUMERIC, in units of 1e-38. */
    Big, SqlType::BigNumeric, Decimal256Array, i256, i256,
    |v| Arc::new(Decimal256Array::from(v).with_data_type(crate::types::BIGNUMERIC))
);
plain_cell!(@ 'a
    /** STRING. */
    Text, SqlType::String, StringArray, &'a str, String, |v| Arc::new(StringArray::from(v))
);
plain_cell!(@ 'a
    /** JSON, as text. */
    Json, SqlType::Json, StringArray, &'a str, String, |v| Arc::new(StringArray::from(v))
);
plain_cell!(@ 'a
    /** BYTES. */
    Bytes, SqlType::Bytes, BinaryArray, &'a [u8], Vec<u8>, |v| Arc::new(v.iter().map(|b| b.as_deref()).collect::<BinaryArray>())
);

/// ARRAY of a type; NULL elements are kept.
#[derive(Debug)]
pub(crate) struct Array1<T>(std::marker::PhantomData<T>);

impl<T: Cell> Cell for Array1<T> {
    type Array = ListArray;
    type Get<'a> = ArrayRef;
    type Own = Vec<Option<T::Own>>;
    fn sql() -> SqlType {
        SqlType::Array(Box::new(T::sql()))
    }
    fn get(array: &ListArray, row: usize) -> Option<ArrayRef> {
        array.is_valid(row).then(|| array.value(row))
    }
    fn build(values: Vec<Option<Self::Own>>) -> ArrayRef {
        let lengths: Vec<usize> = values.iter().map(|v| v.as_ref().map_or(0, Vec::len)).collect();
        let nulls = values.iter().map(Option::is_some).collect::<Vec<_>>();
        let flat = T::build(values.into_iter().flatten().flatten().collect());
        list_of(flat, lengths, nulls)
    }
}

/// Cuts a flat column into lists.
pub(crate) fn list_of(flat: ArrayRef, lengths: Vec<usize>, valid: Vec<bool>) -> ArrayRef {
    let field = Arc::new(arrow::datatypes::Field::new_list_field(flat.data_type().clone(), true));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths(lengths);
    Arc::new(ListArray::new(field, offsets, flat, Some(valid.into())))
}

/// Reads the elements of one list.
pub(crate) fn elements<T: Cell>(list: &ArrayRef) -> std::result::Result<&T::Array, Fail> {
    list.as_any()
        .downcast_ref::<T::Array>()
        .ok_or_else(|| Fail::from("internal: an array holds another type than planned"))
}

/// The arguments of one call over one batch.
pub(crate) struct Args {
    /// Each argument, and whether it is one value for all rows.
    pub(crate) columns: Vec<(ArrayRef, bool)>,
    /// Rows to give.
    pub(crate) rows: usize,
    /// Whether an error becomes NULL.
    pub(crate) safe: bool,
}

/// One argument, opened.
pub(crate) struct Reader<'a, T: Cell> {
    array: &'a T::Array,
    constant: bool,
}

impl<T: Cell> Reader<'_, T> {
    pub(crate) fn get(&self, row: usize) -> Option<T::Get<'_>> {
        T::get(self.array, if self.constant { 0 } else { row })
    }
}

impl Args {
    pub(crate) fn open<T: Cell>(&self, at: usize) -> Result<Reader<'_, T>> {
        let (array, constant) = self.column(at)?;
        let array = array.as_any().downcast_ref::<T::Array>().ok_or_else(|| {
            DataFusionError::Internal(format!("argument {at} is {}, planned as {}", array.data_type(), T::sql()))
        })?;
        Ok(Reader { array, constant })
    }

    pub(crate) fn column(&self, at: usize) -> Result<(&ArrayRef, bool)> {
        let (array, constant) =
            self.columns.get(at).ok_or_else(|| DataFusionError::Internal(format!("argument {at} is missing")))?;
        Ok((array, *constant))
    }

    /// Runs `row` for each row and builds the column.
    pub(crate) fn each<R: Cell>(&self, mut row: impl FnMut(usize) -> Out<R::Own>) -> Result<ArrayRef> {
        let mut values = Vec::with_capacity(self.rows);
        for at in 0..self.rows {
            match row(at) {
                Ok(value) => values.push(value),
                Err(_) if self.safe => values.push(None),
                Err(fail) => return Err(DataFusionError::Execution(fail.0)),
            }
        }
        Ok(R::build(values))
    }
}

/// A function over a batch.
pub(crate) type Kernel = Arc<dyn Fn(&Args) -> Result<ArrayRef> + Send + Sync>;

pub(crate) fn kernel0<R: Cell>(f: impl Fn() -> Out<R::Own> + Send + Sync + 'static) -> Kernel {
    Arc::new(move |args| args.each::<R>(|_| f()))
}

pub(crate) fn kernel1<A: Cell, R: Cell>(
    f: impl for<'a> Fn(A::Get<'a>) -> Out<R::Own> + Send + Sync + 'static,
) -> Kernel {
    Arc::new(move |args| {
        let a = args.open::<A>(0)?;
        args.each::<R>(|row| a.get(row).map_or(Ok(None), &f))
    })
}

pub(crate) fn kernel2<A: Cell, B: Cell, R: Cell>(
    f: impl for<'a> Fn(A::Get<'a>, B::Get<'a>) -> Out<R::Own> + Send + Sync + 'static,
) -> Kernel {
    Arc::new(move |args| {
        let (a, b) = (args.open::<A>(0)?, args.open::<B>(1)?);
        args.each::<R>(|row| match (a.get(row), b.get(row)) {
            (Some(a), Some(b)) => f(a, b),
            _ => Ok(None),
        })
    })
}

pub(crate) fn kernel3<A: Cell, B: Cell, C: Cell, R: Cell>(
    f: impl for<'a> Fn(A::Get<'a>, B::Get<'a>, C::Get<'a>) -> Out<R::Own> + Send + Sync + 'static,
) -> Kernel {
    Arc::new(move |args| {
        let (a, b, c) = (args.open::<A>(0)?, args.open::<B>(1)?, args.open::<C>(2)?);
        args.each::<R>(|row| match (a.get(row), b.get(row), c.get(row)) {
            (Some(a), Some(b), Some(c)) => f(a, b, c),
            _ => Ok(None),
        })
    })
}

/// Four arguments of one function, opened row by row.
pub(crate) fn kernel4<A: Cell, B: Cell, C: Cell, D: Cell, R: Cell>(
    f: impl for<'a> Fn(A::Get<'a>, B::Get<'a>, C::Get<'a>, D::Get<'a>) -> Out<R::Own> + Send + Sync + 'static,
) -> Kernel {
    Arc::new(move |args| {
        let readers = (args.open::<A>(0)?, args.open::<B>(1)?, args.open::<C>(2)?, args.open::<D>(3)?);
        args.each::<R>(|row| match (readers.0.get(row), readers.1.get(row), readers.2.get(row), readers.3.get(row)) {
            (Some(first), Some(second), Some(third), Some(fourth)) => f(first, second, third, fourth),
            _ => Ok(None),
        })
    })
}

/// Any number of arguments of one type; NULL if one of them is.
pub(crate) fn kernel_all<A: Cell, R: Cell>(
    f: impl for<'a> Fn(&[A::Get<'a>]) -> Out<R::Own> + Send + Sync + 'static,
) -> Kernel {
    Arc::new(move |args| {
        let readers = (0..args.columns.len()).map(|at| args.open::<A>(at)).collect::<Result<Vec<_>>>()?;
        args.each::<R>(|row| {
            let Some(values) = readers.iter().map(|reader| reader.get(row)).collect::<Option<Vec<_>>>() else {
                return Ok(None);
            };
            f(&values)
        })
    })
}
