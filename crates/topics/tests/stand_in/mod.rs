//! An HTTP server that answers as it is told.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io::{self, Read as _},
    net::Ipv4Addr,
    sync::Arc,
};

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming as Body},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// One request as it came, its body unpacked.
#[derive(Debug, Clone)]
pub struct Came {
    pub path: String,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
}

impl Came {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> String {
        String::from_utf8_lossy(self.headers.get(name).unwrap().as_bytes()).into_owned()
    }
}

/// How a request is answered.
pub enum Plan {
    /// Status, `Retry-After`, body.
    Say(u16, Option<&'static str>, String),
    /// Never.
    Hang,
    /// The connection ends in the middle of the answer.
    Break,
    /// As the kind of receiver answers when all is well.
    Well,
}

type Rule = dyn Fn(&Came) -> Plan + Send + Sync;

/// A receiver that is not there in truth.
pub struct StandIn {
    pub port: u16,
    came: Arc<Mutex<Vec<Came>>>,
    plans: Arc<Mutex<VecDeque<Plan>>>,
    serving: JoinHandle<()>,
}

impl StandIn {
    /// Answers with the plans first, then by the rule.
    pub async fn start(plans: Vec<Plan>, rule: impl Fn(&Came) -> Plan + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (came, plans) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(VecDeque::from(plans))));
        let (kept, planned, rule): (_, _, Arc<Rule>) = (came.clone(), plans.clone(), Arc::new(rule));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, planned, rule) = (kept.clone(), planned.clone(), rule.clone());
                let service = service_fn(move |request| answer(request, kept.clone(), planned.clone(), rule.clone()));
                let serving =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move { drop(serving.await) });
            }
        });
        Self { port, came, plans, serving }
    }

    /// Everything that came so far.
    pub fn came(&self) -> Vec<Came> {
        self.came.lock().clone()
    }

    /// Answers so from now on, before the rule.
    pub fn plan(&self, plan: Plan) {
        self.plans.lock().push_back(plan);
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    request: Request<Body>,
    kept: Arc<Mutex<Vec<Came>>>,
    planned: Arc<Mutex<VecDeque<Plan>>>,
    rule: Arc<Rule>,
) -> Result<Response<BoxBody<Bytes, io::Error>>, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Ok(response(400, None, String::new())) };
    let mut body = body.to_bytes();
    if parts.headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
        body = plain.into();
    }
    let came = Came { path: parts.uri.to_string(), headers: parts.headers, body };
    kept.lock().push(came.clone());
    let plan = planned.lock().pop_front().unwrap_or_else(|| rule(&came));
    Ok(match plan {
        Plan::Say(status, after, body) => response(status, after, body),
        Plan::Hang => std::future::pending().await,
        Plan::Break => {
            let pieces = [Ok(Frame::data(Bytes::from_static(b"{\"code\""))), Err(io::Error::other("broken"))];
            let body = BodyExt::boxed(StreamBody::new(stream::iter(pieces)));
            Response::builder().header("content-length", "900").body(body).unwrap()
        }
        Plan::Well => response(200, None, well(&came)),
    })
}

fn response(status: u16, after: Option<&str>, body: String) -> Response<BoxBody<Bytes, io::Error>> {
    let body = http_body_util::Full::from(body).map_err(|never| match never {}).boxed();
    let response = Response::builder().status(status);
    let response = after.into_iter().fold(response, |response, after| response.header("retry-after", after));
    response.body(body).unwrap()
}

/// What Mixpanel and Pub/Sub say; nobody reads what a webhook says.
fn well(came: &Came) -> String {
    let sent: Value = serde_json::from_slice(&came.body).unwrap_or_default();
    if came.path.starts_with("/import") {
        return json!({"code": 200, "num_records_imported": sent.as_array().map_or(0, Vec::len), "status": "OK"})
            .to_string();
    }
    let messages = sent["messages"].as_array().map_or(0, Vec::len);
    json!({"messageIds": (0..messages).map(|id| id.to_string()).collect::<Vec<_>>()}).to_string()
}
