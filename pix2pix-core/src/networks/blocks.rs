//! The blocks of both networks: activation, convolution, norm and dropout as one module with one forward.

use burn::{
    module::Module,
    tensor::{
        Tensor,
        activation::{leaky_relu, relu},
    },
};

use super::{
    Mode, NormKind, Upsampling,
    dropout::dropout,
    init::Init,
    layers::{Convolution, Geometry, UpConvolution},
    norm::Norm,
};

/// Slope of the leaky ReLU for negative values, in encoder and discriminator.
const LEAK: f64 = 0.2;

/// [leaky ReLU,] convolution, [norm]: the encoder's block.
#[derive(Module, Debug)]
pub(super) struct DownBlock {
    convolution: Convolution,
    norm: Norm,
    activate: bool,
}

impl DownBlock {
    /// `norm` is the kind after the convolution (none in the outermost and the innermost block), `bias` the convolution's.
    pub fn new(channels: [usize; 2], activate: bool, norm: NormKind, bias: bool, init: &mut Init<'_>) -> Self {
        Self {
            convolution: Convolution::new(channels, bias, Geometry::HALVE, init),
            norm: Norm::new(norm, channels[1], init),
            activate,
        }
    }

    /// # Shapes
    /// - `x`: `[batch, channels_in, height, width]`, both sides even
    /// - returns: `[batch, channels_out, height / 2, width / 2]`
    pub fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        let x = if self.activate { leaky_relu(x, LEAK) } else { x };
        self.norm.forward(self.convolution.forward(x), mode.statistics)
    }
}

/// ReLU, doubling convolution, [norm], [dropout]: the decoder's block.
#[derive(Module, Debug)]
pub(super) struct UpBlock {
    convolution: UpConvolution,
    norm: Norm,
    drops: bool,
}

/// What an [`UpBlock`] has beside its channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct UpOptions {
    pub norm: NormKind,
    pub bias: bool,
    pub drops: bool,
    pub upsampling: Upsampling,
}

impl UpBlock {
    pub fn new(channels: [usize; 2], options: UpOptions, init: &mut Init<'_>) -> Self {
        Self {
            convolution: UpConvolution::new(channels, options.bias, options.upsampling, init),
            norm: Norm::new(options.norm, channels[1], init),
            drops: options.drops,
        }
    }

    /// `layer` numbers the block among the decoder's, for its dropout mask.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels_in, height, width]`
    /// - returns: `[batch, channels_out, 2 * height, 2 * width]`
    pub fn forward(&self, x: Tensor<4>, mode: Mode, layer: usize) -> Tensor<4> {
        let x = self.norm.forward(self.convolution.forward(relu(x)), mode.statistics);
        match mode.dropout {
            Some(seed) if self.drops => dropout(x, seed, layer as u64),
            _ => x,
        }
    }
}

/// Convolution, [norm], leaky ReLU: the discriminator's block.
#[derive(Module, Debug)]
pub(super) struct PatchBlock {
    convolution: Convolution,
    norm: Norm,
}

impl PatchBlock {
    pub fn new(channels: [usize; 2], norm: NormKind, bias: bool, geometry: Geometry, init: &mut Init<'_>) -> Self {
        Self { convolution: Convolution::new(channels, bias, geometry, init), norm: Norm::new(norm, channels[1], init) }
    }

    /// # Shapes
    /// - `x`: `[batch, channels_in, height, width]`
    /// - returns: `[batch, channels_out, height', width']` by the block's geometry
    pub fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        leaky_relu(self.norm.forward(self.convolution.forward(x), mode.statistics), LEAK)
    }
}
