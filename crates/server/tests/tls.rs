//! Promises of the HTTP door's certificate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use naru_server::{
    Doorway, Listen, Tls,
    http::{self, Metrics},
};

/// Writes a certificate that signs itself, and its key, under the names that the door reads.
fn make(folder: &Path, name: &str) {
    let subject = format!("/CN={name}");
    let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
    let arguments = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let mut command = Command::new("openssl");
    command.args(arguments).args(["-subj", &subject, "-keyout", &key, "-out", &certificate]).current_dir(folder);
    let made = command.output().expect("run openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn put(folder: &Path, from: &str, to: &str) {
    std::fs::copy(folder.join(from), folder.join(to)).unwrap();
}

/// What a client sees of the door's certificate.
async fn shown(address: SocketAddr) -> String {
    let script = format!("openssl s_client -connect {address} </dev/null 2>/dev/null | openssl x509 -noout -subject");
    let output = tokio::process::Command::new("sh").args(["-c", &script]).output().await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_certificate_is_shown_without_a_restart_and_half_a_change_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    make(root, "first");
    make(root, "second");
    put(root, "first.pem", "cert.pem");
    put(root, "first.key", "key.pem");
    let files = Tls { certificate: root.join("cert.pem"), key: root.join("key.pem") };
    let ready = Arc::new(Vec::<String>::new);
    let any: Listen = "127.0.0.1:0".parse().unwrap();
    let door = http::serve(Doorway::from(any).with_tls(Some(files)), ready, Metrics::default(), None, None)
        .await
        .unwrap()
        .unwrap();
    assert!(shown(door.address).await.contains("first"));
    put(root, "second.pem", "cert.pem");
    assert!(shown(door.address).await.contains("first"), "a certificate without its key is shown");
    put(root, "second.key", "key.pem");
    while !shown(door.address).await.contains("second") {}
    door.close().await;
}

/// Asks until it is done; half of those who ask keep their connection over a change, the others make a new one for
/// every request.
async fn ask(url: String, done: Arc<AtomicBool>, kept: usize) -> usize {
    let mut asked = 0;
    while !done.load(Ordering::Relaxed) {
        let client = reqwest::Client::builder().danger_accept_invalid_certs(true).pool_max_idle_per_host(kept);
        let client = client.build().unwrap();
        for _ in 0..=kept * 20 {
            let answer = client.get(&url).send().await.expect("no request fails");
            assert_eq!(answer.text().await.unwrap(), "ok\n");
            asked += 1;
        }
    }
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_changes_under_load_is_picked_up_and_no_request_fails() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for name in ["first", "second"] {
        make(root, name);
    }
    put(root, "first.pem", "cert.pem");
    put(root, "first.key", "key.pem");
    let files = Tls { certificate: root.join("cert.pem"), key: root.join("key.pem") };
    let any: Listen = "127.0.0.1:0".parse().unwrap();
    let doorway = Doorway::from(any).with_tls(Some(files));
    let ready = Arc::new(Vec::<String>::new);
    let door = http::serve(doorway, ready, Metrics::default(), None, None).await.unwrap().unwrap();
    let (url, done) = (format!("https://{}/healthz", door.address), Arc::new(AtomicBool::new(false)));
    let asking: Vec<_> = (0..6).map(|n| tokio::spawn(ask(url.clone(), Arc::clone(&done), n % 2))).collect();
    for now in ["second", "first", "second"] {
        put(root, &format!("{now}.pem"), "cert.pem");
        put(root, &format!("{now}.key"), "key.pem");
        while !shown(door.address).await.contains(now) {}
    }
    done.store(true, Ordering::Relaxed);
    for asked in asking {
        assert!(asked.await.unwrap() > 0);
    }
    door.close().await;
}

#[tokio::test]
async fn files_that_are_no_certificate_are_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), "first");
    make(folder.path(), "second");
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    for (certificate, key) in [("absent.pem", "first.key"), ("first.pem", "second.key"), ("empty.pem", "first.key")] {
        let files = Tls { certificate: folder.path().join(certificate), key: folder.path().join(key) };
        let any: Listen = "127.0.0.1:0".parse().unwrap();
        let refused = http::serve(
            Doorway::from(any).with_tls(Some(files)),
            Arc::new(Vec::<String>::new),
            Metrics::default(),
            None,
            None,
        )
        .await;
        let problem = refused.expect_err("it is refused").problem();
        assert!(problem.code == "server.certificate" && problem.detail.is_some(), "{problem}");
    }
}
