//! The versions that a run reads from its beginning to its end, also when it is resumed days later.
//!
//! Owns: [`Cut`], its JSON form, and what each name stands for while one mart is built. Never pins anything.

use std::collections::{BTreeMap, BTreeSet};

use naru_base::{Problem, TableId, Version};
use naru_store::runs_read::ViewRow;
use serde::{Deserialize, Serialize};

use crate::executor::{Input, Inputs, Pins};

/// What a run reads, except what it makes itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Version of every table that existed when the cut was taken. A table that is absent here did not exist.
    #[serde(with = "by_name")]
    pub tables: BTreeMap<TableId, Version>,
    /// Every view that was published when the cut was taken.
    #[serde(with = "by_name", default)]
    pub views: BTreeMap<TableId, PinnedView>,
    /// Where each source stood, in its own words. For people.
    #[serde(default)]
    pub positions: BTreeMap<String, String>,
}

/// A published view as a run sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedView {
    /// Its query.
    pub sql: String,
    /// What the query reads.
    pub reads: Vec<String>,
}

impl PinnedView {
    /// The names in it that are tables.
    pub fn tables(&self) -> impl Iterator<Item = TableId> {
        self.reads.iter().filter_map(|name| name.parse().ok())
    }
}

impl From<&ViewRow> for PinnedView {
    fn from(row: &ViewRow) -> Self {
        Self { sql: row.sql.clone(), reads: serde_json::from_str(&row.reads).unwrap_or_default() }
    }
}

/// What a name has become within the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Made {
    Table(Version),
    View(PinnedView),
}

/// All names that a run can read: its cut, overlaid by what it has published.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) cut: Cut,
    pub(crate) made: BTreeMap<TableId, Made>,
    /// Tables that exist and cannot be read at the cut.
    pub(crate) unfit: BTreeMap<TableId, Problem>,
}

impl World {
    /// The first table behind the names that cannot be read at the cut, and why.
    pub(crate) fn unfit<'a>(&self, names: impl IntoIterator<Item = &'a TableId>) -> Option<&Problem> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<TableId> = names.into_iter().cloned().collect();
        while let Some(name) = open.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            match self.look_up(&name) {
                Some(Made::View(view)) => open.extend(view.tables()),
                Some(Made::Table(_)) => {}
                None => {
                    if let Some(problem) = self.unfit.get(&name) {
                        return Some(problem);
                    }
                }
            }
        }
        None
    }

    /// What the names stand for, and those behind views too. A name without an entry does not exist.
    pub(crate) fn inputs<'a>(&self, names: impl IntoIterator<Item = &'a TableId>) -> Inputs {
        let mut inputs = Inputs::new();
        let mut open: Vec<TableId> = names.into_iter().cloned().collect();
        while let Some(name) = open.pop() {
            if inputs.contains_key(&name) {
                continue;
            }
            match self.look_up(&name) {
                Some(Made::Table(version)) => {
                    inputs.insert(name, Input::Table(version));
                }
                Some(Made::View(view)) => {
                    open.extend(view.tables());
                    inputs.insert(name, Input::View(view.sql));
                }
                None => {}
            }
        }
        inputs
    }

    fn look_up(&self, name: &TableId) -> Option<Made> {
        let made = self.made.get(name).cloned();
        made.or_else(|| self.cut.views.get(name).cloned().map(Made::View))
            .or_else(|| self.cut.tables.get(name).copied().map(Made::Table))
    }
}

impl Cut {
    /// The tables behind `names`, looking through the published views.
    pub(crate) fn tables_behind(names: BTreeSet<TableId>, views: &BTreeMap<TableId, PinnedView>) -> BTreeSet<TableId> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<TableId> = names.into_iter().collect();
        while let Some(name) = open.pop() {
            if seen.contains(&name) {
                continue;
            }
            if let Some(view) = views.get(&name) {
                open.extend(view.tables());
            }
            seen.insert(name);
        }
        seen
    }

    /// Adds what was pinned. A source that has its cut keeps it.
    pub(crate) fn add(&mut self, pins: Pins) {
        self.tables.extend(pins.tables);
        for (source, position) in pins.positions {
            self.positions.entry(source).or_insert(position);
        }
    }
}

/// Maps keyed by table name as JSON objects keyed by `dataset.table`.
mod by_name {
    use std::collections::BTreeMap;

    use naru_base::TableId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer, V: Serialize>(
        map: &BTreeMap<TableId, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(table, value)| (table.to_string(), value)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<TableId, V>, D::Error> {
        let named = BTreeMap::<String, V>::deserialize(deserializer)?;
        named.into_iter().map(|(name, value)| Ok((name.parse().map_err(D::Error::custom)?, value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> TableId {
        name.parse().unwrap()
    }

    #[test]
    fn a_cut_survives_its_json_form() {
        let cut = Cut {
            tables: [(id("shop.orders"), Version(7))].into(),
            views: [(id("a.v"), PinnedView { sql: "SELECT 1".into(), reads: vec!["shop.orders".into()] })].into(),
            positions: [("shop".to_owned(), "0/16".to_owned())].into(),
        };
        let json = serde_json::to_string(&cut).unwrap();
        assert_eq!(serde_json::from_str::<Cut>(&json).unwrap(), cut);
    }

    #[test]
    fn what_the_run_has_made_hides_the_cut_and_views_bring_what_they_read() {
        let mut world = World::default();
        world.cut.tables = [(id("a.t"), Version(1)), (id("s.x"), Version(9))].into();
        world.cut.views = [(id("a.v"), PinnedView { sql: "old".into(), reads: vec!["s.x".into()] })].into();
        world.made.insert(id("a.t"), Made::Table(Version(2)));
        let inputs = world.inputs(&[id("a.t"), id("a.v"), id("a.none")]);
        let expected: Inputs = [
            (id("a.t"), Input::Table(Version(2))),
            (id("a.v"), Input::View("old".into())),
            (id("s.x"), Input::Table(Version(9))),
        ]
        .into();
        assert_eq!(inputs, expected);
    }
}
