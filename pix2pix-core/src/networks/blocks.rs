//! The blocks of both networks: activation, convolution, norm and dropout as one module with one forward.

use burn::{module::Module, tensor::Tensor};

use super::{
    Mode, NormKind, Upsampling,
    dropout::dropout,
    init::Init,
    layers::{Activation, Convolution, Geometry, UpConvolution},
    norm::Norm,
};

/// [leaky ReLU,] convolution, [norm]: the block of encoder and discriminator.
#[derive(Module, Debug)]
pub(super) struct DownBlock {
    convolution: Convolution,
    norm: Norm,
    activate: bool,
}

/// What a [`DownBlock`] has beside its channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct DownOptions {
    /// A leaky ReLU comes first.
    pub activate: bool,
    pub geometry: Geometry,
    pub norm: NormKind,
    pub bias: bool,
}

impl DownBlock {
    pub fn new(channels: [usize; 2], options: DownOptions, init: &mut Init<'_>) -> Self {
        Self {
            convolution: Convolution::new(channels, options.bias, options.geometry, init),
            norm: Norm::new(options.norm, channels[1], init),
            activate: options.activate,
        }
    }

    /// # Shapes
    /// - `x`: `[batch, channels_x, height, width]`; `before`: the same with its own channels, which come first
    /// - returns: `[batch, channels_out, height', width']` by the block's geometry
    pub fn forward(&self, x: Tensor<4>, before: Option<Tensor<4>>, mode: Mode<'_>) -> Tensor<4> {
        self.norm.forward(self.convolve(x, before, mode), mode.statistics)
    }

    /// The same up to the norm.
    pub fn convolve(&self, x: Tensor<4>, before: Option<Tensor<4>>, mode: Mode<'_>) -> Tensor<4> {
        let activation = if self.activate { Activation::Leaky } else { Activation::None };
        self.convolution.forward(x, before, activation, mode)
    }

    pub fn norm(&self) -> &Norm {
        &self.norm
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
    /// - `x`: `[batch, channels_x, height, width]`; `skip`: the same with its own channels, which come first
    /// - returns: `[batch, channels_out, 2 * height, 2 * width]`
    pub fn forward(&self, x: Tensor<4>, skip: Option<Tensor<4>>, mode: Mode<'_>, layer: usize) -> Tensor<4> {
        let x = self.norm.forward(self.convolve(x, skip, mode), mode.statistics);
        match mode.dropout {
            Some(seed) if self.drops => dropout(x, seed, layer as u64),
            _ => x,
        }
    }

    /// The same up to the norm.
    pub fn convolve(&self, x: Tensor<4>, skip: Option<Tensor<4>>, mode: Mode<'_>) -> Tensor<4> {
        self.convolution.forward(x, skip, Activation::Relu, mode)
    }

    pub fn norm(&self) -> &Norm {
        &self.norm
    }
}
