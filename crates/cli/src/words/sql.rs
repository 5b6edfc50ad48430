//! `naru sql`: runs SQL over the lake, with unflushed rows when a naru is up. Rows go to standard output.

use std::{
    io::{IsTerminal as _, Write},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use naru_base::Problem;
use naru_server::control::{Client, SqlRequest};
use naru_warehouse::{
    SessionOptions,
    output::{self, Format, OutputError, RowWriter},
};

use super::Failure;
use crate::{adapters::tables::LiveTables, home::Home, remote, running};

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
        let home = Home::open(place)?;
        let asked = SqlRequest { sql, default_dataset: self.dataset, time_zone: None };
        match remote::find(&home.project.root).await? {
            Some(client) => remotely(&client, &asked, format).await,
            None => here(&home, asked, format).await,
        }
    }
}

fn printed(result: Result<(), OutputError>) -> Result<(), Failure> {
    match result {
        // `naru sql … | head` is no failure.
        Err(error) if error.reader_went_away() => Ok(()),
        Err(error) => Err(error.problem().into()),
        Ok(()) => Ok(()),
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
    let out = std::io::BufWriter::new(std::io::stdout());
    let mut writer = output::writer(format, &answer.schema, out).map_err(|error| Failure::from(error.problem()))?;
    let mut rows = 0;
    loop {
        let next = tokio::select! {
            next = answer.next() => next,
            _ = tokio::signal::ctrl_c() => return Err(cancelled()),
        };
        let Some(batch) = next else { break };
        let batch = batch.map_err(failed)?;
        rows += batch.num_rows();
        if let Err(error) = writer.write(&batch) {
            return printed(Err(error));
        }
    }
    printed(writer.finish())?;
    footer(rows, &answer.time_zone);
    Ok(())
}

async fn here(home: &Home, asked: SqlRequest, format: Format) -> Result<(), Failure> {
    let store = home.store_for_reading()?;
    let lake = home.lake().await?;
    let warehouse = running::warehouse(home, &lake, store.as_ref(), LiveTables::default())?;
    let failed = |error: naru_warehouse::WarehouseError| Failure::from(error.problem());
    let options = SessionOptions { default_dataset: asked.default_dataset, time_zone: asked.time_zone };
    let session = warehouse.session(options).map_err(failed)?;
    let mut answer = session.run(&asked.sql).await.map_err(failed)?;
    let out = std::io::BufWriter::new(std::io::stdout());
    let mut writer = output::writer(format, &answer.schema, out).map_err(|error| Failure::from(error.problem()))?;
    let rows = drain(&mut answer, &mut *writer).await?;
    printed(writer.finish())?;
    footer(rows, &answer.time_zone);
    std::io::stdout().flush()?;
    Ok(())
}

async fn drain(answer: &mut naru_warehouse::ResultSet, writer: &mut dyn RowWriter) -> Result<usize, Failure> {
    let mut rows = 0;
    loop {
        let next = tokio::select! {
            next = answer.next() => next,
            _ = tokio::signal::ctrl_c() => return Err(cancelled()),
        };
        let Some(batch) = next else { return Ok(rows) };
        let batch = batch.map_err(|error| Failure::from(error.problem()))?;
        rows += batch.num_rows();
        match writer.write(&batch) {
            Err(error) if error.reader_went_away() => return Ok(rows),
            Err(error) => return Err(error.problem().into()),
            Ok(()) => {}
        }
    }
}

fn cancelled() -> Failure {
    Problem::new("sql.cancelled", "the query was cancelled").into()
}
