//! naru-project.
