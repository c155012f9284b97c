//! Convolutions as the blocks use them: weights, geometry, nothing else.

use burn::{
    module::{Module, Param},
    tensor::{
        Tensor,
        activation::{leaky_relu, relu},
        module::{conv2d, interpolate},
        ops::{ConvOptions, InterpolateMode, InterpolateOptions},
    },
};
use serde::{Deserialize, Serialize};

use super::{Mode, init::Init};
use crate::kernels::{self, BlockSpec, Direction};

/// What a convolution does to what it reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Activation {
    /// Nothing.
    None,
    /// Zero below zero.
    Relu,
    /// A fifth of it below zero: encoder and discriminator.
    Leaky,
}

impl Activation {
    /// Slope below zero.
    const fn slope(self) -> f32 {
        match self {
            Self::None => 1.0,
            Self::Relu => 0.0,
            Self::Leaky => 0.2,
        }
    }

    fn forward(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::None => x,
            Self::Relu => relu(x),
            Self::Leaky => leaky_relu(x, f64::from(self.slope())),
        }
    }
}

/// Side of the kernels of the U-Net and the PatchGAN.
pub(super) const KERNEL: usize = 4;

/// How the decoder doubles height and width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Upsampling {
    /// A transposed 4x4 convolution with stride 2, as in the paper.
    #[default]
    Transposed,
    /// Nearest-neighbour doubling, then a 3x3 convolution: no checkerboards (Odena et al. 2016).
    ResizeConv,
}

/// A square convolution with zero padding.
#[derive(Module, Debug)]
pub(super) struct Convolution {
    weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
    stride: usize,
    padding: usize,
}

/// Kernel side, stride and padding of a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

impl Geometry {
    /// Halves height and width.
    pub const HALVE: Self = Self { kernel: KERNEL, stride: 2, padding: 1 };
    /// Takes one pixel off height and width.
    pub const KEEP: Self = Self { kernel: KERNEL, stride: 1, padding: 1 };
    /// Looks at one pixel.
    pub const PIXEL: Self = Self { kernel: 1, stride: 1, padding: 0 };
    /// Keeps height and width exactly.
    pub const SAME: Self = Self { kernel: 3, stride: 1, padding: 1 };
}

impl Convolution {
    pub fn new(channels: [usize; 2], bias: bool, geometry: Geometry, init: &mut Init<'_>) -> Self {
        let [input, output] = channels;
        Self {
            weight: init.weight([output, input, geometry.kernel, geometry.kernel]),
            bias: bias.then(|| init.bias(output)),
            stride: geometry.stride,
            padding: geometry.padding,
        }
    }

    /// # Shapes
    /// - `x`: `[batch, channels_x, height, width]`, read through `activation`; `before` likewise, its channels come first
    /// - returns: `[batch, channels_out, (height + 2 * padding - kernel) / stride + 1, ...]`
    pub fn forward(
        &self,
        x: Tensor<4>,
        before: Option<Tensor<4>>,
        activation: Activation,
        mode: Mode<'_>,
    ) -> Tensor<4> {
        let bias = self.bias.as_ref().map(Param::val);
        let [_, _, kernel, _] = self.weight.dims();
        if (kernel, self.padding) == (KERNEL, 1) {
            return block((x, before), &self.weight, bias, Direction::Down { stride: self.stride }, activation, mode);
        }
        let options = ConvOptions::new([self.stride; 2], [self.padding; 2], [1, 1], 1);
        conv2d(activation.forward(joined(x, before)), self.weight.val(), bias, options)
    }
}

/// `before` and `x` as one.
fn joined(x: Tensor<4>, before: Option<Tensor<4>>) -> Tensor<4> {
    match before {
        Some(before) => Tensor::cat(vec![before, x], 1),
        None => x,
    }
}

/// The convolutions of [`kernels`].
fn block(
    (x, before): (Tensor<4>, Option<Tensor<4>>),
    weight: &Param<Tensor<4>>,
    bias: Option<Tensor<1>>,
    direction: Direction,
    activation: Activation,
    mode: Mode<'_>,
) -> Tensor<4> {
    let spec = BlockSpec { direction, slope: activation.slope(), precision: mode.precision };
    let uses = mode.uses.map(|uses| uses.of(weight.id)).unwrap_or_default();
    kernels::convolve(x, before, weight.val(), bias, spec, uses)
}

/// Doubles height and width, one way or the other.
#[derive(Module, Debug)]
pub(super) struct UpConvolution {
    weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    upsampling: Upsampling,
}

impl UpConvolution {
    pub fn new(channels: [usize; 2], bias: bool, upsampling: Upsampling, init: &mut Init<'_>) -> Self {
        let [input, output] = channels;
        let dims = match upsampling {
            Upsampling::Transposed => [input, output, KERNEL, KERNEL],
            Upsampling::ResizeConv => [output, input, Geometry::SAME.kernel, Geometry::SAME.kernel],
        };
        Self { weight: init.weight(dims), bias: bias.then(|| init.bias(output)), upsampling }
    }

    /// # Shapes
    /// - `x`: `[batch, channels_x, height, width]`, read through `activation`; `skip` likewise, its channels come first
    /// - returns: `[batch, channels_out, 2 * height, 2 * width]`
    pub fn forward(&self, x: Tensor<4>, skip: Option<Tensor<4>>, activation: Activation, mode: Mode<'_>) -> Tensor<4> {
        let bias = self.bias.as_ref().map(Param::val);
        match self.upsampling {
            Upsampling::Transposed => block((x, skip), &self.weight, bias, Direction::Up, activation, mode),
            Upsampling::ResizeConv => {
                let x = activation.forward(joined(x, skip));
                let [_, _, height, width] = x.dims();
                let options =
                    InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * height, 2 * width]);
                let options_conv = ConvOptions::new([1, 1], [Geometry::SAME.padding; 2], [1, 1], 1);
                conv2d(interpolate(x, options), self.weight.val(), bias, options_conv)
            }
        }
    }
}
