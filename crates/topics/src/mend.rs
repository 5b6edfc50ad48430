//! Changing a field of an event's JSON, and nothing else of its text.
//!
//! Owns: [`Edit`], a place and a new value, and [`mend`]. Numbers and texts of all other fields stay letter by letter:
//! an event must not lose a digit on the way through a parser.

use std::{borrow::Cow, fmt, iter::Peekable, str::Chars};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, value::RawValue};

/// A field and the value that it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    steps: Vec<Step>,
    /// As JSON.
    value: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Element(usize),
}

/// Why an event cannot be changed, or what was asked for is no change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MendError {
    /// The text is not `path=value`.
    #[error("\"{0}\" is not of the form path=value")]
    Form(String),
    /// The bytes of the event are not JSON.
    #[error("it is no JSON")]
    NotJson,
    /// On the way to the field stands something without fields.
    #[error("there is no place for {0} in it")]
    NoPlace(String),
}

impl Edit {
    /// Reads `path=value`: `user.id=7`, `$.items[0].sku="A"`, `"odd name"=null`. A value that is no JSON is a text.
    ///
    /// # Errors
    /// [`MendError::Form`].
    pub fn parse(text: &str) -> Result<Self, MendError> {
        let form = || MendError::Form(text.to_owned());
        let mut letters = text.strip_prefix("$.").or_else(|| text.strip_prefix('$')).unwrap_or(text).chars().peekable();
        let mut steps = vec![];
        loop {
            steps.push(step(&mut letters, steps.is_empty()).ok_or_else(form)?);
            if letters.next_if_eq(&'=').is_some() {
                break;
            }
        }
        let given: String = letters.collect();
        let value = match serde_json::from_str::<&RawValue>(&given) {
            Ok(json) => json.get().to_owned(),
            Err(_) => Value::String(given).to_string(),
        };
        Ok(Self { steps, value })
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.steps.iter().try_for_each(|step| write!(f, "{step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(name) if name.chars().all(|letter| letter.is_alphanumeric() || letter == '_') => {
                write!(f, ".{name}")
            }
            Self::Member(name) => write!(f, ".{}", Value::from(name.as_str())),
            Self::Element(index) => write!(f, "[{index}]"),
        }
    }
}

/// `.name`, `."any name"` or `[2]`; the first name needs no point.
fn step(letters: &mut Peekable<Chars<'_>>, first: bool) -> Option<Step> {
    if letters.next_if_eq(&'[').is_some() {
        let digits: String = std::iter::from_fn(|| letters.next_if(char::is_ascii_digit)).collect();
        letters.next_if_eq(&']')?;
        return digits.parse().ok().map(Step::Element);
    }
    if letters.next_if_eq(&'.').is_none() && !first {
        return None;
    }
    let mut name = String::new();
    if letters.next_if_eq(&'"').is_some() {
        loop {
            match letters.next()? {
                '"' => return Some(Step::Member(name)),
                '\\' => name.push(letters.next()?),
                letter => name.push(letter),
            }
        }
    }
    while let Some(letter) = letters.next_if(|letter| !matches!(letter, '.' | '[' | '=' | '"')) {
        name.push(letter);
    }
    (!name.is_empty()).then_some(Step::Member(name))
}

/// The event with every edit made, in order. A field that is not there is added, with the objects around it; one that
/// stands twice stands once afterwards.
///
/// # Errors
/// [`MendError::NotJson`], [`MendError::NoPlace`].
pub fn mend(data: &[u8], edits: &[Edit]) -> Result<Vec<u8>, MendError> {
    let text = std::str::from_utf8(data).map_err(|_| MendError::NotJson)?;
    let whole: &RawValue = serde_json::from_str(text).map_err(|_| MendError::NotJson)?;
    let mut text = whole.get().to_owned();
    for edit in edits {
        text = set(&text, &edit.steps, &edit.value).map_err(|()| MendError::NoPlace(edit.to_string()))?;
    }
    Ok(text.into_bytes())
}

fn set(json: &str, steps: &[Step], value: &str) -> Result<String, ()> {
    let Some((step, rest)) = steps.split_first() else { return Ok(value.to_owned()) };
    match step {
        Step::Member(name) => set_member(json, name, rest, value),
        Step::Element(index) => {
            let items: Vec<&RawValue> = serde_json::from_str(json).map_err(drop)?;
            let mut items: Vec<Cow<'_, str>> = items.into_iter().map(|item| Cow::Borrowed(item.get())).collect();
            let item = items.get_mut(*index).ok_or(())?;
            *item = Cow::Owned(set(item, rest, value)?);
            Ok(format!("[{}]", items.join(",")))
        }
    }
}

fn set_member(json: &str, name: &str, rest: &[Step], value: &str) -> Result<String, ()> {
    let members = match json {
        "null" => Vec::new(),
        json => serde_json::from_str::<Members<'_>>(json).map_err(drop)?.0,
    };
    let mut written: Vec<String> = Vec::with_capacity(members.len() + 1);
    let mut done = false;
    for (key, old) in members {
        if serde_json::from_str::<String>(key).is_ok_and(|known| known == name) {
            if !done {
                written.push(format!("{key}:{}", set(old, rest, value)?));
            }
            done = true;
        } else {
            written.push(format!("{key}:{old}"));
        }
    }
    if !done {
        written.push(format!("{}:{}", Value::from(name), set("null", rest, value)?));
    }
    Ok(format!("{{{}}}", written.join(",")))
}

/// Names and values as they stand, with those that stand twice.
struct Members<'j>(Vec<(&'j str, &'j str)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Every;
        impl<'de> Visitor<'de> for Every {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    members.push((name.get(), value.get()));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(data: &str, edits: &[&str]) -> Result<String, MendError> {
        let edits = edits.iter().map(|edit| Edit::parse(edit)).collect::<Result<Vec<_>, _>>()?;
        mend(data.as_bytes(), &edits).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn only_what_was_asked_for_changes() {
        let event = r#" {"id":12345678901234567890.10, "a" : {"b":[1, {"c":"x"}]},"u":"\u0041"}"#;
        for (edit, wanted) in [
            ("a.b[1].c=7", r#"{"id":12345678901234567890.10,"a":{"b":[1,{"c":7}]},"u":"\u0041"}"#),
            (
                "$.u=text with = and spaces",
                r#"{"id":12345678901234567890.10,"a":{"b":[1, {"c":"x"}]},"u":"text with = and spaces"}"#,
            ),
            ("n.m=\"7\"", r#"{"id":12345678901234567890.10,"a":{"b":[1, {"c":"x"}]},"u":"\u0041","n":{"m":"7"}}"#),
            ("\"b c\"=null", r#"{"id":12345678901234567890.10,"a":{"b":[1, {"c":"x"}]},"u":"\u0041","b c":null}"#),
        ] {
            assert_eq!(mended(event, &[edit]).unwrap(), wanted, "{edit}");
        }
        assert_eq!(mended(r#"{"a":1,"b":2,"a":3}"#, &["a=4", "b=5"]).unwrap(), r#"{"a":4,"b":5}"#);
        assert_eq!(mended(r#"{"a":null}"#, &["a.b=1"]).unwrap(), r#"{"a":{"b":1}}"#);
    }

    #[test]
    fn what_cannot_be_changed_says_why() {
        for text in ["", "a", "=1", "a..b=1", "a[x]=1", "a[1=2", "\"a=1"] {
            assert!(matches!(Edit::parse(text), Err(MendError::Form(_))), "{text}");
        }
        assert_eq!(mended("{", &["a=1"]), Err(MendError::NotJson));
        assert_eq!(mended(r#"{"a":1}"#, &["a.b=1"]), Err(MendError::NoPlace("$.a.b".into())));
        assert_eq!(mended(r#"{"a":[]}"#, &["a[0].\"b c\"=1"]), Err(MendError::NoPlace("$.a[0].\"b c\"".into())));
        assert_eq!(mended("[1]", &["a=1"]), Err(MendError::NoPlace("$.a".into())));
    }
}
