//! Streamed transactions, worked out while they still arrive.
//!
//! Owns: [`Streamed`]: a transaction's messages as they came (the truth), and beside them, per live table, its changes
//! already decoded, placed and staged; what becomes of both at its end. At the commit the second is taken over in one
//! step; a large transaction is then in the lake soon after its last row, not as long again.
//! Never shows anything, and gives a table up at the first thing out of the ordinary (a rolled back sub-transaction, a
//! truncate, a changed definition, a table that is not live): then its messages are gone through at the commit instead.
//! Read next: `naru_lake::live::InProgress` for why this is right.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use naru_base::{Lsn, failpoint};
use naru_lake::live::InProgress;

use super::{
    change::{RowChange, quarantine_or},
    shown::drained,
    stream::{BUILDER_BYTES_MAX, Stream},
    table::TableRuntime,
};
use crate::{
    error::SyncError,
    postgres::{ChangeBuilder, DecodeCounts, Decoder, Message, Relation},
    spool::TransactionSpool,
    state::TableState,
    trigger::MESSAGE_PREFIX,
};

/// Open transactions that are worked out ahead at the same time; each may hold a builder and a segment in memory.
const AHEAD_MAX: usize = 4;

/// One streamed transaction.
#[derive(Debug)]
pub(super) struct Streamed {
    /// Its messages as they came.
    pub spool: TransactionSpool,
    /// What is worked out of it.
    pub ahead: Ahead,
}

/// What is worked out of one transaction.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// By table; `None` for one that was given up.
    parts: HashMap<u32, Option<Part>>,
    /// Relation messages, which hold for this transaction until it commits.
    relations: HashMap<u32, (Bytes, Arc<Relation>)>,
    /// A definition changed inside: nothing can be taken over.
    off: bool,
}

/// One table's part.
#[derive(Debug)]
pub(super) struct Part {
    changes: InProgress,
    builder: ChangeBuilder,
    relation: Arc<Relation>,
    counts: DecodeCounts,
    fed: u64,
    subxids: HashSet<u32>,
}

impl Streamed {
    /// An empty transaction; `path` is for its messages past the memory budget.
    pub fn new(path: PathBuf) -> Self {
        Self { spool: TransactionSpool::new(path), ahead: Ahead::default() }
    }

    /// Forgets what a sub-transaction did.
    pub fn abort(&mut self, subxid: u32) {
        self.spool.abort(subxid);
        for part in self.ahead.parts.values_mut() {
            if part.as_ref().is_some_and(|part| part.subxids.contains(&subxid)) {
                *part = None;
            }
        }
    }
}

/// The tables' parts, and the relation messages with their bytes.
type Finished = (Option<HashMap<u32, Option<Part>>>, Vec<(Bytes, Arc<Relation>)>);

impl Ahead {
    /// What is to be taken over; no parts at all when every message has to be gone through.
    fn finish(self) -> Finished {
        ((!self.off).then_some(self.parts), self.relations.into_values().collect())
    }

    /// Everything has to be gone through at the commit.
    fn turn_off(&mut self) {
        self.off = true;
        self.parts.clear();
    }
}

impl Stream {
    /// Keeps a message of an in-progress transaction, without its transaction number, and works it out ahead.
    pub(super) async fn keep(
        &mut self,
        xid: u32,
        subxid: u32,
        data: &Bytes,
        message: Message<'_>,
    ) -> Result<(), SyncError> {
        let path = || crate::spool::transaction_path(&self.context.spool_dir, xid);
        let streamed = match self.streamed.entry(xid) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Streamed::new(path())),
        };
        let (tag, rest) = (data.get(..1), data.get(5..));
        let (Some(tag), Some(rest)) = (tag, rest) else {
            return Err(SyncError::Protocol("a streamed message ends before its transaction number".into()));
        };
        streamed.spool.push(subxid, tag, rest)?;
        self.work_ahead(xid, subxid, data, message).await
    }

    pub(super) fn abort(&mut self, xid: u32, subxid: u32) {
        if xid == subxid {
            self.streamed.remove(&xid);
        } else if let Some(streamed) = self.streamed.get_mut(&xid) {
            streamed.abort(subxid);
        }
    }

    /// Handles a streamed transaction that committed: takes over what was worked out, and goes through the rest message
    /// by message as if it had come whole.
    pub(super) async fn replay(
        &mut self,
        xid: u32,
        commit_lsn: Lsn,
        end_lsn: Lsn,
        time_us: i64,
    ) -> Result<(), SyncError> {
        self.begin(commit_lsn, time_us)?;
        if failpoint::hit("sync.replay") {
            return Err(SyncError::Protocol("failpoint sync.replay".into()));
        }
        if let Some(Streamed { spool, ahead }) = self.streamed.remove(&xid)
            && let Some(done) = self.join(ahead, commit_lsn).await?
        {
            let mut replay = spool.replay()?;
            while let Some(message) = replay.next_message()? {
                let data = Bytes::from(message);
                let decoded = Decoder::new().decode(&data).map_err(|error| SyncError::Protocol(error.to_string()))?;
                if decoded.message.row_of().is_none_or(|oid| !done.contains(&oid)) {
                    self.change(&data, decoded.message).await?;
                }
            }
        }
        // Streamed, it may have come for nothing that is published; sent again unstreamed it would then be left out.
        self.commit(end_lsn, false)
    }

    /// Takes over what was worked out of a transaction that committed at `commit_lsn` and is the open one now. `None` when
    /// that is everything; otherwise the tables that are done.
    async fn join(&mut self, ahead: Ahead, commit_lsn: Lsn) -> Result<Option<HashSet<u32>>, SyncError> {
        let (parts, relations) = ahead.finish();
        let Some(parts) = parts else { return Ok(Some(HashSet::new())) };
        let (mut done, mut whole) = (HashSet::new(), true);
        for (oid, part) in parts {
            let joined = match part {
                Some(part) => self.join_table(oid, part, commit_lsn).await?,
                None => false,
            };
            whole &= joined;
            if joined {
                done.insert(oid);
            }
        }
        if whole {
            // The server does not send these again.
            for (data, relation) in relations {
                self.saw(&data, relation);
            }
            return Ok(None);
        }
        Ok(Some(done))
    }

    async fn join_table(&mut self, oid: u32, mut part: Part, commit_lsn: Lsn) -> Result<bool, SyncError> {
        let (Some(open), Some(table)) = (&mut self.open, self.tables.get_mut(&oid)) else { return Ok(false) };
        if table.has(commit_lsn) {
            return Ok(true);
        }
        if !part.fits(table) || !drained(table, &mut self.todo).await? || part.drain().await.is_err() {
            return Ok(false);
        }
        let (changes, counts) = match part.commit().await {
            Ok(Some(joined)) => joined,
            Ok(None) => return Ok(false),
            Err(error) => return quarantine_or(error, table).map(|()| false),
        };
        table.counts += counts;
        table.changes += changes;
        open.touched.insert(oid);
        table.unflushed_since.get_or_insert(self.cut);
        Ok(true)
    }

    /// Works one message of an open transaction out.
    async fn work_ahead(&mut self, xid: u32, subxid: u32, data: &Bytes, message: Message<'_>) -> Result<(), SyncError> {
        let working = self.streamed.values().filter(|streamed| !streamed.ahead.parts.is_empty()).count();
        let Some(Streamed { ahead, .. }) = self.streamed.get_mut(&xid) else { return Ok(()) };
        if working > AHEAD_MAX && ahead.parts.is_empty() {
            ahead.off = true;
        }
        if ahead.off {
            return Ok(());
        }
        let (oid, change) = match message {
            Message::Relation(relation) => {
                let raw = [data.get(..1), data.get(5..)].map(Option::unwrap_or_default).concat();
                ahead.relations.insert(relation.oid, (raw.into(), Arc::new(relation)));
                return Ok(());
            }
            Message::Insert { relation, new } => (relation, RowChange::Insert(new)),
            Message::Update { relation, old, new } => (relation, RowChange::Update(old, new)),
            Message::Delete { relation, old } => (relation, RowChange::Delete(old)),
            Message::Truncate { relations, .. } => {
                ahead.parts.extend(relations.into_iter().map(|oid| (oid, None)));
                return Ok(());
            }
            Message::Logical { prefix, transactional: true, .. } if prefix == MESSAGE_PREFIX => {
                ahead.turn_off();
                return Ok(());
            }
            _ => return Ok(()),
        };
        let Some(table) = self.tables.get_mut(&oid) else {
            ahead.parts.insert(oid, None);
            return Ok(());
        };
        if !ahead.take(oid, subxid, table, change) {
            return Ok(());
        }
        // What committed before goes first: a change ahead builds on it.
        let part = ahead.parts.get_mut(&oid);
        let whole = drained(table, &mut self.todo).await?;
        if let Some(part) = part
            && !(whole && part.as_mut().is_some_and(|part| part.fits(table)) && drain(part).await)
        {
            *part = None;
        }
        Ok(())
    }
}

/// Empties a part's builder; `false` when the part is lost.
async fn drain(part: &mut Option<Part>) -> bool {
    match part {
        Some(part) => part.drain().await.is_ok(),
        None => false,
    }
}

impl Ahead {
    /// Takes a row into the table's builder; `true` when that is full.
    fn take(&mut self, oid: u32, subxid: u32, table: &TableRuntime, change: RowChange<'_>) -> bool {
        let relation = self.relations.get(&oid).map(|(_, relation)| relation);
        let part = self.parts.entry(oid).or_insert_with(|| relation.and_then(|relation| Part::new(table, relation)));
        let (Some(working), Some(relation)) = (part.as_mut(), relation) else { return false };
        if !working.follow(relation, table) || change.put(&mut working.builder).is_err() {
            // Whatever is wrong is said when the messages are gone through.
            *part = None;
            return false;
        }
        working.subxids.insert(subxid);
        working.builder.bytes() > BUILDER_BYTES_MAX
    }
}

impl Part {
    fn new(table: &TableRuntime, relation: &Arc<Relation>) -> Option<Self> {
        if table.state != TableState::Live || !table.follows(relation) {
            return None;
        }
        let (live, shape) = (table.live.as_ref()?, table.shape.as_ref()?);
        Some(Self {
            changes: live.in_progress(),
            builder: ChangeBuilder::new(Arc::clone(&shape.plan), relation).ok()?,
            relation: Arc::clone(relation),
            counts: DecodeCounts::default(),
            fed: 0,
            subxids: HashSet::new(),
        })
    }

    /// Follows a newer relation message of the same columns.
    fn follow(&mut self, relation: &Arc<Relation>, table: &TableRuntime) -> bool {
        if !Arc::ptr_eq(&self.relation, relation) {
            if !table.follows(relation) || self.builder.set_relation(relation).is_err() {
                return false;
            }
            self.relation = Arc::clone(relation);
        }
        true
    }

    /// Whether it was worked out for the table as it is now.
    pub fn fits(&self, table: &TableRuntime) -> bool {
        table.state == TableState::Live
            && table.live.as_ref().is_some_and(|live| self.changes.is_of(live))
            && table.shape.as_ref().is_some_and(|shape| Arc::ptr_eq(self.builder.plan(), &shape.plan))
    }

    /// Hands what the builder holds on.
    ///
    /// # Errors
    /// Whatever went wrong; the part is lost then.
    pub async fn drain(&mut self) -> Result<(), SyncError> {
        if self.builder.is_empty() {
            return Ok(());
        }
        self.counts += crate::copy::sum(self.builder.take_counts());
        let batch = self.builder.finish().map_err(|error| SyncError::Protocol(error.to_string()))?;
        self.fed += naru_base::number::u64_from(batch.len());
        self.changes.apply(batch).await.map_err(|error| SyncError::Protocol(error.to_string()))
    }

    /// Joins it to the table's unpublished changes; gives their number and what was adjusted. `None` when the table has
    /// changed too much meanwhile.
    ///
    /// # Errors
    /// Those of the lake.
    pub async fn commit(self) -> Result<Option<(u64, DecodeCounts)>, SyncError> {
        Ok(self.changes.commit().await?.map(|_| (self.fed, self.counts)))
    }
}
