//! A translator over pairs: how near its fakes are to their targets, at the size that it was trained with.

use rayon::prelude::*;
use serde::Serialize;

use crate::{
    checkpoint::SourceKind,
    metrics::{Scores, compare},
    pairs::{
        Direction, PairPath, PairsConfig, PairsError,
        augment::{AugmentConfig, fit},
        read::read_pair,
    },
    translate::{TranslateOptions, Translator},
};

/// Pairs whose pictures are in memory at a time.
const AT_A_TIME: usize = 16;

/// Means over the pictures of a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Number of pictures.
    pub count: usize,
    /// Mean absolute difference on [0, 1].
    pub l1: f64,
    /// Peak signal-to-noise ratio in dB.
    pub psnr: f64,
    /// Structural similarity.
    pub ssim: f64,
}

/// How pairs must be read for a translator: by its own direction, channels and labels.
pub fn reading_for(translator: &Translator, config: &PairsConfig) -> PairsConfig {
    let preprocessing = &translator.description().preprocessing;
    let direction = if preprocessing.direction == "BtoA" { Direction::BtoA } else { Direction::AtoB };
    let (source_channels, labels, instance_edges) = match preprocessing.source {
        SourceKind::Picture { channels } => (Some(channels), None, false),
        SourceKind::Labels { count, instance_edges } => (None, Some(count), instance_edges),
    };
    PairsConfig {
        direction,
        source_channels,
        labels,
        instance_edges,
        target_channels: Some(preprocessing.target_channels),
        alpha_background: preprocessing.alpha_background,
        ..config.clone()
    }
}

/// Scores a translator; `config` comes from [`reading_for`]. `progress` is told the number of pairs done.
///
/// # Errors
/// Pairs that cannot be read, or none at all.
pub fn evaluate(
    translator: &Translator,
    paths: &[PairPath],
    config: &PairsConfig,
    options: &TranslateOptions,
    progress: &dyn Fn(usize),
) -> Result<Evaluation, PairsError> {
    let preprocessing = &translator.description().preprocessing;
    let augment =
        AugmentConfig { width: preprocessing.width, height: preprocessing.height, ..AugmentConfig::default() };
    let mut scores = Vec::with_capacity(paths.len());
    for part in paths.chunks(AT_A_TIME) {
        let read = |path: &PairPath| read_pair(path, config).and_then(|decoded| fit(&decoded, &augment));
        for pair in part.par_iter().map(read).collect::<Vec<_>>() {
            let pair = pair?;
            scores.push(compare(&translator.translate(&pair.source, options), &pair.target));
            progress(scores.len());
        }
    }
    let mean = Scores::mean(&scores)
        .ok_or_else(|| PairsError::Options { reason: "there are no pairs to evaluate on".into() })?;
    Ok(Evaluation { count: scores.len(), l1: mean.l1, psnr: mean.psnr, ssim: mean.ssim })
}
