//! One JSON text as a flat list of nodes that say where each value stands in the text.
//!
//! Owns: [`Tape`]: RFC 8259's grammar, strictly, checked to the last byte before anything reads a value. Numbers keep
//! their text and texts their escapes, because a 64-bit tape would round a NUMERIC and could not give back the exact
//! text of a JSON column. Never allocates per value; a tape is used again for the next text.
//! UTF-8 is checked with vector instructions, the insides of texts eight bytes at a time.

use super::{
    fault::{Fault, FaultKind},
    number,
};

/// Containers in containers; beyond it a text is refused. Other readers of the kept JSON stop at 127.
pub(super) const DEPTH_MAX: usize = 100;

/// Bytes of one text: more is no event. Positions in a text are 32 bits wide.
pub(super) const TEXT_BYTES_MAX: usize = 64 << 20;
/// Nodes whose memory is kept for the next text; one strange text must not hold much for ever.
const NODES_KEPT: usize = 1 << 16;

/// What stands at a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Null,
    True,
    False,
    /// A number without fraction and exponent.
    Integer,
    /// Any other number.
    Decimal,
    /// A text without escapes.
    Text,
    /// A text with at least one escape.
    Escaped,
    Array,
    Object,
}

/// A value, or the name of a member (a text right before its value).
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// First byte; a text's span is inside its quotes.
    start: u32,
    /// Byte after the last one.
    end: u32,
    /// The node after this one and all that is inside it.
    pub(super) next: u32,
    pub(super) token: Token,
}

/// The nodes of one text, in its order.
#[derive(Debug, Default)]
pub(super) struct Tape {
    nodes: Vec<Node>,
}

impl Tape {
    /// Reads `text`, which must be one JSON value with nothing but white space around it.
    pub(super) fn read(&mut self, text: &[u8]) -> Result<(), Fault> {
        if self.nodes.capacity() > NODES_KEPT {
            self.nodes = Vec::new();
        }
        self.nodes.clear();
        if text.len() > TEXT_BYTES_MAX {
            return Err(Fault::whole(FaultKind::TooLarge, "at most 64 MiB", "more"));
        }
        if simdutf8::basic::from_utf8(text).is_err() {
            let at = std::str::from_utf8(text).err().map_or(0, |error| error.valid_up_to());
            return Err(Fault::whole(FaultKind::NotJson, "JSON in UTF-8", format!("no UTF-8 at byte {at}")));
        }
        let mut reader = Reader { text, at: 0, nodes: &mut self.nodes };
        let read = reader.whole();
        let at = reader.at;
        read.map_err(|wrong| match wrong {
            Wrong::Empty => Fault::whole(FaultKind::NotJson, "a JSON object", "nothing"),
            Wrong::Depth => Fault::whole(
                FaultKind::TooDeep,
                format!("at most {DEPTH_MAX} levels"),
                format!("more levels at byte {at}"),
            ),
            Wrong::Syntax(what) => Fault::whole(FaultKind::NotJson, "JSON", format!("{what} at byte {at}")),
        })
    }

    /// The node at `at`; past the end a null, which no walk of a tape that was read reaches.
    pub(super) fn node(&self, at: u32) -> Node {
        const NONE: Node = Node { start: 0, end: 0, next: u32::MAX, token: Token::Null };
        usize::try_from(at).ok().and_then(|at| self.nodes.get(at)).copied().unwrap_or(NONE)
    }
}

impl Node {
    /// Its bytes: a number's text, a text's inside, a container from bracket to bracket.
    pub(super) fn of(self, text: &[u8]) -> &[u8] {
        slice(text, self.start, self.end)
    }

    /// Its bytes as a JSON value: a text with its quotes.
    pub(super) fn json(self, text: &[u8]) -> &[u8] {
        match self.token {
            Token::Text | Token::Escaped => slice(text, self.start.saturating_sub(1), self.end.saturating_add(1)),
            _ => self.of(text),
        }
    }

    /// The JSON type, for people.
    pub(super) fn type_name(self) -> &'static str {
        match self.token {
            Token::Null => "null",
            Token::True | Token::False => "boolean",
            Token::Integer => "integer",
            Token::Decimal => "number",
            Token::Text | Token::Escaped => "string",
            Token::Array => "array",
            Token::Object => "object",
        }
    }
}

fn slice(text: &[u8], start: u32, end: u32) -> &[u8] {
    let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(end)) else { return &[] };
    text.get(start..end).unwrap_or_default()
}

/// Why reading stopped; the place is where the reader stands.
enum Wrong {
    Empty,
    Depth,
    Syntax(&'static str),
}

type Read<T = ()> = Result<T, Wrong>;

struct Reader<'t, 'n> {
    text: &'t [u8],
    at: usize,
    nodes: &'n mut Vec<Node>,
}

impl Reader<'_, '_> {
    fn whole(&mut self) -> Read {
        self.space();
        if self.at == self.text.len() {
            return Err(Wrong::Empty);
        }
        self.value(0)?;
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(Wrong::Syntax("something after the value")) }
    }

    #[inline]
    fn peek(&self) -> u8 {
        // A zero byte is in no grammar rule, so it can stand for the end.
        self.text.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Read {
        match self.peek() {
            b'"' => self.string(),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true", Token::True),
            b'f' => self.word(b"false", Token::False),
            b'n' => self.word(b"null", Token::Null),
            _ if self.at >= self.text.len() => Err(Wrong::Syntax("the text ends")),
            _ => Err(Wrong::Syntax("no value")),
        }
    }

    fn object(&mut self, depth: usize) -> Read {
        let open = self.open(Token::Object, depth)?;
        self.space();
        if self.peek() == b'}' {
            self.close(open);
            return Ok(());
        }
        loop {
            if self.peek() != b'"' {
                return Err(Wrong::Syntax("no name"));
            }
            self.string()?;
            self.space();
            if self.peek() != b':' {
                return Err(Wrong::Syntax("no colon"));
            }
            self.at += 1;
            self.space();
            self.value(depth + 1)?;
            self.space();
            match self.peek() {
                b',' => self.at += 1,
                b'}' => break self.close(open),
                _ => return Err(Wrong::Syntax("no comma or closing brace")),
            }
            self.space();
        }
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Read {
        let open = self.open(Token::Array, depth)?;
        self.space();
        if self.peek() == b']' {
            self.close(open);
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            self.space();
            match self.peek() {
                b',' => self.at += 1,
                b']' => break self.close(open),
                _ => return Err(Wrong::Syntax("no comma or closing bracket")),
            }
            self.space();
        }
        Ok(())
    }

    fn open(&mut self, token: Token, depth: usize) -> Read<usize> {
        if depth >= DEPTH_MAX {
            return Err(Wrong::Depth);
        }
        let open = self.nodes.len();
        self.push(token, self.at, self.at);
        self.at += 1;
        Ok(open)
    }

    /// Steps over the closing bracket and ends the node that was opened.
    fn close(&mut self, open: usize) {
        self.at += 1;
        let (end, next) = (narrow(self.at), narrow(self.nodes.len()));
        if let Some(node) = self.nodes.get_mut(open) {
            node.end = end;
            node.next = next;
        }
    }

    #[inline]
    fn push(&mut self, token: Token, start: usize, end: usize) {
        let next = narrow(self.nodes.len() + 1);
        self.nodes.push(Node { start: narrow(start), end: narrow(end), next, token });
    }

    fn word(&mut self, word: &[u8], token: Token) -> Read {
        let start = self.at;
        if self.text.get(start..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            self.push(token, start, self.at);
            Ok(())
        } else {
            Err(Wrong::Syntax("no value"))
        }
    }

    fn number(&mut self) -> Read {
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        let (length, whole) = number::scan(rest);
        if length == 0 {
            return Err(Wrong::Syntax("no number"));
        }
        self.at += length;
        self.push(if whole { Token::Integer } else { Token::Decimal }, start, self.at);
        Ok(())
    }

    fn string(&mut self) -> Read {
        self.at += 1;
        let start = self.at;
        let mut token = Token::Text;
        loop {
            self.plain();
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.push(token, start, self.at);
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    token = Token::Escaped;
                    self.escape()?;
                }
                Some(_) => return Err(Wrong::Syntax("a control character in a text")),
                None => return Err(Wrong::Syntax("the text ends")),
            }
        }
    }

    /// Steps to the next byte that means something in a text: a quote, a backslash, a control character, the end.
    #[inline]
    fn plain(&mut self) {
        while let Some(word) = self.text.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let special = special(u64::from_le_bytes(*word));
            if special != 0 {
                self.at += usize::try_from(special.trailing_zeros() / 8).unwrap_or(0);
                return;
            }
            self.at += 8;
        }
        while self.text.get(self.at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Read {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match character(self.text.get(self.at..).unwrap_or_default()) {
                Some((_, length)) => {
                    self.at += length;
                    Ok(())
                }
                None => Err(Wrong::Syntax("half a surrogate pair, or no four hexadecimal digits, after \\u")),
            },
            _ => Err(Wrong::Syntax("an escape that JSON does not have")),
        }
    }
}

/// Marks the bytes of a word that are a quote, a backslash or below a space; the lowest mark is exact.
#[inline]
fn special(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c))) & HIGHS
}

/// The character that `\uXXXX` or `\uXXXX\uXXXX` at the beginning of `text` stands for, and its length there.
fn character(text: &[u8]) -> Option<(char, usize)> {
    let first = unit(text)?;
    if let Some(single) = char::from_u32(first) {
        return Some((single, 6));
    }
    let second = unit(text.get(6..)?)?;
    if !(0xD800..0xDC00).contains(&first) || !(0xDC00..0xE000).contains(&second) {
        return None;
    }
    char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)).map(|pair| (pair, 12))
}

fn unit(text: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = text.first_chunk::<6>()? else { return None };
    digits.iter().try_fold(0, |unit, digit| char::from(*digit).to_digit(16).map(|digit| unit * 16 + digit))
}

/// Writes the inside of a text that a tape has read, its escapes resolved, behind `out`.
pub(super) fn unescape(mut inside: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = inside.iter().position(|byte| *byte == b'\\') {
        let (plain, rest) = inside.split_at(at);
        out.extend_from_slice(plain);
        let length = match rest.get(1) {
            Some(b'u') => match character(rest) {
                Some((letter, length)) => {
                    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                    length
                }
                None => rest.len(),
            },
            other => {
                out.push(match other {
                    Some(b'b') => 0x08,
                    Some(b'f') => 0x0c,
                    Some(b'n') => b'\n',
                    Some(b'r') => b'\r',
                    Some(b't') => b'\t',
                    Some(same) => *same,
                    None => b'\\',
                });
                2
            }
        };
        inside = rest.get(length..).unwrap_or_default();
    }
    out.extend_from_slice(inside);
}

/// Positions fit: texts are at most [`TEXT_BYTES_MAX`] long, and a node takes at least one byte.
#[inline]
fn narrow(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
