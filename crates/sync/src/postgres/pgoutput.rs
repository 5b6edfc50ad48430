//! The logical decoding messages of the `pgoutput` plugin, protocol versions 1 and 2 (version 4's fields are accepted).
//!
//! Owns: reading one message from bytes into [`Message`]; tuples stay borrowed. Never decodes a value, never keeps rows,
//! never panics on any bytes.
//! The layout is PostgreSQL's "Logical Replication Message Formats". Read next: [`super::rows`].

use naru_base::Lsn;

use super::error::PgoutputError;

/// One message with the transaction it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded<'a> {
    /// Inside a stream block: the (sub)transaction the message belongs to. Outside, the open `Begin` says it.
    pub xid: Option<u32>,
    /// The message.
    pub message: Message<'a>,
}

/// A logical decoding message. Times are microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq)]
pub enum Message<'a> {
    /// A transaction follows whole.
    Begin {
        /// Start of its commit record.
        final_lsn: Lsn,
        /// When it committed.
        commit_time_us: i64,
        /// Its number.
        xid: u32,
    },
    /// The transaction of the last `Begin` is complete.
    Commit {
        /// Start of the commit record.
        commit_lsn: Lsn,
        /// End of the transaction; acknowledging this position covers it.
        end_lsn: Lsn,
        /// When it committed.
        commit_time_us: i64,
    },
    /// Where a transaction came from, if it was itself replicated.
    Origin {
        /// Commit position at the origin.
        commit_lsn: Lsn,
        /// The origin's name.
        name: &'a str,
    },
    /// The columns of a table, sent before its first change and after each change of it.
    Relation(Relation),
    /// The name of a type that is not built in.
    Type {
        /// The type's oid.
        oid: u32,
        /// Schema; empty for `pg_catalog`.
        schema: &'a str,
        /// Name.
        name: &'a str,
    },
    /// A new row.
    Insert {
        /// The table's oid.
        relation: u32,
        /// The row.
        new: Tuple<'a>,
    },
    /// A changed row.
    Update {
        /// The table's oid.
        relation: u32,
        /// The old key or row, where the server sent it.
        old: Option<OldTuple<'a>>,
        /// The row as it is now.
        new: Tuple<'a>,
    },
    /// A deleted row.
    Delete {
        /// The table's oid.
        relation: u32,
        /// The old key or row.
        old: OldTuple<'a>,
    },
    /// Emptied tables.
    Truncate {
        /// The tables' oids.
        relations: Vec<u32>,
        /// Whether CASCADE was said.
        cascade: bool,
        /// Whether RESTART IDENTITY was said.
        restart_identity: bool,
    },
    /// A message written by `pg_logical_emit_message`.
    Logical {
        /// Whether it belongs to the open transaction; otherwise it was sent at once.
        transactional: bool,
        /// Its position.
        lsn: Lsn,
        /// Its prefix.
        prefix: &'a str,
        /// Its content.
        content: &'a [u8],
    },
    /// A piece of a transaction in progress follows.
    StreamStart {
        /// The top transaction.
        xid: u32,
        /// Whether this is its first piece.
        first_segment: bool,
    },
    /// The piece ends.
    StreamStop,
    /// A streamed transaction committed.
    StreamCommit {
        /// The top transaction.
        xid: u32,
        /// Start of the commit record.
        commit_lsn: Lsn,
        /// End of the transaction.
        end_lsn: Lsn,
        /// When it committed.
        commit_time_us: i64,
    },
    /// A streamed transaction, or one sub-transaction of it, was rolled back.
    StreamAbort {
        /// The top transaction.
        xid: u32,
        /// The sub-transaction; equal to `xid` when the whole was rolled back.
        subxid: u32,
    },
}

impl Message<'_> {
    /// The table whose row this message changes.
    pub fn row_of(&self) -> Option<u32> {
        match self {
            Self::Insert { relation, .. } | Self::Update { relation, .. } | Self::Delete { relation, .. } => {
                Some(*relation)
            }
            _ => None,
        }
    }
}

/// Which columns of an old row the server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaIdentity {
    /// The primary key's, if there is one.
    Default,
    /// None: updates and deletes cannot be followed.
    Nothing,
    /// All.
    Full,
    /// Those of a chosen unique index.
    Index,
}

/// A table as a `Relation` message describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The table's oid.
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// Which columns of old rows are sent.
    pub replica_identity: ReplicaIdentity,
    /// The columns that tuples hold, in that order.
    pub columns: Vec<RelationColumn>,
}

/// One column of a [`Relation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationColumn {
    /// Whether it belongs to the replica identity.
    pub key: bool,
    /// Name.
    pub name: String,
    /// Type oid.
    pub type_oid: u32,
    /// Type modifier; -1 for none.
    pub typmod: i32,
}

/// An old row image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OldTuple<'a> {
    /// Only the replica identity's columns hold values; the others are null.
    Key(Tuple<'a>),
    /// The whole row (REPLICA IDENTITY FULL).
    Full(Tuple<'a>),
}

impl<'a> OldTuple<'a> {
    /// The columns, whichever kind it is.
    pub fn tuple(self) -> Tuple<'a> {
        match self {
            Self::Key(tuple) | Self::Full(tuple) => tuple,
        }
    }
}

/// One row's columns, borrowed from the message. Its bytes were checked when it was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuple<'a> {
    columns: u16,
    data: &'a [u8],
}

/// One column of a tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TupleCell<'a> {
    /// NULL.
    Null,
    /// A stored-out-of-line value that did not change, and so was not sent.
    Unchanged,
    /// The type's text form.
    Text(&'a [u8]),
    /// The type's binary form.
    Binary(&'a [u8]),
}

impl<'a> Tuple<'a> {
    /// Number of columns.
    pub fn len(self) -> usize {
        usize::from(self.columns)
    }

    /// Whether there are no columns.
    pub fn is_empty(self) -> bool {
        self.columns == 0
    }

    /// The columns in the relation's order.
    pub fn cells(self) -> Cells<'a> {
        Cells { left: self.columns, data: self.data }
    }

    /// Bytes of all columns.
    pub fn byte_len(self) -> usize {
        self.data.len()
    }
}

/// Walks the columns of a [`Tuple`].
#[derive(Debug, Clone)]
pub struct Cells<'a> {
    left: u16,
    data: &'a [u8],
}

impl<'a> Iterator for Cells<'a> {
    type Item = TupleCell<'a>;

    fn next(&mut self) -> Option<TupleCell<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (&kind, rest) = self.data.split_first()?;
        self.data = rest;
        match kind {
            b'n' => Some(TupleCell::Null),
            b'u' => Some(TupleCell::Unchanged),
            b't' => self.sized().map(TupleCell::Text),
            b'b' => self.sized().map(TupleCell::Binary),
            _ => None,
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(usize::from(self.left)))
    }
}

impl<'a> Cells<'a> {
    fn sized(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.data.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (value, rest) = rest.split_at_checked(length)?;
        self.data = rest;
        Some(value)
    }
}

/// Reads messages in the order they arrive; remembers only whether a stream block is open.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    in_stream: bool,
}

impl Decoder {
    /// Starts outside any stream block, as a new connection does.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one message.
    ///
    /// # Errors
    /// Bytes that do not follow the protocol; says where and what was expected. The decoder can go on.
    pub fn decode<'a>(&mut self, data: &'a [u8]) -> Result<Decoded<'a>, PgoutputError> {
        let mut reader = Reader { data, offset: 0, tag: data.first().copied().unwrap_or(0) };
        let tag = reader.byte("a message type")?;
        let carries_xid = matches!(tag, b'R' | b'Y' | b'I' | b'U' | b'D' | b'T' | b'M');
        let xid = if self.in_stream && carries_xid { Some(reader.u32("a transaction number")?) } else { None };
        let message = match tag {
            b'B' => begin(&mut reader)?,
            b'C' => commit(&mut reader)?,
            b'O' => Message::Origin { commit_lsn: reader.lsn()?, name: reader.text("the origin's name")? },
            b'R' => Message::Relation(relation(&mut reader)?),
            b'Y' => type_name(&mut reader)?,
            b'I' => insert(&mut reader)?,
            b'U' => update(&mut reader)?,
            b'D' => delete(&mut reader)?,
            b'T' => truncate(&mut reader)?,
            b'M' => logical(&mut reader)?,
            b'S' => stream_start(&mut reader)?,
            b'E' => Message::StreamStop,
            b'c' => stream_commit(&mut reader)?,
            b'A' => stream_abort(&mut reader)?,
            _ => return Err(PgoutputError { tag, offset: 0, expected: "a message type of protocol version 1 or 2" }),
        };
        reader.end()?;
        match message {
            Message::StreamStart { .. } => self.in_stream = true,
            Message::StreamStop => self.in_stream = false,
            _ => {}
        }
        // A non-transactional logical message belongs to no transaction, though the block carries a number (0).
        Ok(Decoded { xid: xid.filter(|&xid| xid != 0), message })
    }
}

fn begin<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, PgoutputError> {
    Ok(Message::Begin {
        final_lsn: reader.lsn()?,
        commit_time_us: reader.time()?,
        xid: reader.u32("a transaction number")?,
    })
}

fn commit<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, PgoutputError> {
    reader.byte("flags")?;
    Ok(Message::Commit { commit_lsn: reader.lsn()?, end_lsn: reader.lsn()?, commit_time_us: reader.time()? })
}

fn relation(reader: &mut Reader<'_>) -> Result<Relation, PgoutputError> {
    let oid = reader.u32("a table's oid")?;
    let schema = reader.text("a schema")?.to_owned();
    let name = reader.text("a table's name")?.to_owned();
    let replica_identity = match reader.byte("a replica identity")? {
        b'd' => ReplicaIdentity::Default,
        b'n' => ReplicaIdentity::Nothing,
        b'f' => ReplicaIdentity::Full,
        b'i' => ReplicaIdentity::Index,
        _ => return Err(reader.wrong_before("a replica identity d, n, f or i")),
    };
    let count = reader.u16("a number of columns")?;
    let columns = (0..count).map(|_| relation_column(reader)).collect::<Result<_, _>>()?;
    // The schema `pg_catalog` is sent as an empty name.
    let schema = if schema.is_empty() { "pg_catalog".to_owned() } else { schema };
    Ok(Relation { oid, schema, name, replica_identity, columns })
}

fn relation_column(reader: &mut Reader<'_>) -> Result<RelationColumn, PgoutputError> {
    Ok(RelationColumn {
        key: reader.byte("column flags")? & 1 != 0,
        name: reader.text("a column's name")?.to_owned(),
        type_oid: reader.u32("a type's oid")?,
        typmod: reader.i32("a type modifier")?,
    })
}

fn type_name<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, PgoutputError> {
    Ok(Message::Type {
        oid: reader.u32("a type's oid")?,
        schema: reader.text("a schema")?,
        name: reader.text("a type's name")?,
    })
}

fn insert<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, PgoutputError> {
    let relation = reader.u32("a table's oid")?;
    match reader.byte("N before the new row")? {
        b'N' => Ok(Message::Insert { relation, new: reader.tuple()? }),
        _ => Err(reader.wrong_before("N before the new row")),
    }
}

fn update<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, PgoutputError> {
    const EXPECTED: &str = "K, O or N before a row";
    let relation = reader.u32("a table's oid")?;
    let old = match reader.byte(EXPECTED)? {
        b'N' => return Ok(Message::Update { relation, old: None, new: reader.tuple()? }),
        b'K' => OldTuple::Key(reader.tuple()?),
        b'O' => OldTuple::Full(reader.tuple()?),
        _ => return Err(reader.wrong_before(EXPECTED)),
    };
    match reader.byte("N before the new row")? {
        b'N' => Ok(Message::Update { relation, old: Some(old), new: reader.tuple()? }),
        _ => Err(reader.wrong_before("N before the new row")),
    }
}

fn delete<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, PgoutputError> {
    let relation = reader.u32("a table's oid")?;
    let old = match reader.byte("K or O before the old row")? {
        b'K' => OldTuple::Key(reader.tuple()?),
        b'O' => OldTuple::Full(reader.tuple()?),
        _ => return Err(reader.wrong_before("K or O before the old row")),
    };
    Ok(Message::Delete { relation, old })
}

fn truncate<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, PgoutputError> {
    let count = reader.u32("a number of tables")?;
    let flags = reader.byte("truncate options")?;
    // The count is not trusted for an allocation: each oid must really be there.
    let mut relations = Vec::new();
    for _ in 0..count {
        relations.push(reader.u32("a table's oid")?);
    }
    Ok(Message::Truncate { relations, cascade: flags & 1 != 0, restart_identity: flags & 2 != 0 })
}

fn logical<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, PgoutputError> {
    let transactional = reader.byte("message flags")? & 1 != 0;
    let lsn = reader.lsn()?;
    let prefix = reader.text("a prefix")?;
    let length = reader.u32("the content's length")?;
    Ok(Message::Logical { transactional, lsn, prefix, content: reader.slice(length, "the content")? })
}

fn stream_start<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, PgoutputError> {
    Ok(Message::StreamStart {
        xid: reader.u32("a transaction number")?,
        first_segment: reader.byte("the first-segment flag")? != 0,
    })
}

fn stream_commit<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, PgoutputError> {
    let xid = reader.u32("a transaction number")?;
    reader.byte("flags")?;
    Ok(Message::StreamCommit { xid, commit_lsn: reader.lsn()?, end_lsn: reader.lsn()?, commit_time_us: reader.time()? })
}

fn stream_abort<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, PgoutputError> {
    let xid = reader.u32("a transaction number")?;
    let subxid = reader.u32("a sub-transaction number")?;
    // Version 4 with streaming = parallel adds the abort's position and time; nobody here needs them.
    if !reader.at_end() {
        reader.lsn()?;
        reader.time()?;
    }
    Ok(Message::StreamAbort { xid, subxid })
}

/// Microseconds between 1970-01-01 and PostgreSQL's 2000-01-01.
pub(crate) const EPOCH_2000_US: i64 = 946_684_800_000_000;

/// A cursor that never reads past the end and knows where it is.
struct Reader<'a> {
    data: &'a [u8],
    offset: usize,
    tag: u8,
}

impl<'a> Reader<'a> {
    fn wrong(&self, expected: &'static str) -> PgoutputError {
        PgoutputError { tag: self.tag, offset: self.offset, expected }
    }

    /// The error for the byte just read.
    fn wrong_before(&self, expected: &'static str) -> PgoutputError {
        PgoutputError { tag: self.tag, offset: self.offset.saturating_sub(1), expected }
    }

    fn rest(&self) -> &'a [u8] {
        self.data.get(self.offset..).unwrap_or_default()
    }

    fn at_end(&self) -> bool {
        self.rest().is_empty()
    }

    fn end(&self) -> Result<(), PgoutputError> {
        if self.at_end() { Ok(()) } else { Err(self.wrong("the end of the message")) }
    }

    fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], PgoutputError> {
        let (head, _) = self.rest().split_first_chunk::<N>().ok_or_else(|| self.wrong(expected))?;
        self.offset += N;
        Ok(*head)
    }

    fn byte(&mut self, expected: &'static str) -> Result<u8, PgoutputError> {
        self.array::<1>(expected).map(|[byte]| byte)
    }

    fn u16(&mut self, expected: &'static str) -> Result<u16, PgoutputError> {
        self.array(expected).map(u16::from_be_bytes)
    }

    fn u32(&mut self, expected: &'static str) -> Result<u32, PgoutputError> {
        self.array(expected).map(u32::from_be_bytes)
    }

    fn i32(&mut self, expected: &'static str) -> Result<i32, PgoutputError> {
        self.array(expected).map(i32::from_be_bytes)
    }

    fn lsn(&mut self) -> Result<Lsn, PgoutputError> {
        self.array("a log position").map(|bytes| Lsn(u64::from_be_bytes(bytes)))
    }

    fn time(&mut self) -> Result<i64, PgoutputError> {
        self.array("a time").map(|bytes| i64::from_be_bytes(bytes).saturating_add(EPOCH_2000_US))
    }

    fn slice(&mut self, length: u32, expected: &'static str) -> Result<&'a [u8], PgoutputError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let slice = self.rest().get(..length).ok_or_else(|| self.wrong(expected))?;
        self.offset += length;
        Ok(slice)
    }

    fn text(&mut self, expected: &'static str) -> Result<&'a str, PgoutputError> {
        let rest = self.rest();
        let length = rest.iter().position(|&byte| byte == 0).ok_or_else(|| self.wrong(expected))?;
        let bytes = rest.get(..length).unwrap_or_default();
        let text = std::str::from_utf8(bytes).map_err(|_| self.wrong("UTF-8 text"))?;
        self.offset += length + 1;
        Ok(text)
    }

    /// Checks a tuple's layout and borrows it.
    fn tuple(&mut self) -> Result<Tuple<'a>, PgoutputError> {
        let columns = self.u16("a number of columns")?;
        let start = self.offset;
        for _ in 0..columns {
            match self.byte("a column kind")? {
                b'n' | b'u' => {}
                b't' | b'b' => {
                    let length = self.u32("a value's length")?;
                    self.slice(length, "a value of the length before it")?;
                }
                _ => return Err(self.wrong_before("a column kind n, u, t or b")),
            }
        }
        Ok(Tuple { columns, data: self.data.get(start..self.offset).unwrap_or_default() })
    }
}

/// The entry for fuzzing: reads `data` as messages, each behind a two-byte length, walking every tuple.
///
/// Returns how many messages were well formed. Must return for any bytes.
pub fn fuzz(data: &[u8]) -> usize {
    let mut decoder = Decoder::new();
    let mut rest = data;
    let mut good = 0;
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(tail.len());
        let (message, tail) = tail.split_at(length);
        rest = tail;
        let Ok(decoded) = decoder.decode(message) else { continue };
        good += 1;
        let tuples: [Option<Tuple<'_>>; 2] = match decoded.message {
            Message::Insert { new, .. } => [Some(new), None],
            Message::Update { old, new, .. } => [Some(new), old.map(OldTuple::tuple)],
            Message::Delete { old, .. } => [Some(old.tuple()), None],
            _ => [None, None],
        };
        for tuple in tuples.into_iter().flatten() {
            // A tuple that was accepted gives exactly the columns it promised.
            debug_assert_eq!(tuple.cells().count(), tuple.len());
        }
    }
    good
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A tuple with a null, an unchanged, a text and a binary column.
    fn tuple_bytes() -> Vec<u8> {
        let mut bytes = vec![0, 4, b'n', b'u', b't', 0, 0, 0, 2];
        bytes.extend(b"hi");
        bytes.extend([b'b', 0, 0, 0, 1, 7]);
        bytes
    }

    fn insert_bytes(xid: Option<u32>) -> Vec<u8> {
        let mut bytes = vec![b'I'];
        bytes.extend(xid.map(u32::to_be_bytes).into_iter().flatten());
        bytes.extend(42_u32.to_be_bytes());
        bytes.push(b'N');
        bytes.extend(tuple_bytes());
        bytes
    }

    fn samples() -> Vec<Vec<u8>> {
        let mut update = vec![b'U', 0, 0, 0, 9, b'K'];
        update.extend(tuple_bytes());
        update.push(b'N');
        update.extend(tuple_bytes());
        let mut delete = vec![b'D', 0, 0, 0, 9, b'O'];
        delete.extend(tuple_bytes());
        let mut relation = vec![b'R', 0, 0, 0, 9];
        relation.extend(b"public\0t\0d\0\x01\x01id\0\0\0\0\x17\xff\xff\xff\xff");
        let mut message = vec![b'M', 1];
        message.extend(7_u64.to_be_bytes());
        message.extend(b"naru\0\0\0\0\x03abc");
        vec![
            insert_bytes(None),
            update,
            delete,
            relation,
            message,
            vec![b'T', 0, 0, 0, 2, 3, 0, 0, 0, 8, 0, 0, 0, 9],
            [&[b'B'][..], &[0; 20]].concat(),
            [&[b'C'][..], &[0; 25]].concat(),
            [&[b'S'][..], &[0, 0, 0, 5, 1]].concat(),
            vec![b'E'],
            [&[b'c'][..], &[0; 29]].concat(),
            [&[b'A'][..], &[0; 8]].concat(),
            [&[b'A'][..], &[0; 24]].concat(),
            b"O\0\0\0\0\0\0\0\x01up\0".to_vec(),
            b"Y\0\0\0\x07s\0mood\0".to_vec(),
        ]
    }

    #[test]
    fn a_tuple_gives_each_kind_of_column() {
        let bytes = insert_bytes(None);
        let Message::Insert { relation, new } = Decoder::new().decode(&bytes).unwrap().message else {
            panic!("not an insert")
        };
        assert_eq!(relation, 42);
        let cells: Vec<_> = new.cells().collect();
        assert_eq!(cells, [TupleCell::Null, TupleCell::Unchanged, TupleCell::Text(b"hi"), TupleCell::Binary(&[7])]);
    }

    #[test]
    fn a_transaction_number_is_read_only_inside_a_stream_block() {
        let mut decoder = Decoder::new();
        assert_eq!(decoder.decode(&insert_bytes(None)).unwrap().xid, None);
        decoder.decode(&[b'S', 0, 0, 0, 5, 1]).unwrap();
        assert_eq!(decoder.decode(&insert_bytes(Some(6))).unwrap().xid, Some(6));
        decoder.decode(b"E").unwrap();
        assert_eq!(decoder.decode(&insert_bytes(None)).unwrap().xid, None);
    }

    #[test]
    fn every_kind_of_message_is_read_and_every_cut_of_it_is_an_error() {
        for bytes in samples() {
            Decoder::new().decode(&bytes).unwrap_or_else(|error| panic!("{error}"));
            for end in 0..bytes.len() {
                // Version 4's abort is version 1's abort plus fields.
                if bytes[0] == b'A' && end == 9 {
                    continue;
                }
                let error = Decoder::new().decode(&bytes[..end]).unwrap_err();
                assert!(error.offset <= end, "{error}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(Decoder::new().decode(&longer).is_err(), "a trailing byte passed");
        }
    }

    #[test]
    fn an_error_names_place_and_expectation() {
        let error = Decoder::new().decode(&[b'I', 0, 0, 0, 1, b'X']).unwrap_err();
        assert_eq!(error.to_string(), "replication message 'I' is malformed at byte 5: expected N before the new row");
    }

    #[test]
    fn a_huge_truncate_count_does_not_allocate() {
        assert!(Decoder::new().decode(&[b'T', 255, 255, 255, 255, 0, 0, 0, 0, 1]).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            fuzz(&data);
            let _ = Decoder::new().decode(&data);
            let _ = Decoder { in_stream: true }.decode(&data);
        }

        #[test]
        fn mutated_messages_never_panic(
            which in 0_usize..15,
            place in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
            in_stream in any::<bool>(),
        ) {
            let mut bytes = samples().swap_remove(which);
            let index = place.index(bytes.len());
            bytes[index] = byte;
            if let Ok(Decoded { message: Message::Insert { new, .. }, .. }) = (Decoder { in_stream }).decode(&bytes) {
                prop_assert_eq!(new.cells().count(), new.len());
            }
        }
    }
}
