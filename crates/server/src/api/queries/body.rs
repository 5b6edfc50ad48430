//! A file as the body of an answer.
//!
//! Owns: rows that go out while they are read, and their end: a file that breaks off ends its connection without the
//! mark of its end, so that nobody takes a part for the whole. And names of files, whatever people call their queries.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write},
};

use axum::{
    body::{Body, Bytes},
    http::HeaderValue,
};
use futures::stream;
use naru_base::Problem;
use naru_warehouse::{
    jobs::{Finished, JobError},
    output::{self, Format, OutputError, RowWriter, SheetFormat},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::sync::{mpsc, oneshot};

/// Bytes that go out at once.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for a slow reader.
const PIECES_AHEAD: usize = 4;
/// Characters of a file's name.
const NAME_CHARACTERS_MAX: usize = 120;

/// What RFC 5987 lets stand in a name as it is: letters, digits and a few signs.
const NAME: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b'\'')
    .add(b'(')
    .add(b')')
    .add(b'*')
    .add(b',')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'{')
    .add(b'}')
    .add(b'^')
    .add(b'`')
    .add(b'|')
    .add(b'&')
    .add(b'+')
    .add(b'#')
    .add(b'!')
    .add(b'~')
    .add(b'$');

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For a spreadsheet.
    Sheet(SheetFormat),
    /// For a program, as `naru sql` writes it.
    Plain(Format),
}

impl Kind {
    /// What stands behind the dot, and the media type.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Sheet(SheetFormat::Csv { .. }) | Self::Plain(Format::Csv) => {
                ("csv", "text/csv; charset=utf-8; header=present")
            }
            Self::Sheet(SheetFormat::Xlsx) | Self::Plain(Format::Xlsx) => {
                ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
            }
            Self::Plain(Format::Json) => ("json", "application/json"),
            Self::Plain(Format::Ndjson) => ("ndjson", "application/x-ndjson"),
            Self::Plain(Format::Parquet) => ("parquet", "application/vnd.apache.parquet"),
            Self::Plain(Format::Table) => ("txt", "text/plain; charset=utf-8"),
        }
    }

    /// Whether it stands whole before its first byte goes out: a workbook says only at its end that it cannot be made.
    fn is_made_first(self) -> bool {
        matches!(self, Self::Sheet(SheetFormat::Xlsx) | Self::Plain(Format::Xlsx))
    }

    fn writer<'a>(
        self,
        rows: &Finished,
        note: Option<&str>,
        out: impl Write + Send + 'a,
    ) -> Result<Box<dyn RowWriter + 'a>, OutputError> {
        match self {
            Self::Sheet(format) => output::sheet_writer(format, rows.rows.schema(), out, note),
            Self::Plain(format) => output::writer(format, rows.rows.schema(), out),
        }
    }
}

/// The rows of a finished job as a file; refusals come before the first byte. `sent` hears how it went out.
///
/// # Errors
/// What the format cannot hold.
pub(crate) async fn file(
    rows: Finished,
    kind: Kind,
    note: Option<String>,
    sent: impl FnOnce(Result<u64, Problem>) + Send + 'static,
) -> Result<Body, Problem> {
    let (pieces, body) = mpsc::channel(PIECES_AHEAD);
    let (ready, begun) = oneshot::channel();
    let out = Pieces { pieces, held: Vec::with_capacity(PIECE_BYTES), bytes: 0 };
    tokio::task::spawn_blocking(move || sent(write(&rows, kind, note.as_deref(), out, ready)));
    begun.await.unwrap_or_else(|_| Err(super::stopped()))?;
    Ok(Body::from_stream(stream::unfold(body, async |mut body| Some((body.recv().await?, body)))))
}

type Ready = oneshot::Sender<Result<(), Problem>>;

fn write(rows: &Finished, kind: Kind, note: Option<&str>, mut out: Pieces, ready: Ready) -> Result<u64, Problem> {
    if kind.is_made_first() {
        let made = made(rows, kind, note);
        let told = made.as_ref().map(drop).map_err(Clone::clone);
        if ready.send(told).is_err() {
            return Err(super::stopped());
        }
        return ended(made.and_then(|file| copy(file, &mut out)), out);
    }
    let mut writer = match kind.writer(rows, note, &mut out) {
        Ok(writer) => writer,
        Err(error) => {
            let problem = error.problem();
            let _ = ready.send(Err(problem.clone()));
            return Err(problem);
        }
    };
    if ready.send(Ok(())).is_err() {
        return Err(super::stopped());
    }
    let written = all(rows, writer.as_mut());
    drop(writer);
    ended(written, out)
}

/// Hands out the last piece, or breaks the body off.
fn ended(written: Result<(), Problem>, mut out: Pieces) -> Result<u64, Problem> {
    let done = written.and_then(|()| out.flush().map_err(|error| OutputError::Io(error).problem()));
    if let Err(problem) = &done {
        let _ = out.pieces.blocking_send(Err(io::Error::other(problem.summary.clone())));
    }
    done.map(|()| out.bytes)
}

fn all(rows: &Finished, writer: &mut dyn RowWriter) -> Result<(), Problem> {
    for batch in rows.rows.clone().batches() {
        let batch = batch.map_err(|error| JobError::from(error).problem())?;
        writer.write(&batch).map_err(|error| error.problem())?;
    }
    writer.finish().map_err(|error| error.problem())
}

fn made(rows: &Finished, kind: Kind, note: Option<&str>) -> Result<File, Problem> {
    let failed = |error: io::Error| OutputError::Io(error).problem();
    let mut file = tempfile::tempfile().map_err(failed)?;
    let mut writer = kind.writer(rows, note, &mut file).map_err(|error| error.problem())?;
    all(rows, writer.as_mut())?;
    drop(writer);
    file.rewind().map_err(failed)?;
    Ok(file)
}

fn copy(mut file: File, out: &mut Pieces) -> Result<(), Problem> {
    let mut piece = vec![0; PIECE_BYTES];
    let failed = |error: io::Error| OutputError::Io(error).problem();
    loop {
        let read = file.read(&mut piece).map_err(failed)?;
        if read == 0 {
            return Ok(());
        }
        out.write_all(piece.get(..read).unwrap_or_default()).map_err(failed)?;
    }
}

/// Writes into the body of an answer; waits for a slow reader, and fails when it has left.
struct Pieces {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    held: Vec<u8>,
    bytes: u64,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.held, Vec::with_capacity(PIECE_BYTES));
        self.bytes += naru_base::number::u64_from(piece.len());
        self.pieces.blocking_send(Ok(Bytes::from(piece))).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// A name that no system takes for a path, and that may hold Hangul.
pub(crate) fn file_name(wanted: &str, ending: &str) -> String {
    let safe: String = wanted
        .chars()
        .filter(|c| !c.is_control())
        .map(|c| if matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|') { '_' } else { c })
        .take(NAME_CHARACTERS_MAX)
        .collect();
    let safe = safe.trim_matches(|c: char| c == '.' || c.is_whitespace());
    format!("{}.{ending}", if safe.is_empty() { "naru" } else { safe })
}

/// The header by which a browser saves a file under this name.
pub(crate) fn attachment(name: &str) -> HeaderValue {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_. ()".contains(c) { c } else { '_' }).collect();
    let text = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(name, NAME));
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_what_people_call_it_and_never_a_path() {
        for (wanted, name) in [
            ("매출 2026/11", "매출 2026_11.csv"),
            ("../../etc/passwd", "_.._etc_passwd.csv"),
            ("a\r\nSet-Cookie: x", "aSet-Cookie_ x.csv"),
            ("...", "naru.csv"),
            ("", "naru.csv"),
        ] {
            assert_eq!(file_name(wanted, "csv"), name);
        }
        let header = attachment("매출 \"2\".csv");
        let text = header.to_str().unwrap();
        assert_eq!(text, "attachment; filename=\"__ _2_.csv\"; filename*=UTF-8''%EB%A7%A4%EC%B6%9C%20%222%22.csv");
    }
}
