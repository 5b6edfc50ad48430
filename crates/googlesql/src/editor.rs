//! What an editor asks of a text that may be half written: where its statements are, what stands at the cursor, which
//! functions there are.
//!
//! Owns: reading tokens without a parse; nothing here fails, it only knows less. Never plans and never looks up a table.

use std::collections::BTreeMap;

use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

use crate::{
    dialect::{self, GoogleSqlDialect},
    functions::TABLE,
    plan,
};

/// A place in a text: line and column from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl From<Location> for Place {
    fn from(at: Location) -> Self {
        Self { line: usize::try_from(at.line).unwrap_or(1), column: usize::try_from(at.column).unwrap_or(1) }
    }
}

impl Place {
    fn location(self) -> Location {
        Location { line: u64::try_from(self.line).unwrap_or(1), column: u64::try_from(self.column).unwrap_or(1) }
    }
}

/// What may stand at the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A table or a dataset.
    Table,
    /// A column, a function, a keyword.
    Value,
    /// Nothing: it is within a text or a comment.
    Nothing,
}

/// A table that a statement names, and what it calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTable {
    /// The parts of its name.
    pub parts: Vec<String>,
    /// Its alias.
    pub alias: Option<String>,
}

/// What stands around the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around {
    /// What may stand there.
    pub wanted: Wanted,
    /// Where what is being written begins, its backtick included.
    pub from: Place,
    /// What is written of it so far.
    pub word: String,
    /// The names before it, each with a dot behind it.
    pub qualifier: Vec<String>,
    /// Whether it stands between backticks, the qualifier with it.
    pub quoted: bool,
    /// Tables that its statement names, in order.
    pub tables: Vec<NamedTable>,
    /// Names that its WITH defines.
    pub ctes: Vec<String>,
}

/// Where the statements of a text are, without their semicolons; comments between them belong to none.
pub fn statement_places(sql: &str) -> Vec<(Place, Place)> {
    let mut all = Vec::new();
    let mut now: Option<(Place, Place)> = None;
    for token in tokens(sql).0.iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF)) {
        if token.token == Token::SemiColon {
            all.extend(now.take());
            continue;
        }
        let (start, end) = (token.span.start.into(), token.span.end.into());
        now = Some((now.map_or(start, |(first, _)| first), end));
    }
    all.extend(now);
    all
}

/// Where the token that begins at a place ends; the place itself where none does.
pub fn token_end(sql: &str, place: Place) -> Place {
    let at = place.location();
    let all = tokens(sql).0;
    let position = all.iter().position(|token| token.span.start == at && token.token != Token::EOF);
    let Some(position) = position else { return place };
    // Letters beyond a to z come one by one where they stand without backticks.
    let mut end = at;
    for token in all.iter().skip(position) {
        let goes_on = token.span.start == end && is_piece(&token.token);
        if token.span.start != at && !goes_on {
            break;
        }
        end = token.span.end;
        if !is_piece(&token.token) {
            break;
        }
    }
    end.into()
}

/// The tokens of a text up to what cannot be read, and where that begins.
fn tokens(sql: &str) -> (Vec<TokenWithSpan>, Option<Location>) {
    let dialect = GoogleSqlDialect::default();
    let mut all = Vec::new();
    let read = Tokenizer::new(&dialect, sql).with_unescape(false).tokenize_with_location_into_buf(&mut all);
    let broken = read.err().map(|_| all.last().map_or(Location { line: 1, column: 1 }, |last| last.span.end));
    (all, broken)
}

fn is_piece(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.quote_style.is_none(),
        Token::Char(letter) => letter.is_alphanumeric(),
        Token::Number(..) => true,
        _ => false,
    }
}

fn piece(token: &Token) -> String {
    match token {
        Token::Word(word) => word.value.clone(),
        Token::Number(digits, _) => digits.clone(),
        Token::Char(letter) => letter.to_string(),
        _ => String::new(),
    }
}

/// Reads what stands around the cursor.
pub fn around(sql: &str, cursor: Place) -> Around {
    let before = up_to(sql, cursor);
    let rest = sql.get(before.len()..).unwrap_or_default();
    let (mut left, broken) = tokens(before);
    left.retain(|token| token.token != Token::EOF);
    let mut around = Around {
        wanted: Wanted::Value,
        from: cursor,
        word: String::new(),
        qualifier: Vec::new(),
        quoted: false,
        tables: Vec::new(),
        ctes: Vec::new(),
    };
    if let Some(place) = broken {
        let open = up_to(sql, place.into()).len();
        let tail = before.get(open..).unwrap_or_default();
        let Some(name) = tail.strip_prefix('`').filter(|name| !name.contains('\n')) else {
            around.wanted = Wanted::Nothing;
            return around;
        };
        let mut parts: Vec<String> = name.split('.').map(str::to_owned).collect();
        around.word = parts.pop().unwrap_or_default();
        (around.qualifier, around.from, around.quoted) = (parts, place.into(), true);
        // Without the unclosed backtick the rest can be read; what closes it is not there.
        let rest = rest.strip_prefix('`').unwrap_or(rest);
        names(&format!("{} {rest}", before.get(..open).unwrap_or_default()), left.len(), &mut around);
    } else {
        take_word(&mut left, before, &mut around);
        names(&format!("{before}{rest}"), left.len(), &mut around);
    }
    if around.wanted == Wanted::Value && wants_table(&left) {
        around.wanted = Wanted::Table;
    }
    around
}

/// The text up to a place.
fn up_to(sql: &str, place: Place) -> &str {
    let mut start = 0;
    for _ in 1..place.line {
        match sql.get(start..).and_then(|rest| rest.find('\n')) {
            Some(end) => start += end + 1,
            None => return sql,
        }
    }
    let rest = sql.get(start..).unwrap_or_default();
    let end = rest.char_indices().nth(place.column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
    sql.get(..start + end).unwrap_or(sql)
}

/// Takes the word that ends at the cursor, and the names before its dots, off the tokens before the cursor.
fn take_word(left: &mut Vec<TokenWithSpan>, before: &str, around: &mut Around) {
    if let Some(Token::Whitespace(Whitespace::SingleLineComment { .. })) = left.last().map(|token| &token.token)
        && !before.ends_with('\n')
    {
        around.wanted = Wanted::Nothing;
        return;
    }
    while let Some(token) = left.last().filter(|token| is_piece(&token.token)) {
        around.word.insert_str(0, &piece(&token.token));
        around.from = token.span.start.into();
        left.pop();
    }
    while left.last().is_some_and(|token| token.token == Token::Period) {
        let mut name = String::new();
        left.pop();
        match left.last().map(|token| token.token.clone()) {
            Some(Token::Word(word)) if word.quote_style.is_some() => {
                name = word.value;
                left.pop();
            }
            _ => {
                while let Some(token) = left.last().filter(|token| is_piece(&token.token)) {
                    name.insert_str(0, &piece(&token.token));
                    left.pop();
                }
            }
        }
        let parts: Vec<String> = name.split('.').map(str::to_owned).collect();
        around.qualifier.splice(0..0, parts);
    }
}

/// Whether what follows these tokens is a table: after FROM or JOIN, or a comma of FROM.
fn wants_table(left: &[TokenWithSpan]) -> bool {
    let mut left = left.iter().rev().map(|token| &token.token).filter(|token| !matches!(token, Token::Whitespace(_)));
    let Some(last) = left.next() else { return false };
    if is_word(last, &["FROM", "JOIN"]) {
        return true;
    }
    if *last != Token::Comma {
        return false;
    }
    let mut depth = 0_i32;
    for token in left {
        match token {
            Token::RParen => depth += 1,
            Token::LParen if depth == 0 => return false,
            Token::LParen => depth -= 1,
            token if depth == 0 && is_word(token, &["FROM", "JOIN"]) => return true,
            token if depth == 0 && is_word(token, &["SELECT", "WHERE", "ON", "BY", "HAVING", "USING", "WITH"]) => {
                return false;
            }
            _ => {}
        }
    }
    false
}

fn is_word(token: &Token, words: &[&str]) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && words.iter().any(|name| word.value.eq_ignore_ascii_case(name)))
}

/// Reads the names of the statement in which the cursor is: the one that holds the token at `cursor`.
fn names(sql: &str, cursor: usize, around: &mut Around) {
    let all = tokens(sql).0;
    let begin = all.iter().take(cursor).rposition(|token| token.token == Token::SemiColon).map_or(0, |at| at + 1);
    let end =
        all.iter().skip(cursor).position(|token| token.token == Token::SemiColon).map_or(all.len(), |at| cursor + at);
    let own = all.get(begin..end).unwrap_or_default();
    let own: Vec<&Token> =
        own.iter().map(|token| &token.token).filter(|t| !matches!(t, Token::Whitespace(_))).collect();
    for at in 0..own.len() {
        let is = |offset: usize, words: &[&str]| own.get(at + offset).is_some_and(|token| is_word(token, words));
        if is(0, &["FROM", "JOIN"]) {
            read_tables(own.get(at + 1..).unwrap_or_default(), is(0, &["FROM"]), around);
        }
        if is(1, &["AS"])
            && own.get(at + 2) == Some(&&Token::LParen)
            && at
                .checked_sub(1)
                .and_then(|before| own.get(before))
                .is_some_and(|token| **token == Token::Comma || is_word(token, &["WITH", "RECURSIVE"]))
            && let Some(Token::Word(word)) = own.get(at)
        {
            around.ctes.push(word.value.clone());
        }
    }
}

/// Reads tables behind FROM, separated by commas, or one behind JOIN.
fn read_tables(mut tokens: &[&Token], list: bool, around: &mut Around) {
    loop {
        let mut parts = Vec::new();
        while let Some((Token::Word(word), rest)) = tokens.split_first().map(|(first, rest)| (*first, rest)) {
            if parts.is_empty()
                && !dialect::is_name(&sqlparser::ast::Ident {
                    value: word.value.clone(),
                    quote_style: word.quote_style,
                    span: sqlparser::tokenizer::Span::empty(),
                })
            {
                return;
            }
            parts.extend(word.value.split('.').map(str::to_owned));
            tokens = rest;
            match tokens.split_first() {
                Some((Token::Period, rest)) => tokens = rest,
                _ => break,
            }
        }
        if parts.is_empty() {
            return;
        }
        if let Some((first, rest)) = tokens.split_first()
            && is_word(first, &["AS"])
        {
            tokens = rest;
        }
        let mut alias = None;
        if let Some((Token::Word(word), rest)) = tokens.split_first().map(|(first, rest)| (*first, rest))
            && !dialect::is_reserved(&word.value)
        {
            alias = Some(word.value.clone());
            tokens = rest;
        }
        around.tables.push(NamedTable { parts, alias });
        match tokens.split_first() {
            Some((Token::Comma, rest)) if list => tokens = rest,
            _ => return,
        }
    }
}

/// Every function by name, with what it takes and gives where that is one form, as people write it.
pub fn functions() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for name in TABLE.names() {
        let forms = TABLE.forms(name);
        let Some(form) = forms.first() else { continue };
        let mut params: Vec<String> = form.params.iter().map(ToString::to_string).collect();
        params.extend(form.rest.iter().map(|rest| format!("[{rest}, …]")));
        let more = if forms.len() > 1 { ", and other forms" } else { "" };
        all.insert(name.to_owned(), format!("{name}({}) → {}{more}", params.join(", "), form.returns));
    }
    for name in plan::special_names() {
        all.entry(name.to_owned()).or_insert_with(|| format!("{name}(…)"));
    }
    all
}

/// Words that GoogleSQL reserves.
pub fn keywords() -> &'static [&'static str] {
    dialect::RESERVED
}

/// A name as it must be written: between backticks where it is not a plain word.
pub fn written(name: &str) -> String {
    let mut letters = name.chars();
    let plain = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && !dialect::is_reserved(name);
    if plain { name.to_owned() } else { format!("`{name}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place of `|`, and the text without it.
    fn at_bar(text: &str) -> (String, Place) {
        let before = text.split('|').next().unwrap();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
        (text.replacen('|', "", 1), Place { line, column })
    }

    fn read(text: &str) -> Around {
        let (sql, cursor) = at_bar(text);
        around(&sql, cursor)
    }

    fn tables(around: &Around) -> Vec<String> {
        let shown = |table: &NamedTable| format!("{} {}", table.parts.join("."), table.alias.as_deref().unwrap_or("-"));
        around.tables.iter().map(shown).collect()
    }

    #[test]
    fn behind_from_stands_a_table_and_elsewhere_a_value() {
        for (text, wanted) in [
            ("SELECT * FROM |", Wanted::Table),
            ("SELECT * FROM sh|", Wanted::Table),
            ("SELECT * FROM a.b AS x, |", Wanted::Table),
            ("SELECT * FROM a JOIN b|", Wanted::Table),
            ("SELECT a, | FROM t", Wanted::Value),
            ("SELECT * FROM t WHERE f(a, |)", Wanted::Value),
            ("SELECT * FROM t WHERE |", Wanted::Value),
            ("SELECT 'x| FROM t", Wanted::Nothing),
            ("SELECT 1 -- wh|", Wanted::Nothing),
            ("SELECT /* x| */ 1", Wanted::Nothing),
            ("|", Wanted::Value),
        ] {
            assert_eq!(read(text).wanted, wanted, "{text}");
        }
    }

    #[test]
    fn the_word_its_place_and_the_names_before_it_are_read() {
        let around = read("SELECT\n  o.매출| FROM shop.orders AS o");
        assert_eq!((around.word.as_str(), around.qualifier.as_slice()), ("매출", &["o".to_owned()][..]));
        assert_eq!(around.from, Place { line: 2, column: 5 });
        let around = read("SELECT * FROM `shop.or| WHERE x = 1");
        assert_eq!(
            (around.word.as_str(), around.qualifier.as_slice(), around.quoted),
            ("or", &["shop".to_owned()][..], true)
        );
        assert_eq!((around.from, around.wanted), (Place { line: 1, column: 15 }, Wanted::Table));
        assert_eq!(read("SELECT `가 나`.x|").qualifier, ["가 나"]);
    }

    #[test]
    fn tables_behind_the_cursor_count_and_those_of_other_statements_do_not() {
        let text = "SELECT 1 FROM a.b; SELECT | FROM shop.orders o, shop.items JOIN `c.d` AS e ON TRUE WHERE x; SELECT 2 FROM z";
        assert_eq!(tables(&read(text)), ["shop.orders o", "shop.items -", "c.d e"]);
        let around = read("WITH a AS (SELECT 1), b AS (SELECT 2 FROM x.y) SELECT | FROM a, b");
        assert_eq!(around.ctes, ["a", "b"]);
        assert_eq!(tables(&read("SELECT `매| FROM shop.orders")), ["shop.orders -"]);
    }

    #[test]
    fn statements_and_tokens_have_places_without_a_parse() {
        let sql = "-- first\nSELECT 1 ;\n\n SELECT frm\n x ; ;";
        let place = |line, column| Place { line, column };
        assert_eq!(statement_places(sql), [(place(2, 1), place(2, 9)), (place(4, 2), place(5, 3))]);
        assert_eq!(token_end(sql, place(4, 9)), place(4, 12));
        assert_eq!(token_end("SELECT 매출액 FROM t", place(1, 8)), place(1, 11));
        assert_eq!(token_end(sql, place(9, 9)), place(9, 9));
    }

    #[test]
    fn every_function_says_what_it_takes() {
        let all = functions();
        assert_eq!(all["STARTS_WITH"].split(" →").next(), Some("STARTS_WITH(STRING, STRING)"));
        assert!(all.contains_key("COUNT") && all.contains_key("DATE_TRUNC") && all.contains_key("ROW_NUMBER"));
    }

    #[test]
    fn a_name_is_written_as_the_parser_takes_it() {
        assert_eq!([written("total"), written("매출(원)"), written("order")], ["total", "`매출(원)`", "`order`"]);
    }
}
