//! Tiles in one file with directories (PMTiles, version 3).

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use pmtiles::{PmTilesStreamWriter, PmTilesWriter, TileType};

use super::{
    super::{Metadata, TileCoord, TileError, TileFormat},
    TileWriter, publish,
};

/// An archive that grows.
pub(super) struct PmTiles {
    path: PathBuf,
    temporary: PathBuf,
    writer: PmTilesStreamWriter<File>,
}

impl PmTiles {
    pub fn create(path: &Path, temporary: PathBuf, metadata: &Metadata) -> Result<Self, TileError> {
        let kind = match metadata.format {
            TileFormat::Png => TileType::Png,
            TileFormat::Jpeg => TileType::Jpeg,
            TileFormat::Webp => TileType::Webp,
        };
        let [west, south, east, north] = metadata.bounds;
        let ([longitude, latitude], zoom) = metadata.center();
        let file = File::create(&temporary).map_err(TileError::write(&temporary))?;
        let writer = PmTilesWriter::new(kind)
            .min_zoom(metadata.min_zoom)
            .max_zoom(metadata.max_zoom)
            .bounds(west, south, east, north)
            .center(longitude, latitude)
            .center_zoom(zoom)
            .metadata(metadata.tile_json(None).to_string())
            .create(file)
            .map_err(|error| refused(path, error))?;
        Ok(Self { path: path.to_owned(), temporary, writer })
    }
}

fn refused(path: &Path, error: pmtiles::PmtError) -> TileError {
    TileError::write(path)(std::io::Error::other(error))
}

impl TileWriter for PmTiles {
    fn put(&mut self, coord: TileCoord, bytes: &[u8]) -> Result<(), TileError> {
        let place = pmtiles::TileCoord::new(coord.z, coord.x, coord.y);
        let put = place.and_then(|place| self.writer.add_tile(place, bytes));
        put.map_err(|error| refused(&self.path, error))
    }

    fn finish(self: Box<Self>) -> Result<(), TileError> {
        let Self { path, temporary, writer } = *self;
        writer.finalize().map_err(|error| refused(&path, error))?;
        File::open(&temporary).and_then(|file| file.sync_all()).map_err(TileError::write(&path))?;
        publish(&temporary, &path)
    }
}
