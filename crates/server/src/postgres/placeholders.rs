//! The text around `$1`: casts behind parameters, `= ANY($1)`, and putting literals in.
//!
//! Owns: which casts are left out, because they only say the parameter's type again, and which stay for the planner,
//! because they change the value. Never reads a value.

use naru_warehouse::postgres_catalog;
use pgwire::api::Type;

use super::{
    command::{Placed, Token, tokens},
    params::google_type,
};

/// How many parameters a statement has.
pub fn count(sql: &str) -> usize {
    let numbers = tokens(sql).into_iter().filter_map(|placed| match placed.token {
        Token::Parameter(number) => Some(number),
        _ => None,
    });
    numbers.max().unwrap_or(0)
}

/// Writes `literal(n)` for every `$n`; missing ones stay as they are.
///
/// `type_of(n)` is the parameter's type. A cast right behind a parameter (`$1::BIGINT`, as SQLAlchemy writes it) that
/// says the same type again is left out; one that changes the value stays. `= ANY($1)` becomes `IN UNNEST($1)`.
/// Without a type the text is PostgreSQL's own: every cast goes, nothing else changes.
pub fn substitute(
    sql: &str,
    type_of: impl Fn(usize) -> Option<Type>,
    literal: impl Fn(usize) -> Option<String>,
) -> String {
    let (mut out, mut copied) = (String::with_capacity(sql.len()), 0);
    let all = tokens(sql);
    for (position, Placed { token, start, end }) in all.iter().enumerate() {
        let Token::Parameter(number) = token else { continue };
        let Some(text) = literal(*number) else { continue };
        let cast = cast_behind(all.get(position + 1..).unwrap_or_default());
        let of = type_of(*number);
        let after = cast.as_ref().map_or(*end, |cast| cast.end);
        if let Some(any) = of.as_ref().and_then(|_| any_around(&all, position, after)) {
            out.push_str(sql.get(copied..any.start).unwrap_or_default());
            if !out.ends_with(char::is_whitespace) {
                out.push(' ');
            }
            // PostgreSQL's answer to an array that is NULL is NULL, GoogleSQL's is not.
            if text.starts_with("CAST(NULL AS ") {
                out.push_str("= NULL");
            } else {
                out.extend([any.instead, "(", &text, ")"]);
            }
            copied = any.end;
            continue;
        }
        out.push_str(sql.get(copied..*start).unwrap_or_default());
        out.push_str(&text);
        copied = match (cast, of) {
            (Some(cast), Some(of)) if cast.changes(&of) => *end,
            _ => after,
        };
    }
    out.push_str(sql.get(copied..).unwrap_or_default());
    out
}

/// `= ANY(…)` or `<> ALL(…)` around a parameter.
struct Any {
    instead: &'static str,
    start: usize,
    end: usize,
}

/// Finds one around the parameter at `position`, whose cast ends at the byte `after`.
fn any_around(all: &[Placed<'_>], position: usize, after: usize) -> Option<Any> {
    let back = |steps: usize| position.checked_sub(steps).and_then(|at| all.get(at));
    let symbol = |steps: usize| match back(steps)?.token {
        Token::Symbol(symbol) => Some(symbol),
        _ => None,
    };
    let close = all.iter().find(|placed| placed.start >= after)?;
    if symbol(1)? != '(' || close.token != Token::Symbol(')') {
        return None;
    }
    let Token::Word(word) = back(2)?.token else { return None };
    let is = |wanted: &str| word.eq_ignore_ascii_case(wanted);
    let (instead, start) = match (symbol(4), symbol(3)?) {
        (Some('<' | '>' | '!'), '=') if !(symbol(4) == Some('!') && is("all")) => return None,
        (Some('!'), '=') | (Some('<'), '>') if is("all") => ("NOT IN UNNEST", back(4)?.start),
        (_, '=') if is("any") || is("some") => ("IN UNNEST", back(3)?.start),
        _ => return None,
    };
    Some(Any { instead, start, end: close.end })
}

/// A cast of PostgreSQL's right behind a parameter.
struct CastBehind {
    /// The type's name, in lowercase.
    name: String,
    /// Whether it has a length, precision or scale.
    modified: bool,
    /// The byte behind it.
    end: usize,
}

impl CastBehind {
    /// The wire type that it names.
    fn named(&self) -> Option<Type> {
        let plain = match self.name.as_str() {
            "int" => "int4",
            "float" => "float8",
            "decimal" => "numeric",
            "timestamp" => "timestamp without time zone",
            "time" => "time without time zone",
            "string" => "text",
            other => other,
        };
        Type::from_oid(postgres_catalog::oid_of_name(plain)?)
    }

    /// Whether a value of a type may be another one behind it.
    fn changes(&self, of: &Type) -> bool {
        let Some(to) = self.named().filter(|_| !self.modified) else { return true };
        let is_text = |of: &Type| matches!(*of, Type::TEXT | Type::VARCHAR | Type::NAME | Type::UNKNOWN);
        let alike = *of == to
            || (is_text(of) && is_text(&to))
            || (google_type(of).is_some() && google_type(of) == google_type(&to) && to != Type::FLOAT4);
        !alike
    }
}

/// The cast at the head of these tokens.
fn cast_behind(rest: &[Placed<'_>]) -> Option<CastBehind> {
    let is = |at: usize, wanted: char| rest.get(at).is_some_and(|placed| placed.token == Token::Symbol(wanted));
    let word = |at: usize| match rest.get(at)?.token {
        Token::Word(word) => Some(word.to_ascii_lowercase()),
        _ => None,
    };
    if !is(0, ':') || !is(1, ':') {
        return None;
    }
    let mut at = if word(2)? == "pg_catalog" && is(3, '.') { 4 } else { 2 };
    let mut name = word(at)?;
    let more: &[&[&str]] = match name.as_str() {
        "double" => &[&["precision"]],
        "character" => &[&["varying"]],
        "timestamp" | "time" => &[&["with", "time", "zone"], &["without", "time", "zone"]],
        _ => &[],
    };
    at += 1;
    let longer =
        more.iter().find(|words| (at..).zip(words.iter()).all(|(at, wanted)| word(at).as_deref() == Some(wanted)));
    for wanted in longer.copied().unwrap_or_default() {
        name = format!("{name} {wanted}");
        at += 1;
    }
    let mut modified = false;
    if is(at, '(')
        && let Some(close) = (at..at + 5).find(|at| is(*at, ')'))
    {
        modified = true;
        at = close + 1;
    }
    if is(at, '[') && is(at + 1, ']') {
        name.push_str("[]");
        at += 2;
    }
    rest.get(at.checked_sub(1)?).map(|last| CastBehind { name, modified, end: last.end })
}

/// The type that a cast right behind a parameter names: `$1::BIGINT`. The first one that stands behind it counts.
pub fn cast_type(sql: &str, number: usize) -> Option<Type> {
    let all = tokens(sql);
    let mut places = all.iter().enumerate().filter(|(_, placed)| placed.token == Token::Parameter(number));
    places.find_map(|(at, _)| cast_behind(all.get(at + 1..)?)?.named())
}

/// Parameters that stand after LIMIT or OFFSET, where NULL has no meaning.
pub fn counts_rows(sql: &str, number: usize) -> bool {
    let all = tokens(sql);
    all.windows(2).any(|pair| match pair {
        [before, after] => {
            matches!(before.token, Token::Word(word) if word.eq_ignore_ascii_case("limit") || word.eq_ignore_ascii_case("offset"))
                && after.token == Token::Parameter(number)
        }
        _ => false,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::{super::params::literal, *};

    #[test]
    fn a_value_cannot_leave_its_literal() {
        let nasty = "'; SELECT 1 -- \\' \n '''";
        let text = |_| Some(Type::TEXT);
        let sql = substitute("SELECT $1, '$2'", text, |_| literal(1, &Type::TEXT, false, Some(nasty.as_bytes())).ok());
        let found = tokens(&sql);
        assert!(matches!(found.get(1).map(|placed| placed.token), Some(Token::Quoted(_))));
        assert_eq!(found.len(), 4, "{sql}");
    }

    #[test]
    fn a_cast_that_says_the_type_again_is_left_out() {
        let number = |number: usize| Some(number.to_string());
        let sql = "SELECT $1::BIGINT + $2::timestamp without time zone, x::y";
        assert_eq!(substitute(sql, |_| None, number), "SELECT 1 + 2, x::y");
        let types = [Type::INT2, Type::TIMESTAMP];
        assert_eq!(substitute(sql, |number| types.get(number - 1).cloned(), number), "SELECT 1 + 2, x::y");
        let sql = "SELECT any($1::oid[]), $2::varchar(5), $3::pg_catalog.int8 + $4::double precision";
        assert_eq!(substitute(sql, |_| None, number), "SELECT any(1), 2, 3 + 4");
        let named = [Type::OID_ARRAY, Type::VARCHAR, Type::INT8, Type::FLOAT8];
        for (number, of) in (1..).zip(named) {
            assert_eq!(cast_type(sql, number), Some(of));
        }
    }

    #[test]
    fn a_cast_that_changes_the_value_stays() {
        for (of, cast, stays) in [
            (Type::INT4, "text", true),
            (Type::VARCHAR, "text", false),
            (Type::VARCHAR, "date", true),
            (Type::DATE, "date", false),
            (Type::NUMERIC, "numeric(10, 2)", true),
            (Type::NUMERIC, "numeric", false),
            (Type::TEXT, "varchar(5)", true),
            (Type::INT8, "int", false),
            (Type::FLOAT8, "int", true),
            (Type::FLOAT8, "real", true),
            (Type::TEXT, "uuid", true),
            (Type::UUID, "uuid", false),
            (Type::TIMESTAMPTZ, "timestamp", true),
        ] {
            let sql = format!("SELECT $1::{cast} AS x");
            let wanted = if stays { format!("SELECT 7::{cast} AS x") } else { "SELECT 7 AS x".to_owned() };
            assert_eq!(substitute(&sql, |_| Some(of.clone()), |_| Some("7".to_owned())), wanted, "{of} {cast}");
        }
    }

    #[test]
    fn any_of_an_array_becomes_in_unnest() {
        let arrays = |_| Some(Type::INT8_ARRAY);
        for (sql, wanted) in [
            ("a = ANY($1) AND b", "a IN UNNEST(x) AND b"),
            ("a = any ( $1::int8[] )", "a IN UNNEST(x)"),
            ("a=SOME($1)", "a IN UNNEST(x)"),
            ("a <> ALL($1)", "a NOT IN UNNEST(x)"),
            ("a != all($1::bigint[])", "a NOT IN UNNEST(x)"),
            ("a >= ANY($1)", "a >= ANY(x)"),
            ("a <> ANY($1)", "a <> ANY(x)"),
            ("a = ALL($1)", "a = ALL(x)"),
            ("many($1)", "many(x)"),
        ] {
            assert_eq!(substitute(sql, arrays, |_| Some("x".to_owned())), wanted, "{sql}");
        }
        let null = |_| Some("CAST(NULL AS ARRAY<INT64>)".to_owned());
        assert_eq!(substitute("a = ANY($1) OR b", arrays, null), "a = NULL OR b");
        assert_eq!(substitute("a = ANY($1)", |_| None, |_| Some("x".to_owned())), "a = ANY(x)");
    }
}
