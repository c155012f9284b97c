//! Networks as named tensors: what checkpoints and foreign formats read and write.

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Tensor, TensorData},
};

/// A named tensor that a network holds: parameter or running statistic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Dotted path inside the network, for example `encoder.1.convolution.weight`.
    pub name: String,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
}

/// Tensors that do not fit a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A tensor of the network is not there.
    #[error("tensor {name} is missing")]
    Missing {
        /// Its path.
        name: String,
    },
    /// A tensor has another shape.
    #[error("tensor {name} should have shape {expected:?}, found {found:?}")]
    Shape {
        /// Its path.
        name: String,
        /// The network's shape.
        expected: Vec<usize>,
        /// The given shape.
        found: Vec<usize>,
    },
    /// A tensor that the network does not have.
    #[error("tensor {name} belongs to no part of the network")]
    Unknown {
        /// Its path.
        name: String,
    },
}

/// Names and shapes of all tensors of a network, in a fixed order.
pub fn state_specs(network: &impl Module) -> Vec<TensorSpec> {
    struct Specs(Path, Vec<TensorSpec>);
    impl ModuleVisitor for Specs {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.push(TensorSpec { name: self.0.name(), shape: param.val().dims().to_vec() });
        }
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.0.pop();
        }
    }
    let mut specs = Specs(Path::default(), Vec::new());
    network.visit(&mut specs);
    specs.1
}

/// Takes the values of a tensor from its device.
pub type Fetch = Box<dyn FnOnce() -> TensorData>;

/// Calls `take` for every tensor, in the order of [`state_specs`]; values leave the device only when they are fetched.
pub fn visit_state(network: &impl Module, take: &mut dyn FnMut(TensorSpec, Fetch)) {
    struct Values<'a>(Path, &'a mut dyn FnMut(TensorSpec, Fetch));
    impl ModuleVisitor for Values<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let tensor = param.val();
            let spec = TensorSpec { name: self.0.name(), shape: tensor.dims().to_vec() };
            (self.1)(spec, Box::new(move || tensor.into_data()));
        }
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.0.pop();
        }
    }
    network.visit(&mut Values(Path::default(), take));
}

/// Replaces every tensor of a network.
///
/// # Errors
/// A tensor that is missing, has another shape, or is left over. The network is consumed then.
pub fn load_state<M: Module>(network: M, mut tensors: BTreeMap<String, TensorData>) -> Result<M, StateError> {
    for TensorSpec { name, shape: expected } in state_specs(&network) {
        let found = tensors.get(&name).ok_or_else(|| StateError::Missing { name: name.clone() })?.shape().to_vec();
        if found != expected {
            return Err(StateError::Shape { name, expected, found });
        }
    }
    struct Loader<'a>(Path, &'a mut BTreeMap<String, TensorData>);
    impl ModuleMapper for Loader<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let data = self.1.remove(&self.0.name()).expect("all names were checked before");
            param.map(|old| {
                let device = old.device();
                let tracked = old.is_require_grad();
                drop(old);
                Tensor::from_data(data, &device).set_require_grad(tracked)
            })
        }
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.0.pop();
        }
    }
    let network = network.map(&mut Loader(Path::default(), &mut tensors));
    match tensors.into_keys().next() {
        Some(name) => Err(StateError::Unknown { name }),
        None => Ok(network),
    }
}

/// Number of trainable values; running statistics do not count.
pub fn num_parameters(network: &impl Module) -> usize {
    let trained = |spec: &TensorSpec| !spec.name.contains("running_");
    state_specs(network).iter().filter(|spec| trained(spec)).map(|spec| spec.shape.iter().product::<usize>()).sum()
}

#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn name(&self) -> String {
        self.0.join(".")
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::networks::{Mode, UnetConfig};

    fn unet(seed: u64) -> crate::networks::Unet {
        UnetConfig { depth: 5, width: 2, ..Default::default() }.init(seed, &Device::flex()).expect("a valid network")
    }

    fn state(network: &impl Module) -> BTreeMap<String, TensorData> {
        let mut tensors = BTreeMap::new();
        visit_state(network, &mut |spec, fetch| assert!(tensors.insert(spec.name, fetch()).is_none()));
        tensors
    }

    #[test]
    fn a_loaded_network_computes_what_the_saved_one_did() {
        let loaded = load_state(unet(2), state(&unet(1))).expect("the same architecture");
        let source = Tensor::<4>::ones([1, 3, 32, 32], &Device::flex());
        let run = |network: &crate::networks::Unet| network.forward(source.clone(), Mode::image()).into_data();
        assert_eq!(run(&loaded), run(&unet(1)));
        assert_ne!(run(&loaded), run(&unet(2)));
    }

    #[test]
    fn missing_misshapen_and_foreign_tensors_are_named() {
        let name = "encoder.0.convolution.weight";
        let mut tensors = state(&unet(1));
        let taken = tensors.remove(name).expect("the first weight");
        assert_eq!(load_state(unet(1), tensors.clone()).err(), Some(StateError::Missing { name: name.into() }));
        tensors.insert(name.into(), TensorData::zeros::<f32, _>([1, 2]));
        let error = load_state(unet(1), tensors.clone()).err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("tensor encoder.0.convolution.weight should have shape [2, 3, 4, 4], found [1, 2]")
        );
        tensors.insert(name.into(), taken.clone());
        tensors.insert("extra".into(), taken);
        assert_eq!(load_state(unet(1), tensors).err(), Some(StateError::Unknown { name: "extra".into() }));
    }
}
