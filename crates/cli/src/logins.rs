//! Where this user is signed in: the file that `naru login` writes, and requests with what is in it.
//!
//! Owns: `naru/logins.json` in the user's configuration folder, readable by nobody else, and the HTTP client that sends
//! its tokens to the naru they are for and to no other.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
    time::Duration,
};

use naru_base::Problem;
use reqwest::{Client, RequestBuilder, Response, redirect::Policy};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::{Host, Url};

use crate::failure::Failure;

/// How long a naru may take to accept a connection.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);

/// A sign-in at one naru.
#[derive(Clone, Serialize, Deserialize)]
pub struct Login {
    /// The personal token.
    pub token: String,
    /// Whose it is.
    pub account: String,
    /// When it stops working, in microseconds since 1970 UTC.
    pub expires_us: Option<i64>,
}

/// All sign-ins of this user.
#[derive(Default, Serialize, Deserialize)]
pub struct Logins {
    /// Where the user signed in last.
    pub last: Option<String>,
    /// Sign-ins by address.
    #[serde(default)]
    pub at: BTreeMap<String, Login>,
}

/// The address of a naru as people write it: `naru.acme.kr` is `https://naru.acme.kr`.
///
/// # Errors
/// It is none, or is one to which a token would go in the open.
pub fn address(text: &str) -> Result<Url, Failure> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let bad = |why: &str| {
        let problem = Problem::new("login.address", format!("\"{text}\" is not the address of a naru"));
        Failure::from(problem.detail(why.to_owned()).hint("Write https://naru.acme.kr, as in the browser."))
    };
    let url = Url::parse(&whole).map_err(|error| bad(&error.to_string()))?;
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && here) {
        return Err(bad("Only https keeps the token from being read on the way."));
    }
    Url::parse(&url.origin().ascii_serialization()).map_err(|error| bad(&error.to_string()))
}

fn file() -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    folder.map(|folder| folder.join("naru").join("logins.json")).ok_or_else(|| {
        Problem::new("login.folder", "this user has no configuration folder")
            .hint("Set HOME or XDG_CONFIG_HOME.")
            .into()
    })
}

impl Logins {
    /// Reads them; none where there is no file.
    pub fn read() -> Result<Self, Failure> {
        let file = file()?;
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        serde_json::from_slice(&text).map_err(|error| {
            let summary = format!("{} is not what `naru login` writes", file.display());
            Problem::from_error("login.file", summary, &error).hint("Remove it and sign in again.").into()
        })
    }

    /// Writes them for this user's eyes only, whole or not at all.
    pub fn write(&self) -> Result<(), Failure> {
        let file = file()?;
        if let Some(folder) = file.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let text = serde_json::to_vec_pretty(self).map_err(|error| std::io::Error::other(error.to_string()))?;
        let part = file.with_extension(format!("json.{}", std::process::id()));
        let mut out: File = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        out.write_all(&text)?;
        out.sync_all()?;
        fs::rename(&part, &file)?;
        Ok(())
    }
}

/// A naru elsewhere, with this user's token for it.
pub struct Server {
    url: Url,
    token: String,
    client: Client,
}

/// A client that goes where it is told and no further.
pub fn client() -> Result<Client, Failure> {
    let built = Client::builder().redirect(Policy::none()).connect_timeout(CONNECT_WAIT_MAX).build();
    built.map_err(|error| Problem::from_error("login.client", "HTTP cannot be spoken here", &error).into())
}

/// Sends a request.
pub async fn send(request: RequestBuilder) -> Result<Response, Failure> {
    request.send().await.map_err(|error| unreachable(&error))
}

fn unreachable(error: &reqwest::Error) -> Failure {
    let problem = Problem::from_error("login.unreachable", "that naru cannot be reached", error);
    problem.hint("Check its address, and whether a browser opens it.").later().into()
}

/// Reads the JSON of an answer.
pub async fn json<T: DeserializeOwned>(response: Response) -> Result<T, Failure> {
    let bytes = response.bytes().await.map_err(|error| unreachable(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let problem = Problem::from_error("login.answer", "the answer was not understood", &error);
        problem.hint("Is there another program at that address, or another version of naru?").into()
    })
}

/// The problem that an answer tells.
#[derive(Deserialize)]
struct Told {
    code: String,
    summary: String,
    detail: Option<String>,
    hint: Option<String>,
}

impl Server {
    /// The naru at an address, or the one this user signed in at last; `None` where they never did.
    ///
    /// # Errors
    /// They are not signed in there.
    pub fn find(address_text: Option<&str>) -> Result<Option<Self>, Failure> {
        let logins = Logins::read()?;
        let url = match (address_text, &logins.last) {
            (Some(text), _) => address(text)?,
            (None, Some(last)) => address(last)?,
            (None, None) => return Ok(None),
        };
        let Some(login) = logins.at.get(url.as_str()) else {
            let problem = Problem::new("login.needed", format!("you are not signed in at {url}"));
            return Err(problem.hint(format!("`naru login {url}` does it.")).into());
        };
        Ok(Some(Self { client: client()?, token: login.token.clone(), url }))
    }

    /// A GET of the API.
    pub async fn get(&self, path: &str) -> Result<Response, Failure> {
        self.answer(self.client.get(format!("{}{path}", self.url))).await
    }

    /// A POST of the API.
    pub async fn post(&self, path: &str, body: &serde_json::Value) -> Result<Response, Failure> {
        let request = self.client.post(format!("{}{path}", self.url));
        self.answer(request.header("content-type", "application/json").body(body.to_string())).await
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = send(request.bearer_auth(&self.token)).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        if response.status() == 401 {
            let problem = Problem::new("login.needed", format!("your sign-in at {} is over", self.url));
            return Err(problem.hint(format!("`naru login {}` renews it.", self.url)).into());
        }
        let told: Told = json(response).await?;
        let mut problem = Problem::new(told.code, told.summary);
        (problem.detail, problem.hint) = (told.detail, told.hint);
        Err(problem.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_goes_to_another_machine_in_the_open() {
        for (text, url) in [
            ("naru.acme.kr", "https://naru.acme.kr/"),
            ("https://naru.acme.kr/sql?x=1", "https://naru.acme.kr/"),
            ("http://127.0.0.1:6278", "http://127.0.0.1:6278/"),
            ("http://localhost:1", "http://localhost:1/"),
        ] {
            assert_eq!(address(text).unwrap().as_str(), url);
        }
        for text in ["http://naru.acme.kr", "ftp://localhost", "", "https://", "http://10.0.0.1"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
