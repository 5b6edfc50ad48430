//! A project folder with topics.

use std::{path::Path, time::Duration};

use jiff::tz::TimeZone;
use naru_lake::{Lake, LakeSettings};
use naru_project::{Environment, Project};
use naru_store::Store;
use naru_topics::{Topics, TopicsSettings, log::LogSettings};

/// Makes a project folder of topics' files.
pub fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("naru.toml"), "[project]\nname = \"acme\"\n").unwrap();
    std::fs::create_dir(folder.path().join("topics")).unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join("topics").join(format!("{name}.toml")), text).unwrap();
    }
    folder
}

/// Opens the topics of a folder.
pub async fn open(folder: &Path, environment: &Environment) -> (Topics, Lake) {
    let loaded = Project::load(folder, environment);
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    let state = folder.join(".naru");
    std::fs::create_dir_all(&state).unwrap();
    let lake = LakeSettings { location: "lake".into(), base: folder.to_owned(), cache: state.join("cache") };
    let lake = Lake::open(lake).await.unwrap();
    let settings = TopicsSettings {
        project: "acme".into(),
        zone: TimeZone::UTC,
        folder: state.join("topics"),
        declared: loaded.project.unwrap().topics,
        store: Store::open(&state.join("naru.db")).unwrap(),
        lake: lake.clone(),
        live: naru_lake::live::LiveSettings::default(),
        log: LogSettings { segment_bytes: 4 << 20, free_min: 0, ..LogSettings::default() },
    };
    (Topics::open(settings).await.unwrap(), lake)
}

/// Waits until something is so.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_mins(2), async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"));
}
