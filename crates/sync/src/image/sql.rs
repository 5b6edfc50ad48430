//! The SQL that describes a table, and how names and texts are written into SQL.
//!
//! Owns: [`IMAGE_SQL`], used by the catalog query and, word for word, inside the event trigger; quoting.
//! Never runs anything.

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

/// SQL expression giving a table's [`TableImage`](super::TableImage) as jsonb; `c` is its `pg_class` row, `n` its
/// `pg_namespace` row.
///
/// Everything is read from catalog tables, so that under an imported snapshot it is what that snapshot saw. Only indexes
/// that PostgreSQL takes as a replica identity count as keys: a deferrable primary key does not.
///
/// PostgreSQL keeps the value of rows older than a column with the rows: of a partitioned table, with its leaves.
///
/// A leaf counts as born a partition while one of its columns' rows in the catalog is as old as those of its system
/// columns: ATTACH writes every one of the former anew.
pub const IMAGE_SQL: &str = r"
jsonb_build_object(
  'oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind, 'persistence', c.relpersistence,
  'is_partition', c.relispartition, 'file', c.relfilenode::int8,
  'definition', coalesce((SELECT pg_catalog.hashtextextended(string_agg(a.attnum || ':' || a.xmin::text, ',' ORDER BY a.attnum), 0)
      FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0), 0),
  'leaves', coalesce((
    WITH RECURSIVE tree(oid) AS (
      SELECT h.inhrelid FROM pg_catalog.pg_inherits h WHERE h.inhparent = c.oid AND c.relkind = 'p' AND NOT h.inhdetachpending
      UNION ALL
      SELECT h.inhrelid FROM tree JOIN pg_catalog.pg_inherits h ON h.inhparent = tree.oid AND NOT h.inhdetachpending)
    SELECT jsonb_agg(jsonb_build_object(
      'oid', l.oid::int8, 'name', ln.nspname || '.' || l.relname, 'schema', ln.nspname,
      'readable', pg_catalog.has_table_privilege(l.oid, 'SELECT'), 'reachable', pg_catalog.has_schema_privilege(ln.oid, 'USAGE'),
      'row_security', pg_catalog.row_security_active(l.oid), 'file', l.relfilenode::int8, 'kind', l.relkind,
      'persistence', l.relpersistence, 'identity', l.relreplident,
      'key', coalesce((SELECT jsonb_agg(a.attname ORDER BY k.ord) FROM pg_catalog.pg_index i,
          unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, ord), pg_catalog.pg_attribute a
          WHERE i.indrelid = l.oid AND CASE l.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END
            AND i.indisvalid AND i.indislive AND i.indimmediate AND i.indpred IS NULL AND k.ord <= i.indnkeyatts
            AND a.attrelid = l.oid AND a.attnum = k.attnum), '[]'),
      'born', l.relfilenode = l.oid AND EXISTS (SELECT 1 FROM pg_catalog.pg_attribute s JOIN pg_catalog.pg_attribute a
          ON a.attrelid = s.attrelid AND a.attnum > 0 AND a.xmin = s.xmin AND a.cmin = s.cmin
          WHERE s.attrelid = l.oid AND s.attnum = -6)) ORDER BY l.oid)
    FROM tree JOIN pg_catalog.pg_class l ON l.oid = tree.oid JOIN pg_catalog.pg_namespace ln ON ln.oid = l.relnamespace
    WHERE l.relkind <> 'p'), '[]'),
  'identity', c.relreplident,
  'primary_key', coalesce((SELECT jsonb_agg(k.attnum ORDER BY k.ord) FROM pg_catalog.pg_index i,
      unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, ord)
      WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid AND i.indislive AND i.indimmediate AND k.ord <= i.indnkeyatts), '[]'),
  'identity_key', coalesce((SELECT jsonb_agg(k.attnum ORDER BY k.ord) FROM pg_catalog.pg_index i,
      unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, ord)
      WHERE i.indrelid = c.oid AND i.indisreplident AND i.indisvalid AND i.indislive AND i.indimmediate AND k.ord <= i.indnkeyatts), '[]'),
  'row_security', pg_catalog.row_security_active(c.oid),
  'readable', pg_catalog.has_table_privilege(c.oid, 'SELECT'),
  'reachable', pg_catalog.has_schema_privilege(n.oid, 'USAGE'),
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
      'element_base', (WITH RECURSIVE x AS (
          SELECT e.oid, e.typname, e.typtype, e.typbasetype, e.typtypmod AS typmod, 0 AS depth
          FROM pg_catalog.pg_type e WHERE e.oid = b.typelem AND b.typcategory = 'A' AND e.typtype = 'd'
          UNION ALL
          SELECT t.oid, t.typname, t.typtype, t.typbasetype, CASE WHEN x.typmod = -1 THEN t.typtypmod ELSE x.typmod END, x.depth + 1
          FROM x JOIN pg_catalog.pg_type t ON t.oid = x.typbasetype WHERE x.typtype = 'd')
        SELECT jsonb_build_object('oid', x.oid::int8, 'name', x.typname, 'typmod', x.typmod, 'typtype', x.typtype)
        FROM x WHERE x.typtype <> 'd'),
      'dimensions', a.attndims, 'sendable', b.typsend <> 0, 'not_null', a.attnotnull, 'generated', a.attgenerated,
      'deterministic', coalesce((SELECT l.collisdeterministic FROM pg_catalog.pg_collation l WHERE l.oid = a.attcollation), true),
      'missing', CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] WHEN c.relkind = 'p' THEN (
        WITH RECURSIVE tree(oid) AS (
          SELECT h.inhrelid FROM pg_catalog.pg_inherits h WHERE h.inhparent = c.oid AND NOT h.inhdetachpending
          UNION ALL
          SELECT h.inhrelid FROM tree JOIN pg_catalog.pg_inherits h ON h.inhparent = tree.oid AND NOT h.inhdetachpending)
        SELECT (l.attmissingval::text::text[])[1] FROM tree JOIN pg_catalog.pg_attribute l ON l.attrelid = tree.oid
        WHERE l.attname = a.attname AND l.atthasmissing LIMIT 1) END,
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
