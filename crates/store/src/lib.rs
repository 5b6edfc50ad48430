//! naru-store.
