//! Our own operations on burn's backends, at the grain of a block: activation, 4x4 convolution, norm; and Adam.
//!
//! Each operation has a body composed of burn's operations, which every backend runs, and a hand-written one for the CPU
//! (`flex`), forward and backward. Knows tensors; nothing of networks, files or flags. Holds `unsafe` code: vectors of the
//! processor and memory that threads share by agreement. docs/kernels.md explains the algorithms.

#![expect(
    unsafe_code,
    reason = "vector instructions, and memory that threads share by agreement, each with its argument"
)]

mod adam;
mod autodiff;
mod bilinear;
mod composed;
mod convolve;
mod flex;
mod geometry;
mod lanes;
mod norm;
mod parallel;
mod product;
mod tanh;
mod transforms;
mod weights;

#[cfg(test)]
mod tests;

use burn::{
    backend::{Backend, Dispatch, ExtensionType, backend_extension, tensor::FloatTensor},
    tensor::{Device, Tensor},
};

pub use adam::AdamRates;
pub use geometry::Precision;
pub use lanes::Simd;
pub use parallel::{KeepRoom, Kept, alone};
pub use weights::{Learner, WeightUse};

/// Added to variances (the field's constant).
pub const EPSILON: f64 = 1e-5;

/// Which way a convolution goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A convolution: height and width shrink to `(side - 2) / stride + 1`.
    Down {
        /// 1 or 2.
        stride: usize,
    },
    /// A transposed convolution with stride 2: height and width double.
    Up,
}

/// Over what the statistics of a norm are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Batch, height and width.
    Batch,
    /// The same for each of so many equal parts of the batch: what goes through a network together stays apart in its norms.
    Parts(usize),
    /// Height and width of each picture.
    Picture,
}

impl Group {
    /// Number of groups in a batch.
    ///
    /// # Panics
    /// When parts are not equal.
    fn count(self, batch: usize) -> usize {
        match self {
            Self::Batch => 1,
            Self::Parts(count) => {
                assert!(count > 0 && batch.is_multiple_of(count), "{batch} pictures in {count} equal parts");
                count
            }
            Self::Picture => batch,
        }
    }
}

/// What a block does, beside its tensors. Kernels are 4x4 with padding 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockSpec {
    /// Which way the convolution goes.
    pub direction: Direction,
    /// The convolution reads `max(x, slope * x)`: 0 is a ReLU, 0.2 the field's leaky one, 1 leaves values as they are.
    pub slope: f32,
    /// In what its products are computed.
    pub precision: Precision,
}

/// A tensor, or none.
#[derive(Clone, Debug, ExtensionType)]
pub enum Maybe<B: Backend> {
    /// There is one.
    Given(FloatTensor<B>),
    /// There is none.
    Absent,
}

impl<B: Backend> Maybe<B> {
    fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            Self::Given(tensor) => Some(tensor),
            Self::Absent => None,
        }
    }
}

/// The operations, on the primitives of a backend. [`convolve`], [`normalised`] and [`adam`] are their faces.
#[backend_extension(
    Flex,
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "cuda", feature = "vulkan", feature = "metal", feature = "wgpu")),
    Autodiff
)]
pub trait BlockOps: Backend {
    /// See [`convolve`].
    fn block_convolve(
        x: FloatTensor<Self>,
        #[extension_type] skip: Maybe<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        spec: BlockSpec,
        _weights: WeightUse,
    ) -> FloatTensor<Self> {
        composed::convolve::<Self>(x, skip.into_option(), weight, bias.into_option(), spec)
    }

    /// See [`tanh`].
    fn block_tanh(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_tanh(x)
    }

    /// See [`normalised`].
    fn block_normalise(
        x: FloatTensor<Self>,
        #[extension_type] gain: Maybe<Self>,
        #[extension_type] offset: Maybe<Self>,
        group: Group,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::normalise::<Self>(x, gain.into_option(), offset.into_option(), group)
    }

    /// See [`scaled`].
    fn block_scale(x: FloatTensor<Self>, scale: FloatTensor<Self>, shift: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::scale::<Self>(x, scale, shift)
    }

    /// See [`adam`].
    fn adam_update(
        values: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        rates: AdamRates,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::adam::<Self>(values, gradient, [first, second], rates)
    }

    /// See [`lend`]: gives back what the learner does not take.
    fn lend_weights(
        values: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        _learner: Learner,
        _rates: AdamRates,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        (values, first, second)
    }

    /// See [`take_back`]: what the learner has, or else three times what is given.
    fn returned_weights(
        given: FloatTensor<Self>,
        _learner: Learner,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        (given.clone(), given.clone(), given)
    }
}

#[cfg(feature = "ndarray")]
mod reference {
    use burn::backend::{Autodiff, NdArray, autodiff::checkpoint::strategy::CheckpointStrategy};

    impl super::BlockOps for NdArray {}
    impl<C: CheckpointStrategy> super::BlockOps for Autodiff<NdArray, C> {}
}

#[cfg(any(feature = "cuda", feature = "vulkan", feature = "metal", feature = "wgpu"))]
mod gpu {
    use burn::backend::{Autodiff, Cube, autodiff::checkpoint::strategy::CheckpointStrategy};

    impl super::BlockOps for Cube {}
    impl<C: CheckpointStrategy> super::BlockOps for Autodiff<Cube, C> {}
}

fn maybe(tensor: Option<Tensor<1>>) -> Maybe<Dispatch> {
    tensor.map_or(Maybe::Absent, |tensor| Maybe::Given(tensor.into_dispatch()))
}

/// Activation and convolution.
///
/// # Shapes
/// - `x`: `[batch, channels, height, width]`; `skip`: the same with its own channels, which come first, as if joined to `x`
/// - `weight`: `[channels_out, channels_in, 4, 4]` down, `[channels_in, channels_out, 4, 4]` up
/// - `bias`: `[channels_out]`
/// - returns: `[batch, channels_out, height', width']` by the direction
///
/// # Panics
/// When channels do not fit the weights, a skip has another size than `x`, or sides are too small: 2 going down, 1 going up.
pub fn convolve(
    x: Tensor<4>,
    skip: Option<Tensor<4>>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    spec: BlockSpec,
    weights: WeightUse,
) -> Tensor<4> {
    let skip = skip.map_or(Maybe::Absent, |skip| Maybe::Given(skip.into_dispatch()));
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), maybe(bias));
    Tensor::from_dispatch(<Dispatch as BlockOps>::block_convolve(x, skip, weight, bias, spec, weights))
}

/// The hyperbolic tangent, to 4e-7.
///
/// # Shapes
/// - `x`: `[batch, channels, height, width]`
/// - returns: the same shape, values in `[-1, 1]`
pub fn tanh(x: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as BlockOps>::block_tanh(x.into_dispatch()))
}

/// What a norm gives.
#[derive(Clone, Debug)]
pub struct Normalised {
    /// `[batch, channels, height, width]`.
    pub output: Tensor<4>,
    /// Means: `[groups * channels]`; there is one group for the batch, or one for each part or picture. Carries no gradient.
    pub mean: Tensor<1>,
    /// Biased variances, likewise.
    pub variance: Tensor<1>,
}

/// `(x - mean) / sqrt(variance + EPSILON) * gain + offset` with the statistics of `x` itself.
///
/// # Shapes
/// - `x`: `[batch, channels, height, width]`
/// - `gain`, `offset`: `[channels]`; 1 and 0 when there are none
pub fn normalised(x: Tensor<4>, gain: Option<Tensor<1>>, offset: Option<Tensor<1>>, group: Group) -> Normalised {
    let (output, mean, variance) =
        <Dispatch as BlockOps>::block_normalise(x.into_dispatch(), maybe(gain), maybe(offset), group);
    Normalised {
        output: Tensor::from_dispatch(output),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

/// `x * scale + shift` for each channel: a norm whose statistics are known.
///
/// # Shapes
/// - `x`: `[batch, channels, height, width]`
/// - `scale`, `shift`: `[channels]`
/// - returns: the shape of `x`
pub fn scaled(x: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>) -> Tensor<4> {
    let [x, scale, shift] = [x.into_dispatch(), scale.into_dispatch(), shift.into_dispatch()];
    Tensor::from_dispatch(<Dispatch as BlockOps>::block_scale(x, scale, shift))
}

/// One update of Adam (Kingma and Ba 2015); in place where the memory is not shared. Gives values and moments.
///
/// # Shapes
/// - `values`, `gradient`, `moments`: one shape, without autodiff
pub fn adam<const D: usize>(
    values: Tensor<D>,
    gradient: Tensor<D>,
    moments: [Tensor<D>; 2],
    rates: AdamRates,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let [first, second] = moments.map(Tensor::into_dispatch);
    let (values, first, second) =
        <Dispatch as BlockOps>::adam_update(values.into_dispatch(), gradient.into_dispatch(), first, second, rates);
    (Tensor::from_dispatch(values), [first, second].map(Tensor::from_dispatch))
}

/// Weights of a convolution and their moments, without autodiff.
pub type WithMoments<const D: usize> = (Tensor<D>, [Tensor<1>; 2]);

/// Lends weights to a learner until [`take_back`]. Gives them back at once where the backend moves no weights in a backward pass.
pub fn lend<const D: usize>(learner: &Learner, weights: WithMoments<D>, rates: AdamRates) -> Option<WithMoments<D>> {
    let (values, [first, second]) = weights;
    let [first, second] = [first, second].map(Tensor::into_dispatch);
    let learner_here = learner.clone();
    let left = <Dispatch as BlockOps>::lend_weights(values.into_dispatch(), first, second, learner_here, rates);
    (!learner.has_loan()).then(|| with_moments(left))
}

/// Ends a loan: the weights, moved by the backward pass. `None` when nothing was lent.
///
/// # Panics
/// When no backward pass has come between.
pub fn take_back<const D: usize>(learner: &Learner, device: &Device) -> Option<WithMoments<D>> {
    learner.has_loan().then(|| {
        assert!(learner.has_moved(), "a backward pass comes between lending weights and taking them back");
        let given = Tensor::<1>::zeros([1], device).into_dispatch();
        with_moments(<Dispatch as BlockOps>::returned_weights(given, learner.clone()))
    })
}

fn with_moments<const D: usize>(
    parts: (FloatTensor<Dispatch>, FloatTensor<Dispatch>, FloatTensor<Dispatch>),
) -> WithMoments<D> {
    let (values, first, second) = parts;
    (Tensor::from_dispatch(values), [first, second].map(Tensor::from_dispatch))
}
