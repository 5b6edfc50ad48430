//! Mixpanel's `/import`.
//!
//! Owns: an event in Mixpanel's form, one request of them, and what Mixpanel answers
//! (<https://docs.mixpanel.com/reference/import-events>): at most 2000 events and 10 MB a request, 1 MB an event; with
//! `strict=1`, 400 names the events that were not taken and the others were.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use naru_project::forward::{Forward, MixpanelTarget};
use reqwest::{
    Client, RequestBuilder,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use serde::Deserialize;

use super::{
    answer::{Answer, Refusal, Reply, unknown, words},
    receiver::{Limits, Record},
    record::{Picked, Picker, key, kind, milliseconds, scalar, short_id},
};
use crate::{log::Event, marks};

pub(crate) const LIMITS: Limits = Limits { events: 2_000, bytes: 10_000_000, record_bytes: 1_000_000, one_key: false };

/// A project of Mixpanel.
#[derive(Debug)]
pub(crate) struct Mixpanel {
    target: MixpanelTarget,
    event: Option<usize>,
    distinct_id: Option<usize>,
    time: Option<(usize, String)>,
    /// Fields that are properties, each with its key as JSON.
    properties: Vec<(usize, String)>,
}

#[derive(Debug, Deserialize)]
struct Said {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    failed_records: Vec<Failed>,
}

#[derive(Debug, Deserialize)]
struct Failed {
    index: usize,
    #[serde(default)]
    field: String,
    #[serde(default)]
    message: String,
}

impl Mixpanel {
    pub(crate) fn new(target: MixpanelTarget, forward: &Forward, picker: &Picker) -> Self {
        let roles = [Some(&target.event), target.distinct_id.as_ref(), target.time.as_ref()];
        let property = |name: &&String| !roles.contains(&Some(name));
        let properties = forward.fields.iter().filter(property);
        let properties = properties.filter_map(|name| Some((picker.place(name)?, key(name)))).collect();
        Self {
            event: picker.place(&target.event),
            distinct_id: target.distinct_id.as_ref().and_then(|name| picker.place(name)),
            time: target.time.as_ref().and_then(|name| Some((picker.place(name)?, format!("$.{name}")))),
            properties,
            target,
        }
    }

    /// Columns that are needed beside the fields.
    pub(crate) fn columns(target: &MixpanelTarget) -> Vec<&str> {
        let optional = [&target.distinct_id, &target.time].into_iter().flatten();
        [&target.event].into_iter().chain(optional).map(String::as_str).collect()
    }

    pub(crate) fn record(&self, event: &Event, picked: &Picked<'_>, id: &str) -> Result<Vec<u8>, Refusal> {
        let value = |place: Option<usize>| place.and_then(|place| picked.get(place));
        let name = value(self.event);
        let text = name.filter(|name| name.get().starts_with('"')).and_then(scalar).filter(|name| !name.is_empty());
        let Some(text) = text else {
            let path = format!("$.{}", self.target.event);
            return Err(Refusal::new("forward.no_event_name", path, "a text that is not empty", kind(name)));
        };
        let who = value(self.distinct_id);
        let Some(distinct_id) = who.map_or(Some("".into()), scalar) else {
            let path = format!("$.{}", self.target.distinct_id.as_deref().unwrap_or_default());
            return Err(Refusal::new("forward.bad_distinct_id", path, "a text or a number", kind(who)));
        };
        let time = match &self.time {
            None => marks::arrived_us(event) / 1_000,
            Some((place, path)) => {
                let at = picked.get(*place);
                let wrong = || Refusal::new("forward.bad_time", path.clone(), "a timestamp", kind(at));
                at.and_then(milliseconds).ok_or_else(wrong)?
            }
        };
        let head =
            serde_json::json!({"time": time, "distinct_id": distinct_id, "$insert_id": short_id(id)}).to_string();
        let mut out = format!("{{\"event\":{},\"properties\":", serde_json::Value::from(&*text)).into_bytes();
        out.extend_from_slice(head.strip_suffix('}').unwrap_or(&head).as_bytes());
        picked.write(&self.properties, &mut out);
        out.extend_from_slice(b"}}");
        Ok(out)
    }

    pub(crate) fn request(&self, client: &Client, records: &[&Record]) -> Result<RequestBuilder, std::io::Error> {
        let mut body = GzEncoder::new(Vec::new(), Compression::fast());
        for (at, record) in records.iter().enumerate() {
            body.write_all(if at == 0 { b"[" } else { b"," })?;
            body.write_all(&record.bytes)?;
        }
        body.write_all(b"]")?;
        let request = client
            .post(format!("{}/import?strict=1", self.target.to))
            .basic_auth(self.target.token.expose(), Some(""))
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_ENCODING, "gzip");
        Ok(request.body(body.finish()?))
    }

    pub(crate) fn judge(reply: &Reply, to: &str, sent: usize) -> Answer {
        if let Some(answer) = reply.common(to) {
            return answer;
        }
        let said: Option<Said> = serde_json::from_slice(&reply.body).ok();
        match (reply.status.as_u16(), said) {
            (200, Some(said)) if said.code == 200 && said.failed_records.is_empty() => Answer::Taken(Vec::new()),
            (200 | 400, Some(said)) if !said.failed_records.is_empty() => {
                if said.failed_records.iter().any(|failed| failed.index >= sent) {
                    return reply.odd(to);
                }
                let refused = said.failed_records.into_iter().map(|failed| (failed.index, refusal(&failed)));
                Answer::Taken(refused.collect())
            }
            (401 | 403, _) => unknown(to, reply.status, "the token"),
            _ => reply.odd(to),
        }
    }
}

fn refusal(failed: &Failed) -> Refusal {
    Refusal::new("mixpanel.refused", words(&failed.field), words(&failed.message), "what the event holds")
}

#[cfg(test)]
mod tests {
    use reqwest::{StatusCode, header::HeaderMap};

    use super::*;

    fn judged(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Mixpanel::judge(&Reply { status, headers: HeaderMap::new(), body: body.into() }, "mixpanel", 3)
    }

    #[test]
    fn only_what_mixpanel_itself_says_counts() {
        assert!(
            matches!(judged(200, r#"{"code":200,"num_records_imported":3,"status":"OK"}"#), Answer::Taken(no) if no.is_empty())
        );
        for odd in ["", "<html>OK</html>", "{}", "1", r#"{"code":500}"#] {
            assert!(matches!(judged(200, odd), Answer::Again(..)), "{odd}");
            assert!(matches!(judged(400, odd), Answer::Again(..)), "{odd}");
        }
        assert!(matches!(judged(401, "{}"), Answer::Unknown(_)));
        assert!(matches!(judged(301, ""), Answer::Again(..)));
    }

    #[test]
    fn failed_records_are_those_that_were_sent() {
        let said = r#"{"code":400,"failed_records":[{"index":2,"insert_id":"x","field":"properties.time","message":"'properties.time' is invalid"}],"num_records_imported":2}"#;
        let Answer::Taken(refused) = judged(400, said) else { panic!() };
        assert_eq!((refused.len(), refused[0].0, refused[0].1.path.as_str()), (1, 2, "properties.time"));
        assert!(matches!(judged(400, &said.replace("\"index\":2", "\"index\":3")), Answer::Again(..)));
    }
}
