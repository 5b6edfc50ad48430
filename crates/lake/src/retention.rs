//! Which versions can still be read, and cleaning the log of the others.
//!
//! Owns: [`Retention`], the rule which log files go (pure), [`Table::clean_log`].
//! Every version younger than [`Retention::exact`] stays readable; older ones keep their last checkpoint of every hour, a
//! restore point, until [`Retention::points`]. Checkpoints in between go after an hour, since each holds the whole table.
//! Never removes data; see [`crate::vacuum`].

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::TryStreamExt;
use naru_base::{Version, failpoint, number::i64_from};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};

use crate::{
    checkpoint::{LogFile, log_file, total},
    error::LakeError,
    table::Table,
};

/// Property that says how long every version stays readable; other tools honour it too.
const EXACT_PROPERTY: &str = "delta.logRetentionDuration";
/// One restore point is kept of each of these.
const POINT_EVERY_MS: i64 = 3_600_000;
/// Another process may be reading a checkpoint that was the newest this long ago.
const CHECKPOINT_MIN_MS: i64 = 3_600_000;

/// How long old versions stay readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Every version, this long.
    pub exact: Duration,
    /// One version an hour, this long.
    pub points: Duration,
}

/// What cleaning a log removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Files of the log that went.
    pub removed: usize,
    /// Files of the log that stay.
    pub kept: usize,
    /// Bytes of those that stay.
    pub bytes: u64,
}

/// A file of the log and when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dated {
    file: LogFile,
    written_ms: i64,
}

impl Retention {
    /// Nothing but the present is kept.
    pub const NONE: Self = Self { exact: Duration::ZERO, points: Duration::ZERO };
    /// Restore points of every table.
    pub const POINTS: Duration = Duration::from_hours(7 * 24);
}

/// Milliseconds of a duration, for subtraction from a time.
pub(crate) fn ms(duration: Duration) -> i64 {
    i64_from(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

impl Table {
    /// What is kept of this table: its own `delta.logRetentionDuration` exactly, restore points for a week.
    pub fn retention(&self) -> Retention {
        let view = self.view();
        let exact = view.properties.get(EXACT_PROPERTY).and_then(|text| interval(text));
        let exact = exact.unwrap_or(Retention::POINTS);
        Retention { exact, points: Retention::POINTS.max(exact) }
    }

    /// Versions that are kept as restore points: older than [`Retention::exact`], each with its checkpoint, and when
    /// they were written in milliseconds since 1970. Oldest first.
    pub async fn restore_points(&self, retention: &Retention) -> Result<Vec<(Version, i64)>, LakeError> {
        let (files, dated) = self.log_files().await?;
        drop(files);
        let cutoff = self.home().clock.now_ms().saturating_sub(ms(retention.exact));
        let mut points = BTreeMap::new();
        for file in dated.iter().filter(|file| file.written_ms < cutoff) {
            if let LogFile::Checkpoint(version) = file.file {
                points.insert(Version(version), file.written_ms);
            }
        }
        Ok(points.into_iter().collect())
    }

    /// Removes log entries and checkpoints that no version within the retention needs.
    ///
    /// # Errors
    /// [`LakeError`]; what was removed until then was not needed either.
    pub async fn clean_log(&self, retention: &Retention) -> Result<Cleaned, LakeError> {
        let _one = self.maintaining().await;
        let (files, dated) = self.log_files().await?;
        let now_ms = self.home().clock.now_ms();
        let gone = expired(&dated, now_ms, retention);
        let (mut cleaned, mut kept) = (Cleaned::default(), Vec::new());
        for (at, file) in files.into_iter().enumerate() {
            if !gone.contains(&at) {
                kept.push(file);
                continue;
            }
            if failpoint::hit("lake.clean_log.before_delete") {
                return Err(LakeError::Failpoint("lake.clean_log.before_delete"));
            }
            match self.home().store.delete(&file.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => cleaned.removed += 1,
                Err(error) => return Err(error.into()),
            }
        }
        (cleaned.kept, cleaned.bytes) = (kept.len(), total(&kept));
        Ok(cleaned)
    }

    /// Entries and checkpoints, oldest first, so that a removal that is cut short leaves no hole.
    async fn log_files(&self) -> Result<(Vec<ObjectMeta>, Vec<Dated>), LakeError> {
        let listed = self.home().store.list(Some(&Path::from("_delta_log")));
        let mut files: Vec<ObjectMeta> =
            listed.try_filter(|file| std::future::ready(log_file(&file.location).is_some())).try_collect().await?;
        files.sort_by(|a, b| a.location.cmp(&b.location));
        let clock = &self.home().clock;
        let dated = |file: &ObjectMeta| {
            let written_ms = clock.written_ms(file.last_modified.timestamp_millis());
            log_file(&file.location).map(|file| Dated { file, written_ms })
        };
        let dated = files.iter().filter_map(dated).collect();
        Ok((files, dated))
    }
}

/// Places of the log files that may go. Pure.
fn expired(files: &[Dated], now_ms: i64, retention: &Retention) -> BTreeSet<usize> {
    let cutoff = now_ms.saturating_sub(ms(retention.exact));
    let entry = |file: &Dated| if let LogFile::Entry(version) = file.file { Some(version) } else { None };
    let checkpoints: BTreeMap<u64, i64> = files
        .iter()
        .filter_map(|file| if let LogFile::Checkpoint(at) = file.file { Some((at, file.written_ms)) } else { None })
        .collect();
    // The state at the cutoff must be readable: from this checkpoint on, every entry stays.
    let at_cutoff = files.iter().filter(|file| file.written_ms <= cutoff).filter_map(entry).max();
    let base = at_cutoff.and_then(|at| checkpoints.range(..=at).next_back()).map(|(version, _)| *version);
    let mut kept: BTreeSet<u64> = checkpoints.keys().rev().take(2).copied().chain(base).collect();
    kept.extend(checkpoints.iter().filter(|(_, at)| **at > now_ms - CHECKPOINT_MIN_MS).map(|(version, _)| *version));
    let points = now_ms.saturating_sub(ms(retention.points.max(retention.exact)));
    let hours: BTreeMap<i64, u64> = checkpoints
        .iter()
        .filter(|(_, at)| **at > points)
        .map(|(version, at)| (at / POINT_EVERY_MS, *version))
        .collect();
    kept.extend(hours.into_values());
    let goes = |file: &Dated| match file.file {
        LogFile::Checkpoint(version) => !kept.contains(&version),
        // The entry of a kept checkpoint says when and why its version came to be.
        LogFile::Entry(version) => {
            file.written_ms <= cutoff && base.is_some_and(|base| version < base) && !kept.contains(&version)
        }
    };
    files.iter().enumerate().filter(|(_, file)| goes(file)).map(|(at, _)| at).collect()
}

/// Reads `interval 24 hours` and its like.
fn interval(text: &str) -> Option<Duration> {
    let text = text.trim().to_ascii_lowercase();
    let mut words = text.strip_prefix("interval ").unwrap_or(&text).split_whitespace();
    let (number, unit) = (words.next()?.parse::<u64>().ok()?, words.next()?);
    let seconds = match unit.trim_end_matches('s') {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        "week" => 604_800,
        _ => return None,
    };
    words.next().is_none().then(|| Duration::from_secs(number.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    /// A commit a minute, a checkpoint every 20.
    fn log(minutes: u64) -> Vec<Dated> {
        let at = |version: u64| i64::try_from(version).unwrap() * MINUTE;
        let entries = (0..=minutes).map(|version| Dated { file: LogFile::Entry(version), written_ms: at(version) });
        let checkpoints = (20..=minutes)
            .step_by(20)
            .map(|version| Dated { file: LogFile::Checkpoint(version), written_ms: at(version) });
        entries.chain(checkpoints).collect()
    }

    fn left(files: &[Dated], now_ms: i64, retention: &Retention) -> Vec<LogFile> {
        let gone = expired(files, now_ms, retention);
        files.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, file)| file.file).collect()
    }

    #[test]
    fn every_version_of_a_day_and_one_an_hour_of_a_week_stay() {
        let days = 10;
        let minutes = days * 24 * 60;
        let now_ms = i64::try_from(minutes).unwrap() * MINUTE;
        let retention = Retention { exact: Duration::from_hours(24), points: Duration::from_hours(7 * 24) };
        let left = left(&log(minutes), now_ms, &retention);
        let cutoff = minutes - 24 * 60;
        assert!((cutoff..=minutes).all(|version| left.contains(&LogFile::Entry(version))), "a version of the last day");
        let points: Vec<u64> = left
            .iter()
            .filter_map(|file| if let LogFile::Checkpoint(at) = file { Some(*at) } else { None })
            .filter(|at| *at < cutoff)
            .collect();
        assert!((6 * 24..=6 * 24 + 1).contains(&points.len()), "{} restore points", points.len());
        assert!(points.iter().all(|at| left.contains(&LogFile::Entry(*at))), "the entry of a restore point");
        let checkpoints = left.iter().filter(|file| matches!(file, LogFile::Checkpoint(_))).count();
        assert!(checkpoints <= 7 * 24 + 5, "{checkpoints} checkpoints");
        let entries = left.iter().filter(|file| matches!(file, LogFile::Entry(_))).count();
        assert!(entries < 24 * 60 + 60 + 6 * 24 + 10, "{entries} entries");
    }

    #[test]
    fn a_log_without_a_checkpoint_before_the_cutoff_stays_whole() {
        let files: Vec<_> = log(600).into_iter().filter(|file| matches!(file.file, LogFile::Entry(_))).collect();
        assert!(expired(&files, 600 * MINUTE, &Retention::NONE).is_empty());
        let young = Retention { exact: Duration::from_hours(24), points: Duration::from_hours(24) };
        let entries = expired(&log(600), 600 * MINUTE, &young);
        let files = log(600);
        assert!(entries.iter().all(|at| matches!(files[*at].file, LogFile::Checkpoint(_))), "no entry of the last day");
    }

    #[test]
    fn intervals_read_as_delta_writes_them() {
        let cases = [
            ("interval 24 hours", Some(86_400)),
            ("INTERVAL 1 week", Some(604_800)),
            ("30 days", Some(2_592_000)),
            ("interval 0 seconds", Some(0)),
            ("interval 1 month", None),
            ("soon", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(interval(text), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
