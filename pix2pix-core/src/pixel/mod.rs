//! Pictures, label maps and planes, and the only conversions between them.
//!
//! Knows nothing of pairs, networks or burn. Files are read in [`decode`], written in [`encode`]; resizing that equals
//! Pillow's is in [`resize`].

pub mod decode;
pub mod encode;
pub mod resize;

mod canvas;
mod error;
mod picture;
mod planes;

pub use canvas::{Canvas, Sink};
pub use error::PixelError;
pub use picture::{LabelMap, Picture, Rect, Samples};
pub use planes::{Planes, byte_to_value, value_to_byte};
