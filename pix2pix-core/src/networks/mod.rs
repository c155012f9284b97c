//! The networks: a U-Net generator and a PatchGAN discriminator, built from blocks.
//!
//! Knows nothing of losses, training or files. Follows Isola et al. 2017 ("Image-to-Image Translation with Conditional
//! Adversarial Networks") in the form of the field's reference implementation, whose parameter counts it reproduces.

mod blocks;
mod dropout;
mod init;
mod layers;
mod norm;
mod patchgan;
mod state;
mod unet;
mod uses;

pub use dropout::DropoutSeed;
pub use layers::Upsampling;
pub use norm::{Moments, NormKind, Statistics};
pub use patchgan::{DiscriminatorConfig, DiscriminatorKind, PatchGan};
pub use state::{Fetch, StateError, TensorSpec, load_state, num_parameters, state_specs, visit_state};
pub use unet::{Place, Unet, UnetConfig};
pub use uses::WeightUses;

use crate::kernels::Precision;

/// How a forward pass treats what differs between training and use.
#[derive(Clone, Copy, Debug)]
pub struct Mode<'a> {
    /// Which statistics the norms use.
    pub statistics: Statistics,
    /// The seed of this pass's dropout masks; `None` leaves dropout out.
    pub dropout: Option<DropoutSeed>,
    /// In what convolutions multiply.
    pub precision: Precision,
    /// What the weights are for, beside this pass.
    pub uses: Option<&'a WeightUses>,
}

impl<'a> Mode<'a> {
    const fn new(statistics: Statistics, dropout: Option<DropoutSeed>) -> Self {
        Self { statistics, dropout, precision: Precision::F32, uses: None }
    }

    /// Batch statistics, running statistics updated, dropout on.
    pub const fn training(seed: DropoutSeed) -> Self {
        Self::new(Statistics::Batch { track: true, parts: 1 }, Some(seed))
    }

    /// The statistics of the given picture, no dropout: deterministic, the default for translation.
    pub const fn image() -> Self {
        Self::new(Statistics::Batch { track: false, parts: 1 }, None)
    }

    /// The statistics collected in training, no dropout (`--eval` in the field's reference).
    pub const fn running() -> Self {
        Self::new(Statistics::Running, None)
    }

    /// The paper's test mode: the statistics of the picture and dropout on, seeded.
    pub const fn paper(seed: DropoutSeed) -> Self {
        Self::new(Statistics::Batch { track: false, parts: 1 }, Some(seed))
    }

    /// The same with batch statistics of so many equal parts of the batch, each for itself.
    pub const fn of_parts(self, parts: usize) -> Self {
        let statistics = match self.statistics {
            Statistics::Batch { track, .. } => Statistics::Batch { track, parts },
            Statistics::Running => Statistics::Running,
        };
        Self { statistics, ..self }
    }

    /// The same with weights for a purpose.
    pub const fn using(self, uses: &'a WeightUses) -> Self {
        Self { uses: Some(uses), ..self }
    }

    /// The same in another precision.
    pub const fn in_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }
}

/// A network that cannot be built or used as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The depth is outside what the U-Net is defined for.
    #[error("a u-net needs a depth of at least {minimum}, found {depth}")]
    Depth {
        /// The depth asked for.
        depth: usize,
        /// The smallest depth.
        minimum: usize,
    },
    /// The picture's sides do not fit the number of downsamplings.
    #[error("width and height must be multiples of {multiple} (2^{depth}), found {width}x{height}")]
    Size {
        /// Width found, in pixels.
        width: usize,
        /// Height found, in pixels.
        height: usize,
        /// Depth of the network.
        depth: usize,
        /// What both sides must be a multiple of.
        multiple: usize,
    },
    /// The discriminator's number of layers is outside 1..=6.
    #[error("a patch discriminator has 1 to 6 layers, found {num_layers}")]
    NumLayers {
        /// The number asked for.
        num_layers: usize,
    },
    /// The picture is too small for the discriminator to give a single logit.
    #[error("the discriminator needs pictures of at least {minimum}x{minimum} pixels, found {width}x{height}")]
    TooSmall {
        /// Width found, in pixels.
        width: usize,
        /// Height found, in pixels.
        height: usize,
        /// The smallest side.
        minimum: usize,
    },
    /// A width or a number of channels is zero.
    #[error("{what} must be at least 1")]
    Zero {
        /// Which number.
        what: &'static str,
    },
}
