//! The run of one history: writers, faults and looks, in an order that the seed decides.
//!
//! Owns: the order of everything, and the report of a failure. Never decides what a statement is.

use std::{
    sync::{Arc, MutexGuard},
    time::{Duration, Instant},
};

use naru_testkit::seed;
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use tokio_postgres::{Client, SimpleQueryMessage, error::SqlState};

use crate::{
    definitions::{self, PREPARE, Shape},
    faults::PLACES,
    history::{Answer, History, Seq},
    live::{self, Shared, Watch},
    stage::{Stage, writer},
    table::{Column, Table},
    value::Kind,
    versions::Versions,
    workload::{self, COMMITS, Extent, FILE, Statement},
    world::{SessionId, World},
};

/// Writers.
pub const SESSIONS: usize = 3;
/// Steps between two looks at everything.
const LOOK_EVERY: u32 = 80;
/// How long changed definitions may stay unnoticed where nothing announces them.
const NOTICE_MAX: Duration = Duration::from_mins(1);

/// What a history is.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Whether naru may use its event trigger.
    pub announced: bool,
    /// Statements or ends of transactions.
    pub steps: u32,
    /// Whether things break.
    pub faults: bool,
}

/// See the module.
pub struct Model {
    pub(crate) settings: Settings,
    seed: u64,
    pub(crate) rng: StdRng,
    pub(crate) stage: Stage,
    pub(crate) shared: Arc<Shared>,
    pub(crate) world: World,
    pub(crate) writers: Vec<Client>,
    /// What each writer's transaction may do.
    extents: [Extent; SESSIONS],
    /// For questions that are part of no transaction.
    pub(crate) asker: Client,
    pub(crate) versions: Versions,
    pub(crate) seq: Seq,
    /// A transaction that was prepared and waits for its end, with its number at the source.
    pub(crate) prepared: Option<(SessionId, String)>,
    step: u32,
    show: bool,
    began: Instant,
    watch: Option<tokio::task::JoinHandle<()>>,
    /// How often naru died at which place.
    pub(crate) died: std::collections::BTreeMap<String, u32>,
}

impl Drop for Model {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.abort();
        }
    }
}

impl Model {
    /// Runs a history to its end.
    pub async fn run(settings: Settings) {
        let mut model = Self::new(settings).await;
        while model.step < settings.steps {
            model.step += 1;
            model.one_step().await;
            model.check_watch();
        }
        model.end().await;
    }

    /// Runs a history in which naru is killed twice in a row at each of some places.
    pub async fn run_places(settings: Settings, few: usize) {
        let mut model = Self::new(settings).await;
        let places: Vec<&str> = PLACES.choose_multiple(&mut model.rng, few).copied().collect();
        for place in places {
            model.killed_twice_at(place).await;
            model.check_watch();
        }
        eprintln!("naru died at {:?}", model.died);
        let missed: Vec<&str> = PLACES.iter().copied().filter(|place| model.died.get(*place) != Some(&2)).collect();
        if few == PLACES.len() && !missed.is_empty() {
            model.fail(&format!("naru was not killed twice at {missed:?}"));
        }
        model.end().await;
    }

    async fn end(&mut self) {
        self.look().await;
        self.check_watch();
        let looks = *self.shared.looks.lock().expect("nobody panics with it");
        eprintln!(
            "{} commits, {} versions judged ({:?}), {} exact looks, {} at tables on their way",
            self.seq, self.versions.count, self.versions.operations, looks.0, looks.1
        );
        self.stage.stop();
    }

    async fn new(settings: Settings) -> Self {
        let (rng, seed) = seed::rng();
        let shared = Arc::new(Shared { announced: settings.announced, ..Shared::default() });
        let flush = ["100ms", "300ms", "2s"][(seed % 3) as usize];
        let stage = Stage::new(shared.clone(), flush).await;
        let mut writers = Vec::new();
        for _ in 0..SESSIONS {
            writers.push(writer(&stage.server).await);
        }
        let asker = stage.server.client().await;
        let versions = Versions::new(stage.lake(), stage.own());
        let extents = [Extent { rows: 30, definitions: true }; SESSIONS];
        let show = std::env::var_os("NARU_MODEL_SHOW").is_some();
        let mut world = World::default();
        world.partitions_go = settings.announced;
        let (seq, step, watch, began) = (0, 0, None, Instant::now());
        let mut model = Self {
            settings,
            seed,
            rng,
            stage,
            shared,
            world,
            writers,
            extents,
            asker,
            versions,
            seq,
            prepared: None,
            step,
            show,
            began,
            watch,
            died: std::collections::BTreeMap::new(),
        };
        model.prepare().await;
        model.watch = Some(Watch::start(model.shared.clone()));
        model
    }

    /// Tables of several kinds, and naru following them.
    async fn prepare(&mut self) {
        self.asker.batch_execute(PREPARE).await.expect("prepare the source");
        self.world.begin(0);
        let mut statements = vec![Statement::new(format!("CREATE TABLE {COMMITS} (seq bigint PRIMARY KEY)"))];
        let (id, name) = (self.world.column(), "seq".to_owned());
        let seq = Column { id, name, kind: Kind::Bigint, nullable: false, default: None, key: true };
        self.world.create(0, |id| Table::new(id, COMMITS.to_owned(), vec![seq], true));
        for shape in [Shape::Int, Shape::Unique, Shape::Pair, Shape::Parted, Shape::Keyless] {
            statements.extend(definitions::create(&mut self.world, &mut self.rng, 0, shape));
        }
        self.write(0, "BEGIN").await;
        for statement in statements {
            assert!(self.execute(0, &statement).await, "the first tables are made");
        }
        self.commit(0).await;
        self.stage.up();
        self.look().await;
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.shared.history.lock().expect("nobody panics with it")
    }

    /// Stops the test with everything needed to see why and to see it again.
    pub(crate) fn fail(&self, wrong: &str) -> ! {
        let story = self.stage.story();
        let path = std::env::temp_dir().join(format!("naru-model-{}.log", self.seed));
        let kept = std::fs::write(&path, &story).map(|()| path.display().to_string()).unwrap_or_default();
        panic!(
            "step {} of seed {}: {wrong}\nreplay: NARU_SEED={} NARU_MODEL_STEPS={}\nthe whole story is in {kept}",
            self.step, self.seed, self.seed, self.settings.steps
        );
    }

    pub(crate) fn check_watch(&self) {
        let wrong = self.shared.wrong.lock().expect("nobody panics with it").take();
        if let Some(wrong) = wrong {
            self.fail(&wrong);
        }
    }

    fn told(&mut self, session: SessionId, text: &str) {
        let mut text = text.to_owned();
        if text.len() > 600 {
            let cut = text.floor_char_boundary(600);
            text.truncate(cut);
            text.push('…');
        }
        if self.show {
            eprintln!("{session}: {text};");
        }
        let since = self.began.elapsed().as_secs_f32();
        self.stage.note(format!("[{} {since:.3}] {session}: {text};", self.step));
    }

    /// Runs a statement that cannot fail.
    async fn write(&mut self, session: SessionId, sql: &str) {
        self.told(session, sql);
        if let Err(error) = self.writers[session].batch_execute(sql).await {
            self.fail(&format!("{sql}: {error:?}"));
        }
    }

    /// Runs a statement of the workload; `false` when the source sacrificed the transaction.
    async fn execute(&mut self, session: SessionId, statement: &Statement) -> bool {
        let mut sql = statement.sql.clone();
        if let Some(lines) = &statement.file {
            sql = sql.replace(FILE, &self.stage.file(lines));
        }
        self.told(session, &sql);
        let messages = match self.writers[session].simple_query(&sql).await {
            Ok(messages) => messages,
            Err(error) if error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED) => return false,
            Err(error) => self.fail(&format!("{}: {error:?}", statement.sql)),
        };
        let changed = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::CommandComplete(rows) => Some(*rows as usize),
            _ => None,
        });
        if statement.rows.is_some() && statement.rows != changed {
            self.fail(&format!("{}: changed {changed:?} rows, the model {:?}", statement.sql, statement.rows));
        }
        true
    }

    pub(crate) async fn one_step(&mut self) {
        if self.step.is_multiple_of(LOOK_EVERY) {
            return self.look().await;
        }
        if self.settings.faults && self.rng.random_bool(0.02) {
            return self.fault().await;
        }
        if self.rng.random_bool(0.01) {
            return self.vacuum_full().await;
        }
        let session = self.rng.random_range(0..SESSIONS);
        self.step_of(session).await;
    }

    async fn step_of(&mut self, session: SessionId) {
        if !self.world.is_open(session) {
            return self.begin(session).await;
        }
        if self.prepared.as_ref().is_some_and(|(prepared, _)| *prepared == session) {
            return self.end_prepared().await;
        }
        let depth = self.world.savepoints(session);
        match self.rng.random_range(0..100) {
            0..3 => self.prepare_transaction(session).await,
            3..22 => self.commit(session).await,
            22..26 => self.rollback(session).await,
            26..34 => {
                self.world.savepoint(session);
                self.write(session, "SAVEPOINT inside").await;
            }
            34..39 if depth > 0 => {
                self.world.rollback_to(session);
                self.write(session, "ROLLBACK TO SAVEPOINT inside; RELEASE SAVEPOINT inside").await;
            }
            39..42 if depth > 0 => {
                self.world.release(session);
                self.write(session, "RELEASE SAVEPOINT inside").await;
            }
            _ => self.statements(session).await,
        }
    }

    /// A step without faults and looks, while naru may not run.
    pub(crate) async fn quiet_step(&mut self) {
        self.step += 1;
        let session = self.rng.random_range(0..SESSIONS);
        self.step_of(session).await;
    }

    async fn begin(&mut self, session: SessionId) {
        let large = self.rng.random_bool(0.06);
        let rows = if large { 600 } else { 30 };
        self.extents[session] = Extent { rows, definitions: self.rng.random_bool(0.6) };
        self.world.begin(session);
        self.write(session, "BEGIN").await;
        self.statements(session).await;
    }

    async fn statements(&mut self, session: SessionId) {
        let extent = self.extents[session];
        let statements = workload::step(&mut self.world, &mut self.rng, session, extent);
        for statement in statements {
            if !self.execute(session, &statement).await {
                self.told(session, "(sacrificed by the source's deadlock detector)");
                return self.rollback(session).await;
            }
        }
    }

    /// Another storage file with the same rows.
    async fn vacuum_full(&mut self) {
        let session = (0..SESSIONS).find(|session| !self.world.is_open(*session));
        let Some(session) = session else { return };
        let alone = definitions::own(&self.world, session);
        let Some(table) = alone.choose(&mut self.rng).and_then(|id| self.world.table(*id)) else { return };
        let sql = format!("VACUUM FULL {}", table.name);
        self.write(session, &sql).await;
    }

    async fn rollback(&mut self, session: SessionId) {
        self.world.rollback(session);
        self.write(session, "ROLLBACK").await;
    }

    /// Commits, and puts the commit with its exact end into the history.
    async fn commit(&mut self, session: SessionId) {
        // Numbers come in the order of the commits.
        self.end_prepared().await;
        let number = self.number_commit(session).await;
        self.finish(session, "COMMIT", &number).await;
    }

    /// Gives the commit its number; gives the transaction's number at the source.
    async fn number_commit(&mut self, session: SessionId) -> String {
        self.seq += 1;
        let seq = self.seq;
        let commits = self.world.tables().find(|table| table.name == COMMITS).expect("it is never dropped").id;
        self.world.insert(session, commits, Arc::new(vec![Some(seq.to_string().into())]));
        self.write(session, &format!("INSERT INTO {COMMITS} VALUES ({seq})")).await;
        let asked = "SELECT (pg_current_xact_id()::text::numeric % 4294967296)::text";
        let row = one_row(&self.writers[session], asked).await.expect("the number of a transaction");
        row[0].clone().unwrap_or_default()
    }

    /// The first half of a commit in two; until the second nobody else commits.
    async fn prepare_transaction(&mut self, session: SessionId) {
        self.end_prepared().await;
        let number = self.number_commit(session).await;
        self.write(session, &format!("PREPARE TRANSACTION 'number {number}'")).await;
        self.prepared = Some((session, number));
    }

    /// The second half.
    async fn end_prepared(&mut self) {
        let Some((session, number)) = self.prepared.take() else { return };
        if self.rng.random_bool(0.2) {
            self.write(session, &format!("ROLLBACK PREPARED 'number {number}'")).await;
            self.world.rollback(session);
            self.seq -= 1;
        } else {
            self.finish(session, &format!("COMMIT PREPARED 'number {number}'"), &number).await;
        }
    }

    async fn finish(&mut self, session: SessionId, sql: &str, number: &str) {
        let seq = self.seq;
        let row = one_row(&self.asker, "SELECT pg_current_wal_insert_lsn()::text").await.expect("a position");
        let from = row[0].clone().unwrap_or_default();
        self.write(session, sql).await;
        let found = format!(
            "SELECT (end_lsn - '0/0')::text FROM pg_get_wal_records_info('{from}', pg_current_wal_flush_lsn()) \
             WHERE resource_manager = 'Transaction' AND (record_type = 'COMMIT' AND xid::text = '{number}' \
             OR record_type = 'COMMIT_PREPARED' AND description LIKE '{number}: %')"
        );
        let end = match one_row(&self.asker, &found).await {
            Ok(row) => row[0].clone().and_then(|text| text.parse().ok()).unwrap_or(0),
            Err(error) => self.fail(&format!("where commit {seq} ends: {error:?}")),
        };
        let changes = self.world.commit(session, seq);
        self.history().commit(end, changes);
        self.told(session, &format!("commit {seq} ends at {end}"));
    }

    /// Everything stands still: naru sees all of it, and every judge looks.
    pub(crate) async fn look(&mut self) {
        self.end_prepared().await;
        for session in 0..SESSIONS {
            if self.world.is_open(session) {
                self.commit(session).await;
            }
        }
        self.world.begin(0);
        self.write(0, "BEGIN").await;
        self.commit(0).await;
        let names: Vec<String> = self.world.tables().map(|table| table.name.clone()).collect();
        let wanted = self.history().end(self.seq);
        if let Err(late) = self.stage.caught_up(wanted, &names).await {
            self.check_watch();
            self.fail(&late);
        }
        self.source_equals_model().await;
        if self.stage.store_fails() {
            // What was written while the store failed is judged by whole ones.
            self.stage.kill9();
            self.stage.up();
            if let Err(late) = self.stage.caught_up(wanted, &names).await {
                self.fail(&late);
            }
        }
        self.queries_equal_model(&names).await;
        if let Err(wrong) = self.versions.judge(&self.shared).await {
            self.fail(&wrong);
        }
        let seq = self.seq;
        self.history().settled.push(seq);
        self.marts_equal_model();
        self.compares(&names).await;
    }

    /// `naru compare` finds nothing. Without the event trigger a dropped column stays until it is noticed.
    async fn compares(&self, names: &[String]) {
        let began = Instant::now();
        loop {
            let different = self.stage.compare(names).await;
            if different.is_empty() {
                return;
            }
            if self.settings.announced || began.elapsed() > NOTICE_MAX {
                self.fail(&different.join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The model is what the source holds: otherwise the model is wrong.
    async fn source_equals_model(&self) {
        for table in self.world.tables() {
            let answer = rows_of(&self.asker, &format!("SELECT * FROM {}", table.name)).await;
            let answer = answer.unwrap_or_else(|error| self.fail(&format!("{}: {error:?}", table.name)));
            let wrong = {
                let history = self.history();
                let moment = history.named(&table.name, self.seq).expect("it is in the history");
                (!history.holds(moment, &answer)).then(|| history.difference(moment, &answer))
            };
            if let Some(wrong) = wrong {
                self.fail(&format!("the model of {} is not the source: {wrong}", table.name));
            }
        }
    }

    /// Every table as queries see it. Without the event trigger naru is given the time to notice changed definitions.
    async fn queries_equal_model(&self, names: &[String]) {
        let began = Instant::now();
        for name in names {
            while let Err(wrong) = self.query_equals_model(name).await {
                if self.settings.announced || began.elapsed() > NOTICE_MAX {
                    self.fail(&wrong);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// Marts run, and hold what the source held after the last commit.
    fn marts_equal_model(&self) {
        let (done, said) = self.stage.naru(&["run"]);
        if !done {
            self.fail(&format!("marts do not run: {said}"));
        }
        let (_, rows) = self.stage.naru(&["sql", "--format", "csv", "SELECT n, last_seq FROM m.above"]);
        if rows.lines().nth(1) != Some(format!("{0},{0}", self.seq).as_str()) {
            self.fail(&format!("after commit {} a mart holds {rows}", self.seq));
        }
    }

    async fn query_equals_model(&self, name: &str) -> Result<(), String> {
        let door = self.shared.door.lock().expect("nobody panics with it").clone().ok_or("naru does not run")?;
        let client = live::connect(&door).await.ok_or("the Postgres wire does not answer")?;
        let seen = live::see(&client, name).await.map_err(|error| format!("a query of {name}: {error:?}"))?;
        let history = self.history();
        let moment = history.named(name, seen.seq).ok_or("it is not in the history")?;
        if seen.seq == self.seq && history.holds(moment, &seen.answer) {
            return Ok(());
        }
        let difference = history.difference(moment, &seen.answer);
        Err(format!("with commit {} of {} a query of {name} sees: {difference}", seen.seq, self.seq))
    }
}

async fn one_row(client: &Client, sql: &str) -> Result<Vec<Option<String>>, tokio_postgres::Error> {
    let answer = rows_of(client, sql).await?;
    Ok(answer.rows.into_iter().next().unwrap_or_else(|| vec![None, None]))
}

async fn rows_of(client: &Client, sql: &str) -> Result<Answer, tokio_postgres::Error> {
    let mut answer = Answer { names: Vec::new(), rows: Vec::new() };
    for message in client.simple_query(sql).await? {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                answer.names = columns.iter().map(|column| column.name().to_owned()).collect();
            }
            SimpleQueryMessage::Row(row) => {
                answer.rows.push((0..row.len()).map(|at| row.get(at).map(ToOwned::to_owned)).collect());
            }
            _ => {}
        }
    }
    Ok(answer)
}
