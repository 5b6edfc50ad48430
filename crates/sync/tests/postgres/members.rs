//! Members of a publication that somebody else changes at the same moment.

use std::{cell::Cell, collections::BTreeSet, time::Duration};

use naru_sync::publication::{SourceNames, ensure, set_members};

use crate::source::Source;

#[tokio::test]
async fn a_table_that_somebody_listed_or_took_out_meanwhile_counts_as_done() {
    let source = Source::start().await;
    source.run("create table t (id int primary key)").await;
    let oid: u32 = source.server.value("select 't'::regclass::oid").await.parse().unwrap();
    let names = SourceNames::new("p", "shop");
    ensure(&source.client, &names).await.unwrap();
    let other = source.server.client().await;
    let change = |word: &str| format!("alter publication {} {word} table t", names.keyed);
    for (wanted, word, back) in [(BTreeSet::from([oid]), "add", "drop"), (BTreeSet::new(), "drop", "add")] {
        loop {
            other.batch_execute(&format!("begin; {}", change(word))).await.unwrap();
            let ended = Cell::new(false);
            let setting = async {
                let set = set_members(&source.client, &names.keyed, &wanted).await.unwrap();
                ended.set(true);
                set
            };
            let meanwhile = async {
                let waits = "select 1 from pg_stat_activity where wait_event_type = 'Lock'";
                while !ended.get() && source.server.rows(waits).await.is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                other.batch_execute("commit").await.unwrap();
            };
            let (set, ()) = tokio::join!(setting, meanwhile);
            if set.refused.is_empty() {
                assert_eq!(set.added, wanted.iter().copied().collect::<Vec<_>>());
                break;
            }
            // The machine was so slow that the bounded wait for the lock ended first.
            other.batch_execute(&change(back)).await.unwrap();
        }
    }
    let listed = "select count(*) from pg_publication_rel";
    assert_eq!(source.server.value(listed).await, "0");
}
