//! What a data set holds, before anything is trained on it: counts, sizes, values, bad files and suspicious pairs.

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use rayon::prelude::*;
use serde::Serialize;

use super::{
    BadFile, DecodedPair, PairFiles, PairPath, PairSet, PairsConfig, PairsError, SourcePixels, Split,
    alignment::Correlations, read::read_pair,
};
use crate::pixel::{Picture, Planes, resize::bicubic};

/// Spread of values on [0, 1] under which a picture counts as blank.
const BLANK_SPREAD: f64 = 0.004;
/// What a data set holds.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// How it is laid out.
    pub layout: super::Layout,
    /// Pairs of each split, unreadable ones included.
    pub counts: BTreeMap<Split, usize>,
    /// Number of pairs by width and height of the source.
    pub source_sizes: BTreeMap<String, usize>,
    /// Number of pairs by width and height of the target.
    pub target_sizes: BTreeMap<String, usize>,
    /// Number of pairs by kind of source and target.
    pub modes: BTreeMap<String, usize>,
    /// Values of the sources, by channel; empty for label ids.
    pub source_values: Vec<ChannelValues>,
    /// Values of the targets, by channel.
    pub target_values: Vec<ChannelValues>,
    /// Files that cannot be used.
    pub bad: Vec<BadFile>,
    /// The shift of the targets, right and down as percentages of width and height, when one stands out over all pairs.
    pub shift: Option<(i32, i32)>,
    /// Pairs that a person should look at.
    pub suspicious: Vec<Suspicion>,
    /// What was left out or decided on the way.
    pub notes: Vec<String>,
}

/// Mean and spread of one channel over all pixels of all pairs, on [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ChannelValues {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub spread: f64,
}

/// Why a person should look at a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suspicion {
    /// The pair.
    pub name: String,
    /// Its split.
    pub split: Split,
    /// Why, in a sentence.
    pub reason: String,
}

/// What one pair adds to the report.
struct Looked {
    source_size: (usize, usize),
    target_size: (usize, usize),
    mode: String,
    source: Vec<Moments>,
    target: Vec<Moments>,
    reasons: Vec<String>,
    source_hash: u64,
    alignment: Option<Correlations>,
}

#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    fn values(&self) -> ChannelValues {
        let mean = self.sum / self.count.max(1.0);
        let variance = self.squares / self.count.max(1.0) - mean * mean;
        ChannelValues { mean, spread: variance.max(0.0).sqrt() }
    }
}

/// Reads every pair and reports; `progress` is told the number of pairs done.
pub fn check(set: &PairSet, config: &PairsConfig, progress: &(dyn Fn(usize) + Sync)) -> CheckReport {
    let reading = set.reading(config);
    let done = std::sync::atomic::AtomicUsize::new(0);
    let looked = set.pairs.par_iter().map(|path| {
        let looked = read_pair(path, &reading).map(|pair| look(&pair));
        progress(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1);
        (path, looked)
    });
    let looked = looked.collect::<Vec<_>>();
    let mut report = CheckReport {
        layout: set.layout,
        counts: BTreeMap::new(),
        source_sizes: BTreeMap::new(),
        target_sizes: BTreeMap::new(),
        modes: BTreeMap::new(),
        source_values: Vec::new(),
        target_values: Vec::new(),
        bad: Vec::new(),
        shift: None,
        suspicious: Vec::new(),
        notes: set.notes.clone(),
    };
    let (mut source, mut target) = (Vec::new(), Vec::new());
    let mut alignment = None::<Correlations>;
    let mut seen = HashMap::<u64, &PairPath>::new();
    for (path, looked) in &looked {
        *report.counts.entry(path.split).or_default() += 1;
        let looked = match looked {
            Ok(looked) => looked,
            Err(error) => {
                report.bad.push(error.bad_file(first_file(path)));
                continue;
            }
        };
        let size = |(width, height): (usize, usize)| format!("{width}x{height}");
        *report.source_sizes.entry(size(looked.source_size)).or_default() += 1;
        *report.target_sizes.entry(size(looked.target_size)).or_default() += 1;
        *report.modes.entry(looked.mode.clone()).or_default() += 1;
        add_all(&mut source, &looked.source);
        add_all(&mut target, &looked.target);
        match (&mut alignment, &looked.alignment) {
            (Some(sum), Some(one)) => sum.add(one),
            (sum @ None, one) => *sum = one.clone(),
            (Some(_), None) => {}
        }
        let mut suspect = |reason: String| {
            report.suspicious.push(Suspicion { name: path.name.clone(), split: path.split, reason });
        };
        looked.reasons.iter().cloned().for_each(&mut suspect);
        match seen.entry(looked.source_hash) {
            Entry::Vacant(place) => {
                place.insert(path);
            }
            Entry::Occupied(first) => {
                let first = first.get();
                let leak = if first.split == path.split { "" } else { ", which is in another split" };
                suspect(format!("same source picture as {}/{}{leak}", first.split, first.name));
            }
        }
    }
    report.shift = alignment.as_ref().and_then(Correlations::shift);
    report.source_values = source.iter().map(Moments::values).collect();
    report.target_values = target.iter().map(Moments::values).collect();
    report
}

/// Reads every pair and tells which can be used: those, and the files that cannot.
pub fn usable(set: &PairSet, config: &PairsConfig, progress: &(dyn Fn(usize) + Sync)) -> (PairSet, Vec<BadFile>) {
    let reading = set.reading(config);
    let done = std::sync::atomic::AtomicUsize::new(0);
    let results = set.pairs.par_iter().map(|path| {
        let result = read_pair(path, &reading).map(drop).map_err(|error| error.bad_file(first_file(path)));
        progress(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1);
        result
    });
    let results = results.collect::<Vec<_>>();
    let good = set.pairs.iter().zip(&results).filter(|(_, result)| result.is_ok()).map(|(path, _)| path.clone());
    let good = PairSet { pairs: good.collect(), ..set.clone() };
    (good, results.into_iter().filter_map(Result::err).collect())
}

/// A picture of up to `most` pairs, evenly chosen, in cells of `cell` pixels: source beside target.
///
/// # Errors
/// When none of the chosen pairs can be read.
pub fn contact_sheet(set: &PairSet, config: &PairsConfig, most: usize, cell: usize) -> Result<Picture, PairsError> {
    const GAP: usize = 4;
    const BACKGROUND: [u8; 3] = [245, 245, 243];
    let reading = set.reading(config);
    let stride = set.pairs.len().div_ceil(most.max(1)).max(1);
    let chosen = set.pairs.iter().step_by(stride).collect::<Vec<_>>();
    let read = chosen.par_iter().map(|path| read_pair(path, &reading)).collect::<Vec<_>>();
    let mut error = None;
    let pairs = read.into_iter().filter_map(|pair| pair.map_err(|found| error = Some(found)).ok()).collect::<Vec<_>>();
    let Some(first) = pairs.first() else {
        return Err(error.unwrap_or_else(|| PairsError::Options { reason: "there are no pairs to show".into() }));
    };
    let (width, height) = first.source.size();
    let cell_height = (cell * height / width.max(1)).clamp(1, 4 * cell);
    // About as wide as high, in whole pairs.
    let pair_width = 2 * cell + GAP;
    let columns = ((pairs.len() * cell_height) as f64 / pair_width as f64).sqrt().ceil().max(1.0) as usize;
    let columns = columns.min(pairs.len());
    let rows = pairs.len().div_ceil(columns);
    let step = (pair_width + 3 * GAP, cell_height + 3 * GAP);
    let mut sheet = Picture::filled(columns * step.0 + GAP, rows * step.1 + GAP, &BACKGROUND);
    for (index, pair) in pairs.iter().enumerate() {
        let (x, y) = (index % columns * step.0 + 2 * GAP, index / columns * step.1 + 2 * GAP);
        let small = |picture: &Picture| bicubic(&picture.to_u8().to_channels(3), cell, cell_height);
        sheet.paste(&small(&pair.source.shown()), x, y);
        sheet.paste(&small(&pair.target), x + cell + GAP, y);
    }
    Ok(sheet)
}

fn first_file(path: &PairPath) -> &std::path::Path {
    match &path.files {
        PairFiles::SideBySide { path } => path,
        PairFiles::Separate { a, .. } => a,
    }
}

/// A shift in words.
pub fn describe_shift((x, y): (i32, i32)) -> String {
    let part = |shift: i32, positive: &str, negative: &str| match shift {
        0 => None,
        _ => Some(format!("{} % {}", shift.abs(), if shift > 0 { positive } else { negative })),
    };
    let parts = [part(x, "to the right", "to the left"), part(y, "down", "up")];
    format!("{} of the source", parts.into_iter().flatten().collect::<Vec<_>>().join(" and "))
}

fn add_all(total: &mut Vec<Moments>, more: &[Moments]) {
    if total.is_empty() {
        *total = vec![Moments::default(); more.len()];
    }
    total.iter_mut().zip(more).for_each(|(total, more)| total.add(more));
}

fn look(pair: &DecodedPair) -> Looked {
    let target_planes = pair.target.to_planes();
    let target = moments(&target_planes);
    let kind =
        |picture: &Picture| format!("{} {}-bit", if picture.channels() == 1 { "gray" } else { "RGB" }, picture.bits());
    let (source, source_kind, source_hash) = match &pair.source {
        SourcePixels::Picture(picture) => {
            let planes = picture.to_planes();
            (moments(&planes), kind(picture), hash(planes.values.iter().map(|value| u64::from(value.to_bits()))))
        }
        SourcePixels::Labels { labels, .. } => {
            (Vec::new(), "label ids".into(), hash(labels.ids().iter().map(|&id| u64::from(id))))
        }
    };
    let target_size = (pair.target.width(), pair.target.height());
    let mut reasons = Vec::new();
    if pair.source.size() != target_size {
        let (a, b) = (pair.source.size(), target_size);
        reasons.push(format!("source is {}x{} pixels, target {}x{}", a.0, a.1, b.0, b.1));
    }
    let blank = |values: &[Moments]| !values.is_empty() && values.iter().all(|m| m.values().spread < BLANK_SPREAD);
    if blank(&source) {
        reasons.push("the source is blank".into());
    }
    if blank(&target) {
        reasons.push("the target is blank".into());
    }
    if let SourcePixels::Picture(picture) = &pair.source
        && *picture == pair.target
    {
        reasons.push("source and target are identical".into());
    }
    let edges = match &pair.source {
        SourcePixels::Picture(picture) if !blank(&source) && *picture != pair.target => Some(picture.clone()),
        SourcePixels::Picture(_) => None,
        SourcePixels::Labels { labels, .. } => Some(labels.to_colors()),
    };
    let alignment = edges.filter(|_| !blank(&target)).map(|source| Correlations::of(&source, &pair.target));
    if let Some(shift) = alignment.as_ref().and_then(Correlations::shift) {
        reasons.push(format!("the target seems to lie {}", describe_shift(shift)));
    }
    let mode = format!("{source_kind} -> {}", kind(&pair.target));
    Looked { source_size: pair.source.size(), target_size, mode, source, target, reasons, source_hash, alignment }
}

fn moments(planes: &Planes) -> Vec<Moments> {
    let of = |plane: &[f32]| {
        plane.iter().fold(Moments::default(), |mut moments, value| {
            let value = (f64::from(*value) + 1.0) / 2.0;
            moments.count += 1.0;
            moments.sum += value;
            moments.squares += value * value;
            moments
        })
    };
    planes.values.chunks_exact(planes.width * planes.height).map(of).collect()
}

/// Order-dependent hash of values (FNV-1a over words).
fn hash(values: impl Iterator<Item = u64>) -> u64 {
    values.fold(0xcbf2_9ce4_8422_2325, |hash, value| (hash ^ value).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        pairs::{layout::find_pairs, synth},
        pixel::encode::write_picture,
        seed,
    };

    /// Blocks of random gray: many edges, all different.
    fn blocks(number: u64, shift: usize) -> Picture {
        let value = |x: usize, y: usize| (seed::mix(number, "block", ((x / 9) * 64 + y / 7) as u64) % 256) as u8;
        let values = (0..128 * 128).flat_map(|i| [value(i % 128 + shift, i / 128); 3]).collect();
        Picture::from_u8(128, 128, 3, values).expect("a picture")
    }

    fn write(folder: &Path, name: &str, a: &Picture, b: &Picture) {
        let mut both = Picture::filled(256, 128, &[0; 3]);
        both.paste(a, 0, 0);
        both.paste(b, 128, 0);
        write_picture(&folder.join(name), &both, &[]).expect("written");
    }

    #[test]
    fn bad_files_and_suspicious_pairs_are_all_named_and_good_ones_are_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path();
        let inverse = |picture: &Picture| {
            let values = (0..128 * 128).flat_map(|i| [255 - picture.pixel(i % 128, i / 128)[0], 20, 90]).collect();
            Picture::from_u8(128, 128, 3, values).expect("a picture")
        };
        for number in 0..4 {
            write(root, &format!("good{number}.png"), &blocks(number, 0), &inverse(&blocks(number, 0)));
        }
        write(root, "same.png", &blocks(9, 0), &blocks(9, 0));
        write(root, "blank.png", &blocks(10, 0), &Picture::filled(128, 128, &[7, 7, 7]));
        let (satellite, map) = synth::town_window(5, 0, (140, 128));
        write(root, "shifted.png", &satellite.crop(0, 0, 128, 128), &map.crop(12, 0, 128, 128));
        write(root, "twin.png", &blocks(0, 0), &inverse(&blocks(12, 0)));
        std::fs::write(root.join("zero.png"), b"").expect("written");
        std::fs::write(root.join("text.jpg"), b"hello").expect("written");
        write_picture(&root.join("odd.png"), &Picture::filled(7, 4, &[0; 3]), &[]).expect("written");
        let config = PairsConfig { val_fraction: 0.0, ..Default::default() };
        let set = find_pairs(root, &config, 0).expect("pairs");
        let report = check(&set, &config, &|_| {});
        assert_eq!(report.counts[&Split::Train], 11);
        let bad = report.bad.iter().map(|bad| bad.path.file_name().expect("a name").to_string_lossy().into_owned());
        assert_eq!(bad.collect::<Vec<_>>(), ["odd.png", "text.jpg", "zero.png"]);
        let named =
            report.suspicious.iter().map(|found| (found.name.as_str(), &found.reason[..14])).collect::<Vec<_>>();
        let expected = [
            ("blank", "the target is "),
            ("same", "source and tar"),
            ("shifted", "the target see"),
            ("twin", "same source pi"),
        ];
        assert_eq!(named, expected, "{:?}", report.suspicious);
        let (good, bad) = usable(&set, &config, &|_| {});
        assert_eq!((good.pairs.len(), bad.len()), (8, 3));
        assert!(contact_sheet(&set, &config, 100, 32).is_ok());
    }

    #[test]
    fn mean_and_spread_are_those_of_the_pixels() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut both = Picture::filled(4, 2, &[0, 51, 255]);
        both.paste(&Picture::filled(1, 2, &[255, 51, 255]), 0, 0);
        write_picture(&folder.path().join("x.png"), &both, &[]).expect("written");
        let config = PairsConfig::default();
        let set = find_pairs(folder.path(), &config, 0).expect("pairs");
        let report = check(&set, &config, &|_| {});
        let close = |found: ChannelValues, mean: f64, spread: f64| {
            assert!((found.mean - mean).abs() < 1e-6 && (found.spread - spread).abs() < 1e-4, "{found:?}");
        };
        close(report.source_values[0], 0.5, 0.5);
        close(report.source_values[1], 0.2, 0.0);
        close(report.target_values[2], 1.0, 0.0);
    }
}
