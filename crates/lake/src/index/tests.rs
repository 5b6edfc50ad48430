//! The index against a map: whatever is put, spilled, installed, merged and reopened, the newest position is found.

use std::{cell::Cell, collections::BTreeMap};

use naru_base::{Version, number::usize_from};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_128;

use super::*;

fn hash(key: u64) -> u128 {
    xxh3_128(&key.to_le_bytes())
}

fn find(index: &KeyIndex, layers: &[&Layer], keys: impl IntoIterator<Item = u64>) -> BTreeMap<u64, Option<Position>> {
    let mut wanted: Vec<_> = keys.into_iter().map(|key| (hash(key), key)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let hashes: Vec<_> = wanted.iter().map(|(hash, _)| *hash).collect();
    let found = index.reader().locate(layers, &hashes).unwrap();
    wanted.into_iter().map(|(_, key)| key).zip(found).collect()
}

fn stamp(version: u64) -> Stamp {
    Stamp { version: Version(version), files: (0..=u32::try_from(version).unwrap()).collect() }
}

fn files(dir: &std::path::Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

fn seed() -> u64 {
    let seed = std::env::var("NARU_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("NARU_SEED={seed}");
    seed
}

#[test]
fn the_newest_position_is_found_through_spills_merges_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(seed());
    let (mut index, _) = KeyIndex::open(dir.path(), "t").unwrap();
    let (mut committed, mut model) = (BTreeMap::new(), BTreeMap::new());
    let mut layer = Layer::default();
    for step in 1..200_u32 {
        for row in 0..random.random_range(0..400) {
            let key = random.random_range(0..5_000_u64);
            let at = Position { file: step, row };
            layer.put(hash(key), at);
            model.insert(key, at);
        }
        match random.random_range(0..8) {
            0 => layer.spill(dir.path()).unwrap(),
            1..4 => {
                index.install(layer.to_run(dir.path()).unwrap());
                layer = Layer::default();
                index.save(&stamp(u64::from(step))).unwrap();
                committed = model.clone();
            }
            4 => {
                index.merge(&|| Some(stamp(u64::from(step)))).unwrap();
            }
            5 => {
                drop((index, layer));
                (index, _) = KeyIndex::open(dir.path(), "t").unwrap();
                layer = Layer::default();
                model = committed.clone();
            }
            _ => {}
        }
        let keys = (0..50).map(|_| random.random_range(0..6_000_u64));
        for (key, found) in find(&index, &[&layer], keys) {
            assert_eq!(found, model.get(&key).copied(), "step {step}");
        }
    }
    for (key, found) in find(&index, &[&layer], 0..6_000) {
        assert_eq!(found, model.get(&key).copied());
    }
}

#[test]
fn a_bulk_load_larger_than_its_memory_finds_every_key() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = KeyIndex::open(dir.path(), "t").unwrap();
    let mut loader = index.loader();
    let rows = 1_200_000_u32;
    for row in 0..rows {
        loader.push(hash(u64::from(row)), Position { file: row / 500_000, row: row % 500_000 }).unwrap();
    }
    index.install(loader.finish().unwrap());
    assert_eq!(files(dir.path()), 1);
    let keys = (0..u64::from(rows)).step_by(997).chain(5_000_000..5_000_100);
    for (key, found) in find(&index, &[], keys) {
        let row = u32::try_from(key).unwrap();
        let expected = (row < rows).then_some(Position { file: row / 500_000, row: row % 500_000 });
        assert_eq!(found, expected);
    }
    // A dense lookup reads the run front to back in large reads.
    let all = find(&index, &[], 0..u64::from(rows) / 8);
    assert!(all.values().all(Option::is_some));
    let reader = index.reader();
    let per_key = reader.bytes_on_disk().div_ceil(u64::from(rows));
    assert!((24..=26).contains(&per_key), "{per_key} bytes a key");
}

#[test]
fn entries_of_vanished_files_go_with_the_next_merge() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = KeyIndex::open(dir.path(), "t").unwrap();
    for file in 0..4_u32 {
        put_file(&index, file);
    }
    index.save(&stamp(3)).unwrap();
    let now = || {
        assert_eq!(files(dir.path()), 5 + usize::from(index.reader().runs() == 1), "old runs stay until the manifest");
        Some(Stamp { files: RoaringBitmap::from_iter([1, 2]), ..stamp(4) })
    };
    index.merge(&now).unwrap();
    assert_eq!((index.reader().runs(), index.reader().entries()), (1, 200));
    assert_eq!(files(dir.path()), 2);
}

/// Installs a run of 100 keys, those of file number `file`.
fn put_file(index: &KeyIndex, file: u32) {
    let mut loader = index.loader();
    (0..100).for_each(|row| loader.push(hash(u64::from(file * 100 + row)), Position { file, row }).unwrap());
    index.install(loader.finish().unwrap());
}

#[test]
fn the_folder_stays_small_while_runs_keep_coming_during_merges() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = KeyIndex::open(dir.path(), "t").unwrap();
    let (rounds, per_round) = (9, 4);
    (0..per_round).for_each(|file| put_file(&index, file));
    index.save(&stamp(3)).unwrap();
    let early = index.reader();
    let held = early.runs();
    // Asked before each merge and after each swap; `before` is what was there when the round's runs were taken.
    let (calls, before, most) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let now = || {
        let (call, runs) = (calls.replace(calls.get() + 1), index.reader().runs());
        let held = if call < 2 { 0 } else { held };
        if call % 2 == 1 {
            assert_eq!(files(dir.path()), before.get() + 1 + 1 + held, "after swap {call}: live runs and one output");
        } else {
            assert_eq!(files(dir.path()), runs + 1 + held, "before round {call}: nothing but live runs");
            let round = call / 2;
            if round < rounds {
                (0..per_round).for_each(|nth| put_file(&index, (round + 1) * per_round + nth));
            }
            before.set(index.reader().runs());
        }
        most.set(most.get().max(files(dir.path())));
        Some(stamp(1_000))
    };
    index.merge(&now).unwrap();
    assert!(calls.get() / 2 > rounds, "{} calls are no round for each arrival", calls.get());
    assert!(most.get() <= plan::RUNS_MAX + usize::try_from(per_round).unwrap() + held + 2, "{} files", most.get());

    // A reader of before goes on with the files that no manifest names; a kill now leaves them to the next opening.
    let first = hash(0);
    assert_eq!(early.locate(&[], &[first]).unwrap(), [Some(Position { file: 0, row: 0 })]);
    assert_eq!(files(dir.path()), index.reader().runs() + 1 + held);
    let killed = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), killed.path().join(entry.file_name())).unwrap();
    }
    let keys = u64::from((rounds + 1) * per_round * 100);
    let (reopened, found) = KeyIndex::open(killed.path(), "t").unwrap();
    assert_eq!((found, files(killed.path())), (Some(stamp(1_000)), reopened.reader().runs() + 1));
    assert!(find(&reopened, &[], 0..keys).values().all(Option::is_some));
    drop(early);
    assert_eq!(files(dir.path()), index.reader().runs() + 1);
}

#[test]
fn what_a_merge_replaced_goes_with_the_next_manifest_after_one_that_failed() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = KeyIndex::open(dir.path(), "t").unwrap();
    (0..4).for_each(|file| put_file(&index, file));
    index.save(&stamp(3)).unwrap();
    // No manifest can be written over a folder.
    let draft = dir.path().join("index.json.tmp");
    std::fs::create_dir(&draft).unwrap();
    assert!(matches!(index.merge(&|| Some(stamp(3))), Err(IndexError::Io { .. })));
    std::fs::remove_dir(&draft).unwrap();
    assert_eq!((index.reader().runs(), files(dir.path())), (1, 1 + 4 + 1), "the old manifest names the old runs");
    // Another round fails before its merge: the table is gone.
    (4..8).for_each(|file| put_file(&index, file));
    assert!(matches!(index.merge(&|| None), Err(IndexError::Stopped)));
    index.save(&stamp(7)).unwrap();
    assert_eq!((index.reader().runs(), files(dir.path())), (5, 5 + 1));
    drop(index);
    let (index, found) = KeyIndex::open(dir.path(), "t").unwrap();
    assert_eq!((found, index.reader().runs()), (Some(stamp(7)), 5));
    assert!(find(&index, &[], 0..800).values().all(Option::is_some));
}

#[test]
fn a_reset_takes_along_what_a_merge_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = KeyIndex::open(dir.path(), "t").unwrap();
    (0..4).for_each(|file| put_file(&index, file));
    index.save(&stamp(3)).unwrap();
    let asked = Cell::new(false);
    let merged = index.merge(&|| (!asked.replace(true)).then(|| stamp(3)));
    assert!(matches!(merged, Err(IndexError::Stopped)), "closed before its manifest");
    assert_eq!(files(dir.path()), 1 + 4 + 1);
    index.reset(None);
    assert_eq!(files(dir.path()), 1, "only the manifest");
}

#[test]
fn a_torn_or_foreign_index_is_thrown_away() {
    let fill = |dir: &std::path::Path| {
        let (index, _) = KeyIndex::open(dir, "t").unwrap();
        let mut loader = index.loader();
        (0..1_000).for_each(|row| loader.push(hash(u64::from(row)), Position { file: 0, row }).unwrap());
        index.install(loader.finish().unwrap());
        index.save(&stamp(7)).unwrap();
    };
    let run_of = |dir: &std::path::Path| {
        let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries.into_iter().find(|path| path.extension().is_some_and(|e| e == "run")).unwrap()
    };
    let cut = |path: &std::path::Path| {
        let length = std::fs::metadata(path).unwrap().len();
        std::fs::File::options().write(true).open(path).unwrap().set_len(length - 9).unwrap();
    };
    let flip = |path: &std::path::Path| {
        let mut bytes = std::fs::read(path).unwrap();
        let at = bytes.len() - 60;
        bytes[at] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    type Damage<'a> = (&'a str, &'a dyn Fn(&std::path::Path));
    let cases: [Damage<'_>; 5] = [
        ("a run is missing", &|dir| std::fs::remove_file(run_of(dir)).unwrap()),
        ("a run is cut", &|dir| cut(&run_of(dir))),
        ("a directory is wrong", &|dir| flip(&run_of(dir))),
        ("the manifest is cut", &|dir| cut(&dir.join("index.json"))),
        ("the manifest is of another format", &|dir| {
            let text = std::fs::read_to_string(dir.join("index.json")).unwrap();
            std::fs::write(dir.join("index.json"), text.replace("\"format\":2", "\"format\":99")).unwrap();
        }),
    ];
    for (case, damage) in cases {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        assert_eq!(KeyIndex::open(dir.path(), "t").unwrap().1, Some(stamp(7)), "{case}: before");
        damage(dir.path());
        let (index, found) = KeyIndex::open(dir.path(), "t").unwrap();
        assert_eq!((found, index.reader().runs()), (None, 0), "{case}");
        assert_eq!(files(dir.path()), 0, "{case}: nothing is left");
    }
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    assert_eq!(KeyIndex::open(dir.path(), "another table").unwrap().1, None);
}

#[test]
fn a_stopped_merge_leaves_the_runs_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = KeyIndex::open(dir.path(), "t").unwrap();
    for file in 0..4_u32 {
        let mut loader = index.loader();
        (0..50_000_u32).for_each(|row| loader.push(hash(u64::from(row)), Position { file, row }).unwrap());
        index.install(loader.finish().unwrap());
    }
    index.stop();
    assert!(matches!(index.merge(&|| Some(stamp(4))), Err(IndexError::Stopped)));
    assert_eq!((index.reader().runs(), files(dir.path())), (4, 4));
    let newest = find(&index, &[], [usize_from(7)].map(|key| u64::try_from(key).unwrap()));
    assert_eq!(newest[&7].map(|at| at.file), Some(3));
}

#[test]
fn a_flipped_byte_is_noticed_wherever_it_is() {
    let keys = 3_000_u64;
    let dir = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(seed());
    let at = |key: u64| Position { file: 1, row: u32::try_from(key).unwrap() };
    {
        let (index, _) = KeyIndex::open(dir.path(), "t").unwrap();
        let mut layer = Layer::default();
        (0..keys).for_each(|key| layer.put(hash(key), at(key)));
        index.install(layer.to_run(dir.path()).unwrap());
        index.save(&stamp(1)).unwrap();
    }
    let path = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let path = path.filter(|path| path.extension().is_some_and(|ending| ending == "run")).last().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut wanted: Vec<u128> = (0..keys).map(hash).collect();
    wanted.sort_unstable();
    for place in 0..400 {
        let place = if place == 0 { whole.len() - 1 } else { random.random_range(0..whole.len()) };
        let mut flipped = whole.clone();
        flipped[place] ^= 1 << random.random_range(0..8);
        std::fs::write(&path, flipped).unwrap();
        // Opened, scanned by a merge, probed key by key: one of them says so before a wrong position gets out.
        let noticed = match Run::open(path.clone()) {
            Err(_) => true,
            Ok(run) => {
                let run = std::sync::Arc::new(run);
                let merged = merge::merge(dir.path(), &[std::sync::Arc::clone(&run)], &merge::Keep::all());
                let mut out = vec![None; wanted.len()];
                let probed = run.locate(&wanted, &mut out);
                merged.is_err() && matches!(probed, Err(IndexError::Damaged { .. }))
            }
        };
        assert!(noticed, "byte {place} of {}", whole.len());
    }
}

#[test]
fn staged_keys_outlive_an_opening_and_those_of_a_killed_process_do_not() {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    let dir = tempfile::tempdir().unwrap();
    let hasher = KeyHasher::new(&[arrow::datatypes::DataType::Int64]).unwrap();
    let names = ["id".to_owned()];
    let mut sink = KeySink::new(dir.path(), 7, hasher.clone(), &names, vec![0]).unwrap();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
    sink.push(std::slice::from_ref(&ids)).unwrap();
    let staged = sink.finish().unwrap();
    // What a process that was killed before its commit left behind.
    let left = dir.path().join("00000000000000000000000000000000-1.staged");
    std::fs::write(&left, b"left").unwrap();

    let (index, _) = KeyIndex::open(dir.path(), "t").unwrap();
    assert!(!left.exists());
    assert!(staged.adopt("another key").is_none());
    index.install(staged.adopt(&hasher.fingerprint(&names)).unwrap());
    let mut wanted: Vec<_> = hasher.hash(&[ids]).unwrap();
    let last = wanted[999];
    wanted.sort_unstable();
    let found = index.reader().locate(&[], &wanted).unwrap();
    assert!(found.iter().all(Option::is_some));
    assert_eq!(found[wanted.binary_search(&last).unwrap()], Some(Position { file: 7, row: 999 }));
    // Adopted once; a second time the files are gone and the caller reads the rows instead.
    assert!(staged.adopt(&hasher.fingerprint(&names)).is_none());
    drop((staged, index));
    let (_, found) = KeyIndex::open(dir.path(), "t").unwrap();
    assert!(found.is_none() && files(dir.path()) == 0, "an index that was never saved leaves nothing");
}
