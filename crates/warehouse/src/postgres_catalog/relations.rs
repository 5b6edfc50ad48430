//! The virtual tables of `pg_catalog` and `information_schema`.
//!
//! Owns: their rows. Relations that are always empty here (indexes, constraints, triggers, …) have the columns that
//! clients name. Object numbers are hashes of names, so they are the same in every connection.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, ListArray, StringArray, types::Int64Type},
    record_batch::RecordBatch,
};
use datafusion::{
    catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider},
    datasource::MemTable,
    error::DataFusionError,
    prelude::SessionContext,
};

use super::types::{TYPES, format_type, type_length, type_modifier, type_oid};
use crate::Described;

const PG_CATALOG: i64 = 11;
const INFORMATION_SCHEMA: i64 = 13_000;
const PUBLIC: i64 = 2_200;
const OWNER: i64 = 10;
/// First number of user objects, as in PostgreSQL.
const FIRST_USER_OID: u64 = 16_384;

/// Relations that never have rows, with the columns clients name: `b` boolean, `i` number, `t` text, `l` numbers.
const EMPTY: [(&str, &str); 35] = [
    (
        "pg_index",
        "indexrelid:i indrelid:i indnatts:i indnkeyatts:i indisunique:b indisprimary:b indisexclusion:b indimmediate:b indisclustered:b indisvalid:b indisreplident:b indkey:l indclass:l indoption:l indpred:t indexprs:t indcollation:l indnullsnotdistinct:b",
    ),
    (
        "pg_constraint",
        "oid:i conname:t connamespace:i contype:t condeferrable:b condeferred:b convalidated:b conrelid:i contypid:i conindid:i conparentid:i confrelid:i confupdtype:t confdeltype:t confmatchtype:t conislocal:b conkey:l confkey:l conbin:t",
    ),
    ("pg_attrdef", "oid:i adrelid:i adnum:i adbin:t"),
    ("pg_description", "objoid:i classoid:i objsubid:i description:t"),
    ("pg_shdescription", "objoid:i classoid:i description:t"),
    ("pg_proc", "oid:i proname:t pronamespace:i proowner:i prolang:i prokind:t prorettype:i proargtypes:l prosrc:t"),
    ("pg_enum", "oid:i enumtypid:i enumsortorder:i enumlabel:t"),
    ("pg_range", "rngtypid:i rngsubtype:i rngmultitypid:i"),
    ("pg_inherits", "inhrelid:i inhparent:i inhseqno:i inhdetachpending:b"),
    ("pg_collation", "oid:i collname:t collnamespace:i collprovider:t collencoding:i"),
    ("pg_extension", "oid:i extname:t extnamespace:i extversion:t extowner:i"),
    ("pg_matviews", "schemaname:t matviewname:t matviewowner:t"),
    ("pg_indexes", "schemaname:t tablename:t indexname:t tablespace:t indexdef:t"),
    ("pg_sequence", "seqrelid:i seqtypid:i seqstart:i seqincrement:i seqmax:i seqmin:i seqcache:i seqcycle:b"),
    (
        "pg_trigger",
        "oid:i tgrelid:i tgname:t tgfoid:i tgtype:i tgenabled:t tgisinternal:b tgconstraint:i tgparentid:i tgargs:t",
    ),
    ("pg_cursors", "name:t statement:t is_holdable:b is_binary:b is_scrollable:b creation_time:t"),
    ("pg_policy", "oid:i polname:t polrelid:i polcmd:t polpermissive:b polroles:l polqual:t polwithcheck:t"),
    ("pg_depend", "classid:i objid:i objsubid:i refclassid:i refobjid:i refobjsubid:i deptype:t"),
    ("pg_rewrite", "oid:i rulename:t ev_class:i ev_type:t ev_enabled:t is_instead:b"),
    ("pg_operator", "oid:i oprname:t oprnamespace:i"),
    ("pg_language", "oid:i lanname:t"),
    ("pg_partitioned_table", "partrelid:i partstrat:t partnatts:i"),
    ("pg_publication", "oid:i pubname:t puballtables:b"),
    ("pg_publication_rel", "oid:i prpubid:i prrelid:i prattrs:l prqual:t"),
    ("pg_publication_namespace", "oid:i pnpubid:i pnnspid:i"),
    ("pg_statistic_ext", "oid:i stxrelid:i stxname:t stxnamespace:i stxkeys:l stxkind:l stxstattarget:i"),
    ("pg_foreign_table", "ftrelid:i ftserver:i ftoptions:t"),
    ("pg_foreign_server", "oid:i srvname:t"),
    ("pg_auth_members", "roleid:i member:i grantor:i admin_option:b"),
    ("pg_opclass", "oid:i opcname:t opcmethod:i opcdefault:b"),
    ("pg_stat_activity", "pid:i usename:t datname:t state:t query:t"),
    ("pg_event_trigger", "oid:i evtname:t"),
    ("pg_db_role_setting", "setdatabase:i setrole:i setconfig:t"),
    ("pg_ts_config", "oid:i cfgname:t cfgnamespace:i cfgowner:i cfgparser:i"),
    ("pg_largeobject_metadata", "oid:i lomowner:i lomacl:t"),
];

/// Views of `information_schema` that never have rows.
const EMPTY_INFORMATION: [(&str, &str); 3] = [
    (
        "table_constraints",
        "constraint_catalog:t constraint_schema:t constraint_name:t table_catalog:t table_schema:t table_name:t constraint_type:t",
    ),
    (
        "key_column_usage",
        "constraint_catalog:t constraint_schema:t constraint_name:t table_catalog:t table_schema:t table_name:t column_name:t ordinal_position:i",
    ),
    (
        "referential_constraints",
        "constraint_catalog:t constraint_schema:t constraint_name:t unique_constraint_schema:t unique_constraint_name:t",
    ),
];

/// What a session may see, as PostgreSQL numbers it.
pub struct Relations {
    /// The database's name.
    pub project: String,
    /// `current_schema()`
    pub current_schema: String,
    schemas: BTreeMap<String, i64>,
    tables: Vec<(i64, Described)>,
}

/// Whether a relation never has rows.
pub fn is_empty_relation(name: &str) -> bool {
    EMPTY.iter().chain(&EMPTY_INFORMATION).any(|(known, _)| known.eq_ignore_ascii_case(name))
}

impl Relations {
    /// Numbers tables and schemas.
    pub fn new(project: &str, default_dataset: Option<&str>, tables: &[Described]) -> Self {
        let mut taken = BTreeMap::new();
        let mut schemas = BTreeMap::from([
            ("pg_catalog".to_owned(), PG_CATALOG),
            ("information_schema".to_owned(), INFORMATION_SCHEMA),
        ]);
        for table in tables {
            if !schemas.contains_key(&table.id.dataset) {
                schemas.insert(table.id.dataset.clone(), number(&mut taken, &table.id.dataset));
            }
        }
        if tables.is_empty() {
            schemas.insert("public".to_owned(), PUBLIC);
        }
        let tables = tables.iter().map(|table| (number(&mut taken, &table.id.to_string()), table.clone())).collect();
        let current_schema = default_dataset.unwrap_or("public").to_owned();
        Self { project: project.to_owned(), current_schema, schemas, tables }
    }

    /// Schema names, as `current_schemas(true)` lists them.
    pub fn schema_names(&self) -> Vec<String> {
        self.schemas.keys().cloned().collect()
    }

    /// Bytes of each table whose size is known, by number.
    pub fn sizes(&self) -> HashMap<i64, i64> {
        let known = self.tables.iter().filter_map(|(oid, table)| Some((*oid, count(table.extent?.bytes))));
        known.collect()
    }

    /// Bytes of all tables.
    pub fn bytes(&self) -> i64 {
        self.sizes().values().sum()
    }

    /// The number of a relation by its text form, as `'shop.orders'::regclass` finds it.
    pub fn find(&self, name: &str) -> Option<i64> {
        let plain = name.replace('"', "");
        let known = [
            ("pg_class", 1259),
            ("pg_type", 1247),
            ("pg_proc", 1255),
            ("pg_namespace", 2615),
            ("pg_database", 1262),
            ("pg_constraint", 2606),
            ("pg_attrdef", 2604),
            ("pg_extension", 3079),
        ];
        let system = plain.strip_prefix("pg_catalog.").unwrap_or(&plain);
        let system = known.iter().find(|(known, _)| *known == system).map(|(_, oid)| *oid);
        let user = self.tables.iter().find(|(_, table)| {
            table.id.to_string() == plain || (table.id.table == plain && table.id.dataset == self.current_schema)
        });
        system.or_else(|| user.map(|(oid, _)| *oid))
    }

    /// Puts all relations into an engine session.
    pub fn register(&self, context: &SessionContext) -> Result<(), DataFusionError> {
        let catalog = MemoryCatalogProvider::new();
        let system = MemorySchemaProvider::new();
        for (name, batch) in [
            ("pg_namespace", self.namespaces()?),
            ("pg_class", self.classes()?),
            ("pg_attribute", self.attributes()?),
            ("pg_type", types()?),
            ("pg_database", self.databases()?),
            ("pg_tables", self.listed(false)?),
            ("pg_views", self.listed(true)?),
            ("pg_roles", roles()?),
            ("pg_user", users()?),
            ("pg_am", access_methods()?),
            ("pg_tablespace", tablespaces()?),
            ("pg_settings", settings()?),
        ] {
            put(&system, name, batch)?;
        }
        for (name, columns) in EMPTY {
            put(&system, name, empty(columns)?)?;
        }
        let information = MemorySchemaProvider::new();
        put(&information, "schemata", self.information_schemata()?)?;
        put(&information, "tables", self.information_tables(false)?)?;
        put(&information, "views", self.information_tables(true)?)?;
        put(&information, "columns", self.information_columns()?)?;
        for (name, columns) in EMPTY_INFORMATION {
            put(&information, name, empty(columns)?)?;
        }
        catalog.register_schema("pg_catalog", Arc::new(system))?;
        catalog.register_schema("information_schema", Arc::new(information))?;
        context.register_catalog(&self.project, Arc::new(catalog));
        Ok(())
    }

    fn namespaces(&self) -> Result<RecordBatch, DataFusionError> {
        batch(vec![
            ("oid", numbers(self.schemas.values().copied())),
            ("nspname", texts(self.schemas.keys())),
            ("nspowner", numbers(self.schemas.keys().map(|_| OWNER))),
            ("nspacl", nulls(self.schemas.len())),
        ])
    }

    fn schema_of(&self, table: &Described) -> i64 {
        self.schemas.get(&table.id.dataset).copied().unwrap_or(PUBLIC)
    }

    fn classes(&self) -> Result<RecordBatch, DataFusionError> {
        let rows = &self.tables;
        let same = |value: i64| numbers(rows.iter().map(|_| value));
        let no = || flags(rows.iter().map(|_| false));
        batch(vec![
            ("oid", numbers(rows.iter().map(|(oid, _)| *oid))),
            ("relname", texts(rows.iter().map(|(_, table)| &table.id.table))),
            ("relnamespace", numbers(rows.iter().map(|(_, table)| self.schema_of(table)))),
            ("reltype", same(0)),
            ("reloftype", same(0)),
            ("relowner", same(OWNER)),
            ("relam", same(2)),
            ("relfilenode", same(0)),
            ("reltablespace", same(0)),
            ("relpages", same(0)),
            ("reltuples", numbers(rows.iter().map(|(_, table)| table.extent.map_or(-1, |extent| count(extent.rows))))),
            ("reltoastrelid", same(0)),
            ("relhasindex", no()),
            ("relisshared", no()),
            ("relpersistence", texts(rows.iter().map(|_| "p"))),
            ("relkind", texts(rows.iter().map(|(_, table)| if table.is_view { "v" } else { "r" }))),
            ("relnatts", numbers(rows.iter().map(|(_, table)| count(table.schema.fields().len())))),
            ("relchecks", same(0)),
            ("relhasrules", no()),
            ("relhastriggers", no()),
            ("relhassubclass", no()),
            ("relrowsecurity", no()),
            ("relforcerowsecurity", no()),
            ("relispopulated", flags(rows.iter().map(|_| true))),
            ("relreplident", texts(rows.iter().map(|_| "d"))),
            ("relispartition", no()),
            ("relpartbound", nulls(rows.len())),
            ("reloptions", nulls(rows.len())),
            ("relacl", nulls(rows.len())),
        ])
    }

    /// Every column of every table, with its table and its place from 1.
    fn columns(&self) -> Vec<(i64, &Described, i64, &arrow::datatypes::FieldRef)> {
        let each = self.tables.iter().flat_map(|(oid, table)| {
            (1_i64..).zip(table.schema.fields()).map(move |(place, field)| (*oid, table, place, field))
        });
        each.collect()
    }

    fn attributes(&self) -> Result<RecordBatch, DataFusionError> {
        let rows = self.columns();
        let same = |value: i64| numbers(rows.iter().map(|_| value));
        let no = || flags(rows.iter().map(|_| false));
        let blank = || texts(rows.iter().map(|_| ""));
        let oid = |field: &arrow::datatypes::FieldRef| type_oid(field);
        batch(vec![
            ("attrelid", numbers(rows.iter().map(|row| row.0))),
            ("attname", texts(rows.iter().map(|row| row.3.name()))),
            ("atttypid", numbers(rows.iter().map(|row| i64::from(oid(row.3))))),
            ("attstattarget", same(-1)),
            ("attlen", numbers(rows.iter().map(|row| i64::from(type_length(oid(row.3)))))),
            ("attnum", numbers(rows.iter().map(|row| row.2))),
            ("attndims", same(0)),
            ("atttypmod", numbers(rows.iter().map(|row| i64::from(type_modifier(row.3.data_type()))))),
            ("attnotnull", flags(rows.iter().map(|row| !row.3.is_nullable()))),
            ("atthasdef", no()),
            ("atthasmissing", no()),
            ("attidentity", blank()),
            ("attgenerated", blank()),
            ("attisdropped", no()),
            ("attislocal", flags(rows.iter().map(|_| true))),
            ("attinhcount", same(0)),
            ("attcollation", same(0)),
            ("attstorage", texts(rows.iter().map(|_| "p"))),
            ("attcompression", blank()),
            ("attacl", nulls(rows.len())),
            ("attoptions", nulls(rows.len())),
            ("attfdwoptions", nulls(rows.len())),
        ])
    }

    fn databases(&self) -> Result<RecordBatch, DataFusionError> {
        batch(vec![
            ("oid", numbers([1])),
            ("datname", texts([&self.project])),
            ("datdba", numbers([OWNER])),
            ("encoding", numbers([6])),
            ("datlocprovider", texts(["c"])),
            ("datistemplate", flags([false])),
            ("datallowconn", flags([true])),
            ("datconnlimit", numbers([-1])),
            ("dattablespace", numbers([1663])),
            ("datcollate", texts(["C.UTF-8"])),
            ("datctype", texts(["C.UTF-8"])),
            ("daticulocale", nulls(1)),
            ("datcollversion", nulls(1)),
            ("datacl", nulls(1)),
        ])
    }

    fn listed(&self, views: bool) -> Result<RecordBatch, DataFusionError> {
        let rows: Vec<&Described> =
            self.tables.iter().map(|(_, table)| table).filter(|table| table.is_view == views).collect();
        let (name, owner) = if views { ("viewname", "viewowner") } else { ("tablename", "tableowner") };
        batch(vec![
            ("schemaname", texts(rows.iter().map(|table| &table.id.dataset))),
            (name, texts(rows.iter().map(|table| &table.id.table))),
            (owner, texts(rows.iter().map(|_| "naru"))),
            ("tablespace", nulls(rows.len())),
            ("hasindexes", flags(rows.iter().map(|_| false))),
            ("definition", nulls(rows.len())),
        ])
    }

    fn information_schemata(&self) -> Result<RecordBatch, DataFusionError> {
        batch(vec![
            ("catalog_name", texts(self.schemas.keys().map(|_| &self.project))),
            ("schema_name", texts(self.schemas.keys())),
            ("schema_owner", texts(self.schemas.keys().map(|_| "naru"))),
        ])
    }

    fn information_tables(&self, only_views: bool) -> Result<RecordBatch, DataFusionError> {
        let rows: Vec<&Described> =
            self.tables.iter().map(|(_, table)| table).filter(|table| table.is_view || !only_views).collect();
        batch(vec![
            ("table_catalog", texts(rows.iter().map(|_| &self.project))),
            ("table_schema", texts(rows.iter().map(|table| &table.id.dataset))),
            ("table_name", texts(rows.iter().map(|table| &table.id.table))),
            ("table_type", texts(rows.iter().map(|table| if table.is_view { "VIEW" } else { "BASE TABLE" }))),
            ("is_insertable_into", texts(rows.iter().map(|_| "NO"))),
            ("view_definition", nulls(rows.len())),
        ])
    }

    fn information_columns(&self) -> Result<RecordBatch, DataFusionError> {
        let rows = self.columns();
        let formatted = rows.iter().map(|row| format_type(type_oid(row.3).into(), -1));
        let short = rows.iter().map(|row| {
            let oid = type_oid(row.3);
            TYPES.iter().find(|of| of.oid == oid).map_or("text", |of| of.name)
        });
        batch(vec![
            ("table_catalog", texts(rows.iter().map(|_| &self.project))),
            ("table_schema", texts(rows.iter().map(|row| &row.1.id.dataset))),
            ("table_name", texts(rows.iter().map(|row| &row.1.id.table))),
            ("column_name", texts(rows.iter().map(|row| row.3.name()))),
            ("ordinal_position", numbers(rows.iter().map(|row| row.2))),
            ("column_default", nulls(rows.len())),
            ("is_nullable", texts(rows.iter().map(|row| if row.3.is_nullable() { "YES" } else { "NO" }))),
            ("data_type", texts(formatted)),
            ("udt_name", texts(short)),
            ("character_maximum_length", numbers_or_null(rows.len())),
            ("numeric_precision", numbers_or_null(rows.len())),
            ("numeric_scale", numbers_or_null(rows.len())),
            ("datetime_precision", numbers_or_null(rows.len())),
        ])
    }
}

/// A number for a name; the next free one when two names hash alike.
fn number(taken: &mut BTreeMap<u64, String>, name: &str) -> i64 {
    // FNV-1a: numbers must not change between runs, which the standard hasher does not promise.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut oid = FIRST_USER_OID + hash % 2_000_000_000;
    while taken.contains_key(&oid) {
        oid += 1;
    }
    taken.insert(oid, name.to_owned());
    i64::try_from(oid).unwrap_or(i64::MAX)
}

fn count(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

fn numbers(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn numbers_or_null(rows: usize) -> ArrayRef {
    Arc::new(Int64Array::new_null(rows))
}

fn texts<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn nulls(rows: usize) -> ArrayRef {
    Arc::new(StringArray::new_null(rows))
}

fn flags(values: impl IntoIterator<Item = bool>) -> ArrayRef {
    Arc::new(values.into_iter().map(Some).collect::<BooleanArray>())
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, DataFusionError> {
    Ok(RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))?)
}

/// No rows of the columns in a short description.
fn empty(columns: &str) -> Result<RecordBatch, DataFusionError> {
    let columns = columns.split(' ').filter_map(|column| column.split_once(':')).map(|(name, kind)| {
        let array: ArrayRef = match kind {
            "b" => flags([]),
            "i" => numbers([]),
            "l" => Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(Vec::<Option<Vec<Option<i64>>>>::new())),
            _ => nulls(0),
        };
        (name, array)
    });
    batch(columns.collect())
}

fn put(schema: &MemorySchemaProvider, name: &str, batch: RecordBatch) -> Result<(), DataFusionError> {
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
    schema.register_table(name.to_owned(), Arc::new(table))?;
    Ok(())
}

fn types() -> Result<RecordBatch, DataFusionError> {
    // A type and the array over it.
    let rows: Vec<(i64, String, i16, &str, i64, i64)> = TYPES
        .iter()
        .flat_map(|of| {
            let (oid, array) = (i64::from(of.oid), i64::from(of.array));
            [
                (oid, of.name.to_owned(), of.length, of.category, array, 0),
                (array, format!("_{}", of.name), -1, "A", 0, oid),
            ]
        })
        .collect();
    let same = |value: i64| numbers(rows.iter().map(|_| value));
    batch(vec![
        ("oid", numbers(rows.iter().map(|row| row.0))),
        ("typname", texts(rows.iter().map(|row| &row.1))),
        ("typnamespace", same(PG_CATALOG)),
        ("typowner", same(OWNER)),
        ("typlen", numbers(rows.iter().map(|row| i64::from(row.2)))),
        ("typbyval", flags(rows.iter().map(|row| row.2 > 0 && row.2 <= 8))),
        ("typtype", texts(rows.iter().map(|_| "b"))),
        ("typcategory", texts(rows.iter().map(|row| row.3))),
        ("typispreferred", flags(rows.iter().map(|_| false))),
        ("typisdefined", flags(rows.iter().map(|_| true))),
        ("typdelim", texts(rows.iter().map(|_| ","))),
        ("typrelid", same(0)),
        ("typelem", numbers(rows.iter().map(|row| row.5))),
        ("typarray", numbers(rows.iter().map(|row| row.4))),
        ("typinput", texts(rows.iter().map(|row| if row.5 == 0 { "any_in" } else { "array_in" }))),
        ("typreceive", texts(rows.iter().map(|row| if row.5 == 0 { "any_recv" } else { "array_recv" }))),
        ("typnotnull", flags(rows.iter().map(|_| false))),
        ("typbasetype", same(0)),
        ("typtypmod", same(-1)),
        ("typndims", same(0)),
        ("typcollation", same(0)),
        ("typdefault", nulls(rows.len())),
    ])
}

/// What asyncpg asks before it reads an array: each type, the elements' before the array's.
pub fn type_tree() -> Result<RecordBatch, DataFusionError> {
    let plain = TYPES.iter().map(|of| (i64::from(of.oid), of.name.to_owned(), 0, None));
    let arrays = TYPES.iter().map(|of| (i64::from(of.array), format!("_{}", of.name), i64::from(of.oid), Some(of)));
    let rows: Vec<_> = plain.chain(arrays).collect();
    let nothing = || nulls(rows.len());
    batch(vec![
        ("oid", numbers(rows.iter().map(|row| row.0))),
        ("ns", texts(rows.iter().map(|_| "pg_catalog"))),
        ("name", texts(rows.iter().map(|row| &row.1))),
        ("kind", texts(rows.iter().map(|_| "b"))),
        ("basetype", nothing()),
        ("elemtype", numbers(rows.iter().map(|row| row.2))),
        ("elemdelim", texts(rows.iter().map(|_| ","))),
        ("range_subtype", nothing()),
        ("attrtypoids", nothing()),
        ("attrnames", nothing()),
        ("depth", numbers(rows.iter().map(|row| i64::from(row.3.is_none())))),
        ("basetype_name", nothing()),
        ("elemtype_name", Arc::new(rows.iter().map(|row| row.3.map(|of| of.formatted)).collect::<StringArray>())),
        ("range_subtype_name", nothing()),
    ])
}

fn roles() -> Result<RecordBatch, DataFusionError> {
    batch(vec![
        ("oid", numbers([OWNER])),
        ("rolname", texts(["naru"])),
        ("rolsuper", flags([false])),
        ("rolinherit", flags([true])),
        ("rolcreaterole", flags([false])),
        ("rolcreatedb", flags([false])),
        ("rolcanlogin", flags([true])),
        ("rolreplication", flags([false])),
        ("rolconnlimit", numbers([-1])),
        ("rolvaliduntil", nulls(1)),
        ("rolbypassrls", flags([false])),
    ])
}

fn users() -> Result<RecordBatch, DataFusionError> {
    batch(vec![("usename", texts(["naru"])), ("usesysid", numbers([OWNER])), ("usesuper", flags([false]))])
}

fn access_methods() -> Result<RecordBatch, DataFusionError> {
    batch(vec![("oid", numbers([2])), ("amname", texts(["heap"])), ("amtype", texts(["t"]))])
}

fn tablespaces() -> Result<RecordBatch, DataFusionError> {
    batch(vec![
        ("oid", numbers([1663])),
        ("spcname", texts(["pg_default"])),
        ("spcowner", numbers([OWNER])),
        ("spcacl", nulls(1)),
        ("spcoptions", nulls(1)),
    ])
}

fn settings() -> Result<RecordBatch, DataFusionError> {
    let rows = [("max_index_keys", "32"), ("server_version_num", "150000"), ("standard_conforming_strings", "on")];
    batch(vec![
        ("name", texts(rows.iter().map(|row| row.0))),
        ("setting", texts(rows.iter().map(|row| row.1))),
        ("unit", nulls(rows.len())),
        ("category", texts(rows.iter().map(|_| "naru"))),
        ("short_desc", nulls(rows.len())),
        ("context", texts(rows.iter().map(|_| "internal"))),
        ("vartype", texts(rows.iter().map(|_| "string"))),
        ("source", texts(rows.iter().map(|_| "default"))),
        ("boot_val", texts(rows.iter().map(|row| row.1))),
        ("reset_val", texts(rows.iter().map(|row| row.1))),
    ])
}
