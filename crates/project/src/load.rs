//! Reading a whole project folder.
//!
//! Owns: [`Project`], [`Loaded`], which files are read and in which order, and mistakes that take two files to make.
//! Never stops at the first mistake; a file that cannot be read hides only itself.
//! Read next: [`crate::settings`], [`crate::source`], [`crate::mart`].

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use naru_base::{Problem, TableId};

use crate::{
    access_file::{self, ACCESS_FILE, AccessFile},
    environment::Environment,
    init::FOLDERS,
    intake,
    mart::{self, CheckFile, FunctionFile, Mart},
    mistake::{Mistake, Report},
    names,
    section::{Reading, nearest},
    settings::{self, SETTINGS_FILE, Settings},
    source::{self, Source},
    text::SourceText,
    toml_text,
    topic::{self, Topic},
};

/// Size of one file; a longer one is not a text someone wrote.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Folders below `marts/`; a deeper one is a loop of links.
const FOLDER_DEPTH_MAX: usize = 16;

/// State of naru in a project folder.
pub const STATE_FOLDER: &str = ".naru";

/// A project folder as typed values.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder with `naru.toml`, absolute.
    pub root: PathBuf,
    /// `naru.toml`.
    pub settings: Settings,
    /// `access.toml`, where there is one.
    pub access: Option<AccessFile>,
    /// `sources/*.toml`, by name.
    pub sources: Vec<Source>,
    /// `topics/*.toml`, by name.
    pub topics: Vec<Topic>,
    /// `marts/**/*.sql`, by path.
    pub marts: Vec<Mart>,
    /// `functions/*.sql`, by name.
    pub functions: Vec<FunctionFile>,
    /// `checks/*.sql`, by name.
    pub checks: Vec<CheckFile>,
}

/// A folder that was read: what could be made of it, and everything wrong with it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// `None` only when there is no readable `naru.toml`. Beside problems, wrong values are their defaults; such a
    /// project is for checking further, never for running.
    pub project: Option<Project>,
    /// Mistakes, in the order of files and lines.
    pub problems: Vec<Problem>,
    /// Worth knowing, not wrong.
    pub notes: Vec<Problem>,
}

impl Loaded {
    /// The project when nothing is wrong with it.
    pub fn sound(self) -> Result<Project, Vec<Problem>> {
        match self.project {
            Some(project) if self.problems.is_empty() => Ok(project),
            _ => Err(self.problems),
        }
    }
}

impl Project {
    /// The nearest folder with a `naru.toml`, from `start` upwards, absolute.
    pub fn find(start: &Path) -> Result<PathBuf, Mistake> {
        let absolute = std::path::absolute(start).unwrap_or_else(|_| start.to_path_buf());
        let found = absolute.ancestors().find(|folder| folder.join(SETTINGS_FILE).is_file()).map(Path::to_path_buf);
        found.ok_or(Mistake::NoProject { start: absolute })
    }

    /// Reads every file of a project folder. Touches nothing and connects to nothing.
    pub fn load(root: &Path, environment: &Environment) -> Loaded {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
        let mut folder = Folder { root: &root, environment, report: Report::default() };
        let project = folder.read();
        let Report { mut problems, mut notes } = folder.report;
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        problems.dedup();
        notes.sort_by(|a, b| a.place.cmp(&b.place));
        Loaded { project, problems, notes }
    }

    /// State of naru for this project: database, lock, spool, logs.
    pub fn state_folder(&self) -> PathBuf {
        self.root.join(STATE_FOLDER)
    }

    /// The lake's folder, absolute.
    pub fn lake_folder(&self) -> PathBuf {
        self.root.join(&self.settings.lake.location)
    }

    /// A source by name.
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.name == name)
    }

    /// A mart by table.
    pub fn mart(&self, id: &TableId) -> Option<&Mart> {
        self.marts.iter().find(|mart| mart.id == *id)
    }

    /// Tables of sources that marts or other sources also make. `tables` are the tables last seen, with the name of
    /// their source; the folder alone does not know them.
    pub fn collisions(&self, tables: &[(&str, TableId)]) -> Vec<Problem> {
        let mut report = Report::default();
        let file_of = |name: &str| self.source(name).map(|source| source.place.file.clone()).unwrap_or_default();
        for (at, (source, id)) in tables.iter().enumerate() {
            if let Some(mart) = self.mart(id) {
                collide(&mut report, id.to_string(), mart.sql.source.file(), &file_of(source));
            }
            let other = tables.iter().take(at).find(|(earlier, other)| other == id && earlier != source);
            if let Some((earlier, _)) = other {
                collide(&mut report, id.to_string(), &file_of(source), &file_of(earlier));
            }
        }
        report.problems
    }
}

fn collide(report: &mut Report, name: String, this: &Path, other: &Path) {
    report.add_file(this, Mistake::Collision { name, this: this.to_path_buf(), other: other.to_path_buf() });
}

/// One reading of a folder.
struct Folder<'a> {
    root: &'a Path,
    environment: &'a Environment,
    report: Report,
}

impl Folder<'_> {
    fn read(&mut self) -> Option<Project> {
        let text = self.text(Path::new(SETTINGS_FILE))?;
        let settings = self.toml(&text, settings::read);
        self.note_unread_folders();
        let access = self.access();
        let sources = self.read_toml_folder("sources", source::read);
        let topics = self.read_toml_folder("topics", topic::read);
        let check_paths = self.files("checks", "sql", false);
        let check_names: Vec<String> = check_paths.iter().map(|path| names::nfc(&path.to_string_lossy())).collect();
        let checks = self.read_sql(&check_paths, mart::read_check);
        let function_paths = self.files("functions", "sql", false);
        let functions = self.read_sql(&function_paths, mart::read_function);
        let mut marts = Vec::new();
        for path in self.files("marts", "sql", true) {
            let Some(text) = self.text(&path) else { continue };
            let below = path.strip_prefix("marts").unwrap_or(&path).to_path_buf();
            marts.extend(mart::read(text, &below, &settings.timezone, &check_names, &mut self.report));
        }
        let root = self.root.to_path_buf();
        let project = Project { root, settings, access, sources, topics, marts, functions, checks };
        self.report_collisions(&project);
        self.note_unknown_datasets(&project);
        Some(project)
    }

    /// Datasets in `access.toml` that nothing of the folder makes: they may come later, or be misspelt.
    fn note_unknown_datasets(&mut self, project: &Project) {
        let Some(access) = &project.access else { return };
        let mut known: Vec<&str> = project.marts.iter().map(|mart| mart.id.dataset.as_str()).collect();
        known.extend(names::RESERVED_DATASETS);
        known.extend(project.sources.iter().map(|source| source.dataset.as_str()));
        let of_source = |name: &str| {
            let mut bases = project.sources.iter().map(|source| source.dataset.as_str());
            bases.any(|base| name.strip_prefix(base).is_some_and(|rest| rest.starts_with('_')))
        };
        for (name, place) in access.datasets().filter(|(name, _)| !known.contains(name) && !of_source(name)) {
            let mistake =
                Mistake::UnknownDataset { name: name.to_owned(), nearest: nearest(name, known.iter().copied()) };
            self.report.notes.push(mistake.problem().at(place.clone()));
        }
    }

    /// `access.toml`; a link to nothing is a file that cannot be read, not one that is not there.
    fn access(&mut self) -> Option<AccessFile> {
        let path = Path::new(ACCESS_FILE);
        self.root.join(path).symlink_metadata().ok()?;
        let text = self.text(path)?;
        Some(self.toml(&text, access_file::read))
    }

    /// Reads one file of text; one that is not there, too long or not UTF-8 is a problem.
    fn text(&mut self, path: &Path) -> Option<SourceText> {
        match read_text(&self.root.join(path)) {
            Ok(text) => Some(SourceText::new(path, &text)),
            Err(why) => {
                self.report.add_file(path, Mistake::Unreachable { what: "read", file: path.to_path_buf(), why });
                None
            }
        }
    }

    fn toml<T>(&mut self, text: &SourceText, read: impl FnOnce(&mut Reading<'_>, &crate::node::Node) -> T) -> T {
        let node = toml_text::parse(text, &mut self.report);
        let environment = Some(self.environment);
        let mut reading = Reading { text, root: self.root, environment, report: &mut self.report };
        read(&mut reading, &node)
    }

    fn read_toml_folder<T>(
        &mut self,
        folder: &str,
        read: fn(&mut Reading<'_>, &crate::node::Node, String) -> Option<T>,
    ) -> Vec<T> {
        let mut values = Vec::new();
        for path in self.files(folder, "toml", false) {
            let Some(text) = self.text(&path) else { continue };
            let name = names::stem(&path);
            values.extend(self.toml(&text, |reading, node| read(reading, node, name)));
        }
        values
    }

    fn read_sql<T>(&mut self, paths: &[PathBuf], read: fn(SourceText, &mut Report) -> T) -> Vec<T> {
        let mut values = Vec::new();
        for path in paths {
            let Some(text) = self.text(path) else { continue };
            values.push(read(text, &mut self.report));
        }
        values
    }

    /// Files with an ending, sorted, relative to the project; others become notes.
    fn files(&mut self, folder: &str, ending: &str, deep: bool) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![(PathBuf::from(folder), 0)];
        while let Some((inside, depth)) = folders.pop() {
            for (path, is_folder) in self.entries(&inside) {
                let ignored = |hint: String| Mistake::IgnoredFile { file: path.clone(), hint };
                if is_folder && deep && depth < FOLDER_DEPTH_MAX {
                    folders.push((path, depth + 1));
                } else if is_folder {
                    self.report.note_file(&path, ignored(format!("Files of {folder}/ stand directly in it.")));
                } else if path.extension().is_some_and(|found| found == ending) {
                    files.push(path);
                } else if !is_prose(&path) {
                    self.report.note_file(&path, ignored(format!("Files of {folder}/ end in .{ending}.")));
                }
            }
        }
        files.sort();
        files
    }

    /// What is in a folder, relative to the project, without hidden files; nothing when it is not there.
    fn entries(&mut self, folder: &Path) -> Vec<(PathBuf, bool)> {
        let absolute = self.root.join(folder);
        if !absolute.exists() {
            return Vec::new();
        }
        let listed = fs::read_dir(&absolute).and_then(|entries| {
            entries.map(|entry| entry.map(|e| (e.file_name(), e.path().is_dir()))).collect::<Result<Vec<_>, _>>()
        });
        match listed {
            Ok(names) => names
                .into_iter()
                .filter(|(name, _)| !name.to_string_lossy().starts_with('.'))
                .map(|(name, is_folder)| (folder.join(name), is_folder))
                .collect(),
            Err(error) => {
                let why = error.to_string();
                let mistake = Mistake::Unreachable { what: "read", file: folder.to_path_buf(), why };
                self.report.add_file(folder, mistake);
                Vec::new()
            }
        }
    }

    /// `source/` beside no `sources/` is a slip worth a note.
    fn note_unread_folders(&mut self) {
        for (path, is_folder) in self.entries(Path::new("")) {
            let name = path.to_string_lossy().into_owned();
            if !is_folder || FOLDERS.contains(&name.as_str()) {
                continue;
            }
            if let Some(near) = nearest(&name, FOLDERS).filter(|near| !self.root.join(near).exists()) {
                let hint = format!("Did you mean {near}/?");
                self.report.note_file(&path, Mistake::IgnoredFile { file: path.clone(), hint });
            }
        }
    }

    /// Names that two files of the folder give.
    fn report_collisions(&mut self, project: &Project) {
        let mut taken: Vec<(String, &Path)> = Vec::new();
        for mart in &project.marts {
            taken.push((mart.id.to_string(), mart.sql.source.file()));
        }
        for source in &project.sources {
            taken.push((format!("dataset {}", source.dataset), &source.place.file));
        }
        for topic in &project.topics {
            taken.push((format!("topics.{}", topic.name), &topic.place.file));
            taken.push((format!("topics.{}", topic::dead_letters(&topic.name)), &topic.place.file));
        }
        for check in &project.checks {
            taken.push((format!("check {}", check.name), check.sql.source.file()));
        }
        intake::report_rivals(&mut self.report, project.settings.intake.keys, &project.topics);
        let mut first = HashMap::new();
        for (name, file) in taken {
            match first.get(&name) {
                None => drop(first.insert(name, file)),
                Some(earlier) => collide(&mut self.report, name, file, earlier),
            }
        }
    }
}

/// Files people keep beside others: never worth a note.
fn is_prose(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "md" || ending == "txt")
}

pub(crate) fn read_text(file: &Path) -> Result<String, String> {
    let size = fs::metadata(file).map_err(|error| error.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("it has {size} bytes, more than the {FILE_BYTES_MAX} a file may have"));
    }
    let bytes = fs::read(file).map_err(|error| error.to_string())?;
    String::from_utf8(bytes)
        .map_err(|error| format!("it is not UTF-8 text from byte {} on", error.utf8_error().valid_up_to()))
}
