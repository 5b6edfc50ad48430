//! Variables and secret files that settings may name.
//!
//! Owns: [`Environment`] and the expansion of `${NAME}` and `${file:/path}`.
//! Never prints what it expanded; a text that took part in an expansion is treated as secret.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use naru_base::{Problem, Secret};

use crate::mistake::Mistake;

/// Bytes of a secret file that are read; a longer one is refused.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The variables a project folder may use, injected so that tests and `naru demo` need not touch the process.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Environment").field(&self.variables.keys().collect::<Vec<_>>()).finish()
    }
}

impl Environment {
    /// The variables of this process; ones that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        let text = |value: std::ffi::OsString| value.into_string().ok();
        Self { variables: std::env::vars_os().filter_map(|(k, v)| Some((text(k)?, text(v)?))).collect() }
    }

    /// Exactly these variables.
    pub fn of<K: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        Self { variables: variables.into_iter().map(|(k, v)| (k.into(), v.into())).collect() }
    }

    /// One more variable.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Expands a setting. `$${` stands for a literal `${`. Secret files are relative to `root`; one newline at
    /// their end is dropped.
    pub(crate) fn expand(&self, root: &Path, key: &str, raw: &str) -> Result<String, Mistake> {
        let unfinished = || Mistake::BadVariable { key: key.to_owned() };
        let mut out = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(at) = rest.find("${") {
            let before = rest.get(..at).unwrap_or_default();
            let after = rest.get(at + 2..).unwrap_or_default();
            if let Some(escaped) = before.strip_suffix('$') {
                out.push_str(escaped);
                out.push_str("${");
                rest = after;
                continue;
            }
            out.push_str(before);
            let (name, tail) = after.split_once('}').ok_or_else(unfinished)?;
            out.push_str(&self.value(root, name).ok_or_else(unfinished)??);
            rest = tail;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Expands a connection URL again, as it is written in a source file: a secret file may hold something newer now.
    ///
    /// # Errors
    /// The variable or the secret file that is missing.
    pub fn url(&self, root: &Path, written: &str) -> Result<Secret, Problem> {
        self.expand(root, "url", written).map(Secret::new).map_err(|mistake| mistake.problem())
    }

    /// One variable or secret file; `None` for an empty name.
    fn value(&self, root: &Path, name: &str) -> Option<Result<String, Mistake>> {
        if let Some(path) = name.strip_prefix("file:") {
            return (!path.is_empty()).then(|| secret_file(&root.join(PathBuf::from(path)), path));
        }
        let missing = || Mistake::MissingVariable { name: name.to_owned() };
        (!name.is_empty()).then(|| self.variables.get(name).cloned().ok_or_else(missing))
    }
}

/// Whether a setting names a variable or a secret file, so that its value must not be shown.
pub(crate) fn expands(raw: &str) -> bool {
    raw.contains("${")
}

fn secret_file(file: &Path, written: &str) -> Result<String, Mistake> {
    let wrong = |why: String| Mistake::MissingSecretFile { path: written.to_owned(), why };
    let size = std::fs::metadata(file).map_err(|e| wrong(e.to_string()))?.len();
    if size > SECRET_BYTES_MAX {
        return Err(wrong(format!("it has {size} bytes, more than the {SECRET_BYTES_MAX} a secret may have")));
    }
    let text = std::fs::read(file).map_err(|e| wrong(e.to_string()))?;
    let text = String::from_utf8(text).map_err(|_| wrong("it is not UTF-8 text".to_owned()))?;
    Ok(text.strip_suffix('\n').map(|t| t.strip_suffix('\r').unwrap_or(t)).map_or_else(|| text.clone(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_expand_and_a_doubled_dollar_stays() {
        let environment = Environment::of([("A", "1"), ("B", "${A}")]);
        let expand = |raw: &str| environment.expand(Path::new("/nowhere"), "url", raw);
        assert_eq!(expand("x${A}y${A}"), Ok("x1y1".to_owned()));
        assert_eq!(expand("${B}"), Ok("${A}".to_owned()), "values are not expanded again");
        assert_eq!(expand("$${A} costs $5"), Ok("${A} costs $5".to_owned()));
        assert_eq!(expand("${C}"), Err(Mistake::MissingVariable { name: "C".into() }));
        for raw in ["${A", "${}", "${file:}"] {
            assert_eq!(expand(raw), Err(Mistake::BadVariable { key: "url".into() }), "{raw}");
        }
        assert!(matches!(expand("${file:gone}"), Err(Mistake::MissingSecretFile { .. })));
    }

    #[test]
    fn a_secret_file_loses_one_newline_and_the_debug_form_shows_only_names() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pw"), "hidden\n\n").unwrap();
        let environment = Environment::of([("A", "hidden")]);
        assert_eq!(environment.expand(folder.path(), "k", "${file:pw}"), Ok("hidden\n".to_owned()));
        assert!(!format!("{environment:?}").contains("hidden"));
    }
}
