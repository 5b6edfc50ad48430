//! JSON to messages and back.
//!
//! Owns: joining path, query and body to one message, as `google.api.http` describes it.

use prost::Message as _;
use prost_reflect::{DeserializeOptions, DynamicMessage, Kind, MessageDescriptor, SerializeOptions};
use serde_json::{Map, Value, value::Serializer};
use tonic::Status;

/// Query parameters that every Google service takes; they change the form of an answer, which has one form here.
const COMMON: [&str; 9] =
    ["alt", "$alt", "key", "prettyPrint", "$prettyPrint", "quotaUser", "access_token", "fields", "$.xgafv"];

/// Makes the bytes of a call's message. `body` is the annotation's: `*`, a field or nothing.
///
/// # Errors
/// `INVALID_ARGUMENT` with what does not fit.
pub(super) fn request_bytes(
    input: &MessageDescriptor,
    body: Option<&str>,
    variables: &[(String, String)],
    query: Option<&str>,
    bytes: &[u8],
) -> Result<Vec<u8>, Status> {
    let mut whole = Map::new();
    if let Some(field) = body {
        let parsed = if bytes.iter().all(u8::is_ascii_whitespace) {
            Value::Object(Map::new())
        } else {
            serde_json::from_slice(bytes)
                .map_err(|error| Status::invalid_argument(format!("Invalid JSON payload received. {error}")))?
        };
        match (field, parsed) {
            ("*", Value::Object(object)) => whole = object,
            ("*", _) => return Err(Status::invalid_argument("Invalid JSON payload received. It must be an object.")),
            (field, value) => {
                whole.insert(field.to_owned(), value);
            }
        }
    }
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    for (name, value) in pairs.filter(|(name, _)| !COMMON.contains(&name.as_ref())) {
        set(input, &mut whole, &name, &value)?;
    }
    for (name, value) in variables {
        set(input, &mut whole, name, value)?;
    }
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let message = DynamicMessage::deserialize_with_options(input.clone(), Value::Object(whole), &options)
        .map_err(|error| Status::invalid_argument(format!("Invalid JSON payload received. {error}")))?;
    Ok(message.encode_to_vec())
}

/// Sets a field by its path to what a text says; a repeated one gets one more value.
fn set(of: &MessageDescriptor, object: &mut Map<String, Value>, path: &str, text: &str) -> Result<(), Status> {
    let unknown = || Status::invalid_argument(format!("Invalid JSON payload received. Unknown name \"{path}\"."));
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let field = of.get_field_by_json_name(name).or_else(|| of.get_field_by_name(name)).ok_or_else(unknown)?;
    // The body may have it under its other name.
    let known = [field.json_name(), field.name()].into_iter().find(|name| object.contains_key(*name));
    let key = known.unwrap_or(field.json_name()).to_owned();
    if let Some(rest) = rest {
        let Kind::Message(inner) = field.kind() else { return Err(unknown()) };
        let entry = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(entry) = entry else { return Err(unknown()) };
        return set(&inner, entry, rest, text);
    }
    let value = match (field.kind(), text) {
        (Kind::Bool, "true" | "1" | "") => Value::Bool(true),
        (Kind::Bool, "false" | "0") => Value::Bool(false),
        (Kind::Enum(_), text) if text.parse::<i32>().is_ok() => text.parse::<i32>().unwrap_or_default().into(),
        _ => Value::String(text.to_owned()),
    };
    if field.is_list() {
        let list = object.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        let Value::Array(list) = list else { return Err(unknown()) };
        list.push(value);
    } else {
        object.insert(key, value);
    }
    Ok(())
}

/// An answer as JSON: names in camel case, 64-bit numbers as texts, defaults left out.
pub(super) fn answer(output: &MessageDescriptor, bytes: &[u8]) -> Result<Value, Status> {
    let internal = |_| Status::internal("an answer that its descriptor does not describe");
    let message = DynamicMessage::decode(output.clone(), bytes).map_err(internal)?;
    let options = SerializeOptions::new();
    message.serialize_with_options(Serializer, &options).map_err(|_| Status::internal("an answer that is no JSON"))
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::generated::google::pubsub::v1 as pb;

    fn input(name: &str) -> MessageDescriptor {
        let pool = crate::pubsub::mask::descriptors().unwrap();
        pool.get_message_by_name(&format!("google.pubsub.v1.{name}")).unwrap()
    }

    #[test]
    fn path_query_and_body_become_one_message() {
        let path = [("topic".to_owned(), "projects/p/topics/t".to_owned())];
        let body = br#"{"messages": [{"data": "aGk=", "attributes": {"a": "b"}, "orderingKey": "k"}]}"#;
        let bytes = request_bytes(&input("PublishRequest"), Some("*"), &path, Some("alt=json"), body).unwrap();
        let request = pb::PublishRequest::decode(bytes.as_slice()).unwrap();
        assert_eq!((request.topic.as_str(), &request.messages[0].data[..]), ("projects/p/topics/t", &b"hi"[..]));
        assert_eq!(request.messages[0].ordering_key, "k");
        let bytes =
            request_bytes(&input("ListTopicsRequest"), None, &[], Some("pageSize=7&page_token=x"), b"").unwrap();
        let request = pb::ListTopicsRequest::decode(bytes.as_slice()).unwrap();
        assert_eq!((request.page_size, request.page_token.as_str()), (7, "x"));
        let path = [("topic.name".to_owned(), "projects/p/topics/t".to_owned())];
        let body = br#"{"topic": {"labels": {"a": "b"}}, "updateMask": "labels"}"#;
        let bytes = request_bytes(&input("UpdateTopicRequest"), Some("*"), &path, None, body).unwrap();
        let request = pb::UpdateTopicRequest::decode(bytes.as_slice()).unwrap();
        assert_eq!(request.topic.unwrap().name, "projects/p/topics/t");
        assert_eq!(request.update_mask.unwrap().paths, ["labels"]);
    }

    #[test]
    fn what_is_no_field_or_no_json_is_refused() {
        let of = input("PullRequest");
        for (query, body) in [
            (None, &b"{"[..]),
            (None, b"[]"),
            (None, b"{\"nothing\": 1}"),
            (Some("nothing=1"), b""),
            (None, b"{\"maxMessages\": \"x\"}"),
        ] {
            let refused = request_bytes(&of, Some("*"), &[], query, body).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        }
    }
}
