//! psycopg, SQLAlchemy, asyncpg and pg8000 against the Postgres wire, as analysts use them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray,
        StringArray, TimestampMicrosecondArray,
    },
    buffer::OffsetBuffer,
    datatypes::{Field, Schema},
    record_batch::RecordBatch,
};
use async_trait::async_trait;
use naru_access::{Entry, Principal, Scope};
use naru_base::{Problem, TableId};
use naru_server::{Listen, postgres};
use naru_testkit::python;
use naru_warehouse::{Cut, TableSource, View, Warehouse, WarehouseError, WarehouseSettings};

struct Memory(HashMap<TableId, View>);

#[async_trait]
impl TableSource for Memory {
    fn cut(&self) -> Cut {
        self.0.iter().map(|(id, view)| (id.clone(), Ok(view.clone()))).collect()
    }

    async fn list(&self) -> Result<Vec<TableId>, WarehouseError> {
        Ok(self.0.keys().cloned().collect())
    }

    async fn open(&self, _: &TableId) -> Result<Option<View>, WarehouseError> {
        Ok(None)
    }
}

struct OneToken;

#[async_trait]
impl postgres::Tokens for OneToken {
    async fn enter(&self, user: &str, token: &str, from: Option<IpAddr>) -> Result<Option<Entry>, Problem> {
        assert!(from.is_some_and(|from| from.is_loopback()));
        let principal = Principal::Token { id: 1, name: user.to_owned(), owner: user.to_owned() };
        Ok((user == "kim" && token == "s3cret").then(|| Entry { principal, token: 1, scopes: vec![Scope::Query] }))
    }

    async fn stands(&self, _: i64) -> Result<bool, Problem> {
        Ok(true)
    }
}

const SCRIPT: &str = r#"
import datetime, decimal, sys
import psycopg, sqlalchemy as sa
url = sys.argv[1]
with psycopg.connect(url) as c:
    rows = c.execute("SELECT id, name, total, at, day FROM shop.orders ORDER BY id").fetchall()
    utc = datetime.timezone.utc
    assert rows[0] == (1, "김치", decimal.Decimal("12.5"), datetime.datetime(1970, 1, 1, tzinfo=utc), datetime.date(1970, 1, 1)), rows
    assert rows[1][1:3] == (None, None), rows
    cur = c.cursor(binary=True)
    assert cur.execute("SELECT id, name, total, at, day FROM shop.orders ORDER BY id").fetchall() == rows
    assert c.execute("SELECT name FROM shop.orders WHERE id = %s AND day < %s", (1, datetime.date(2030, 1, 1))).fetchone() == ("김치",)
    assert c.execute("SELECT id FROM shop.orders WHERE name = %s", ("김치",)).fetchone() == (1,)
    assert c.execute("SELECT COUNT(*) FROM shop.orders WHERE total > %s", (decimal.Decimal("1.25"),)).fetchone() == (1,)
    try:
        c.execute("SELECT * FROM shop.nothing")
        raise SystemExit("a missing table was found")
    except psycopg.errors.Error as e:
        assert e.sqlstate and e.sqlstate.startswith("42"), e.sqlstate
    c.rollback()
    c.prepare_threshold = 0
    for n in (1, 2): assert c.execute("SELECT id FROM shop.orders WHERE id = %s", (n,)).fetchone() == (n,)
    c.prepare_threshold = 5
    with c.cursor(name="slow lane") as cur:
        cur.itersize = 1
        assert [d.name for d in cur.execute("SELECT id, name FROM shop.orders WHERE id > %s ORDER BY id", (0,)).description] == ["id", "name"]
        assert cur.fetchone() == (1, "김치") and cur.fetchmany(5) == [(2, None)] and cur.fetchall() == []
    with c.cursor(name="all") as cur:
        assert [row for row in cur.execute("SELECT id FROM shop.orders ORDER BY id")] == [(1,), (2,)]
    c.commit()
    try:
        c.execute('FETCH 1 FROM "all"')
        raise SystemExit("a cursor outlived its transaction")
    except psycopg.errors.InvalidCursorName:
        c.rollback()
engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
with engine.connect() as c:
    assert c.execute(sa.text("SELECT COUNT(*) AS n FROM shop.orders")).scalar() == 2
    assert c.execute(sa.text("SELECT id FROM shop.orders WHERE name = :name"), {"name": "김치"}).scalar() == 1
with engine.connect() as c:
    streamed = c.execution_options(stream_results=True, max_row_buffer=1).execute(sa.text("SELECT id FROM shop.orders ORDER BY id"))
    assert [row.id for row in streamed] == [1, 2]
i = sa.inspect(engine)
assert "shop" in i.get_schema_names(), i.get_schema_names()
assert i.get_table_names(schema="shop") == ["orders"], i.get_table_names(schema="shop")
assert i.get_view_names(schema="shop") == []
assert i.has_table("orders", schema="shop") and not i.has_table("nothing", schema="shop")
columns = {c["name"]: str(c["type"]) for c in i.get_columns("orders", schema="shop")}
assert columns == {"id": "BIGINT", "name": "TEXT", "total": "NUMERIC(38, 2)", "at": "TIMESTAMP", "day": "DATE"}, columns
assert i.get_pk_constraint("orders", schema="shop")["constrained_columns"] == []
assert i.get_foreign_keys("orders", schema="shop") == [] and i.get_indexes("orders", schema="shop") == []
table = sa.Table("orders", sa.MetaData(), schema="shop", autoload_with=engine).alias("o")
with engine.connect() as c:
    assert c.execute(sa.select(table.c.name).where(table.c.id == 1)).scalar() == "김치"
    assert c.execute(sa.select(sa.func.count()).select_from(table).limit(5)).scalar() == 2
quoted = sa.text('SELECT "source"."name" AS "이름", COUNT(*) AS "count" FROM (SELECT "shop"."orders"."name" AS "name" FROM "shop"."orders") AS "source" WHERE "source"."name" = \'김치\' GROUP BY "source"."name" ORDER BY "source"."name" ASC LIMIT 10')
with engine.connect() as c:
    assert c.execute(quoted).mappings().one() == {"이름": "김치", "count": 1}
    stars = c.execute(sa.text("SELECT db.oid, db.* FROM pg_catalog.pg_database db")).mappings().all()
    assert len(stars) == 1 and stars[0]["datname"], stars
    assert c.execute(sa.text('SELECT "c"."relname" FROM "pg_catalog"."pg_class" AS "c" WHERE "c"."relname" = \'orders\'')).scalar() == "orders"
print("all right")
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psycopg_and_sqlalchemy_read_and_reflect() {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2]))),
        ("name", Arc::new(StringArray::from(vec![Some("김치"), None]))),
        ("total", Arc::new(Decimal128Array::from(vec![Some(1250), None]).with_precision_and_scale(38, 2).unwrap())),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![0, 1]).with_timezone("UTC"))),
        ("day", Arc::new(Date32Array::from(vec![0, 20_000]))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    read_with(SCRIPT, batch.unwrap()).await;
}

/// Serves `shop.orders` with these rows and runs a script against it.
async fn read_with(script: &'static str, orders: RecordBatch) {
    let view = View::of_batches(vec![orders]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = WarehouseSettings::new("acme", folder.path().join("spill"));
    let tables = Memory(HashMap::from([("shop.orders".parse().unwrap(), view)]));
    let warehouse = Warehouse::over(settings, Arc::new(tables)).unwrap();
    let any = Listen::At(([127, 0, 0, 1], 0).into());
    let door = postgres::serve(any, warehouse, Arc::new(OneToken)).await.unwrap().unwrap();
    let url = format!("postgresql://kim:s3cret@{}/acme", door.address);
    let said = tokio::task::spawn_blocking(move || python::run(python::CLIENTS, script, &[url])).await.unwrap();
    assert!(said.contains("all right"), "{said}");
}

/// Casts that change a value, arrays behind ANY, COPY in its three forms, and the questions of PostgreSQL's JDBC
/// driver (as DBeaver and Metabase connect) with the values as it binds them.
const HABITS: &str = r#"
import asyncio, datetime, decimal, io, sys, uuid
import asyncpg, psycopg
url = sys.argv[1]
D = decimal.Decimal
def one(c, sql, *values): return c.execute(sql, values).fetchone()[0]
def refused(c, sql, *values):
    try:
        got = c.execute(sql, values).fetchall()
    except psycopg.Error as e:
        c.rollback()
        return f"{e.diag.message_primary} {e.diag.message_hint}"
    raise SystemExit(f"{sql} with {values} gave {got}")
with psycopg.connect(url) as c:
    for prepared in (5, 0):
        c.prepare_threshold = prepared
        assert one(c, "SELECT %s::text", 5) == "5"
        assert one(c, "SELECT %s::text", datetime.date(2024, 2, 29)) == "2024-02-29"
        assert one(c, "SELECT %s::numeric(10,2)", D("1.005")) == D("1.01")
        assert one(c, "SELECT %s::numeric(10,2)", 7) == 7
        assert one(c, "SELECT %s::varchar(3)", "abc") == "abc" and one(c, "SELECT %s::varchar", "abcd") == "abcd"
        assert one(c, "SELECT %s::date", "2024-02-29") == datetime.date(2024, 2, 29)
        assert one(c, "SELECT %s::bigint + 1", 4) == 5
        assert one(c, "SELECT COUNT(*) FROM shop.orders WHERE id = ANY(%s)", [1, 3]) == 1
        assert one(c, "SELECT COUNT(*) FROM shop.orders WHERE id <> ALL(%s::int8[])", [1, 3]) == 1
        assert one(c, "SELECT COUNT(*) FROM shop.orders WHERE name = ANY(%s)", ["김치", "x"]) == 1
        assert one(c, "SELECT COUNT(*) FROM shop.orders WHERE NOT id = ANY(%s::int8[])", None) == 0
        assert "ROUND(CAST" in refused(c, "SELECT %s::numeric(10,2)", 1.005)
        assert "may give another value" in refused(c, "SELECT %s::int", 2.5)
        assert "more than 3 characters" in refused(c, "SELECT %s::varchar(3)", "abcd")
        assert one(c, "SELECT %s::uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11") == "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    c.prepare_threshold = 5
    cur = c.cursor()
    def copied(sql):
        with cur.copy(sql) as rows: return b"".join(rows).decode()
    asked = "SELECT id, name, total, day FROM shop.orders ORDER BY id"
    assert copied(f"COPY ({asked}) TO STDOUT (FORMAT csv, HEADER)") == "id,name,total,day\n1,김치,12.5,1970-01-01\n2,,,2024-10-04\n"
    assert copied(f"copy ( {asked} ) to stdout csv header delimiter ';' null 'NA'") == "id;name;total;day\n1;김치;12.5;1970-01-01\n2;NA;NA;2024-10-04\n"
    assert copied(f"COPY ({asked}) TO STDOUT") == "1\t김치\t12.5\t1970-01-01\n2\t\\N\t\\N\t2024-10-04\n"
    assert copied("COPY shop.orders (id, name) TO STDOUT WITH CSV") == "1,김치\n2,\n"
    assert copied("COPY (SELECT n FROM pg_catalog.pg_namespace AS x JOIN (SELECT 1 AS n) AS y ON x.nspname = 'shop') TO STDOUT") == "1\n"
    with cur.copy(f"COPY ({asked}) TO STDOUT (FORMAT binary)") as rows:
        rows.set_types(["int8", "text", "numeric", "date"])
        assert list(rows.rows()) == [(1, "김치", D("12.5"), datetime.date(1970, 1, 1)), (2, None, None, datetime.date(2024, 10, 4))]
    with cur.copy(f"COPY ({asked}) TO STDOUT") as rows: assert [row[0] for row in rows.rows()] == ["1", "2"]
    try:
        copied("COPY (SELECT id, nope FROM shop.orders) TO STDOUT")
        raise SystemExit("a missing column was copied")
    except psycopg.errors.UndefinedColumn as e:
        assert e.diag.statement_position == "18", e.diag.statement_position
        c.rollback()
    try:
        copied("COPY (SELECT id, 1 / (id - 2) AS x FROM shop.orders ORDER BY id) TO STDOUT")
        raise SystemExit("a failing copy ended well")
    except psycopg.Error as e:
        assert "division by zero" in str(e), e
        c.rollback()
    assert one(c, "SELECT COUNT(*) FROM shop.orders") == 2
    assert refused(c, "COPY shop.orders FROM STDIN") and refused(c, "COPY shop.orders TO '/tmp/orders.csv'")
    array = "SELECT t.typname, sp.r FROM pg_catalog.pg_type AS t LEFT JOIN (select ns.oid as nspoid, ns.nspname, r.r from pg_namespace as ns join ( select s.r, (current_schemas(false))[s.r] as nspname from generate_series(1, array_upper(current_schemas(false), 1)) as s(r) ) as r using ( nspname )) as sp ON sp.nspoid = typnamespace WHERE typname = %s ORDER BY sp.r, t.oid DESC"
    assert c.execute(array, ("int8",)).fetchone()[0] == "int8"
    arrays = "SELECT typinput = 'pg_catalog.array_in'::regproc AS is_array, typname FROM pg_catalog.pg_type WHERE typname = 'int8'"
    assert c.execute(arrays).fetchone() == (False, "int8")
async def typed():
    c = await asyncpg.connect(url)
    assert await c.fetchval("SELECT $1::text", "5") == "5"
    assert await c.fetchval("SELECT $1::numeric(10,2)", D("1.005")) == D("1.01")
    statement = await c.prepare("SELECT id FROM shop.orders WHERE id = ANY($1) ORDER BY id")
    for wanted in ([1], [2, 1], [], [None]): assert [r[0] for r in await statement.fetch(wanted)] == sorted(x for x in wanted if x), wanted
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        # A connection that goes back into the pool is put into its first state.
        for n in (1, 2): assert await pool.fetchval("SELECT COUNT(*) FROM shop.orders WHERE id = $1", n) == 1
    out = io.BytesIO()
    await c.copy_from_query("SELECT id, name FROM shop.orders WHERE id < 2 ORDER BY id", output=out, format="csv", header=True)
    assert out.getvalue().decode() == "id,name\n1,김치\n", out.getvalue()
    await c.close()
asyncio.run(typed())
# As JDBC binds a date and a timestamp: without a type, as text, with a zone.
with psycopg.connect(url) as c:
    from psycopg.pq import Format
    raw = c.pgconn
    for sql, value, wanted in [
        (b"SELECT COUNT(*) FROM shop.orders WHERE day = $1", b"1970-01-01 +09", b"1"),
        (b"SELECT COUNT(*) FROM shop.orders WHERE at <= $1", b"1970-01-01 09:00:00+09", b"1"),
        (b"SELECT COUNT(*) FROM shop.orders WHERE DATETIME(at) <= $1", b"1970-01-01 00:00:00+09", b"1"),
    ]:
        got = raw.exec_params(sql, [value], [0])
        assert got.get_value(0, 0) == wanted, (sql, got.get_value(0, 0), got.error_message)
print("all right")
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn casts_arrays_and_copies_as_clients_of_postgresql_send_them() {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2]))),
        ("name", Arc::new(StringArray::from(vec![Some("김치"), None]))),
        ("total", Arc::new(Decimal128Array::from(vec![Some(1250), None]).with_precision_and_scale(38, 2).unwrap())),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![0, 1]).with_timezone("UTC"))),
        ("day", Arc::new(Date32Array::from(vec![0, 20_000]))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    read_with(HABITS, batch.unwrap()).await;
}

/// Every type as asyncpg (binary only), psycopg in both forms and pg8000 read it, and as they send it back.
const EVERY_TYPE: &str = r#"
import asyncio, datetime, decimal, json, sys, uuid
import asyncpg, pg8000.native, psycopg
url = sys.argv[1]
D, day = decimal.Decimal, datetime.date(2024, 2, 29)
local, at = datetime.datetime(2024, 2, 29, 1, 2, 3, 500000), datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=datetime.timezone.utc)
u = uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
row = {
    "i": 9007199254740993, "f": 2.25, "n": D("12.5"), "big": D("1234567890123456789012345.00000000000000000001"), "s": "한글", "b": True,
    "raw": b"\x00\xff", "d": day, "t": datetime.time(12, 34, 56, 500000), "dt": local, "at": at, "u": u, "j": {"a": [1]},
    "i_list": [1, None], "s_list": ["a b", None], "f_list": [1.5], "n_list": [D("1.5")], "d_list": [day], "dt_list": [local], "at_list": [at],
    "t_list": [datetime.time(1)], "u_list": [u], "b_list": [True], "raw_list": [b"x"], "big_list": [D("0.00000000000000000001")], "j_list": [{"a": 1}],
}
plain = lambda value: json.loads(value) if isinstance(value, str) and value.startswith("{") else value
names = list(row)
select = f"SELECT {', '.join(names)} FROM shop.orders"
def check(who, values):
    for name, value in zip(names, values):
        value = [plain(item) for item in value] if isinstance(value, list) else plain(value)
        assert value == row[name] and isinstance(value, type(row[name])), (who, name, value)
async def binary():
    c = await asyncpg.connect(url)
    check("asyncpg", await c.fetchrow(select))
    for name in names:
        if name in ("j", "u") or name.endswith("_list"): continue
        assert await c.fetchval(f"SELECT COUNT(*) FROM shop.orders WHERE {name} = $1", row[name]) == 1, name
    for name in ("i", "f", "s", "n", "d", "at", "big"):
        assert await c.fetchval(f"SELECT COUNT(*) FROM shop.orders WHERE {name} IN UNNEST($1)", [row[name], None]) == 1, name
    assert await c.fetchval("SELECT COUNT(*) FROM shop.orders WHERE f > $1", 2.2) == 1
    assert await c.fetchval("SELECT $1", "x") == "x" and await c.fetchval("SELECT $1::int + 1", 4) == 5
    assert await c.fetchval("SELECT DATE_ADD(d, INTERVAL $1 DAY) FROM shop.orders", 1) == datetime.date(2024, 3, 1)
    assert await c.fetchval("SELECT TIMESTAMP_ADD(at, INTERVAL 1 DAY) = at + $1 FROM shop.orders", datetime.timedelta(days=1))
    async with c.transaction():
        assert [r["i"] async for r in c.cursor("SELECT i FROM shop.orders")] == [row["i"]]
    await c.close()
asyncio.run(binary())
with psycopg.connect(url) as c:
    for is_binary in (False, True):
        check(f"psycopg {is_binary}", c.cursor(binary=is_binary).execute(select).fetchone())
        for name in names:
            if name == "j" or name.endswith("_list"): continue
            form = "%b" if is_binary else "%t"
            value = str(row[name]) if name == "u" else row[name]
            assert c.execute(f"SELECT COUNT(*) FROM shop.orders WHERE {name} = {form}", (value,)).fetchone() == (1,), (is_binary, name)
    assert c.execute("SELECT COUNT(*) FROM shop.orders WHERE i IN UNNEST(%s)", ([1, row["i"]],)).fetchone() == (1,)
    assert c.execute("SELECT at + %s FROM shop.orders", (datetime.timedelta(hours=1),)).fetchone() == (at + datetime.timedelta(hours=1),)
host, port = url.split("@")[1].split("/")[0].split(":")
c = pg8000.native.Connection("kim", host=host, port=int(port), database="acme", password="s3cret")
check("pg8000", c.run(select)[0])
assert c.run("SELECT s FROM shop.orders WHERE i = :i AND d = :d", i=row["i"], d=day) == [["한글"]]
c.close()
print("all right")
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_is_read_and_sent_by_asyncpg_psycopg_and_pg8000() {
    read_with(EVERY_TYPE, every_type()).await;
}

/// One row of each type as the lake stores it; what Arrow does not have stands in the field's metadata.
fn every_type() -> RecordBatch {
    let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    let (local, at) = (1_709_168_523_500_000_i64, 1_709_168_523_000_000_i64);
    let micros =
        |value: i64| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![value]).with_timezone("UTC")) };
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let exact = |value: i128| -> ArrayRef {
        Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(38, 2).unwrap())
    };
    let columns: Vec<(&str, ArrayRef, &str)> = vec![
        ("i", Arc::new(Int64Array::from(vec![9_007_199_254_740_993])), ""),
        ("f", Arc::new(Float64Array::from(vec![2.25])), ""),
        ("n", exact(1250), ""),
        ("big", text("1234567890123456789012345.00000000000000000001"), "bignumeric"),
        ("s", text("한글"), ""),
        ("b", Arc::new(BooleanArray::from(vec![true])), ""),
        ("raw", Arc::new(BinaryArray::from_vec(vec![b"\x00\xff"])), ""),
        ("d", Arc::new(Date32Array::from(vec![19_782])), ""),
        ("t", text("12:34:56.500000"), "time"),
        ("dt", micros(local), "datetime"),
        ("at", micros(at), ""),
        ("u", text(uuid), "uuid"),
        ("j", text("{\"a\": [1]}"), "json"),
        ("i_list", list(Arc::new(Int64Array::from(vec![Some(1), None]))), ""),
        ("s_list", list(Arc::new(StringArray::from(vec![Some("a b"), None]))), ""),
        ("f_list", list(Arc::new(Float64Array::from(vec![1.5]))), ""),
        ("n_list", list(exact(150)), ""),
        ("d_list", list(Arc::new(Date32Array::from(vec![19_782]))), ""),
        ("dt_list", list(micros(local)), "datetime"),
        ("at_list", list(micros(at)), ""),
        ("t_list", list(text("01:00:00.000000")), "time"),
        ("u_list", list(text(uuid)), "uuid"),
        ("b_list", list(Arc::new(BooleanArray::from(vec![true]))), ""),
        ("raw_list", list(Arc::new(BinaryArray::from_vec(vec![b"x"]))), ""),
        ("big_list", list(text("0.00000000000000000001")), "bignumeric"),
        ("j_list", list(text("{\"a\": 1}")), "json"),
    ];
    let marked = |(name, array, mark): &(&str, ArrayRef, &str)| {
        let field = Field::new(*name, array.data_type().clone(), true);
        let marks = [("naru.type".to_owned(), (*mark).to_owned())];
        if mark.is_empty() { field } else { field.with_metadata(HashMap::from(marks)) }
    };
    let schema = Arc::new(Schema::new(columns.iter().map(marked).collect::<Vec<_>>()));
    RecordBatch::try_new(schema, columns.into_iter().map(|(_, array, _)| array).collect()).unwrap()
}

/// All values as the list of one row.
fn list(values: ArrayRef) -> ArrayRef {
    let field = Arc::new(Field::new("element", values.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    Arc::new(ListArray::new(field, offsets, values, None))
}
