//! Adam (Kingma and Ba 2015) over all parameters of a network.
//!
//! The arithmetic is one operation of [`kernels`].

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Gradients, Tensor, TensorData},
};
use serde::{Deserialize, Serialize};

use crate::{
    checkpoint::Entry,
    kernels::{self, AdamRates, Learner},
    networks::WeightUses,
};

/// Constants of Adam. `Default` is the paper's: 2e-4, 0.5, 0.999, 1e-8.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamConfig {
    /// Initial learning rate.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { learning_rate: 2e-4, beta1: 0.5, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// The moments of all parameters of one network, by the parameter's path.
#[derive(Clone, Debug, Default)]
pub struct Adam {
    moments: BTreeMap<String, [Tensor<1>; 2]>,
    num_updates: u64,
}

impl Adam {
    /// No moments yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the update after `num_updates` others needs.
    fn rates(num_updates: u64, config: &AdamConfig, learning_rate: f64) -> AdamRates {
        let power = i32::try_from(num_updates + 1).unwrap_or(i32::MAX);
        AdamRates {
            step: (learning_rate / (1.0 - config.beta1.powi(power))) as f32,
            root: (1.0 - config.beta2.powi(power)).sqrt().recip() as f32,
            beta1: config.beta1 as f32,
            beta2: config.beta2 as f32,
            epsilon: config.epsilon as f32,
        }
    }

    /// Lends weights to the backward pass that comes next, which moves them as soon as it has their gradient: nothing holds all
    /// gradients at once. Until [`Self::update`] the network has no values in their place. Which weights can be lent, `uses` of
    /// the forward pass knows; on other devices than the CPU it is none.
    pub fn lend<M: Module>(&mut self, network: M, uses: &WeightUses, config: &AdamConfig, learning_rate: f64) -> M {
        let rates = Self::rates(self.num_updates, config, learning_rate);
        network.map(&mut Lender { adam: self, uses, rates, path: Vec::new() })
    }

    /// Takes back what was lent, and moves every other parameter that has a gradient.
    pub fn update<M: Module>(
        &mut self,
        network: M,
        gradients: &mut Gradients,
        uses: Option<&WeightUses>,
        config: &AdamConfig,
        learning_rate: f64,
    ) -> M {
        let rates = Self::rates(self.num_updates, config, learning_rate);
        self.num_updates += 1;
        network.map(&mut Updater { adam: self, gradients, uses, rates, path: Vec::new() })
    }

    /// The moments of a parameter; zero at first.
    fn take_moments<const D: usize>(&mut self, path: &str, values: &Tensor<D>) -> [Tensor<1>; 2] {
        self.moments.remove(path).unwrap_or_else(|| {
            let count = values.shape().num_elements();
            [0, 1].map(|_| Tensor::from_data(TensorData::new(vec![0.0_f32; count], [count]), &values.device()))
        })
    }

    /// The moments as tensors for a checkpoint, named `group.first.*` and `group.second.*`.
    pub fn entries(&self, group: &str) -> Vec<Entry> {
        let parts = self.moments.iter().flat_map(|(path, moments)| {
            ["first", "second"].into_iter().zip(moments).map(move |(part, moment)| {
                let tensor = moment.clone();
                Entry {
                    name: format!("{group}.{part}.{path}"),
                    shape: tensor.dims().to_vec(),
                    fetch: Box::new(move || tensor.into_data()),
                }
            })
        });
        parts.collect()
    }

    /// Puts moments back that [`Self::entries`] gave, without their group.
    ///
    /// # Errors
    /// The name of a first moment without a second one, or the other way round.
    pub fn restore(
        mut tensors: BTreeMap<String, TensorData>,
        num_updates: u64,
        device: &burn::tensor::Device,
    ) -> Result<Self, String> {
        let mut moments = BTreeMap::new();
        let firsts = tensors.keys().filter_map(|name| name.strip_prefix("first.")).map(str::to_owned);
        for path in firsts.collect::<Vec<_>>() {
            let take = |tensors: &mut BTreeMap<String, TensorData>, part: &str| {
                let name = format!("{part}.{path}");
                tensors.remove(&name).map(|data| Tensor::<1>::from_data(data, device)).ok_or(name)
            };
            let pair = [take(&mut tensors, "first")?, take(&mut tensors, "second")?];
            moments.insert(path, pair);
        }
        match tensors.into_keys().next() {
            Some(left) => Err(left),
            None => Ok(Self { moments, num_updates }),
        }
    }

    /// Number of updates so far; the bias correction depends on it.
    pub const fn num_updates(&self) -> u64 {
        self.num_updates
    }
}

/// Goes through a network before its backward pass.
struct Lender<'a> {
    adam: &'a mut Adam,
    uses: &'a WeightUses,
    rates: AdamRates,
    path: Vec<String>,
}

impl ModuleMapper for Lender<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let ready = self.uses.learner(param.id).filter(Learner::is_ready);
        let Some(learner) = ready else {
            return param;
        };
        let (id, tensor, mapper) = param.consume();
        let device = tensor.device();
        let values = tensor.inner();
        let path = self.path.join(".");
        let moments = self.adam.take_moments(&path, &values);
        let values = match kernels::lend(&learner, (values, moments), self.rates) {
            None => Tensor::zeros([1; D], &device),
            Some((values, moments)) => {
                self.adam.moments.insert(path, moments);
                Tensor::from_inner(values).require_grad()
            }
        };
        Param::from_mapped_value(id, values, mapper)
    }

    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
}

/// Goes through a network after its backward pass.
struct Updater<'a> {
    adam: &'a mut Adam,
    gradients: &'a mut Gradients,
    uses: Option<&'a WeightUses>,
    rates: AdamRates,
    path: Vec<String>,
}

impl ModuleMapper for Updater<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let path = self.path.join(".");
        let lent = self.uses.and_then(|uses| uses.learner(id));
        let device = tensor.device().without_autodiff();
        if let Some((values, moments)) = lent.and_then(|learner| kernels::take_back(&learner, &device)) {
            self.adam.moments.insert(path, moments);
            return Param::from_mapped_value(id, Tensor::from_inner(values).require_grad(), mapper);
        }
        let Some(gradient) = tensor.grad_remove(self.gradients) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let dims = tensor.dims();
        let values = tensor.inner();
        let moments = self.adam.take_moments(&path, &values);
        let gradient = gradient.without_autodiff().reshape([-1]);
        let (values, moments) = kernels::adam(values.reshape([-1]), gradient, moments, self.rates);
        self.adam.moments.insert(path, moments);
        Param::from_mapped_value(id, Tensor::from_inner(values.reshape(dims)).require_grad(), mapper)
    }

    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tolerance};

    use super::*;

    #[derive(Module, Debug)]
    struct Two {
        weight: Param<Tensor<2>>,
        bias: Param<Tensor<1>>,
    }

    fn two(device: &Device) -> Two {
        Two {
            weight: Param::from_tensor(Tensor::from_floats([[1.0, -2.0], [0.5, 3.0]], device)),
            bias: Param::from_tensor(Tensor::from_floats([0.25, -0.75], device)),
        }
    }

    fn run(num_updates: usize) -> (TensorData, TensorData, Adam) {
        let device = Device::flex().autodiff();
        let mut network = two(&device);
        let mut adam = Adam::new();
        let config = AdamConfig { learning_rate: 0.1, ..Default::default() };
        for _ in 0..num_updates {
            let loss = network.weight.val().square().sum() + (network.bias.val() * 3.0).sum();
            let mut gradients = loss.backward();
            network = adam.update(network, &mut gradients, None, &config, 0.1);
        }
        (network.weight.val().into_data(), network.bias.val().into_data(), adam)
    }

    #[test]
    fn the_first_update_moves_every_value_by_the_learning_rate_against_its_gradient() {
        let (weight, bias, _) = run(1);
        let expected = TensorData::from([[0.9_f32, -1.9], [0.4, 2.9]]);
        weight.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
        bias.assert_approx_eq::<f32>(&TensorData::from([0.15_f32, -0.85]), Tolerance::absolute(1e-5));
    }

    #[test]
    fn several_updates_follow_the_published_formula() {
        // One value by hand in f64: loss w^2 from w = 1, learning rate 0.1, betas 0.5 and 0.999.
        let (mut w, mut m, mut v) = (1.0_f64, 0.0, 0.0);
        for t in 1..=5 {
            let g = 2.0 * w;
            m = 0.5 * m + 0.5 * g;
            v = 0.999 * v + 0.001 * g * g;
            let (m_hat, v_hat) = (m / (1.0 - 0.5_f64.powi(t)), v / (1.0 - 0.999_f64.powi(t)));
            w -= 0.1 * m_hat / (v_hat.sqrt() + 1e-8);
        }
        let found = run(5).0.iter::<f32>().next().expect("the first weight");
        assert!((f64::from(found) - w).abs() < 1e-5, "{found} and {w}");
    }

    #[test]
    fn restored_moments_go_on_as_if_nothing_had_happened() {
        let device = Device::flex();
        let (.., adam) = run(3);
        let saved = adam.entries("adam").into_iter().map(|entry| {
            let name = entry.name.strip_prefix("adam.").expect("the group").to_owned();
            (name, (entry.fetch)())
        });
        let saved = saved.collect::<BTreeMap<_, _>>();
        let restored = Adam::restore(saved.clone(), 3, &device).expect("whole");
        assert_eq!(restored.num_updates(), adam.num_updates());
        for (path, moments) in &adam.moments {
            for (before, after) in moments.iter().zip(&restored.moments[path]) {
                assert_eq!(before.to_data(), after.to_data(), "{path}");
            }
        }
        let mut broken = saved;
        broken.remove("second.bias");
        assert_eq!(Adam::restore(broken, 3, &device).err(), Some("second.bias".into()));
    }
}
