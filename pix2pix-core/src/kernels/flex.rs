//! The operations on the CPU backend, by hand. Tensors keep burn's axes `[batch, channels, height, width]`; their memory has
//! channels last, and what comes otherwise is laid anew.

use burn::{
    backend::{Flex, TensorMetadata, tensor::FloatTensor},
    tensor::{DType, TensorData},
};

use super::{
    AdamRates, BlockOps, BlockSpec, Direction, Group, Maybe, adam, composed,
    convolve::{Input, Output, correlate, spread, weigh},
    geometry::{Geometry, KERNEL},
    norm::{self, Rows, unwritten},
};

/// A tensor of the CPU backend.
pub(super) type Values = FloatTensor<Flex>;

impl BlockOps for Flex {
    fn block_convolve(
        x: FloatTensor<Self>,
        skip: Maybe<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
        spec: BlockSpec,
    ) -> FloatTensor<Self> {
        let (skip, bias) = (skip.into_option(), bias.into_option());
        if !is_ours(&x, &weight) {
            return composed::convolve::<Self>(x, skip, weight, bias, spec);
        }
        let step = ConvolveStep::new(x, skip, weight, spec);
        step.forward(bias)
    }

    fn block_normalise(
        x: FloatTensor<Self>,
        gain: Maybe<Self>,
        offset: Maybe<Self>,
        group: Group,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (gain, offset) = (gain.into_option(), offset.into_option());
        if x.dtype() != DType::F32 {
            return composed::normalise::<Self>(x, gain, offset, group);
        }
        let (output, step) = NormStep::forward(x, gain, offset, group);
        let [mean, variance] = step.statistics.map(vector);
        (output, mean, variance)
    }

    fn adam_update(
        values: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        rates: AdamRates,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if [&values, &gradient, &first, &second].iter().any(|tensor| tensor.dtype() != DType::F32) {
            return composed::adam::<Self>(values, gradient, [first, second], rates);
        }
        let [mut values, gradient, mut first, mut second] = [values, gradient, first, second].map(dense);
        adam::update(
            values.storage_mut::<f32>(),
            slice(&gradient),
            [first.storage_mut::<f32>(), second.storage_mut::<f32>()],
            rates,
        );
        (values, first, second)
    }
}

/// Whether the hand-written convolutions serve.
pub(super) fn is_ours(x: &Values, weight: &Values) -> bool {
    let [_, _, height, width] = weight.shape().dims();
    x.dtype() == DType::F32 && weight.dtype() == DType::F32 && (height, width) == (KERNEL, KERNEL)
}

/// Values in the order of the axes, without gaps, from the start of the memory.
fn dense(tensor: Values) -> Values {
    let whole = tensor.is_contiguous()
        && tensor.layout().start_offset() == 0
        && tensor.bytes().len() == tensor.layout().num_elements() * size_of::<f32>();
    if whole { tensor } else { tensor.to_contiguous() }
}

fn slice(tensor: &Values) -> &[f32] {
    tensor.as_slice::<f32>().expect("the tensor was made dense")
}

pub(super) fn vector(values: Vec<f32>) -> Values {
    let count = values.len();
    Values::from_data(TensorData::new(values, [count]))
}

/// A picture of the given shape with channels last in memory.
fn picture(values: Vec<f32>, shape: [usize; 4]) -> Values {
    let [batch, channels, height, width] = shape;
    Values::from_data(TensorData::new(values, [batch, height, width, channels])).permute(&[0, 3, 1, 2])
}

/// The same tensor seen as `[batch, height, width, channels]`, without gaps.
pub(super) fn channels_last(tensor: Values) -> Values {
    let seen = tensor.permute(&[0, 2, 3, 1]);
    if seen.as_slice::<f32>().is_some() {
        return seen;
    }
    let [batch, height, width, channels] = seen.shape().dims();
    let planes = dense(tensor);
    let from = slice(&planes);
    let mut values = Vec::with_capacity(from.len());
    let plane = height * width;
    for picture in from.chunks_exact(plane * channels) {
        for pixel in 0..plane {
            values.extend((0..channels).map(|channel| picture[channel * plane + pixel]));
        }
    }
    Values::from_data(TensorData::new(values, [batch, height, width, channels]))
}

/// A convolution and what its gradients need.
#[derive(Clone, Debug)]
pub(super) struct ConvolveStep {
    /// Channels last.
    x: Values,
    /// Channels last.
    skip: Option<Values>,
    weight: Values,
    spec: BlockSpec,
    geometry: Geometry,
}

/// Which gradients are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub inputs: bool,
    pub weight: bool,
    pub bias: bool,
}

/// Gradients of a convolution.
#[derive(Debug, Default)]
pub(super) struct ConvolveGradients {
    pub x: Option<Values>,
    pub skip: Option<Values>,
    pub weight: Option<Values>,
    pub bias: Option<Values>,
}

impl ConvolveStep {
    pub fn new(x: Values, skip: Option<Values>, weight: Values, spec: BlockSpec) -> Self {
        let (x, skip) = (channels_last(x), skip.map(channels_last));
        let [batch, height, width, channels] = x.shape().dims();
        assert!(batch > 0 && channels > 0 && height > 0 && width > 0, "a convolution needs values to read");
        if let Some(skip) = &skip {
            let [of_skip, rows, columns, _] = skip.shape().dims();
            assert_eq!([of_skip, rows, columns], [batch, height, width], "a skip has the size of what it joins");
        }
        let channels = channels + skip.as_ref().map_or(0, |skip| skip.shape()[3]);
        let [small_channels, big_channels, _, _] = weight.shape().dims();
        let geometry = match spec.direction {
            Direction::Down { stride } => {
                assert!(skip.is_none(), "only blocks that go up have skips");
                assert!(height >= 2 && width >= 2, "a 4x4 kernel needs sides of at least 2, found {width}x{height}");
                assert_eq!(channels, big_channels, "channels of a convolution and its weights");
                Geometry { batch, big: [height, width], big_channels, small_channels, stride }
            }
            Direction::Up => {
                assert_eq!(channels, small_channels, "channels of a transposed convolution and its weights");
                Geometry { batch, big: [2 * height, 2 * width], big_channels, small_channels, stride: 2 }
            }
        };
        Self { x, skip, weight: dense(weight), spec, geometry }
    }

    fn input(&self) -> Input<'_> {
        let channels = |tensor: &Values| tensor.shape()[3];
        match &self.skip {
            Some(skip) => Input {
                parts: [slice(skip), slice(&self.x)],
                channels: [channels(skip), channels(&self.x)],
                slope: self.spec.slope,
            },
            None => Input::one(slice(&self.x), channels(&self.x), self.spec.slope),
        }
    }

    pub fn forward(&self, bias: Option<Values>) -> Values {
        let geometry = &self.geometry;
        let tile = geometry.suitable_tile();
        let bias = bias.map(dense);
        let bias = bias.as_ref().map(slice);
        let weight = slice(&self.weight);
        match self.spec.direction {
            Direction::Down { .. } => {
                let mut values = unwritten(geometry.small_len());
                let to = Output { bias, ..Output::one(&mut values, geometry.small_channels) };
                correlate(geometry, tile, self.input(), weight, to);
                let [height, width] = geometry.small();
                picture(values, [geometry.batch, geometry.small_channels, height, width])
            }
            Direction::Up => {
                let mut values = unwritten(geometry.big_len());
                let to = Output { bias, ..Output::one(&mut values, geometry.big_channels) };
                spread(geometry, tile, self.input(), weight, to);
                let [height, width] = geometry.big;
                picture(values, [geometry.batch, geometry.big_channels, height, width])
            }
        }
    }

    /// From the gradient of the result to those that are wanted.
    pub fn backward(&self, gradient: Values, wanted: Wanted) -> ConvolveGradients {
        let gradient = channels_last(gradient);
        let channels = gradient.shape()[3];
        let given = Input::one(slice(&gradient), channels, 1.0);
        let geometry = &self.geometry;
        let tile = geometry.suitable_tile();
        let mut result = ConvolveGradients::default();
        if wanted.bias {
            result.bias = Some(vector(norm::total(slice(&gradient), channels)));
        }
        if wanted.weight {
            let mut values = unwritten(geometry.num_weights());
            match self.spec.direction {
                Direction::Down { .. } => weigh(geometry, tile, self.input(), given, &mut values),
                Direction::Up => weigh(geometry, tile, given, self.input(), &mut values),
            }
            result.weight = Some(Values::from_data(TensorData::new(values, self.weight.shape())));
        }
        if wanted.inputs {
            let input = self.input();
            let [first, second] = input.channels;
            let mut parts = input.parts.map(|part| unwritten(part.len()));
            let [one, two] = &mut parts;
            let to = Output { parts: [one, two], channels: [first, second], before: Some(input), bias: None };
            match self.spec.direction {
                Direction::Down { .. } => spread(geometry, tile, given, slice(&self.weight), to),
                Direction::Up => correlate(geometry, tile, given, slice(&self.weight), to),
            }
            let [batch, height, width, _] = self.x.shape().dims();
            let [one, two] = parts;
            let one = picture(one, [batch, first, height, width]);
            if self.skip.is_some() {
                result.skip = Some(one);
                result.x = Some(picture(two, [batch, second, height, width]));
            } else {
                result.x = Some(one);
            }
        }
        result
    }
}

/// A norm and what its gradients need.
#[derive(Clone, Debug)]
pub(super) struct NormStep {
    /// Channels last.
    x: Values,
    gain: Option<Values>,
    rows: Rows,
    /// Means and variances.
    pub statistics: [Vec<f32>; 2],
}

impl NormStep {
    pub fn forward(x: Values, gain: Option<Values>, offset: Option<Values>, group: Group) -> (Values, Self) {
        let x = channels_last(x);
        let [batch, height, width, channels] = x.shape().dims();
        let num_groups = if group == Group::Picture { batch } else { 1 };
        let rows = Rows { num_groups, num_rows: batch * height * width / num_groups, num_channels: channels };
        let statistics = norm::statistics(slice(&x), rows);
        let (gain, offset) = (gain.map(dense), offset.map(dense));
        let [scale, shift] = norm::affine(&statistics, channels, gain.as_ref().map(slice), offset.as_ref().map(slice));
        let mut values = unwritten(slice(&x).len());
        norm::scale(slice(&x), rows, &scale, &shift, &mut values);
        let output = picture(values, [batch, channels, height, width]);
        (output, Self { x, gain, rows, statistics })
    }

    /// Gradients of input, gain and offset.
    pub fn backward(&self, gradient: Values) -> [Values; 3] {
        let gradient = channels_last(gradient);
        let gain = self.gain.as_ref().map(slice);
        let found = norm::backward(slice(&gradient), slice(&self.x), self.rows, &self.statistics, gain);
        let [batch, height, width, channels] = self.x.shape().dims();
        [picture(found.x, [batch, channels, height, width]), vector(found.gain), vector(found.offset)]
    }
}
