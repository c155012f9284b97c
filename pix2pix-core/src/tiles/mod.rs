//! Map tiles: their numbering, reduced zooms, formats of pictures and of archives, TileJSON. Knows pictures, not how they come about.

pub mod coord;
mod decode;
mod encode;
mod error;
mod metadata;
mod picture;
mod read;
mod write;

pub use coord::{TileCoord, World};
pub use decode::decode;
pub use encode::{TileFormat, encode};
pub use error::TileError;
pub use metadata::{Metadata, Scheme};
pub use picture::TilePicture;
pub use read::{TileReader, open};
pub use write::{Kind, TileWriter, create};

#[cfg(test)]
mod tests;
