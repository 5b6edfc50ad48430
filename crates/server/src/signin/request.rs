//! What sign-in reads off a request: where it comes from, for whom it is, and whether our own page sent it.
//!
//! Owns: [`Seen`] and cookies by name. Pure functions over headers; never looks anybody up.

use std::net::{IpAddr, Ipv4Addr};

use axum::{
    extract::ConnectInfo,
    http::{HeaderMap, Method, header, request::Parts},
};

use crate::http::Peer;

/// The header by which our own pages say that they, and no form of another site, ask.
const OURS: &str = "x-naru";

/// Letters of a program's name that are kept.
const CLIENT_LETTERS_MAX: usize = 120;

/// The address of whoever asks. A proxy that was declared is believed about whom it asks for: the last address of
/// `X-Forwarded-For` that is not a declared proxy's. Nobody else is.
pub(crate) fn peer(parts: &Parts, proxies: &[IpAddr]) -> IpAddr {
    let direct = parts.extensions.get::<ConnectInfo<Peer>>().map(|ConnectInfo(Peer(peer))| peer.ip().to_canonical());
    // A request without a connection comes from a test, and is trusted with nothing.
    let direct = direct.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    if !proxies.contains(&direct) {
        return direct;
    }
    let told = parts.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let told: Vec<&str> = told.flat_map(|value| value.split(',')).map(str::trim).collect();
    for text in told.iter().rev() {
        let Ok(address) = text.parse::<IpAddr>() else { return direct };
        let address = address.to_canonical();
        if !proxies.contains(&address) {
            return address;
        }
    }
    direct
}

/// Whether a request went through a proxy, declared or not.
pub(crate) fn forwarded(headers: &HeaderMap) -> bool {
    ["x-forwarded-for", "forwarded", "x-real-ip"].iter().any(|name| headers.contains_key(*name))
}

/// The program that asks, shortened.
pub(crate) fn client(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    agent.chars().filter(|c| !c.is_control()).take(CLIENT_LETTERS_MAX).collect()
}

/// The host a request is for, with its port, as the client called it.
pub(crate) fn host(parts: &Parts) -> Option<&str> {
    let named = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    named.or_else(|| parts.uri.authority().map(axum::http::uri::Authority::as_str))
}

/// A host without its port.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// Whether a host is a name of this machine's loopback. Any other name is another site's that was made to point here.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = without_port(host);
    let name = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The value of a cookie.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = values.flat_map(cookie::Cookie::split_parse).filter_map(Result::ok);
    found.find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
}

/// The token of `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// Why a request with a session's cookie is not acted upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// Another site sent it, or may have.
    Site,
    /// It does not say that our own page sent it.
    Unmarked,
    /// Its body is of a kind that forms of other sites can send.
    Body,
}

/// Whether our own page sent a request that changes something. A browser sends the cookie along with what other sites
/// make it send; three things they cannot make it send: an origin of ours, a header of ours, a body that is no form.
pub(crate) fn check_ours(parts: &Parts) -> Result<(), Foreign> {
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return Err(Foreign::Site);
    }
    let origin = text("origin").and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    let same = match origin {
        Some(origin) => host(parts).is_some_and(|host| host.eq_ignore_ascii_case(origin)),
        // Browsers name one of the two with everything that is not a plain GET.
        None => text("sec-fetch-site").is_some() && text("origin").is_none(),
    };
    if !same {
        return Err(Foreign::Site);
    }
    if text(OURS) != Some("1") {
        return Err(Foreign::Unmarked);
    }
    let kind = text("content-type").map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    match kind.as_deref() {
        Some("application/x-www-form-urlencoded" | "multipart/form-data" | "text/plain") => Err(Foreign::Body),
        _ => Ok(()),
    }
}

/// A path of this site to go to after sign-in; anything else is the home page. Never another site.
pub(crate) fn local_path(text: &str) -> String {
    const LENGTH_MAX: usize = 2_000;
    let home = || "/".to_owned();
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if !text.starts_with('/') || text.starts_with("//") || text.len() > LENGTH_MAX || text.contains(odd) {
        return home();
    }
    let Ok(base) = url::Url::parse("http://naru.invalid/") else { return home() };
    let Ok(joined) = base.join(text) else { return home() };
    if joined.origin() != base.origin() || joined.path().starts_with("//") {
        return home();
    }
    // Signing in leads to no step of signing in, except to where a device waits to be let in.
    if joined.path().starts_with("/signin") && joined.path() != "/signin/device" {
        return home();
    }
    joined.query().map_or_else(|| joined.path().to_owned(), |query| format!("{}?{query}", joined.path()))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(method: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/api/v1/tokens");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_return_path_never_leads_to_another_site() {
        for path in ["/", "/sql", "/sql/7?tab=2", "/catalog/%EB%A7%A4%EC%B6%9C/a", "/signin/device?code=AB"] {
            assert_eq!(local_path(path), path);
        }
        for path in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/..//evil.example",
            "/%09/evil.example\t",
            "/\n/evil.example",
            "evil.example",
            "/signin",
            "/signin/start?return=/",
            "/a/../signin/start",
            "\\\\evil.example",
        ] {
            assert_eq!(local_path(path), "/", "{path:?}");
        }
    }

    #[test]
    fn only_our_own_page_changes_something_with_a_session() {
        let ours = [("host", "naru.acme.kr"), ("origin", "https://naru.acme.kr"), ("x-naru", "1")];
        assert_eq!(check_ours(&parts("POST", &ours)), Ok(()));
        assert_eq!(check_ours(&parts("GET", &[("sec-fetch-site", "cross-site")])), Ok(()));
        let fetch = [("host", "a"), ("sec-fetch-site", "same-origin"), ("x-naru", "1")];
        assert_eq!(check_ours(&parts("DELETE", &fetch)), Ok(()));
        for (headers, why) in [
            (vec![("host", "a"), ("x-naru", "1")], Foreign::Site),
            (vec![("host", "a"), ("origin", "null"), ("x-naru", "1")], Foreign::Site),
            (
                vec![("host", "a"), ("origin", "null"), ("sec-fetch-site", "same-origin"), ("x-naru", "1")],
                Foreign::Site,
            ),
            (vec![("host", "a"), ("origin", "https://evil.example"), ("x-naru", "1")], Foreign::Site),
            (
                vec![("host", "a"), ("origin", "https://a"), ("sec-fetch-site", "cross-site"), ("x-naru", "1")],
                Foreign::Site,
            ),
            (
                vec![("host", "a"), ("origin", "https://a"), ("sec-fetch-site", "same-site"), ("x-naru", "1")],
                Foreign::Site,
            ),
            (vec![("host", "a"), ("origin", "https://a")], Foreign::Unmarked),
            (
                vec![("host", "a"), ("origin", "https://a"), ("x-naru", "1"), ("content-type", "text/plain; a=b")],
                Foreign::Body,
            ),
        ] {
            assert_eq!(check_ours(&parts("POST", &headers)), Err(why), "{headers:?}");
        }
    }

    #[test]
    fn a_name_of_another_site_is_not_this_machine() {
        for host in ["localhost", "127.0.0.1:6278", "LOCALHOST:1", "[::1]:6278", "[::1]", "127.9.9.9"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:6278", "127.0.0.1.evil.example", "10.0.0.1", "", "[::2]:1"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn only_a_declared_proxy_is_believed_about_whom_it_asks_for() {
        let seen = |from: &str, told: &str, proxies: &[&str]| {
            let mut parts = parts("GET", &[("x-forwarded-for", told)]);
            parts.extensions.insert(ConnectInfo(Peer((from.parse::<IpAddr>().unwrap(), 9).into())));
            let proxies: Vec<IpAddr> = proxies.iter().map(|text| text.parse().unwrap()).collect();
            peer(&parts, &proxies).to_string()
        };
        assert_eq!(seen("192.0.2.1", "198.51.100.9", &[]), "192.0.2.1");
        assert_eq!(seen("127.0.0.1", "198.51.100.9", &["127.0.0.1"]), "198.51.100.9");
        assert_eq!(seen("127.0.0.1", "10.1.1.1, 198.51.100.9", &["127.0.0.1"]), "198.51.100.9", "a client's own word");
        assert_eq!(seen("127.0.0.1", "198.51.100.9, 10.0.0.2", &["127.0.0.1", "10.0.0.2"]), "198.51.100.9");
        assert_eq!(seen("127.0.0.1", "unknown", &["127.0.0.1"]), "127.0.0.1");
        assert_eq!(seen("::ffff:127.0.0.1", "198.51.100.9", &["127.0.0.1"]), "198.51.100.9");
    }
}
