//! From pictures with a place to map tiles of a whole region: planned once, translated block by block on whatever machines there
//! are, merged into one export.
//!
//! A plan says everything that the result depends on, and its fingerprint stands for all of it. A block is a square of the world's
//! pixels at the largest zoom; what becomes of it is a function of plan and sources, so blocks may be translated in any order,
//! again, or elsewhere. A finished block is one file with its tiles of all zooms that lie within it.

mod block;
mod error;
mod input;
mod merge;
mod mosaic;
mod plan;
mod work;

pub use block::{Progress, Translated, translate};
pub use error::RegionError;
pub use input::{Input, Inputs};
pub use merge::{Export, merge};
pub use mosaic::Mosaic;
pub use plan::{Block, Plan, RegionOptions, plan};
pub use work::{Shard, ShardReport, Work};

#[cfg(test)]
mod tests;
