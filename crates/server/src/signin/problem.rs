//! Why somebody was not let in, as the sign-in page and the log are told.
//!
//! Owns: [`Refusal`] and its stable codes. Never says more to a browser than a code: whoever stands before the page need
//! not know what the issuer said of an account.

use naru_access::AccessError;
use naru_base::{Problem, problem::chain};

use super::provider::{ProviderError, claims::Fault};

/// Why a sign-in ended without one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// It was not begun in this browser, or begun too long ago, or ended already.
    #[error("the sign-in was not begun here, or too long ago")]
    Unknown,
    /// The answer is another issuer's.
    #[error("another issuer answered")]
    MixedUp,
    /// The issuer said no; its word for it.
    #[error("the issuer did not sign the person in ({0})")]
    Denied(String),
    /// Nobody is signed in at the issuer, and nobody was to be asked.
    #[error("the issuer would have to ask")]
    NotQuiet,
    /// Too many sign-ins are begun from one address.
    #[error("too many sign-ins are begun")]
    TooMany,
    /// The issuer cannot be asked, or vouches for nobody.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The sign-in could not be written down.
    #[error("{0}")]
    Audit(Problem),
    /// The account is closed here, or the state database cannot be used.
    #[error(transparent)]
    Access(#[from] AccessError),
}

impl Refusal {
    /// Stable; the sign-in page has a text for each.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "signin.unknown",
            Self::MixedUp => "signin.mixed_up",
            Self::Denied(_) => "signin.denied",
            Self::NotQuiet => "signin.not_quiet",
            Self::TooMany => "signin.too_many",
            Self::Provider(ProviderError::Unreachable { .. }) => "signin.unreachable",
            Self::Provider(ProviderError::Unusable { .. }) => "signin.unusable",
            Self::Provider(ProviderError::Refused(_)) => "signin.refused",
            Self::Provider(ProviderError::Token(fault)) => match fault {
                Fault::NoEmail => "signin.no_email",
                Fault::Unverified => "signin.unverified",
                Fault::NoDomain => "signin.no_domain",
                Fault::WrongDomain => "signin.wrong_domain",
                Fault::Expired | Fault::Early => "signin.clock",
                Fault::Malformed
                | Fault::Algorithm
                | Fault::UnknownKey
                | Fault::Signature
                | Fault::Issuer
                | Fault::Audience
                | Fault::Nonce
                | Fault::Subject => "signin.token",
            },
            Self::Access(AccessError::Left { .. }) => "signin.left",
            Self::Access(_) | Self::Audit(_) => "signin.store",
        }
    }

    /// For the log, with the chain of causes.
    pub(crate) fn told(&self) -> String {
        chain(self)
    }

    /// As an answer of a program's request.
    pub(crate) fn problem(&self) -> Problem {
        let problem = Problem::new(self.code(), self.to_string());
        match self {
            Self::TooMany | Self::Provider(ProviderError::Unreachable { .. }) => problem.later(),
            _ => problem,
        }
    }
}
