//! A project folder with topics, and topics that are open.

use std::path::{Path, PathBuf};

use arrow::util::pretty::pretty_format_batches;
use bytes::Bytes;
use datafusion::prelude::SessionContext;
use jiff::tz::TimeZone;
use naru_base::TableId;
use naru_lake::{Lake, LakeSettings, ScanOptions};
use naru_project::{Environment, Project, Topic};
use naru_store::Store;
use naru_topics::{Incoming, Topics, TopicsSettings, log::LogSettings};

/// A project folder with topics.
pub struct World {
    folder: Folder,
    pub log: LogSettings,
}

/// Where it lies, and who removes it.
enum Folder {
    Own(tempfile::TempDir),
    Anothers(PathBuf),
}

/// Topics that are open.
pub struct Open {
    pub topics: Topics,
    pub lake: Lake,
}

fn log_settings() -> LogSettings {
    LogSettings { segment_bytes: 1 << 20, free_min: 0, ..LogSettings::default() }
}

impl World {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let world = Self { folder: Folder::Own(tempfile::tempdir().unwrap()), log: log_settings() };
        std::fs::write(world.path().join("naru.toml"), "[project]\nname = \"acme\"\n").unwrap();
        std::fs::create_dir(world.path().join("topics")).unwrap();
        for (name, text) in files {
            world.write(name, text);
        }
        world
    }

    /// The folder of another process.
    pub fn at(path: &Path) -> Self {
        Self { folder: Folder::Anothers(path.to_owned()), log: log_settings() }
    }

    pub fn path(&self) -> &Path {
        match &self.folder {
            Folder::Own(folder) => folder.path(),
            Folder::Anothers(path) => path,
        }
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join("topics").join(format!("{name}.toml")), text).unwrap();
    }

    pub async fn open(&self) -> Open {
        self.open_with(self.declared()).await
    }

    /// The files as they are now.
    pub fn declared(&self) -> Vec<Topic> {
        let loaded = Project::load(self.path(), &Environment::default());
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        loaded.project.unwrap().topics
    }

    /// Opens topics that files need not say.
    pub async fn open_with(&self, declared: Vec<Topic>) -> Open {
        let state = self.path().join(".naru");
        std::fs::create_dir_all(&state).unwrap();
        let lake = LakeSettings { location: "lake".into(), base: self.path().to_owned(), cache: state.join("cache") };
        let lake = Lake::open(lake).await.unwrap();
        let settings = TopicsSettings {
            project: "acme".into(),
            zone: TimeZone::UTC,
            folder: state.join("topics"),
            declared,
            store: Store::open(&state.join("naru.db")).unwrap(),
            lake: lake.clone(),
            live: naru_lake::live::LiveSettings::default(),
            log: self.log.clone(),
        };
        Open { topics: Topics::open(settings).await.unwrap(), lake }
    }
}

impl Open {
    pub async fn send(&self, topic: &str, events: &[&str]) -> u64 {
        let events: Vec<Incoming> = events
            .iter()
            .map(|text| Incoming { data: Bytes::copy_from_slice(text.as_bytes()), ..Incoming::default() })
            .collect();
        self.topics.publish(&self.topics.get(topic).unwrap(), &events).await.unwrap()
    }

    pub async fn settle(&self, topic: &str) {
        self.topics.settle(&self.topics.get(topic).unwrap()).await.unwrap();
    }

    /// What people see of a query over `t`.
    pub async fn rows(&self, table: &str, query: &str, hidden: bool) -> String {
        let view = self.topics.set().snapshot().tables[&TableId::new("topics", table)].clone();
        let context = SessionContext::new();
        self.lake.register(&context.runtime_env());
        context.register_table("t", view.provider(&ScanOptions { hidden, current: true }).unwrap()).unwrap();
        let rows = context.sql(query).await.unwrap().collect().await.unwrap();
        pretty_format_batches(&rows).unwrap().to_string()
    }
}
