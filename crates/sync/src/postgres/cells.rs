//! One Arrow column under construction, fed with cells as the server sent them.
//!
//! Owns: the Arrow builder of each storage type and the rule that a value the lake cannot hold becomes null and is
//! counted. A cell is decoded straight from the receive buffer into the builder; nothing is allocated per cell.
//! Never knows rows, operations or messages. Read next: [`super::rows`], [`super::copy`].

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder,
        ListArray, NullBufferBuilder, StringBuilder, TimestampMicrosecondBuilder,
    },
    buffer::OffsetBuffer,
    datatypes::{DataType, Field, FieldRef},
};

use super::{
    array::{self, Item, Style},
    error::{CellError, CellFault},
    types::{
        Codec, ColumnPlan, DecodeCounts, Scalar, TypeKind, TypeSource, number,
        scalar::{Fit, Raw},
    },
};

/// The most bytes one column of a batch may hold: Arrow's offsets are 32 bits wide.
const COLUMN_BYTES_MAX: usize = 0x7FFF_FFFF;

impl DecodeCounts {
    /// Counts a value that does not fit; true for one that does.
    pub(crate) fn note<T>(&mut self, fit: Fit<T>) -> bool {
        match fit {
            Fit::Value(_) => return true,
            Fit::Infinite => self.infinite += 1,
            Fit::OutOfRange => self.out_of_range += 1,
            Fit::Nan => self.nan += 1,
        }
        false
    }

    fn value<T>(&mut self, fit: Fit<T>) -> Option<T> {
        match fit {
            Fit::Value(value) => Some(value),
            unfit => {
                self.note(unfit);
                None
            }
        }
    }
}

/// Builds one column of a batch.
#[derive(Debug)]
pub struct CellBuilder {
    name: String,
    type_name: String,
    codec: Codec,
    style: Style,
    values: Values,
    counts: DecodeCounts,
    unescaped: Vec<u8>,
}

#[derive(Debug)]
enum Values {
    Flat(Leaf),
    List(ListLeaf),
}

#[derive(Debug)]
struct ListLeaf {
    field: FieldRef,
    offsets: Vec<i32>,
    validity: NullBufferBuilder,
    items: Leaf,
}

/// A builder of single values, with room to write a value's text or bytes before they are appended.
#[derive(Debug)]
struct Leaf {
    scalar: Scalar,
    store: Store,
    text: String,
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum Store {
    Bool(BooleanBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
}

impl CellBuilder {
    /// An empty column for this plan, of the lake's type (which names a list's items).
    pub fn new(plan: &ColumnPlan, stored: &DataType) -> Self {
        let scalar = plan.codec.scalar();
        let values = match plan.codec {
            Codec::Scalar(_) => Values::Flat(Leaf::new(scalar)),
            Codec::JsonArray(_) => Values::Flat(Leaf::new(Scalar::Json)),
            Codec::List(_) => {
                let items = Leaf::new(scalar);
                let field = match stored {
                    DataType::List(field) => Arc::clone(field),
                    _ => Arc::new(Field::new("item", scalar.storage().0, true)),
                };
                Values::List(ListLeaf { field, offsets: vec![0], validity: NullBufferBuilder::new(0), items })
            }
        };
        Self {
            name: plan.source.name.clone(),
            type_name: plan.source.type_source.name.clone(),
            codec: plan.codec,
            style: Style::of(element_oid(&plan.source.type_source)),
            values,
            counts: DecodeCounts::default(),
            unescaped: Vec::new(),
        }
    }

    /// Appends NULL.
    pub fn append_null(&mut self) {
        match &mut self.values {
            Values::Flat(leaf) => leaf.append_null(),
            Values::List(list) => list.close(false),
        }
    }

    /// Appends a cell in text form.
    ///
    /// # Errors
    /// A value that is not of the column's type. The column then holds an undefined tail; take only the rows before.
    pub fn append_text(&mut self, text: &[u8]) -> Result<(), CellError> {
        self.append(Raw::Text(text)).map_err(|fault| self.error(fault))
    }

    /// Appends a cell in binary form.
    ///
    /// # Errors
    /// As [`CellBuilder::append_text`]; also a type without a binary decoder.
    pub fn append_binary(&mut self, bytes: &[u8]) -> Result<(), CellError> {
        self.append(Raw::Binary(bytes)).map_err(|fault| self.error(fault))
    }

    fn append(&mut self, raw: Raw<'_>) -> Result<(), CellFault> {
        match (&mut self.values, self.codec) {
            (Values::Flat(leaf), Codec::JsonArray(scalar)) => {
                leaf.text.clear();
                array::write_json(scalar, self.style, raw, &mut leaf.text, &mut self.counts)?;
                leaf.append_scratch()
            }
            (Values::Flat(leaf), _) => leaf.append(raw, &mut self.counts),
            (Values::List(list), _) => list.append(raw, self.style, &mut self.counts, &mut self.unescaped),
        }
    }

    /// Names the column in a fault.
    pub(crate) fn error(&self, fault: CellFault) -> CellError {
        CellError { column: self.name.clone(), type_name: self.type_name.clone(), fault }
    }

    /// Gives the column and starts the next one; it is nullable throughout.
    pub fn finish(&mut self) -> ArrayRef {
        match &mut self.values {
            Values::Flat(leaf) => leaf.finish(),
            Values::List(list) => list.finish(),
        }
    }

    /// Gives the counters since the last call.
    pub fn take_counts(&mut self) -> DecodeCounts {
        std::mem::take(&mut self.counts)
    }
}

/// The oid of the elements of an array, seen through domains; 0 for other types.
fn element_oid(source: &TypeSource) -> u32 {
    match &source.kind {
        TypeKind::Domain(base) => element_oid(base),
        TypeKind::Array(element) => element.oid,
        _ => 0,
    }
}

impl ListLeaf {
    fn append(
        &mut self,
        raw: Raw<'_>,
        style: Style,
        counts: &mut DecodeCounts,
        unescaped: &mut Vec<u8>,
    ) -> Result<(), CellFault> {
        let dimensions = array::dimensions(raw)?;
        if dimensions > 1 {
            return Err(CellFault::Dimensions(dimensions));
        }
        let items = &mut self.items;
        array::walk(raw, style, unescaped, &mut |item| match item {
            Item::Open | Item::Close => Ok(()),
            Item::Element(None) => {
                items.append_null();
                Ok(())
            }
            Item::Element(Some(element)) => items.append(element, counts),
        })?;
        if self.items.len() > COLUMN_BYTES_MAX {
            return Err(CellFault::BatchFull);
        }
        self.close(true);
        Ok(())
    }

    /// Ends a list (or a NULL) at the elements appended so far.
    fn close(&mut self, valid: bool) {
        self.offsets.push(i32::try_from(self.items.len()).unwrap_or(i32::MAX));
        self.validity.append(valid);
    }

    fn finish(&mut self) -> ArrayRef {
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let field = Arc::clone(&self.field);
        // The offsets were pushed in order by `close`.
        let offsets = OffsetBuffer::new(offsets.into());
        Arc::new(ListArray::new(field, offsets, self.items.finish(), self.validity.finish()))
    }
}

impl Leaf {
    fn new(scalar: Scalar) -> Self {
        let (data_type, _) = scalar.storage();
        let store = match data_type {
            DataType::Boolean => Store::Bool(BooleanBuilder::new()),
            DataType::Int64 => Store::Int64(Int64Builder::new()),
            DataType::Float64 => Store::Float64(Float64Builder::new()),
            DataType::Decimal128(..) => Store::Decimal(Decimal128Builder::new().with_data_type(data_type)),
            DataType::Date32 => Store::Date(Date32Builder::new()),
            DataType::Timestamp(..) => Store::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(data_type)),
            DataType::Binary => Store::Binary(BinaryBuilder::new()),
            _ => Store::Text(StringBuilder::new()),
        };
        Self { scalar, store, text: String::new(), bytes: Vec::new() }
    }

    fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        match &self.store {
            Store::Bool(builder) => builder.len(),
            Store::Int64(builder) => builder.len(),
            Store::Float64(builder) => builder.len(),
            Store::Decimal(builder) => builder.len(),
            Store::Date(builder) => builder.len(),
            Store::Timestamp(builder) => builder.len(),
            Store::Text(builder) => builder.len(),
            Store::Binary(builder) => builder.len(),
        }
    }

    fn append_null(&mut self) {
        match &mut self.store {
            Store::Bool(builder) => builder.append_null(),
            Store::Int64(builder) => builder.append_null(),
            Store::Float64(builder) => builder.append_null(),
            Store::Decimal(builder) => builder.append_null(),
            Store::Date(builder) => builder.append_null(),
            Store::Timestamp(builder) => builder.append_null(),
            Store::Text(builder) => builder.append_null(),
            Store::Binary(builder) => builder.append_null(),
        }
    }

    fn append(&mut self, raw: Raw<'_>, counts: &mut DecodeCounts) -> Result<(), CellFault> {
        match &mut self.store {
            Store::Bool(builder) => builder.append_value(Scalar::boolean(raw)?),
            Store::Int64(builder) => builder.append_value(self.scalar.integer(raw)?),
            Store::Float64(builder) => builder.append_value(self.scalar.float(raw)?),
            Store::Decimal(builder) => {
                let Scalar::Decimal { precision, scale } = self.scalar else {
                    return Err(CellFault::Malformed("a decimal"));
                };
                builder.append_option(counts.value(number::decimal(raw, precision, scale)?));
            }
            Store::Date(builder) => builder.append_option(counts.value(Scalar::date(raw)?)),
            Store::Timestamp(builder) => builder.append_option(counts.value(Scalar::timestamp(raw)?)),
            Store::Binary(builder) => append_bytea(builder, raw, &mut self.bytes)?,
            Store::Text(builder) => {
                if self.scalar.is_plain_text() {
                    if matches!(raw, Raw::Binary(_)) && !self.scalar.has_binary() {
                        return Err(CellFault::NoBinaryDecoder);
                    }
                    return append_str(builder, raw.str()?);
                }
                self.text.clear();
                if counts.note(self.scalar.write_text(raw, &mut self.text)?) {
                    append_str(builder, &self.text)?;
                } else {
                    builder.append_null();
                }
            }
        }
        Ok(())
    }

    /// Appends the text written into the scratch room.
    fn append_scratch(&mut self) -> Result<(), CellFault> {
        match &mut self.store {
            Store::Text(builder) => append_str(builder, &self.text),
            _ => Err(CellFault::Malformed("text")),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match &mut self.store {
            Store::Bool(builder) => Arc::new(builder.finish()),
            Store::Int64(builder) => Arc::new(builder.finish()),
            Store::Float64(builder) => Arc::new(builder.finish()),
            Store::Decimal(builder) => Arc::new(builder.finish()),
            Store::Date(builder) => Arc::new(builder.finish()),
            Store::Timestamp(builder) => Arc::new(builder.finish()),
            Store::Text(builder) => Arc::new(builder.finish()),
            Store::Binary(builder) => Arc::new(builder.finish()),
        }
    }
}

fn append_str(builder: &mut StringBuilder, text: &str) -> Result<(), CellFault> {
    if builder.values_slice().len().saturating_add(text.len()) > COLUMN_BYTES_MAX {
        return Err(CellFault::BatchFull);
    }
    builder.append_value(text);
    Ok(())
}

fn append_bytea(builder: &mut BinaryBuilder, raw: Raw<'_>, scratch: &mut Vec<u8>) -> Result<(), CellFault> {
    if builder.values_slice().len().saturating_add(raw.bytes().len()) > COLUMN_BYTES_MAX {
        return Err(CellFault::BatchFull);
    }
    match raw {
        Raw::Binary(bytes) => builder.append_value(bytes),
        Raw::Text(_) => {
            scratch.clear();
            bytea(raw, scratch)?;
            builder.append_value(&scratch);
        }
    }
    Ok(())
}

/// Reads a bytea; its text must be in `bytea_output = hex`.
pub(crate) fn bytea(raw: Raw<'_>, out: &mut Vec<u8>) -> Result<(), CellFault> {
    const EXPECTED: CellFault = CellFault::Malformed("bytes in hexadecimal");
    let text = match raw {
        Raw::Binary(bytes) => {
            out.extend_from_slice(bytes);
            return Ok(());
        }
        Raw::Text(text) => text.strip_prefix(b"\\x").ok_or(EXPECTED)?,
    };
    if text.len() % 2 != 0 {
        return Err(EXPECTED);
    }
    for pair in text.chunks_exact(2) {
        let [high, low] = pair else { return Err(EXPECTED) };
        out.push(nibble(*high).ok_or(EXPECTED)? << 4 | nibble(*low).ok_or(EXPECTED)?);
    }
    Ok(())
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
