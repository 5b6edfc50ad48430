//! The warehouse's view of live tables: the cut that sync publishes.

use std::{collections::HashMap, sync::Arc};

use naru_base::TableId;
use naru_lake::{TableView, live::LiveSet};
use naru_warehouse::CutSource;

/// Live tables of all sources, each source at one of its commits.
#[derive(Debug, Clone, Default)]
pub struct LiveTables {
    /// One set a source.
    pub sets: Vec<LiveSet>,
}

impl CutSource for LiveTables {
    fn cut(&self) -> HashMap<TableId, Arc<TableView>> {
        self.sets
            .iter()
            .flat_map(|set| {
                set.snapshot().tables.iter().map(|(id, view)| (id.clone(), view.clone())).collect::<Vec<_>>()
            })
            .collect()
    }
}
