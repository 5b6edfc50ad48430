//! What may be written at the cursor: tables, columns in scope, functions, keywords.
//!
//! Owns: [`Completer`] and the list of all names it keeps. The list is made with the project's own rights and filtered
//! by the asker's for every question, so a right that was taken away counts at once. A list older than
//! [`FRESH`] is made again behind the answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use naru_access::{Principal, Visible};
use naru_base::TableId;
use naru_googlesql::editor::{Around, NamedTable, Place, Wanted, around, functions, keywords, written};
use parking_lot::RwLock;

use crate::{SessionOptions, Warehouse, WarehouseError, session::google_options};

/// How old the list of names may be.
const FRESH: Duration = Duration::from_secs(10);
/// Completions of one answer.
const ITEMS_MAX: usize = 200;

static FUNCTIONS: LazyLock<BTreeMap<String, String>> = LazyLock::new(functions);

/// What a completion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompletionKind {
    /// A dataset.
    Dataset,
    /// A table or a view.
    Table,
    /// A column.
    Column,
    /// A table's other name.
    Alias,
    /// A name that WITH defines.
    Cte,
    /// A function.
    Function,
    /// A reserved word.
    Keyword,
}

/// One completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What is shown.
    pub label: String,
    /// What replaces the text from [`Completions::from`] to the cursor.
    pub insert: String,
    /// What it is.
    pub kind: CompletionKind,
    /// A column's type, a function's signature.
    pub detail: Option<String>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completions {
    /// Where the replaced text begins.
    pub from: Place,
    /// The likeliest first.
    pub items: Vec<Completion>,
    /// Whether there are more than these.
    pub more: bool,
}

struct Table {
    id: TableId,
    /// Name and type.
    columns: Vec<(String, String)>,
}

struct Names {
    made: Instant,
    tables: Vec<Table>,
}

/// Completes SQL. Cheap to clone; all clones share the list of names.
#[derive(Clone)]
pub struct Completer {
    warehouse: Warehouse,
    names: Arc<RwLock<Option<Arc<Names>>>>,
    making: Arc<AtomicBool>,
}

impl std::fmt::Debug for Completer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Completer").finish_non_exhaustive()
    }
}

impl Completer {
    /// Knows no names until it is asked first.
    pub fn new(warehouse: Warehouse) -> Self {
        Self { warehouse, names: Arc::default(), making: Arc::default() }
    }

    /// What may stand at the cursor, among what the asker may see.
    ///
    /// # Errors
    /// The first question fails when the tables cannot be listed.
    pub async fn complete(
        &self,
        principal: &Principal,
        sql: &str,
        cursor: Place,
    ) -> Result<Completions, WarehouseError> {
        let names = self.names().await?;
        let visible = self.warehouse.settings().policy.now().visible(principal);
        Ok(answer(&around(sql, cursor), &names.tables, &visible))
    }

    /// Shows `look` every table that the asker may see, by name, with its columns' names and types.
    ///
    /// # Errors
    /// The first question fails when the tables cannot be listed.
    pub async fn tables(
        &self,
        principal: &Principal,
        mut look: impl FnMut(&TableId, &[(String, String)]),
    ) -> Result<(), WarehouseError> {
        let names = self.names().await?;
        let visible = self.warehouse.settings().policy.now().visible(principal);
        for table in names.tables.iter().filter(|table| visible.table(&table.id)) {
            look(&table.id, &table.columns);
        }
        Ok(())
    }

    /// The list, however old it is; an old one is made again meanwhile.
    async fn names(&self) -> Result<Arc<Names>, WarehouseError> {
        let known = self.names.read().clone();
        let Some(known) = known else { return self.make().await };
        if known.made.elapsed() > FRESH && !self.making.swap(true, Ordering::AcqRel) {
            let own = self.clone();
            tokio::spawn(async move {
                if let Err(error) = own.make().await {
                    tracing::debug!(%error, "the list of names stays as it is");
                }
                own.making.store(false, Ordering::Release);
            });
        }
        Ok(known)
    }

    async fn make(&self) -> Result<Arc<Names>, WarehouseError> {
        let session = self.warehouse.session(SessionOptions::of(Principal::Project))?;
        let options = google_options(&session.time_zone());
        let described = session.describe().await?;
        let tables = described.into_iter().map(|table| Table {
            id: table.id,
            columns: table
                .schema
                .fields()
                .iter()
                .map(|field| (field.name().clone(), naru_googlesql::sql_type(field, &options)))
                .collect(),
        });
        let names = Arc::new(Names { made: Instant::now(), tables: tables.collect() });
        *self.names.write() = Some(names.clone());
        Ok(names)
    }
}

/// Gathers completions with how well they fit; the best come first.
struct Gather<'a> {
    around: &'a Around,
    word: String,
    found: Vec<(u8, Completion)>,
}

impl<'a> Gather<'a> {
    fn new(around: &'a Around) -> Self {
        Self { around, word: around.word.to_lowercase(), found: Vec::new() }
    }

    /// Adds a name; `rank` orders kinds that fit equally well.
    fn add(&mut self, rank: u8, kind: CompletionKind, label: &str, detail: Option<&str>) {
        let known = label.to_lowercase();
        let fits = match known.find(&self.word) {
            Some(0) => 0,
            // Keywords and functions are known by how they begin.
            Some(_) if !matches!(kind, CompletionKind::Keyword | CompletionKind::Function) => 100,
            _ => return,
        };
        let insert = match kind {
            CompletionKind::Keyword | CompletionKind::Function => label.to_owned(),
            _ if self.around.quoted => {
                let path: Vec<&str> = self.around.qualifier.iter().map(String::as_str).chain([label]).collect();
                format!("`{}`", path.join("."))
            }
            _ => written(label),
        };
        let completion = Completion { label: label.to_owned(), insert, kind, detail: detail.map(str::to_owned) };
        self.found.push((fits + rank, completion));
    }

    fn columns(&mut self, rank: u8, table: &Table) {
        for (name, data_type) in &table.columns {
            self.add(rank, CompletionKind::Column, name, Some(data_type));
        }
    }

    fn finish(mut self) -> Completions {
        self.found.sort_by(|(a, left), (b, right)| a.cmp(b).then_with(|| left.label.cmp(&right.label)));
        self.found.dedup_by(|(_, a), (_, b)| a.label == b.label && a.kind == b.kind);
        let more = self.found.len() > ITEMS_MAX;
        let items = self.found.into_iter().take(ITEMS_MAX).map(|(_, completion)| completion).collect();
        Completions { from: self.around.from, items, more }
    }
}

fn answer(around: &Around, tables: &[Table], visible: &Visible) -> Completions {
    let mut gather = Gather::new(around);
    let seen = || tables.iter().filter(|table| visible.table(&table.id));
    let find = |named: &NamedTable| {
        let id = table_of(&named.parts)?;
        seen().find(|table| table.id == id)
    };
    match (around.wanted, around.qualifier.as_slice()) {
        (Wanted::Nothing, _) => {}
        (wanted, []) => {
            if wanted == Wanted::Value {
                around.tables.iter().filter_map(find).for_each(|table| gather.columns(0, table));
                around
                    .tables
                    .iter()
                    .filter_map(name_of)
                    .for_each(|name| gather.add(1, CompletionKind::Alias, name, None));
                FUNCTIONS.iter().for_each(|(name, form)| gather.add(3, CompletionKind::Function, name, Some(form)));
            }
            around.ctes.iter().for_each(|name| gather.add(0, CompletionKind::Cte, name, None));
            let datasets: BTreeSet<&str> = seen().map(|table| table.id.dataset.as_str()).collect();
            for name in datasets {
                gather.add(2, CompletionKind::Dataset, name, None);
            }
            if wanted == Wanted::Table || !around.word.is_empty() {
                full_names(&mut gather, seen());
            }
            for word in keywords() {
                gather.add(4, CompletionKind::Keyword, word, None);
            }
        }
        (wanted, [.., last]) => {
            let named =
                around.tables.iter().find(|table| name_of(table).is_some_and(|name| name.eq_ignore_ascii_case(last)));
            if wanted == Wanted::Value
                && let Some(table) = named.and_then(find)
            {
                gather.columns(0, table);
            } else {
                seen()
                    .filter(|table| table.id.dataset == *last)
                    .for_each(|table| gather.add(0, CompletionKind::Table, &table.id.table, None));
            }
        }
    }
    gather.finish()
}

/// Tables whose own name fits, written with their dataset.
fn full_names<'a>(gather: &mut Gather<'_>, tables: impl Iterator<Item = &'a Table>) {
    for table in tables {
        let before = gather.found.len();
        gather.add(1, CompletionKind::Table, &table.id.table, Some(&table.id.dataset));
        if let Some((_, added)) = gather.found.get_mut(before) {
            added.label = table.id.to_string();
            if gather.around.quoted {
                added.insert = format!("`{}`", table.id);
            } else {
                added.insert = format!("{}.{}", written(&table.id.dataset), written(&table.id.table));
            }
        }
    }
}

fn table_of(parts: &[String]) -> Option<TableId> {
    match parts {
        [dataset, table] | [_, dataset, table] => Some(TableId::new(dataset, table)),
        _ => None,
    }
}

/// How the rest of the statement calls a table.
fn name_of(table: &NamedTable) -> Option<&str> {
    table.alias.as_deref().or_else(|| table.parts.last().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use naru_access::Policy;

    use super::*;

    fn tables(count: usize) -> Vec<Table> {
        let columns = |table: usize| (0..20).map(|column| (format!("c{table}_{column}"), "INT64".to_owned())).collect();
        let mut all: Vec<Table> =
            (0..count).map(|n| Table { id: TableId::new("big", format!("t{n}")), columns: columns(n) }).collect();
        let column = |name: &str, data_type: &str| (name.to_owned(), data_type.to_owned());
        all.push(Table {
            id: TableId::new("shop", "orders"),
            columns: vec![column("id", "INT64"), column("매출(원)", "NUMERIC"), column("order_day", "DATE")],
        });
        all
    }

    /// The labels offered at `|`.
    fn at_bar(tables: &[Table], text: &str) -> Vec<(CompletionKind, String)> {
        let column = text.split('|').next().unwrap().chars().count() + 1;
        let around = around(&text.replacen('|', "", 1), Place { line: 1, column });
        let visible = Policy::default().now().visible(&Principal::Owner);
        answer(&around, tables, &visible).items.into_iter().map(|item| (item.kind, item.insert)).collect()
    }

    #[test]
    fn columns_of_the_tables_in_scope_come_first() {
        use CompletionKind::{Alias, Column, Dataset, Function, Table as Whole};
        let all = tables(0);
        assert_eq!(at_bar(&all, "SELECT o.| FROM shop.orders AS o")[1], (Column, "order_day".to_owned()));
        assert_eq!(at_bar(&all, "SELECT o.매| FROM shop.orders AS o"), [(Column, "`매출(원)`".to_owned())]);
        let found = at_bar(&all, "SELECT o| FROM shop.orders AS o");
        assert_eq!(found[..2], [(Column, "order_day".to_owned()), (Alias, "o".to_owned())]);
        assert_eq!(at_bar(&all, "SELECT * FROM shop.|"), [(Whole, "orders".to_owned())]);
        assert_eq!(at_bar(&all, "SELECT * FROM sh|")[0], (Dataset, "shop".to_owned()));
        assert_eq!(at_bar(&all, "SELECT * FROM ord|")[0], (Whole, "shop.orders".to_owned()));
        assert_eq!(at_bar(&all, "SELECT * FROM `shop.o|")[0], (Whole, "`shop.orders`".to_owned()));
        assert!(at_bar(&all, "SELECT DATE_TR|").contains(&(Function, "DATE_TRUNC".to_owned())));
        assert!(at_bar(&all, "SELECT 'o|").is_empty());
    }

    #[test]
    fn ten_thousand_columns_are_searched_in_a_blink() {
        let all = tables(500);
        let began = Instant::now();
        let found = at_bar(&all, "SELECT c12| FROM big.t12 JOIN big.t120 USING (x)");
        println!("completion among 10,000 columns: {:?}", began.elapsed());
        assert_eq!(found.len(), 40);
    }
}
