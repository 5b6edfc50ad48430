//! Connecting: passwords, TLS, and what each refusal is called.

use std::{fs, path::Path, process::Command, time::Duration};

use naru_sync::postgres::{
    ConnectSettings, PostgresError, ReplicationConnection, ServerCondition, SslMode, StreamOptions, connect_sql,
};
use naru_testkit::{Options, PostgresServer};

use crate::source::Source;

/// Both kinds of connection to the same place; they must agree.
async fn both(settings: &ConnectSettings) -> [Result<(), PostgresError>; 2] {
    let replication = match ReplicationConnection::connect(settings).await {
        Ok(connection) => {
            connection.close().await;
            Ok(())
        }
        Err(error) => Err(error),
    };
    [replication, connect_sql(settings).await.map(|_| ())]
}

fn settings(server: &PostgresServer, suffix: &str) -> ConnectSettings {
    ConnectSettings::parse(&format!("{}{suffix}", server.url())).unwrap()
}

/// Replaces pg_hba.conf's lines and waits until they hold.
async fn sign_in_by(source: &Source, lines: &str) {
    fs::write(source.server.data().join("pg_hba.conf"), format!("local all all trust\n{lines}\n")).unwrap();
    let method = |client| async move {
        let client: &tokio_postgres::Client = client;
        let sql =
            "select string_agg(auth_method || coalesce(type, ''), ',' order by line_number) from pg_hba_file_rules";
        client.query_one(sql, &[]).await.unwrap().get::<_, Option<String>>(0)
    };
    assert!(method(&source.client).await.is_some());
    source.run("select pg_reload_conf()").await;
    // The postmaster reads the file when it handles the signal; a new session after the reload time sees the rules.
    let reloaded = "select pg_conf_load_time() > now() - interval '1 minute'";
    assert!(source.client.query_one(reloaded, &[]).await.unwrap().get::<_, bool>(0));
}

/// Tries until the server has taken its new rules.
async fn eventually(settings: &ConnectSettings, good: impl Fn(&Result<(), PostgresError>) -> bool) {
    let tries = async {
        loop {
            if both(settings).await.iter().all(&good) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), tries).await.expect("the server took its new rules");
}

#[tokio::test]
async fn every_sign_in_method_works_and_a_wrong_password_is_named() {
    let source = Source::start().await;
    let wrong = |answer: &Result<(), PostgresError>| {
        let error = answer.as_ref().unwrap_err();
        assert_eq!(error.condition(), Some(ServerCondition::SignInRefused), "{error}");
        assert_eq!(error.server().unwrap().sqlstate, "28P01");
        let told = error.problem();
        assert_eq!(told.code, "sync.sign_in_failed");
        assert!(!told.to_string().contains("not-it"), "{told}");
    };
    source.run("set password_encryption = 'md5'; create role md5er superuser login password 'naru'").await;
    let scram = ConnectSettings::parse(&source.server.url()).unwrap();
    for answer in both(&scram).await {
        answer.unwrap();
    }
    let port = source.server.port();
    let not_it = ConnectSettings::parse(&source.server.url_through(port, "postgres", "not-it", "postgres")).unwrap();
    both(&not_it).await.iter().for_each(wrong);

    let url = source.server.url_through(port, "md5er", "naru", "postgres");
    let md5er = ConnectSettings::parse(&url).unwrap();
    sign_in_by(&source, "host all md5er all md5\nhost all all all password\nhost replication all all md5").await;
    eventually(&md5er, Result::is_ok).await;
    // The superuser now signs in with a cleartext password.
    for answer in both(&scram).await {
        answer.unwrap();
    }
    both(&not_it).await.iter().for_each(wrong);
}

#[tokio::test]
async fn a_missing_password_is_said_plainly() {
    let source = Source::start().await;
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", source.server.port());
    for answer in both(&ConnectSettings::parse(&url).unwrap()).await {
        let told = answer.unwrap_err().to_string();
        assert!(told.contains("the URL has none"), "{told}");
    }
}

#[tokio::test]
async fn a_unix_socket_needs_no_password() {
    let source = Source::start().await;
    let folder = source.server.data().parent().unwrap().display().to_string();
    let url = format!("postgres://postgres@/postgres?host={folder}&port={}&sslmode=require", source.server.port());
    let answers = both(&ConnectSettings::parse(&url).unwrap()).await;
    // TLS is not for Unix sockets; libpq ignores the mode there, and so does naru.
    for answer in answers {
        answer.unwrap();
    }
}

#[tokio::test]
async fn demanding_tls_of_a_server_without_it_is_a_clear_error() {
    let source = Source::start().await;
    for mode in ["require", "verify-ca", "verify-full"] {
        for answer in both(&settings(&source.server, &format!("?sslmode={mode}"))).await {
            let error = answer.unwrap_err();
            assert!(matches!(error, PostgresError::TlsRefused { .. }), "{error:?}");
            let told = error.problem();
            assert_eq!(told.code, "sync.tls_refused");
            assert!(told.summary.contains(mode), "{told}");
        }
    }
    for mode in ["disable", "prefer"] {
        for answer in both(&settings(&source.server, &format!("?sslmode={mode}"))).await {
            answer.unwrap();
        }
    }
}

/// Makes an authority, and a certificate of it for `localhost`, into `folder`.
fn make_certificates(folder: &Path) {
    let run = |arguments: &[&str]| {
        let done = Command::new("openssl").args(arguments).current_dir(folder).output().expect("run openssl");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let ca = "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=naru-test-ca";
    run(&ca.split(' ').collect::<Vec<_>>());
    let request = "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost";
    run(&request.split(' ').collect::<Vec<_>>());
    fs::write(folder.join("ext"), "subjectAltName=DNS:localhost\n").unwrap();
    let sign = "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile ext";
    run(&sign.split(' ').collect::<Vec<_>>());
}

#[tokio::test]
async fn tls_is_checked_as_far_as_the_mode_says_and_binds_the_sign_in() {
    let folder = naru_testkit::Folder::new("tls");
    make_certificates(folder.path());
    let source = Source::start().await;
    // The server reads its key only from a file of its own user; copying keeps the data folder's owner.
    for name in ["server.pem", "server.key"] {
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        source
            .run(&format!("create table if not exists f (t text); truncate f; insert into f values ($f${text}$f$)"))
            .await;
        let shell = format!("cat > {name}; chmod 600 {name}");
        source
            .run(&format!("copy (select unnest(string_to_array(trim(t, e'\\n'), e'\\n')) from f) to program '{shell}'"))
            .await;
    }
    source.run("alter system set ssl = on").await;
    source.run("alter system set ssl_cert_file = 'server.pem'").await;
    source.run("alter system set ssl_key_file = 'server.key'").await;
    source.run("select pg_reload_conf()").await;
    let ca = folder.path().join("ca.pem").display().to_string();
    let at = |host: &str, suffix: String| {
        let url = source.server.url().replace("127.0.0.1", host);
        ConnectSettings::parse(&format!("{url}{suffix}")).unwrap()
    };
    eventually(&at("localhost", "?sslmode=require".into()), Result::is_ok).await;
    for (host, suffix) in [
        ("localhost", format!("?sslmode=verify-full&sslrootcert={ca}&channel_binding=require")),
        ("127.0.0.1", format!("?sslmode=verify-ca&sslrootcert={ca}")),
        ("127.0.0.1", format!("?sslmode=require&sslrootcert={ca}&channel_binding=require")),
        ("127.0.0.1", "?sslmode=prefer".into()),
        ("127.0.0.1", "?sslmode=disable".into()),
    ] {
        for answer in both(&at(host, suffix.clone())).await {
            answer.unwrap_or_else(|error| panic!("{host}{suffix}: {}", error.problem()));
        }
    }
    for (host, suffix) in [
        ("127.0.0.1", format!("?sslmode=verify-full&sslrootcert={ca}")),
        ("localhost", "?sslmode=verify-full".into()),
        ("localhost", "?sslmode=verify-ca".into()),
    ] {
        for answer in both(&at(host, suffix.clone())).await {
            let error = answer.unwrap_err();
            assert!(matches!(error, PostgresError::Tls { .. }), "{host}{suffix}: {error:?}");
        }
    }
    for answer in both(&at("127.0.0.1", "?sslmode=disable&channel_binding=require".into())).await {
        let told = answer.unwrap_err();
        assert!(told.to_string().to_lowercase().contains("channel"), "{told:?} {told}");
    }
}

#[tokio::test]
async fn refusals_of_a_stream_have_names() {
    let source =
        Source::start_with(Options::default().with("max_slot_wal_keep_size", "1MB").with("max_wal_size", "32MB")).await;
    source.run("create table t (id int primary key, body text); create publication p for table t").await;
    let open = async |slot: &str| {
        let connection = ReplicationConnection::connect(&source.settings).await.unwrap();
        let options = StreamOptions {
            slot: slot.to_owned(),
            start: naru_base::Lsn(0),
            publications: vec!["p".into()],
            streaming: true,
            binary: false,
            messages: false,
        };
        connection.start_replication(&options).await
    };
    let condition = |answer: Result<_, PostgresError>| answer.map(|_| ()).unwrap_err().condition();
    assert_eq!(condition(open("absent").await), Some(ServerCondition::ObjectMissing));

    let mut maker = ReplicationConnection::connect(&source.settings).await.unwrap();
    maker.create_slot("kept", false).await.unwrap();
    assert_eq!(maker.create_slot("kept", false).await.unwrap_err().condition(), Some(ServerCondition::ObjectExists));
    let held = open("kept").await.unwrap();
    assert_eq!(condition(open("kept").await), Some(ServerCondition::SlotInUse));
    assert_eq!(maker.drop_slot("kept", false).await.unwrap_err().condition(), Some(ServerCondition::SlotInUse));
    let (reader, writer) = held;
    reader.finish(writer).await.unwrap().close().await;

    // More log than the slot may keep, then a checkpoint that recycles it.
    for _ in 0..4 {
        source.run("insert into t select g, repeat('x', 1000) from generate_series(1, 8000) g; truncate t; select pg_switch_wal()").await;
        source.run("checkpoint").await;
    }
    let lost = open("kept").await.map(|_| ()).unwrap_err();
    assert_eq!(lost.condition(), Some(ServerCondition::SlotLost), "{lost}");
    assert_eq!(lost.problem().code, "sync.slot_lost");
}

#[tokio::test]
async fn nothing_listening_is_a_failure_that_may_pass() {
    let mut source = Source::start().await;
    source.server.stop().await;
    for answer in both(&settings(&source.server, "")).await {
        let told = answer.unwrap_err().problem();
        assert_eq!((told.code.as_ref(), told.retry), ("sync.connect_failed", naru_base::Retry::Later));
    }
    assert_eq!(settings(&source.server, "").ssl_mode, SslMode::Prefer);
}
