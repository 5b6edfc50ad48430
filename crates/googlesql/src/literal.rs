//! The text inside quotes, read by GoogleSQL's escape rules; numbers and constants of date and time types.

use crate::error::{Result, SqlError};

/// What stands between the quotes of a string literal.
///
/// `quote` is the delimiter that an unescaped copy of would end the literal early: such text was two literals
/// side by side, which GoogleSQL refuses.
pub(crate) fn text(raw: &str, quote: Option<char>) -> Result<String> {
    let bytes = unescape(raw, quote, false)?;
    String::from_utf8(bytes).map_err(|_| SqlError::syntax("string literal is not valid UTF-8"))
}

/// What stands between the quotes of a bytes literal.
pub(crate) fn bytes(raw: &str, quote: Option<char>) -> Result<Vec<u8>> {
    unescape(raw, quote, true)
}

/// Refuses raw strings that the tokenizer ends earlier than GoogleSQL does.
pub(crate) fn raw_text(raw: &str) -> Result<String> {
    let trailing = raw.chars().rev().take_while(|c| *c == '\\').count();
    if trailing % 2 == 1 {
        return Err(SqlError::syntax("a raw string cannot end in an odd number of backslashes"));
    }
    Ok(raw.to_owned())
}

fn unescape(raw: &str, quote: Option<char>, as_bytes: bool) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if Some(c) == quote {
            return Err(SqlError::syntax("two literals stand side by side")
                .hint("write \\' or \\\" for a quote inside a literal, || to join texts"));
        }
        if c != '\\' {
            push_char(&mut out, c);
            continue;
        }
        let escape = chars.next().ok_or_else(|| SqlError::syntax("literal ends in a backslash"))?;
        match escape {
            'a' => out.push(7),
            'b' => out.push(8),
            'f' => out.push(12),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(11),
            '\\' | '?' | '"' | '\'' | '`' => push_char(&mut out, escape),
            'x' | 'X' => push_code(&mut out, digits(&mut chars, 2, 16)?, as_bytes)?,
            '0'..='3' => {
                let rest = digits(&mut chars, 2, 8)?;
                push_code(&mut out, escape.to_digit(8).unwrap_or(0) * 64 + rest, as_bytes)?;
            }
            'u' if !as_bytes => push_code(&mut out, digits(&mut chars, 4, 16)?, false)?,
            'U' if !as_bytes => push_code(&mut out, digits(&mut chars, 8, 16)?, false)?,
            other => {
                return Err(SqlError::syntax(format!("illegal escape \\{other} in a literal"))
                    .hint("double the backslash, or use a raw literal r'...'"));
            }
        }
    }
    Ok(out)
}

fn digits(chars: &mut std::str::Chars<'_>, count: usize, radix: u32) -> Result<u32> {
    let mut code = 0_u32;
    for _ in 0..count {
        let digit = chars.next().and_then(|c| c.to_digit(radix));
        let digit = digit.ok_or_else(|| SqlError::syntax("too few digits in an escape"))?;
        code = code.saturating_mul(radix).saturating_add(digit);
    }
    Ok(code)
}

fn push_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn push_code(out: &mut Vec<u8>, code: u32, as_bytes: bool) -> Result<()> {
    if as_bytes {
        out.push(u8::try_from(code).map_err(|_| SqlError::syntax("escape is larger than a byte"))?);
        return Ok(());
    }
    let c = char::from_u32(code).ok_or_else(|| SqlError::syntax("escape is not a Unicode character"))?;
    push_char(out, c);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_read_as_googlesql_reads_them() {
        assert_eq!(text(r"a\x41\101\u00e9\n\'", Some('\'')).unwrap(), "aAA\u{e9}\n'");
        assert_eq!(bytes(r"\x00\xff", None).unwrap(), vec![0, 255]);
        assert!(text(r"\d", None).is_err());
        assert!(text("it''s", Some('\'')).is_err());
        assert!(raw_text(r"a\").is_err());
    }
}
