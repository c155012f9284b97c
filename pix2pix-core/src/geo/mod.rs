//! Pictures with a place on the earth: GeoTIFF in and out, world files. Knows nothing of networks.
//!
//! Tags of the GeoTIFF standard (OGC 19-008r4) are kept as they are, so that a coordinate system comes through whether or not it is
//! understood here; where pictures meet on a map, it has to be.

mod crs;
mod error;
mod layer;
mod mask;
mod raster;
mod reference;
mod sink;
mod writer;

pub use crs::Crs;
pub use error::GeoError;
pub use layer::{Layer, Patch, Pixels};
pub use raster::{Imagery, ImageryOptions, Raster};
pub use reference::{Georeference, place_of, read_world_file, world_file_path, write_world_file};
pub use sink::{Gaps, RowSink};
pub use writer::{RasterSpec, Rows, write_raster};

#[cfg(test)]
mod tests;
