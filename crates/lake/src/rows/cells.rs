//! Columns while they are built: plain vectors that can be cut back to any row.
//!
//! Owns: [`Cells`], its cutting back, and the Arrow arrays made of it. Arrow's own builders cannot give up a row that
//! they have begun. Never judges a value.

use std::{mem, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array, Float64Array,
        Int64Array, ListArray, NullBufferBuilder, StringArray, StructArray, TimestampMicrosecondArray,
    },
    buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::DataType,
    error::ArrowError,
};

use super::{
    fault::{Fault, FaultKind},
    shape::{Kind, NUMERIC_DIGITS, NUMERIC_SCALE, Names, Scalar},
};

/// One column, or one field or element of one.
#[derive(Debug)]
pub(super) struct Cells {
    valid: NullBufferBuilder,
    pub(super) values: Values,
}

/// What the cells hold.
#[derive(Debug)]
pub(super) enum Values {
    Scalar(Scalar, Store),
    List(List),
    Struct(Members),
}

/// Scalars as the lake stores them.
#[derive(Debug)]
pub(super) enum Store {
    Bool(BooleanBufferBuilder),
    Long(Vec<i64>),
    Float(Vec<f64>),
    Day(Vec<i32>),
    Decimal(Vec<i128>),
    Bytes(Bytes),
}

/// Values of any length, one behind the other.
#[derive(Debug)]
pub(super) struct Bytes {
    pub(super) bytes: Vec<u8>,
    ends: Ends,
}

/// Lists, their items one behind the other.
#[derive(Debug)]
pub(super) struct List {
    pub(super) items: Box<Cells>,
    ends: Ends,
}

/// Where values end, after a first 0.
#[derive(Debug)]
struct Ends(Vec<i32>);

/// The fields of a STRUCT, or the columns of the row itself.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) names: Arc<Names>,
    pub(super) fields: Vec<Cells>,
    /// For each field (and, first, for the beginning) which field came next the last time.
    follow: Vec<usize>,
    pub(super) rows: usize,
}

impl Ends {
    fn new() -> Self {
        Self(vec![0])
    }

    fn rows(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    /// Arrow's offsets have 31 bits.
    fn push(&mut self, end: usize) -> Result<(), Fault> {
        let full = |_| Fault::here(FaultKind::Full, "less than 2 GiB in a batch", "more");
        self.0.push(i32::try_from(end).map_err(full)?);
        Ok(())
    }

    fn repeat(&mut self) {
        self.0.push(self.0.last().copied().unwrap_or(0));
    }

    /// Cuts back to `rows`, and says where the last of them ends.
    fn truncate(&mut self, rows: usize) -> usize {
        self.0.truncate(rows.saturating_add(1));
        self.0.last().and_then(|end| usize::try_from(*end).ok()).unwrap_or(0)
    }

    fn take(&mut self) -> OffsetBuffer<i32> {
        OffsetBuffer::new(ScalarBuffer::from(mem::replace(&mut self.0, vec![0])))
    }
}

impl Store {
    fn of(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Bool => Self::Bool(BooleanBufferBuilder::new(0)),
            Scalar::Int64 | Scalar::Timestamp | Scalar::Datetime => Self::Long(Vec::new()),
            Scalar::Float64 => Self::Float(Vec::new()),
            Scalar::Date => Self::Day(Vec::new()),
            Scalar::Numeric => Self::Decimal(Vec::new()),
            Scalar::String | Scalar::Bytes | Scalar::Bignumeric | Scalar::Time | Scalar::Json => {
                Self::Bytes(Bytes { bytes: Vec::new(), ends: Ends::new() })
            }
        }
    }

    fn rows(&self) -> usize {
        match self {
            Self::Bool(bits) => bits.len(),
            Self::Long(values) => values.len(),
            Self::Float(values) => values.len(),
            Self::Day(values) => values.len(),
            Self::Decimal(values) => values.len(),
            Self::Bytes(bytes) => bytes.ends.rows(),
        }
    }

    fn push_default(&mut self) {
        match self {
            Self::Bool(bits) => bits.append(false),
            Self::Long(values) => values.push(0),
            Self::Float(values) => values.push(0.0),
            Self::Day(values) => values.push(0),
            Self::Decimal(values) => values.push(0),
            Self::Bytes(bytes) => bytes.ends.repeat(),
        }
    }

    fn truncate(&mut self, rows: usize) {
        match self {
            Self::Bool(bits) => bits.truncate(rows),
            Self::Long(values) => values.truncate(rows),
            Self::Float(values) => values.truncate(rows),
            Self::Day(values) => values.truncate(rows),
            Self::Decimal(values) => values.truncate(rows),
            Self::Bytes(bytes) => bytes.truncate(rows),
        }
    }

    fn finish(&mut self, data_type: &DataType, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Bool(bits) => Arc::new(BooleanArray::new(bits.finish(), nulls)),
            Self::Long(values) => match data_type {
                DataType::Timestamp(_, zone) => {
                    let array = TimestampMicrosecondArray::try_new(again(values).into(), nulls)?;
                    Arc::new(array.with_timezone_opt(zone.clone()))
                }
                _ => Arc::new(Int64Array::try_new(again(values).into(), nulls)?),
            },
            Self::Float(values) => Arc::new(Float64Array::try_new(again(values).into(), nulls)?),
            Self::Day(values) => Arc::new(Date32Array::try_new(again(values).into(), nulls)?),
            Self::Decimal(values) => {
                let array = Decimal128Array::try_new(again(values).into(), nulls)?;
                Arc::new(array.with_precision_and_scale(NUMERIC_DIGITS, NUMERIC_SCALE)?)
            }
            Self::Bytes(values) => {
                let (ends, bytes) = (values.ends.take(), Buffer::from_vec(again(&mut values.bytes)));
                match data_type {
                    DataType::Binary => Arc::new(BinaryArray::try_new(ends, bytes, nulls)?),
                    _ => Arc::new(StringArray::try_new(ends, bytes, nulls)?),
                }
            }
        })
    }
}

/// Takes the values and leaves room for as many.
fn again<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = Vec::with_capacity(values.len());
    mem::replace(values, room)
}

impl Bytes {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), ends: Ends::new() }
    }

    /// Ends the value whose bytes were written behind the others.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.ends.push(self.bytes.len())
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        let end = self.ends.truncate(rows);
        self.bytes.truncate(end);
    }
}

impl List {
    /// Ends the list whose items were pushed behind the others.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.ends.push(self.items.rows())
    }
}

impl Members {
    pub(super) fn new(names: &Arc<Names>, kinds: &[Kind]) -> Self {
        let fields: Vec<Cells> = kinds.iter().map(Cells::new).collect();
        // A row in the order of the columns is the first guess.
        let follow = (0..=fields.len()).collect();
        Self { names: Arc::clone(names), fields, follow, rows: 0 }
    }

    /// The field that `name` means. `before` is the place after the field found last (0 at the beginning), and becomes
    /// that of this one: senders keep their order, so what followed last time is looked at first.
    #[inline]
    pub(super) fn find(&mut self, name: &[u8], before: &mut usize) -> Option<usize> {
        let guess = self.follow.get(*before).copied().unwrap_or(0);
        if self.names.list.get(guess).is_some_and(|known| known.as_bytes() == name) {
            *before = guess + 1;
            return Some(guess);
        }
        let found = self.names.find(std::str::from_utf8(name).ok()?)?;
        if let Some(follow) = self.follow.get_mut(*before) {
            *follow = found;
        }
        *before = found + 1;
        Some(found)
    }

    /// Ends the row: fields that it did not have are NULL.
    pub(super) fn end(&mut self) {
        for field in &mut self.fields {
            if field.rows() == self.rows {
                field.push_null();
            }
        }
        self.rows += 1;
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        for field in &mut self.fields {
            field.truncate(rows);
        }
        self.rows = rows;
    }

    /// The arrays of the fields, whose types are given; empty afterwards.
    pub(super) fn finish<'t>(
        &mut self,
        types: impl Iterator<Item = &'t DataType>,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        self.rows = 0;
        self.fields.iter_mut().zip(types).map(|(field, data_type)| field.finish(data_type)).collect()
    }
}

impl Cells {
    pub(super) fn new(kind: &Kind) -> Self {
        let values = match kind {
            Kind::Scalar(scalar) => Values::Scalar(*scalar, Store::of(*scalar)),
            Kind::Array(item) => Values::List(List { items: Box::new(Self::new(item)), ends: Ends::new() }),
            Kind::Struct(names, kinds) => Values::Struct(Members::new(names, kinds)),
        };
        Self { valid: NullBufferBuilder::new(0), values }
    }

    #[inline]
    pub(super) fn rows(&self) -> usize {
        self.valid.len()
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        row < self.valid.len() && !self.valid.is_valid(row)
    }

    /// Says that the values hold one more row.
    #[inline]
    pub(super) fn push_valid(&mut self) {
        self.valid.append_non_null();
    }

    pub(super) fn push_null(&mut self) {
        self.valid.append_null();
        match &mut self.values {
            Values::Scalar(_, store) => store.push_default(),
            Values::List(list) => list.ends.repeat(),
            Values::Struct(members) => members.end(),
        }
    }

    fn truncate(&mut self, rows: usize) {
        self.valid.truncate(rows);
        match &mut self.values {
            Values::Scalar(_, store) => store.truncate(rows),
            Values::List(list) => {
                let items = list.ends.truncate(rows);
                list.items.truncate(items);
            }
            Values::Struct(members) => members.truncate(rows),
        }
        debug_assert!(self.sound());
    }

    /// Every part holds as many rows as the whole.
    fn sound(&self) -> bool {
        let rows = match &self.values {
            Values::Scalar(_, store) => store.rows(),
            Values::List(list) => list.ends.rows(),
            Values::Struct(members) => members.rows,
        };
        rows == self.valid.len()
    }

    fn finish(&mut self, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        let nulls = self.valid.finish();
        Ok(match (&mut self.values, data_type) {
            (Values::Scalar(_, store), data_type) => store.finish(data_type, nulls)?,
            (Values::List(list), DataType::List(item)) => {
                let items = list.items.finish(item.data_type())?;
                Arc::new(ListArray::try_new(Arc::clone(item), list.ends.take(), items, nulls)?)
            }
            (Values::Struct(members), DataType::Struct(fields)) => {
                let arrays = members.finish(fields.iter().map(|field| field.data_type()))?;
                Arc::new(StructArray::try_new(fields.clone(), arrays, nulls)?)
            }
            (Values::List(_) | Values::Struct(_), other) => {
                return Err(ArrowError::SchemaError(format!("cells of another shape than {other}")));
            }
        })
    }

    /// Bytes and their ends, as a column of JSON text or NULL.
    pub(super) fn finish_text(texts: &mut Bytes, valid: &mut NullBufferBuilder) -> Result<ArrayRef, ArrowError> {
        let bytes = Buffer::from_vec(again(&mut texts.bytes));
        Ok(Arc::new(StringArray::try_new(texts.ends.take(), bytes, valid.finish())?))
    }
}
