//! Normalisation layers that let the caller choose whose statistics count.
//!
//! Batch norm follows Ioffe and Szegedy 2015 with the field's constants (epsilon 1e-5, momentum 0.1, affine); instance norm
//! follows Ulyanov et al. 2016 without affine parameters and without running statistics, as the reference uses it.

use burn::{
    module::{Module, Param, RunningState},
    tensor::Tensor,
};
use serde::{Deserialize, Serialize};

use super::init::Init;
use crate::kernels::{EPSILON, Group, normalised, scaled};

const MOMENTUM: f64 = 0.1;

/// Which normalisation a network uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormKind {
    /// Statistics over batch, height and width; affine.
    #[default]
    Batch,
    /// Statistics over height and width of each picture; not affine.
    Instance,
    /// No normalisation.
    None,
}

impl NormKind {
    /// Whether convolutions before this norm have a bias: in the reference, exactly with instance norm.
    pub const fn needs_bias(self) -> bool {
        matches!(self, Self::Instance)
    }
}

/// Whose mean and variance a batch norm uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// Those of the batch at hand; with `track` they also move the running ones.
    Batch {
        /// Update the running statistics.
        track: bool,
        /// Equal parts of the batch that have statistics of their own, 1 for the batch as a whole. Running ones are moved by one
        /// part after the other, as by passes of their own.
        parts: usize,
    },
    /// The running ones, collected in training.
    Running,
}

/// Mean and biased variance of each channel of what a norm reads, `[channels]`.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Means.
    pub mean: Tensor<1>,
    /// Variances.
    pub variance: Tensor<1>,
}

impl Moments {
    /// Those of `x`, over batch, height and width.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels, height, width]`
    pub fn of(x: Tensor<4>) -> Self {
        let found = normalised(x, None, None, Group::Batch);
        Self { mean: found.mean, variance: found.variance }
    }
}

/// Batch norm, instance norm or nothing.
#[derive(Module, Debug)]
pub(super) struct Norm {
    gamma: Option<Param<Tensor<1>>>,
    beta: Option<Param<Tensor<1>>>,
    running_mean: Option<RunningState<Tensor<1>>>,
    running_var: Option<RunningState<Tensor<1>>>,
    #[module(skip)]
    kind: NormKind,
}

impl Norm {
    pub fn new(kind: NormKind, channels: usize, init: &mut Init<'_>) -> Self {
        let batch = kind == NormKind::Batch;
        let device = init.device.clone();
        Self {
            gamma: batch.then(|| init.gain(channels)),
            beta: batch.then(|| init.bias(channels)),
            running_mean: batch.then(|| RunningState::new(Tensor::zeros([channels], &device))),
            running_var: batch.then(|| RunningState::new(Tensor::ones([channels], &device))),
            kind,
        }
    }

    /// # Shapes
    /// - `x`: `[batch, channels, height, width]`
    /// - returns: the same shape
    pub fn forward(&self, x: Tensor<4>, statistics: Statistics) -> Tensor<4> {
        match (&self.gamma, &self.beta, &self.running_mean, &self.running_var) {
            (Some(gamma), Some(beta), Some(mean), Some(var)) => match statistics {
                Statistics::Running => {
                    let device = x.device();
                    let place = |state: &RunningState<Tensor<1>>| same_context(state.value_sync(), &device);
                    self.by(x, &Moments { mean: place(mean), variance: place(var) })
                }
                Statistics::Batch { track, parts } => {
                    let [batch, channels, height, width] = x.dims();
                    let group = if parts == 1 { Group::Batch } else { Group::Parts(parts) };
                    let result = normalised(x, Some(gamma.val()), Some(beta.val()), group);
                    if track {
                        let count = (batch / parts * height * width) as f64;
                        let unbiased = if count > 1.0 { count / (count - 1.0) } else { 1.0 };
                        for part in 0..parts {
                            let of_part = |all: &Tensor<1>| all.clone().narrow(0, part * channels, channels);
                            follow(mean, of_part(&result.mean), 1.0);
                            follow(var, of_part(&result.variance), unbiased);
                        }
                    }
                    result.output
                }
            },
            _ if self.kind == NormKind::Instance => normalised(x, None, None, Group::Picture).output,
            _ => x,
        }
    }

    /// Whether what it does depends on all that it reads.
    pub fn reads_all(&self, statistics: Statistics) -> bool {
        match self.kind {
            NormKind::Batch => statistics != Statistics::Running,
            NormKind::Instance => true,
            NormKind::None => false,
        }
    }

    /// Normalises with given moments instead of those of `x`.
    ///
    /// # Shapes
    /// As [`Self::forward`].
    pub fn by(&self, x: Tensor<4>, moments: &Moments) -> Tensor<4> {
        let inverse = (moments.variance.clone() + EPSILON).sqrt().recip();
        let scale = match &self.gamma {
            Some(gamma) => gamma.val() * inverse,
            None => inverse,
        };
        let shift = -(moments.mean.clone() * scale.clone());
        let shift = match &self.beta {
            Some(beta) => beta.val() + shift,
            None => shift,
        };
        scaled(x, scale, shift)
    }
}

/// Moves a running statistic towards the one of this batch.
fn follow(state: &RunningState<Tensor<1>>, batch: Tensor<1>, factor: f64) {
    let batch = batch.without_autodiff();
    let running = state.value_sync().without_autodiff();
    state.update(running * (1.0 - MOMENTUM) + batch * (MOMENTUM * factor));
    // An update waits to be merged with those of other threads, and what waits would be missing in a checkpoint.
    drop(state.value_sync());
}

/// Puts a plain tensor into the autodiff context of `device`.
fn same_context(tensor: Tensor<1>, device: &burn::tensor::Device) -> Tensor<1> {
    let plain = tensor.without_autodiff();
    if device.is_autodiff() { plain.autodiff() } else { plain }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;

    fn ramp(device: &Device) -> Tensor<4> {
        Tensor::from_data(TensorData::new((0..32).map(|i| i as f32).collect::<Vec<_>>(), [2, 2, 2, 4]), device)
    }

    #[test]
    fn instance_norm_gives_each_channel_of_each_picture_mean_zero_and_variance_one() {
        let device = Device::flex();
        let norm = Norm::new(NormKind::Instance, 2, &mut Init::new("test", 0, &device));
        let y = norm.forward(ramp(&device), Statistics::Batch { track: false, parts: 1 });
        let y = y.reshape([4, 8]);
        let mean = y.clone().mean_dim(1).into_data();
        let variance = y.square().mean_dim(1).into_data();
        mean.assert_approx_eq::<f32>(&TensorData::zeros::<f32, _>([4, 1]), Tolerance::absolute(1e-5));
        variance.assert_approx_eq::<f32>(&TensorData::ones::<f32, _>([4, 1]), Tolerance::absolute(1e-4));
    }

    #[test]
    fn running_statistics_follow_the_batch_with_momentum_and_unbiased_variance() {
        let device = Device::flex();
        let norm = Norm::new(NormKind::Batch, 2, &mut Init::new("test", 0, &device));
        norm.forward(ramp(&device), Statistics::Batch { track: true, parts: 1 });
        let mean = norm.running_mean.as_ref().expect("batch norm has one").value_sync();
        // Channel 0 holds 0..8 and 16..24 (mean 11.5), channel 1 the rest (mean 19.5).
        mean.into_data().assert_approx_eq::<f32>(&TensorData::from([1.15_f32, 1.95]), Tolerance::default());
        let variance = norm.running_var.as_ref().expect("batch norm has one").value_sync();
        let sum = (0..8).chain(16..24).map(|i| (f64::from(i) - 11.5).powi(2)).sum::<f64>();
        let expected = (0.9 + 0.1 * sum / 15.0) as f32;
        variance.into_data().assert_approx_eq::<f32>(&TensorData::from([expected, expected]), Tolerance::default());
    }

    #[test]
    fn statistics_of_the_batch_are_available_without_autodiff() {
        let plain = Device::flex();
        let norm = Norm::new(NormKind::Batch, 2, &mut Init::new("test", 0, &plain));
        let own = norm.forward(ramp(&plain), Statistics::Batch { track: false, parts: 1 });
        let running = norm.forward(ramp(&plain), Statistics::Running);
        assert!(own.mean().into_scalar::<f32>().abs() < 0.1);
        assert!(running.mean().into_scalar::<f32>() > 10.0);
    }
}
