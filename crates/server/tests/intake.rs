//! Promises of the intake: what is answered is on the log, what is not kept is said and counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{io::Write as _, sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use naru_access::{AccessFile, NewService, People, Policy, Rights, Scope, Services, Terms, Tokens, Vouched};
use naru_lake::{Lake, LakeSettings, live::LiveSettings};
use naru_project::{Environment, Project};
use naru_server::{
    Door, Listen,
    http::{self, Metrics},
    ingest::{Intake, KeyBook},
};
use naru_store::Store;
use naru_topics::{Topics, TopicsSettings, log::LogSettings};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

const APP: &str = "from = [\"cloudevents\"]\nunknown = \"extra\"\n[columns]\nid = { type = \"STRING\", required = true }\nn = \"INT64\"\n";
const TRACK: &str = "from = [\"mixpanel.track\"]\n[columns]\nevent = { type = \"STRING\", required = true }\ndistinct_id = \"STRING\"\ntime = \"TIMESTAMP\"\ninsert_id = \"STRING\"\nproperties = \"JSON\"\n";
const CALLS: &str =
    "from = [\"segment\"]\n[columns]\ntype = { type = \"STRING\", required = true }\nmessageId = \"STRING\"\n";
const LOGS: &str = "from = [\"otlp.logs\"]\n[columns]\ntime = \"TIMESTAMP\"\nbody = \"STRING\"\n";
const PEOPLE: &str = "from = [\"mixpanel.engage\", \"mixpanel.groups\"]\n[columns]\noperations = \"JSON\"\n";

struct House {
    _folder: tempfile::TempDir,
    topics: Topics,
    tokens: Tokens,
    store: Store,
    policy: Policy,
    door: Door,
    client: Client,
}

impl House {
    /// Serves the five topics; `intake` are lines of `[intake]`.
    async fn open(intake: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("topics")).unwrap();
        std::fs::create_dir_all(root.join(".naru")).unwrap();
        std::fs::write(root.join("naru.toml"), format!("[project]\nname = \"acme\"\n[intake]\n{intake}\n")).unwrap();
        for (name, text) in [("app", APP), ("track", TRACK), ("calls", CALLS), ("logs", LOGS), ("people", PEOPLE)] {
            std::fs::write(root.join(format!("topics/{name}.toml")), text).unwrap();
        }
        let project = Project::load(root, &Environment::default()).sound().unwrap();
        let store = Store::open(&root.join(".naru/naru.db")).unwrap();
        let lake = LakeSettings { location: "lake".into(), base: root.to_owned(), cache: root.join(".naru/cache") };
        let settings = TopicsSettings {
            project: "acme".into(),
            zone: TimeZone::UTC,
            folder: root.join(".naru/topics"),
            declared: project.topics,
            store: store.clone(),
            lake: Lake::open(lake).await.unwrap(),
            live: LiveSettings::default(),
            log: LogSettings { segment_bytes: 1 << 20, free_min: 0, ..LogSettings::default() },
        };
        let topics = Topics::open(settings).await.unwrap();
        let (metrics, tokens) = (Metrics::default(), Tokens::new(store.clone()));
        let proxies = vec!["127.0.0.1".parse().unwrap()];
        let policy = Policy::default();
        let book = KeyBook { tokens: tokens.clone(), policy: policy.clone(), proxies };
        let intake = Intake::new(topics.clone(), book, project.settings.intake, &metrics);
        let any: Listen = "127.0.0.1:0".parse().unwrap();
        let door =
            http::serve(any.into(), Arc::new(Vec::<String>::new), metrics, Some(intake), None).await.unwrap().unwrap();
        Self { _folder: folder, topics, tokens, store, policy, door, client: Client::new() }
    }

    fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.client.post(format!("http://{}{path}", self.door.address)).body(body)
    }

    async fn ask(&self, path: &str) -> String {
        let response = self.client.get(format!("http://{}{path}", self.door.address)).send().await.unwrap();
        response.text().await.unwrap()
    }

    /// What is on the log of a topic.
    async fn log(&self, topic: &str) -> Vec<String> {
        let number = self.topics.get(topic).unwrap().number();
        let chunk = self.topics.log().read(number, 0, 1 << 30).await.unwrap();
        chunk.events.iter().map(|event| String::from_utf8_lossy(&event.data).into_owned()).collect()
    }
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    (status, json_of(response).await)
}

async fn json_of(response: Response) -> Value {
    let text = response.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_on_the_log_and_the_answer_names_those_that_do_not_fit() {
    let house = House::open("").await;
    let body = "{\"id\":\"a\",\"n\":1}\n{\"id\":\"b\",\"n\":\"x\"}\nno json\n{\"n\":2}\n";
    let (status, said) = answer(house.post("/v1/ingest/app", body)).await;
    assert_eq!((status, &said["accepted"]), (StatusCode::OK, &json!(4)), "{said}");
    let failed = said["failed"].as_array().unwrap();
    let at: Vec<_> =
        failed.iter().map(|failed| (failed["index"].as_u64().unwrap(), failed["path"].as_str().unwrap())).collect();
    assert_eq!(at, [(1, "$.n"), (2, "$"), (3, "$.id")]);
    assert!(failed.iter().all(|failed| failed["kept"] == true && failed["schema_revision"].is_u64()), "{said}");
    assert!(!said.to_string().contains("\"x\""), "a value is in the answer: {said}");
    let array = "[{\"id\": \"c\"},\n {\"id\":\"d\"}]";
    for request in [
        house.post("/v1/ingest/app", gzip(array)).header("content-encoding", "gzip"),
        house.post("/v1/ingest/app", zstd::encode_all(array.as_bytes(), 3).unwrap()).header("content-encoding", "zstd"),
        house.post("/v1/ingest/app", "{\n\"id\": \"e\"}").header("content-type", "application/json"),
        house.post("/v1/ingest/app", ""),
    ] {
        let (status, said) = answer(request).await;
        assert_eq!((status, &said["failed"]), (StatusCode::OK, &json!([])));
    }
    let kept = [
        "{\"id\":\"a\",\"n\":1}",
        "{\"id\":\"b\",\"n\":\"x\"}",
        "no json",
        "{\"n\":2}",
        "{\"id\": \"c\"}",
        "{\"id\":\"d\"}",
        "{\"id\": \"c\"}",
        "{\"id\":\"d\"}",
        "{\n\"id\": \"e\"}",
    ];
    assert_eq!(house.log("app").await, kept);
    let metrics = house.ask("/metrics").await;
    assert!(metrics.contains("naru_intake_events_total{topic=\"app\",protocol=\"ingest\"} 9"), "{metrics}");
    assert!(metrics.contains("naru_intake_unfit_events_total{topic=\"app\",protocol=\"ingest\"} 3"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_accepted_is_said_with_its_cause_and_every_byte_is_counted() {
    let house = House::open("body_max = \"100KB\"").await;
    let zeros = gzip(&" ".repeat(10_000_000));
    let bomb = zeros.len();
    for (request, status, code) in [
        (house.post("/v1/ingest/ap", "{}"), StatusCode::NOT_FOUND, "intake.no_topic"),
        (house.post("/v1/ingest/app", "[1,"), StatusCode::BAD_REQUEST, "intake.unreadable"),
        (house.post("/v1/ingest/app", "x".repeat(100_001)), StatusCode::PAYLOAD_TOO_LARGE, "intake.too_large"),
        (
            house.post("/v1/ingest/app", zeros).header("content-encoding", "gzip"),
            StatusCode::PAYLOAD_TOO_LARGE,
            "intake.too_large",
        ),
        (
            house.post("/v1/ingest/app", "{}").header("content-encoding", "br"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "intake.encoding",
        ),
        (
            house.post("/v1/ingest/app", "{}").header("content-encoding", "zstd"),
            StatusCode::BAD_REQUEST,
            "intake.compressed",
        ),
        (house.post("/v1/ingest/app", "{}").bearer_auth("naru_wrong"), StatusCode::UNAUTHORIZED, "intake.key_wrong"),
    ] {
        let (got, said) = answer(request).await;
        assert_eq!((got, said["error"]["code"].as_str().unwrap()), (status, code), "{said}");
        assert!(said["error"]["hint"].is_string(), "{said}");
    }
    assert!(house.ask("/v1/ingest/app").await.is_empty(), "GET is no intake");
    assert_eq!(house.log("app").await, Vec::<String>::new());
    let metrics = house.ask("/metrics").await;
    let refused = |reason: &str, bytes: usize| {
        format!("naru_intake_refused_bytes_total{{protocol=\"ingest\",reason=\"{reason}\"}} {bytes}")
    };
    for line in
        [refused("too_large", 100_001 + bomb), refused("unreadable", 3 + 2 + 2), refused("topic", 2), refused("key", 2)]
    {
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_open_their_topics_only_and_are_found_where_each_library_puts_them() {
    let house = House::open("keys = \"required\"").await;
    let key = |name: &'static str, topic: &'static str| {
        let tokens = house.tokens.clone();
        async move { tokens.issue_sender(name, "kim", None, &[topic.to_owned()], &[]).await.unwrap().secret }
    };
    let (app, track, calls) = (key("a", "app").await, key("t", "track").await, key("c", "calls").await);
    let viewer = house.tokens.issue("bi", "kim", None).await.unwrap().secret;
    for (request, status) in [
        (house.post("/v1/ingest/app", "{}"), 401),
        (house.post("/v1/ingest/app", "{}").bearer_auth(viewer.expose()), 401),
        (house.post("/v1/ingest/app", "{}").bearer_auth(app.expose()), 200),
        (house.post(&format!("/v1/ingest/app?key={}", app.expose()), "{}"), 200),
        (house.post("/v1/ingest/track", "{}").bearer_auth(app.expose()), 403),
        (house.post("/v1/batch", "{\"batch\":[{}]}").basic_auth(calls.expose(), None::<&str>), 200),
        (house.post("/v1/batch", format!("{{\"batch\":[{{}}],\"writeKey\":\"{}\"}}", calls.expose())), 200),
        (house.post("/v1/batch", "{\"batch\":[{}]}"), 401),
        (house.post("/import", "[]").basic_auth("", Some(track.expose())), 200),
        (
            house.post("/track", format!("[{{\"event\":\"a\",\"properties\":{{\"token\":\"{}\"}}}}]", track.expose())),
            200,
        ),
        (house.post("/track", "[{\"event\":\"a\",\"properties\":{\"token\":\"other\"}}]"), 401),
        // A key for one topic decides, also where the topic's file does not take the protocol.
        (house.post("/v1/cloudevents", "{}").bearer_auth(calls.expose()), 200),
        (house.post("/v1/logs", "").bearer_auth("naru_x"), 401),
    ] {
        let response = request.send().await.unwrap();
        let got = response.status().as_u16();
        assert_eq!(got, status, "{}", response.text().await.unwrap());
    }
    let kept = house.log("track").await;
    assert!(kept.len() == 1 && kept[0].ends_with("\"properties\":{}}"), "the key is kept: {kept:?}");
    assert_eq!(house.log("calls").await.len(), 3);
    house.tokens.revoke("a").await.unwrap();
    let refused = async || {
        let request = house.post("/v1/ingest/app", "{}").bearer_auth(app.expose());
        request.send().await.unwrap().status() == StatusCode::UNAUTHORIZED
    };
    while !refused().await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_is_too_fast_is_told_how_long_to_wait() {
    let house = House::open("rate = 1").await;
    let (status, _) = answer(house.post("/v1/ingest/app", "{}\n".repeat(50))).await;
    assert_eq!(status, StatusCode::OK, "one request may be larger than a second's worth");
    let response = house.post("/v1/ingest/app", "{}").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((30..=50).contains(&wait), "{wait}");
    let (status, said) = answer(house.post("/v1/ingest/track", "{}")).await;
    assert_eq!((status, &said["accepted"]), (StatusCode::OK, &json!(1)), "another topic has its own rate");
    assert_eq!(house.log("app").await.len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_log_answers_503_and_says_when_to_come_back() {
    let house = House::open("").await;
    house.topics.stop().await;
    let response = house.post("/v1/ingest/app", "{\"id\":\"a\"}").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    let response = house.post("/track", "data=%7B%22event%22%3A%22a%22%7D&verbose=1").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(json_of(response).await["status"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn mixpanel_is_answered_in_its_own_words() {
    let house = House::open("").await;
    let event = "{\"event\":\"a\",\"properties\":{\"token\":\"t\",\"$insert_id\":\"i\",\"time\":1}}";
    let form = "application/x-www-form-urlencoded";
    let encoded = "data=eyJldmVudCI6ImIifQ%3D%3D";
    for (request, said) in [
        (house.post("/track", format!("data={event}&verbose=1")).header("content-type", form), "\"status\":1"),
        (
            house.post("/track?verbose=1", format!("[{event}]")).header("content-type", "application/json"),
            "\"status\":1",
        ),
        (house.post("/track", encoded).header("content-type", form), "1"),
        (house.client.get(format!("http://{}/track?{encoded}", house.door.address)), "1"),
        (house.post("/import", format!("data={event}&verbose=1")).header("content-type", form), "\"status\":1"),
        (
            house.post("/import?strict=1", gzip(&format!("{event}\n{event}\n"))).header("content-encoding", "gzip"),
            "\"num_records_imported\":2",
        ),
        (house.post("/engage", "data=[{\"$token\":\"t\",\"$distinct_id\":\"u\",\"$set\":{\"a\":1}}]"), "1"),
        (house.post("/groups", "data={\"$token\":\"t\",\"$group_key\":\"k\",\"$group_id\":\"g\",\"$set\":{}}"), "1"),
        (house.post("/track", "data=!!!&verbose=1"), "\"status\":0"),
    ] {
        let text = request.send().await.unwrap().text().await.unwrap();
        assert!(text.contains(said), "{text}");
    }
    let (status, said) =
        answer(house.post("/import?strict=1", format!("[{event},{{\"properties\":{{\"$insert_id\":\"z\"}}}}]"))).await;
    assert_eq!((status, &said["num_records_imported"]), (StatusCode::BAD_REQUEST, &json!(1)), "{said}");
    let failed = &said["failed_records"][0];
    assert_eq!((&failed["index"], &failed["insert_id"], &failed["field"]), (&json!(1), &json!("z"), &json!("$.event")));
    let whole = "{\"event\":\"a\",\"time\":\"1970-01-01T00:00:01Z\",\"insert_id\":\"i\",\"properties\":{}}";
    let log = house.log("track").await;
    assert_eq!(log.iter().filter(|line| *line == whole).count(), 6, "{log:?}");
    assert_eq!(log.len(), 9, "{log:?}");
    assert_eq!(house.log("people").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn segment_otlp_and_cloudevents_are_answered_in_their_own_words() {
    let house = House::open("").await;
    let batch = "{\"batch\":[{\"type\":\"track\",\"messageId\":\"1\"},{\"messageId\":\"2\"}],\"sentAt\":\"x\"}";
    let (status, said) =
        answer(house.post("/v1/batch", gzip(batch)).header("content-type", "application/x-www-form-urlencoded")).await;
    assert_eq!(
        (status, &said["success"], &said["failed"][0]["event_id"]),
        (StatusCode::OK, &json!(true), &json!("2")),
        "{said}"
    );
    let (_, said) = answer(house.post("/v1/page", "{\"messageId\":\"3\"}")).await;
    assert_eq!(said, json!({"success": true}));
    let (status, said) = answer(house.post("/v1/batch", "{}")).await;
    assert_eq!((status, &said["success"]), (StatusCode::BAD_REQUEST, &json!(false)));
    assert_eq!(house.log("calls").await.len(), 3);

    let record =
        |body: &str| format!("{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{{\"body\":{body}}}]}}]}}]}}");
    let json_type = "application/json";
    let fits = record("{\"stringValue\":\"a\"}");
    assert_eq!(
        answer(house.post("/v1/logs", fits).header("content-type", json_type)).await,
        (StatusCode::OK, json!({}))
    );
    let odd = record("{\"intValue\":\"7\"}");
    let (_, said) = answer(house.post("/v1/logs", odd).header("content-type", json_type)).await;
    assert!(said["partialSuccess"]["errorMessage"].as_str().unwrap().contains("$.body"), "{said}");
    let refused =
        house.post("/v1/logs", "\u{7f}\u{7f}").header("content-type", "application/x-protobuf").send().await.unwrap();
    assert_eq!(
        (refused.status(), &refused.headers()["content-type"]),
        (StatusCode::BAD_REQUEST, &"application/x-protobuf".parse().unwrap())
    );
    assert_eq!(house.log("logs").await, ["{\"body\":\"a\"}", "{\"body\":7}"]);

    let structured =
        house.post("/v1/cloudevents", "{\"id\":\"1\"}").header("content-type", "application/cloudevents+json");
    let binary = house
        .post("/v1/ingest/app", "7")
        .header("ce-specversion", "1.0")
        .header("ce-id", "2")
        .header("content-type", "application/json");
    for request in [structured, binary] {
        assert_eq!(answer(request).await.1["accepted"], 1);
    }
    assert_eq!(
        house.log("app").await[1],
        "{\"specversion\":\"1.0\",\"id\":\"2\",\"datacontenttype\":\"application/json\",\"data\":7}"
    );
}

#[tokio::test]
async fn a_page_of_a_browser_needs_a_key() {
    let house = House::open("").await;
    let page = |request: RequestBuilder| request.header("origin", "http://localhost:3000");
    let refused = page(house.post("/v1/ingest/app", r#"{"id":"a"}"#)).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(house.log("app").await.is_empty());
    let taken = house.post("/v1/ingest/app", r#"{"id":"a"}"#).send().await.unwrap();
    assert!(taken.status().is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_bodies_of_strangers_that_never_end_keep_no_honest_sender_out() {
    const SLOW: usize = 280;
    let house = House::open("keys = \"required\"").await;
    let key = house.tokens.issue_sender("a", "kim", None, &["app".into(), "track".into()], &[]).await.unwrap().secret;
    let piece = vec![b' '; 1 << 20];
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut stream = TcpStream::connect(house.door.address).await.unwrap();
        let head = "POST /track HTTP/1.1\r\nHost: naru\r\nContent-Length: 19000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        // One that had to give way takes no more.
        stream.write_all(&piece).await.ok();
        slow.push(stream);
        let (status, said) = answer(house.post("/v1/ingest/app", "{\"id\":\"a\"}").bearer_auth(key.expose())).await;
        assert_eq!(status, StatusCode::OK, "who shows a key at once never waits: {said}");
    }
    let event = json!({"event": "a", "properties": {"token": key.expose(), "distinct_id": "u"}}).to_string();
    let mut refused = 0;
    loop {
        let answer = house.post("/track", event.clone()).send().await.unwrap();
        match answer.status() {
            StatusCode::OK => break,
            StatusCode::TOO_MANY_REQUESTS => assert_eq!(answer.headers()["retry-after"], "1"),
            other => panic!("{other}"),
        }
        refused += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(refused < 300, "those whose bodies do not end give way");
    }
    assert_eq!((house.log("app").await.len(), house.log("track").await.len()), (SLOW, 1));
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_no_json_is_its_senders_and_is_kept_without_the_key() {
    let house = House::open("keys = \"required\"").await;
    let key = house.tokens.issue_sender("a", "kim", None, &["track".into(), "calls".into()], &[]).await.unwrap().secret;
    let key = key.expose();
    let track = format!("{{\"event\":\"a\",\"properties\":{{\"n\":NaN,\"token\":\"{key}\"}}}}");
    let cut = format!("{{\"event\":\"b\",\"properties\":{{\"token\":\"{key}\"");
    let batch =
        format!("{{\"batch\":[{{\"type\":\"track\",\"n\":Infinity}},{{\"type\":\"page\"}}],\"writeKey\":\"{key}\"}}");
    for (path, body) in [("/track", &track), ("/track", &cut), ("/v1/batch", &batch)] {
        let answer = house.post(path, body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path} {body}");
    }
    let (tracked, calls) = (house.log("track").await, house.log("calls").await);
    assert_eq!((tracked.len(), calls.len()), (2, 2));
    assert!(tracked[0].contains("NaN") && calls[0].contains("Infinity"), "{tracked:?} {calls:?}");
    assert!(!tracked.iter().chain(&calls).any(|event| event.contains(key)), "{tracked:?} {calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_sends_only_from_an_origin_that_is_named_and_with_a_key() {
    let house = House::open("origins = [\"https://app.acme.kr\"]").await;
    let key = house.tokens.issue_sender("web", "kim", None, &["app".into(), "track".into()], &[]).await.unwrap().secret;
    let asked = async |path: &str, origin: &str| {
        let request = house.client.request(Method::OPTIONS, format!("http://{}{path}", house.door.address));
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        request.header("access-control-request-headers", "content-type,authorization").send().await.unwrap()
    };
    for path in ["/track/", "/engage/", "/v1/ingest/app", "/v1/t", "/v1/batch"] {
        let told = asked(path, "https://app.acme.kr").await;
        let headers = told.headers();
        assert_eq!(told.status(), StatusCode::NO_CONTENT, "{path}");
        assert_eq!(headers["access-control-allow-origin"], "https://app.acme.kr");
        assert_eq!(headers["access-control-allow-headers"], "content-type,authorization");
        assert_eq!(headers["vary"], "origin");
        for other in ["https://evil.example", "https://app.acme.kr.evil.example", "null"] {
            let headers = asked(path, other).await.headers().clone();
            assert!(!headers.contains_key("access-control-allow-origin"), "{path} {other}");
        }
    }
    let send = |key: Option<&str>| {
        let request = house.post("/v1/ingest/app", "{\"id\":\"a\"}").header("origin", "https://app.acme.kr");
        match key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    };
    let taken = send(Some(key.expose())).send().await.unwrap();
    assert_eq!(
        (taken.status(), &taken.headers()["access-control-allow-origin"]),
        (StatusCode::OK, &"https://app.acme.kr".parse().unwrap())
    );
    let refused = send(None).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN, "an origin is no key");
    assert!(refused.headers().contains_key("access-control-allow-origin"), "and the page can read why");
    let form = format!("data={}", json!({"event": "a", "properties": {"token": key.expose(), "distinct_id": "u"}}));
    let page = house.post("/track/?verbose=1&ip=1", form).header("origin", "https://app.acme.kr");
    let said = json_of(page.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap()).await;
    assert_eq!(said["status"], 1, "{said}");
    let none = House::open("").await;
    let told = none.client.request(Method::OPTIONS, format!("http://{}/track", none.door.address));
    let told = told.header("origin", "https://app.acme.kr").header("access-control-request-method", "POST");
    assert!(!told.send().await.unwrap().headers().contains_key("access-control-allow-origin"), "nobody by default");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_sends_from_its_network_behind_a_proxy_and_only_where_it_was_granted() {
    let house = House::open("").await;
    let email = "kim@acme.kr".to_owned();
    let issuer = "https://idp.example".to_owned();
    let vouched = Vouched { issuer, subject: "s".into(), email, shown: "Kim".into(), domain: None };
    let kim = People::new(house.store.clone()).vouched(vouched).await.unwrap();
    let services = Services::new(house.store.clone());
    let networks = vec!["10.0.0.0/8".to_owned()];
    let new = NewService { name: "bi".into(), purpose: String::new(), owner: kim.id, networks, days: 9 };
    let service = services.make(new).await.unwrap();
    let scopes = vec![Scope::Send("app".into()), Scope::Send("logs".into())];
    let key = services.issue_token(&service, "k", 9, scopes).await.unwrap().secret;
    let text = "[[grants]]\nto = \"service:bi\"\ncan = \"edit\"\non = \"topics.app\"\n";
    let file = Some(AccessFile::parse(text, &Environment::default()).unwrap());
    house.policy.replace(Rights::new(Terms { file, sign_in: true, admins: Vec::new() }));
    for (topic, from, wanted) in [
        ("app", Some("10.1.2.3"), StatusCode::OK),
        ("app", Some("192.0.2.1"), StatusCode::UNAUTHORIZED),
        ("app", None, StatusCode::UNAUTHORIZED),
        ("logs", Some("10.1.2.3"), StatusCode::FORBIDDEN),
        ("nothing", Some("10.1.2.3"), StatusCode::FORBIDDEN),
    ] {
        let request = house.post(&format!("/v1/ingest/{topic}"), "{\"id\":\"a\"}").bearer_auth(key.expose());
        let request = if let Some(from) = from { request.header("x-forwarded-for", from) } else { request };
        assert_eq!(answer(request).await.0, wanted, "{topic} {from:?}");
    }
    assert_eq!(house.log("app").await.len(), 1);
    assert!(house.log("logs").await.is_empty());
}
