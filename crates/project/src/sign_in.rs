//! `[sign_in]` in `naru.toml`: who signs people in, and which of them are the company's.
//!
//! Owns: [`SignInSettings`] and what can be wrong with them. Never talks to an issuer.
//! Read next: [`crate::settings`] for the listeners.

use std::net::IpAddr;

use naru_base::Secret;
use url::{Host, Url};

use crate::{
    environment::expands,
    mistake::Mistake,
    section::{Reading, Section, Text},
    settings::ServerSettings,
};

/// Where Google signs people in.
const GOOGLE: &str = "https://accounts.google.com";

/// Where the issuer sends a browser back to, below the public address.
const CALLBACK: &str = "signin/callback";

/// Who signs people in, and which of them are the company's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInSettings {
    /// The issuer's address, letter for letter as it calls itself. Default Google.
    pub issuer: String,
    /// What the issuer calls this naru.
    pub client_id: String,
    /// The secret that goes with it; some issuers need none.
    pub client_secret: Option<Secret>,
    /// The company's domains, in small letters; at least one.
    pub domains: Vec<String>,
    /// What says which domain a person is of.
    pub domain_from: DomainFrom,
    /// E-mail addresses of the first administrators, in small letters.
    pub admins: Vec<String>,
    /// The public address of this naru: scheme, host and port.
    pub url: Url,
}

/// What says which domain a person is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainFrom {
    /// The claim `hd`, which Google gives to company accounts only.
    Hd,
    /// The verified e-mail, for issuers that have the company's accounts and no others.
    Email,
}

impl SignInSettings {
    /// Where the issuer sends a browser back to; the issuer must know it letter for letter.
    pub fn redirect_uri(&self) -> String {
        format!("{}{CALLBACK}", self.url)
    }

    /// The domain that the issuer is told to offer accounts of, where there is one and it knows the word.
    pub fn hosted_domain(&self) -> Option<&str> {
        match (self.domain_from, self.domains.as_slice()) {
            (DomainFrom::Hd, [one]) => Some(one),
            // Any company's account; which of them counts is decided by the token.
            (DomainFrom::Hd, _) => Some("*"),
            (DomainFrom::Email, _) => None,
        }
    }

    /// Whether browsers reach this naru over TLS.
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }
}

/// Reads `[sign_in]`; `None` beside a mistake.
pub(crate) fn read(
    reading: &mut Reading<'_>,
    mut section: Section<'_>,
    server: &ServerSettings,
) -> Option<SignInSettings> {
    let example_id = "client_id = \"1234.apps.googleusercontent.com\"";
    let issuer = section.text(reading, "issuer");
    let issuer = issuer.map_or_else(|| Some(GOOGLE.to_owned()), |text| read_issuer(reading, &text));
    let client_id = section.required(reading, "client_id", example_id).and_then(|node| reading.text("client_id", node));
    let client_secret = section.text(reading, "client_secret");
    if let Some(text) = client_secret.as_ref().filter(|text| !expands(&text.raw)) {
        reading.add(&text.span, Mistake::SecretInFile { key: "client_secret".to_owned() });
    }
    let _ = section.required(reading, "domains", "domains = [\"acme.kr\"]");
    let domains: Vec<Option<String>> =
        section.texts(reading, "domains", false).iter().map(|text| read_domain(reading, text)).collect();
    let words = [("hd", DomainFrom::Hd), ("email", DomainFrom::Email)];
    let domain_from = section.word(reading, "domain_from", &words).unwrap_or(DomainFrom::Hd);
    let admins: Vec<Option<String>> =
        section.texts(reading, "admins", false).iter().map(|text| read_address(reading, text)).collect();
    let url =
        section.required(reading, "url", "url = \"https://naru.acme.kr\"").and_then(|node| reading.text("url", node));
    let url = url.and_then(|text| read_url(reading, &text, server));
    section.finish(reading);
    let domains: Vec<String> = domains.into_iter().collect::<Option<_>>()?;
    Some(SignInSettings {
        issuer: issuer?,
        client_id: client_id?.value.trim().to_owned(),
        client_secret: client_secret.map(|text| Secret::new(text.value)),
        domains: (!domains.is_empty()).then_some(domains)?,
        domain_from,
        admins: admins.into_iter().collect::<Option<_>>()?,
        url: url?,
    })
}

/// An address that is reached over TLS, or on this machine.
fn is_private(address: &Url) -> bool {
    match address.scheme() {
        "https" => true,
        "http" => match address.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        },
        _ => false,
    }
}

fn read_issuer(reading: &mut Reading<'_>, text: &Text) -> Option<String> {
    let wanted = "the https address of an OpenID Connect issuer";
    let value = text.value.trim();
    match Url::parse(value) {
        Ok(address) if is_private(&address) && address.query().is_none() && address.fragment().is_none() => {
            Some(value.to_owned())
        }
        Ok(_) => {
            reading.bad(
                "issuer",
                wanted,
                text,
                "only https keeps what it says from being changed on the way".to_owned(),
            );
            None
        }
        Err(error) => {
            reading.bad("issuer", wanted, text, error.to_string());
            None
        }
    }
}

fn read_url(reading: &mut Reading<'_>, text: &Text, server: &ServerSettings) -> Option<Url> {
    let wanted = "the address at which people open naru, such as \"https://naru.acme.kr\"";
    let mut why = "it is https (http on 127.0.0.1 only), a host and a port, and nothing after them".to_owned();
    match Url::parse(text.value.trim()) {
        Ok(address) => {
            let bare = address.path() == "/" && address.query().is_none() && address.fragment().is_none();
            if is_private(&address) && bare && address.username().is_empty() && address.password().is_none() {
                let ends = server.tls.is_some() || !server.proxies.is_empty();
                if ends != (address.scheme() == "https") {
                    reading.add(&text.span, Mistake::SchemeOfUrl { tls: ends });
                }
                return Some(address);
            }
        }
        Err(error) => why = error.to_string(),
    }
    reading.bad("url", wanted, text, why);
    None
}

fn read_domain(reading: &mut Reading<'_>, text: &Text) -> Option<String> {
    let value = text.value.trim().to_lowercase();
    let letters = value.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.'));
    if letters && value.contains('.') && !value.starts_with('.') && !value.ends_with('.') {
        return Some(value);
    }
    reading.bad("domains", "a domain such as \"acme.kr\"", text, "it has a point, and no @".to_owned());
    None
}

fn read_address(reading: &mut Reading<'_>, text: &Text) -> Option<String> {
    let value = crate::names::nfc(text.value.trim()).to_lowercase();
    match value.split_once('@') {
        Some((name, domain)) if !name.is_empty() && domain.contains('.') && !domain.contains('@') => Some(value),
        _ => {
            reading.bad("admins", "an e-mail address such as \"kim@acme.kr\"", text, None);
            None
        }
    }
}

/// Reads `proxies` of `[server]`: addresses that stand before naru, end TLS, and say for whom they ask.
pub(crate) fn read_proxies(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Vec<IpAddr> {
    let mut proxies = Vec::new();
    for text in section.texts(reading, "proxies", false) {
        match text.value.trim().parse::<IpAddr>() {
            Ok(address) => proxies.push(address.to_canonical()),
            Err(_) => reading.bad("proxies", "the IP address of a proxy, such as \"127.0.0.1\"", &text, None),
        }
    }
    proxies
}
