//! One test per script under `scripts/`. See `README.md` there for the words of a script.

include!(concat!(env!("OUT_DIR"), "/scripts.rs"));
