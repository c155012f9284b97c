//! Each layout from generated folders, and each error.

use std::fs;

use super::*;
use crate::pixel::{LabelMap, Picture, encode};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn with(self, files: &[&str]) -> Self {
        for file in files {
            let path = self.root().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            encode::write_picture(&path, &Picture::filled(8, 4, &[9, 8, 7]), &[]).expect("written");
        }
        self
    }

    fn labels(self, files: &[&str]) -> Self {
        for file in files {
            let path = self.root().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            let ids = LabelMap::new(8, 4, vec![3; 32]).expect("a map");
            encode::write_labels(&path, &ids).expect("written");
        }
        self
    }

    fn find(&self, config: &PairsConfig) -> Result<PairSet, PairsError> {
        find_pairs(self.root(), config, 0)
    }

    fn names(&self) -> (Layout, Vec<(Split, String)>) {
        let set = self.find(&whole()).expect("pairs");
        (set.layout, set.pairs.into_iter().map(|pair| (pair.split, pair.name)).collect())
    }
}

/// Nothing held out.
fn whole() -> PairsConfig {
    PairsConfig { val_fraction: 0.0, ..Default::default() }
}

fn named(names: &[(Split, &str)]) -> Vec<(Split, String)> {
    names.iter().map(|(split, name)| (*split, (*name).to_owned())).collect()
}

#[test]
fn side_by_side_files_are_found_at_any_depth_with_their_splits() {
    let folder = Folder::new().with(&["train/1.png", "train/town/2.jpg", "val/3.png", "test/4.png"]);
    let expected = named(&[(Split::Train, "1"), (Split::Train, "town/2"), (Split::Val, "3"), (Split::Test, "4")]);
    assert_eq!(folder.names(), (Layout::SideBySide, expected));
    let inside = find_pairs(&folder.root().join("train"), &whole(), 0).expect("pairs");
    assert_eq!(inside.pairs.len(), 2);
}

#[test]
fn two_folders_are_matched_by_stem_under_every_way_of_naming() {
    for (a, b) in [
        ("A", "B"),
        ("trainA", "trainB"),
        ("train_A", "train_B"),
        ("train/A", "train/B"),
        ("A/train", "B/train"),
        ("source", "target"),
        ("label", "image"),
        ("Labels", "Images"),
        ("satellite", "map"),
    ] {
        let folder = Folder::new().with(&[&format!("{a}/x y.png"), &format!("{a}/sub/2.png")]);
        let folder = folder.with(&[&format!("{b}/x y.jpg"), &format!("{b}/sub/2.jpg")]);
        let expected = named(&[(Split::Train, "sub/2"), (Split::Train, "x y")]);
        assert_eq!(folder.names(), (Layout::TwoFolders, expected), "{a} and {b}");
        let PairFiles::Separate { a: first, .. } = &folder.find(&whole()).expect("pairs").pairs[0].files else {
            panic!("separate files")
        };
        assert!(first.starts_with(folder.root().join(a)), "{} is below {a}", first.display());
    }
}

#[test]
fn stems_may_differ_by_a_known_ending() {
    let folder = Folder::new().with(&["label/7_label.png", "image/7_img.png"]);
    assert_eq!(folder.names().1, named(&[(Split::Train, "7")]));
}

#[test]
fn the_pix2pixhd_folders_are_found_with_labels_and_instances() {
    let folder = Folder::new()
        .labels(&["train_label/a_1_gtFine_labelIds.png", "train_inst/a_1_gtFine_instanceIds.png"])
        .with(&["train_img/a_1_leftImg8bit.png"]);
    let config = PairsConfig { labels: Some(5), instance_edges: true, ..whole() };
    let set = folder.find(&config).expect("pairs");
    assert_eq!((set.layout, set.source_channels, set.target_channels), (Layout::Pix2pixHd, 6, 3));
    assert_eq!(set.pairs[0].name, "a_1");
    let without = folder.find(&whole()).expect_err("the number of labels is missing");
    assert!(without.to_string().contains("number of labels is not given"));
    assert!(folder.find(&PairsConfig { direction: Direction::BtoA, ..whole() }).is_ok());
}

#[test]
fn the_cityscapes_tree_just_works_and_splits_without_annotation_are_noted() {
    let folder = Folder::new()
        .with(&[
            "leftImg8bit/train/aachen/aachen_0_leftImg8bit.png",
            "leftImg8bit/test/bonn/bonn_0_leftImg8bit.png",
            "gtFine/train/aachen/aachen_0_gtFine_color.png",
        ])
        .labels(&[
            "gtFine/train/aachen/aachen_0_gtFine_labelIds.png",
            "gtFine/train/aachen/aachen_0_gtFine_instanceIds.png",
        ]);
    let set = folder.find(&whole()).expect("pairs");
    assert_eq!((set.layout, set.source_channels, set.pairs.len()), (Layout::Cityscapes, 3, 1));
    assert_eq!(set.pairs[0].name, "aachen/aachen_0");
    assert!(set.notes[0].starts_with("1 pictures of leftImg8bit/test have no annotation"));
    let config = PairsConfig { labels: Some(34), instance_edges: true, ..whole() };
    assert_eq!(folder.find(&config).expect("pairs").source_channels, 35);
}

#[test]
fn a_seeded_fraction_is_held_out_and_files_added_later_disturb_little() {
    let files = (0..40).map(|i| format!("{i}.png")).collect::<Vec<_>>();
    let files = files.iter().map(String::as_str).collect::<Vec<_>>();
    let config = PairsConfig { val_fraction: 0.25, ..Default::default() };
    let held = |folder: &Folder, seed| {
        let set = find_pairs(folder.root(), &config, seed).expect("pairs");
        set.split(Split::Val).into_iter().map(|pair| pair.name).collect::<BTreeSet<_>>()
    };
    let folder = Folder::new().with(&files);
    let before = held(&folder, 0);
    assert_eq!((before.len(), &before), (10, &held(&folder, 0)));
    assert_ne!(before, held(&folder, 1));
    let folder = folder.with(&["new.png"]);
    assert!(held(&folder, 0).intersection(&before).count() >= 9);
}

#[test]
fn gray_pictures_are_counted_as_one_channel() {
    let folder = Folder::new().labels(&["A/1.png"]).with(&["B/1.png"]);
    let set = folder.find(&whole()).expect("pairs");
    assert_eq!((set.source_channels, set.target_channels), (1, 3));
    let back = folder.find(&PairsConfig { direction: Direction::BtoA, ..whole() }).expect("pairs");
    assert_eq!((back.source_channels, back.target_channels), (3, 1));
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_loops_are_noted() {
    let elsewhere = Folder::new().with(&["1.png"]);
    let folder = Folder::new().with(&["train/0.png"]);
    std::os::unix::fs::symlink(elsewhere.root(), folder.root().join("train/more")).expect("linked");
    std::os::unix::fs::symlink(folder.root(), folder.root().join("train/loop")).expect("linked");
    std::os::unix::fs::symlink("/nowhere", folder.root().join("train/gone.png")).expect("linked");
    let set = folder.find(&whole()).expect("pairs");
    assert_eq!(set.pairs.iter().map(|pair| pair.name.as_str()).collect::<Vec<_>>(), ["0", "more/1"]);
    assert_eq!(set.notes.len(), 2, "{:?}", set.notes);
}

#[test]
fn errors_say_what_was_looked_for_and_found() {
    let text = |folder: &Folder, config: &PairsConfig| folder.find(config).expect_err("an error").to_string();
    let empty = text(&Folder::new(), &whole());
    assert!(empty.contains("looked for pictures side by side") && empty.contains("no pictures at all"), "{empty}");
    let unmatched = text(&Folder::new().with(&["A/1.png", "A/2.png", "B/2.png", "B/3.png"]), &whole());
    assert!(unmatched.contains("train/1, train/3"), "{unmatched}");
    let twice = text(&Folder::new().with(&["A/1.png", "A/1.jpg", "B/1.png"]), &whole());
    assert!(twice.contains("same stem"), "{twice}");
    let missing = find_pairs(Path::new("/nowhere/at/all"), &whole(), 0).expect_err("no folder");
    assert_eq!(missing.to_string(), "/nowhere/at/all is not a folder");
    let other = PairsConfig { layout: Some(Layout::Cityscapes), ..whole() };
    assert!(text(&Folder::new().with(&["1.png"]), &other).contains("is not laid out as cityscapes"));
    let edges = PairsConfig { instance_edges: true, ..whole() };
    assert!(text(&Folder::new().with(&["1.png"]), &edges).contains("number of labels is not given"));
    let labels = PairsConfig { labels: Some(3), ..whole() };
    assert!(text(&Folder::new().with(&["1.png"]), &labels).contains("files of their own"));
    let fraction = PairsConfig { val_fraction: 1.0, ..whole() };
    assert!(text(&Folder::new().with(&["1.png"]), &fraction).contains("below 1"));
}
