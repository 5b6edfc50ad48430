//! naru-server.
