//! Routes the messages of one replication stream to tables, one source transaction after another.
//!
//! Owns: [`Stream`]: relations, the open transaction, in-progress streamed transactions.
//! Never connects, copies or flushes; `engine` does and tells this file what happened.
//! Read next: `shown` for what is published and acknowledged, `catch_up` for spools, `definitions` for changed tables.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use naru_base::Lsn;
use naru_lake::live::{LiveSet, LiveTable};

use super::{
    ahead::Streamed,
    change::{RowChange, push, quarantine_or},
    context::Context,
    flushes::Flushes,
    generation::Witness,
    members::MembersRetry,
    names::{DepartedTables, GONE},
    room::Room,
    table::TableRuntime,
};
use crate::{
    definition::DefinitionEvent,
    error::SyncError,
    image::{Difference, TableImage},
    postgres::{Decoder, Message, Relation},
    spool::Record,
    state::{TableLife as _, TableState},
    trigger::MESSAGE_PREFIX,
};

/// Bytes a table's builder may hold before its changes go to the live table, still invisible.
pub(super) const BUILDER_BYTES_MAX: usize = 16 << 20;

/// The newest relation message of a table outside any open stream block.
#[derive(Debug, Clone)]
struct RelationSeen {
    relation: Arc<Relation>,
    raw: Bytes,
    generation: u32,
}

/// The transaction between `Begin` and `Commit`, or a streamed one while it is replayed.
#[derive(Debug, Clone)]
pub(super) struct OpenTransaction {
    final_lsn: Lsn,
    commit_time_us: i64,
    /// Tables that it has changed.
    pub touched: BTreeSet<u32>,
    rewritten: BTreeSet<u32>,
}

/// What the engine has to do after a message, outside the stream's own state.
#[derive(Debug, Default)]
pub(super) struct Todo {
    /// Tables that exist now and that naru did not know, or knew under another name.
    pub discovered: Vec<TableImage>,
    /// Tables to copy, in order.
    pub copy: Vec<u32>,
    /// Tables whose state must be stored before anything more is acknowledged.
    pub store: BTreeSet<u32>,
    /// A column came that has no binary decoder: the stream must go on in text.
    pub text: bool,
    /// The session must begin anew: a table has to be opened again.
    pub reconnect: bool,
    /// A table's kind may have changed: it is judged again and the publications set anew.
    pub members: bool,
    /// Tables set aside whose definition changed: their owner may have mended them.
    pub mended: BTreeSet<u32>,
    /// Rows of tables that left their names, stored before anything more is acknowledged.
    pub departed: Vec<naru_store::sync_tables::SyncTable>,
}

/// State of one source's stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// Every table of the source that naru knows, by oid.
    pub tables: HashMap<u32, TableRuntime>,
    /// End of the last whole transaction that was handled.
    pub cut: Lsn,
    /// What queries see.
    pub published: Lsn,
    /// End of what this session's connection has sent; what was handled before the last one ended is sent again.
    pub reached: Lsn,
    /// Highest position that the source was ever told, as stored before it was told.
    pub told: Lsn,
    /// Newest position the server told.
    pub server: Lsn,
    /// Whether values come in binary in this session.
    pub binary: bool,
    /// Counts looks at definitions, so that a picture of the catalog taken before one is known to be old.
    pub definitions: u64,
    /// What is left to do outside this file.
    pub todo: Todo,
    /// Tables of this source as queries see them.
    pub live_set: LiveSet,
    /// Flushes that run now; they outlive a session, because a commit that has begun is finished.
    pub flushes: Flushes,
    /// Where it runs.
    pub context: Arc<Context>,
    /// What the state database held of this source's tables when the session began, by schema and name.
    pub stored: HashMap<(String, String), naru_store::sync_tables::SyncTable>,
    /// Tables that left a name; their rows stay under it.
    pub departed: DepartedTables,
    /// When the publications are tried again.
    pub members_retry: MembersRetry,
    /// App id under which positions of the present generation stand in the lake.
    pub app_id: String,
    /// Why no position counts any more, found out in the middle of a session.
    pub lost: Option<SyncError>,
    /// Why this session copies every table again.
    pub again: Option<String>,
    /// Live tables of a server that is gone, until a table of the same name takes them over.
    pub adrift: HashMap<naru_base::TableId, LiveTable>,
    /// Room on this machine's disks, as last looked at.
    pub room: Room,
    /// The last commit that was read, in any session.
    pub last: Option<Witness>,
    /// The one that this session's connection must send again.
    pub witness: Option<Witness>,
    /// Server process that sends this session's stream.
    pub reader_pid: Option<i32>,
    relations: HashMap<u32, RelationSeen>,
    decoder: Decoder,
    /// The transaction whose messages come now, outside a streamed block.
    pub open: Option<OpenTransaction>,
    /// Streamed transactions that have not ended.
    pub streamed: HashMap<u32, Streamed>,
    block_xid: Option<u32>,
    /// Tables with something that queries do not see yet.
    pub dirty: BTreeSet<u32>,
    /// When the last whole transaction was committed at the source, in microseconds since 1970 UTC.
    pub last_commit_time_us: i64,
    generation: u32,
}

impl Stream {
    /// An empty stream.
    pub fn new(live_set: LiveSet, context: Arc<Context>) -> Self {
        Self {
            tables: HashMap::new(),
            cut: Lsn(0),
            published: Lsn(0),
            reached: Lsn(0),
            told: Lsn(0),
            server: Lsn(0),
            binary: false,
            definitions: 0,
            todo: Todo::default(),
            live_set,
            flushes: Flushes::new(),
            room: context.disk.look(),
            context,
            stored: HashMap::new(),
            departed: DepartedTables::new(),
            members_retry: MembersRetry::default(),
            app_id: String::new(),
            lost: None,
            again: None,
            adrift: HashMap::new(),
            last: None,
            witness: None,
            reader_pid: None,
            relations: HashMap::new(),
            decoder: Decoder::new(),
            open: None,
            streamed: HashMap::new(),
            block_xid: None,
            dirty: BTreeSet::new(),
            last_commit_time_us: 0,
            generation: 0,
        }
    }

    /// Forgets what belongs to a lost connection; the server sends again what was not acknowledged.
    pub async fn disconnected(&mut self) {
        self.decoder = Decoder::new();
        self.open = None;
        self.streamed.clear();
        self.block_xid = None;
        self.relations.clear();
        self.dirty.clear();
        // What was handled and not shown is gone with the connection and comes again.
        self.cut = self.published;
        self.wait_for_the_others().await;
        // Nothing waits for a transaction of this connection any more.
        self.live_set.publish(self.published, &[]);
        for table in self.tables.values_mut() {
            table.spooled.open = false;
            table.spooled.relation = None;
            if let Some(spool) = &mut table.spool
                && let Err(error) = spool.cut_open()
            {
                table.quarantine(&error.problem());
                self.todo.store.insert(table.oid);
                continue;
            }
            if table.state == TableState::CatchingUp {
                // These changes came from the spool, not from the connection.
                continue;
            }
            table.open_from = None;
            table.builder = None;
            table.relation = None;
            if let Some(live) = &table.live {
                live.discard_unpublished();
            }
        }
    }

    /// The first position whose transactions a spool that begins now holds whole.
    pub(super) fn next_whole(&self) -> Lsn {
        self.open.as_ref().map_or(self.cut, |open| Lsn(open.final_lsn.0 + 1))
    }

    /// Whether the open transaction has changed this table.
    pub(super) fn touched(&self, oid: u32) -> bool {
        self.open.as_ref().is_some_and(|open| open.touched.contains(&oid))
    }

    /// Whether no transaction is half handled.
    pub fn at_boundary(&self) -> bool {
        self.open.is_none()
    }

    /// Handles one message of the stream.
    pub async fn message(&mut self, data: &Bytes) -> Result<(), SyncError> {
        let mut decoder = self.decoder.clone();
        let decoded = decoder.decode(data).map_err(|error| SyncError::Protocol(error.to_string()))?;
        match decoded.message {
            Message::Begin { final_lsn, commit_time_us, .. } => self.begin(final_lsn, commit_time_us)?,
            Message::Commit { end_lsn, .. } => self.commit(end_lsn, true)?,
            Message::StreamStart { xid, .. } => self.block_xid = Some(xid),
            Message::StreamStop => self.block_xid = None,
            Message::StreamCommit { xid, commit_lsn, end_lsn, commit_time_us } => {
                self.decoder = decoder;
                return self.replay(xid, commit_lsn, end_lsn, commit_time_us).await;
            }
            Message::StreamAbort { xid, subxid } => self.abort(xid, subxid),
            Message::Origin { .. } | Message::Type { .. } => {}
            message => match (decoded.xid, self.block_xid) {
                (Some(subxid), Some(xid)) => self.keep(xid, subxid, data, message).await?,
                _ => self.change(data, message).await?,
            },
        }
        self.decoder = decoder;
        Ok(())
    }

    pub(super) fn begin(&mut self, final_lsn: Lsn, commit_time_us: i64) -> Result<(), SyncError> {
        if self.open.is_some() {
            return Err(SyncError::OutOfOrder { at: final_lsn });
        }
        self.open =
            Some(OpenTransaction { final_lsn, commit_time_us, touched: BTreeSet::new(), rewritten: BTreeSet::new() });
        Ok(())
    }

    /// Ends the open transaction; `sent_again` says that whoever has the same history is sure to send it again.
    pub(super) fn commit(&mut self, end_lsn: Lsn, sent_again: bool) -> Result<(), SyncError> {
        let Some(open) = self.open.take() else { return Err(SyncError::OutOfOrder { at: end_lsn }) };
        let this = Witness { end: end_lsn, time_us: open.commit_time_us };
        self.same_history(this.end, Some(this))?;
        if sent_again {
            self.last = Some(this).max(self.last);
        }
        for oid in &open.touched {
            if let Some(table) = self.tables.get_mut(oid) {
                table.spool_commit(end_lsn)?;
                if !table.state.spools() {
                    table.open_from = None;
                }
                if table.state == TableState::Live || table.builder.is_some() {
                    self.dirty.insert(*oid);
                }
            }
        }
        self.cut = self.cut.max(end_lsn);
        self.reached = self.reached.max(end_lsn);
        self.last_commit_time_us = open.commit_time_us;
        Ok(())
    }

    /// Handles a message inside a transaction.
    pub(super) async fn change(&mut self, data: &Bytes, message: Message<'_>) -> Result<(), SyncError> {
        match message {
            Message::Relation(relation) => self.saw(data, Arc::new(relation)),
            Message::Insert { relation, new } => self.row(relation, data, RowChange::Insert(new)).await?,
            Message::Update { relation, old, new } => self.row(relation, data, RowChange::Update(old, new)).await?,
            Message::Delete { relation, old } => self.row(relation, data, RowChange::Delete(old)).await?,
            Message::Truncate { relations, .. } => {
                for relation in relations {
                    self.row(relation, data, RowChange::Truncate).await?;
                }
            }
            Message::Logical { prefix, content, transactional: true, .. } if prefix == MESSAGE_PREFIX => {
                self.definition(content).await?;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn saw(&mut self, data: &Bytes, relation: Arc<Relation>) {
        self.generation = self.generation.wrapping_add(1);
        let seen = RelationSeen { raw: data.clone(), generation: self.generation, relation };
        self.relations.insert(seen.relation.oid, seen);
    }

    /// Routes one row: skipped, spooled, or into the table's builder.
    async fn row(&mut self, oid: u32, data: &Bytes, change: RowChange<'_>) -> Result<(), SyncError> {
        let Some(open) = &mut self.open else {
            return Err(SyncError::Protocol("a change arrived outside a transaction".into()));
        };
        let (begin, cut) = (open.final_lsn, self.cut);
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(()) };
        if table.has(begin) {
            return Ok(());
        }
        let Some(seen) = self.relations.get(&oid) else {
            return Err(SyncError::Protocol(format!("no relation message for {}", table.image.full_name())));
        };
        if table.state == TableState::Live {
            if !self.redefine_if_needed(oid).await? {
                return Ok(());
            }
            self.push_live(oid, change).await?;
        } else if table.state.spools() {
            open.touched.insert(oid);
            let relation = Some((seen.generation, seen.raw.as_ref()));
            table.spool_change(begin, cut, relation, Record::Change(data.clone()))?;
        }
        Ok(())
    }

    /// Looks at the table's definition again when its relation message no longer fits it. `false` when the table left
    /// the live state on the way: its copy will hold this change.
    async fn redefine_if_needed(&mut self, oid: u32) -> Result<bool, SyncError> {
        let (Some(table), Some(seen)) = (self.tables.get(&oid), self.relations.get(&oid)) else { return Ok(false) };
        if table.follows(&seen.relation) {
            return Ok(true);
        }
        let relation = Arc::clone(&seen.relation);
        self.redefine_from_catalog(oid, &relation).await?;
        Ok(self.tables.get(&oid).is_some_and(|table| table.state == TableState::Live))
    }

    async fn push_live(&mut self, oid: u32, change: RowChange<'_>) -> Result<(), SyncError> {
        let (Some(open), Some(table)) = (&mut self.open, self.tables.get_mut(&oid)) else { return Ok(()) };
        let Some(seen) = self.relations.get(&oid) else { return Ok(()) };
        if open.touched.insert(oid) {
            table.transaction_begins();
        }
        table.unflushed_since.get_or_insert(self.cut);
        match push(table, &seen.relation, change) {
            Ok(true) => {}
            Ok(false) => {
                return Err(SyncError::Protocol(format!("a change of {} fits no definition", table.image.full_name())));
            }
            Err(error) => {
                self.todo.store.insert(oid);
                return quarantine_or(error, table);
            }
        }
        if table.builder.as_ref().is_some_and(|builder| builder.bytes() > BUILDER_BYTES_MAX) {
            let drained = self.drain_inside(oid).await;
            self.stopped_alone(oid, drained)?;
        }
        Ok(())
    }

    /// Handles a message of the event trigger, which stands exactly where the definition changed.
    async fn definition(&mut self, content: &[u8]) -> Result<(), SyncError> {
        let Ok(event) = serde_json::from_slice::<DefinitionEvent>(content) else {
            tracing::warn!("a message with naru's prefix is not one of naru's; ignored");
            return Ok(());
        };
        let oid = self.concerned(event.oid());
        let Some(open) = &mut self.open else { return Ok(()) };
        let Some(table) = self.tables.get_mut(&oid) else {
            if let DefinitionEvent::Table { image, .. } = event {
                self.todo.discovered.push(*image);
            }
            return Ok(());
        };
        if table.has(open.final_lsn) {
            return Ok(());
        }
        match event {
            // Of a table that catches up, what came before is still in its spool: it ends there, in order.
            DefinitionEvent::Drop { oid: dropped } if dropped == oid && table.state != TableState::CatchingUp => {
                let taken_back = self.take_back(oid).await;
                self.stopped_alone(oid, taken_back)?;
                self.drop_table(oid, GONE)
            }
            // The publications list the table by its key; what is not listed is in no spool either.
            DefinitionEvent::Table { image, .. }
                if table.state.spools()
                    && table.state != TableState::Paused
                    && Difference::between(&table.image, &image).key_changed =>
            {
                self.rebuild(oid, "its key changed while it was copied".into())
            }
            event if table.state.spools() => {
                open.touched.insert(oid);
                let record = Record::Definition(Bytes::copy_from_slice(content));
                drop(event);
                table.spool_change(open.final_lsn, self.cut, None, record)
            }
            DefinitionEvent::Rewrite { .. } => {
                open.rewritten.insert(oid);
                Ok(())
            }
            DefinitionEvent::Drop { .. } if table.state == TableState::Live => {
                self.rebuild(oid, "a partition was dropped".into())
            }
            DefinitionEvent::Drop { .. } => Ok(()),
            DefinitionEvent::Table { image, .. } => {
                let rewritten = open.rewritten.contains(&oid);
                self.redefine(oid, *image, rewritten).await
            }
        }
    }

    /// The table that an event about `oid` is about: itself, or the root of which it is a leaf.
    fn concerned(&self, oid: u32) -> u32 {
        if self.tables.get(&oid).is_some_and(|table| table.state != TableState::Dropped) {
            return oid;
        }
        let root = self.tables.values().find(|table| table.image.leaves.iter().any(|leaf| leaf.oid == oid));
        root.map_or(oid, |root| root.oid)
    }

    /// Whether a message begins (or commits, when it was streamed) a transaction at or after `position`.
    pub fn begins_at_or_after(&self, data: &Bytes, position: Lsn) -> bool {
        match self.decoder.clone().decode(data).map(|decoded| decoded.message) {
            Ok(Message::Begin { final_lsn, .. }) => final_lsn >= position,
            Ok(Message::StreamCommit { commit_lsn, .. }) => commit_lsn >= position,
            _ => false,
        }
    }
}
