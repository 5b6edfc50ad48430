//! One HTTP/2 connection without TLS, as the generated gRPC clients want it.
//!
//! Owns: the connection. Never reconnects: a bench that loses its door ends.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::{
    body::Body,
    codegen::{Service, http},
};

/// Clones send over the same connection.
#[derive(Debug, Clone)]
pub struct Channel {
    sender: http2::SendRequest<Body>,
    address: SocketAddr,
}

impl Channel {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the gRPC door");
        stream.set_nodelay(true).expect("a socket");
        let mut way = http2::Builder::new(TokioExecutor::new());
        way.initial_stream_window_size(1 << 20).initial_connection_window_size(8 << 20);
        let (sender, connection) = way.handshake(TokioIo::new(stream)).await.expect("HTTP/2");
        tokio::spawn(connection);
        Self { sender, address }
    }
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let whole = format!("http://{}{path}", self.address);
        *request.uri_mut() = whole.parse().expect("an address");
        Box::pin(self.sender.send_request(request))
    }
}
