//! Initial weights, drawn on the host from named seeds: the same on every device.

use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};
use rand_distr::{Distribution, Normal};

use crate::seed;

/// Spread of initial weights: N(0, 0.02) for convolutions, N(1, 0.02) for batch-norm gains (Isola et al. 2017, appendix 6.2).
const WEIGHT_SPREAD: f32 = 0.02;

/// Gives each new parameter its own seed, in the order in which a network asks for them.
pub(super) struct Init<'a> {
    seed: Option<u64>,
    network: &'static str,
    next: u64,
    pub device: &'a Device,
}

impl<'a> Init<'a> {
    pub fn new(network: &'static str, seed: u64, device: &'a Device) -> Self {
        Self { seed: Some(seed), network, next: 0, device }
    }

    /// Draws nothing: zeros everywhere.
    pub fn blank(device: &'a Device) -> Self {
        Self { seed: None, network: "", next: 0, device }
    }

    /// A weight drawn from N(0, 0.02).
    pub fn weight(&mut self, dims: [usize; 4]) -> Param<Tensor<4>> {
        self.normal(dims, 0.0)
    }

    /// A gain drawn from N(1, 0.02).
    pub fn gain(&mut self, channels: usize) -> Param<Tensor<1>> {
        self.normal([channels], 1.0)
    }

    /// A bias of zeros.
    pub fn bias(&self, channels: usize) -> Param<Tensor<1>> {
        Param::from_tensor(Tensor::zeros([channels], self.device))
    }

    fn normal<const D: usize>(&mut self, dims: [usize; D], mean: f32) -> Param<Tensor<D>> {
        let Some(seed) = self.seed else {
            // Memory that nobody has written to yet costs nothing; the tensor's own zeros would be copied.
            let zeros = vec![0.0_f32; dims.iter().product()];
            return Param::from_tensor(Tensor::from_data(TensorData::new(zeros, dims), self.device));
        };
        let mut rng = seed::rng(seed, self.network, self.next);
        self.next += 1;
        let normal = Normal::new(mean, WEIGHT_SPREAD).expect("the spread is a positive constant");
        let values = normal.sample_iter(&mut rng).take(dims.iter().product()).collect::<Vec<f32>>();
        Param::from_tensor(Tensor::from_data(TensorData::new(values, dims), self.device))
    }
}
