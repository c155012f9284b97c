//! Files written here and read here, and by GDAL's tools where they are installed.

use std::{fs, path::Path, process::Command};

use super::*;
use crate::pixel::{Canvas, PixelError, Planes, Rect, Sink};

const WIDTH: usize = 300;
const HEIGHT: usize = 270;

fn value(x: usize, y: usize, channel: usize) -> u8 {
    ((x * 3 + y * 5 + channel * 70) % 251) as u8
}

fn place() -> Georeference {
    Georeference::from_transform([500_000.0, 0.5, 0.0, 4_200_000.0, 0.0, -0.5], Some(32_618))
}

/// Writes a picture of `channels`, in bands of rows that fit no tile.
fn write(path: &Path, channels: usize, nodata: Option<f64>) {
    let (georeference, text) = (place(), [("Software".into(), "p2p".into()), ("p2p:a".into(), "<1> & b".into())]);
    let spec = RasterSpec { width: WIDTH, height: HEIGHT, channels, georeference: &georeference, nodata, text: &text };
    write_raster::<_, PixelError>(path, &spec, |rows| {
        for start in (0..HEIGHT).step_by(100) {
            let band = (start..HEIGHT.min(start + 100))
                .flat_map(|y| (0..WIDTH).flat_map(move |x| (0..channels).map(move |channel| value(x, y, channel))));
            rows.rows(&band.collect::<Vec<_>>())?;
        }
        Ok(())
    })
    .expect("written");
}

fn imagery(path: &Path, channels: usize) -> Imagery {
    let raster = Raster::open(path).expect("open");
    Imagery::new(raster, channels, &ImageryOptions::default()).expect("bands fit")
}

const PARTS: [Rect; 3] = [
    Rect { x: 0, y: 0, width: WIDTH, height: HEIGHT },
    Rect { x: 250, y: 200, width: 50, height: 70 },
    Rect { x: 13, y: 255, width: 1, height: 2 },
];

fn expect_values(found: &Imagery, most: f32) {
    for part in PARTS {
        let planes = found.read(part).expect("read");
        for (at, found) in planes.values.iter().enumerate() {
            let (channel, at) = (at / (part.width * part.height), at % (part.width * part.height));
            let (x, y) = (part.x + at % part.width, part.y + at / part.width);
            let expected = f32::from(value(x, y, channel)) / 127.5 - 1.0;
            assert!((found - expected).abs() <= most, "{part:?} {channel} {x} {y}: {found} {expected}");
        }
    }
}

#[test]
fn what_is_written_is_read_back_part_by_part_with_its_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for channels in [1, 3] {
        let path = folder.path().join("a.tif");
        write(&path, channels, None);
        let found = imagery(&path, channels);
        assert_eq!(found.raster().size(), (WIDTH, HEIGHT));
        assert_eq!(found.raster().georeference(), &place());
        assert!(!found.raster().has_gaps());
        expect_values(&found, 1e-6);
    }
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
}

#[test]
fn pixels_without_data_are_transparent_and_filled_and_none_is_added_on_the_way_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("gray.tif");
    write(&path, 1, Some(6.0));
    let found = imagery(&path, 1);
    let part = Rect { x: 0, y: 0, width: 4, height: 1 };
    assert_eq!(found.opacity(part).expect("read"), Some(vec![255, 255, 0, 255]));
    // Nothing is black here.
    assert!((found.read(part).expect("read").values[2] + 1.0).abs() < 1e-6);
    let out = folder.path().join("out.tif");
    let georeference = Georeference::default();
    let spec =
        RasterSpec { width: 4, height: 1, channels: 1, georeference: &georeference, nodata: Some(6.0), text: &[] };
    let planes = Planes { channels: 1, height: 1, width: 4, values: vec![6.0 / 127.5 - 1.0; 4] };
    let gaps = Gaps::Value(&found, 6);
    write_raster::<_, PixelError>(&out, &spec, |rows| RowSink::new(rows, 4, gaps).take(part, &planes))
        .expect("written");
    let values = imagery(&out, 1).opacity(part).expect("read");
    assert_eq!(values, Some(vec![255, 255, 0, 255]));
}

#[test]
fn alpha_is_read_and_written_beside_the_bands() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.tif");
    write(&path, 4, None);
    let found = imagery(&path, 3);
    assert!(found.raster().has_alpha() && found.raster().bands() == 3);
    let part = Rect { x: 290, y: 260, width: 3, height: 2 };
    let expected = (0..6).map(|at| value(290 + at % 3, 260 + at / 3, 3)).collect::<Vec<_>>();
    assert_eq!(found.opacity(part).expect("read"), Some(expected));
}

#[test]
fn bands_are_chosen_and_wrong_ones_are_errors() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.tif");
    write(&path, 3, None);
    let open = |channels, bands: Option<Vec<usize>>| {
        Imagery::new(Raster::open(&path).expect("open"), channels, &ImageryOptions { bands, ..Default::default() })
    };
    let part = Rect { x: 5, y: 5, width: 1, height: 1 };
    let turned = open(3, Some(vec![3, 2, 1])).expect("three bands").read(part).expect("read");
    let usual = open(3, None).expect("three bands").read(part).expect("read");
    assert_eq!(turned.values, [usual.values[2], usual.values[1], usual.values[0]]);
    for (channels, bands) in [(3, Some(vec![1, 2])), (3, Some(vec![1, 2, 4])), (3, Some(vec![0, 1, 2])), (1, None)] {
        let error = open(channels, bands).err().expect("no such bands").to_string();
        assert!(error.contains("has 3 bands without alpha"), "{error}");
    }
}

#[test]
fn cut_off_and_foreign_files_are_errors() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.tif");
    write(&path, 3, None);
    let bytes = fs::read(&path).expect("read");
    let part = Rect { x: 0, y: 0, width: WIDTH, height: HEIGHT };
    for length in [0, 3, 8, 100, bytes.len() / 2, bytes.len() - 200] {
        let cut = folder.path().join("cut.tif");
        fs::write(&cut, &bytes[..length]).expect("written");
        let read = Raster::open(&cut).and_then(|raster| {
            let imagery = Imagery::new(raster, 3, &ImageryOptions::default())?;
            Ok(imagery.read(part)?)
        });
        assert!(read.is_err(), "{length} of {} bytes", bytes.len());
    }
    // A header that claims a million by a million pixels: where width and height stand is found by their values.
    let mut claimed = bytes.clone();
    for side in [WIDTH as u32, HEIGHT as u32] {
        let at = claimed.windows(4).rposition(|four| four == side.to_le_bytes()).expect("a tag's value");
        claimed[at..at + 4].copy_from_slice(&1_000_000_u32.to_le_bytes());
    }
    let bomb = folder.path().join("bomb.tif");
    fs::write(&bomb, claimed).expect("written");
    assert!(Raster::open(&bomb).is_err());
}

#[test]
fn bytes_that_were_changed_by_chance_are_values_or_errors_and_never_a_panic() {
    use rand::RngExt as _;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.tif");
    write(&path, 3, Some(6.0));
    let bytes = fs::read(&path).expect("read");
    // The tags stand at the end.
    let tags = bytes.len() - 700;
    for number in 0..300 {
        let mut rng = crate::seed::rng(number, "damage", 0);
        let mut damaged = bytes.clone();
        for _ in 0..rng.random_range(1..6) {
            let from = if number % 3 == 0 { 0 } else { tags };
            damaged[rng.random_range(from..bytes.len())] = rng.random_range(0..=255);
        }
        fs::write(&path, damaged).expect("written");
        // Whatever comes of it, it comes without a panic.
        let read = Raster::open(&path).and_then(|raster| {
            let (width, height) = raster.size();
            let part = Rect { x: 0, y: 0, width: width.min(WIDTH), height: height.min(HEIGHT) };
            let imagery = Imagery::new(raster, 3, &ImageryOptions::default())?;
            Ok(imagery.read(part)?)
        });
        drop(read);
    }
}

/// Runs one of GDAL's tools; `None` where it is not installed.
fn gdal(tool: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(tool).args(arguments).output() {
        Ok(output) => {
            let text =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{tool} {arguments:?}: {text}");
            Some(text)
        }
        Err(_) => {
            println!("{tool} is not installed: not compared with it");
            None
        }
    }
}

#[test]
fn gdal_reads_what_is_written_and_what_gdal_writes_is_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let ours = name("ours.tif");
    write(Path::new(&ours), 3, None);
    let Some(said) = gdal("gdalinfo", &[&ours]) else {
        return;
    };
    for expected in ["Size is 300, 270", "ID[\"EPSG\",32618]", "(500000.0", "(0.500000000000000,-0.5", "p2p:a=<1> & b"]
    {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    // Kinds of files, and how far their values may be off.
    let kinds: [(&[&str], f32); 8] = [
        (&["-co", "COMPRESS=LZW", "-co", "PREDICTOR=2"], 1e-6),
        (&["-co", "COMPRESS=DEFLATE", "-co", "TILED=YES", "-co", "BLOCKXSIZE=64", "-co", "BLOCKYSIZE=128"], 1e-6),
        (&["-co", "INTERLEAVE=BAND"], 1e-6),
        (&["-co", "INTERLEAVE=BAND", "-co", "TILED=YES", "-co", "COMPRESS=PACKBITS"], 1e-6),
        (&["-co", "BIGTIFF=YES", "-co", "ENDIANNESS=BIG"], 1e-6),
        (&["-co", "COMPRESS=WEBP", "-co", "WEBP_LOSSLESS=YES"], 1e-6),
        (&["-co", "COMPRESS=JPEG", "-co", "JPEG_QUALITY=100", "-co", "TILED=YES"], 0.3),
        (&["-of", "COG", "-co", "COMPRESS=DEFLATE"], 1e-6),
    ];
    for (kind, most) in kinds {
        let theirs = name("theirs.tif");
        let arguments = [&["-q", ours.as_str(), theirs.as_str()][..], kind].concat();
        gdal("gdal_translate", &arguments);
        let found = imagery(Path::new(&theirs), 3);
        assert_eq!(found.raster().georeference().transform(), place().transform(), "{kind:?}");
        expect_values(&found, most);
        fs::remove_file(theirs).expect("removed");
    }
}

#[test]
fn colours_of_jpeg_come_back_as_colours() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (ours, theirs) = (name("ours.tif"), name("theirs.tif"));
    let georeference = place();
    let spec = RasterSpec { width: 512, height: 64, channels: 3, georeference: &georeference, nodata: None, text: &[] };
    // Soft colours: JPEG halves the sides of their differences.
    let pixel = |x: usize| [(x / 2) as u8, 200 - (x / 4) as u8, 60];
    let row = (0..512).flat_map(pixel).collect::<Vec<_>>();
    let all = row.repeat(64);
    write_raster::<_, PixelError>(Path::new(&ours), &spec, |rows| rows.rows(&all)).expect("written");
    for tiled in ["TILED=NO", "TILED=YES"] {
        let kind = ["-co", "COMPRESS=JPEG", "-co", "PHOTOMETRIC=YCBCR", "-co", "JPEG_QUALITY=95", "-co", tiled];
        if gdal("gdal_translate", &[&["-q", ours.as_str(), theirs.as_str()][..], &kind].concat()).is_none() {
            return;
        }
        let planes = imagery(Path::new(&theirs), 3).read(Rect { x: 0, y: 8, width: 512, height: 1 }).expect("read");
        for x in 0..512 {
            for (channel, expected) in pixel(x).into_iter().enumerate() {
                let found = (planes.values[channel * 512 + x] + 1.0) * 127.5;
                assert!((found - f32::from(expected)).abs() < 6.0, "{tiled} {x} {channel}: {found} {expected}");
            }
        }
    }
}

#[test]
fn sixteen_bits_are_stretched_by_percentiles() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (ours, theirs) = (name("ours.tif"), name("theirs.tif"));
    write(Path::new(&ours), 1, None);
    if gdal("gdal_translate", &["-q", "-ot", "UInt16", "-scale", "0", "250", "1000", "26000", &ours, &theirs]).is_none()
    {
        return;
    }
    let found = imagery(Path::new(&theirs), 1);
    let [(least, largest)] = found.range() else { panic!("one band") };
    assert!((1200..1800).contains(least) && (25_200..25_800).contains(largest), "{least} {largest}");
    let planes = found.read(Rect { x: 0, y: 0, width: 250, height: 1 }).expect("read");
    assert!(planes.values.iter().all(|value| (-1.0..=1.0).contains(value)));
    assert!(planes.values[0] == -1.0 && planes.values[41] < 0.1 && planes.values[41] > -0.1);
}

#[test]
fn a_mask_within_the_file_is_seen() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (ours, theirs) = (name("ours.tif"), name("theirs.tif"));
    write(Path::new(&ours), 4, None);
    let kinds = ["--config", "GDAL_TIFF_INTERNAL_MASK", "YES", "-b", "1", "-b", "2", "-b", "3", "-mask", "4"];
    for tiled in ["TILED=NO", "TILED=YES"] {
        let arguments = [&["-q", ours.as_str(), theirs.as_str(), "-co", tiled][..], &kinds].concat();
        if gdal("gdal_translate", &arguments).is_none() {
            return;
        }
        let found = imagery(Path::new(&theirs), 3);
        assert!(found.raster().has_alpha() && found.raster().bands() == 3);
        for part in PARTS {
            let opacity = found.opacity(part).expect("read").expect("a mask");
            for (at, opacity) in opacity.into_iter().enumerate() {
                let alpha = value(part.x + at % part.width, part.y + at / part.width, 3);
                assert_eq!(opacity == 255, alpha > 0, "{part:?} {at}");
            }
        }
    }
}

#[test]
fn layers_lie_where_gdal_puts_them() {
    use crate::tiles::World;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (ours, theirs) = (name("ours.tif"), name("theirs.tif"));
    // A soft card in UTM, so that half a pixel shows and no single one matters.
    let (width, height) = (400, 300);
    let georeference = Georeference::from_transform([500_000.0, 2.0, 0.0, 4_400_000.0, 0.0, -2.0], Some(32_618));
    let spec = RasterSpec { width, height, channels: 3, georeference: &georeference, nodata: None, text: &[] };
    let wave = |at: usize, length: f64| (127.5 + 100.0 * (at as f64 / length).sin()) as u8;
    let rows = (0..height).flat_map(|y| (0..width).flat_map(move |x| [wave(x, 9.0), wave(y, 7.0), wave(x + y, 13.0)]));
    let rows = rows.collect::<Vec<_>>();
    write_raster::<_, PixelError>(Path::new(&ours), &spec, |to| to.rows(&rows)).expect("written");
    let raster = Raster::open(Path::new(&ours)).expect("opened");
    let transform = raster.georeference().transform().expect("a place");
    let crs = Crs::from_epsg(raster.georeference().epsg().expect("a system")).expect("known");
    let imagery = Imagery::new(raster, 3, &ImageryOptions::default()).expect("three bands");
    let layer = Layer::new(Box::new(imagery), transform, crs).expect("a layer");
    // Near its pixels and at half of their number.
    for zoom in [16, 15] {
        let world = World { zoom, tile: 256 };
        let extent = layer.extent(world);
        let [left, top] = world.to_mercator([extent.x as f64, extent.y as f64]);
        let [right, bottom] = world.to_mercator([(extent.x + extent.width) as f64, (extent.y + extent.height) as f64]);
        let numbers = [left, bottom, right, top, world.resolution(), world.resolution()].map(|n| format!("{n:.9}"));
        let [left, bottom, right, top, x, y] = &numbers;
        let arguments = [
            "-q",
            "-overwrite",
            "-t_srs",
            "EPSG:3857",
            "-r",
            "bilinear",
            "-et",
            "0",
            "-dstalpha",
            "-te",
            left,
            bottom,
            right,
            top,
            "-tr",
            x,
            y,
            &ours,
            &theirs,
        ];
        if gdal("gdalwarp", &arguments).is_none() {
            return;
        }
        let found = layer.read(world, extent).expect("drawn");
        let expected = imagery_of_four(Path::new(&theirs));
        let part = Rect { x: 0, y: 0, width: extent.width, height: extent.height };
        let (planes, area) = (expected.read(part).expect("read"), extent.width * extent.height);
        let opacity = expected.opacity(part).expect("read").expect("alpha");
        let (mut sum, mut count, mut edges) = (0.0, 0, 0);
        for (at, pixel) in found.pixels.iter().enumerate() {
            if (pixel[3] > 0.0) != (opacity[at] > 0) {
                edges += 1;
            } else if pixel[3] > 0.99 && opacity[at] == 255 {
                let far = (0..3).map(|channel| (pixel[channel] - planes.values[channel * area + at]).abs() * 127.5);
                sum += far.sum::<f32>() / 3.0;
                count += 1;
            }
        }
        assert!(count > area * 9 / 10 && edges <= 2 * (extent.width + extent.height), "{count} of {area}, {edges}");
        // Half a pixel off would be 5 and more.
        assert!(sum / (count as f32) < 0.8, "zoom {zoom}: {}", sum / count as f32);
    }
}

fn imagery_of_four(path: &Path) -> Imagery {
    let raster = Raster::open(path).expect("opened");
    Imagery::new(raster, 3, &ImageryOptions::default()).expect("three bands")
}
