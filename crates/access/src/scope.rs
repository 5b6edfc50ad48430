//! What a token is for, beside what its holder may do.
//!
//! Owns: [`Scope`] and its words. Never decides about a table; a token never opens more than its holder may open.

use std::{fmt, str::FromStr};

use crate::error::AccessError;

/// One thing that a token is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// SQL: the Postgres wire, and queries over HTTP.
    Query,
    /// All of the HTTP API, queries included.
    Api,
    /// Sending events to a topic.
    Send(String),
    /// Receiving the events of a topic.
    Receive(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query => f.write_str("query"),
            Self::Api => f.write_str("api"),
            Self::Send(topic) => write!(f, "send:{topic}"),
            Self::Receive(topic) => write!(f, "receive:{topic}"),
        }
    }
}

impl FromStr for Scope {
    type Err = AccessError;

    fn from_str(text: &str) -> Result<Self, AccessError> {
        let bad = || AccessError::BadScope { text: text.to_owned() };
        // "view" is what tokens of the project were for before tokens had more words.
        match text {
            "query" | "view" => return Ok(Self::Query),
            "api" => return Ok(Self::Api),
            _ => {}
        }
        let (word, topic) = text.split_once(':').ok_or_else(bad)?;
        if topic.is_empty() || topic.contains(char::is_whitespace) {
            return Err(bad());
        }
        match word {
            "send" => Ok(Self::Send(topic.to_owned())),
            "receive" => Ok(Self::Receive(topic.to_owned())),
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_read_as_it_is_written() {
        for text in ["query", "api", "send:events", "receive:매출"] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        assert_eq!("view".parse::<Scope>().unwrap(), Scope::Query);
        for text in ["", "admin", "send:", "send", "send:a b", "receive"] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }
}
