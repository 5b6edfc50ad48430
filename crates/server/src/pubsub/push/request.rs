//! One message as a request.
//!
//! Owns: the two forms of Google's pushes: wrapped in JSON, or the bare data with headers.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use naru_topics::subscribe::{Delivered, Subscription};
use reqwest::{Client, RequestBuilder, header};
use serde_json::{Map, Value, json};

use super::PushKey;
use crate::{
    generated::google::pubsub::v1::{
        PushConfig,
        push_config::{AuthenticationMethod, Wrapper},
    },
    pubsub::names::{self, Kind},
};

/// Where a subscription pushes to, and how.
#[derive(Debug)]
pub(super) struct Target {
    subscription: String,
    endpoint: String,
    /// Whether only the data is sent, and then whether the rest goes into headers.
    bare: Option<bool>,
    /// E-mail and audience of the token, if there is one.
    identity: Option<(String, String)>,
}

impl Target {
    pub(super) fn new(project: &str, subscription: &Subscription, push: PushConfig) -> Self {
        let identity = match push.authentication_method {
            Some(AuthenticationMethod::OidcToken(token)) => {
                let audience = if token.audience.is_empty() { push.push_endpoint.clone() } else { token.audience };
                Some((token.service_account_email, audience))
            }
            None => None,
        };
        let bare = match push.wrapper {
            Some(Wrapper::NoWrapper(bare)) => Some(bare.write_metadata),
            Some(Wrapper::PubsubWrapper(_)) | None => None,
        };
        let name = names::write(project, Kind::Subscriptions, subscription.name());
        Self { subscription: name, endpoint: push.push_endpoint, bare, identity }
    }

    pub(super) fn request(&self, client: &Client, key: &PushKey, delivered: &Delivered) -> RequestBuilder {
        let mut request = client.post(&self.endpoint);
        if let Some((email, audience)) = &self.identity {
            match key.token(email, audience) {
                Ok(token) => request = request.bearer_auth(token),
                // The endpoint refuses what has no token; the message comes again.
                Err(error) => tracing::warn!(%error, "a push goes without its token"),
            }
        }
        match self.bare {
            None => request.header(header::CONTENT_TYPE, "application/json").body(self.wrapped(delivered).to_string()),
            Some(metadata) => {
                let request = request.body(delivered.event.data.clone());
                if metadata { self.with_metadata(request, delivered) } else { request }
            }
        }
    }

    fn wrapped(&self, delivered: &Delivered) -> Value {
        let event = &delivered.event;
        let attributes: Map<String, Value> =
            event.attributes().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let (id, time) = (event.offset.to_string(), published(event.time_us));
        let mut message = json!({"data": STANDARD.encode(&event.data), "messageId": id, "message_id": id,
                                 "publishTime": time, "publish_time": time});
        if !attributes.is_empty() {
            message["attributes"] = Value::Object(attributes);
        }
        if !event.ordering_key().is_empty() {
            message["orderingKey"] = event.ordering_key().into();
        }
        let mut whole = json!({"message": message, "subscription": self.subscription});
        if let Some(attempt) = delivered.attempt {
            whole["deliveryAttempt"] = attempt.into();
        }
        whole
    }

    fn with_metadata(&self, mut request: RequestBuilder, delivered: &Delivered) -> RequestBuilder {
        let event = &delivered.event;
        request = request
            .header("x-goog-pubsub-subscription-name", &self.subscription)
            .header("x-goog-pubsub-message-id", event.offset.to_string())
            .header("x-goog-pubsub-publish-time", published(event.time_us));
        if !event.ordering_key().is_empty() {
            request = add(request, "x-goog-pubsub-ordering-key", event.ordering_key());
        }
        event.attributes().fold(request, |request, (name, value)| add(request, name, value))
    }
}

/// Adds a header, if its name and value can be one.
fn add(request: RequestBuilder, name: &str, value: &str) -> RequestBuilder {
    match (header::HeaderName::try_from(name), header::HeaderValue::try_from(value)) {
        (Ok(name), Ok(value)) => request.header(name, value),
        _ => request,
    }
}

fn published(time_us: i64) -> String {
    jiff::Timestamp::from_microsecond(time_us).unwrap_or_default().to_string()
}
