//! Cookies and redirects of sign-in.
//!
//! Owns: their attributes. A cookie is never readable by scripts, and over TLS never goes anywhere but to this host.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cookie::{Cookie, SameSite, time::Duration};

/// A cookie for this host only. `Lax`: a link from elsewhere opens the console signed in; nothing else from elsewhere
/// brings it along.
pub(crate) fn cookie(name: String, value: String, secure: bool, seconds: i64) -> HeaderValue {
    let cookie = Cookie::build((name, value))
        .http_only(true)
        .secure(secure)
        .same_site(SameSite::Lax)
        .path("/")
        .max_age(Duration::seconds(seconds))
        .build();
    // Names and values are letters and digits of ours.
    HeaderValue::from_str(&cookie.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// Goes to another address, with cookies. The answer is kept by nobody.
pub(crate) fn go(to: &str, cookies: impl IntoIterator<Item = HeaderValue>) -> Response {
    let mut response = (StatusCode::SEE_OTHER, [(header::CACHE_CONTROL, "no-store")]).into_response();
    let headers = response.headers_mut();
    if let Ok(to) = HeaderValue::from_str(to) {
        headers.insert(header::LOCATION, to);
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}
