//! A pair's files become pictures and label maps.

use std::path::Path;

use super::{DecodedPair, Direction, PairFiles, PairPath, PairsConfig, PairsError, SourcePixels};
use crate::pixel::{
    LabelMap,
    decode::{DecodeOptions, read_labels, read_picture},
};

/// Reads both halves of a pair and applies the direction.
///
/// `config` has its channels settled ([`super::PairSet::reading`]).
///
/// # Errors
/// Files that cannot be read or decoded, an odd width side by side, label ids out of range, instance ids of another size.
pub fn read_pair(path: &PairPath, config: &PairsConfig) -> Result<DecodedPair, PairsError> {
    let options = |channels| DecodeOptions { channels, alpha_background: config.alpha_background };
    let source_options = options(config.source_channels);
    let target_options = options(config.target_channels);
    let name = path.name.clone();
    let (source, target) = match &path.files {
        PairFiles::SideBySide { path } => {
            let both = read_picture(path, &options(None))?;
            let (width, height) = (both.width(), both.height());
            if width % 2 != 0 {
                return Err(PairsError::OddWidth { path: path.clone(), width });
            }
            let (left, right) = (both.crop(0, 0, width / 2, height), both.crop(width / 2, 0, width / 2, height));
            let (source, target) = match config.direction {
                Direction::AtoB => (left, right),
                Direction::BtoA => (right, left),
            };
            let fit = |picture: crate::pixel::Picture, channels: Option<usize>| match channels {
                Some(channels) if channels != picture.channels() => picture.to_channels(channels),
                _ => picture,
            };
            let source = fit(source, config.source_channels);
            (SourcePixels::Picture(source), fit(target, config.target_channels))
        }
        PairFiles::Separate { a, b, labels, instances } => match (config.labels, config.direction) {
            (Some(count), _) => {
                let from = labels.as_ref().unwrap_or(a);
                let instances = if config.instance_edges { instances.as_deref() } else { None };
                (read_label_source(from, instances, count, &name)?, read_picture(b, &target_options)?)
            }
            (None, Direction::AtoB) => {
                (SourcePixels::Picture(read_picture(a, &source_options)?), read_picture(b, &target_options)?)
            }
            (None, Direction::BtoA) => {
                (SourcePixels::Picture(read_picture(b, &source_options)?), read_picture(a, &target_options)?)
            }
        },
    };
    Ok(DecodedPair { name, source, target })
}

fn read_label_source(
    path: &Path,
    instances: Option<&Path>,
    count: usize,
    name: &str,
) -> Result<SourcePixels, PairsError> {
    let labels = read_labels(path)?;
    if let Some((x, y, id)) = labels.first_out_of_range(count) {
        return Err(PairsError::LabelRange { path: path.to_owned(), id, x, y, count });
    }
    let instances = instances.map(read_labels).transpose()?;
    if let Some(instances) = &instances {
        let size = |map: &LabelMap| (map.width(), map.height());
        if size(instances) != size(&labels) {
            return Err(PairsError::Sizes {
                name: name.to_owned(),
                what: "the label map",
                size: size(&labels),
                other: "the instance map",
                other_size: size(instances),
            });
        }
    }
    Ok(SourcePixels::Labels { labels, instances, count })
}
