//! Pictures of a few fixed pairs over the course of a run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    TrainError,
    report::{EncodedImage, Sample, embed},
};
use crate::pixel::{
    Picture, PixelError,
    decode::{DecodeOptions, read_picture},
    encode::write_picture,
};

/// Moments of a run that the report shows, at most.
const MOST_MOMENTS: usize = 12;

/// File of a sample's source or target: `samples/00-source.png`.
fn still(folder: &Path, index: usize, part: &str) -> PathBuf {
    folder.join(format!("{index:02}-{part}.png"))
}

/// File of a sample's fake: `samples/step-000100/00.png`.
fn fake(folder: &Path, index: usize, step: u64) -> PathBuf {
    folder.join(format!("step-{step:07}")).join(format!("{index:02}.png"))
}

/// Keeps source and target of a sample.
pub(super) fn keep_still(
    folder: &Path,
    index: usize,
    name: &str,
    source: &Picture,
    target: &Picture,
) -> Result<(), PixelError> {
    let text = [("Title".to_owned(), name.to_owned())];
    write_picture(&still(folder, index, "source"), source, &text)?;
    write_picture(&still(folder, index, "target"), target, &text)
}

/// Keeps the fake of a sample after a step.
pub(super) fn keep_fake(folder: &Path, index: usize, step: u64, picture: &Picture) -> Result<(), TrainError> {
    let path = fake(folder, index, step);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|source| TrainError::Folder { path: parent.to_owned(), source })?;
    }
    Ok(write_picture(&path, picture, &[])?)
}

/// All samples of a run, as the report embeds them.
pub(super) fn collect(folder: &Path, names: &[String]) -> Result<Vec<Sample>, TrainError> {
    let refused = |source| TrainError::Folder { path: folder.to_owned(), source };
    let mut steps = Vec::new();
    for entry in fs::read_dir(folder).map_err(refused)? {
        let name = entry.map_err(refused)?.file_name();
        steps.extend(name.to_str().and_then(|name| name.strip_prefix("step-")?.parse::<u64>().ok()));
    }
    steps.sort_unstable();
    let shown = evenly(&steps, MOST_MOMENTS);
    let sample = |(index, name): (usize, &String)| -> Result<Sample, TrainError> {
        let fakes = shown.iter().map(|&step| (step, fake(folder, index, step))).filter(|(_, path)| path.is_file());
        Ok(Sample {
            name: name.clone(),
            source: embed_file(&still(folder, index, "source"))?,
            target: embed_file(&still(folder, index, "target"))?,
            fakes: fakes.map(|(step, path)| Ok((step, embed_file(&path)?))).collect::<Result<_, PixelError>>()?,
        })
    };
    names.iter().enumerate().filter(|(index, _)| still(folder, *index, "source").is_file()).map(sample).collect()
}

/// At most `most` of the values, the first and the last among them.
fn evenly(values: &[u64], most: usize) -> Vec<u64> {
    if values.len() <= most {
        return values.to_vec();
    }
    (0..most).map(|i| values[i * (values.len() - 1) / (most - 1)]).collect()
}

/// A picture file as the report embeds it.
fn embed_file(path: &Path) -> Result<EncodedImage, PixelError> {
    embed(&read_picture(path, &DecodeOptions::default())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_chosen_evenly_with_both_ends() {
        assert_eq!(evenly(&[1, 2, 3], 12), [1, 2, 3]);
        let chosen = evenly(&(0..100).collect::<Vec<_>>(), 12);
        assert_eq!((chosen.len(), chosen[0], chosen[11]), (12, 0, 99));
    }

    #[test]
    fn samples_are_collected_in_the_order_of_their_steps() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let picture = Picture::filled(500, 20, &[1, 2, 3]);
        keep_still(folder.path(), 0, "x", &picture, &picture).expect("kept");
        for step in [200, 50] {
            keep_fake(folder.path(), 0, step, &picture).expect("kept");
        }
        let samples = collect(folder.path(), &["x".to_owned()]).expect("collected");
        assert_eq!(samples[0].fakes.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [50, 200]);
        assert_eq!((samples[0].source.width, samples[0].source.height), (384, 15));
    }
}
