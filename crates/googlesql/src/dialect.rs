//! How GoogleSQL is cut into tokens and which clauses the parser reads.
//!
//! Starts from sqlparser's BigQuery dialect and adds what that one leaves out.

use std::any::TypeId;

use sqlparser::{
    ast::{CastKind, Expr, Ident, Statement},
    dialect::{BigQueryDialect, Dialect},
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::{Token, TokenWithSpan},
};

/// Words that cannot begin an expression, hence end a list that has a trailing comma, and are never an alias.
const AFTER_SELECT: &[Keyword] = &[
    Keyword::WITH,
    Keyword::SELECT,
    Keyword::WHERE,
    Keyword::GROUP,
    Keyword::HAVING,
    Keyword::ORDER,
    Keyword::LATERAL,
    Keyword::LIMIT,
    Keyword::FETCH,
    Keyword::UNION,
    Keyword::EXCEPT,
    Keyword::INTERSECT,
    Keyword::FROM,
    Keyword::INTO,
    Keyword::END,
    Keyword::QUALIFY,
    Keyword::WINDOW,
];

/// Words that GoogleSQL reserves: a name only between backticks.
pub(crate) const RESERVED: &[&str] = &[
    "ALL",
    "AND",
    "ANY",
    "ARRAY",
    "AS",
    "ASC",
    "ASSERT_ROWS_MODIFIED",
    "AT",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COLLATE",
    "CONTAINS",
    "CREATE",
    "CROSS",
    "CUBE",
    "CURRENT",
    "DEFAULT",
    "DEFINE",
    "DESC",
    "DISTINCT",
    "ELSE",
    "END",
    "ENUM",
    "ESCAPE",
    "EXCEPT",
    "EXCLUDE",
    "EXISTS",
    "EXTRACT",
    "FALSE",
    "FETCH",
    "FOLLOWING",
    "FOR",
    "FROM",
    "FULL",
    "GROUP",
    "GROUPING",
    "GROUPS",
    "HASH",
    "HAVING",
    "IF",
    "IGNORE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "LOOKUP",
    "MERGE",
    "NATURAL",
    "NEW",
    "NO",
    "NOT",
    "NULL",
    "NULLS",
    "OF",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "PRECEDING",
    "PROTO",
    "QUALIFY",
    "RANGE",
    "RECURSIVE",
    "RESPECT",
    "RIGHT",
    "ROLLUP",
    "ROWS",
    "SELECT",
    "SET",
    "SOME",
    "STRUCT",
    "TABLESAMPLE",
    "THEN",
    "TO",
    "TREAT",
    "TRUE",
    "UNBOUNDED",
    "UNION",
    "UNNEST",
    "USING",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
    "WITHIN",
];

/// Whether a name was written as one: not a string, and not a reserved word.
pub(crate) fn is_name(ident: &Ident) -> bool {
    match ident.quote_style {
        Some(quote) => quote == '`',
        None => !is_reserved(&ident.value),
    }
}

/// Whether a word is reserved.
pub(crate) fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(word))
}

/// How something that is not a name becomes one.
pub(crate) fn backticks(ident: &Ident) -> String {
    let text = &ident.value;
    if ident.quote_style.is_some() {
        format!("quotes make a text here: write `{text}`, between backticks")
    } else {
        format!("{} is a reserved word: write `{text}`, or another name", text.to_uppercase())
    }
}

/// Words that end a table's alias although GoogleSQL does not reserve them.
const AFTER_TABLE: &[Keyword] = &[Keyword::PIVOT, Keyword::UNPIVOT, Keyword::OFFSET];

/// Between addition and `&`; the parser's own places shifts below comparisons.
const SHIFT_PRECEDENCE: u8 = 26;

/// GoogleSQL as sqlparser sees it.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct GoogleSqlDialect {
    base: BigQueryDialect,
}

impl Dialect for GoogleSqlDialect {
    /// Answers as BigQuery where the parser asks for a dialect by type.
    fn dialect(&self) -> TypeId {
        TypeId::of::<BigQueryDialect>()
    }

    fn parse_statement(&self, parser: &mut Parser) -> Option<Result<Statement, ParserError>> {
        self.base.parse_statement(parser)
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let word = |token: &TokenWithSpan, text: &str| matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text));
        let (first, second) = (parser.peek_nth_token(0), parser.peek_nth_token(1));
        if word(&first, "SAFE") && second.token == Token::Period {
            return Some(parse_safe(parser));
        }
        if word(&first, "ARRAY") && second.token == Token::Lt {
            return Some(parse_typed_array(parser));
        }
        None
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        match parser.peek_token_ref().token {
            Token::ShiftLeft | Token::ShiftRight => Some(Ok(SHIFT_PRECEDENCE)),
            _ => None,
        }
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '`'
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_ascii_alphabetic() || ch == '_' || ch == '@'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_ascii_alphanumeric() || ch == '_'
    }

    fn supports_projection_trailing_commas(&self) -> bool {
        true
    }

    fn supports_column_definition_trailing_commas(&self) -> bool {
        true
    }

    fn supports_triple_quoted_string(&self) -> bool {
        true
    }

    fn supports_string_literal_backslash_escape(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_parenthesized_set_variables(&self) -> bool {
        true
    }

    fn supports_select_wildcard_except(&self) -> bool {
        true
    }

    fn supports_select_wildcard_replace(&self) -> bool {
        true
    }

    fn supports_select_expr_star(&self) -> bool {
        true
    }

    fn require_interval_qualifier(&self) -> bool {
        true
    }

    fn supports_struct_literal(&self) -> bool {
        true
    }

    fn supports_execute_immediate(&self) -> bool {
        true
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_pipe_operator(&self) -> bool {
        true
    }

    fn supports_from_first_select(&self) -> bool {
        true
    }

    fn supports_create_table_multi_schema_info_sources(&self) -> bool {
        true
    }

    fn supports_comma_separated_trim(&self) -> bool {
        true
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_rarrow_operator(&self) -> bool {
        true
    }

    fn supports_load_data(&self) -> bool {
        false
    }

    fn is_column_alias(&self, kw: &Keyword, _parser: &mut Parser) -> bool {
        !AFTER_SELECT.contains(kw)
    }

    fn is_table_alias(&self, kw: &Keyword, _parser: &mut Parser) -> bool {
        !AFTER_TABLE.contains(kw) && !RESERVED.contains(&format!("{kw:?}").as_str())
    }
}

/// `SAFE.f(...)`: the call, marked.
fn parse_safe(parser: &mut Parser) -> Result<Expr, ParserError> {
    let safe = parser.parse_identifier()?;
    parser.expect_token(&Token::Period)?;
    let value = Box::new(parser.parse_prefix()?);
    Ok(Expr::Prefixed { prefix: safe, value })
}

/// `ARRAY<INT64>[1, 2]`: the array, under a cast that is marked as this form by `array`.
fn parse_typed_array(parser: &mut Parser) -> Result<Expr, ParserError> {
    let data_type = parser.parse_data_type()?;
    parser.expect_token(&Token::LBracket)?;
    let expr = Box::new(parser.parse_array_expr(true)?);
    Ok(Expr::Cast { kind: CastKind::Cast, expr, data_type, array: true, format: None })
}
