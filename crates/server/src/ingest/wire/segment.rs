//! Segment's HTTP tracking API, which RudderStack and others speak too: `/v1/batch` and the single calls.
//!
//! Owns: messages of a batch as events. Never trusts the content type: RudderStack's library calls JSON a form.
//!
//! A message stays as it was sent, with what the request says once for all of them: `type` where the path says it,
//! `sentAt` and `context` of the batch where the message has none, and `timestamp` where the library leaves it to the
//! server: its `originalTimestamp`, else the time of arrival. The write key is taken out.
//! <https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/>

use bytes::Bytes;

use super::{
    Request, Sent, WireError,
    fields::{Fields, Writer},
    scrub, split,
};

/// Fields that a batch says once for all of its messages.
const SHARED: [&str; 2] = ["sentAt", "context"];

/// The messages of `/v1/batch` and `/v1/import`, which arrived at `now` (RFC 3339).
pub fn batch(body: &Bytes, now: &str) -> Result<Request, WireError> {
    let bad = |why: &str| WireError::unreadable("batch of messages", why);
    let fields = Fields::read(body).ok_or_else(|| bad("it is no JSON object"))?;
    let list = fields.get("batch").ok_or_else(|| bad("it has no \"batch\""))?;
    if !list.starts_with(b"[") {
        return Err(bad("its \"batch\" is no array"));
    }
    let mut request = Request { events: Vec::new(), key: fields.text("writeKey") };
    for value in split::values(&body.slice_ref(list), false)? {
        let (sent, key) = message(&value, None, &fields, now);
        request.events.push(sent);
        request.key = request.key.or(key);
    }
    Ok(request)
}

/// The one message of `/v1/track` and its like, which arrived at `now`; `kind` is the path's last word.
pub fn single(body: &Bytes, kind: &'static str, now: &str) -> Result<Request, WireError> {
    let value = body.slice_ref(body.trim_ascii());
    let Some(none) = Fields::read(b"{}") else { return Ok(Request::default()) };
    if Fields::read(&value).is_none() {
        return Err(WireError::unreadable("message", "it is no JSON object"));
    }
    let (sent, key) = message(&value, Some(kind), &none, now);
    Ok(Request { events: vec![sent], key })
}

fn message(value: &Bytes, kind: Option<&'static str>, batch: &Fields<'_>, now: &str) -> (Sent, Option<String>) {
    let Some(fields) = Fields::read(value) else { return scrub::unreadable(value, "writeKey") };
    let (id, key) = (fields.text("messageId"), fields.text("writeKey"));
    let kind = kind.filter(|_| fields.get("type").is_none());
    let shared: Vec<(&str, &[u8])> = SHARED
        .into_iter()
        .filter(|name| fields.get(name).is_none())
        .filter_map(|name| Some((name, batch.get(name)?)))
        .collect();
    let dated = fields.get("timestamp").is_some();
    if kind.is_none() && shared.is_empty() && dated && fields.get("writeKey").is_none() {
        return (Sent { data: value.clone(), id }, key);
    }
    let mut out = Writer::with_capacity(value.len() + 64);
    if let Some(kind) = kind {
        out.text("type", kind);
    }
    for (name, raw) in fields.iter().filter(|(name, _)| *name != "writeKey") {
        out.raw(name, raw);
    }
    match fields.get("originalTimestamp") {
        _ if dated => {}
        Some(original) => out.raw("timestamp", original),
        None => out.text("timestamp", now),
    }
    for (name, raw) in shared {
        out.raw(name, raw);
    }
    (Sent { data: out.finish(), id }, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(request: &Request) -> Vec<&str> {
        request.events.iter().map(|sent| std::str::from_utf8(&sent.data).unwrap()).collect()
    }

    #[test]
    fn messages_of_a_batch_get_what_the_batch_says_once() {
        let body = br#" {"batch": [ {"type":"track","messageId":"m1","timestamp":"t","sentAt":"y","context":{}} , {"type":"page","context":{"a":1},"originalTimestamp":"o","writeKey":"w"}, "odd" ],
            "sentAt":"2026-11-22T00:00:00Z","context":{"ip":"0"},"writeKey":"k"}"#;
        let request = batch(&Bytes::from_static(body), "now").unwrap();
        assert_eq!(
            texts(&request),
            [
                r#"{"type":"track","messageId":"m1","timestamp":"t","sentAt":"y","context":{}}"#,
                r#"{"type":"page","context":{"a":1},"originalTimestamp":"o","timestamp":"o","sentAt":"2026-11-22T00:00:00Z"}"#,
                "\"odd\"",
            ]
        );
        assert_eq!((request.events[0].id.as_deref(), request.key.as_deref()), (Some("m1"), Some("k")));
    }

    #[test]
    fn a_batch_with_a_value_that_is_no_json_loses_neither_its_key_nor_its_other_messages() {
        let body = br#"{"batch":[{"type":"track","timestamp":"t","n":NaN,"writeKey":"w"},{"type":"page","timestamp":"t"}],"context":{"x":Infinity},"writeKey":"k"}"#;
        let request = batch(&Bytes::from_static(body), "now").unwrap();
        assert_eq!(
            texts(&request),
            [
                r#"{"type":"track","timestamp":"t","n":NaN,"context":{"x":Infinity}}"#,
                r#"{"type":"page","timestamp":"t","context":{"x":Infinity}}"#,
            ]
        );
        assert_eq!(request.key.as_deref(), Some("k"));
    }

    #[test]
    fn a_single_call_says_its_type_by_its_path() {
        let request = single(&Bytes::from_static(b" {\"event\":\"a\",\"writeKey\":\"w\"}\n"), "track", "now").unwrap();
        assert_eq!(texts(&request), [r#"{"type":"track","event":"a","timestamp":"now"}"#]);
        assert_eq!(request.key.as_deref(), Some("w"));
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        for body in [b"".as_slice(), b"[]", b"{}", b"{\"batch\":{}}", b"{\"batch\":[}", b"batch=1"] {
            assert!(matches!(batch(&Bytes::from_static(body), "now"), Err(WireError::Unreadable { .. })));
        }
        assert!(single(&Bytes::from_static(b"[]"), "track", "now").is_err());
    }
}
