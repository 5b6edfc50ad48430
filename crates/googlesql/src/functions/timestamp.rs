//! Functions of TIMESTAMP. Every function that meets a calendar takes the zone as its last argument; the planner
//! adds the session's where the SQL names none.

use super::{
    Table,
    cell::{Date, Datetime, Instant, Int, Out, Text, ok},
    civil::{self, Part, Zone},
    date::midnight,
};

pub(super) fn register(t: &mut Table) {
    t.f2::<Text, Text, Instant>("TIMESTAMP", |a, zone| civil::parse_instant(a, Zone::parse(zone)?).map(Some));
    t.f2::<Date, Text, Instant>("TIMESTAMP", |a, zone| Zone::parse(zone)?.instant(midnight(a)).map(Some));
    t.f2::<Datetime, Text, Instant>("TIMESTAMP", |a, zone| Zone::parse(zone)?.instant(a).map(Some));
    t.f2::<Instant, Text, Instant>("TIMESTAMP", |a, _| ok(a));
    for (name, unit) in [("SECONDS", 1_000_000), ("MILLIS", 1_000), ("MICROS", 1)] {
        t.f1::<Instant, Int>(&format!("UNIX_{name}"), move |a| ok(a.div_euclid(unit)));
        let from = move |a: i64| civil::micros(a.checked_mul(unit).ok_or("TIMESTAMP overflow")?).map(Some);
        t.f1::<Int, Instant>(&format!("TIMESTAMP_{name}"), from);
        t.f1::<Int, Instant>(&format!("TIMESTAMP_FROM_UNIX_{name}"), from);
        t.f1::<Instant, Instant>(&format!("TIMESTAMP_FROM_UNIX_{name}"), ok);
    }
    t.f2::<Instant, Text, Text>("STRING", |a, zone| civil::instant_text(a, Zone::parse(zone)?).map(Some));
    t.f1::<Date, Text>("STRING", |a| civil::date_text(a).map(Some));
    t.f1::<Datetime, Text>("STRING", |a| civil::datetime_text(a, ' ').map(Some));
    t.f1::<super::cell::Time, Text>("STRING", |a| ok(civil::time_text(a)));
}

/// Cuts an instant down to a part as clocks in a zone show it.
pub(super) fn truncate(value: i64, zone: &str, part: Part) -> Out<i64> {
    let zone = Zone::parse(zone)?;
    match part.clock_unit() {
        // Up to an hour, the cut keeps the offset that holds at the instant, so that repeated hours stay apart.
        Some(_) => {
            let local = zone.local(value)?;
            ok(value - (local - civil::truncate(local, part)?))
        }
        None => zone.instant(civil::truncate(zone.local(value)?, part)?).map(Some),
    }
}
