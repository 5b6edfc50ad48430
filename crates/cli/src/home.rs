//! The project folder a word works on, and what lies in its `.naru/`.
//!
//! Owns: finding and loading the folder, the paths of state, opening the lake and the state database.
//! Never runs anything.

use std::path::PathBuf;

use naru_base::{Place, Problem};
use naru_flow::{Graph, KnownTables};
use naru_lake::{Lake, LakeSettings};
use naru_project::{Environment, Loaded, Project};
use naru_store::{DATABASE_FILE, LOCK_FILE, Store, sync_tables, topics};

use crate::{adapters::front::Front, failure::Failure};

/// A sound project folder.
#[derive(Debug, Clone)]
pub struct Home {
    /// Its typed content.
    pub project: Project,
}

/// Finds the folder for a word.
pub fn find(place: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let start = match place {
        Some(place) => place,
        None => std::env::current_dir()?,
    };
    Project::find(&start).map_err(|mistake| Failure::from(mistake.problem()))
}

/// Files that nothing would act on. What is written and does nothing is worse than an error.
pub fn not_built(project: &Project) -> Vec<Problem> {
    let told = |place: Place, what: &str, instead: &str| {
        Problem::new("project.not_built", format!("not built yet: {what}")).hint(instead).at(place)
    };
    let functions = project.functions.iter().map(|function| {
        let hint = "Shared functions come with a later version. Write the expression where it is used, and move the file out of functions/ until then.";
        told(function.sql.body_place(0), &format!("shared functions ({})", function.name), hint)
    });
    functions.collect()
}

/// Columns of topics whose types cannot follow those that their tables have, as far as the state database knows them.
pub fn refused_columns(project: &Project) -> Result<Vec<Problem>, Failure> {
    let path = project.state_folder().join(DATABASE_FILE);
    if project.topics.is_empty() || !path.exists() {
        return Ok(Vec::new());
    }
    let store = Store::open_for_reading(&path).map_err(|error| Failure::from(error.problem()))?;
    let before = store.read_blocking(|db| topics::revisions(db)).map_err(|error| Failure::from(error.problem()))?;
    let of = |topic: &naru_project::Topic| {
        let columns = before.iter().filter(|(name, _)| *name == topic.name).map(|(_, columns)| columns.as_str());
        naru_topics::refused(topic, columns)
    };
    Ok(project.topics.iter().flat_map(of).collect())
}

/// Reads the folder, whatever is wrong with it.
pub fn load(place: Option<PathBuf>) -> Result<Loaded, Failure> {
    Ok(Project::load(&find(place)?, &Environment::of_process()))
}

impl Home {
    /// Reads the folder; every mistake in it is a reason not to go on.
    pub fn open(place: Option<PathBuf>) -> Result<Self, Failure> {
        let project = load(place)?.sound().map_err(Failure::Problems)?;
        Self::without_ignored(project)
    }

    fn without_ignored(project: Project) -> Result<Self, Failure> {
        let ignored = not_built(&project);
        if ignored.is_empty() { Ok(Self { project }) } else { Err(Failure::Problems(ignored)) }
    }

    /// Reads the folder for a word that reaches no source: variables that only sources need may be unset, as they often
    /// are in the shell of somebody who only asks.
    pub fn look(place: Option<PathBuf>) -> Result<Self, Failure> {
        let loaded = load(place)?;
        let of_sources =
            |problem: &Problem| matches!(&*problem.code, "project.missing_variable" | "project.missing_secret_file");
        match loaded.project {
            Some(project) if loaded.problems.iter().all(of_sources) => Self::without_ignored(project),
            _ => Err(Failure::Problems(loaded.problems)),
        }
    }

    /// The state folder, made where missing.
    pub fn state(&self) -> Result<PathBuf, Failure> {
        let folder = self.project.state_folder();
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The lock file.
    pub fn lock_path(&self) -> Result<PathBuf, Failure> {
        Ok(self.state()?.join(LOCK_FILE))
    }

    /// The state database.
    pub fn store(&self) -> Result<Store, Failure> {
        Store::open(&self.state()?.join(DATABASE_FILE)).map_err(|error| error.problem().into())
    }

    /// The state database for a command that only looks; `None` where nothing has ever run. Never makes or migrates it.
    pub fn store_for_reading(&self) -> Result<Option<Store>, Failure> {
        let path = self.project.state_folder().join(DATABASE_FILE);
        if !path.exists() {
            return Ok(None);
        }
        Store::open_for_reading(&path).map(Some).map_err(|error| error.problem().into())
    }

    /// The lake.
    pub async fn lake(&self) -> Result<Lake, Failure> {
        let settings = LakeSettings {
            location: self.project.settings.lake.location.clone(),
            base: self.project.root.clone(),
            cache: self.state()?.join("cache"),
        };
        Lake::open(settings).await.map_err(|error| error.problem().into())
    }

    /// The graph of marts, with everything that is wrong with it; `known` are the tables that exist beside marts.
    pub fn graph(&self, known: &KnownTables) -> (Graph, Vec<Problem>) {
        graph(&self.project, known)
    }

    /// Tables of the sources as last seen; a source never seen may have any table.
    pub fn known_tables(&self) -> Result<KnownTables, Failure> {
        known_tables(&self.project)
    }
}

/// See [`Home::graph`].
pub fn graph(project: &Project, known: &KnownTables) -> (Graph, Vec<Problem>) {
    let built = Graph::build(project, &Front, known);
    (built.graph, built.problems)
}

/// See [`Home::known_tables`].
pub fn known_tables(project: &Project) -> Result<KnownTables, Failure> {
    let mut known = KnownTables::new();
    let path = project.state_folder().join(DATABASE_FILE);
    let rows = if path.exists() {
        let store = Store::open_for_reading(&path).map_err(|error| Failure::from(error.problem()))?;
        store.read_blocking(|db| sync_tables::list(db, None)).map_err(|error| Failure::from(error.problem()))?
    } else {
        Vec::new()
    };
    for topic in &project.topics {
        for table in naru_topics::tables(&topic.name) {
            known.add(table);
        }
    }
    for source in &project.sources {
        let mut seen = false;
        for row in rows.iter().filter(|row| row.source == source.name) {
            seen = true;
            known.add(row.lake.clone());
        }
        if !seen {
            known.add_unseen_source(&source.name, &source.dataset);
        }
    }
    Ok(known)
}
