//! Convolutions, transposed convolutions and their gradients, as three passes of a bilinear algorithm, or, for layers with few
//! outputs, of a direct one.
//!
//! [`correlate`] goes from the big side to the small one (a convolution; the gradient of a transposed one), [`spread`] back (a
//! transposed convolution; the gradient of a convolution), [`weigh`] meets both in the gradient of the weights. Where there are
//! many tiles, a thread takes some of them through all steps while they stay in its cache; where there are few, and many
//! weights, it takes some of the weights. Every value is summed by one thread in one order, so results do not depend on their
//! number.

mod blocks;
mod correlate;
mod direct;
mod spread;
mod weigh;

use direct::Direct;

use super::{
    AdamRates,
    geometry::{Geometry, Scheme},
    parallel::Kept,
    transforms::{Frame, Parts, Read, Write},
};

/// Values on one side, channels last, in one tensor or two.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// First the values of the first channels, then of the others, where these lie in a tensor of their own.
    pub parts: [&'a [f32]; 2],
    /// Channels of each part.
    pub channels: [usize; 2],
    /// What is read is `max(x, slope * x)`: 1 leaves values as they are, 0 is a ReLU.
    pub slope: f32,
}

impl<'a> Input<'a> {
    /// One tensor.
    pub fn one(values: &'a [f32], channels: usize, slope: f32) -> Self {
        Self { parts: [values, &[]], channels: [channels, 0], slope }
    }

    fn read(self) -> Read {
        let [first, second] = self.parts.map(<[f32]>::as_ptr);
        let [num_first, num_second] = self.channels;
        Read { parts: Parts { first, second, num_first, num_second }, slope: self.slope }
    }

    fn check(&self, len: usize, channels: usize) {
        let [first, second] = self.channels;
        assert_eq!(first + second, channels, "channels of an input");
        let pixels = len / channels;
        assert_eq!(self.parts[0].len(), pixels * first, "values of an input");
        assert_eq!(self.parts[1].len(), pixels * second, "values of an input");
    }
}

/// Values to be written, channels last, in one tensor or two.
#[derive(Debug)]
pub struct Output<'a> {
    /// As in [`Input`]; `None` where nobody wants the values.
    pub parts: [Option<&'a mut [f32]>; 2],
    /// Channels of each part.
    pub channels: [usize; 2],
    /// What is written is a gradient and goes through the activation of this input.
    pub before: Option<Input<'a>>,
    /// Added to each channel. Not together with `before`.
    pub bias: Option<&'a [f32]>,
}

impl<'a> Output<'a> {
    /// One tensor.
    pub fn one(values: &'a mut [f32], channels: usize) -> Self {
        Self { parts: [Some(values), None], channels: [channels, 0], before: None, bias: None }
    }

    fn write(self) -> Write {
        let [first, second] = self.parts.map(|part| part.map_or(std::ptr::null_mut(), <[f32]>::as_mut_ptr));
        let [num_first, num_second] = self.channels;
        Write {
            parts: Parts { first, second, num_first, num_second },
            before: self.before.map(Input::read),
            bias: self.bias.map(<[f32]>::as_ptr),
        }
    }

    fn check(&self, len: usize, channels: usize) {
        let [first, second] = self.channels;
        assert_eq!(first + second, channels, "channels of an output");
        let pixels = len / channels;
        for (part, channels) in self.parts.iter().zip(self.channels) {
            let fits = part.as_ref().is_none_or(|values| values.len() == pixels * channels);
            assert!(fits, "values of an output");
        }
        if let Some(before) = &self.before {
            before.check(len, channels);
            assert_eq!(before.channels, self.channels, "a gradient has the parts of its input");
        }
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), channels, "one bias for each channel");
            assert!(self.before.is_none(), "a gradient has no bias");
        }
    }
}

/// Weights to be read: `[small_channels, big_channels, 4, 4]`.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// The values.
    pub values: &'a [f32],
    /// Where their transform may be kept from one call to the next.
    pub kept: Option<&'a Kept>,
}

/// Where the gradient of the weights goes.
#[derive(Debug)]
pub enum Learned<'a> {
    /// To memory.
    Gradient(&'a mut [f32]),
    /// Into one update of Adam, block by block, while it is in cache.
    Adam {
        /// The weights.
        values: &'a mut [f32],
        /// Their moments.
        moments: [&'a mut [f32]; 2],
        /// What is the same for all.
        rates: AdamRates,
    },
}

macro_rules! with_frame {
    ($geometry:expr, $scheme:expr, |$frame:ident| $body:expr) => {
        match ($geometry.stride, $scheme.tile, $scheme.half) {
            (2, 2, false) => with_frame!(@ $geometry, 2, 2, 3, false, $frame, $body),
            (2, 4, false) => with_frame!(@ $geometry, 4, 2, 5, false, $frame, $body),
            (2, 2, true) => with_frame!(@ $geometry, 2, 2, 3, true, $frame, $body),
            (2, 3, true) => with_frame!(@ $geometry, 3, 2, 4, true, $frame, $body),
            (1, 4, false) => with_frame!(@ $geometry, 4, 4, 7, false, $frame, $body),
            (stride, ..) => panic!("no algorithm for stride {stride} and {:?}", $scheme),
        }
    };
    (@ $geometry:expr, $m:literal, $r:literal, $side:literal, $half:literal, $frame:ident, $body:expr) => {{
        let $frame = Frame::<$m, $r, $side, $half>::new(*$geometry);
        $body
    }};
}

/// From the big side to the small one.
///
/// # Shapes
/// - `big`: `[batch, height, width, big_channels]`
/// - `weights`: `[small_channels, big_channels, 4, 4]`
/// - `small`: `[batch, height', width', small_channels]`, overwritten
///
/// # Panics
/// When lengths do not fit the geometry, or the scheme is none of the algorithms.
pub fn correlate(geometry: &Geometry, scheme: Scheme, big: Input<'_>, weights: Weights<'_>, small: Output<'_>) {
    big.check(geometry.big_len(), geometry.big_channels);
    small.check(geometry.small_len(), geometry.small_channels);
    assert_eq!(weights.values.len(), geometry.num_weights(), "number of weights");
    if scheme.tile == 1 {
        return Direct::new(*geometry).correlate(big.read(), weights.values, small.write());
    }
    with_frame!(geometry, scheme, |frame| frame.correlate(big.read(), weights, small.write()));
}

/// From the small side to the big one: the adjoint of [`correlate`]. Shapes and panics as there; `big` is overwritten.
pub fn spread(geometry: &Geometry, scheme: Scheme, small: Input<'_>, weights: Weights<'_>, big: Output<'_>) {
    small.check(geometry.small_len(), geometry.small_channels);
    big.check(geometry.big_len(), geometry.big_channels);
    assert_eq!(weights.values.len(), geometry.num_weights(), "number of weights");
    if scheme.tile == 1 {
        return Direct::new(*geometry).spread(small.read(), weights.values, big);
    }
    with_frame!(geometry, scheme, |frame| frame.spread(small.read(), weights, big));
}

/// The gradient of the weights, from both sides: of one the values, of the other the gradient. Shapes and panics as in
/// [`correlate`].
pub fn weigh(geometry: &Geometry, scheme: Scheme, big: Input<'_>, small: Input<'_>, weights: Learned<'_>) {
    big.check(geometry.big_len(), geometry.big_channels);
    small.check(geometry.small_len(), geometry.small_channels);
    let lens = match &weights {
        Learned::Gradient(values) => [values.len(); 3],
        Learned::Adam { values, moments: [first, second], .. } => [values.len(), first.len(), second.len()],
    };
    assert_eq!(lens, [geometry.num_weights(); 3], "number of weights");
    if scheme.tile == 1 {
        return Direct::new(*geometry).weigh(big.read(), small.read(), weights);
    }
    with_frame!(geometry, scheme, |frame| frame.weigh(big.read(), small.read(), weights));
}

#[cfg(test)]
mod tests;
