//! Tiles as files of their own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    super::{Metadata, Scheme, TileCoord, TileError, read::TILE_JSON},
    TileWriter, publish,
};

/// A folder that grows.
pub(super) struct Folder {
    path: PathBuf,
    temporary: PathBuf,
    metadata: Metadata,
    column: Option<PathBuf>,
}

impl Folder {
    pub fn create(path: &Path, temporary: PathBuf, metadata: &Metadata) -> Result<Self, TileError> {
        fs::create_dir(&temporary).map_err(TileError::write(&temporary))?;
        Ok(Self { path: path.to_owned(), temporary, metadata: metadata.clone(), column: None })
    }
}

impl TileWriter for Folder {
    fn put(&mut self, coord: TileCoord, bytes: &[u8]) -> Result<(), TileError> {
        let column = self.temporary.join(format!("{}/{}", coord.z, coord.x));
        if self.column.as_ref() != Some(&column) {
            fs::create_dir_all(&column).map_err(TileError::write(&column))?;
            self.column = Some(column.clone());
        }
        let row = if self.metadata.scheme == Scheme::Tms { coord.tms_row() } else { coord.y };
        let file = column.join(format!("{row}.{}", self.metadata.format.ending()));
        fs::write(&file, bytes).map_err(TileError::write(&file))
    }

    fn finish(self: Box<Self>) -> Result<(), TileError> {
        let tiles = format!("{{z}}/{{x}}/{{y}}.{}", self.metadata.format.ending());
        let json = self.temporary.join(TILE_JSON);
        let text = format!("{:#}\n", self.metadata.tile_json(Some(&tiles)));
        fs::write(&json, text).map_err(TileError::write(&json))?;
        publish(&self.temporary, &self.path)
    }
}
