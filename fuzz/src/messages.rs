//! Well-formed replication messages and `COPY` streams, as seeds.
//!
//! Owns: writing PostgreSQL's formats, byte by byte, as its documentation says ("Logical Replication Message Formats",
//! "COPY: Binary Format"). Never reads them: that is the code under test.

use crate::targets::COLUMNS;

/// One column value of a tuple.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    /// SQL NULL.
    Null,
    /// A value the server left out because it did not change.
    Unchanged,
    /// Text format.
    Text(&'a str),
    /// Binary format.
    Binary(&'a [u8]),
}

/// Identifier of the seeds' one relation.
pub const RELATION: u32 = 16384;

/// `R`: the relation with [`COLUMNS`]; the first column is the key.
pub fn relation() -> Vec<u8> {
    let mut message = vec![b'R'];
    message.extend(RELATION.to_be_bytes());
    message.extend(b"public\0orders\0d");
    message.extend(u16::try_from(COLUMNS.len()).unwrap().to_be_bytes());
    for (index, (name, oid)) in COLUMNS.iter().enumerate() {
        message.push(u8::from(index == 0));
        message.extend(name.as_bytes());
        message.push(0);
        message.extend(oid.to_be_bytes());
        message.extend((-1_i32).to_be_bytes());
    }
    message
}

/// `B`: begin.
pub fn begin() -> Vec<u8> {
    [&[b'B'][..], &100_u64.to_be_bytes(), &700_000_000_000_000_u64.to_be_bytes(), &740_u32.to_be_bytes()].concat()
}

/// `C`: commit.
pub fn commit() -> Vec<u8> {
    [&[b'C', 0][..], &100_u64.to_be_bytes(), &200_u64.to_be_bytes(), &700_000_000_000_000_u64.to_be_bytes()].concat()
}

/// `S`, `E`, `c`, `A`: the frame of a transaction in progress.
pub fn stream_frame() -> [Vec<u8>; 4] {
    let xid = 741_u32.to_be_bytes();
    [
        [&[b'S'][..], &xid, &[1]].concat(),
        vec![b'E'],
        [&[b'c'][..], &xid, &[0], &[0; 24]].concat(),
        [&[b'A'][..], &xid, &742_u32.to_be_bytes()].concat(),
    ]
}

/// `T`: truncate.
pub fn truncate() -> Vec<u8> {
    [&[b'T'][..], &1_u32.to_be_bytes(), &[0], &RELATION.to_be_bytes()].concat()
}

/// `M`: a transactional logical message.
pub fn logical(prefix: &str, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[b'M', 1][..], &100_u64.to_be_bytes(), prefix.as_bytes(), &[0], &length, content].concat()
}

/// `I`: insert.
pub fn insert(cells: &[Cell<'_>]) -> Vec<u8> {
    [&[b'I'][..], &RELATION.to_be_bytes(), b"N", &tuple(cells)].concat()
}

/// `U`: update, with the old key or row where `old` is given as `K` or `O` and cells.
pub fn update(old: Option<(u8, &[Cell<'_>])>, new: &[Cell<'_>]) -> Vec<u8> {
    let old = old.map(|(kind, cells)| [&[kind][..], &tuple(cells)].concat()).unwrap_or_default();
    [&[b'U'][..], &RELATION.to_be_bytes(), &old, b"N", &tuple(new)].concat()
}

/// `D`: delete by key.
pub fn delete(cells: &[Cell<'_>]) -> Vec<u8> {
    [&[b'D'][..], &RELATION.to_be_bytes(), b"K", &tuple(cells)].concat()
}

fn tuple(cells: &[Cell<'_>]) -> Vec<u8> {
    let mut bytes = u16::try_from(cells.len()).unwrap().to_be_bytes().to_vec();
    for cell in cells {
        let (kind, value) = match cell {
            Cell::Null => (b'n', None),
            Cell::Unchanged => (b'u', None),
            Cell::Text(text) => (b't', Some(text.as_bytes())),
            Cell::Binary(value) => (b'b', Some(*value)),
        };
        bytes.push(kind);
        if let Some(value) = value {
            bytes.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
            bytes.extend(value);
        }
    }
    bytes
}

/// Messages in a row, each behind its two-byte length.
pub fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
    let frame = |message: &Vec<u8>| [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat();
    messages.iter().flat_map(frame).collect()
}

/// A binary `COPY` stream of rows whose values are already binary; `None` is null.
pub fn copy(rows: &[Vec<Option<Vec<u8>>>]) -> Vec<u8> {
    let mut bytes = b"PGCOPY\n\xff\r\n\0".to_vec();
    bytes.extend([0; 8]);
    for row in rows {
        bytes.extend(u16::try_from(row.len()).unwrap().to_be_bytes());
        for value in row {
            let length = value.as_ref().map_or(-1, |value| i32::try_from(value.len()).unwrap());
            bytes.extend(length.to_be_bytes());
            bytes.extend(value.iter().flatten());
        }
    }
    bytes.extend((-1_i16).to_be_bytes());
    bytes
}
