//! GoogleSQL types as imports build them, and which names a topic's file can hold.
//!
//! Owns: [`Type`]. Never reads a schema.

use std::fmt;

/// A type that a topic's file can say.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Scalar(&'static str),
    Array(Box<Type>),
    Struct(Vec<(String, Type)>),
}

/// Any value.
pub(super) const JSON: Type = Type::Scalar("JSON");
pub(super) const STRING: Type = Type::Scalar("STRING");
pub(super) const INT64: Type = Type::Scalar("INT64");
pub(super) const FLOAT64: Type = Type::Scalar("FLOAT64");
pub(super) const BOOL: Type = Type::Scalar("BOOL");
pub(super) const BYTES: Type = Type::Scalar("BYTES");

/// Names from the top down to a field; a file's types may lie a little deeper.
pub(super) const DEPTH_MAX: usize = 7;

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(name) => f.write_str(name),
            Self::Array(item) => write!(f, "ARRAY<{item}>"),
            Self::Struct(fields) => {
                f.write_str("STRUCT<")?;
                for (at, (name, kind)) in fields.iter().enumerate() {
                    write!(f, "{}{name} {kind}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str(">")
            }
        }
    }
}

/// Whether two names are the same to SQL.
pub(super) fn same(a: &str, b: &str) -> bool {
    let form = |name: &str| naru_project::nfc(name).to_lowercase();
    form(a) == form(b)
}

/// Why a name cannot be a column's.
pub(super) fn no_column(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    if name.is_empty() {
        Some("it has no name")
    } else if lower == "_extra" || lower.starts_with("_naru_") || lower.starts_with("_day_") {
        Some("the name is naru's own; its values go to _extra")
    } else {
        None
    }
}

/// Why fields with these names cannot be a STRUCT.
pub(super) fn no_struct<'n>(names: impl Iterator<Item = &'n str>) -> Option<String> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        let word = !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
        if !word {
            return Some(format!("the name \"{name}\" is none that a STRUCT's field can have"));
        }
        if seen.iter().any(|known| same(known, name)) {
            return Some(format!("\"{name}\" stands twice but for its case"));
        }
        seen.push(name);
    }
    seen.is_empty().then(|| "it has no fields of its own".to_owned())
}

/// The type of an exact decimal with so many digits, so many of them behind the point.
pub(super) fn decimal(precision: u64, scale: u64) -> Option<Type> {
    let whole = precision.checked_sub(scale)?;
    if scale <= 9 && whole <= 29 {
        Some(Type::Scalar("NUMERIC"))
    } else if scale <= 38 && whole <= 38 {
        Some(Type::Scalar("BIGNUMERIC"))
    } else {
        None
    }
}
