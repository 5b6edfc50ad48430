//! What a client's text asks for: GoogleSQL, PostgreSQL's catalog, or a session command.
//!
//! Owns: a small lexer over both dialects (quotes, comments, words), splitting at semicolons, and sorting statements
//! into [`Command`]s. Never parses a query.

use std::borrow::Cow;

use super::copy::Copy;

/// One piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// A name or keyword without quotes.
    Word(&'a str),
    /// Anything in quotes, quotes included.
    Quoted(&'a str),
    /// `$1`
    Parameter(usize),
    /// One other character; white space and comments are left out.
    Symbol(char),
}

/// A token with its place in the text.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// What it is.
    pub token: Token<'a>,
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

/// Splits a text into tokens.
pub fn tokens(sql: &str) -> Vec<Placed<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = sql.get(at..).filter(|rest| !rest.is_empty()) {
        let length = skipped(rest);
        if length > 0 {
            at += length;
            continue;
        }
        let (token, length) = next(rest);
        found.push(Placed { token, start: at, end: at + length });
        at += length;
    }
    found
}

/// Bytes of white space or one comment at the head of a text.
fn skipped(rest: &str) -> usize {
    let blank = rest.len() - rest.trim_start().len();
    if blank > 0 {
        return blank;
    }
    if rest.starts_with("--") || rest.starts_with('#') {
        return rest.find('\n').map_or(rest.len(), |end| end + 1);
    }
    if let Some(inner) = rest.strip_prefix("/*") {
        return inner.find("*/").map_or(rest.len(), |end| end + 4);
    }
    0
}

fn next(rest: &str) -> (Token<'_>, usize) {
    for quote in ["'''", "\"\"\"", "'", "\"", "`"] {
        if rest.starts_with(quote) {
            let length = quoted_length(rest, quote);
            return (Token::Quoted(rest.get(..length).unwrap_or(rest)), length);
        }
    }
    if let Some(digits) = rest.strip_prefix('$') {
        let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        if let Some(number) = digits.get(..length).and_then(|digits| digits.parse().ok()) {
            return (Token::Parameter(number), length + 1);
        }
    }
    let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    match rest.get(..word) {
        Some(word) if !word.is_empty() => (Token::Word(word), word.len()),
        _ => {
            let c = rest.chars().next().unwrap_or(' ');
            (Token::Symbol(c), c.len_utf8())
        }
    }
}

fn quoted_length(rest: &str, quote: &str) -> usize {
    let mut escaped = false;
    let mut at = quote.len();
    while let Some(c) = rest.get(at..).and_then(|rest| rest.chars().next()) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != "`" {
            escaped = true;
        } else if rest.get(at..).is_some_and(|rest| rest.starts_with(quote)) {
            return at + quote.len();
        }
        at += c.len_utf8();
    }
    rest.len()
}

/// The statements of a text, with the byte each begins at; empty ones are left out.
pub fn split(sql: &str) -> Vec<(usize, &str)> {
    let (mut pieces, mut start) = (Vec::new(), 0);
    let ends = tokens(sql).into_iter().filter(|placed| placed.token == Token::Symbol(';')).map(|placed| placed.start);
    for end in ends.chain([sql.len()]) {
        if let Some(piece) = sql.get(start..end)
            && !tokens(piece).is_empty()
        {
            pieces.push((start, piece));
        }
        start = end + 1;
    }
    pieces
}

/// What one statement asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A query in GoogleSQL.
    Query,
    /// A query of PostgreSQL's catalog or about the session, in PostgreSQL's dialect.
    Catalog,
    /// BEGIN and START TRANSACTION.
    Begin,
    /// COMMIT and END.
    Commit,
    /// ROLLBACK and ABORT.
    Rollback,
    /// A setting to change; the value as text, absent for the default.
    Set {
        /// Its name, lowercase; `timezone` for SET TIME ZONE.
        name: String,
        /// Its new value.
        value: Option<String>,
    },
    /// A setting to show.
    Show(String),
    /// DECLARE … CURSOR FOR a query.
    Declare {
        /// The cursor's name.
        name: String,
        /// Whether it outlives its transaction.
        hold: bool,
        /// Byte of the statement at which the query begins.
        query_at: usize,
    },
    /// FETCH and MOVE.
    Fetch {
        /// The cursor's name.
        name: String,
        /// How many rows; absent for all.
        count: Option<usize>,
        /// MOVE: the rows are only counted.
        moved: bool,
    },
    /// COPY … TO STDOUT.
    Copy(Box<Copy>),
    /// CLOSE of one cursor; absent for all.
    Close(Option<String>),
    /// Something that changes nothing here (DISCARD, DEALLOCATE, SAVEPOINT, …), with its tag.
    Nothing(&'static str),
}

/// Sorts one statement.
pub fn sort(statement: &str) -> Command {
    let tokens: Vec<Token<'_>> = tokens(statement).into_iter().map(|placed| placed.token).collect();
    let words: Vec<String> = tokens
        .iter()
        .take(6)
        .map(|token| match token {
            Token::Word(word) => word.to_ascii_lowercase(),
            Token::Quoted(text) => (*text).to_owned(),
            Token::Symbol(c) => c.to_string(),
            Token::Parameter(_) => String::new(),
        })
        .collect();
    let word = |position: usize| words.get(position).map_or("", String::as_str);
    match word(0) {
        "begin" => Command::Begin,
        "start" if word(1) == "transaction" => Command::Begin,
        "commit" | "end" => Command::Commit,
        "rollback" if word(1) == "to" || word(2) == "to" => Command::Nothing("ROLLBACK"),
        "rollback" | "abort" => Command::Rollback,
        "savepoint" => Command::Nothing("SAVEPOINT"),
        "release" => Command::Nothing("RELEASE"),
        "discard" => Command::Nothing("DISCARD ALL"),
        "deallocate" => Command::Nothing("DEALLOCATE"),
        "close" => Command::Close(Some(unquoted(word(1))).filter(|name| !name.eq_ignore_ascii_case("all"))),
        "listen" => Command::Nothing("LISTEN"),
        "unlisten" => Command::Nothing("UNLISTEN"),
        "reset" => Command::Set { name: word(1).to_owned(), value: None },
        // `SET @@time_zone` is GoogleSQL's own.
        "set" if word(1) == "@" => Command::Query,
        "set" => set(&words),
        "show" => Command::Show(words.get(1..).unwrap_or_default().join(" ")),
        "declare" | "fetch" | "move" => cursor(statement, &words),
        "copy" => Copy::read(statement).map_or(Command::Query, |copy| Command::Copy(Box::new(copy))),
        _ if asks_catalog(&tokens) => Command::Catalog,
        _ => Command::Query,
    }
}

fn unquoted(name: &str) -> String {
    name.trim_matches('"').to_owned()
}

/// A cursor's command; GoogleSQL's own DECLARE is a query to be refused with its place.
fn cursor(statement: &str, words: &[String]) -> Command {
    let found = if words.first().is_some_and(|word| word == "declare") { declared(statement) } else { fetch(words) };
    found.unwrap_or(Command::Query)
}

/// `DECLARE name [BINARY] [INSENSITIVE] [[NO] SCROLL] CURSOR [WITH|WITHOUT HOLD] FOR query`.
fn declared(statement: &str) -> Option<Command> {
    let tokens = tokens(statement);
    let is = |placed: &Placed<'_>, wanted: &str| matches!(placed.token, Token::Word(word) if word.eq_ignore_ascii_case(wanted));
    let name = match tokens.get(1)?.token {
        Token::Word(name) => name.to_ascii_lowercase(),
        Token::Quoted(name) => unquoted(name),
        Token::Parameter(_) | Token::Symbol(_) => return None,
    };
    let cursor = tokens.iter().take(8).position(|token| is(token, "cursor"))?;
    let query = tokens.iter().skip(cursor).take(4).find(|token| is(token, "for"))?;
    let hold = tokens.get(cursor + 1).is_some_and(|token| is(token, "with"));
    Some(Command::Declare { name, hold, query_at: query.end })
}

/// `FETCH|MOVE [NEXT | [FORWARD] [n | ALL]] [FROM|IN] name`; going backward is not possible.
fn fetch(words: &[String]) -> Option<Command> {
    let (verb, rest) = words.split_first()?;
    let (name, rest) = rest.split_last()?;
    let mut count = Some(1);
    for word in rest {
        match word.as_str() {
            "next" | "forward" | "from" | "in" => {}
            "all" => count = None,
            number => count = Some(number.parse().ok()?),
        }
    }
    Some(Command::Fetch { name: unquoted(name), count, moved: verb == "move" })
}

fn set(words: &[String]) -> Command {
    let rest: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    let rest = match rest.split_first() {
        Some((&("session" | "local"), rest)) => rest,
        _ => rest.as_slice(),
    };
    let (name, value) = match rest {
        ["time", "zone", value, ..] => ("timezone", Some(*value)),
        ["characteristics" | "transaction", ..] | [] => return Command::Nothing("SET"),
        [name, "=" | "to", value, ..] => (*name, Some(*value)),
        [name, ..] => (*name, None),
    };
    let value = value.filter(|value| !matches!(*value, "default" | "local"));
    let unquoted = value.map(|value| value.trim_matches(|c| matches!(c, '\'' | '"')).to_owned());
    Command::Set { name: name.to_owned(), value: unquoted }
}

/// Relations of PostgreSQL's catalog, and functions that only make sense there.
const CATALOG_WORDS: [&str; 45] = [
    "pg_catalog",
    "pg_class",
    "pg_namespace",
    "pg_attribute",
    "pg_type",
    "pg_database",
    "pg_index",
    "pg_constraint",
    "pg_attrdef",
    "pg_description",
    "pg_proc",
    "pg_roles",
    "pg_user",
    "pg_authid",
    "pg_tables",
    "pg_views",
    "pg_am",
    "pg_enum",
    "pg_range",
    "pg_settings",
    "pg_inherits",
    "pg_collation",
    "pg_extension",
    "pg_tablespace",
    "pg_stat_activity",
    "pg_matviews",
    "pg_indexes",
    "pg_sequence",
    "pg_trigger",
    "pg_policy",
    "pg_depend",
    "pg_shdescription",
    "pg_operator",
    "pg_language",
    "pg_partitioned_table",
    "pg_publication",
    "pg_statistic_ext",
    "pg_foreign_table",
    "pg_foreign_server",
    "pg_rewrite",
    "pg_auth_members",
    "pg_get_userbyid",
    "pg_backend_pid",
    "pg_is_in_recovery",
    "pg_encoding_to_char",
];
const CATALOG_FUNCTIONS: [&str; 20] = [
    "version",
    "current_schema",
    "current_schemas",
    "current_database",
    "format_type",
    "obj_description",
    "col_description",
    "shobj_description",
    "current_setting",
    "set_config",
    "to_regclass",
    "to_regtype",
    "quote_ident",
    "has_schema_privilege",
    "has_table_privilege",
    "has_database_privilege",
    "has_column_privilege",
    "has_any_column_privilege",
    "inet_server_addr",
    "inet_server_port",
];
const SESSION_WORDS: [&str; 4] = ["current_user", "session_user", "current_catalog", "current_role"];

/// A statement that quotes names as PostgreSQL does, with GoogleSQL's quotes; every byte stays where it is.
///
/// In GoogleSQL double quotes make a text. One beside a dot, or behind FROM, JOIN or AS, cannot be a text, and says
/// that the whole statement was written by a tool for PostgreSQL.
pub fn with_backticks(statement: &str) -> Cow<'_, str> {
    let tokens = tokens(statement);
    let is_double = |placed: &Placed<'_>| matches!(placed.token, Token::Quoted(text) if text.len() > 2 && text.starts_with('"') && !text.starts_with("\"\"\""));
    let names = tokens.iter().enumerate().any(|(at, placed)| {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at)).map(|placed| placed.token);
        let after = tokens.get(at + 1).map(|placed| placed.token);
        let keyword = |word: &str| ["from", "join", "as"].iter().any(|known| word.eq_ignore_ascii_case(known));
        let stands = before == Some(Token::Symbol('.'))
            || after == Some(Token::Symbol('.'))
            || matches!(before, Some(Token::Word(word)) if keyword(word));
        is_double(placed) && stands
    });
    if !names {
        return Cow::Borrowed(statement);
    }
    let mut text = String::with_capacity(statement.len());
    let mut copied = 0;
    for (at, placed) in tokens.iter().enumerate().filter(|(_, placed)| is_double(placed)) {
        text.push_str(statement.get(copied..placed.start).unwrap_or_default());
        copied = placed.end;
        if names_a_column_in_full(&tokens, at) {
            // GoogleSQL knows the table by its own name.
            copied = tokens.get(at + 1).map_or(placed.end, |dot| dot.end);
            text.push_str(&" ".repeat(copied - placed.start));
            continue;
        }
        let inner = statement.get(placed.start + 1..placed.end.saturating_sub(1)).unwrap_or_default();
        text.extend(["`", inner, "`"]);
    }
    text.push_str(statement.get(copied..).unwrap_or_default());
    Cow::Owned(text)
}

/// Whether a `"schema"."table"."column"` begins here; behind FROM and JOIN such a path is a table.
fn names_a_column_in_full(tokens: &[Placed<'_>], at: usize) -> bool {
    let token = |at: usize| tokens.get(at).map(|placed| placed.token);
    let dot = Some(Token::Symbol('.'));
    let quoted = |at: usize| matches!(token(at), Some(Token::Quoted(text)) if text.starts_with('"'));
    let starts = match at.checked_sub(1).and_then(token) {
        Some(Token::Word(word)) => !["from", "join"].iter().any(|known| word.eq_ignore_ascii_case(known)),
        before => before != dot,
    };
    starts && token(at + 1) == dot && quoted(at + 2) && token(at + 3) == dot && quoted(at + 4)
}

fn asks_catalog(tokens: &[Token<'_>]) -> bool {
    tokens.iter().enumerate().any(|(position, token)| {
        if let Token::Quoted("\"pg_catalog\"" | "\"information_schema\"") = token {
            return tokens.get(position + 1) == Some(&Token::Symbol('.'));
        }
        let Token::Word(word) = token else { return false };
        let word = word.to_ascii_lowercase();
        let after_dot = position > 0 && tokens.get(position - 1) == Some(&Token::Symbol('.'));
        let called = tokens.get(position + 1) == Some(&Token::Symbol('('));
        // `shop.INFORMATION_SCHEMA.TABLES` is BigQuery's, `information_schema.tables` PostgreSQL's.
        !after_dot
            && (CATALOG_WORDS.contains(&word.as_str())
                || word == "information_schema"
                || (called && (word.starts_with("pg_") || CATALOG_FUNCTIONS.contains(&word.as_str())))
                || (!called && SESSION_WORDS.contains(&word.as_str()))
                || (word == "current_schema" && !called))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_semicolon_in_quotes_or_comments_splits_nothing() {
        let sql = "SELECT ';' AS a /* ; */ -- ;\n; SELECT \"\"\"x;\"\"\", `a;b`;;";
        let pieces: Vec<&str> = split(sql).into_iter().map(|(_, piece)| piece.trim()).collect();
        assert_eq!(pieces, ["SELECT ';' AS a /* ; */ -- ;", "SELECT \"\"\"x;\"\"\", `a;b`"]);
    }

    #[test]
    fn names_in_postgresqls_quotes_become_names() {
        for (sql, wanted) in [
            (
                r#"SELECT "o"."id" AS "번호" FROM "shop"."orders" AS "o" WHERE "o"."s" = 'a'"#,
                "SELECT `o`.`id` AS `번호` FROM `shop`.`orders` AS `o` WHERE `o`.`s` = 'a'",
            ),
            (
                r#"SELECT "s"."t"."c" FROM "p"."s"."t" GROUP BY "s"."t"."c""#,
                "SELECT     `t`.`c` FROM `p`.`s`.`t` GROUP BY     `t`.`c`",
            ),
            (r#"SELECT COUNT(*) AS "n" FROM t ORDER BY "n""#, "SELECT COUNT(*) AS `n` FROM t ORDER BY `n`"),
            (r#"SELECT "text" = name, """a.b""" FROM shop.t"#, r#"SELECT "text" = name, """a.b""" FROM shop.t"#),
            (r#"SELECT '"a"."b"', "" FROM t"#, r#"SELECT '"a"."b"', "" FROM t"#),
        ] {
            assert_eq!(with_backticks(sql), wanted, "{sql}");
        }
    }

    #[test]
    fn statements_are_sorted_by_what_they_ask() {
        let cases = [
            ("select 1", Command::Query),
            ("SELECT * FROM shop.pg_orders", Command::Query),
            ("SELECT table_name FROM shop.INFORMATION_SCHEMA.TABLES", Command::Query),
            ("SELECT table_name FROM information_schema.tables", Command::Catalog),
            ("select pg_catalog.version()", Command::Catalog),
            ("select current_schema()", Command::Catalog),
            ("select 'pg_class'", Command::Query),
            ("SELECT 1 FROM \"pg_catalog\".\"pg_class\"", Command::Catalog),
            ("BEGIN", Command::Begin),
            ("start transaction read only", Command::Begin),
            ("ROLLBACK", Command::Rollback),
            ("SET @@time_zone = 'Asia/Seoul'", Command::Query),
            ("DECLARE x INT64", Command::Query),
            ("FETCH FORWARD 100 FROM c", Command::Fetch { name: "c".into(), count: Some(100), moved: false }),
            ("FETCH ALL IN \"C d\"", Command::Fetch { name: "C d".into(), count: None, moved: false }),
            ("fetch c", Command::Fetch { name: "c".into(), count: Some(1), moved: false }),
            ("MOVE FORWARD 5 FROM c", Command::Fetch { name: "c".into(), count: Some(5), moved: true }),
            ("FETCH BACKWARD 1 FROM c", Command::Query),
            ("CLOSE c", Command::Close(Some("c".into()))),
            ("close all", Command::Close(None)),
            ("show transaction isolation level", Command::Show("transaction isolation level".into())),
        ];
        for (sql, command) in cases {
            assert_eq!(sort(sql), command, "{sql}");
        }
        let declare = |name: &str, hold, query_at| Command::Declare { name: name.into(), hold, query_at };
        assert_eq!(sort("DECLARE C NO SCROLL CURSOR FOR SELECT 1"), declare("c", false, 30));
        assert_eq!(sort("declare \"C d\" cursor with hold for select 1"), declare("C d", true, 34));
        let zone = Command::Set { name: "timezone".into(), value: Some("Asia/Seoul".into()) };
        assert_eq!(sort("SET TIME ZONE 'Asia/Seoul'"), zone);
        assert_eq!(sort("set timezone to 'Asia/Seoul'"), zone);
    }
}
