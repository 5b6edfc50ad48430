//! An object store that fails the way object stores do, for tests of the whole binary.
//!
//! Owns: the failpoints named `store.*`. Nothing stands between naru and its store unless one of them is armed.
//!
//! | failpoint | what the store does |
//! |---|---|
//! | `store.put.lost` | takes the object, and its answer is lost |
//! | `store.put.exists` | takes the object and answers 412, as after a retry whose first try had arrived |
//! | `store.put.error` | answers 503 to a put and takes nothing |
//! | `store.get.error` | answers 503 to a read |
//! | `store.slow` | waits before it answers (`sleep:<ms>`) |

use std::{fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use naru_base::failpoint;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart, path::Path,
};

/// The store itself, or one that fails where a test wants it.
pub(crate) fn between(store: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
    if failpoint::armed("store.") { Arc::new(Faulty { inner: store }) } else { store }
}

#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn ObjectStore>,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.inner)
    }
}

fn answer(what: &'static str) -> Error {
    Error::Generic { store: "Faulty", source: what.into() }
}

/// Waits on a thread that may wait.
async fn slow() {
    // The wait itself is the fault; there is nothing to do about a thread that could not be had.
    drop(tokio::task::spawn_blocking(|| failpoint::hit("store.slow")).await);
}

async fn before_put() -> Result<()> {
    slow().await;
    if failpoint::hit("store.put.error") { Err(answer("503 Slow Down (failpoint)")) } else { Ok(()) }
}

fn after_put(location: &Path, done: PutResult) -> Result<PutResult> {
    if failpoint::hit("store.put.lost") {
        return Err(answer("the answer was lost (failpoint)"));
    }
    if failpoint::hit("store.put.exists") {
        return Err(Error::AlreadyExists { path: location.to_string(), source: "412 (failpoint)".into() });
    }
    Ok(done)
}

async fn before_get() -> Result<()> {
    slow().await;
    if failpoint::hit("store.get.error") { Err(answer("503 Service Unavailable (failpoint)")) } else { Ok(()) }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        before_put().await?;
        after_put(location, self.inner.put_opts(location, payload, options).await?)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        before_put().await?;
        let upload = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(FaultyUpload { upload, location: location.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        before_get().await?;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        before_get().await?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.inner.list_with_offset(prefix, offset);
        futures::stream::once(before_get())
            .filter_map(|asked| async move { asked.err().map(Err) })
            .chain(listed)
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        before_get().await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        before_put().await?;
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        before_put().await?;
        self.inner.rename_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct FaultyUpload {
    upload: Box<dyn MultipartUpload>,
    location: Path,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        before_put().await?;
        after_put(&self.location, self.upload.complete().await?)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
