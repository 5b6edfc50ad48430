//! Pages of browsers that send events themselves.
//!
//! Owns: what a browser is told before and after it sends to the intake from a page of another origin
//! (<https://fetch.spec.whatwg.org/#http-cors-protocol>). Nobody's origin is allowed unless the settings name it; an
//! origin is no key: a page needs one beside it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
            ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
        },
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};

/// Seconds for which a browser need not ask again.
const MAX_AGE: &str = "7200";

/// Origins whose pages may send, in small letters. Clones are the same.
#[derive(Debug, Clone)]
pub struct Origins(Arc<[String]>);

impl Origins {
    /// Exactly these.
    pub fn new(origins: Vec<String>) -> Self {
        Self(origins.into())
    }

    /// The page's origin, if it is one of them.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let text = origin.to_str().ok()?;
        self.0.iter().any(|known| known.eq_ignore_ascii_case(text)).then(|| origin.clone())
    }
}

/// Answers a browser that asks whether a page may send, and says in every other answer that the page may read it.
pub async fn pass(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let origin = origins.allowed(headers);
    let asks = request.method() == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut answer = if asks {
        let wanted = headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let mut answer = StatusCode::NO_CONTENT.into_response();
        if origin.is_some() {
            let told = answer.headers_mut();
            told.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
            told.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
            told.extend(wanted.map(|wanted| (ACCESS_CONTROL_ALLOW_HEADERS, wanted)));
        }
        answer
    } else {
        next.run(request).await
    };
    let told = answer.headers_mut();
    told.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        told.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        // Mixpanel's library asks for it; no path of the intake looks at a cookie.
        told.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        told.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    }
    answer
}
