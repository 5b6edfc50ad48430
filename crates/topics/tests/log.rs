//! What the topic log promises, over kills, cuts, flipped bits and trims.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    missing_docs
)]

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use naru_store::Store;
use naru_topics::log::{Batch, Chunk, LocalLog, LogError, LogSettings, Sync, TopicLog, TopicNo};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

const A: TopicNo = TopicNo(1);
const B: TopicNo = TopicNo(2);

struct World {
    folder: tempfile::TempDir,
    settings: LogSettings,
}

impl World {
    fn new() -> Self {
        let settings = LogSettings { segment_bytes: 64 << 10, free_min: 0, ..LogSettings::default() };
        Self { folder: tempfile::tempdir().unwrap(), settings }
    }

    /// For tests of many appends one after another: what is durable is not their matter.
    fn unsynced() -> Self {
        let mut world = Self::new();
        world.settings.sync = Sync::System;
        world
    }

    fn log_folder(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn open(&self) -> LocalLog {
        let store = Store::open(&self.folder.path().join("naru.db")).unwrap();
        LocalLog::open(&self.log_folder(), self.settings.clone(), store).unwrap()
    }

    /// What a power cut would leave: the files as they are, opened by somebody else.
    fn copy(&self) -> Self {
        let copy = Self { folder: tempfile::tempdir().unwrap(), settings: self.settings.clone() };
        fs::create_dir_all(copy.log_folder()).unwrap();
        for entry in fs::read_dir(self.log_folder()).unwrap() {
            let entry = entry.unwrap();
            // The thread that makes files ahead may rename one meanwhile.
            fs::copy(entry.path(), copy.log_folder().join(entry.file_name())).ok();
        }
        copy
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut found: Vec<_> = fs::read_dir(self.log_folder()).unwrap().map(|e| e.unwrap().path()).collect();
        found.retain(|path| path.extension().is_some_and(|e| e == "log") && !path.ends_with("spare.log"));
        found.sort();
        found
    }
}

fn batch<T: AsRef<[u8]>>(events: &[T]) -> Batch {
    let mut batch = Batch::new();
    for event in events {
        batch.push(event.as_ref(), "", [("door", "test")]);
    }
    batch
}

async fn everything(log: &LocalLog, topic: TopicNo) -> Chunk {
    let mut all = Chunk::default();
    let end = log.bounds(topic).end;
    while all.next < end {
        let chunk = log.read(topic, all.next, 10_000).await.unwrap();
        assert!(chunk.next > all.next, "a read goes forward: {} of {end}", all.next);
        all.events.extend(chunk.events);
        all.gaps.extend(chunk.gaps);
        all.next = chunk.next;
    }
    all
}

fn texts(chunk: &Chunk) -> Vec<String> {
    chunk.events.iter().map(|event| String::from_utf8(event.data.to_vec()).unwrap()).collect()
}

fn flip(path: &Path, at: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_is_read_in_order_by_topic_and_after_a_restart() {
    let world = World::new();
    let log = world.open();
    let mut offsets = Vec::new();
    for i in 0..300 {
        let topic = if i % 7 == 0 { B } else { A };
        offsets.push((topic, log.append(topic, batch(&[format!("{i}"), format!("{i}+")])).await.unwrap()));
    }
    let a: Vec<u64> = offsets.iter().filter(|(topic, _)| *topic == A).map(|(_, offset)| *offset).collect();
    assert_eq!(a, (0..257).map(|i| i * 2).collect::<Vec<_>>());
    let before = (texts(&everything(&log, A).await), texts(&everything(&log, B).await));
    assert_eq!((before.0.len(), before.1.len()), (514, 86));
    assert_eq!(before.1[..4], ["0", "0+", "7", "7+"]);
    log.close().await;
    let log = world.open();
    assert_eq!((texts(&everything(&log, A).await), texts(&everything(&log, B).await)), before);
    assert_eq!(log.append(B, batch(&["new"])).await.unwrap(), 86);
    assert!(log.status().quarantined.is_empty() && log.status().cut_bytes == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_share_syncs_and_nobodys_batch_is_split() {
    let world = World::new();
    let log = world.open();
    let writers = (0..32u32).map(|writer| {
        let log = log.clone();
        tokio::spawn(async move {
            let mut firsts = Vec::new();
            for i in 0..20 {
                let events: Vec<String> = (0..10).map(|event| format!("{writer}/{i}/{event}")).collect();
                firsts.push((log.append(A, batch(&events)).await.unwrap(), events));
            }
            firsts
        })
    });
    let mut answered = HashMap::new();
    for writer in writers.collect::<Vec<_>>() {
        answered.extend(writer.await.unwrap());
    }
    let all = texts(&everything(&log, A).await);
    assert_eq!(all.len(), 6_400);
    for (first, events) in answered {
        assert_eq!(all[first as usize..first as usize + 10], events);
    }
    assert!(world.segments().len() > 2, "it went over several files");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_that_was_being_written_is_cut_and_its_offsets_are_given_to_the_next() {
    let world = World::new();
    let log = world.open();
    for i in 0..20 {
        log.append(A, batch(&[format!("{i:04}")])).await.unwrap();
    }
    let copy = world.copy();
    // The last frame loses its end, as if the power had gone while it was written.
    let path = copy.segments().pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    let last = bytes.windows(4).rposition(|window| window == b"0019").unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&[0; 4], last as u64).unwrap();
    let log = copy.open();
    assert_eq!(texts(&everything(&log, A).await).len(), 19);
    assert!(log.status().cut_bytes > 0 && log.status().quarantined.is_empty());
    assert_eq!(log.append(A, batch(&["again"])).await.unwrap(), 19);
    assert_eq!(texts(&everything(&log, A).await)[18..], ["0018", "again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_anywhere_else_is_said_and_costs_nothing_else() {
    let world = World::unsynced();
    let log = world.open();
    for i in 0..3_000 {
        log.append(A, batch(&[format!("{i:05}")])).await.unwrap();
    }
    log.close().await;
    let segments = world.segments();
    assert!(segments.len() >= 3);
    // In the body of a frame, in the head of another, and in the last file: all of it was answered for.
    for (segment, text, back) in [(0, b"00100", 0), (0, b"00200", 40), (segments.len() - 1, b"02990", 0)] {
        let bytes = fs::read(&segments[segment]).unwrap();
        let at = bytes.windows(5).position(|window| window == text).unwrap();
        flip(&segments[segment], (at - back) as u64);
    }
    let log = world.open();
    let all = everything(&log, A).await;
    let lost: Vec<u64> = all.gaps.iter().filter(|gap| gap.offsets.end <= 3_000).map(|gap| gap.offsets.start).collect();
    assert_eq!(lost, [100, 200, 2_990]);
    assert_eq!(all.events.iter().filter(|event| event.offset < 3_000).count(), 2_997);
    assert!(all.gaps.iter().all(|gap| !gap.trimmed));
    assert_eq!(log.status().quarantined.len(), 3);
    // Offsets that may have been given are not given again.
    let next = log.append(A, batch(&["after"])).await.unwrap();
    assert!(next >= 3_000, "{next}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_at_any_byte_leaves_a_beginning_of_what_was_sent_and_never_half_a_batch() {
    let world = World::unsynced();
    let log = world.open();
    for i in 0..40 {
        log.append(A, batch(&[format!("{i}a"), format!("{i}b")])).await.unwrap();
    }
    log.close().await;
    let whole = texts(&{
        let log = world.open();
        let all = everything(&log, A).await;
        log.close().await;
        all
    });
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..40 {
        let copy = world.copy();
        let path = copy.segments().pop().unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let cut = random.random_range(100..3_500);
        file.set_len(cut).unwrap();
        file.set_len(64 << 10).unwrap();
        let log = copy.open();
        let left = texts(&everything(&log, A).await);
        assert_eq!(left, whole[..left.len()], "cut at {cut}");
        assert_eq!(left.len() % 2, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trimming_gives_space_back_and_offsets_go_on() {
    let world = World::unsynced();
    let log = world.open();
    for i in 0..4_000 {
        log.append(A, batch(&[format!("{i:05}")])).await.unwrap();
    }
    log.append(B, batch(&["late"])).await.unwrap();
    let before = world.segments().len();
    assert!(before >= 5);
    log.trim(A, 3_990).await.unwrap();
    assert!(world.segments().len() <= 2, "{before} files became {}", world.segments().len());
    let chunk = log.read(A, 0, usize::MAX).await.unwrap();
    assert_eq!((chunk.gaps[0].offsets.clone(), chunk.gaps[0].trimmed), (0..3_990, true));
    assert_eq!(texts(&chunk).first().map(String::as_str), Some("03990"));
    assert_eq!(texts(&everything(&log, B).await), ["late"]);
    log.trim(A, u64::MAX).await.unwrap();
    log.close().await;
    let log = world.open();
    assert_eq!(log.bounds(A), 4_000..4_000);
    assert_eq!(log.append(A, batch(&["next"])).await.unwrap(), 4_000);
    assert_eq!(texts(&log.read(A, 4_000, 1).await.unwrap()), ["next"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_used_again_never_show_what_stood_in_them() {
    let world = World::unsynced();
    let log = world.open();
    for round in 0..30u64 {
        for i in 0..200 {
            log.append(A, batch(&[format!("{round}/{i}")])).await.unwrap();
        }
        log.trim(A, (round * 200).saturating_sub(100)).await.unwrap();
        if round % 10 == 9 {
            let copy = world.copy().open();
            let end = copy.bounds(A).end;
            let chunk = copy.read(A, round * 200, usize::MAX).await.unwrap();
            assert_eq!((end, chunk.events.len()), ((round + 1) * 200, 200));
        }
    }
    assert!(log.status().quarantined.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_may_hold_no_more_refuses_before_it_takes() {
    let mut world = World::unsynced();
    world.settings.bytes_max = 3 * (64 << 10);
    let log = world.open();
    let mut taken = 0;
    let full = loop {
        match log.append(A, batch(&["x".repeat(1_000)])).await {
            Ok(first) => {
                assert_eq!(first, taken);
                taken += 1;
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(full, LogError::Full { .. }), "{full}");
    assert!(taken > 150, "{taken}");
    assert_eq!(everything(&log, A).await.events.len() as u64, taken);
    log.trim(A, taken - 1).await.unwrap();
    // The next file is asked for with the next append, so one more refusal is allowed.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let again = loop {
        match log.append(A, batch(&["y"])).await {
            Ok(first) => break first,
            Err(LogError::Full { .. }) if tokio::time::Instant::now() < deadline => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(again, taken);
    let huge = log.append(A, batch(&["z".repeat(70_000)])).await;
    assert!(matches!(huge, Err(LogError::TooLarge { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_wait_for_what_is_durable_and_cursors_survive() {
    let world = World::new();
    let log = world.open();
    let waiting = tokio::spawn({
        let log = log.clone();
        async move {
            log.grown(A, 2).await;
            log.bounds(A).end
        }
    });
    log.append(A, batch(&["0", "1"])).await.unwrap();
    log.append(B, batch(&["0", "1", "2"])).await.unwrap();
    assert!(!waiting.is_finished());
    log.append(A, batch(&["2"])).await.unwrap();
    assert_eq!(waiting.await.unwrap(), 3);
    assert_eq!(log.cursor(A, "sink").await.unwrap(), None);
    log.set_cursor(A, "sink", 2).await.unwrap();
    log.close().await;
    assert!(matches!(log.append(A, batch(&["late"])).await, Err(LogError::Closing)));
    assert_eq!(world.open().cursor(A, "sink").await.unwrap(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_sync_an_answer_still_survives_a_kill() {
    let mut world = World::new();
    world.settings.sync = Sync::System;
    let log = world.open();
    log.append(A, batch(&["kept"])).await.unwrap();
    assert_eq!(texts(&everything(&world.copy().open(), A).await), ["kept"]);
    assert_eq!(log.status().sync, Sync::System);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_at_the_end_sees_every_event_and_no_gap_while_others_append() {
    let world = World::unsynced();
    let log = world.open();
    let writer = tokio::spawn({
        let log = log.clone();
        async move {
            for i in 0..3_000 {
                log.append(A, batch(&[format!("{i}")])).await.unwrap();
                if i % 100 == 0 {
                    assert!(log.status().stopped.is_none());
                }
            }
        }
    });
    let mut next = 0;
    while next < 3_000 {
        log.grown(A, next).await;
        let chunk = log.read(A, next, 1 << 20).await.unwrap();
        assert!(chunk.gaps.is_empty(), "{:?}", chunk.gaps);
        for event in &chunk.events {
            assert_eq!(event.offset, next);
            next += 1;
        }
    }
    writer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_made_anew_goes_on_behind_every_offset_that_was_given() {
    let world = World::new();
    let log = world.open();
    log.append(A, batch(&["a", "b", "c"])).await.unwrap();
    log.append(B, batch(&["d"])).await.unwrap();
    log.trim(B, 1).await.unwrap();
    log.close().await;
    drop(log);
    for round in 0..2 {
        fs::remove_dir_all(world.log_folder()).unwrap();
        let log = world.open();
        let (a, b) = (log.bounds(A), log.bounds(B));
        assert!(a.is_empty() && a.start >= 3 && b.is_empty() && b.start >= 1, "{round}: {a:?} {b:?}");
        let first = log.append(A, batch(&["e"])).await.unwrap();
        assert_eq!(first, a.start);
        let chunk = log.read(A, 0, 1_000).await.unwrap();
        assert_eq!((chunk.events.len(), chunk.gaps.len()), (1, 1));
        assert!(chunk.gaps[0].trimmed && chunk.gaps[0].offsets == (0..first), "{:?}", chunk.gaps);
        log.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_naru_tells_has_room_when_nothing_else_has_and_so_makes_room() {
    let mut world = World::unsynced();
    world.settings.bytes_max = 3 * (64 << 10);
    let log = world.open();
    let filling = batch(&[vec![b'x'; 8_000]]);
    let full = loop {
        if let Err(error) = log.append(A, filling.clone()).await {
            break error;
        }
    };
    assert!(matches!(full, LogError::Full { .. }), "{full}");
    let end = log.bounds(A).end;
    for told in 0..20 {
        // As many bytes as two files hold.
        let own = batch(&[vec![b'y'; 6_000]]).own();
        let first = tokio::time::timeout(Duration::from_mins(1), log.append(A, own)).await.unwrap().unwrap();
        assert_eq!(first, end + told);
        let others = tokio::time::timeout(Duration::from_mins(1), log.append(B, filling.clone())).await.unwrap();
        assert!(matches!(others, Err(LogError::Full { .. })), "{told}: nothing else comes in");
    }
    assert!(log.status().stopped.is_some());
    log.trim(A, end).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    while let Err(error) = log.append(B, filling.clone()).await {
        assert!(matches!(error, LogError::Full { .. }) && tokio::time::Instant::now() < deadline, "{error}");
        tokio::task::yield_now().await;
    }
    let chunk = log.read(A, end, 1 << 20).await.unwrap();
    assert_eq!((chunk.events.len(), chunk.gaps.len()), (20, 0));
    log.close().await;
}
