//! The one setting of each library that sends events to naru instead of where it sends them today.
//!
//! Owns: the lines that `naru token new NAME --send` prints. Never makes a key.

use naru_project::{Protocol, Topic};

/// The lines for a key that sends to these topics, at `base` (`https://host:port`).
pub fn lines(base: &str, key: &str, topics: &[&Topic]) -> Vec<String> {
    let mut lines = Vec::new();
    for topic in topics {
        let name = &topic.name;
        lines.push(format!(
            "curl:      curl -H 'Authorization: Bearer {key}' --data-binary @events.ndjson {base}/v1/ingest/{name}"
        ));
    }
    let mut protocols: Vec<Protocol> = topics.iter().flat_map(|topic| topic.from.iter().copied()).collect();
    if topics.len() == 1 && protocols.is_empty() {
        // A key for one topic decides by itself.
        protocols = Protocol::ALL.to_vec();
    }
    for (wanted, texts) in [
        (Protocol::MixpanelTrack, mixpanel(base, key)),
        (Protocol::Segment, segment(base, key)),
        (Protocol::OtlpLogs, otlp(base, key)),
        (Protocol::CloudEvents, cloudevents(base, key)),
    ] {
        if protocols.contains(&wanted) {
            lines.extend(texts);
        }
    }
    lines
}

fn mixpanel(base: &str, key: &str) -> Vec<String> {
    let (scheme, host) = base.split_once("://").unwrap_or(("https", base));
    vec![
        format!("mixpanel (Python):  Mixpanel(\"{key}\", consumer=Consumer(api_host=\"{host}\"))   needs https"),
        format!("mixpanel (Node.js): Mixpanel.init(\"{key}\", {{ host: \"{host}\", protocol: \"{scheme}\" }})"),
    ]
}

fn segment(base: &str, key: &str) -> Vec<String> {
    vec![
        format!("segment (Python):   analytics.write_key = \"{key}\"; analytics.host = \"{base}\""),
        format!("segment (Node.js):  new Analytics({{ writeKey: \"{key}\", host: \"{base}\" }})"),
        format!("rudderstack (Node.js): new RudderAnalytics(\"{key}\", {{ dataPlaneUrl: \"{base}\" }})"),
    ]
}

fn otlp(base: &str, key: &str) -> Vec<String> {
    vec![format!(
        "opentelemetry:      OTEL_EXPORTER_OTLP_LOGS_ENDPOINT={base}/v1/logs OTEL_EXPORTER_OTLP_LOGS_HEADERS=authorization=Bearer%20{key}"
    )]
}

fn cloudevents(base: &str, key: &str) -> Vec<String> {
    vec![format!("cloudevents:        POST {base}/v1/cloudevents with the header Authorization: Bearer {key}")]
}
