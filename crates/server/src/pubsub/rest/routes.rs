//! Which REST path means which call.
//!
//! Owns: [`RouteTable`], read from the `google.api.http` annotations of the descriptors. Never reads a body.

use percent_encoding::percent_decode_str;
use prost_reflect::{DescriptorError, DescriptorPool, DynamicMessage, MethodDescriptor, Value};
use tonic::Status;

use super::transcode::request_bytes;

/// The annotation's name.
const ANNOTATION: &str = "google.api.http";
/// Where the annotation has each HTTP method.
const METHODS: [(&str, &str); 5] =
    [("get", "GET"), ("put", "PUT"), ("post", "POST"), ("delete", "DELETE"), ("patch", "PATCH")];

/// All annotated routes.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Route>,
}

/// One annotated route.
#[derive(Debug)]
struct Route {
    method: MethodDescriptor,
    /// `*` for the whole message, a field's name, or nothing.
    body: Option<String>,
    http: &'static str,
    template: Template,
}

/// A path such as `/v1/{topic=projects/*/topics/*}:publish`.
#[derive(Debug, PartialEq, Eq)]
struct Template {
    segments: Vec<Segment>,
    /// Field, and the segments that make its value.
    variables: Vec<(String, std::ops::Range<usize>)>,
    verb: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    One,
    /// At least one; only at the end.
    Rest,
}

impl RouteTable {
    /// The routes of everything that this door speaks.
    ///
    /// # Errors
    /// Only when the descriptors that naru was built with are broken.
    pub fn known() -> Result<Self, DescriptorError> {
        Ok(Self::of(&crate::pubsub::mask::descriptors()?))
    }

    /// Reads all routes.
    pub(super) fn of(pool: &DescriptorPool) -> Self {
        let annotation = pool.get_extension_by_name(ANNOTATION);
        let mut routes = Vec::new();
        for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let options = method.options();
            let Some(annotation) = annotation.as_ref().filter(|found| options.has_extension(found)) else { continue };
            let rule = options.get_extension(annotation);
            let Some(rule) = rule.as_message() else { continue };
            add(&method, rule, &mut routes);
        }
        Self { routes }
    }

    /// Finds the route of a request, and the values that the path gives to fields.
    fn find(&self, http: &str, path: &str) -> Option<(&Route, Vec<(String, String)>)> {
        let mut fitting = self.routes.iter().filter(|route| route.http == http);
        fitting.find_map(|route| Some((route, route.template.fit(path)?)))
    }

    /// Reads a request up to the call: which method, and its message.
    ///
    /// # Errors
    /// `NOT_FOUND` for a path that is nobody's, `INVALID_ARGUMENT` for what does not fit the message.
    pub fn call(
        &self,
        http: &str,
        path: &str,
        query: Option<&str>,
        body: &[u8],
    ) -> Result<(&MethodDescriptor, Vec<u8>), Status> {
        let found = self.find(http, path).ok_or_else(|| Status::not_found(format!("There is no {http} {path}.")));
        let (route, variables) = found?;
        let message = request_bytes(&route.method.input(), route.body.as_deref(), &variables, query, body)?;
        Ok((&route.method, message))
    }
}

fn add(method: &MethodDescriptor, rule: &DynamicMessage, routes: &mut Vec<Route>) {
    let text = |name: &str| {
        rule.get_field_by_name(name).and_then(|value| value.as_str().map(str::to_owned)).filter(|text| !text.is_empty())
    };
    for (field, http) in METHODS {
        if let Some(template) = text(field).as_deref().and_then(Template::parse) {
            routes.push(Route { method: method.clone(), body: text("body"), http, template });
        }
    }
    let more = rule.get_field_by_name("additional_bindings");
    for more in more.iter().filter_map(|value| value.as_list()).flatten().filter_map(Value::as_message) {
        add(method, more, routes);
    }
}

impl Template {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('/')?;
        let end = text.rfind(['}', '/']).unwrap_or(0);
        let (path, verb) = match text.get(end..)?.find(':') {
            Some(at) => (text.get(..end + at)?, Some(text.get(end + at + 1..)?.to_owned())),
            None => (text, None),
        };
        let mut template = Self { segments: Vec::new(), variables: Vec::new(), verb };
        let mut rest = path;
        while !rest.is_empty() {
            rest = rest.strip_prefix('/').unwrap_or(rest);
            if let Some(inner) = rest.strip_prefix('{') {
                let (variable, behind) = inner.split_once('}')?;
                let (name, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
                let begin = template.segments.len();
                template.segments.extend(pattern.split('/').map(Segment::of));
                template.variables.push((name.to_owned(), begin..template.segments.len()));
                rest = behind;
            } else {
                let (segment, behind) = rest.split_once('/').unwrap_or((rest, ""));
                template.segments.push(Segment::of(segment));
                rest = behind;
            }
        }
        Some(template)
    }

    fn fit(&self, path: &str) -> Option<Vec<(String, String)>> {
        let path = path.strip_prefix('/')?;
        let path = match &self.verb {
            Some(verb) => path.strip_suffix(verb.as_str())?.strip_suffix(':')?,
            None => path,
        };
        let parts =
            path.split('/').map(|part| percent_decode_str(part).decode_utf8().ok()).collect::<Option<Vec<_>>>()?;
        // A colon in the last part would be a verb of another route.
        if self.verb.is_none() && parts.last().is_some_and(|last| last.contains(':')) {
            return None;
        }
        let open = self.segments.last() == Some(&Segment::Rest);
        let fits = if open { parts.len() >= self.segments.len() } else { parts.len() == self.segments.len() };
        let same = self.segments.iter().zip(&parts).all(|(segment, part)| match segment {
            Segment::Literal(text) => text == part,
            Segment::One | Segment::Rest => !part.is_empty(),
        });
        if !fits || !same {
            return None;
        }
        let value = |range: &std::ops::Range<usize>| {
            let end = if open && range.end == self.segments.len() { parts.len() } else { range.end };
            parts.get(range.start..end).unwrap_or_default().join("/")
        };
        Some(self.variables.iter().map(|(name, range)| (name.clone(), value(range))).collect())
    }
}

impl Segment {
    fn of(text: &str) -> Self {
        match text {
            "*" => Self::One,
            "**" => Self::Rest,
            text => Self::Literal(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_annotated_method_is_found_by_its_path() {
        let table = RouteTable::known().unwrap();
        let found = |http: &str, path: &str| {
            table.find(http, path).map(|(route, variables)| {
                let values = variables.iter().map(|(name, value)| format!("{name}={value}"));
                format!("{} {}", route.method.name(), values.collect::<Vec<_>>().join(","))
            })
        };
        let topic = "/v1/projects/p/topics/t";
        let subscription = "/v1/projects/p/subscriptions/s";
        for (http, path, expected) in [
            ("PUT", topic.to_owned(), "CreateTopic name=projects/p/topics/t"),
            ("PATCH", topic.to_owned(), "UpdateTopic topic.name=projects/p/topics/t"),
            ("GET", topic.to_owned(), "GetTopic topic=projects/p/topics/t"),
            ("DELETE", topic.to_owned(), "DeleteTopic topic=projects/p/topics/t"),
            ("POST", format!("{topic}:publish"), "Publish topic=projects/p/topics/t"),
            ("GET", "/v1/projects/p/topics".to_owned(), "ListTopics project=projects/p"),
            ("GET", format!("{topic}/subscriptions"), "ListTopicSubscriptions topic=projects/p/topics/t"),
            ("POST", format!("{subscription}:pull"), "Pull subscription=projects/p/subscriptions/s"),
            ("POST", format!("{subscription}:detach"), "DetachSubscription subscription=projects/p/subscriptions/s"),
            ("POST", "/v1/projects/p%20q/schemas:validate".to_owned(), "ValidateSchema parent=projects/p q"),
        ] {
            assert_eq!(found(http, &path).as_deref(), Some(expected), "{http} {path}");
        }
        for (http, path) in [
            ("GET", "/"),
            ("GET", "/v1/projects/p"),
            ("POST", "/v1/projects/p/topics/t:explode"),
            ("GET", "/v1/projects//topics"),
        ] {
            assert_eq!(found(http, path), None, "{http} {path}");
        }
        let pubsub = table.routes.iter().filter(|route| route.method.full_name().starts_with("google.pubsub.v1."));
        assert!(pubsub.count() >= 34, "all but StreamingPull");
    }
}
