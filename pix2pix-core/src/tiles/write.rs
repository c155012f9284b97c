//! Tiles become a folder or an archive, which stands under its name once it is whole.

mod folder;
mod mbtiles;
mod pmtiles;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use super::{Metadata, TileCoord, TileError};

/// Where tiles are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `z/x/y.png`.
    Folder,
    /// An SQLite file.
    MbTiles,
    /// One file with directories.
    PmTiles,
}

impl Kind {
    /// What a name says.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(OsStr::to_str) {
            Some("mbtiles") => Self::MbTiles,
            Some("pmtiles") => Self::PmTiles,
            _ => Self::Folder,
        }
    }
}

/// Takes tiles in the order of their Hilbert numbers.
pub trait TileWriter {
    /// Takes a tile.
    ///
    /// # Errors
    /// Whatever the system refuses.
    fn put(&mut self, coord: TileCoord, bytes: &[u8]) -> Result<(), TileError>;

    /// Ends the export: now it stands under its name. What stood there is replaced.
    ///
    /// # Errors
    /// Whatever the system refuses.
    fn finish(self: Box<Self>) -> Result<(), TileError>;
}

/// Begins an export of the kind that the name says. What an earlier one that was killed left behind is removed.
///
/// # Errors
/// Whatever the system refuses.
pub fn create(path: &Path, metadata: &Metadata) -> Result<Box<dyn TileWriter>, TileError> {
    let temporary = temporary(path);
    remove(&temporary)?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(TileError::write(parent))?;
    }
    Ok(match Kind::of(path) {
        Kind::Folder => Box::new(folder::Folder::create(path, temporary, metadata)?),
        Kind::MbTiles => Box::new(mbtiles::MbTiles::create(path, temporary, metadata)?),
        Kind::PmTiles => Box::new(pmtiles::PmTiles::create(path, temporary, metadata)?),
    })
}

/// The name beside the final one under which an export grows.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_else(|| OsStr::new("tiles")).to_string_lossy();
    path.with_file_name(format!(".{name}.unfinished"))
}

/// Removes a file or a folder, if it is there.
fn remove(path: &Path) -> Result<(), TileError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    removed.map_err(TileError::write(path))
}

/// Puts what is whole under its name.
fn publish(temporary: &Path, path: &Path) -> Result<(), TileError> {
    if path.is_dir() {
        remove(path)?;
    }
    fs::rename(temporary, path).map_err(TileError::write(path))
}
