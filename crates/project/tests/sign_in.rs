//! Promises of `[sign_in]` in naru.toml.
#![allow(clippy::unwrap_used, missing_docs)]

use naru_project::{DomainFrom, Environment, Loaded, Project};

const TLS: &str = "tls = { certificate = \"cert.pem\", key = \"key.pem\" }\n";
const SIGN_IN: &str = "[sign_in]\nclient_id = \"naru\"\ndomains = [\"acme.kr\"]\nurl = \"https://naru.acme.kr\"\n";

fn load(settings: &str) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("naru.toml"), format!("[project]\nname = \"acme\"\n{settings}")).unwrap();
    Project::load(folder.path(), &Environment::of([("SECRET", "hush")]))
}

fn told(settings: &str) -> Vec<String> {
    load(settings).problems.iter().map(ToString::to_string).collect()
}

#[test]
fn google_is_the_issuer_and_the_hosted_domain_decides_unless_settings_say_otherwise() {
    let settings =
        load(&format!("[server]\n{TLS}{SIGN_IN}client_secret = \"${{SECRET}}\"\nadmins = [\"Kim@Acme.kr\"]\n"));
    let sign_in = settings.sound().unwrap().settings.sign_in.unwrap();
    assert_eq!((sign_in.issuer.as_str(), sign_in.domain_from), ("https://accounts.google.com", DomainFrom::Hd));
    assert_eq!(
        (sign_in.admins.as_slice(), sign_in.domains.as_slice()),
        (&["kim@acme.kr".to_owned()][..], &["acme.kr".to_owned()][..])
    );
    assert_eq!(sign_in.redirect_uri(), "https://naru.acme.kr/signin/callback");
    assert_eq!(sign_in.hosted_domain(), Some("acme.kr"));
    assert!(!format!("{sign_in:?}").contains("hush"));
    let here = "[sign_in]\nissuer = \"http://127.0.0.1:9000\"\nclient_id = \"naru\"\ndomains = [\"acme.kr\", \"acme.com\"]\n\
                url = \"http://127.0.0.1:6278\"\n";
    let sign_in = load(here).sound().unwrap().settings.sign_in.unwrap();
    assert_eq!((sign_in.hosted_domain(), sign_in.is_secure()), (Some("*"), false));
}

#[test]
fn a_door_beyond_loopback_needs_sign_in_and_something_that_ends_tls() {
    let wide = "http = \"0.0.0.0:6278\"\n";
    let bare = told(&format!("[server]\n{TLS}{wide}"));
    assert!(
        bare.len() == 1 && bare[0].contains("\"http\" would be open to other machines without sign-in"),
        "{bare:?}"
    );
    assert!(bare[0].starts_with("naru.toml:5:8:"), "{bare:?}");
    assert!(told(&format!("[server]\n{TLS}{wide}{SIGN_IN}")).is_empty());
    assert!(told(&format!("[server]\nproxies = [\"10.0.0.2\"]\n{wide}{SIGN_IN}")).is_empty());
    let plain = told(&format!("[server]\n{wide}{SIGN_IN}"));
    assert!(plain.iter().any(|text| text.contains("without TLS")), "{plain:?}");
    let nothing = told(SIGN_IN);
    assert!(nothing.len() == 1 && nothing[0].contains("nothing here ends TLS"), "{nothing:?}");
    let http = told(&format!("[server]\n{TLS}{}", SIGN_IN.replace("https://naru.acme.kr", "http://localhost:6278")));
    assert!(http.len() == 1 && http[0].contains("\"url\" is not https"), "{http:?}");
    let behind = load(&format!("[server]\nproxies = [\"127.0.0.1\"]\n{SIGN_IN}")).sound().unwrap().settings;
    assert_eq!(behind.intake.keys, naru_project::Keys::Required, "a proxy makes the whole world local");
}

#[test]
fn every_mistake_of_sign_in_is_told_with_its_place() {
    let wrong = "[sign_in]\nissuer = \"http://idp.example\"\nclient_secret = \"hush\"\ndomains = [\"@acme\"]\n\
                 admins = [\"kim\"]\nurl = \"https://naru.acme.kr/console\"\ndomain_from = \"mail\"\nadmin = \"x\"\n";
    let told = told(wrong);
    for part in [
        ":4:10: \"issuer\" is not the https address",
        ":5:17: \"client_secret\" has a password in it",
        ":6:12: \"domains\" is not a domain",
        ":7:11: \"admins\" is not an e-mail address",
        ":8:7: \"url\" is not the address at which people open naru",
        "[sign_in] has no \"client_id\"",
        "\"domain_from\" is not one of",
        "unknown key \"admin\" in [sign_in]",
    ] {
        assert!(told.iter().any(|text| text.contains(part)), "{part}: {told:#?}");
    }
    assert!(load("[sign_in]\n").problems.len() == 3, "client_id, domains and url must be there");
    assert!(load("[server]\nproxies = [\"proxy.local\"]\n").problems.len() == 1);
}
