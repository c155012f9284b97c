//! Everything that a training run is configured by, one section per concern. `Default` is the paper.

use serde::{Deserialize, Serialize};

use super::adam::AdamConfig;
use crate::{
    checkpoint::{Preprocessing, SourceKind},
    kernels::Precision,
    loss::ObjectiveConfig,
    networks::{DiscriminatorConfig, DiscriminatorKind, NetworkError, NormKind, UnetConfig, Upsampling},
    pairs::{PairSet, PairsConfig, augment::AugmentConfig, loader::LoaderConfig},
    schedule::ScheduleConfig,
};

/// A whole training run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Seed of everything random: initial weights, dropout, order, augmentation, held-out pairs.
    pub seed: u64,
    /// Which files make pairs and how they are read.
    pub pairs: PairsConfig,
    /// How pictures are resized, cropped and turned.
    pub augment: AugmentConfig,
    /// How pictures are loaded ahead of training.
    pub loader: LoaderConfig,
    /// The U-Net.
    pub generator: GeneratorSection,
    /// The PatchGAN.
    pub discriminator: DiscriminatorSection,
    /// In what convolutions multiply.
    pub precision: Precision,
    /// The losses.
    pub objective: ObjectiveConfig,
    /// The optimiser of both networks.
    pub adam: AdamConfig,
    /// Length of the run and learning rate.
    pub schedule: ScheduleConfig,
    /// Number of earlier fakes that the discriminator may see again; 0 for none, as in the paper.
    pub pool_size: usize,
    /// Validation, samples and checkpoints on the way.
    pub record: RecordConfig,
}

/// The U-Net less what follows from the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneratorSection {
    /// Number of downsamplings; without it, as deep as the picture size allows, at most 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// Channels after the first convolution (`ngf`).
    pub width: usize,
    /// Normalisation.
    pub norm: NormKind,
    /// Dropout in the widest decoder blocks.
    pub dropout: bool,
    /// How the decoder doubles the size.
    pub upsampling: Upsampling,
}

impl Default for GeneratorSection {
    fn default() -> Self {
        let UnetConfig { width, norm, dropout, upsampling, .. } = UnetConfig::default();
        Self { depth: None, width, norm, dropout, upsampling }
    }
}

/// The discriminator less what follows from the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiscriminatorSection {
    /// Patch or pixel.
    pub kind: DiscriminatorKind,
    /// Downsampling layers of a patch discriminator, 1 to 6.
    pub num_layers: usize,
    /// Channels after the first convolution (`ndf`).
    pub width: usize,
    /// Normalisation.
    pub norm: NormKind,
}

impl Default for DiscriminatorSection {
    fn default() -> Self {
        let DiscriminatorConfig { kind, num_layers, width, norm, .. } = DiscriminatorConfig::default();
        Self { kind, num_layers, width, norm }
    }
}

/// What a run leaves on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordConfig {
    /// Validation, samples and report after at least so many steps, at the end of an epoch.
    pub validate_every_steps: u64,
    /// `latest` is saved at least this often, in steps, beside every validation.
    pub save_every_steps: u64,
    /// A checkpoint that stays is saved every so many epochs; 0 for none.
    pub keep_every_epochs: u64,
    /// Of the checkpoints that stay, only this many of the newest are kept.
    pub keep_most: usize,
    /// Number of pairs of which samples are made.
    pub num_samples: usize,
    /// Number of pairs that validation looks at, at most.
    pub max_validation_pairs: usize,
}

impl Default for RecordConfig {
    fn default() -> Self {
        Self {
            validate_every_steps: 100,
            save_every_steps: 500,
            keep_every_epochs: 50,
            keep_most: 4,
            num_samples: 4,
            max_validation_pairs: 100,
        }
    }
}

/// The networks and the preprocessing of a run, settled.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The generator to be built.
    pub generator: UnetConfig,
    /// The discriminator to be built.
    pub discriminator: DiscriminatorConfig,
    /// What a checkpoint tells of the preparation of pictures.
    pub preprocessing: Preprocessing,
}

impl TrainConfig {
    /// Settles what follows from the data: channels and depth.
    ///
    /// # Errors
    /// Picture sizes that the networks cannot take.
    pub fn resolve(&self, pairs: &PairSet) -> Result<Resolved, NetworkError> {
        let (width, height) = (self.augment.width, self.augment.height);
        let section = &self.generator;
        let depth = match section.depth {
            Some(depth) => depth,
            None => UnetConfig::depth_for(width, height)?,
        };
        let generator = UnetConfig {
            in_channels: pairs.source_channels,
            out_channels: pairs.target_channels,
            depth,
            width: section.width,
            norm: section.norm,
            dropout: section.dropout,
            upsampling: section.upsampling,
        };
        generator.check_size(width, height)?;
        let DiscriminatorSection { kind, num_layers, width: base, norm } = self.discriminator.clone();
        let in_channels = pairs.source_channels + pairs.target_channels;
        let discriminator = DiscriminatorConfig { in_channels, kind, num_layers, width: base, norm };
        discriminator.logits_size(width, height)?;
        let source = match self.pairs.labels {
            Some(count) => SourceKind::Labels { count, instance_edges: self.pairs.instance_edges },
            None => SourceKind::Picture { channels: pairs.source_channels },
        };
        let preprocessing = Preprocessing {
            direction: self.pairs.direction.to_string(),
            source,
            target_channels: pairs.target_channels,
            width,
            height,
            alpha_background: self.pairs.alpha_background,
        };
        Ok(Resolved { generator, discriminator, preprocessing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_paper() {
        let config = TrainConfig::default();
        assert_eq!((config.augment.width, config.augment.height), (256, 256));
        assert_eq!((config.generator.width, config.discriminator.width), (64, 64));
        assert_eq!(config.loader.batch_size, 1);
        assert_eq!(config.objective.reconstruction_weight, 100.0);
        assert_eq!((config.adam.learning_rate, config.adam.beta1), (2e-4, 0.5));
        assert_eq!((config.schedule.epochs, config.schedule.decay_epochs), (100, 100));
    }

    #[test]
    fn a_configuration_survives_toml_and_unknown_keys_are_errors() {
        let config = TrainConfig { seed: 3, ..Default::default() };
        let text = toml::to_string(&config).expect("serialised");
        assert_eq!(toml::from_str::<TrainConfig>(&text).expect("read back"), config);
        assert!(toml::from_str::<TrainConfig>("[generator]\nwidht = 3").is_err());
    }
}
