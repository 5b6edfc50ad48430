//! Joins the features of every outside crate, so that `cargo build -p X` and `cargo build --workspace` share artefacts.
//!
//! Owns: nothing but its `Cargo.toml`. Never holds code. Every crate reaches it through `naru-testkit`
//! (a dev-dependency), and `naru` directly. See `docs/decisions/0001-one-feature-set.md`.
