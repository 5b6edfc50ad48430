//! Attributes by which naru speaks to itself on the log.
//!
//! Owns: their names, and which reader an event is for. Doors refuse attributes that begin with [`OWN`] from outside,
//! so an event with one of them was written by naru. Never writes one itself.

use crate::log::Event;

/// Beginning of every one of these names.
pub const OWN: &str = "naru.";
/// Offset of the event that this one is a mended form of.
pub const REPLAY_OF: &str = "naru.replay.of";
/// The one reader that a mended event is for.
pub const REPLAY_SINK: &str = "naru.replay.sink";
/// When the event that this one is a mended form of was accepted, microseconds since 1970.
pub const REPLAY_FIRST_US: &str = "naru.replay.first_us";
/// How often an event was tried before.
pub const ATTEMPT: &str = "naru.attempt";
/// Offset of the event that died; this one tells of it and carries its bytes.
pub const DEAD_OF: &str = "naru.dead.of";
/// The reader that it died in, or that took it after all.
pub const DEAD_SINK: &str = "naru.dead.sink";
/// `dead`, `replayed` or `discarded`.
pub const DEAD_STATUS: &str = "naru.dead.status";
/// Why, as a stable code.
pub const DEAD_REASON: &str = "naru.dead.reason";
/// Where in the event.
pub const DEAD_PATH: &str = "naru.dead.path";
/// What would have been right.
pub const DEAD_EXPECTED: &str = "naru.dead.expected";
/// What stood there: a type, never the value.
pub const DEAD_GOT: &str = "naru.dead.got";
/// When the event that died was accepted, microseconds since 1970.
pub const DEAD_FIRST_US: &str = "naru.dead.first_us";

/// Who decided that it is not needed.
pub const DEAD_BY: &str = "naru.dead.by";
/// Why it is not needed.
pub const DEAD_WHY: &str = "naru.dead.why";

/// When an event was accepted first, microseconds since 1970: a mended one is as old as what it was made of.
pub fn arrived_us(event: &Event) -> i64 {
    event.attribute(REPLAY_FIRST_US).and_then(|text| text.parse().ok()).unwrap_or(event.time_us)
}

/// Whether a reader looks at an event. What tells of a dead letter is for nobody but the table's sink, which asks for
/// it by [`DEAD_SINK`]; a mended event is for the reader that it is named for, and every other event for all.
/// `reader` is the sink's name in dead letters, none for subscribers.
pub fn is_for(event: &Event, reader: Option<&str>) -> bool {
    let mut mine = true;
    for (name, value) in event.attributes().filter(|(name, _)| name.starts_with(OWN)) {
        match name {
            DEAD_SINK => return false,
            REPLAY_SINK => mine = reader == Some(value),
            _ => {}
        }
    }
    mine
}
