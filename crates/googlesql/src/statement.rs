//! Text to statements: splitting, parsing, and what kind each one is.
//!
//! Literals keep their raw text (escapes are read in `literal.rs`, by GoogleSQL's rules).

use sqlparser::{
    ast::Statement,
    parser::{Parser, ParserError},
    tokenizer::{Location, Token, TokenWithSpan, Tokenizer},
};

use crate::{
    dialect::GoogleSqlDialect,
    error::{Result, SqlError},
};

/// Nesting deeper than this is refused, so that no statement can exhaust the stack.
const NESTING_MAX: usize = 200;

/// One statement, with its text.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The syntax tree. Positions count in the whole text given to [`parse`].
    pub statement: Statement,
    /// The statement's own text, without the semicolon.
    pub text: String,
    /// Line of its first token, from 1.
    pub line: usize,
    /// Column of its first token in characters, from 1.
    pub column: usize,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatementKind {
    /// SELECT, WITH, set operations, pipes. The only kind that [`crate::GoogleSql::plan`] takes.
    Query,
    /// CREATE [OR REPLACE] TABLE, with or without AS.
    CreateTable,
    /// CREATE [OR REPLACE] VIEW.
    CreateView,
    /// CREATE [TEMP] FUNCTION.
    CreateFunction,
    /// CREATE SCHEMA.
    CreateSchema,
    /// DROP of anything.
    Drop,
    /// ALTER of anything.
    Alter,
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// MERGE.
    Merge,
    /// TRUNCATE TABLE.
    Truncate,
    /// SET of a variable.
    Set,
    /// EXPLAIN of another statement.
    Explain,
    /// Anything else.
    Other,
}

/// Reads a text of one or more statements, separated by semicolons.
///
/// An empty text, or one of comments only, gives no statement.
///
/// # Errors
/// [`SqlErrorKind::Syntax`](crate::SqlErrorKind::Syntax) with the place of the first mistake.
pub fn parse(sql: &str) -> Result<Vec<Parsed>> {
    read(sql, false)
}

/// Reads a text as [`parse`] does, and PostgreSQL's `x::type` beside CAST.
///
/// The planner takes such a cast only where it means the same.
///
/// # Errors
/// As [`parse`].
pub fn parse_with_postgres_casts(sql: &str) -> Result<Vec<Parsed>> {
    read(sql, true)
}

fn read(sql: &str, postgres_casts: bool) -> Result<Vec<Parsed>> {
    let dialect = GoogleSqlDialect::default();
    let tokens = Tokenizer::new(&dialect, sql).with_unescape(false).tokenize_with_location().map_err(|error| {
        let mut refused = SqlError::syntax(error.message.clone());
        refused.set_place(error.location);
        refused
    })?;
    refuse_tokens(&tokens, postgres_casts)?;
    let lines = LineStarts::new(sql);
    let mut parser = Parser::new(&dialect).with_recursion_limit(NESTING_MAX).with_tokens_with_locations(tokens);
    let mut statements = Vec::new();
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        let first = parser.peek_token();
        if first.token == Token::EOF {
            return Ok(statements);
        }
        let statement = parser.parse_statement().map_err(|error| syntax_error(&error, &parser.peek_token()))?;
        let last = parser.peek_token();
        if last.token != Token::SemiColon && last.token != Token::EOF {
            return Err(not_the_end(&parser, &last));
        }
        let end = if last.token == Token::EOF { sql.len() } else { lines.offset(sql, last.span.start) };
        let start = lines.offset(sql, first.span.start);
        statements.push(Parsed {
            statement,
            text: sql.get(start..end).unwrap_or_default().trim().to_owned(),
            line: usize::try_from(first.span.start.line).unwrap_or(0),
            column: usize::try_from(first.span.start.column).unwrap_or(0),
        });
    }
}

/// Text behind a whole statement.
fn not_the_end(parser: &Parser<'_>, found: &TokenWithSpan) -> SqlError {
    let is = |token: &Token, word: &str| matches!(token, Token::Word(found) if found.value.eq_ignore_ascii_case(word));
    let mut refused = SqlError::syntax(format!("expected the end of the statement, found {}", found.token));
    let next = parser.peek_nth_token(1).token;
    if found.token == Token::Comma && matches!(next, Token::Number(..) | Token::Placeholder(_)) {
        refused = refused.hint("LIMIT with a comma is MySQL's: write LIMIT count OFFSET skipped");
    } else if ["GROUP", "ORDER", "PARTITION"].iter().any(|word| is(&found.token, word)) && !is(&next, "BY") {
        refused = refused.hint(format!("write {} BY", found.token));
    }
    refused.set_place(found.span.start);
    refused
}

/// Operators that the parser would read as others.
fn refuse_tokens(tokens: &[TokenWithSpan], postgres_casts: bool) -> Result<()> {
    for (at, token) in tokens.iter().enumerate() {
        if matches!(token.token, Token::Char(letter) if letter.is_alphabetic()) {
            return Err(bare_name(tokens.get(at..).unwrap_or_default()));
        }
        let (what, hint) = match token.token {
            Token::DoubleEq => ("==", "write ="),
            Token::DoubleColon if !postgres_casts => ("::", "write CAST(x AS type)"),
            Token::Spaceship => ("<=>", "write IS NOT DISTINCT FROM"),
            _ => continue,
        };
        let mut refused = SqlError::syntax(format!("operator {what} is not GoogleSQL")).hint(hint);
        refused.set_place(token.span.start);
        return Err(refused);
    }
    Ok(())
}

/// A name with letters beyond a to z that stands without backticks.
fn bare_name(tokens: &[TokenWithSpan]) -> SqlError {
    let mut name = String::new();
    for token in tokens {
        match &token.token {
            Token::Char(letter) if letter.is_alphanumeric() => name.push(*letter),
            Token::Word(word) if word.quote_style.is_none() => name.push_str(&word.value),
            Token::Number(digits, _) => name.push_str(digits),
            _ => break,
        }
    }
    let mut refused = SqlError::syntax(format!("the name {name} stands without backticks"))
        .hint(format!("GoogleSQL wants them around letters beyond a to z: write `{name}`"));
    if let Some(first) = tokens.first() {
        refused.set_place(first.span.start);
    }
    refused
}

/// Says what a statement does.
pub fn kind(parsed: &Parsed) -> StatementKind {
    match &parsed.statement {
        Statement::Query(_) => StatementKind::Query,
        Statement::CreateTable(_) => StatementKind::CreateTable,
        Statement::CreateView(_) => StatementKind::CreateView,
        Statement::CreateFunction(_) => StatementKind::CreateFunction,
        Statement::CreateSchema { .. } => StatementKind::CreateSchema,
        Statement::Drop { .. } | Statement::DropFunction(_) | Statement::DropProcedure { .. } => StatementKind::Drop,
        Statement::AlterTable(_) | Statement::AlterView { .. } | Statement::AlterSchema(_) => StatementKind::Alter,
        Statement::Insert(_) => StatementKind::Insert,
        Statement::Update(_) => StatementKind::Update,
        Statement::Delete(_) => StatementKind::Delete,
        Statement::Merge(_) => StatementKind::Merge,
        Statement::Truncate(_) => StatementKind::Truncate,
        Statement::Set(_) => StatementKind::Set,
        Statement::Explain { .. } => StatementKind::Explain,
        _ => StatementKind::Other,
    }
}

/// The parser writes the place into its message; here it becomes numbers.
fn syntax_error(error: &ParserError, next: &TokenWithSpan) -> SqlError {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.clone(),
        ParserError::RecursionLimitExceeded => format!("the statement nests deeper than {NESTING_MAX}"),
    };
    let (message, place) = match text.rsplit_once(" at Line: ") {
        Some((message, place)) => (message.to_owned(), parse_place(place)),
        None => (text, None),
    };
    let mut refused = SqlError::syntax(lower_first(&message));
    if message.starts_with("INTERVAL requires a unit") {
        refused = refused.hint("write the number and the unit apart: INTERVAL 7 DAY");
    }
    refused.set_place(place.unwrap_or(next.span.start));
    refused
}

fn parse_place(text: &str) -> Option<Location> {
    let (line, column) = text.split_once(", Column: ")?;
    Some(Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    if chars.clone().nth(1).is_some_and(char::is_uppercase) {
        return text.to_owned();
    }
    chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// Byte offset of each line, to turn the tokenizer's places into slices of the text.
struct LineStarts(Vec<usize>);

impl LineStarts {
    fn new(sql: &str) -> Self {
        Self(std::iter::once(0).chain(sql.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    fn offset(&self, sql: &str, place: Location) -> usize {
        let line = usize::try_from(place.line).unwrap_or(1).saturating_sub(1);
        let column = usize::try_from(place.column).unwrap_or(1).saturating_sub(1);
        let start = self.0.get(line).copied().unwrap_or(sql.len());
        let rest = sql.get(start..).unwrap_or_default();
        start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
    }
}
