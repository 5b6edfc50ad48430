//! `COPY (query) TO STDOUT`: rows as text, CSV or PostgreSQL's binary form, as psql's `\\copy`, psycopg and ADBC ask.
//!
//! Owns: reading the statement's options, and the bytes of a row. Never writes a file of this machine and never takes
//! rows in.

use std::{fmt::Debug, sync::Arc};

use arrow::record_batch::RecordBatch;
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Sink, SinkExt};
use pgwire::{
    api::{
        ClientInfo,
        results::{Response, Tag},
    },
    error::{PgWireError, PgWireResult},
    messages::{
        PgWireBackendMessage,
        copy::{CopyData, CopyDone, CopyOutResponse},
    },
};

use super::{
    command::{Placed, Token, tokens},
    cursor::Cursor,
    encode::{self, Column},
    problem,
    startup::Connection,
};

/// Rows taken from the query at once.
const ROWS_AT_ONCE: usize = 8_192;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Csv,
    Binary,
}

/// A statement `COPY … TO STDOUT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The query whose rows are wanted.
    pub query: String,
    /// Byte of the statement at which the query stands; absent where a table is named instead.
    pub query_at: Option<usize>,
    form: Form,
    header: bool,
    delimiter: char,
    quote: char,
    escape: char,
    null: String,
    quote_all: bool,
}

impl Copy {
    /// Reads a statement; `None` if it is another COPY, or has an option that is not known.
    pub fn read(statement: &str) -> Option<Self> {
        let all = tokens(statement);
        let is = |at: usize, wanted: &str| matches!(all.get(at).map(|placed| placed.token), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
        if !is(0, "copy") {
            return None;
        }
        let to = end_of_source(&all)?;
        if !is(to, "to") || !is(to + 1, "stdout") {
            return None;
        }
        let (query, query_at) = source(statement, all.get(1..to)?)?;
        let mut copy = Self {
            query,
            query_at,
            form: Form::Text,
            header: false,
            delimiter: '\t',
            quote: '"',
            escape: '"',
            null: "\\N".to_owned(),
            quote_all: false,
        };
        copy.options(all.get(to + 2..)?)?;
        Some(copy)
    }

    /// `WITH (FORMAT csv, HEADER)` and the older `CSV HEADER`.
    fn options(&mut self, rest: &[Placed<'_>]) -> Option<()> {
        let mut words: Vec<String> = rest
            .iter()
            .map(|placed| match placed.token {
                Token::Word(word) => word.to_ascii_lowercase(),
                Token::Quoted(text) => text.to_owned(),
                Token::Symbol(symbol) => symbol.to_string(),
                Token::Parameter(number) => format!("${number}"),
            })
            .filter(|word| !matches!(word.as_str(), "with" | "(" | ")" | "," | "as" | "format" | "=" | ";" | "e"))
            .collect();
        if words.iter().any(|word| plain(word) == "csv") {
            (self.form, self.delimiter, self.null) = (Form::Csv, ',', String::new());
        } else if words.iter().any(|word| plain(word) == "binary") {
            self.form = Form::Binary;
        }
        words.retain(|word| !matches!(plain(word).as_str(), "csv" | "binary" | "text"));
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            match word.as_str() {
                "header" => {
                    let off = words.next_if(|word| matches!(plain(word).as_str(), "true" | "false" | "on" | "off"));
                    self.header = !off.is_some_and(|word| matches!(plain(&word).as_str(), "false" | "off"));
                }
                "delimiter" | "delimiters" => self.delimiter = one_character(&unquoted(&words.next()?)?)?,
                "quote" => self.quote = one_character(&unquoted(&words.next()?)?)?,
                "escape" => self.escape = one_character(&unquoted(&words.next()?)?)?,
                "null" => self.null = unquoted(&words.next()?)?,
                "encoding" => {
                    let wanted = unquoted(&words.next()?)?.to_ascii_lowercase();
                    if !matches!(wanted.as_str(), "utf8" | "utf-8") {
                        return None;
                    }
                }
                "force_quote" | "force" => {
                    let all = words.find(|word| word != "quote")?;
                    self.quote_all = all == "*";
                    if !self.quote_all {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        Some(())
    }

    fn line_of_names(&self, schema: &arrow::datatypes::Schema) -> Vec<u8> {
        let names: Vec<String> = schema.fields().iter().map(|field| self.cell(Some(field.name()))).collect();
        format!("{}\n", names.join(&self.delimiter.to_string())).into_bytes()
    }

    fn row(&self, columns: &[Column], row: usize) -> Vec<u8> {
        if self.form == Form::Binary {
            let mut out = BytesMut::new();
            out.put_i16(i16::try_from(columns.len()).unwrap_or(i16::MAX));
            for column in columns {
                column.put(row, true, &mut out);
            }
            return out.to_vec();
        }
        let mut line = String::new();
        let mut text = String::new();
        for (at, column) in columns.iter().enumerate() {
            if at > 0 {
                line.push(self.delimiter);
            }
            text.clear();
            let there = column.text_of(row, &mut text);
            line.push_str(&self.cell(there.then_some(text.as_str())));
        }
        line.push('\n');
        line.into_bytes()
    }

    fn cell(&self, value: Option<&str>) -> String {
        let Some(value) = value else { return self.null.clone() };
        if self.form == Form::Csv { self.csv_cell(value) } else { self.text_cell(value) }
    }

    fn csv_cell(&self, value: &str) -> String {
        let special = |c: char| c == self.delimiter || c == self.quote || matches!(c, '\n' | '\r');
        if !(self.quote_all || value == self.null || value == "\\." || value.contains(special)) {
            return value.to_owned();
        }
        let mut out = String::from(self.quote);
        for c in value.chars() {
            if c == self.quote || c == self.escape {
                out.push(self.escape);
            }
            out.push(c);
        }
        out.push(self.quote);
        out
    }

    fn text_cell(&self, value: &str) -> String {
        let mut out = String::with_capacity(value.len());
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{b}' => out.push_str("\\v"),
                '\u{c}' => out.push_str("\\f"),
                c if c == self.delimiter => out.extend(['\\', c]),
                c => out.push(c),
            }
        }
        out
    }
}

/// The position of TO, behind the query in brackets or the table's name.
fn end_of_source(all: &[Placed<'_>]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, placed) in all.iter().enumerate().skip(1) {
        match placed.token {
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') => depth = depth.checked_sub(1)?,
            Token::Word(word) if depth == 0 && word.eq_ignore_ascii_case("to") => return Some(at),
            _ => {}
        }
    }
    None
}

/// The query of `(query)`, `table` or `table (columns)`, and where it stands if it was written.
fn source(statement: &str, tokens: &[Placed<'_>]) -> Option<(String, Option<usize>)> {
    let (first, last) = (tokens.first()?, tokens.last()?);
    if first.token == Token::Symbol('(') {
        return (last.token == Token::Symbol(')'))
            .then(|| Some((statement.get(first.end..last.start)?.to_owned(), Some(first.end))))
            .flatten();
    }
    let open = tokens.iter().find(|placed| placed.token == Token::Symbol('('));
    let name = statement.get(first.start..open.map_or(last.end, |open| open.start))?.trim();
    let columns = open.map_or(Some("*"), |open| statement.get(open.end..last.start))?;
    Some((format!("SELECT {columns} FROM {name}"), None))
}

/// The text of `'x'` or `E'\t'`'s second piece.
fn unquoted(literal: &str) -> Option<String> {
    let inner = literal.strip_prefix('\'')?.strip_suffix('\'')?;
    Some(inner.replace("''", "'").replace("\\t", "\t"))
}

/// A word, whether it is written as one or as a text.
fn plain(word: &str) -> String {
    unquoted(word).unwrap_or_else(|| word.to_owned()).to_ascii_lowercase()
}

fn one_character(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// Sends the rows of a query that has begun; the answer counts them.
pub async fn send<C>(client: &mut C, connection: &Arc<Connection>, copy: &Copy, rows: Cursor) -> PgWireResult<Response>
where
    C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
    C::Error: Debug,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let cancel = connection.begin_query();
    let count = i16::try_from(rows.schema.fields().len()).unwrap_or(i16::MAX);
    let form = i8::from(copy.form == Form::Binary);
    let forms = vec![i16::from(form); rows.schema.fields().len()];
    client.send(PgWireBackendMessage::CopyOutResponse(CopyOutResponse::new(form, count, forms))).await?;
    // The first message also holds what stands before all rows.
    let mut before = match copy.form {
        Form::Binary => b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec(),
        _ if copy.header => copy.line_of_names(&rows.schema),
        _ => Vec::new(),
    };
    if copy.form != Form::Binary && !before.is_empty() {
        client.feed(data(std::mem::take(&mut before))).await?;
    }
    let mut sent = 0;
    loop {
        let batches = tokio::select! {
            () = cancel.cancelled() => return Err(PgWireError::QueryCanceled),
            batches = rows.take(ROWS_AT_ONCE) => batches.map_err(|error| problem::of_warehouse(&error, "", 0))?,
        };
        if batches.is_empty() {
            break;
        }
        for batch in &batches {
            let columns = columns(batch)?;
            for row in 0..batch.num_rows() {
                let mut bytes = std::mem::take(&mut before);
                bytes.extend(copy.row(&columns, row));
                client.feed(data(bytes)).await?;
            }
            sent += batch.num_rows();
        }
    }
    if copy.form == Form::Binary {
        before.extend([0xff, 0xff]);
        client.feed(data(before)).await?;
    }
    client.send(PgWireBackendMessage::CopyDone(CopyDone::new())).await?;
    Ok(Response::Execution(Tag::new("COPY").with_rows(sent)))
}

fn columns(batch: &RecordBatch) -> PgWireResult<Vec<Column>> {
    encode::columns(batch).map_err(|error| problem::of_state("XX000", error.0))
}

fn data(bytes: Vec<u8>) -> PgWireBackendMessage {
    PgWireBackendMessage::CopyData(CopyData::new(Bytes::from(bytes)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_that_clients_write_are_read() {
        let read = |sql: &str| Copy::read(sql).map(|copy| (copy.query.trim().to_owned(), copy.form, copy.header));
        let query = |form, header| Some(("SELECT 1 AS a".to_owned(), form, header));
        assert_eq!(read("COPY (SELECT 1 AS a) TO STDOUT"), query(Form::Text, false));
        assert_eq!(read("COPY  ( SELECT 1 AS a ) TO STDOUT  csv header"), query(Form::Csv, true));
        assert_eq!(read("copy (SELECT 1 AS a) to stdout with (format csv, header false)"), query(Form::Csv, false));
        assert_eq!(read("COPY (SELECT 1 AS a) TO STDOUT (FORMAT binary)"), query(Form::Binary, false));
        assert_eq!(read("COPY (SELECT 1 AS a) TO STDOUT (FORMAT 'csv', HEADER 'TRUE')"), query(Form::Csv, true));
        assert_eq!(
            read("COPY shop.orders (id, name) TO STDOUT CSV"),
            Some(("SELECT id, name FROM shop.orders".to_owned(), Form::Csv, false))
        );
        assert_eq!(read("COPY shop.orders TO STDOUT").unwrap().0, "SELECT * FROM shop.orders");
        for other in [
            "COPY shop.orders FROM STDIN",
            "COPY shop.orders TO '/tmp/x'",
            "COPY (SELECT 1 AS a) TO PROGRAM 'sh'",
            "COPY (SELECT 1 AS a) TO STDOUT (FORMAT parquet)",
            "SELECT 1",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn cells_are_quoted_as_postgresql_does() {
        let csv = Copy::read("COPY t TO STDOUT (FORMAT csv, NULL 'NA', DELIMITER ';')").unwrap();
        for (value, shown) in
            [(Some("a b"), "a b"), (Some("a;\"b"), "\"a;\"\"b\""), (Some("NA"), "\"NA\""), (None, "NA"), (Some(""), "")]
        {
            assert_eq!(csv.cell(value), shown);
        }
        let plain = Copy::read("COPY t TO STDOUT CSV").unwrap();
        assert_eq!((plain.cell(Some("")), plain.cell(None)), ("\"\"".to_owned(), String::new()));
        let text = Copy::read("COPY t TO STDOUT").unwrap();
        assert_eq!((text.cell(Some("a\tb\\\n")), text.cell(None)), ("a\\tb\\\\\\n".to_owned(), "\\N".to_owned()));
    }
}
