//! The house rules that a machine can hold: which room may import which.

use std::{fs, path::Path};

/// What rooms of pictures and their files must not name.
const OF_FILES: &[&str] = &[
    "burn",
    "crate::pairs",
    "crate::batch",
    "crate::networks",
    "crate::loss",
    "crate::train",
    "crate::checkpoint",
    "crate::translate",
];
/// What translation must not name.
const OF_TRANSLATION: &[&str] =
    &["crate::train", "crate::loss", "crate::pairs", "crate::evaluate", "crate::geo", "crate::tiles", "crate::region"];
/// What tiles must not name.
const OF_TILES: &[&str] =
    &["burn", "crate::geo", "crate::region", "crate::networks", "crate::train", "crate::translate"];
/// A room, and the rooms of the core that it must not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("pixel", OF_FILES),
    ("schedule.rs", &["burn", "crate::"]),
    (
        "kernels",
        &[
            "crate::pixel",
            "crate::pairs",
            "crate::batch",
            "crate::networks",
            "crate::loss",
            "crate::metrics",
            "crate::train",
            "crate::checkpoint",
        ],
    ),
    ("pairs", &["burn", "crate::batch", "crate::networks", "crate::loss", "crate::train", "crate::checkpoint"]),
    ("batch.rs", &["crate::networks", "crate::loss", "crate::train", "crate::checkpoint", "crate::translate"]),
    (
        "networks",
        &["crate::loss", "crate::metrics", "crate::train", "crate::pairs", "crate::checkpoint", "crate::pixel"],
    ),
    ("loss.rs", &["crate::networks", "crate::metrics", "crate::train", "crate::pairs", "crate::checkpoint"]),
    ("metrics.rs", &["burn", "crate::networks", "crate::loss", "crate::train", "crate::pairs", "crate::checkpoint"]),
    ("checkpoint.rs", &["crate::train", "crate::pairs", "crate::loss", "crate::translate"]),
    ("train", &["crate::translate", "crate::evaluate"]),
    ("translate.rs", OF_TRANSLATION),
    ("translate", OF_TRANSLATION),
    ("geo", OF_FILES),
    ("tiles", OF_TILES),
    ("vector", OF_FILES),
    ("region", &["crate::train", "crate::loss", "crate::pairs", "crate::evaluate", "crate::networks"]),
    ("evaluate.rs", &["crate::train", "crate::loss"]),
    ("agreement.rs", &["crate::translate", "crate::evaluate", "crate::checkpoint"]),
];

fn core() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../pix2pix-core/src"))
}

fn sources(place: &Path, found: &mut Vec<(String, String)>) {
    if place.is_dir() {
        for entry in fs::read_dir(place).expect("a folder of sources") {
            sources(&entry.expect("an entry").path(), found);
        }
    } else if place.extension().is_some_and(|ending| ending == "rs") && !place.ends_with("tests.rs") {
        let text = fs::read_to_string(place).expect("a source");
        // Tests may look around.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
        found.push((place.display().to_string(), code));
    }
}

fn below(place: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    sources(place, &mut found);
    assert!(!found.is_empty(), "{} holds sources", place.display());
    found
}

#[test]
fn each_room_imports_only_rooms_to_its_left() {
    for (room, forbidden) in FORBIDDEN {
        for (file, code) in below(&core().join(room)) {
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            let flat = lines.collect::<Vec<_>>().join(" ");
            // `use crate::{ a::b, c }` names rooms without the prefix.
            for group in flat.split("use crate::{").skip(1) {
                let group = group.split("};").next().unwrap_or_default();
                let mut depth = 0_i32;
                let top = group.chars().filter(|character| {
                    depth += i32::from(*character == '{') - i32::from(*character == '}');
                    depth == 0
                });
                for name in top.collect::<String>().split(',') {
                    let room = name.trim().split("::").next().unwrap_or_default();
                    let full = format!("crate::{room}");
                    assert!(!forbidden.contains(&full.as_str()), "{file} imports {full}");
                }
            }
            for name in forbidden.iter() {
                let used =
                    if *name == "burn" { flat.contains("burn::") } else { flat.contains(name) && *name != "crate::" };
                assert!(!used, "{file} names {name}");
            }
        }
    }
}

#[test]
fn the_core_prints_nothing_and_reads_neither_clock_nor_environment() {
    for (file, code) in below(core()) {
        for name in ["println!", "eprintln!", "print!(", "Instant::now", "SystemTime", "std::env::", "env::var"] {
            assert!(!code.contains(name), "{file} uses {name}");
        }
    }
}

#[test]
fn unsafe_code_stays_in_the_kernels_and_where_the_system_is_asked() {
    for (file, code) in below(core()) {
        let allowed =
            file.contains("/src/kernels/") || file.ends_with("/src/device.rs") || file.ends_with("/src/checkpoint.rs");
        let found = code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("unsafe {"));
        assert!(allowed || !found, "{file} holds unsafe code");
    }
}
