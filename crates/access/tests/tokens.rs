//! Promises of tokens over a real state database.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use naru_access::{AccessError, Entry, Principal, Rights, Scope, Standing, Tokens};
use naru_store::Store;

fn tokens() -> (tempfile::TempDir, Tokens) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("naru.db")).unwrap();
    (folder, Tokens::new(store))
}

async fn enter(tokens: &Tokens, user: &str, secret: &str) -> Option<Entry> {
    tokens.enter(Some(user), secret, None).await.unwrap()
}

#[tokio::test]
async fn a_token_opens_doors_only_with_its_own_name_until_it_is_revoked() {
    let (_folder, tokens) = tokens();
    let (bi, other) =
        (tokens.issue("bi", "kim", None).await.unwrap(), tokens.issue("분석", "lee", None).await.unwrap());
    let entry = enter(&tokens, "bi", bi.secret.expose()).await.unwrap();
    assert_eq!(entry.principal, Principal::Token { id: bi.id, name: "bi".into(), owner: "kim".into() });
    assert_eq!(entry.scopes, [Scope::Query]);
    for (name, secret) in [("bi", other.secret.expose()), ("nobody", bi.secret.expose()), ("bi", ""), ("", "")] {
        assert_eq!(enter(&tokens, name, secret).await, None, "{name}");
    }
    assert!(tokens.stands(entry.token).await.unwrap());
    tokens.revoke("bi").await.unwrap();
    assert!(!tokens.stands(entry.token).await.unwrap());
    assert_eq!(enter(&tokens, "bi", bi.secret.expose()).await, None);
    assert!(matches!(tokens.revoke("bi").await, Err(AccessError::NoSuchToken { .. })));
    let again = tokens.issue("bi", "kim", None).await.unwrap();
    assert!(enter(&tokens, "bi", again.secret.expose()).await.is_some());
    assert!(!tokens.stands(entry.token).await.unwrap(), "another token of the name lets the revoked one stay");
    assert_eq!(enter(&tokens, "bi", bi.secret.expose()).await, None);
}

#[tokio::test]
async fn an_expired_token_is_refused_and_its_name_is_free() {
    let (_folder, tokens) = tokens();
    let short = tokens.issue("bi", "kim", Some(Duration::ZERO)).await.unwrap();
    assert_eq!(enter(&tokens, "bi", short.secret.expose()).await, None);
    assert_eq!(tokens.list().await.unwrap()[0].standing, Standing::Expired);
    tokens.issue("bi", "kim", Some(Duration::from_hours(1))).await.unwrap();
    assert!(matches!(tokens.issue("bi", "kim", None).await, Err(AccessError::NameTaken { .. })));
    let standings: Vec<_> = tokens.list().await.unwrap().into_iter().map(|token| token.standing).collect();
    assert_eq!(standings, [Standing::Revoked, Standing::Live]);
}

#[tokio::test]
async fn a_token_is_shown_once_and_nowhere_stored() {
    let (folder, tokens) = tokens();
    let issued = tokens.issue("bi", "kim", None).await.unwrap();
    assert!(!format!("{issued:?}").contains(issued.secret.expose()));
    let url = issued.postgres_url("127.0.0.1:6279".parse().unwrap(), "매출");
    assert!(
        url.expose().starts_with("postgres://bi:naru_") && url.expose().ends_with("@127.0.0.1:6279/%EB%A7%A4%EC%B6%9C")
    );
    drop(tokens);
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let secret = issued.secret.expose().as_bytes();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}

#[tokio::test]
async fn names_that_cannot_be_user_names_are_refused() {
    let (_folder, tokens) = tokens();
    for name in ["", "a b", "a:b", "a@b", "a/b", &"x".repeat(64)] {
        assert!(matches!(tokens.issue(name, "kim", None).await, Err(AccessError::BadName { .. })), "{name}");
    }
}

#[tokio::test]
async fn a_senders_key_sends_to_its_topics_and_views_nothing() {
    let (_folder, tokens) = tokens();
    let topics = ["app_log".to_owned(), "주문".to_owned()];
    let key = tokens.issue_sender("web", "kim", None, &topics, &["매출".to_owned()]).await.unwrap();
    let sender = tokens.sender(key.secret.expose(), &Rights::open()).await.unwrap().unwrap();
    assert_eq!((sender.name.as_str(), sender.topics.as_slice()), ("web", topics.as_slice()));
    assert_eq!(sender.receives, ["매출"]);
    let entry = enter(&tokens, "web", key.secret.expose()).await.unwrap();
    assert!(!entry.is_for(&Scope::Query) && !entry.is_for(&Scope::Api), "a sender's key opens tables");
    let scopes: Vec<String> = tokens.list().await.unwrap()[0].scopes.iter().map(ToString::to_string).collect();
    assert_eq!(scopes, ["send:app_log", "send:주문", "receive:매출"]);
    let viewer = tokens.issue("bi", "kim", None).await.unwrap();
    assert_eq!(tokens.sender(viewer.secret.expose(), &Rights::open()).await.unwrap(), None, "a viewer's token sends");
    assert_eq!(tokens.sender("naru_x", &Rights::open()).await.unwrap(), None);
    tokens.revoke("web").await.unwrap();
    assert_eq!(tokens.sender(key.secret.expose(), &Rights::open()).await.unwrap(), None);
}
