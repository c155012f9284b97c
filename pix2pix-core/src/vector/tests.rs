//! Tests of the whole way from labels to polygons, against rings found by hand, rasters and GDAL.

use std::{collections::HashMap, fs, process::Command};

use proptest::prelude::*;
use serde_json::Value;

use super::{polygons::sweep, *};

const X: u8 = NO_CLASS;

/// A palette of grays.
fn grays(count: u8) -> Palette {
    let class =
        |at: u8| Class { name: format!("class {at}"), colors: vec![Color([at * 20; 3])], keep: true, min_area: None };
    Palette::new((0..count).map(class).collect()).expect("a good palette")
}

fn labels(width: usize, classes: &[u8]) -> Labels {
    Labels::new(width, classes.len() / width, classes.to_vec()).expect("labels fit")
}

fn polygons(width: usize, classes: &[u8], tolerance: f64) -> Polygons {
    let made = outline(&labels(width, classes), &grays(10), tolerance).expect("good labels");
    made.validate().expect("valid polygons");
    made
}

/// The rings of every region, each begun at its topmost left point.
fn rings(polygons: &Polygons) -> Vec<Vec<Vec<Point>>> {
    let begun = |mut ring: Vec<Point>| {
        ring.pop();
        let first = (0..ring.len()).min_by_key(|&at| [ring[at][1], ring[at][0]]).expect("rings have points");
        ring.rotate_left(first);
        ring
    };
    polygons.regions().map(|region| region.rings().map(begun).collect()).collect()
}

#[test]
fn a_picture_of_one_class_is_its_frame() {
    let made = polygons(3, &[4; 6], 0.0);
    assert_eq!(rings(&made), [[[[0, 0], [0, 2], [3, 2], [3, 0]]]]);
    let region = made.regions().next().expect("one region");
    assert_eq!((region.class(), region.num_pixels()), (4, 6));
    assert_eq!(rings(&polygons(3, &[4; 6], 50.0)), [[[[0, 0], [0, 2], [3, 2], [3, 0]]]]);
    assert_eq!(rings(&polygons(1, &[0], 9.0)), [[[[0, 0], [0, 1], [1, 1], [1, 0]]]]);
}

#[test]
fn a_hole_goes_clockwise_and_the_island_in_it_counter_clockwise() {
    #[rustfmt::skip]
    let made = polygons(5, &[
        0, 0, 0, 0, 0,
        0, 1, 1, 1, 0,
        0, 1, 2, 1, 0,
        0, 1, 1, 1, 0,
        0, 0, 0, 0, 0,
    ], 0.0);
    let outer = vec![[0, 0], [0, 5], [5, 5], [5, 0]];
    let ring = vec![[1, 1], [1, 4], [4, 4], [4, 1]];
    let hole = vec![[1, 1], [4, 1], [4, 4], [1, 4]];
    let island = vec![[2, 2], [2, 3], [3, 3], [3, 2]];
    let inner = vec![[2, 2], [3, 2], [3, 3], [2, 3]];
    assert_eq!(rings(&made), [vec![outer, hole], vec![ring, inner], vec![island]]);
}

#[test]
fn regions_of_one_class_that_touch_at_a_corner_stay_two() {
    let made = polygons(2, &[1, 0, 0, 1], 0.0);
    let square = |x: i32, y: i32| vec![vec![[x, y], [x, y + 1], [x + 1, y + 1], [x + 1, y]]];
    assert_eq!(rings(&made), [square(0, 0), square(1, 0), square(0, 1), square(1, 1)]);
    assert_eq!(made.regions().map(|region| region.class()).collect::<Vec<_>>(), [1, 0, 0, 1]);
}

#[test]
fn a_region_that_touches_itself_at_a_corner_has_a_hole_that_touches_there() {
    #[rustfmt::skip]
    let made = polygons(3, &[
        1, 1, 1,
        1, 0, 1,
        1, 1, 0,
    ], 0.0);
    let outer = vec![[0, 0], [0, 3], [2, 3], [2, 2], [3, 2], [3, 0]];
    let hole = vec![[1, 1], [2, 1], [2, 2], [1, 2]];
    let inner = vec![vec![[1, 1], [1, 2], [2, 2], [2, 1]]];
    let corner = vec![vec![[2, 2], [2, 3], [3, 3], [3, 2]]];
    assert_eq!(rings(&made), [vec![outer, hole], inner, corner]);
}

#[test]
fn neighbours_have_the_corners_where_borders_end_in_common() {
    // The lower region has a point in the middle of its straight upper side.
    let made = polygons(2, &[0, 1, 2, 2], 0.0);
    let below = vec![vec![[0, 1], [0, 2], [2, 2], [2, 1], [1, 1]]];
    assert_eq!(rings(&made)[2], below);
}

#[test]
fn no_data_belongs_to_no_region() {
    #[rustfmt::skip]
    let made = polygons(4, &[
        X, 1, 1, 1,
        X, 1, X, 1,
        X, 1, 1, 1,
        X, X, X, X,
    ], 0.0);
    let outer = vec![[1, 0], [1, 3], [4, 3], [4, 0]];
    let hole = vec![[2, 1], [3, 1], [3, 2], [2, 2]];
    assert_eq!(rings(&made), [vec![outer, hole]]);
    assert_eq!(polygons(3, &[X; 9], 0.0).regions().len(), 0);
}

#[test]
fn stairs_become_a_line_and_the_frame_stays() {
    let classes: Vec<u8> = (0..400).map(|at| u8::from(at % 20 > at / 20)).collect();
    let made = polygons(20, &classes, 1.0);
    let found = rings(&made);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], [[[0, 0], [0, 20], [20, 20], [20, 19], [1, 0]]]);
    assert_eq!(found[1], [[[1, 0], [20, 19], [20, 0]]]);
}

#[test]
fn an_island_keeps_its_side_when_the_border_beside_it_is_simplified() {
    // A bay four pixels deep would go, were there not an island in it.
    let bay = |x: usize, y: usize, with_island: bool| match (x, y) {
        (14, 6) if with_island => 2,
        (5..25, 4..8) | (_, 0..4) => 0,
        _ => 1,
    };
    let made = |with_island: bool| {
        let classes: Vec<u8> = (0..30 * 12).map(|at| bay(at % 30, at / 30, with_island)).collect();
        polygons(30, &classes, 6.0)
    };
    assert_eq!(rings(&made(false))[1][0], [[0, 4], [0, 12], [30, 12], [30, 4]]);
    let found = rings(&made(true));
    assert_eq!(found[2], [[[14, 6], [14, 7], [15, 7], [15, 6]]]);
    assert_eq!(found[0].len(), 2, "the upper region has the island as its hole");
    let deepest = found[0][0].iter().map(|point| point[1]).max();
    assert_eq!(deepest, Some(8), "the border goes around the island");
}

#[test]
fn thin_stripes_stay_apart_under_a_large_tolerance() {
    let classes: Vec<u8> = (0..900).map(|at| ((at % 30 + at / 30) % 5) as u8).collect();
    let made = polygons(30, &classes, 25.0);
    assert_eq!(made.regions().len(), polygons(30, &classes, 0.0).regions().len());
}

#[test]
fn labels_without_class_and_tolerances_that_are_none_are_errors() {
    let error = outline(&labels(2, &[0, 1, 7, 0]), &grays(3), 0.0).expect_err("a stray label");
    assert_eq!(error.to_string(), "label 7 at column 0, row 1 stands for no class, the palette holds 3");
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        let error = outline(&labels(1, &[0]), &grays(1), bad).expect_err("no distance");
        assert!(error.to_string().contains("is no distance"), "{error}");
    }
}

#[test]
fn polygons_with_a_fault_are_not_valid() {
    let good = polygons(4, &[0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 2, 2, 2, 2], 0.0);
    let refusal = |change: &dyn Fn(&mut Polygons)| {
        let mut bad = good.clone();
        change(&mut bad);
        bad.validate().expect_err("a fault").to_string()
    };
    assert!(refusal(&|bad| bad.areas[1] = 3).contains("region 1 of 6 half pixels has an area of 4"));
    assert!(refusal(&|bad| bad.rings.halves[0] ^= 1).contains("no side of region"));
    let inner = good.arcs.arcs.iter().position(|arc| arc.left.max(arc.right) == 1).expect("the island");
    let start = good.arcs.arcs[inner].start as usize;
    let moved = |at: usize, place: Point| {
        refusal(&|bad| {
            bad.tolerance = 1.0;
            bad.arcs.points[start + at] = place;
        })
    };
    assert!(moved(1, [9, 0]).contains("point (9, 0) lies outside"));
    assert!(moved(1, [4, 0]).contains("borders have point (4, 0) in common"));
    assert!(moved(2, [3, 4]).contains("cross or touch"));
    assert!(moved(0, [1, 2]).contains("is open"));
    assert!(refusal(&|bad| bad.arcs.points[start + 1..start + 3].reverse()).contains("comes to a point twice"));
}

#[test]
fn an_island_beside_its_hole_is_not_valid() {
    let mut classes = [0; 36];
    classes[18..].fill(1);
    classes[8] = 2;
    let mut made = polygons(6, &classes, 1.0);
    let island = made.arcs.arcs.iter().find(|arc| arc.left.max(arc.right) == 1).expect("the island");
    for point in &mut made.arcs.points[island.start as usize..island.end as usize] {
        point[1] += 3;
    }
    let error = made.validate().expect_err("the island lies in the lower region").to_string();
    assert!(error.contains("in row 4, region 2 ends where region 0 begins"), "{error}");
}

#[test]
fn a_noisy_map_becomes_clean_polygons() {
    let palette = Palette::from_toml(include_str!("../../palettes/town.toml")).expect("a good palette");
    let colors: Vec<[u8; 3]> = palette.classes().iter().map(|class| class.colors[0].0).collect();
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as i32 % 9 - 4
    };
    // Water to the left, wood to the right, a motorway of 7 pixels between.
    let values = (0..64 * 64).flat_map(|at| {
        let color = colors[if at % 64 < 30 {
            1
        } else if at % 64 < 37 {
            10
        } else {
            3
        }];
        color.map(|value| (i32::from(value) + noise()).clamp(0, 255) as u8)
    });
    let picture = Picture::from_u8(64, 64, 3, values.collect()).expect("a square picture");
    let made = digitize(&picture, None, &palette, &DigitizeOptions::default()).expect("digitised");
    made.validate().expect("valid polygons");
    let found: Vec<_> = made.regions().map(|region| (region.class(), region.num_pixels())).collect();
    assert_eq!(found, [(1, 30 * 64), (10, 7 * 64), (3, 27 * 64)]);
    assert_eq!(made.num_points(), 20);
}

#[test]
fn options_are_read_with_their_defaults_and_without_unknown_keys() {
    let options: DigitizeOptions = toml::from_str("min_area = 5").expect("one key");
    assert_eq!(options, DigitizeOptions { min_area: 5, ..DigitizeOptions::default() });
    let error = toml::from_str::<DigitizeOptions>("minarea = 5").expect_err("no such key");
    assert!(error.to_string().contains("unknown field `minarea`"), "{error}");
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let values: Vec<u8> = (0_u32..150 * 130 * 3).map(|at| (at.wrapping_mul(2_654_435_761) >> 27) as u8 * 8).collect();
    let picture = Picture::from_u8(150, 130, 3, values).expect("a picture");
    let options = DigitizeOptions { min_area: 9, ..DigitizeOptions::default() };
    let written = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let made = pool.install(|| digitize(&picture, None, &grays(10), &options)).expect("digitised");
        let mut bytes = Vec::new();
        write_geojson(&made, GeoJsonOptions::default(), |place| place, &mut bytes).expect("written");
        bytes
    };
    assert_eq!(written(1), written(5));
}

/// The signed area of a ring in JSON.
fn area(ring: &Value) -> f64 {
    let number = |value: &Value| value.as_f64().expect("a number");
    let points: Vec<_> = ring.as_array().expect("a ring").iter().map(|at| (number(&at[0]), number(&at[1]))).collect();
    points.windows(2).map(|two| two[0].0 * two[1].1 - two[1].0 * two[0].1).sum::<f64>() / 2.0
}

#[test]
fn gdal_finds_as_many_polygons_of_the_same_area() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (width, height) = (211_usize, 173_usize);
    let blob = |x: f64, y: f64| (x / 9.0).sin() + (y / 7.0).cos() + (x * y / 300.0).sin();
    let classes: Vec<u8> = (0..width * height)
        .map(|at| {
            let (x, y) = ((at % width) as f64, (at / width) as f64);
            let speck = (at as u32).wrapping_mul(2_654_435_761) >> 29 == 0;
            if (x - 90.0).hypot(y - 80.0) < 20.0 { X } else { ((blob(x, y) + 3.0) as u8 + u8::from(speck)) % 6 }
        })
        .collect();
    let raster = [format!("P5 {width} {height} 255\n").as_bytes(), &classes].concat();
    fs::write(folder.path().join("labels.pgm"), raster).expect("written");
    let run = Command::new("gdal_polygonize.py")
        .args(["-q", "labels.pgm", "-f", "GeoJSON", "found.json"])
        .current_dir(folder.path())
        .output();
    match run {
        Ok(run) if run.status.success() => {}
        other => {
            println!("gdal_polygonize.py is not to be had here, nothing was compared: {other:?}");
            return;
        }
    }
    let found = fs::read_to_string(folder.path().join("found.json")).expect("written by GDAL");
    let found: Value = serde_json::from_str(&found).expect("JSON");
    let mut theirs = HashMap::<u8, (usize, f64)>::new();
    for feature in found["features"].as_array().expect("features") {
        let class = feature["properties"]["DN"].as_u64().expect("a class") as u8;
        let rings = feature["geometry"]["coordinates"].as_array().expect("rings");
        let areas: Vec<f64> = rings.iter().map(|ring| area(ring).abs()).collect();
        let entry = theirs.entry(class).or_default();
        entry.0 += 1;
        entry.1 += areas[0] - areas[1..].iter().sum::<f64>();
    }
    theirs.remove(&X).expect("GDAL makes a polygon of what we leave out");
    let mut ours = HashMap::<u8, (usize, f64)>::new();
    for region in polygons(width, &classes, 0.0).regions() {
        let entry = ours.entry(region.class() as u8).or_default();
        entry.0 += 1;
        entry.1 += region.rings().map(|ring| sweep(&ring) as f64 / 2.0).sum::<f64>();
    }
    assert!(ours.values().map(|(count, _)| count).sum::<usize>() > 1000, "{ours:?}");
    assert_eq!(ours, theirs);
}

/// Rasters of some classes and no data: noise, or noise of coarser pixels.
fn rasters() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let pixel = prop_oneof![12 => 0_u8..4, 1 => Just(X)];
    (1_usize..20, 1_usize..4, prop::collection::vec(pixel, 1..300)).prop_map(|(width, coarse, pixels)| {
        let (width, height) = (width.min(pixels.len()), pixels.len().div_ceil(width).max(1));
        let height = height.min(pixels.len() / width);
        let at = |x: usize, y: usize| pixels[(y / coarse * coarse) * width + x / coarse * coarse];
        (width, (0..width * height).map(|place| at(place % width, place / width)).collect())
    })
}

/// The classes of pixels by whether their middles lie inside rings, even-odd.
fn rasterize(polygons: &Polygons) -> Vec<u8> {
    let (width, height) = (polygons.width(), polygons.height());
    let mut result = vec![X; width * height];
    for region in polygons.regions() {
        let rings: Vec<_> = region.rings().collect();
        for y in 0..height {
            let mut crossings: Vec<i32> = Vec::new();
            for two in rings.iter().flat_map(|ring| ring.windows(2)) {
                let (top, bottom) = (two[0][1].min(two[1][1]), two[0][1].max(two[1][1]));
                if top <= y as i32 && (y as i32) < bottom {
                    crossings.push(two[0][0]);
                }
            }
            crossings.sort_unstable();
            for pair in crossings.chunks(2) {
                for pixel in &mut result[y * width + pair[0] as usize..y * width + pair[1] as usize] {
                    assert_eq!(*pixel, X, "two polygons hold one pixel");
                    *pixel = region.class() as u8;
                }
            }
        }
    }
    result
}

/// Every side of every ring, with the regions that have it in each direction.
fn sides(polygons: &Polygons) -> HashMap<[Point; 2], Vec<usize>> {
    let mut sides = HashMap::<_, Vec<usize>>::new();
    for (at, region) in polygons.regions().enumerate() {
        for ring in region.rings() {
            ring.array_windows::<2>().for_each(|&side| sides.entry(side).or_default().push(at));
        }
    }
    sides
}

/// Whether two sides cross or touch other than at ends: by brute force, in another way than `validate`.
fn cross(one: [Point; 2], other: [Point; 2]) -> bool {
    let side = |[from, to]: [Point; 2], at: Point| {
        i64::from(to[0] - from[0]) * i64::from(at[1] - from[1])
            - i64::from(to[1] - from[1]) * i64::from(at[0] - from[0])
    };
    let within = |line: [Point; 2], at: Point| {
        let along = |end: Point| i64::from(at[0] - end[0]).pow(2) + i64::from(at[1] - end[1]).pow(2);
        let length = i64::from(line[0][0] - line[1][0]).pow(2) + i64::from(line[0][1] - line[1][1]).pow(2);
        side(line, at) == 0 && at != line[0] && at != line[1] && along(line[0]) <= length && along(line[1]) <= length
    };
    let touch = one.iter().any(|&at| within(other, at)) || other.iter().any(|&at| within(one, at));
    let parted = |line: [Point; 2], ends: [Point; 2]| side(line, ends[0]).signum() * side(line, ends[1]).signum() < 0;
    touch || parted(one, other) && parted(other, one)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn exact_outlines_give_the_raster_back((width, classes) in rasters()) {
        let made = polygons(width, &classes, 0.0);
        prop_assert_eq!(rasterize(&made), classes.clone());
        let mut areas = [0; 4];
        for region in made.regions() {
            let area: i64 = region.rings().map(|ring| sweep(&ring)).sum();
            prop_assert_eq!(area, 2 * i64::from(region.num_pixels()));
            areas[region.class()] += area / 2;
        }
        for (class, area) in (0..).zip(areas) {
            prop_assert_eq!(area as usize, classes.iter().filter(|&&found| found == class).count());
        }
    }

    #[test]
    fn every_side_belongs_to_two_regions_in_opposite_directions(
        (width, classes) in rasters(), tolerance in prop_oneof![Just(0.0), 0.3_f64..8.0],
    ) {
        let made = polygons(width, &classes, tolerance);
        let height = (classes.len() / width) as i32;
        let sides = sides(&made);
        let has_data = !classes.contains(&X);
        for (&[from, to], regions) in &sides {
            prop_assert_eq!(regions.len(), 1);
            let frame = [0, 1].iter().any(|&axis| {
                from[axis] == to[axis] && (from[axis] == 0 || from[axis] == [width as i32, height][axis])
            });
            match sides.get(&[to, from]) {
                Some(other) => prop_assert!(other[0] != regions[0] && !frame),
                None => prop_assert!(frame || !has_data),
            }
        }
    }

    #[test]
    fn simplified_polygons_neither_cross_nor_leave_gaps((width, classes) in rasters(), tolerance in 0.3_f64..8.0) {
        let exact = polygons(width, &classes, 0.0);
        let made = polygons(width, &classes, tolerance);
        let all: Vec<_> = sides(&made).into_keys().filter(|[from, to]| from < to).collect();
        for (at, &one) in all.iter().enumerate() {
            prop_assert!(all[..at].iter().all(|&other| !cross(one, other)), "{:?}", one);
        }
        prop_assert_eq!(made.regions().len(), exact.regions().len());
        let area = |polygons: &Polygons| -> i64 {
            polygons.regions().flat_map(|region| region.rings().map(|ring| sweep(&ring)).collect::<Vec<_>>()).sum()
        };
        if !classes.contains(&X) {
            prop_assert_eq!(area(&made), 2 * classes.len() as i64);
        }
        for (before, after) in exact.regions().zip(made.regions()) {
            prop_assert_eq!((before.class(), before.rings().len()), (after.class(), after.rings().len()));
            for (before, after) in before.rings().zip(after.rings()) {
                prop_assert!(after.len() >= 4 && after.iter().all(|point| before.contains(point)));
            }
        }
    }

    #[test]
    fn the_whole_way_gives_valid_polygons_of_any_picture(
        values in prop::collection::vec(any::<u8>(), 15 * 11),
        opacity in prop::collection::vec(0_u8..9, 15 * 11),
        (mode_radius, min_area, tolerance) in (0_usize..3, 0_u32..20, 0.0_f64..3.0),
    ) {
        let picture = Picture::from_u8(15, 11, 1, values).expect("a picture");
        let options = DigitizeOptions { mode_radius, min_area, tolerance };
        let made = digitize(&picture, Some(&opacity), &grays(10), &options).expect("digitised");
        made.validate().expect("valid polygons");
        let pixels: u32 = made.regions().map(|region| region.num_pixels()).sum();
        prop_assert_eq!(pixels as usize, opacity.iter().filter(|&&value| value > 0).count());
    }
}

#[test]
fn the_palette_of_towns_has_the_colours_that_towns_are_drawn_in() {
    let palette = Palette::from_toml(include_str!("../../palettes/town.toml")).expect("a palette");
    let found =
        palette.classes().iter().map(|class| (class.name.as_str(), class.colors.as_slice())).collect::<Vec<_>>();
    let towns = crate::pairs::synth::town::TOWN_PALETTE.iter().map(|(name, color)| (*name, [Color(*color)]));
    let towns = towns.collect::<Vec<_>>();
    assert_eq!(found, towns.iter().map(|(name, colors)| (*name, colors.as_slice())).collect::<Vec<_>>());
}
