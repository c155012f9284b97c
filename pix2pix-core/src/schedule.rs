//! Learning rate as a factor of the initial one: a pure function of progress.
//!
//! Epoch-limited runs follow the reference (constant, then linear to zero, per epoch); step-limited runs apply the same
//! shapes per step, so that a run of any length ends where its schedule ends.

use serde::{Deserialize, Serialize};

/// The shape of the learning rate over a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Constant, then linear towards zero over the decay.
    #[default]
    Linear,
    /// Half a cosine from 1 to 0 over the whole run.
    Cosine,
    /// A tenth of it after every quarter of the run (the reference: every 50 of 200 epochs).
    Step,
    /// Always the initial rate.
    Constant,
}

/// How long a run is and how its learning rate goes. `Default` is the paper: 100 epochs, then 100 decaying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleConfig {
    /// The shape.
    pub policy: Policy,
    /// Epochs at the initial rate.
    pub epochs: u64,
    /// Epochs after them, over which the linear policy decays.
    pub decay_epochs: u64,
    /// A limit in steps instead of epochs; the linear policy then decays over the second half.
    pub steps: Option<u64>,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self { policy: Policy::Linear, epochs: 100, decay_epochs: 100, steps: None }
    }
}

impl ScheduleConfig {
    /// Number of steps of the whole run, with `steps_per_epoch` batches per pass over the pairs.
    pub fn total_steps(&self, steps_per_epoch: u64) -> u64 {
        self.steps.unwrap_or_else(|| (self.epochs + self.decay_epochs).saturating_mul(steps_per_epoch))
    }

    /// Factor of the initial learning rate for the step with this index (from 0), in `0..=1`.
    pub fn factor(&self, step: u64, steps_per_epoch: u64) -> f64 {
        let steps_per_epoch = steps_per_epoch.max(1);
        // Epoch-limited runs change their rate between epochs, as the reference does.
        let (done, total) = match self.steps {
            Some(steps) => (step, steps.max(1)),
            None => (step / steps_per_epoch, (self.epochs + self.decay_epochs).max(1)),
        };
        let progress = done as f64 / total as f64;
        match self.policy {
            Policy::Constant => 1.0,
            Policy::Step => 0.1_f64.powi((4.0 * progress) as i32),
            Policy::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos()),
            Policy::Linear => match self.steps {
                Some(_) => (2.0 * (1.0 - progress)).clamp(0.0, 1.0),
                None => {
                    // lambda_rule of the reference, with its epoch_count of 1.
                    let over = (done + 1).saturating_sub(self.epochs) as f64;
                    (1.0 - over / (self.decay_epochs + 1) as f64).clamp(0.0, 1.0)
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_follow_the_lambda_rule_of_the_reference() {
        let schedule = ScheduleConfig::default();
        assert_eq!(schedule.total_steps(400), 80_000);
        let factor = |epoch: u64| schedule.factor(epoch * 400 + 7, 400);
        assert_eq!(factor(0), 1.0);
        assert_eq!(factor(99), 1.0);
        assert!((factor(100) - (1.0 - 1.0 / 101.0)).abs() < 1e-12);
        assert!((factor(199) - (1.0 - 100.0 / 101.0)).abs() < 1e-12);
    }

    #[test]
    fn steps_are_constant_for_the_first_half_and_fall_to_zero_over_the_second() {
        let schedule = ScheduleConfig { steps: Some(1400), ..Default::default() };
        let factor = |step| schedule.factor(step, 3);
        assert_eq!((factor(0), factor(700)), (1.0, 1.0));
        assert!((factor(1050) - 0.5).abs() < 1e-12);
        assert!((factor(1399) - 2.0 / 1400.0).abs() < 1e-12);
    }

    #[test]
    fn every_policy_stays_between_zero_and_one() {
        for policy in [Policy::Linear, Policy::Cosine, Policy::Step, Policy::Constant] {
            for steps in [None, Some(1), Some(97)] {
                let schedule = ScheduleConfig { policy, epochs: 3, decay_epochs: 2, steps };
                let factors = (0..120).map(|step| schedule.factor(step, 10)).collect::<Vec<_>>();
                assert!(factors.iter().all(|factor| (0.0..=1.0).contains(factor)), "{policy:?} {steps:?}");
                assert!(factors.is_sorted_by(|a, b| a >= b), "{policy:?} {steps:?}");
            }
        }
    }
}
