//! What a commit promises when the object store misbehaves.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use naru_base::Version;
use naru_lake::{Change, Lake, LakeError, Table};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};
use parking_lot::Mutex;

use crate::shop::{contents, dead, flush, id, model, rows, spec, stage};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The put succeeds, the caller hears of an error.
    LostAnswer,
    /// The put succeeds; a retry inside the client then reports a conflict with itself.
    ConflictWithItself,
    /// Nothing is written.
    Failed,
    /// The put succeeds late.
    Slow,
    /// The put succeeds, the answer is lost and the store cannot be read for a while.
    Blackout,
}

/// A store that misbehaves once, at the next put of a log entry.
#[derive(Debug)]
struct Faulty {
    inner: InMemory,
    next: Mutex<Option<Fault>>,
    unreadable: AtomicUsize,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

fn outage() -> Error {
    Error::Generic { store: "faulty", source: "connection reset".into() }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let fault = if location.as_ref().contains("_delta_log/0") { self.next.lock().take() } else { None };
        match fault {
            Some(Fault::Failed) => return Err(outage()),
            Some(Fault::Slow) => tokio::time::sleep(Duration::from_millis(50)).await,
            _ => {}
        }
        let answer = self.inner.put_opts(location, payload, options).await?;
        match fault {
            Some(Fault::LostAnswer) => Err(outage()),
            Some(Fault::ConflictWithItself) => {
                Err(Error::Precondition { path: location.to_string(), source: "412".into() })
            }
            Some(Fault::Blackout) => {
                self.unreadable.store(100, Ordering::SeqCst);
                Err(outage())
            }
            _ => Ok(answer),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if self.unreadable.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(outage());
        }
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

struct Place {
    store: Arc<Faulty>,
    cache: tempfile::TempDir,
    lake: Lake,
    table: Table,
}

impl Place {
    async fn new() -> Self {
        let store =
            Arc::new(Faulty { inner: InMemory::new(), next: Mutex::default(), unreadable: AtomicUsize::new(0) });
        let cache = tempfile::tempdir().unwrap();
        let lake = Lake::over(Arc::clone(&store) as _, cache.path().to_path_buf()).unwrap();
        let table = lake.create(&id(), spec()).await.unwrap();
        Self { store, cache, lake, table }
    }

    fn inject(&self, fault: Fault) {
        *self.store.next.lock() = Some(fault);
    }

    async fn check(&self, expected: &crate::shop::Contents) {
        assert_eq!(&contents(&self.lake, &self.table.view()).await, expected);
        let fresh = Lake::over(Arc::clone(&self.store) as _, self.cache.path().to_path_buf()).unwrap();
        let reopened = fresh.open_table(&id()).await.unwrap().unwrap();
        assert_eq!(reopened.view().version, self.table.view().version);
        assert_eq!(&contents(&fresh, &reopened.view()).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_was_lost_counts_once() {
    for fault in [Fault::LostAnswer, Fault::ConflictWithItself, Fault::Slow] {
        let place = Place::new().await;
        place.inject(fault);
        flush(&place.table, Vec::new(), &rows(0..5, 0), 7).await;
        assert_eq!(place.table.view().version, Version(1), "{fault:?}");
        let first = place.table.view().files[0].id;
        flush(&place.table, vec![(first, dead([0]))], &rows([0], 1), 8).await;
        place.check(&model(&[rows(1..5, 0), rows([0], 1)])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_failed_can_be_tried_again_with_the_same_files() {
    let place = Place::new().await;
    let add = stage(&place.table, &[rows(0..5, 0)]).await;
    place.inject(Fault::Failed);
    let change = Change { add, ..Change::default() };
    let error = place.table.commit(change.clone()).await.unwrap_err();
    assert!(matches!(error, LakeError::Store(_)), "{error}");
    assert_eq!(place.table.view().version, Version(0));
    place.table.commit(change).await.unwrap();
    place.check(&model(&[rows(0..5, 0)])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_nobody_can_ask_about_is_found_by_the_next_one() {
    let place = Place::new().await;
    let add = stage(&place.table, &[rows(0..5, 0)]).await;
    place.inject(Fault::Blackout);
    let txn = Some(("naru/shop/1".to_owned(), 5));
    let error = place.table.commit(Change { add, txn: txn.clone(), ..Change::default() }).await.unwrap_err();
    assert!(matches!(error, LakeError::Store(_)), "{error}");
    place.store.unreadable.store(0, Ordering::SeqCst);
    // The caller tries again; what it did before is in the table by now, position included.
    let again = stage(&place.table, &[rows(0..5, 0)]).await;
    let error = place.table.commit(Change { add: again, txn, ..Change::default() }).await.unwrap_err();
    assert!(matches!(error, LakeError::CommitLost { version: 1, .. }), "{error}");
    assert_eq!(place.table.position("naru/shop/1").await.unwrap(), Some(5));
    place.check(&model(&[rows(0..5, 0)])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_callers_future_does_not_tear_a_commit() {
    let place = Place::new().await;
    let add = stage(&place.table, &[rows(0..5, 0)]).await;
    place.inject(Fault::Slow);
    let commit = place.table.commit(Change { add, ..Change::default() });
    assert!(tokio::time::timeout(Duration::from_millis(5), commit).await.is_err());
    // The next commit waits for the one under way and follows it.
    flush(&place.table, Vec::new(), &rows([9], 0), 1).await;
    assert_eq!(place.table.view().version, Version(2));
    place.check(&model(&[rows(0..5, 0), rows([9], 0)])).await;
}
