//! Columns that a mart's SQL names and its tables no longer have.
//!
//! Owns: telling a column that is gone from one that never was, and what became of it. Reads no rows.

use std::collections::BTreeMap;

use naru_base::{Problem, TableId, Version};
use naru_flow::Cut;
use naru_lake::Column;
use naru_store::{Store, runs_read};

/// A column that was there.
#[derive(Debug, PartialEq, Eq)]
pub struct Gone {
    table: TableId,
    column: String,
    /// What the source calls it now.
    renamed: Option<String>,
    /// Columns that the table has now and did not have then.
    new: Vec<String>,
}

impl Gone {
    /// What a mart that names it is told.
    pub fn problem(&self, mart: &TableId) -> Problem {
        let Self { table, column, renamed, new } = self;
        let happened = match renamed {
            Some(name) => format!("was renamed to \"{name}\""),
            None => "was dropped".to_owned(),
        };
        let problem =
            Problem::new("flow.column_gone", format!("column \"{column}\" of {table} {happened} at the source"))
                .detail(format!("Mart {mart} names it. What was published last stays as it was."));
        match renamed {
            Some(name) => problem.hint(format!("Write `{name}` in its place, then `naru resume`.")),
            None if new.is_empty() => problem.hint("Take it out of the SQL, then `naru resume`."),
            None => {
                let new: Vec<String> = new.iter().map(|name| format!("\"{name}\"")).collect();
                let new = new.join(", ");
                problem.hint(format!("Take it out of the SQL, then `naru resume`. New in {table} since: {new}."))
            }
        }
    }
}

/// The name in the sentence that SQL answers with when a column does not exist.
pub fn column_named(message: &str) -> Option<&str> {
    message.strip_prefix("column \"")?.split('"').next()
}

/// The versions that a mart's latest successful run has read.
pub async fn last_read(store: &Store, mart: &TableId) -> BTreeMap<TableId, Version> {
    let mart = mart.clone();
    let published = store.read(move |db| runs_read::publications(db, &mart)).await.unwrap_or_default();
    let newest = published.into_iter().find(|(row, _)| row.rolled_to.is_none());
    let cut = newest.and_then(|(row, _)| serde_json::from_str::<Cut>(&row.cut?).ok());
    cut.map(|cut| cut.tables).unwrap_or_default()
}

/// Whether a column was in the table: it lies there still, marked as dropped, or it was there before.
pub fn find(table: &TableId, name: &str, now: &[Column], before: Option<&[Column]>) -> Option<Gone> {
    let named = |column: &&Column| column.name.eq_ignore_ascii_case(name);
    let current: Vec<&Column> = now.iter().filter(|column| !column.dropped && !hidden(column)).collect();
    if current.iter().any(&named) {
        return None;
    }
    let then = before.unwrap_or_default();
    let lost = now.iter().filter(|column| column.dropped).chain(then).find(&named)?;
    let same = |column: &&&Column| number(column).is_some() && number(column) == number(lost);
    let renamed = current.iter().find(same).map(|column| column.name.clone());
    let was_there = |column: &&&Column| then.iter().any(|earlier| earlier.name == column.name);
    let new = if then.is_empty() {
        Vec::new()
    } else {
        current.iter().filter(|c| !was_there(c)).map(|c| c.name.clone()).collect()
    };
    Some(Gone { table: table.clone(), column: lost.name.clone(), renamed, new })
}

fn hidden(column: &Column) -> bool {
    column.name.starts_with("_naru_") || column.name.starts_with("_day_")
}

/// What identifies a column at the source for the table's life, whatever it is called.
fn number(column: &Column) -> Option<&str> {
    column.source.as_deref()?.split(':').next()
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    fn column(name: &str, source: &str, dropped: bool) -> Column {
        Column { source: Some(source.to_owned()), dropped, ..Column::new(name, DataType::Utf8) }
    }

    #[test]
    fn a_column_that_is_gone_is_told_from_one_that_never_was() {
        let table = TableId::new("shop", "t");
        let before = [column("id", "1:23:-1", false), column("price", "2:25:-1", false)];
        let dropped =
            [column("id", "1:23:-1", false), column("price", "2:25:-1", true), column("cost", "3:25:-1", false)];
        let gone = find(&table, "PRICE", &dropped, Some(&before)).unwrap();
        assert_eq!((gone.renamed.as_deref(), gone.new.as_slice()), (None, ["cost".to_owned()].as_slice()));
        let renamed = [column("id", "1:23:-1", false), column("price_krw", "2:25:-1", false)];
        let gone = find(&table, "price", &renamed, Some(&before)).unwrap();
        assert_eq!(gone.renamed.as_deref(), Some("price_krw"));
        assert_eq!(find(&table, "never", &dropped, Some(&before)), None);
        assert_eq!(find(&table, "id", &dropped, Some(&before)), None);
    }

    #[test]
    fn the_name_is_read_from_what_sql_says() {
        assert_eq!(column_named("column \"lost\" does not exist here"), Some("lost"));
        assert_eq!(column_named("function FOO does not exist"), None);
    }
}
