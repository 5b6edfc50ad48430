//! Columns as naru knows them: the true name, the name Delta stores, the Arrow type, and what Delta cannot say.
//!
//! Owns: [`Column`], [`NaruType`], [`PartitionOf`] and their form in a Delta field's metadata (`naru.*`).
//! Never reads or writes a table.

use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};

/// What a column is in SQL where the stored type alone does not say it (field metadata `naru.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NaruType {
    /// Time of day, stored as text `HH:MM:SS.ffffff`.
    Time,
    /// JSON text.
    Json,
    /// UUID text, lowercase with hyphens.
    Uuid,
    /// Interval, stored as BigQuery's text `Y-M D H:M:S.f`.
    Interval,
    /// Exact number stored as text; BIGNUMERIC in SQL.
    Bignumeric,
    /// Range, stored as PostgreSQL's text `[a,b)`.
    Range,
    /// Enumeration label, text.
    Enum,
    /// Timestamp without zone, stored as UTC microseconds.
    Datetime,
}

/// How long one partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grain {
    /// A calendar day.
    Day,
}

/// What a partition column holds (field metadata `naru.partition`): the day on which another column's instant falls.
/// Rows of different days never share a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionOf {
    /// True name of the column the day is of.
    pub of: String,
    /// How long a partition is.
    pub grain: Grain,
    /// The zone of the day, an IANA name. Whoever writes the rows works the days out in it.
    pub zone: String,
}

/// One column of a lake table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The true name: what SQL, console and exports show. NFC.
    pub name: String,
    /// The name in Delta and Parquet; differs from `name` only where Delta cannot hold it.
    pub stored: String,
    /// Arrow type of the stored values. Source integers are `Int64`, instants `Timestamp(µs, "UTC")`.
    pub data_type: DataType,
    /// Whether NULL is allowed. Mirrored columns always are.
    pub nullable: bool,
    /// What the stored type does not say.
    pub naru_type: Option<NaruType>,
    /// Whether the source dropped the column; it stays, null in every later row.
    pub dropped: bool,
    /// For rows of files written before the column existed: the value to show, as JSON, until a rewrite fills it.
    pub fill: Option<serde_json::Value>,
    /// Free-form identity at the source (`attnum:typeoid:typmod`), compared on restart.
    pub source: Option<String>,
    /// The comment at the source or in the mart.
    pub comment: Option<String>,
    /// Set on the table's partition column, of which there is at most one: a nullable `Date32` that is computed from
    /// another column. NULL is a partition of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionOf>,
}

impl Column {
    /// A nullable column whose name Delta can hold.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        let name = name.into();
        Self {
            stored: name.clone(),
            name,
            data_type,
            nullable: true,
            naru_type: None,
            dropped: false,
            fill: None,
            source: None,
            comment: None,
            partition: None,
        }
    }

    /// Marks what the stored type does not say.
    #[must_use]
    pub fn with_type(mut self, naru_type: NaruType) -> Self {
        self.naru_type = Some(naru_type);
        self
    }

    /// Makes it the table's partition column.
    #[must_use]
    pub fn with_partition(mut self, partition: PartitionOf) -> Self {
        self.partition = Some(partition);
        self
    }
}
