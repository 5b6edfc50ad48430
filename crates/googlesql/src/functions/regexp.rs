//! Regular expressions in RE2's syntax, replacements with `\1`.

use std::{cell::RefCell, sync::Arc};

use regex::{Captures, Regex};

use super::{
    Table,
    cell::{Array1, Bool, Fail, Int, Out, Text, ok},
    number::{count, size},
};

thread_local! {
    /// The last pattern compiled: it is nearly always the same for all rows.
    static LAST: RefCell<Option<(String, Arc<Regex>)>> = const { RefCell::new(None) };
}

fn compiled(pattern: &str) -> Result<Arc<Regex>, Fail> {
    LAST.with_borrow_mut(|last| {
        if let Some((text, regex)) = last
            && text == pattern
        {
            return Ok(Arc::clone(regex));
        }
        let regex = Arc::new(Regex::new(pattern).map_err(|_| Fail::from("not a regular expression that RE2 knows"))?);
        *last = Some((pattern.to_owned(), Arc::clone(&regex)));
        Ok(regex)
    })
}

pub(super) fn register(t: &mut Table) {
    t.f2::<Text, Text, Bool>("REGEXP_CONTAINS", |a, p| ok(compiled(p)?.is_match(a)));
    t.alias("REGEXP_CONTAINS", "REGEXP_MATCH");
    for name in ["REGEXP_EXTRACT", "REGEXP_SUBSTR"] {
        t.f2::<Text, Text, Text>(name, |a, p| extract(a, p, 1, 1));
        t.f3::<Text, Text, Int, Text>(name, |a, p, from| extract(a, p, from, 1));
        t.f4::<Text, Text, Int, Int, Text>(name, extract);
    }
    t.f2::<Text, Text, Array1<Text>>("REGEXP_EXTRACT_ALL", |a, p| {
        let regex = compiled(p)?;
        one_group(&regex)?;
        ok(regex.captures_iter(a).map(|found| wanted(&found)).collect())
    });
    t.f3::<Text, Text, Text, Text>("REGEXP_REPLACE", replace);
    t.f2::<Text, Text, Int>("REGEXP_INSTR", |a, p| instr(a, p, 1, 1));
    t.f3::<Text, Text, Int, Int>("REGEXP_INSTR", |a, p, from| instr(a, p, from, 1));
    t.f4::<Text, Text, Int, Int, Int>("REGEXP_INSTR", instr);
}

fn one_group(regex: &Regex) -> Result<(), Fail> {
    if regex.captures_len() > 2 {
        Err("the regular expression has more than one capturing group".into())
    } else {
        Ok(())
    }
}

/// The group's text if there is a group, else the whole match. A group that took no part gives NULL.
fn wanted(found: &Captures<'_>) -> Option<String> {
    let group = if found.len() > 1 { found.get(1) } else { found.get(0) };
    group.map(|part| part.as_str().to_owned())
}

fn start_of(text: &str, from: i64, occurrence: i64) -> Result<Option<usize>, Fail> {
    if from < 1 || occurrence < 1 {
        return Err("position and occurrence must be positive".into());
    }
    let skip = size(from - 1);
    Ok(text.char_indices().map(|(at, _)| at).chain(std::iter::once(text.len())).nth(skip))
}

fn extract(text: &str, pattern: &str, from: i64, occurrence: i64) -> Out<String> {
    let regex = compiled(pattern)?;
    one_group(&regex)?;
    let Some(start) = start_of(text, from, occurrence)? else { return Ok(None) };
    let rest = text.get(start..).unwrap_or_default();
    Ok(regex.captures_iter(rest).nth(size(occurrence - 1)).and_then(|found| wanted(&found)))
}

fn instr(text: &str, pattern: &str, from: i64, occurrence: i64) -> Out<i64> {
    let regex = compiled(pattern)?;
    one_group(&regex)?;
    let Some(start) = start_of(text, from, occurrence)? else { return ok(0) };
    let rest = text.get(start..).unwrap_or_default();
    let found = regex.captures_iter(rest).nth(size(occurrence - 1));
    let place = found.and_then(|found| found.get(usize::from(found.len() > 1)).map(|part| part.start()));
    ok(place.map_or(0, |at| count(text.get(..start + at).unwrap_or_default().chars().count()) + 1))
}

/// Replaces every match. `\0` is the match, `\1` to `\9` its groups, `\\` a backslash; all else is an error.
fn replace(text: &str, pattern: &str, replacement: &str) -> Out<String> {
    let regex = compiled(pattern)?;
    let mut parts: Vec<Result<char, usize>> = Vec::new();
    let mut chars = replacement.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('\\') => parts.push(Ok('\\')),
                Some(digit) if digit.is_ascii_digit() => {
                    let group = digit.to_digit(10).and_then(|d| usize::try_from(d).ok()).unwrap_or(0);
                    if group >= regex.captures_len() {
                        return Err("the replacement names a group that the regular expression does not have".into());
                    }
                    parts.push(Err(group));
                }
                _ => return Err("a backslash in a replacement must be followed by a digit or a backslash".into()),
            },
            other => parts.push(Ok(other)),
        }
    }
    let result = regex.replace_all(text, |found: &Captures<'_>| {
        let mut out = String::new();
        for part in &parts {
            match part {
                Ok(c) => out.push(*c),
                Err(group) => out.push_str(found.get(*group).map_or("", |m| m.as_str())),
            }
        }
        out
    });
    ok(result.into_owned())
}
