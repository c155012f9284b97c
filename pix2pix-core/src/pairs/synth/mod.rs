//! Generated pairs: the data that this toolkit carries with it, from nothing but a seed.
//!
//! Knows pictures and where they are written; nothing of training.

mod noise;
pub mod town;
