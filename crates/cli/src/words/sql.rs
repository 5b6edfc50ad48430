//! `naru sql`: runs SQL over the lake, with unflushed rows when a naru is up. Rows go to standard output.

use std::{io::IsTerminal as _, path::PathBuf, time::Duration};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use clap::{Args, ValueEnum};
use naru_access::Principal;
use naru_base::Problem;
use naru_server::control::{Client, SqlRequest};
use naru_warehouse::{
    SessionOptions,
    output::{self, Format, RowWriter},
};
use tokio::time::Interval;

use super::{
    Failure,
    interrupt::Interrupt,
    progress::{ProgressLine, Standing},
};
use crate::{
    adapters::tables::LiveTables,
    home::{self, Home},
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
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Table,
    Csv,
    Json,
    Ndjson,
    Parquet,
}

impl Form {
    fn format(self) -> Format {
        match self {
            Self::Table => Format::Table,
            Self::Csv => Format::Csv,
            Self::Json => Format::Json,
            Self::Ndjson => Format::Ndjson,
            Self::Parquet => Format::Parquet,
        }
    }
}

impl Sql {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let sql = match self.text.as_deref() {
            None | Some("-") => std::io::read_to_string(std::io::stdin())?,
            Some(text) => text.to_owned(),
        };
        let terminal = std::io::stdout().is_terminal();
        let format = self.format.map_or(if terminal { Format::Table } else { Format::Csv }, Form::format);
        if format.is_binary() && terminal {
            return Err(Failure::Misused("parquet goes into a file or a pipe: add `> rows.parquet`".into()));
        }
        let root = home::find(place)?;
        let asked = SqlRequest { sql, default_dataset: self.dataset, time_zone: None };
        let interrupt = Interrupt::listen()?;
        let work = async {
            match remote::find(&root).await? {
                Some(client) => remotely(&client, &asked, format).await,
                None => here(&Home::look(Some(root))?, asked, format).await,
            }
        };
        tokio::select! {
            done = work => done,
            // Dropping the work stops the query, here or in the running naru.
            () = interrupt.pressed() => Err(cancelled()),
        }
    }
}

fn footer(rows: usize, zone: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("{rows} rows, times in {zone}");
    }
}

async fn remotely(client: &Client, asked: &SqlRequest, format: Format) -> Result<(), Failure> {
    let failed = |error: naru_server::ServerError| Failure::from(error.problem());
    let mut answer = client.sql(asked).await.map_err(failed)?;
    tracing::debug!("the query runs");
    let mut rows = Rows::new(format, &answer.schema)?;
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
        if !rows.write(&batch.map_err(failed)?)? {
            return Ok(());
        }
    }
    rows.finish(&answer.time_zone)
}

async fn here(home: &Home, asked: SqlRequest, format: Format) -> Result<(), Failure> {
    let store = home.store_for_reading()?;
    let lake = home.lake().await?;
    let warehouse = running::warehouse(home, &lake, store.as_ref(), LiveTables::default())?;
    let failed = |error: naru_warehouse::WarehouseError| Failure::from(error.problem());
    let options = SessionOptions {
        default_dataset: asked.default_dataset,
        time_zone: asked.time_zone,
        ..SessionOptions::of(Principal::Owner)
    };
    let session = warehouse.session(options).map_err(failed)?;
    let mut answer = session.run(&asked.sql).await.map_err(failed)?;
    tracing::debug!("the query runs");
    let mut rows = Rows::new(format, &answer.schema)?;
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
        if !rows.write(&batch.map_err(failed)?)? {
            return Ok(());
        }
    }
    rows.finish(&answer.time_zone)
}

/// Where an answer goes: rows to standard output, talk to standard error.
struct Rows {
    writer: Box<dyn RowWriter>,
    count: usize,
    line: ProgressLine,
    tick: Interval,
}

impl Rows {
    fn new(format: Format, schema: &SchemaRef) -> Result<Self, Failure> {
        let out = std::io::BufWriter::new(std::io::stdout());
        let writer = output::writer(format, schema, out).map_err(|error| Failure::from(error.problem()))?;
        Ok(Self { writer, count: 0, line: ProgressLine::begin(), tick: tokio::time::interval(PROGRESS_EVERY) })
    }

    /// `false` when nobody reads any more: `naru sql … | head` is no failure.
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, Failure> {
        self.line.clear();
        self.count += batch.num_rows();
        match self.writer.write(batch) {
            Err(error) if error.reader_went_away() => Ok(false),
            Err(error) => Err(error.problem().into()),
            Ok(()) => Ok(true),
        }
    }

    fn finish(mut self, zone: &str) -> Result<(), Failure> {
        self.line.clear();
        match self.writer.finish() {
            Err(error) if error.reader_went_away() => Ok(()),
            Err(error) => Err(error.problem().into()),
            Ok(()) => {
                footer(self.count, zone);
                Ok(())
            }
        }
    }
}

fn cancelled() -> Failure {
    Problem::new("sql.cancelled", "the query was cancelled").into()
}
