//! Tiles from folders and archives.

mod folder;
mod mbtiles;
mod pmtiles;

use std::path::Path;

use super::{Metadata, TileCoord, TileError};

pub(super) use folder::TILE_JSON;

/// Tiles that are there to be read.
pub trait TileReader: Send + Sync {
    /// What they say of themselves.
    fn metadata(&self) -> &Metadata;

    /// The bytes of a tile; `None` where there is none.
    ///
    /// # Errors
    /// What the system refuses, and damaged archives.
    fn tile(&self, coord: TileCoord) -> Result<Option<Vec<u8>>, TileError>;

    /// All tiles of a zoom, in no particular order.
    ///
    /// # Errors
    /// As [`Self::tile`].
    fn coords(&self, zoom: u8) -> Result<Vec<TileCoord>, TileError>;

    /// The file, when all tiles are in one.
    fn archive(&self) -> Option<&Path> {
        None
    }
}

/// Opens an `.mbtiles` or `.pmtiles` archive, a folder of `z/x/y.png` or one of `x-y-z.png`.
///
/// # Errors
/// What is none of these, or holds no tiles.
pub fn open(path: &Path) -> Result<Box<dyn TileReader>, TileError> {
    Ok(match super::Kind::of(path) {
        super::Kind::MbTiles => Box::new(mbtiles::MbTiles::open(path)?),
        super::Kind::PmTiles => Box::new(pmtiles::PmTiles::open(path)?),
        super::Kind::Folder => Box::new(folder::FolderTiles::open(path)?),
    })
}
