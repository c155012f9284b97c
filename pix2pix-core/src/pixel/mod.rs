//! Pictures, label maps and planes, and the only conversions between them.
//!
//! Knows nothing of pairs, networks or burn. Files are read in [`decode`], written in [`encode`]; resizing that equals
//! Pillow's is in [`resize`].

pub mod decode;
pub mod encode;
pub mod resize;

/// What can go wrong with a picture in memory or in a file.
pub use error::PixelError;
mod error;
mod picture;
mod planes;

pub use picture::{LabelMap, Picture, Rect, Samples};
pub use planes::Planes;
