//! Seeds of random tests: always printed, and replayed by `NARU_SEED`.
//!
//! Owns: where the seed comes from. Never hides it: a failure without its seed is half a report.

use rand::{Rng, SeedableRng, rngs::StdRng};

/// `NARU_SEED` if set, otherwise a new one. Prints how to replay it.
pub fn seed() -> u64 {
    let seed =
        std::env::var("NARU_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| rand::rng().random());
    eprintln!("replay with NARU_SEED={seed}");
    seed
}

/// A generator from [`seed`], and the seed for the failure message.
pub fn rng() -> (StdRng, u64) {
    let seed = seed();
    (StdRng::seed_from_u64(seed), seed)
}

/// How much a heavy test does: `NARU_TEST_SCALE` (default 1) times what is fast enough for every day.
pub fn scale() -> u64 {
    std::env::var("NARU_TEST_SCALE").ok().and_then(|text| text.parse().ok()).unwrap_or(1).max(1)
}
