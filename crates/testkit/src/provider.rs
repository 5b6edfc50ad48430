//! A real OpenID Connect provider on loopback, to sign in with.
//!
//! Owns: npm's `oidc-provider` with one client and a few accounts, which signs in whoever it is told to without asking.
//! Never knows naru.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Stdio},
};

use crate::node;

/// The packages it needs.
const PACKAGES: &[&str] = &["oidc-provider@9.13.3"];

/// Who has an account: `kim` and `lee` are of `acme.kr`, `gmail` of no company, `other` of another one, `new` has an
/// e-mail that is not verified.
const SCRIPT: &str = r#"
(async () => {
  const { Provider } = await import("oidc-provider");
  const [, redirect] = process.argv.slice(1)[0] === "--" ? process.argv.slice(1) : ["", ...process.argv.slice(1)];
  const person = (sub, email, hd, verified = true) => ({ sub, email, email_verified: verified, name: sub, ...(hd && { hd }) });
  const accounts = {
    kim: person("kim", "kim@acme.kr", "acme.kr"),
    lee: person("lee", "lee@acme.kr", "acme.kr"),
    gmail: person("gmail", "someone@gmail.com"),
    other: person("other", "kim@other.kr", "other.kr"),
    new: person("new", "new@acme.kr", "acme.kr", false),
  };
  let who = "kim";
  const server = require("node:http").createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "naru",
      client_secret: "secret & signs: 100 %+",
      redirect_uris: [redirect],
      application_type: "web",
    }],
    claims: { openid: ["sub"], email: ["email", "email_verified", "hd"], profile: ["name"] },
    conformIdTokenClaims: false,
    findAccount: (_, id) => accounts[id] && { accountId: id, claims: () => accounts[id] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/auto/${interaction.uid}` },
    cookies: { keys: ["for tests"] },
    extraParams: ["hd"],
  });
  const answer = provider.callback();
  server.on("request", async (request, response) => {
    if (request.url.startsWith("/as/")) {
      who = request.url.slice("/as/".length);
      return response.end("ok");
    }
    if (!request.url.startsWith("/auto/")) return answer(request, response);
    const details = await provider.interactionDetails(request, response);
    if (details.prompt.name === "login") {
      return provider.interactionFinished(request, response, { login: { accountId: who } });
    }
    const grant = new provider.Grant({ accountId: details.session.accountId, clientId: details.params.client_id });
    grant.addOIDCScope("openid email profile");
    return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
  });
  console.log(`ready ${issuer}`);
})();
"#;

/// The client's name.
pub const CLIENT_ID: &str = "naru";

/// The client's secret.
pub const CLIENT_SECRET: &str = "secret & signs: 100 %+";

/// A provider that runs until it is dropped.
#[derive(Debug)]
pub struct Provider {
    child: Child,
    /// What it calls itself, and where it is.
    pub issuer: String,
}

impl Provider {
    /// Starts one that sends browsers back to `redirect_uri`.
    pub fn start(redirect_uri: &str) -> Self {
        let mut command = node::command(PACKAGES, SCRIPT, &[redirect_uri]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start node");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let ready = lines.find_map(|line| line.ok()?.strip_prefix("ready ").map(str::to_owned));
        let Some(issuer) = ready else {
            let mut said = String::new();
            let _ = child.stderr.take().expect("piped").read_to_string(&mut said);
            panic!("the provider did not start:\n{said}");
        };
        // Nobody reads what it says from now on; it must not wait for anybody either.
        std::thread::spawn(move || lines.for_each(drop));
        let mut errors = BufReader::new(child.stderr.take().expect("piped")).lines();
        std::thread::spawn(move || errors.by_ref().for_each(drop));
        Self { child, issuer }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}
