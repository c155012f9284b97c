//! Generated pairs: the data that this toolkit carries with it, from nothing but a seed.
//!
//! Knows pictures and where they are written; nothing of training.

mod noise;
pub mod street;
pub mod town;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use rayon::prelude::*;

use crate::pixel::{
    Picture, PixelError,
    encode::{write_labels, write_picture},
};
use street::render_street;
use town::Town;

/// What is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// A town from above, and its map.
    Town,
    /// A street from a driver's seat, and its labels.
    Street,
}

/// What to generate, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynthOptions {
    /// What is generated.
    pub scene: Scene,
    /// Number of pairs; of ten or more every tenth is for validation.
    pub count: usize,
    /// Width and height of a picture, in pixels; a pixel of a town is a metre wide.
    pub size: (usize, usize),
    /// Seed of the world.
    pub seed: u64,
    /// Folder to be made.
    pub out: PathBuf,
}

/// Pairs that could not be generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SynthError {
    /// The folder holds something.
    #[error("{} is not empty", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// There is nothing to generate.
    #[error("a data set holds at least one pair of at least 16x16 pixels, found {count} of {}x{}", size.0, size.1)]
    Nothing {
        /// Number of pairs asked for.
        count: usize,
        /// Width and height asked for.
        size: (usize, usize),
    },
    /// The system refused.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A picture could not be written.
    #[error(transparent)]
    Pixel(#[from] PixelError),
}

/// Writes a data set: towns side by side (satellite left, map right) in `train` and `val`, streets in the folders of pix2pixHD.
///
/// The same options give the same bytes whatever the number of threads. `progress` is told the number of pairs done.
///
/// # Errors
/// A folder that holds something already, nothing to generate, or whatever the system refuses.
pub fn write_pairs(options: &SynthOptions, progress: &(dyn Fn(usize) + Sync)) -> Result<(), SynthError> {
    let SynthOptions { scene, count, size, seed, out } = options;
    if *count == 0 || size.0 < 16 || size.1 < 16 {
        return Err(SynthError::Nothing { count: *count, size: *size });
    }
    let refused = |path: &Path| {
        let path = path.to_owned();
        move |source| SynthError::Io { path, source }
    };
    if out.exists() && fs::read_dir(out).map_err(refused(out))?.next().is_some() {
        return Err(SynthError::NotEmpty { path: out.clone() });
    }
    let for_validation = |index: usize| *count >= 10 && index % 10 == 9;
    let splits: &[&str] = if *count >= 10 { &["train", "val"] } else { &["train"] };
    let parts: &[&str] = match scene {
        Scene::Town => &[""],
        Scene::Street => &["_label", "_inst", "_img", "_color"],
    };
    for folder in splits.iter().flat_map(|split| parts.iter().map(move |part| out.join(format!("{split}{part}")))) {
        fs::create_dir_all(&folder).map_err(refused(&folder))?;
    }
    let done = AtomicUsize::new(0);
    (0..*count).into_par_iter().try_for_each(|index| {
        let split = if for_validation(index) { "val" } else { "train" };
        let name = format!("{:06}.png", index + 1);
        match scene {
            Scene::Town => {
                let (satellite, map) = town_window(*seed, index, *size);
                let mut both = Picture::filled(2 * size.0, size.1, &[0; 3]);
                both.paste(&satellite, 0, 0);
                both.paste(&map, size.0, 0);
                write_picture(&out.join(split).join(name), &both, &[])?;
            }
            Scene::Street => {
                let scene = render_street(*seed, index as u64, size.0, size.1);
                let path = |part: &str| out.join(format!("{split}_{part}")).join(&name);
                write_labels(&path("label"), &scene.labels)?;
                write_labels(&path("inst"), &scene.instances)?;
                write_picture(&path("img"), &scene.photo, &[])?;
                write_picture(&path("color"), &scene.color, &[])?;
            }
        }
        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        Ok(())
    })
}

/// Satellite picture and map of the window of this number: windows lie apart, a window's width between them.
pub fn town_window(seed: u64, index: usize, size: (usize, usize)) -> (Picture, Picture) {
    const COLUMNS: usize = 64;
    let (column, row) = ((index % COLUMNS) as i64, (index / COLUMNS) as i64);
    Town::new(seed).render(column * 2 * size.0 as i64, row * 2 * size.1 as i64, size, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::{Layout, PairsConfig, Split, layout::find_pairs};

    fn options(scene: Scene, out: &Path) -> SynthOptions {
        SynthOptions { scene, count: 12, size: (48, 32), seed: 5, out: out.join("set") }
    }

    #[test]
    fn what_is_written_is_found_as_pairs_of_both_splits() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let town = options(Scene::Town, folder.path());
        write_pairs(&town, &|_| {}).expect("written");
        let set = find_pairs(&town.out, &PairsConfig::default(), 0).expect("pairs");
        assert_eq!(
            (set.layout, set.split(Split::Train).len(), set.split(Split::Val).len()),
            (Layout::SideBySide, 11, 1)
        );
        assert!(matches!(write_pairs(&town, &|_| {}), Err(SynthError::NotEmpty { .. })));
        let street = SynthOptions { out: folder.path().join("street"), ..options(Scene::Street, folder.path()) };
        write_pairs(&street, &|_| {}).expect("written");
        let config = PairsConfig { labels: Some(34), instance_edges: true, ..Default::default() };
        let set = find_pairs(&street.out, &config, 0).expect("pairs");
        assert_eq!((set.layout, set.source_channels, set.split(Split::Val).len()), (Layout::Pix2pixHd, 35, 1));
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_number_of_threads() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |threads: usize| {
            let out = folder.path().join(threads.to_string());
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let options = SynthOptions { out: out.clone(), ..options(Scene::Town, folder.path()) };
            pool.install(|| write_pairs(&options, &|_| {})).expect("written");
            (1..=12)
                .map(|i| {
                    fs::read(out.join(if i == 10 { "val" } else { "train" }).join(format!("{i:06}.png"))).expect("read")
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(write(1), write(3));
    }

    /// A changed picture changes everything that was measured on generated pairs: it must not happen unnoticed.
    #[test]
    fn the_generated_pictures_are_those_that_figures_were_measured_on() {
        let sum = |picture: &Picture| match picture.samples() {
            crate::pixel::Samples::U8(values) => values
                .iter()
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &v| (hash ^ u64::from(v)).wrapping_mul(0x0100_0000_01b3)),
            crate::pixel::Samples::U16(_) => 0,
        };
        let (satellite, map) = town_window(0, 3, (32, 32));
        let street = render_street(0, 0, 64, 32);
        assert_eq!([sum(&satellite), sum(&map), sum(&street.photo)], FINGERPRINTS);
    }

    const FINGERPRINTS: [u64; 3] = [1_578_146_339_910_077_368, 16_907_571_781_599_655_990, 3_173_622_462_155_693_708];
}
