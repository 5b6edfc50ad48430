//! Other people's readers see the same rows after everything the lake does.

use arrow::datatypes::DataType;
use naru_base::TableId;
use naru_lake::{Change, Column, CompactionLimits, Operation, Remove, Retention, Table, VacuumOptions};
use naru_testkit::python::{READERS, run};
use serde_json::{Value, json};

use crate::shop::{MEMBERS, SALES, Shop, append, columns, contents, dead, flush, rows, spec, stage};

const SCRIPT: &str = r#"
import json, sys
import polars, pyarrow
from deltalake import DeltaTable, QueryBuilder
path = sys.argv[1]

def plain(rows):
    return sorted(([r["id"], r["sales"], r["members"], r["at"]] for r in rows), key=lambda r: r[0])

out = {}
names = {f.metadata.get("naru.name"): f.name for f in DeltaTable(path).schema().fields}
sales, members = names[sys.argv[2]], names[sys.argv[3]]
frame = polars.read_delta(path)
frame = frame.select(polars.col("id"), polars.col(sales).alias("sales"), polars.col(members).alias("members"),
                     polars.col("at").dt.timestamp("us").alias("at"))
out["polars"] = plain(frame.to_dicts())
query = f'select id, "{sales}" as sales, "{members}" as members, at from t'
batches = QueryBuilder().register("t", DeltaTable(path)).execute(query)
rows = polars.from_arrow(pyarrow.Table.from_batches([pyarrow.record_batch(b) for b in batches]))
rows = rows.with_columns(polars.col("at").dt.timestamp("us"))
out["deltalake"] = plain(rows.to_dicts())
out["pruned"] = polars.scan_delta(path).filter(polars.col("id") == 3).select(polars.len()).collect().item()
print(json.dumps(out))
"#;

/// Polars does not find local files below a folder with a name outside ASCII, so this table has a plain one.
fn orders() -> TableId {
    TableId::new("shop", "orders")
}

async fn check(shop: &Shop, table: &Table, after: &str) {
    let path = shop.path(&orders());
    let expected = contents(&shop.lake, &table.view()).await;
    let wanted: Vec<Value> = expected.iter().map(|(id, (sales, name, at))| json!([id, sales, name, at])).collect();
    let threes = usize::from(expected.contains_key(&3));
    let arguments = [path.to_str().unwrap().to_owned(), SALES.to_owned(), MEMBERS.to_owned()];
    let text = tokio::task::spawn_blocking(move || run(READERS, SCRIPT, &arguments)).await.unwrap();
    let seen: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(seen["polars"], Value::from(wanted.clone()), "polars after {after}");
    assert_eq!(seen["deltalake"], Value::from(wanted), "deltalake after {after}");
    assert_eq!(seen["pruned"], json!(threes), "statistics mislead after {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn independent_readers_see_every_row_after_every_kind_of_commit() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&orders(), spec()).await.unwrap();
    let first = append(&table, &rows(0..1000, 0)).await;
    check(&shop, &table, "create").await;
    flush(&table, vec![(first, dead((0..1000).step_by(7)))], &rows((0..1000).step_by(7), 1), 1).await;
    check(&shop, &table, "a flush with vectors").await;
    flush(&table, vec![(first, dead((3..1000).step_by(50)))], &rows([3, 2000], 2), 2).await;
    check(&shop, &table, "a second flush on the same file").await;

    let mut more = columns();
    more.push(Column { fill: Some(json!(5)), ..Column::new("단가 (new)", DataType::Int64) });
    table
        .commit(Change { columns: Some(more.clone()), operation: Operation::Alter, ..Change::default() })
        .await
        .unwrap();
    append(&table, &rows(3000..3010, 0)).await;
    check(&shop, &table, "an added column").await;
    more[2].dropped = true;
    table.commit(Change { columns: Some(more), operation: Operation::Alter, ..Change::default() }).await.unwrap();
    append(&table, &rows(4000..4010, 0).project(&[0, 1, 3]).unwrap()).await;
    check(&shop, &table, "a dropped column").await;

    let files: Vec<_> = table.view().files.iter().map(|file| file.id).collect();
    let rewritten = table.rewrite(&files, &[], &CompactionLimits::default()).await.unwrap();
    flush(&table, vec![(files[0], dead([1, 2]))], &rows([5000], 0), 3).await;
    table.commit_rewrite(rewritten, &[]).await.unwrap();
    check(&shop, &table, "compaction").await;
    table.checkpoint().await.unwrap();
    let done =
        table.vacuum(&VacuumOptions { retention: Retention::NONE, pins: Vec::new(), dry_run: false }).await.unwrap();
    assert!(!done.removed.is_empty());
    check(&shop, &table, "checkpoint and vacuum").await;

    let add = stage(&table, &[rows(0..50, 3)]).await;
    table
        .commit(Change { add, remove: Remove::All, operation: Operation::Replace, ..Change::default() })
        .await
        .unwrap();
    check(&shop, &table, "a rebuild").await;
}
