//! Events' texts as columns hold them.
//!
//! Owns: attributes as a JSON object, and reading text out of arrays of either form. Never judges a value.

use arrow::array::{Array, ArrayRef, AsArray as _};
use serde_json::{Map, Value};

use crate::{log::Event, marks::OWN};

/// The sender's attributes as a JSON object; of a name that stands twice, the last value.
pub(crate) fn attributes(event: &Event) -> String {
    let given = event.attributes().filter(|(name, _)| !name.starts_with(OWN));
    let object: Map<String, Value> = given.map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    Value::Object(object).to_string()
}

/// The text in a row of an array of texts.
pub(crate) fn value(array: &ArrayRef, row: usize) -> Option<&str> {
    if array.is_null(row) {
        return None;
    }
    match array.as_string_opt::<i32>() {
        Some(texts) => Some(texts.value(row)),
        None => array.as_string_view_opt().map(|texts| texts.value(row)),
    }
}
