//! Objects: where the lake's store lies, durability of the local disk, objects that vanish when nobody commits them.
//!
//! Owns: making the store from settings, [`Durable`] (a local store whose answers mean "on disk"), [`Pin`].
//! Never knows what is in an object.

use std::{
    collections::HashSet,
    fmt,
    fs::File,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart, aws::AmazonS3Builder,
    gcp::GoogleCloudStorageBuilder, local::LocalFileSystem, path::Path, prefix::PrefixStore,
};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use url::Url;

use crate::{error::LakeError, lake::LakeSettings};

/// Makes the store whose root is the lake's location.
pub(crate) fn store(settings: &LakeSettings) -> std::result::Result<Arc<dyn ObjectStore>, LakeError> {
    let wrong = |reason: String| LakeError::Location { location: settings.location.clone(), reason };
    if !settings.location.contains("://") {
        return local(&settings.base.join(&settings.location)).map_err(|error| wrong(error.to_string()));
    }
    let url = Url::parse(&settings.location).map_err(|error| wrong(error.to_string()))?;
    let below = |store: Arc<dyn ObjectStore>| -> std::result::Result<Arc<dyn ObjectStore>, LakeError> {
        let prefix = Path::from_url_path(url.path()).map_err(|error| wrong(error.to_string()))?;
        Ok(Arc::new(PrefixStore::new(store, prefix)))
    };
    match url.scheme() {
        "file" => {
            let folder = url.to_file_path().map_err(|()| wrong("it is not a local path".into()))?;
            local(&folder).map_err(|error| wrong(error.to_string()))
        }
        "s3" => {
            let s3 = AmazonS3Builder::from_env().with_url(&settings.location).build();
            below(Arc::new(s3.map_err(|error| wrong(error.to_string()))?))
        }
        "gs" => {
            let gcs = GoogleCloudStorageBuilder::from_env().with_url(&settings.location).build();
            below(Arc::new(gcs.map_err(|error| wrong(error.to_string()))?))
        }
        other => Err(wrong(format!("naru does not know {other}://"))),
    }
}

fn local(folder: &std::path::Path) -> std::result::Result<Arc<dyn ObjectStore>, LakeError> {
    std::fs::create_dir_all(folder)?;
    let root = folder.canonicalize()?;
    Ok(Arc::new(Durable {
        inner: Arc::new(LocalFileSystem::new_with_prefix(&root)?),
        folders: Arc::new(Folders { root, lasting: Mutex::default() }),
    }))
}

/// An object that is removed when its last holder goes, unless a commit named it.
#[derive(Debug)]
pub(crate) struct Pin {
    store: Arc<dyn ObjectStore>,
    path: Path,
    kept: AtomicBool,
    runtime: Option<Handle>,
}

impl Pin {
    /// A fresh object that nothing names yet.
    pub(crate) fn staged(store: Arc<dyn ObjectStore>, path: Path) -> Arc<Self> {
        Arc::new(Self { store, path, kept: AtomicBool::new(false), runtime: Handle::try_current().ok() })
    }

    /// An object that the log names.
    pub(crate) fn committed(store: Arc<dyn ObjectStore>, path: Path) -> Arc<Self> {
        Arc::new(Self { store, path, kept: AtomicBool::new(true), runtime: None })
    }

    /// The object, relative to the table.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Says whether the object outlives its holders.
    pub(crate) fn keep(&self, kept: bool) {
        self.kept.store(kept, Ordering::Release);
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if self.kept.load(Ordering::Acquire) {
            return;
        }
        if let Some(runtime) = &self.runtime {
            let (store, path) = (Arc::clone(&self.store), self.path.clone());
            // What cannot be removed now is an unnamed object, which vacuum removes later.
            runtime.spawn(async move { store.delete(&path).await.ok() });
        }
    }
}

/// A local folder that answers a write only after file and folder entries are on the disk, so that a position
/// acknowledged to a source survives a power cut.
#[derive(Debug)]
struct Durable {
    inner: Arc<LocalFileSystem>,
    folders: Arc<Folders>,
}

/// The folders of a local lake whose own entries are known to be on the disk.
#[derive(Debug)]
struct Folders {
    root: PathBuf,
    lasting: Mutex<HashSet<PathBuf>>,
}

impl Folders {
    /// Waits until a file, its entry, and the entries of folders not seen before are on the disk.
    fn sync(&self, file: &std::path::Path) -> std::io::Result<()> {
        File::open(file)?.sync_all()?;
        let Some(parent) = file.parent() else { return Ok(()) };
        let mut folder = Some(parent);
        while let Some(at) = folder.filter(|at| at.starts_with(&self.root)) {
            File::open(at)?.sync_all()?;
            if self.lasting.lock().contains(at) {
                break;
            }
            folder = at.parent();
        }
        self.lasting.lock().insert(parent.to_path_buf());
        Ok(())
    }
}

impl fmt::Display for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Durable({})", self.inner)
    }
}

impl Durable {
    async fn sync(folders: &Arc<Folders>, file: PathBuf) -> Result<()> {
        let folders = Arc::clone(folders);
        let synced = tokio::task::spawn_blocking(move || folders.sync(&file));
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| object_store::Error::Generic {
            store: "Durable",
            source,
        };
        synced.await.map_err(|error| failed(error.into()))?.map_err(|error| failed(error.into()))
    }
}

#[async_trait]
impl ObjectStore for Durable {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let answer = self.inner.put_opts(location, payload, options).await?;
        Self::sync(&self.folders, self.inner.path_to_filesystem(location)?).await?;
        Ok(answer)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.inner.put_multipart_opts(location, options).await?;
        let file = self.inner.path_to_filesystem(location)?;
        Ok(Box::new(DurableUpload { upload, folders: Arc::clone(&self.folders), file }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
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

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        Self::sync(&self.folders, self.inner.path_to_filesystem(to)?).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await?;
        Self::sync(&self.folders, self.inner.path_to_filesystem(to)?).await
    }
}

#[derive(Debug)]
struct DurableUpload {
    upload: Box<dyn MultipartUpload>,
    folders: Arc<Folders>,
    file: PathBuf,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let answer = self.upload.complete().await?;
        Durable::sync(&self.folders, self.file.clone()).await?;
        Ok(answer)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
