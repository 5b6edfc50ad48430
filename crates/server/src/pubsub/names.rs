//! Names of resources: `projects/P/topics/T` and its relatives.
//!
//! Owns: reading and writing them. naru serves one project: every project id means this project, and answers carry
//! the id that the request had, so that a program moves over without changing its names.

use tonic::Status;

/// What Google puts where a subscription's topic was.
pub(super) const DELETED_TOPIC: &str = "_deleted-topic_";

/// A kind of resource, as its collection is called in names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Topics,
    Subscriptions,
    Snapshots,
    Schemas,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Topics => "topics",
            Self::Subscriptions => "subscriptions",
            Self::Snapshots => "snapshots",
            Self::Schemas => "schemas",
        }
    }
}

/// A name that was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) project: &'a str,
    pub(super) id: &'a str,
}

/// Reads a resource's name; of an existing resource the id may have any form.
pub(super) fn read(kind: Kind, name: &str) -> Result<Name<'_>, Status> {
    let mut parts = name.splitn(4, '/');
    let project = (parts.next() == Some("projects")).then(|| parts.next()).flatten();
    let kind_fits = parts.next() == Some(kind.word());
    match (project.filter(|project| !project.is_empty()), kind_fits, parts.next()) {
        (Some(project), true, Some(id)) if !id.is_empty() && !id.contains('/') => Ok(Name { project, id }),
        _ => Err(invalid(kind, name)),
    }
}

/// Reads the name of a resource to be made: 3 to 255 letters, digits and `-_.~+%`, a letter first, not `goog`.
pub(super) fn new(kind: Kind, name: &str) -> Result<Name<'_>, Status> {
    let read = read(kind, name)?;
    let fits = (3..=255).contains(&read.id.len())
        && read.id.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && read.id.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.~+%".contains(letter))
        && !read.id.starts_with("goog");
    if fits { Ok(read) } else { Err(invalid(kind, name)) }
}

/// Reads `projects/P`.
pub(super) fn project(name: &str) -> Result<&str, Status> {
    let project = name.strip_prefix("projects/").filter(|project| !project.is_empty() && !project.contains('/'));
    project.ok_or_else(|| Status::invalid_argument(format!("Invalid project name: (name={name})")))
}

/// Writes a name.
pub(super) fn write(project: &str, kind: Kind, id: &str) -> String {
    format!("projects/{project}/{}/{id}", kind.word())
}

fn invalid(kind: Kind, name: &str) -> Status {
    Status::invalid_argument(format!("Invalid [{}] name: (name={name})", kind.word()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_google_reads_them() {
        assert_eq!(read(Kind::Topics, "projects/p/topics/t").unwrap(), Name { project: "p", id: "t" });
        assert!(new(Kind::Topics, "projects/p/topics/a.b-c_d~e+f%20").is_ok());
        for bad in [
            "",
            "topics/t",
            "projects/p/topics/",
            "projects//topics/t",
            "projects/p/subscriptions/t",
            "projects/p/topics/a/b",
        ] {
            assert!(read(Kind::Topics, bad).is_err(), "{bad}");
        }
        for bad in ["ab", "1abc", "google-x", "ab c", &"a".repeat(256)] {
            assert!(new(Kind::Topics, &format!("projects/p/topics/{bad}")).is_err(), "{bad}");
        }
        assert_eq!(project("projects/p").unwrap(), "p");
        assert!(project("p").is_err() && project("projects/").is_err() && project("projects/p/topics").is_err());
    }
}
