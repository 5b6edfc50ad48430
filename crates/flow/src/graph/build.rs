//! From the project folder to the graph.
//!
//! Owns: finding what each mart and check reads, edges, cycles, and every problem with them. Reads only what it is
//! given. Never stops at the first problem: a broken mart stays in the graph and takes only its readers with it.

use std::collections::{BTreeMap, BTreeSet};

use naru_base::{Place, Problem, TableId};
use naru_project::{CheckFile, MartKind, Project, Rule};
use naru_quality::{CompiledCheck, compile, compile_file};
use sha2::{Digest as _, Sha256};

use super::{Graph, Limits, Mart, order};
use crate::{
    executor::Kind,
    front::{SqlFront, SqlMistake, TableRead},
    known::{KnownTables, nearest},
};

/// A graph and everything wrong with it.
#[derive(Debug, Clone, Default)]
pub struct Built {
    /// All marts, broken ones too.
    pub graph: Graph,
    /// Mistakes, in the order of files and lines.
    pub problems: Vec<Problem>,
    /// Worth knowing, not wrong.
    pub notes: Vec<Problem>,
}

impl Graph {
    /// Finds what the marts and checks of a project read, and what is wrong with it.
    ///
    /// Problems: SQL that does not parse, tables that nobody makes, cycles with their path. Notes: tables of sources
    /// that were never seen, checks that gate nothing.
    pub fn build(project: &Project, front: &dyn SqlFront, known: &KnownTables) -> Built {
        let mut builder = Builder::new(project, front, known);
        builder.read_marts();
        builder.break_cycles();
        builder.read_checks();
        builder.finish()
    }
}

struct Builder<'a> {
    project: &'a Project,
    front: &'a dyn SqlFront,
    known: &'a KnownTables,
    /// By table name until [`Builder::finish`].
    marts: Vec<Mart>,
    by_id: BTreeMap<TableId, usize>,
    above: order::Above,
    after: order::Above,
    /// Both together.
    waits: order::Above,
    problems: Vec<Problem>,
    notes: Vec<Problem>,
    /// Tables that may exist in sources that were never seen, and where the first of each source is read.
    unseen: BTreeMap<String, (BTreeSet<TableId>, Place)>,
}

impl<'a> Builder<'a> {
    fn new(project: &'a Project, front: &'a dyn SqlFront, known: &'a KnownTables) -> Self {
        // Two files of one table are a collision that reading the folder reports; the first one stands.
        let mut files = BTreeMap::new();
        for mart in &project.marts {
            files.entry(mart.id.clone()).or_insert(mart);
        }
        let marts: Vec<Mart> = files.values().map(|file| without_edges(file)).collect();
        let by_id = marts.iter().enumerate().map(|(at, mart)| (mart.id.clone(), at)).collect();
        let none = vec![Vec::new(); marts.len()];
        let (above, after, waits) = (none.clone(), none.clone(), none);
        Self {
            project,
            front,
            known,
            marts,
            by_id,
            above,
            after,
            waits,
            problems: Vec::new(),
            notes: Vec::new(),
            unseen: BTreeMap::new(),
        }
    }

    fn read_marts(&mut self) {
        for at in 0..self.marts.len() {
            let Some((file, sql)) = self.marts.get(at).and_then(|mart| {
                let file = self.project.mart(&mart.id)?;
                Some((&file.sql, mart.sql.clone()))
            }) else {
                continue;
            };
            let place = |line, column| file.body_place_at(line, column);
            let found = self.read(&sql, "mart", &place);
            let reads = found.unwrap_or_else(|problem| {
                self.set_broken(at, problem);
                BTreeSet::new()
            });
            let above = reads.iter().filter_map(|id| self.by_id.get(id)).copied().collect();
            if let (Some(mart), Some(list)) = (self.marts.get_mut(at), self.above.get_mut(at)) {
                mart.reads = reads;
                *list = above;
            }
        }
    }

    /// What a text reads. All its problems are reported; the first one comes back.
    fn read(
        &mut self,
        sql: &str,
        what: &str,
        place: &dyn Fn(usize, usize) -> Place,
    ) -> Result<BTreeSet<TableId>, Problem> {
        let found = self.front.tables_read(sql).map_err(|mistake| {
            let problem = does_not_parse(what, &mistake, place);
            self.problems.push(problem.clone());
            problem
        })?;
        let mut reads = BTreeSet::new();
        let mut first = None;
        for read in &found {
            match self.resolve(read) {
                Ok(id) => {
                    reads.insert(id);
                }
                Err(Unresolved::Wrong(problem)) => {
                    let problem = problem.at(place(read.line, read.column));
                    if !self.problems.contains(&problem) {
                        self.problems.push(problem.clone());
                    }
                    first.get_or_insert(problem);
                }
                Err(Unresolved::Unseen(source, id)) => {
                    let at = place(read.line, read.column);
                    let (tables, _) = self.unseen.entry(source).or_insert_with(|| (BTreeSet::new(), at));
                    tables.insert(id.clone());
                    reads.insert(id);
                }
            }
        }
        first.map_or(Ok(reads), Err)
    }

    fn resolve(&self, read: &TableRead) -> Result<TableId, Unresolved> {
        let written = read.parts.join(".");
        let id = match read.parts.as_slice() {
            [table] => return Err(Unresolved::Wrong(self.without_dataset(table))),
            [dataset, table] => TableId::new(dataset, table),
            [project, dataset, table] if *project == self.project.settings.name => TableId::new(dataset, table),
            [project, ..] => return Err(Unresolved::Wrong(self.other_project(&written, project))),
            [] => return Err(Unresolved::Wrong(Problem::new("flow.table_unknown", "a table has no name"))),
        };
        if self.by_id.contains_key(&id) || self.known.has(&id) {
            return Ok(id);
        }
        if let Some(source) = self.known.maybe_in(&id) {
            return Err(Unresolved::Unseen(source.to_owned(), id));
        }
        Err(Unresolved::Wrong(self.unknown(&id)))
    }

    fn unknown(&self, id: &TableId) -> Problem {
        let problem = Problem::new("flow.table_unknown", format!("nobody makes table {id}"))
            .detail("No source, topic or mart of this project has that name.");
        let near = nearest(&id.to_string(), self.by_id.keys().chain(self.known.tables()));
        problem.hint(match near {
            Some(name) => format!("Did you mean {name}?"),
            None => format!("Write marts/{}/{}.sql, or include the table in a source.", id.dataset, id.table),
        })
    }

    fn without_dataset(&self, table: &str) -> Problem {
        let problem = Problem::new("flow.table_without_dataset", format!("table {table} is named without a dataset"));
        let same_name = self.by_id.keys().chain(self.known.tables()).find(|id| id.table == table);
        problem.hint(match same_name {
            Some(id) => format!("Write {id}."),
            None => "Write dataset.table.".to_owned(),
        })
    }

    fn other_project(&self, written: &str, project: &str) -> Problem {
        let own = &self.project.settings.name;
        Problem::new("flow.other_project", format!("table {written} is not in this project"))
            .detail(format!("Its first part is \"{project}\"; this project is \"{own}\"."))
            .hint("Leave the first part out, or mend it.")
    }

    fn set_broken(&mut self, at: usize, problem: Problem) {
        if let Some(mart) = self.marts.get_mut(at) {
            mart.broken.get_or_insert(problem);
        }
    }

    /// Reports every cycle and cuts its edges, so that the rest has an order.
    fn break_cycles(&mut self) {
        for cycle in order::cycles(&self.above) {
            let names: Vec<String> =
                cycle.path.iter().filter_map(|&at| self.marts.get(at)).map(|mart| mart.id.to_string()).collect();
            let mut problem = Problem::new("flow.cycle", format!("marts wait for each other: {}", names.join(" → ")))
                .detail("Each mart on the path reads the next one, so none can be built first.")
                .hint("Take one of these reads out, or move what both need into a mart of its own.");
            if let Some(first) = cycle.path.first().and_then(|&at| self.marts.get(at)) {
                problem = problem.at(first.place.clone());
            }
            for &member in &cycle.members {
                if let Some(list) = self.above.get_mut(member) {
                    list.retain(|above| !cycle.members.contains(above));
                }
                self.set_broken(member, problem.clone());
            }
            self.problems.push(problem);
        }
        self.waits.clone_from(&self.above);
    }

    fn read_checks(&mut self) {
        let project = self.project;
        let mut named = BTreeSet::new();
        for file in &project.marts {
            let Some(&at) = self.by_id.get(&file.id) else { continue };
            for check in &file.checks {
                if let Rule::Query { file } = &check.rule {
                    named.insert(file.clone());
                }
                if let Some(compiled) = compile(check, &file.id, &project.checks) {
                    self.add_check(at, compiled, check_file(project, &check.rule));
                }
            }
        }
        for file in project.checks.iter().filter(|file| !named.contains(file.sql.source.file())) {
            self.add_check_file(file);
        }
        for mart in &mut self.marts {
            number_equal_names(&mut mart.checks);
        }
    }

    fn add_check(&mut self, at: usize, check: CompiledCheck, file: Option<&CheckFile>) {
        let mut reads = BTreeSet::new();
        if check.handwritten {
            let written_at = check.place.clone();
            let found = match file {
                Some(file) => self.read(&check.sql, "check", &|line, column| place_in(file, line, column)),
                None => self.read(&check.sql, "check", &|_, _| written_at.clone()),
            };
            // A mart whose check cannot run is not published, so it need not be built.
            match found {
                Ok(found) => reads = found,
                Err(problem) => self.set_broken(at, problem),
            }
        }
        self.attach(at, check, reads);
    }

    /// A check file gates the last of the marts that it reads; the others are built before that one.
    fn add_check_file(&mut self, file: &CheckFile) {
        let check = compile_file(file);
        // A file that cannot be read gates nothing that is known; it is reported, and `naru check` fails.
        let Ok(reads) = self.read(&check.sql, "check", &|line, column| place_in(file, line, column)) else { return };
        let order = order::topological(&self.waits);
        let last = order.into_iter().rev().find(|&at| self.marts.get(at).is_some_and(|mart| reads.contains(&mart.id)));
        match last {
            Some(at) => self.attach(at, check, reads),
            None => self.notes.push(
                Problem::new("flow.check_gates_nothing", format!("check {} reads no mart", file.name))
                    .detail("A file in checks/ runs before a mart that it reads is published.")
                    .at(check.place),
            ),
        }
    }

    fn attach(&mut self, at: usize, check: CompiledCheck, mut reads: BTreeSet<TableId>) {
        let Some(mart) = self.marts.get_mut(at) else { return };
        reads.remove(&mart.id);
        mart.checks.push(check);
        let marts: Vec<usize> = reads.iter().filter_map(|id| self.by_id.get(id)).copied().collect();
        mart.check_reads.extend(reads);
        for other in marts {
            let already = self.waits.get(at).is_some_and(|list| list.contains(&other));
            // A mart below this one is read as it was before the run: waiting for it would never end.
            if already || order::reach(&self.waits, other).contains(&at) {
                continue;
            }
            for lists in [&mut self.after, &mut self.waits] {
                if let Some(list) = lists.get_mut(at) {
                    list.push(other);
                }
            }
        }
    }

    fn finish(mut self) -> Built {
        let order = order::topological(&self.waits);
        let mut new_number = vec![0; self.marts.len()];
        for (number, &at) in order.iter().enumerate() {
            if let Some(slot) = new_number.get_mut(at) {
                *slot = number;
            }
        }
        let renumber = |lists: &order::Above| -> order::Above {
            let list_of = |&at: &usize| lists.get(at).map(Vec::as_slice).unwrap_or_default();
            order.iter().map(|at| list_of(at).iter().filter_map(|&to| new_number.get(to)).copied().collect()).collect()
        };
        let (above, after) = (renumber(&self.above), renumber(&self.after));
        let mut slots: Vec<Option<Mart>> = self.marts.into_iter().map(Some).collect();
        let marts: Vec<Mart> = order.iter().filter_map(|&at| slots.get_mut(at)?.take()).collect();
        let by_id = marts.iter().enumerate().map(|(at, mart)| (mart.id.clone(), at)).collect();
        self.notes.extend(self.unseen.into_iter().map(|(source, (tables, at))| never_seen(&source, &tables, at)));
        self.problems.sort_by(|a, b| a.place.cmp(&b.place));
        self.notes.sort_by(|a, b| a.place.cmp(&b.place));
        let graph = Graph { layers: layers(&above), below: order::below(&above), marts, by_id, above, after };
        Built { graph, problems: self.problems, notes: self.notes }
    }
}

enum Unresolved {
    Wrong(Problem),
    /// The source that may have it.
    Unseen(String, TableId),
}

fn never_seen(source: &str, tables: &BTreeSet<TableId>, at: Place) -> Problem {
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    Problem::new("flow.source_unseen", format!("the tables of source {source} are not known yet"))
        .detail(format!("Naru has never connected to it, so it cannot tell whether it has {}.", names.join(", ")))
        .hint("Run `naru check --live`, or start `naru up`.")
        .at(at)
}

fn without_edges(file: &naru_project::Mart) -> Mart {
    let kind = match file.kind {
        MartKind::Table => Kind::Table,
        MartKind::View => Kind::View,
    };
    let sql = file.sql.body().to_owned();
    Mart {
        id: file.id.clone(),
        place: file.sql.body_place(file.sql.body().len() - file.sql.body().trim_start().len()),
        body: file.sql.body_place_at(1, 1),
        kind,
        fingerprint: fingerprint(kind, &sql),
        sql,
        reads: BTreeSet::new(),
        checks: Vec::new(),
        check_reads: BTreeSet::new(),
        broken: None,
        schedule: file.schedule.clone(),
        limits: Limits { timeout: file.limits.timeout, retries: file.limits.retries, memory_bytes: file.limits.memory },
        description: file.description.clone(),
        owner: file.owner.clone(),
        column_comments: file.columns.iter().cloned().collect(),
    }
}

fn fingerprint(kind: Kind, sql: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(kind.word());
    hash.update([0]);
    hash.update(sql.trim());
    hex::encode(hash.finalize()).chars().take(16).collect()
}

fn does_not_parse(what: &str, mistake: &SqlMistake, place: &dyn Fn(usize, usize) -> Place) -> Problem {
    let mut problem = Problem::new("flow.sql", format!("the SQL of this {what} does not parse"))
        .detail(mistake.summary.clone())
        .at(place(mistake.line.unwrap_or(1), mistake.column.unwrap_or(1)));
    problem.hint.clone_from(&mistake.hint);
    problem
}

fn check_file<'a>(project: &'a Project, rule: &Rule) -> Option<&'a CheckFile> {
    match rule {
        Rule::Query { file } => project.checks.iter().find(|known| known.sql.source.file() == file),
        Rule::Unique { .. }
        | Rule::NotNull { .. }
        | Rule::AcceptedValues { .. }
        | Rule::Relationships { .. }
        | Rule::Condition { .. } => None,
    }
}

/// A place in a check file from a line and column in its compiled query, which has no leading blanks.
fn place_in(file: &CheckFile, line: usize, column: usize) -> Place {
    let body = file.sql.body();
    let blanks = body.len() - body.trim_start().len();
    let start = file.sql.body_place(blanks);
    match line {
        0 | 1 => Place { column: start.column + column.saturating_sub(1), ..start },
        _ => Place { line: start.line + line - 1, column: column.max(1), ..start },
    }
}

/// Verdicts are stored by name, so two checks of a mart may not share one.
fn number_equal_names(checks: &mut [CompiledCheck]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for check in checks {
        let count = seen.entry(check.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            check.name = format!("{} #{count}", check.name);
        }
    }
}

fn layers(above: &order::Above) -> Vec<usize> {
    let mut layers: Vec<usize> = Vec::with_capacity(above.len());
    for list in above {
        let highest = list.iter().filter_map(|&at| layers.get(at)).max();
        layers.push(highest.map_or(0, |layer| layer + 1));
    }
    layers
}
