//! Promises of the audit that need its store.

use naru_store::{DATABASE_FILE, Store};

use super::{
    chain::{Broken, Fault, Head},
    *,
};

fn entry(sql: &str) -> Entry {
    let origin = Origin { door: Door::Cli, address: None, client: "test".to_owned() };
    Entry { sql: Some(sql.to_owned()), ..Entry::new(&Principal::Owner, origin, Deed::Query) }
        .tables([TableId::new("shop", "orders")])
}

async fn written(count: usize) -> (tempfile::TempDir, Store, Audit) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join(DATABASE_FILE)).unwrap();
    let audit = Audit::open(store.clone(), false);
    for number in 0..count {
        audit.note(&Principal::Owner, entry(&format!("SELECT {number}"))).await.unwrap();
    }
    audit.close().await;
    (folder, store, audit)
}

/// Changes the file behind naru's back.
fn behind(folder: &tempfile::TempDir, sql: &str) {
    rusqlite::Connection::open(folder.path().join(DATABASE_FILE)).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn every_entry_is_written_before_the_audit_has_closed() {
    let (_folder, _store, audit) = written(1_200).await;
    let verdict = audit.verify(None).await.unwrap();
    assert_eq!((verdict.rows, verdict.broken), (1_200, None));
    let newest = audit.find(AuditFilter::default(), None, 2).await.unwrap();
    assert_eq!(
        newest.iter().map(|row| row.sql.as_deref()).collect::<Vec<_>>(),
        [Some("SELECT 1199"), Some("SELECT 1198")]
    );
    assert!(audit.note(&Principal::Owner, entry("too late")).await.is_ok(), "whoever holds the folder goes on");
}

#[tokio::test]
async fn a_place_that_was_taken_is_written_though_the_audit_closes_meanwhile() {
    let (_folder, store, _) = written(0).await;
    let audit = Audit::open(store, true);
    let place = audit.place(&Principal::Owner).await.unwrap();
    let closing = tokio::spawn({
        let audit = audit.clone();
        async move { audit.close().await }
    });
    tokio::task::yield_now().await;
    place.fill(entry("SELECT 'answered'"));
    closing.await.unwrap();
    assert_eq!(audit.verify(None).await.unwrap().rows, 1);
}

#[tokio::test]
async fn the_first_broken_row_is_found() {
    let cases = [
        ("UPDATE audit SET sql = 'SELECT 1' WHERE id = 4", Broken { id: 4, why: Fault::Changed }),
        ("UPDATE audit SET account = 'lee' WHERE id = 1", Broken { id: 1, why: Fault::Changed }),
        ("UPDATE audit SET rows = 0 WHERE id = 5", Broken { id: 5, why: Fault::Changed }),
        ("UPDATE audit SET reason = '' WHERE id = 2", Broken { id: 2, why: Fault::Changed }),
        ("DELETE FROM audit WHERE id = 3", Broken { id: 3, why: Fault::Missing }),
        ("DELETE FROM audit WHERE id = 1", Broken { id: 1, why: Fault::Missing }),
        (
            "DELETE FROM audit WHERE id = 3; UPDATE audit SET id = id - 1 WHERE id > 3",
            Broken { id: 3, why: Fault::Changed },
        ),
    ];
    for (sql, expected) in cases {
        let (folder, _store, audit) = written(6).await;
        behind(&folder, sql);
        assert_eq!(audit.verify(None).await.unwrap().broken, Some(expected), "{sql}");
    }
}

#[tokio::test]
async fn rows_cut_off_at_the_end_show_beside_a_head_that_was_kept_elsewhere() {
    let (folder, _store, audit) = written(6).await;
    let head = audit.verify(None).await.unwrap().head.unwrap();
    assert_eq!(head.id, 6);
    behind(&folder, "DELETE FROM audit WHERE id > 4");
    assert_eq!(audit.verify(None).await.unwrap().broken, None);
    let verdict = audit.verify(Some(head.clone())).await.unwrap();
    assert_eq!(verdict.broken, Some(Broken { id: 5, why: Fault::Missing }));
    // The same rows written again have other hashes.
    let again = Head { id: 2, hash: head.hash };
    assert_eq!(audit.verify(Some(again)).await.unwrap().broken, Some(Broken { id: 2, why: Fault::Replaced }));
}

#[tokio::test]
async fn filters_let_through_what_they_say() {
    let (_folder, store, _) = written(0).await;
    let audit = Audit::open(store, true);
    let refused: Result<(), Problem> = Err(Problem::new("sql.no_table", "no"));
    let other = TableId::new("hr", "pay");
    audit.note(&Principal::Owner, entry("SELECT 'a%b'")).await.unwrap();
    let second = Entry { account: "the project".into(), ..entry("SELECT 2").outcome(&refused).tables([other]) };
    audit.note(&Principal::Project, second).await.unwrap();
    audit.close().await;
    let count = async |filter: AuditFilter| audit.find(filter, None, 10).await.unwrap().len();
    let all = AuditFilter::default;
    assert_eq!(count(all()).await, 2);
    assert_eq!(count(AuditFilter { failed: Some(true), ..all() }).await, 1);
    assert_eq!(count(AuditFilter { failed: Some(false), ..all() }).await, 1);
    assert_eq!(count(AuditFilter { table: Some("hr.pay".into()), ..all() }).await, 1);
    assert_eq!(count(AuditFilter { table: Some("hr".into()), ..all() }).await, 0);
    assert_eq!(count(AuditFilter { text: Some("A%".into()), ..all() }).await, 1);
    assert_eq!(count(AuditFilter { account: Some("the project".into()), ..all() }).await, 1);
    assert_eq!(count(AuditFilter { from_us: Some(i64::MAX), ..all() }).await, 0);
    // This one asks for a reason.
    assert_eq!(&*audit.reason(Some("  ")).unwrap_err().code, "audit.reason_needed");
    assert_eq!(audit.reason(Some(" month's end ")).unwrap().as_deref(), Some("month's end"));
    assert_eq!(Audit::none().reason(None).unwrap(), None);
}

#[tokio::test]
async fn who_hangs_up_before_the_end_is_in_the_audit_all_the_same() {
    let (_folder, store, _) = written(0).await;
    let audit = Audit::open(store, false);
    let begun = audit.place(&Principal::Owner).await.unwrap().begin(entry("left alone"));
    drop(begun);
    let begun = audit.place(&Principal::Owner).await.unwrap().begin(entry("ended"));
    begun.ended(&Ok::<(), Problem>(()));
    audit.close().await;
    let rows = audit.find(AuditFilter::default(), None, 9).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.result.as_str()).collect::<Vec<_>>(), ["ok", "left"]);
}
