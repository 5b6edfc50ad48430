//! `naru sql`: runs SQL over the lake, with unflushed rows when a naru is up. Rows go to standard output.

use std::{
    fs::File,
    io::{IsTerminal as _, Write as _},
    os::fd::AsFd as _,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use clap::{Args, ValueEnum};
use naru_access::{
    Policy, Principal,
    audit::{Audit, Door, Origin},
};
use naru_base::Problem;
use naru_server::control::{Client, SqlRequest};
use naru_warehouse::{
    SessionOptions, Warehouse,
    output::{self, Format, RowWriter},
};
use tokio::time::Interval;

use super::{
    Failure,
    interrupt::Interrupt,
    progress::{ProgressLine, Standing},
    sql_elsewhere::{self, Asked},
};
use crate::{
    adapters::tables::LiveTables,
    home::{self, Home},
    logins::Server,
    remote, running,
};

/// How often the line that says how far a query is is drawn.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Run SQL; several statements are separated by semicolons, the last one with rows is printed.
#[derive(Debug, Args)]
pub struct Sql {
    /// The statements; `-` or nothing reads standard input.
    text: Option<String>,
    /// How to print rows; default: table on a terminal, csv otherwise.
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// Dataset of table names without one.
    #[arg(long)]
    dataset: Option<String>,
    /// Most rows to print, or `all`; default: 1000 as a table on a terminal, all otherwise.
    #[arg(long)]
    rows: Option<RowsMax>,
    /// Begin csv with a byte-order mark, by which Excel knows that Hangul is UTF-8.
    #[arg(long)]
    bom: bool,
    /// Ask a naru elsewhere, where `naru login URL` signed you in. Outside of a project folder, the one of your last
    /// `naru login` is asked.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

/// More rows than anybody reads would scroll away what came before them.
const TERMINAL_ROWS: usize = 1_000;

/// How many rows are printed.
#[derive(Debug, Clone, Copy)]
enum RowsMax {
    All,
    First(usize),
}

impl FromStr for RowsMax {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if word == "all" {
            return Ok(Self::All);
        }
        word.parse().map(Self::First).map_err(|_| "a number or `all`".to_owned())
    }
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy)]
struct Print {
    format: Format,
    rows: RowsMax,
    bom: bool,
}

/// What a batch left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Read on.
    Waits,
    /// All rows that were asked for are printed, and there are more.
    HasEnough,
    /// Nobody reads any more: `naru sql … | head` is no failure.
    Gone,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Table,
    Csv,
    Json,
    Ndjson,
    Parquet,
    Xlsx,
}

impl Form {
    fn format(self) -> Format {
        match self {
            Self::Table => Format::Table,
            Self::Csv => Format::Csv,
            Self::Json => Format::Json,
            Self::Ndjson => Format::Ndjson,
            Self::Parquet => Format::Parquet,
            Self::Xlsx => Format::Xlsx,
        }
    }
}

impl Sql {
    /// One that another word asks for: printed for eyes, or as JSON.
    pub(super) fn printing(sql: String, json: bool) -> Self {
        let format = if json { Form::Json } else { Form::Table };
        Self {
            text: Some(sql),
            format: Some(format),
            dataset: None,
            rows: Some(RowsMax::All),
            bom: false,
            server: None,
        }
    }

    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let sql = match self.text.as_deref() {
            None | Some("-") => std::io::read_to_string(std::io::stdin())?,
            Some(text) => text.to_owned(),
        };
        let terminal = std::io::stdout().is_terminal();
        let format = self.format.map_or(if terminal { Format::Table } else { Format::Csv }, Form::format);
        if format.is_binary() && terminal {
            let word = format.word();
            return Err(Failure::Misused(format!("{word} goes into a file or a pipe: add `> rows.{word}`")));
        }
        if self.bom && format != Format::Csv {
            return Err(Failure::Misused("--bom is for csv: add `--format csv`".into()));
        }
        let on_screen = terminal && format == Format::Table;
        let rows = self.rows.unwrap_or(if on_screen { RowsMax::First(TERMINAL_ROWS) } else { RowsMax::All });
        let print = Print { format, rows, bom: self.bom };
        let (root, server) = match (home::find(place), &self.server) {
            (Ok(root), None) => (root, None),
            (_, Some(url)) => (PathBuf::new(), Server::find(Some(url))?),
            (Err(nowhere), None) => match Server::find(None)? {
                Some(server) => (PathBuf::new(), Some(server)),
                None => return Err(nowhere),
            },
        };
        if let Some(server) = server {
            let rows_max = if let RowsMax::First(rows) = rows { Some(rows) } else { None };
            let asked = Asked { sql, dataset: self.dataset, rows_max, format, bom: self.bom };
            return sql_elsewhere::run(&server, asked).await;
        }
        let asked = SqlRequest { sql, default_dataset: self.dataset, time_zone: None };
        let interrupt = Interrupt::listen()?;
        let work = async {
            match remote::find(&root).await? {
                Some(client) => remotely(&client, &asked, print).await,
                None => here(&Home::look(Some(root))?, asked, print).await,
            }
        };
        tokio::select! {
            done = work => done,
            // Dropping the work stops the query, here or in the running naru.
            () = interrupt.pressed() => Err(cancelled()),
        }
    }
}

fn footer(rows: usize, more: bool, zone: &str) {
    if more {
        eprintln!("the first {rows} rows, times in {zone}; `--rows all` prints every one");
    } else if std::io::stderr().is_terminal() {
        eprintln!("{rows} rows, times in {zone}");
    }
}

async fn remotely(client: &Client, asked: &SqlRequest, print: Print) -> Result<(), Failure> {
    let failed = |error: naru_server::ServerError| Failure::from(error.problem());
    let mut answer = client.sql(asked).await.map_err(failed)?;
    tracing::debug!("the query runs");
    let mut rows = Rows::new(print, &answer.schema)?;
    loop {
        let next = tokio::select! {
            next = answer.next() => next,
            _ = rows.tick.tick() => {
                let (read, total) = (answer.rows_read, answer.rows_total);
                rows.line.draw(Standing { rows: read, rows_total: total, spilled: answer.bytes_spilled });
                continue;
            }
        };
        let Some(batch) = next else { break };
        match rows.write(&batch.map_err(failed)?)? {
            Reader::Waits => {}
            Reader::HasEnough => break,
            Reader::Gone => return Ok(()),
        }
    }
    rows.finish(&answer.time_zone)
}

async fn here(home: &Home, asked: SqlRequest, print: Print) -> Result<(), Failure> {
    let store = home.store_for_reading()?;
    let audit = audit(home, store.is_some());
    let lake = home.lake().await?;
    let guard = (Policy::default(), audit.clone());
    let warehouse = running::warehouse(home, &lake, store.as_ref(), LiveTables::default(), guard)?;
    let done = answered(&warehouse, asked, print).await;
    audit.close().await;
    done
}

/// Where a statement is written down while nothing runs: in the state database, if there is one that can be written.
fn audit(home: &Home, there: bool) -> Audit {
    match there.then(|| home.store()) {
        Some(Ok(store)) => Audit::open(store, home.project.settings.audit.ask_why),
        Some(Err(_)) => {
            tracing::warn!("the state database cannot be written, so this statement is not in the audit");
            Audit::none()
        }
        None => Audit::none(),
    }
}

async fn answered(warehouse: &Warehouse, asked: SqlRequest, print: Print) -> Result<(), Failure> {
    let failed = |error: naru_warehouse::WarehouseError| Failure::from(error.problem());
    let options = SessionOptions {
        default_dataset: asked.default_dataset,
        time_zone: asked.time_zone,
        origin: Some(Origin { door: Door::Cli, address: None, client: "naru sql".to_owned() }),
        ..SessionOptions::of(Principal::Owner)
    };
    let session = warehouse.session(options).map_err(failed)?;
    let mut answer = session.run(&asked.sql).await.map_err(failed)?;
    tracing::debug!("the query runs");
    let mut rows = Rows::new(print, &answer.schema)?;
    loop {
        let next = tokio::select! {
            next = answer.next() => next,
            _ = rows.tick.tick() => {
                let seen = answer.progress.seen();
                let (read, total) = (seen.rows_read, seen.rows_total);
                rows.line.draw(Standing { rows: read, rows_total: total, spilled: seen.bytes_spilled });
                continue;
            }
        };
        let Some(batch) = next else { break };
        match rows.write(&batch.map_err(failed)?)? {
            Reader::Waits => {}
            Reader::HasEnough => break,
            Reader::Gone => return Ok(()),
        }
    }
    rows.finish(&answer.time_zone)
}

/// Where an answer goes: rows to standard output, talk to standard error.
struct Rows {
    print: Print,
    schema: SchemaRef,
    /// Begun with the first rows, so that a query that fails before them writes nothing.
    writer: Option<Box<dyn RowWriter>>,
    /// Taken back when the rows do not come to their end.
    file: Option<Unfinished>,
    count: usize,
    max: RowsMax,
    more: bool,
    line: ProgressLine,
    tick: Interval,
}

impl Rows {
    fn new(print: Print, schema: &SchemaRef) -> Result<Self, Failure> {
        // Without an end a Parquet file or a workbook is nothing that could be read.
        let file = if print.format.is_binary() { Unfinished::stdout()? } else { None };
        let (line, tick) = (ProgressLine::begin(), tokio::time::interval(PROGRESS_EVERY));
        let max = print.rows;
        Ok(Self { print, schema: schema.clone(), writer: None, file, count: 0, max, more: false, line, tick })
    }

    fn writer(&mut self) -> Result<&mut Box<dyn RowWriter>, Failure> {
        let begun = if let Some(writer) = self.writer.take() {
            writer
        } else {
            let mut out = std::io::BufWriter::new(std::io::stdout());
            if self.print.bom {
                out.write_all("\u{feff}".as_bytes())?;
            }
            output::writer(self.print.format, &self.schema, out).map_err(|error| Failure::from(error.problem()))?
        };
        Ok(self.writer.insert(begun))
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<Reader, Failure> {
        self.line.clear();
        let room = match self.max {
            RowsMax::All => usize::MAX,
            RowsMax::First(max) => max.saturating_sub(self.count),
        };
        let shown = batch.num_rows().min(room);
        self.more = shown < batch.num_rows();
        self.count += shown;
        match self.writer()?.write(&batch.slice(0, shown)) {
            Err(error) if error.reader_went_away() => Ok(Reader::Gone),
            Err(error) => Err(error.problem().into()),
            Ok(()) if self.more => Ok(Reader::HasEnough),
            Ok(()) => Ok(Reader::Waits),
        }
    }

    fn finish(mut self, zone: &str) -> Result<(), Failure> {
        self.line.clear();
        match self.writer()?.finish() {
            Err(error) if error.reader_went_away() => Ok(()),
            Err(error) => Err(error.problem().into()),
            Ok(()) => {
                self.file = None;
                footer(self.count, self.more, zone);
                Ok(())
            }
        }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        // What the writer holds back goes first, then the file loses all of it.
        drop(self.writer.take());
        if let Some(file) = self.file.take() {
            file.take_back();
        }
    }
}

/// Standard output that is a file, and how long it was before the rows.
struct Unfinished {
    file: File,
    length: u64,
}

impl Unfinished {
    /// `None` if standard output is no file.
    fn stdout() -> std::io::Result<Option<Self>> {
        let file = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
        let about = file.metadata()?;
        Ok(about.is_file().then(|| Self { length: about.len(), file }))
    }

    fn take_back(self) {
        if let Err(error) = self.file.set_len(self.length) {
            tracing::warn!(%error, "the unfinished file could not be emptied");
        }
    }
}

fn cancelled() -> Failure {
    Problem::new("sql.cancelled", "the query was cancelled").into()
}
