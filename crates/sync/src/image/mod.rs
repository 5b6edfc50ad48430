//! A source table as PostgreSQL's catalog describes it at one moment.
//!
//! Owns: [`TableImage`], [`ColumnImage`], and the pure comparison of two images.
//! Never connects to anything. Read next: [`sql`] for the expression that produces an image, [`leaves`] for partitions,
//! `catalog` runs the query, `postgres::types` turns columns into lake columns.

pub mod leaves;
pub mod sql;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::leaves::{moved_files, moved_rows};
pub use self::{
    leaves::LeafImage,
    sql::{IMAGE_SQL, literal, quote},
};
use crate::postgres::types::{ColumnSource, TypeKind, TypeSource};

/// A domain's base type, as the element of an array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElementBase {
    /// Oid after following domains.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// Type modifier that the domains give it.
    pub typmod: i32,
    /// Its `typtype`.
    pub typtype: char,
}

/// One column, identified by `attnum` for the table's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnImage {
    /// Position in the catalog; never reused.
    pub attnum: i16,
    /// Name at this moment.
    pub name: String,
    /// Declared type oid (a domain's own oid for domains).
    pub type_oid: u32,
    /// Declared type modifier, -1 for none.
    pub typmod: i32,
    /// Declared type as SQL text.
    pub type_name: String,
    /// Oid after following domains to their base.
    pub base_oid: u32,
    /// Name of that base type.
    pub base_name: String,
    /// Type modifier after following domains.
    pub base_typmod: i32,
    /// `b`ase, `e`num, `r`ange, `m`ultirange, `c`omposite, `p`seudo, of the base type.
    pub typtype: char,
    /// Element type oid for true arrays, 0 otherwise.
    pub element_oid: u32,
    /// Name of the element type, for true arrays.
    pub element_name: Option<String>,
    /// `typtype` of the element type.
    pub element_typtype: Option<char>,
    /// What the element is below its domains, for arrays of domains.
    #[serde(default)]
    pub element_base: Option<ElementBase>,
    /// Declared number of dimensions.
    pub dimensions: i16,
    /// Whether the type has a binary send function.
    pub sendable: bool,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// `s` for stored generated columns, empty otherwise.
    pub generated: String,
    /// Whether equality of the column's collation is byte equality.
    pub deterministic: bool,
    /// The value shown for rows older than the column, as text, where PostgreSQL keeps one.
    pub missing: Option<String>,
    /// Comment on the column.
    pub comment: Option<String>,
}

/// One table, identified by `oid`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableImage {
    /// Table oid.
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// `relkind`: r table, p partitioned, v view, m materialised view, f foreign.
    pub kind: char,
    /// `relpersistence`: p permanent, u unlogged, t temporary.
    pub persistence: char,
    /// Whether it is a partition of another table.
    pub is_partition: bool,
    /// Storage file number; changes when the table is rewritten, emptied or compacted. 0 for partitioned tables.
    pub file: u32,
    /// Hash over the versions of the rows that describe its columns: only a statement that defines columns changes it,
    /// VACUUM FULL, CLUSTER and TRUNCATE do not.
    #[serde(default)]
    pub definition: i64,
    /// Where a partitioned table's rows stand; empty for other tables.
    #[serde(default)]
    pub leaves: Vec<LeafImage>,
    /// `relreplident`: d default, n nothing, f full, i index.
    pub identity: char,
    /// Primary key columns in key order; empty without one.
    pub primary_key: Vec<i16>,
    /// Columns of the replica identity index, when `identity` is `i`.
    pub identity_key: Vec<i16>,
    /// Whether row security is enabled and binds the connected role.
    pub row_security: bool,
    /// Whether the connected role may SELECT every column.
    pub readable: bool,
    /// Whether the connected role may use its schema.
    #[serde(default = "yes")]
    pub reachable: bool,
    /// Whether the connected role owns the table (needed to publish it).
    pub owned: bool,
    /// Planner's row estimate, -1 when never analysed.
    pub row_estimate: i64,
    /// Size of the heap in pages.
    pub pages: i64,
    /// Live columns in attnum order.
    pub columns: Vec<ColumnImage>,
    /// Comment on the table.
    pub comment: Option<String>,
}

/// What an image says that does not say it: an earlier naru's trigger wrote it.
fn yes() -> bool {
    true
}

impl ColumnImage {
    /// The column as `postgres::types` wants it, with domains already followed.
    pub fn to_source(&self) -> ColumnSource {
        let kind = |typtype: char| match typtype {
            'e' => TypeKind::Enum,
            'r' => TypeKind::Range(None),
            'm' => TypeKind::Multirange(None),
            'c' => TypeKind::Composite,
            'p' => TypeKind::Pseudo,
            _ => TypeKind::Base,
        };
        let element = |typtype: char| match &self.element_base {
            Some(base) => TypeKind::Domain(Box::new(TypeSource {
                oid: base.oid,
                name: base.name.clone(),
                typmod: base.typmod,
                kind: kind(base.typtype),
            })),
            None => kind(typtype),
        };
        let kind = match (&self.element_name, self.element_typtype) {
            (Some(name), Some(typtype)) if self.element_oid != 0 => TypeKind::Array(Box::new(TypeSource {
                oid: self.element_oid,
                name: name.clone(),
                typmod: self.base_typmod,
                kind: element(typtype),
            })),
            _ => kind(self.typtype),
        };
        let base = TypeSource { oid: self.base_oid, name: self.base_name.clone(), typmod: self.base_typmod, kind };
        let type_source = if self.type_oid == self.base_oid {
            base
        } else {
            let kind = TypeKind::Domain(Box::new(base));
            TypeSource { oid: self.type_oid, name: self.type_name.clone(), typmod: self.typmod, kind }
        };
        ColumnSource {
            name: self.name.clone(),
            attnum: self.attnum,
            type_source,
            dimensions: self.dimensions,
            not_null: self.not_null,
            generated: !self.generated.is_empty(),
            comment: self.comment.clone(),
        }
    }
}

impl TableImage {
    /// `schema.name`, for people and for globs.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// Schema and name.
    pub fn names(&self) -> (String, String) {
        (self.schema.clone(), self.name.clone())
    }

    /// Both names quoted for SQL.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }

    /// Columns that decide which row an update or delete means: the replica identity's.
    pub fn key(&self) -> &[i16] {
        match self.identity {
            'i' => &self.identity_key,
            'n' => &[],
            _ => &self.primary_key,
        }
    }

    /// The column with this catalog position.
    pub fn column(&self, attnum: i16) -> Option<&ColumnImage> {
        self.columns.iter().find(|c| c.attnum == attnum)
    }

    /// What tells, together, whether rows changed without a message since this image: stored, so that it outlives a stop.
    pub fn storage(&self) -> Value {
        let leaves: Vec<(u32, u32)> = self.leaves.iter().map(|leaf| (leaf.oid, leaf.file)).collect();
        json!({"file": self.file, "definition": self.definition, "leaves": leaves, "columns": self.column_names()})
    }

    /// The columns by catalog position and name.
    pub fn column_names(&self) -> Vec<(i16, String)> {
        self.columns.iter().map(|column| (column.attnum, column.name.clone())).collect()
    }

    /// The columns, by catalog position and name, that an image had which was stored by [`TableImage::storage`].
    pub fn columns_in(stored: &Value) -> Option<Vec<(i16, String)>> {
        serde_json::from_value(stored.get("columns")?.clone()).ok()
    }

    /// What happened to the rows without a message since `before` was stored by [`TableImage::storage`], in words.
    pub fn moved_since(&self, before: &Value) -> Option<String> {
        if let Some(renamed) = Self::columns_in(before).and_then(|before| self.renamed_since(&before)) {
            return Some(renamed);
        }
        if self.kind == 'p' {
            let stored: Vec<(u32, u32)> = serde_json::from_value(before.get("leaves")?.clone()).ok()?;
            return moved_files(&stored, &self.leaves);
        }
        let (file, definition) = (before.get("file")?.as_u64()?, before.get("definition")?.as_i64()?);
        let rewritten = u64::from(self.file) != file && self.definition != definition;
        rewritten.then(|| REWRITTEN.to_owned())
    }

    /// The first column that has another name than then, or whose name is another column's now: rows in the lake stand
    /// under names, so they would show the other column's values.
    fn renamed_since(&self, before: &[(i16, String)]) -> Option<String> {
        before.iter().find_map(|(attnum, name)| match (self.column(*attnum), self.column_named(name)) {
            (Some(now), _) if now.name != *name => Some(format!("column \"{name}\" was renamed to \"{}\"", now.name)),
            (None, Some(_)) => Some(format!("column \"{name}\" was dropped and added again")),
            _ => None,
        })
    }

    /// Whether another image of the same table says the same of everything but sizes.
    pub fn same_definition(&self, other: &Self) -> bool {
        let sized = Self { row_estimate: other.row_estimate, pages: other.pages, ..self.clone() };
        sized == *other
    }

    /// The column with this name.
    pub fn column_named(&self, name: &str) -> Option<&ColumnImage> {
        self.columns.iter().find(|c| c.name == name)
    }
}

/// Why a table is copied whose rows were written anew.
pub const REWRITTEN: &str = "its rows were rewritten by ALTER TABLE";

/// What changed between two images of one table, in the terms that decide what naru does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Columns that exist only in the newer image.
    pub added: Vec<ColumnImage>,
    /// Columns that exist only in the older image.
    pub dropped: Vec<ColumnImage>,
    /// Columns whose name changed: (older name, newer name).
    pub renamed: Vec<(String, String)>,
    /// Columns whose type changed, by newer name.
    pub retyped: Vec<String>,
    /// Whether the replica identity's columns changed.
    pub key_changed: bool,
    /// Whether both the storage file and a column's definition changed. The file alone changes by TRUNCATE, VACUUM FULL
    /// and CLUSTER too, which leave every value as it was; a statement that writes new values defines a column as well.
    pub rewritten: bool,
    /// What happened to the rows of partitions without a message, in words.
    pub leaves: Option<String>,
    /// Whether the table's own name or schema changed.
    pub moved: bool,
}

impl Difference {
    /// Compares an older image with a newer one of the same oid.
    pub fn between(older: &TableImage, newer: &TableImage) -> Self {
        let mut difference = Self {
            key_changed: older.key() != newer.key() || older.identity != newer.identity,
            rewritten: older.file != newer.file && older.definition != newer.definition,
            leaves: moved_rows(&older.leaves, &newer.leaves),
            moved: older.full_name() != newer.full_name(),
            ..Self::default()
        };
        for column in &newer.columns {
            match older.column(column.attnum) {
                None => difference.added.push(column.clone()),
                Some(before) => {
                    if before.name != column.name {
                        difference.renamed.push((before.name.clone(), column.name.clone()));
                    }
                    if (before.type_oid, before.typmod) != (column.type_oid, column.typmod) {
                        difference.retyped.push(column.name.clone());
                    }
                }
            }
        }
        difference.dropped = older.columns.iter().filter(|c| newer.column(c.attnum).is_none()).cloned().collect();
        difference
    }

    /// Whether nothing that naru acts on changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn column(attnum: i16, name: &str, type_oid: u32) -> ColumnImage {
        ColumnImage {
            attnum,
            name: name.into(),
            type_oid,
            typmod: -1,
            type_name: "t".into(),
            base_oid: type_oid,
            base_name: "t".into(),
            base_typmod: -1,
            typtype: 'b',
            element_oid: 0,
            element_name: None,
            element_typtype: None,
            element_base: None,
            dimensions: 0,
            sendable: true,
            not_null: false,
            generated: String::new(),
            deterministic: true,
            missing: None,
            comment: None,
        }
    }

    /// A partition made by CREATE TABLE … PARTITION OF.
    pub(crate) fn leaf() -> LeafImage {
        LeafImage {
            oid: 200,
            name: "public.leaf".into(),
            schema: "public".into(),
            readable: true,
            reachable: true,
            row_security: false,
            file: 200,
            kind: 'r',
            persistence: 'p',
            identity: 'd',
            key: vec!["id".into()],
            born: true,
        }
    }

    pub(crate) fn table(columns: Vec<ColumnImage>) -> TableImage {
        TableImage {
            oid: 100,
            schema: "public".into(),
            name: "orders".into(),
            kind: 'r',
            persistence: 'p',
            is_partition: false,
            file: 7,
            definition: 1,
            leaves: vec![],
            identity: 'd',
            primary_key: vec![1],
            identity_key: vec![],
            row_security: false,
            readable: true,
            reachable: true,
            owned: true,
            row_estimate: -1,
            pages: 0,
            columns,
            comment: None,
        }
    }

    #[test]
    fn a_name_that_is_another_column_since_a_stop_moves_the_rows() {
        let stored = table(vec![column(1, "id", 20), column(2, "a", 25), column(3, "b", 25)]).storage();
        let same = table(vec![column(1, "id", 20), column(2, "a", 25), column(4, "c", 25)]);
        assert_eq!(same.moved_since(&stored), None);
        let again = table(vec![column(1, "id", 20), column(2, "a", 25), column(4, "b", 25)]);
        assert_eq!(again.moved_since(&stored).as_deref(), Some("column \"b\" was dropped and added again"));
        let swapped = table(vec![column(1, "id", 20), column(2, "b", 25), column(3, "a", 25)]);
        assert_eq!(swapped.moved_since(&stored).as_deref(), Some("column \"a\" was renamed to \"b\""));
    }

    #[test]
    fn a_rename_is_seen_by_position_and_a_swap_of_names_is_two_renames() {
        let older = table(vec![column(1, "id", 20), column(2, "a", 25), column(3, "b", 25)]);
        let newer = table(vec![column(1, "id", 20), column(2, "b", 25), column(3, "a", 25)]);
        let difference = Difference::between(&older, &newer);
        assert_eq!(difference.renamed, vec![("a".into(), "b".into()), ("b".into(), "a".into())]);
        assert!(difference.added.is_empty() && difference.dropped.is_empty());
    }

    #[test]
    fn dropping_and_adding_a_column_of_the_same_name_is_both() {
        let older = table(vec![column(1, "id", 20), column(2, "a", 25)]);
        let newer = table(vec![column(1, "id", 20), column(3, "a", 23)]);
        let difference = Difference::between(&older, &newer);
        assert_eq!(difference.added.len(), 1);
        assert_eq!(difference.dropped.len(), 1);
        assert!(difference.retyped.is_empty());
    }

    #[test]
    fn equal_images_differ_in_nothing() {
        let image = table(vec![column(1, "id", 20)]);
        assert!(Difference::between(&image, &image).is_empty());
    }

    #[test]
    fn new_values_are_told_from_a_table_that_was_only_emptied_or_compacted() {
        let before = table(vec![column(1, "id", 20)]);
        let mut compacted = before.clone();
        compacted.file = 8;
        let mut rewritten = compacted.clone();
        rewritten.definition = 2;
        let stored = before.storage();
        assert_eq!(compacted.moved_since(&stored), None);
        assert!(rewritten.moved_since(&stored).is_some());
        assert!(
            Difference::between(&before, &rewritten).rewritten && !Difference::between(&before, &compacted).rewritten
        );
    }

    #[test]
    fn an_array_of_a_domain_has_elements_of_the_domains_base() {
        let mut array = column(1, "tags", 1009);
        array.element_oid = 70_000;
        array.element_name = Some("tag".into());
        array.element_typtype = Some('d');
        array.element_base = Some(ElementBase { oid: 25, name: "text".into(), typmod: -1, typtype: 'b' });
        let plan = crate::postgres::ColumnPlan::new(array.to_source());
        assert!(plan.has_binary_decoder());
        let of_text = column(1, "tags", 1009);
        let plain =
            ColumnImage { element_oid: 25, element_name: Some("text".into()), element_typtype: Some('b'), ..of_text };
        let plain = crate::postgres::ColumnPlan::new(plain.to_source());
        assert_eq!(plan.column.data_type, plain.column.data_type);
    }

    #[test]
    fn names_are_quoted_so_that_any_name_is_one_identifier() {
        assert_eq!(quote("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
    }
}
