//! When runs are merged.
//!
//! Owns: a pure decision on run sizes. Never touches a file.

/// A run joins a merge if it is at most this many times the size of all newer runs together.
const GROWTH: u64 = 2;
/// Fewer runs than this are left alone: merging two at a time would rewrite entries too often.
const WIDTH_MIN: usize = 4;
/// With more runs than this a lookup of an absent key costs too many reads, so the newest are merged whatever their size.
pub(crate) const RUNS_MAX: usize = 12;

/// How many of the newest runs to merge into one now; `None` to leave them.
///
/// `sizes` are entry counts, newest run first. Every entry is rewritten about once each time the table's index
/// doubles twice, and there are at most [`RUNS_MAX`] runs once the advice is followed.
pub(crate) fn runs_to_merge(sizes: &[u64]) -> Option<usize> {
    let mut total = *sizes.first()?;
    let mut width = 1;
    for size in sizes.iter().skip(1) {
        if *size > total.saturating_mul(GROWTH) {
            break;
        }
        total = total.saturating_add(*size);
        width += 1;
    }
    let surplus = sizes.len().saturating_sub(RUNS_MAX);
    let width = if surplus > 0 { width.max(surplus + 1) } else { width };
    (width >= WIDTH_MIN || surplus > 0).then_some(width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_like_size_are_merged_and_large_old_ones_left() {
        assert_eq!(runs_to_merge(&[]), None);
        assert_eq!(runs_to_merge(&[10, 10, 10]), None);
        assert_eq!(runs_to_merge(&[10, 10, 10, 10]), Some(4));
        assert_eq!(runs_to_merge(&[10, 10, 10, 10, 1_000_000]), Some(4));
        assert_eq!(runs_to_merge(&[10, 1_000, 1_000, 1_000, 1_000]), None);
        assert_eq!(runs_to_merge(&[1_000, 10, 10, 10, 10]), Some(5));
    }

    #[test]
    fn a_year_of_flushes_keeps_few_runs_and_rewrites_little() {
        let (mut runs, mut written) = (vec![100_000_000_u64], 0_u64);
        let flushes = 20_000;
        for _ in 0..flushes {
            runs.insert(0, 10_000);
            written += 10_000;
            while let Some(width) = runs_to_merge(&runs) {
                let merged: u64 = runs.drain(..width).sum();
                written += merged;
                runs.insert(0, merged);
            }
            assert!(runs.len() <= RUNS_MAX);
        }
        let amplification = written / (flushes * 10_000);
        assert!(amplification <= 12, "each entry was written {amplification} times");
    }
}
