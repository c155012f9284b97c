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

pub use dropout::DropoutSeed;
pub use layers::Upsampling;
pub use norm::{NormKind, Statistics};
pub use patchgan::{DiscriminatorConfig, DiscriminatorKind, PatchGan};
pub use state::{Fetch, StateError, TensorSpec, load_state, num_parameters, state_specs, visit_state};
pub use unet::{Unet, UnetConfig};

/// How a forward pass treats what differs between training and use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Which statistics the norms use.
    pub statistics: Statistics,
    /// The seed of this pass's dropout masks; `None` leaves dropout out.
    pub dropout: Option<DropoutSeed>,
}

impl Mode {
    /// Batch statistics, running statistics updated, dropout on.
    pub fn training(seed: DropoutSeed) -> Self {
        Self { statistics: Statistics::Batch { track: true }, dropout: Some(seed) }
    }

    /// The statistics of the given picture, no dropout: deterministic, the default for translation.
    pub const fn image() -> Self {
        Self { statistics: Statistics::Batch { track: false }, dropout: None }
    }

    /// The statistics collected in training, no dropout (`--eval` in the field's reference).
    pub const fn running() -> Self {
        Self { statistics: Statistics::Running, dropout: None }
    }

    /// The paper's test mode: the statistics of the picture and dropout on, seeded.
    pub fn paper(seed: DropoutSeed) -> Self {
        Self { statistics: Statistics::Batch { track: false }, dropout: Some(seed) }
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
