//! `access.toml`: groups, grants, column tags and row filters.
//!
//! Owns: its syntax and the refusal of rules that would not be enforced. Never decides who may read; that is `access`.

use crate::{
    mistake::Mistake,
    node::{Node, Value},
    section::{Reading, Section},
};

/// The file.
pub const ACCESS_FILE: &str = "access.toml";

const SECTIONS: [(&str, &str); 4] =
    [("groups", "groups"), ("grants", "grants"), ("tags", "column tags"), ("filters", "row filters")];

/// Checks the file. A rule that is written and would not be enforced is worse than none, so it is refused.
pub(crate) fn read(reading: &mut Reading<'_>, root: &Node) {
    let Some(mut file) = Section::open(reading, ACCESS_FILE, ACCESS_FILE, root) else { return };
    for (key, what) in SECTIONS {
        let Some(entry) = file.entry(key) else { continue };
        let empty = match &entry.node.value {
            Value::Table(entries) => entries.is_empty(),
            Value::List(items) => items.is_empty(),
            _ => {
                reading.wrong_type(key, "a table", &entry.node);
                continue;
            }
        };
        if !empty {
            let mistake = Mistake::NotBuilt {
                what: format!("{what} in {ACCESS_FILE}"),
                instead: "They come with the access issue and would not be enforced now: every token of the project \
                          may view everything. Remove them until then."
                    .to_owned(),
            };
            reading.add(&entry.key_span, mistake);
        }
    }
    file.finish(reading);
}
