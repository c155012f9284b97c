//! Fakes of pairs that training does not see, and what their scores are worth: two baselines that learnt nothing.

use burn::tensor::Device;
use rayon::prelude::*;

use crate::{
    batch::{stack, unstack},
    metrics::{Scores, compare},
    networks::{Mode, Unet},
    pairs::{
        Pair, PairPath, PairsConfig, PairsError,
        augment::{AugmentConfig, fit},
        read::read_pair,
    },
    pixel::Planes,
};

/// Pairs whose decoded pictures are in memory at a time.
const AT_A_TIME: usize = 16;
/// Targets that the mean picture is made of, at most.
const MOST_TARGETS: usize = 200;

/// Reads pairs as validation sees them, a few at a time, and hands each to `take` in order.
pub(super) fn for_each_pair(
    paths: &[PairPath],
    pairs: &PairsConfig,
    augment: &AugmentConfig,
    take: &mut dyn FnMut(Pair),
) -> Result<(), PairsError> {
    for part in paths.chunks(AT_A_TIME) {
        let read = |path: &PairPath| read_pair(path, pairs).and_then(|decoded| fit(&decoded, augment));
        for pair in part.par_iter().map(read).collect::<Vec<_>>() {
            take(pair?);
        }
    }
    Ok(())
}

/// The generator's fake of one source, with the statistics of that picture and without dropout.
///
/// # Shapes
/// - `source`: `[channels, height, width]`
/// - returns: `[target_channels, height, width]`
pub(super) fn fake_of(generator: &Unet, source: Planes, device: &Device) -> Planes {
    let fake = generator.forward(stack(vec![source], device), Mode::image());
    unstack(fake).pop().expect("one picture in, one out")
}

/// Scores of two answers that need no training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Baselines {
    /// Always the mean picture of the training targets.
    pub mean_picture: Option<Scores>,
    /// The source itself, when it is a picture with the target's channels.
    pub source_copied: Option<Scores>,
}

/// Scores the baselines on the validation pairs.
pub(super) fn baselines(
    train: &[PairPath],
    validation: &[PairPath],
    pairs: &PairsConfig,
    augment: &AugmentConfig,
) -> Result<Baselines, PairsError> {
    let stride = train.len().div_ceil(MOST_TARGETS).max(1);
    let chosen = train.iter().step_by(stride).cloned().collect::<Vec<_>>();
    let mut sum: Option<(Planes, f32)> = None;
    for_each_pair(&chosen, pairs, augment, &mut |pair| match &mut sum {
        None => sum = Some((pair.target, 1.0)),
        Some((total, count)) => {
            *count += 1.0;
            total.values.iter_mut().zip(&pair.target.values).for_each(|(total, value)| *total += value);
        }
    })?;
    let mean = sum.map(|(mut total, count)| {
        total.values.iter_mut().for_each(|value| *value /= count);
        total
    });
    let (mut mean_scores, mut copied_scores) = (Vec::new(), Vec::new());
    for_each_pair(validation, pairs, augment, &mut |pair| {
        if let Some(mean) = &mean {
            mean_scores.push(compare(mean, &pair.target));
        }
        if pairs.labels.is_none() && pair.source.channels == pair.target.channels {
            copied_scores.push(compare(&pair.source, &pair.target));
        }
    })?;
    Ok(Baselines { mean_picture: Scores::mean(&mean_scores), source_copied: Scores::mean(&copied_scores) })
}
