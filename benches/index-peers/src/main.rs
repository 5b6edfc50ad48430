//! The key index beside embedded stores that could have taken its place: load, size, memory, lookups, updates, opening.
//!
//! Owns: one workload for all of them. Never is part of the product: this crate is a workspace of its own.
//! `index-peers KEYS FOLDER [naru|redb|fjall]`; without a name it runs each in a process of its own.

#[allow(dead_code, unreachable_pub)]
#[path = "../../../crates/lake/src/index/mod.rs"]
mod index;

use std::{error::Error, path::Path, process::Command, time::Instant};

use index::{KeyIndex, Layer, Position, Stamp};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use xxhash_rust::xxh3::xxh3_128;

type Answer<T> = Result<T, Box<dyn Error>>;

/// Rows of one data file.
const FILE_ROWS: u32 = 1_000_000;
/// Keys of one lookup and of one flush.
const BATCH: u32 = 10_000;
const ROUNDS: u32 = 50;
/// Entries that the peers get sorted in one write batch, as many as naru sorts in memory.
const CHUNK: u32 = 512 * 1024;
/// Memory that a peer may use as cache.
const CACHE_BYTES: usize = 64 << 20;

trait Index: Sized {
    fn open(dir: &Path) -> Answer<Self>;
    /// Loads the keys `0..keys`, whose rows come in file order.
    fn load(&mut self, keys: u32) -> Answer<()>;
    /// Positions of sorted hashes.
    fn find(&self, hashes: &[u128]) -> Answer<Vec<Option<Position>>>;
    /// Sets the positions of sorted hashes, durably.
    fn flush(&mut self, entries: &[(u128, Position)]) -> Answer<()>;
    /// Background work that a following measurement would otherwise pay for.
    fn settle(&mut self) -> Answer<()>;
}

fn hash(key: u32) -> u128 {
    xxh3_128(format!("customer-{key:010}@shop.example").as_bytes())
}

fn home(key: u32) -> Position {
    Position { file: key / FILE_ROWS, row: key % FILE_ROWS }
}

struct Naru(KeyIndex);

impl Index for Naru {
    fn open(dir: &Path) -> Answer<Self> {
        Ok(Self(KeyIndex::open(dir, "bench")?.0))
    }

    fn load(&mut self, keys: u32) -> Answer<()> {
        let mut loader = self.0.loader();
        (0..keys).try_for_each(|key| loader.push(hash(key), home(key)))?;
        self.0.install(loader.finish()?);
        self.save()
    }

    fn find(&self, hashes: &[u128]) -> Answer<Vec<Option<Position>>> {
        Ok(self.0.reader().locate(&[], hashes)?)
    }

    fn flush(&mut self, entries: &[(u128, Position)]) -> Answer<()> {
        let mut layer = Layer::default();
        entries.iter().for_each(|(hash, at)| layer.put(*hash, *at));
        self.0.install(layer.to_run(self.0.dir())?);
        self.save()?;
        self.settle()
    }

    fn settle(&mut self) -> Answer<()> {
        Ok(self.0.merge(&|| Some(stamp()))?)
    }
}

impl Naru {
    fn save(&self) -> Answer<()> {
        Ok(self.0.save(&stamp())?)
    }
}

fn stamp() -> Stamp {
    Stamp { version: naru_base::Version(1), files: (0..2_000).collect() }
}

const TABLE: redb::TableDefinition<u128, u64> = redb::TableDefinition::new("keys");

struct Redb(redb::Database);

impl Redb {
    fn put(&self, entries: impl Iterator<Item = (u128, Position)>, durable: bool) -> Answer<()> {
        let mut write = self.0.begin_write()?;
        if !durable {
            write.set_durability(redb::Durability::None)?;
        }
        {
            let mut table = write.open_table(TABLE)?;
            for (hash, at) in entries {
                table.insert(hash, pack(at))?;
            }
        }
        Ok(write.commit()?)
    }
}

impl Index for Redb {
    fn open(dir: &Path) -> Answer<Self> {
        Ok(Self(redb::Database::builder().set_cache_size(CACHE_BYTES).create(dir.join("redb"))?))
    }

    fn load(&mut self, keys: u32) -> Answer<()> {
        for_chunks(keys, |chunk, last| self.put(chunk.into_iter(), last))
    }

    fn find(&self, hashes: &[u128]) -> Answer<Vec<Option<Position>>> {
        let read = redb::ReadableDatabase::begin_read(&self.0)?;
        let table = read.open_table(TABLE)?;
        let one = |hash: &u128| Ok(redb::ReadableTable::get(&table, hash)?.map(|value| unpack(value.value())));
        hashes.iter().map(one).collect()
    }

    fn flush(&mut self, entries: &[(u128, Position)]) -> Answer<()> {
        self.put(entries.iter().copied(), true)
    }

    fn settle(&mut self) -> Answer<()> {
        Ok(())
    }
}

struct Fjall {
    database: fjall::Database,
    keys: fjall::Keyspace,
}

impl Fjall {
    fn put(&self, entries: impl Iterator<Item = (u128, Position)>) -> Answer<()> {
        let mut batch = self.database.batch();
        for (hash, at) in entries {
            batch.insert(&self.keys, hash.to_be_bytes(), pack(at).to_le_bytes());
        }
        Ok(batch.commit()?)
    }
}

impl Index for Fjall {
    fn open(dir: &Path) -> Answer<Self> {
        let database = fjall::Database::builder(dir.join("fjall")).cache_size(CACHE_BYTES as u64).open()?;
        let keys = database.keyspace("keys", fjall::KeyspaceCreateOptions::default)?;
        Ok(Self { database, keys })
    }

    fn load(&mut self, keys: u32) -> Answer<()> {
        for_chunks(keys, |chunk, _| self.put(chunk.into_iter()))?;
        Ok(self.database.persist(fjall::PersistMode::SyncAll)?)
    }

    fn find(&self, hashes: &[u128]) -> Answer<Vec<Option<Position>>> {
        let one = |hash: &u128| {
            let value = self.keys.get(hash.to_be_bytes())?;
            Ok(value.and_then(|value| Some(unpack(u64::from_le_bytes(value.as_ref().try_into().ok()?)))))
        };
        hashes.iter().map(one).collect()
    }

    fn flush(&mut self, entries: &[(u128, Position)]) -> Answer<()> {
        self.put(entries.iter().copied())?;
        Ok(self.database.persist(fjall::PersistMode::SyncAll)?)
    }

    fn settle(&mut self) -> Answer<()> {
        self.keys.rotate_memtable_and_wait()?;
        Ok(self.keys.major_compact()?)
    }
}

fn pack(at: Position) -> u64 {
    (u64::from(at.file) << 32) | u64::from(at.row)
}

fn unpack(packed: u64) -> Position {
    Position { file: (packed >> 32) as u32, row: packed as u32 }
}

fn for_chunks(keys: u32, mut write: impl FnMut(Vec<(u128, Position)>, bool) -> Answer<()>) -> Answer<()> {
    let mut first = 0;
    while first < keys {
        let end = (first + CHUNK).min(keys);
        let mut chunk: Vec<_> = (first..end).map(|key| (hash(key), home(key))).collect();
        chunk.sort_unstable_by_key(|(hash, _)| *hash);
        write(chunk, end == keys)?;
        first = end;
    }
    Ok(())
}

fn run<I: Index>(name: &str, keys: u32, dir: &Path) -> Answer<()> {
    std::fs::create_dir_all(dir)?;
    let mut random = StdRng::seed_from_u64(7);
    let mut index = I::open(dir)?;
    let started = Instant::now();
    index.load(keys)?;
    let loaded = started.elapsed();
    let load_memory = memory("VmHWM:");
    index.settle()?;
    let mut sorted = |random: &mut StdRng, from: u32, to: u32| {
        let mut all: Vec<_> = (0..BATCH).map(|_| random.random_range(from..to)).map(|key| (hash(key), key)).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let started = Instant::now();
    for _ in 0..ROUNDS {
        let wanted = sorted(&mut random, 0, keys);
        let hashes: Vec<_> = wanted.iter().map(|(hash, _)| *hash).collect();
        let found = index.find(&hashes)?;
        assert!(found.iter().zip(&wanted).all(|(at, (_, key))| *at == Some(home(*key))));
    }
    let found = started.elapsed();
    let started = Instant::now();
    for _ in 0..ROUNDS {
        let hashes: Vec<_> = sorted(&mut random, keys, u32::MAX).into_iter().map(|(hash, _)| hash).collect();
        assert!(index.find(&hashes)?.iter().all(Option::is_none));
    }
    let absent = started.elapsed();
    let started = Instant::now();
    for round in 0..ROUNDS {
        let entries = sorted(&mut random, 0, keys).into_iter().zip(0..);
        let at = |row| Position { file: 1_000 + round, row };
        index.flush(&entries.map(|((hash, _), row)| (hash, at(row))).collect::<Vec<_>>())?;
    }
    let flushed = started.elapsed();
    drop(index);
    let started = Instant::now();
    let index = I::open(dir)?;
    assert!(index.find(&[hash(1)])?.iter().all(Option::is_some));
    let opened = started.elapsed();
    let disk = bytes_below(dir)?;
    let per = |elapsed: std::time::Duration| elapsed.as_secs_f64() * 1e6 / f64::from(ROUNDS * BATCH);
    println!(
        "{name:5} {keys} keys: load {:.1} s, {:.1} bytes/key on disk, memory {load_memory} MB loading, {} MB at most; \
         found {:.2} us/key, absent {:.2} us/key, flush of {BATCH} {:.0} ms, open {:.0} ms",
        loaded.as_secs_f64(),
        disk as f64 / f64::from(keys),
        memory("VmHWM:"),
        per(found),
        per(absent),
        flushed.as_secs_f64() * 1e3 / f64::from(ROUNDS),
        opened.as_secs_f64() * 1e3,
    );
    Ok(())
}

fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find_map(|text| text.strip_prefix(line));
    found.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn bytes_below(dir: &Path) -> Answer<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        total += if entry.file_type()?.is_dir() {
            bytes_below(&entry.path())?
        } else {
            std::os::unix::fs::MetadataExt::blocks(&entry.metadata()?) * 512
        };
    }
    Ok(total)
}

fn main() -> Answer<()> {
    let args: Vec<_> = std::env::args().collect();
    let keys: u32 = args.get(1).ok_or("how many keys?")?.parse()?;
    let dir = Path::new(args.get(2).ok_or("which folder?")?);
    let Some(name) = args.get(3) else {
        for name in ["naru", "redb", "fjall"] {
            let done = Command::new(std::env::current_exe()?).args([&args[1], &args[2], name]).status()?;
            assert!(done.success(), "{name}");
        }
        return Ok(());
    };
    let dir = dir.join(name);
    match name.as_str() {
        "naru" => run::<Naru>(name, keys, &dir)?,
        "redb" => run::<Redb>(name, keys, &dir)?,
        "fjall" => run::<Fjall>(name, keys, &dir)?,
        _ => return Err("naru, redb or fjall?".into()),
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
