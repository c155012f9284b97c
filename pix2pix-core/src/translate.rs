//! A checkpoint and a picture become a picture.
//!
//! Any size goes in and comes out: sides are padded by reflection to the network's multiple and cropped back; what does not fit
//! into memory goes window by window ([`Translator::translate_large`]). Knows nothing of training, losses or pairs.

mod alone;
mod large;
mod levels;
mod parts;
mod passes;
mod seams;
mod windows;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::{
    batch::{stack, unstack},
    checkpoint::{Checkpoint, CheckpointError, Description, SourceKind},
    kernels::Precision,
    networks::{DropoutSeed, Mode, Unet, WeightUses, load_state},
    pixel::{
        Canvas, LabelMap, Picture, PixelError, Planes, Rect, Sink,
        decode::{DecodeOptions, decode_labels, decode_picture},
        resize::{bicubic, nearest_labels},
    },
    seed,
};

pub use large::{LargeOptions, Progress, Seams};
pub use parts::{PartOptions, Parts, Statistics};
pub use seams::SeamMeter;

/// Whose statistics the norms use in translation, and whether dropout is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestMode {
    /// The statistics of the picture, no dropout: deterministic.
    #[default]
    Image,
    /// The statistics collected in training, no dropout.
    Running,
    /// The statistics of the picture, dropout on and seeded, as the paper's results were made.
    Paper,
}

impl TestMode {
    /// The name users write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Running => "running",
            Self::Paper => "paper",
        }
    }
}

/// How to translate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TranslateOptions {
    /// Statistics and dropout.
    pub test_mode: TestMode,
    /// Resize to this width and height first, as the published protocol does; without it, sizes stay as they are.
    pub resize: Option<(usize, usize)>,
    /// Seed of dropout in the paper's mode.
    pub seed: u64,
    /// In what convolutions multiply.
    pub precision: Precision,
}

/// A picture that could not be translated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TranslateError {
    /// The picture could not be read.
    #[error(transparent)]
    Pixel(#[from] PixelError),
    /// The model wants instance ids beside the label ids.
    #[error("the model draws edges from instance ids, and {} came without them", path.display())]
    InstancesMissing {
        /// The label map.
        path: PathBuf,
    },
    /// Label ids and instance ids differ in size.
    #[error(
        "label ids {} are {}x{} pixels, their instance ids {}x{}",
        path.display(), labels.0, labels.1, instances.0, instances.1
    )]
    InstanceSize {
        /// The label map.
        path: PathBuf,
        /// Its width and height.
        labels: (usize, usize),
        /// Width and height of the instance map.
        instances: (usize, usize),
    },
    /// Dropout is one draw for a whole picture.
    #[error(
        "the paper's test mode draws dropout for the picture as a whole, and {width}x{height} pixels go in windows of {window}"
    )]
    PaperInWindows {
        /// Width of the picture.
        width: usize,
        /// Its height.
        height: usize,
        /// Longest side of a window.
        window: usize,
    },
    /// A window would hold nothing but its halo.
    #[error("the network needs windows of at least {least} pixels for this picture, found {window}")]
    SmallWindow {
        /// Longest side of a window.
        window: usize,
        /// The least that it may be.
        least: usize,
    },
    /// Whoever was told of the progress said so.
    #[error("the translation was stopped")]
    Stopped,
    /// Statistics of another network, or damaged.
    #[error("these are no statistics of the model {}: {reason}", path.display())]
    Statistics {
        /// The model.
        path: PathBuf,
        /// What is wrong with them.
        reason: String,
    },
    /// An id that the model was not trained with.
    #[error("{}: id {id} at pixel ({x}, {y}), the model knows 0 to {}", path.display(), count - 1)]
    LabelRange {
        /// The label map.
        path: PathBuf,
        /// The id.
        id: u32,
        /// Its column.
        x: usize,
        /// Its row.
        y: usize,
        /// Number of labels of the model.
        count: usize,
    },
}

/// What the network will see of one file, before padding.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A picture with the model's channels.
    Picture(Picture),
    /// Label ids below `count`, and instance ids for models that draw their edges.
    Labels {
        /// Label ids.
        labels: LabelMap,
        /// Number of labels of the model.
        count: usize,
        /// Instance ids.
        instances: Option<LabelMap>,
    },
}

impl Source {
    /// The network's input.
    pub fn planes(&self) -> Planes {
        match self {
            Self::Picture(picture) => picture.to_planes(),
            Self::Labels { labels, count, instances } => labels.one_hot(*count, instances.as_ref()),
        }
    }

    /// A picture of it for people: the source itself, or its ids in colours.
    pub fn shown(&self) -> Picture {
        match self {
            Self::Picture(picture) => picture.clone(),
            Self::Labels { labels, .. } => labels.to_colors(),
        }
    }
}

impl Canvas for Source {
    fn size(&self) -> (usize, usize) {
        match self {
            Self::Picture(picture) => (picture.width(), picture.height()),
            Self::Labels { labels, .. } => (labels.width(), labels.height()),
        }
    }

    fn read(&self, part: Rect) -> Result<Planes, PixelError> {
        let Rect { x, y, width, height } = part;
        Ok(match self {
            Self::Picture(picture) => picture.crop(x, y, width, height).to_planes(),
            Self::Labels { labels, count, instances } => {
                // An edge is seen from the pixels beside it.
                let (left, top) = (x.saturating_sub(1), y.saturating_sub(1));
                let (right, bottom) = ((x + width + 1).min(labels.width()), (y + height + 1).min(labels.height()));
                let around = |map: &LabelMap| map.crop(left, top, right - left, bottom - top);
                let planes = around(labels).one_hot(*count, instances.as_ref().map(around).as_ref());
                part_of(&planes, Rect { x: x - left, y: y - top, width, height })
            }
        })
    }
}

/// A whole translation in memory.
impl Sink for Picture {
    fn take(&mut self, part: Rect, values: &Planes) -> Result<(), PixelError> {
        self.paste(&Self::from_planes(values), part.x, part.y);
        Ok(())
    }
}

/// A generator ready for pictures.
#[derive(Debug)]
pub struct Translator {
    generator: Unet,
    description: Description,
    device: Device,
    path: PathBuf,
    uses: Option<WeightUses>,
}

impl Translator {
    /// Loads the generator of a checkpoint; nothing else of the file is read.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or does not fit what it says of itself.
    pub fn load(path: &Path, device: &Device) -> Result<Self, CheckpointError> {
        let mut checkpoint = Checkpoint::open(path)?;
        let description = checkpoint.description().clone();
        let device = device.clone().without_autodiff();
        let generator = description
            .generator
            .blank(&device)
            .map_err(|source| CheckpointError::Network { path: path.to_owned(), source })?;
        let generator = load_state(generator, checkpoint.map_group("generator")?)
            .map_err(|source| CheckpointError::State { path: path.to_owned(), source })?;
        Ok(Self { generator, description, device, path: path.to_owned(), uses: None })
    }

    /// The same for several pictures: transformed weights are kept, up to so many bytes. On other devices than the CPU this changes
    /// nothing.
    #[must_use]
    pub fn keeping_weights(self, bytes: usize) -> Self {
        Self { uses: Some(WeightUses::keep(bytes)), ..self }
    }

    /// What the checkpoint says of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The checkpoint's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Decodes a file's bytes into what the network takes. `origin` names the file in errors; `instances` holds the bytes of
    /// the instance map for models that draw its edges.
    ///
    /// # Errors
    /// Bytes that are no picture, ids that the model does not know, or missing instance ids.
    pub fn decode(
        &self,
        bytes: &[u8],
        origin: &Path,
        instances: Option<&[u8]>,
        options: &TranslateOptions,
    ) -> Result<Source, TranslateError> {
        let preprocessing = &self.description.preprocessing;
        match preprocessing.source {
            SourceKind::Picture { channels } => {
                let decode =
                    DecodeOptions { channels: Some(channels), alpha_background: preprocessing.alpha_background };
                let picture = decode_picture(bytes, origin, &decode)?;
                let picture = match options.resize {
                    Some((width, height)) => bicubic(&picture, width, height),
                    None => picture,
                };
                Ok(Source::Picture(picture))
            }
            SourceKind::Labels { count, instance_edges } => {
                let fit = |map: LabelMap| match options.resize {
                    Some((width, height)) => nearest_labels(&map, width, height),
                    None => map,
                };
                let labels = decode_labels(bytes, origin)?;
                if let Some((x, y, id)) = labels.first_out_of_range(count) {
                    return Err(TranslateError::LabelRange { path: origin.to_owned(), id, x, y, count });
                }
                let instances = match (instance_edges, instances) {
                    (false, _) => None,
                    (true, Some(bytes)) => Some(decode_labels(bytes, origin)?),
                    (true, None) => {
                        return Err(TranslateError::InstancesMissing { path: origin.to_owned() });
                    }
                };
                if let Some(instances) = &instances {
                    let (a, b) = ((labels.width(), labels.height()), (instances.width(), instances.height()));
                    if a != b {
                        return Err(TranslateError::InstanceSize { path: origin.to_owned(), labels: a, instances: b });
                    }
                }
                Ok(Source::Labels { labels: fit(labels), count, instances: instances.map(fit) })
            }
        }
    }

    /// Translates one source.
    ///
    /// # Shapes
    /// - `source`: `[channels, height, width]` with the channels of the description's source, any height and width
    /// - returns: `[target_channels, height, width]`, values in `[-1, 1]`
    ///
    /// # Panics
    /// When the number of channels is not the model's, or a side is zero.
    pub fn translate(&self, source: &Planes, options: &TranslateOptions) -> Planes {
        let expected = self.description.generator.in_channels;
        assert_eq!(source.channels, expected, "the source has the model's number of channels");
        let mode = self.mode(options);
        let padded = pad_by_reflection(source, self.description.generator.multiple());
        let fake = self.generator.forward(stack(vec![padded], &self.device), mode);
        let fake = unstack(fake).pop().expect("one picture in, one out");
        crop(&fake, source.width, source.height)
    }

    fn mode(&self, options: &TranslateOptions) -> Mode<'_> {
        let mode = match options.test_mode {
            TestMode::Image => Mode::image(),
            TestMode::Running => Mode::running(),
            TestMode::Paper => Mode::paper(DropoutSeed(seed::mix(options.seed, "translation", 0))),
        };
        let mode = mode.in_precision(options.precision);
        self.uses.as_ref().map_or(mode, |uses| mode.using(uses))
    }
}

/// Extends a picture to the right and downwards to multiples of `multiple`, mirrored at its edges without repeating them.
fn pad_by_reflection(planes: &Planes, multiple: usize) -> Planes {
    let (width, height) = (planes.width.next_multiple_of(multiple), planes.height.next_multiple_of(multiple));
    if (width, height) == (planes.width, planes.height) {
        return planes.clone();
    }
    let columns = (0..width).map(|x| reflect(x, planes.width)).collect::<Vec<_>>();
    let mut values = Vec::with_capacity(planes.channels * height * width);
    for channel in planes.values.chunks_exact(planes.height * planes.width) {
        for y in 0..height {
            let row = &channel[reflect(y, planes.height) * planes.width..][..planes.width];
            values.extend(columns.iter().map(|&x| row[x]));
        }
    }
    Planes { channels: planes.channels, height, width, values }
}

/// Folds a position beyond `0..side` back into it.
fn reflect(at: usize, side: usize) -> usize {
    let period = 2 * side.saturating_sub(1).max(1);
    let folded = at % period;
    folded.min(period - folded).min(side - 1)
}

/// The top left part of a picture.
fn crop(planes: &Planes, width: usize, height: usize) -> Planes {
    part_of(planes, Rect { x: 0, y: 0, width, height })
}

/// A part of a picture.
fn part_of(planes: &Planes, part: Rect) -> Planes {
    let Rect { x, y, width, height } = part;
    if (width, height) == (planes.width, planes.height) {
        return planes.clone();
    }
    let mut values = Vec::with_capacity(planes.channels * height * width);
    for plane in planes.values.chunks_exact(planes.width * planes.height) {
        for row in plane.chunks_exact(planes.width).skip(y).take(height) {
            values.extend_from_slice(&row[x..x + width]);
        }
    }
    Planes { channels: planes.channels, height, width, values }
}

#[cfg(test)]
pub(crate) mod tests;
