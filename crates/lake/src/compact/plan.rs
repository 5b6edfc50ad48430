//! Which files are worth rewriting together.
//!
//! Owns: [`plan_compaction`]. Pure; looks at sizes, dead rows and key bounds only.
//!
//! Three reasons, in this order: files with many dead rows; many small files of one size class (so that a row is
//! rewritten once a class, not once a flush); many large files that hold one same key. Days are looked at one by one; one
//! that got no rows for a while is joined to as few files as there can be.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use datafusion::common::ScalarValue;
use naru_base::number::f64_from;

use crate::{
    compact::CompactionLimits,
    retention::ms,
    view::{ColumnBounds, FileId, FileView, TableView},
};

/// Bytes of the smallest size class; each further class is eight times as large.
const SMALLEST_CLASS_BYTES: u64 = 64 << 10;
const CLASS_FACTOR: u64 = 8;

/// Groups of files worth rewriting together at this time, most useful first; no file twice, and no files of two days.
/// Pure.
pub fn plan_compaction(view: &TableView, limits: &CompactionLimits, now_ms: i64) -> Vec<Vec<FileId>> {
    let mut days: BTreeMap<Option<i32>, Vec<&Arc<FileView>>> = BTreeMap::new();
    for file in view.files.iter() {
        days.entry(file.day).or_default().push(file);
    }
    let (mut dying, mut small, mut crowds) = (Vec::new(), Vec::new(), Vec::new());
    for files in days.into_values() {
        let (mut dead, rest): (Vec<_>, Vec<_>) = files
            .into_iter()
            .partition(|file| dead_share(file) >= bound(file, limits, now_ms) && file.deleted.is_some());
        by_key(view, &mut dead);
        pack(&dead, limits, 1, &mut dying);
        let (little, large): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|file| file.size < limits.target_file_bytes / 2 && fits(file, limits));
        join_small(view, little, limits, now_ms, &mut small);
        pack(&crowded(view, &large, limits.files_min), limits, 2, &mut crowds);
    }
    dying.into_iter().chain(small).chain(crowds).collect()
}

/// Groups of small files of one size class; of a day at rest, all of them.
fn join_small(
    view: &TableView,
    mut files: Vec<&Arc<FileView>>,
    limits: &CompactionLimits,
    now_ms: i64,
    groups: &mut Vec<Vec<FileId>>,
) {
    let rests = |file: &&Arc<FileView>| now_ms.saturating_sub(file.modified_ms) >= ms(limits.rest_age);
    if view.partition_column().is_some() && files.iter().all(rests) {
        by_key(view, &mut files);
        return pack(&files, limits, 2, groups);
    }
    let mut classes: BTreeMap<u32, Vec<&Arc<FileView>>> = BTreeMap::new();
    for file in files {
        classes.entry(class(file.size)).or_default().push(file);
    }
    for mut files in classes.into_values().filter(|files| files.len() >= limits.files_min) {
        by_key(view, &mut files);
        pack(&files, limits, limits.files_min, groups);
    }
}

/// The share of dead rows at which a file is rewritten.
fn bound(file: &FileView, limits: &CompactionLimits, now_ms: i64) -> f64 {
    let hot = now_ms.saturating_sub(file.modified_ms) < ms(limits.hot_age);
    if hot { limits.dead_ratio.max(limits.hot_dead_ratio) } else { limits.dead_ratio }
}

fn dead_share(file: &FileView) -> f64 {
    f64_from(file.rows - file.live_rows()) / f64_from(file.rows.max(1))
}

fn fits(file: &FileView, limits: &CompactionLimits) -> bool {
    file.size <= limits.group_bytes_max && file.rows <= limits.group_rows_max
}

fn class(bytes: u64) -> u32 {
    let mut class = 0;
    let mut limit = SMALLEST_CLASS_BYTES;
    while bytes >= limit {
        class += 1;
        limit = limit.saturating_mul(CLASS_FACTOR);
    }
    class
}

fn bounds<'a>(view: &TableView, file: &'a FileView) -> Option<&'a ColumnBounds> {
    file.stats.bounds.get(view.key.first()?)
}

fn order(a: &ScalarValue, b: &ScalarValue) -> Ordering {
    a.partial_cmp(b).unwrap_or(Ordering::Equal)
}

/// Neighbours in what rows are sorted by stand together; without bounds the order stays that of the file numbers.
fn by_key(view: &TableView, files: &mut [&Arc<FileView>]) {
    let first = super::order(view).into_iter().next();
    let bounds = |file: &Arc<FileView>| first.as_ref().and_then(|name| file.stats.bounds.get(name)).cloned();
    files.sort_by(|a, b| match (bounds(a), bounds(b)) {
        (Some(a), Some(b)) => order(&a.min, &b.min),
        _ => a.id.cmp(&b.id),
    });
}

/// Cuts a list into groups within the limits; groups of fewer than `least` files are not worth it.
fn pack(files: &[&Arc<FileView>], limits: &CompactionLimits, least: usize, groups: &mut Vec<Vec<FileId>>) {
    let (mut group, mut bytes, mut rows) = (Vec::new(), 0, 0);
    for file in files.iter().filter(|file| fits(file, limits)) {
        if bytes + file.size > limits.group_bytes_max || rows + file.rows > limits.group_rows_max {
            keep(std::mem::take(&mut group), least, groups);
            (bytes, rows) = (0, 0);
        }
        group.push(file.id);
        bytes += file.size;
        rows += file.rows;
    }
    keep(group, least, groups);
}

fn keep(group: Vec<FileId>, least: usize, groups: &mut Vec<Vec<FileId>>) {
    if group.len() >= least.max(1) {
        groups.push(group);
    }
}

/// The files around the key that most files hold, if those are at least `files_min`.
fn crowded<'a>(view: &TableView, files: &[&'a Arc<FileView>], files_min: usize) -> Vec<&'a Arc<FileView>> {
    let ranges: Vec<(&Arc<FileView>, &ColumnBounds)> =
        files.iter().filter_map(|file| Some((*file, bounds(view, file)?))).collect();
    let holding = |key: &ScalarValue| {
        ranges
            .iter()
            .filter(|(_, range)| {
                order(&range.min, key) != Ordering::Greater && order(&range.max, key) != Ordering::Less
            })
            .map(|(file, _)| *file)
            .collect::<Vec<_>>()
    };
    // The deepest point is always some file's lower bound.
    let deepest = ranges.iter().map(|(_, range)| holding(&range.min)).max_by_key(Vec::len).unwrap_or_default();
    if deepest.len() >= files_min.max(2) { deepest } else { Vec::new() }
}
