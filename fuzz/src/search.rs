//! The search: mutate, run, keep what behaves in a new way.
//!
//! Owns: the time budget, the pool of inputs, and the report of an input that panics.

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use naru_testkit::seed;
use rand::Rng;

use crate::{mutation::mutate, targets::Target};

/// How long one target runs unless `NARU_FUZZ_SECONDS` says otherwise: enough to see that it still works.
const SECONDS_DEFAULT: u64 = 2;
/// Inputs kept to mutate further.
const POOL_MAX: usize = 1024;
/// One input may take this long on a loaded machine; longer is a finding.
const INPUT_TIME_MAX: Duration = Duration::from_secs(5);

/// Runs `target` on its seeds and on mutations of them until its time is over.
///
/// # Panics
/// With the input, when the target panics or takes too long.
pub fn search(target: &Target) {
    let (mut random, seed) = seed::rng();
    let seconds = std::env::var("NARU_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS_DEFAULT);
    let mut pool = (target.seeds)();
    let mut seen = HashSet::new();
    for input in &pool {
        seen.insert(run(target, input, seed));
    }
    assert!(seen.len() > 1 || pool.len() < 2, "{}: all seeds behave alike, so none can be right", target.name);
    let began = Instant::now();
    let mut inputs = 0_u64;
    while began.elapsed() < Duration::from_secs(seconds) {
        let mut input = pool[random.random_range(0..pool.len())].clone();
        let other = random.random_range(0..pool.len());
        mutate(&mut input, target.words, &pool[other], &mut random);
        inputs += 1;
        if seen.insert(run(target, &input, seed)) {
            if pool.len() < POOL_MAX {
                pool.push(input);
            } else {
                let place = random.random_range(0..pool.len());
                pool[place] = input;
            }
        }
    }
    eprintln!("{}: {inputs} inputs, {} behaviours", target.name, seen.len());
}

fn run(target: &Target, input: &[u8], seed: u64) -> u64 {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let shown = || format!("input of {} bytes, NARU_SEED={seed}: \"{}\"", input.len(), input.escape_ascii());
    let Ok(behaviour) = outcome else { panic!("{} panicked on an {}", target.name, shown()) };
    assert!(began.elapsed() < INPUT_TIME_MAX, "{} took {:?} for an {}", target.name, began.elapsed(), shown());
    behaviour
}
