//! What an ID token must say before anybody is let in.
//!
//! Owns: [`verify`]: signature, algorithm, and every claim, as a pure function of the token, the issuer's keys, what was
//! asked for, and the time. Source: OpenID Connect Core 1.0 §3.1.3.7, and RFC 8725 for algorithms.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use naru_project::DomainFrom;
use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq as _;

/// Seconds that our clock and the issuer's may differ.
const SKEW_S: i64 = 60;

/// Letters of a subject; the standard allows no more.
const SUBJECT_LETTERS_MAX: usize = 255;

/// Algorithms that an issuer signs with. Never `none`, and never one whose key we would share: whoever knows a public
/// key could sign with it.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// What was asked for, and what must come back.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    /// The issuer, letter for letter.
    pub issuer: &'a str,
    /// What it calls this naru.
    pub client_id: &'a str,
    /// The nonce of this sign-in.
    pub nonce: &'a str,
    /// The company's domains.
    pub domains: &'a [String],
    /// What says which domain a person is of.
    pub domain_from: DomainFrom,
}

/// Whom an ID token vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub subject: String,
    pub email: String,
    pub shown: String,
    pub domain: String,
}

/// Why an ID token lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the ID token is no signed token")]
    Malformed,
    #[error("the ID token is signed in a way that is not accepted")]
    Algorithm,
    #[error("the ID token is signed with a key that the issuer does not have")]
    UnknownKey,
    #[error("the ID token's signature is wrong")]
    Signature,
    #[error("the ID token was made by another issuer")]
    Issuer,
    #[error("the ID token was made for another program")]
    Audience,
    #[error("the ID token's time is over")]
    Expired,
    #[error("the ID token is from the future")]
    Early,
    #[error("the ID token was made for another sign-in")]
    Nonce,
    #[error("the ID token does not say whom it is about")]
    Subject,
    #[error("the account has no e-mail")]
    NoEmail,
    #[error("the account's e-mail is not verified")]
    Unverified,
    #[error("the account is no company account")]
    NoDomain,
    #[error("the account is of another company")]
    WrongDomain,
}

#[derive(Debug, Clone, Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Value>,
    azp: Option<String>,
    exp: Option<Value>,
    iat: Option<Value>,
    nbf: Option<Value>,
    nonce: Option<String>,
    email: Option<String>,
    email_verified: Option<Value>,
    hd: Option<String>,
    name: Option<String>,
}

/// Checks an ID token; `now_s` in seconds since 1970.
///
/// # Errors
/// The first thing that is wrong with it. [`Fault::UnknownKey`]: the issuer may have new keys.
pub(crate) fn verify(token: &str, keys: &[Jwk], expected: &Expected<'_>, now_s: i64) -> Result<Identity, Fault> {
    let claims = signed(token, keys)?;
    if claims.iss.as_deref() != Some(expected.issuer) {
        return Err(Fault::Issuer);
    }
    check_audience(&claims, expected.client_id)?;
    check_times(&claims, now_s)?;
    let nonce = claims.nonce.as_deref().unwrap_or_default();
    if nonce.is_empty() || !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err(Fault::Nonce);
    }
    identity(claims, expected)
}

/// The claims of a token that one of these keys signed.
fn signed(token: &str, keys: &[Jwk]) -> Result<Claims, Fault> {
    let header = decode_header(token).map_err(|error| match error.kind() {
        // `none` and whatever else has no name there.
        jsonwebtoken::errors::ErrorKind::Json(_) | jsonwebtoken::errors::ErrorKind::InvalidAlgorithmName => {
            Fault::Algorithm
        }
        _ => Fault::Malformed,
    })?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(Fault::Algorithm);
    }
    let fits = |key: &&Jwk| fits(key, header.alg);
    let named: Vec<&Jwk> = match &header.kid {
        Some(kid) => keys.iter().filter(|key| key.common.key_id.as_ref() == Some(kid)).collect(),
        None => keys.iter().collect(),
    };
    if named.is_empty() {
        return Err(Fault::UnknownKey);
    }
    let usable: Vec<&Jwk> = named.into_iter().filter(fits).collect();
    // Without a name one key must be meant; two would be a guess.
    let [key] = usable.as_slice() else { return Err(Fault::Algorithm) };
    let key = DecodingKey::from_jwk(key).map_err(|_| Fault::UnknownKey)?;
    let mut validation = Validation::new(header.alg);
    // Claims are checked below, each with its own answer.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let decoded = decode::<Claims>(token, &key, &validation).map_err(|error| match error.kind() {
        jsonwebtoken::errors::ErrorKind::InvalidSignature => Fault::Signature,
        _ => Fault::Malformed,
    })?;
    Ok(decoded.claims)
}

/// Whether a key is for signing, and of the kind that an algorithm takes.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let of_its_kind = match (&key.algorithm, algorithm) {
        (
            AlgorithmParameters::RSA(_),
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512,
        ) => true,
        (AlgorithmParameters::EllipticCurve(curve), Algorithm::ES256) => curve.curve == EllipticCurve::P256,
        (AlgorithmParameters::EllipticCurve(curve), Algorithm::ES384) => curve.curve == EllipticCurve::P384,
        (AlgorithmParameters::OctetKeyPair(curve), Algorithm::EdDSA) => curve.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    let for_it = key.common.key_algorithm.is_none_or(|named| named.to_string() == format!("{algorithm:?}"));
    let signs = key.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    of_its_kind && for_it && signs
}

fn check_audience(claims: &Claims, client_id: &str) -> Result<(), Fault> {
    let audiences: Vec<&str> = match &claims.aud {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().map(|each| each.as_str().unwrap_or_default()).collect(),
        _ => Vec::new(),
    };
    // A token for several programs is one that another of them could show to us.
    if audiences != [client_id] || claims.azp.as_deref().is_some_and(|party| party != client_id) {
        return Err(Fault::Audience);
    }
    Ok(())
}

fn check_times(claims: &Claims, now_s: i64) -> Result<(), Fault> {
    let Some(expires) = claims.exp.as_ref().and_then(seconds) else { return Err(Fault::Expired) };
    if expires.saturating_add(SKEW_S) <= now_s {
        return Err(Fault::Expired);
    }
    let Some(made) = claims.iat.as_ref().and_then(seconds) else { return Err(Fault::Early) };
    let from = claims.nbf.as_ref().map_or(Some(made), seconds).ok_or(Fault::Early)?;
    if made.max(from) > now_s.saturating_add(SKEW_S) { Err(Fault::Early) } else { Ok(()) }
}

/// A time of a token, whose fraction does not count.
fn seconds(value: &Value) -> Option<i64> {
    let text = value.as_number()?.to_string();
    text.split('.').next().and_then(|whole| whole.parse().ok())
}

fn identity(claims: Claims, expected: &Expected<'_>) -> Result<Identity, Fault> {
    let subject = claims.sub.filter(|subject| !subject.is_empty() && subject.len() <= SUBJECT_LETTERS_MAX);
    let subject = subject.ok_or(Fault::Subject)?;
    let email = claims.email.map(|email| email.trim().to_lowercase()).unwrap_or_default();
    let Some((name, mail_domain)) =
        email.rsplit_once('@').filter(|(name, domain)| !name.is_empty() && !domain.is_empty())
    else {
        return Err(Fault::NoEmail);
    };
    // Some issuers say it as text.
    let verified = matches!(&claims.email_verified, Some(Value::Bool(true)))
        || matches!(&claims.email_verified, Some(Value::String(text)) if text == "true");
    if !verified {
        return Err(Fault::Unverified);
    }
    let domain = match expected.domain_from {
        DomainFrom::Hd => claims.hd.as_deref().filter(|domain| !domain.is_empty()).ok_or(Fault::NoDomain)?,
        DomainFrom::Email => mail_domain,
    };
    let domain = domain.to_lowercase();
    if !expected.domains.contains(&domain) {
        return Err(Fault::WrongDomain);
    }
    let shown = claims.name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    let shown = shown.unwrap_or_else(|| name.to_owned()).chars().filter(|c| !c.is_control()).take(120).collect();
    Ok(Identity { subject, email, shown, domain })
}
