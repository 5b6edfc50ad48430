//! `COPY` into batches: whole tables, cut chunks, many rows.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use futures::StreamExt;
use naru_sync::postgres::{CopyDecoder, cancel_query, copy_select_list};

use crate::source::Source;

const EIGHT_COLUMNS: &str = "create table t (id int8 primary key, customer int4, amount numeric(12,2), note text,
    placed timestamptz, paid bool, weight float8, day date);
    insert into t select g, g % 1000, g / 7.0, 'order number ' || g, timestamptz '2024-01-01' + g * interval '1 s',
    g % 2 = 0, g / 3.0, date '2024-01-01' + (g % 365)::int from generate_series(1, 20000) g";

#[tokio::test]
async fn a_table_is_copied_in_batches_that_lose_and_double_nothing() {
    let source = Source::start().await;
    source.run(EIGHT_COLUMNS).await;
    let plan = source.plan("t").await;
    assert!(plan.has_binary_decoder());
    let sql = format!("copy (select {} from t) to stdout (format binary)", copy_select_list(plan.plans()));
    let mut chunks = std::pin::pin!(source.client.copy_out(&sql).await.unwrap());
    let mut decoder = CopyDecoder::new(Arc::clone(&plan));
    let mut batches = Vec::new();
    while let Some(chunk) = chunks.next().await {
        decoder.feed(&chunk.unwrap()).unwrap();
        batches.extend(decoder.take_batch(3000).unwrap());
    }
    decoder.end().unwrap();
    batches.extend(decoder.take_batch(1).unwrap());
    assert_eq!(batches.len(), 7);
    let mut ids = 0;
    let mut amounts = 0;
    for batch in &batches {
        assert_eq!(batch.schema(), *plan.schema());
        ids += batch.column(0).as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
        amounts += batch.column(2).as_primitive::<arrow::datatypes::Decimal128Type>().iter().flatten().sum::<i128>();
    }
    assert_eq!(ids, 20_000 * 20_001 / 2);
    let total: String =
        source.client.query_one("select (sum(amount) * 100)::int8::text from t", &[]).await.unwrap().get(0);
    assert_eq!(amounts.to_string(), total);
}

#[tokio::test]
async fn a_copy_can_be_cancelled_from_outside() {
    let source = Source::start().await;
    source.run(EIGHT_COLUMNS).await;
    let sql = "copy (select pg_sleep(60) from t) to stdout (format binary)";
    let token = source.client.cancel_token();
    let cancel = async {
        loop {
            cancel_query(&source.settings, &token).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let ended = async {
        // The server answers only when its first buffer is full or the copy ends.
        let mut chunks = match source.client.copy_out(sql).await {
            Ok(chunks) => std::pin::pin!(chunks),
            Err(error) => return naru_sync::postgres::PostgresError::from(error),
        };
        while let Some(chunk) = chunks.next().await {
            if let Err(error) = chunk {
                return naru_sync::postgres::PostgresError::from(error);
            }
        }
        panic!("the copy ended by itself");
    };
    let error = tokio::select! { error = ended => error, () = cancel => unreachable!() };
    assert_eq!(error.condition(), Some(naru_sync::postgres::ServerCondition::Cancelled));
}

#[tokio::test]
async fn an_empty_table_gives_no_batch_and_a_whole_stream() {
    let source = Source::start().await;
    source.run("create table t (id int primary key, \"Ein \"\"Name\" text)").await;
    let plan = source.plan("t").await;
    let sql = format!("copy (select {} from t) to stdout (format binary)", copy_select_list(plan.plans()));
    let mut chunks = std::pin::pin!(source.client.copy_out(&sql).await.unwrap());
    let mut decoder = CopyDecoder::new(plan);
    while let Some(chunk) = chunks.next().await {
        decoder.feed(&chunk.unwrap()).unwrap();
    }
    decoder.end().unwrap();
    assert!(decoder.take_batch(0).unwrap().is_none());
}
