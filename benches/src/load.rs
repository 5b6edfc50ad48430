//! A load generator for topics: events of a given size over HTTP or Pub/Sub's gRPC, from many connections, at full speed
//! or at a rate.
//!
//! Owns: making events, sending them, and how long each batch waited for its answer. Never starts a naru.
//! Senders are as cheap as they can be (no JSON library, one buffer a connection): what is left of the machine is naru's.

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use naru_base::number::usize_from;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::{
    grpc::Channel,
    pubsub_clients::{PublishRequest, PubsubMessage, publisher_client::PublisherClient},
};

/// Which door the events go to.
#[derive(Debug, Clone)]
pub enum Door {
    /// `POST /v1/ingest/TOPIC`, NDJSON.
    Http { address: SocketAddr, topic: String },
    /// `Publish`; the topic by its full name.
    Grpc { address: SocketAddr, topic: String },
}

/// What is sent.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to.
    pub door: Door,
    /// Connections; each waits for its answer before it sends again.
    pub connections: u64,
    /// Events in a request.
    pub batch: u64,
    /// Bytes of an event, about.
    pub event_bytes: usize,
    /// Events a second over all connections; none for as fast as answers come.
    pub rate: Option<u64>,
    /// How long.
    pub time: Duration,
}

/// A plan as a person types it: `http 127.0.0.1:6278 app_log --rate 5000`.
pub fn plan(words: &[String]) -> Option<Plan> {
    let [door, address, topic, options @ ..] = words else { return None };
    let (address, topic) = (address.parse().ok()?, topic.clone());
    let door = match door.as_str() {
        "http" => Door::Http { address, topic },
        "grpc" => Door::Grpc { address, topic },
        _ => return None,
    };
    let time = Duration::from_secs(10);
    let mut plan = Plan { door, connections: 32, batch: 100, event_bytes: 400, rate: None, time };
    for option in options.chunks(2) {
        let [name, value] = option else { return None };
        let value: u64 = value.parse().ok()?;
        match name.as_str() {
            "--connections" => plan.connections = value,
            "--batch" => plan.batch = value,
            "--bytes" => plan.event_bytes = usize_from(value),
            "--rate" => plan.rate = Some(value),
            "--seconds" => plan.time = Duration::from_secs(value),
            _ => return None,
        }
    }
    Some(plan)
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Sent {
    /// Events that were acknowledged.
    pub events: u64,
    /// Requests that were refused because naru was full or busy.
    pub refused: u64,
    /// From each request to its answer, sorted.
    pub waits: Vec<Duration>,
    /// How long it took in all.
    pub took: Duration,
}

/// Numbers of events that were acknowledged, for whoever watches them become visible.
pub type Acknowledged = tokio::sync::mpsc::UnboundedSender<(u64, Instant)>;

/// Sends by the plan. Events are numbered from `first` (field `n`); `tell` hears the last number of each request.
pub async fn send(plan: &Plan, first: u64, tell: Option<Acknowledged>) -> Sent {
    let next = Arc::new(AtomicU64::new(first));
    let began = Instant::now();
    let senders: Vec<_> = (0..plan.connections)
        .map(|_| tokio::spawn(connection(plan.clone(), Arc::clone(&next), first, began, tell.clone())))
        .collect();
    let mut sum = Sent::default();
    for sender in senders {
        let sent = sender.await.expect("a connection");
        sum.events += sent.events;
        sum.refused += sent.refused;
        sum.waits.extend(sent.waits);
    }
    sum.took = began.elapsed();
    sum.waits.sort_unstable();
    sum
}

async fn connection(plan: Plan, next: Arc<AtomicU64>, first: u64, began: Instant, tell: Option<Acknowledged>) -> Sent {
    let mut sender = Sender::connect(&plan.door).await;
    let mut sent = Sent::default();
    while began.elapsed() < plan.time {
        let from = next.fetch_add(plan.batch, Ordering::Relaxed);
        if let Some(rate) = plan.rate {
            let due = Duration::from_micros((from - first) * 1_000_000 / rate.max(1));
            tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        }
        let asked = Instant::now();
        if sender.publish(from..from + plan.batch, plan.event_bytes).await {
            sent.waits.push(asked.elapsed());
            sent.events += plan.batch;
            if let Some(tell) = &tell {
                let _nobody_watches = tell.send((from + plan.batch - 1, Instant::now()));
            }
        } else {
            sent.refused += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    sent
}

enum Sender {
    Http { stream: BufReader<TcpStream>, topic: String, body: Vec<u8>, request: Vec<u8> },
    Grpc { client: PublisherClient<Channel>, topic: String },
}

impl Sender {
    async fn connect(door: &Door) -> Self {
        match door.clone() {
            Door::Http { address, topic } => {
                let stream = TcpStream::connect(address).await.expect("the HTTP door");
                stream.set_nodelay(true).expect("a socket");
                Self::Http { stream: BufReader::new(stream), topic, body: Vec::new(), request: Vec::new() }
            }
            Door::Grpc { address, topic } => {
                Self::Grpc { client: PublisherClient::new(Channel::connect(address).await), topic }
            }
        }
    }

    /// Whether the events were acknowledged; refusals for want of room are not, anything else ends the load.
    async fn publish(&mut self, numbers: std::ops::Range<u64>, bytes: usize) -> bool {
        match self {
            Self::Http { stream, topic, body, request } => {
                body.clear();
                for number in numbers {
                    event(body, number, bytes);
                    body.push(b'\n');
                }
                request.clear();
                let length = body.len();
                write!(request, "POST /v1/ingest/{topic} HTTP/1.1\r\nHost: naru\r\nContent-Type: application/x-ndjson\r\nContent-Length: {length}\r\n\r\n").expect("memory");
                request.extend_from_slice(body);
                stream.get_mut().write_all(request).await.expect("the HTTP door takes a request");
                http_answer(stream).await
            }
            Self::Grpc { client, topic } => {
                let message = |number| {
                    let mut data = Vec::with_capacity(bytes);
                    event(&mut data, number, bytes);
                    PubsubMessage { data: Bytes::from(data), ..PubsubMessage::default() }
                };
                let messages = numbers.map(message).collect();
                let topic = topic.clone();
                match client.publish(PublishRequest { topic, messages }).await {
                    Ok(_) => true,
                    Err(status) if status.code() == tonic::Code::ResourceExhausted => false,
                    Err(status) => panic!("publish: {status:?}"),
                }
            }
        }
    }
}

async fn http_answer(stream: &mut BufReader<TcpStream>) -> bool {
    let (mut line, mut status, mut length) = (String::new(), 0_u16, 0_u64);
    loop {
        line.clear();
        let read = stream.read_line(&mut line).await.expect("an answer");
        assert!(read > 0, "the HTTP door hung up");
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        if status == 0 {
            status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        } else if let Some((name, value)) = text.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; usize_from(length)];
    stream.read_exact(&mut body).await.expect("the answer's body");
    let body = String::from_utf8_lossy(&body);
    match status {
        200 => {
            assert!(!body.contains("\"kept\""), "events did not fit their topic: {body}");
            true
        }
        429 => false,
        status => panic!("the HTTP door answered {status}: {body}"),
    }
}

/// A JSON event like an app's: a number, an id of its own, a time, a user, and text up to about `bytes`.
pub fn event(into: &mut Vec<u8>, number: u64, bytes: usize) {
    const FILLER: &[u8] =
        b"the quick brown fox jumps over the lazy dog and does not compress to nothing at all 0123456789 ";
    let begin = into.len();
    let (second, micro) = (number / 1_000 % 60, number % 1_000_000);
    write!(
        into,
        "{{\"event_id\":\"e-{number:012}\",\"n\":{number},\"name\":\"view_{}\",\"at\":\"2026-11-01T09:00:{second:02}.{micro:06}Z\",\"user_id\":{},\"amount\":{}.25,\"page\":\"/products/{}\",\"note\":\"",
        number % 17,
        number.wrapping_mul(2_654_435_761) % 100_000,
        number % 1_000,
        number % 5_003,
    )
    .expect("memory");
    let used = into.len() - begin + 2;
    let from = usize_from(number) % FILLER.len();
    into.extend(FILLER.iter().cycle().skip(from).take(bytes.saturating_sub(used)));
    into.extend_from_slice(b"\"}");
}

/// The columns of [`event`], as a topic's file.
pub const TOPIC: &str = "[columns]
event_id = { type = \"STRING\", required = true }
n = { type = \"INT64\", required = true }
name = \"STRING\"
at = \"TIMESTAMP\"
user_id = \"INT64\"
amount = \"FLOAT64\"
page = \"STRING\"
note = \"STRING\"
";
