//! `[from_sqs]` of a topic's file: an Amazon SQS queue whose messages become the topic's events.
//!
//! Owns: [`SqsInput`] and the rule that a queue somebody else reads is not read. Never connects.

use naru_base::{Place, Secret};

use crate::{
    forward::{address, secret},
    mistake::Mistake,
    section::{Reading, Section},
};

/// Calls that wait for messages at once, at most.
const PARALLEL_MAX: u64 = 32;
/// Calls that wait for messages at once, unless the file says otherwise.
const PARALLEL_DEFAULT: u32 = 4;

/// A queue that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqsInput {
    /// Where it is written.
    pub place: Place,
    /// The queue's URL.
    pub queue: String,
    /// Address that is asked: `endpoint`, else the queue's own host.
    pub endpoint: String,
    /// For example `ap-northeast-2`.
    pub region: String,
    /// Id of the key.
    pub access_key: Secret,
    /// The key.
    pub secret_key: Secret,
    /// Belongs to a key that was given for a while.
    pub session_token: Option<Secret>,
    /// Calls that wait for messages at once.
    pub parallel: u32,
}

/// Reads `[from_sqs]`.
pub(crate) fn read(reading: &mut Reading<'_>, mut section: Section<'_>) -> Option<SqsInput> {
    let place = reading.place(&section.span);
    let example = "queue = \"https://sqs.ap-northeast-2.amazonaws.com/123456789012/app-log\"";
    let queue = address(reading, &mut section, "queue", example);
    let endpoint = section.node("endpoint").is_some().then(|| address(reading, &mut section, "endpoint", ""));
    let region = read_region(reading, &mut section, queue.as_deref());
    let access_key = secret(reading, &mut section, "access_key", "access_key = \"${AWS_ACCESS_KEY_ID}\"");
    let secret_key = secret(reading, &mut section, "secret_key", "secret_key = \"${AWS_SECRET_ACCESS_KEY}\"");
    let session_token = section.node("session_token").is_some();
    let session_token = session_token.then(|| secret(reading, &mut section, "session_token", ""));
    let parallel = section.integer(reading, "parallel", 1..=PARALLEL_MAX).and_then(|n| u32::try_from(n).ok());
    read_readers(reading, &mut section);
    section.finish(reading);
    let queue = queue?;
    let endpoint = match endpoint {
        Some(endpoint) => endpoint?,
        None => host_of(&queue),
    };
    Some(SqsInput {
        place,
        endpoint,
        region: region?,
        access_key: access_key?,
        secret_key: secret_key?,
        session_token: match session_token {
            Some(token) => Some(token?),
            None => None,
        },
        parallel: parallel.unwrap_or(PARALLEL_DEFAULT),
        queue,
    })
}

/// Two readers of one queue take each other's messages, and no setting of the queue shows that there are two.
fn read_readers(reading: &mut Reading<'_>, section: &mut Section<'_>) {
    let sole = section.boolean(reading, "sole_reader").unwrap_or(false);
    let behind_sns = section.boolean(reading, "behind_sns").unwrap_or(false);
    if sole != behind_sns {
        return;
    }
    let mistake = Mistake::BadValue {
        key: "queue".to_owned(),
        wanted: "read until it is said who else reads it".to_owned(),
        why: Some("SQS gives each message to one reader, so a second one takes messages away from the first".to_owned()),
        hint: Some(
            "Subscribe a second queue to the SNS topic and write `behind_sns = true`, or write `sole_reader = true` once nobody else reads this queue."
                .to_owned(),
        ),
    };
    reading.add(&section.span, mistake);
}

fn read_region(reading: &mut Reading<'_>, section: &mut Section<'_>, queue: Option<&str>) -> Option<String> {
    let found = queue.and_then(region_of);
    if section.node("region").is_none()
        && let Some(region) = found
    {
        return Some(region);
    }
    let node = section.required(reading, "region", "region = \"ap-northeast-2\"")?;
    let text = reading.text("region", node)?;
    let fits = !text.value.is_empty() && text.value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !fits {
        reading.bad("region", "a region such as ap-northeast-2", &text, None);
        return None;
    }
    Some(text.value)
}

/// `https://host`, without the path.
fn host_of(url: &str) -> String {
    let end = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(end);
    format!("{scheme}{}", rest.split('/').next().unwrap_or_default())
}

/// `sqs.<region>.amazonaws.com` and the same in other partitions.
fn region_of(queue: &str) -> Option<String> {
    let host = host_of(queue);
    let host = host.split_once("://")?.1;
    let (region, rest) = host.strip_prefix("sqs.")?.split_once('.')?;
    rest.starts_with("amazonaws.com").then(|| region.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{environment::Environment, mistake::Report, text::SourceText, toml_text};

    fn input(text: &str) -> (Option<SqsInput>, String) {
        let text = format!("[columns]\nname = \"STRING\"\n[from_sqs]\n{text}");
        let text = SourceText::new("topics/app_log.toml", &text);
        let environment = Environment::of([("A", "hidden"), ("S", "hidden")]);
        let mut report = Report::default();
        let node = toml_text::parse(&text, &mut report);
        let mut reading =
            Reading { text: &text, root: Path::new(""), environment: Some(&environment), report: &mut report };
        let topic = crate::topic::read(&mut reading, &node, "app_log".to_owned()).unwrap();
        let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        (topic.from_sqs, problems.join("\n"))
    }

    const KEYS: &str = "access_key = \"${A}\"\nsecret_key = \"${S}\"\n";
    const QUEUE: &str = "queue = \"https://sqs.ap-northeast-2.amazonaws.com/123456789012/app-log\"\n";

    #[test]
    fn a_queue_says_its_region_and_its_host() {
        let (input, problems) = input(&format!("{QUEUE}{KEYS}behind_sns = true\n"));
        assert_eq!(problems, "");
        let input = input.unwrap();
        assert_eq!((input.region.as_str(), input.parallel), ("ap-northeast-2", 4));
        assert_eq!(input.endpoint, "https://sqs.ap-northeast-2.amazonaws.com");
        assert!(!format!("{input:?}").contains("hidden"));
    }

    #[test]
    fn an_address_of_its_own_needs_a_region() {
        let local = "queue = \"http://127.0.0.1:5000/123456789012/q\"\nsole_reader = true\n";
        assert!(input(&format!("{local}{KEYS}")).1.contains("[from_sqs] has no \"region\""));
        let (input, problems) =
            input(&format!("{local}{KEYS}region = \"us-east-1\"\nendpoint = \"http://127.0.0.1:5001\"\n"));
        assert_eq!(problems, "");
        assert_eq!(input.unwrap().endpoint, "http://127.0.0.1:5001");
    }

    #[test]
    fn a_queue_that_somebody_else_may_read_is_refused_with_the_reason() {
        for readers in ["", "sole_reader = false\n", "sole_reader = true\nbehind_sns = true\n"] {
            let problems = input(&format!("{QUEUE}{KEYS}{readers}")).1;
            assert!(problems.contains("takes messages away from the first"), "{problems}");
            assert!(problems.contains("behind_sns = true"), "{problems}");
        }
        let problems = input(&format!("{QUEUE}access_key = \"${{A}}\"\nsecret_key = \"abc\"\nsole_reader = true\n")).1;
        assert!(problems.contains("\"secret_key\" has a password in it"), "{problems}");
    }
}
