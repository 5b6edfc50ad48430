//! Deletion vectors on disk.
//!
//! Owns: reading all vectors of a table with one request a vector file, writing one vector file a commit.
//! The byte format and its checksums are the kernel's. Never decides which rows are dead.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use delta_kernel::{
    DeltaResult, Error as KernelError, FileMeta, FileSlice, StorageHandler,
    actions::{
        deletion_vector::DeletionVectorDescriptor as KernelDescriptor,
        deletion_vector_writer::{DeletionVector, StreamingDeletionVectorWriter},
    },
};
use deltalake_core::kernel::{DeletionVectorDescriptor, StorageType};
use futures::{StreamExt, TryStreamExt};
use naru_base::TableId;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use roaring::RoaringTreemap;
use url::Url;
use uuid::Uuid;

use crate::{error::LakeError, view::FileId};

/// Vector files read at the same time.
const READS_AT_ONCE: usize = 16;

/// The vector's file, relative to the table; `None` for an inline vector.
pub(crate) fn file_name(table: &TableId, vector: &DeletionVectorDescriptor) -> Result<Option<String>, LakeError> {
    let damaged = |reason: &str| LakeError::Damaged { table: table.clone(), reason: reason.to_owned() };
    match vector.storage_type {
        StorageType::Inline => Ok(None),
        StorageType::AbsolutePath => Err(LakeError::Feature {
            table: table.clone(),
            feature: "deletion vectors outside the table's folder".into(),
        }),
        StorageType::UuidRelativePath => {
            let text = vector.path_or_inline_dv.as_str();
            let (prefix, encoded) = text
                .len()
                .checked_sub(20)
                .and_then(|at| text.split_at_checked(at))
                .ok_or_else(|| damaged("a deletion vector has no name"))?;
            let raw = z85::decode(encoded).map_err(|_| damaged("a deletion vector has an unreadable name"))?;
            let uuid = Uuid::from_slice(&raw).map_err(|_| damaged("a deletion vector has an unreadable name"))?;
            let slash = if prefix.is_empty() { "" } else { "/" };
            Ok(Some(format!("{prefix}{slash}deletion_vector_{uuid}.bin")))
        }
    }
}

/// Reads the bitmaps of these vectors, keyed by the caller's key.
pub(crate) async fn read(
    table: &TableId,
    store: &Arc<dyn ObjectStore>,
    vectors: Vec<(usize, DeletionVectorDescriptor)>,
) -> Result<HashMap<usize, Arc<RoaringTreemap>>, LakeError> {
    let mut files: HashMap<Option<String>, Vec<(usize, DeletionVectorDescriptor)>> = HashMap::new();
    for (key, vector) in vectors {
        files.entry(file_name(table, &vector)?).or_default().push((key, vector));
    }
    let decoded: Vec<Vec<(usize, Arc<RoaringTreemap>)>> = futures::stream::iter(files)
        .map(|(file, vectors)| read_file(table, store, file, vectors))
        .buffer_unordered(READS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(decoded.into_iter().flatten().collect())
}

async fn read_file(
    table: &TableId,
    store: &Arc<dyn ObjectStore>,
    file: Option<String>,
    vectors: Vec<(usize, DeletionVectorDescriptor)>,
) -> Result<Vec<(usize, Arc<RoaringTreemap>)>, LakeError> {
    let bytes = match file {
        Some(name) => store.get(&Path::from(name)).await?.bytes().await?,
        None => Bytes::new(),
    };
    let damaged = |reason: String| LakeError::Damaged { table: table.clone(), reason };
    let handler: Arc<dyn StorageHandler> = Arc::new(Fetched(bytes));
    let root = Url::parse("memory:///").map_err(|error| damaged(error.to_string()))?;
    vectors
        .into_iter()
        .map(|(key, vector)| {
            let cardinality = vector.cardinality;
            let kernel = KernelDescriptor::try_from(vector).map_err(|error| damaged(error.to_string()))?;
            let bitmap = kernel.read(Arc::clone(&handler), &root).map_err(|error| damaged(error.to_string()))?;
            if i64::try_from(bitmap.len()) != Ok(cardinality) {
                return Err(damaged("a deletion vector does not have as many rows as the log says".into()));
            }
            Ok((key, Arc::new(bitmap)))
        })
        .collect()
}

/// Hands the kernel the bytes that were fetched already.
#[derive(Debug)]
struct Fetched(Bytes);

impl Fetched {
    fn refuse<T>() -> DeltaResult<T> {
        Err(KernelError::generic("only fetched bytes can be read here"))
    }
}

impl StorageHandler for Fetched {
    fn list_from(&self, _: &Url) -> DeltaResult<Box<dyn Iterator<Item = DeltaResult<FileMeta>>>> {
        Self::refuse()
    }

    fn read_files(&self, files: Vec<FileSlice>) -> DeltaResult<Box<dyn Iterator<Item = DeltaResult<Bytes>>>> {
        let bytes = self.0.clone();
        Ok(Box::new(files.into_iter().map(move |_| Ok(bytes.clone()))))
    }

    fn copy_atomic(&self, _: &Url, _: &Url) -> DeltaResult<()> {
        Self::refuse()
    }

    fn put(&self, _: &Url, _: Bytes, _: bool) -> DeltaResult<()> {
        Self::refuse()
    }

    fn head(&self, _: &Url) -> DeltaResult<FileMeta> {
        Self::refuse()
    }

    fn delete(&self, _: &Url) -> DeltaResult<()> {
        Self::refuse()
    }
}

/// One vector file of a commit.
pub(crate) struct Written {
    /// Its name, relative to the table.
    pub(crate) name: String,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// Where each file's vector lies in it.
    pub(crate) vectors: HashMap<FileId, DeletionVectorDescriptor>,
}

/// A bitmap as the kernel's writer takes it. Serialised as it is: adding row after row again would cost more than
/// everything else in a flush.
struct Shared(Arc<RoaringTreemap>);

impl DeletionVector for Shared {
    type IndexIterator = roaring::treemap::IntoIter;

    fn into_iter(self) -> Self::IndexIterator {
        Arc::unwrap_or_clone(self.0).into_iter()
    }

    fn cardinality(&self) -> u64 {
        self.0.len()
    }

    fn serialize(self) -> DeltaResult<Bytes> {
        let mut bytes = Vec::with_capacity(self.0.serialized_size());
        self.0.serialize_into(&mut bytes).map_err(KernelError::generic_err)?;
        Ok(bytes.into())
    }
}

/// Encodes the bitmaps of one commit into one file.
pub(crate) fn encode(table: &TableId, bitmaps: &[(FileId, Arc<RoaringTreemap>)]) -> Result<Written, LakeError> {
    let damaged = |error: KernelError| LakeError::Damaged { table: table.clone(), reason: error.to_string() };
    let uuid = Uuid::new_v4();
    let mut bytes = Vec::new();
    let mut vectors = HashMap::with_capacity(bitmaps.len());
    let mut writer = StreamingDeletionVectorWriter::new(&mut bytes);
    for (id, bitmap) in bitmaps {
        let at = writer.write_deletion_vector(Shared(Arc::clone(bitmap))).map_err(damaged)?;
        let descriptor = DeletionVectorDescriptor {
            storage_type: StorageType::UuidRelativePath,
            path_or_inline_dv: z85::encode(uuid.as_bytes()),
            offset: Some(at.offset),
            size_in_bytes: at.size_in_bytes,
            cardinality: at.cardinality,
        };
        vectors.insert(*id, descriptor);
    }
    writer.finalize().map_err(damaged)?;
    Ok(Written { name: format!("deletion_vector_{uuid}.bin"), bytes, vectors })
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    #[tokio::test]
    async fn bitmaps_survive_one_shared_file() {
        let table = TableId::new("d", "t");
        let bitmaps: Vec<(FileId, Arc<RoaringTreemap>)> = vec![
            (FileId(1), Arc::new([0, 5, 1_000_000].into_iter().collect())),
            (FileId(2), Arc::new((0..50_000).step_by(3).collect())),
        ];
        let written = encode(&table, &bitmaps).unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        store.put(&Path::from(written.name.as_str()), written.bytes.into()).await.unwrap();
        let vectors = vec![(1, written.vectors[&FileId(1)].clone()), (2, written.vectors[&FileId(2)].clone())];
        let back = read(&table, &store, vectors).await.unwrap();
        assert_eq!(back[&1], bitmaps[0].1);
        assert_eq!(back[&2], bitmaps[1].1);
    }
}
