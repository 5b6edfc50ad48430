//! What naru answers, read the way scripts write it.
//!
//! Owns: rows of NDJSON as `a|b` lines, and finding a table's state in `naru status --json`.

use serde_json::Value;

/// One line per row: values joined by `|`, null as `NULL`, nested values as JSON.
///
/// # Errors
/// The line that is not a JSON object.
pub fn rows(ndjson: &str) -> Result<Vec<String>, String> {
    let row = |line: &str| match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(columns)) => Ok(columns.values().map(cell).collect::<Vec<_>>().join("|")),
        _ => Err(format!("not a row of NDJSON: {line}")),
    };
    ndjson.lines().filter(|line| !line.trim().is_empty()).map(row).collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether what `naru compare` wrote says that `table` is equal; without one, that some table is.
pub fn says_equal(compared: &str, table: Option<&str>) -> bool {
    compared.lines().any(|line| {
        let mut words = line.split_whitespace();
        let name = words.next();
        table.is_none_or(|table| name == Some(table)) && words.any(|word| word == "equal")
    })
}

/// The `state` of the object that names `table` (as `dataset.table`, or as an object of the two), wherever it stands.
pub fn state(status: &Value, table: &str) -> Option<String> {
    match status {
        Value::Object(fields) => {
            let named = fields.values().any(|value| names(value, table));
            let own = fields.get("state").and_then(Value::as_str).filter(|_| named);
            own.map(ToOwned::to_owned).or_else(|| fields.values().find_map(|value| state(value, table)))
        }
        Value::Array(items) => items.iter().find_map(|item| state(item, table)),
        _ => None,
    }
}

fn names(value: &Value, table: &str) -> bool {
    let part = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    value.as_str() == Some(table) || table.split_once('.').is_some_and(|both| both == (part("dataset"), part("table")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_are_written_as_scripts_write_them() {
        let answer = "{\"id\":1,\"name\":\"가\",\"at\":null}\n{\"id\":2,\"name\":\"\",\"at\":[1,2]}\n";
        assert_eq!(rows(answer).unwrap(), ["1|가|NULL", "2||[1,2]"]);
        assert!(rows("id,name").is_err());
    }

    #[test]
    fn only_a_line_of_the_table_itself_says_that_it_is_equal() {
        let compared =
            "source shop at 0/1\n  shop.t   source 1 rows  lake 1 rows  equal\n  shop.u  not compared: why\n";
        assert!(says_equal(compared, Some("shop.t")) && says_equal(compared, None));
        assert!(!says_equal(compared, Some("shop.u")) && !says_equal("source shop at 0/1\n", None));
    }

    #[test]
    fn a_table_is_found_wherever_status_lists_it() {
        let status = json!({"state": "running", "sources": [{"name": "shop", "tables": [
            {"table": "shop.orders", "state": "copying"}, {"table": {"dataset": "shop", "table": "items"}, "state": "live"}]}]});
        assert_eq!(state(&status, "shop.items").as_deref(), Some("live"));
        assert_eq!(state(&status, "shop.gone"), None);
    }
}
