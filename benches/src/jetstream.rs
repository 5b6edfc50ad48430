//! NATS JetStream beside naru's intake: the same events, each acknowledged, from as many connections.
//!
//! Owns: a throw-away `nats-server` (Debian's package) with a file stream, and the little of its text protocol that
//! publishing needs. Its default is the weaker promise: an acknowledged event is on disk within two minutes, not before
//! the answer. That is printed with the figure.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use naru_testkit::Folder;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::{
    load::{self, Plan, Sent},
    report, world,
};

/// A server that ends with this value.
struct Server {
    child: Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Sends by the plan's sizes and time; says so when there is no `nats-server` here.
pub async fn run(plan: &Plan) {
    let Some(server) = Server::start().await else {
        println!("no nats-server here (apt-get install nats-server): JetStream is left out");
        return;
    };
    Client::connect(server.address, 0).await.make_stream().await;
    let (began, cpu) = (Instant::now(), world::cpu_of(server.child.id()));
    let senders: Vec<_> = (1..=plan.connections)
        .map(|number| tokio::spawn(connection(server.address, number, plan.clone(), began)))
        .collect();
    let mut sum = Sent::default();
    for sender in senders {
        let sent = sender.await.expect("a connection");
        sum.events += sent.events;
        sum.waits.extend(sent.waits);
    }
    sum.took = began.elapsed();
    sum.waits.sort_unstable();
    report::line("NATS JetStream (synced every 2 min, not before)", sum.took, Some(sum.events));
    let share = world::cpu_of(server.child.id()).saturating_sub(cpu).as_secs_f64() / sum.took.as_secs_f64();
    report::fact("CPUs that nats-server used", format!("{share:.2}"));
    report::line("a batch to its last answer, p99", report::percentile(&sum.waits, 99), None);
}

async fn connection(address: SocketAddr, number: u64, plan: Plan, began: Instant) -> Sent {
    let mut client = Client::connect(address, number).await;
    let (mut sent, mut next) = (Sent::default(), number << 40);
    while began.elapsed() < plan.time {
        let asked = Instant::now();
        client.publish(next..next + plan.batch, plan.event_bytes).await;
        next += plan.batch;
        sent.events += plan.batch;
        sent.waits.push(asked.elapsed());
    }
    sent
}

impl Server {
    async fn start() -> Option<Self> {
        let folder = Folder::new("bench-nats");
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a free port");
        let child = Command::new("nats-server")
            .args(["--addr", "127.0.0.1", "--port", &free.port().to_string(), "--jetstream", "--store_dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let server = Self { child, address: free, _folder: folder };
        for _ in 0..500 {
            if TcpStream::connect(free).await.is_ok() {
                return Some(server);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nats-server does not listen on {free}");
    }
}

struct Client {
    stream: BufReader<TcpStream>,
    inbox: String,
    out: Vec<u8>,
    body: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr, number: u64) -> Self {
        let stream = TcpStream::connect(address).await.expect("nats-server");
        stream.set_nodelay(true).expect("a socket");
        let inbox = format!("_INBOX.{number}");
        let mut client = Self { stream: BufReader::new(stream), inbox, out: Vec::new(), body: Vec::new() };
        let hello = format!("CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB {} 1\r\n", client.inbox);
        client.stream.get_mut().write_all(hello.as_bytes()).await.expect("nats-server takes a connection");
        client
    }

    async fn make_stream(&mut self) {
        let body = r#"{"name":"EVENTS","subjects":["events"],"storage":"file","retention":"limits","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"num_replicas":1,"discard":"old"}"#;
        let request = format!("PUB $JS.API.STREAM.CREATE.EVENTS {} {}\r\n{body}\r\n", self.inbox, body.len());
        self.stream.get_mut().write_all(request.as_bytes()).await.expect("nats-server takes a request");
        let answer = self.message().await;
        assert!(!answer.contains("\"error\""), "JetStream refused the stream: {answer}");
    }

    async fn publish(&mut self, numbers: std::ops::Range<u64>, bytes: usize) {
        let count = numbers.end - numbers.start;
        self.out.clear();
        for number in numbers {
            self.body.clear();
            load::event(&mut self.body, number, bytes);
            self.out.extend_from_slice(format!("PUB events {} {}\r\n", self.inbox, self.body.len()).as_bytes());
            self.out.extend_from_slice(&self.body);
            self.out.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&self.out).await.expect("nats-server takes events");
        for _ in 0..count {
            let answer = self.message().await;
            assert!(!answer.contains("\"error\""), "JetStream refused an event: {answer}");
        }
    }

    /// The next message for our inbox.
    async fn message(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.stream.read_line(&mut line).await.expect("nats-server answers");
            assert!(read > 0, "nats-server hung up");
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["PING"] => self.stream.get_mut().write_all(b"PONG\r\n").await.expect("nats-server takes a pong"),
                ["MSG", .., length] => {
                    let length: usize = length.parse().expect("a length");
                    let mut body = vec![0; length + 2];
                    self.stream.read_exact(&mut body).await.expect("a message's body");
                    return String::from_utf8_lossy(&body).into_owned();
                }
                ["-ERR", ..] => panic!("nats-server: {line}"),
                _ => {}
            }
        }
    }
}
