//! `google.pubsub.v1.SchemaService`: schemas, their revisions, and checking messages by them.
//!
//! Owns: translating its calls, and which revision a topic's message fits. A new revision is not compared with the
//! ones before it: a message fits a topic when it fits one of the revisions that the topic allows.
//! Read next: [`definition`] for what a text means, [`kept`] for revisions.

mod avro;
mod definition;
mod kept;

use std::sync::Arc;

use naru_topics::Incoming;
use tonic::{Request, Response, Status};

pub use definition::Definition;
use kept::Revision;
pub(super) use kept::Schemas;

use super::{
    PubSub, blocking,
    caller::Caller,
    convert, fault,
    names::{self, Kind, Name},
    pages,
};
use crate::generated::google::pubsub::v1::{
    self as pb, schema_service_server::SchemaService, validate_message_request::SchemaSpec,
};

/// Bytes of a definition; Google's limit.
const DEFINITION_BYTES_MAX: usize = 300_000;

/// Splits `name@revision`.
fn split(name: &str) -> Result<(Name<'_>, Option<&str>), Status> {
    let (name, revision) = name.split_once('@').map_or((name, None), |(name, revision)| (name, Some(revision)));
    Ok((names::read(Kind::Schemas, name)?, revision))
}

/// Understands a schema as a caller wrote it, on a thread of its own.
async fn understood(schema: &pb::Schema) -> Result<Definition, Status> {
    if schema.definition.len() > DEFINITION_BYTES_MAX {
        return Err(convert::invalid("The schema definition is larger than 300000 bytes."));
    }
    let (kind, text) = (schema.r#type(), schema.definition.clone());
    let parse = move || Definition::parse(kind, &text);
    blocking(move || parse().map_err(|why| Status::invalid_argument(format!("Invalid schema definition: {why}")))).await
}

fn unfit(why: &str) -> Status {
    Status::invalid_argument(format!("Invalid data in message: Message failed schema validation: {why}"))
}

/// A revision as `project` sees it.
fn shown(project: &str, id: &str, revision: &Revision, view: pb::SchemaView, with_revision: bool) -> pb::Schema {
    let mut shown = revision.schema.clone();
    shown.name = names::write(project, Kind::Schemas, id);
    if with_revision {
        shown.name = format!("{}@{}", shown.name, shown.revision_id);
    }
    if view == pb::SchemaView::Basic {
        shown.definition.clear();
    }
    shown
}

impl PubSub {
    fn revision(&self, id: &str, revision: Option<&str>) -> Result<Revision, Status> {
        self.schemas().find(id, revision).ok_or_else(|| fault::missing(id))
    }

    /// Checks what a topic says of its schema.
    pub(super) fn check_topic_config(&self, config: &pb::Topic) -> Result<(), Status> {
        let Some(settings) = &config.schema_settings else { return Ok(()) };
        if settings.encoding() == pb::Encoding::Unspecified {
            return Err(convert::invalid("The encoding of the schema settings must be JSON or BINARY."));
        }
        let (name, _) = split(&settings.schema)?;
        self.revision(name.id, None)?;
        for revision in [&settings.first_revision_id, &settings.last_revision_id] {
            if !revision.is_empty() {
                self.revision(name.id, Some(revision))?;
            }
        }
        Ok(())
    }

    /// Checks events by their topic's schema, if it has one, and notes on each what it fits. One that does not fit
    /// refuses all of them.
    pub(super) fn check_schema(&self, topic: &str, events: &mut [Incoming]) -> Result<(), Status> {
        let Some(settings) = self.topic_config(topic).schema_settings else { return Ok(()) };
        let (name, _) = split(&settings.schema)?;
        let allowed = self.schemas().between(name.id, &settings.first_revision_id, &settings.last_revision_id);
        if allowed.is_empty() {
            return Err(convert::invalid("The schema of the topic, or every revision that it allows, was deleted."));
        }
        let encoding = settings.encoding();
        for event in events {
            let mut why = String::new();
            // The newest revision first: most messages fit it.
            let fits = allowed
                .iter()
                .rev()
                .find(|revision| revision.definition.check(&event.data, encoding).map_err(|error| why = error).is_ok());
            let fits = fits.ok_or_else(|| unfit(&why))?;
            let mut note = |name: &str, value: &str| event.attributes.push((name.to_owned(), value.to_owned()));
            note("googclient_schemaencoding", encoding.as_str_name());
            note("googclient_schemaname", &settings.schema);
            note("googclient_schemarevisionid", &fits.schema.revision_id);
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl SchemaService for PubSub {
    async fn create_schema(&self, request: Request<pb::CreateSchemaRequest>) -> Result<Response<pb::Schema>, Status> {
        Caller::of(request.extensions())?.must_manage("make schemas")?;
        let request = request.into_inner();
        let project = names::project(&request.parent)?;
        let schema = request.schema.ok_or_else(|| convert::invalid("The schema in the request must be set."))?;
        let name = names::write(project, Kind::Schemas, &request.schema_id);
        let id = names::new(Kind::Schemas, &name)?.id;
        let definition = understood(&schema).await?;
        if self.schemas().find(id, None).is_some() {
            return Err(fault::exists(id));
        }
        let made = self.schemas().add(self.topics().store(), id, schema, definition).await?;
        Ok(Response::new(shown(project, id, &made, pb::SchemaView::Full, false)))
    }

    async fn get_schema(&self, request: Request<pb::GetSchemaRequest>) -> Result<Response<pb::Schema>, Status> {
        let request = request.into_inner();
        let (name, revision) = split(&request.name)?;
        let found = self.revision(name.id, revision)?;
        Ok(Response::new(shown(name.project, name.id, &found, request.view(), revision.is_some())))
    }

    async fn list_schemas(
        &self,
        request: Request<pb::ListSchemasRequest>,
    ) -> Result<Response<pb::ListSchemasResponse>, Status> {
        Caller::of(request.extensions())?.must_manage("list schemas")?;
        let request = request.into_inner();
        let project = names::project(&request.parent)?;
        let (page, next_page_token) = pages::page(self.schemas().names(), request.page_size, &request.page_token)?;
        // A list shows definitions only when asked to.
        let view = if request.view() == pb::SchemaView::Full { pb::SchemaView::Full } else { pb::SchemaView::Basic };
        let found = page.iter().filter_map(|id| Some((id, self.schemas().find(id, None)?)));
        let schemas = found.map(|(id, revision)| shown(project, id, &revision, view, false)).collect();
        Ok(Response::new(pb::ListSchemasResponse { schemas, next_page_token }))
    }

    async fn list_schema_revisions(
        &self,
        request: Request<pb::ListSchemaRevisionsRequest>,
    ) -> Result<Response<pb::ListSchemaRevisionsResponse>, Status> {
        let request = request.into_inner();
        let (name, _) = split(&request.name)?;
        self.revision(name.id, None)?;
        // Newest first; as there are few, they are one page.
        let all = self.schemas().between(name.id, "", "");
        let view = request.view();
        let schemas = all.iter().rev().map(|one| shown(name.project, name.id, one, view, true)).collect();
        Ok(Response::new(pb::ListSchemaRevisionsResponse { schemas, next_page_token: String::new() }))
    }

    async fn commit_schema(&self, request: Request<pb::CommitSchemaRequest>) -> Result<Response<pb::Schema>, Status> {
        Caller::of(request.extensions())?.must_manage("change schemas")?;
        let request = request.into_inner();
        let (name, _) = split(&request.name)?;
        let schema = request.schema.ok_or_else(|| convert::invalid("The schema in the request must be set."))?;
        let newest = self.revision(name.id, None)?;
        if newest.schema.r#type != schema.r#type {
            return Err(convert::invalid("A revision has the type of its schema."));
        }
        let definition = understood(&schema).await?;
        let made = self.schemas().add(self.topics().store(), name.id, schema, definition).await?;
        Ok(Response::new(shown(name.project, name.id, &made, pb::SchemaView::Full, true)))
    }

    async fn rollback_schema(
        &self,
        request: Request<pb::RollbackSchemaRequest>,
    ) -> Result<Response<pb::Schema>, Status> {
        Caller::of(request.extensions())?.must_manage("change schemas")?;
        let request = request.into_inner();
        let (name, _) = split(&request.name)?;
        let earlier = self.revision(name.id, Some(&request.revision_id))?;
        let definition = understood(&earlier.schema).await?;
        let made = self.schemas().add(self.topics().store(), name.id, earlier.schema, definition).await?;
        Ok(Response::new(shown(name.project, name.id, &made, pb::SchemaView::Full, true)))
    }

    async fn delete_schema_revision(
        &self,
        request: Request<pb::DeleteSchemaRevisionRequest>,
    ) -> Result<Response<pb::Schema>, Status> {
        Caller::of(request.extensions())?.must_manage("delete schemas")?;
        let request = request.into_inner();
        let (name, revision) = split(&request.name)?;
        #[allow(deprecated)]
        let older = Some(request.revision_id.as_str()).filter(|revision| !revision.is_empty());
        let revision = revision.or(older).ok_or_else(|| convert::invalid("A revision must be named."))?;
        let found = self.revision(name.id, Some(revision))?;
        if self.schemas().between(name.id, "", "").len() == 1 {
            return Err(convert::invalid("The only revision of a schema cannot be deleted; delete the schema."));
        }
        self.schemas().remove(self.topics().store(), name.id, Some(found.number)).await?;
        let newest = self.revision(name.id, None)?;
        Ok(Response::new(shown(name.project, name.id, &newest, pb::SchemaView::Full, true)))
    }

    async fn delete_schema(&self, request: Request<pb::DeleteSchemaRequest>) -> Result<Response<()>, Status> {
        Caller::of(request.extensions())?.must_manage("delete schemas")?;
        let request = request.into_inner();
        let (name, _) = split(&request.name)?;
        self.revision(name.id, None)?;
        self.schemas().remove(self.topics().store(), name.id, None).await?;
        Ok(Response::new(()))
    }

    async fn validate_schema(
        &self,
        request: Request<pb::ValidateSchemaRequest>,
    ) -> Result<Response<pb::ValidateSchemaResponse>, Status> {
        let schema = request.into_inner().schema;
        understood(&schema.ok_or_else(|| convert::invalid("The schema in the request must be set."))?).await?;
        Ok(Response::new(pb::ValidateSchemaResponse {}))
    }

    async fn validate_message(
        &self,
        request: Request<pb::ValidateMessageRequest>,
    ) -> Result<Response<pb::ValidateMessageResponse>, Status> {
        let request = request.into_inner();
        let encoding = request.encoding();
        let definition = match request.schema_spec {
            None => return Err(convert::invalid("A schema must be set.")),
            Some(SchemaSpec::Schema(schema)) => Arc::new(understood(&schema).await?),
            Some(SchemaSpec::Name(name)) => {
                let (name, revision) = split(&name)?;
                self.revision(name.id, revision)?.definition
            }
        };
        let message = request.message;
        blocking(move || definition.check(&message, encoding).map_err(|why: String| unfit(&why))).await?;
        Ok(Response::new(pb::ValidateMessageResponse {}))
    }
}
