//! The unflushed tail of a table: new rows in segments, and dead rows of committed files.
//!
//! Owns: [`Tail`] and its algebra: kill, append, clear, subtract what was committed, follow a compaction.
//! Never reads a file. A clone is a snapshot that costs little and shares what is large.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::{error::ArrowError, record_batch::RecordBatch};
use roaring::RoaringTreemap;

use crate::{
    compact::RowMap,
    index::Position,
    stage::StagedFile,
    view::{FileId, TableView},
};

use super::segment::Segment;

/// So many dead rows of one committed file are added together.
const TOGETHER_MIN: usize = 1024;

/// Dead rows of one committed file.
#[derive(Debug, Clone, Default)]
struct Dead {
    /// Committed and uncommitted ones, as readers need them.
    all: Arc<RoaringTreemap>,
    /// Only those that no commit holds yet.
    pending: Arc<RoaringTreemap>,
}

/// What was applied and is not committed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail {
    /// In order of file number.
    segments: Vec<Segment>,
    /// The segments that take new rows, one a day where the table is partitioned by day.
    open: BTreeMap<Option<i32>, FileId>,
    dead: Arc<HashMap<FileId, Dead>>,
    /// Every committed row is gone.
    cleared: bool,
    /// Counts truncates, so that a commit knows whether one came after it was frozen.
    truncates: u64,
}

impl Tail {
    /// Whether there is nothing to commit.
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.dead.is_empty() && !self.cleared
    }

    /// Whether committed rows are all gone.
    pub(crate) fn cleared(&self) -> bool {
        self.cleared
    }

    /// All segments, in order of file number.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The segment with this file number.
    pub(crate) fn segment(&self, file: FileId) -> Option<&Segment> {
        self.place(file).and_then(|at| self.segments.get(at))
    }

    fn place(&self, file: FileId) -> Option<usize> {
        self.segments.binary_search_by_key(&file, |segment| segment.file).ok()
    }

    /// The segments that take new rows.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Segment> {
        self.open.values().filter_map(|file| self.segment(*file))
    }

    /// The largest open segment, when all open ones hold more than `most` bytes.
    pub(crate) fn overfull(&self, most: usize) -> Option<&Segment> {
        let bytes: usize = self.open().map(Segment::bytes).sum();
        self.open().max_by_key(|segment| segment.bytes()).filter(|_| bytes > most)
    }

    /// Days that have rows here, beyond the first.
    pub(crate) fn further_days(&self) -> usize {
        let mut days: Vec<_> = self.segments.iter().map(|segment| segment.day).collect();
        days.sort_unstable();
        days.dedup();
        days.len().saturating_sub(1)
    }

    /// How often the table was truncated: tells two states of one tail apart.
    pub(crate) fn truncates(&self) -> u64 {
        self.truncates
    }

    /// Later rows go to another segment than this one.
    pub(crate) fn seal(&mut self, file: FileId) {
        self.open.retain(|_, open| *open != file);
    }

    /// Later rows go to a new segment.
    pub(crate) fn seal_all(&mut self) {
        self.open.clear();
    }

    /// Bytes of memory held by rows and by dead-row marks.
    pub(crate) fn bytes(&self) -> usize {
        let rows: usize = self.segments.iter().map(Segment::bytes).sum();
        rows + self.dead.values().map(|dead| dead.pending.serialized_size()).sum::<usize>()
    }

    /// New rows that count, and dead committed rows.
    pub(crate) fn changes(&self) -> u64 {
        let rows: u64 = self.segments.iter().map(Segment::live_rows).sum();
        rows + self.dead.values().map(|dead| dead.pending.len()).sum::<u64>() + u64::from(self.cleared)
    }

    /// Committed files with rows that die with the next commit.
    pub(crate) fn files_touched(&self) -> usize {
        self.dead.len()
    }

    /// About how many bytes the vectors of the next commit take: two a dead row, at most a bit for each row.
    pub(crate) fn vector_bytes(&self, base: &TableView) -> u64 {
        let bytes = |(file, dead): (&FileId, &Dead)| {
            let rows = base.file(*file).map_or(0, |file| file.rows);
            dead.all.len().saturating_mul(2).min(rows / 8)
        };
        self.dead.iter().map(bytes).sum()
    }

    /// Whether the row exists and counts.
    pub(crate) fn is_live(&self, base: &TableView, at: Position) -> bool {
        let file = FileId(at.file);
        if let Some(segment) = self.segment(file) {
            return segment.is_live(at.row);
        }
        if self.cleared {
            return false;
        }
        let row = u64::from(at.row);
        match (self.dead.get(&file), base.file(file)) {
            (_, None) => false,
            (Some(dead), Some(view)) => row < view.rows && !dead.all.contains(row),
            (None, Some(view)) => row < view.rows && !view.deleted.as_ref().is_some_and(|dead| dead.contains(row)),
        }
    }

    /// The row no longer counts. Only for rows that are live.
    pub(crate) fn kill(&mut self, base: &TableView, at: Position) {
        let file = FileId(at.file);
        if let Some(segment) = self.place(file).and_then(|place| self.segments.get_mut(place)) {
            segment.kill(at.row);
        } else if let Some(view) = base.file(file).filter(|_| !self.cleared) {
            let dead = Arc::make_mut(&mut self.dead)
                .entry(file)
                .or_insert_with(|| Dead { all: view.deleted.clone().unwrap_or_default(), pending: Arc::default() });
            Arc::make_mut(&mut dead.all).insert(u64::from(at.row));
            Arc::make_mut(&mut dead.pending).insert(u64::from(at.row));
        }
    }

    /// These rows no longer count. Only for rows that are live.
    pub(crate) fn kill_all(&mut self, base: &TableView, mut rows: Vec<Position>) {
        rows.sort_unstable();
        for same in rows.chunk_by(|one, next| one.file == next.file) {
            let file = same.first().map(|at| FileId(at.file)).filter(|file| self.place(*file).is_none());
            match file.filter(|_| same.len() >= TOGETHER_MIN) {
                // One row after another would search the whole bitmap again for each.
                Some(file) => self.kill_rows(base, file, &same.iter().map(|at| u64::from(at.row)).collect()),
                None => same.iter().for_each(|at| self.kill(base, *at)),
            }
        }
    }

    /// These rows of a committed file no longer count.
    pub(crate) fn kill_rows(&mut self, base: &TableView, file: FileId, rows: &RoaringTreemap) {
        let Some(view) = base.file(file).filter(|_| !self.cleared) else { return };
        let dead = Arc::make_mut(&mut self.dead)
            .entry(file)
            .or_insert_with(|| Dead { all: view.deleted.clone().unwrap_or_default(), pending: Arc::default() });
        *Arc::make_mut(&mut dead.all) |= rows;
        *Arc::make_mut(&mut dead.pending) |= rows;
    }

    /// Takes segments over from elsewhere; none of them takes further rows.
    pub(crate) fn adopt(&mut self, segments: Vec<Segment>) {
        self.segments.extend(segments.into_iter().filter(|segment| segment.live_rows() > 0));
        self.segments.sort_by_key(|segment| segment.file);
    }

    /// Gives its segments away.
    pub(crate) fn into_segments(self) -> Vec<Segment> {
        self.segments
    }

    /// Adds rows of one day behind the last of its open segment, or to a new segment, and gives the first one's position.
    pub(crate) fn append(
        &mut self,
        day: Option<i32>,
        rows: RecordBatch,
        reserve: impl FnOnce() -> FileId,
    ) -> Result<Position, ArrowError> {
        let open = self.open.get(&day).and_then(|file| self.place(*file));
        let open = open.filter(|at| self.segments.get(*at).is_some_and(|segment| segment.takes(rows.num_rows())));
        let at = open.unwrap_or_else(|| {
            let file = reserve();
            self.open.insert(day, file);
            let at = self.segments.partition_point(|segment| segment.file < file);
            self.segments.insert(at, Segment::new(file, day));
            at
        });
        let Some(segment) = self.segments.get_mut(at) else {
            return Err(ArrowError::InvalidArgumentError("a segment vanished".to_owned()));
        };
        let row = segment.push(rows)?;
        Ok(Position { file: segment.file.0, row })
    }

    /// Puts `new` in place of the segment `old`; without `new` it just goes.
    pub(crate) fn replace(&mut self, old: FileId, new: Option<Segment>) {
        self.segments.retain(|segment| segment.file != old);
        self.segments.extend(new);
        self.segments.sort_by_key(|segment| segment.file);
        self.seal(old);
    }

    /// The first `rows` rows of the segment `old` are from now on in `new`, under other numbers: `kept[i]` is the old
    /// number of row `i` of `new`. What died here since stays dead; later rows of `old` stay where they are.
    pub(crate) fn split(&mut self, old: FileId, rows: u32, kept: &[u32], mut new: Segment) {
        let Some(segment) = self.place(old).and_then(|at| self.segments.get_mut(at)) else { return };
        for (row, was) in (0..).zip(kept) {
            if !segment.is_live(*was) {
                new.kill(row);
            }
        }
        let longer = segment.rows() > rows;
        if longer {
            for was in kept {
                segment.kill(*was);
            }
        } else {
            self.replace(old, None);
        }
        // Without a row there would be no commit that takes it away again.
        if new.rows() > 0 {
            let at = self.segments.partition_point(|segment| segment.file < new.file);
            self.segments.insert(at, new);
        }
    }

    /// The rows of a segment in memory are now in this Parquet file. Nothing happens when the tail has gone on with
    /// other rows under the segment's number, or without it.
    pub(crate) fn staged(&mut self, was: &Segment, file: &StagedFile) {
        let place = self.place(was.file).and_then(|at| self.segments.get_mut(at));
        if let Some(segment) = place.filter(|segment| segment.holds_rows_of(was)) {
            segment.became(file.clone());
            self.seal(was.file);
        }
    }

    /// Every row is gone: committed files with the next commit, the tail at once.
    pub(crate) fn clear(&mut self) {
        *self = Self { cleared: true, truncates: self.truncates + 1, ..Self::default() };
    }

    /// Dead rows of committed files that no commit holds yet.
    pub(crate) fn pending(&self) -> impl Iterator<Item = (FileId, &RoaringTreemap)> {
        self.dead.iter().map(|(file, dead)| (*file, dead.pending.as_ref()))
    }

    /// What readers see: committed files without their dead rows, and the tail.
    pub(crate) fn view(&self, base: &Arc<TableView>) -> Arc<TableView> {
        if self.is_empty() {
            return Arc::clone(base);
        }
        let staged: Vec<_> = self.segments.iter().filter_map(Segment::file_view).collect();
        let mut view = if self.cleared {
            base.with_files(staged)
        } else {
            let view = base.with_deleted(self.dead.iter().map(|(file, dead)| (*file, Arc::clone(&dead.all))));
            if staged.is_empty() { view } else { view.with_files(view.files.iter().cloned().chain(staged).collect()) }
        };
        let rows: Vec<_> = self.segments.iter().flat_map(Segment::tail_batches).collect();
        if !rows.is_empty() {
            view = view.with_tail(rows);
        }
        Arc::new(view)
    }

    /// Takes away what a commit made from `frozen`, an earlier state of this tail, holds.
    ///
    /// Rows of frozen segments that died since become dead rows of the committed files.
    pub(crate) fn committed(&mut self, frozen: &Self) {
        let mut dead = HashMap::clone(&self.dead);
        for was in &frozen.segments {
            let Some(at) = self.place(was.file) else { continue };
            let now = self.segments.remove(at);
            let all = now.dead();
            let pending = &all - &was.dead();
            if !pending.is_empty() {
                dead.insert(was.file, Dead { all: Arc::new(all), pending: Arc::new(pending) });
            }
        }
        for (file, was) in frozen.dead.iter() {
            let Some(now) = dead.get_mut(file) else { continue };
            let pending = &*now.pending - &*was.pending;
            if pending.is_empty() {
                dead.remove(file);
            } else {
                now.pending = Arc::new(pending);
            }
        }
        self.dead = Arc::new(dead);
        if self.truncates == frozen.truncates {
            self.cleared = false;
        }
        let segments = &self.segments;
        self.open.retain(|_, open| segments.binary_search_by_key(open, |segment| segment.file).is_ok());
    }

    /// Forgets dead rows of committed files that are gone with all their rows.
    pub(crate) fn forget(&mut self, gone: &[FileId]) {
        if gone.iter().any(|file| self.dead.contains_key(file)) {
            Arc::make_mut(&mut self.dead).retain(|file, _| !gone.contains(file));
        }
    }

    /// Follows rows to the files that a compaction put them into. `base` is the table after it.
    pub(crate) fn moved(&mut self, moved: &BTreeMap<FileId, RowMap>, base: &TableView) {
        let mut dead = HashMap::clone(&self.dead);
        for (file, map) in moved {
            let Some(old) = dead.remove(file) else { continue };
            for (file, row) in old.pending.iter().filter_map(|row| map.get(row)) {
                let new = dead.entry(file).or_insert_with(|| Dead {
                    all: base.file(file).and_then(|view| view.deleted.clone()).unwrap_or_default(),
                    pending: Arc::default(),
                });
                Arc::make_mut(&mut new.all).insert(row);
                Arc::make_mut(&mut new.pending).insert(row);
            }
        }
        self.dead = Arc::new(dead);
    }
}
