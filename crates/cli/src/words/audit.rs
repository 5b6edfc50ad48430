//! `naru audit`: whether the chain of the audit is whole. Its rows are the table `naru.audit`.

use std::path::PathBuf;

use clap::Subcommand;
use naru_access::audit::{Audit, chain};
use naru_base::Problem;

use super::Failure;
use crate::home::{self, Home};

/// Check the audit; `naru sql "SELECT * FROM naru.audit"` reads it.
#[derive(Debug, Subcommand)]
pub enum AuditWord {
    /// Walk the chain of hashes and say where it is broken.
    Verify {
        /// A row and its hash that were kept elsewhere, as the log says them: `1234:9f86…`.
        #[arg(long, value_name = "ROW:HASH")]
        head: Option<String>,
    },
}

impl AuditWord {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let Self::Verify { head } = self;
        let known = head.map(|head| parse(&head)).transpose()?;
        let home = Home::look(Some(home::find(place)?))?;
        let Some(store) = home.store_for_reading()? else {
            println!("nothing has ever run here, so there is no audit");
            return Ok(());
        };
        let verdict = Audit::verify_in(&store, known).await.map_err(|error| Failure::from(error.problem()))?;
        if let Some(head) = &verdict.head {
            println!("{} rows are as they were written; head {}:{}", verdict.rows, head.id, head.hash);
        } else if verdict.broken.is_none() {
            println!("the audit has no rows yet");
        }
        match verdict.broken {
            None => Ok(()),
            Some(broken) => {
                let problem = Problem::new("audit.broken", format!("row {} of the audit {}", broken.id, broken.why))
                    .detail("Somebody wrote to .naru/naru.db behind naru's back, or the disk did.")
                    .hint("Compare with a copy of the folder, and with the heads of the audit in the log.");
                Err(problem.into())
            }
        }
    }
}

fn parse(head: &str) -> Result<chain::Head, Failure> {
    let parsed = head.split_once(':').and_then(|(id, hash)| {
        let sound = hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit());
        let id = id.parse().ok()?;
        sound.then(|| chain::Head { id, hash: hash.to_lowercase() })
    });
    parsed.ok_or_else(|| Failure::Misused("--head takes ROW:HASH with 64 hexadecimal digits".into()))
}
