//! The U-Net generator (Ronneberger et al. 2015; Isola et al. 2017, appendix 6.1.1).
//!
//! Encoder and decoder are lists; the skips between them are explicit. Knows nothing of how it is trained.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use super::{
    Mode, NetworkError, NormKind, Upsampling,
    blocks::{DownBlock, DownOptions, UpBlock, UpOptions},
    init::Init,
    layers::Geometry,
    norm::{Moments, Norm},
};
use crate::kernels::tanh;

/// The least number of downsamplings: the widths 1, 2, 4, 8, 8 times the base.
const MINIMUM_DEPTH: usize = 5;
/// The largest multiple of the base width.
const WIDEST: usize = 8;

/// A U-Net to be built. `Default` is the paper's `unet_256`: 54.414 M parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnetConfig {
    /// Channels of the source: 3 for pictures, the number of labels (and the edge plane) for label maps.
    pub in_channels: usize,
    /// Channels of the target.
    pub out_channels: usize,
    /// Number of downsamplings, at least 5; 8 suits 256 px. Sides must be multiples of `2^depth`.
    pub depth: usize,
    /// Channels after the first convolution (`ngf`).
    pub width: usize,
    /// Normalisation.
    pub norm: NormKind,
    /// Dropout of 0.5 in the `depth - 5` widest decoder blocks.
    pub dropout: bool,
    /// How the decoder doubles the size.
    pub upsampling: Upsampling,
}

impl Default for UnetConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            depth: 8,
            width: 64,
            norm: NormKind::Batch,
            dropout: true,
            upsampling: Upsampling::Transposed,
        }
    }
}

impl UnetConfig {
    /// Builds the network with initial weights drawn from `seed`.
    ///
    /// # Errors
    /// A depth below 5, or a width or number of channels of zero.
    pub fn init(&self, seed: u64, device: &Device) -> Result<Unet, NetworkError> {
        self.build(&mut Init::new("unet", seed, device))
    }

    /// Builds the network with zeros for weights that are still to come, for example from a file.
    ///
    /// # Errors
    /// As [`Self::init`].
    pub fn blank(&self, device: &Device) -> Result<Unet, NetworkError> {
        self.build(&mut Init::blank(device))
    }

    fn build(&self, init: &mut Init<'_>) -> Result<Unet, NetworkError> {
        self.validate()?;
        let bias = self.norm.needs_bias();
        let widths = (0..self.depth).map(|level| self.level_channels(level)).collect::<Vec<_>>();

        let encoder = (0..self.depth)
            .map(|level| {
                let input = if level == 0 { self.in_channels } else { widths[level - 1] };
                let plain = level == 0 || level == self.depth - 1;
                let norm = if plain { NormKind::None } else { self.norm };
                let options = DownOptions { activate: level > 0, geometry: Geometry::HALVE, norm, bias };
                DownBlock::new([input, widths[level]], options, init)
            })
            .collect();
        let decoder = (0..self.depth)
            .map(|step| {
                let level = self.depth - 1 - step;
                let input = if step == 0 { widths[level] } else { 2 * widths[level] };
                let outermost = level == 0;
                let output = if outermost { self.out_channels } else { widths[level - 1] };
                let options = UpOptions {
                    norm: if outermost { NormKind::None } else { self.norm },
                    bias: bias || outermost,
                    drops: self.dropout && (1..=self.depth - MINIMUM_DEPTH).contains(&step),
                    upsampling: self.upsampling,
                };
                UpBlock::new([input, output], options, init)
            })
            .collect();
        Ok(Unet { encoder, decoder, depth: self.depth })
    }

    /// Channels that a level of the encoder gives.
    pub fn level_channels(&self, level: usize) -> usize {
        self.width * WIDEST.min(1 << level.min(16))
    }

    /// What both sides of a picture must be a multiple of.
    pub const fn multiple(&self) -> usize {
        1 << self.depth
    }

    /// Channels of what a block gives.
    pub fn channels(&self, place: Place) -> usize {
        match place {
            Place::Down(level) => self.level_channels(level),
            Place::Up(0) => self.out_channels,
            Place::Up(level) => self.level_channels(level - 1),
        }
    }

    /// Checks that pictures of this size fit the network.
    ///
    /// # Errors
    /// Sides that are zero or not multiples of `2^depth`.
    pub fn check_size(&self, width: usize, height: usize) -> Result<(), NetworkError> {
        let multiple = self.multiple();
        let fits = |side: usize| side > 0 && side.is_multiple_of(multiple);
        if fits(width) && fits(height) {
            Ok(())
        } else {
            Err(NetworkError::Size { width, height, depth: self.depth, multiple })
        }
    }

    /// The depth that suits pictures of this size: as deep as both sides allow, at most 10.
    ///
    /// # Errors
    /// Sides that are not multiples of 32, the least that a U-Net of depth 5 takes.
    pub fn depth_for(width: usize, height: usize) -> Result<usize, NetworkError> {
        let halvings = (width | height).trailing_zeros() as usize;
        if width == 0 || height == 0 || halvings < MINIMUM_DEPTH {
            let multiple = 1 << MINIMUM_DEPTH;
            return Err(NetworkError::Size { width, height, depth: MINIMUM_DEPTH, multiple });
        }
        Ok(halvings.min(10))
    }

    fn validate(&self) -> Result<(), NetworkError> {
        if self.depth < MINIMUM_DEPTH {
            return Err(NetworkError::Depth { depth: self.depth, minimum: MINIMUM_DEPTH });
        }
        for (count, what) in [
            (self.in_channels, "the generator's number of input channels"),
            (self.out_channels, "the generator's number of output channels"),
            (self.width, "the generator's width"),
        ] {
            if count == 0 {
                return Err(NetworkError::Zero { what });
            }
        }
        Ok(())
    }
}

/// The generator: source in, fake out.
#[derive(Module, Debug)]
pub struct Unet {
    encoder: Vec<DownBlock>,
    decoder: Vec<UpBlock>,
    depth: usize,
}

impl Unet {
    /// Translates a batch.
    ///
    /// # Shapes
    /// - `source`: `[batch, in_channels, height, width]`, values in `[-1, 1]`; sides multiples of `2^depth`
    /// - returns: `[batch, out_channels, height, width]`, values in `[-1, 1]`
    ///
    /// # Panics
    /// When a side is no multiple of `2^depth`; [`UnetConfig::check_size`] tells beforehand.
    pub fn forward(&self, source: Tensor<4>, mode: Mode<'_>) -> Tensor<4> {
        let [_, _, height, width] = source.dims();
        let multiple = 1 << self.depth;
        assert!(
            height > 0 && width > 0 && height.is_multiple_of(multiple) && width.is_multiple_of(multiple),
            "sides must be multiples of {multiple}, found {width}x{height}"
        );
        let mut skips = Vec::with_capacity(self.depth);
        let mut x = source;
        for block in &self.encoder {
            x = block.forward(x, None, mode);
            skips.push(x.clone());
        }
        // The innermost result is what the decoder begins with; all others meet it on the way up.
        skips.pop();
        let mut skip = None;
        for (layer, block) in self.decoder.iter().enumerate() {
            x = block.forward(x, skip, mode, layer);
            skip = skips.pop();
        }
        tanh(x)
    }

    /// Number of downsamplings.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Activation and convolution of one block, up to its norm: [`Self::forward`] for callers that put a picture together from
    /// windows. Dropout is left out.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels, height, width]`, what the block before gives; `skip`: `Down(level)` for `Up(level)`, but for the
    ///   innermost, of the same height and width
    /// - returns: half of both sides down, double up; the outermost block up gives values for [`tanh`]
    pub fn convolve(&self, place: Place, x: Tensor<4>, skip: Option<Tensor<4>>, mode: Mode<'_>) -> Tensor<4> {
        match place {
            Place::Down(level) => self.encoder[level].convolve(x, skip, mode),
            Place::Up(level) => self.decoder[self.depth - 1 - level].convolve(x, skip, mode),
        }
    }

    /// The norm of one block, with given moments or, without, in the way of `mode`.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels, height, width]`, what [`Self::convolve`] gives
    /// - returns: the same shape
    pub fn normalise(&self, place: Place, x: Tensor<4>, moments: Option<&Moments>, mode: Mode<'_>) -> Tensor<4> {
        match moments {
            Some(moments) => self.norm(place).by(x, moments),
            None => self.norm(place).forward(x, mode.statistics),
        }
    }

    /// Whether the norm of a block depends on the whole picture.
    pub fn reads_all(&self, place: Place, mode: Mode<'_>) -> bool {
        self.norm(place).reads_all(mode.statistics)
    }

    fn norm(&self, place: Place) -> &Norm {
        match place {
            Place::Down(level) => self.encoder[level].norm(),
            Place::Up(level) => self.decoder[self.depth - 1 - level].norm(),
        }
    }
}

/// A block. Level `l` goes between sides of `1 / 2^l` and `1 / 2^(l + 1)` of the picture's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In the encoder.
    Down(usize),
    /// In the decoder.
    Up(usize),
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, TensorData};

    use super::*;
    use crate::networks::{DropoutSeed, num_parameters};

    fn tiny(depth: usize) -> UnetConfig {
        UnetConfig { depth, width: 4, ..Default::default() }
    }

    #[test]
    fn parameter_counts_are_those_of_the_reference() {
        let count = |depth| {
            let unet = UnetConfig { depth, ..Default::default() }.init(0, &Device::flex());
            num_parameters(&unet.expect("a valid network"))
        };
        assert_eq!(count(8), 54_413_955);
        assert_eq!(count(7), 41_828_995);
    }

    #[test]
    fn output_has_the_size_of_the_source_for_square_and_oblong_pictures() {
        let device = Device::flex();
        for (depth, height, width) in [(5, 32, 64), (6, 64, 64), (5, 96, 32), (7, 128, 256)] {
            let unet = tiny(depth).init(1, &device).expect("a valid network");
            let source = Tensor::<4>::random([2, 3, height, width], Distribution::Default, &device);
            let fake = unet.forward(source, Mode::image());
            assert_eq!(fake.dims(), [2, 3, height, width]);
            assert!(fake.abs().max().into_scalar::<f32>() <= 1.0);
        }
    }

    #[test]
    fn every_option_runs_and_changes_the_result() {
        let device = Device::flex();
        let source = Tensor::<4>::random([1, 3, 64, 64], Distribution::Default, &device);
        let run = |config: UnetConfig, mode| {
            config.init(3, &device).expect("a valid network").forward(source.clone(), mode).into_data()
        };
        let usual = run(tiny(6), Mode::image());
        assert_eq!(usual, run(tiny(6), Mode::image()));
        assert_ne!(usual, run(tiny(6), Mode::running()));
        assert_ne!(usual, run(tiny(6), Mode::paper(DropoutSeed(1))));
        assert_ne!(usual, run(UnetConfig { norm: NormKind::Instance, ..tiny(6) }, Mode::image()));
        assert_ne!(usual, run(UnetConfig { norm: NormKind::None, ..tiny(6) }, Mode::image()));
        assert_ne!(usual, run(UnetConfig { upsampling: Upsampling::ResizeConv, ..tiny(6) }, Mode::image()));
        let dry = UnetConfig { dropout: false, ..tiny(6) };
        assert_eq!(usual, run(dry, Mode::paper(DropoutSeed(1))));
    }

    #[test]
    fn initial_weights_depend_on_the_seed_alone() {
        let device = Device::flex();
        let source = Tensor::<4>::ones([1, 3, 32, 32], &device);
        let run = |seed| -> TensorData {
            tiny(5).init(seed, &device).expect("a valid network").forward(source.clone(), Mode::image()).into_data()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn gradients_reach_the_source_through_every_skip() {
        let device = Device::flex().autodiff();
        let unet = tiny(5).init(1, &device).expect("a valid network");
        let source = Tensor::<4>::random([1, 3, 32, 32], Distribution::Default, &device).require_grad();
        let gradients = unet.forward(source.clone(), Mode::training(DropoutSeed(0))).square().mean().backward();
        let gradient = source.grad(&gradients).expect("the source is tracked");
        assert!(gradient.abs().min().into_scalar::<f32>() > 0.0);
    }

    #[test]
    fn wrong_depths_and_sizes_are_errors_that_name_the_multiple() {
        assert_eq!(tiny(4).init(0, &Device::flex()).map(|_| ()), Err(NetworkError::Depth { depth: 4, minimum: 5 }));
        let error = tiny(6).check_size(64, 96).expect_err("96 is no multiple of 64");
        assert_eq!(error.to_string(), "width and height must be multiples of 64 (2^6), found 64x96");
        assert_eq!(UnetConfig::depth_for(256, 256), Ok(8));
        assert_eq!(UnetConfig::depth_for(512, 256), Ok(8));
        assert_eq!(UnetConfig::depth_for(1024, 2048), Ok(10));
        assert!(UnetConfig::depth_for(100, 128).is_err());
    }
}
