//! Promises of people, sessions and service accounts over a real state database.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use naru_access::{
    AccessError, AccessFile, Account, Holder, NewService, People, Principal, Rights, Scope, Services, SessionOf,
    Sessions, Terms, Tokens, Vouched,
};
use naru_project::Environment;
use naru_store::{Store, people};

const HERE: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

struct World {
    _folder: tempfile::TempDir,
    people: People,
    sessions: Sessions,
    services: Services,
    tokens: Tokens,
    store: Store,
}

/// Rights of a project whose people sign in, with this `access.toml`.
fn rights(text: &str) -> Rights {
    let file = AccessFile::parse(text, &Environment::default()).unwrap();
    Rights::new(Terms { file: Some(file), sign_in: true, admins: Vec::new() })
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("naru.db")).unwrap();
    World {
        people: People::new(store.clone()),
        sessions: Sessions::new(store.clone()),
        services: Services::new(store.clone()),
        tokens: Tokens::new(store.clone()),
        store,
        _folder: folder,
    }
}

impl World {
    async fn sign_in(&self, subject: &str, email: &str) -> Arc<Account> {
        self.vouch(subject, email).await.unwrap()
    }

    async fn vouch(&self, subject: &str, email: &str) -> Result<Arc<Account>, AccessError> {
        let vouched = Vouched {
            issuer: "https://idp.example".into(),
            subject: subject.into(),
            email: email.into(),
            shown: subject.into(),
            domain: Some("acme.kr".into()),
        };
        self.people.vouched(vouched).await
    }

    async fn service(
        &self,
        name: &str,
        owner: i64,
        networks: &[&str],
    ) -> Result<naru_access::ServiceInfo, AccessError> {
        let networks = networks.iter().map(|text| (*text).to_owned()).collect();
        self.services.make(NewService { name: name.into(), purpose: "BI".into(), owner, networks, days: 30 }).await
    }
}

#[tokio::test]
async fn a_changed_email_stays_one_person_and_a_taken_one_is_another_person() {
    let world = world();
    let kim = world.sign_in("s-1", "Kim@acme.kr").await;
    assert_eq!((kim.name.as_str(), kim.domain.as_deref()), ("kim@acme.kr", Some("acme.kr")));
    let married = world.sign_in("s-1", "lee@acme.kr").await;
    assert_eq!((married.id, married.name.as_str()), (kim.id, "lee@acme.kr"));
    let opened = world.sessions.open(SessionOf::Person(kim.id), HERE, "Firefox").await.unwrap();
    let token = world.tokens.issue_personal(&married, "psql", 7, vec![Scope::Query]).await.unwrap();
    // The company gives the address to somebody new.
    let other = world.sign_in("s-2", "lee@acme.kr").await;
    assert_ne!(other.id, kim.id);
    assert!(world.sessions.enter(opened.cookie.expose()).await.unwrap().is_none(), "the former holder stays in");
    assert!(world.tokens.enter(None, token.secret.expose(), None).await.unwrap().is_none());
    assert_eq!(world.people.list().await.unwrap().iter().filter(|person| person.active).count(), 1);
    // Signing in again under the address they have now brings them back, with what was theirs.
    let back = world.sign_in("s-1", "kim2@acme.kr").await;
    assert_eq!(back.id, kim.id);
    let entry = world.tokens.enter(Some("KIM2@acme.kr"), token.secret.expose(), None).await.unwrap().unwrap();
    assert_eq!(entry.principal, Principal::Person(back));
    assert!(world.tokens.enter(Some("lee@acme.kr"), token.secret.expose(), None).await.unwrap().is_none());
}

#[tokio::test]
async fn a_session_opens_for_its_cookie_until_it_is_ended() {
    let world = world();
    let kim = world.sign_in("s-1", "kim@acme.kr").await;
    let of = SessionOf::Person(kim.id);
    let (one, two) =
        (world.sessions.open(of, HERE, "a").await.unwrap(), world.sessions.open(of, HERE, "b").await.unwrap());
    assert_ne!(one.cookie.expose(), two.cookie.expose());
    let entered = world.sessions.enter(one.cookie.expose()).await.unwrap().unwrap();
    assert_eq!(entered, (one.id, Principal::Person(kim.clone())));
    let mut forged = one.cookie.expose().to_owned();
    forged.replace_range(12..13, if forged.as_bytes()[12] == b'a' { "b" } else { "a" });
    for cookie in ["", "naru_ses_", "가", forged.as_str()] {
        assert!(world.sessions.enter(cookie).await.unwrap().is_none(), "{cookie}");
    }
    assert!(matches!(world.sessions.end(SessionOf::Owner, one.id).await, Err(AccessError::NoSuchSession)));
    world.sessions.end(of, one.id).await.unwrap();
    assert!(world.sessions.enter(one.cookie.expose()).await.unwrap().is_none());
    assert_eq!(world.sessions.list(of).await.unwrap().iter().map(|s| s.id).collect::<Vec<_>>(), [two.id]);
    let owner = world.sessions.open(SessionOf::Owner, HERE, "c").await.unwrap();
    assert_eq!(world.sessions.enter(owner.cookie.expose()).await.unwrap().unwrap().1, Principal::Owner);
}

#[tokio::test]
async fn a_personal_token_is_named_by_its_owner_and_lives_ninety_days_at_most() {
    let world = world();
    let (kim, lee) = (world.sign_in("s-1", "kim@acme.kr").await, world.sign_in("s-2", "lee@acme.kr").await);
    let token = world.tokens.issue_personal(&kim, " 내 노트북 ", 90, vec![Scope::Api, Scope::Query]).await.unwrap();
    assert!(token.secret.expose().starts_with("naru_pat_"));
    assert_eq!((token.name.as_str(), token.user.as_str()), ("내 노트북", "kim@acme.kr"));
    world.tokens.issue_personal(&lee, "내 노트북", 1, vec![Scope::Query]).await.unwrap();
    let again = world.tokens.issue_personal(&kim, "내 노트북", 1, vec![Scope::Query]).await;
    assert!(matches!(again, Err(AccessError::NameTaken { .. })));
    for days in [0, 91, u64::MAX] {
        let refused = world.tokens.issue_personal(&kim, "long", days, vec![Scope::Query]).await;
        assert!(matches!(refused, Err(AccessError::BadLife { .. })), "{days}");
    }
    let refused = world.tokens.issue_personal(&kim, "none", 1, Vec::new()).await;
    assert!(matches!(refused, Err(AccessError::NoScope)));
    assert!(world.tokens.list().await.unwrap().is_empty(), "personal tokens are listed as the project's");
    let wrong = world.tokens.revoke_held(Holder::Person(lee.id), token.id).await;
    assert!(matches!(wrong, Err(AccessError::NoSuchToken { .. })), "another person revokes it");
    assert!(world.tokens.stands(token.id).await.unwrap());
    world.tokens.revoke_held(Holder::Person(kim.id), token.id).await.unwrap();
    assert!(!world.tokens.stands(token.id).await.unwrap());
}

#[tokio::test]
async fn a_service_account_comes_only_from_its_networks_and_stops_with_its_owner() {
    let world = world();
    let kim = world.sign_in("s-1", "kim@acme.kr").await;
    let service = world.service("bi", kim.id, &["10.0.0.0/8", "192.0.2.7"]).await.unwrap();
    assert!(matches!(world.service("bi", kim.id, &[]).await, Err(AccessError::ServiceTaken { .. })));
    assert!(matches!(world.service("b i", kim.id, &[]).await, Err(AccessError::BadName { .. })));
    assert!(matches!(world.service("x", kim.id, &["office"]).await, Err(AccessError::BadNetwork { .. })));
    assert!(matches!(world.service("x", 99, &[]).await, Err(AccessError::NoSuchPerson)));
    let scopes = vec![Scope::Query, Scope::Send("events".into())];
    let token = world.services.issue_token(&service, "prod", 366, scopes).await.unwrap();
    assert!(token.secret.expose().starts_with("naru_svc_") && token.user == "bi");
    assert!(token.expires_us.unwrap() <= service.expires_us + 1_000_000, "the token outlives its account");
    let secret = token.secret.expose();
    let from = |text: &str| Some(text.parse().unwrap());
    for (address, admitted) in [("10.9.9.9", true), ("192.0.2.7", true), ("192.0.2.8", false), ("::1", false)] {
        let entry = world.tokens.enter(Some("bi"), secret, from(address)).await.unwrap();
        assert_eq!(entry.is_some(), admitted, "{address}");
    }
    assert!(world.tokens.enter(Some("bi"), secret, None).await.unwrap().is_none());
    let granted = rights("[[grants]]\nto = \"service:bi\"\ncan = \"edit\"\non = \"topics.events\"\n");
    let sender = world.tokens.sender(secret, &granted).await.unwrap().unwrap();
    assert_eq!((sender.name.as_str(), sender.topics, sender.networks.len()), ("bi", vec!["events".to_owned()], 2));
    world.people.offboard(kim.id, None).await.unwrap();
    assert!(world.tokens.enter(Some("bi"), secret, from("10.9.9.9")).await.unwrap().is_none());
    assert!(!world.tokens.stands(token.id).await.unwrap());
    assert!(!world.services.find("bi").await.unwrap().active);
}

#[tokio::test]
async fn a_token_sends_to_topics_that_its_holder_may_change_and_receives_those_it_may_view() {
    let world = world();
    let kim = world.sign_in("s-1", "kim@acme.kr").await;
    let words = ["send:orders", "receive:orders", "send:clicks", "receive:clicks", "send:secret", "receive:secret"];
    let scopes: Vec<Scope> = words.iter().map(|text| text.parse().unwrap()).collect();
    let service = world.service("bi", kim.id, &[]).await.unwrap();
    let keys = [
        world.tokens.issue_personal(&kim, "all", 7, scopes.clone()).await.unwrap().secret,
        world.services.issue_token(&service, "all", 7, scopes.clone()).await.unwrap().secret,
    ];
    let to = "to = [\"person:kim@acme.kr\", \"service:bi\"]";
    let granted = rights(&format!(
        "[[grants]]\n{to}\ncan = \"edit\"\non = \"topics.orders\"\n[[grants]]\n{to}\ncan = \"view\"\non = \"topics.clicks\"\n"
    ));
    for key in &keys {
        let sender = world.tokens.sender(key.expose(), &granted).await.unwrap().unwrap();
        assert_eq!(
            (sender.topics, sender.receives),
            (vec!["orders".to_owned()], vec!["clicks".into(), "orders".into()])
        );
        let none = world.tokens.sender(key.expose(), &rights("")).await.unwrap().unwrap();
        assert_eq!((none.topics.len(), none.receives.len()), (0, 0), "a right taken back is still used");
    }
    let owners = world.tokens.issue_sender("web", "owner", None, &["secret".into()], &[]).await.unwrap();
    let owners = world.tokens.sender(owners.secret.expose(), &rights("")).await.unwrap().unwrap();
    assert_eq!(owners.topics, ["secret"], "the folder's owner granted it");
}

#[tokio::test]
async fn tokens_of_whom_the_issuer_has_not_vouched_for_in_a_month_rest_until_they_sign_in() {
    let world = world();
    let kim = world.sign_in("s-1", "kim@acme.kr").await;
    let token = world.tokens.issue_personal(&kim, "psql", 90, vec![Scope::Query]).await.unwrap();
    let id = kim.id;
    let long_ago = world.store.write(move |tx| {
        let person = people::get(tx, id)?.unwrap();
        people::vouch(tx, &people::Person { vouched_us: person.vouched_us - 30 * 86_400_000_000, ..person })
    });
    long_ago.await.unwrap();
    assert!(world.tokens.enter(None, token.secret.expose(), None).await.unwrap().is_none());
    assert!(!world.tokens.stands(token.id).await.unwrap());
    world.sign_in("s-1", "kim@acme.kr").await;
    assert!(world.tokens.stands(token.id).await.unwrap());
}

#[tokio::test]
async fn who_left_is_out_at_once_and_does_not_come_back_by_signing_in() {
    let world = world();
    let (kim, lee) = (world.sign_in("s-1", "kim@acme.kr").await, world.sign_in("s-2", "lee@acme.kr").await);
    let opened = world.sessions.open(SessionOf::Person(kim.id), HERE, "Firefox").await.unwrap();
    let token = world.tokens.issue_personal(&kim, "psql", 7, vec![Scope::Query]).await.unwrap();
    let service = world.service("bi", kim.id, &[]).await.unwrap();
    let key = world.services.issue_token(&service, "prod", 7, vec![Scope::Query]).await.unwrap();
    assert!(matches!(world.people.offboard(kim.id, Some(kim.id)).await, Err(AccessError::OwnHeir { .. })));
    assert!(matches!(world.people.offboard(kim.id, Some(99)).await, Err(AccessError::NoSuchPerson)));
    assert!(world.tokens.stands(token.id).await.unwrap(), "a refused offboarding ended something");
    let done = world.people.offboard(kim.id, Some(lee.id)).await.unwrap();
    assert_eq!((done.sessions, done.tokens, done.services), (1, 1, 1));
    assert!(world.sessions.enter(opened.cookie.expose()).await.unwrap().is_none());
    assert!(!world.tokens.stands(token.id).await.unwrap());
    assert!(matches!(world.vouch("s-1", "kim@acme.kr").await, Err(AccessError::Left { .. })));
    assert!(world.tokens.stands(key.id).await.unwrap(), "the heir's service account stopped");
    assert_eq!(world.services.find("bi").await.unwrap().owner, lee.id);
}

#[tokio::test]
async fn whoever_had_the_address_is_out_too_and_somebody_displaced_is_no_heir() {
    let world = world();
    let (lee, old) = (world.sign_in("s-1", "lee@acme.kr").await, world.sign_in("s-2", "kim@acme.kr").await);
    let new = world.sign_in("s-3", "kim@acme.kr").await;
    let token = world.tokens.issue_personal(&new, "psql", 7, vec![Scope::Query]).await.unwrap();
    let displaced = world.people.offboard(lee.id, Some(old.id)).await;
    assert!(matches!(displaced, Err(AccessError::NoSuchPerson)));
    let own = world.people.offboard_all(vec![old.id, new.id], Some(new.id)).await;
    assert!(matches!(own, Err(AccessError::OwnHeir { .. })));
    assert!(world.tokens.stands(token.id).await.unwrap(), "a refused offboarding ended something");
    world.people.offboard_all(vec![old.id, new.id], Some(lee.id)).await.unwrap();
    assert!(!world.tokens.stands(token.id).await.unwrap());
    for subject in ["s-2", "s-3"] {
        assert!(matches!(world.vouch(subject, "kim@acme.kr").await, Err(AccessError::Left { .. })), "{subject}");
    }
}
