//! Messages of a queue become events once, also when naru is killed between the log and the queue. The queue is moto's,
//! which checks every signature and every permission as Amazon does; the senders are Amazon's own client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod world;

use std::{
    collections::BTreeMap,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use naru_project::Environment;
use naru_testkit::{Failpoints, port, python};
use naru_topics::{
    Topics,
    log::Event,
    sqs::{MESSAGE_ID, QUEUE_ID, SqsInputs},
};
use serde_json::Value;

use world::until;

const PACKAGES: &[&str] = &["moto[server]==5.2.5", "boto3==1.44.5"];
const FOLDER: &str = "NARU_SQS_KILL_TEST_FOLDER";
const SENT: usize = 240;

/// Makes a user that may use queues, a queue behind an SNS topic, and one with raw messages; from then on every call is
/// checked. Prints the user's key and the queues.
const SET_UP: &str = r#"
import boto3, json, sys, urllib.request
url = sys.argv[1]
other = dict(endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
iam, sqs, sns = (boto3.client(name, **other) for name in ("iam", "sqs", "sns"))
iam.create_user(UserName="naru")
key = iam.create_access_key(UserName="naru")["AccessKey"]
allow = {"Effect": "Allow", "Action": ["sqs:*", "sns:*"], "Resource": "*"}
iam.put_user_policy(UserName="naru", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
queue = sqs.create_queue(QueueName="q", Attributes={"VisibilityTimeout": "2"})["QueueUrl"]
arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
topic = sns.create_topic(Name="t")["TopicArn"]
sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
urllib.request.urlopen(urllib.request.Request(url + "/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}))
print(json.dumps({"key": key["AccessKeyId"], "secret": key["SecretAccessKey"], "queue": queue, "topic": topic}))
"#;

/// Sends every second message through SNS and the others directly.
const SEND: &str = r#"
import boto3, json, sys
url, key, secret, queue, topic, count = sys.argv[1:]
own = dict(endpoint_url=url, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret)
sqs, sns = boto3.client("sqs", **own), boto3.client("sns", **own)
given = {"tenant": {"DataType": "String", "StringValue": "acme"}}
for first in range(0, int(count), 20):
    body = lambda n: json.dumps({"id": n, "name": "이름"}, ensure_ascii=False)
    direct = [{"Id": str(n), "MessageBody": body(n), "MessageAttributes": given} for n in range(first + 1, first + 20, 2)]
    sqs.send_message_batch(QueueUrl=queue, Entries=direct)
    through = [{"Id": str(n), "Message": body(n), "MessageAttributes": given} for n in range(first, first + 20, 2)]
    sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=through)
"#;

/// Prints how many messages the queue has, those included that somebody has received and not deleted.
const LEFT: &str = r#"
import boto3, sys
url, key, secret, queue = sys.argv[1:]
sqs = boto3.client("sqs", endpoint_url=url, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret)
names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
print(sum(int(n) for n in sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"].values()))
"#;

/// Moto's server; it ends with the test.
struct Moto {
    child: Child,
    url: String,
    made: Value,
}

impl Moto {
    fn start() -> Self {
        let port = port::free();
        let mut command = Command::new(python::venv(PACKAGES));
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut moto = Self { child, url: format!("http://127.0.0.1:{port}"), made: Value::Null };
        let mut tries = 0;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            tries += 1;
            assert!(tries < 1_200 && moto.child.try_wait().unwrap().is_none(), "moto does not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        moto.made = serde_json::from_str(&python::run(PACKAGES, SET_UP, &[&moto.url])).unwrap();
        moto
    }

    fn made(&self, name: &str) -> &str {
        self.made[name].as_str().unwrap()
    }

    fn send(&self, count: usize) {
        let count = count.to_string();
        let names = ["key", "secret", "queue", "topic"].map(|name| self.made(name));
        python::run(PACKAGES, SEND, &[&[self.url.as_str()], &names[..], &[&count]].concat());
    }

    fn left(&self) -> usize {
        let names = ["key", "secret", "queue"].map(|name| self.made(name));
        python::run(PACKAGES, LEFT, &[&[self.url.as_str()], &names[..]].concat()).trim().parse().unwrap()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn folder(moto: &Moto) -> tempfile::TempDir {
    let queue = moto.made("queue");
    let topic = format!(
        "[columns]\nid = \"INT64\"\nname = \"STRING\"\n[from_sqs]\nqueue = \"{queue}\"\nregion = \"us-east-1\"\n\
         access_key = \"${{KEY}}\"\nsecret_key = \"${{SECRET}}\"\nbehind_sns = true\n"
    );
    world::folder(&[("log", &topic)])
}

async fn open(folder: &Path, key: &str, secret: &str) -> Topics {
    world::open(folder, &Environment::of([("KEY", key), ("SECRET", secret)])).await.0
}

async fn on_the_log(topics: &Topics) -> Vec<Event> {
    let number = topics.get("log").unwrap().number();
    let (mut next, mut events) = (0, Vec::new());
    while next < topics.log().bounds(number).end {
        let chunk = topics.log().read(number, next, 1 << 20).await.unwrap();
        next = chunk.next;
        events.extend(chunk.events);
    }
    events
}

/// Started by hand or by the test runner there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn child_of_the_kill_test() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let variable = |name: &str| std::env::var(name).unwrap();
    let topics = open(Path::new(&folder), &variable("KEY"), &variable("SECRET")).await;
    let _inputs = SqsInputs::open(&topics).await.unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_of_a_queue_is_an_event_once_whatever_is_killed() {
    let moto = Moto::start();
    let (folder, key, secret) = (folder(&moto), moto.made("key"), moto.made("secret"));
    moto.send(SENT);
    for visit in [2, 5, 1] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child_of_the_kill_test", "--nocapture"]).env(FOLDER, folder.path());
        command.env("KEY", key).env("SECRET", secret);
        let faults = Failpoints::new().kill("sqs.appended", visit);
        command.env(Failpoints::VARIABLE, faults.value()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        assert!(!tokio::task::spawn_blocking(move || child.wait().unwrap().success()).await.unwrap());
    }
    let topics = open(folder.path(), key, secret).await;
    let killed = on_the_log(&topics).await.len();
    assert!(killed > 0 && killed < SENT, "{killed}");
    let inputs = SqsInputs::open(&topics).await.unwrap();
    until("the queue is empty", || moto.left() == 0).await;
    let status = inputs.status().remove(0);
    inputs.stop().await;
    assert_eq!((status.queue.as_str(), status.problem), ("q", None));
    assert!(status.again > 0, "what was appended before a kill came again");

    let events = on_the_log(&topics).await;
    let mut times: BTreeMap<u64, usize> = BTreeMap::new();
    for event in &events {
        let row: Value = serde_json::from_slice(&event.data).unwrap();
        assert_eq!((&row["name"], event.attribute("tenant")), (&Value::from("이름"), Some("acme")));
        let direct = row["id"].as_u64().unwrap() % 2 == 1;
        assert_eq!(event.attribute(MESSAGE_ID) == event.attribute(QUEUE_ID), direct, "SNS has ids of its own");
        *times.entry(row["id"].as_u64().unwrap()).or_default() += 1;
    }
    assert_eq!((times.len(), events.len()), (SENT, SENT), "each once");
    topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_wrong_is_said_and_nothing_is_taken_from_the_queue() {
    let moto = Moto::start();
    let folder = folder(&moto);
    moto.send(20);
    let topics = open(folder.path(), moto.made("key"), "wrong").await;
    let inputs = SqsInputs::open(&topics).await.unwrap();
    until("the refusal is said", || inputs.status()[0].problem.is_some()).await;
    let problem = inputs.status().remove(0).problem.unwrap();
    assert!(problem.summary.contains("403") && problem.hint.unwrap().contains("key"), "{}", problem.summary);
    inputs.stop().await;
    assert_eq!((moto.left(), on_the_log(&topics).await.len()), (20, 0));
    topics.stop().await;
}
