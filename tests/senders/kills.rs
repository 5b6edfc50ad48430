//! Published libraries send while naru is killed and started again under them: what a library was told is there, is.
//!
//! Owns: the kills, and counting what was acknowledged against what SQL shows. A library that is told nothing may send
//! again or give up; both are its own business.

use std::{
    collections::BTreeSet,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use naru_testkit::{Folder, Naru, node, port, python};
use serde_json::Value;

use super::{NODE, PYTHON, command};

const PUBSUB_PYTHON: &[&str] = &["google-cloud-pubsub==2.44.0"];
const PUBSUB_NODE: &[&str] = &["@google-cloud/pubsub@5.3.1"];
/// How often naru is killed.
const KILLS: usize = 3;
/// Topics, and where a row says which event it is.
const TOPICS: [(&str, &str, &str); 3] = [
    ("track", "from = [\"mixpanel.track\"]\n[columns]\nevent = \"STRING\"\nproperties = \"JSON\"\n", "event"),
    ("calls", "from = [\"segment\"]\n[columns]\nevent = \"STRING\"\n", "event"),
    ("orders", "[columns]\nid = \"STRING\"\n", "id"),
];

/// A program with a library, which sends until its input ends and then writes what was acknowledged.
struct Program {
    child: Child,
    name: &'static str,
}

impl Program {
    fn start(name: &'static str, mut command: Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start a program");
        Self { child, name }
    }

    /// Lets it end, and reads what was acknowledged, by topic.
    fn ended(mut self) -> Value {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.child.stdout.take().expect("piped").read_to_string(&mut said).expect("what it wrote");
        let status = self.child.wait().expect("its end");
        assert!(status.success(), "{}: {status}\n{said}", self.name);
        serde_json::from_str(said.lines().last().expect("a line")).unwrap_or_else(|_| panic!("{}: {said}", self.name))
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("senders").join(name)
}

fn programs(http: &str, pubsub: &str) -> Vec<Program> {
    let python = |name, packages, part: &str| {
        let mut command = Command::new(python::venv(packages));
        command.arg(script("kills.py")).args([part, http]).env("PUBSUB_EMULATOR_HOST", pubsub);
        Program::start(name, command)
    };
    let node = |name, packages, part: &str| {
        let script = std::fs::read_to_string(script("kills.js")).expect("the script");
        let mut command = node::command(packages, &script, &[part, http]);
        command.env("PUBSUB_EMULATOR_HOST", pubsub);
        Program::start(name, command)
    };
    vec![
        python("mixpanel and segment, python", PYTHON, "senders"),
        python("pubsub, python", PUBSUB_PYTHON, "pubsub"),
        node("mixpanel and segment, node", NODE, "senders"),
        node("pubsub, node", PUBSUB_NODE, "pubsub"),
    ]
}

fn up(project: &Folder, runtime: &Folder) -> Naru {
    let naru = Naru::start(command(project, runtime).arg("up"));
    naru.wait_line("naru is up");
    naru
}

/// Events that the table, its dead letters included, has.
fn kept(project: &Folder, runtime: &Folder, topic: &str, column: &str) -> BTreeSet<String> {
    let sql = format!("SELECT {column} FROM topics.{topic}");
    let output = command(project, runtime).args(["sql", "--format", "csv", &sql]).output().expect("run naru");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn nothing_that_a_library_was_told_is_there_is_lost_when_naru_is_killed_under_it() {
    let (project, runtime) = (Folder::new("project"), Folder::new("run"));
    let [http, pubsub] = [port::free(), port::free()].map(|port| format!("127.0.0.1:{port}"));
    let settings = format!(
        "[project]\nname = \"acme\"\n[server]\nhttp = \"{http}\"\npostgres = false\npubsub = \"{pubsub}\"\n\
         [limits]\nintake_free_min = \"50MB\"\ncopy_free_min = \"50MB\"\napply_free_min = \"20MB\"\n"
    );
    project.write("naru.toml", &settings);
    for (topic, text, _) in TOPICS {
        project.write(format!("topics/{topic}.toml"), text);
    }
    let mut naru = up(&project, &runtime);
    let programs = programs(&http, &pubsub);
    for _ in 0..KILLS {
        let before = kept(&project, &runtime, "orders", "id").len();
        // In the middle of what they send, whenever that is on this machine.
        while kept(&project, &runtime, "orders", "id").len() <= before + 20 {}
        naru.kill9();
        sleep(Duration::from_millis(300));
        naru = up(&project, &runtime);
    }
    let mut counts = Vec::new();
    for program in programs {
        let name = program.name;
        let acknowledged = program.ended();
        for (topic, _, column) in TOPICS {
            let told = acknowledged[topic].as_array().cloned().unwrap_or_default();
            let mut told: BTreeSet<String> = told.iter().map(|id| id.as_str().expect("an id").to_owned()).collect();
            counts.push(format!("{name}, {topic}: {}", told.len()));
            for _ in 0..300 {
                let kept = kept(&project, &runtime, topic, column);
                told.retain(|id| !kept.contains(id));
                if told.is_empty() {
                    break;
                }
                sleep(Duration::from_millis(100));
            }
            assert!(told.is_empty(), "{name}: acknowledged and not there: {told:?}");
        }
        let some = TOPICS.iter().any(|(topic, ..)| acknowledged[*topic].as_array().is_some_and(|ids| ids.len() > 20));
        assert!(some, "{name} sent next to nothing: {counts:?}");
    }
    println!("acknowledged: {}", counts.join("; "));
}
