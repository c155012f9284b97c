//! The pix2pix training step (Isola et al. 2017, section 3.3), in the order of the field's reference: fake, discriminator,
//! generator. Knows batches and networks; nothing of files, epochs or logs.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};

use super::{adam::Adam, config::TrainConfig, pool::ImagePool};
use crate::{
    batch::PairBatch,
    networks::{DiscriminatorConfig, DropoutSeed, Mode, NetworkError, PatchGan, Unet, UnetConfig, WeightUses},
    seed,
};

/// Everything that training changes.
#[derive(Debug)]
pub struct TrainState {
    /// Turns sources into fakes.
    pub generator: Unet,
    /// Tells fakes from targets.
    pub discriminator: PatchGan,
    /// Moments of the generator's parameters.
    pub adam_generator: Adam,
    /// Moments of the discriminator's parameters.
    pub adam_discriminator: Adam,
    /// Earlier fakes.
    pub pool: ImagePool,
    /// Steps done.
    pub step: u64,
}

/// Losses of one step, under the names that the field logs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLosses {
    /// The generator's adversarial loss, unweighted.
    pub g_gan: f32,
    /// The generator's reconstruction loss, unweighted; values of pictures in [-1, 1].
    pub g_l1: f32,
    /// The discriminator's loss on real pairs, before the factor 1/2.
    pub d_real: f32,
    /// The discriminator's loss on fake pairs, before the factor 1/2.
    pub d_fake: f32,
}

impl StepLosses {
    /// Whether all four are finite numbers.
    pub fn are_finite(&self) -> bool {
        [self.g_gan, self.g_l1, self.d_real, self.d_fake].iter().all(|loss| loss.is_finite())
    }
}

/// The parts of a step, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The generator makes the fake.
    GeneratorForward,
    /// The discriminator judges fake and target, and its gradients.
    Discriminator,
    /// Adam moves the discriminator.
    DiscriminatorAdam,
    /// The discriminator judges for the generator, and the generator's gradients; on the CPU Adam moves most weights here.
    GeneratorBackward,
    /// Adam moves the rest of the generator.
    GeneratorAdam,
}

impl TrainState {
    /// Networks with fresh weights, drawn from the configuration's seed.
    ///
    /// # Errors
    /// Networks that cannot be built.
    pub fn begin(
        config: &TrainConfig,
        generator: &UnetConfig,
        discriminator: &DiscriminatorConfig,
        device: &Device,
    ) -> Result<Self, NetworkError> {
        Ok(Self {
            generator: generator.init(config.seed, device)?,
            discriminator: discriminator.init(config.seed, device)?,
            adam_generator: Adam::new(),
            adam_discriminator: Adam::new(),
            pool: ImagePool::new(config.pool_size),
            step: 0,
        })
    }

    /// One step of both networks on one batch; `done` hears of each phase's end.
    ///
    /// # Shapes
    /// - `batch.source`, `batch.target`: `[batch, channels, height, width]` on the networks' autodiff device
    pub fn train_step(
        self,
        batch: PairBatch,
        config: &TrainConfig,
        learning_rate: f64,
        done: &mut dyn FnMut(Phase),
    ) -> (Self, StepLosses) {
        let Self { generator, discriminator, mut adam_generator, mut adam_discriminator, mut pool, step } = self;
        let objective = &config.objective;
        let adversarial = objective.adversarial;
        let PairBatch { source, target } = batch;
        let seed_of_step = DropoutSeed(seed::mix(config.seed, "dropout of step", step));
        let mode = Mode::training(seed_of_step).in_precision(config.precision);
        let uses = WeightUses::learn();

        let fake = generator.forward(source.clone(), mode.using(&uses));
        done(Phase::GeneratorForward);

        let [pooled_source, pooled_fake] =
            pool.query(source.clone(), fake.clone().detach(), seed::mix(config.seed, "pool of step", step));
        // Both passes in one, each with its own statistics.
        let [batch, ..] = source.dims();
        let sources = Tensor::cat(vec![pooled_source, source.clone()], 0);
        let logits =
            discriminator.forward(sources, Tensor::cat(vec![pooled_fake, target.clone()], 0), mode.of_parts(2));
        let d_fake = adversarial.d_fake(logits.clone().narrow(0, 0, batch));
        let d_real = adversarial.d_real(logits.narrow(0, batch, batch));
        let mut gradients = ((d_fake.clone() + d_real.clone()) * 0.5).backward();
        done(Phase::Discriminator);
        let discriminator = adam_discriminator.update(discriminator, &mut gradients, None, &config.adam, learning_rate);
        drop(gradients);
        done(Phase::DiscriminatorAdam);

        // The discriminator's own parameters take no part in the generator's step.
        let judge = discriminator.clone().no_grad();
        let g_gan = adversarial.g_gan(judge.forward(source, fake.clone(), mode));
        drop(judge);
        let g_l1 = objective.reconstruction.forward(fake, target);
        let loss = g_gan.clone() * objective.adversarial_weight + g_l1.clone() * objective.reconstruction_weight;
        let generator = adam_generator.lend(generator, &uses, &config.adam, learning_rate);
        let mut gradients = loss.backward();
        done(Phase::GeneratorBackward);
        let generator = adam_generator.update(generator, &mut gradients, Some(&uses), &config.adam, learning_rate);

        done(Phase::GeneratorAdam);
        let losses = read([g_gan, g_l1, d_real, d_fake]);
        let state = Self { generator, discriminator, adam_generator, adam_discriminator, pool, step: step + 1 };
        (state, losses)
    }
}

/// Takes all losses from the device at once.
fn read(losses: [Tensor<1>; 4]) -> StepLosses {
    let values = Tensor::cat(losses.map(Tensor::without_autodiff).to_vec(), 0).into_data();
    let mut values = values.iter::<f32>();
    let mut next = || values.next().unwrap_or(f32::NAN);
    StepLosses { g_gan: next(), g_l1: next(), d_real: next(), d_fake: next() }
}
