//! The `checks:` list of a mart.
//!
//! Owns: [`Check`], [`Rule`] and their YAML form. Never runs one; that is `quality`.

use std::path::PathBuf;

use naru_base::{Place, TableId};

use crate::{
    mistake::Mistake,
    names,
    node::{Entry, Node, Value},
    section::{Reading, Section, nearest},
};

/// One check of a mart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What a failure does.
    pub severity: Severity,
    /// What must hold.
    pub rule: Rule,
    /// Where it is written.
    pub place: Place,
}

/// What a failed check does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The mart is not published.
    Block,
    /// It is published and the failure is shown.
    Warn,
}

/// What must hold for a mart's staged rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// No two rows agree in all of these columns.
    Unique {
        /// At least one.
        columns: Vec<String>,
    },
    /// No row has null in this column.
    NotNull {
        /// The column.
        column: String,
    },
    /// Every value that is not null is one of these.
    AcceptedValues {
        /// The column.
        column: String,
        /// At least one.
        values: Vec<Literal>,
    },
    /// Every value that is not null stands in `to.field`.
    Relationships {
        /// The column.
        column: String,
        /// The other table.
        to: TableId,
        /// Its column.
        field: String,
    },
    /// A query that must return no rows.
    Query {
        /// For example `checks/totals.sql`.
        file: PathBuf,
    },
    /// A boolean SQL text over the staged table, for example `row_count > 100`.
    Condition {
        /// The text.
        sql: String,
    },
}

/// A value in `accepted_values`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// Text.
    Text(String),
    /// A number, as decimal text.
    Number(String),
    /// True or false.
    Boolean(bool),
}

const RULES: [&str; 5] = ["unique", "not_null", "accepted_values", "relationships", "query"];

/// Reads the list; `files` are the paths in `checks/`.
pub(crate) fn read(reading: &mut Reading<'_>, node: &Node, files: &[String]) -> Vec<Check> {
    let Value::List(items) = &node.value else {
        reading.wrong_type("checks", "a list such as [{unique: id}, {not_null: amount}]", node);
        return Vec::new();
    };
    items.iter().filter_map(|item| read_one(reading, item, files)).collect()
}

fn read_one(reading: &mut Reading<'_>, item: &Node, files: &[String]) -> Option<Check> {
    if let Value::Text(sql) = &item.value
        && !sql.trim().is_empty()
    {
        let rule = Rule::Condition { sql: sql.trim().to_owned() };
        return Some(Check { severity: Severity::Block, rule, place: reading.place(&item.span) });
    }
    let entry = only_entry(reading, item)?;
    let place = reading.place(&entry.key_span);
    if entry.key != "warn" {
        let rule = read_rule(reading, entry, files)?;
        return Some(Check { severity: Severity::Block, rule, place });
    }
    let rule = match &entry.node.value {
        Value::Text(sql) if !sql.trim().is_empty() => Rule::Condition { sql: sql.trim().to_owned() },
        Value::Table(_) => {
            let inner = only_entry(reading, &entry.node)?;
            read_rule(reading, inner, files)?
        }
        _ => {
            reading.wrong_type("warn", "a check or a boolean SQL text", &entry.node);
            return None;
        }
    };
    Some(Check { severity: Severity::Warn, rule, place })
}

/// The one entry of `{unique: id}`.
fn only_entry<'n>(reading: &mut Reading<'_>, item: &'n Node) -> Option<&'n Entry> {
    let Value::Table(entries) = &item.value else {
        reading.wrong_type("checks", "a list of checks such as {unique: id} or {warn: \"row_count > 100\"}", item);
        return None;
    };
    if let [entry] = entries.as_slice() {
        return Some(entry);
    }
    let mistake = Mistake::BadValue {
        key: "checks".to_owned(),
        wanted: "a list with one check in each item".to_owned(),
        why: Some(format!("an item has {} keys", entries.len())),
        hint: Some("Write [{unique: id}, {not_null: amount}].".to_owned()),
    };
    reading.add(entries.get(1).map_or(&item.span, |entry| &entry.key_span), mistake);
    None
}

fn read_rule(reading: &mut Reading<'_>, entry: &Entry, files: &[String]) -> Option<Rule> {
    let node = &entry.node;
    match entry.key.as_str() {
        "unique" => {
            let columns: Vec<String> =
                reading.texts("unique", node, true).iter().map(|text| names::nfc(&text.value)).collect();
            if columns.is_empty() && matches!(&node.value, Value::List(items) if items.is_empty()) {
                reading.wrong_type("unique", "a column or a list of columns", node);
            }
            (!columns.is_empty()).then_some(Rule::Unique { columns })
        }
        "not_null" => reading.text("not_null", node).map(|text| Rule::NotNull { column: names::nfc(&text.value) }),
        "accepted_values" => read_accepted(reading, node),
        "relationships" => read_relationships(reading, node),
        "query" => read_query(reading, node, files),
        unknown => {
            let mistake = Mistake::UnknownKey {
                key: unknown.to_owned(),
                section: "checks".to_owned(),
                nearest: nearest(unknown, RULES.into_iter().chain(["warn"])),
                known: RULES.into_iter().chain(["warn"]).map(str::to_owned).collect(),
            };
            reading.add(&entry.key_span, mistake);
            None
        }
    }
}

fn read_accepted(reading: &mut Reading<'_>, node: &Node) -> Option<Rule> {
    let mut section = Section::open(reading, "accepted_values", "accepted_values", node)?;
    let example = "{accepted_values: {column: status, values: [paid, open]}}";
    let column = section.required(reading, "column", example).and_then(|node| reading.text("column", node));
    let values = section.required(reading, "values", example).and_then(|node| read_literals(reading, node));
    section.finish(reading);
    Some(Rule::AcceptedValues { column: names::nfc(&column?.value), values: values? })
}

fn read_literals(reading: &mut Reading<'_>, node: &Node) -> Option<Vec<Literal>> {
    let items = match &node.value {
        Value::List(items) if !items.is_empty() => items,
        _ => {
            reading.wrong_type("values", "a list of values", node);
            return None;
        }
    };
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        match &item.value {
            Value::Text(text) => values.push(Literal::Text(text.clone())),
            Value::Integer(number) | Value::Float(number) => values.push(Literal::Number(number.clone())),
            Value::Boolean(value) => values.push(Literal::Boolean(*value)),
            Value::Null | Value::Moment | Value::List(_) | Value::Table(_) => {
                reading.wrong_type("values", "a list of texts, numbers, true or false", item);
            }
        }
    }
    Some(values)
}

fn read_relationships(reading: &mut Reading<'_>, node: &Node) -> Option<Rule> {
    let mut section = Section::open(reading, "relationships", "relationships", node)?;
    let example = "{relationships: {column: customer_id, to: shop.customers, field: id}}";
    let column = section.required(reading, "column", example).and_then(|node| reading.text("column", node));
    let field = section.required(reading, "field", example).and_then(|node| reading.text("field", node));
    let to = section.required(reading, "to", example).and_then(|node| {
        let text = reading.text("to", node)?;
        let id = names::nfc(&text.value).replace('`', "").parse::<TableId>();
        id.map_err(|error| reading.bad("to", "a table such as shop.customers", &text, error.to_string())).ok()
    });
    section.finish(reading);
    Some(Rule::Relationships { column: names::nfc(&column?.value), to: to?, field: names::nfc(&field?.value) })
}

fn read_query(reading: &mut Reading<'_>, node: &Node, files: &[String]) -> Option<Rule> {
    let text = reading.text("query", node)?;
    let file = names::nfc(text.value.trim_start_matches("./"));
    if !files.contains(&file) {
        let nearest = nearest(&file, files.iter().map(String::as_str));
        reading.add(&text.span, Mistake::NoSuchFile { file: PathBuf::from(file), nearest });
        return None;
    }
    Some(Rule::Query { file: PathBuf::from(file) })
}
