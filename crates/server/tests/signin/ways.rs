//! The ways in that are meant to be.

use naru_access::{Principal, Scope};
use naru_testkit::Provider;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{
    issuer::{Answer, Issuer, key, sign},
    world::{Browser, World, settings},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_a_cookie_that_scripts_cannot_read_and_other_sites_cannot_send() {
    let world = World::new().await;
    let mut kim = world.browser();
    assert_eq!(kim.me().await, None);
    let begun = kim.begin("/").await;
    let query: Vec<(String, String)> = begun.address.query_pairs().into_owned().collect();
    for wanted in [("hd", "acme.kr"), ("scope", "openid email profile"), ("client_id", "naru")] {
        assert!(query.contains(&(wanted.0.to_owned(), wanted.1.to_owned())), "{wanted:?}");
    }
    let token = sign(&key("one"), &world.claims("kim", &begun.nonce));
    let code = world.issuer.give(&begun.challenge, Answer::Token(token));
    let got = kim.get(&format!("/signin/callback?state={}&code={code}", begun.state)).await;
    assert_eq!(got.set.len(), 1);
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=86400"] {
        assert!(got.set[0].contains(part), "{}", got.set[0]);
    }
    assert!(!got.set[0].contains("Domain"));
    assert_eq!(kim.me().await.as_deref(), Some("kim@acme.kr"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_makes_the_keys_be_read_again_once() {
    let world = World::new().await;
    world.sign_in(&mut world.browser(), "kim").await;
    assert_eq!(world.issuer.key_reads(), 1);
    world.sign_in(&mut world.browser(), "lee").await;
    assert_eq!(world.issuer.key_reads(), 1, "keys are read for every sign-in");
    world.issuer.have_keys(vec![json!({"kty": "unheard-of"}), key("two").public]);
    for _ in 0..2 {
        let mut browser = world.browser();
        let begun = browser.begin("/").await;
        let token = sign(&key("two"), &world.claims("kim", &begun.nonce));
        let code = world.issuer.give(&begun.challenge, Answer::Token(token));
        assert_eq!(browser.end(&begun.state, &code, "").await, "/");
    }
    assert_eq!(world.issuer.key_reads(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_is_nobody_at_once_and_is_told_so_at_the_door() {
    let world = World::new().await;
    let mut kim = world.browser();
    world.sign_in(&mut kim, "kim").await;
    let account = world.people.list().await.unwrap().remove(0).account;
    let token = world.tokens.issue_personal(&account, "laptop", 7, vec![Scope::Api]).await.unwrap();
    let bearer = format!("Bearer {}", token.secret.expose());
    let mut program = world.browser();
    let got = program.ask(Method::POST, "/api/v1/me", &[("authorization", &bearer)], "").await;
    assert_eq!((got.status, got.body.as_str()), (StatusCode::OK, "kim@acme.kr"), "a token needs no header of ours");
    world.people.offboard(account.id, None).await.unwrap();
    assert_eq!(kim.me().await, None);
    let got = program.ask(Method::GET, "/api/v1/me", &[("authorization", &bearer)], "").await;
    assert_eq!(got.status, StatusCode::UNAUTHORIZED);
    let begun = kim.begin("/").await;
    let code =
        world.issuer.give(&begun.challenge, Answer::Token(sign(&key("one"), &world.claims("kim", &begun.nonce))));
    assert!(kim.end(&begun.state, &code, "").await.contains("signin%2Eleft"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sign_in_and_a_sign_out_are_written_down() {
    let world = World::new().await;
    let mut kim = world.browser();
    world.sign_in(&mut kim, "kim").await;
    assert_eq!(kim.post("/signin/out", &json!({})).await.status, StatusCode::NO_CONTENT);
    let account = world.people.list().await.unwrap().remove(0).account;
    world.people.offboard(account.id, None).await.unwrap();
    let begun = kim.begin("/").await;
    let token = sign(&key("one"), &world.claims("kim", &begun.nonce));
    kim.end(&begun.state, &world.issuer.give(&begun.challenge, Answer::Token(token)), "").await;
    // What was never begun here is in the log only.
    kim.end("nothing", "x", "").await;
    world.audit.close().await;
    let rows = world.audit.find(naru_access::audit::AuditFilter::default(), None, 10).await.unwrap();
    let told: Vec<_> = rows.iter().rev().map(|row| (row.account.as_str(), row.result.as_str())).collect();
    assert_eq!(told, [("kim@acme.kr", "ok"), ("kim@acme.kr", "ok"), ("kim@acme.kr", "signin.left")]);
    assert_eq!(rows[1].detail.as_deref(), Some("signed out"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_sql_opens_queries_and_nothing_else() {
    let world = World::new().await;
    let mut kim = world.browser();
    world.sign_in(&mut kim, "kim").await;
    let account = world.people.list().await.unwrap().remove(0).account;
    let parts = |path: &str, token: &str| {
        let request = axum::http::Request::get(path).header("authorization", format!("Bearer {token}"));
        request.body(()).unwrap().into_parts().0
    };
    let sql = world.tokens.issue_personal(&account, "sql", 7, vec![Scope::Query]).await.unwrap();
    let send = world.tokens.issue_personal(&account, "send", 7, vec![Scope::Send("a".into())]).await.unwrap();
    for (path, token, opens) in [
        ("/api/v1/queries", &sql, true),
        ("/api/v1/queries/7/pages", &sql, true),
        ("/api/v1/queriesque", &sql, false),
        ("/api/v1/tokens", &sql, false),
        ("/api/v1/queries", &send, false),
    ] {
        let caller = world.signin.caller(&parts(path, token.secret.expose())).await;
        assert_eq!(caller.is_ok(), opens, "{path}");
        if let Err(problem) = caller {
            assert_eq!(problem.1, StatusCode::FORBIDDEN);
        }
    }
    // The cookie of a session is no token, and a token is no cookie.
    let cookie = kim.cookies["naru-abcdefgh"].clone();
    assert!(world.signin.caller(&parts("/api/v1/me", &cookie)).await.is_err());
    kim.cookies.insert("naru-abcdefgh".into(), sql.secret.expose().to_owned());
    assert_eq!(kim.me().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_time_link_opens_the_console_once_on_this_machine() {
    let world = World::with(Issuer::start().await, naru_testkit::port::free(), |_| None).await;
    let link = world.signin.link().unwrap();
    let (path, code) = link.expose().split_once('#').unwrap();
    let mut owner = world.browser();
    let page = owner.get(path).await;
    assert!(page.status == StatusCode::OK && !page.body.contains(code) && page.body.contains("/signin/open.js"));
    assert_eq!(owner.post("/signin/open", &json!({"code": "x"})).await.status, StatusCode::UNAUTHORIZED);
    let base = owner.base.clone();
    let forwarded = [
        ("x-forwarded-for", "192.0.2.1"),
        ("origin", base.as_str()),
        ("x-naru", "1"),
        ("content-type", "application/json"),
    ];
    let body = json!({ "code": code }).to_string();
    let got = owner.clone().ask(Method::POST, "/signin/open", &forwarded, &body).await;
    assert_eq!(got.status, StatusCode::UNAUTHORIZED, "a proxy makes the whole world this machine");
    assert_eq!(owner.post("/signin/open", &json!({"code": code})).await.status, StatusCode::OK);
    assert_eq!(owner.me().await.as_deref(), Some(Principal::Owner.name()));
    let mut other = world.browser();
    assert_eq!(other.post("/signin/open", &json!({"code": code})).await.status, StatusCode::UNAUTHORIZED);
    let got = owner.ask(Method::GET, "/api/v1/me", &[("host", "evil.example:80")], "").await;
    assert_eq!(got.status, StatusCode::MISDIRECTED_REQUEST);
    assert!(World::new().await.signin.link().is_err(), "a link lets in where people sign in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_nobody_let_in_gets_nothing() {
    let world = World::new().await;
    let mut program = world.browser();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let got = program.ask(Method::POST, "/signin/device/code", &form, "client=naru+on+laptop").await;
    let code: serde_json::Value = serde_json::from_str(&got.body).unwrap();
    assert_eq!(code["verification_uri"], format!("{}/signin/device", world.base));
    let device = format!("device_code={}", code["device_code"].as_str().unwrap());
    let (shown, secret) = code["device_code"].as_str().unwrap().split_once('.').unwrap();
    let wrong = format!("device_code={shown}.{}", secret.chars().rev().collect::<String>());
    for (body, error) in [
        (device.as_str(), "authorization_pending"),
        (device.as_str(), "slow_down"),
        (wrong.as_str(), "expired_token"),
        ("device_code=BCDFGHJK.x", "expired_token"),
        ("", "invalid_request"),
    ] {
        let got = program.ask(Method::POST, "/signin/device/token", &form, body).await;
        assert_eq!((got.status, got.body), (StatusCode::BAD_REQUEST, json!({ "error": error }).to_string()));
    }
}

/// Follows a browser through a real provider until it comes back; gives where naru sends it on to.
async fn through(provider: &Provider, browser: &mut Browser, who: &str) -> String {
    browser.get(&format!("{}/as/{who}", provider.issuer)).await;
    let mut address = browser.begin("/sql").await.address.to_string();
    // Cookies of two ports of one host are one jar, as in a browser.
    for _ in 0..10 {
        let got = browser.get(&address).await;
        assert!(got.status.is_redirection(), "{address}: {} {}", got.status, got.body);
        if got.location.starts_with('/') && address.starts_with(&browser.base) {
            return got.location;
        }
        address =
            if got.location.starts_with('/') { format!("{}{}", provider.issuer, got.location) } else { got.location };
    }
    panic!("the provider never sends back: {address}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_provider_signs_in_the_companys_people_and_nobody_else() {
    let port = naru_testkit::port::free();
    let provider = Provider::start(&format!("http://127.0.0.1:{port}/signin/callback"));
    let issuer = provider.issuer.clone();
    let world = World::with(Issuer::start().await, port, move |base| Some(settings(&issuer, base))).await;
    let mut kim = world.browser();
    assert_eq!(through(&provider, &mut kim, "kim").await, "/sql");
    assert_eq!(kim.me().await.as_deref(), Some("kim@acme.kr"));
    for (who, code) in
        [("gmail", "signin%2Eno%5Fdomain"), ("other", "signin%2Ewrong%5Fdomain"), ("new", "signin%2Eunverified")]
    {
        let mut browser = world.browser();
        assert!(through(&provider, &mut browser, who).await.contains(code), "{who}");
        assert_eq!(browser.me().await, None, "{who}");
    }
    assert_eq!(world.people.list().await.unwrap().len(), 1);
    // Quietly: while the person is signed in at the provider, and only then.
    kim.cookies.remove("naru-abcdefgh");
    let got = kim.get("/signin/start?quiet=1&to=/sql").await;
    let back = kim.get(&got.location).await.location;
    assert_eq!(kim.get(&back).await.location, "/sql");
    assert_eq!(kim.me().await.as_deref(), Some("kim@acme.kr"));
    let mut stranger = world.browser();
    let got = stranger.get("/signin/start?quiet=1&to=/sql").await;
    let back = stranger.get(&got.location).await.location;
    assert!(stranger.get(&back).await.location.contains("signin%2Enot%5Fquiet"));
}
