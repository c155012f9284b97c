//! Adversarial and reconstruction losses. Knows tensors, not networks.

use burn::tensor::{Tensor, activation::relu};
use serde::{Deserialize, Serialize};

/// What the two networks compete in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adversarial {
    /// Binary cross-entropy on logits (Goodfellow et al. 2014, non-saturating).
    #[default]
    Vanilla,
    /// Squared distance to 0 and 1 (Mao et al. 2017).
    Lsgan,
    /// Hinge (Lim and Ye 2017), as SPADE uses it.
    Hinge,
}

/// What holds the fake to the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reconstruction {
    /// Mean absolute difference, as in the paper.
    #[default]
    L1,
    /// Mean squared difference.
    L2,
    /// `sqrt(difference^2 + 1e-6)`: L1 with a round bottom (Charbonnier et al. 1994).
    Charbonnier,
}

/// The generator's objective. `Default` is the paper: cGAN + 100 L1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// The adversarial loss.
    pub adversarial: Adversarial,
    /// Weight of the adversarial loss in the generator's; 0 trains on the reconstruction alone.
    pub adversarial_weight: f64,
    /// The reconstruction loss.
    pub reconstruction: Reconstruction,
    /// Weight of the reconstruction loss in the generator's.
    pub reconstruction_weight: f64,
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self {
            adversarial: Adversarial::Vanilla,
            adversarial_weight: 1.0,
            reconstruction: Reconstruction::L1,
            reconstruction_weight: 100.0,
        }
    }
}

impl Adversarial {
    /// The discriminator's loss on the logits of real pairs.
    ///
    /// # Shapes
    /// - `logits`: `[batch, 1, rows, columns]`
    /// - returns: `[1]`
    pub fn d_real(self, logits: Tensor<4>) -> Tensor<1> {
        match self {
            Self::Vanilla => cross_entropy(logits, true),
            Self::Lsgan => (logits - 1.0).square().mean(),
            Self::Hinge => relu(1.0 - logits).mean(),
        }
    }

    /// The discriminator's loss on the logits of fake pairs. Shapes as in [`Self::d_real`].
    pub fn d_fake(self, logits: Tensor<4>) -> Tensor<1> {
        match self {
            Self::Vanilla => cross_entropy(logits, false),
            Self::Lsgan => logits.square().mean(),
            Self::Hinge => relu(1.0 + logits).mean(),
        }
    }

    /// The generator's loss on the logits of its fakes. Shapes as in [`Self::d_real`].
    pub fn g_gan(self, logits: Tensor<4>) -> Tensor<1> {
        match self {
            Self::Hinge => -logits.mean(),
            Self::Vanilla | Self::Lsgan => self.d_real(logits),
        }
    }

    /// The value of `d_real` and `d_fake` when the discriminator cannot tell real from fake (logits as far from both).
    pub const fn balanced(self) -> f32 {
        match self {
            Self::Vanilla => std::f32::consts::LN_2,
            Self::Lsgan => 0.25,
            Self::Hinge => 1.0,
        }
    }
}

impl Reconstruction {
    /// Distance of fakes from targets.
    ///
    /// # Shapes
    /// - `fake`, `target`: `[batch, channels, height, width]`, values in `[-1, 1]`
    /// - returns: `[1]`
    pub fn forward(self, fake: Tensor<4>, target: Tensor<4>) -> Tensor<1> {
        let difference = fake - target;
        match self {
            Self::L1 => difference.abs().mean(),
            Self::L2 => difference.square().mean(),
            Self::Charbonnier => (difference.square() + 1e-6).sqrt().mean(),
        }
    }
}

/// Binary cross-entropy of logits against all ones or all zeros, without overflow: `max(x, 0) - x t + ln(1 + e^-|x|)`.
fn cross_entropy(logits: Tensor<4>, real: bool) -> Tensor<1> {
    let signed = if real { -logits } else { logits };
    (relu(signed.clone()) + (-signed.abs()).exp().log1p()).mean()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;

    const ALL: [Adversarial; 3] = [Adversarial::Vanilla, Adversarial::Lsgan, Adversarial::Hinge];

    fn logits(values: [f32; 4]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, 2, 2]), &Device::flex())
    }

    fn value(loss: Tensor<1>) -> f32 {
        loss.into_scalar()
    }

    #[test]
    fn vanilla_at_logit_zero_is_ln_2() {
        for loss in [Adversarial::Vanilla.d_real(logits([0.0; 4])), Adversarial::Vanilla.d_fake(logits([0.0; 4]))] {
            assert!((value(loss) - std::f32::consts::LN_2).abs() < 1e-6);
        }
    }

    #[test]
    fn an_undecided_discriminator_has_the_balanced_loss() {
        for (adversarial, undecided) in ALL.into_iter().zip([0.0, 0.5, 0.0]) {
            let real = value(adversarial.d_real(logits([undecided; 4])));
            let fake = value(adversarial.d_fake(logits([undecided; 4])));
            assert!((real - adversarial.balanced()).abs() < 1e-6, "{adversarial:?}");
            assert!((fake - adversarial.balanced()).abs() < 1e-6, "{adversarial:?}");
        }
    }

    #[test]
    fn losses_have_their_values_at_known_logits() {
        let given = [-2.0, -0.5, 0.5, 3.0];
        let mean = |f: &dyn Fn(f32) -> f32| given.iter().map(|&x| f(x)).sum::<f32>() / 4.0;
        let close = |found: Tensor<1>, expected: f32| assert!((value(found) - expected).abs() < 1e-5);
        close(Adversarial::Vanilla.d_real(logits(given)), mean(&|x| (1.0 + (-x).exp()).ln()));
        close(Adversarial::Vanilla.d_fake(logits(given)), mean(&|x| (1.0 + x.exp()).ln()));
        close(Adversarial::Lsgan.g_gan(logits(given)), mean(&|x| (x - 1.0).powi(2)));
        close(Adversarial::Hinge.d_real(logits(given)), mean(&|x| (1.0 - x).max(0.0)));
        close(Adversarial::Hinge.d_fake(logits(given)), mean(&|x| (1.0 + x).max(0.0)));
        close(Adversarial::Hinge.g_gan(logits(given)), mean(&|x| -x));
    }

    #[test]
    fn extreme_logits_stay_finite_with_finite_gradients() {
        let device = Device::flex().autodiff();
        let x = Tensor::<4>::from_data(TensorData::new(vec![-1e4_f32, 1e4, -90.0, 90.0], [1, 1, 2, 2]), &device)
            .require_grad();
        let loss = Adversarial::Vanilla.d_real(x.clone()) + Adversarial::Vanilla.d_fake(x.clone());
        let gradient = x.grad(&loss.backward()).expect("tracked");
        assert!(value(loss.without_autodiff()).is_finite());
        assert!(gradient.is_finite().all().into_scalar::<bool>());
    }

    #[test]
    fn analytic_gradients_equal_numerical_ones() {
        let device = Device::flex().autodiff();
        let given = [-1.7_f32, -0.4, 0.6, 2.2];
        let losses = ALL.into_iter().flat_map(|a| {
            [Adversarial::d_real as fn(Adversarial, Tensor<4>) -> Tensor<1>, Adversarial::d_fake, Adversarial::g_gan]
                .map(move |f| move |x| f(a, x))
        });
        for loss in losses {
            let x = Tensor::<4>::from_data(TensorData::new(given.to_vec(), [1, 1, 2, 2]), &device).require_grad();
            let found = x.grad(&loss(x.clone()).backward()).expect("tracked").into_data();
            let numerical = (0..4).map(|at| {
                let shifted = |by: f32| {
                    let mut moved = given;
                    moved[at] += by;
                    value(loss(logits(moved)))
                };
                (shifted(1e-2) - shifted(-1e-2)) / 2e-2
            });
            let expected = TensorData::new(numerical.collect::<Vec<f32>>(), [1, 1, 2, 2]);
            found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(2e-3));
        }
    }

    #[test]
    fn reconstruction_losses_have_their_values_at_known_differences() {
        let run = |kind: Reconstruction| value(kind.forward(logits([0.5, 0.0, -0.5, 1.0]), logits([0.0; 4])));
        assert!((run(Reconstruction::L1) - 0.5).abs() < 1e-6);
        assert!((run(Reconstruction::L2) - 0.375).abs() < 1e-6);
        assert!((run(Reconstruction::Charbonnier) - 0.500_251).abs() < 1e-5);
    }
}
