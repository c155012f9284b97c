//! Generated pairs.
