//! The writers: random transactions as SQL text, and what they leave of each table's definition.
//!
//! Owns: which tables and columns exist, and statements that cannot fail on them. Everything is a function of the seed:
//! rows are picked by a salted hash, never by PostgreSQL's `random()`.
//! Never connects and never compares.

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

/// SQL that must run before anything else. Uncompressed large texts are stored out of line.
pub const PREPARE: &str = "
    CREATE FUNCTION large(seed text) RETURNS text IMMUTABLE LANGUAGE sql AS
    $$ SELECT string_agg(md5(seed || i), '') FROM generate_series(1, 100) i $$;
    CREATE TABLE marker (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
";

/// What identifies a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// `id bigint`.
    Int,
    /// `(a text, n numeric)`, the same number written with different scales.
    Pair,
    /// Nothing: rows are only added and truncated, as the lake keeps no others of such a table.
    None,
}

#[derive(Debug, Clone)]
struct Column {
    name: String,
    kind: &'static str,
    nullable: bool,
}

/// A table as the source has it.
#[derive(Debug, Clone)]
pub struct Table {
    /// Name in schema `public`.
    pub name: String,
    /// Its key.
    pub key: Key,
    columns: Vec<Column>,
}

/// The kinds of transactions, so that a caller can leave some out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Rows only; takes no lock that waits for a writer.
    Rows,
    /// Rows, truncation, definitions, new and dropped tables.
    All,
}

/// Every table of the source, and the numbers that keep keys and names unique.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Tables that exist once everything issued has committed.
    pub tables: Vec<Table>,
    next_row: u64,
    next_name: u32,
    created: u32,
}

const KINDS: [&str; 8] =
    ["int", "bigint", "text", "numeric(18,4)", "timestamptz", "boolean", "double precision", "uuid"];
/// More tables than this are not made, so that each gets its share of the changes.
const TABLES_MAX: usize = 7;
const COLUMNS_MAX: usize = 6;

impl Workload {
    /// No tables yet; rows begin at `first_row`, which keeps two workloads on the same tables apart.
    pub fn new(first_row: u64) -> Self {
        Self { tables: Vec::new(), next_row: first_row, next_name: 0, created: 0 }
    }

    /// The same tables, other rows.
    pub fn beside(&self, first_row: u64) -> Self {
        Self { next_row: first_row, ..self.clone() }
    }

    /// The statement that makes a table with a few rows.
    pub fn create(&mut self, rng: &mut StdRng, key: Key) -> Vec<String> {
        self.created += 1;
        let name = format!(
            "t{}_{}",
            self.created,
            match key {
                Key::Int => "int",
                Key::Pair => "pair",
                Key::None => "none",
            }
        );
        let columns = [("v", "int"), ("s", "text"), ("big", "text")];
        let column = |(name, kind): (&str, &'static str)| Column { name: name.to_owned(), kind, nullable: true };
        let table = Table { name: name.clone(), key, columns: columns.into_iter().map(column).collect() };
        let key = match key {
            Key::Int => "id bigint PRIMARY KEY, ",
            Key::Pair => "a text, n numeric, PRIMARY KEY (a, n), ",
            Key::None => "",
        };
        let create = format!("CREATE TABLE {name} ({key}v int, s text, big text)");
        let storage = format!("ALTER TABLE {name} ALTER big SET STORAGE EXTERNAL");
        let rows = rng.random_range(0..200);
        let insert = self.insert(rng, &table, rows);
        self.tables.push(table);
        vec![create, storage, insert]
    }

    /// One transaction: `BEGIN` to `COMMIT` or `ROLLBACK`, or a single statement.
    pub fn transaction(&mut self, rng: &mut StdRng, extent: Extent) -> Vec<String> {
        let before = self.clone();
        if rng.random_bool(0.2) {
            return self.step(rng, extent, 40);
        }
        let large = rng.random_bool(0.08);
        let mut statements = vec!["BEGIN".to_owned()];
        for _ in 0..rng.random_range(1..5) {
            if rng.random_bool(0.25) {
                statements.extend(self.savepoint(rng, extent, large));
            } else {
                statements.extend(self.step(rng, extent, if large { 1_500 } else { 40 }));
            }
        }
        if rng.random_bool(0.15) {
            self.restore(before);
            statements.push("ROLLBACK".to_owned());
        } else {
            statements.push("COMMIT".to_owned());
        }
        statements
    }

    /// The inside of a transaction that waits for no lock of others: new rows, some of them taken back.
    pub fn inserts(&mut self, rng: &mut StdRng) -> Vec<String> {
        let mut statements = Vec::new();
        for _ in 0..3 {
            if let Some(table) = self.tables.choose(rng).cloned() {
                let rows = rng.random_range(1..200);
                statements.push(self.insert(rng, &table, rows));
            }
        }
        let taken_back = rng.random_bool(0.5);
        statements.insert(1.min(statements.len()), "SAVEPOINT inside".to_owned());
        if taken_back {
            statements.insert(2.min(statements.len()), "ROLLBACK TO SAVEPOINT inside".to_owned());
        }
        statements
    }

    fn savepoint(&mut self, rng: &mut StdRng, extent: Extent, large: bool) -> Vec<String> {
        let before = self.clone();
        let mut statements = vec!["SAVEPOINT inside".to_owned()];
        for _ in 0..rng.random_range(1..3) {
            statements.extend(self.step(rng, extent, if large { 1_500 } else { 40 }));
        }
        if rng.random_bool(0.5) {
            self.restore(before);
            statements.push("ROLLBACK TO SAVEPOINT inside".to_owned());
        } else {
            statements.push("RELEASE SAVEPOINT inside".to_owned());
        }
        statements
    }

    /// Takes back definitions; numbers are never used twice.
    fn restore(&mut self, before: Self) {
        self.tables = before.tables;
    }

    fn step(&mut self, rng: &mut StdRng, extent: Extent, rows_max: u32) -> Vec<String> {
        match (extent, rng.random_range(0..100)) {
            (Extent::All, 0..5) => return self.definition(rng),
            (Extent::All, 5..8) => return self.truncate(rng),
            _ => {}
        }
        let Some(table) = self.tables.choose(rng).cloned() else { return self.create(rng, Key::Int) };
        let rows = rng.random_range(1..=rows_max);
        let word = if table.key == Key::None { 0 } else { rng.random_range(0..100) };
        vec![match word {
            0..35 => self.insert(rng, &table, rows),
            35..65 => update(rng, &table, rows),
            65..80 => change_of(&table, rng, rows, "DELETE FROM", ""),
            80..90 => self.change_key(rng, &table, rows),
            _ => reinsert(rng, &table, rows),
        }]
    }

    fn insert(&mut self, rng: &mut StdRng, table: &Table, rows: u32) -> String {
        let (from, salt) = (self.next_row, rng.random::<u32>());
        self.next_row += u64::from(rows);
        let keys = match table.key {
            Key::Int => "i AS id",
            Key::Pair => "'k' || i / 3 AS a, (i % 3 || CASE WHEN i % 2 = 0 THEN '.50' ELSE '.5' END)::numeric AS n",
            Key::None => "0 AS nothing",
        };
        let names = match table.key {
            Key::Int => vec!["id"],
            Key::Pair => vec!["a", "n"],
            Key::None => vec![],
        };
        let values = table.columns.iter().map(|column| value(column, "i", salt));
        let values: Vec<String> = names.iter().map(|&name| name.to_owned()).chain(values).collect();
        let columns = names.into_iter().chain(table.columns.iter().map(|column| column.name.as_str()));
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM (SELECT i, {keys} FROM generate_series({from}::bigint, {}::bigint) i) r",
            table.name,
            columns.collect::<Vec<_>>().join(", "),
            values.join(", "),
            (from + u64::from(rows)).saturating_sub(1),
        )
    }

    fn change_key(&mut self, rng: &mut StdRng, table: &Table, rows: u32) -> String {
        self.next_row += 1;
        // Far beyond all rows, and another distance each time: no two keys meet.
        let set = match table.key {
            Key::Int => format!("SET id = id + {}", self.next_row * 1_000_000_000),
            Key::Pair if rng.random_bool(0.5) => format!("SET a = a || '~{}'", self.next_row),
            Key::Pair => format!("SET n = n + {}", self.next_row * 1_000),
            Key::None => String::new(),
        };
        change_of(table, rng, rows.min(40), "UPDATE", &set)
    }

    fn truncate(&self, rng: &mut StdRng) -> Vec<String> {
        let names: Vec<_> = self.tables.choose_multiple(rng, 2).map(|table| table.name.as_str()).collect();
        let few = rng.random_range(1..=2).min(names.len());
        names
            .get(..few)
            .filter(|names| !names.is_empty())
            .map(|names| format!("TRUNCATE {}", names.join(", ")))
            .into_iter()
            .collect()
    }

    fn definition(&mut self, rng: &mut StdRng) -> Vec<String> {
        let word = rng.random_range(0..100);
        if word < 15 && self.tables.len() < TABLES_MAX {
            let key = *[Key::Int, Key::Pair].choose(rng).unwrap_or(&Key::Int);
            return self.create(rng, key);
        }
        let keyed: Vec<usize> = (0..self.tables.len()).filter(|&at| self.tables[at].key != Key::None).collect();
        let Some(&at) = keyed.choose(rng) else { return self.create(rng, Key::Int) };
        if word < 22 && keyed.len() > 2 {
            return vec![format!("DROP TABLE {}", self.tables.remove(at).name)];
        }
        self.next_name += 1;
        let new = format!("c{}", self.next_name);
        let table = &mut self.tables[at];
        let name = table.name.clone();
        let extra: Vec<usize> = (3..table.columns.len()).collect();
        let some = extra.choose(rng).copied();
        vec![match (word, some) {
            (22..35, Some(some)) => format!("ALTER TABLE {name} DROP COLUMN {}", table.columns.remove(some).name),
            (35..45, Some(some)) => {
                let old = std::mem::replace(&mut table.columns[some].name, new.clone());
                format!("ALTER TABLE {name} RENAME COLUMN {old} TO {new}")
            }
            (45..55, Some(some)) if table.columns[some].kind != "text" => {
                let column = &mut table.columns[some];
                column.kind = "text";
                format!("ALTER TABLE {name} ALTER {0} DROP DEFAULT, ALTER {0} TYPE text USING {0}::text", column.name)
            }
            _ if table.columns.len() < COLUMNS_MAX => add_column(rng, table, new),
            _ => return Vec::new(),
        }]
    }
}

fn add_column(rng: &mut StdRng, table: &mut Table, new: String) -> String {
    let kind = *KINDS.choose(rng).unwrap_or(&"int");
    let column = Column { name: new.clone(), kind, nullable: true };
    let constant = value(&Column { nullable: false, ..column.clone() }, "7", rng.random());
    let (rest, nullable) = match rng.random_range(0..4) {
        0 => (String::new(), true),
        1 => (format!(" DEFAULT {constant}"), true),
        2 => (format!(" NOT NULL DEFAULT {constant}"), false),
        _ => {
            let volatile = Column { name: new.clone(), kind, nullable: false };
            (format!(" DEFAULT {}", value(&volatile, "(random() * 1000)::bigint", 1)), true)
        }
    };
    let sql = format!("ALTER TABLE {} ADD COLUMN {new} {kind}{rest}", table.name);
    table.columns.push(Column { nullable, ..column });
    sql
}

fn update(rng: &mut StdRng, table: &Table, rows: u32) -> String {
    let salt = rng.random();
    // Often without the large text, whose value then does not come with the change.
    let set: Vec<String> = table
        .columns
        .iter()
        .filter(|column| rng.random_bool(if column.name == "big" { 0.1 } else { 0.5 }))
        .map(|column| format!("{} = {}", column.name, value(column, &hash(table, 0), salt)))
        .collect();
    let set = if set.is_empty() { "v = v".to_owned() } else { set.join(", ") };
    change_of(table, rng, rows, "UPDATE", &format!("SET {set}"))
}

/// Rows that leave and come back under the same key in one statement.
fn reinsert(rng: &mut StdRng, table: &Table, rows: u32) -> String {
    let deleted = change_of(table, rng, rows, "DELETE FROM", "");
    format!("WITH deleted AS ({deleted} RETURNING *) INSERT INTO {} SELECT * FROM deleted", table.name)
}

/// `verb table set` for up to `rows` rows that the salt picks.
fn change_of(table: &Table, rng: &mut StdRng, rows: u32, verb: &str, set: &str) -> String {
    let (name, order) = (&table.name, hash(table, rng.random()));
    format!("{verb} {name} {set} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {name} ORDER BY {order} LIMIT {rows}))")
}

/// A number of the row's key that the salt scatters.
fn hash(table: &Table, salt: u32) -> String {
    match table.key {
        Key::Int => format!("hashint8extended(id, {salt})"),
        Key::Pair => format!("hashtextextended(a || ':' || n, {salt})"),
        Key::None => format!("hashint8extended(v, {salt})"),
    }
}

/// An expression of the column's type over the row's number; null now and then where that is allowed.
fn value(column: &Column, number: &str, salt: u32) -> String {
    let hash = format!("hashint8extended(({number})::bigint, {salt})");
    let value = match column.kind {
        "int" => format!("({hash} % 100000)::int"),
        "bigint" => hash.clone(),
        "text" if column.name == "big" => format!("large(({number})::text || '{salt}')"),
        "text" => format!("md5({hash}::text)"),
        "numeric(18,4)" => format!("({hash} % 100000000000)::numeric(18,4) / 7"),
        "timestamptz" => format!("to_timestamp(({hash} % 1000000000)::double precision / 1000)"),
        "boolean" => format!("({hash} % 2 = 0)"),
        "double precision" => format!("({hash}::double precision / 3)"),
        _ => format!("md5({hash}::text)::uuid"),
    };
    if column.nullable { format!("CASE WHEN {hash} % 5 = 0 THEN NULL ELSE {value} END") } else { value }
}
