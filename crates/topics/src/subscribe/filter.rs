//! Filters of subscriptions: Pub/Sub's language over attributes.
//!
//! Owns: [`Filter`], from text to a tree and from a tree to yes or no. Never looks at an event's data.
//!
//! `attributes:key`, `attributes.key = "v"`, `attributes.key != "v"` (also true without the attribute),
//! `hasPrefix(attributes.key, "v")`, joined by AND or OR, turned round by NOT or `-`, grouped by parentheses. AND and
//! OR in one group need parentheses, as at Google.

/// Bytes of a filter's text; Google's limit.
pub const FILTER_BYTES_MAX: usize = 256;

/// How deep parentheses and NOT may go; no text within the limit needs more.
const DEPTH_MAX: usize = 64;

/// A filter that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Node);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Has(String),
    Equal(String, String),
    Prefix(String, String),
    Not(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
}

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why} at byte {at} of the filter")]
pub struct FilterMistake {
    /// What is wrong.
    pub why: String,
    /// Where, from 0.
    pub at: usize,
}

impl Filter {
    /// Reads a filter's text; `None` for an empty one, which lets everything through.
    ///
    /// # Errors
    /// [`FilterMistake`] with the place.
    pub fn parse(text: &str) -> Result<Option<Self>, FilterMistake> {
        if text.len() > FILTER_BYTES_MAX {
            return Err(FilterMistake { why: format!("more than {FILTER_BYTES_MAX} bytes"), at: FILTER_BYTES_MAX });
        }
        if text.trim().is_empty() {
            return Ok(None);
        }
        let mut parser = Parser { text, at: 0, depth: 0 };
        let node = parser.expression()?;
        parser.space();
        if parser.at < text.len() {
            return Err(parser.mistake("something follows the end"));
        }
        Ok(Some(Self(node)))
    }

    /// Whether an event with these attributes is delivered.
    pub fn lets_through<'a>(&self, attribute: &dyn Fn(&str) -> Option<&'a str>) -> bool {
        holds(&self.0, attribute)
    }
}

fn holds<'a>(node: &Node, attribute: &dyn Fn(&str) -> Option<&'a str>) -> bool {
    match node {
        Node::Has(key) => attribute(key).is_some(),
        Node::Equal(key, value) => attribute(key) == Some(value),
        Node::Prefix(key, prefix) => attribute(key).is_some_and(|value| value.starts_with(prefix.as_str())),
        Node::Not(node) => !holds(node, attribute),
        Node::All(nodes) => nodes.iter().all(|node| holds(node, attribute)),
        Node::Any(nodes) => nodes.iter().any(|node| holds(node, attribute)),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

type Parsed<T> = Result<T, FilterMistake>;

impl<'a> Parser<'a> {
    fn mistake(&self, why: &str) -> FilterMistake {
        FilterMistake { why: why.to_owned(), at: self.at }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes a sign if it comes next.
    fn sign(&mut self, sign: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    /// Takes a word if it comes next and ends there.
    fn word(&mut self, word: &str) -> bool {
        self.space();
        let rest = self.rest();
        let ends = rest.get(word.len()..).is_some_and(|behind| !behind.starts_with(is_key_letter));
        let found = rest.starts_with(word) && ends;
        if found {
            self.at += word.len();
        }
        found
    }

    fn expression(&mut self) -> Parsed<Node> {
        let first = self.term()?;
        let mut nodes = vec![first];
        let mut word = None;
        loop {
            let next = match (self.word("AND"), word) {
                (true, _) => "AND",
                (false, _) if self.word("OR") => "OR",
                (false, _) => break,
            };
            if word.is_some_and(|word| word != next) {
                return Err(self.mistake("AND and OR need parentheses around one of them"));
            }
            word = Some(next);
            nodes.push(self.term()?);
        }
        Ok(match (word, nodes.pop()) {
            (None, Some(only)) => only,
            (Some("OR"), Some(last)) => {
                nodes.push(last);
                Node::Any(nodes)
            }
            (_, last) => {
                nodes.extend(last);
                Node::All(nodes)
            }
        })
    }

    fn term(&mut self) -> Parsed<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.mistake("too many levels"));
        }
        let node = if self.word("NOT") || self.sign("-") {
            Node::Not(Box::new(self.term()?))
        } else if self.sign("(") {
            let inner = self.expression()?;
            if !self.sign(")") {
                return Err(self.mistake("a closing parenthesis is missing"));
            }
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn comparison(&mut self) -> Parsed<Node> {
        if self.word("hasPrefix") {
            if !self.sign("(") || !self.word("attributes") || !self.sign(".") {
                return Err(self.mistake("hasPrefix(attributes.key, \"prefix\") was expected"));
            }
            let key = self.key()?;
            if !self.sign(",") {
                return Err(self.mistake("a comma was expected"));
            }
            let prefix = self.literal()?;
            if !self.sign(")") {
                return Err(self.mistake("a closing parenthesis is missing"));
            }
            return Ok(Node::Prefix(key, prefix));
        }
        if !self.word("attributes") {
            return Err(self.mistake("attributes, hasPrefix, NOT or a parenthesis was expected"));
        }
        if self.sign(":") {
            return Ok(Node::Has(self.key()?));
        }
        if !self.sign(".") {
            return Err(self.mistake("attributes:key or attributes.key was expected"));
        }
        let key = self.key()?;
        if self.sign("!=") {
            return Ok(Node::Not(Box::new(Node::Equal(key, self.literal()?))));
        }
        if self.sign("=") {
            return Ok(Node::Equal(key, self.literal()?));
        }
        Err(self.mistake("= or != was expected"))
    }

    fn key(&mut self) -> Parsed<String> {
        self.space();
        if self.rest().starts_with('"') {
            return self.literal();
        }
        let rest = self.rest();
        let end = rest.find(|letter| !is_key_letter(letter)).unwrap_or(rest.len());
        let key = rest.get(..end).unwrap_or_default();
        if key.is_empty() {
            return Err(self.mistake("a key was expected"));
        }
        self.at += end;
        Ok(key.to_owned())
    }

    fn literal(&mut self) -> Parsed<String> {
        if !self.sign("\"") {
            return Err(self.mistake("a text in double quotes was expected"));
        }
        let mut text = String::new();
        loop {
            let Some(letter) = self.next_letter() else { return Err(self.mistake("the text has no end")) };
            match letter {
                '"' => return Ok(text),
                '\\' => text.push(self.escaped()?),
                letter => text.push(letter),
            }
        }
    }

    fn next_letter(&mut self) -> Option<char> {
        let letter = self.rest().chars().next()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    fn escaped(&mut self) -> Parsed<char> {
        let code = |parser: &mut Self, digits: usize, radix: u32| {
            let text = parser.rest().get(..digits).unwrap_or_default();
            let whole = text.len() == digits && text.chars().all(|digit| digit.is_digit(radix));
            let letter = whole.then(|| u32::from_str_radix(text, radix).ok().and_then(char::from_u32)).flatten();
            parser.at += if letter.is_some() { digits } else { 0 };
            letter.ok_or_else(|| parser.mistake("this escape is no character"))
        };
        match self.next_letter() {
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('b') => Ok('\u{8}'),
            Some('f') => Ok('\u{c}'),
            Some('a') => Ok('\u{7}'),
            Some('v') => Ok('\u{b}'),
            Some('x') => code(self, 2, 16),
            Some('u') => code(self, 4, 16),
            Some('U') => code(self, 8, 16),
            Some('0'..='7') => {
                self.at -= 1;
                code(self, 3, 8)
            }
            Some(letter @ ('"' | '\'' | '\\' | '?' | '`')) => Ok(letter),
            _ => Err(self.mistake("this escape is not known")),
        }
    }
}

fn is_key_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(text: &str, attributes: &[(&str, &str)]) -> bool {
        let filter = Filter::parse(text).unwrap().unwrap();
        filter.lets_through(&|key| attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| *value))
    }

    #[test]
    fn every_operator_means_what_it_means_at_google() {
        let attributes = [("kind", "order.new"), ("iana.org/language", "ko"), ("empty", ""), ("quote", "a\"b\n")];
        let yes = [
            "attributes:kind",
            "attributes:\"iana.org/language\"",
            "attributes.kind = \"order.new\"",
            "attributes.kind!=\"order\"",
            "attributes.missing != \"x\"",
            "hasPrefix(attributes.kind, \"order.\")",
            "hasPrefix ( attributes . \"kind\" , \"\" )",
            "NOT attributes:missing",
            "-attributes:missing AND NOT (attributes:missing OR attributes.empty = \"x\")",
            "attributes:missing OR (attributes:empty AND attributes:kind)",
            "attributes.quote = \"a\\\"b\\n\" AND attributes.quote = \"\\x61\\u0022\\142\\012\"",
            "  attributes.empty=\"\"  ",
        ];
        for text in yes {
            assert!(passes(text, &attributes), "{text}");
            assert!(!passes(&format!("NOT ({text})"), &attributes), "{text}");
        }
        assert_eq!(Filter::parse(" "), Ok(None));
    }

    #[test]
    fn a_text_that_is_no_filter_is_refused_with_its_place() {
        let long = format!("attributes:{}", "k".repeat(FILTER_BYTES_MAX));
        let deep = "(".repeat(200);
        let no = [
            ("kind = \"x\"", 0),
            ("attributes.kind = x", 18),
            ("attributes.kind", 15),
            ("attributes:a AND attributes:b OR attributes:c", 32),
            ("attributes:a attributes:b", 13),
            ("attributes:a ANDattributes:b", 13),
            ("(attributes:a", 13),
            ("attributes.a = \"b", 17),
            ("attributes.a = \"\\ud800\"", 18),
            ("hasPrefix(attributes.a)", 22),
            (&long, FILTER_BYTES_MAX),
            (&deep, DEPTH_MAX),
        ];
        for (text, at) in no {
            let mistake = Filter::parse(text).unwrap_err();
            assert_eq!(mistake.at, at, "{text}: {mistake}");
        }
    }
}
