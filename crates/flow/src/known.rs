//! Which tables exist beside the marts, as far as anyone has seen.
//!
//! Owns: [`KnownTables`]. Never looks; the caller tells it what the lake and the sources have.

use std::collections::BTreeSet;

use naru_base::TableId;

/// Tables that a mart may read besides other marts.
#[derive(Debug, Clone, Default)]
pub struct KnownTables {
    tables: BTreeSet<TableId>,
    unseen: Vec<(String, String)>,
}

impl KnownTables {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a table that exists.
    pub fn add(&mut self, table: TableId) {
        self.tables.insert(table);
    }

    /// Adds a source that naru has never connected to. Any table in its dataset, or in `<dataset>_<schema>`, may exist.
    pub fn add_unseen_source(&mut self, name: impl Into<String>, dataset: impl Into<String>) {
        self.unseen.push((name.into(), dataset.into()));
    }

    /// Whether the table exists.
    pub fn has(&self, table: &TableId) -> bool {
        self.tables.contains(table)
    }

    /// The source that was never seen and may have the table.
    pub fn maybe_in(&self, table: &TableId) -> Option<&str> {
        self.unseen
            .iter()
            .find(|(_, dataset)| match table.dataset.strip_prefix(dataset.as_str()) {
                Some(rest) => rest.is_empty() || rest.starts_with('_'),
                None => false,
            })
            .map(|(source, _)| source.as_str())
    }

    /// All tables that exist.
    pub fn tables(&self) -> impl Iterator<Item = &TableId> {
        self.tables.iter()
    }
}

impl FromIterator<TableId> for KnownTables {
    fn from_iter<T: IntoIterator<Item = TableId>>(tables: T) -> Self {
        Self { tables: tables.into_iter().collect(), unseen: Vec::new() }
    }
}

/// The nearest of `names`, if one is near enough to be a slip of the fingers.
pub(crate) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a TableId>) -> Option<&'a TableId> {
    let bound = (wanted.chars().count() / 3).max(2);
    names
        .map(|name| (strsim::osa_distance(wanted, &name.to_string()), name))
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_was_never_seen_may_have_any_table_of_its_datasets() {
        let mut known = KnownTables::new();
        known.add_unseen_source("shop", "shop");
        assert_eq!(known.maybe_in(&TableId::new("shop", "orders")), Some("shop"));
        assert_eq!(known.maybe_in(&TableId::new("shop_audit", "log")), Some("shop"));
        assert_eq!(known.maybe_in(&TableId::new("shopping", "log")), None);
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let names = [TableId::new("shop", "orders"), TableId::new("shop", "order_items")];
        assert_eq!(nearest("shop.order", names.iter()), Some(&names[0]));
        assert_eq!(nearest("finance.revenue", names.iter()), None);
    }
}
