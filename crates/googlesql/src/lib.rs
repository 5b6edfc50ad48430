//! naru-googlesql.
