//! The stream: what each change of a table becomes, transactions in progress, messages, feedback.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use naru_base::Lsn;
use naru_lake::{ChangeBatch, Op};
use naru_sync::postgres::{
    Event, Message, PostgresError, ReplicationConnection, StreamOptions,
    pgoutput::{ReplicaIdentity, TupleCell},
};
use naru_testkit::Options;

use crate::source::{Source, each, gather};

fn ids(batch: &ChangeBatch) -> Vec<Option<i64>> {
    batch.rows.column(0).as_primitive::<Int64Type>().iter().collect()
}

async fn changes(source: &Source, table: &str, binary: bool, sql: &str) -> ChangeBatch {
    let mut stream = source.stream("p", binary, false).await;
    for statement in sql.split(';') {
        source.run(statement).await;
    }
    let messages = stream.take(&source.client).await;
    let plans = BTreeMap::from([(table.to_owned(), source.plan(table).await)]);
    gather(&messages, &plans).remove(table).unwrap().0
}

#[tokio::test]
async fn an_unchanged_long_value_is_marked_and_never_guessed() {
    let source = Source::start().await;
    source
        .run(
            "create table t (id int primary key, long text, n int); alter table t alter long set storage external;
             create publication p for table t; insert into t values (1, repeat('a', 9000), 0), (2, 'short', 0)",
        )
        .await;
    for binary in [false, true] {
        let batch = changes(&source, "t", binary, "update t set n = n + 1; update t set long = 'b' where id = 2").await;
        assert_eq!(batch.ops, [Op::Update; 3]);
        let long = batch.unchanged[1].as_ref().unwrap();
        let values = batch.rows.column(1).as_string::<i32>();
        for row in 0..3 {
            let first = ids(&batch)[row] == Some(1);
            assert_eq!((long.value(row), values.is_null(row)), (first, first), "row {row}");
        }
        assert!(batch.unchanged[0].is_none() && batch.unchanged[2].is_none());
        assert_eq!(values.value(2), "b");
    }
}

#[tokio::test]
async fn a_key_change_is_a_delete_and_a_move() {
    let source = Source::start().await;
    source
        .run(
            "create table t (id int, long text, primary key (id)); alter table t alter long set storage external;
             create publication p for table t; insert into t values (1, repeat('a', 9000))",
        )
        .await;
    let batch = changes(&source, "t", true, "update t set id = 7 where id = 1; delete from t where id = 7").await;
    assert_eq!(batch.ops, [Op::Delete, Op::Move, Op::Delete]);
    assert_eq!(ids(&batch), [Some(1), Some(7), Some(7)]);
    assert!(batch.unchanged[1].as_ref().unwrap().value(1));
}

#[tokio::test]
async fn a_key_stored_out_of_line_does_not_look_changed() {
    let source = Source::start().await;
    source
        .run(
            "create table t (id text primary key, n int); alter table t alter id set storage external;
             create publication p for table t; insert into t values (repeat('k', 2500), 0)",
        )
        .await;
    let batch = changes(&source, "t", true, "update t set n = 1").await;
    assert_eq!(batch.ops, [Op::Update]);
    assert_eq!(batch.rows.column(0).as_string::<i32>().value(0).len(), 2500);
    assert!(batch.unchanged.is_empty());
}

#[tokio::test]
async fn replica_identity_full_sends_old_rows_that_resolve_unchanged_values() {
    let source = Source::start().await;
    source
        .run(
            "create table t (id int primary key, long text, n int); alter table t alter long set storage external;
             alter table t replica identity full;
             create publication p for table t; insert into t values (1, repeat('a', 9000), 0)",
        )
        .await;
    let batch = changes(&source, "t", true, "update t set n = 5; update t set id = 2; delete from t").await;
    assert_eq!(batch.ops, [Op::Update, Op::Delete, Op::Move, Op::Delete]);
    let long = batch.rows.column(1).as_string::<i32>();
    assert_eq!((long.value(0).len(), long.value(2).len()), (9000, 9000));
    assert!(batch.unchanged.is_empty() && long.is_null(1) && long.is_null(3));
}

#[tokio::test]
async fn truncate_names_every_table_and_its_options() {
    let source = Source::start().await;
    source
        .run(
            "create table a (id int primary key); create table b (id int primary key references a);
             create publication p for table a, b; insert into a values (1); insert into b values (1)",
        )
        .await;
    let mut stream = source.stream("p", false, true).await;
    source.run("truncate a restart identity cascade").await;
    let messages = stream.take(&source.client).await;
    let mut seen = Vec::new();
    each(&messages, |decoded| {
        if let Message::Truncate { relations, cascade, restart_identity } = &decoded.message {
            seen.push((relations.len(), *cascade, *restart_identity));
        }
    });
    assert_eq!(seen, [(2, true, true)]);
    let mut plans = BTreeMap::new();
    for table in ["a", "b"] {
        plans.insert(table.to_owned(), source.plan(table).await);
    }
    for (batch, _) in gather(&messages, &plans).values() {
        assert_eq!((batch.ops.as_slice(), batch.rows.column(0).null_count()), (&[Op::Truncate][..], 1));
    }
}

#[tokio::test]
async fn a_column_added_dropped_or_left_out_shifts_no_value() {
    let source = Source::start().await;
    source
        .run(
            "create table t (id int primary key, gone int, kept text); create publication p for table t;
             insert into t values (1, 10, 'a')",
        )
        .await;
    let plan = source.plan("t").await;
    let mut stream = source.stream("p", true, false).await;
    source.run("insert into t values (2, 20, 'b')").await;
    source.run("alter table t drop gone").await;
    source.run("alter table t add fresh int default 9").await;
    source.run("insert into t values (3, 'c', 30)").await;
    let messages = stream.take(&source.client).await;
    let (batch, _) = gather(&messages, &BTreeMap::from([("t".to_owned(), plan)])).remove("t").unwrap();
    assert_eq!(ids(&batch), [Some(2), Some(3)]);
    let gone: Vec<_> = batch.rows.column(1).as_primitive::<Int64Type>().iter().collect();
    assert_eq!(gone, [Some(20), None]);
    let kept = batch.rows.column(2).as_string::<i32>();
    assert_eq!((kept.value(0), kept.value(1)), ("b", "c"));
}

#[tokio::test]
async fn a_large_transaction_streams_while_it_runs_and_its_aborted_part_is_named() {
    let source = Source::start_with(Options::default().with("logical_decoding_work_mem", "64kB")).await;
    source.run("create table t (id int primary key, body text); create publication p for table t").await;
    let mut stream = source.stream("p", true, true).await;
    source
        .run(
            "begin;
             insert into t select g, repeat('x', 50) from generate_series(1, 5000) g;
             savepoint s; insert into t select g, repeat('y', 50) from generate_series(5001, 9000) g; rollback to s;
             savepoint k; insert into t select g, repeat('z', 50) from generate_series(9001, 12000) g; release k;
             commit",
        )
        .await;
    let messages = stream.take(&source.client).await;
    let mut rows: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    let (mut top, mut first_segments, mut commits, mut begins) = (0, 0, 0, 0);
    let mut relations_inside = 0;
    each(&messages, |decoded| match &decoded.message {
        Message::StreamStart { xid, first_segment } => {
            top = *xid;
            first_segments += usize::from(*first_segment);
        }
        Message::Relation(relation) => {
            assert_eq!(relation.replica_identity, ReplicaIdentity::Default);
            assert!(decoded.xid.is_some());
            relations_inside += 1;
        }
        Message::Insert { new, .. } => {
            let TupleCell::Binary(id) = new.cells().next().unwrap() else { panic!("not binary") };
            rows.entry(decoded.xid.unwrap())
                .or_default()
                .insert(format!("{:08}", i32::from_be_bytes(id.try_into().unwrap())));
        }
        Message::StreamAbort { xid, subxid } => {
            assert_eq!(*xid, top);
            assert_ne!(xid, subxid);
            rows.remove(subxid);
        }
        Message::StreamCommit { xid, end_lsn, commit_lsn, .. } => {
            assert_eq!(*xid, top);
            assert!(end_lsn > commit_lsn);
            commits += 1;
        }
        Message::Begin { .. } => begins += 1,
        _ => {}
    });
    assert_eq!((first_segments, commits, begins), (1, 1, 0));
    assert!(relations_inside >= 1);
    let kept: BTreeSet<String> = rows.values().flatten().cloned().collect();
    let wanted: BTreeSet<String> = (1..=5000).chain(9001..=12000).map(|id| format!("{id:08}")).collect();
    assert_eq!(kept, wanted);
    assert!(rows.len() >= 2, "the kept sub-transaction has a number of its own");

    source.run("begin; insert into t select g, 'w' from generate_series(20001, 30000) g; rollback").await;
    let mut aborts = Vec::new();
    each(&stream.take(&source.client).await, |decoded| {
        if let Message::StreamAbort { xid, subxid } = decoded.message {
            aborts.push(xid == subxid);
        }
    });
    assert!(aborts.iter().all(|whole| *whole), "a whole rollback names the top transaction");
}

#[tokio::test]
async fn logical_messages_come_with_their_place_in_the_transaction() {
    let source = Source::start().await;
    source.run("create table t (id int primary key); create publication p for table t").await;
    for streaming in [false, true] {
        let mut stream = source.stream("p", false, streaming).await;
        source.run(if streaming { "insert into t values (11)" } else { "insert into t values (1)" }).await;
        source
            .run(&format!(
                "begin; insert into t values ({0}); select pg_logical_emit_message(true, 'naru', 'inside');
                 select pg_logical_emit_message(false, 'naru', 'at once'); insert into t values ({0} + 1); commit",
                if streaming { 12 } else { 2 }
            ))
            .await;
        let mut order = Vec::new();
        each(&stream.take(&source.client).await, |decoded| match &decoded.message {
            Message::Insert { .. } => order.push("insert".to_owned()),
            Message::Logical { transactional, prefix, content, lsn } => {
                assert!(*prefix == "naru" && lsn.0 > 0);
                order.push(format!("{transactional} {}", String::from_utf8_lossy(content)));
            }
            Message::Commit { .. } => order.push("commit".to_owned()),
            _ => {}
        });
        // The one outside the transaction is sent when it is written, before that transaction's commit.
        assert_eq!(order, ["insert", "commit", "false at once", "insert", "true inside", "insert", "commit"]);
    }
}

#[tokio::test]
async fn feedback_goes_on_while_nobody_reads() {
    let source = Source::start().await;
    source.run("create table t (id int primary key, body text); create publication p for table t").await;
    let mut maker = ReplicationConnection::connect(&source.settings).await.unwrap();
    let made = maker.create_slot("held", false).await.unwrap();
    let options = StreamOptions {
        slot: "held".into(),
        start: made.consistent_point,
        publications: vec!["p".into()],
        streaming: true,
        binary: true,
        messages: false,
    };
    let (mut reader, mut writer) = maker.start_replication(&options).await.unwrap();
    // Far more than the sockets hold, so the server blocks on sending.
    source.run("insert into t select g, repeat(md5(g::text), 30) from generate_series(1, 30000) g").await;
    let end: String = source.client.query_one("select pg_current_wal_lsn()::text", &[]).await.unwrap().get(0);
    let position: Lsn = end.parse().unwrap();
    let confirmed = async {
        loop {
            writer.send_status(position, position, position, false).await.unwrap();
            let sql =
                "select confirmed_flush_lsn >= $1::text::pg_lsn from pg_replication_slots where slot_name = 'held'";
            if source.client.query_one(sql, &[&end]).await.unwrap().get::<_, bool>(0) {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), confirmed).await.expect("the server took the feedback");
    let mut inserts = 0;
    let mut decoder = naru_sync::postgres::Decoder::new();
    while inserts < 30_000 {
        if let Event::XLogData { data, .. } = reader.next().await.unwrap() {
            inserts += usize::from(matches!(decoder.decode(&data).unwrap().message, Message::Insert { .. }));
        }
    }
    // Ended in order, the connection takes commands again.
    let mut connection = reader.finish(writer).await.unwrap();
    let identity = connection.identify_system().await.unwrap();
    assert!(identity.position >= position && identity.timeline == 1);
    connection.drop_slot("held", true).await.unwrap();
    connection.close().await;
}

#[tokio::test]
async fn a_keep_alive_answers_a_request_and_a_stop_ends_the_stream() {
    let mut source = Source::start().await;
    source.run("create publication p for all tables").await;
    let mut stream = source.stream("p", true, true).await;
    stream.writer.send_status(Lsn(1), Lsn(1), Lsn(1), true).await.unwrap();
    let answered = tokio::time::timeout(Duration::from_secs(20), stream.reader.next()).await.unwrap().unwrap();
    assert!(matches!(answered, Event::KeepAlive { wal_end, .. } if wal_end.0 > 0), "{answered:?}");
    // A server that stops waits for the client to confirm everything; a killed one does not.
    source.server.kill9().await;
    let ended = loop {
        match stream.reader.next().await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(ended, PostgresError::Ended { .. } | PostgresError::Broken(_)), "{ended:?}");
    assert_eq!(ended.problem().retry, naru_base::Retry::Later);
}

#[tokio::test]
async fn an_exported_snapshot_joins_the_stream_without_gap_or_overlap() {
    let source = Source::start().await;
    source.run("create table t (id int primary key); create publication p for table t; insert into t values (1)").await;
    let mut maker = ReplicationConnection::connect(&source.settings).await.unwrap();
    maker.simple_query("set lock_timeout = '5s'").await.unwrap();
    let made = maker.create_slot("joined", true).await.unwrap();
    source.run("insert into t values (2)").await;
    let before = naru_sync::postgres::connect_sql(&source.settings).await.unwrap();
    let import = format!("begin isolation level repeatable read; set transaction snapshot '{}'", made.snapshot);
    before.batch_execute(&import).await.unwrap();
    let held: Vec<i32> = before.query("select id from t", &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(held, [1]);
    let options = StreamOptions {
        slot: "joined".into(),
        start: made.consistent_point,
        publications: vec!["p".into()],
        streaming: false,
        binary: false,
        messages: true,
    };
    let (reader, writer) = maker.start_replication(&options).await.unwrap();
    let mut stream = crate::source::Stream::new(reader, writer);
    let messages = stream.take(&source.client).await;
    let plans = BTreeMap::from([("t".to_owned(), source.plan("t").await)]);
    assert_eq!(ids(&gather(&messages, &plans)["t"].0), [Some(2)]);
}
