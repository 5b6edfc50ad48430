//! Names of datasets and tables that come from file names.
//!
//! Owns: Unicode form, allowed characters, reserved datasets, and how a mart's path becomes `dataset.table`.
//! Never decides what a source's tables are called in the lake beyond their dataset; escaping is the lake's.

use std::path::{Component, Path};

use naru_base::TableId;
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use crate::mistake::Mistake;

/// Datasets that belong to naru itself, in any case.
pub const RESERVED_DATASETS: [&str; 3] = ["topics", "naru", "information_schema"];

/// Characters a dataset or table name may have; file systems stop at 255 bytes.
const NAME_CHARACTERS_MAX: usize = 80;

/// Brings a name into Unicode's composed form, in which all names are compared and stored.
pub fn nfc(name: &str) -> String {
    if is_nfc(name) { name.to_owned() } else { name.nfc().collect() }
}

/// Whether a dataset belongs to naru.
pub fn is_reserved(dataset: &str) -> bool {
    RESERVED_DATASETS.iter().any(|reserved| reserved.eq_ignore_ascii_case(dataset))
}

/// Checks a name that came from a file, in NFC: letters of any script, digits, `_` and `-`, first not `-`.
pub(crate) fn checked(name: &str, what: &'static str) -> Result<String, Mistake> {
    let name = nfc(name);
    let fits =
        |c: char| c.is_alphanumeric() || c == '_' || c == '-' || unicode_normalization::char::is_combining_mark(c);
    let sound = !name.is_empty()
        && name.chars().count() <= NAME_CHARACTERS_MAX
        && !name.starts_with('-')
        && !name.starts_with("_naru_")
        && name.chars().all(fits);
    if sound { Ok(name) } else { Err(Mistake::BadName { name, what }) }
}

/// Checks a dataset's name and that it is free for people to use.
pub(crate) fn checked_dataset(name: &str) -> Result<String, Mistake> {
    let dataset = checked(name, "dataset")?;
    if is_reserved(&dataset) { Err(Mistake::ReservedDataset { dataset }) } else { Ok(dataset) }
}

/// A file's name without its ending, in NFC.
pub(crate) fn stem(file: &Path) -> String {
    nfc(&file.file_stem().unwrap_or_default().to_string_lossy())
}

/// The table of a mart file, from its path below `marts/`: `a/x.sql` → `a.x`, `a/b/x.sql` → `a_b.x`.
pub(crate) fn mart_id(below_marts: &Path) -> Result<TableId, Mistake> {
    let table = stem(below_marts);
    let folders: Vec<String> = below_marts
        .parent()
        .into_iter()
        .flat_map(Path::components)
        .filter_map(|part| match part {
            Component::Normal(name) => Some(nfc(&name.to_string_lossy())),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
        })
        .collect();
    if folders.is_empty() {
        return Err(Mistake::MartWithoutDataset { name: table });
    }
    for folder in &folders {
        checked(folder, "dataset")?;
    }
    Ok(TableId::new(checked_dataset(&folders.join("_"))?, checked(&table, "table")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marts_path_is_its_name() {
        let id = |path: &str| mart_id(Path::new(path));
        assert_eq!(id("a/x.sql"), Ok(TableId::new("a", "x")));
        assert_eq!(id("a/b/x.sql"), Ok(TableId::new("a_b", "x")));
        assert_eq!(id("매출/일별.sql"), Ok(TableId::new("매출", "일별")));
        let decomposed: String = "매출/일별.sql".nfd().collect();
        assert_eq!(id(&decomposed), Ok(TableId::new("매출", "일별")));
        assert!(matches!(id("x.sql"), Err(Mistake::MartWithoutDataset { .. })));
        assert!(matches!(id("Topics/x.sql"), Err(Mistake::ReservedDataset { .. })));
        assert!(matches!(id("information/schema/x.sql"), Err(Mistake::ReservedDataset { .. })));
        for bad in ["a b/x.sql", "a/x y.sql", "a/-x.sql", "a/x.y.sql", "a/_naru_x.sql"] {
            assert!(matches!(id(bad), Err(Mistake::BadName { .. })), "{bad}");
        }
    }
}
