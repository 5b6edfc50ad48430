//! The words a user types.
//!
//! Owns: the grammar of the command line.
//! Never does a word's work itself; each has its file.

mod access;
mod audit;
mod check;
pub mod compare;
mod console;
mod dead;
mod forward;
mod graph;
mod history;
mod init;
mod interrupt;
pub mod lake;
mod login;
mod progress;
mod publish;
mod runs;
mod schedule;
mod sql;
mod sql_elsewhere;
mod status;
mod steps;
mod sync;
mod token;
mod token_settings;
mod topic;
mod topic_lines;
pub mod up;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use crate::failure::Failure;

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
    /// Print a link that opens the console.
    Console(console::Console),
    /// One line per table and mart: state, freshness, last error, next step.
    Status(status::Status),
    /// Run SQL.
    Sql(sql::Sql),
    /// Look after synced sources.
    #[command(subcommand)]
    Sync(sync::Sync),
    /// Publish lines of JSON to a topic.
    Publish(publish::Publish),
    /// Look at events that did not fit, mend them and try them again.
    #[command(subcommand)]
    Dead(dead::Dead),
    /// Look after topics.
    #[command(subcommand)]
    Topic(topic::Topic),
    /// Compare source and lake at one same commit: rows and hash.
    Compare(compare::Compare),
    /// Join small files and leave dead rows out.
    Compact(lake::Compact),
    /// Remove what no version that can still be read needs.
    Vacuum(lake::Vacuum),
    /// Run marts now, in dependency order.
    Run(runs::Run),
    /// Go on where a failed run stopped.
    Resume(runs::Resume),
    /// Publish an earlier result of a mart again.
    Rollback(runs::Rollback),
    /// Show what was run: when, why, by whom, and how it ended.
    Runs(history::Runs),
    /// Stop the schedules of marts, and let them go on.
    #[command(subcommand)]
    Schedule(schedule::Schedule),
    /// Show how marts depend on each other.
    Graph(graph::Graph),
    /// Make and list tokens.
    #[command(subcommand)]
    Token(token::Token),
    /// Sign in at a naru elsewhere.
    Login(login::LoginWord),
    /// Look at rights and change them.
    #[command(subcommand)]
    Access(access::Access),
    /// Check the audit.
    #[command(subcommand)]
    Audit(audit::AuditWord),
}

impl Arguments {
    /// What is logged unless `NARU_LOG` says otherwise: only `up` talks about its work.
    pub fn log_filter(&self) -> &'static str {
        match self.word {
            // The kernel also reads the statistics of files that a rebuild has replaced, under the columns of now, and warns
            // of what does not fit; naru reads those of present files only, and by itself.
            Word::Up(_) => {
                "info,datafusion=warn,delta_kernel=warn,buoyant_kernel=warn,deltalake_core=warn,deltalake=warn,\
                 buoyant_kernel::engine::arrow_expression=error"
            }
            _ => "warn,datafusion=error,delta_kernel=error,buoyant_kernel=error,deltalake_core=error",
        }
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
        Word::Console(word) => word.run(place).await,
        Word::Status(word) => word.run(place).await,
        Word::Sql(word) => word.run(place).await,
        Word::Sync(word) => word.run(place).await,
        Word::Publish(word) => word.run(place).await,
        Word::Dead(word) => word.run(place).await,
        Word::Topic(word) => word.run(place).await,
        Word::Compare(word) => word.run(place).await,
        Word::Compact(word) => word.run(place).await,
        Word::Vacuum(word) => word.run(place).await,
        Word::Run(word) => word.run(place).await,
        Word::Resume(word) => word.run(place).await,
        Word::Rollback(word) => word.run(place).await,
        Word::Runs(word) => word.run(place).await,
        Word::Schedule(word) => word.run(place).await,
        Word::Graph(word) => word.run(place).await,
        Word::Token(word) => word.run(place).await,
        Word::Login(word) => word.run().await,
        Word::Access(word) => word.run(place).await,
        Word::Audit(word) => word.run(place).await,
    }
}
