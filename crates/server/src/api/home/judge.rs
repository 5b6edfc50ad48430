//! What is late, what is wrong, and what comes first.
//!
//! Owns: the decision, as a pure function of what was told and what the caller may see. Asks nobody.

use std::cmp::Reverse;

use jiff::Timestamp;
use naru_access::Visible;
use naru_base::TableId;

use super::{
    Disk,
    told::{LakeTable, Mart, Node, Source, Table, Told, Topics},
    views::{DiskView, HomeProblem, HomeView, MartCounts, ProblemKind, SourceLine, TableCounts, TopicCounts},
};
use crate::api::views::{ProblemView, time_text};

/// A change that took longer to arrive than this makes its table late.
const LATE_MS: u64 = 60_000;
/// A disk with less than so many times what must stay free is told of.
const DISK_WARNS_AT: u64 = 2;

/// Whom it touches when something is wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Affected {
    pub(super) readers: usize,
    pub(super) marts: usize,
}

/// Who asks, and what else counts.
pub(super) struct Scene<'a> {
    pub(super) visible: &'a Visible,
    pub(super) is_admin: bool,
    pub(super) affected: &'a dyn Fn(&TableId) -> Affected,
    pub(super) disk: Disk,
    pub(super) now: Timestamp,
}

/// How a table stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Fresh,
    Late,
    Copying,
    Paused,
    Stopped,
    Gone,
}

/// Counts and orders what was told.
pub(super) fn judge(told: Told, scene: &Scene<'_>) -> HomeView {
    let complete = told.sources.iter().all(|source| source.read);
    let lake_bytes = told.lake.tables.iter().map(|table| table.bytes).sum();
    let mut found = Found { scene, problems: Vec::new() };
    let (tables, sources) = found.sources(told.sources);
    let marts = found.marts(told.marts);
    let topics = found.topics(told.topics.unwrap_or_default());
    found.definitions(told.folder);
    found.upkeep(told.lake.tables);
    let disk = found.disk(lake_bytes);
    let mut problems = found.problems;
    problems.sort_by_key(|problem| {
        (problem.severity != BAD, Reverse(problem.readers), Reverse(problem.marts), problem.object.clone())
    });
    HomeView { as_of: scene.now.to_string(), complete, tables, marts, topics, sources, disk, problems }
}

const BAD: &str = "bad";
const WARN: &str = "warn";

fn standing(table: &Table, phase: &str) -> Standing {
    match table.state.as_str() {
        "dropped" | "not_synced" => Standing::Gone,
        "paused" => Standing::Paused,
        "live" if phase != "streaming" || table.lag_ms.is_some_and(|lag| lag > LATE_MS) => Standing::Late,
        "live" => Standing::Fresh,
        "discovered" | "preflight" | "copying" | "catching_up" | "rebuilding" => Standing::Copying,
        _ => Standing::Stopped,
    }
}

struct Found<'a> {
    scene: &'a Scene<'a>,
    problems: Vec<HomeProblem>,
}

impl Found<'_> {
    fn add(&mut self, kind: ProblemKind, severity: &str, object: String) -> &mut HomeProblem {
        self.problems.push_mut(HomeProblem {
            kind,
            severity: severity.to_owned(),
            object,
            within: None,
            run: None,
            count: None,
            since: None,
            readers: 0,
            marts: 0,
            problem: None,
        })
    }

    fn sources(&mut self, sources: Vec<Source>) -> (TableCounts, Vec<SourceLine>) {
        let (mut counts, mut lines) = (TableCounts::default(), Vec::new());
        for source in sources {
            let seen: Vec<&Table> =
                source.tables.iter().filter(|table| self.scene.visible.table(&table.table)).collect();
            if seen.is_empty() && !self.scene.visible.dataset(&source.source) {
                continue;
            }
            let standings: Vec<(Standing, &Table)> =
                seen.iter().map(|table| (standing(table, &source.phase), *table)).collect();
            let line = line(&source, &standings);
            for (standing, _) in &standings {
                count(&mut counts, *standing);
            }
            self.source(&source, &seen);
            self.tables(&source, &standings);
            lines.push(line);
        }
        (counts, lines)
    }

    /// A source that stands still touches everybody who reads any of its tables: its tables are not told one by one.
    fn source(&mut self, source: &Source, seen: &[&Table]) {
        let each = seen.iter().map(|table| (self.scene.affected)(&table.table));
        let most = each.fold(Affected::default(), |most, one| Affected {
            readers: most.readers.max(one.readers),
            marts: most.marts.max(one.marts),
        });
        let warnings = source.warnings.iter().map(|warning| (ProblemKind::SourceWarning, WARN, warning));
        let problems = source.problem.iter().map(|problem| (ProblemKind::Source, BAD, problem));
        for (kind, severity, said) in problems.chain(warnings) {
            let problem = self.add(kind, severity, source.source.clone());
            (problem.readers, problem.marts, problem.problem) = (most.readers, most.marts, Some(said.clone()));
        }
    }

    fn tables(&mut self, source: &Source, standings: &[(Standing, &Table)]) {
        for (standing, table) in standings {
            let (kind, severity) = match standing {
                Standing::Stopped => (ProblemKind::Table, BAD),
                // The source says it for all of them.
                Standing::Late if source.problem.is_none() => (ProblemKind::Late, WARN),
                Standing::Late | Standing::Fresh | Standing::Copying | Standing::Paused | Standing::Gone => continue,
            };
            let affected = (self.scene.affected)(&table.table);
            let problem = self.add(kind, severity, table.table.to_string());
            problem.within = Some(source.source.clone());
            problem.count = table.lag_ms.filter(|_| kind == ProblemKind::Late);
            (problem.readers, problem.marts) = (affected.readers, affected.marts);
            problem.problem = (kind == ProblemKind::Table).then(|| ProblemView {
                code: "sync.table_stopped".into(),
                summary: format!("table {} is {}", table.table, table.state),
                detail: table.reason.clone(),
                hint: table.fix.clone(),
                place: None,
            });
        }
    }

    fn marts(&mut self, marts: Vec<Mart>) -> MartCounts {
        let mut counts = MartCounts::default();
        let seen = marts.into_iter().filter(|mart| mart.kind.is_some() && self.scene.visible.table(&mart.mart));
        for mart in seen.collect::<Vec<_>>() {
            counts.all += 1;
            let warns = mart.failing_checks.iter().any(|check| check.outcome == "warn");
            match mart.latest.as_ref().map(|(_, node)| node.state.as_str()) {
                None => counts.never += 1,
                Some("done" | "marked_done" | "skipped") => {
                    counts.done += 1;
                    if warns {
                        self.warned(&mart);
                    }
                }
                Some("failed" | "timed_out" | "blocked" | "interrupted" | "cancelled") => {
                    counts.failed += 1;
                    self.failed(mart);
                }
                Some(_) => counts.running += 1,
            }
        }
        counts
    }

    fn warned(&mut self, mart: &Mart) {
        let affected = (self.scene.affected)(&mart.mart);
        let checks: Vec<&str> =
            mart.failing_checks.iter().filter(|it| it.outcome == "warn").map(|it| it.check.as_str()).collect();
        let problem = self.add(ProblemKind::Check, WARN, mart.mart.to_string());
        (problem.readers, problem.marts) = (affected.readers, affected.marts);
        problem.within = Some(checks.join(", "));
    }

    fn failed(&mut self, mart: Mart) {
        let Some((run, node)) = mart.latest else { return };
        // What was cancelled by a person is no news to anybody, and what waits for another mart is told there.
        let severity = if matches!(node.state.as_str(), "cancelled" | "blocked") { WARN } else { BAD };
        let affected = (self.scene.affected)(&mart.mart);
        let said = said(&mart.mart, &node);
        let problem = self.add(ProblemKind::Mart, severity, mart.mart.to_string());
        (problem.readers, problem.marts) = (affected.readers, affected.marts);
        (problem.run, problem.since) = (Some(run), node.ended_us.map(time_text));
        problem.problem = Some(said);
    }

    fn topics(&mut self, told: Topics) -> TopicCounts {
        if let Some(said) = told.log.problem {
            self.add(ProblemKind::Log, BAD, "log".into()).problem = Some(said);
        }
        self.definitions(told.wrong);
        let mut counts = TopicCounts::default();
        let is_seen = |topic: &str| self.scene.visible.table(&table_of(topic));
        let seen: Vec<_> = told.topics.into_iter().filter(|topic| topic.declared && is_seen(&topic.topic)).collect();
        let forwards: Vec<_> = told.forwards.into_iter().filter(|forward| is_seen(&forward.topic)).collect();
        for topic in seen {
            let sink = topic.table.unwrap_or_default();
            counts.all += 1;
            counts.events_per_s += topic.rate;
            counts.dead_letters += sink.dead_letters;
            let affected = (self.scene.affected)(&table_of(&topic.topic));
            let dead = (sink.dead_letters > 0).then_some((ProblemKind::DeadLetters, WARN, None));
            let stands = sink.problem.map(|said| (ProblemKind::Topic, BAD, Some(said)));
            for (kind, severity, said) in stands.into_iter().chain(dead) {
                let problem = self.add(kind, severity, topic.topic.clone());
                problem.count = Some(sink.dead_letters).filter(|_| kind == ProblemKind::DeadLetters);
                (problem.readers, problem.marts, problem.problem) = (affected.readers, affected.marts, said);
            }
        }
        for forward in forwards.into_iter().filter(|forward| matches!(forward.state.as_str(), "refused" | "waiting")) {
            let severity = if forward.state == "refused" { BAD } else { WARN };
            let problem = self.add(ProblemKind::Forward, severity, forward.topic);
            (problem.within, problem.problem) = (Some(forward.forward), forward.problem);
        }
        counts
    }

    /// Files are for those who see everything: a mistake may name what others must not know of.
    fn definitions(&mut self, wrong: Vec<ProblemView>) {
        if !self.scene.is_admin {
            return;
        }
        for said in wrong {
            let file = said.place.as_ref().map(|place| place.file.clone()).unwrap_or_default();
            self.add(ProblemKind::Definition, BAD, file).problem = Some(said);
        }
    }

    fn upkeep(&mut self, tables: Vec<LakeTable>) {
        for table in tables {
            let Some(reason) = table.upkeep.problem else { continue };
            if !self.scene.visible.table(&table.table) {
                continue;
            }
            let object = table.table.to_string();
            let said = ProblemView {
                code: "lake.upkeep".into(),
                summary: format!("upkeep of {object} failed"),
                detail: Some(reason),
                hint: None,
                place: None,
            };
            self.add(ProblemKind::Upkeep, WARN, object).problem = Some(said);
        }
    }

    fn disk(&mut self, lake_bytes: u64) -> Option<DiskView> {
        if !self.scene.is_admin {
            return None;
        }
        let Disk { free, least } = self.scene.disk;
        if free < least.saturating_mul(DISK_WARNS_AT) {
            let severity = if free < least { BAD } else { WARN };
            self.add(ProblemKind::Disk, severity, String::new()).count = Some(free);
        }
        Some(DiskView { free_bytes: free, least_bytes: least, lake_bytes })
    }
}

fn line(source: &Source, standings: &[(Standing, &Table)]) -> SourceLine {
    let late = standings.iter().filter(|(standing, _)| matches!(standing, Standing::Late | Standing::Stopped));
    SourceLine {
        source: source.source.clone(),
        phase: source.phase.clone(),
        tables: standings.iter().filter(|(standing, _)| *standing != Standing::Gone).count(),
        late: late.count(),
        lag_ms: standings.iter().filter_map(|(_, table)| table.lag_ms).max(),
        retained_bytes: source.retained_bytes,
        safe_bytes: source.safe_bytes,
    }
}

fn table_of(topic: &str) -> TableId {
    let [table, _] = naru_topics::tables(topic);
    table
}

fn count(counts: &mut TableCounts, standing: Standing) {
    let one = match standing {
        Standing::Fresh => &mut counts.fresh,
        Standing::Late => &mut counts.late,
        Standing::Copying => &mut counts.copying,
        Standing::Paused => &mut counts.paused,
        Standing::Stopped => &mut counts.stopped,
        Standing::Gone => return,
    };
    *one += 1;
    counts.all += 1;
}

fn said(mart: &TableId, node: &Node) -> ProblemView {
    node.problem.clone().unwrap_or_else(|| ProblemView {
        code: "flow.run_failed".into(),
        summary: format!("mart {mart} is {}", node.state.replace('_', " ")),
        detail: node.cause.clone(),
        hint: None,
        place: None,
    })
}

#[cfg(test)]
mod tests {
    use naru_access::{Principal, Rights};
    use serde_json::{Value, json};

    use super::*;

    fn judged(status: Value) -> HomeView {
        let visible = Rights::default().visible(&Principal::Owner);
        let affected = |table: &TableId| match table.table.as_str() {
            "orders" => Affected { readers: 9, marts: 2 },
            _ => Affected { readers: 1, marts: 0 },
        };
        let disk = Disk { free: 100, least: 10 };
        let scene = Scene { visible: &visible, is_admin: true, affected: &affected, disk, now: Timestamp::UNIX_EPOCH };
        judge(Told::read(status), &scene)
    }

    fn table(name: &str, state: &str, lag_ms: u64) -> Value {
        json!({"table": {"dataset": "shop", "table": name}, "state": state, "lag_ms": lag_ms})
    }

    #[test]
    fn a_table_is_late_when_its_changes_take_long_or_its_source_stands_still() {
        let tables = json!([table("a", "live", 5), table("b", "live", 61_000), table("c", "copying", 0)]);
        let home =
            judged(json!({"sources": [{"source": "shop", "phase": "streaming", "read": true, "tables": tables}]}));
        assert_eq!(home.tables, TableCounts { all: 3, fresh: 1, late: 1, copying: 1, ..TableCounts::default() });
        assert_eq!(home.problems.iter().map(|it| it.object.as_str()).collect::<Vec<_>>(), ["shop.b"]);
        assert!(home.complete);

        let problem = json!({"code": "sync.connect_failed", "summary": "no"});
        let tables = json!([table("a", "live", 5), table("gone", "dropped", 0)]);
        let home =
            judged(json!({"sources": [{"source": "shop", "phase": "waiting", "problem": problem, "tables": tables}]}));
        assert_eq!((home.tables.all, home.tables.late), (1, 1));
        let kinds: Vec<_> = home.problems.iter().map(|it| it.kind).collect();
        assert_eq!(kinds, [ProblemKind::Source], "the source says it once for all its tables");
        assert!(!home.complete, "it was not read yet");
    }

    #[test]
    fn what_most_people_read_comes_first_among_what_is_equally_bad() {
        let tables =
            json!([table("aaa", "quarantined", 0), table("late", "live", 99_000), table("orders", "quarantined", 0)]);
        let home = judged(json!({"sources": [{"source": "shop", "phase": "streaming", "tables": tables}]}));
        let order: Vec<&str> = home.problems.iter().map(|it| it.object.as_str()).collect();
        assert_eq!(order, ["shop.orders", "shop.aaa", "shop.late"]);
    }

    #[test]
    fn marts_topics_and_files_tell_what_is_wrong_with_them() {
        let mart = |name: &str, state: &str| {
            json!({"mart": {"dataset": "finance", "table": name}, "kind": "table",
                   "latest": [7, {"state": state, "ended_us": 0}], "failing_checks": []})
        };
        let topics = json!({"log": {}, "topics": [{"topic": "clicks", "declared": true, "rate": 2.5,
                            "table": {"dead_letters": 4}}]});
        let file =
            json!([{"code": "project.syntax", "summary": "no", "place": {"file": "a.sql", "line": 1, "column": 1}}]);
        let marts = json!([mart("good", "done"), mart("bad", "failed"), mart("now", "running")]);
        let home = judged(json!({"marts": marts, "topics": topics, "folder": file}));
        assert_eq!(home.marts, MartCounts { all: 3, done: 1, failed: 1, running: 1, never: 0 });
        assert_eq!(home.topics, TopicCounts { all: 1, events_per_s: 2.5, dead_letters: 4 });
        let found: Vec<(ProblemKind, &str, Option<i64>)> =
            home.problems.iter().map(|it| (it.kind, it.object.as_str(), it.run)).collect();
        let bad = (ProblemKind::Mart, "finance.bad", Some(7));
        assert_eq!(found, [bad, (ProblemKind::Definition, "a.sql", None), (ProblemKind::DeadLetters, "clicks", None)]);
    }

    #[test]
    fn who_may_see_nothing_is_told_of_nothing() {
        let rights = Rights::new(naru_access::Terms { sign_in: true, ..naru_access::Terms::default() });
        let visible = rights.visible(&Principal::Project);
        let visible = if visible.everything() { std::sync::Arc::new(Visible::default()) } else { visible };
        let disk = Disk { free: 0, least: 10 };
        let affected = |_: &TableId| Affected::default();
        let scene = Scene { visible: &visible, is_admin: false, affected: &affected, disk, now: Timestamp::UNIX_EPOCH };
        let told = json!({
            "sources": [{"source": "shop", "phase": "waiting", "problem": {"code": "a.b", "summary": "no"},
                         "tables": [table("orders", "quarantined", 0)]}],
            "marts": [{"mart": {"dataset": "finance", "table": "pay"}, "kind": "table", "latest": [1, {"state": "failed"}]}],
            "folder": [{"code": "project.syntax", "summary": "finance.pay"}],
            "lake": {"tables": [{"table": {"dataset": "shop", "table": "orders"}, "upkeep": {"problem": "no"}}]},
            "topics": {"topics": [{"topic": "clicks", "declared": true, "table": {"dead_letters": 1}}]},
        });
        let home = judge(Told::read(told), &scene);
        assert!(home.problems.is_empty() && home.sources.is_empty() && home.disk.is_none(), "{home:?}");
        assert_eq!((home.tables.all, home.marts.all, home.topics.all), (0, 0, 0));
    }
}
