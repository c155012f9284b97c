//! What can go wrong with a region.

use std::path::PathBuf;

use crate::{geo::GeoError, pixel::PixelError, tiles::TileError, translate::TranslateError};

/// A region that cannot be planned, translated or merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegionError {
    /// A picture cannot be read or written.
    #[error(transparent)]
    Pixel(#[from] PixelError),
    /// A georeferenced picture cannot be used.
    #[error(transparent)]
    Geo(#[from] GeoError),
    /// Tiles cannot be read or written.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// The network cannot translate it.
    #[error(transparent)]
    Translate(#[from] TranslateError),
    /// The system refused something in the folder of the work.
    #[error("cannot use {}", path.display())]
    Work {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file of the work is not what it should be.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process has the work.
    #[error("another process is at work in {}", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// An input that lies nowhere.
    #[error("{} has no place: it has neither georeference nor world file", path.display())]
    NoPlace {
        /// The file.
        path: PathBuf,
    },
    /// An input without a coordinate system.
    #[error("{} does not say its coordinate system", path.display())]
    NoSystem {
        /// The file.
        path: PathBuf,
    },
    /// The model takes something else than pictures.
    #[error("tiles are made with models that take pictures, {} takes label ids", path.display())]
    Labels {
        /// The model.
        path: PathBuf,
    },
    /// Zooms that make no sense.
    #[error("zooms {least}..{most} are not within 0..{}", crate::tiles::coord::MOST_ZOOM)]
    Zooms {
        /// The smallest.
        least: u8,
        /// The largest.
        most: u8,
    },
    /// Options that do not fit each other.
    #[error("{reason}")]
    Options {
        /// Which, and why.
        reason: String,
    },
    /// Nothing to translate.
    #[error("the inputs hold nothing at zoom {zoom}")]
    Nothing {
        /// The largest zoom.
        zoom: u8,
    },
    /// What is there was made from something else.
    #[error("{} has the fingerprint {found}, model, options and inputs now have {expected}", path.display())]
    Fingerprint {
        /// The export, plan or file.
        path: PathBuf,
        /// Its fingerprint.
        found: String,
        /// The one that was expected.
        expected: String,
    },
    /// Blocks that are not there.
    #[error("{} of {total} blocks are not done: {}", missing.len(), some_of(missing))]
    Incomplete {
        /// Their numbers.
        missing: Vec<usize>,
        /// Number of blocks.
        total: usize,
    },
}

/// The first numbers, for people.
fn some_of(numbers: &[usize]) -> String {
    let shown = numbers.iter().take(8).map(usize::to_string).collect::<Vec<_>>().join(", ");
    if numbers.len() > 8 { format!("{shown}, ...") } else { shown }
}

impl RegionError {
    /// Whether the same command may work later: the system refused, nothing is wrong with what was given.
    pub fn may_pass(&self) -> bool {
        use crate::pixel::PixelError::{Read, Write};
        matches!(
            self,
            Self::Work { .. }
                | Self::InUse { .. }
                | Self::Pixel(Read { .. } | Write { .. })
                | Self::Geo(GeoError::Pixel(Read { .. } | Write { .. }))
                | Self::Tile(TileError::Pixel(Read { .. } | Write { .. }))
                | Self::Translate(TranslateError::Pixel(Read { .. } | Write { .. }))
        )
    }
}
