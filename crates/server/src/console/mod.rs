//! The console's pages: what `console/dist` holds, out of this binary.
//!
//! Owns: paths, caching, the gzip forms made by the build, and the page's content security policy with its nonce. A
//! console that is not built, or built of other sources than these, is never served: a page says how to build it.

#[cfg(debug_assertions)]
mod sources;

use std::{borrow::Cow, path::Path};

use axum::{
    Router,
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
        header::{
            ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY,
        },
    },
    response::{Html, IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rust_embed::RustEmbed;

/// Stands in the built page where every answer has a nonce of its own.
const NONCE_PLACE: &str = "NARU_NONCE";

/// Hashed names never change their content.
const FOREVER: &str = "public, max-age=31536000, immutable";
const AN_HOUR: &str = "public, max-age=3600";

const NOT_BUILT: &str = include_str!("not_built.html");

#[cfg(any(debug_assertions, naru_console))]
#[derive(RustEmbed)]
#[folder = "../../console/dist"]
#[allow_missing = true]
struct Assets;

/// The release binary was built without a console.
#[cfg(not(any(debug_assertions, naru_console)))]
struct Assets;

#[cfg(not(any(debug_assertions, naru_console)))]
impl Assets {
    fn get(_: &str) -> Option<rust_embed::EmbeddedFile> {
        None
    }
}

/// A debug build reads the folder, so it is judged now; a release build was judged when it was built.
#[cfg(debug_assertions)]
fn is_there() -> bool {
    let console = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console");
    sources::build(&console) == sources::Build::Current
}

#[cfg(not(debug_assertions))]
fn is_there() -> bool {
    cfg!(naru_console)
}

/// The pages, for every path that nothing else answers.
pub fn router() -> Router {
    let there = is_there();
    if !there {
        tracing::info!("the console is not built; `cargo xtask console` builds it");
    }
    Router::new()
        .fallback(async move |request: Request| answer(there, request.method(), request.uri(), request.headers()))
}

fn answer(there: bool, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return (StatusCode::NOT_FOUND, "there is nothing here\n").into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if there && let Some(file) = asset(path, headers) {
        return file;
    }
    let wants_page =
        headers.get(ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|it| it.contains("text/html"));
    if !wants_page || path.starts_with("assets/") {
        return (StatusCode::NOT_FOUND, "there is nothing here\n").into_response();
    }
    if there { page() } else { not_built() }
}

fn asset(path: &str, headers: &HeaderMap) -> Option<Response> {
    if path.is_empty() || path == "index.html" || path.contains("..") {
        return None;
    }
    let is_asset = path.starts_with("assets/");
    // Beside the hashed files, only what lies at the top: the icon. Nothing of the build's own notes.
    if (!is_asset && path != "icon.svg") || Path::new(path).extension().is_some_and(|ending| ending == "gz") {
        return None;
    }
    let takes_gzip = headers.get(ACCEPT_ENCODING).and_then(|it| it.to_str().ok()).is_some_and(|it| it.contains("gzip"));
    let small = if takes_gzip { Assets::get(&format!("{path}.gz")) } else { None };
    let is_small = small.is_some();
    let file = small.or_else(|| Assets::get(path))?;
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let mut response = body(file.data);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(kind.as_ref()).ok()?);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(if is_asset { FOREVER } else { AN_HOUR }));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if is_small {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Some(response)
}

fn body(data: Cow<'static, [u8]>) -> Response {
    match data {
        Cow::Borrowed(bytes) => bytes.into_response(),
        Cow::Owned(bytes) => bytes.into_response(),
    }
}

fn page() -> Response {
    let Some(file) = Assets::get("index.html") else { return not_built() };
    let nonce = STANDARD.encode(rand::random::<[u8; 18]>());
    let html = String::from_utf8_lossy(&file.data).replace(NONCE_PLACE, &nonce);
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    (StatusCode::OK, page_headers(&policy), Html(html)).into_response()
}

fn not_built() -> Response {
    let headers = page_headers("default-src 'none'; base-uri 'none'; frame-ancestors 'none'");
    (StatusCode::SERVICE_UNAVAILABLE, headers, Html(NOT_BUILT)).into_response()
}

fn page_headers(policy: &str) -> [(HeaderName, HeaderValue); 2] {
    let nothing = HeaderValue::from_static("default-src 'none'");
    [
        (CONTENT_SECURITY_POLICY, HeaderValue::from_str(policy).unwrap_or(nothing)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(there: bool, path: &str, headers: &[(HeaderName, &'static str)]) -> Response {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        answer(there, &Method::GET, &path.parse().expect("a path"), &headers)
    }

    #[test]
    fn without_a_build_every_page_says_how_to_build_it() {
        for path in ["/", "/sql", "/catalog/shop/orders.v2"] {
            let response = get(false, path, &[(ACCEPT, "text/html,*/*")]);
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert!(NOT_BUILT.contains("cargo xtask console"));
        }
    }

    #[test]
    fn what_is_no_page_is_not_answered_with_one() {
        for (path, accept) in [("/assets/gone.js", "*/*"), ("/assets/gone.js", "text/html"), ("/robots.txt", "*/*")] {
            assert_eq!(get(true, path, &[(ACCEPT, accept)]).status(), StatusCode::NOT_FOUND, "{path} {accept}");
        }
        for path in ["/.vite/manifest.json", "/sources.sha256", "/assets/../index.html", "/assets/../../package.json"] {
            assert_eq!(get(true, path, &[(ACCEPT, "*/*")]).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn the_build_notes_hash_is_the_one_that_the_server_computes() {
        let console = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console");
        let script = "import('./build/sources.mjs').then((it) => process.stdout.write(it.sourcesHash('.')))";
        let ours = sources::hash(&console);
        let theirs = std::process::Command::new("node").args(["-e", script]).current_dir(&console).output();
        let theirs = theirs.expect("node, which `cargo xtask console` installs");
        assert_eq!(String::from_utf8_lossy(&theirs.stdout), ours.expect("readable sources"));
    }
}
