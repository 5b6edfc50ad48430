//! Promises about who may send events, and to which topic.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::PathBuf;

use naru_project::{Environment, Keys, Loaded, Project, Protocol};

const PROJECT: &str = "[project]\nname = \"acme\"\n";

/// What a door beyond loopback needs beside a certificate.
const SIGN_IN: &str = "[sign_in]\nclient_id = \"naru\"\ndomains = [\"acme.kr\"]\nurl = \"https://naru.acme.kr\"\n";

fn load(settings: &str, topics: &[(&str, &str)]) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("naru.toml"), format!("{PROJECT}{settings}")).unwrap();
    std::fs::create_dir(folder.path().join("topics")).unwrap();
    for (name, from) in topics {
        let text = format!("{from}\n[columns]\nid = \"STRING\"\n");
        std::fs::write(folder.path().join(format!("topics/{name}.toml")), text).unwrap();
    }
    Project::load(folder.path(), &Environment::of::<String, String>([]))
}

fn told(loaded: &Loaded) -> Vec<String> {
    loaded.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn keys_are_optional_on_loopback_and_required_beyond_it() {
    let tls = "tls = { certificate = \"cert.pem\", key = \"/k/key.pem\" }\n";
    let here = load("", &[]).sound().unwrap().settings;
    assert_eq!((here.intake.keys, here.intake.rate, here.intake.body_max), (Keys::Optional, None, 20_000_000));
    let here = load("[intake]\nkeys = \"required\"\nrate = 100\nbody_max = \"1MB\"\n", &[]).sound().unwrap().settings;
    assert_eq!((here.intake.keys, here.intake.rate, here.intake.body_max), (Keys::Required, Some(100), 1_000_000));
    let wide = load(&format!("[server]\n{tls}http = \"0.0.0.0:6278\"\n{SIGN_IN}"), &[]).sound().unwrap();
    assert_eq!(wide.settings.intake.keys, Keys::Required);
    let files = wide.settings.server.tls.unwrap();
    assert_eq!((files.certificate, files.key), (wide.root.join("cert.pem"), PathBuf::from("/k/key.pem")));
    let open =
        told(&load(&format!("[server]\n{tls}http = \"0.0.0.0:6278\"\n{SIGN_IN}[intake]\nkeys = \"optional\"\n"), &[]));
    assert!(open.len() == 1 && open[0].contains("\"keys\" is not \"required\", which it must be"), "{open:?}");
    let wide = load(&format!("[server]\n{tls}pubsub = \"0.0.0.0:6280\"\n"), &[]).sound().unwrap();
    assert_eq!(wide.settings.intake.keys, Keys::Required);
    let bare = told(&load("[server]\npubsub = \"0.0.0.0:6280\"\n", &[]));
    assert!(bare.len() == 1 && bare[0].contains("open to other machines without TLS"), "{bare:?}");
    let bare = told(&load("[server]\nhttp = \"0.0.0.0:6278\"\n", &[]));
    assert!(bare.len() == 1 && bare[0].contains("open to other machines without TLS"), "{bare:?}");
}

#[test]
fn no_page_of_a_browser_sends_unless_its_origin_is_named() {
    assert!(load("", &[]).sound().unwrap().settings.intake.origins.is_empty());
    let settings = "[intake]\norigins = [\"https://App.acme.kr/\", \"http://localhost:3000\"]\n";
    let origins = load(settings, &[]).sound().unwrap().settings.intake.origins;
    assert_eq!(origins, ["https://app.acme.kr", "http://localhost:3000"]);
    for bad in ["*", "https://*.acme.kr", "app.acme.kr", "https://acme.kr/app", "https://"] {
        let problems = told(&load(&format!("[intake]\norigins = [\"{bad}\"]\n"), &[]));
        assert!(problems.len() == 1 && problems[0].contains("\"origins\" is not an origin"), "{problems:?}");
    }
}

#[test]
fn two_topics_of_one_protocol_are_named_unless_keys_decide() {
    let topics = [("a", "from = [\"segment\", \"mixpanel.track\"]"), ("b", "from = \"segment\"")];
    let problems = told(&load("", &topics));
    assert!(
        problems.len() == 1 && problems[0].starts_with("topics/b.toml:1:1: topics \"a\" and \"b\" both take"),
        "{problems:?}"
    );
    let project = load("[intake]\nkeys = \"required\"\n", &topics).sound().unwrap();
    assert_eq!(project.topics[0].from, [Protocol::Segment, Protocol::MixpanelTrack]);
    let unknown = told(&load("", &[("a", "from = [\"mixpanel\"]")]));
    assert!(unknown[0].contains("Did you mean \"mixpanel."), "{unknown:?}");
}
