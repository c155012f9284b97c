//! The PatchGAN discriminator: one logit per overlapping patch (Isola et al. 2017, section 3.2.2).

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use super::{
    Mode, NetworkError, NormKind,
    blocks::{DownBlock, DownOptions},
    init::Init,
    layers::{Activation, Convolution, Geometry, KERNEL},
};

/// The largest multiple of the base width.
const WIDEST: usize = 8;
/// The most downsampling layers.
const MOST_LAYERS: usize = 6;

/// What a discriminator looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiscriminatorKind {
    /// Patches whose side grows with the number of layers: 16, 34, 70, 142, 286, 574 pixels for 1 to 6.
    #[default]
    Patch,
    /// Single pixels, by 1x1 convolutions.
    Pixel,
}

/// A discriminator to be built. `Default` is the paper's 70x70 PatchGAN: 2.769 M parameters for 6 input channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiscriminatorConfig {
    /// Channels of source and target together.
    pub in_channels: usize,
    /// Patch or pixel.
    pub kind: DiscriminatorKind,
    /// Downsampling layers of a patch discriminator, 1 to 6.
    pub num_layers: usize,
    /// Channels after the first convolution (`ndf`).
    pub width: usize,
    /// Normalisation.
    pub norm: NormKind,
}

impl Default for DiscriminatorConfig {
    fn default() -> Self {
        Self { in_channels: 6, kind: DiscriminatorKind::Patch, num_layers: 3, width: 64, norm: NormKind::Batch }
    }
}

impl DiscriminatorConfig {
    /// Builds the network with initial weights drawn from `seed`.
    ///
    /// # Errors
    /// A number of layers outside 1..=6, or a width or number of channels of zero.
    pub fn init(&self, seed: u64, device: &Device) -> Result<PatchGan, NetworkError> {
        self.build(&mut Init::new("discriminator", seed, device))
    }

    /// Builds the network with zeros for weights that are still to come, for example from a file.
    ///
    /// # Errors
    /// As [`Self::init`].
    pub fn blank(&self, device: &Device) -> Result<PatchGan, NetworkError> {
        self.build(&mut Init::blank(device))
    }

    fn build(&self, init: &mut Init<'_>) -> Result<PatchGan, NetworkError> {
        if !(1..=MOST_LAYERS).contains(&self.num_layers) {
            return Err(NetworkError::NumLayers { num_layers: self.num_layers });
        }
        if self.width == 0 || self.in_channels == 0 {
            return Err(NetworkError::Zero { what: "the discriminator's width and number of input channels" });
        }
        let bias = self.norm.needs_bias();
        let width = |level: usize| self.width * WIDEST.min(1 << level);
        let mut blocks = Vec::new();
        let mut block = |channels: [usize; 2], geometry| {
            // The first block reads pictures: no activation before it, no norm behind it, and always a bias.
            let first = blocks.is_empty();
            let norm = if first { NormKind::None } else { self.norm };
            let options = DownOptions { activate: !first, geometry, norm, bias: bias || first };
            blocks.push(DownBlock::new(channels, options, init));
        };
        let last = match self.kind {
            DiscriminatorKind::Pixel => {
                block([self.in_channels, width(0)], Geometry::PIXEL);
                block([width(0), width(1)], Geometry::PIXEL);
                Convolution::new([width(1), 1], bias, Geometry::PIXEL, init)
            }
            DiscriminatorKind::Patch => {
                block([self.in_channels, width(0)], Geometry::HALVE);
                for level in 1..self.num_layers {
                    block([width(level - 1), width(level)], Geometry::HALVE);
                }
                block([width(self.num_layers - 1), width(self.num_layers)], Geometry::KEEP);
                Convolution::new([width(self.num_layers), 1], true, Geometry::KEEP, init)
            }
        };
        Ok(PatchGan { blocks, last })
    }

    /// Side of the patch that one logit sees, in pixels.
    pub const fn receptive_field(&self) -> usize {
        match self.kind {
            DiscriminatorKind::Pixel => 1,
            DiscriminatorKind::Patch => {
                // Backwards through two layers of stride 1 and `num_layers` of stride 2.
                let mut field = 2 * KERNEL - 1;
                let mut layer = 0;
                while layer < self.num_layers {
                    field = (field - 1) * 2 + KERNEL;
                    layer += 1;
                }
                field
            }
        }
    }

    /// Height and width of the logits for a picture.
    ///
    /// # Errors
    /// A picture so small that no logit is left.
    pub fn logits_size(&self, width: usize, height: usize) -> Result<[usize; 2], NetworkError> {
        if self.kind == DiscriminatorKind::Pixel {
            return Ok([height, width]);
        }
        let reduce = |side: usize| (side >> self.num_layers).checked_sub(2).filter(|&left| left > 0);
        match (reduce(height), reduce(width)) {
            (Some(rows), Some(columns)) => Ok([rows, columns]),
            _ => Err(NetworkError::TooSmall { width, height, minimum: 3 << self.num_layers }),
        }
    }
}

/// The discriminator: logits, never probabilities.
#[derive(Module, Debug)]
pub struct PatchGan {
    blocks: Vec<DownBlock>,
    last: Convolution,
}

impl PatchGan {
    /// Judges pairs.
    ///
    /// # Shapes
    /// - `source`: `[batch, source_channels, height, width]`, values in `[-1, 1]`
    /// - `target`: `[batch, target_channels, height, width]`, real or fake
    /// - returns: `[batch, 1, height / 2^num_layers - 2, width / 2^num_layers - 2]`, one logit per patch
    pub fn forward(&self, source: Tensor<4>, target: Tensor<4>, mode: Mode<'_>) -> Tensor<4> {
        let mut source = Some(source);
        let x = self.blocks.iter().fold(target, |x, block| block.forward(x, source.take(), mode));
        self.last.forward(x, None, Activation::Leaky, mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::num_parameters;

    #[test]
    fn parameter_count_is_that_of_the_reference() {
        let network = DiscriminatorConfig::default().init(0, &Device::flex()).expect("a valid network");
        assert_eq!(num_parameters(&network), 2_768_705);
    }

    #[test]
    fn receptive_fields_are_those_of_the_paper() {
        let field = |num_layers| DiscriminatorConfig { num_layers, ..Default::default() }.receptive_field();
        assert_eq!((1..=6).map(field).collect::<Vec<_>>(), [16, 34, 70, 142, 286, 574]);
    }

    #[test]
    fn a_logit_sees_exactly_its_receptive_field() {
        let device = Device::flex().autodiff();
        for num_layers in 1..=3 {
            // Without norm a logit depends on its patch alone.
            let config = DiscriminatorConfig { num_layers, width: 2, norm: NormKind::None, ..Default::default() };
            let network = config.init(5, &device).expect("a valid network");
            let source = Tensor::<4>::ones([1, 3, 160, 160], &device).require_grad();
            let logits = network.forward(source.clone(), Tensor::ones([1, 3, 160, 160], &device), Mode::image());
            let [_, _, rows, columns] = logits.dims();
            let one = logits.slice([0..1, 0..1, rows / 2..rows / 2 + 1, columns / 2..columns / 2 + 1]);
            let gradient = source.grad(&one.sum().backward()).expect("the source is tracked");
            let columns = gradient.abs().sum_dim(1).sum_dim(2);
            // Winograd's tiles leave rounding beside the field.
            let least = columns.clone().max().into_scalar::<f32>() * 1e-5;
            let touched = columns.greater_scalar(least).int().sum().into_scalar::<i64>();
            assert_eq!(touched as usize, config.receptive_field(), "{num_layers} layers");
        }
    }

    #[test]
    fn logits_have_the_size_that_the_configuration_tells() {
        let device = Device::flex();
        let configs = (1..=6).map(|num_layers| DiscriminatorConfig { num_layers, width: 2, ..Default::default() });
        let pixel = DiscriminatorConfig { kind: DiscriminatorKind::Pixel, width: 2, ..Default::default() };
        for config in configs.chain([pixel]) {
            let network = config.init(0, &device).expect("a valid network");
            let picture = Tensor::<4>::zeros([1, 3, 256, 320], &device);
            let [_, channels, rows, columns] = network.forward(picture.clone(), picture, Mode::image()).dims();
            assert_eq!((channels, Ok([rows, columns])), (1, config.logits_size(320, 256)));
        }
        assert_eq!(DiscriminatorConfig::default().logits_size(256, 256), Ok([30, 30]));
        assert!(DiscriminatorConfig { num_layers: 6, ..Default::default() }.logits_size(128, 128).is_err());
    }
}
