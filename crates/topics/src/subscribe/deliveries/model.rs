//! Random histories of a subscription against a reference that is too simple to be wrong.
//!
//! Owns: [`Reference`], a list that is searched from its beginning for every question.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    log::{Batch, Gap, records},
    subscribe::{Backoff, DeadLetters},
};

const RETENTION_US: i64 = 1_000 * 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Is {
    Waiting,
    Leased { nonce: u64, until: i64, by: Receiver, acking: bool },
    Early,
    Forwarding,
    Gone,
}

#[derive(Debug)]
struct Line {
    key: String,
    time: i64,
    failures: u32,
    not_before: i64,
    is: Is,
    bytes: usize,
}

#[derive(Debug)]
struct Reference {
    settings: Settings,
    lines: Vec<Line>,
    key_waits: BTreeMap<String, i64>,
}

impl Reference {
    fn keyed(&self, at: usize) -> bool {
        self.settings.ordered && !self.lines[at].key.is_empty()
    }

    fn same_key(&self, at: usize) -> Vec<usize> {
        (0..self.lines.len()).filter(|other| self.lines[*other].key == self.lines[at].key).collect()
    }

    fn can_go(&self, at: usize, now: i64) -> bool {
        let line = &self.lines[at];
        if line.is != Is::Waiting {
            return false;
        }
        if !self.keyed(at) {
            return line.not_before <= now;
        }
        let others = self.same_key(at);
        let first = others.iter().find(|other| self.lines[**other].is != Is::Gone);
        let out = others.iter().any(|other| !matches!(self.lines[*other].is, Is::Waiting | Is::Gone));
        first == Some(&at) && !out && self.key_waits.get(&line.key).copied().unwrap_or(0) <= now
    }

    fn fail(&mut self, at: usize, now: i64) {
        self.lines[at].failures += 1;
        let failures = self.lines[at].failures;
        if self.keyed(at) {
            for other in self.same_key(at).into_iter().filter(|other| *other > at) {
                if matches!(self.lines[other].is, Is::Leased { acking: false, .. } | Is::Early) {
                    self.lines[other].is = Is::Waiting;
                }
            }
        }
        if self.settings.dead_letters.as_ref().is_some_and(|letters| failures >= letters.attempts_max) {
            self.lines[at].is = Is::Forwarding;
            return;
        }
        let wait =
            self.settings.backoff.map_or(0, |backoff| i64::try_from(backoff.wait(failures).as_micros()).unwrap());
        self.wait(at, if wait > 0 { now + wait } else { 0 });
    }

    fn wait(&mut self, at: usize, until: i64) {
        self.lines[at].is = Is::Waiting;
        if self.keyed(at) {
            self.key_waits.insert(self.lines[at].key.clone(), until);
        } else {
            self.lines[at].not_before = until;
        }
    }

    fn behind_another(&self, at: usize) -> bool {
        let unanswered = |is: Is| matches!(is, Is::Leased { acking: false, .. } | Is::Early | Is::Forwarding);
        self.keyed(at) && self.same_key(at).into_iter().any(|other| other < at && unanswered(self.lines[other].is))
    }

    /// What was acknowledged early counts once nothing of its chain is before it.
    fn count_early(&mut self) {
        for at in 0..self.lines.len() {
            let out = |is: Is| matches!(is, Is::Leased { .. } | Is::Early | Is::Forwarding);
            let first = !self.same_key(at).into_iter().any(|other| other < at && out(self.lines[other].is));
            if self.lines[at].is == Is::Early && first {
                self.lines[at].is = Is::Gone;
            }
        }
    }

    fn tick(&mut self, now: i64) {
        let mut ended: Vec<(i64, usize)> = Vec::new();
        loop {
            ended.clear();
            for (at, line) in self.lines.iter().enumerate() {
                if let Is::Leased { until, acking: false, .. } = line.is
                    && until <= now
                {
                    ended.push((until, at));
                }
            }
            let Some((_, at)) = ended.iter().min().copied() else { break };
            self.fail(at, now);
        }
        for at in 0..self.lines.len() {
            let line = &mut self.lines[at];
            match line.is {
                Is::Gone => {}
                Is::Waiting if line.time < now - RETENTION_US => line.is = Is::Gone,
                Is::Waiting | Is::Leased { .. } | Is::Early | Is::Forwarding => break,
            }
        }
        let lines = &self.lines;
        self.key_waits.retain(|key, _| lines.iter().any(|line| line.key == *key && line.is != Is::Gone));
    }

    fn take(&mut self, by: Receiver, limits: Limits, now: i64) -> Vec<usize> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        let (mut have, mut have_bytes) = (0, 0);
        for line in &self.lines {
            if matches!(line.is, Is::Leased { by: other, .. } if other == by) {
                have += 1;
                have_bytes += line.bytes;
            }
        }
        let mut fits = |line: &Line, count: usize| {
            let fits = count < limits.messages_max
                && (count == 0 || bytes + line.bytes <= limits.bytes_max)
                && have < limits.outstanding_messages_max
                && (have == 0 || have_bytes + line.bytes <= limits.outstanding_bytes_max);
            if fits {
                bytes += line.bytes;
                have += 1;
                have_bytes += line.bytes;
            }
            fits
        };
        while let Some(at) = (0..self.lines.len()).find(|at| self.can_go(*at, now)) {
            let chain = if self.keyed(at) { self.same_key(at) } else { vec![at] };
            for next in chain.into_iter().filter(|next| *next >= at) {
                if self.lines[next].is != Is::Waiting {
                    continue;
                }
                if !fits(&self.lines[next], taken.len()) {
                    return taken;
                }
                if self.keyed(next) {
                    self.key_waits.insert(self.lines[next].key.clone(), 0);
                }
                let until = now + i64::from(limits.deadline_s) * 1_000_000;
                self.lines[next].is = Is::Leased { nonce: 0, until, by, acking: false };
                taken.push(next);
            }
        }
        taken
    }
}

#[derive(Debug, Clone)]
enum Step {
    Publish { key: u8, bytes: u8 },
    Lose,
    Take { receiver: u8, messages: u8, bytes: u8, deadline: u8 },
    Ack { which: u8 },
    AckLate { which: u8 },
    Begin { which: u8 },
    Finish { durable: bool },
    Modify { which: u8, seconds: u8 },
    Pass { seconds: u16 },
    Forwarded { yes: bool },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0u8..4, 1u8..60).prop_map(|(key, bytes)| Step::Publish { key, bytes }),
        1 => Just(Step::Lose),
        6 => (0u8..3, 1u8..8, any::<u8>(), 1u8..40).prop_map(|(receiver, messages, bytes, deadline)| Step::Take {
            receiver, messages, bytes, deadline
        }),
        5 => any::<u8>().prop_map(|which| Step::Ack { which }),
        1 => any::<u8>().prop_map(|which| Step::AckLate { which }),
        2 => any::<u8>().prop_map(|which| Step::Begin { which }),
        2 => any::<bool>().prop_map(|durable| Step::Finish { durable }),
        3 => (any::<u8>(), 0u8..3).prop_map(|(which, seconds)| Step::Modify { which, seconds: seconds * 10 }),
        4 => prop_oneof![0u16..30, 300u16..600].prop_map(|seconds| Step::Pass { seconds }),
        2 => any::<bool>().prop_map(|yes| Step::Forwarded { yes }),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..120)
}

struct World {
    real: Deliveries,
    reference: Reference,
    now: i64,
    receivers: Vec<Receiver>,
    given: Vec<(usize, AckId)>,
    begun: Vec<(usize, AckId)>,
    forwards: Vec<u64>,
}

impl World {
    fn new(settings: Settings) -> Self {
        let now = 1_800_000_000_000_000;
        let mut real = Deliveries::new(settings.clone(), None, Saved::default(), now);
        let receivers = (0..3).map(|_| real.open_receiver()).collect();
        let reference = Reference { settings, lines: Vec::new(), key_waits: BTreeMap::new() };
        Self { real, reference, now, receivers, given: Vec::new(), begun: Vec::new(), forwards: Vec::new() }
    }

    fn load(&mut self, events: Vec<Event>, gaps: Vec<Gap>, next: u64) {
        let era = self.real.era;
        self.real.load(Chunk { events, next, gaps }, era, self.now);
    }

    fn event(&self, at: usize) -> Event {
        let line = &self.reference.lines[at];
        let mut batch = Batch::new();
        batch.push(&vec![7; line.bytes - 4 - line.key.len()], &line.key, []);
        let body = bytes::Bytes::copy_from_slice(batch.body());
        let event = records(&body, u64::try_from(at).unwrap(), 1, line.time).unwrap().remove(0);
        assert_eq!(event.bytes(), line.bytes);
        event
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Publish { key, bytes } => {
                let key = if key == 0 { String::new() } else { format!("k{key}") };
                let bytes = usize::from(bytes) + 4 + key.len();
                let line = Line { key, time: self.now, failures: 0, not_before: 0, is: Is::Waiting, bytes };
                self.reference.lines.push(line);
                let at = self.reference.lines.len() - 1;
                self.load(vec![self.event(at)], Vec::new(), u64::try_from(at).unwrap() + 1);
            }
            Step::Lose => {
                let at = u64::try_from(self.reference.lines.len()).unwrap();
                let key = String::new();
                let line = Line { key, time: self.now, failures: 0, not_before: 0, is: Is::Gone, bytes: 9 };
                self.reference.lines.push(line);
                self.load(Vec::new(), vec![Gap { offsets: at..at + 1, trimmed: false }], at + 1);
            }
            Step::Take { receiver, messages, bytes, deadline } => self.take(receiver, messages, bytes, deadline),
            Step::Ack { which } => self.acknowledge(which),
            Step::AckLate { which } => {
                // Nobody was ever given what is not on the log.
                let end = u64::try_from(self.reference.lines.len()).unwrap();
                let id = AckId { offset: end + u64::from(which), nonce: 1 };
                assert_eq!(self.real.acknowledge(id, end), Outcome::Stale);
            }
            Step::Begin { which } => self.begin(which),
            Step::Finish { durable } => {
                for (at, id) in std::mem::take(&mut self.begun) {
                    self.real.finish_ack(id, durable);
                    if let Is::Leased { acking: acking @ true, .. } = &mut self.reference.lines[at].is {
                        *acking = false;
                        if durable {
                            self.reference.lines[at].is = Is::Gone;
                        }
                    }
                }
            }
            Step::Modify { which, seconds } => self.modify(which, seconds),
            Step::Pass { seconds } => self.now += i64::from(seconds) * 1_000_000,
            Step::Forwarded { yes } => self.forward(yes),
            Step::Restart => self.restart(),
        }
        self.reference.count_early();
        self.real.tick(self.now);
        self.reference.tick(self.now);
        self.reference.count_early();
        self.agree();
    }

    fn acknowledge(&mut self, which: u8) {
        if let Some((at, id)) = self.pick(which) {
            let live = self.is_live(at, id);
            let outcome = self.real.acknowledge(id, u64::MAX);
            let keyed = self.reference.keyed(at);
            let waits = !matches!(self.reference.lines[at].is, Is::Gone);
            let late = !self.reference.settings.exactly_once && !keyed && waits;
            let done = live || late;
            assert_eq!(outcome == Outcome::Done, done, "ack of {at}");
            if done {
                let early = live && self.reference.behind_another(at);
                self.reference.lines[at].is = if early { Is::Early } else { Is::Gone };
            }
        }
    }

    fn begin(&mut self, which: u8) {
        if let Some((at, id)) = self.pick(which) {
            let live = self.is_live(at, id);
            let unordered = live && self.reference.behind_another(at);
            let expected = if unordered { Outcome::Unordered } else { Outcome::Done };
            let expected = if live { expected } else { Outcome::Stale };
            assert_eq!(self.real.begin_ack(id), expected);
            if let Is::Leased { acking, .. } = &mut self.reference.lines[at].is
                && expected == Outcome::Done
            {
                *acking = true;
                self.begun.push((at, id));
            }
        }
    }

    fn forward(&mut self, yes: bool) {
        self.forwards.extend(self.real.take_forwards().iter().map(|forward| forward.event.offset));
        for offset in std::mem::take(&mut self.forwards) {
            let at = usize::try_from(offset).unwrap();
            let forwarding = self.reference.lines[at].is == Is::Forwarding;
            if yes {
                self.real.forwarded(offset);
            } else {
                self.real.not_forwarded(offset, self.now, 5_000_000);
            }
            match (forwarding, yes) {
                (true, true) => self.reference.lines[at].is = Is::Gone,
                (true, false) => self.reference.wait(at, self.now + 5_000_000),
                (false, _) => {}
            }
        }
    }

    fn take(&mut self, receiver: u8, messages: u8, bytes: u8, deadline: u8) {
        let limits = Limits {
            messages_max: usize::from(messages),
            bytes_max: usize::from(bytes),
            outstanding_messages_max: 6,
            outstanding_bytes_max: 150,
            deadline_s: u32::from(deadline),
        };
        let by = self.receivers[usize::from(receiver)];
        let real = self.real.take(by, limits, self.now);
        let expected = self.reference.take(by, limits, self.now);
        let got: Vec<usize> = real.iter().map(|taken| usize::try_from(taken.event.offset).unwrap()).collect();
        assert_eq!(got, expected, "taken");
        for (at, taken) in expected.into_iter().zip(real) {
            let counted = self.reference.settings.dead_letters.is_some();
            assert_eq!(taken.attempt, counted.then_some(self.reference.lines[at].failures + 1));
            assert_eq!(taken.event, self.event(at));
            if let Is::Leased { nonce, .. } = &mut self.reference.lines[at].is {
                *nonce = taken.ack_id.nonce;
            }
            self.given.push((at, taken.ack_id));
        }
    }

    fn modify(&mut self, which: u8, seconds: u8) {
        let Some((at, id)) = self.pick(which) else { return };
        let live = self.is_live(at, id);
        let outcome = self.real.modify(id, u32::from(seconds), self.now);
        assert_eq!(outcome == Outcome::Done, live);
        if let Is::Leased { until, acking: false, .. } = &mut self.reference.lines[at].is
            && live
        {
            *until = self.now + i64::from(seconds) * 1_000_000;
            if seconds == 0 {
                self.reference.fail(at, self.now);
            }
        }
    }

    /// Only what was saved is there afterwards; what was leased waits again, at once.
    fn restart(&mut self) {
        let (saved, _) = self.real.saved();
        let saved = Saved::decode(&saved.encode()).unwrap();
        let settings = self.reference.settings.clone();
        self.now += 1;
        self.real = Deliveries::new(settings, None, saved, self.now);
        self.receivers = (0..3).map(|_| self.real.open_receiver()).collect();
        self.reference.key_waits.clear();
        self.forwards.clear();
        self.begun.clear();
        // The ids of the last process are of no use in this comparison: they are late ones.
        self.given.clear();
        for line in &mut self.reference.lines {
            line.not_before = 0;
            match line.is {
                Is::Gone => {}
                Is::Leased { acking: true, .. } => line.is = Is::Gone,
                Is::Waiting | Is::Leased { .. } | Is::Early | Is::Forwarding => {
                    line.is = if line.time < self.now - RETENTION_US { Is::Gone } else { Is::Waiting };
                }
            }
        }
        let (from, _) = self.real.wants().unwrap();
        let from = usize::try_from(from).unwrap();
        let events = (from..self.reference.lines.len()).map(|at| self.event(at)).collect();
        self.load(events, Vec::new(), u64::try_from(self.reference.lines.len()).unwrap());
    }

    fn pick(&self, which: u8) -> Option<(usize, AckId)> {
        (!self.given.is_empty()).then(|| self.given[usize::from(which) % self.given.len()])
    }

    fn is_live(&self, at: usize, id: AckId) -> bool {
        matches!(self.reference.lines[at].is, Is::Leased { nonce, .. } if nonce == id.nonce)
    }

    fn agree(&self) {
        for (at, line) in self.reference.lines.iter().enumerate() {
            let offset = u64::try_from(at).unwrap();
            assert_eq!(self.real.acked.has(offset), line.is == Is::Gone, "offset {at} is {:?}", line.is);
        }
        let left = self.reference.lines.iter().filter(|line| line.is != Is::Gone).count();
        let end = u64::try_from(self.reference.lines.len()).unwrap();
        assert_eq!(self.real.backlog(end), u64::try_from(left).unwrap());
        let bytes: usize = self.real.held.values().map(|held| held.event.bytes()).sum();
        assert_eq!((self.real.held.len(), self.real.held_bytes), (left, bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_history_agrees_with_the_simple_reference(
        ordered in any::<bool>(),
        exactly_once in any::<bool>(),
        dead in any::<bool>(),
        backoff in any::<bool>(),
        steps in steps(),
    ) {
        let settings = Settings {
            ordered,
            exactly_once,
            retention_s: u64::try_from(RETENTION_US / 1_000_000).unwrap(),
            dead_letters: dead.then(|| DeadLetters { topic: "dead".to_owned(), attempts_max: 2 }),
            backoff: backoff.then_some(Backoff { min_ms: 3000, max_ms: 20_000 }),
            ..Settings::default()
        };
        let mut world = World::new(settings);
        for step in &steps {
            world.step(step);
        }
    }
}

#[test]
fn a_seek_makes_exactly_its_events_come_again_and_old_ids_worthless() {
    let mut world = World::new(Settings::default());
    for _ in 0..4 {
        world.step(&Step::Publish { key: 0, bytes: 5 });
    }
    world.step(&Step::Take { receiver: 0, messages: 4, bytes: 255, deadline: 30 });
    let ids: Vec<AckId> = world.given.iter().map(|(_, id)| *id).collect();
    assert_eq!(world.real.acknowledge(ids[0], 4), Outcome::Done);
    world.real.seek(Acknowledged::before(0), 0);
    assert!(world.real.wants().is_some_and(|(from, _)| from == 0));
    for id in &ids {
        assert_eq!(world.real.acknowledge(*id, 4), Outcome::Stale, "{id:?}");
    }
    assert_eq!(world.real.backlog(4), 4);
    let stale = Chunk { events: vec![world.event(3)], next: 4, gaps: Vec::new() };
    world.real.load(stale, 0, world.now);
    assert!(world.real.wants().is_some_and(|(from, _)| from == 0), "what was read before the seek is not taken in");
    world.real.seek(Acknowledged::before(0), world.now + 1);
    world.load((0..4).map(|at| world.event(at)).collect(), Vec::new(), 4);
    assert_eq!(world.real.floor(), 4, "a seek to a time to come gives up what is older");
}

#[test]
fn an_acknowledgement_from_before_a_restart_counts_unless_exactly_once_or_an_order_forbids_it() {
    for (exactly_once, ordered) in [(false, false), (true, false), (false, true)] {
        let mut world = World::new(Settings { ordered, exactly_once, ..Settings::default() });
        for key in [0, 1] {
            world.step(&Step::Publish { key, bytes: 5 });
        }
        world.step(&Step::Take { receiver: 0, messages: 2, bytes: 255, deadline: 30 });
        let ids: Vec<AckId> = world.given.iter().map(|(_, id)| *id).collect();
        let (saved, _) = world.real.saved();
        let settings = world.reference.settings.clone();
        let mut again = Deliveries::new(settings, None, saved, world.now + 1_000_000);
        let expected = if exactly_once || ordered { Outcome::Stale } else { Outcome::Done };
        assert_eq!(ids.iter().map(|id| again.acknowledge(*id, 2)).collect::<Vec<_>>(), [expected; 2]);
        assert_eq!(again.backlog(2), if expected == Outcome::Done { 0 } else { 2 });
    }
}

#[test]
fn what_is_past_its_retention_is_given_up_unread_but_not_what_is_leased() {
    let mut unread = Deliveries::new(Settings::default(), None, Saved::beginning(0), 0);
    unread.give_up_before(3);
    assert_eq!((unread.floor(), unread.wants(), unread.revision()), (3, Some((3, 0)), 1));
    unread.give_up_before(2);
    assert_eq!((unread.floor(), unread.revision()), (3, 1), "nothing is given up twice");

    let mut world = World::new(Settings::default());
    for _ in 0..4 {
        world.step(&Step::Publish { key: 0, bytes: 5 });
    }
    world.step(&Step::Take { receiver: 0, messages: 2, bytes: 255, deadline: 30 });
    let ids: Vec<AckId> = world.given.iter().map(|(_, id)| *id).collect();
    assert_eq!(world.real.acknowledge(ids[0], 4), Outcome::Done);
    world.real.give_up_before(3);
    assert_eq!((world.real.floor(), world.real.backlog(4)), (1, 3), "a lease goes on");
    assert_eq!(world.real.acknowledge(ids[1], 4), Outcome::Done);
    world.real.give_up_before(3);
    assert_eq!((world.real.floor(), world.real.backlog(4), world.real.held.len()), (3, 1, 1));
}

#[test]
fn nothing_is_taken_from_a_topic_that_has_the_name_of_a_deleted_one() {
    let mut world = World::new(Settings::default());
    world.step(&Step::Publish { key: 0, bytes: 5 });
    world.real.set(Settings { topic_deleted: true, ..Settings::default() });
    let limits = Limits {
        messages_max: 9,
        bytes_max: 999,
        outstanding_messages_max: 9,
        outstanding_bytes_max: 999,
        deadline_s: 10,
    };
    assert!(world.real.take(world.receivers[0], limits, world.now).is_empty());
    assert_eq!(world.real.wants(), None);
}
