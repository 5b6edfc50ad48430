//! Protocol Buffers source files.
//!
//! Owns: which message is the event, and how fields become columns. Events of a topic are JSON, as protobuf's JSON
//! mapping writes it: 64-bit integers as text, bytes as base64, enums by name.

use std::path::{Path, PathBuf};

use prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
};

use super::{
    Format, Gathering, ImportError, Member,
    types::{self, Type},
};

pub(super) fn read(file: &Path, message: Option<&str>, gathering: &mut Gathering) -> Result<(), ImportError> {
    let malformed = |reason: String| ImportError::Malformed { file: file.to_owned(), format: Format::Protobuf, reason };
    let (pool, name) = compile(file).map_err(|error| malformed(error.to_string()))?;
    let described = pool.get_file_by_name(&name).ok_or_else(|| malformed("it was not compiled".into()))?;
    let event = choose(file, &described, message)?;
    if let Some(comment) = comment(&described, event.path()) {
        gathering.note(format!("is described as: {comment}"));
    }
    let renamed = event.fields().any(|field| field.json_name() != field.name());
    if renamed {
        gathering.note(
            "has names such as user_id; a sender's JSON must use them too (protobuf's own JSON writes userId unless told \
             to keep the names of the file)",
        );
    }
    let mut reader = Reader { within: Vec::new(), gathering };
    let members = reader.members(&event);
    gathering.row(members);
    Ok(())
}

/// Compiles the file; what it imports is looked for beside it, and the well-known types are known.
fn compile(file: &Path) -> Result<(DescriptorPool, String), protox::Error> {
    let folder =
        file.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or(PathBuf::from("."), Path::to_owned);
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut compiler = protox::Compiler::new([folder])?;
    compiler.include_source_info(true).include_imports(true).open_file(&name)?;
    Ok((compiler.descriptor_pool(), name))
}

/// The message that is the event: the one asked for, or the only one that is no part of another.
fn choose(file: &Path, described: &FileDescriptor, message: Option<&str>) -> Result<MessageDescriptor, ImportError> {
    let all: Vec<MessageDescriptor> = described.messages().collect();
    let names = |some: &[MessageDescriptor]| some.iter().map(|one| one.name().to_owned()).collect::<Vec<_>>();
    if let Some(wanted) = message {
        let found = all.iter().find(|one| one.name() == wanted || one.full_name() == wanted);
        return found.cloned().ok_or_else(|| ImportError::Lacks {
            file: file.to_owned(),
            message: wanted.to_owned(),
            names: names(&all),
        });
    }
    let is_part = |one: &MessageDescriptor| {
        all.iter().any(|other| {
            other != one && other.fields().any(|field| matches!(field.kind(), Kind::Message(part) if part == *one))
        })
    };
    let tops: Vec<MessageDescriptor> = all.iter().filter(|one| !is_part(one)).cloned().collect();
    match tops.as_slice() {
        [one] => Ok(one.clone()),
        [] if all.is_empty() => Err(ImportError::Empty { file: file.to_owned() }),
        _ => Err(ImportError::Several { file: file.to_owned(), names: names(&all) }),
    }
}

/// The comment that stands before (or behind) what lies at `path` in the file.
fn comment(file: &FileDescriptor, path: &[i32]) -> Option<String> {
    let info = file.file_descriptor_proto().source_code_info.as_ref()?;
    let place = info.location.iter().find(|place| place.path == path)?;
    let text =
        [place.leading_comments(), place.trailing_comments()].into_iter().find(|text| !text.trim().is_empty())?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

struct Reader<'g> {
    /// Messages that are being read, outermost first: one that is in itself would have no end.
    within: Vec<MessageDescriptor>,
    gathering: &'g mut Gathering,
}

impl Reader<'_> {
    fn members(&mut self, message: &MessageDescriptor) -> Vec<Member> {
        self.within.push(message.clone());
        let members = message.fields().map(|field| self.member(&field)).collect();
        self.within.pop();
        members
    }

    fn member(&mut self, field: &FieldDescriptor) -> Member {
        self.gathering.path.push(field.name().to_owned());
        if let Some(oneof) = field.containing_oneof().filter(|oneof| oneof.fields().count() > 1) {
            self.gathering
                .note(format!("is one of \"{}\", of which only one may be there; that is not checked", oneof.name()));
        }
        if field.is_group() {
            self.gathering.note("is a group, which protobuf's JSON writes as an object");
        }
        let kind = if field.is_map() {
            self.gathering.json("it is a map, whose keys are no columns")
        } else {
            let kind = self.kind(&field.kind());
            if field.is_list() { self.gathering.array(kind) } else { kind }
        };
        self.gathering.path.pop();
        Member {
            name: field.name().to_owned(),
            kind,
            required: field.cardinality() == Cardinality::Required,
            description: comment(&field.parent_file(), field.path()),
        }
    }

    fn kind(&mut self, kind: &Kind) -> Type {
        match kind {
            Kind::Bool => types::BOOL,
            Kind::String => types::STRING,
            Kind::Bytes => types::BYTES,
            Kind::Double | Kind::Float => types::FLOAT64,
            Kind::Int32
            | Kind::Int64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Sfixed32
            | Kind::Sfixed64
            | Kind::Uint32
            | Kind::Fixed32 => types::INT64,
            Kind::Uint64 | Kind::Fixed64 => {
                self.gathering.note("is NUMERIC: INT64 ends at 2^63");
                Type::Scalar("NUMERIC")
            }
            Kind::Enum(values) => self.names(values),
            Kind::Message(message) => self.message(message),
        }
    }

    fn names(&mut self, values: &EnumDescriptor) -> Type {
        if values.full_name() == "google.protobuf.NullValue" {
            return self.gathering.json("it is always null");
        }
        let names: Vec<String> = values.values().map(|value| value.name().to_owned()).collect();
        self.gathering.note(format!("is one of {}, which is not checked", names.join(", ")));
        types::STRING
    }

    fn message(&mut self, message: &MessageDescriptor) -> Type {
        match message.full_name() {
            "google.protobuf.Timestamp" => Type::Scalar("TIMESTAMP"),
            "google.protobuf.Duration" => {
                self.gathering.note("is STRING: protobuf's JSON writes a duration as \"3.5s\"");
                types::STRING
            }
            "google.protobuf.FieldMask" | "google.protobuf.StringValue" => types::STRING,
            "google.protobuf.BoolValue" => types::BOOL,
            "google.protobuf.BytesValue" => types::BYTES,
            "google.protobuf.DoubleValue" | "google.protobuf.FloatValue" => types::FLOAT64,
            "google.protobuf.Int32Value" | "google.protobuf.Int64Value" | "google.protobuf.UInt32Value" => types::INT64,
            "google.protobuf.UInt64Value" => self.kind(&Kind::Uint64),
            name if name.starts_with("google.protobuf.") => self.gathering.json(format!("it is {name}")),
            name if self.within.contains(message) => self.gathering.json(format!("{name} is in itself")),
            _ => {
                let members = self.members(message);
                self.gathering.structure(members)
            }
        }
    }
}
