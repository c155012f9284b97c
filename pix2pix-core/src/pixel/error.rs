//! What can go wrong with a picture in memory or in a file.

use std::path::PathBuf;

/// A picture that cannot be read, written or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PixelError {
    /// The number of values does not fit the sides.
    #[error("{width}x{height} pixels with {channels} channels do not make {found} values")]
    Length {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Values of a pixel.
        channels: usize,
        /// Number of values found.
        found: usize,
    },
    /// The system refused to read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The system refused to write.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The bytes are no whole picture of a known format.
    #[error("{} is not a whole picture: {reason}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        reason: String,
    },
    /// The picture is larger than any that is taken.
    #[error("{} has {width}x{height} pixels, at most {limit} are taken", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Most pixels that are taken.
        limit: u64,
    },
    /// Label ids were expected, and the picture holds colours.
    #[error("{} holds {found}, label ids come as gray or palette pictures", path.display())]
    NotLabels {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
    },
    /// The encoder failed.
    #[error("cannot encode {}: {reason}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// What the encoder says.
        reason: String,
    },
    /// The name ends in no format that can be written.
    #[error("cannot tell a picture format from {}, known endings are {known}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Endings that are known.
        known: &'static str,
    },
}
