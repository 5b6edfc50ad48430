//! Segments on their way into Parquet files, beside the changes that go on.
//!
//! Owns: [`Staging`]. Whoever begins one waits for the one before, so that memory stays bounded while encoding and the
//! disk hold nobody up.
//! Never commits, and never decides what becomes of the rows; a file that nobody takes over is removed.

use tokio::task::JoinHandle;

use crate::{
    error::LakeError,
    stage::{StagedFile, Stager, StagerOptions},
    table::Table,
};

use super::segment::Segment;

/// A segment that is being written; dropping it stops the writing.
#[derive(Debug)]
pub(crate) struct Staging {
    was: Segment,
    writing: JoinHandle<Result<Option<StagedFile>, LakeError>>,
}

impl Staging {
    /// Writes the rows that the segment has now; nobody may add rows to it any more.
    pub(crate) fn begin(table: &Table, segment: Segment) -> Self {
        let (stager, was) = (stager(table, &segment), segment.clone());
        Self { was, writing: tokio::spawn(async move { write(stager, &segment).await }) }
    }

    /// Whether nothing is waited for any more.
    pub(crate) fn is_done(&self) -> bool {
        self.writing.is_finished()
    }

    /// The segment as it was, and its file.
    ///
    /// # Errors
    /// [`LakeError`] if the file could not be written; the rows are only in memory then.
    pub(crate) async fn finish(mut self) -> Result<Option<(Segment, StagedFile)>, LakeError> {
        let written = (&mut self.writing).await.map_err(|error| LakeError::Task(error.to_string()))??;
        Ok(written.map(|file| (self.was.clone(), file)))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

/// A stager for a segment's own file, with the columns the table has now.
pub(crate) fn stager(table: &Table, segment: &Segment) -> Stager {
    table.stager(StagerOptions { file: Some(segment.file), ..StagerOptions::default() })
}

/// Writes a segment in memory as a Parquet file under its own number, which no commit names yet.
pub(crate) async fn write(mut stager: Stager, segment: &Segment) -> Result<Option<StagedFile>, LakeError> {
    for chunk in segment.chunks() {
        stager.write(&chunk.rows).await?;
    }
    Ok(stager.finish().await?.pop())
}
