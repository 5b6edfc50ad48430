//! Makes one `#[test]` of every `scripts/<system>/<behaviour>.test`, so that any runner can list and filter them.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    println!("cargo::rerun-if-changed=scripts");
    let mut source = String::from("// Made by build.rs.\n");
    for system in entries(&here.join("scripts"))?.into_iter().filter(|path| path.is_dir()) {
        let mut tests = String::new();
        for script in entries(&system)? {
            if script.extension().is_some_and(|ending| ending == "test") {
                let (folder, file) = (stem(&system), stem(&script));
                let name = file.replace('-', "_");
                writeln!(
                    tests,
                    "    #[test]\n    fn {name}() {{\n        naru_tests::run(\"{folder}/{file}.test\");\n    }}"
                )?;
            }
        }
        if !tests.is_empty() {
            writeln!(source, "mod {} {{\n{tests}}}", stem(&system).replace('-', "_"))?;
        }
    }
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("scripts.rs"), source)?;
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.sort();
    Ok(paths)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
