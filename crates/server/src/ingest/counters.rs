//! Numbers of the intake for Prometheus.
//!
//! Owns: their names and labels. Every event, every refused request and every refused byte is counted; labels are the
//! project's topics and our own words, never a sender's text.

use naru_base::number::u64_from;
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

type Labels = Vec<(&'static str, String)>;

/// Counters since the start.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    events: Family<Labels, Counter>,
    bytes: Family<Labels, Counter>,
    unfit: Family<Labels, Counter>,
    refused: Family<Labels, Counter>,
    refused_bytes: Family<Labels, Counter>,
}

impl Counters {
    /// New ones, registered.
    pub fn register(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register("naru_intake_events", "Events accepted over HTTP", new.events.clone());
        registry.register("naru_intake_bytes", "Bytes of the events accepted over HTTP", new.bytes.clone());
        let unfit = "Events accepted over HTTP that do not fit their table";
        registry.register("naru_intake_unfit_events", unfit, new.unfit.clone());
        registry.register("naru_intake_refused_requests", "Requests refused, by reason", new.refused.clone());
        registry.register("naru_intake_refused_bytes", "Bytes of refused requests", new.refused_bytes.clone());
        new
    }

    /// Events of one request that are on the log.
    pub fn accepted(&self, topic: &str, protocol: &'static str, events: usize, bytes: usize, unfit: usize) {
        let labels: Labels = vec![("topic", topic.to_owned()), ("protocol", protocol.to_owned())];
        self.events.get_or_create(&labels).inc_by(u64_from(events));
        self.bytes.get_or_create(&labels).inc_by(u64_from(bytes));
        if unfit > 0 {
            self.unfit.get_or_create(&labels).inc_by(u64_from(unfit));
        }
    }

    /// A request that was refused.
    pub fn refused(&self, protocol: &'static str, reason: &'static str, bytes: u64) {
        let labels: Labels = vec![("protocol", protocol.to_owned()), ("reason", reason.to_owned())];
        self.refused.get_or_create(&labels).inc();
        self.refused_bytes.get_or_create(&labels).inc_by(bytes);
    }
}
