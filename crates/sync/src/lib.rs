//! naru-sync.
