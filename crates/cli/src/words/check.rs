//! `naru check`: everything that is wrong with the folder, in one run. Offline unless `--live`.

use std::path::PathBuf;

use clap::Args;
use naru_base::Problem;

use super::Failure;
use crate::{
    adapters::front::Front,
    home,
    running::{letters, sources},
};

/// Read the whole folder and report every problem, touching nothing.
#[derive(Debug, Args)]
pub struct Check {
    /// Also connect to every source and say what would keep it from syncing.
    #[arg(long)]
    live: bool,
    /// Print problems as one JSON array.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let loaded = home::load(place)?;
        let mut problems = loaded.problems;
        let mut notes = loaded.notes;
        if let Some(project) = &loaded.project {
            let known = home::known_tables(project)?;
            let built = naru_flow::Graph::build(project, &Front, &known);
            problems.extend(built.problems);
            problems.extend(home::not_built(project));
            problems.extend(home::refused_columns(project)?);
            notes.extend(built.notes);
            notes.extend(letters::fit_now(project).await);
            if self.live {
                // One whose URL could not be read has its problem already.
                let named =
                    |source: &&naru_project::Source| source.postgres().is_none_or(|p| !p.url.expose().is_empty());
                for source in project.sources.iter().filter(named) {
                    let checked = sources::check_live(source).await;
                    problems.extend(checked.problems);
                    notes.extend(checked.notes);
                }
            }
        }
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        self.print(&problems, &notes)?;
        if problems.is_empty() { Ok(()) } else { Err(Failure::Said) }
    }

    fn print(&self, problems: &[Problem], notes: &[Problem]) -> Result<(), Failure> {
        if self.json {
            let text = serde_json::to_string_pretty(problems)
                .map_err(|error| Problem::from_error("cli.json", "problems could not be printed", &error))?;
            println!("{text}");
            return Ok(());
        }
        for problem in problems {
            println!("{problem}\n");
        }
        for note in notes {
            println!("note: {note}\n");
        }
        match problems.len() {
            0 => println!("no problems"),
            1 => println!("1 problem"),
            many => println!("{many} problems"),
        }
        Ok(())
    }
}
