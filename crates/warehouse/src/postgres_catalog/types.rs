//! PostgreSQL's names and numbers of our columns' types.
//!
//! Owns: the type of a column on the Postgres wire and in `pg_attribute`, `pg_type`'s rows, `format_type`.
//! Source: PostgreSQL's `pg_type.dat`.

use arrow::datatypes::{DataType, Field};

use crate::output::element;

/// One row of `pg_type`.
#[derive(Debug, Clone, Copy)]
pub struct PgType {
    /// `oid`
    pub oid: u32,
    /// `typname`
    pub name: &'static str,
    /// What `format_type` says.
    pub formatted: &'static str,
    /// `typlen`: bytes, or -1 for variable.
    pub length: i16,
    /// `oid` of the array over it.
    pub array: u32,
    /// `typcategory`
    pub category: &'static str,
}

const fn of(
    oid: u32,
    name: &'static str,
    formatted: &'static str,
    length: i16,
    array: u32,
    category: &'static str,
) -> PgType {
    PgType { oid, name, formatted, length, array, category }
}

/// The types that columns can have, and those that catalog columns and clients name.
pub const TYPES: [PgType; 23] = [
    of(16, "bool", "boolean", 1, 1000, "B"),
    of(17, "bytea", "bytea", -1, 1001, "U"),
    of(18, "char", "\"char\"", 1, 1002, "Z"),
    of(19, "name", "name", 64, 1003, "S"),
    of(20, "int8", "bigint", 8, 1016, "N"),
    of(21, "int2", "smallint", 2, 1005, "N"),
    of(23, "int4", "integer", 4, 1007, "N"),
    of(25, "text", "text", -1, 1009, "S"),
    of(26, "oid", "oid", 4, 1028, "N"),
    of(114, "json", "json", -1, 199, "U"),
    of(700, "float4", "real", 4, 1021, "N"),
    of(701, "float8", "double precision", 8, 1022, "N"),
    of(1042, "bpchar", "character", -1, 1014, "S"),
    of(1043, "varchar", "character varying", -1, 1015, "S"),
    of(1082, "date", "date", 4, 1182, "D"),
    of(1083, "time", "time without time zone", 8, 1183, "D"),
    of(1114, "timestamp", "timestamp without time zone", 8, 1115, "D"),
    of(1184, "timestamptz", "timestamp with time zone", 8, 1185, "D"),
    of(1186, "interval", "interval", 16, 1187, "T"),
    of(1700, "numeric", "numeric", -1, 1231, "N"),
    of(2950, "uuid", "uuid", 16, 2951, "U"),
    of(3802, "jsonb", "jsonb", -1, 3807, "U"),
    of(2205, "regclass", "regclass", 4, 2210, "N"),
];

const TEXT: u32 = 25;
const TEXT_ARRAY: u32 = 1009;

/// The type's number for a column: what the Postgres wire sends and `pg_attribute` shows. INTERVAL and what
/// PostgreSQL does not have go as text, STRUCT as json.
pub fn type_oid(field: &Field) -> u32 {
    if let DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) = field.data_type() {
        let item = type_oid(&element(field, item));
        return TYPES.iter().find(|of| of.oid == item).map_or(TEXT_ARRAY, |of| of.array);
    }
    match field.metadata().get("naru.type").map(String::as_str) {
        Some("json") => return 114,
        Some("uuid") => return 2950,
        Some("bignumeric") => return 1700,
        Some("time") => return 1083,
        Some("datetime") => return 1114,
        _ => {}
    }
    match field.data_type() {
        DataType::Boolean => 16,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => 21,
        DataType::Int32 | DataType::UInt16 => 23,
        DataType::Int64 | DataType::UInt32 => 20,
        DataType::UInt64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => 1700,
        DataType::Float16 | DataType::Float32 => 700,
        DataType::Float64 => 701,
        DataType::Date32 | DataType::Date64 => 1082,
        DataType::Time32(_) | DataType::Time64(_) => 1083,
        DataType::Timestamp(_, Some(_)) => 1184,
        DataType::Timestamp(_, None) => 1114,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => 17,
        DataType::Struct(_) | DataType::Map(..) => 114,
        DataType::Dictionary(_, value) => {
            type_oid(&Field::new(field.name(), value.as_ref().clone(), true).with_metadata(field.metadata().clone()))
        }
        _ => TEXT,
    }
}

/// The type of an array type's elements, by number; `None` for what is no array.
pub fn element_oid(array: u32) -> Option<u32> {
    TYPES.iter().find(|of| of.array == array).map(|of| of.oid)
}

/// The number of a type by any of its names, such as `int4`, `integer` or `_int4`.
pub fn oid_of_name(name: &str) -> Option<u32> {
    if let Some(element) = name.strip_suffix("[]").or_else(|| name.strip_prefix('_')) {
        return TYPES.iter().find(|of| of.name == element || of.formatted == element).map(|of| of.array);
    }
    TYPES.iter().find(|of| of.name == name || of.formatted == name).map(|of| of.oid)
}

/// `atttypmod`: precision and scale of a NUMERIC, else -1.
pub fn type_modifier(data_type: &DataType) -> i32 {
    match data_type {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) if *scale >= 0 => {
            ((i32::from(*precision) << 16) | i32::from(*scale)) + 4
        }
        _ => -1,
    }
}

/// `typlen` of a type, by number.
pub fn type_length(oid: u32) -> i16 {
    TYPES.iter().find(|of| of.oid == oid).map_or(-1, |of| of.length)
}

/// PostgreSQL's `format_type`.
pub fn format_type(oid: i64, modifier: i64) -> String {
    let matches = |number: u32| i64::from(number) == oid;
    if let Some(found) = TYPES.iter().find(|of| matches(of.array)) {
        return format!("{}[]", found.formatted);
    }
    match TYPES.iter().find(|of| matches(of.oid)) {
        Some(found) if found.name == "numeric" && modifier >= 4 => {
            let packed = modifier - 4;
            format!("numeric({},{})", packed >> 16, packed & 0xFFFF)
        }
        Some(found) => found.formatted.to_owned(),
        None => "???".to_owned(),
    }
}
