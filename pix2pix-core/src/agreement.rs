//! Whether a device computes what the CPU computes: outputs of both networks, and one training step.

use burn::tensor::{Device, Tensor};

use crate::{
    batch::PairBatch,
    networks::{DiscriminatorConfig, Mode, NetworkError, UnetConfig},
    pairs::Pair,
    train::{TrainConfig, pix2pix::TrainState},
};

/// Most that outputs may differ in 32-bit floats, as in [`Agreement::error`].
const OF_OUTPUTS: f64 = 1e-3;
/// The same for the losses of a step.
const OF_LOSSES: f64 = 1e-3;
/// The same for the gradients of all parameters: errors grow on the way back through norms of few values.
const OF_GRADIENTS: f64 = 2e-2;

/// How far one result of a device is from the CPU's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// What was computed.
    pub name: &'static str,
    /// Root mean square of the difference over that of the CPU's values.
    pub error: f64,
    /// Most that it may be.
    pub most: f64,
}

impl Agreement {
    /// Whether the error is small enough; what is no number is not.
    pub fn is_good(&self) -> bool {
        self.error <= self.most
    }
}

/// Compares a device with the CPU: initial networks of the given width, one pair as a batch.
///
/// # Errors
/// A width of zero, or pictures that do not fit the networks.
pub fn agreement(device: &Device, pair: &Pair, width: usize) -> Result<[Agreement; 5], NetworkError> {
    let expected = compute(&Device::flex(), pair, width)?;
    let found = compute(device, pair, width)?;
    let parts = [
        ("generator's output", OF_OUTPUTS),
        ("discriminator's output", OF_OUTPUTS),
        ("losses of a step", OF_LOSSES),
        ("generator's gradients", OF_GRADIENTS),
        ("discriminator's gradients", OF_GRADIENTS),
    ];
    let of = |at: usize| {
        let (name, most) = parts[at];
        Agreement { name, error: relative_error(&expected[at], &found[at]), most }
    };
    Ok([0, 1, 2, 3, 4].map(of))
}

/// In the order of the parts.
fn compute(device: &Device, pair: &Pair, width: usize) -> Result<[Vec<f32>; 5], NetworkError> {
    let config = TrainConfig::default();
    let depth = UnetConfig::depth_for(pair.source.width, pair.source.height)?;
    let generator = UnetConfig { width, depth, ..Default::default() };
    let discriminator = DiscriminatorConfig { width, ..Default::default() };
    let device = device.clone().autodiff();
    let batch = PairBatch::new(vec![pair.clone()], &device);
    let state = TrainState::begin(&config, &generator, &discriminator, &device)?;
    let values = |tensor: Tensor<4>| tensor.into_data().iter::<f32>().collect::<Vec<_>>();
    let fake = values(state.generator.forward(batch.source.clone(), Mode::image()));
    let logits = values(state.discriminator.forward(batch.source.clone(), batch.target.clone(), Mode::image()));
    let (state, losses) = state.train_step(batch, &config, config.adam.learning_rate, &mut |_| ());
    // After one step the first moments are the gradients but for a factor.
    let [of_generator, of_discriminator] = [&state.adam_generator, &state.adam_discriminator].map(|adam| {
        let entries = adam.entries("moments").into_iter();
        let firsts = entries.filter(|entry| entry.name.starts_with("moments.first."));
        firsts.flat_map(|entry| (entry.fetch)().iter::<f32>().collect::<Vec<_>>()).collect()
    });
    let losses = vec![losses.g_gan, losses.g_l1, losses.d_real, losses.d_fake];
    Ok([fake, logits, losses, of_generator, of_discriminator])
}

fn relative_error(expected: &[f32], found: &[f32]) -> f64 {
    if expected.len() != found.len() || expected.is_empty() {
        return f64::NAN;
    }
    let (mut of_difference, mut of_expected) = (0.0, 0.0);
    for (expected, found) in expected.iter().zip(found) {
        of_difference += (f64::from(*expected) - f64::from(*found)).powi(2);
        of_expected += f64::from(*expected).powi(2);
    }
    (of_difference / of_expected).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::Planes;

    #[test]
    fn an_error_is_relative_and_nothing_hides_it() {
        assert!(relative_error(&[3.0, 4.0], &[3.0, 4.0]) == 0.0);
        assert!((relative_error(&[3.0, 4.0], &[3.0, 4.5]) - 0.1).abs() < 1e-9);
        for (expected, found) in [(&[1.0][..], &[f32::NAN][..]), (&[1.0], &[1.0, 2.0]), (&[], &[])] {
            let error = relative_error(expected, found);
            assert!(!Agreement { name: "", error, most: 1.0 }.is_good());
        }
    }

    #[test]
    fn the_cpu_agrees_with_itself_and_every_part_has_values() {
        let planes = |seed: usize| {
            let values = (0..3 * 32 * 32).map(|at| ((at + seed) * 7919 % 2003) as f32 / 1001.5 - 1.0).collect();
            Planes { channels: 3, height: 32, width: 32, values }
        };
        let pair = Pair { name: String::new(), source: planes(0), target: planes(1) };
        for part in agreement(&Device::flex(), &pair, 4).expect("networks that fit") {
            assert!(part.error == 0.0 && part.is_good(), "{part:?}");
        }
        let parts = compute(&Device::flex(), &pair, 4).expect("networks that fit");
        assert!(parts.iter().all(|values| values.iter().any(|value| *value != 0.0)));
        assert!(agreement(&Device::flex(), &pair, 0).is_err());
    }

    #[cfg(feature = "ndarray")]
    #[test]
    fn the_reference_agrees_with_the_kernels() {
        let values =
            |seed: usize| (0..3 * 64 * 64).map(|at| ((at + seed) * 7919 % 2003) as f32 / 1001.5 - 1.0).collect();
        let planes = |seed| Planes { channels: 3, height: 64, width: 64, values: values(seed) };
        let pair = Pair { name: String::new(), source: planes(0), target: planes(1) };
        #[expect(deprecated, reason = "kept as the independent reference")]
        let device = Device::ndarray();
        for part in agreement(&device, &pair, 8).expect("networks that fit") {
            assert!(part.is_good(), "{part:?}");
        }
    }
}
