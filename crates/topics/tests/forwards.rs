//! Events on their way out: what leaves, and what becomes of it when receivers fail, refuse, hang or go away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod stand_in;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionContext;
use naru_base::TableId;
use naru_lake::{Lake, ScanOptions};
use naru_project::Environment;
use naru_testkit::Failpoints;
use naru_topics::{
    Incoming, Topics,
    forward::{ForwardStatus, Forwards, Pace},
    marks,
};
use serde_json::Value;

use stand_in::{Came, Plan, StandIn};
use world::{folder, until};

const COLUMNS: &str = "[columns]\nid = \"STRING\"\nname = \"STRING\"\nuser_id = \"INT64\"\nplan = \"STRING\"\n\
                       at = \"TIMESTAMP\"\ncard = \"STRING\"\n";

/// Nothing in these tests depends on how long anything takes: a wait that must end early is ended by a call.
fn pace() -> Pace {
    Pace {
        first: Duration::from_millis(5),
        most: Duration::from_millis(50),
        refused: Duration::from_hours(1),
        answer: Duration::from_secs(3),
        gather: Duration::ZERO,
    }
}

fn mixpanel(name: &str, port: u16, more: &str) -> String {
    format!(
        "[forwards.{name}]\nkind = \"mixpanel\"\nto = \"http://127.0.0.1:{port}\"\ntoken = \"${{KEY}}\"\n\
         fields = [\"name\", \"user_id\", \"plan\"]\nevent = \"name\"\ndistinct_id = \"user_id\"\ntime = \"at\"\n{more}\n"
    )
}

fn webhook(name: &str, port: u16, more: &str) -> String {
    format!(
        "[forwards.{name}]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{port}/hook?k=1\"\nsecret = \"${{KEY}}\"\n\
         fields = [\"name\", \"plan\"]\n{more}\n"
    )
}

fn event(n: usize) -> String {
    format!(
        r#"{{"id": "e{n}", "name": "click", "user_id": {n}, "plan": "pro", "at": "2026-11-23T01:02:03Z", "card": "4111"}}"#
    )
}

fn events(count: usize) -> Vec<String> {
    (0..count).map(event).collect()
}

async fn well() -> StandIn {
    StandIn::start(Vec::new(), |_| Plan::Well).await
}

fn status(forwards: &Forwards, name: &str) -> ForwardStatus {
    forwards.status().into_iter().find(|status| status.forward == name).unwrap()
}

async fn drained(forwards: &Forwards, name: &str) {
    until("a forward has nothing left", || status(forwards, name).backlog == 0).await;
}

async fn open(folder: &Path) -> (Topics, Lake) {
    world::open(folder, &Environment::of([("KEY", "s3cret")])).await
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join("topics").join(format!("{name}.toml")), text).unwrap();
}

/// Publishes events in one piece.
async fn send<T: AsRef<str>>(topics: &Topics, topic: &str, events: &[T]) {
    let event = |text: &T| Incoming { data: text.as_ref().to_owned().into(), ..Incoming::default() };
    let events: Vec<Incoming> = events.iter().map(event).collect();
    topics.publish(&topics.get(topic).unwrap(), &events).await.unwrap();
}

/// `$insert_id` of every event of every request.
fn insert_ids(came: &[Came]) -> Vec<Vec<String>> {
    let id = |event: &Value| event["properties"]["$insert_id"].as_str().unwrap().to_owned();
    came.iter().map(|came| came.json().as_array().unwrap().iter().map(id).collect()).collect()
}

async fn rows(topics: &Topics, lake: &Lake, table: &str, query: &str) -> String {
    let view = topics.set().snapshot().tables[&TableId::new("topics", table)].clone();
    let context = SessionContext::new();
    lake.register(&context.runtime_env());
    context.register_table("t", view.provider(&ScanOptions { hidden: false, current: true }).unwrap()).unwrap();
    let rows = context.sql(query).await.unwrap().collect().await.unwrap();
    pretty_format_batches(&rows).unwrap().to_string()
}

async fn close(topics: Topics, forwards: Forwards) {
    forwards.stop().await;
    topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_fields_that_are_named_leave_in_the_form_of_each_receiver() {
    let (mixpanels, hooks, other) = (well().await, well().await, well().await);
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "bearer-1\n").unwrap();
    let file = format!(
        "dedup = {{ key = \"id\" }}\n{COLUMNS}{}{}[forwards.elsewhere]\nkind = \"pubsub\"\n\
         to = \"http://127.0.0.1:{}\"\nproject = \"p\"\ntopic = \"t\"\nfields = [\"plan\"]\ntoken_file = \"{}\"\n",
        mixpanel("mp", mixpanels.port, ""),
        webhook("hook", hooks.port, "where = { name = [\"click\", \"buy\"] }"),
        other.port,
        token.path().display(),
    );
    let folder = folder(&[("log", &file)]);
    let (topics, _lake) = open(folder.path()).await;
    let forwards = Forwards::open(&topics, pace()).await.unwrap();
    send(&topics, "log", &[event(7), r#"{"NAME": "view", "at": 1795395723.5, "plan": "\u0041"}"#.to_owned()]).await;
    for name in ["mp", "hook", "elsewhere"] {
        drained(&forwards, name).await;
    }

    let came = mixpanels.came();
    assert_eq!((came.len(), came[0].path.as_str()), (1, "/import?strict=1"));
    assert_eq!(came[0].header("authorization"), "Basic czNjcmV0Og==");
    let sent = came[0].json();
    assert_eq!(
        sent[0],
        serde_json::json!({"event": "click", "properties":
            {"time": 1_795_395_723_000_i64, "distinct_id": "7", "$insert_id": "e7", "plan": "pro"}})
    );
    assert_eq!((&sent[1]["event"], &sent[1]["properties"]["plan"]), (&Value::from("view"), &Value::from("A")));
    assert_eq!(sent[1]["properties"]["distinct_id"], "");
    assert!(sent[1]["properties"]["$insert_id"].as_str().unwrap().ends_with("-1-1"), "{sent}");

    let came = hooks.came();
    assert_eq!((came.len(), came[0].path.as_str(), came[0].header("naru-topic").as_str()), (1, "/hook?k=1", "log"));
    let sent = came[0].json();
    assert_eq!(sent.as_array().unwrap().len(), 1, "the other does not fulfil the condition: {sent}");
    assert_eq!((&sent[0]["id"], &sent[0]["offset"], &sent[0]["topic"]), (&"e7".into(), &0.into(), &"log".into()));
    assert_eq!(sent[0]["data"], serde_json::json!({"name": "click", "plan": "pro"}));
    signed(&came[0]);

    let came = other.came();
    assert_eq!((came.len(), came[0].path.as_str()), (1, "/v1/projects/p/topics/t:publish"));
    assert_eq!(came[0].header("authorization"), "Bearer bearer-1");
    let messages = came[0].json()["messages"].clone();
    assert_eq!(messages[0]["data"], "eyJwbGFuIjoicHJvIn0=", "{messages}");
    assert_eq!(messages[0]["attributes"]["naru_id"], "e7");
    for came in [mixpanels.came(), hooks.came(), other.came()].concat() {
        assert!(!String::from_utf8_lossy(&came.body).contains("4111"));
    }
    close(topics, forwards).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_pubsub_gets_ordering_keys_in_their_order_and_the_named_attributes_only() {
    let (ordered, plain) = (well().await, well().await);
    let forward = |name: &str, port: u16, more: &str| {
        format!(
            "[forwards.{name}]\nkind = \"pubsub\"\nto = \"http://127.0.0.1:{port}\"\nproject = \"p\"\n\
             topic = \"t\"\nfields = [\"id\"]\n{more}\n"
        )
    };
    let file = format!(
        "{COLUMNS}{}{}",
        forward("ordered", ordered.port, "ordered = true\nattributes = [\"kind\", \"absent\"]"),
        forward("plain", plain.port, "")
    );
    let folder = folder(&[("log", &file)]);
    let (topics, _lake) = open(folder.path()).await;
    let topic = topics.get("log").unwrap();
    let event = |(n, key): (usize, &&str)| Incoming {
        data: format!(r#"{{"id": "e{n}"}}"#).into(),
        ordering_key: (*key).to_owned(),
        attributes: vec![("kind".into(), format!("k{n}")), ("secret".into(), "4111".into())],
    };
    let events: Vec<Incoming> = ["a", "a", "b", "", "a"].iter().enumerate().map(event).collect();
    let forwards = Forwards::open(&topics, pace()).await.unwrap();
    topics.publish(&topic, &events).await.unwrap();
    for name in ["ordered", "plain"] {
        drained(&forwards, name).await;
    }
    let requests = |receiver: &StandIn| {
        let messages = receiver.came().into_iter().map(|came| came.json()["messages"].as_array().unwrap().clone());
        messages.collect::<Vec<_>>()
    };
    let sent = requests(&ordered);
    let keys = |messages: &Vec<Value>| {
        let mut keys: Vec<_> = messages.iter().map(|one| one["orderingKey"].as_str().unwrap_or("")).collect();
        keys.dedup();
        keys.join("+")
    };
    assert_eq!(sent.iter().map(keys).collect::<Vec<_>>(), ["a", "b", "", "a"], "one key a request: {sent:?}");
    let kinds: Vec<_> = sent.iter().flatten().map(|one| one["attributes"]["kind"].clone()).collect();
    assert_eq!(kinds, ["k0", "k1", "k2", "k3", "k4"], "in the order of the log");
    assert!(sent.iter().flatten().all(|one| one["attributes"].as_object().unwrap().len() == 4), "{sent:?}");
    let sent = requests(&plain);
    assert!(sent.len() == 1 && sent[0].iter().all(|one| one.get("orderingKey").is_none()), "{sent:?}");
    assert!(sent[0].iter().all(|one| one["attributes"].as_object().unwrap().len() == 3), "{sent:?}");
    close(topics, forwards).await;
}

/// Another implementation than ours finds the same signature.
fn signed(came: &Came) {
    let script = "import hmac, hashlib, sys; print(hmac.new(b's3cret', sys.argv[1].encode() + b'.' + sys.argv[2].encode(), hashlib.sha256).hexdigest())";
    let body = std::str::from_utf8(&came.body).unwrap();
    let output = Command::new("python3").args(["-c", script, &came.header("naru-timestamp"), body]).output().unwrap();
    let wanted = String::from_utf8(output.stdout).unwrap();
    assert_eq!(came.header("naru-signature"), format!("v1={}", wanted.trim()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_in_any_way_gets_the_same_events_again_under_the_same_ids() {
    let page = "<html>a proxy's page</html>".to_owned();
    let plans = vec![
        Plan::Say(429, Some("0"), String::new()),
        Plan::Say(500, None, String::new()),
        Plan::Hang,
        Plan::Break,
        Plan::Say(200, None, page.clone()),
        Plan::Say(400, None, page),
        Plan::Say(302, None, String::new()),
        Plan::Say(400, None, r#"{"code":400,"failed_records":[{"index":99}]}"#.to_owned()),
    ];
    let failures = plans.len();
    let receiver = StandIn::start(plans, |_| Plan::Well).await;
    let folder = folder(&[("log", &format!("{COLUMNS}{}", mixpanel("mp", receiver.port, "")))]);
    let (topics, _lake) = open(folder.path()).await;
    let forwards = Forwards::open(&topics, pace()).await.unwrap();
    send(&topics, "log", &events(3)).await;
    drained(&forwards, "mp").await;
    let ids = insert_ids(&receiver.came());
    assert_eq!(ids.len(), failures + 1);
    assert!(ids.iter().all(|request| *request == ids[0]), "{ids:?}");
    assert_eq!(ids[0].iter().collect::<BTreeSet<_>>().len(), 3);
    let status = status(&forwards, "mp");
    assert_eq!((status.sent, status.dead, status.state, status.last_status), (3, 0, "running", Some(200)));
    assert!(status.problem.is_none());
    close(topics, forwards).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_mixpanel_refuses_is_a_dead_letter_of_the_forward_and_mended_goes_there_alone() {
    let refused = r#"{"code":400,"error":"some data points in the request failed validation","failed_records":[{"index":1,"insert_id":"x","field":"properties.distinct_id","message":"'properties.distinct_id' is invalid"}],"num_records_imported":1,"status":"Bad Request"}"#;
    let receiver = StandIn::start(vec![Plan::Say(400, None, refused.to_owned())], |_| Plan::Well).await;
    let hooks = well().await;
    let file = format!("{COLUMNS}{}{}", mixpanel("mp", receiver.port, ""), webhook("hook", hooks.port, ""));
    let folder = folder(&[("log", &file)]);
    let (topics, lake) = open(folder.path()).await;
    let forwards = Forwards::open(&topics, pace()).await.unwrap();
    // The third has no name and the fourth is no JSON: what can be known here is not sent at all.
    let third = r#"{"name": "", "at": "2026-11-23T01:02:03Z"}"#.to_owned();
    send(&topics, "log", &[event(0), event(1), third, "no json".to_owned()]).await;
    drained(&forwards, "mp").await;
    drained(&forwards, "hook").await;
    let handle = topics.get("log").unwrap();
    topics.settle(&handle).await.unwrap();
    let dead = "SELECT id, sink, reason, path, got, status FROM t WHERE sink <> 'table' ORDER BY sink, id";
    let dead_rows = rows(&topics, &lake, "log__dead", dead).await;
    for row in [
        "| 3  | hook | forward.not_an_object | $                      | bytes                | dead   |",
        "| 1  | mp   | mixpanel.refused      | properties.distinct_id | what the event holds | dead   |",
        "| 2  | mp   | forward.no_event_name | $.name                 | text                 | dead   |",
        "| 3  | mp   | forward.not_an_object | $                      | bytes                | dead   |",
    ] {
        assert!(dead_rows.contains(row), "{row}\n{dead_rows}");
    }
    assert_eq!((status(&forwards, "mp").sent, status(&forwards, "mp").dead), (1, 3));

    let marks = [(marks::REPLAY_OF, "1"), (marks::REPLAY_SINK, "mp"), (marks::ATTEMPT, "2")];
    let attributes = marks.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mended = Incoming { data: event(8).into(), attributes, ..Incoming::default() };
    topics.publish(&handle, &[mended]).await.unwrap();
    drained(&forwards, "mp").await;
    drained(&forwards, "hook").await;
    topics.settle(&handle).await.unwrap();
    let ids = insert_ids(&receiver.came());
    assert_eq!((ids.len(), &ids[1]), (2, &vec![ids[0][1].clone()]), "the mended event is the one that died");
    assert_eq!(hooks.came().iter().map(|came| came.json().as_array().unwrap().len()).sum::<usize>(), 3);
    let dead_rows =
        rows(&topics, &lake, "log__dead", "SELECT id, sink, status FROM t WHERE sink = 'mp' ORDER BY id").await;
    assert!(
        dead_rows.contains("| 1  | mp   | replayed |") && dead_rows.contains("| 2  | mp   | dead     |"),
        "{dead_rows}"
    );
    let table = rows(&topics, &lake, "log", "SELECT count(*) AS n FROM t").await;
    assert!(table.contains("| 3 |"), "the table takes no part in it: {table}");
    close(topics, forwards).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_large_is_split_until_only_the_one_event_is_left_out() {
    let too_large = |came: &Came| {
        let sent = came.json();
        let large = sent.as_array().unwrap().iter().any(|event| event["properties"]["distinct_id"] == "13");
        if large || sent.as_array().unwrap().len() > 8 { Plan::Say(413, None, String::new()) } else { Plan::Well }
    };
    let receiver = StandIn::start(Vec::new(), too_large).await;
    let folder = folder(&[("log", &format!("{COLUMNS}{}", mixpanel("mp", receiver.port, "")))]);
    let (topics, lake) = open(folder.path()).await;
    let forwards = Forwards::open(&topics, pace()).await.unwrap();
    send(&topics, "log", &events(40)).await;
    drained(&forwards, "mp").await;
    let status = status(&forwards, "mp");
    assert_eq!((status.sent, status.dead), (39, 1));
    topics.settle(&topics.get("log").unwrap()).await.unwrap();
    let dead = rows(&topics, &lake, "log__dead", "SELECT id, reason FROM t").await;
    assert!(dead.contains("| 13 | forward.too_large |"), "{dead}");
    close(topics, forwards).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_stay_below_what_mixpanel_takes_and_one_event_that_never_fits_is_a_dead_letter() {
    let receiver = well().await;
    let folder = folder(&[("log", &format!("{COLUMNS}{}", mixpanel("mp", receiver.port, "")))]);
    let (topics, lake) = open(folder.path()).await;
    let forwards = Forwards::open(&topics, pace()).await.unwrap();
    let large = |n: usize, bytes: usize| {
        let plan = "x".repeat(bytes);
        format!(r#"{{"name": "click", "user_id": {n}, "plan": "{plan}", "at": "2026-11-23T01:02:03Z"}}"#)
    };
    for first in [0, 12, 24] {
        let events: Vec<String> = (first..first + 12).map(|n| large(n, 600_000)).collect();
        send(&topics, "log", &events[..6]).await;
        send(&topics, "log", &events[6..]).await;
    }
    send(&topics, "log", &[large(36, 1_000_001)]).await;
    send(&topics, "log", &events(4_100)).await;
    drained(&forwards, "mp").await;
    let came = receiver.came();
    assert!(came.iter().all(|came| came.body.len() <= 10_000_000));
    let ids = insert_ids(&came);
    assert!(ids.iter().all(|request| request.len() <= 2_000), "{:?}", ids.iter().map(Vec::len).collect::<Vec<_>>());
    assert_eq!(ids.concat().into_iter().collect::<BTreeSet<_>>().len(), 36 + 4_100);
    topics.settle(&topics.get("log").unwrap()).await.unwrap();
    let dead = rows(&topics, &lake, "log__dead", "SELECT id, reason FROM t").await;
    assert!(dead.contains("| 36 | forward.too_large |") && dead.lines().count() == 5, "{dead}");
    close(topics, forwards).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_no_other_forward_and_outlasts_a_restart() {
    let (one, two) = (well().await, well().await);
    let file = format!("{COLUMNS}{}{}", webhook("one", one.port, ""), webhook("two", two.port, "each = true"));
    let folder = folder(&[("log", &file)]);
    let (topics, _lake) = open(folder.path()).await;
    let forwards = Forwards::open(&topics, pace()).await.unwrap();
    forwards.pause("log", "one").await.unwrap();
    assert!(forwards.pause("log", "three").await.is_err());
    send(&topics, "log", &events(5)).await;
    drained(&forwards, "two").await;
    assert_eq!((two.came().len(), one.came().len()), (5, 0));
    assert!(two.came()[0].json().is_object());
    let paused = status(&forwards, "one");
    assert_eq!((paused.state, paused.backlog), ("paused", 5));
    assert_eq!(paused.next_step, "naru topic resume log --forward one");
    let readers = topics.status().topics[0].readers.clone();
    assert!(readers.iter().any(|reader| reader.reader == "forward/one" && reader.next == 0), "{readers:?}");
    close(topics, forwards).await;

    let (topics, _lake) = open(folder.path()).await;
    let forwards = Forwards::open(&topics, pace()).await.unwrap();
    send(&topics, "log", &events(1)).await;
    drained(&forwards, "two").await;
    assert_eq!((status(&forwards, "one").state, one.came().len()), ("paused", 0));
    forwards.resume("log", "one").await.unwrap();
    drained(&forwards, "one").await;
    let sent: usize = one.came().iter().map(|came| came.json().as_array().unwrap().len()).sum();
    assert_eq!((sent, two.came().len()), (6, 6));
    close(topics, forwards).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_wants_no_more_is_paused_and_one_that_does_not_know_us_waits_long() {
    let gone = StandIn::start(vec![Plan::Say(410, None, String::new())], |_| Plan::Well).await;
    let unknown = StandIn::start(vec![Plan::Say(401, None, "{}".to_owned())], |_| Plan::Well).await;
    let file = format!("{COLUMNS}{}{}", webhook("gone", gone.port, ""), mixpanel("unknown", unknown.port, ""));
    let folder = folder(&[("log", &file)]);
    let (topics, _lake) = open(folder.path()).await;
    let forwards = Forwards::open(&topics, pace()).await.unwrap();
    send(&topics, "log", &events(2)).await;
    until("both stopped", || {
        status(&forwards, "gone").state == "paused" && status(&forwards, "unknown").state == "refused"
    })
    .await;
    let problem = status(&forwards, "gone").problem.unwrap();
    assert_eq!((problem.code.as_ref(), status(&forwards, "gone").last_status), ("topics.forward_gone", Some(410)));
    let problem = status(&forwards, "unknown").problem.unwrap();
    assert!(problem.summary.contains("401") && !problem.to_string().contains("s3cret"), "{problem}");
    assert!(status(&forwards, "unknown").retry_in_ms.is_some());
    close(topics, forwards).await;

    let (topics, _lake) = open(folder.path()).await;
    let forwards = Forwards::open(&topics, pace()).await.unwrap();
    drained(&forwards, "unknown").await;
    assert_eq!((status(&forwards, "gone").state, gone.came().len()), ("paused", 1));
    forwards.resume("log", "gone").await.unwrap();
    drained(&forwards, "gone").await;
    // A person who set something right need not wait.
    unknown.plan(Plan::Say(403, None, String::new()));
    send(&topics, "log", &events(1)).await;
    until("it is refused again", || status(&forwards, "unknown").state == "refused").await;
    forwards.resume("log", "unknown").await.unwrap();
    drained(&forwards, "unknown").await;
    close(topics, forwards).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_begins_when_it_appears_unless_its_file_says_otherwise() {
    let (new, all) = (well().await, well().await);
    let folder = folder(&[("log", COLUMNS)]);
    let sent =
        |receiver: &StandIn| receiver.came().iter().map(|came| came.json().as_array().unwrap().len()).sum::<usize>();
    let (topics, _lake) = open(folder.path()).await;
    send(&topics, "log", &events(3)).await;
    topics.stop().await;

    let with = format!("{COLUMNS}{}{}", webhook("new", new.port, ""), webhook("all", all.port, "from = \"beginning\""));
    write(folder.path(), "log", &with);
    let (topics, _lake) = open(folder.path()).await;
    let forwards = Forwards::open(&topics, pace()).await.unwrap();
    send(&topics, "log", &events(2)).await;
    drained(&forwards, "new").await;
    drained(&forwards, "all").await;
    assert_eq!((sent(&new), sent(&all)), (2, 5));
    close(topics, forwards).await;

    // One that was taken out begins anew when it comes back.
    write(folder.path(), "log", COLUMNS);
    let (topics, _lake) = open(folder.path()).await;
    let forwards = Forwards::open(&topics, pace()).await.unwrap();
    send(&topics, "log", &events(4)).await;
    close(topics, forwards).await;
    write(folder.path(), "log", &with);
    let (topics, _lake) = open(folder.path()).await;
    let forwards = Forwards::open(&topics, pace()).await.unwrap();
    send(&topics, "log", &events(1)).await;
    drained(&forwards, "new").await;
    assert_eq!(sent(&new), 3);
    close(topics, forwards).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_holds_more_than_a_limited_forward_may_send_in_a_second() {
    let receiver = well().await;
    let folder = folder(&[("log", &format!("{COLUMNS}{}", webhook("slow", receiver.port, "rate = 40")))]);
    let (topics, _lake) = open(folder.path()).await;
    let forwards = Forwards::open(&topics, pace()).await.unwrap();
    let began = std::time::Instant::now();
    send(&topics, "log", &events(100)).await;
    drained(&forwards, "slow").await;
    // Two whole seconds lie between the first request and the third, however fast the machine is.
    assert!(began.elapsed() >= Duration::from_secs(2));
    let sizes: Vec<usize> = receiver.came().iter().map(|came| came.json().as_array().unwrap().len()).collect();
    assert_eq!(sizes, [40, 40, 20]);
    close(topics, forwards).await;
}

const FOLDER: &str = "NARU_FORWARD_KILL_TEST_FOLDER";

/// Started by hand or by the test runner there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn child_of_the_kill_test() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let (topics, _lake) = open(Path::new(&folder)).await;
    let forwards = Forwards::open(&topics, pace()).await.unwrap();
    drained(&forwards, "mp").await;
    close(topics, forwards).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_answer_and_cursor_sends_again_under_the_same_ids_and_loses_nothing() {
    let receiver = well().await;
    let file = format!("{COLUMNS}{}", mixpanel("mp", receiver.port, "from = \"beginning\"\nrate = 400"));
    let folder = folder(&[("log", &file)]);
    let (topics, _lake) = open(folder.path()).await;
    send(&topics, "log", &events(1_000)).await;
    topics.stop().await;
    let child = |faults: Failpoints| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child_of_the_kill_test", "--nocapture"]).env(FOLDER, folder.path());
        command.env(Failpoints::VARIABLE, faults.value()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        tokio::task::spawn_blocking(move || child.wait().unwrap().success())
    };
    for visit in [1, 2, 1] {
        assert!(!child(Failpoints::new().kill("forward.answered", visit)).await.unwrap());
    }
    assert!(child(Failpoints::new()).await.unwrap());
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    insert_ids(&receiver.came()).into_iter().flatten().for_each(|id| *times.entry(id).or_default() += 1);
    assert_eq!(times.len(), 1_000, "every event came, under one id");
    let doubles: usize = times.values().map(|times| times - 1).sum();
    // One request of at most 400 a kill.
    assert!((1..=1_200).contains(&doubles), "{doubles}");
}
