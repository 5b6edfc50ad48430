//! Time zones by their IANA names, and which one somebody meant who wrote something else.
//!
//! Owns: [`Zone`]. Only IANA names are accepted: an abbreviation means several zones, and an offset has no summer time.

use jiff::tz::TimeZone;

use crate::section::nearest;

/// An IANA time zone with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// For example `Asia/Seoul`.
    pub name: String,
    /// Its rules.
    pub zone: TimeZone,
}

impl Zone {
    /// Universal time.
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    /// Looks a zone up by its IANA name.
    pub fn find(name: &str) -> Option<Self> {
        if name == "UTC" {
            return Some(Self::utc());
        }
        TimeZone::get(name).ok().map(|zone| Self { name: name.to_owned(), zone })
    }
}

/// Abbreviations and offsets that people write, and a zone that has them.
const MEANT: &[(&str, &str)] = &[
    ("KST", "Asia/Seoul"),
    ("KOREA", "Asia/Seoul"),
    ("+9", "Asia/Seoul"),
    ("+09", "Asia/Seoul"),
    ("+0900", "Asia/Seoul"),
    ("JST", "Asia/Tokyo"),
    ("CHINA", "Asia/Shanghai"),
    ("+8", "Asia/Singapore"),
    ("+08", "Asia/Singapore"),
    ("+0800", "Asia/Singapore"),
    ("SGT", "Asia/Singapore"),
    ("HKT", "Asia/Hong_Kong"),
    ("ICT", "Asia/Bangkok"),
    ("WIB", "Asia/Jakarta"),
    ("IST", "Asia/Kolkata"),
    ("AEST", "Australia/Sydney"),
    ("BST", "Europe/London"),
    ("CEST", "Europe/Berlin"),
    ("ET", "America/New_York"),
    ("EDT", "America/New_York"),
    ("CT", "America/Chicago"),
    ("CDT", "America/Chicago"),
    ("PT", "America/Los_Angeles"),
    ("PST", "America/Los_Angeles"),
    ("PDT", "America/Los_Angeles"),
];

/// The zone that was meant by a name that is none; `None` if nothing is like it.
pub(crate) fn meant(name: &str) -> Option<String> {
    let upper: String = name.to_uppercase().chars().filter(|c| !matches!(c, ' ' | ':')).collect();
    let bare = upper.strip_prefix("UTC").or_else(|| upper.strip_prefix("GMT")).filter(|rest| !rest.is_empty());
    if let Some((_, zone)) = MEANT.iter().find(|(word, _)| *word == bare.unwrap_or(&upper)) {
        return Some((*zone).to_owned());
    }
    if bare.is_some_and(|rest| rest.starts_with(['+', '-'])) {
        return None;
    }
    let known: Vec<String> = jiff::tz::db().available().map(|known| known.as_str().to_owned()).collect();
    let city = |zone: &str| zone.rsplit('/').next().unwrap_or_default().replace(['_', ' '], "").to_uppercase();
    let wanted = city(name);
    let slip = known
        .iter()
        .filter(|zone| name.contains('/') == zone.contains('/'))
        .map(|zone| (strsim::osa_distance(&zone.to_uppercase(), &name.to_uppercase()), zone));
    known
        .iter()
        .find(|zone| city(zone) == wanted)
        .or_else(|| {
            slip.filter(|(distance, _)| *distance <= 2).min_by_key(|(distance, _)| *distance).map(|(_, zone)| zone)
        })
        .cloned()
        .or_else(|| nearest(name, known.iter().map(String::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_for_a_zone_leads_to_its_name() {
        for (written, zone) in [
            ("KST", Some("Asia/Seoul")),
            ("kst", Some("Asia/Seoul")),
            ("Asia/Soul", Some("Asia/Seoul")),
            ("asia/seul", Some("Asia/Seoul")),
            ("Seoul", Some("Asia/Seoul")),
            ("America/Seoul", Some("Asia/Seoul")),
            ("UTC+9", Some("Asia/Seoul")),
            ("GMT+09:00", Some("Asia/Seoul")),
            ("+09:00", Some("Asia/Seoul")),
            ("UTC-3:30", None),
            ("Asia/Kolkatta", Some("Asia/Kolkata")),
            ("New York", Some("America/New_York")),
            ("PST", Some("America/Los_Angeles")),
            ("the office", None),
        ] {
            assert_eq!(meant(written).as_deref(), zone, "{written}");
        }
    }
}
