//! Columns of a result as PostgreSQL types.
//!
//! Owns: the protocol's description of columns, and the one Arrow form in which each wire type is encoded. Which type
//! a column has is said once, by the warehouse's PostgreSQL catalog.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use naru_warehouse::postgres_catalog;
use pgwire::api::{
    Type,
    portal::Format,
    results::{FieldFormat, FieldInfo},
};

/// The wire type of a column.
pub fn wire_type(field: &Field) -> Type {
    Type::from_oid(postgres_catalog::type_oid(field)).unwrap_or(Type::TEXT)
}

/// The result's columns as the protocol describes them.
pub fn describe(schema: &Schema, format: Option<&Format>) -> Vec<FieldInfo> {
    let individual = matches!(format, Some(Format::Individual(codes)) if codes.len() == schema.fields().len());
    let describe_one = |(position, field): (usize, &std::sync::Arc<Field>)| {
        let form = match format {
            Some(Format::Individual(_)) if !individual => FieldFormat::Text,
            Some(format) => format.format_for(position),
            None => FieldFormat::Text,
        };
        let of = wire_type(field);
        let size = postgres_catalog::type_length(of.oid());
        FieldInfo::new(field.name().clone(), None, None, of, form).with_type_size(size)
    };
    schema.fields().iter().enumerate().map(describe_one).collect()
}

/// The Arrow type in which a column is encoded: one form a wire type.
pub fn canonical(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => {
            DataType::Int64
        }
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Float16 => DataType::Float32,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(TimeUnit::Nanosecond) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(unit, zone) if *unit != TimeUnit::Microsecond => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        _ => return None,
    })
}
