//! Changes that cannot be applied yet, on local disk.
//!
//! Owns: [`TableSpool`] (changes of a table that is being copied, or is paused; durable once synced) and
//! [`TransactionSpool`] (an in-progress streamed transaction; in memory first, on disk past a byte budget, never durable).
//! Never decodes a change: records hold pgoutput messages as they came, without the stream's transaction id.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use naru_base::Lsn;

use crate::error::SyncError;

/// Bytes of one in-progress transaction kept in memory before it goes to disk.
const TRANSACTION_MEMORY_MAX: usize = 8 << 20;
/// Bytes that one read of a table's spool gives back at most, one record more.
const READ_BYTES_MAX: u64 = 16 << 20;
/// Beginnings of the files' names; an oid or a transaction number follows.
const TABLE_PREFIX: &str = "table-";
const TRANSACTION_PREFIX: &str = "transaction-";
/// Largest record; PostgreSQL itself refuses messages past 1 GB.
const RECORD_MAX: u32 = 1 << 30;

/// One record of a table's spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The changes that follow belong to the transaction whose commit record starts here.
    Begin(Lsn),
    /// A pgoutput message of this table: relation, insert, update, delete, truncate.
    Change(Bytes),
    /// A change of the table's definition, as the event trigger's JSON.
    Definition(Bytes),
    /// The transaction ended here.
    Commit(Lsn),
}

impl Record {
    fn kind(&self) -> u8 {
        match self {
            Self::Begin(_) => b'B',
            Self::Change(_) => b'C',
            Self::Definition(_) => b'D',
            Self::Commit(_) => b'E',
        }
    }
}

fn failed(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> SyncError {
    let path = path.display().to_string();
    move |source| SyncError::Spool { path, action, source }
}

/// Append-only file of one table's changes.
///
/// Opening it cuts off what follows the last whole transaction that can be read: the torn end that a crash leaves.
/// Whether something acknowledged was cut off the file cannot know; who keeps [`TableSpool::durable_bytes`] can.
#[derive(Debug)]
pub struct TableSpool {
    path: PathBuf,
    file: BufWriter<File>,
    read_at: u64,
    end: u64,
    last_begin: Lsn,
    /// End and last position of the whole transactions.
    whole: (u64, Lsn),
    /// End of the whole transactions that were on disk at the last sync.
    durable: u64,
    synced: bool,
}

impl TableSpool {
    /// Opens or creates the file, cutting a torn or uncommitted tail. Reading starts at the beginning.
    pub fn open(path: &Path) -> Result<Self, SyncError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed(path, "opened"))?;
        let (end, last_begin) = valid_end(&file).map_err(failed(path, "read"))?;
        file.set_len(end).map_err(failed(path, "cut"))?;
        let mut writer = BufWriter::with_capacity(1 << 18, file);
        writer.seek(SeekFrom::Start(end)).map_err(failed(path, "read"))?;
        Ok(Self {
            path: path.to_owned(),
            file: writer,
            read_at: 0,
            end,
            last_begin,
            whole: (end, last_begin),
            durable: end,
            // A killed process may have left what it wrote to the system's care.
            synced: end == 0,
        })
    }

    /// Makes the file anew: what an older one held belongs to a copy that is given up.
    pub fn create(path: &Path) -> Result<Self, SyncError> {
        File::create(path).map_err(failed(path, "created"))?;
        Self::open(path)
    }

    /// Bytes of whole transactions that were on disk at the last [`TableSpool::sync`]: what may be acknowledged.
    pub fn durable_bytes(&self) -> u64 {
        self.durable
    }

    /// Start of the commit record of the last transaction in the file; a resent transaction at or before it is skipped.
    pub fn last_begin(&self) -> Lsn {
        self.last_begin
    }

    /// Bytes not yet read back.
    pub fn pending_bytes(&self) -> u64 {
        self.end.saturating_sub(self.read_at)
    }

    /// Whether everything appended is on disk.
    pub fn synced(&self) -> bool {
        self.synced
    }

    /// Appends one record; durable after [`TableSpool::sync`].
    pub fn append(&mut self, record: &Record) -> Result<(), SyncError> {
        let lsn;
        let payload: &[u8] = match record {
            Record::Begin(at) | Record::Commit(at) => {
                lsn = at.0.to_be_bytes();
                &lsn
            }
            Record::Change(bytes) | Record::Definition(bytes) => bytes,
        };
        if let Record::Begin(at) = record {
            self.last_begin = *at;
        }
        let length = u32::try_from(payload.len())
            .ok()
            .filter(|length| *length < RECORD_MAX)
            .ok_or_else(|| SyncError::Protocol("a change is larger than 1 GB".into()))?;
        let check = checksum(record.kind(), payload);
        let written = self
            .file
            .write_all(&[record.kind()])
            .and_then(|()| self.file.write_all(&length.to_be_bytes()))
            .and_then(|()| self.file.write_all(&check.to_be_bytes()))
            .and_then(|()| self.file.write_all(payload));
        written.map_err(failed(&self.path, "written"))?;
        self.end += 9 + u64::from(length);
        self.synced = false;
        if let Record::Commit(_) = record {
            self.whole = (self.end, self.last_begin);
        }
        Ok(())
    }

    /// Cuts off a transaction whose end never came; the source sends it again.
    pub fn cut_open(&mut self) -> Result<(), SyncError> {
        if self.end != self.whole.0 {
            self.file.flush().map_err(failed(&self.path, "written"))?;
            self.file.get_ref().set_len(self.whole.0).map_err(failed(&self.path, "cut"))?;
            self.file.seek(SeekFrom::Start(self.whole.0)).map_err(failed(&self.path, "cut"))?;
            (self.end, self.last_begin) = self.whole;
            self.synced = false;
        }
        Ok(())
    }

    /// Puts everything appended on disk.
    pub fn sync(&mut self) -> Result<(), SyncError> {
        if !self.synced {
            self.file.flush().map_err(failed(&self.path, "written"))?;
            self.file.get_ref().sync_data().map_err(failed(&self.path, "synced"))?;
            self.synced = true;
            self.durable = self.whole.0;
        }
        Ok(())
    }

    /// Reads up to `limit` records from where the last call stopped; empty at the end.
    ///
    /// # Errors
    /// [`SyncError::SpoolDamaged`] when a record is not as it was written.
    pub fn read(&mut self, limit: usize) -> Result<Vec<Record>, SyncError> {
        self.file.flush().map_err(failed(&self.path, "written"))?;
        let mut reader = File::open(&self.path).map_err(failed(&self.path, "opened"))?;
        reader.seek(SeekFrom::Start(self.read_at)).map_err(failed(&self.path, "read"))?;
        let mut reader = BufReader::with_capacity(1 << 18, reader);
        let mut records = Vec::new();
        let from = self.read_at;
        while records.len() < limit && self.read_at < self.end && self.read_at - from < READ_BYTES_MAX {
            let Some((record, length)) = read_record(&mut reader).map_err(failed(&self.path, "read"))? else {
                return Err(SyncError::SpoolDamaged { path: self.path.display().to_string() });
            };
            self.read_at += length;
            records.push(record);
        }
        Ok(records)
    }

    /// Deletes the file.
    pub fn delete(self) -> Result<(), SyncError> {
        let Self { path, file, .. } = self;
        drop(file.into_parts());
        std::fs::remove_file(&path).map_err(failed(&path, "deleted"))
    }
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    // Low half of a 64-bit hash: detects torn writes, not attacks.
    let hash = xxhash_rust::xxh3::xxh3_64_with_seed(payload, u64::from(kind));
    u32::try_from(hash & 0xFFFF_FFFF).unwrap_or(0)
}

fn read_record(reader: &mut impl Read) -> std::io::Result<Option<(Record, u64)>> {
    let mut head = [0_u8; 9];
    match reader.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let [kind, l0, l1, l2, l3, c0, c1, c2, c3] = head;
    let length = u32::from_be_bytes([l0, l1, l2, l3]);
    if length >= RECORD_MAX {
        return Ok(None);
    }
    let mut payload = Vec::new();
    let read = reader.take(u64::from(length)).read_to_end(&mut payload)?;
    if u32::try_from(read) != Ok(length) || checksum(kind, &payload) != u32::from_be_bytes([c0, c1, c2, c3]) {
        return Ok(None);
    }
    let position = || <[u8; 8]>::try_from(payload.as_slice()).map(|b| Lsn(u64::from_be_bytes(b))).ok();
    let record = match kind {
        b'B' => position().map(Record::Begin),
        b'E' => position().map(Record::Commit),
        b'C' => Some(Record::Change(Bytes::from(payload))),
        b'D' => Some(Record::Definition(Bytes::from(payload))),
        _ => None,
    };
    Ok(record.map(|record| (record, 9 + u64::from(length))))
}

/// End of the last whole transaction, and its position.
fn valid_end(file: &File) -> std::io::Result<(u64, Lsn)> {
    let mut reader = BufReader::with_capacity(1 << 18, file.try_clone()?);
    reader.seek(SeekFrom::Start(0))?;
    let (mut at, mut end, mut begun, mut last) = (0, 0, Lsn(0), Lsn(0));
    while let Some((record, length)) = read_record(&mut reader)? {
        at += length;
        match record {
            Record::Begin(lsn) => begun = lsn,
            Record::Commit(_) => {
                end = at;
                last = begun;
            }
            Record::Change(_) | Record::Definition(_) => {}
        }
    }
    Ok((end, last))
}

/// Removes what earlier processes left in a source's spool folder: in-progress transactions always, tables' changes
/// where `keep` says no. Files of other names are left alone. Returns how many were removed.
///
/// # Errors
/// The folder cannot be read, or a file cannot be removed.
pub fn clean(folder: &Path, keep: impl Fn(u32) -> bool) -> Result<usize, SyncError> {
    let mut removed = 0;
    for entry in std::fs::read_dir(folder).map_err(failed(folder, "listed"))? {
        let entry = entry.map_err(failed(folder, "listed"))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let table = name.strip_prefix(TABLE_PREFIX).and_then(|oid| oid.parse().ok());
        if name.starts_with(TRANSACTION_PREFIX) || table.is_some_and(|oid| !keep(oid)) {
            std::fs::remove_file(entry.path()).map_err(failed(&entry.path(), "removed"))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// File of a table's changes.
pub fn table_path(folder: &Path, oid: u32) -> PathBuf {
    folder.join(format!("{TABLE_PREFIX}{oid}"))
}

/// File of an in-progress transaction, if it outgrows memory.
pub fn transaction_path(folder: &Path, xid: u32) -> PathBuf {
    folder.join(format!("{TRANSACTION_PREFIX}{xid}"))
}

/// Messages of one in-progress streamed transaction, in order, each with the sub-transaction it belongs to.
#[derive(Debug)]
pub struct TransactionSpool {
    memory: Vec<u8>,
    path: PathBuf,
    file: Option<BufWriter<File>>,
    aborted: HashSet<u32>,
    bytes: u64,
}

impl TransactionSpool {
    /// An empty transaction; `path` is used only past the memory budget.
    pub fn new(path: PathBuf) -> Self {
        Self { memory: Vec::new(), path, file: None, aborted: HashSet::new(), bytes: 0 }
    }

    /// Bytes received for this transaction.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds one message of sub-transaction `xid`: its type byte and what follows its transaction number.
    pub fn push(&mut self, xid: u32, tag: &[u8], rest: &[u8]) -> Result<(), SyncError> {
        let length = u32::try_from(tag.len() + rest.len())
            .map_err(|_| SyncError::Protocol("a change is larger than 4 GB".into()))?;
        self.memory.extend_from_slice(&xid.to_be_bytes());
        self.memory.extend_from_slice(&length.to_be_bytes());
        self.memory.extend_from_slice(tag);
        self.memory.extend_from_slice(rest);
        self.bytes += 8 + u64::from(length);
        if self.memory.len() > TRANSACTION_MEMORY_MAX {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<(), SyncError> {
        if self.file.is_none() {
            let file = File::create(&self.path).map_err(failed(&self.path, "created"))?;
            self.file = Some(BufWriter::with_capacity(1 << 20, file));
        }
        if let Some(file) = &mut self.file {
            file.write_all(&self.memory).map_err(failed(&self.path, "written"))?;
        }
        self.memory.clear();
        Ok(())
    }

    /// Forgets what sub-transaction `xid` did.
    pub fn abort(&mut self, xid: u32) {
        self.aborted.insert(xid);
    }

    /// Gives the messages back in order. Relation messages of aborted sub-transactions are kept: the server does not
    /// send them again.
    pub fn replay(mut self) -> Result<TransactionReplay, SyncError> {
        let source: Box<dyn Read + Send> = if self.file.is_some() {
            self.spill()?;
            if let Some(file) = self.file.take() {
                file.into_inner().map_err(|error| failed(&self.path, "written")(error.into_error()))?;
            }
            let file = File::open(&self.path).map_err(failed(&self.path, "opened"))?;
            Box::new(BufReader::with_capacity(1 << 20, file))
        } else {
            Box::new(std::io::Cursor::new(std::mem::take(&mut self.memory)))
        };
        Ok(TransactionReplay {
            source,
            aborted: std::mem::take(&mut self.aborted),
            path: self.path.clone(),
            _spool: self,
        })
    }
}

impl Drop for TransactionSpool {
    fn drop(&mut self) {
        // The file is a cache of what the server sends again; failing to remove it costs only space until the next start.
        if std::fs::remove_file(&self.path).is_err() {
            tracing::trace!(path = %self.path.display(), "no transaction spool to remove");
        }
    }
}

/// Reads a finished transaction's messages back.
pub struct TransactionReplay {
    source: Box<dyn Read + Send>,
    aborted: HashSet<u32>,
    path: PathBuf,
    _spool: TransactionSpool,
}

impl TransactionReplay {
    /// The next message that counts; `None` at the end.
    pub fn next_message(&mut self) -> Result<Option<Vec<u8>>, SyncError> {
        loop {
            let mut head = [0_u8; 8];
            match self.source.read_exact(&mut head) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(failed(&self.path, "read")(error)),
            }
            let [x0, x1, x2, x3, l0, l1, l2, l3] = head;
            let xid = u32::from_be_bytes([x0, x1, x2, x3]);
            let length = naru_base::number::usize_from(u64::from(u32::from_be_bytes([l0, l1, l2, l3])));
            let mut message = vec![0; length];
            self.source.read_exact(&mut message).map_err(failed(&self.path, "read"))?;
            if !self.aborted.contains(&xid) || message.first() == Some(&b'R') {
                return Ok(Some(message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str) -> Record {
        Record::Change(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_torn_or_uncommitted_tail_is_cut_and_whole_transactions_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.spool");
        let mut spool = TableSpool::open(&path).unwrap();
        let whole = [Record::Begin(Lsn(10)), change("Ione"), Record::Commit(Lsn(11))];
        for record in &whole {
            spool.append(record).unwrap();
        }
        spool.append(&Record::Begin(Lsn(20))).unwrap();
        spool.append(&change("Itwo")).unwrap();
        spool.sync().unwrap();
        drop(spool);
        let length = std::fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 2).unwrap();
        let mut spool = TableSpool::open(&path).unwrap();
        assert_eq!(spool.read(100).unwrap(), whole);
        assert_eq!(spool.last_begin(), Lsn(10));
        assert!(spool.read(100).unwrap().is_empty());
        spool.append(&Record::Begin(Lsn(20))).unwrap();
        spool.append(&Record::Commit(Lsn(21))).unwrap();
        assert_eq!(spool.read(1).unwrap(), [Record::Begin(Lsn(20))]);
        assert_eq!(spool.read(9).unwrap(), [Record::Commit(Lsn(21))]);
    }

    #[test]
    fn damage_in_the_middle_is_told_apart_from_a_torn_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = table_path(folder.path(), 1);
        let mut spool = TableSpool::create(&path).unwrap();
        for number in 1..=3_u64 {
            spool.append(&Record::Begin(Lsn(number * 10))).unwrap();
            spool.append(&change("Irow")).unwrap();
            spool.append(&Record::Commit(Lsn(number * 10 + 1))).unwrap();
        }
        assert_eq!(spool.durable_bytes(), 0);
        spool.append(&Record::Begin(Lsn(40))).unwrap();
        spool.sync().unwrap();
        let durable = spool.durable_bytes();
        assert_eq!(durable, 3 * (17 + 13 + 17), "an open transaction is not durable");
        drop(spool);
        assert_eq!(TableSpool::open(&path).unwrap().durable_bytes(), durable);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[usize::try_from(durable / 2).unwrap()] ^= 1;
        let mut running = TableSpool::open(&path).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(running.read(100), Err(SyncError::SpoolDamaged { .. })));
        assert!(TableSpool::open(&path).unwrap().durable_bytes() < durable);
    }

    #[test]
    fn what_earlier_processes_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for path in [table_path(folder.path(), 1), table_path(folder.path(), 2), transaction_path(folder.path(), 9)] {
            std::fs::write(path, "x").unwrap();
        }
        std::fs::write(folder.path().join("notes"), "x").unwrap();
        assert_eq!(clean(folder.path(), |oid| oid == 2).unwrap(), 2);
        assert!(table_path(folder.path(), 2).exists() && folder.path().join("notes").exists());
    }

    #[test]
    fn an_aborted_sub_transaction_leaves_only_its_relation_messages() {
        let folder = tempfile::tempdir().unwrap();
        for filler in [1, TRANSACTION_MEMORY_MAX] {
            let mut spool = TransactionSpool::new(folder.path().join("x.txn"));
            spool.push(1, b"I", b"1").unwrap();
            spool.push(2, b"R", b"2").unwrap();
            spool.push(2, b"I", &vec![b'I'; filler]).unwrap();
            spool.push(1, b"I", b"3").unwrap();
            spool.abort(2);
            let mut replay = spool.replay().unwrap();
            let mut seen = Vec::new();
            while let Some(message) = replay.next_message().unwrap() {
                seen.push(message);
            }
            assert_eq!(seen, [b"I1".to_vec(), b"R2".to_vec(), b"I3".to_vec()]);
            drop(replay);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}
