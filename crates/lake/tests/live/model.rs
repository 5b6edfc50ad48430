//! Random histories: after every step the table is what the map says, for readers and on disk.

use naru_base::Lsn;
use naru_lake::{
    ChangeBatch, Lake, StagerOptions, TableSpec,
    live::{LiveSet, LiveTable},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::world::{self, Rows};

const APP: &str = "naru/test/1";
const TABLE: &str = "orders";

struct World {
    dir: tempfile::TempDir,
    /// Whether rows are kept apart by day.
    parted: bool,
    lake: Lake,
    set: LiveSet,
    table: LiveTable,
    random: StdRng,
    position: u64,
    /// Position of the last publish.
    shown_at: u64,
    /// Position of the last commit.
    committed_at: Option<i64>,
    applied: Rows,
    shown: Rows,
    committed: Rows,
}

impl World {
    async fn new(seed: u64, parted: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lake = world::lake(dir.path()).await;
        let table = world::open_as(&lake, TABLE, spec(parted), world::small()).await;
        let set = LiveSet::new();
        set.insert(&table);
        Self {
            dir,
            parted,
            lake,
            set,
            table,
            random: StdRng::seed_from_u64(seed),
            position: 0,
            shown_at: 0,
            committed_at: None,
            applied: Rows::new(),
            shown: Rows::new(),
            committed: Rows::new(),
        }
    }

    async fn step(&mut self) -> &'static str {
        match self.random.random_range(0..100) {
            0..45 => self.apply().await,
            45..68 => self.publish().await,
            68..82 => self.flush().await,
            82..88 => self.compact().await,
            88..91 => self.discard(),
            91..97 => self.crash().await,
            _ => self.replace().await,
        }
    }

    async fn apply(&mut self) -> &'static str {
        let count = self.random.random_range(1..300);
        let changes = world::changes(&mut self.random, &mut self.applied, count);
        let split = self.random.random_range(0..=changes.len());
        // A move must stay behind its delete.
        let split = (split..changes.len()).find(|at| changes[*at].op != naru_lake::Op::Move).unwrap_or(changes.len());
        self.table.apply(self.batch(&changes[..split])).await.unwrap();
        self.table.apply(self.batch(&changes[split..])).await.unwrap();
        self.position += 1;
        "apply"
    }

    fn batch(&self, changes: &[world::Change]) -> ChangeBatch {
        let batch = world::batch(changes);
        if self.parted { world::with_days(batch) } else { batch }
    }

    async fn publish(&mut self) -> &'static str {
        self.set.publish(Lsn(self.position), &[&self.table]);
        (self.shown, self.shown_at) = (self.applied.clone(), self.position);
        self.check_shown().await;
        "publish"
    }

    async fn flush(&mut self) -> &'static str {
        let flushed = self.table.flush(APP, self.shown_at as i64).await.unwrap();
        assert_eq!(flushed.position, self.shown_at as i64);
        if flushed.committed {
            self.committed_at = Some(flushed.position);
        }
        self.committed = self.shown.clone();
        assert_eq!(world::committed(self.dir.path(), TABLE).await, self.committed);
        assert_eq!(self.table.position(APP).await.unwrap(), self.committed_at);
        self.check_shown().await;
        "flush"
    }

    async fn compact(&mut self) -> &'static str {
        if self.table.compact().await.unwrap().is_some() {
            assert_eq!(world::committed(self.dir.path(), TABLE).await, self.committed);
        }
        self.check_shown().await;
        "compact"
    }

    fn discard(&mut self) -> &'static str {
        self.table.discard_unpublished();
        (self.applied, self.position) = (self.shown.clone(), self.shown_at);
        assert!(!self.table.has_unpublished());
        "discard"
    }

    async fn crash(&mut self) -> &'static str {
        self.lake = world::lake(self.dir.path()).await;
        self.table = world::open_as(&self.lake, TABLE, spec(self.parted), world::small()).await;
        self.set = LiveSet::new();
        self.set.insert(&self.table);
        self.applied = self.committed.clone();
        self.shown = self.committed.clone();
        self.position = self.committed_at.unwrap_or(0) as u64;
        self.shown_at = self.position;
        assert_eq!(self.table.position(APP).await.unwrap(), self.committed_at);
        self.check_shown().await;
        "crash"
    }

    async fn replace(&mut self) -> &'static str {
        let mut rows = Rows::new();
        let inserts: Vec<_> = (0..self.random.random_range(0..300))
            .map(|id| {
                let row = world::row(&mut self.random);
                rows.insert(id, row.clone());
                world::Change { op: naru_lake::Op::Insert, id, row: Some(row), left_out: [false; 2] }
            })
            .collect();
        let mut stager = self.table.table().stager(StagerOptions::default());
        let day = |change: &world::Change| self.parted.then(|| change.row.as_ref().and_then(|row| world::day(row.v)));
        let mut inserts = inserts;
        inserts.sort_by_key(day);
        for one_day in inserts.chunk_by(|one, next| day(one) == day(next)) {
            stager.write(&self.batch(one_day).rows).await.unwrap();
        }
        let staged = stager.finish().await.unwrap();
        self.position += 1;
        let position = self.position as i64;
        let columns = spec(self.parted).columns;
        self.table.replace_all(staged, columns, vec!["id".into()], APP, position).await.unwrap();
        (self.shown_at, self.committed_at) = (self.position, Some(position));
        (self.applied, self.shown, self.committed) = (rows.clone(), rows.clone(), rows);
        assert_eq!(world::committed(self.dir.path(), TABLE).await, self.committed);
        self.check_shown().await;
        "replace"
    }

    async fn check_shown(&self) {
        let cut = self.set.snapshot();
        let rows = world::scan(&self.lake, &cut.tables[&world::id(TABLE)]).await;
        assert_eq!(rows, self.shown);
        if self.parted {
            world::check_days(&self.lake, &cut.tables[&world::id(TABLE)]).await;
        }
    }
}

fn spec(parted: bool) -> TableSpec {
    let spec = world::spec(&["id"]);
    if parted { TableSpec { columns: world::parted_columns(), ..spec } } else { spec }
}

async fn history(seed: u64, steps: usize, parted: bool) {
    let mut world = World::new(seed, parted).await;
    for step in 0..steps {
        let done = world.step().await;
        println!("seed {seed} step {step}: {done}, {} rows shown", world.shown.len());
    }
    world.publish().await;
    world.flush().await;
    world.crash().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_random_history_is_what_readers_and_the_disk_show() {
    let seed = world::seed();
    history(seed, world::steps(150), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_random_history_of_rows_kept_apart_by_day_is_what_readers_and_the_disk_show() {
    let seed = world::seed();
    history(seed, world::steps(80), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_of_fixed_seeds_stay_right() {
    for seed in 1..4 {
        history(seed, 60, false).await;
        history(seed, 40, true).await;
    }
}
