//! Which files of a folder make pairs: the four layouts that the field uses.
//!
//! Looks at names only; the channels are settled by the heads of the first files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

use super::{Direction, Layout, PairFiles, PairPath, PairSet, PairsConfig, PairsError, Split};
use crate::{
    pixel::decode::{is_picture_path, probe},
    seed,
};

/// Names of the folders of A and B, in lower case.
const FOLDER_NAMES: &[(&str, &str)] = &[
    ("a", "b"),
    ("source", "target"),
    ("src", "tgt"),
    ("input", "output"),
    ("inputs", "outputs"),
    ("input", "target"),
    ("inputs", "targets"),
    ("label", "image"),
    ("labels", "images"),
    ("label", "img"),
    ("labels", "imgs"),
    ("mask", "image"),
    ("masks", "images"),
    ("mask", "img"),
    ("sat", "map"),
    ("satellite", "map"),
    ("satellite", "maps"),
    ("sar", "optical"),
    ("sar", "opt"),
    ("s1", "s2"),
    ("edge", "photo"),
    ("edges", "photos"),
    ("sketch", "photo"),
    ("sketches", "photos"),
    ("low", "high"),
];
/// Names of splits.
const SPLIT_NAMES: &[(&str, Split)] = &[
    ("training", Split::Train),
    ("train", Split::Train),
    ("validation", Split::Val),
    ("valid", Split::Val),
    ("val", Split::Val),
    ("testing", Split::Test),
    ("test", Split::Test),
];
/// What stems end in beside the name that both halves share.
const STEM_ENDINGS: &[&str] = &[
    "_gtFine_labelIds",
    "_gtFine_instanceIds",
    "_gtFine_color",
    "_leftImg8bit",
    "_label",
    "_labels",
    "_inst",
    "_img",
    "_image",
    "_mask",
    "_A",
    "_B",
    "_source",
    "_target",
    "_input",
    "_output",
];
/// Pairs whose heads are read to settle the channels.
const PROBED: usize = 32;

/// Finds the pairs of a folder. `seed` decides which are held out where no folder holds validation pairs.
///
/// # Errors
/// A folder that is none, holds no pairs, or holds files without partners; options that contradict the layout.
pub fn find_pairs(root: &Path, config: &PairsConfig, seed: u64) -> Result<PairSet, PairsError> {
    if !root.is_dir() {
        return Err(PairsError::NotAFolder { path: root.to_owned() });
    }
    let mut notes = Vec::new();
    let files = list_files(root, &mut notes)?;
    let layout = config.layout.or_else(|| detect(root, &files));
    let nothing = || PairsError::NoPairs { path: root.to_owned(), looked_for: looked_for(), found: describe(&files) };
    let layout = layout.ok_or_else(nothing)?;
    let mut pairs = match layout {
        Layout::Cityscapes => cityscapes(root, &files, &mut notes)?,
        Layout::Pix2pixHd => pix2pix_hd(root, &files)?,
        Layout::TwoFolders => two_folders(root, &files)?,
        Layout::SideBySide => side_by_side(root, &files),
    };
    if pairs.is_empty() {
        return Err(nothing());
    }
    check_options(root, layout, &pairs, config)?;
    hold_out(&mut pairs, config.val_fraction, seed);
    pairs.sort_by(|a, b| (a.split, &a.name).cmp(&(b.split, &b.name)));
    let (source_channels, target_channels) = channels(&pairs, config);
    Ok(PairSet { layout, root: root.to_owned(), pairs, source_channels, target_channels, notes })
}

/// All pictures below the folder, as relative paths in order. Links are followed; loops are noted and left out.
fn list_files(root: &Path, notes: &mut Vec<String>) -> Result<Vec<PathBuf>, PairsError> {
    let hidden = |name: &std::ffi::OsStr| {
        let name = name.to_string_lossy();
        name.starts_with('.') || name == "__MACOSX"
    };
    let walk = WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter();
    let mut files = Vec::new();
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || !hidden(entry.file_name())) {
        match entry {
            Ok(entry) if entry.file_type().is_file() && is_picture_path(entry.path()) => {
                let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
                files.push(relative.to_owned());
            }
            Ok(_) => {}
            Err(error) if error.loop_ancestor().is_some() => {
                let path = error.path().unwrap_or(root).display();
                notes.push(format!("{path} is a link to a folder that holds it and was left out"));
            }
            Err(error) => {
                let path = error.path().unwrap_or(root).to_owned();
                // A link to nothing is a bad file of its own, not the end of the data set.
                if path.is_symlink() {
                    notes.push(format!("{} is a link to nothing and was left out", path.display()));
                } else {
                    let source = error.into_io_error().unwrap_or_else(|| std::io::Error::other("cannot be listed"));
                    return Err(PairsError::Io { path, source });
                }
            }
        }
    }
    Ok(files)
}

fn detect(root: &Path, files: &[PathBuf]) -> Option<Layout> {
    if root.join("leftImg8bit").is_dir() && root.join("gtFine").is_dir() {
        return Some(Layout::Cityscapes);
    }
    let in_folder = |part: &str| {
        files.iter().any(|file| folders(file).any(|name| split_part(&name).is_some_and(|(_, rest)| rest == part)))
    };
    if in_folder("label") && in_folder("img") {
        return Some(Layout::Pix2pixHd);
    }
    if chosen_names(files).is_some() {
        return Some(Layout::TwoFolders);
    }
    (!files.is_empty()).then_some(Layout::SideBySide)
}

/// Names of the folders above a file, in lower case.
fn folders(file: &Path) -> impl Iterator<Item = String> {
    let parts = file.parent().into_iter().flat_map(Path::components);
    parts.map(|part| part.as_os_str().to_string_lossy().to_lowercase())
}

fn split_of(name: &str) -> Option<Split> {
    SPLIT_NAMES.iter().find(|(known, _)| *known == name).map(|(_, split)| *split)
}

/// Takes `train_label`, `trainA` or `train-b` apart into split and rest.
fn split_part(name: &str) -> Option<(Split, &str)> {
    SPLIT_NAMES.iter().find_map(|(known, split)| {
        let rest = name.strip_prefix(known)?.trim_start_matches(['_', '-', ' ']);
        (!rest.is_empty()).then_some((*split, rest))
    })
}

/// What the folders above a file say: its split, its role, and the name that is left.
struct Placed {
    split: Option<Split>,
    role: Option<String>,
    name: String,
}

fn place(file: &Path, is_role: &dyn Fn(&str) -> bool) -> Placed {
    let (mut split, mut role) = (None, None);
    let mut kept = Vec::new();
    let parts = file.parent().into_iter().flat_map(Path::components);
    for part in parts.map(|part| part.as_os_str().to_string_lossy().into_owned()) {
        let lower = part.to_lowercase();
        if role.is_none() && is_role(&lower) {
            role = Some(lower);
        } else if let Some(found) = split_of(&lower) {
            split = split.or(Some(found));
        } else if let Some((found, rest)) = split_part(&lower).filter(|(_, rest)| role.is_none() && is_role(rest)) {
            split = split.or(Some(found));
            role = Some(rest.to_owned());
        } else {
            kept.push(part);
        }
    }
    kept.push(file.file_stem().unwrap_or_default().to_string_lossy().into_owned());
    Placed { split, role, name: kept.join("/") }
}

/// The first names of the table for which there are files on both sides.
fn chosen_names(files: &[PathBuf]) -> Option<(&'static str, &'static str)> {
    let mut roles = BTreeSet::new();
    for file in files {
        for name in folders(file) {
            if let Some((_, rest)) = split_part(&name) {
                roles.insert(rest.to_owned());
            }
            roles.insert(name);
        }
    }
    FOLDER_NAMES.iter().copied().find(|(a, b)| roles.contains(*a) && roles.contains(*b))
}

fn side_by_side(root: &Path, files: &[PathBuf]) -> Vec<PairPath> {
    let mut seen = BTreeMap::<String, usize>::new();
    let pair = |file: &PathBuf| {
        let placed = place(file, &|_| false);
        let split = placed.split.unwrap_or(Split::Train);
        let key = format!("{split}/{}", placed.name);
        let times = seen.entry(key).and_modify(|times| *times += 1).or_insert(1);
        // Two files of one stem are two pairs here: each is whole.
        let name = if *times > 1 { format!("{}-{times}", placed.name) } else { placed.name };
        PairPath { name, split, files: PairFiles::SideBySide { path: root.join(file) } }
    };
    files.iter().map(pair).collect()
}

/// Files of one role by split and name.
type ByName = BTreeMap<(Split, String), PathBuf>;

fn by_name(
    root: &Path,
    files: &[PathBuf],
    role: &str,
    other: &str,
    rename: &dyn Fn(&str) -> String,
) -> Result<ByName, PairsError> {
    let is_role = |name: &str| name == role || name == other;
    let mut found = ByName::new();
    for file in files {
        let placed = place(file, &is_role);
        if placed.role.as_deref() != Some(role) {
            continue;
        }
        let key = (placed.split.unwrap_or(Split::Train), rename(&placed.name));
        let second = root.join(file);
        if let Some(first) = found.insert(key, second.clone()) {
            return Err(PairsError::SameStem { first, second });
        }
    }
    Ok(found)
}

fn without_ending(name: &str) -> String {
    let ending = STEM_ENDINGS.iter().find(|ending| {
        name.len() > ending.len()
            && name.is_char_boundary(name.len() - ending.len())
            && name[name.len() - ending.len()..].eq_ignore_ascii_case(ending)
    });
    ending.map_or(name, |ending| &name[..name.len() - ending.len()]).to_owned()
}

fn two_folders(root: &Path, files: &[PathBuf]) -> Result<Vec<PairPath>, PairsError> {
    let Some((name_a, name_b)) = chosen_names(files) else {
        let reason = format!("no two folders are named {}", table());
        return Err(PairsError::Layout { path: root.to_owned(), layout: Layout::TwoFolders, reason });
    };
    let plain = |name: &str| name.to_owned();
    let sides = |rename: &dyn Fn(&str) -> String| -> Result<(ByName, ByName), PairsError> {
        Ok((by_name(root, files, name_a, name_b, rename)?, by_name(root, files, name_b, name_a, rename)?))
    };
    let (mut a, mut b) = sides(&plain)?;
    if !a.keys().eq(b.keys())
        && let Ok((shorter_a, shorter_b)) = sides(&|name| without_ending(name))
        && shorter_a.keys().eq(shorter_b.keys())
    {
        (a, b) = (shorter_a, shorter_b);
    }
    check_matched(&a, &b, &root.join(name_a), &root.join(name_b))?;
    let pair = |(key, a): ((Split, String), PathBuf)| PairPath {
        // A label source reads its ids from A.
        files: PairFiles::Separate { b: b[&key].clone(), labels: Some(a.clone()), a, instances: None },
        split: key.0,
        name: key.1,
    };
    Ok(a.into_iter().map(pair).collect())
}

fn check_matched(a: &ByName, b: &ByName, folder_a: &Path, folder_b: &Path) -> Result<(), PairsError> {
    let only = |this: &ByName, other: &ByName| {
        let missing = this.keys().filter(|key| !other.contains_key(*key));
        missing.map(|(split, name)| format!("{split}/{name}")).collect::<Vec<_>>()
    };
    let (only_a, only_b) = (only(a, b), only(b, a));
    if only_a.is_empty() && only_b.is_empty() {
        return Ok(());
    }
    Err(PairsError::Unmatched { a: folder_a.to_owned(), b: folder_b.to_owned(), only_a, only_b })
}

fn pix2pix_hd(root: &Path, files: &[PathBuf]) -> Result<Vec<PairPath>, PairsError> {
    let of = |role: &str| {
        let is_role = |name: &str| matches!(name, "label" | "img" | "inst");
        let mut found = ByName::new();
        for file in files {
            let placed = place(file, &is_role);
            if placed.role.as_deref() == Some(role) {
                let key = (placed.split.unwrap_or(Split::Train), without_ending(&placed.name));
                if let Some(first) = found.insert(key, root.join(file)) {
                    return Err(PairsError::SameStem { first, second: root.join(file) });
                }
            }
        }
        Ok(found)
    };
    let (labels, images, instances) = (of("label")?, of("img")?, of("inst")?);
    check_matched(&labels, &images, &root.join("*_label"), &root.join("*_img"))?;
    if !instances.is_empty() {
        check_matched(&labels, &instances, &root.join("*_label"), &root.join("*_inst"))?;
    }
    let pair = |(key, label): ((Split, String), PathBuf)| PairPath {
        files: PairFiles::Separate {
            a: label.clone(),
            b: images[&key].clone(),
            labels: Some(label),
            instances: instances.get(&key).cloned(),
        },
        split: key.0,
        name: key.1,
    };
    Ok(labels.into_iter().map(pair).collect())
}

fn cityscapes(root: &Path, files: &[PathBuf], notes: &mut Vec<String>) -> Result<Vec<PairPath>, PairsError> {
    let present = files.iter().collect::<BTreeSet<_>>();
    let (mut pairs, mut unlabelled) = (Vec::new(), BTreeMap::<String, usize>::new());
    for file in files {
        let parts = file.iter().map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>();
        let [top, split_name, city, picture] = parts.as_slice() else {
            continue;
        };
        let Some(stem) = picture.strip_suffix("_leftImg8bit.png").filter(|_| top == "leftImg8bit") else {
            continue;
        };
        let Some(split) = split_of(&split_name.to_lowercase()) else {
            continue;
        };
        let annotation = |kind: &str| {
            let relative = Path::new("gtFine").join(split_name).join(city).join(format!("{stem}_gtFine_{kind}.png"));
            present.contains(&relative).then(|| root.join(relative))
        };
        let (color, labels, instances) = (annotation("color"), annotation("labelIds"), annotation("instanceIds"));
        let Some(a) = color.or_else(|| labels.clone()) else {
            *unlabelled.entry(split_name.clone()).or_default() += 1;
            continue;
        };
        let files = PairFiles::Separate { a, b: root.join(file), labels, instances };
        pairs.push(PairPath { name: format!("{city}/{stem}"), split, files });
    }
    notes.extend(unlabelled.into_iter().map(|(split, count)| {
        format!("{count} pictures of leftImg8bit/{split} have no annotation in gtFine/{split} and were left out")
    }));
    if pairs.is_empty() {
        let reason = "no leftImg8bit/SPLIT/CITY/X_leftImg8bit.png has its gtFine/SPLIT/CITY/X_gtFine_color.png".into();
        return Err(PairsError::Layout { path: root.to_owned(), layout: Layout::Cityscapes, reason });
    }
    Ok(pairs)
}

fn check_options(root: &Path, layout: Layout, pairs: &[PairPath], config: &PairsConfig) -> Result<(), PairsError> {
    let options = |reason: String| Err(PairsError::Options { reason });
    if !(0.0..1.0).contains(&config.val_fraction) {
        return options(format!("the held-out fraction must be at least 0 and below 1, found {}", config.val_fraction));
    }
    for channels in [config.source_channels, config.target_channels].into_iter().flatten() {
        if !matches!(channels, 1 | 3) {
            return options(format!("pictures have 1 or 3 channels, found {channels}"));
        }
    }
    if config.instance_edges && config.labels.is_none() {
        return options(
            "edges of instances go with a source of label ids, and the number of labels is not given".into(),
        );
    }
    if layout == Layout::Pix2pixHd && config.labels.is_none() && config.direction == Direction::AtoB {
        return options(format!(
            "{} holds label ids, and the number of labels is not given",
            root.join("*_label").display()
        ));
    }
    let Some(count) = config.labels else {
        return Ok(());
    };
    if count == 0 || count > 1 << 16 {
        return options(format!("the number of labels must be from 1 to 65536, found {count}"));
    }
    if config.direction == Direction::BtoA {
        return options("a source of label ids is A, and the direction is BtoA".into());
    }
    for pair in pairs {
        match &pair.files {
            PairFiles::SideBySide { .. } => {
                return options("label ids need files of their own, and these pairs stand side by side".into());
            }
            PairFiles::Separate { labels: None, .. } => {
                return options(format!("{} has no file of label ids", pair.name));
            }
            PairFiles::Separate { instances: None, .. } if config.instance_edges => {
                return options(format!("{} has no file of instance ids to draw edges from", pair.name));
            }
            PairFiles::Separate { .. } => {}
        }
    }
    Ok(())
}

/// Moves a fraction of the training pairs to validation where there are none: those whose names rank lowest under the seed, so
/// that files that are added later disturb little.
fn hold_out(pairs: &mut [PairPath], fraction: f64, seed: u64) {
    if fraction == 0.0 || pairs.iter().any(|pair| pair.split == Split::Val) {
        return;
    }
    let mut train = pairs.iter_mut().filter(|pair| pair.split == Split::Train).collect::<Vec<_>>();
    if train.len() < 2 {
        return;
    }
    let count = ((train.len() as f64 * fraction).round() as usize).clamp(1, train.len() - 1);
    train.sort_by_key(|pair| seed::mix(seed, &pair.name, 0));
    train.iter_mut().take(count).for_each(|pair| pair.split = Split::Val);
}

/// Channels of source and target: as configured, else gray where all heads read say so, else RGB.
fn channels(pairs: &[PairPath], config: &PairsConfig) -> (usize, usize) {
    let probed = pairs.iter().step_by(pairs.len().div_ceil(PROBED).max(1));
    let most = |paths: &mut dyn Iterator<Item = &Path>| {
        let palette_is_color = |path: &Path| probe(path).ok().map(|info| if info.palette { 3 } else { info.channels });
        paths.filter_map(palette_is_color).max().unwrap_or(3)
    };
    let side = |first: bool| {
        most(&mut probed.clone().map(|pair| match &pair.files {
            PairFiles::SideBySide { path } => path.as_path(),
            PairFiles::Separate { a, b, .. } => {
                if first {
                    a
                } else {
                    b
                }
            }
        }))
    };
    let forward = config.direction == Direction::AtoB;
    let source = match config.labels {
        Some(count) => count + usize::from(config.instance_edges),
        None => config.source_channels.unwrap_or_else(|| side(forward)),
    };
    (source, config.target_channels.unwrap_or_else(|| side(!forward)))
}

fn table() -> String {
    FOLDER_NAMES.iter().map(|(a, b)| format!("{a}/{b}")).collect::<Vec<_>>().join(", ")
}

fn looked_for() -> String {
    format!(
        "pictures side by side, two folders named {}, with train, val or test in front or above; train_label and train_img; \
         leftImg8bit and gtFine",
        table()
    )
}

/// What stands in a folder, for the error that found no pairs in it.
fn describe(files: &[PathBuf]) -> String {
    if files.is_empty() {
        return "no pictures at all".into();
    }
    let mut counts = BTreeMap::<PathBuf, usize>::new();
    for file in files {
        *counts.entry(file.parent().map(Path::to_owned).unwrap_or_default()).or_default() += 1;
    }
    let line = |(folder, count): (&PathBuf, &usize)| match folder.as_os_str().is_empty() {
        true => format!("{count} pictures in the folder itself"),
        false => format!("{count} pictures in {}", folder.display()),
    };
    counts.iter().take(12).map(line).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
