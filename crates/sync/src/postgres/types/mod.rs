//! Which lake column a source column becomes, and which decoder fills it.
//!
//! Owns: the catalog description of a column ([`ColumnSource`]), the plan made from it ([`ColumnPlan`]), the counters of
//! values that had to become null ([`DecodeCounts`]). Never reads the catalog; never builds arrays.
//! The rules stand in `docs/reference/postgres-types.md`. Read next: [`scalar`].

pub(crate) mod interval;
pub(crate) mod network;
pub(crate) mod number;
pub(crate) mod range;
pub(crate) mod scalar;
pub(crate) mod time;

use std::{ops::AddAssign, sync::Arc};

use arrow::datatypes::{DataType, Field};
use naru_lake::{Column, NaruType};
use postgres_types::Type;
use serde::{Deserialize, Serialize};

pub(crate) use scalar::Scalar;

/// What kind of type a `pg_type` row is, with the types it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TypeKind {
    /// A base type (`typtype = 'b'`) that is not an array.
    Base,
    /// A true array (`typelem <> 0 and typsubscript = 'array_subscript_handler'::regproc`), of this element type.
    Array(Box<TypeSource>),
    /// `typtype = 'e'`.
    Enum,
    /// `typtype = 'd'`, over this type; its `typmod` is `typtypmod`.
    Domain(Box<TypeSource>),
    /// `typtype = 'r'`, with the bounds' type (`pg_range.rngsubtype`) where it was read.
    Range(Option<Box<TypeSource>>),
    /// `typtype = 'm'`, with the bounds' type where it was read.
    Multirange(Option<Box<TypeSource>>),
    /// `typtype = 'c'`.
    Composite,
    /// `typtype = 'p'`.
    Pseudo,
}

/// A type as the source's catalog describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeSource {
    /// `pg_type.oid`.
    pub oid: u32,
    /// `pg_type.typname`.
    pub name: String,
    /// The modifier that applies: `atttypmod` for a column, `typtypmod` below a domain, the array's own for an element.
    pub typmod: i32,
    /// What it is made of.
    pub kind: TypeKind,
}

impl TypeSource {
    /// A base type.
    pub fn base(oid: u32, name: impl Into<String>, typmod: i32) -> Self {
        Self { oid, name: name.into(), typmod, kind: TypeKind::Base }
    }
}

/// A column as the source's catalog describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSource {
    /// `attname`, exactly.
    pub name: String,
    /// `attnum`.
    pub attnum: i16,
    /// Its type.
    pub type_source: TypeSource,
    /// `attndims`: more than 1 makes an array column JSON text.
    pub dimensions: i16,
    /// `attnotnull`.
    pub not_null: bool,
    /// `attgenerated <> ''`.
    pub generated: bool,
    /// `col_description`.
    pub comment: Option<String>,
}

/// How a column's values are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// One value.
    Scalar(Scalar),
    /// A list of values, one dimension.
    List(Scalar),
    /// An array of any dimensions as JSON text.
    JsonArray(Scalar),
}

/// The lake column of one source column, and how to fill it.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnPlan {
    /// The column at the source.
    pub source: ColumnSource,
    /// The column in the lake. `stored` equals `name` here; the caller escapes names that Delta cannot hold.
    pub column: Column,
    pub(crate) codec: Codec,
}

impl ColumnPlan {
    /// Plans one column. Every type has a plan: what is not known becomes the type's text.
    pub fn new(source: ColumnSource) -> Self {
        let codec = codec_of(&source.type_source, source.dimensions);
        let (data_type, naru_type) = codec.storage();
        let mut column = Column::new(source.name.clone(), data_type);
        column.naru_type = naru_type;
        column.source = Some(source.identity());
        column.comment.clone_from(&source.comment);
        Self { source, column, codec }
    }

    /// Whether the binary form can be decoded; if not, the stream must be in text, and `COPY` selects `col::text`.
    pub fn has_binary_decoder(&self) -> bool {
        self.codec.scalar().has_binary()
    }

    /// Whether a change of only the type modifier changes how values are read or stored.
    pub(crate) fn depends_on_typmod(&self) -> bool {
        matches!(self.codec.scalar(), Scalar::Decimal { .. } | Scalar::BigNumeric)
    }
}

impl ColumnSource {
    /// `attnum:typeoid:typmod`, by which a restart knows the column again.
    pub fn identity(&self) -> String {
        format!("{}:{}:{}", self.attnum, self.type_source.oid, self.type_source.typmod)
    }
}

impl Codec {
    /// The scalar that single values or elements have.
    pub(crate) fn scalar(self) -> Scalar {
        match self {
            Self::Scalar(scalar) | Self::List(scalar) | Self::JsonArray(scalar) => scalar,
        }
    }

    fn storage(self) -> (DataType, Option<NaruType>) {
        match self {
            Self::Scalar(scalar) => scalar.storage(),
            // Delta keeps no metadata for elements; what a list's elements are stands on the column.
            Self::List(scalar) => {
                let (item, naru_type) = scalar.storage();
                (DataType::List(Arc::new(Field::new("element", item, true))), naru_type)
            }
            Self::JsonArray(_) => (DataType::Utf8, Some(NaruType::Json)),
        }
    }
}

/// Chooses the codec of a column; domains are seen through, also over arrays.
fn codec_of(source: &TypeSource, dimensions: i16) -> Codec {
    match &source.kind {
        TypeKind::Domain(base) => codec_of(base, dimensions),
        TypeKind::Array(_) if is_vector(source) => Codec::Scalar(Scalar::Opaque),
        TypeKind::Array(element) if dimensions > 1 || is_array(element) => Codec::JsonArray(Scalar::of(element)),
        TypeKind::Array(element) => Codec::List(Scalar::of(element)),
        TypeKind::Base
        | TypeKind::Enum
        | TypeKind::Range(_)
        | TypeKind::Multirange(_)
        | TypeKind::Composite
        | TypeKind::Pseudo => Codec::Scalar(Scalar::of(source)),
    }
}

/// Whether a type is an array once domains are seen through (an array of a domain over an array).
fn is_array(source: &TypeSource) -> bool {
    match &source.kind {
        TypeKind::Domain(base) => is_array(base),
        TypeKind::Array(_) => !is_vector(source),
        _ => false,
    }
}

/// `int2vector` and `oidvector` are arrays to the catalog, but their text has no braces.
fn is_vector(source: &TypeSource) -> bool {
    matches!(Type::from_oid(source.oid), Some(Type::INT2_VECTOR | Type::OID_VECTOR))
}

/// Values that became null by rule, because the lake's type cannot hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DecodeCounts {
    /// `infinity` and `-infinity`.
    pub infinite: u64,
    /// Dates and times outside 0001-01-01 … 9999-12-31, and the time 24:00:00.
    pub out_of_range: u64,
    /// `NaN` of numeric.
    pub nan: u64,
}

impl DecodeCounts {
    /// Whether nothing was counted.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// All of them.
    pub fn total(self) -> u64 {
        self.infinite + self.out_of_range + self.nan
    }

    /// As it is stored.
    pub fn to_stored(self) -> serde_json::Value {
        serde_json::json!([self.infinite, self.out_of_range, self.nan])
    }

    /// From what was stored; nothing counted where nothing was.
    pub fn stored(stored: &serde_json::Value) -> Self {
        let count = |at: usize| stored[at].as_u64().unwrap_or(0);
        Self { infinite: count(0), out_of_range: count(1), nan: count(2) }
    }
}

impl AddAssign for DecodeCounts {
    fn add_assign(&mut self, other: Self) {
        self.infinite += other.infinite;
        self.out_of_range += other.out_of_range;
        self.nan += other.nan;
    }
}
