//! What one room lends to another, made here because the rooms do not know each other.
//!
//! Owns: the adapters between flow's traits and googlesql, warehouse, lake and sync. Never adds behaviour of its own.

pub mod cuts;
mod dropped;
pub mod executor;
pub mod front;
mod storable;
pub mod tables;
