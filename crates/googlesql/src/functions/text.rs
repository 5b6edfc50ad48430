//! Functions of STRING (in characters) and of BYTES (in bytes).

use super::{
    Table,
    cell::{Array1, Bool, Bytes, Fail, Int, Out, Text, ok},
    number::{count, size},
};

/// No function makes a value larger than this, so that REPEAT cannot exhaust memory.
const VALUE_BYTES_MAX: usize = 64 << 20;

pub(super) fn register(t: &mut Table) {
    lengths(t);
    cases(t);
    parts(t);
    search(t);
    padding(t);
    trims(t);
    code_points(t);
    t.all::<Text, Text>("CONCAT", 1, |parts| ok(parts.concat()));
    t.all::<Bytes, Bytes>("CONCAT", 1, |parts| ok(parts.concat()));
    t.f1::<Text, Text>("REVERSE", |a| ok(a.chars().rev().collect()));
    t.f1::<Bytes, Bytes>("REVERSE", |a| ok(a.iter().rev().copied().collect()));
    t.f0::<Text>("GENERATE_UUID", || ok(uuid::Uuid::new_v4().to_string()));
    t.f1::<Text, Text>("SOUNDEX", |a| ok(soundex(a)));
    t.f2::<Text, Text, Int>("EDIT_DISTANCE", |a, b| ok(edit_distance(a, b)));
}

fn lengths(t: &mut Table) {
    for name in ["LENGTH", "CHAR_LENGTH", "CHARACTER_LENGTH"] {
        t.f1::<Text, Int>(name, |a| ok(count(a.chars().count())));
    }
    t.f1::<Bytes, Int>("LENGTH", |a| ok(count(a.len())));
    for name in ["BYTE_LENGTH", "OCTET_LENGTH"] {
        t.f1::<Text, Int>(name, |a| ok(count(a.len())));
        t.f1::<Bytes, Int>(name, |a| ok(count(a.len())));
    }
}

fn cases(t: &mut Table) {
    t.f1::<Text, Text>("UPPER", |a| ok(a.to_uppercase()));
    t.f1::<Text, Text>("LOWER", |a| ok(a.to_lowercase()));
    t.f1::<Bytes, Bytes>("UPPER", |a| ok(a.to_ascii_uppercase()));
    t.f1::<Bytes, Bytes>("LOWER", |a| ok(a.to_ascii_lowercase()));
    t.f1::<Text, Text>("INITCAP", |a| ok(initcap(a, " \t\n\r\u{b}\u{c}[](){}/|<>!?@\"^#$&~_,.:;*%+-")));
    t.f2::<Text, Text, Text>("INITCAP", |a, delimiters| ok(initcap(a, delimiters)));
}

fn initcap(text: &str, delimiters: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut first = true;
    for c in text.chars() {
        if first {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        first = delimiters.contains(c);
    }
    out
}

/// The characters from a 1-based position, negative from the end, as GoogleSQL counts them.
fn substring(text: &str, position: i64, length: Option<i64>) -> Out<String> {
    if length.is_some_and(|length| length < 0) {
        return Err("SUBSTR with a negative length".into());
    }
    let total = if position < 0 { text.chars().count() } else { 0 };
    let (skip, take) = window(count(total), position, length);
    ok(text.chars().skip(skip).take(take).collect())
}

fn substring_bytes(bytes: &[u8], position: i64, length: Option<i64>) -> Out<Vec<u8>> {
    if length.is_some_and(|length| length < 0) {
        return Err("SUBSTR with a negative length".into());
    }
    let (skip, take) = window(count(bytes.len()), position, length);
    ok(bytes.iter().skip(skip).take(take).copied().collect())
}

/// Position 0 is position 1; before the start means from the start.
fn window(total: i64, position: i64, length: Option<i64>) -> (usize, usize) {
    let start = if position < 0 { (total + position).max(0) } else { (position - 1).max(0) };
    (size(start), length.map_or(usize::MAX, size))
}

fn parts(t: &mut Table) {
    for name in ["SUBSTR", "SUBSTRING"] {
        t.f2::<Text, Int, Text>(name, |a, at| substring(a, at, None));
        t.f3::<Text, Int, Int, Text>(name, |a, at, length| substring(a, at, Some(length)));
        t.f2::<Bytes, Int, Bytes>(name, |a, at| substring_bytes(a, at, None));
        t.f3::<Bytes, Int, Int, Bytes>(name, |a, at, length| substring_bytes(a, at, Some(length)));
    }
    t.f2::<Text, Int, Text>(
        "LEFT",
        |a, n| if n < 0 { negative("LEFT") } else { ok(a.chars().take(size(n)).collect()) },
    );
    t.f2::<Bytes, Int, Bytes>("LEFT", |a, n| {
        if n < 0 { negative("LEFT") } else { ok(a.iter().take(size(n)).copied().collect()) }
    });
    t.f2::<Text, Int, Text>("RIGHT", |a, n| {
        if n < 0 {
            return negative("RIGHT");
        }
        ok(a.chars().skip(a.chars().count().saturating_sub(size(n))).collect())
    });
    t.f2::<Bytes, Int, Bytes>("RIGHT", |a, n| {
        if n < 0 {
            return negative("RIGHT");
        }
        ok(a.iter().skip(a.len().saturating_sub(size(n))).copied().collect())
    });
    t.f1::<Text, Array1<Text>>("SPLIT", |a| split(a, ","));
    t.f2::<Text, Text, Array1<Text>>("SPLIT", split);
    t.f3::<Text, Text, Text, Text>("REPLACE", |a, from, to| {
        ok(if from.is_empty() { a.to_owned() } else { a.replace(from, to) })
    });
    t.f3::<Text, Text, Text, Text>("TRANSLATE", translate);
}

fn negative<T>(name: &str) -> Out<T> {
    Err(Fail(format!("{name} with a negative length")))
}

fn split(text: &str, delimiter: &str) -> Out<Vec<Option<String>>> {
    ok(if delimiter.is_empty() && !text.is_empty() {
        text.chars().map(|c| Some(c.to_string())).collect()
    } else if delimiter.is_empty() {
        vec![Some(String::new())]
    } else {
        text.split(delimiter).map(|part| Some(part.to_owned())).collect()
    })
}

fn translate(text: &str, from: &str, to: &str) -> Out<String> {
    let targets: Vec<char> = to.chars().collect();
    let mut map = std::collections::HashMap::new();
    for (at, c) in from.chars().enumerate() {
        if map.insert(c, targets.get(at).copied()).is_some() {
            return Err("TRANSLATE with a character twice in its source set".into());
        }
    }
    ok(text.chars().filter_map(|c| map.get(&c).copied().unwrap_or(Some(c))).collect())
}

fn search(t: &mut Table) {
    t.f2::<Text, Text, Bool>("STARTS_WITH", |a, b| ok(a.starts_with(b)));
    t.f2::<Bytes, Bytes, Bool>("STARTS_WITH", |a, b| ok(a.starts_with(b)));
    t.f2::<Text, Text, Bool>("ENDS_WITH", |a, b| ok(a.ends_with(b)));
    t.f2::<Bytes, Bytes, Bool>("ENDS_WITH", |a, b| ok(a.ends_with(b)));
    t.f2::<Text, Text, Int>("STRPOS", |a, b| ok(a.find(b).map_or(0, |at| count(a.chars_before(at)) + 1)));
    t.f2::<Text, Text, Int>("INSTR", |a, b| instr(a, b, 1, 1));
    t.f3::<Text, Text, Int, Int>("INSTR", |a, b, from| instr(a, b, from, 1));
    t.f4::<Text, Text, Int, Int, Int>("INSTR", instr);
    t.f2::<Text, Text, Bool>("CONTAINS_SUBSTR", |a, b| {
        if b.is_empty() {
            Err("CONTAINS_SUBSTR with an empty text".into())
        } else {
            ok(a.to_lowercase().contains(&b.to_lowercase()))
        }
    });
}

trait CharsBefore {
    fn chars_before(&self, byte: usize) -> usize;
}

impl CharsBefore for str {
    fn chars_before(&self, byte: usize) -> usize {
        self.char_indices().take_while(|(at, _)| *at < byte).count()
    }
}

fn instr(text: &str, part: &str, from: i64, occurrence: i64) -> Out<i64> {
    if from == 0 || occurrence < 1 {
        return Err("INSTR needs a position other than 0 and a positive occurrence".into());
    }
    let text: Vec<char> = text.chars().collect();
    let part: Vec<char> = part.chars().collect();
    let last = text.len().saturating_sub(part.len());
    if part.len() > text.len() {
        return ok(0);
    }
    let is_match = |at: &usize| text.get(*at..at + part.len()) == Some(part.as_slice());
    let nth = size(occurrence) - 1;
    let found = if from > 0 {
        (size(from - 1)..=last).filter(is_match).nth(nth)
    } else {
        let end = count(text.len()) + from;
        if end < 0 { None } else { (0..=size(end).min(last)).rev().filter(is_match).nth(nth) }
    };
    ok(found.map_or(0, |at| count(at) + 1))
}

fn padding(t: &mut Table) {
    t.f2::<Text, Int, Text>("LPAD", |a, n| pad(a, n, " ", true));
    t.f3::<Text, Int, Text, Text>("LPAD", |a, n, with| pad(a, n, with, true));
    t.f2::<Text, Int, Text>("RPAD", |a, n| pad(a, n, " ", false));
    t.f3::<Text, Int, Text, Text>("RPAD", |a, n, with| pad(a, n, with, false));
    t.f3::<Bytes, Int, Bytes, Bytes>("LPAD", |a, n, with| pad_bytes(a, n, with, true));
    t.f3::<Bytes, Int, Bytes, Bytes>("RPAD", |a, n, with| pad_bytes(a, n, with, false));
    t.f2::<Bytes, Int, Bytes>("LPAD", |a, n| pad_bytes(a, n, b" ", true));
    t.f2::<Bytes, Int, Bytes>("RPAD", |a, n| pad_bytes(a, n, b" ", false));
    t.f2::<Text, Int, Text>("REPEAT", |a, n| repeated(a.len(), n).and_then(|n| ok(a.repeat(n))));
    t.f2::<Bytes, Int, Bytes>("REPEAT", |a, n| repeated(a.len(), n).and_then(|n| ok(a.repeat(n))));
}

fn repeated(bytes: usize, times: i64) -> Result<usize, Fail> {
    if times < 0 {
        return Err("REPEAT with a negative count".into());
    }
    if bytes.saturating_mul(size(times)) > VALUE_BYTES_MAX {
        return Err("REPEAT would make a value that is too large".into());
    }
    Ok(if bytes == 0 { 0 } else { size(times) })
}

fn pad(text: &str, length: i64, with: &str, left: bool) -> Out<String> {
    check_pad(length, with.is_empty())?;
    let length = size(length);
    let total = text.chars().count();
    if total >= length {
        return ok(text.chars().take(length).collect());
    }
    let filler: String = with.chars().cycle().take(length - total).collect();
    ok(if left { filler + text } else { text.to_owned() + &filler })
}

fn pad_bytes(bytes: &[u8], length: i64, with: &[u8], left: bool) -> Out<Vec<u8>> {
    check_pad(length, with.is_empty())?;
    let length = size(length);
    if bytes.len() >= length {
        return ok(bytes.iter().take(length).copied().collect());
    }
    let filler: Vec<u8> = with.iter().cycle().take(length - bytes.len()).copied().collect();
    ok(if left { [filler.as_slice(), bytes].concat() } else { [bytes, filler.as_slice()].concat() })
}

fn check_pad(length: i64, empty: bool) -> Result<(), Fail> {
    if length < 0 || empty {
        return Err("padding needs a length of 0 or more and a text to pad with".into());
    }
    if size(length) > VALUE_BYTES_MAX / 4 {
        return Err("padding would make a value that is too large".into());
    }
    Ok(())
}

fn trims(t: &mut Table) {
    let sides: [(&str, bool, bool); 3] = [("TRIM", true, true), ("LTRIM", true, false), ("RTRIM", false, true)];
    for (name, left, right) in sides {
        t.f1::<Text, Text>(name, move |a| ok(trim(a, char::is_whitespace, left, right).to_owned()));
        t.f2::<Text, Text, Text>(name, move |a, set| {
            if set.is_empty() {
                return ok(a.to_owned());
            }
            ok(trim(a, |c| set.contains(c), left, right).to_owned())
        });
        t.f2::<Bytes, Bytes, Bytes>(name, move |a, set| {
            let start = if left { a.iter().take_while(|b| set.contains(b)).count() } else { 0 };
            let rest = a.get(start..).unwrap_or_default();
            let end = if right { rest.iter().rev().take_while(|b| set.contains(b)).count() } else { 0 };
            ok(rest.get(..rest.len() - end).unwrap_or_default().to_vec())
        });
    }
}

fn trim(text: &str, drop: impl Fn(char) -> bool, left: bool, right: bool) -> &str {
    let text = if left { text.trim_start_matches(&drop) } else { text };
    if right { text.trim_end_matches(&drop) } else { text }
}

fn code_points(t: &mut Table) {
    t.f1::<Text, Int>("ASCII", |a| match a.chars().next() {
        None => ok(0),
        Some(c) if c.is_ascii() => ok(i64::from(u32::from(c))),
        Some(_) => Err("ASCII of a character that is not ASCII".into()),
    });
    t.f1::<Text, Int>("UNICODE", |a| ok(a.chars().next().map_or(0, |c| i64::from(u32::from(c)))));
    t.f1::<Int, Text>("CHR", |code| if code == 0 { ok(String::new()) } else { ok(code_point(code)?.to_string()) });
    t.f1::<Array1<Int>, Text>("CODE_POINTS_TO_STRING", |list| {
        let codes = super::cell::elements::<Int>(&list)?;
        let mut out = String::new();
        for code in codes {
            let Some(code) = code else { return Ok(None) };
            out.push(code_point(code)?);
        }
        ok(out)
    });
    t.f1::<Array1<Int>, Bytes>("CODE_POINTS_TO_BYTES", |list| {
        let codes = super::cell::elements::<Int>(&list)?;
        let mut out = Vec::new();
        for code in codes {
            let Some(code) = code else { return Ok(None) };
            out.push(u8::try_from(code).map_err(|_| Fail::from("a byte must be from 0 to 255"))?);
        }
        ok(out)
    });
    t.f1::<Text, Array1<Int>>("TO_CODE_POINTS", |a| ok(a.chars().map(|c| Some(i64::from(u32::from(c)))).collect()));
    t.f1::<Bytes, Array1<Int>>("TO_CODE_POINTS", |a| ok(a.iter().map(|b| Some(i64::from(*b))).collect()));
}

fn code_point(code: i64) -> Result<char, Fail> {
    u32::try_from(code).ok().and_then(char::from_u32).ok_or_else(|| Fail::from("not a Unicode code point"))
}

fn soundex(text: &str) -> String {
    let code = |c: char| match c.to_ascii_lowercase() {
        'b' | 'f' | 'p' | 'v' => Some('1'),
        'c' | 'g' | 'j' | 'k' | 'q' | 's' | 'x' | 'z' => Some('2'),
        'd' | 't' => Some('3'),
        'l' => Some('4'),
        'm' | 'n' => Some('5'),
        'r' => Some('6'),
        _ => None,
    };
    let mut letters = text.chars().filter(char::is_ascii_alphabetic);
    let Some(first) = letters.next() else { return String::new() };
    let mut out = first.to_ascii_uppercase().to_string();
    let mut last = code(first);
    for letter in letters {
        let next = code(letter);
        if let Some(digit) = next
            && next != last
            && out.len() < 4
        {
            out.push(digit);
        }
        if !matches!(letter.to_ascii_lowercase(), 'h' | 'w') {
            last = next;
        }
    }
    format!("{out:0<4}")
}

fn edit_distance(a: &str, b: &str) -> i64 {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<i64> = (0..=count(b.len())).collect();
    for (above, c) in (1_i64..).zip(a.chars()) {
        let mut diagonal = above - 1;
        let mut left = above;
        if let Some(first) = row.first_mut() {
            *first = above;
        }
        for (cell, other) in row.iter_mut().skip(1).zip(&b) {
            let next = (diagonal + i64::from(c != *other)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = next;
            left = next;
        }
    }
    row.last().copied().unwrap_or(0)
}
