//! Promises of the HTTP door's connections: silence, slowness and numbers are bounded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Bytes, routing::post};
use naru_server::{
    ConnectionLimits, Door, Doorway, Listen,
    http::{self, Metrics},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const SHORT: Duration = Duration::from_millis(300);

async fn door(change: impl FnOnce(&mut ConnectionLimits)) -> (Door, Metrics) {
    let any: Listen = "127.0.0.1:0".parse().unwrap();
    let mut doorway = Doorway::from(any);
    change(&mut doorway.limits);
    let metrics = Metrics::default();
    let more = Router::new().route("/echo", post(async |body: Bytes| body));
    let door = http::serve(doorway, Arc::new(Vec::<String>::new), metrics.clone(), None, Some(more)).await;
    (door.unwrap().unwrap(), metrics)
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// What comes until the door closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    // A connection that was cut says no more than one that ended.
    stream.read_to_end(&mut said).await.ok();
    String::from_utf8(said).unwrap()
}

/// Asks for health on an open connection; false when the door gave no answer.
async fn healthy(stream: &mut TcpStream) -> bool {
    if stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: naru\r\n\r\n").await.is_err() {
        return false;
    }
    let (mut said, mut piece) = (Vec::new(), [0; 1024]);
    while !said.ends_with(b"ok\n") {
        match stream.read(&mut piece).await {
            Ok(some) if some > 0 => said.extend(piece.iter().take(some)),
            Ok(_) | Err(_) => return false,
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_says_nothing_or_only_half_a_head_ends() {
    let (door, _metrics) = door(|limits| limits.first_wait = SHORT).await;
    let mut silent = connect(door.address).await;
    assert_eq!(rest(&mut silent).await, "");
    let mut half = connect(door.address).await;
    half.write_all(b"GET /healthz HTTP/1.1\r\nHost: na").await.unwrap();
    assert_eq!(rest(&mut half).await, "");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_kept_alive_for_nothing_ends_and_one_that_is_used_does_not() {
    let (door, _metrics) = door(|limits| limits.idle = SHORT).await;
    let mut stream = connect(door.address).await;
    for _ in 0..8 {
        assert!(healthy(&mut stream).await, "a used connection stays");
        tokio::time::sleep(SHORT / 8).await;
    }
    assert_eq!(rest(&mut stream).await, "");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_given_up_on_every_path() {
    let (door, _metrics) = door(|limits| limits.body_wait = Some(SHORT)).await;
    let mut slow = connect(door.address).await;
    slow.write_all(b"POST /echo HTTP/1.1\r\nHost: naru\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
    let said = rest(&mut slow).await;
    assert!(said.starts_with("HTTP/1.1 400") || said.is_empty(), "{said}");
    let mut whole = connect(door.address).await;
    whole.write_all(b"POST /echo HTTP/1.1\r\nHost: naru\r\nContent-Length: 4\r\n\r\nwell").await.unwrap();
    let mut said = [0; 15];
    whole.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"HTTP/1.1 200 OK");
    drop(whole);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_closed_at_once_and_counted_and_places_come_back() {
    let (door, metrics) = door(|limits| limits.most = 8).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut stream = connect(door.address).await;
        assert!(healthy(&mut stream).await);
        held.push(stream);
    }
    let mut ninth = connect(door.address).await;
    assert!(!healthy(&mut ninth).await);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &metrics.lock()).unwrap();
    assert!(text.contains("naru_http_refused_connections_total 1"), "{text}");
    assert!(healthy(held.last_mut().unwrap()).await, "those that are there stay");
    held.clear();
    while !healthy(&mut connect(door.address).await).await {}
    door.close().await;
}
