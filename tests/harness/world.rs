//! The world of one script: its project folder, its PostgreSQL, its running naru; and what each step does to them.
//!
//! Owns: the meaning of every word. A step that does not hold gives its reason; the caller adds file and line.
//! Read next: `scripts/README.md`.

use std::{
    process::{Command, Output},
    time::{Duration, Instant},
};

use naru_testkit::{Folder, Naru, Options, PostgresServer, TcpProxy, process, python};

use crate::{answer, script::Step, sessions::Sessions};

/// How long a step that waits for the pipeline waits, on a loaded machine.
const WAIT_MAX: Duration = Duration::from_mins(2);
/// Pause between two questions.
const POLL: Duration = Duration::from_millis(100);

const NARU_TOML: &str = r#"[project]
name = "test"
[server]
http = "127.0.0.1:0"
postgres = "127.0.0.1:0"
pubsub = false
[limits]
copy_free_min = "50MB"
apply_free_min = "20MB"
"#;
const SHOP_TOML: &str = r#"kind = "postgres"
url = "${SHOP_URL}"
"#;

type Held = Result<(), String>;

/// See the module.
pub struct World {
    project: Folder,
    runtime: Folder,
    options: Options,
    server: Option<(PostgresServer, TcpProxy)>,
    naru: Option<Naru>,
    sessions: Sessions,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A fresh project; the server starts with the first step that needs it.
    pub fn new() -> Self {
        let project = Folder::new("project");
        project.write("naru.toml", NARU_TOML);
        project.write("sources/shop.toml", SHOP_TOML);
        Self {
            project,
            runtime: Folder::new("run"),
            options: Options::default(),
            server: None,
            naru: None,
            sessions: Sessions::default(),
        }
    }

    /// Does one step.
    ///
    /// # Errors
    /// Why the step does not hold.
    pub async fn play(&mut self, step: &Step) -> Held {
        match step.word.as_str() {
            "server" => self.set(step),
            "sql" => self.sql(step).await,
            "write" => {
                self.project.write(&step.argument, &with_hours(&step.text()));
                Ok(())
            }
            "remove" => std::fs::remove_file(self.project.join(&step.argument)).map_err(|error| error.to_string()),
            "damage" => self.damage(&step.argument),
            "session" | "behind" | "ends" => self.session(step).await,
            "shows" => self.shows(step).await,
            "silent" => self.silent(step),
            "up" => self.up(step).await,
            "naru" => self.naru(step, true),
            "fails" => self.naru(step, false),
            "dies" => self.dies(step),
            "interrupt" => self.interrupt(step),
            "query" => self.query(step).await,
            "holds" => self.holds(step).await,
            "live" => self.live(step).await,
            "state" => self.state(step).await,
            "says" => self.says(step),
            "same" => self.same(step).await,
            "readers" => self.readers(step).await,
            "kill9" => self.running().map(Naru::kill9).map(|()| self.naru = None),
            "stop" => self.stop(),
            "aborted" => self.running().map(|naru| naru.wait_aborted(WAIT_MAX)).map(|()| self.naru = None),
            "server-restart" | "server-kill9" | "server-standby" | "server-promote" | "server-other"
            | "server-backup" | "server-restore" | "network" => self.break_something(step).await,
            unknown => Err(format!("no such step: {unknown}")),
        }
    }

    fn set(&mut self, step: &Step) -> Held {
        if self.server.is_some() {
            return Err("the server runs already".to_owned());
        }
        let (name, value) = step.argument.split_once(' ').ok_or("server NAME VALUE")?;
        self.options = self.options.clone().with(name, value);
        Ok(())
    }

    async fn server(&mut self) -> &mut (PostgresServer, TcpProxy) {
        if self.server.is_none() {
            let server = PostgresServer::start(self.options.clone()).await;
            let proxy = TcpProxy::start(server.port()).await;
            self.server = Some((server, proxy));
        }
        self.server.as_mut().expect("just started")
    }

    async fn sql(&mut self, step: &Step) -> Held {
        let database = if step.argument.is_empty() { "postgres" } else { &step.argument };
        let client = self.server().await.0.client_of(database).await;
        client.batch_execute(&step.text()).await.map_err(|error| match error.as_db_error() {
            Some(error) => format!("{error:?}"),
            None => error.to_string(),
        })
    }

    /// A `naru` command in this world's project. Until a step needs the server, the source is an address where none is.
    fn command(&self) -> Command {
        let (port, password) = self.server.as_ref().map_or((1, ""), |(_, proxy)| (proxy.port(), ":naru"));
        let mut command = process::command(self.project.path());
        command
            .env("SHOP_URL", format!("postgres://postgres{password}@127.0.0.1:{port}/postgres"))
            .env("SHOP_PORT", port.to_string())
            .env("XDG_RUNTIME_DIR", self.runtime.path());
        command
    }

    fn output(&self, words: &[&str]) -> Result<Output, String> {
        let mut command = self.command();
        command.args(words).output().map_err(|error| error.to_string())
    }

    async fn up(&mut self, step: &Step) -> Held {
        if self.naru.is_some() {
            return Err("naru runs already".to_owned());
        }
        self.server().await;
        let mut command = self.command();
        command.arg("up");
        if !step.argument.is_empty() {
            command.env("NARU_FAILPOINTS", step.words().join(";"));
        }
        let naru = Naru::start(&mut command);
        // With a fault it may end before it is up, and the script will say that it expects that.
        if naru.find_line("naru is up", WAIT_MAX).is_none() && step.argument.is_empty() {
            return Err(format!("naru did not come up; it wrote:\n{}", naru.output()));
        }
        self.naru = Some(naru);
        Ok(())
    }

    fn running(&mut self) -> Result<&mut Naru, String> {
        self.naru.as_mut().ok_or_else(|| "naru does not run; `up` starts it".to_owned())
    }

    fn stop(&mut self) -> Held {
        let naru = self.running()?;
        let status = naru.interrupt();
        let written = naru.output();
        self.naru = None;
        if status.success() { Ok(()) } else { Err(format!("naru ended with {status}; it wrote:\n{written}")) }
    }

    fn naru(&self, step: &Step, succeeds: bool) -> Held {
        let words = step.words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = self.output(&words)?;
        let written = written(&output);
        if output.status.success() != succeeds {
            return Err(format!("ended with {}; it wrote:\n{written}", output.status));
        }
        match step.body.iter().find(|line| !written.contains(line.as_str())) {
            None => Ok(()),
            Some(line) => Err(format!("did not write {line:?}; it wrote:\n{written}")),
        }
    }

    fn dies(&self, step: &Step) -> Held {
        let words = step.words();
        let (fault, words) = words.split_first().ok_or("dies FAULT WORDS")?;
        let mut command = self.command();
        let output = command.args(words).env("NARU_FAILPOINTS", fault).output().map_err(|error| error.to_string())?;
        // A process that a signal has ended has no exit code.
        match output.status.code() {
            None => Ok(()),
            Some(_) => Err(format!("ended with {}; it wrote:\n{}", output.status, written(&output))),
        }
    }

    fn interrupt(&self, step: &Step) -> Held {
        let mut command = self.command();
        let mut naru = Naru::start(command.args(step.words()).env("NARU_LOG", "naru=debug"));
        let builds = matches!(step.words().first().map(String::as_str), Some("run" | "resume"));
        let begun = if builds { " running " } else { "the query runs" };
        if naru.find_line(begun, WAIT_MAX).is_none() {
            return Err(format!("it never ran; it wrote:\n{}", naru.output()));
        }
        let status = naru.interrupt();
        let written = naru.output();
        if status.code() != Some(1) {
            return Err(format!("ended with {status}; it wrote:\n{written}"));
        }
        match step.body.iter().find(|line| !written.contains(line.as_str())) {
            None => Ok(()),
            Some(line) => Err(format!("did not write {line:?}; it wrote:\n{written}")),
        }
    }

    async fn query(&mut self, step: &Step) -> Held {
        let sql = step.argument.clone();
        let wanted = step.body.clone();
        self.eventually(async |world| {
            let output = world.output(&["sql", "--format", "ndjson", &sql])?;
            if !output.status.success() {
                return Err(written(&output));
            }
            let rows = answer::rows(&String::from_utf8_lossy(&output.stdout))?;
            same(&wanted, &rows)
        })
        .await
    }

    async fn holds(&mut self, step: &Step) -> Held {
        let (sql, wanted) = (step.argument.clone(), step.body.clone());
        self.eventually(async |world| {
            let cell = |value: Option<String>| value.unwrap_or_else(|| "NULL".to_owned());
            let row = |row: Vec<Option<String>>| row.into_iter().map(cell).collect::<Vec<_>>().join("|");
            let rows: Vec<String> = world.server().await.0.rows(&sql).await.into_iter().map(row).collect();
            same(&wanted, &rows)
        })
        .await
    }

    async fn live(&mut self, step: &Step) -> Held {
        for table in step.words() {
            self.wait_state(&table, "live").await?;
        }
        Ok(())
    }

    async fn state(&mut self, step: &Step) -> Held {
        match step.words().as_slice() {
            [table, state] => self.wait_state(table, state).await,
            _ => Err("state TABLE STATE".to_owned()),
        }
    }

    async fn wait_state(&mut self, table: &str, wanted: &str) -> Held {
        self.eventually(async |world| {
            let output = world.output(&["status", "--json"])?;
            let status = serde_json::from_slice(&output.stdout)
                .map_err(|error| format!("status is not JSON: {error}\n{}", written(&output)))?;
            match answer::state(&status, table) {
                Some(state) if state == wanted => Ok(()),
                Some(state) => Err(format!("{table} is {state}: {status}")),
                None => Err(format!("{table} is not listed: {status}")),
            }
        })
        .await
    }

    fn says(&mut self, step: &Step) -> Held {
        let naru = self.running()?;
        let line = naru.find_line(&step.argument, WAIT_MAX);
        line.map(drop).ok_or_else(|| format!("naru wrote:\n{}", naru.output()))
    }

    /// Waits until `naru status` shows every line of the body.
    async fn shows(&mut self, step: &Step) -> Held {
        let wanted = step.body.clone();
        self.eventually(async |world| {
            let text = written(&world.output(&["status"])?);
            match wanted.iter().find(|line| !text.contains(line.as_str())) {
                None => Ok(()),
                Some(line) => Err(format!("status does not show {line:?}:\n{text}")),
            }
        })
        .await
    }

    fn silent(&mut self, step: &Step) -> Held {
        let naru = self.running()?;
        match naru.output().lines().find(|line| line.contains(&step.argument)) {
            None => Ok(()),
            Some(line) => Err(format!("naru wrote: {line}")),
        }
    }

    async fn session(&mut self, step: &Step) -> Held {
        let name = step.argument.clone();
        if step.word != "ends" {
            self.server().await;
            let (server, _) = self.server.as_ref().ok_or("no server")?;
            self.sessions.begin(&name, server, step.text()).await;
        }
        if step.word == "behind" { Ok(()) } else { self.sessions.end(&name, WAIT_MAX).await }
    }

    /// Flips a byte in the middle of every file whose path matches; the last part of the path may end with `*`.
    fn damage(&self, pattern: &str) -> Held {
        let path = self.project.join(pattern.trim_end_matches('*'));
        let prefix = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = path.parent().ok_or("a path below the project")?;
        let mut damaged = 0;
        for entry in std::fs::read_dir(folder).map_err(|error| error.to_string())?.flatten() {
            let mut bytes = std::fs::read(entry.path()).map_err(|error| error.to_string())?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) && !bytes.is_empty() {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                std::fs::write(entry.path(), bytes).map_err(|error| error.to_string())?;
                damaged += 1;
            }
        }
        if damaged == 0 { Err(format!("no file with content matches {pattern}")) } else { Ok(()) }
    }

    async fn same(&mut self, step: &Step) -> Held {
        let tables = step.words();
        if tables.is_empty() {
            return self.compare(None).await;
        }
        for table in &tables {
            self.compare(Some(table)).await?;
        }
        Ok(())
    }

    /// What cannot be compared yet is waited for; what differs, and an answer that says of nothing that it is equal, is
    /// not.
    async fn compare(&mut self, table: Option<&str>) -> Held {
        let mut unequal = None;
        let compared = self
            .eventually(async |world| {
                let words: Vec<&str> = ["compare"].into_iter().chain(table).collect();
                let output = world.output(&words)?;
                let text = written(&output);
                if !output.status.success() && text.contains("not compared") && !text.contains("DIFFERENT") {
                    return Err(text);
                }
                let equal = output.status.success() && answer::says_equal(&text, table);
                unequal = (!equal).then(|| format!("{} does not say that it is equal:\n{text}", words.join(" ")));
                Ok(())
            })
            .await;
        compared.and(unequal.map_or(Ok(()), Err))
    }

    async fn readers(&mut self, step: &Step) -> Held {
        const SCRIPT: &str = include_str!("readers.py");
        let table = self.project.join("lake").join(step.argument.replace('.', "/"));
        let mine = self.runtime.join("naru.parquet");
        let sql = format!("SELECT * FROM {}", step.argument);
        self.eventually(async |world| {
            let mut command = world.command();
            command.args(["sql", "--format", "parquet", &sql]);
            let file = std::fs::File::create(&mine).map_err(|error| error.to_string())?;
            let output = command.stdout(file).output().map_err(|error| error.to_string())?;
            if !output.status.success() {
                return Err(written(&output));
            }
            let said = python::run(python::READERS, SCRIPT, &[&table, &mine]);
            if said.trim() == "same" { Ok(()) } else { Err(said) }
        })
        .await
    }

    async fn break_something(&mut self, step: &Step) -> Held {
        let (server, proxy) = self.server().await;
        match (step.word.as_str(), step.argument.as_str()) {
            ("server-restart", "") => server.restart().await,
            ("server-kill9", "") => {
                server.kill9().await;
                server.start_again().await;
            }
            ("server-standby", "") => server.become_standby().await,
            ("server-promote", "") => server.promote().await,
            ("server-backup", "") => server.back_up().await,
            ("server-restore", "") => server.put_back().await,
            ("server-other", "") => {
                let other = PostgresServer::start(self.options.clone().own_identity()).await;
                let (server, proxy) = self.server.as_mut().ok_or("no server yet")?;
                other.execute(&server.dump().await).await;
                proxy.retarget(other.port());
                proxy.cut_once().await;
                *server = other;
            }
            ("network", "cut") => proxy.cut(),
            ("network", "stall") => proxy.stall(),
            ("network", "mend") => proxy.mend(),
            _ => {
                return Err(
                    "network cut|stall|mend, server-restart|kill9|standby|promote|other|backup|restore".to_owned()
                );
            }
        }
        Ok(())
    }

    /// Asks until it holds. Fails at once when naru was started and has ended.
    async fn eventually(&mut self, mut ask: impl AsyncFnMut(&mut Self) -> Held) -> Held {
        let began = Instant::now();
        loop {
            let Err(reason) = ask(self).await else { return Ok(()) };
            let ended = self.naru.as_mut().is_some_and(|naru| !naru.is_running());
            if ended || began.elapsed() > WAIT_MAX {
                let log = self.naru.as_ref().map(Naru::output).unwrap_or_default();
                return Err(format!("{reason}\nnaru {}; it wrote:\n{log}", if ended { "ended" } else { "runs" }));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// `{hour+N}` becomes the full hour N hours from now, in UTC.
fn with_hours(text: &str) -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    (1..24).fold(text.to_owned(), |text, later| {
        text.replace(&format!("{{hour+{later}}}"), &format!("{:02}:00", (seconds / 3600 + later) % 24))
    })
}

fn same(wanted: &[String], got: &[String]) -> Held {
    let shown = || format!("wanted:\n  {}\ngot:\n  {}", wanted.join("\n  "), got.join("\n  "));
    if wanted == got { Ok(()) } else { Err(shown()) }
}

fn written(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
