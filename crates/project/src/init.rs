//! `naru init`: an empty project folder.
//!
//! Owns: what a new folder holds. Never writes into a folder that has anything in it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{mistake::Mistake, names, settings::SETTINGS_FILE, zone::Zone};

/// Folders of a project, in the order in which people meet them.
pub const FOLDERS: [&str; 5] = ["sources", "topics", "marts", "functions", "checks"];

/// What a new project is called and whose clock it follows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InitOptions {
    /// Default: the folder's name, as far as it can be one, else `project`.
    pub name: Option<String>,
    /// An IANA name; default UTC.
    pub timezone: Option<String>,
}

/// Makes an empty project in an empty or new folder and gives the files it wrote, relative to the folder.
///
/// A repeated call fails, since the folder then has something in it. `.git` alone counts as empty.
pub fn init(folder: &Path, options: &InitOptions) -> Result<Vec<PathBuf>, Mistake> {
    let name = match &options.name {
        Some(name) => names::checked(name, "project")?,
        None => name_of(folder),
    };
    let timezone = options.timezone.as_deref().unwrap_or("UTC");
    if Zone::find(timezone).is_none() {
        return Err(Mistake::BadValue {
            key: "timezone".to_owned(),
            wanted: "a time zone".to_owned(),
            why: None,
            hint: Some("Write an IANA name such as Asia/Seoul or UTC.".to_owned()),
        });
    }
    refuse_occupied(folder)?;
    let wrong = |file: &Path| {
        let file = file.to_path_buf();
        move |error: io::Error| Mistake::Unreachable { what: "write", file, why: error.to_string() }
    };
    let mut written = Vec::new();
    for inside in FOLDERS {
        // git keeps no empty folder; the marker is not read by anything.
        let marker = Path::new(inside).join(".gitkeep");
        fs::create_dir_all(folder.join(inside)).map_err(wrong(Path::new(inside)))?;
        fs::write(folder.join(&marker), "").map_err(wrong(&marker))?;
        written.push(marker);
    }
    // naru.toml comes last: a folder that has it is complete.
    for (file, text) in [(".gitignore", gitignore()), (SETTINGS_FILE, settings_text(&name, timezone))] {
        fs::write(folder.join(file), text).map_err(wrong(Path::new(file)))?;
        written.push(PathBuf::from(file));
    }
    Ok(written)
}

fn refuse_occupied(folder: &Path) -> Result<(), Mistake> {
    let wrong =
        |error: io::Error| Mistake::Unreachable { what: "read", file: folder.to_path_buf(), why: error.to_string() };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return fs::create_dir_all(folder).map_err(|error| Mistake::Unreachable {
                what: "write",
                file: folder.to_path_buf(),
                why: error.to_string(),
            });
        }
        Err(error) => return Err(wrong(error)),
    };
    for entry in entries {
        let found = entry.map_err(wrong)?.file_name().to_string_lossy().into_owned();
        if found != ".git" {
            return Err(Mistake::FolderNotEmpty { folder: folder.to_path_buf(), found });
        }
    }
    Ok(())
}

/// The folder's own name, with what a name cannot have replaced by `_`.
fn name_of(folder: &Path) -> String {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let fitted: String =
        names::nfc(&name).chars().map(|c| if c.is_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect();
    let fitted = fitted.trim_matches(['_', '-']);
    names::checked(fitted, "project").unwrap_or_else(|_| "project".to_owned())
}

fn gitignore() -> String {
    "# State of naru on this machine, and the lake.\n/.naru/\n/lake/\n".to_owned()
}

fn settings_text(name: &str, timezone: &str) -> String {
    format!(
        "[project]\nname = \"{name}\"\ntimezone = \"{timezone}\"\n\n[lake]\nlocation = \"lake\"\n\n[server]\n\
         http = \"127.0.0.1:6278\"\npostgres = \"127.0.0.1:6279\"\npubsub = \"127.0.0.1:6280\"\n"
    )
}
