//! Text that a spreadsheet would take for a formula.
//!
//! Owns: which columns are text and which texts are dangerous, for CSV, shared links and Google Sheets alike. A number,
//! a date or a truth value is never touched: `-5` stays what it is. Source: OWASP, "CSV injection".

use std::borrow::Cow;

use arrow::datatypes::{DataType, Field};

/// What a spreadsheet reads as the beginning of a formula, or drops before looking for one.
const BEGINNINGS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Whether a column's values are text: words of people, which may be anything.
pub(super) fn is_text(field: &Field) -> bool {
    match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            !matches!(field.metadata().get("naru.type").map(String::as_str), Some("bignumeric" | "interval" | "time"))
        }
        // Base64 may begin with a plus.
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => true,
        DataType::Dictionary(_, value) => is_text(&field.clone().with_data_type(value.as_ref().clone())),
        _ => false,
    }
}

/// Whether a spreadsheet could run it.
pub(super) fn could_be_formula(text: &str) -> bool {
    text.starts_with(BEGINNINGS) || text.starts_with('\n')
}

/// The text with an apostrophe before it where a spreadsheet could run it.
pub(super) fn defused(text: &str) -> Cow<'_, str> {
    if could_be_formula(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_that_begins_like_a_formula_gets_an_apostrophe() {
        for text in ["=1+1", "+82 10", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1"] {
            assert_eq!(defused(text), format!("'{text}"));
        }
        for text in ["", "김치", "a=b", " =1", "'=1", "1-2"] {
            assert_eq!(defused(text), text);
        }
    }

    #[test]
    fn numbers_dates_and_truth_are_no_text() {
        let field = |data_type| Field::new("c", data_type, true);
        for data_type in
            [DataType::Int64, DataType::Float64, DataType::Decimal128(38, 9), DataType::Date32, DataType::Boolean]
        {
            assert!(!is_text(&field(data_type)));
        }
        assert!(is_text(&field(DataType::Utf8)) && is_text(&field(DataType::Binary)));
        let marked =
            |mark: &str| field(DataType::Utf8).with_metadata([("naru.type".to_owned(), mark.to_owned())].into());
        assert!(!is_text(&marked("bignumeric")) && is_text(&marked("json")));
    }
}
