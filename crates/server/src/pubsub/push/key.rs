//! The key that signs the tokens of pushes.
//!
//! Owns: making it once, keeping it in the state database, signing, and what endpoints need to check a signature.
//! Never shows the key itself.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use naru_base::time::now_us;
use naru_store::{Store, StoreError, kv};
use rand::RngCore as _;
use serde_json::{Value, json};

/// Where the state database has it.
const KEY: &str = "pubsub.push_key";
/// How long a token is good, seconds.
const LIFE_S: i64 = 3600;
/// A private key of P-256 in PKCS #8, before its 32 bytes (RFC 5915, RFC 5208).
const BEFORE: [u8; 35] = [
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20,
];

/// A signing key. Clones are the same.
#[derive(Clone)]
pub(in crate::pubsub) struct PushKey {
    key: Arc<EncodingKey>,
    public: Arc<Jwk>,
    id: String,
    issuer: String,
}

impl std::fmt::Debug for PushKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl PushKey {
    /// The key of a project; made on the first call. `issuer` is where endpoints find its public half.
    pub(in crate::pubsub) async fn open(store: &Store, issuer: String) -> Result<Self, StoreError> {
        let unreadable = StoreError::Unreadable { what: "push key" };
        let stored = store.write(|db| {
            if let Some(text) = kv::get(db, KEY)? {
                return Ok(text);
            }
            let text = made();
            kv::set(db, KEY, &text)?;
            Ok(text)
        });
        let scalar = hex::decode(stored.await?).map_err(|_| StoreError::Unreadable { what: "push key" })?;
        Self::of(&scalar, issuer).ok_or(unreadable)
    }

    fn of(scalar: &[u8], issuer: String) -> Option<Self> {
        let key = EncodingKey::from_ec_der(&[&BEFORE, scalar].concat());
        let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256).ok()?;
        // The name of the key is the hash of its public half, so that another key has another name.
        let text = serde_json::to_string(&public).ok()?;
        let id = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()));
        public.common.key_id = Some(id.clone());
        Some(Self { key: Arc::new(key), public: Arc::new(public), id, issuer })
    }

    /// A token that says who pushes.
    pub(super) fn token(&self, email: &str, audience: &str) -> Result<String, jsonwebtoken::errors::Error> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.clone());
        let now_s = now_us() / 1_000_000;
        let claims = json!({"iss": self.issuer, "aud": audience, "sub": email, "azp": email, "email": email,
                            "email_verified": true, "iat": now_s, "exp": now_s + LIFE_S});
        jsonwebtoken::encode(&header, &claims, &self.key)
    }

    /// What endpoints read to check a token: one path for the keys, one that leads there.
    pub(in crate::pubsub) fn well_known(&self, path: &str) -> Option<Value> {
        match path {
            "/.well-known/jwks.json" => Some(json!({"keys": [*self.public]})),
            "/.well-known/openid-configuration" => Some(json!({
                "issuer": self.issuer,
                "jwks_uri": format!("{}/.well-known/jwks.json", self.issuer),
                "id_token_signing_alg_values_supported": ["ES256"],
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
            })),
            _ => None,
        }
    }
}

/// A new private key that is one, as hexadecimal text.
fn made() -> String {
    loop {
        let mut scalar = [0; 32];
        rand::rng().fill_bytes(&mut scalar);
        // All but one in 2^32 random numbers are keys.
        if PushKey::of(&scalar, String::new()).is_some() {
            return hex::encode(scalar);
        }
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;

    #[test]
    fn a_token_is_checked_by_what_is_published() {
        let scalar = hex::decode(made()).unwrap();
        let key = PushKey::of(&scalar, "http://127.0.0.1:6280".to_owned()).unwrap();
        let token = key.token("push@acme", "https://acme/push").unwrap();
        let published = key.well_known("/.well-known/jwks.json").unwrap();
        let public: Jwk = serde_json::from_value(published["keys"][0].clone()).unwrap();
        assert!(!published.to_string().contains("\"d\""), "the private half stays here");
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&["https://acme/push"]);
        let read = decode::<Value>(&token, &DecodingKey::from_jwk(&public).unwrap(), &validation).unwrap();
        assert_eq!((&read.claims["email"], read.header.kid), (&json!("push@acme"), public.common.key_id.clone()));
        validation.set_audience(&["https://other"]);
        assert!(decode::<Value>(&token, &DecodingKey::from_jwk(&public).unwrap(), &validation).is_err());
    }
}
