//! What must not let anybody in.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    issuer::{Answer, key, sign, unsigned},
    world::World,
};

/// What a forger does with the claims of an honest token.
type Forge = Box<dyn Fn(&World, Value) -> String>;

/// Changes claims and signs them with the issuer's own key.
fn claims(change: impl Fn(&mut Value) + 'static) -> Forge {
    Box::new(move |_, mut claims| {
        change(&mut claims);
        sign(&key("one"), &claims)
    })
}

/// Claims that say something else, by the code of their refusal.
fn wrong_claims() -> Vec<(&'static str, &'static str, Forge)> {
    let set = |name: &'static str, value: Value| claims(move |claims| claims[name] = value.clone());
    let without = |name: &'static str| claims(move |claims| drop(claims.as_object_mut().unwrap().remove(name)));
    let moved = |name: &'static str, by: i64| {
        claims(move |claims| claims[name] = json!(naru_base::time::now_us() / 1_000_000 + by))
    };
    vec![
        ("another issuer's", "signin.token", set("iss", json!("https://accounts.google.com"))),
        ("no issuer", "signin.token", without("iss")),
        ("for another program", "signin.token", set("aud", json!("other"))),
        ("for another program too", "signin.token", set("aud", json!(["naru", "other"]))),
        ("for nobody", "signin.token", set("aud", json!([]))),
        ("given to another program", "signin.token", set("azp", json!("other"))),
        ("of another sign-in", "signin.token", set("nonce", json!("another"))),
        ("of no sign-in", "signin.token", without("nonce")),
        ("of an empty nonce", "signin.token", set("nonce", json!(""))),
        ("about nobody", "signin.token", set("sub", json!(""))),
        ("expired", "signin.clock", moved("exp", -120)),
        ("without an end", "signin.clock", without("exp")),
        ("from the future", "signin.clock", moved("iat", 300)),
        ("not yet good", "signin.clock", moved("nbf", 300)),
        ("of another company", "signin.wrong_domain", set("hd", json!("evil.kr"))),
        ("of a consumer account", "signin.no_domain", without("hd")),
        ("of a consumer account with the company's e-mail", "signin.no_domain", set("hd", json!(""))),
        ("of an e-mail nobody verified", "signin.unverified", set("email_verified", json!(false))),
        ("of an e-mail not said to be verified", "signin.unverified", without("email_verified")),
        ("without an e-mail", "signin.no_email", without("email")),
    ]
}

/// Tokens that nobody, or somebody else, signed.
fn wrong_signatures() -> Vec<(&'static str, &'static str, Forge)> {
    vec![
        (
            "signed by a stranger",
            "signin.token",
            Box::new(|_, claims| {
                let mut stranger = key("stranger");
                "one".clone_into(&mut stranger.id);
                sign(&stranger, &claims)
            }),
        ),
        ("signed with a key nobody knows", "signin.token", Box::new(|_, claims| sign(&key("stranger"), &claims))),
        (
            "signed by nobody",
            "signin.token",
            Box::new(|_, claims| unsigned(&json!({"alg": "none", "kid": "one"}), &claims, b"")),
        ),
        (
            "signed by nobody, written otherwise",
            "signin.token",
            Box::new(|_, claims| unsigned(&json!({"alg": "nOnE", "kid": "one"}), &claims, b"")),
        ),
        (
            "signed with the public key as a secret",
            "signin.token",
            Box::new(|_, claims| {
                let mut header = Header::new(Algorithm::HS256);
                header.kid = Some("one".to_owned());
                jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&key("one").public_pem)).unwrap()
            }),
        ),
        (
            "changed after it was signed",
            "signin.token",
            Box::new(|world, claims| {
                let honest = sign(&key("one"), &claims);
                let forged = sign(&key("one"), &world.claims("admin", claims["nonce"].as_str().unwrap()));
                let (head, signature) = honest.rsplit_once('.').unwrap();
                let body = forged.split('.').nth(1).unwrap();
                format!("{}.{body}.{signature}", head.split('.').next().unwrap())
            }),
        ),
        ("no token at all", "signin.token", Box::new(|_, _| "x.y".to_owned())),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_that_is_not_exactly_ours_lets_nobody_in() {
    let world = World::new().await;
    for (what, code, forge) in wrong_claims().into_iter().chain(wrong_signatures()) {
        let mut browser = world.browser();
        let begun = browser.begin("/sql").await;
        let token = forge(&world, world.claims("kim", &begun.nonce));
        let given = world.issuer.give(&begun.challenge, Answer::Token(token));
        let to = browser.end(&begun.state, &given, "").await;
        assert_eq!(to, format!("/signin?error={}&to=%2Fsql", code.replace('.', "%2E").replace('_', "%5F")), "{what}");
        assert_eq!(browser.me().await, None, "{what}");
    }
    assert!(world.people.list().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_and_a_state_count_once_and_only_in_the_browser_that_began() {
    let world = World::new().await;
    let (mut kim, mut thief) = (world.browser(), world.browser());
    let begun = kim.begin("/").await;
    let token = sign(&key("one"), &world.claims("kim", &begun.nonce));
    let code = world.issuer.give(&begun.challenge, Answer::Token(token.clone()));
    // A link with somebody else's answer, sent to a victim.
    thief.begin("/").await;
    assert!(thief.end(&begun.state, &code, "").await.contains("signin%2Eunknown"));
    assert_eq!(thief.me().await, None);
    // The state was used up by it.
    assert!(kim.end(&begun.state, &code, "").await.contains("signin%2Eunknown"));
    let begun = kim.begin("/").await;
    let token = sign(&key("one"), &world.claims("kim", &begun.nonce));
    let code = world.issuer.give(&begun.challenge, Answer::Token(token.clone()));
    assert_eq!(kim.end(&begun.state, &code, "").await, "/");
    assert!(kim.end(&begun.state, &code, "").await.contains("signin%2Eunknown"), "an answer counts twice");
    // The code of one sign-in is worth nothing in another.
    let other = kim.begin("/").await;
    let code = world.issuer.give("another challenge", Answer::Token(token));
    assert!(kim.end(&other.state, &code, "").await.contains("signin%2Erefused"));
    for state in ["", "x", &"y".repeat(5_000)] {
        assert!(kim.end(state, "code", "").await.contains("signin%2Eunknown"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_another_issuer_is_refused() {
    let world = World::new().await;
    let mut browser = world.browser();
    let begun = browser.begin("/").await;
    let to = browser.end(&begun.state, "code", "&iss=https%3A%2F%2Fevil.example").await;
    assert!(to.contains("signin%2Emixed%5Fup"), "{to}");
    // One that always says who it is must say so.
    let world = World::new().await;
    world.issuer.say_iss();
    let mut browser = world.browser();
    let begun = browser.begin("/").await;
    assert!(browser.end(&begun.state, "code", "").await.contains("signin%2Emixed%5Fup"));
    // One whose discovery document names another is not the one that was set.
    let world = World::new().await;
    world.issuer.call_itself("https://accounts.google.com");
    let got = world.browser().get("/signin/start").await;
    assert!(got.location.contains("signin%2Eunusable"), "{}", got.location);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_sends_elsewhere_or_never_ends_is_not_followed() {
    let world = World::new().await;
    for (answer, code) in [(Answer::Elsewhere, "signin%2Erefused"), (Answer::Endless, "signin%2Eunreachable")] {
        let mut browser = world.browser();
        let begun = browser.begin("/").await;
        let given = world.issuer.give(&begun.challenge, answer);
        let to = browser.end(&begun.state, &given, "").await;
        assert!(to.contains(code), "{to}");
    }
    assert_eq!(world.issuer.followed(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_from_the_issuer_never_leads_to_another_site() {
    let world = World::new().await;
    for to in ["//evil.example", "https://evil.example/", "/\\evil.example", "/signin/start", "\t//evil.example"] {
        let mut browser = world.browser();
        let begun = browser.begin(to).await;
        let token = sign(&key("one"), &world.claims("kim", &begun.nonce));
        let code = world.issuer.give(&begun.challenge, Answer::Token(token));
        assert_eq!(browser.end(&begun.state, &code, "").await, "/", "{to:?}");
    }
    let mut browser = world.browser();
    let begun = browser.begin("/sql?tab=매출").await;
    let token = sign(&key("one"), &world.claims("kim", &begun.nonce));
    let code = world.issuer.give(&begun.challenge, Answer::Token(token));
    assert_eq!(browser.end(&begun.state, &code, "").await, "/sql?tab=%EB%A7%A4%EC%B6%9C");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_there_before_sign_in_is_worth_nothing_after_it() {
    let world = World::new().await;
    let mut kim = world.browser();
    // An attacker's cookie in the victim's browser.
    kim.cookies.insert("naru-abcdefgh".into(), "naru_ses_planted".into());
    world.sign_in(&mut kim, "kim").await;
    let first = kim.cookies["naru-abcdefgh"].clone();
    assert_ne!(first, "naru_ses_planted");
    let mut known = kim.clone();
    world.sign_in(&mut kim, "kim").await;
    assert_ne!(kim.cookies["naru-abcdefgh"], first);
    assert_eq!(kim.me().await.as_deref(), Some("kim@acme.kr"));
    assert_eq!(known.me().await, None, "the session of before goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_changes_nothing_with_a_session() {
    let world = World::new().await;
    let mut kim = world.browser();
    world.sign_in(&mut kim, "kim").await;
    let ours = world.base.clone();
    for headers in [
        vec![],
        vec![("origin", "https://evil.example"), ("x-naru", "1")],
        vec![("origin", ours.as_str())],
        vec![("origin", ours.as_str()), ("x-naru", "1"), ("sec-fetch-site", "cross-site")],
        vec![("origin", ours.as_str()), ("x-naru", "1"), ("content-type", "text/plain")],
        vec![("origin", "null"), ("x-naru", "1")],
    ] {
        for path in ["/api/v1/me", "/signin/out"] {
            let got = kim.ask(Method::POST, path, &headers, "{}").await;
            assert_eq!(got.status, StatusCode::FORBIDDEN, "{path} {headers:?}");
        }
    }
    assert!(kim.me().await.is_some(), "another site signed somebody out");
    // A name of another site that points here.
    let got = kim.ask(Method::GET, "/api/v1/me", &[("host", "evil.example")], "").await;
    assert_eq!(got.status, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(kim.post("/signin/out", &json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(kim.me().await, None);
}
