//! Messages and services of other people's protocols, generated from their published definitions.
//!
//! Owns: the modules as the generators expect them. Never edited by hand: `pubsub.fds` is the descriptor set that
//! `google` is generated from (protox, tonic-prost-build); the OTLP modules come from the descriptors
//! in the published Python package (prost-build). After generating, `as i32` is replaced by `i32::from`, and
//! the clients are left out: only tests call, and have them in `tests/pubsub/generated`.

#![allow(clippy::all, clippy::pedantic, missing_docs, rustdoc::all)]

/// `google.*`.
pub mod google {
    /// `google.pubsub.*`.
    pub mod pubsub {
        pub mod v1;
    }
    /// `google.iam.*`.
    pub mod iam {
        pub mod v1;
    }
    pub mod r#type;
}

/// `opentelemetry.*`.
pub mod opentelemetry {
    /// `opentelemetry.proto.*`.
    pub mod proto {
        /// Logs.
        pub mod logs {
            pub mod v1;
        }
        /// Values.
        pub mod common {
            pub mod v1;
        }
        /// Resources.
        pub mod resource {
            pub mod v1;
        }
        /// The service that takes logs.
        pub mod collector {
            /// Logs.
            pub mod logs {
                pub mod v1;
            }
        }
    }
}
