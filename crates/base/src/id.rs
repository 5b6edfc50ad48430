//! Identifiers that two arguments could otherwise swap.
//!
//! Owns: table names, log positions, table versions, run ids and their text forms.
//! Never looks anything up.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A table's name in SQL: `dataset.table`. Case-sensitive, NFC.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableId {
    /// Dataset, one path segment in the lake.
    pub dataset: String,
    /// Table, one path segment below the dataset.
    pub table: String,
}

impl TableId {
    /// Joins a dataset and a table name.
    pub fn new(dataset: impl Into<String>, table: impl Into<String>) -> Self {
        Self { dataset: dataset.into(), table: table.into() }
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.dataset, self.table)
    }
}

/// Text that is not `dataset.table`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotATableId(pub String);

impl fmt::Display for NotATableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is not of the form dataset.table", self.0)
    }
}

impl std::error::Error for NotATableId {}

impl FromStr for TableId {
    type Err = NotATableId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('.') {
            Some((dataset, table)) if !dataset.is_empty() && !table.is_empty() => Ok(Self::new(dataset, table)),
            _ => Err(NotATableId(text.to_owned())),
        }
    }
}

/// A byte position in PostgreSQL's write-ahead log; prints as `16/B374D848`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Bytes from `earlier` to this position; 0 when `earlier` is ahead.
    pub fn bytes_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// Text that is not a log position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnLsn(pub String);

impl fmt::Display for NotAnLsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is not a log position such as 16/B374D848", self.0)
    }
}

impl std::error::Error for NotAnLsn {}

impl FromStr for Lsn {
    type Err = NotAnLsn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotAnLsn(text.to_owned());
        let (high, low) = text.split_once('/').ok_or_else(wrong)?;
        let high = u32::from_str_radix(high, 16).map_err(|_| wrong())?;
        let low = u32::from_str_radix(low, 16).map_err(|_| wrong())?;
        Ok(Self((u64::from(high) << 32) | u64::from(low)))
    }
}

/// A version of one Delta table; 0 is its creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// A run of marts, counted from 1 in the state database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId(pub i64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_position_survives_its_text_form() {
        for raw in [0, 1, 0xFFFF_FFFF, 0x1_0000_0000, 0x16_B374_D848, u64::MAX] {
            let lsn = Lsn(raw);
            assert_eq!(lsn.to_string().parse::<Lsn>(), Ok(lsn));
        }
        assert!("16".parse::<Lsn>().is_err());
        assert!("G/1".parse::<Lsn>().is_err());
    }

    #[test]
    fn a_table_id_needs_two_parts() {
        assert_eq!("shop.orders".parse(), Ok(TableId::new("shop", "orders")));
        assert!("orders".parse::<TableId>().is_err());
        assert!(".orders".parse::<TableId>().is_err());
    }
}
