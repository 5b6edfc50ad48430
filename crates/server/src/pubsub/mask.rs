//! Updates by field mask.
//!
//! Owns: carrying the named fields of one message over to another of the same type, by their descriptors, so that a
//! field which naru does not use is updated like every other.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, ReflectMessage as _};
use prost_types::FieldMask;
use tonic::Status;

/// The descriptors of everything that this door speaks.
const DESCRIPTORS: &[u8] = include_bytes!("../generated/pubsub.fds");

/// Reads the descriptors.
pub(super) fn descriptors() -> Result<DescriptorPool, prost_reflect::DescriptorError> {
    DescriptorPool::decode(DESCRIPTORS)
}

/// `old` with the masked fields of `new`. Fields in `fixed` cannot be changed by anybody.
pub(super) fn merged<M: Message + Default>(
    pool: &DescriptorPool,
    type_name: &str,
    old: &M,
    new: &M,
    mask: Option<&FieldMask>,
    fixed: &[&str],
) -> Result<M, Status> {
    let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    if paths.is_empty() {
        return Err(Status::invalid_argument("The update_mask in the request must be set, and must contain a field."));
    }
    let internal = |_| Status::internal("a message does not fit its descriptor");
    let descriptor = pool.get_message_by_name(type_name).ok_or_else(|| Status::internal("an unknown message type"))?;
    let read = |message: &M| DynamicMessage::decode(descriptor.clone(), message.encode_to_vec().as_slice());
    let (mut result, new) = (read(old).map_err(internal)?, read(new).map_err(internal)?);
    for path in paths {
        let first = path.split('.').next().unwrap_or_default();
        if fixed.contains(&first) {
            return Err(Status::invalid_argument(format!(
                "Invalid update_mask provided in the request: the field {first} cannot be updated."
            )));
        }
        carry(&mut result, &new, path)?;
    }
    M::decode(result.encode_to_vec().as_slice()).map_err(|_| Status::internal("a message does not fit its type"))
}

fn carry(to: &mut DynamicMessage, from: &DynamicMessage, path: &str) -> Result<(), Status> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let field = field(to, name).ok_or_else(|| {
        Status::invalid_argument(format!("Invalid update_mask provided in the request: there is no field {name}."))
    })?;
    let Some(rest) = rest.filter(|_| field.kind().as_message().is_some() && !field.is_list() && !field.is_map()) else {
        if from.has_field(&field) {
            to.set_field(&field, from.get_field(&field).into_owned());
        } else {
            to.clear_field(&field);
        }
        return Ok(());
    };
    let inner = from.get_field(&field);
    let Some(inner) = inner.as_message() else { return Ok(()) };
    if let Some(target) = to.get_field_mut(&field).as_message_mut() {
        carry(target, inner, rest)?;
    }
    Ok(())
}

/// A field by its name, as in the definition or as in JSON.
fn field(message: &DynamicMessage, name: &str) -> Option<FieldDescriptor> {
    let descriptor = message.descriptor();
    descriptor.get_field_by_name(name).or_else(|| descriptor.get_field_by_json_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::google::pubsub::v1 as pb;

    #[test]
    fn only_masked_fields_change_also_inner_ones() {
        let pool = descriptors().unwrap();
        let name = "google.pubsub.v1.Subscription";
        let policy = |topic: &str, most| {
            Some(pb::DeadLetterPolicy { dead_letter_topic: topic.to_owned(), max_delivery_attempts: most })
        };
        let old = pb::Subscription {
            ack_deadline_seconds: 10,
            filter: "attributes:a".to_owned(),
            dead_letter_policy: policy("a", 5),
            retain_acked_messages: true,
            ..Default::default()
        };
        let new =
            pb::Subscription { ack_deadline_seconds: 20, dead_letter_policy: policy("b", 9), ..Default::default() };
        let change = |paths: &[&str]| {
            let mask = FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() };
            merged(&pool, name, &old, &new, Some(&mask), &["filter"])
        };
        let changed =
            change(&["ackDeadlineSeconds", "dead_letter_policy.max_delivery_attempts", "retain_acked_messages"]);
        let changed = changed.unwrap();
        assert_eq!((changed.ack_deadline_seconds, changed.retain_acked_messages), (20, false));
        assert_eq!(changed.dead_letter_policy, policy("a", 9));
        assert_eq!(changed.filter, "attributes:a");
        assert!(change(&["filter"]).is_err() && change(&["nothing"]).is_err() && change(&[]).is_err());
    }
}
