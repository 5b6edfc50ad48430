//! Memory for bodies that are on their way.
//!
//! Owns: what all requests together may hold, and who gives way when it is used up. Senders that showed a key (or need
//! none) share one part of it. Those whose key stands in the body are strangers until the body was read: they share
//! another, smaller part, and of them the one that came first gives way, so that bodies which never end keep nobody
//! out. Only what has arrived is counted.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::refusal::Refusal;

/// KiB of the bodies of known senders.
pub(super) const KNOWN_KIB: usize = 256 << 10;

/// KiB of the bodies of strangers.
const STRANGERS_KIB: usize = 64 << 10;

/// How long a stranger's body may take before it gives way to others: an honest one over a slow line ends within.
const GRACE: Duration = Duration::from_secs(2);

/// Memory for bodies. Clones are the same.
#[derive(Debug, Clone)]
pub struct Memory {
    known: Arc<Semaphore>,
    strangers: Arc<Mutex<Strangers>>,
}

/// Bodies of strangers in the order in which they came.
#[derive(Debug, Default)]
struct Strangers {
    held_kib: usize,
    next: u64,
    waiting: BTreeMap<u64, Stranger>,
}

#[derive(Debug)]
struct Stranger {
    held_kib: usize,
    since: Instant,
    gives_way: CancellationToken,
}

/// The memory of one request; given back when dropped.
#[derive(Debug)]
pub struct Share {
    held_kib: usize,
    part: Part,
}

#[derive(Debug)]
enum Part {
    Known { memory: Arc<Semaphore>, permit: Option<OwnedSemaphorePermit> },
    Stranger { all: Arc<Mutex<Strangers>>, number: u64, gives_way: CancellationToken },
}

impl Default for Memory {
    fn default() -> Self {
        Self { known: Arc::new(Semaphore::new(KNOWN_KIB)), strangers: Arc::default() }
    }
}

impl Memory {
    /// An empty share for a sender who is known, or whom nobody asks who he is.
    pub fn known(&self) -> Share {
        Share { held_kib: 0, part: Part::Known { memory: Arc::clone(&self.known), permit: None } }
    }

    /// An empty share for a sender who is not known yet.
    pub fn stranger(&self) -> Share {
        let gives_way = CancellationToken::new();
        let mut strangers = self.strangers.lock();
        let number = strangers.next;
        strangers.next += 1;
        strangers.waiting.insert(number, Stranger { held_kib: 0, since: Instant::now(), gives_way: gives_way.clone() });
        Share { held_kib: 0, part: Part::Stranger { all: Arc::clone(&self.strangers), number, gives_way } }
    }
}

impl Share {
    /// Grows to hold so many bytes more than `held`.
    pub fn grow(&mut self, held: usize, bytes: usize) -> Result<(), Refusal> {
        let kib = (held + bytes).div_ceil(1024);
        let Some(more) = kib.checked_sub(self.held_kib).filter(|more| *more > 0) else { return Ok(()) };
        match &mut self.part {
            Part::Known { memory, permit } => {
                let wanted = u32::try_from(more).map_err(|_| Refusal::Busy)?;
                let new = Arc::clone(memory).try_acquire_many_owned(wanted).map_err(|_| Refusal::Busy)?;
                match permit {
                    Some(held) => held.merge(new),
                    none => *none = Some(new),
                }
            }
            Part::Stranger { all, number, .. } => all.lock().grow(*number, more)?,
        }
        self.held_kib = kib;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn held_kib(&self) -> usize {
        self.held_kib
    }

    /// Comes back when this share must give way; a known sender's never does.
    pub async fn gives_way(&self) {
        match &self.part {
            Part::Known { .. } => std::future::pending().await,
            Part::Stranger { gives_way, .. } => gives_way.cancelled().await,
        }
    }
}

impl Strangers {
    fn grow(&mut self, number: u64, more: usize) -> Result<(), Refusal> {
        while self.held_kib + more > STRANGERS_KIB {
            let oldest = self.waiting.iter().find(|(_, other)| other.held_kib > 0).map(|(number, _)| *number);
            let Some(oldest) = oldest.filter(|oldest| *oldest != number) else { return Err(Refusal::Busy) };
            let patient = self.waiting.get(&oldest).is_none_or(|other| other.since.elapsed() < GRACE);
            if patient {
                return Err(Refusal::Busy);
            }
            self.remove(oldest);
        }
        // One that gave way holds nothing any more.
        let stranger = self.waiting.get_mut(&number).ok_or(Refusal::Busy)?;
        stranger.held_kib += more;
        self.held_kib += more;
        Ok(())
    }

    fn remove(&mut self, number: u64) {
        if let Some(gone) = self.waiting.remove(&number) {
            self.held_kib = self.held_kib.saturating_sub(gone.held_kib);
            gone.gives_way.cancel();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Part::Stranger { all, number, .. } = &self.part {
            all.lock().remove(*number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: usize = STRANGERS_KIB << 10;

    /// As if everybody had come long ago.
    fn age(memory: &Memory) {
        let mut strangers = memory.strangers.lock();
        for stranger in strangers.waiting.values_mut() {
            stranger.since = stranger.since.checked_sub(GRACE * 2).unwrap();
        }
    }

    #[test]
    fn a_body_that_does_not_end_gives_way_to_a_later_one_and_known_senders_never_notice() {
        let memory = Memory::default();
        let mut slow: Vec<Share> = (0..64).map(|_| memory.stranger()).collect();
        for share in &mut slow {
            share.grow(0, ALL / 64).unwrap();
        }
        let mut later = memory.stranger();
        assert!(matches!(later.grow(0, 4096), Err(Refusal::Busy)), "nobody gives way at once");
        age(&memory);
        later.grow(0, 4096).unwrap();
        let given_way =
            |share: &Share| matches!(&share.part, Part::Stranger { gives_way, .. } if gives_way.is_cancelled());
        assert_eq!(slow.iter().map(given_way).collect::<Vec<_>>(), [[true].as_slice(), &[false; 63]].concat());
        assert!(slow[0].grow(ALL / 64, 1).is_err(), "who gave way gets no more");
        let mut known = memory.known();
        known.grow(0, KNOWN_KIB << 10).unwrap();
        assert!(matches!(memory.known().grow(0, 1), Err(Refusal::Busy)));
        drop((slow, later, known));
        assert_eq!((memory.strangers.lock().held_kib, memory.known.available_permits()), (0, KNOWN_KIB));
        assert!(memory.strangers.lock().waiting.is_empty());
    }

    #[test]
    fn one_stranger_cannot_push_itself_out() {
        let memory = Memory::default();
        let mut share = memory.stranger();
        share.grow(0, ALL).unwrap();
        age(&memory);
        assert!(matches!(share.grow(ALL, 1), Err(Refusal::Busy)));
    }
}
