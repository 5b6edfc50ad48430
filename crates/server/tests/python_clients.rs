//! psycopg and SQLAlchemy against the Postgres wire, as analysts use them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{ArrayRef, Date32Array, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray},
    record_batch::RecordBatch,
};
use async_trait::async_trait;
use naru_access::Principal;
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
    async fn verify(&self, name: &str, token: &str) -> Result<Option<Principal>, Problem> {
        Ok((name == "kim" && token == "s3cret").then(|| Principal::Token {
            id: 1,
            name: name.to_owned(),
            owner: name.to_owned(),
        }))
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
    let view = View::of_batches(vec![batch.unwrap()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = WarehouseSettings::new("acme", folder.path().join("spill"));
    let tables = Memory(HashMap::from([("shop.orders".parse().unwrap(), view)]));
    let warehouse = Warehouse::over(settings, Arc::new(tables)).unwrap();
    let any = Listen::At(([127, 0, 0, 1], 0).into());
    let door = postgres::serve(any, warehouse, Arc::new(OneToken)).await.unwrap().unwrap();
    let url = format!("postgresql://kim:s3cret@{}/acme", door.address);
    let said = tokio::task::spawn_blocking(move || python::run(python::CLIENTS, SCRIPT, &[url])).await.unwrap();
    assert!(said.contains("all right"), "{said}");
}
