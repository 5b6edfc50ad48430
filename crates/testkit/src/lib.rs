//! naru-testkit.
