//! Paired image translation: from aligned pairs of pictures to a network that turns one into the other.
//!
//! The rooms, from left to right, each importing only those before it: [`pixel`], [`seed`], [`networks`], ... The core prints
//! nothing, reads no clock and no environment variable, and knows no command-line flag.

pub mod agreement;
pub mod batch;
pub mod checkpoint;
pub mod device;
pub mod evaluate;
pub mod geo;
pub mod kernels;
pub mod loss;
pub mod metrics;
pub mod networks;
pub mod pairs;
pub mod pixel;
pub mod region;
pub mod schedule;
pub mod seed;
pub mod tiles;
pub mod train;
pub mod translate;
pub mod vector;
