//! What can be wrong with accounts, sessions and tokens.
//!
//! Owns: [`AccessError`] and its one translation to [`Problem`]. A wrong token or cookie is no error: then there is
//! nobody.

use naru_base::Problem;
use naru_store::StoreError;

/// An error of making, ending or listing accounts and tokens.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A name that cannot be a user name.
    #[error("\"{name}\" cannot be the name of a token or service account")]
    BadName {
        /// The name.
        name: String,
    },
    /// A live token of the same holder has the name.
    #[error("there is already a token named \"{name}\"")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// No live token has the name or number.
    #[error("there is no token named \"{name}\"")]
    NoSuchToken {
        /// The name or number.
        name: String,
    },
    /// A scope that means nothing.
    #[error("\"{text}\" is nothing that a token can be for")]
    BadScope {
        /// As written.
        text: String,
    },
    /// A token that would be for nothing.
    #[error("a token must be for something")]
    NoScope,
    /// A life of a token or service account out of bounds.
    #[error("it cannot be for {days} days")]
    BadLife {
        /// What was asked for.
        days: u64,
        /// The most there is.
        most: u64,
    },
    /// One holder has too many tokens.
    #[error("there are {most} tokens already")]
    TooManyTokens {
        /// The most a holder may have.
        most: usize,
    },
    /// A person whom somebody said to have left.
    #[error("{name} has left")]
    Left {
        /// Their e-mail.
        name: String,
    },
    /// Nobody has the number.
    #[error("there is no such person")]
    NoSuchPerson,
    /// Somebody cannot be their own heir.
    #[error("{name} cannot take over from themselves")]
    OwnHeir {
        /// Their e-mail.
        name: String,
    },
    /// No live service account has the name.
    #[error("there is no service account named \"{name}\"")]
    NoSuchService {
        /// The name.
        name: String,
    },
    /// A live service account has the name.
    #[error("there is already a service account named \"{name}\"")]
    ServiceTaken {
        /// The name.
        name: String,
    },
    /// A text that is neither an address nor a network.
    #[error("\"{text}\" is neither an address nor a network")]
    BadNetwork {
        /// As written.
        text: String,
    },
    /// No open session of the asker has the number.
    #[error("there is no such session")]
    NoSuchSession,
    /// The state database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AccessError {
    /// The error as every surface prints it.
    pub fn problem(&self) -> Problem {
        let summary = self.to_string();
        match self {
            Self::BadName { .. } => {
                Problem::new("access.bad_name", summary).hint("Use letters, digits, - _ . and at most 63 bytes.")
            }
            Self::NameTaken { .. } => {
                Problem::new("access.name_taken", summary).hint("Choose another name, or revoke that token first.")
            }
            Self::NoSuchToken { .. } => {
                Problem::new("access.no_such_token", summary).hint("The list of tokens shows those there are.")
            }
            Self::BadScope { .. } => {
                Problem::new("access.bad_scope", summary).hint("Use query, api, send:TOPIC or receive:TOPIC.")
            }
            Self::NoScope => Problem::new("access.no_scope", summary)
                .hint("Choose at least one of query, api, send:TOPIC, receive:TOPIC."),
            Self::BadLife { most, .. } => {
                Problem::new("access.bad_life", summary).hint(format!("Choose from 1 to {most} days."))
            }
            Self::TooManyTokens { .. } => {
                Problem::new("access.too_many_tokens", summary).hint("Revoke those that are not needed any more.")
            }
            Self::Left { .. } => Problem::new("access.left", summary)
                .detail("Their account was closed here, whatever the sign-in says.")
                .hint("An administrator can tell more."),
            Self::NoSuchPerson => {
                Problem::new("access.no_such_person", summary).detail("People are known from their first sign-in on.")
            }
            Self::OwnHeir { .. } => Problem::new("access.own_heir", summary).hint("Name somebody else."),
            Self::NoSuchService { .. } => Problem::new("access.no_such_service", summary)
                .hint("The list of service accounts shows those there are."),
            Self::ServiceTaken { .. } => Problem::new("access.service_taken", summary).hint("Choose another name."),
            Self::BadNetwork { .. } => {
                Problem::new("access.bad_network", summary).hint("Write 10.0.0.7, 10.0.0.0/8 or 2001:db8::/32.")
            }
            Self::NoSuchSession => {
                Problem::new("access.no_such_session", summary).detail("It has ended, or it is somebody else's.")
            }
            Self::Store(error) => error.problem(),
        }
    }
}
