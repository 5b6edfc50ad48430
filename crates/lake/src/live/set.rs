//! All tables of a source as of one of its transactions.
//!
//! Owns: [`LiveSet`], [`Cut`], and the one place where what readers see is swapped.
//! Never applies or commits anything.

use std::{collections::HashMap, sync::Arc};

use naru_base::number::i64_from;
use naru_base::{Lsn, TableId};
use parking_lot::{Mutex, RwLock};

use crate::view::TableView;

use super::{LiveTable, Weakly};

/// Every attached table as one transaction of the source left it.
#[derive(Debug, Clone, Default)]
pub struct Cut {
    /// End of that transaction in the source; 0 before the first.
    pub position: Lsn,
    /// The tables, committed and unflushed rows together.
    pub tables: HashMap<TableId, Arc<TableView>>,
}

/// What readers of one source see. Clones are the same set.
#[derive(Debug, Clone, Default)]
pub struct LiveSet {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    cut: RwLock<Arc<Cut>>,
    /// Held while a new cut is built, so that none is overtaken by an older one. Taken before any table's state.
    /// Holds the tables that are ahead of what is shown of them.
    swap: Mutex<HashMap<TableId, Weakly>>,
}

impl LiveSet {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The present cut. It never changes; take another to see more.
    pub fn snapshot(&self) -> Arc<Cut> {
        Arc::clone(&self.shared.cut.read())
    }

    /// Shows everything applied to `tables` so far, all in one step, as the state after the transaction that ends at
    /// `position`.
    ///
    /// Other tables keep what they show: the transaction did not touch them. Those that were ahead are shown as they
    /// are. A table that is not in the set is not shown, but may be flushed from here on.
    pub fn publish(&self, position: Lsn, tables: &[&LiveTable]) {
        self.change(|cut, ahead| {
            cut.position = position;
            for table in tables {
                let view = table.inner.publish(i64_from(position.0));
                show(cut, table.id(), view);
            }
            for (id, table) in ahead.drain() {
                if let Some(table) = table.get() {
                    show(cut, &id, table.inner.published_view());
                }
            }
        });
    }

    /// Makes what was applied to one table ready to be flushed, and shows it only with the next [`LiveSet::publish`]:
    /// the other tables cannot be shown as of `position` yet. Readers see what they see until then, whatever is
    /// committed of the table meanwhile.
    pub fn publish_ahead(&self, table: &LiveTable, position: Lsn) {
        self.change(|_, ahead| {
            ahead.insert(table.id().clone(), table.weakly());
            table.inner.publish(i64_from(position.0));
        });
    }

    /// Shows what was applied to one table that is behind the others, at its own position; the set's position stays.
    pub fn publish_behind(&self, table: &LiveTable, position: Lsn) {
        self.change(|cut, ahead| {
            ahead.remove(table.id());
            let view = table.inner.publish(i64_from(position.0));
            show(cut, table.id(), view);
        });
    }

    /// Begins to show a table, as it was last published. It is shown by one set at a time.
    pub fn insert(&self, table: &LiveTable) {
        self.change(|cut, ahead| {
            ahead.remove(table.id());
            *table.inner.shown_by.lock() = Some(self.clone());
            cut.tables.insert(table.id().clone(), table.inner.published_view());
        });
    }

    /// Stops showing a table.
    pub fn remove(&self, table: &TableId) {
        self.change(|cut, ahead| {
            ahead.remove(table);
            cut.tables.remove(table);
        });
    }

    /// Runs `swap`, which changes the table's committed state, and shows the result without a moment between; that of
    /// a table that is ahead with the others.
    pub(crate) fn replace<T>(&self, table: &TableId, swap: impl FnOnce() -> (T, Arc<TableView>)) -> T {
        self.change(|cut, ahead| {
            let (value, view) = swap();
            if !ahead.contains_key(table) {
                show(cut, table, view);
            }
            value
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Cut, &mut HashMap<TableId, Weakly>) -> T) -> T {
        let mut ahead = self.shared.swap.lock();
        let mut cut = Cut::clone(&self.snapshot());
        let out = change(&mut cut, &mut ahead);
        *self.shared.cut.write() = Arc::new(cut);
        out
    }
}

fn show(cut: &mut Cut, table: &TableId, view: Arc<TableView>) {
    if let Some(shown) = cut.tables.get_mut(table) {
        *shown = view;
    }
}
