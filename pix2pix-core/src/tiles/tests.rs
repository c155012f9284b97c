//! Exports of every kind, and what is no export.

use std::{fs, path::Path, process::Command};

use rand::RngExt as _;

use super::*;
use crate::seed;

fn metadata(scheme: Scheme) -> Metadata {
    Metadata {
        name: "town <1>".into(),
        description: "generated".into(),
        attribution: "nobody".into(),
        format: TileFormat::Png,
        scheme,
        tile_size: 256,
        min_zoom: 3,
        max_zoom: 5,
        bounds: [1.5, -2.25, 3.0, 4.0],
        fingerprint: "abc".into(),
    }
}

/// Some tiles along the curve; every third is the same.
fn some() -> Vec<(TileCoord, Vec<u8>)> {
    let places = (3..=5).flat_map(|z| (0..5).flat_map(move |x| (1..7).map(move |y| (z, x, y))));
    let mut tiles = places
        .filter_map(|(z, x, y)| {
            let bytes = if x % 3 == 0 { b"the same".to_vec() } else { format!("{z} {x} {y}").into_bytes() };
            Some((TileCoord::new(z, x, y)?, bytes))
        })
        .collect::<Vec<_>>();
    tiles.sort_by_key(|(coord, _)| coord.hilbert());
    tiles
}

fn export(path: &Path, metadata: &Metadata) {
    let mut writer = create(path, metadata).expect("begun");
    for (coord, bytes) in some() {
        writer.put(coord, &bytes).expect("put");
    }
    assert!(!path.exists(), "nothing stands under its name before it is whole");
    writer.finish().expect("finished");
}

#[test]
fn every_kind_of_export_gives_back_what_was_put_into_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kinds = [("a", Scheme::Xyz), ("b", Scheme::Tms), ("c.mbtiles", Scheme::Xyz), ("d.pmtiles", Scheme::Xyz)];
    for (name, scheme) in kinds {
        let path = folder.path().join(name);
        let metadata = metadata(scheme);
        export(&path, &metadata);
        let reader = open(&path).expect("opened");
        let found = reader.metadata();
        assert_eq!(Metadata { bounds: metadata.bounds, ..found.clone() }, metadata, "{name}");
        assert!(found.bounds.iter().zip(metadata.bounds).all(|(a, b)| (a - b).abs() < 1e-6), "{name}");
        for (coord, bytes) in some() {
            assert_eq!(reader.tile(coord).expect("read"), Some(bytes), "{name} {coord:?}");
        }
        assert_eq!(reader.tile(TileCoord { z: 5, x: 31, y: 31 }).expect("read"), None, "{name}");
        assert_eq!(reader.tile(TileCoord { z: 6, x: 0, y: 0 }).expect("read"), None, "{name}");
        let mut coords = reader.coords(5).expect("listed");
        coords.sort_by_key(|coord| coord.hilbert());
        let expected = some().into_iter().map(|(coord, _)| coord).filter(|coord| coord.z == 5);
        assert_eq!(coords, expected.collect::<Vec<_>>(), "{name}");
    }
    assert!(folder.path().join("b/4/2/14.png").is_file(), "TMS counts from south");
}

#[test]
fn the_same_tiles_make_the_same_bytes_and_replace_what_stood_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["a.mbtiles", "a.pmtiles"] {
        let path = folder.path().join(name);
        // What a killed export left behind.
        fs::write(folder.path().join(format!(".{name}.unfinished")), "half").expect("written");
        export(&path, &metadata(Scheme::Xyz));
        let first = fs::read(&path).expect("read");
        fs::remove_file(&path).expect("removed");
        export(&path, &metadata(Scheme::Xyz));
        assert_eq!(fs::read(&path).expect("read"), first, "{name}");
    }
    let left = fs::read_dir(folder.path()).expect("listed").count();
    assert_eq!(left, 2);
}

#[test]
fn tiles_of_other_makers_are_found_by_their_names() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (flat, nested, none) = (folder.path().join("flat"), folder.path().join("nested"), folder.path().join("none"));
    fs::create_dir_all(&none).expect("made");
    fs::create_dir_all(&flat).expect("made");
    fs::create_dir_all(nested.join("4/7")).expect("made");
    for (name, text) in [("7-3-4.jpg", "a"), ("2-1-2.png", "b"), ("readme.txt", ""), ("1-2.png", ""), ("9-9-2.png", "")]
    {
        fs::write(flat.join(name), text).expect("written");
    }
    fs::write(nested.join("4/7/3.webp"), "c").expect("written");
    fs::write(nested.join("4/7/03.webp"), "no number").expect("written");
    let (of_flat, of_nested) = (open(&flat).expect("opened"), open(&nested).expect("opened"));
    let coord = TileCoord { z: 4, x: 7, y: 3 };
    assert_eq!((of_flat.metadata().min_zoom, of_flat.metadata().max_zoom), (2, 4));
    assert_eq!(of_flat.tile(coord).expect("read"), Some(b"a".to_vec()));
    assert_eq!(of_flat.coords(2).expect("listed"), [TileCoord { z: 2, x: 2, y: 1 }]);
    assert_eq!(of_nested.metadata().format, TileFormat::Webp);
    assert_eq!(of_nested.coords(4).expect("listed"), [coord]);
    assert_eq!(of_nested.tile(coord).expect("read"), Some(b"c".to_vec()));
    let error = open(&none).err().expect("nothing there").to_string();
    assert!(error.contains("there are no tiles in") && error.contains("x-y-z.png"), "{error}");
}

#[test]
fn archives_that_are_none_are_errors_and_damaged_ones_never_a_panic() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["a.mbtiles", "a.pmtiles"] {
        let path = folder.path().join(name);
        fs::write(&path, "this is no archive of tiles, whatever its name says, and long enough for a header".repeat(3))
            .expect("written");
        let error = open(&path).err().expect("no archive").to_string();
        assert!(error.contains("is not a whole"), "{error}");
        fs::remove_file(&path).expect("removed");
        assert!(open(&path).err().expect("not there").to_string().contains("cannot read"));
        export(&path, &metadata(Scheme::Xyz));
        let bytes = fs::read(&path).expect("read");
        for number in 0..200 {
            let mut rng = seed::rng(number, "damage", 0);
            let mut damaged = bytes.clone();
            if number % 4 == 0 {
                damaged.truncate(rng.random_range(0..bytes.len()));
            }
            for _ in 0..rng.random_range(1..6) {
                if let Some(byte) = damaged.len().checked_sub(1).map(|last| rng.random_range(0..=last)) {
                    damaged[byte] = rng.random_range(0..=255);
                }
            }
            fs::write(&path, damaged).expect("written");
            // Whatever comes of it, it comes without a panic.
            if let Ok(reader) = open(&path) {
                drop(reader.coords(4));
                drop(reader.tile(TileCoord { z: 4, x: 1, y: 2 }));
            }
        }
    }
}

#[test]
fn lossless_formats_give_every_pixel_back_and_jpeg_is_white_where_nothing_is() {
    let mut rng = seed::rng(1, "tile", 0);
    let mut with = |colors: usize, opaque: bool| {
        let palette = (0..colors).map(|_| {
            let opacity = if opaque { 255 } else { *[0, 128, 255].get(rng.random_range(0..3)).expect("one of three") };
            [rng.random_range(0..=255), rng.random_range(0..=255), rng.random_range(0..=255), opacity]
        });
        let palette = palette.collect::<Vec<[u8; 4]>>();
        let pixels = (0..64 * 64).map(|_| palette[rng.random_range(0..colors)]).collect::<Vec<_>>();
        TilePicture::from_values(64, 64, pixels.concat()).expect("64x64 pixels")
    };
    for (colors, opaque) in [(1, true), (2, false), (4, true), (13, false), (200, true), (4000, true), (4000, false)] {
        let picture = with(colors, opaque);
        for format in [TileFormat::Png, TileFormat::Webp] {
            let bytes = encode(&picture, format, 80).expect("encoded");
            assert_eq!(decode(&bytes, Path::new("tile")).expect("decoded"), picture, "{format:?} {colors} {opaque}");
        }
    }
    let few = encode(&with(2, true), TileFormat::Png, 80).expect("encoded");
    assert_eq!(few[24..26], [1, 3], "one bit of a palette");
    let bytes = encode(&TilePicture::empty(16, 16), TileFormat::Jpeg, 90).expect("encoded");
    let white = decode(&bytes, Path::new("tile")).expect("decoded");
    assert!(white.pixels().iter().all(|pixel| *pixel == [255; 4]));
}

#[test]
fn independent_readers_understand_the_archives() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.mbtiles");
    export(&path, &metadata(Scheme::Xyz));
    let script = "import sqlite3, sys\n\
        c = sqlite3.connect(sys.argv[1])\n\
        m = dict(c.execute('select name, value from metadata'))\n\
        assert m['name'] == 'town <1>' and m['format'] == 'png' and m['minzoom'] == '3' and m['maxzoom'] == '5', m\n\
        assert m['bounds'] == '1.5,-2.25,3,4', m\n\
        assert c.execute('pragma integrity_check').fetchone()[0] == 'ok'\n\
        d = c.execute('select tile_data from tiles where zoom_level=4 and tile_column=2 and tile_row=?', (16-1-1,))\n\
        assert d.fetchone()[0] == b'4 2 1'\n\
        print(c.execute('select count(*) from tiles').fetchone()[0])";
    match Command::new("python3").args(["-c", script]).arg(&path).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), some().len().to_string());
        }
        Err(_) => println!("python3 is not installed: not compared with its sqlite3"),
    }
}
