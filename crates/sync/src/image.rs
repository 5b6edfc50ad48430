//! A source table as PostgreSQL's catalog describes it at one moment.
//!
//! Owns: [`TableImage`], [`ColumnImage`], the one SQL expression that produces them (used by the catalog query and,
//! word for word, inside the event trigger), and the pure comparison of two images.
//! Never connects to anything. Read next: `catalog` runs the query, `postgres::types` turns columns into lake columns.

use serde::{Deserialize, Serialize};

use crate::postgres::types::{ColumnSource, TypeKind, TypeSource};

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
    /// Storage file number; changes when the table is rewritten. 0 for partitioned tables.
    pub file: u32,
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
        let kind = match (&self.element_name, self.element_typtype) {
            (Some(name), Some(typtype)) if self.element_oid != 0 => TypeKind::Array(Box::new(TypeSource {
                oid: self.element_oid,
                name: name.clone(),
                typmod: self.base_typmod,
                kind: kind(typtype),
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

    /// The column with this name.
    pub fn column_named(&self, name: &str) -> Option<&ColumnImage> {
        self.columns.iter().find(|c| c.name == name)
    }
}

/// Quotes an identifier for SQL.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a text literal for SQL.
pub fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// SQL expression giving a table's [`TableImage`] as jsonb; `c` is its `pg_class` row, `n` its `pg_namespace` row.
pub const IMAGE_SQL: &str = r"
jsonb_build_object(
  'oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind, 'persistence', c.relpersistence,
  'is_partition', c.relispartition, 'file', coalesce(pg_catalog.pg_relation_filenode(c.oid)::int8, 0),
  'identity', c.relreplident,
  'primary_key', coalesce((SELECT jsonb_agg(k.attnum ORDER BY k.ord) FROM pg_catalog.pg_index i,
      unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, ord)
      WHERE i.indrelid = c.oid AND i.indisprimary AND k.ord <= i.indnkeyatts), '[]'),
  'identity_key', coalesce((SELECT jsonb_agg(k.attnum ORDER BY k.ord) FROM pg_catalog.pg_index i,
      unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, ord)
      WHERE i.indrelid = c.oid AND i.indisreplident AND k.ord <= i.indnkeyatts), '[]'),
  'row_security', pg_catalog.row_security_active(c.oid),
  'readable', pg_catalog.has_table_privilege(c.oid, 'SELECT'),
  'owned', pg_catalog.pg_has_role(c.relowner, 'USAGE'),
  'row_estimate', c.reltuples::int8, 'pages', c.relpages::int8,
  'comment', pg_catalog.obj_description(c.oid, 'pg_class'),
  'columns', coalesce((SELECT jsonb_agg(jsonb_build_object(
      'attnum', a.attnum, 'name', a.attname, 'type_oid', a.atttypid::int8, 'typmod', a.atttypmod,
      'type_name', pg_catalog.format_type(a.atttypid, a.atttypmod),
      'base_oid', b.oid::int8, 'base_name', b.typname, 'base_typmod', CASE WHEN b.depth = 0 THEN a.atttypmod ELSE b.typmod END,
      'typtype', b.typtype, 'element_oid', CASE WHEN b.typlen = -1 AND b.typcategory = 'A' THEN b.typelem::int8 ELSE 0 END,
      'element_name', (SELECT e.typname FROM pg_catalog.pg_type e WHERE e.oid = b.typelem AND b.typcategory = 'A'),
      'element_typtype', (SELECT e.typtype FROM pg_catalog.pg_type e WHERE e.oid = b.typelem AND b.typcategory = 'A'),
      'dimensions', a.attndims, 'sendable', b.typsend <> 0, 'not_null', a.attnotnull, 'generated', a.attgenerated,
      'deterministic', coalesce((SELECT l.collisdeterministic FROM pg_catalog.pg_collation l WHERE l.oid = a.attcollation), true),
      'missing', CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END,
      'comment', pg_catalog.col_description(c.oid, a.attnum)
    ) ORDER BY a.attnum)
    FROM pg_catalog.pg_attribute a
    CROSS JOIN LATERAL (
      WITH RECURSIVE d AS (
        SELECT t.oid, t.typname, t.typtype, t.typbasetype, t.typtypmod AS typmod, t.typelem, t.typlen, t.typcategory, t.typsend, 0 AS depth
        FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid
        UNION ALL
        SELECT t.oid, t.typname, t.typtype, t.typbasetype, CASE WHEN d.typmod = -1 THEN t.typtypmod ELSE d.typmod END,
               t.typelem, t.typlen, t.typcategory, t.typsend, d.depth + 1
        FROM d JOIN pg_catalog.pg_type t ON t.oid = d.typbasetype WHERE d.typtype = 'd')
      SELECT * FROM d ORDER BY depth DESC LIMIT 1) b
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]'))";

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
    /// Whether the storage file changed (rewrite, TRUNCATE, VACUUM FULL or CLUSTER).
    pub file_changed: bool,
    /// Whether the table's own name or schema changed.
    pub moved: bool,
}

impl Difference {
    /// Compares an older image with a newer one of the same oid.
    pub fn between(older: &TableImage, newer: &TableImage) -> Self {
        let mut difference = Self {
            key_changed: older.key() != newer.key() || older.identity != newer.identity,
            file_changed: older.file != newer.file && older.file != 0 && newer.file != 0,
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
            dimensions: 0,
            sendable: true,
            not_null: false,
            generated: String::new(),
            deterministic: true,
            missing: None,
            comment: None,
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
            identity: 'd',
            primary_key: vec![1],
            identity_key: vec![],
            row_security: false,
            readable: true,
            owned: true,
            row_estimate: -1,
            pages: 0,
            columns,
            comment: None,
        }
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
    fn names_are_quoted_so_that_any_name_is_one_identifier() {
        assert_eq!(quote("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
    }
}
