//! What can go wrong with georeferenced files.

use std::path::PathBuf;

use crate::pixel::PixelError;

/// A georeferenced picture that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GeoError {
    /// As with any picture.
    #[error(transparent)]
    Pixel(#[from] PixelError),
    /// The file is whole and of a kind that is not read here.
    #[error("{} holds {found}; {expected}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
        /// What is read.
        expected: &'static str,
    },
    /// Bands that the file does not have, or not as many as the model takes.
    #[error("{} has {available} bands without alpha, the model takes {wanted}, asked for {asked}", path.display())]
    Bands {
        /// The file.
        path: PathBuf,
        /// Bands of the file.
        available: usize,
        /// Channels of the model.
        wanted: usize,
        /// The bands asked for, from 1.
        asked: String,
    },
    /// A coordinate system that is not known or cannot be computed here.
    #[error("EPSG:{epsg} cannot be used: {reason}")]
    Crs {
        /// The code.
        epsg: u16,
        /// Why.
        reason: String,
    },
    /// The file says one coordinate system, somebody else another.
    #[error("{} says EPSG:{found}, asked for is EPSG:{given}", path.display())]
    TwoSystems {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: u16,
        /// What else was said.
        given: u16,
    },
    /// A picture cannot be put into its place.
    #[error("the picture has no place on a map: {reason}")]
    Place {
        /// Why.
        reason: String,
    },
    /// A world file that does not hold six numbers.
    #[error("{} is no world file: {reason}", path.display())]
    WorldFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}
