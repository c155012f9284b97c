//! Aligned pairs: which files belong together, how they are read, changed and handed to training.
//!
//! Knows pictures, not tensors and not burn.

mod alignment;
pub mod augment;
pub mod check;
pub mod layout;
pub mod loader;
pub mod read;
pub mod synth;

mod error;

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

pub use error::{BadFile, PairsError};

use crate::pixel::{LabelMap, Picture, Planes};

/// Which half of a pair is the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// A (left, or the first folder) is the source, B the target.
    #[default]
    AtoB,
    /// B is the source, A the target.
    BtoA,
}

impl fmt::Display for Direction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::AtoB => "AtoB",
            Self::BtoA => "BtoA",
        })
    }
}

/// What a pair is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Trained on.
    Train,
    /// Looked at on the way.
    Val,
    /// Kept for the end.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        })
    }
}

/// How the files of a data set are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// One file holds A on its left and B on its right half.
    SideBySide,
    /// Two folders with files of the same stems.
    TwoFolders,
    /// `{split}_label`, `{split}_inst` and `{split}_img`.
    Pix2pixHd,
    /// The Cityscapes tree as distributed.
    Cityscapes,
}

impl Layout {
    /// All layouts, in the order in which they are looked for.
    pub const ALL: [Self; 4] = [Self::Cityscapes, Self::Pix2pixHd, Self::TwoFolders, Self::SideBySide];

    /// The name users write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SideBySide => "side-by-side",
            Self::TwoFolders => "two-folders",
            Self::Pix2pixHd => "pix2pix-hd",
            Self::Cityscapes => "cityscapes",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The files of one pair, before the direction is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairFiles {
    /// A and B are the halves of one file.
    SideBySide {
        /// The file.
        path: PathBuf,
    },
    /// A and B have files of their own.
    Separate {
        /// A as a picture, or as a label map where there is no other.
        a: PathBuf,
        /// B.
        b: PathBuf,
        /// A as label ids, where the layout has them.
        labels: Option<PathBuf>,
        /// Instance ids that belong to the labels.
        instances: Option<PathBuf>,
    },
}

/// A pair as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairPath {
    /// Path of the stem below the data set's folder, unique, separated by `/`.
    pub name: String,
    /// What it is used for.
    pub split: Split,
    /// Its files.
    pub files: PairFiles,
}

/// Which files make pairs and how they are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PairsConfig {
    /// The layout; found out without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// Which half is the source.
    pub direction: Direction,
    /// Part of the training pairs held out where no folder holds validation pairs, 0 to below 1.
    pub val_fraction: f64,
    /// Channels of the source picture, 1 or 3; those of the data without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_channels: Option<usize>,
    /// Channels of the target picture, 1 or 3; those of the data without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_channels: Option<usize>,
    /// The colour that transparent pixels are laid on, RGB.
    pub alpha_background: [u8; 3],
    /// Number of labels, when the source is a map of label ids instead of a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<usize>,
    /// Whether the edges of instances are a further plane of a label source.
    pub instance_edges: bool,
}

impl Default for PairsConfig {
    fn default() -> Self {
        Self {
            layout: None,
            direction: Direction::AtoB,
            val_fraction: 0.05,
            source_channels: None,
            target_channels: None,
            alpha_background: [255; 3],
            labels: None,
            instance_edges: false,
        }
    }
}

/// The pairs of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct PairSet {
    /// How it is laid out.
    pub layout: Layout,
    /// Its folder.
    pub root: PathBuf,
    /// Its pairs, by split and name.
    pub pairs: Vec<PairPath>,
    /// Planes of a source: channels, or labels and edges.
    pub source_channels: usize,
    /// Channels of a target.
    pub target_channels: usize,
    /// What was left out or decided on the way, in sentences for people.
    pub notes: Vec<String>,
}

impl PairSet {
    /// The pairs of one split, by name.
    pub fn split(&self, split: Split) -> Vec<PairPath> {
        self.pairs.iter().filter(|pair| pair.split == split).cloned().collect()
    }

    /// The configuration with the channels that were found, as reading needs it.
    pub fn reading(&self, config: &PairsConfig) -> PairsConfig {
        let source_channels = if config.labels.is_some() { None } else { Some(self.source_channels) };
        PairsConfig {
            layout: Some(self.layout),
            source_channels,
            target_channels: Some(self.target_channels),
            ..config.clone()
        }
    }
}

/// Source and target in the network's range, of one height and width.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The name of its files.
    pub name: String,
    /// What the generator gets.
    pub source: Planes,
    /// What its fake should look like.
    pub target: Planes,
}

/// A pair as decoded, at the size of its files.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedPair {
    /// The name of its files.
    pub name: String,
    /// The source.
    pub source: SourcePixels,
    /// The target.
    pub target: Picture,
}

/// A source as decoded.
#[derive(Clone, Debug, PartialEq)]
pub enum SourcePixels {
    /// A picture.
    Picture(Picture),
    /// Label ids, with the instance ids when their edges are wanted.
    Labels {
        /// Label ids, all below `count`.
        labels: LabelMap,
        /// Instance ids.
        instances: Option<LabelMap>,
        /// Number of labels.
        count: usize,
    },
}

impl SourcePixels {
    /// Width and height in pixels.
    pub const fn size(&self) -> (usize, usize) {
        match self {
            Self::Picture(picture) => (picture.width(), picture.height()),
            Self::Labels { labels, .. } => (labels.width(), labels.height()),
        }
    }

    /// A picture of it for people.
    pub fn shown(&self) -> Picture {
        match self {
            Self::Picture(picture) => picture.clone(),
            Self::Labels { labels, .. } => labels.to_colors(),
        }
    }
}
