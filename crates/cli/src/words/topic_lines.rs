//! Topics in `naru status`, for eyes.
//!
//! Owns: one line a topic, the problems below it, and one line for the log. Never asks anybody.

use serde_json::Value;

/// The lines of the value under `topics`; none where there are no topics.
pub fn lines(status: &Value) -> Vec<String> {
    let topics: Vec<&Value> = status["topics"].as_array().into_iter().flatten().collect();
    if topics.is_empty() {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for topic in topics {
        lines.push(topic_line(topic));
        lines.extend(problem_lines(&topic["table"]["problem"]));
        let of = |list: &'static str| {
            status[list].as_array().into_iter().flatten().filter(|one| one["topic"] == topic["topic"])
        };
        lines.extend(of("forwards").flat_map(forward_lines));
        lines.extend(of("queues").flat_map(queue_lines));
    }
    let log = &status["log"];
    if let Some(mode) = log["mode"].as_str() {
        let means =
            if mode == "fsync" { "accepted is on the disk" } else { "accepted survives a kill, not a power cut" };
        let damaged = match log["damaged"].as_u64() {
            Some(ranges) if ranges > 0 => format!("; {ranges} damaged ranges, see the log of naru"),
            _ => String::new(),
        };
        lines.push(format!("topic log: {mode} ({means}), {} MB{damaged}", number(&log["bytes"]) / 1_000_000));
    }
    lines.extend(problem_lines(&log["problem"]));
    let edited = status["edited"].as_array().into_iter().flatten().filter_map(Value::as_str);
    lines.extend(edited.map(|file| format!("  ! {file} was edited; restart naru to use all of it")));
    lines.extend(status["wrong"].as_array().into_iter().flatten().flat_map(problem_lines));
    lines
}

fn topic_line(topic: &Value) -> String {
    let table = &topic["table"];
    let state = table["state"].as_str().unwrap_or(if topic["declared"] == true { "stopped" } else { "log only" });
    let rows = table["rows"].as_u64().map_or(String::new(), |rows| format!("{rows} rows"));
    let behind = number(&topic["next"]).saturating_sub(number(&table["next"]));
    let some = |value: u64, what: &str| (value > 0).then(|| format!("{value} {what}"));
    let count = |value: u64, what: &str| some(value, &if value == 1 { what.to_owned() } else { format!("{what}s") });
    let rate = topic["rate"].as_f64().filter(|rate| *rate >= 0.05).map(|rate| format!("{rate:.1}/s"));
    let remarks = [
        rate,
        some(if table.is_object() { behind } else { 0 }, "waiting"),
        count(number(&table["dead_letters"]), "dead letter"),
        count(number(&table["duplicates"]), "duplicate"),
        some(number(&table["lost"]), "lost at most"),
        some(number(&topic["refused"]), "refused"),
    ];
    let remarks: Vec<String> = remarks.into_iter().flatten().collect();
    let name = format!("topics.{}", topic["topic"].as_str().unwrap_or("-"));
    format!("  {name:<32} {state:<12} {rows:>14}  {}", remarks.join(" · ")).trim_end().to_owned()
}

fn forward_lines(forward: &Value) -> Vec<String> {
    let text = |key: &str| forward[key].as_str().unwrap_or("-").to_owned();
    let count = |key: &str, what: &str| Some(number(&forward[key])).filter(|n| *n > 0).map(|n| format!("{n} {what}"));
    let waits = number(&forward["backlog"]);
    let behind = number(&forward["behind_ms"]) / 1_000;
    let retry = forward["retry_in_ms"].as_u64().map(|ms| format!("again in {} s", ms.div_ceil(1_000)));
    let remarks = [
        (waits > 0).then(|| format!("{waits} waiting for {behind} s")),
        count("sent", "sent"),
        count("dead", if forward["dead"] == 1 { "dead letter" } else { "dead letters" }),
        count("lost", "lost by damage"),
        retry,
    ];
    let remarks: Vec<String> = remarks.into_iter().flatten().collect();
    let name = format!("→ {} ({})", text("forward"), text("to"));
    let mut lines = vec![format!("    {name:<30} {:<12} {}", text("state"), remarks.join(" · ")).trim_end().to_owned()];
    lines.extend(problem_lines(&forward["problem"]));
    if forward["state"] == "paused" {
        lines.push(format!("    next: {}", text("next_step")));
    }
    lines
}

fn queue_lines(queue: &Value) -> Vec<String> {
    let name = format!("← {} (SQS)", queue["queue"].as_str().unwrap_or("-"));
    let state = if queue["problem"].is_null() { "reading" } else { "waiting" };
    let taken = format!("{} taken · {} known already", number(&queue["appended"]), number(&queue["again"]));
    let mut lines = vec![format!("    {name:<30} {state:<12} {taken}")];
    lines.extend(problem_lines(&queue["problem"]));
    lines
}

fn problem_lines(problem: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(problem["summary"].as_str().map(|summary| format!("  ! {summary}")));
    lines
        .extend(["detail", "hint"].iter().filter_map(|part| problem[*part].as_str()).map(|text| format!("    {text}")));
    lines
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}
