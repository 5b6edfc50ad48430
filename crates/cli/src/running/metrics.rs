//! Numbers for Prometheus, read from the engines' status when somebody asks.
//!
//! Owns: the names of metrics. Never measures anything itself.

use std::sync::Arc;

use naru_base::number::{i64_from, u64_from};
use naru_server::http::Metrics;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};

use naru_topics::{TopicStatus, forward::ForwardStatus, sqs::SqsStatus};

use super::{Running, upkeep::LakeTable};

/// Registers everything.
pub fn registry(running: &Arc<Running>) -> Metrics {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Status(running.clone())));
    Arc::new(parking_lot::Mutex::new(registry))
}

struct Status(Arc<Running>);

impl std::fmt::Debug for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Status")
    }
}

impl Collector for Status {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (mut retained, mut streaming, mut rows, mut lag) =
            (Family::new(), Family::new(), Family::new(), Family::new());
        for source in &self.0.sources {
            let status = source.status.get();
            let labels = vec![("source".to_owned(), status.source.clone())];
            retained.push((labels.clone(), status.retained_bytes.unwrap_or(0)));
            streaming.push((labels, i64::from(status.phase == "streaming")));
            for table in status.tables {
                let labels = vec![("table".to_owned(), table.table.to_string()), ("state".to_owned(), table.state)];
                rows.push((labels.clone(), i64_from(table.rows)));
                lag.extend(table.lag_ms.map(|lag| (labels, i64_from(lag))));
            }
        }
        family(&mut encoder, "naru_source_retained_bytes", "WAL that the slot keeps at the source", &retained)?;
        family(&mut encoder, "naru_source_streaming", "1 while the source is streamed", &streaming)?;
        family(&mut encoder, "naru_table_rows", "Rows that queries see", &rows)?;
        family(&mut encoder, "naru_table_lag_ms", "Milliseconds from source commit to visible", &lag)?;
        self.upkeep(&mut encoder)?;
        self.topics(&mut encoder)?;
        self.edges(&mut encoder)?;
        let used = i64_from(u64_from(self.0.warehouse.memory_used()));
        family(&mut encoder, "naru_sql_memory_bytes", "Memory held by running queries", &[(Vec::new(), used)])
    }
}

impl Status {
    /// What the files of every open table come to, and what maintenance did.
    fn upkeep(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let tables = self.0.upkeep.facts();
        let of = |value: &dyn Fn(&LakeTable) -> u64| -> Family {
            let labels = |table: &LakeTable| vec![("table".to_owned(), table.table.to_string())];
            tables.iter().map(|table| (labels(table), i64_from(value(table)))).collect()
        };
        family(encoder, "naru_table_files", "Data files of the newest version", &of(&|table| table.files))?;
        family(encoder, "naru_table_bytes", "Bytes of those files", &of(&|table| table.bytes))?;
        family(encoder, "naru_table_dead_rows", "Rows in those files that no longer count", &of(&|t| t.dead_rows))?;
        let log = of(&|table| table.upkeep.log_bytes);
        family(encoder, "naru_table_log_bytes", "Bytes of the log when it was last cleaned", &log)?;
        let compactions = of(&|table| table.upkeep.compactions);
        family(encoder, "naru_compactions", "Compactions since the start", &compactions)?;
        let vacuumed = of(&|table| table.upkeep.vacuumed_bytes);
        family(encoder, "naru_vacuumed_bytes", "Bytes removed by vacuum since the start", &vacuumed)?;
        let failing = of(&|table| u64::from(table.upkeep.problem.is_some()));
        family(encoder, "naru_upkeep_failing", "1 while the last piece of maintenance failed", &failing)
    }
}

impl Status {
    /// What topics took, refused and have yet to write.
    fn topics(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(running) = &self.0.topics else { return Ok(()) };
        let status = running.topics.status();
        let of = |value: &dyn Fn(&TopicStatus) -> Option<u64>| -> Family {
            let labels = |topic: &TopicStatus| vec![("topic".to_owned(), topic.topic.clone())];
            let values = status.topics.iter().filter_map(|topic| Some((labels(topic), i64_from(value(topic)?))));
            values.collect()
        };
        let sink = |value: fn(&naru_topics::SinkStatus) -> u64| of(&move |topic| topic.table.as_ref().map(value));
        family(
            encoder,
            "naru_topic_published",
            "Events accepted since the start",
            &of(&|topic| Some(topic.published)),
        )?;
        family(encoder, "naru_topic_refused", "Events refused since the start", &of(&|topic| Some(topic.refused)))?;
        let bytes = of(&|topic| Some(topic.refused_bytes));
        family(encoder, "naru_topic_refused_bytes", "Bytes of events refused since the start", &bytes)?;
        let backlog = of(&|topic| topic.table.as_ref().map(|table| topic.next.saturating_sub(table.next)));
        family(encoder, "naru_topic_backlog", "Accepted events that the table has yet to take", &backlog)?;
        family(encoder, "naru_topic_rows", "Rows written since the start", &sink(|table| table.written))?;
        family(encoder, "naru_topic_dead", "Dead letters since the start", &sink(|table| table.dead))?;
        let waiting = sink(|table| table.dead_letters);
        family(encoder, "naru_topic_dead_letters", "Dead letters that wait to be mended", &waiting)?;
        family(
            encoder,
            "naru_topic_duplicates",
            "Duplicates left out since the start",
            &sink(|table| table.duplicates),
        )?;
        family(
            encoder,
            "naru_topic_lost",
            "Events that a damaged log lost, met since the start",
            &sink(|table| table.lost),
        )?;
        let failing = sink(|table| u64::from(table.problem.is_some()));
        family(encoder, "naru_topic_failing", "1 while the table does not take events", &failing)?;
        let log = i64_from(status.log.bytes);
        family(encoder, "naru_topic_log_bytes", "Bytes of the log of all topics", &[(Vec::new(), log)])
    }
}

impl Status {
    /// What forwards sent and have yet to send, and what queues gave.
    fn edges(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(edges) = self.0.topics.as_ref().and_then(|topics| topics.edges.get()) else { return Ok(()) };
        let (forwards, queues) = edges.status();
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let of = |value: fn(&ForwardStatus) -> u64| -> Family {
            let labels = |one: &ForwardStatus| vec![label("topic", &one.topic), label("forward", &one.forward)];
            forwards.iter().map(|one| (labels(one), i64_from(value(one)))).collect()
        };
        let from = |value: fn(&SqsStatus) -> u64| -> Family {
            let labels = |one: &SqsStatus| vec![label("topic", &one.topic), label("queue", &one.queue)];
            queues.iter().map(|one| (labels(one), i64_from(value(one)))).collect()
        };
        let backlog = of(|one| one.backlog);
        family(encoder, "naru_forward_backlog", "Accepted events that the forward has yet to settle", &backlog)?;
        family(encoder, "naru_forward_behind_ms", "Age of the oldest of them", &of(|one| one.behind_ms))?;
        family(encoder, "naru_forward_sent", "Events taken by the receiver since the start", &of(|one| one.sent))?;
        family(encoder, "naru_forward_dead", "Dead letters since the start", &of(|one| one.dead))?;
        let failing = of(|one| u64::from(one.problem.is_some()));
        family(encoder, "naru_forward_failing", "1 while the receiver takes nothing", &failing)?;
        let paused = of(|one| u64::from(one.state == "paused"));
        family(encoder, "naru_forward_paused", "1 while it is paused", &paused)?;
        let appended = from(|one| one.appended);
        family(encoder, "naru_sqs_appended", "Messages that became events since the start", &appended)?;
        family(encoder, "naru_sqs_again", "Messages that came again since the start", &from(|one| one.again))?;
        let failing = from(|one| u64::from(one.problem.is_some()));
        family(encoder, "naru_sqs_failing", "1 while the queue cannot be read", &failing)
    }
}

/// Values of one metric, each with its labels.
type Family = Vec<(Vec<(String, String)>, i64)>;

fn family(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &[(Vec<(String, String)>, i64)],
) -> Result<(), std::fmt::Error> {
    let mut described = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    values.iter().try_for_each(|(labels, value)| ConstGauge::new(*value).encode(described.encode_family(labels)?))
}
