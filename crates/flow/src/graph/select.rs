//! Which marts a person means: `finance.revenue`, `+finance.revenue`, `staging.*`, `marts/finance/revenue.sql`.
//!
//! Owns: the selection words of `naru run`, `naru graph` and friends. Never runs anything.

use std::collections::BTreeSet;

use globset::GlobBuilder;
use naru_base::{Problem, TableId};

use super::Graph;
use crate::known::nearest;

impl Graph {
    /// The marts that the words mean together; no words mean all marts.
    ///
    /// A word is a table name, the path of its file, or a glob over either, with `+` before it for everything above
    /// and `+` after it for everything below.
    ///
    /// # Errors
    /// `flow.no_such_mart` for a word that means nothing, with the nearest name.
    pub fn select<S: AsRef<str>>(&self, words: &[S]) -> Result<BTreeSet<TableId>, Problem> {
        self.select_seen(words, |_| true)
    }

    /// The same for whoever sees only some marts: no others are meant, or named in a hint.
    ///
    /// # Errors
    /// As [`Graph::select`]; a mart that is not seen is one that does not exist.
    pub fn select_seen<S: AsRef<str>>(
        &self,
        words: &[S],
        seen: impl Fn(&TableId) -> bool,
    ) -> Result<BTreeSet<TableId>, Problem> {
        if words.is_empty() {
            return Ok(self.marts().iter().map(|mart| mart.id.clone()).filter(|id| seen(id)).collect());
        }
        let mut selected = BTreeSet::new();
        for word in words {
            selected.extend(self.select_one(word.as_ref().trim(), &seen)?);
        }
        selected.retain(|id| seen(id));
        Ok(selected)
    }

    fn select_one(&self, word: &str, seen: &impl Fn(&TableId) -> bool) -> Result<BTreeSet<TableId>, Problem> {
        let (above, rest) = word.strip_prefix('+').map_or((false, word), |rest| (true, rest));
        let (below, name) = rest.strip_suffix('+').map_or((false, rest), |rest| (true, rest));
        let named = self.named(name, seen)?;
        let mut selected = named.clone();
        if above {
            selected.extend(self.all_above(&named));
        }
        if below {
            selected.extend(self.all_below(&named));
        }
        Ok(selected)
    }

    fn named(&self, name: &str, seen: &impl Fn(&TableId) -> bool) -> Result<BTreeSet<TableId>, Problem> {
        let plain = naru_project::nfc(&name.replace('`', ""));
        // `*` stops at neither the dot nor the slash: `staging.*` means every table of the dataset.
        let glob = GlobBuilder::new(&plain).literal_separator(false).build().map_err(|error| {
            Problem::new("flow.no_such_mart", format!("\"{name}\" is not a name or pattern")).detail(error.to_string())
        })?;
        let pattern = glob.compile_matcher();
        let named: BTreeSet<TableId> = self
            .marts()
            .iter()
            .filter(|mart| seen(&mart.id))
            .filter(|mart| pattern.is_match(mart.id.to_string()) || pattern.is_match(&mart.place.file))
            .map(|mart| mart.id.clone())
            .collect();
        if named.is_empty() { Err(self.no_such_mart(&plain, seen)) } else { Ok(named) }
    }

    fn no_such_mart(&self, name: &str, seen: &impl Fn(&TableId) -> bool) -> Problem {
        let problem = Problem::new("flow.no_such_mart", format!("no mart is named {name}"));
        let ids = || self.marts().iter().map(|mart| &mart.id).filter(|id| seen(id));
        let same_table = ids().find(|id| id.table == name);
        match same_table.or_else(|| nearest(name, ids())) {
            Some(near) => problem.hint(format!("Did you mean {near}?")),
            None => problem.hint("`naru graph` lists all marts."),
        }
    }
}
