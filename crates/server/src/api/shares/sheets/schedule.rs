//! Refreshing blocks when their time has come.
//!
//! Owns: the wait between times, and what is due: a time of a schedule that lies after the last one that was acted on.
//! Times that passed while nothing ran are due once.

use std::time::Duration;

use jiff::Timestamp;
use naru_base::time::now_us;
use naru_project::{Schedule, Zone};
use naru_store::shares::{self, Sheet};
use tokio_util::sync::CancellationToken;

use crate::api::shares::Shares;

/// The longest sleep: the wall clock may jump, a share may be made.
const SLEEP: Duration = Duration::from_secs(15);

impl Shares {
    /// Refreshes blocks by their schedules until `stop`.
    pub async fn follow_schedules(self, stop: CancellationToken) {
        if self.inner.google.is_none() {
            return;
        }
        loop {
            self.refresh_due(now_us()).await;
            if stop.run_until_cancelled(tokio::time::sleep(SLEEP)).await.is_none() {
                return;
            }
        }
    }

    /// Starts the refresh of every block that is due.
    async fn refresh_due(&self, now_us: i64) {
        let store = &self.inner.queries.store;
        let all = match store.read(|db| shares::sheets(db, None)).await {
            Ok(all) => all,
            Err(error) => {
                tracing::warn!(%error, "schedules of shares wait");
                return;
            }
        };
        for sheet in all.into_iter().filter(|sheet| is_due(sheet, &self.inner.zone, now_us)) {
            let id = sheet.id;
            if let Err(error) = store.write(move |tx| shares::set_fired(tx, id, now_us)).await {
                tracing::warn!(%error, "a schedule of a share waits");
                continue;
            }
            let shares = self.clone();
            tokio::spawn(async move {
                if let Err(problem) = shares.refresh(id).await {
                    tracing::warn!(share = id, %problem, "a block in Google Sheets stays as it is");
                }
            });
        }
    }
}

/// Whether a time of the schedule has passed since the last one that was acted on.
fn is_due(sheet: &Sheet, zone: &Zone, now_us: i64) -> bool {
    let next = || {
        let schedule = Schedule::parse(&sheet.schedule, zone).ok()?;
        schedule.next_after(Timestamp::from_microsecond(sheet.fired_us).ok()?)
    };
    !sheet.schedule.is_empty() && next().is_some_and(|at| at.as_microsecond() <= now_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_due_once_its_time_has_come_in_the_projects_zone() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_microsecond();
        let zone = Zone::find("Asia/Seoul").unwrap();
        let sheet = |schedule: &str, fired: &str| Sheet {
            id: 1,
            saved: 1,
            who: String::new(),
            sharer: String::new(),
            spreadsheet: String::new(),
            sheet: String::new(),
            at: (0, 0),
            rows_max: 1,
            schedule: schedule.to_owned(),
            block: (0, 0),
            created_us: 0,
            fired_us: at(fired),
            refreshed_us: None,
            rows: None,
            rows_total: None,
            problem: None,
        };
        let nine = sheet("0 9 * * *", "2026-11-22T00:00:00Z");
        assert!(!is_due(&nine, &zone, at("2026-11-22T23:59:59Z")));
        assert!(is_due(&nine, &zone, at("2026-11-23T00:00:00Z")));
        assert!(!is_due(&sheet("0 9 * * *", "2026-11-23T00:00:00Z"), &zone, at("2026-11-23T00:00:01Z")));
        assert!(!is_due(&sheet("", "2026-11-22T00:00:00Z"), &zone, at("2026-11-25T00:00:00Z")));
    }
}
