//! naru-flow.
