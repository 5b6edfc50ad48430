//! naru-quality.
