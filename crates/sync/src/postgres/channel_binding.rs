//! The hash of the server's certificate that binds a SCRAM sign-in to its TLS connection (`tls-server-end-point`).
//!
//! Owns: reading the signature algorithm out of a certificate and choosing the hash it names (RFC 5929, section 4.1).
//! Never verifies a certificate.

use sha2::{Digest, Sha256, Sha384, Sha512};

const SEQUENCE: u8 = 0x30;
const OBJECT_ID: u8 = 0x06;

/// Object identifiers of signature algorithms, and the hash each names. MD5 and SHA-1 count as SHA-256.
const ALGORITHMS: [(&[u8], Hash); 9] = [
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04], Hash::Sha256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05], Hash::Sha256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b], Hash::Sha256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c], Hash::Sha384),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d], Hash::Sha512),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01], Hash::Sha256),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], Hash::Sha256),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], Hash::Sha384),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04], Hash::Sha512),
];

#[derive(Clone, Copy)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// The binding data for a DER certificate; `None` when its algorithm names no hash (Ed25519, RSA-PSS).
pub(crate) fn server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let oid = signature_algorithm(certificate)?;
    let (_, hash) = ALGORITHMS.iter().find(|(known, _)| *known == oid)?;
    Some(match hash {
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

/// Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OBJECT IDENTIFIER, … }, … }
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (outer, _) = element(certificate, SEQUENCE)?;
    let (_, after_body) = element(outer, SEQUENCE)?;
    let (algorithm, _) = element(after_body, SEQUENCE)?;
    element(algorithm, OBJECT_ID).map(|(oid, _)| oid)
}

/// Takes one DER element of this tag: its content and what follows.
fn element(data: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = data.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    if first < 0x80 {
        return rest.split_at_checked(usize::from(first));
    }
    let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    if length.len() > 4 {
        return None;
    }
    let length = length.iter().fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_follows_the_signature_algorithm() {
        let certificate = |oid: &[u8]| {
            let algorithm = [&[OBJECT_ID, u8::try_from(oid.len()).unwrap()], oid].concat();
            let algorithm = [&[SEQUENCE, u8::try_from(algorithm.len()).unwrap()], algorithm.as_slice()].concat();
            let body = [&[SEQUENCE, 0x81, 200][..], &[0; 200]].concat();
            let inner = [body, algorithm].concat();
            [&[SEQUENCE, 0x82][..], &u16::try_from(inner.len()).unwrap().to_be_bytes(), &inner].concat()
        };
        for (oid, hash) in ALGORITHMS {
            let length = match hash {
                Hash::Sha256 => 32,
                Hash::Sha384 => 48,
                Hash::Sha512 => 64,
            };
            assert_eq!(server_end_point(&certificate(oid)).unwrap().len(), length);
        }
        assert_eq!(server_end_point(&certificate(&[0x2b, 0x65, 0x70])), None);
        assert_eq!(server_end_point(&[0x30, 0x84, 255, 255, 255, 255]), None);
    }
}
