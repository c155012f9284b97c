//! What can go wrong with tiles and their archives.

use std::path::PathBuf;

use crate::pixel::PixelError;

/// Tiles that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TileError {
    /// As with any picture.
    #[error(transparent)]
    Pixel(#[from] PixelError),
    /// What the name says is not what the file holds.
    #[error("{} is not a whole {kind} archive: {reason}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// MBTiles or PMTiles.
        kind: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No tiles where some were expected.
    #[error("there are no tiles in {}; {expected}", path.display())]
    NoTiles {
        /// The folder or archive.
        path: PathBuf,
        /// What is looked for.
        expected: &'static str,
    },
    /// Something stands where the tiles should go.
    #[error("{} exists", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// The metadata cannot be understood.
    #[error("{}: {reason}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl TileError {
    /// What the system refused to read.
    pub(super) fn read(path: &std::path::Path) -> impl Fn(std::io::Error) -> Self + '_ {
        |source| PixelError::Read { path: path.to_owned(), source }.into()
    }

    /// What the system refused to write.
    pub(super) fn write(path: &std::path::Path) -> impl Fn(std::io::Error) -> Self + '_ {
        |source| PixelError::Write { path: path.to_owned(), source }.into()
    }
}
