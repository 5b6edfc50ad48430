//! The replication connection: commands to a walsender, the stream of logical changes, and feedback to it.
//!
//! Owns: [`ReplicationConnection`], which splits into a reader and a writer while it streams, so that feedback goes on
//! while the reader is held back. Never decides what to acknowledge, never decodes a change.
//! The layout is PostgreSQL's "Streaming Replication Protocol". Read next: [`super::pgoutput`].

use std::{
    fmt::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use naru_base::Lsn;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};

use super::{
    auth::{Session, server_error},
    error::PostgresError,
    frames::{Frame, FrameReader},
    pgoutput::EPOCH_2000_US,
    settings::ConnectSettings,
    transport::Transport,
};

/// A connection in replication mode that is not streaming.
#[derive(Debug)]
pub struct ReplicationConnection {
    session: Session,
}

/// The answer to a simple query; every value is text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryRows {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Option<String>>>,
}

impl QueryRows {
    /// The value of a column in a row; `None` also for NULL.
    pub fn get(&self, row: usize, column: &str) -> Option<&str> {
        let index = self.columns.iter().position(|name| name == column)?;
        self.rows.get(row)?.get(index)?.as_deref()
    }
}

/// What `IDENTIFY_SYSTEM` says; a position belongs to the first two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemIdentity {
    /// The cluster's identifier.
    pub system_id: String,
    /// The timeline.
    pub timeline: u32,
    /// The current end of the log.
    pub position: Lsn,
}

/// A slot just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedSlot {
    /// The snapshot holds exactly what committed before this position, the stream exactly what committed after.
    pub consistent_point: Lsn,
    /// The exported snapshot; importable until this connection's next command.
    pub snapshot: String,
}

/// What to stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamOptions {
    /// The slot.
    pub slot: String,
    /// Where to begin; the server begins at the slot's confirmed position if that is later.
    pub start: Lsn,
    /// Publications by name.
    pub publications: Vec<String>,
    /// Whether large transactions are sent while they run (protocol version 2).
    pub streaming: bool,
    /// Whether values come in binary form.
    pub binary: bool,
    /// Whether logical messages come too.
    pub messages: bool,
}

/// One message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// One message of the output plugin.
    XLogData {
        /// Where it stands in the log.
        wal_start: Lsn,
        /// The server's end of the log.
        wal_end: Lsn,
        /// The server's clock, microseconds since 1970-01-01 UTC.
        server_time_us: i64,
        /// The message; a slice of the read buffer.
        data: Bytes,
    },
    /// The server is alive.
    KeepAlive {
        /// Everything before this position has been sent.
        wal_end: Lsn,
        /// The server's clock, microseconds since 1970-01-01 UTC.
        server_time_us: i64,
        /// Whether it wants a status at once.
        reply_requested: bool,
    },
}

/// The reading half of a stream.
#[derive(Debug)]
pub struct ReplicationReader {
    frames: FrameReader<ReadHalf<Transport>>,
    server_version: String,
}

/// The writing half of a stream.
#[derive(Debug)]
pub struct ReplicationWriter {
    writer: WriteHalf<Transport>,
    /// What has not been written yet.
    out: BytesMut,
}

impl ReplicationConnection {
    /// Connects in replication mode and signs in.
    ///
    /// # Errors
    /// Everything that [`PostgresError`] says about connecting; the server's refusal as [`PostgresError::Server`].
    pub async fn connect(settings: &ConnectSettings) -> Result<Self, PostgresError> {
        Session::open(settings, true).await.map(|session| Self { session })
    }

    /// The server's version as it tells it, such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub fn server_version(&self) -> &str {
        &self.session.server_version
    }

    /// Runs one command of the replication protocol or of SQL, and gives its rows.
    ///
    /// # Errors
    /// The server's error; the connection can be used further after it.
    pub async fn simple_query(&mut self, sql: &str) -> Result<QueryRows, PostgresError> {
        let mut message = BytesMut::new();
        frontend::query(sql, &mut message).map_err(PostgresError::Broken)?;
        self.session.send(&message).await?;
        let mut answer = QueryRows::default();
        let mut failure = None;
        loop {
            let frame = self.session.frames.next("the answer to a command").await?;
            match frame.tag {
                b'Z' => return failure.map_or(Ok(answer), Err),
                b'E' => failure = Some(server_error(&frame.body)),
                b'T' => answer = QueryRows { columns: row_description(&frame)?, rows: Vec::new() },
                b'D' => answer.rows.push(data_row(&frame)?),
                b'C' | b'I' | b'N' | b'S' | b'A' => {}
                _ => return Err(frame.unexpected("the answer to a command")),
            }
        }
    }

    /// Asks which system this is and how far its log goes.
    ///
    /// # Errors
    /// The server's error.
    pub async fn identify_system(&mut self) -> Result<SystemIdentity, PostgresError> {
        let rows = self.simple_query("IDENTIFY_SYSTEM").await?;
        let field = |name: &str| rows.get(0, name).ok_or_else(|| incomplete("IDENTIFY_SYSTEM"));
        Ok(SystemIdentity {
            system_id: field("systemid")?.to_owned(),
            timeline: field("timeline")?.parse().map_err(|_| incomplete("IDENTIFY_SYSTEM"))?,
            position: field("xlogpos")?.parse().map_err(|_| incomplete("IDENTIFY_SYSTEM"))?,
        })
    }

    /// Makes a logical slot for `pgoutput` and exports the snapshot at its consistent point.
    ///
    /// Waits for every transaction that is open; `SET lock_timeout` before bounds that. The snapshot lives until this
    /// connection's next command.
    ///
    /// # Errors
    /// The server's error: the name is taken (`ObjectExists`), no slot is free (`NoneFree`), a privilege is missing.
    pub async fn create_slot(&mut self, slot: &str, temporary: bool) -> Result<CreatedSlot, PostgresError> {
        let temporary = if temporary { "TEMPORARY " } else { "" };
        // The form without parentheses is the one that all of 14 to 18 accept.
        let sql = format!("CREATE_REPLICATION_SLOT {} {temporary}LOGICAL pgoutput EXPORT_SNAPSHOT", quoted_name(slot));
        let rows = self.simple_query(&sql).await?;
        let field = |name: &str| rows.get(0, name).ok_or_else(|| incomplete("CREATE_REPLICATION_SLOT"));
        Ok(CreatedSlot {
            consistent_point: field("consistent_point")?.parse().map_err(|_| incomplete("CREATE_REPLICATION_SLOT"))?,
            snapshot: field("snapshot_name")?.to_owned(),
        })
    }

    /// Drops a slot; with `wait`, waits until its reader is gone.
    ///
    /// # Errors
    /// The server's error: `ObjectMissing`, `SlotInUse`.
    pub async fn drop_slot(&mut self, slot: &str, wait: bool) -> Result<(), PostgresError> {
        let wait = if wait { " WAIT" } else { "" };
        self.simple_query(&format!("DROP_REPLICATION_SLOT {}{wait}", quoted_name(slot))).await.map(|_| ())
    }

    /// Begins to stream and splits the connection.
    ///
    /// # Errors
    /// The server's error: the slot is missing (`ObjectMissing`), read by another (`SlotInUse`), or has lost its log
    /// (`SlotLost`).
    pub async fn start_replication(
        mut self,
        options: &StreamOptions,
    ) -> Result<(ReplicationReader, ReplicationWriter), PostgresError> {
        let mut message = BytesMut::new();
        frontend::query(&options.command(), &mut message).map_err(PostgresError::Broken)?;
        self.session.send(&message).await?;
        loop {
            let frame = self.session.frames.next("the stream to begin").await?;
            match frame.tag {
                b'W' => break,
                b'E' => return Err(server_error(&frame.body)),
                b'N' | b'S' => {}
                _ => return Err(frame.unexpected("the stream to begin")),
            }
        }
        let Session { frames, writer, server_version } = self.session;
        Ok((ReplicationReader { frames, server_version }, ReplicationWriter { writer, out: BytesMut::new() }))
    }

    /// Says goodbye. Dropping the connection does the same less politely.
    pub async fn close(mut self) {
        let mut message = BytesMut::new();
        frontend::terminate(&mut message);
        // Whether the server still hears it does not matter.
        let _ = self.session.send(&message).await;
        let _ = self.session.writer.shutdown().await;
    }
}

impl StreamOptions {
    fn command(&self) -> String {
        let names: Vec<String> = self.publications.iter().map(|name| quoted_name(name)).collect();
        let version = if self.streaming { 2 } else { 1 };
        let mut command = format!(
            "START_REPLICATION SLOT {} LOGICAL {} (proto_version '{version}', publication_names {}",
            quoted_name(&self.slot),
            self.start,
            quoted_text(&names.join(","))
        );
        for (option, wanted) in [("streaming", self.streaming), ("binary", self.binary), ("messages", self.messages)] {
            if wanted {
                let _ = write!(command, ", {option} 'true'");
            }
        }
        command.push(')');
        command
    }
}

impl ReplicationReader {
    /// Waits for the next message. Giving up while waiting loses nothing.
    ///
    /// # Errors
    /// The connection broke or ended ([`PostgresError::Ended`]), or the server ended the stream with an error.
    pub async fn next(&mut self) -> Result<Event, PostgresError> {
        loop {
            let frame = self.frames.next("the next change").await?;
            match frame.tag {
                b'd' => return event(frame),
                b'E' => return Err(server_error(&frame.body)),
                b'c' | b'C' | b'Z' => return Err(PostgresError::Ended { waiting_for: "the next change" }),
                b'N' | b'S' => {}
                _ => return Err(frame.unexpected("a change")),
            }
        }
    }

    /// Ends the stream in order and gives the connection back; messages that still arrive are discarded.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn finish(mut self, mut writer: ReplicationWriter) -> Result<ReplicationConnection, PostgresError> {
        frontend::copy_done(&mut writer.out);
        writer.write_out().await?;
        loop {
            let frame = self.frames.next("the end of the stream").await?;
            match frame.tag {
                b'Z' => break,
                b'E' => return Err(server_error(&frame.body)),
                _ => {}
            }
        }
        let Self { frames, server_version } = self;
        Ok(ReplicationConnection { session: Session { frames, writer: writer.writer, server_version } })
    }
}

impl ReplicationWriter {
    /// Tells the server how far naru is: received, durable, applied. `reply_requested` asks for a keep-alive.
    ///
    /// The server may recycle its log up to `flushed`. Giving up while waiting loses nothing: the rest is sent by the
    /// next call.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn send_status(
        &mut self,
        written: Lsn,
        flushed: Lsn,
        applied: Lsn,
        reply_requested: bool,
    ) -> Result<(), PostgresError> {
        let mut status = [0_u8; 34];
        let mut body = status.as_mut_slice();
        body.put_u8(b'r');
        body.put_u64(written.0);
        body.put_u64(flushed.0);
        body.put_u64(applied.0);
        body.put_i64(now_us().saturating_sub(EPOCH_2000_US));
        body.put_u8(u8::from(reply_requested));
        frontend::CopyData::new(&status[..]).map_err(PostgresError::Broken)?.write(&mut self.out);
        self.write_out().await
    }

    async fn write_out(&mut self) -> Result<(), PostgresError> {
        self.writer.write_all_buf(&mut self.out).await.map_err(PostgresError::Broken)?;
        self.writer.flush().await.map_err(PostgresError::Broken)
    }
}

/// This machine's clock, microseconds since 1970-01-01 UTC.
fn now_us() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
}

/// Reads the body of a CopyData message.
fn event(frame: Frame) -> Result<Event, PostgresError> {
    let mut body = frame.body;
    let time = |body: &mut Bytes| body.get_i64().saturating_add(EPOCH_2000_US);
    match (body.first(), body.len()) {
        (Some(b'w'), 25..) => {
            body.advance(1);
            Ok(Event::XLogData {
                wal_start: Lsn(body.get_u64()),
                wal_end: Lsn(body.get_u64()),
                server_time_us: time(&mut body),
                data: body,
            })
        }
        (Some(b'k'), 18) => {
            body.advance(1);
            Ok(Event::KeepAlive {
                wal_end: Lsn(body.get_u64()),
                server_time_us: time(&mut body),
                reply_requested: body.get_u8() != 0,
            })
        }
        (first, length) => Err(PostgresError::Protocol {
            expected: "a change or a keep-alive",
            got: format!("{length} bytes beginning with {first:?}"),
        }),
    }
}

/// The columns' names in a RowDescription.
fn row_description(frame: &Frame) -> Result<Vec<String>, PostgresError> {
    let wrong = || frame.unexpected("a row description");
    let (count, mut rest) = frame.body.split_first_chunk::<2>().ok_or_else(wrong)?;
    let mut names = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let end = rest.iter().position(|&byte| byte == 0).ok_or_else(wrong)?;
        let (name, tail) = rest.split_at_checked(end).ok_or_else(wrong)?;
        names.push(String::from_utf8_lossy(name).into_owned());
        // Behind the name's zero: table, column, type, size, modifier and format, 18 bytes.
        rest = tail.get(19..).ok_or_else(wrong)?;
    }
    Ok(names)
}

/// The values in a DataRow.
fn data_row(frame: &Frame) -> Result<Vec<Option<String>>, PostgresError> {
    let wrong = || frame.unexpected("a row");
    let (count, mut rest) = frame.body.split_first_chunk::<2>().ok_or_else(wrong)?;
    let mut values = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, tail) = rest.split_first_chunk::<4>().ok_or_else(wrong)?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            values.push(None);
            rest = tail;
            continue;
        };
        let (value, tail) = tail.split_at_checked(length).ok_or_else(wrong)?;
        values.push(Some(String::from_utf8_lossy(value).into_owned()));
        rest = tail;
    }
    Ok(values)
}

fn incomplete(command: &'static str) -> PostgresError {
    PostgresError::Protocol { expected: "all columns of the answer", got: format!("fewer from {command}") }
}

/// A name in double quotes.
pub(crate) fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in single quotes.
fn quoted_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_command_quotes_names_twice() {
        let options = StreamOptions {
            slot: "naru_1".into(),
            start: Lsn(0x1_0000_00A0),
            publications: vec!["keyed".into(), "it's \"odd\"".into()],
            streaming: true,
            binary: true,
            messages: false,
        };
        assert_eq!(
            options.command(),
            "START_REPLICATION SLOT \"naru_1\" LOGICAL 1/A0 (proto_version '2', publication_names \
             '\"keyed\",\"it''s \"\"odd\"\"\"', streaming 'true', binary 'true')"
        );
    }

    #[test]
    fn a_malformed_stream_message_is_an_error() {
        for body in [&b""[..], b"w123", b"k", b"x00000000000000000000000000"] {
            assert!(event(Frame { tag: b'd', body: Bytes::copy_from_slice(body) }).is_err());
        }
    }
}
