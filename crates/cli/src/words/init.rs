//! `naru init`: makes a project folder. Never overwrites anything.

use std::path::PathBuf;

use clap::Args;
use naru_project::InitOptions;

use super::Failure;

/// Make a project folder in an empty or new folder.
#[derive(Debug, Args)]
pub struct Init {
    /// The folder; default: the present one.
    dir: Option<PathBuf>,
    /// The project's name; default: the folder's.
    #[arg(long)]
    name: Option<String>,
    /// The time zone of schedules and partitions, for example Asia/Seoul; default UTC.
    #[arg(long)]
    timezone: Option<String>,
}

impl Init {
    pub(super) fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let folder = self.dir.or(place).unwrap_or_else(|| PathBuf::from("."));
        let options = InitOptions { name: self.name, timezone: self.timezone };
        let written = naru_project::init(&folder, &options).map_err(|mistake| Failure::from(mistake.problem()))?;
        for file in written {
            println!("{}", folder.join(file).display());
        }
        eprintln!("next: describe a database in sources/NAME.toml, then `naru check` and `naru up`");
        Ok(())
    }
}
