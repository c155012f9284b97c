//! What can go wrong with a data set.

use std::{fmt, path::PathBuf};

use serde::Serialize;

use super::Layout;
use crate::pixel::PixelError;

/// A file that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadFile {
    /// The file.
    pub path: PathBuf,
    /// Why, in a sentence.
    pub reason: String,
}

impl fmt::Display for BadFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path.display(), self.reason)
    }
}

/// A data set or a pair that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairsError {
    /// The folder is not there or is none.
    #[error("{} is not a folder", path.display())]
    NotAFolder {
        /// What was given.
        path: PathBuf,
    },
    /// No pair was found.
    #[error("no pairs in {}: looked for {looked_for}; found {found}", path.display())]
    NoPairs {
        /// The folder.
        path: PathBuf,
        /// The layouts and names that were tried.
        looked_for: String,
        /// What is there instead.
        found: String,
    },
    /// Files of one side have no partner on the other.
    #[error(
        "{} files in {} and {} in {} have no partner of the same stem: {}",
        only_a.len(), a.display(), only_b.len(), b.display(), shorten(only_a, only_b)
    )]
    Unmatched {
        /// The folder of one side.
        a: PathBuf,
        /// The folder of the other side.
        b: PathBuf,
        /// Stems that only A has.
        only_a: Vec<String>,
        /// Stems that only B has.
        only_b: Vec<String>,
    },
    /// Two files of one side have the same stem.
    #[error("{} and {} have the same stem, and only one can be the partner", first.display(), second.display())]
    SameStem {
        /// One of them.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// Options that contradict each other or the layout.
    #[error("{reason}")]
    Options {
        /// What does not go together.
        reason: String,
    },
    /// The layout asked for is not what the folder holds.
    #[error("{} is not laid out as {layout}: {reason}", path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// The layout asked for.
        layout: Layout,
        /// What is missing.
        reason: String,
    },
    /// A file cannot be read as a picture.
    #[error(transparent)]
    Pixel(#[from] PixelError),
    /// A side-by-side picture cannot be halved.
    #[error("{} is {width} pixels wide: two pictures side by side have an even width", path.display())]
    OddWidth {
        /// The file.
        path: PathBuf,
        /// Its width.
        width: usize,
    },
    /// A label id that is not below the number of labels.
    #[error("{}: id {id} at pixel ({x}, {y}), with {count} labels ids go from 0 to {}", path.display(), count - 1)]
    LabelRange {
        /// The label map.
        path: PathBuf,
        /// The id.
        id: u32,
        /// Its column.
        x: usize,
        /// Its row.
        y: usize,
        /// Number of labels.
        count: usize,
    },
    /// Two files of a pair must have one size and have not.
    #[error("{name}: {what} is {}x{} pixels, {other} {}x{}", size.0, size.1, other_size.0, other_size.1)]
    Sizes {
        /// The pair.
        name: String,
        /// One of them.
        what: &'static str,
        /// Its width and height.
        size: (usize, usize),
        /// The other.
        other: &'static str,
        /// Its width and height.
        other_size: (usize, usize),
    },
    /// A picture is smaller than the crop that is to be cut out of it.
    #[error("{name} is {}x{} pixels, smaller than the crop of {}x{}", size.0, size.1, crop.0, crop.1)]
    SmallerThanCrop {
        /// The pair.
        name: String,
        /// Its width and height.
        size: (usize, usize),
        /// Width and height of the crop.
        crop: (usize, usize),
    },
    /// Files that cannot be used; all of them at once.
    #[error("{} of {total} pairs cannot be used:{}", files.len(), list(files))]
    BadFiles {
        /// The files.
        files: Vec<BadFile>,
        /// Number of pairs looked at.
        total: usize,
    },
    /// The system refused.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A worker of the loader died.
    #[error("loading stopped unexpectedly: {reason}")]
    Worker {
        /// What it said.
        reason: String,
    },
}

impl PairsError {
    /// The file that the error is about, where it is one.
    pub fn bad_file(&self, fallback: &std::path::Path) -> BadFile {
        let full = |error: &dyn std::error::Error| {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(next) = cause {
                text = format!("{text}: {next}");
                cause = next.source();
            }
            text
        };
        let (path, reason) = match self {
            Self::Pixel(PixelError::Decode { path, reason }) => (path, reason.clone()),
            Self::Pixel(PixelError::Read { path, source }) => (path, source.to_string()),
            Self::Pixel(PixelError::TooLarge { path, .. } | PixelError::NotLabels { path, .. }) => (path, full(self)),
            Self::OddWidth { path, .. } | Self::LabelRange { path, .. } | Self::Io { path, .. } => (path, full(self)),
            other => {
                return BadFile { path: fallback.to_owned(), reason: full(other) };
            }
        };
        // The list names the path in front of the reason already.
        let prefix = format!("{}: ", path.display());
        let reason = reason.strip_prefix(&prefix).map(str::to_owned).unwrap_or(reason);
        BadFile { path: path.clone(), reason }
    }
}

/// How many of a list an error names.
const NAMED: usize = 10;

fn shorten(only_a: &[String], only_b: &[String]) -> String {
    let names = only_a.iter().chain(only_b).take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if only_a.len() + only_b.len() > NAMED { format!("{names}, ...") } else { names }
}

fn list(files: &[BadFile]) -> String {
    files.iter().map(|file| format!("\n  {file}")).collect()
}
