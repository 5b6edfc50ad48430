//! CloudEvents 1.0 over HTTP, in its three modes.
//!
//! Owns: an event in structured form, whichever mode it came in: `specversion`, `id`, `source`, `type`, `time`, …,
//! `data` or `data_base64`. A structured event keeps its bytes; attributes that are missing are the table's to judge.
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;

use super::{
    Request, Sent, WireError,
    fields::{Fields, Writer},
    split,
};

/// How a request carries its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One event as JSON.
    Structured,
    /// An array of events as JSON.
    Batched,
    /// Attributes in headers, data in the body.
    Binary,
}

/// The mode of a request, from its content type and whether it has a `ce-specversion`; `None` for other requests.
pub fn mode(content_type: &str, has_specversion: bool) -> Option<Mode> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/cloudevents-batch+json" => Some(Mode::Batched),
        "application/cloudevents+json" => Some(Mode::Structured),
        _ if has_specversion => Some(Mode::Binary),
        _ => None,
    }
}

/// The events of a structured or batched body.
pub fn structured(body: &Bytes, mode: Mode) -> Result<Request, WireError> {
    let values = match mode {
        Mode::Batched => {
            if !body.trim_ascii_start().starts_with(b"[") {
                return Err(WireError::unreadable("batch of CloudEvents", "it is no JSON array"));
            }
            split::values(body, false)?
        }
        Mode::Structured | Mode::Binary => vec![body.slice_ref(body.trim_ascii())],
    };
    let sent = |data: Bytes| Sent { id: Fields::read(&data).and_then(|fields| fields.text("id")), data };
    Ok(Request { events: values.into_iter().map(sent).collect(), key: None })
}

/// The event of a request in binary mode; `headers` are all of the request's, with names in lower case.
pub fn binary<'h>(
    headers: impl Iterator<Item = (&'h str, &'h str)>,
    content_type: Option<&str>,
    body: &Bytes,
) -> Request {
    let mut out = Writer::with_capacity(body.len() + 256);
    let mut id = None;
    for (name, value) in headers.filter_map(|(name, value)| Some((name.strip_prefix("ce-")?, value))) {
        if ["data", "data_base64", "datacontenttype"].contains(&name) {
            continue;
        }
        let value = percent_decode_str(value).decode_utf8_lossy();
        if name == "id" {
            id = Some(value.clone().into_owned());
        }
        out.text(name, &value);
    }
    if let Some(kind) = content_type {
        out.text("datacontenttype", kind);
    }
    data(&mut out, content_type.unwrap_or("application/json"), body);
    Request { events: vec![Sent { data: out.finish(), id }], key: None }
}

/// JSON stays JSON, text becomes a JSON text, anything else base64.
fn data(out: &mut Writer, content_type: &str, body: &Bytes) {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = kind == "application/json" || kind == "text/json" || kind.ends_with("+json");
    match (serde_json::from_slice::<&RawValue>(body), std::str::from_utf8(body)) {
        _ if body.is_empty() => {}
        (Ok(json), _) if is_json => out.raw("data", json.get().as_bytes()),
        (_, Ok(text)) if is_json || kind.starts_with("text/") => out.text("data", text),
        _ => out.text("data_base64", &STANDARD.encode(body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(content_type: Option<&str>, body: &'static [u8]) -> String {
        let headers = [("ce-specversion", "1.0"), ("ce-id", "1%20a"), ("host", "x"), ("ce-source", "/가")];
        let request = binary(headers.into_iter(), content_type, &Bytes::from_static(body));
        assert_eq!(request.events[0].id.as_deref(), Some("1 a"));
        String::from_utf8(request.events[0].data.to_vec()).unwrap()
    }

    #[test]
    fn a_binary_event_becomes_a_structured_one() {
        let head = r#"{"specversion":"1.0","id":"1 a","source":"/가""#;
        for (kind, body, rest) in [
            (
                Some("application/json; charset=utf-8"),
                b"{\"a\": 1}".as_slice(),
                r#","datacontenttype":"application/json; charset=utf-8","data":{"a": 1}}"#,
            ),
            (None, b"7", r#","data":7}"#),
            (None, b"", "}"),
            (Some("text/plain"), "나".as_bytes(), r#","datacontenttype":"text/plain","data":"나"}"#),
            (Some("image/png"), b"\x89P", r#","datacontenttype":"image/png","data_base64":"iVA="}"#),
            (Some("application/x+json"), b"{", r#","datacontenttype":"application/x+json","data":"{"}"#),
        ] {
            assert_eq!(made(kind, body), format!("{head}{rest}"));
        }
    }

    #[test]
    fn structured_events_keep_their_bytes() {
        let body = Bytes::from_static(b"[{\"id\":\"1\", \"data\":[1]},{\"id\":2}]");
        let request = structured(&body, Mode::Batched).unwrap();
        assert_eq!(
            request.events[0],
            Sent { data: Bytes::from_static(b"{\"id\":\"1\", \"data\":[1]}"), id: Some("1".into()) }
        );
        assert_eq!(request.events[1].id, None);
        assert!(structured(&Bytes::from_static(b"{}"), Mode::Batched).is_err());
        let one = structured(&Bytes::from_static(b" {broken \n"), Mode::Structured).unwrap();
        assert_eq!(one.events[0].data, b"{broken".as_slice());
    }

    #[test]
    fn the_mode_stands_in_the_headers() {
        assert_eq!(mode("application/cloudevents+json; charset=utf-8", false), Some(Mode::Structured));
        assert_eq!(mode("Application/CloudEvents-Batch+JSON", true), Some(Mode::Batched));
        assert_eq!(mode("text/plain", true), Some(Mode::Binary));
        assert_eq!(mode("application/json", false), None);
    }
}
