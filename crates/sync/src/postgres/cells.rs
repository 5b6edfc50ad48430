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
                    _ => Arc::new(Field::new("element", scalar.storage().0, true)),
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

#[cfg(test)]
mod tests {
    use postgres_types::Type;
    use proptest::prelude::*;

    use super::*;
    use crate::postgres::ColumnSource;

    /// A plan for every type whose decoder reads bytes by itself, alone and in arrays of one and of many dimensions.
    fn plans() -> Vec<ColumnPlan> {
        let bases = [
            Type::BOOL,
            Type::INT2,
            Type::INT4,
            Type::INT8,
            Type::OID,
            Type::FLOAT4,
            Type::FLOAT8,
            Type::TEXT,
            Type::CHAR,
            Type::JSON,
            Type::JSONB,
            Type::BYTEA,
            Type::DATE,
            Type::TIMESTAMP,
            Type::TIMESTAMPTZ,
            Type::TIME,
            Type::TIMETZ,
            Type::INTERVAL,
            Type::UUID,
            Type::INET,
            Type::CIDR,
            Type::MACADDR,
            Type::VARBIT,
            Type::XID,
            Type::XID8,
            Type::PG_LSN,
            Type::POINT,
        ];
        let mut sources: Vec<TypeSource> =
            bases.iter().map(|base| TypeSource::base(base.oid(), base.name(), -1)).collect();
        for typmod in [-1, (10 << 16) + 2 + 4, (38 << 16) + 38 + 4] {
            sources.push(TypeSource::base(Type::NUMERIC.oid(), "numeric", typmod));
        }
        for (range, kind) in [
            (Type::INT8_RANGE, TypeKind::Range(None)),
            (Type::NUM_RANGE, TypeKind::Range(None)),
            (Type::TSTZ_RANGE, TypeKind::Range(None)),
            (Type::DATEMULTI_RANGE, TypeKind::Multirange(None)),
        ] {
            sources.push(TypeSource { oid: range.oid(), name: range.name().into(), typmod: -1, kind });
        }
        let plan = |type_source: TypeSource, dimensions| {
            let name = type_source.name.clone();
            let comment = None;
            ColumnPlan::new(ColumnSource {
                name,
                attnum: 1,
                type_source,
                dimensions,
                not_null: false,
                generated: false,
                comment,
            })
        };
        let array = |element: &TypeSource| {
            let kind = TypeKind::Array(Box::new(element.clone()));
            TypeSource { oid: 0, name: format!("{}[]", element.name), typmod: -1, kind }
        };
        let alone = sources.iter().map(|source| plan(source.clone(), 0));
        alone.chain(sources.iter().flat_map(|source| [plan(array(source), 1), plan(array(source), 2)])).collect()
    }

    /// Feeds one cell to every decoder; each either takes it or says why not, and can still be finished.
    fn feed(bytes: &[u8]) {
        for plan in plans() {
            for binary in [false, true] {
                let mut builder = CellBuilder::new(&plan, &plan.column.data_type);
                builder.append_null();
                let taken = if binary { builder.append_binary(bytes) } else { builder.append_text(bytes) };
                let array = builder.finish();
                assert!(array.is_null(0));
                if taken.is_ok() {
                    assert_eq!(array.len(), 2, "{}", plan.source.type_source.name);
                }
            }
        }
    }

    /// Values that each decoder takes, for the mutations to begin from.
    const SEEDS: [&[u8]; 12] = [
        b"{\"a\",NULL,{1,2}}",
        b"[0:1]={1,2}",
        b"2024-02-29 12:34:56.789+09:30",
        b"P1Y-2M3DT4H-5M6.7S",
        b"-12345.6789",
        b"12:34:56-03",
        &[0, 2, 0, 1, 0x40, 0, 0, 4, 0, 12, 0x0d, 0x80],
        &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9, 255, 255, 255, 255],
        &[2, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 5],
        &[0, 0, 0, 1, 0, 0, 0, 9, 0x0a, 0, 0, 0, 4, 0, 0, 0, 1],
        &[2, 24, 0, 4, 10, 0, 0, 1],
        &[255; 16],
    ];

    #[test]
    fn a_seed_of_each_shape_is_taken_by_some_decoder() {
        for seed in SEEDS {
            feed(seed);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn random_cells_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            feed(&bytes);
        }

        #[test]
        fn mutated_cells_never_panic(
            which in 0..SEEDS.len(),
            place in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
            keep in any::<proptest::sample::Index>(),
        ) {
            let mut bytes = SEEDS[which].to_vec();
            let index = place.index(bytes.len());
            bytes[index] = byte;
            feed(&bytes);
            bytes.truncate(keep.index(bytes.len() + 1));
            feed(&bytes);
        }
    }
}
