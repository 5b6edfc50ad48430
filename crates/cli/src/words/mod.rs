//! The words a user types.
//!
//! Owns: the grammar of the command line and the failure type whose exit status scripts rely on.
//! Never does a word's work itself; each has its file.

mod check;
pub mod compare;
mod graph;
mod init;
mod runs;
mod sql;
mod status;
mod sync;
mod token;
pub mod up;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use naru_base::Problem;

/// The whole data pipeline of a company in one program and one folder of text files.
#[derive(Debug, Parser)]
#[command(name = "naru", version, disable_help_subcommand = true)]
pub struct Arguments {
    /// The project folder; default: the nearest parent folder with a naru.toml.
    #[arg(long, short = 'C', global = true, value_name = "DIR")]
    project: Option<PathBuf>,
    #[command(subcommand)]
    word: Word,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Make a project folder.
    Init(init::Init),
    /// Read the whole folder and report every problem, touching nothing.
    Check(check::Check),
    /// Run everything: sync, schedules, servers. Ctrl-C stops cleanly.
    Up(up::Up),
    /// A throw-away company: its own database under load, marts, a live page.
    Demo(crate::demo::Demo),
    /// One line per table and mart: state, freshness, last error, next step.
    Status(status::Status),
    /// Run SQL.
    Sql(sql::Sql),
    /// Look after synced sources.
    #[command(subcommand)]
    Sync(sync::Sync),
    /// Compare source and lake at one same commit: rows and hash.
    Compare(compare::Compare),
    /// Run marts now, in dependency order.
    Run(runs::Run),
    /// Go on where a failed run stopped.
    Resume(runs::Resume),
    /// Show how marts depend on each other.
    Graph(graph::Graph),
    /// Make and list tokens.
    #[command(subcommand)]
    Token(token::Token),
}

impl Arguments {
    /// What is logged unless `NARU_LOG` says otherwise: only `up` talks about its work.
    pub fn log_filter(&self) -> &'static str {
        match self.word {
            Word::Up(_) => {
                "info,datafusion=warn,delta_kernel=warn,buoyant_kernel=warn,deltalake_core=warn,deltalake=warn"
            }
            _ => "warn,datafusion=error,delta_kernel=error,buoyant_kernel=error,deltalake_core=error",
        }
    }
}

/// Why a word ended without doing what was asked.
#[derive(Debug)]
pub enum Failure {
    /// It failed; problems say why. Exit status 1.
    Problems(Vec<Problem>),
    /// It was misused. Exit status 2.
    Misused(String),
    /// It did its work and the answer is "no" (`check` found mistakes that it has printed). Exit status 1.
    Said,
}

impl Failure {
    /// Prints the reason on standard error and gives the exit status.
    pub fn print(self) -> ExitCode {
        match self {
            Self::Problems(problems) => {
                for problem in problems {
                    eprintln!("{problem}");
                }
                ExitCode::FAILURE
            }
            Self::Misused(reason) => {
                eprintln!("{reason}");
                ExitCode::from(2)
            }
            Self::Said => ExitCode::FAILURE,
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problems(vec![problem])
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Problem::from_error("cli.io", "reading or writing failed", &error).into()
    }
}

/// Does what was typed.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let place = arguments.project;
    match arguments.word {
        Word::Init(word) => word.run(place),
        Word::Check(word) => word.run(place).await,
        Word::Up(word) => word.run(place).await,
        Word::Demo(word) => word.run().await,
        Word::Status(word) => word.run(place).await,
        Word::Sql(word) => word.run(place).await,
        Word::Sync(word) => word.run(place).await,
        Word::Compare(word) => word.run(place).await,
        Word::Run(word) => word.run(place).await,
        Word::Resume(word) => word.run(place).await,
        Word::Graph(word) => word.run(place),
        Word::Token(word) => word.run(place).await,
    }
}
