//! The index of one table: committed runs, their manifest, and merging them.
//!
//! Owns: [`KeyIndex`], its folder, the manifest `index.json` (written by rename after the Delta commit it stands for).
//! Never holds entries of rows that are not committed: those are in a [`super::Layer`].

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use naru_base::{Version, failpoint, number::u64_from};
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use super::{
    BulkLoader, IndexError, Layer, Position, Run,
    merge::{self, Keep},
    plan,
    run::staged_elsewhere,
};

/// Raised when manifest or runs change their form; an index of another format is thrown away.
const FORMAT: u32 = 2;
const MANIFEST: &str = "index.json";

/// What an index on disk stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The table's version that the runs cover.
    pub version: Version,
    /// Files whose rows are in the runs.
    pub files: RoaringBitmap,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// Which table, and how its keys are hashed.
    owner: String,
    version: u64,
    files: Vec<u32>,
    /// Newest first.
    runs: Vec<String>,
}

#[derive(Debug, Default)]
struct Runs {
    /// What lookups read, newest first.
    live: Vec<Arc<Run>>,
    /// Merged into another run since the last save, whose manifest may name them: the next one lets their files go.
    replaced: Vec<Arc<Run>>,
}

impl Runs {
    fn holds(&self, run: &Arc<Run>) -> bool {
        self.live.iter().chain(&self.replaced).any(|held| Arc::ptr_eq(held, run))
    }
}

/// The key index of one table, and the only writer of its folder.
#[derive(Debug)]
pub struct KeyIndex {
    dir: PathBuf,
    owner: Mutex<String>,
    runs: Mutex<Runs>,
    merging: AtomicBool,
    /// A merge met entries that are not those that were written.
    damaged: AtomicBool,
    /// Held while the manifest is written.
    saving: Mutex<()>,
    stop: Arc<AtomicBool>,
}

impl KeyIndex {
    /// Opens the index in `dir`, which no other table shares.
    ///
    /// `owner` names the table's identity and its key's fingerprint. Gives the stamp of what was found; without one the
    /// index is empty: it was new, foreign, torn or of another format, and whatever lay there has been removed.
    ///
    /// # Errors
    /// [`IndexError::Io`] if the folder cannot be made or emptied.
    pub fn open(dir: &Path, owner: &str) -> Result<(Self, Option<Stamp>), IndexError> {
        fs::create_dir_all(dir).map_err(IndexError::io("create", dir))?;
        let found = match load(dir, owner) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(dir = %dir.display(), %error, "the key index cannot be used and is built again");
                None
            }
        };
        let (runs, stamp) = found.unzip();
        let runs: Vec<Arc<Run>> = runs.unwrap_or_default();
        remove_orphans(dir, &runs, stamp.is_some())?;
        let index = Self {
            dir: dir.to_path_buf(),
            owner: Mutex::new(owner.to_owned()),
            runs: Mutex::new(Runs { live: runs, replaced: Vec::new() }),
            merging: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            saving: Mutex::default(),
            stop: Arc::default(),
        };
        Ok((index, stamp))
    }

    /// The folder for spilled layers and bulk loads of this table.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A loader whose run may be installed here.
    pub fn loader(&self) -> BulkLoader {
        BulkLoader::new(&self.dir)
    }

    /// What lookups read: the runs of this moment.
    pub fn reader(&self) -> IndexReader {
        IndexReader { runs: self.runs.lock().live.clone() }
    }

    /// Puts runs of newly committed rows, newest first, on top. The manifest is not written; call [`KeyIndex::save`].
    pub fn install(&self, runs: impl IntoIterator<Item = Arc<Run>>) {
        self.runs.lock().live.splice(0..0, runs);
    }

    /// Empties the index for keys of another kind: the table was rebuilt with other key columns.
    pub fn hand_over(&self, owner: &str) {
        owner.clone_into(&mut self.owner.lock());
        self.reset(None);
    }

    /// Replaces everything by `run`: the table's contents were replaced.
    ///
    /// The files go without waiting for a manifest: one that still names them must not be believed after a restart.
    pub fn reset(&self, run: Option<Arc<Run>>) {
        let new = Runs { live: run.into_iter().collect(), replaced: Vec::new() };
        let mut runs = self.runs.lock();
        // Under the lock, so that a save that ends now does not keep what is marked here.
        for run in runs.live.iter().chain(&runs.replaced) {
            run.supersede();
        }
        let old = std::mem::replace(&mut *runs, new);
        drop(runs);
        drop(old);
    }

    /// Writes the manifest: from now on a restart finds the present runs, standing for `stamp`. Files of runs that were
    /// merged away since the last manifest go, each when its last reader is done.
    ///
    /// # Errors
    /// [`IndexError::Io`]; the former manifest stays, and with it a stamp that is only older.
    pub fn save(&self, stamp: &Stamp) -> Result<(), IndexError> {
        if failpoint::hit("index.before_manifest") {
            return Err(IndexError::Stopped);
        }
        let _saving = self.saving.lock();
        // Taken together: no run is both named and let go.
        let (named, gone) = {
            let mut runs = self.runs.lock();
            (runs.live.clone(), std::mem::take(&mut runs.replaced))
        };
        let manifest = Manifest {
            format: FORMAT,
            owner: self.owner.lock().clone(),
            version: stamp.version.0,
            files: stamp.files.iter().collect(),
            runs: named.iter().map(|run| run.name()).collect(),
        };
        if let Err(error) = write_manifest(&self.dir, &manifest) {
            self.runs.lock().replaced.extend(gone);
            return Err(error);
        }
        {
            let runs = self.runs.lock();
            // A run that a reset took away meanwhile stays marked for removal.
            named.iter().filter(|run| runs.holds(run)).for_each(|run| run.retain());
        }
        failpoint::hit("index.after_manifest");
        for run in &gone {
            run.supersede();
        }
        Ok(())
    }

    /// Whether a merge would do something now.
    pub fn merge_due(&self) -> bool {
        let sizes: Vec<_> = self.runs.lock().live.iter().map(|run| run.len()).collect();
        plan::runs_to_merge(&sizes).is_some()
            && !self.merging.load(Ordering::Acquire)
            && !self.damaged.load(Ordering::Acquire)
    }

    /// Whether runs are being merged now.
    pub fn is_merging(&self) -> bool {
        self.merging.load(Ordering::Acquire)
    }

    /// Merges runs while that is advisable, drops entries of files that are gone, and writes the manifest after each
    /// round, so that the folder never holds what an earlier round replaced. Blocks for as long as the disk needs;
    /// lookups and installs go on meanwhile. Does nothing if another thread is at it.
    ///
    /// `now` gives the table's present version and files, or none when the table was closed. It is asked after the runs
    /// to merge were taken, so that it knows every file that they name, unless that file is gone.
    ///
    /// # Errors
    /// [`IndexError::Io`]; [`IndexError::Stopped`] when the table was closed or after [`KeyIndex::stop`].
    pub fn merge(&self, now: &dyn Fn() -> Option<Stamp>) -> Result<(), IndexError> {
        if self.merging.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let result = self.merge_all(now);
        if matches!(result, Err(IndexError::Damaged { .. })) {
            self.damaged.store(true, Ordering::Release);
        }
        self.merging.store(false, Ordering::Release);
        result
    }

    fn merge_all(&self, now: &dyn Fn() -> Option<Stamp>) -> Result<(), IndexError> {
        loop {
            let runs = self.runs.lock().live.clone();
            let sizes: Vec<_> = runs.iter().map(|run| run.len()).collect();
            let Some(old) = plan::runs_to_merge(&sizes).and_then(|width| runs.get(..width)) else { return Ok(()) };
            let live = now().ok_or(IndexError::Stopped)?.files;
            let keep = Keep { files: Some(live), stop: Arc::clone(&self.stop) };
            let new = Arc::new(merge::merge(&self.dir, old, &keep)?);
            if !self.swap(old, new) {
                return Ok(());
            }
            // At once: new runs may come for as long as rounds go on.
            self.save(&now().ok_or(IndexError::Stopped)?)?;
        }
    }

    /// Replaces the adjacent runs `old` by `new`; false if they are no longer there.
    fn swap(&self, old: &[Arc<Run>], new: Arc<Run>) -> bool {
        let mut runs = self.runs.lock();
        let Some(first) = old.first().and_then(|first| runs.live.iter().position(|run| Arc::ptr_eq(run, first))) else {
            return false;
        };
        let range = first..first + old.len();
        let present = runs.live.get(range.clone()).unwrap_or_default();
        let same =
            present.len() == old.len() && present.iter().zip(old).all(|(present, old)| Arc::ptr_eq(present, old));
        if same {
            let replaced: Vec<_> = runs.live.splice(range, [new]).collect();
            runs.replaced.extend(replaced);
        }
        same
    }

    /// Whether a merge found the index damaged since the last call.
    pub fn take_damage(&self) -> bool {
        self.damaged.swap(false, Ordering::AcqRel)
    }

    /// Ends a merge that is going on, soon; later ones end at once. For closing the table.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The committed runs of one moment.
#[derive(Debug, Clone, Default)]
pub struct IndexReader {
    runs: Vec<Arc<Run>>,
}

impl IndexReader {
    /// Looks up hashes that are sorted, in memory layers (newest first), their spilled runs and the committed runs.
    ///
    /// # Errors
    /// [`IndexError::Io`].
    pub fn locate(&self, layers: &[&Layer], wanted: &[u128]) -> Result<Vec<Option<Position>>, IndexError> {
        let mut out = vec![None; wanted.len()];
        for layer in layers {
            for (hash, found) in wanted.iter().zip(&mut out).filter(|(_, found)| found.is_none()) {
                *found = layer.get(*hash);
            }
            layer.runs().iter().try_for_each(|run| run.locate(wanted, &mut out))?;
        }
        self.runs.iter().try_for_each(|run| run.locate(wanted, &mut out))?;
        Ok(out)
    }

    /// Entries in all runs; a key may have several.
    pub fn entries(&self) -> u64 {
        self.runs.iter().map(|run| run.len()).sum()
    }

    /// Number of runs.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Bytes on disk.
    pub fn bytes_on_disk(&self) -> u64 {
        self.runs.iter().map(|run| run.bytes_on_disk()).sum()
    }

    /// Bytes of memory that directories and filters hold.
    pub fn bytes_in_memory(&self) -> u64 {
        self.runs.iter().map(|run| u64_from(run.bytes_in_memory())).sum()
    }
}

type Loaded = Option<(Vec<Arc<Run>>, Stamp)>;

fn load(dir: &Path, owner: &str) -> Result<Loaded, IndexError> {
    let path = dir.join(MANIFEST);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(IndexError::io("read", &path)(error)),
    };
    let damaged = |why| IndexError::Damaged { path: path.clone(), why };
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|_| damaged("it is not a manifest"))?;
    if manifest.format != FORMAT || manifest.owner != owner {
        return Ok(None);
    }
    let runs = manifest
        .runs
        .iter()
        .map(|name| {
            let plain = !name.contains(['/', '\\']);
            if plain { Run::open(dir.join(name)).map(Arc::new) } else { Err(damaged("it names a foreign file")) }
        })
        .collect::<Result<Vec<_>, _>>()?;
    let stamp = Stamp { version: Version(manifest.version), files: manifest.files.iter().copied().collect() };
    Ok(Some((runs, stamp)))
}

/// Removes runs that no manifest names: spills, unfinished loads, results of merges that a kill cut short.
fn remove_orphans(dir: &Path, runs: &[Arc<Run>], keep_manifest: bool) -> Result<(), IndexError> {
    let names: Vec<_> = runs.iter().map(|run| run.name()).collect();
    for entry in fs::read_dir(dir).map_err(IndexError::io("list", dir))? {
        let path = entry.map_err(IndexError::io("list", dir))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let ours = path.extension().is_some_and(|extension| extension == "run" || extension == "tmp");
        if (ours && !names.contains(&name)) || staged_elsewhere(&path) || (name == MANIFEST && !keep_manifest) {
            fs::remove_file(&path).map_err(IndexError::io("remove", &path))?;
        }
    }
    Ok(())
}

fn write_manifest(dir: &Path, manifest: &Manifest) -> Result<(), IndexError> {
    let (path, draft) = (dir.join(MANIFEST), dir.join("index.json.tmp"));
    let write = || {
        let text = serde_json::to_vec(manifest).map_err(std::io::Error::other)?;
        fs::write(&draft, text)?;
        fs::File::open(&draft)?.sync_data()?;
        fs::rename(&draft, &path)?;
        fs::File::open(dir)?.sync_data()
    };
    write().map_err(IndexError::io("write", &path))
}
