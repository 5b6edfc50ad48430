//! Schemas and their revisions.
//!
//! Owns: what is in the state database, and the same in memory with each definition understood once.

use std::{collections::BTreeMap, sync::Arc};

use naru_base::time::now_us;
use naru_store::{Store, StoreError, subscriptions as stored};
use parking_lot::RwLock;
use prost::Message as _;
use tonic::Status;

use super::Definition;
use crate::{
    generated::google::pubsub::v1 as pb,
    pubsub::{convert, fault},
};

/// Revisions of one schema; Google's limit.
const REVISIONS_MAX: usize = 20;

/// One revision.
#[derive(Debug, Clone)]
pub(super) struct Revision {
    pub(super) number: u64,
    /// Without a name, which is the caller's.
    pub(super) schema: pb::Schema,
    pub(super) definition: Arc<Definition>,
}

/// All schemas: revisions by name, oldest first.
#[derive(Debug)]
pub(in crate::pubsub) struct Schemas {
    all: RwLock<BTreeMap<String, Vec<Revision>>>,
}

impl Schemas {
    pub(in crate::pubsub) async fn open(store: &Store) -> Result<Self, StoreError> {
        let mut all: BTreeMap<String, Vec<Revision>> = BTreeMap::new();
        for (number, name, bytes) in store.read(|db| stored::schemas(db)).await? {
            let unreadable = StoreError::Unreadable { what: "schema" };
            let Ok(schema) = pb::Schema::decode(bytes.as_slice()) else { return Err(unreadable) };
            let Ok(definition) = Definition::parse(schema.r#type(), &schema.definition) else { return Err(unreadable) };
            let schema = numbered(schema, number);
            all.entry(name).or_default().push(Revision { number, schema, definition: Arc::new(definition) });
        }
        Ok(Self { all: RwLock::new(all) })
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.all.read().keys().cloned().collect()
    }

    /// A revision by its id, or the newest.
    pub(super) fn find(&self, name: &str, revision: Option<&str>) -> Option<Revision> {
        let all = self.all.read();
        let revisions = all.get(name)?;
        match revision {
            None => revisions.last().cloned(),
            Some(id) => revisions.iter().find(|one| one.schema.revision_id == id).cloned(),
        }
    }

    /// Revisions from one to another, both included, oldest first; empty texts mean the first and the last.
    pub(super) fn between(&self, name: &str, first: &str, last: &str) -> Vec<Revision> {
        let number = |id: &str| u64::from_str_radix(id, 16).ok();
        let (first, last) = (number(first).unwrap_or(0), number(last).unwrap_or(u64::MAX));
        let all = self.all.read();
        let within = all.get(name).into_iter().flatten().filter(|one| (first..=last).contains(&one.number));
        within.cloned().collect()
    }

    /// Adds a revision.
    pub(super) async fn add(
        &self,
        store: &Store,
        name: &str,
        schema: pb::Schema,
        definition: Definition,
    ) -> Result<Revision, Status> {
        if self.all.read().get(name).is_some_and(|revisions| revisions.len() >= REVISIONS_MAX) {
            return Err(Status::failed_precondition("A schema has at most 20 revisions; delete one first."));
        }
        let revision_create_time = Some(convert::timestamp(now_us()));
        let schema = pb::Schema { name: String::new(), revision_id: String::new(), revision_create_time, ..schema };
        let (id, bytes) = (name.to_owned(), schema.encode_to_vec());
        let number = store.write(move |db| stored::add_schema(db, &id, &bytes)).await;
        let number = number.map_err(|error| fault::store(&error))?;
        let revision = Revision { number, schema: numbered(schema, number), definition: Arc::new(definition) };
        self.all.write().entry(name.to_owned()).or_default().push(revision.clone());
        Ok(revision)
    }

    /// Removes one revision, or the schema.
    pub(super) async fn remove(&self, store: &Store, name: &str, number: Option<u64>) -> Result<(), Status> {
        let id = name.to_owned();
        let removed = store.write(move |db| stored::remove_schema(db, &id, number)).await;
        removed.map_err(|error| fault::store(&error))?;
        let mut all = self.all.write();
        if let Some(revisions) = all.get_mut(name) {
            revisions.retain(|one| number.is_some_and(|number| one.number != number));
        }
        all.retain(|_, revisions| !revisions.is_empty());
        Ok(())
    }
}

/// A revision's id is its number in eight hexadecimal digits, as long as Google's.
fn numbered(schema: pb::Schema, number: u64) -> pb::Schema {
    pb::Schema { revision_id: format!("{number:08x}"), ..schema }
}
