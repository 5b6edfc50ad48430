//! The text of a token: what it looks like, how it is drawn, how it is kept.
//!
//! Owns: the prefix, the letters, the checksum and the hash. Never stores anything.

use naru_base::Secret;
use rand::Rng as _;
use sha2::{Digest as _, Sha256};

/// Lets people and secret scanners know a token when they see one. Every kind's own prefix begins with it.
pub const PREFIX: &str = "naru_";

/// What a secret text is for; its prefix says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A token of the project.
    Project,
    /// A token of a person.
    Personal,
    /// A token of a service account.
    Service,
    /// The cookie of a session.
    Session,
}

impl Kind {
    /// Kinds that are tokens.
    pub(crate) const TOKENS: [Self; 3] = [Self::Project, Self::Personal, Self::Service];

    fn prefix(self) -> &'static str {
        match self {
            Self::Project => PREFIX,
            Self::Personal => "naru_pat_",
            Self::Service => "naru_svc_",
            Self::Session => "naru_ses_",
        }
    }
}

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// 43 letters of 62 are 256 bits.
const RANDOM_LETTERS: usize = 43;

/// A slip of the hand passes one time in 56 billion, and is refused without a look at the database.
const CHECKSUM_LETTERS: usize = 6;

/// Draws a new text from the operating system's randomness.
pub(crate) fn draw(kind: Kind) -> Secret {
    let mut random = rand::rng();
    let mut text = String::from(kind.prefix());
    text.extend((0..RANDOM_LETTERS).filter_map(|_| letter(random.random_range(0..LETTERS.len()))));
    text.push_str(&checksum(&text));
    Secret::new(text)
}

/// Whether a text has the form of its kind and its checksum is right.
pub(crate) fn is_formed(text: &str, kind: Kind) -> bool {
    let length = kind.prefix().len() + RANDOM_LETTERS + CHECKSUM_LETTERS;
    if text.len() != length || !text.starts_with(kind.prefix()) {
        return false;
    }
    text.split_at_checked(length - CHECKSUM_LETTERS).is_some_and(|(body, sum)| checksum(body) == sum)
}

/// What is stored. A plain hash is enough: 256 random bits leave nothing to guess.
pub(crate) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn checksum(body: &str) -> String {
    let mut number = hash(body).iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let mut sum = String::new();
    for _ in 0..CHECKSUM_LETTERS {
        sum.extend(letter(naru_base::number::usize_from(number % 62)));
        number /= 62;
    }
    sum
}

fn letter(at: usize) -> Option<char> {
    LETTERS.get(at).copied().map(char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_text_is_formed_and_one_changed_letter_is_not() {
        for kind in [Kind::Project, Kind::Personal, Kind::Service, Kind::Session] {
            let token = draw(kind);
            let text = token.expose();
            assert!(is_formed(text, kind));
            assert_ne!(draw(kind).expose(), text);
            for other in [Kind::Project, Kind::Personal, Kind::Service, Kind::Session] {
                assert_eq!(is_formed(text, other), kind == other, "{kind:?} {other:?}");
            }
            for at in 0..text.len() {
                let mut letters: Vec<char> = text.chars().collect();
                letters[at] = if letters[at] == 'x' { 'y' } else { 'x' };
                assert!(!is_formed(&letters.into_iter().collect::<String>(), kind), "letter {at}");
            }
            for text in ["", "naru_", "가나다", &"가".repeat(18), &format!("{text}x")] {
                assert!(!is_formed(text, kind), "{text}");
            }
        }
    }
}
