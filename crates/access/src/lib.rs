//! naru-access.
