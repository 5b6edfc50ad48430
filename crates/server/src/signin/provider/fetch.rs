//! Our requests to the issuer: short, small, and to nowhere else.
//!
//! Owns: the HTTP client and its limits. An answer that sends elsewhere is not followed.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode, redirect::Policy};

/// How long one request may take.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Bytes of an answer.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Why the issuer gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// It cannot be reached, or was too slow.
    #[error("it cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// Its answer is too long to be one.
    #[error("its answer has more than {BODY_BYTES_MAX} bytes")]
    TooLong,
}

/// A client that goes where it is told and no further.
pub(crate) fn client() -> Result<Client, reqwest::Error> {
    Client::builder().redirect(Policy::none()).timeout(WAIT_MAX).connect_timeout(WAIT_MAX).build()
}

/// Sends a request and reads its whole answer.
pub(crate) async fn fetch(request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), FetchError> {
    let mut response = request.send().await.map_err(|error| FetchError::Unreachable(error.without_url()))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| FetchError::Unreachable(error.without_url()))? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(FetchError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, body))
}
