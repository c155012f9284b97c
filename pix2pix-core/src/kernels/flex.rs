//! The operations on the CPU backend, by hand. Tensors keep burn's axes `[batch, channels, height, width]`; their memory has
//! channels last, and what comes otherwise is laid anew.

use burn::{
    backend::{Flex, TensorMetadata, ops::FloatTensorOps, tensor::FloatTensor},
    tensor::{DType, TensorData},
};

use super::{
    AdamRates, BlockOps, BlockSpec, Direction, Group, Maybe, adam, composed,
    convolve::{Input, Learned, Output, Weights, correlate, spread, weigh},
    geometry::{Geometry, KERNEL},
    norm::{self, Rows, unwritten},
    parallel::{Shared, parallel},
    tanh,
    weights::{Learner, Lent, WeightUse},
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
        weights: WeightUse,
    ) -> FloatTensor<Self> {
        let (skip, bias) = (skip.into_option(), bias.into_option());
        if !is_ours(&x, &weight) {
            return composed::convolve::<Self>(x, skip, weight, bias, spec);
        }
        let step = ConvolveStep::new(x, skip, weight, spec, weights);
        step.forward(bias)
    }

    fn block_tanh(x: FloatTensor<Self>) -> FloatTensor<Self> {
        if x.dtype() == DType::F32 { TanhStep::forward(x).0 } else { Self::float_tanh(x) }
    }

    fn lend_weights(
        values: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        learner: Learner,
        rates: AdamRates,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let moments = [first, second].map(dense);
        learner.lend(Lent { values: dense(values), moments }, rates);
        (vector(Vec::new()), vector(Vec::new()), vector(Vec::new()))
    }

    fn returned_weights(
        given: FloatTensor<Self>,
        learner: Learner,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        match learner.end() {
            Some(Lent { values, moments: [first, second] }) => (values, first, second),
            None => (given.clone(), given.clone(), given),
        }
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

    fn block_scale(x: FloatTensor<Self>, scale: FloatTensor<Self>, shift: FloatTensor<Self>) -> FloatTensor<Self> {
        if [&x, &scale, &shift].iter().any(|tensor| tensor.dtype() != DType::F32) {
            return composed::scale::<Self>(x, scale, shift);
        }
        let (x, scale, shift) = (channels_last(x), dense(scale), dense(shift));
        let [batch, height, width, channels] = x.shape().dims();
        let rows = Rows { num_groups: 1, num_rows: batch * height * width, num_channels: channels };
        let mut values = unwritten(slice(&x).len());
        norm::scale(slice(&x), rows, slice(&scale), slice(&shift), &mut values);
        picture(values, [batch, channels, height, width])
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

/// Pixels that one thread lays anew at a time.
const PIXELS: usize = 1 << 12;

/// The same tensor seen as `[batch, height, width, channels]`, without gaps.
pub(super) fn channels_last(tensor: Values) -> Values {
    let seen = tensor.permute(&[0, 2, 3, 1]);
    if seen.as_slice::<f32>().is_some() {
        return seen;
    }
    let [batch, height, width, channels] = seen.shape().dims();
    let planes = dense(tensor);
    let from = slice(&planes);
    let mut values = unwritten(from.len());
    let to = Shared::new(&mut values);
    let plane = height * width;
    let parts = plane.div_ceil(PIXELS);
    parallel(batch * parts, |number| {
        let (picture, first) = (number / parts, number % parts * PIXELS);
        let count = PIXELS.min(plane - first);
        let from = &from[picture * plane * channels..];
        // SAFETY: every part has pixels of its own.
        let to = unsafe {
            let start = to.get().add((picture * plane + first) * channels);
            std::slice::from_raw_parts_mut(start, count * channels)
        };
        for channel in 0..channels {
            let from = &from[channel * plane + first..][..count];
            to[channel..].iter_mut().step_by(channels).zip(from).for_each(|(to, from)| *to = *from);
        }
    });
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
    weights: WeightUse,
}

/// Which gradients are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub x: bool,
    pub skip: bool,
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
    pub fn new(x: Values, skip: Option<Values>, weight: Values, spec: BlockSpec, weights: WeightUse) -> Self {
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
                assert!(height >= 2 && width >= 2, "a 4x4 kernel needs sides of at least 2, found {width}x{height}");
                assert_eq!(channels, big_channels, "channels of a convolution and its weights");
                Geometry { batch, big: [height, width], big_channels, small_channels, stride }
            }
            Direction::Up => {
                assert_eq!(channels, small_channels, "channels of a transposed convolution and its weights");
                Geometry { batch, big: [2 * height, 2 * width], big_channels, small_channels, stride: 2 }
            }
        };
        Self { x, skip, weight: dense(weight), spec, geometry, weights }
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

    fn weights(&self) -> Weights<'_> {
        let kept = match &self.weights {
            WeightUse::Keep(kept) => Some(kept),
            _ => None,
        };
        Weights { values: slice(&self.weight), kept }
    }

    pub fn forward(&self, bias: Option<Values>) -> Values {
        let geometry = &self.geometry;
        let scheme = geometry.suitable(self.spec.precision);
        let bias = bias.map(dense);
        let bias = bias.as_ref().map(slice);
        match self.spec.direction {
            Direction::Down { .. } => {
                let mut values = unwritten(geometry.small_len());
                let to = Output { bias, ..Output::one(&mut values, geometry.small_channels) };
                correlate(geometry, scheme, self.input(), self.weights(), to);
                let [height, width] = geometry.small();
                picture(values, [geometry.batch, geometry.small_channels, height, width])
            }
            Direction::Up => {
                let mut values = unwritten(geometry.big_len());
                let to = Output { bias, ..Output::one(&mut values, geometry.big_channels) };
                spread(geometry, scheme, self.input(), self.weights(), to);
                let [height, width] = geometry.big;
                picture(values, [geometry.batch, geometry.big_channels, height, width])
            }
        }
    }

    /// Tells a learner that a backward pass will come.
    pub fn expect_backward(&self) {
        if let WeightUse::Learn(learner) = &self.weights {
            learner.count_use();
        }
    }

    /// From the gradient of the result to those that are wanted. Weights that a learner has lent are moved, and their gradient
    /// is gone.
    pub fn backward(mut self, gradient: Values, wanted: Wanted) -> ConvolveGradients {
        let gradient = channels_last(gradient);
        let mut result = self.input_gradients(&gradient, wanted);
        if wanted.bias {
            result.bias = Some(vector(norm::total(slice(&gradient), gradient.shape()[3])));
        }
        if !wanted.weight {
            return result;
        }
        let shape = self.weight.shape();
        if let WeightUse::Learn(learner) = std::mem::take(&mut self.weights)
            && let Some((Lent { mut values, moments: [mut first, mut second] }, rates)) = learner.borrow()
        {
            // Without this reference the memory can be moved in place.
            self.weight = vector(Vec::new());
            let moments = [first.storage_mut::<f32>(), second.storage_mut::<f32>()];
            self.weigh(&gradient, Learned::Adam { values: values.storage_mut::<f32>(), moments, rates });
            learner.give_back(Lent { values, moments: [first, second] });
            return result;
        }
        let mut values = unwritten(self.geometry.num_weights());
        self.weigh(&gradient, Learned::Gradient(&mut values));
        result.weight = Some(Values::from_data(TensorData::new(values, shape)));
        result
    }

    fn weigh(&self, gradient: &Values, to: Learned<'_>) {
        let given = Input::one(slice(gradient), gradient.shape()[3], 1.0);
        let (geometry, scheme) = (&self.geometry, self.geometry.suitable(self.spec.precision));
        match self.spec.direction {
            Direction::Down { .. } => weigh(geometry, scheme, self.input(), given, to),
            Direction::Up => weigh(geometry, scheme, given, self.input(), to),
        }
    }

    fn input_gradients(&self, gradient: &Values, wanted: Wanted) -> ConvolveGradients {
        let mut result = ConvolveGradients::default();
        if !wanted.x && !wanted.skip {
            return result;
        }
        let given = Input::one(slice(gradient), gradient.shape()[3], 1.0);
        let (geometry, scheme) = (&self.geometry, self.geometry.suitable(self.spec.precision));
        let input = self.input();
        // A skip comes first, where there is one.
        let asked = if self.skip.is_some() { [wanted.skip, wanted.x] } else { [wanted.x, false] };
        let [mut one, mut two] = [0, 1].map(|at| asked[at].then(|| unwritten(input.parts[at].len())));
        let parts = [one.as_deref_mut(), two.as_deref_mut()];
        let to = Output { parts, channels: input.channels, before: Some(input), bias: None };
        match self.spec.direction {
            Direction::Down { .. } => spread(geometry, scheme, given, self.weights(), to),
            Direction::Up => correlate(geometry, scheme, given, self.weights(), to),
        }
        let [batch, height, width, _] = self.x.shape().dims();
        let [first, second] = input.channels;
        let one = one.map(|values| picture(values, [batch, first, height, width]));
        let two = two.map(|values| picture(values, [batch, second, height, width]));
        (result.skip, result.x) = if self.skip.is_some() { (one, two) } else { (None, one) };
        result
    }
}

/// A tangent and what its gradient needs.
#[derive(Clone, Debug)]
pub(super) struct TanhStep {
    /// The result, channels last.
    y: Values,
}

impl TanhStep {
    pub fn forward(x: Values) -> (Values, Self) {
        let x = channels_last(x);
        let y = Values::from_data(TensorData::new(tanh::forward(slice(&x)), x.shape()));
        (y.permute(&[0, 3, 1, 2]), Self { y })
    }

    pub fn backward(&self, gradient: Values) -> Values {
        let gradient = channels_last(gradient);
        let found = tanh::backward(slice(&gradient), slice(&self.y));
        Values::from_data(TensorData::new(found, self.y.shape())).permute(&[0, 3, 1, 2])
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
        let num_groups = group.count(batch);
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
