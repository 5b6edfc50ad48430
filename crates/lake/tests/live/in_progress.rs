//! Open transactions of the source, worked out ahead: after every step the table is what the maps say, whether a
//! transaction was joined, refused or given up.
//!
//! Keys fall into classes; a class belongs to at most one open transaction, as locks at a source would have it.

use naru_base::Lsn;
use naru_lake::{
    Lake, Op, StagerOptions,
    live::{InProgress, LiveSet, LiveTable},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::world::{self, Change, Rows};

const APP: &str = "naru/test/1";
const TABLE: &str = "orders";
const CLASSES: i64 = 4;

/// Rows by class, under the key within the class.
type Classes = [Rows; CLASSES as usize];

/// An open transaction of one class.
struct Open {
    ahead: InProgress,
    fed: Vec<Vec<Change>>,
    rows: Rows,
    /// Files were rewritten since it began, so that it may be refused.
    rewritten: bool,
    /// The table was replaced or emptied since, so that it must be refused.
    stale: bool,
}

struct World {
    dir: tempfile::TempDir,
    lake: Lake,
    set: LiveSet,
    table: LiveTable,
    random: StdRng,
    position: u64,
    shown_at: u64,
    committed_at: Option<i64>,
    applied: Classes,
    shown: Classes,
    committed: Classes,
    open: [Option<Open>; CLASSES as usize],
    joined: u32,
}

fn all(classes: &Classes) -> Rows {
    let rows =
        (0..).zip(classes).flat_map(|(class, rows)| rows.iter().map(move |(key, row)| (key * CLASSES + class, row)));
    rows.map(|(id, row)| (id, row.clone())).collect()
}

/// Random changes within a class, none of them a truncate.
fn changes(random: &mut StdRng, class: i64, rows: &mut Rows, count: usize) -> Vec<Change> {
    loop {
        let mut after = rows.clone();
        let mut made = world::changes(random, &mut after, count);
        if made.iter().all(|change| change.op != Op::Truncate) {
            *rows = after;
            for change in &mut made {
                change.id = change.id * CLASSES + class;
            }
            return made;
        }
    }
}

impl World {
    async fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lake = world::lake(dir.path()).await;
        let table = world::open(&lake, TABLE, world::small()).await;
        let set = LiveSet::new();
        set.insert(&table);
        Self {
            dir,
            lake,
            set,
            table,
            random: StdRng::seed_from_u64(seed),
            position: 0,
            shown_at: 0,
            committed_at: None,
            applied: Classes::default(),
            shown: Classes::default(),
            committed: Classes::default(),
            open: [const { None }; CLASSES as usize],
            joined: 0,
        }
    }

    async fn step(&mut self) -> &'static str {
        let class = self.random.random_range(0..CLASSES);
        match self.random.random_range(0..100) {
            0..40 => self.change(class).await,
            40..52 => self.begin(class),
            52..66 => self.end(class).await,
            66..80 => self.publish().await,
            80..90 => self.flush().await,
            90..93 => self.compact().await,
            93..95 => self.disconnect(),
            95..97 => self.crash().await,
            97..98 => self.replace().await,
            _ => self.truncate().await,
        }
    }

    /// Feeds the class's open transaction, or applies changes that committed.
    async fn change(&mut self, class: i64) -> &'static str {
        let count = self.random.random_range(1..300);
        if let Some(open) = &mut self.open[class as usize] {
            let made = changes(&mut self.random, class, &mut open.rows, count);
            // The engine applies what committed before first; here it always is.
            let applied = open.ahead.apply(world::batch(&made)).await;
            assert!(applied.is_ok() || open.stale, "{applied:?}");
            open.fed.push(made);
            return "feed";
        }
        let made = changes(&mut self.random, class, &mut self.applied[class as usize], count);
        self.table.apply(world::batch(&made)).await.unwrap();
        self.position += 1;
        "apply"
    }

    fn begin(&mut self, class: i64) -> &'static str {
        let rows = self.applied[class as usize].clone();
        self.open[class as usize].get_or_insert_with(|| Open {
            ahead: self.table.in_progress(),
            fed: Vec::new(),
            rows,
            rewritten: false,
            stale: false,
        });
        "begin"
    }

    async fn end(&mut self, class: i64) -> &'static str {
        let Some(open) = self.open[class as usize].take() else { return "nothing to end" };
        if self.random.random_bool(0.25) {
            return "abort";
        }
        if open.ahead.commit().await.unwrap().is_some() {
            assert!(!open.stale, "a transaction of a former table was joined");
            self.joined += 1;
        } else {
            assert!(open.rewritten || open.stale, "a transaction was refused though nothing had moved");
            for made in open.fed {
                self.table.apply(world::batch(&made)).await.unwrap();
            }
        }
        self.applied[class as usize] = open.rows;
        self.position += 1;
        "commit"
    }

    async fn publish(&mut self) -> &'static str {
        self.set.publish(Lsn(self.position), &[&self.table]);
        (self.shown, self.shown_at) = (self.applied.clone(), self.position);
        self.check_shown().await;
        "publish"
    }

    async fn flush(&mut self) -> &'static str {
        let flushed = self.table.flush(APP, self.shown_at as i64).await.unwrap();
        if flushed.committed {
            self.committed_at = Some(flushed.position);
        }
        self.committed.clone_from(&self.shown);
        assert_eq!(world::committed(self.dir.path(), TABLE).await, all(&self.committed));
        self.check_shown().await;
        "flush"
    }

    async fn compact(&mut self) -> &'static str {
        if self.table.compact().await.unwrap().is_some() {
            self.open.iter_mut().flatten().for_each(|open| open.rewritten = true);
            assert_eq!(world::committed(self.dir.path(), TABLE).await, all(&self.committed));
        }
        self.check_shown().await;
        "compact"
    }

    /// The connection broke: what was not shown comes again, and so do open transactions.
    fn disconnect(&mut self) -> &'static str {
        self.table.discard_unpublished();
        self.open = [const { None }; CLASSES as usize];
        (self.applied, self.position) = (self.shown.clone(), self.shown_at);
        "disconnect"
    }

    async fn crash(&mut self) -> &'static str {
        self.open = [const { None }; CLASSES as usize];
        self.lake = world::lake(self.dir.path()).await;
        self.table = world::open(&self.lake, TABLE, world::small()).await;
        self.set = LiveSet::new();
        self.set.insert(&self.table);
        (self.applied, self.shown) = (self.committed.clone(), self.committed.clone());
        self.position = self.committed_at.unwrap_or(0) as u64;
        self.shown_at = self.position;
        self.check_shown().await;
        "crash"
    }

    /// The table was copied again, with exactly the rows it has.
    async fn replace(&mut self) -> &'static str {
        let made: Vec<_> = all(&self.applied)
            .into_iter()
            .map(|(id, row)| Change { op: Op::Insert, id, row: Some(row), left_out: [false; 2] })
            .collect();
        let mut stager = self.table.table().stager(StagerOptions::default());
        if !made.is_empty() {
            stager.write(&world::batch(&made).rows).await.unwrap();
        }
        let staged = stager.finish().await.unwrap();
        self.position += 1;
        let position = self.position as i64;
        self.table.replace_all(staged, world::columns(), vec!["id".into()], APP, position).await.unwrap();
        self.open.iter_mut().flatten().for_each(|open| open.stale = true);
        (self.shown_at, self.committed_at) = (self.position, Some(position));
        (self.shown, self.committed) = (self.applied.clone(), self.applied.clone());
        self.check_shown().await;
        "replace"
    }

    /// Only while no transaction is open: a truncate waits for all of them.
    async fn truncate(&mut self) -> &'static str {
        if self.open.iter().any(Option::is_some) {
            return "truncate waits";
        }
        let made = Change { op: Op::Truncate, id: 0, row: None, left_out: [false; 2] };
        self.table.apply(world::batch(&[made])).await.unwrap();
        self.applied = Classes::default();
        self.position += 1;
        "truncate"
    }

    async fn check_shown(&self) {
        let cut = self.set.snapshot();
        assert_eq!(world::scan(&self.lake, &cut.tables[&world::id(TABLE)]).await, all(&self.shown));
    }
}

async fn history(seed: u64, steps: usize) -> u32 {
    let mut world = World::new(seed).await;
    for step in 0..steps {
        let done = world.step().await;
        println!("seed {seed} step {step}: {done}");
    }
    world.publish().await;
    world.flush().await;
    world.crash().await;
    world.joined
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_transactions_are_joined_exactly_or_refused() {
    history(world::seed(), world::steps(150)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_transactions_of_fixed_seeds_stay_right() {
    let mut joined = 0;
    for seed in 1..5 {
        joined += history(seed, 120).await;
    }
    assert!(joined > 5, "only {joined} transactions were joined");
}
