//! What a schema's text means.
//!
//! Owns: [`Definition`], over Avro and Protocol Buffers. Never stores anything.

use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor};
use protox::file::{File, FileResolver, GoogleFileResolver};

use super::avro::Avro;
use crate::generated::google::pubsub::v1::{Encoding, schema::Type};

/// The name that a definition in Protocol Buffers has while it is compiled.
const FILE: &str = "schema.proto";

/// A schema that was understood.
#[derive(Debug)]
pub enum Definition {
    /// Avro.
    Avro(Avro),
    /// One message of Protocol Buffers.
    Protobuf(MessageDescriptor),
}

impl Definition {
    /// Reads a text.
    ///
    /// # Errors
    /// Why it is no schema, for people.
    pub fn parse(kind: Type, text: &str) -> Result<Self, String> {
        match kind {
            Type::Unspecified => Err("the type must be AVRO or PROTOCOL_BUFFER".to_owned()),
            Type::Avro => Avro::parse(text).map(Self::Avro),
            Type::ProtocolBuffer => compiled(text).map(Self::Protobuf),
        }
    }

    /// Checks a message's bytes.
    ///
    /// # Errors
    /// Where and why it does not fit; never its values.
    pub fn check(&self, bytes: &[u8], encoding: Encoding) -> Result<(), String> {
        match (self, encoding) {
            (_, Encoding::Unspecified) => Err("the encoding must be JSON or BINARY".to_owned()),
            (Self::Avro(schema), Encoding::Binary) => schema.check_binary(bytes),
            (Self::Avro(schema), Encoding::Json) => schema.check_json(bytes),
            (Self::Protobuf(message), Encoding::Binary) => {
                let read = DynamicMessage::decode(message.clone(), bytes);
                read.map(|_| ()).map_err(|_| format!("it is no encoded {}", message.full_name()))
            }
            (Self::Protobuf(message), Encoding::Json) => {
                let mut json = serde_json::Deserializer::from_slice(bytes);
                let options = DeserializeOptions::new().deny_unknown_fields(true);
                let read = DynamicMessage::deserialize_with_options(message.clone(), &mut json, &options);
                let place = |error: &serde_json::Error| format!("line {}, column {}", error.line(), error.column());
                read.map_err(|error| format!("it is no JSON of {} at {}", message.full_name(), place(&error)))?;
                json.end().map_err(|_| "something follows the end".to_owned())
            }
        }
    }
}

/// A definition as the only file there is, beside Google's well-known ones.
#[derive(Debug)]
struct Only(String);

impl FileResolver for Only {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == FILE { File::from_source(name, &self.0) } else { GoogleFileResolver::new().open_file(name) }
    }
}

fn compiled(text: &str) -> Result<MessageDescriptor, String> {
    let mut compiler = protox::Compiler::with_file_resolver(Only(text.to_owned()));
    compiler.include_imports(true);
    compiler.open_file(FILE).map_err(|error| error.to_string())?;
    let pool = compiler.descriptor_pool();
    let messages: Vec<MessageDescriptor> =
        pool.get_file_by_name(FILE).map(|file| file.messages().collect()).unwrap_or_default();
    match messages.as_slice() {
        [one] => Ok(one.clone()),
        _ => Err(format!("it must have exactly one top-level message, and has {}", messages.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_buffers_are_checked_in_both_encodings() {
        let text = "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\";\n\
                    message Order { string id = 1; int64 won = 2; google.protobuf.Timestamp at = 3; }";
        let schema = Definition::parse(Type::ProtocolBuffer, text).unwrap();
        let fits = br#"{"id": "a", "won": "5", "at": "2026-11-23T00:00:00Z"}"#;
        assert_eq!(schema.check(fits, Encoding::Json), Ok(()));
        for bad in [&b"{\"id\": 5}"[..], b"{\"idd\": \"a\"}", b"{} {}", b"", b"[]"] {
            assert!(schema.check(bad, Encoding::Json).is_err());
        }
        assert_eq!(schema.check(&[0x0a, 1, b'a', 0x10, 5], Encoding::Binary), Ok(()));
        assert!(schema.check(&[0x0a, 9, b'a'], Encoding::Binary).is_err());
        for bad in ["", "message A {} message B {}", "message", "import \"other.proto\"; message A {}"] {
            assert!(Definition::parse(Type::ProtocolBuffer, bad).is_err(), "{bad}");
        }
    }
}
