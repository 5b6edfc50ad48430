//! Signing requests to Amazon with version 4 of its signatures.
//!
//! Owns: the canonical form of a POST without a query, and the signature over it
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>). Never sends anything.

use jiff::{Timestamp, tz::TimeZone};
use naru_base::Secret;

use crate::signature::{hmac_sha256, sha256_hex};

/// Who signs, and for what.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(crate) access_key: Secret,
    pub(crate) secret_key: Secret,
    pub(crate) region: String,
    /// For example `sqs`.
    pub(crate) service: &'static str,
}

/// `20150830T123600Z`.
pub(crate) fn stamp(now: Timestamp) -> String {
    now.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string()
}

impl Signer {
    /// The value of `Authorization` for a POST to a path. `headers` are all that is signed, with lowercase names, in
    /// order; `x-amz-date` is one of them and is `stamp`.
    pub(crate) fn authorization(&self, path: &str, headers: &[(&str, &str)], body: &[u8], stamp: &str) -> String {
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut request = format!("POST\n{path}\n\n");
        for (name, value) in headers {
            request.extend([name, ":", value.trim(), "\n"]);
        }
        request.extend(["\n", &names, "\n", &sha256_hex(body)]);
        let day = stamp.get(..8).unwrap_or(stamp);
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", sha256_hex(request.as_bytes()));
        let first = format!("AWS4{}", self.secret_key.expose());
        let parts = [day, &self.region, self.service, "aws4_request", &to_sign];
        let signature =
            parts.iter().fold(first.into_bytes(), |key, part| hmac_sha256(&key, &[part.as_bytes()]).to_vec());
        let key = self.access_key.expose();
        format!(
            "AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={}",
            hex::encode(signature)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amazons_own_vectors_hold() {
        let signer = Signer {
            access_key: Secret::new("AKIDEXAMPLE"),
            secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            region: "us-east-1".into(),
            service: "service",
        };
        let now: Timestamp = "2015-08-30T12:36:00Z".parse().unwrap();
        let (host, date) = (("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z"));
        assert_eq!(stamp(now), date.1);
        let form = ("content-type", "application/x-www-form-urlencoded");
        let cases = [
            (
                vec![host, date],
                "",
                "host;x-amz-date",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                vec![form, host, date],
                "Param1=value1",
                "content-type;host;x-amz-date",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ];
        for (headers, body, names, signature) in cases {
            assert_eq!(
                signer.authorization("/", &headers, body.as_bytes(), date.1),
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={names}, Signature={signature}"
                )
            );
        }
    }
}
