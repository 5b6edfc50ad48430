//! Fields that are no column yet, and when one becomes a column.
//!
//! Owns: counting the types of unknown fields. The first event never fixes a type: a field becomes a column once as
//! many events as the file asks for have agreed on one; until then, and for ever if they do not agree, it stays in
//! `_extra`. Counts begin again with a restart. Never changes a table.

use std::collections::{HashMap, HashSet};

use naru_lake::rows::Sighting;
use naru_project::topic::Evolve;

/// Unknown fields that are counted at once; names that senders make up would fill the memory otherwise.
const FIELDS_MAX: usize = 2_000;
/// A longer name does not become a column.
const NAME_CHARS_MAX: usize = 128;

/// What both types are, if they agree.
fn agreed(one: &'static str, other: &'static str) -> Option<&'static str> {
    const NUMBERS: [&str; 2] = ["INT64", "FLOAT64"];
    if one == other {
        return Some(one);
    }
    (NUMBERS.contains(&one) && NUMBERS.contains(&other)).then_some("FLOAT64")
}

#[derive(Debug)]
struct Seen {
    count: u32,
    /// None once two events disagreed.
    sql_type: Option<&'static str>,
}

/// What was seen of unknown fields since the start.
#[derive(Debug, Default)]
pub(crate) struct Sightings {
    fields: HashMap<String, Seen>,
}

impl Sightings {
    /// Counts unknown fields. One that is null, or that no type holds exactly, says nothing.
    pub(crate) fn see(&mut self, sightings: Vec<Sighting>) {
        for Sighting { name, sql_type } in sightings {
            let Some(sql_type) = sql_type else { continue };
            if let Some(seen) = self.fields.get_mut(&name) {
                seen.count = seen.count.saturating_add(1);
                seen.sql_type = seen.sql_type.and_then(|known| agreed(known, sql_type));
            } else if self.fields.len() < FIELDS_MAX && can_be_named(&name) {
                self.fields.insert(name, Seen { count: 1, sql_type: Some(sql_type) });
            }
        }
    }

    /// Takes the fields that are to be columns now, with their types, by name. `columns` are those the table has.
    pub(crate) fn ripe(&mut self, evolve: Evolve, columns: &[String]) -> Vec<(String, &'static str)> {
        let room = naru_base::number::usize_from(u64::from(evolve.most)).saturating_sub(columns.len());
        let taken = |name: &str| columns.iter().any(|column| column.to_lowercase() == name.to_lowercase());
        let mut ripe: Vec<(String, &'static str)> = self
            .fields
            .iter()
            .filter(|(name, seen)| seen.count >= evolve.after && !taken(name))
            .filter_map(|(name, seen)| Some((name.clone(), seen.sql_type?)))
            .collect();
        ripe.sort();
        // Two fields that differ in case only are one column; the second stays where it is.
        let mut names = HashSet::new();
        ripe.retain(|(name, _)| names.insert(name.to_lowercase()));
        ripe.truncate(room);
        for (name, _) in &ripe {
            self.fields.remove(name);
        }
        ripe
    }
}

fn can_be_named(name: &str) -> bool {
    let lower = name.to_lowercase();
    let own = ["_naru_", "_day_"].iter().any(|prefix| lower.starts_with(prefix)) || lower == super::EXTRA;
    !name.is_empty() && !own && name.chars().count() <= NAME_CHARS_MAX && naru_project::nfc(name) == name
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER_3: Evolve = Evolve { after: 3, most: 10 };

    fn see(sightings: &mut Sightings, fields: &[(&str, Option<&'static str>)]) {
        let fields = fields.iter().map(|(name, sql_type)| Sighting { name: (*name).to_owned(), sql_type: *sql_type });
        sightings.see(fields.collect());
    }

    #[test]
    fn the_first_event_never_fixes_a_type() {
        let mut sightings = Sightings::default();
        see(&mut sightings, &[("a", Some("INT64"))]);
        see(&mut sightings, &[("a", Some("INT64"))]);
        see(&mut sightings, &[("a", None)]);
        assert!(sightings.ripe(AFTER_3, &[]).is_empty());
        see(&mut sightings, &[("a", Some("FLOAT64"))]);
        assert_eq!(sightings.ripe(AFTER_3, &[]), [("a".to_owned(), "FLOAT64")]);
        assert!(sightings.ripe(AFTER_3, &[]).is_empty(), "once");
    }

    #[test]
    fn fields_whose_events_disagree_stay_in_extra_for_ever() {
        let mut sightings = Sightings::default();
        see(&mut sightings, &[("a", Some("INT64"))]);
        see(&mut sightings, &[("a", Some("STRING"))]);
        (0..100).for_each(|_| see(&mut sightings, &[("a", Some("INT64")), ("b", Some("JSON")), ("n", None)]));
        assert_eq!(sightings.ripe(AFTER_3, &[]), [("b".to_owned(), "JSON")]);
    }

    #[test]
    fn the_cap_and_names_that_are_taken_are_kept_to() {
        let mut sightings = Sightings::default();
        for _ in 0..3 {
            let names = ["A", "B", "a", "c", "_naru_x", "_extra", "_day_x"];
            see(&mut sightings, &names.map(|name| (name, Some("INT64"))));
        }
        let columns: Vec<String> = ["C".into()].into();
        assert_eq!(
            sightings.ripe(Evolve { after: 3, most: 3 }, &columns).iter().map(|(n, _)| n).collect::<Vec<_>>(),
            ["A", "B"]
        );
        let mut made_up = Sightings::default();
        (0..FIELDS_MAX * 2).for_each(|n| see(&mut made_up, &[(&format!("f{n}"), Some("BOOL"))]));
        assert_eq!(made_up.fields.len(), FIELDS_MAX);
    }
}
