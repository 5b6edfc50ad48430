//! Mixpanel's HTTP API as its libraries speak it: `/track`, `/engage`, `/groups`, `/import`.
//!
//! Owns: what an event of theirs looks like on the log. Never answers; see `crate::ingest::replies`.
//!
//! An event of `/track` and `/import`: `{"event", "distinct_id", "time", "insert_id", "properties"}`, where `time` is
//! RFC 3339 and `properties` are the sender's without those that were lifted out and without the token. A change of
//! people or groups: `{"distinct_id" | "group_key", "group_id", "time", "operations"}`, where `operations` has
//! `$set` and its kin. Wire forms: captured from the libraries; <https://developer.mixpanel.com/reference/import-events>.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use super::{
    Request, Sent, WireError,
    fields::{Fields, Writer},
    scrub, split,
};

const WANTED: &str = "event or list of events, as JSON or base64 of JSON";

/// Fields of `properties` that stand beside it in the event instead.
const LIFTED: [&str; 4] = ["token", "distinct_id", "time", "$insert_id"];

/// Fields of a change that stand beside its operations.
const NAMED: [&str; 5] = ["$token", "$distinct_id", "$group_key", "$group_id", "$time"];

/// Numbers below this are seconds since 1970, from here on milliseconds: the year 5138, and the year 1973.
const MILLISECONDS_FROM: f64 = 100_000_000_000.0;

/// The events in the `data` of `/track`: JSON, or base64 of it. One without a time is of `now` (RFC 3339), as Mixpanel
/// takes it.
pub fn track(data: &Bytes, now: &str) -> Result<Request, WireError> {
    each(split::values(&json(data)?, false)?, |value| event(value, Some(now)))
}

/// The events of `/import`: an array or lines.
pub fn import(body: &Bytes) -> Result<Request, WireError> {
    each(split::values(body, false)?, |value| event(value, None))
}

/// The changes in the `data` of `/engage` and `/groups`.
pub fn changes(data: &Bytes) -> Result<Request, WireError> {
    each(split::values(&json(data)?, false)?, change)
}

/// `shape` says what one value becomes, and the token it carried.
fn each(values: Vec<Bytes>, shape: impl Fn(&Bytes) -> (Sent, Option<String>)) -> Result<Request, WireError> {
    let mut request = Request { events: Vec::with_capacity(values.len()), key: None };
    for value in values {
        let (sent, token) = shape(&value);
        request.events.push(sent);
        match (&request.key, token) {
            (Some(known), Some(other)) if *known != other => return Err(WireError::Keys),
            (None, Some(first)) => request.key = Some(first),
            _ => {}
        }
    }
    Ok(request)
}

fn json(data: &Bytes) -> Result<Bytes, WireError> {
    let text = data.trim_ascii();
    if text.is_empty() || text.starts_with(b"{") || text.starts_with(b"[") {
        return Ok(data.clone());
    }
    // A plus that was not escaped has become a space on its way through a form.
    let alphabet = |byte: &u8| match byte {
        b' ' | b'-' => b'+',
        b'_' => b'/',
        other => *other,
    };
    let plain: Vec<u8> = text.iter().map(alphabet).collect();
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decoded = GeneralPurpose::new(&alphabet::STANDARD, config).decode(plain);
    decoded.map(Bytes::from).map_err(|_| WireError::unreadable(WANTED, "it is neither"))
}

fn event(value: &Bytes, now: Option<&str>) -> (Sent, Option<String>) {
    let Some(fields) = Fields::read(value) else { return scrub::unreadable(value, "token") };
    let properties = fields.get("properties").and_then(Fields::read);
    let lifted = |name: &str| properties.as_ref().and_then(|properties| properties.get(name));
    let id = lifted("$insert_id").map(name_of);
    let mut out = Writer::with_capacity(value.len());
    out.optional("event", fields.get("event"));
    if let Some(raw) = lifted("distinct_id") {
        out.raw("distinct_id", &name_json(raw));
    }
    match (lifted("time"), now) {
        (Some(raw), _) => moment(&mut out, raw),
        (None, Some(now)) => out.text("time", now),
        (None, None) => {}
    }
    if let Some(raw) = lifted("$insert_id") {
        out.raw("insert_id", &name_json(raw));
    }
    match &properties {
        Some(properties) => {
            let mut rest = Writer::with_capacity(value.len());
            for (name, raw) in properties.iter().filter(|(name, _)| !LIFTED.contains(name)) {
                rest.raw(name, raw);
            }
            out.object("properties", rest);
        }
        None => out.optional("properties", fields.get("properties")),
    }
    for (name, raw) in fields.iter().filter(|(name, _)| !LIFTED.contains(name)) {
        if !["event", "properties", "insert_id"].contains(&name) {
            out.raw(name, raw);
        }
    }
    let token = properties.as_ref().and_then(|properties| properties.text("token"));
    (Sent { data: out.finish(), id }, token)
}

fn change(value: &Bytes) -> (Sent, Option<String>) {
    let Some(fields) = Fields::read(value) else { return scrub::unreadable(value, "$token") };
    let mut out = Writer::with_capacity(value.len());
    for (name, field) in [("distinct_id", "$distinct_id"), ("group_key", "$group_key"), ("group_id", "$group_id")] {
        if let Some(raw) = fields.get(field) {
            out.raw(name, &name_json(raw));
        }
    }
    if let Some(raw) = fields.get("$time") {
        moment(&mut out, raw);
    }
    let mut operations = Writer::with_capacity(value.len());
    for (name, raw) in fields.iter().filter(|(name, _)| !NAMED.contains(name)) {
        operations.raw(name, raw);
    }
    out.object("operations", operations);
    (Sent::plain(out.finish()), fields.text("$token"))
}

/// Mixpanel's ids are texts; some senders write them as numbers.
fn name_json(raw: &[u8]) -> Vec<u8> {
    if raw.first().is_some_and(|first| *first == b'-' || first.is_ascii_digit()) {
        [b"\"", raw, b"\""].concat()
    } else {
        raw.to_owned()
    }
}

fn name_of(raw: &[u8]) -> String {
    serde_json::from_slice(raw).unwrap_or_else(|_| String::from_utf8_lossy(raw).into_owned())
}

/// Writes a time as RFC 3339 when it is a number of seconds or milliseconds, else as it came.
fn moment(out: &mut Writer, raw: &[u8]) {
    let number = std::str::from_utf8(raw).ok().and_then(|text| text.trim_matches('"').parse::<f64>().ok());
    match number.and_then(rfc3339) {
        Some(time) => out.text("time", &time),
        None => out.raw("time", raw),
    }
}

fn rfc3339(number: f64) -> Option<String> {
    let seconds = if number.abs() < MILLISECONDS_FROM { number } else { number / 1000.0 };
    let since = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    let time = jiff::Timestamp::from_duration(since).ok()?;
    time.round(jiff::Unit::Microsecond).ok().map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(data: &Bytes) -> &str {
        std::str::from_utf8(data).unwrap()
    }

    #[test]
    fn an_event_is_lifted_out_of_its_properties_and_its_token_is_gone() {
        let body = br#"{"event":"Signed up","properties":{"token":"naru_x","distinct_id":7,"time":1795305600.25,"$insert_id":"a-1","plan":"pro","n":1.50}}"#;
        let wanted = r#"{"event":"Signed up","distinct_id":"7","time":"2026-11-22T00:00:00.25Z","insert_id":"a-1","properties":{"plan":"pro","n":1.50}}"#;
        let encoded = base64::engine::general_purpose::STANDARD.encode(body);
        for data in [Bytes::from_static(body), encoded.clone().into(), encoded.trim_end_matches('=').to_owned().into()]
        {
            let request = track(&data, "now").unwrap();
            assert_eq!(text(&request.events[0].data), wanted);
            assert_eq!((request.events[0].id.as_deref(), request.key.as_deref()), (Some("a-1"), Some("naru_x")));
        }
        assert_eq!(import(&Bytes::from_static(body)).unwrap().events.len(), 1);
        let odd = br#"[{"event":"a","properties":[1]}, 7, {"event":"b","properties":{"time":"soon"}}]"#;
        let odd = track(&Bytes::from_static(odd), "now");
        let odd: Vec<_> = odd.unwrap().events.iter().map(|sent| text(&sent.data).to_owned()).collect();
        assert_eq!(
            odd,
            [r#"{"event":"a","time":"now","properties":[1]}"#, "7", r#"{"event":"b","time":"soon","properties":{}}"#]
        );
    }

    #[test]
    fn an_event_that_is_no_json_keeps_its_shape_and_its_token_is_found_and_gone() {
        for (body, wanted) in [
            (
                r#"{"event":"a","properties":{"token":"naru_x","n":NaN,"time":1795305600,"$insert_id":"i"}}"#,
                r#"{"event":"a","time":"2026-11-22T00:00:00Z","insert_id":"i","properties":{"n":NaN}}"#,
            ),
            (
                r#"{"event":"a","properties":{"n":-Infinity,"token":"naru_x"},"x":None}"#,
                r#"{"event":"a","time":"now","properties":{"n":-Infinity},"x":None}"#,
            ),
            (r#"{"event":"a","properties":{"token": "naru_x", "n":1}"#, r#"{"event":"a","properties":{"n":1}"#),
        ] {
            let request = import_or_track(body);
            assert_eq!(text(&request.events[0].data), wanted);
            assert_eq!(request.key.as_deref(), Some("naru_x"), "{body}");
        }
        let people = br#"{"$token":"naru_x","$distinct_id":"u","$set":{"n":NaN}}"#;
        let people = changes(&Bytes::from_static(people)).unwrap();
        assert_eq!(text(&people.events[0].data), r#"{"distinct_id":"u","operations":{"$set":{"n":NaN}}}"#);
        assert_eq!(people.key.as_deref(), Some("naru_x"));
    }

    fn import_or_track(body: &str) -> Request {
        track(&Bytes::copy_from_slice(body.as_bytes()), "now").unwrap()
    }

    #[test]
    fn times_are_seconds_or_milliseconds() {
        for (number, wanted) in [
            ("1795305600", Some("2026-11-22T00:00:00Z")),
            ("1795305600123", Some("2026-11-22T00:00:00.123Z")),
            ("-1.5", Some("1969-12-31T23:59:58.5Z")),
            ("1e300", None),
            ("NaN", None),
        ] {
            assert_eq!(number.parse::<f64>().ok().and_then(rfc3339).as_deref(), wanted, "{number}");
        }
    }

    #[test]
    fn changes_of_people_and_groups_keep_their_operations() {
        let body = br#"[{"$token":"t","$distinct_id":"u","$time":1795305600000,"$set":{"a":1},"$ip":"0"},{"$token":"t","$group_key":"company","$group_id":"acme","$unset":["b"]}]"#;
        let request = changes(&Bytes::from_static(body)).unwrap();
        assert_eq!(
            text(&request.events[0].data),
            r#"{"distinct_id":"u","time":"2026-11-22T00:00:00Z","operations":{"$set":{"a":1},"$ip":"0"}}"#
        );
        assert_eq!(
            text(&request.events[1].data),
            r#"{"group_key":"company","group_id":"acme","operations":{"$unset":["b"]}}"#
        );
        assert_eq!(request.key.as_deref(), Some("t"));
    }

    #[test]
    fn two_tokens_in_one_request_and_data_of_another_kind_are_refused() {
        let two = br#"[{"event":"a","properties":{"token":"x"}},{"event":"b","properties":{"token":"y"}}]"#;
        assert_eq!(track(&Bytes::from_static(two), ""), Err(WireError::Keys));
        assert!(matches!(track(&Bytes::from_static(b"!!!"), ""), Err(WireError::Unreadable { .. })));
    }
}
