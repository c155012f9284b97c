//! The operations composed of burn's own: what every backend runs, and what tests hold the hand-written ones to.

use burn::{
    backend::{Backend, TensorMetadata, tensor::FloatTensor},
    tensor::{
        FloatDType, Shape,
        ops::{ConvOptions, ConvTransposeOptions},
    },
};

use super::{AdamRates, BlockSpec, Direction, EPSILON, Group, Precision};

pub(super) fn convolve<B: Backend>(
    x: FloatTensor<B>,
    skip: Option<FloatTensor<B>>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    spec: BlockSpec,
) -> FloatTensor<B> {
    let x = match skip {
        Some(skip) => B::float_cat(vec![skip, x], 1),
        None => x,
    };
    let x = if spec.slope == 1.0 {
        x
    } else if spec.slope == 0.0 {
        B::relu(x)
    } else {
        B::leaky_relu(x, f64::from(spec.slope).into())
    };
    // Reduced precision is that of the whole convolution here.
    let dtype = x.dtype().into();
    let reduce = |x: FloatTensor<B>| match spec.precision {
        Precision::F32 => x,
        Precision::Bf16 => B::float_cast(x, FloatDType::BF16),
    };
    let (x, weight, bias) = (reduce(x), reduce(weight), bias.map(reduce));
    let result = match spec.direction {
        Direction::Down { stride } => B::conv2d(x, weight, bias, ConvOptions::new([stride; 2], [1, 1], [1, 1], 1)),
        Direction::Up => {
            B::conv_transpose2d(x, weight, bias, ConvTransposeOptions::new([2, 2], [1, 1], [0, 0], [1, 1], 1))
        }
    };
    match spec.precision {
        Precision::F32 => result,
        Precision::Bf16 => B::float_cast(result, dtype),
    }
}

pub(super) fn normalise<B: Backend>(
    x: FloatTensor<B>,
    gain: Option<FloatTensor<B>>,
    offset: Option<FloatTensor<B>>,
    group: Group,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let shape = x.shape();
    let (device, dtype) = (x.device(), x.dtype().into());
    let [batch, channels, height, width] = shape.dims();
    let gain = gain.unwrap_or_else(|| B::float_ones(Shape::new([channels]), &device, dtype));
    let offset = offset.unwrap_or_else(|| B::float_zeros(Shape::new([channels]), &device, dtype));
    let groups = group.count(batch);
    if groups == 1 {
        let result = B::batch_norm_train(x, gain, offset, EPSILON);
        return (result.output, result.mean, result.variance);
    }
    // Groups become channels: [groups, part, channels, ...] to [part, groups * channels, ...] and back.
    let part = batch / groups;
    let repeat = |values: FloatTensor<B>| B::float_cat(vec![values; groups], 0);
    let turn = |x: FloatTensor<B>, dims: [usize; 5]| B::float_swap_dims(B::float_reshape(x, Shape::new(dims)), 0, 1);
    let merged = turn(x, [groups, part, channels, height, width]);
    let merged = B::float_reshape(merged, Shape::new([part, groups * channels, height, width]));
    let result = B::batch_norm_train(merged, repeat(gain), repeat(offset), EPSILON);
    let output = B::float_reshape(turn(result.output, [part, groups, channels, height, width]), shape);
    (output, result.mean, result.variance)
}

pub(super) fn scale<B: Backend>(x: FloatTensor<B>, scale: FloatTensor<B>, shift: FloatTensor<B>) -> FloatTensor<B> {
    let [_, channels, _, _] = x.shape().dims();
    let spread = |values: FloatTensor<B>| B::float_reshape(values, Shape::new([1, channels, 1, 1]));
    B::float_add(B::float_mul(x, spread(scale)), spread(shift))
}

pub(super) fn adam<B: Backend>(
    values: FloatTensor<B>,
    gradient: FloatTensor<B>,
    moments: [FloatTensor<B>; 2],
    rates: AdamRates,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let [first, second] = moments;
    let scaled = |x: FloatTensor<B>, factor: f32| B::float_mul_scalar(x, factor.into());
    let square = B::float_mul(gradient.clone(), gradient.clone());
    let first = B::float_add(scaled(first, rates.beta1), scaled(gradient, 1.0 - rates.beta1));
    let second = B::float_add(scaled(second, rates.beta2), scaled(square, 1.0 - rates.beta2));
    let root = B::float_add_scalar(scaled(B::float_sqrt(second.clone()), rates.root), rates.epsilon.into());
    let moved = B::float_div(scaled(first.clone(), rates.step), root);
    (B::float_sub(values, moved), first, second)
}
