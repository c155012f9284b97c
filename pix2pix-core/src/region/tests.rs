//! Regions from plan to export, on small networks.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use super::*;
use crate::{
    geo::{Georeference, RasterSpec, write_raster},
    pixel::PixelError,
    tiles::{self, TileCoord, TileError, TilePicture, World, coord::degrees_to_mercator},
    translate::{TranslateError, Translator, tests::translator_at},
};

const WORLD: World = World { zoom: 12, tile: 256 };

fn going_on(_: usize, _: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A picture in Web Mercator whose first pixel is this one of the world at zoom 12.
fn write(path: &Path, (x, y): (usize, usize), (width, height): (usize, usize), alpha: bool) {
    let [left, top] = WORLD.to_mercator([x as f64, y as f64]);
    let resolution = WORLD.resolution();
    let georeference = Georeference::from_transform([left, resolution, 0.0, top, 0.0, -resolution], Some(3857));
    let channels = if alpha { 4 } else { 3 };
    let spec = RasterSpec { width, height, channels, georeference: &georeference, nodata: None, text: &[] };
    let value = |column: usize, row: usize, channel: usize| match channel {
        // A hole larger than a tile, and an edge.
        3 if (300..900).contains(&column) && row < 560 => 0,
        3 => 255,
        _ => ((column * (3 + channel) + row * 5) % 251) as u8,
    };
    let rows = (0..height).flat_map(|row| {
        (0..width).flat_map(move |column| (0..channels).map(move |channel| value(column, row, channel)))
    });
    let rows = rows.collect::<Vec<_>>();
    write_raster::<_, PixelError>(path, &spec, |to| to.rows(&rows)).expect("written");
}

struct Scene {
    folder: tempfile::TempDir,
    translator: Translator,
    inputs: Vec<PathBuf>,
    options: RegionOptions,
}

/// A picture of 1100x700 pixels that begins within a tile, at zooms 9 to 12, in blocks of 2x2 tiles.
fn scene(alpha: bool) -> Scene {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("model");
    fs::write(&model, "weights").expect("written");
    let input = folder.path().join("a.tif");
    write(&input, (256 * 2000 + 100, 256 * 1300 + 30), (1100, 700), alpha);
    let options = RegionOptions { zooms: Some((9, 12)), window: 192, block: 512, ..Default::default() };
    Scene { translator: translator_at(model), inputs: vec![input], options, folder }
}

impl Scene {
    fn plan(&self) -> Result<(Plan, Mosaic), RegionError> {
        plan(&self.inputs, &self.translator, &self.options, None, &mut going_on)
    }

    /// Plans, does the blocks in this order, and merges.
    fn run(&self, name: &str, order: impl Fn(usize) -> Vec<usize>) -> (Plan, PathBuf) {
        let work = Work::new(&self.folder.path().join(format!("{name}.work")));
        work.make().expect("made");
        let (plan, mosaic) = self.plan().expect("planned");
        work.put_plan(&plan).expect("written");
        for number in order(plan.blocks.len()) {
            translate(&plan, number, (&self.translator, &mosaic), &work, &mut going_on).expect("translated");
        }
        let to = self.folder.path().join(name);
        merge(&work, &plan, &to, &Export::default(), &mut going_on).expect("merged");
        (plan, to)
    }
}

fn picture(reader: &dyn tiles::TileReader, z: u8, x: u32, y: u32) -> Option<TilePicture> {
    let bytes = reader.tile(TileCoord { z, x, y }).expect("read")?;
    Some(tiles::decode(&bytes, Path::new("tile")).expect("a picture"))
}

#[test]
fn blocks_in_any_order_make_the_same_archive() {
    let scene = scene(true);
    for kind in ["mbtiles", "pmtiles"] {
        let (plan, one) = scene.run(&format!("one.{kind}"), |count| (0..count).collect());
        assert!(plan.blocks.len() >= 6, "{:?}", plan.blocks);
        let (_, other) = scene.run(&format!("other.{kind}"), |count| (0..count).rev().collect());
        assert_eq!(fs::read(one).expect("read"), fs::read(other).expect("read"), "{kind}");
    }
}

#[test]
fn tiles_lie_where_the_picture_lies_and_smaller_zooms_are_reduced_pictures() {
    let scene = scene(true);
    let (plan, to) = scene.run("tiles", |count| (0..count).collect());
    let reader = tiles::open(&to).expect("opened");
    // The picture covers columns 2000 to 2004 in part, and rows 1300 to 1302.
    let corner = picture(&*reader, 12, 2000, 1300).expect("a tile");
    let opacity = |picture: &TilePicture, x: usize, y: usize| picture.pixels()[y * 256 + x][3];
    assert_eq!([opacity(&corner, 99, 30), opacity(&corner, 100, 29), opacity(&corner, 100, 30)], [0, 0, 255]);
    assert!(picture(&*reader, 12, 1999, 1300).is_none());
    // Column 2002 lies within the hole, up to row 590.
    assert!(picture(&*reader, 12, 2002, 1300).is_none() && picture(&*reader, 12, 2002, 1301).is_none());
    assert_eq!(opacity(&picture(&*reader, 12, 2002, 1302).expect("a tile"), 10, 77), 0);
    assert_eq!(opacity(&picture(&*reader, 12, 2002, 1302).expect("a tile"), 10, 78), 255);
    for zoom in 9..12 {
        let mut parents = reader.coords(zoom).expect("listed");
        parents.sort_unstable();
        let mut expected = reader.coords(zoom + 1).expect("listed").iter().map(|c| c.parent()).collect::<Vec<_>>();
        expected.sort_unstable();
        expected.dedup();
        assert_eq!(parents, expected);
        for parent in parents {
            let mut four = TilePicture::empty(512, 512);
            for (at, child) in parent.children().into_iter().enumerate() {
                if let Some(tile) = picture(&*reader, child.z, child.x, child.y) {
                    four.paste(&tile, (at % 2 * 256, at / 2 * 256), (0, 0));
                }
            }
            assert_eq!(picture(&*reader, zoom, parent.x, parent.y), Some(four.halved()), "{parent:?}");
        }
    }
    let [west, south, east, north] = plan.bounds();
    let corner = WORLD.from_mercator(degrees_to_mercator([west, north]));
    assert!((corner[0] - 512_100.0).abs() < 1e-3 && (corner[1] - 332_830.0).abs() < 1e-3, "{corner:?}");
    let corner = WORLD.from_mercator(degrees_to_mercator([east, south]));
    assert!((corner[0] - 513_200.0).abs() < 1e-3 && (corner[1] - 333_530.0).abs() < 1e-3, "{corner:?}");
}

#[test]
fn blocks_meet_as_if_the_picture_had_been_translated_at_once() {
    let mut scene = scene(false);
    scene.options.exact = true;
    let (_, parts) = scene.run("parts", |count| (0..count).collect());
    scene.options.block = 4096;
    let (plan, whole) = scene.run("whole", |count| (0..count).collect());
    assert_eq!(plan.blocks.len(), 1);
    let (parts, whole) = (tiles::open(&parts).expect("opened"), tiles::open(&whole).expect("opened"));
    let coords = whole.coords(12).expect("listed");
    assert_eq!(coords.len(), parts.coords(12).expect("listed").len());
    for TileCoord { z, x, y } in coords {
        let (a, b) = (picture(&*parts, z, x, y).expect("a tile"), picture(&*whole, z, x, y).expect("a tile"));
        let most = a.values().iter().zip(b.values()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(most.is_some_and(|most| most <= 1), "{x} {y} {most:?}");
    }
}

#[test]
fn what_changed_is_told_from_what_was_and_the_same_plan_is_used_again() {
    let mut scene = scene(false);
    let (first, _) = scene.plan().expect("planned");
    let again = |scene: &Scene| {
        plan(&scene.inputs, &scene.translator, &scene.options, Some(first.clone()), &mut |_, _| {
            panic!("statistics are known")
        })
    };
    assert_eq!(again(&scene).expect("planned").0, first);
    scene.options.quality = 50;
    let fingerprint = |scene: &Scene| scene.plan().expect("planned").0.fingerprint;
    let changed = fingerprint(&scene);
    assert_ne!(changed, first.fingerprint);
    scene.options.quality = 85;
    fs::write(scene.translator.path(), "other weights").expect("written");
    assert_ne!(fingerprint(&scene), first.fingerprint);
    let error = first.open(&scene.translator).err().expect("another model").to_string();
    assert!(error.contains(&first.model_hash), "{error}");
    fs::write(scene.translator.path(), "weights").expect("written");
    write(&scene.inputs[0], (256 * 2000 + 101, 256 * 1300 + 30), (1100, 700), false);
    assert_ne!(fingerprint(&scene), first.fingerprint);
    let error = first.open(&scene.translator).err().expect("another input");
    assert!(matches!(error, RegionError::Fingerprint { .. }), "{error}");
}

#[test]
fn shards_share_all_blocks_and_merging_checks_them() {
    let scene = scene(false);
    let work = Work::new(&scene.folder.path().join("work"));
    work.make().expect("made");
    let (plan, mosaic) = scene.plan().expect("planned");
    let total = plan.blocks.len();
    let shards = [0, 1, 2].map(|index| Shard { index, count: 3 });
    assert_eq!(shards.iter().flat_map(|shard| shard.blocks(total)).collect::<Vec<_>>(), (0..total).collect::<Vec<_>>());
    let to = scene.folder.path().join("a.pmtiles");
    let merge = || merge(&work, &plan, &to, &Export::default(), &mut going_on);
    for shard in &shards[..2] {
        for number in shard.blocks(total) {
            translate(&plan, number, (&scene.translator, &mosaic), &work, &mut going_on).expect("translated");
        }
        work.put_report(&plan, *shard).expect("reported");
    }
    let error = merge().expect_err("a shard is missing");
    assert!(
        matches!(&error, RegionError::Incomplete { missing, .. } if *missing == shards[2].blocks(total).collect::<Vec<_>>())
    );
    assert!(!to.exists());
    assert!(work.put_report(&plan, shards[2]).is_err(), "its blocks are not there");
    // Stopped half way, nothing of the block is there.
    let number = shards[2].blocks(total).start;
    let mut stop = |done: usize, _: usize| if done == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let stopped = translate(&plan, number, (&scene.translator, &mosaic), &work, &mut stop);
    assert!(matches!(stopped, Err(RegionError::Translate(TranslateError::Stopped))));
    assert!(!work.has(&plan, number).expect("looked"));
    for number in shards[2].blocks(total) {
        translate(&plan, number, (&scene.translator, &mosaic), &work, &mut going_on).expect("translated");
    }
    assert!(merge().expect("merged") > total);
    // A block that is not the one that was reported.
    let block = scene.folder.path().join("work/blocks/00000000.block");
    let mut bytes = fs::read(&block).expect("read");
    *bytes.last_mut().expect("bytes") ^= 1;
    fs::write(&block, &bytes).expect("written");
    let error = merge().expect_err("damaged").to_string();
    assert!(error.contains("its tiles are not those that were written"), "{error}");
    bytes.truncate(bytes.len() - 1);
    fs::write(&block, &bytes).expect("written");
    assert!(!work.has(&plan, 0).expect("looked"), "what is cut off is done again");
}

#[test]
fn inputs_that_cannot_be_used_are_errors() {
    let scene = scene(false);
    let refuse = |path: &Path, options: RegionOptions| {
        plan(&[path.to_owned()], &scene.translator, &options, None, &mut going_on).err().expect("refused").to_string()
    };
    let nowhere = scene.folder.path().join("nowhere.tif");
    let spec = RasterSpec {
        width: 8,
        height: 8,
        channels: 3,
        georeference: &Georeference::default(),
        nodata: None,
        text: &[],
    };
    write_raster::<_, PixelError>(&nowhere, &spec, |to| to.rows(&[7; 192])).expect("written");
    let usual = RegionOptions::default();
    assert!(refuse(&nowhere, usual.clone()).contains("has neither georeference nor world file"));
    fs::write(nowhere.with_extension("tfw"), "1\n0\n0\n-1\n500000\n5000000\n").expect("written");
    assert!(refuse(&nowhere, usual.clone()).contains("does not say its coordinate system"));
    assert!(refuse(&nowhere, RegionOptions { src_crs: Some(12), ..usual.clone() }).contains("EPSG:12 cannot be used"));
    let input = &scene.inputs[0];
    let error = refuse(input, RegionOptions { src_crs: Some(4326), ..usual.clone() });
    assert!(error.contains("says EPSG:3857, asked for is EPSG:4326"), "{error}");
    assert!(refuse(input, RegionOptions { zooms: Some((9, 30)), ..usual.clone() }).contains("are not within 0..22"));
    assert!(refuse(input, RegionOptions { tile_size: 300, ..usual.clone() }).contains("256 or 512"));
    assert!(refuse(input, RegionOptions { block: 1000, ..usual }).contains("power of two"));
    let open = |work: &Path| {
        merge(&Work::new(work), &scene.plan().expect("planned").0, work, &Export::default(), &mut going_on)
    };
    assert!(matches!(open(&scene.folder.path().join("none")), Err(RegionError::Work { .. })));
}

#[test]
fn tiles_become_tiles_and_nothing_comes_of_what_is_missing() {
    let scene = scene(false);
    let source = scene.folder.path().join("source.mbtiles");
    let metadata = Export::default().metadata(&scene.plan().expect("planned").0);
    let mut writer = tiles::create(&source, &metadata).expect("begun");
    let mut coords = [(2000, 1300), (2001, 1300), (2003, 1302)].map(|(x, y)| TileCoord { z: 12, x, y });
    coords.sort_by_key(|coord| coord.hilbert());
    for coord in coords {
        let pixels = (0..65_536).map(|at| [(at % 256) as u8, (at / 256) as u8, coord.x as u8, 255]);
        let picture = TilePicture::from_values(256, 256, pixels.collect::<Vec<_>>().concat()).expect("pixels");
        let bytes = tiles::encode(&picture, tiles::TileFormat::Png, 90).expect("encoded");
        writer.put(coord, &bytes).expect("put");
    }
    writer.finish().expect("finished");
    let scene =
        Scene { inputs: vec![source], options: RegionOptions { zooms: None, ..scene.options.clone() }, ..scene };
    let (plan, to) = scene.run("of tiles", |count| (0..count).collect());
    assert_eq!((plan.world.zoom, plan.min_zoom(), plan.num_tiles(0..plan.blocks.len())), (12, 10, 3));
    let mut found = tiles::open(&to).and_then(|reader| reader.coords(12)).expect("listed");
    found.sort_by_key(|coord| coord.hilbert());
    assert_eq!(found, coords);
    let reader = tiles::open(&scene.inputs[0]).expect("opened");
    assert!(matches!(reader.tile(TileCoord { z: 12, x: 0, y: 0 }), Ok::<_, TileError>(None)));
}
