//! The built `naru` as a process, as a user runs it.
//!
//! Owns: finding the binary, starting it in a project folder, waiting for its words, ending it, also by kill -9.
//! Never builds it: `cargo xtask test` does, before the tests.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long [`Naru::wait_line`] waits on a loaded machine.
const LINE_WAIT_MAX: Duration = Duration::from_mins(2);
/// How long a process may take to end after it was asked to.
const STOP_WAIT_MAX: Duration = Duration::from_mins(2);

/// The path of the built binary: `NARU_BIN`, or the target folder this test was built into.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("NARU_BIN").or_else(|| std::env::var_os("CARGO_BIN_EXE_naru")) {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("path of this test");
    let mut folders = test.ancestors().skip(1);
    folders
        .find_map(|folder| Some(folder.join("naru")).filter(|path| path.is_file()))
        .expect("the built naru beside this test; run `cargo build -p naru` first (cargo xtask test does)")
}

/// A command of the built binary in `project`, with a clean environment for naru's own variables.
pub fn command(project: &Path) -> Command {
    let mut command = Command::new(binary());
    command.current_dir(project).env_remove("NARU_FAILPOINTS").env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs one `naru` command to its end.
pub fn run(project: &Path, arguments: &[&str]) -> Output {
    command(project).args(arguments).output().expect("run naru")
}

/// Runs one `naru` command that must succeed; returns its standard output.
pub fn run_ok(project: &Path, arguments: &[&str]) -> String {
    let output = run(project, arguments);
    assert!(
        output.status.success(),
        "naru {} ended with {}\n{}{}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("naru writes UTF-8")
}

#[derive(Debug, Default)]
struct Heard {
    lines: Vec<String>,
    open_streams: usize,
}

type Ears = Arc<(Mutex<Heard>, Condvar)>;

/// What a `naru` writes, also after it ended.
#[derive(Debug, Clone)]
pub struct Words(Ears);

impl Words {
    /// The lines from the `first` (from 0) on.
    pub fn since(&self, first: usize) -> Vec<String> {
        let heard = self.0.0.lock().expect("no listener panics");
        heard.lines.get(first..).unwrap_or_default().to_vec()
    }
}

/// A `naru` that keeps running, usually `naru up`. Dropping it kills it.
#[derive(Debug)]
pub struct Naru {
    child: Child,
    ears: Ears,
}

impl Naru {
    /// Starts `command` and listens to both of its streams.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start naru");
        let ears: Ears = Arc::default();
        ears.0.lock().expect("no listener panics").open_streams = 2;
        listen(child.stdout.take().expect("piped"), Arc::clone(&ears));
        listen(child.stderr.take().expect("piped"), Arc::clone(&ears));
        Self { child, ears }
    }

    /// Starts `naru up` in `project`.
    pub fn up(project: &Path) -> Self {
        Self::start(command(project).arg("up"))
    }

    /// Waits until a line that contains `text` was written; returns it. Earlier lines count.
    pub fn wait_line(&self, text: &str) -> String {
        self.find_line(text, LINE_WAIT_MAX)
            .unwrap_or_else(|| panic!("naru never wrote {text:?}; it wrote:\n{}", self.output()))
    }

    /// As [`Self::wait_line`], but `None` when it did not come within `wait` or the process closed its streams.
    pub fn find_line(&self, text: &str, wait: Duration) -> Option<String> {
        let began = Instant::now();
        let mut heard = self.ears.0.lock().expect("no listener panics");
        loop {
            if let Some(line) = heard.lines.iter().find(|line| line.contains(text)) {
                return Some(line.clone());
            }
            let left = wait.checked_sub(began.elapsed())?;
            if heard.open_streams == 0 {
                return None;
            }
            heard = self.ears.1.wait_timeout(heard, left).expect("no listener panics").0;
        }
    }

    /// All it wrote so far, both streams, by line.
    pub fn output(&self) -> String {
        self.ears.0.lock().expect("no listener panics").lines.join("\n")
    }

    /// A way to what it writes for somebody who does not own it.
    pub fn words(&self) -> Words {
        Words(Arc::clone(&self.ears))
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("look at naru").is_none()
    }

    /// Kills it without any clean-up.
    pub fn kill9(&mut self) {
        let _ended_already = self.child.kill();
        self.child.wait().expect("wait for naru");
    }

    /// Asks it to stop as Ctrl-C does and waits for its end.
    pub fn interrupt(&mut self) -> ExitStatus {
        if let Some(process) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ended_already = kill_process(process, Signal::INT);
        }
        self.wait(STOP_WAIT_MAX)
    }

    /// Waits for its end by itself.
    pub fn wait(&mut self, wait: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("look at naru") {
                return status;
            }
            assert!(began.elapsed() < wait, "naru did not end within {wait:?}; it wrote:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a failpoint aborted it.
    pub fn wait_aborted(&mut self, wait: Duration) {
        let status = self.wait(wait);
        assert!(status.signal().is_some(), "naru ended by itself ({status}); it wrote:\n{}", self.output());
    }
}

impl Drop for Naru {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("naru wrote:\n{}", self.output());
        }
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

fn listen(stream: impl Read + Send + 'static, ears: Ears) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            ears.0.lock().expect("no listener panics").lines.push(line);
            ears.1.notify_all();
        }
        ears.0.lock().expect("no listener panics").open_streams -= 1;
        ears.1.notify_all();
    });
}
