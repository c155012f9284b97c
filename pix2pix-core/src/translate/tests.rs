//! Windows against the picture as a whole.

use std::{ops::ControlFlow, path::PathBuf};

use burn::tensor::Device;
use rand::RngExt as _;

use super::*;
use crate::{
    checkpoint::{FORMAT, Preprocessing},
    networks::{NormKind, UnetConfig, Upsampling},
    seed,
};

fn translator(config: UnetConfig, source: SourceKind) -> Translator {
    let device = Device::flex();
    let generator = config.init(5, &device).expect("a valid network");
    let preprocessing = Preprocessing {
        direction: "AtoB".into(),
        source,
        target_channels: 3,
        width: 64,
        height: 64,
        alpha_background: [255; 3],
    };
    let description = Description {
        format: FORMAT,
        version: "0.0.0".into(),
        generator: config,
        discriminator: None,
        preprocessing,
        progress: None,
        step: 0,
        seed: 0,
        training: serde_json::Value::Null,
    };
    Translator { generator, description, device, path: PathBuf::new(), uses: None }
}

/// A small network that says it came from this file.
pub(crate) fn translator_at(path: PathBuf) -> Translator {
    let config = UnetConfig { depth: 5, width: 4, ..Default::default() };
    Translator { path, ..translator(config, SourceKind::Picture { channels: 3 }) }
}

fn picture_model(norm: NormKind, upsampling: Upsampling) -> Translator {
    let config = UnetConfig { depth: 6, width: 4, norm, upsampling, ..Default::default() };
    translator(config, SourceKind::Picture { channels: 3 })
}

/// Soft shapes of two brightnesses, and noise: statistics differ from place to place.
fn scene(width: usize, height: usize) -> Source {
    let mut rng = seed::rng(1, "scene", 0);
    let value = |x: usize, y: usize, channel: usize, noise: f64| {
        let wave = (x as f64 / 17.0).sin() * (y as f64 / (11.0 + channel as f64)).cos();
        let side = if x > width / 2 { 60.0 } else { 0.0 };
        (90.0 + side + 60.0 * wave + 30.0 * noise) as u8
    };
    let mut samples = Vec::new();
    for at in 0..width * height {
        for channel in 0..3 {
            samples.push(value(at % width, at / width, channel, rng.random_range(0.0..1.0)));
        }
    }
    Source::Picture(Picture::from_u8(width, height, 3, samples).expect("three channels"))
}

/// What a sink was given, in values.
struct Values {
    planes: Planes,
    seen: Vec<bool>,
}

impl Sink for Values {
    fn take(&mut self, part: Rect, values: &Planes) -> Result<(), PixelError> {
        assert_eq!((values.width, values.height), (part.width, part.height));
        let (width, area) = (self.planes.width, self.planes.width * self.planes.height);
        for (channel, plane) in values.values.chunks_exact(part.width * part.height).enumerate() {
            for (row, line) in plane.chunks_exact(part.width).enumerate() {
                let start = (part.y + row) * width + part.x;
                self.planes.values[channel * area + start..][..part.width].copy_from_slice(line);
                if channel == 0 {
                    assert!(self.seen[start..start + part.width].iter().all(|seen| !seen), "{part:?} comes twice");
                    self.seen[start..start + part.width].fill(true);
                }
            }
        }
        Ok(())
    }
}

fn going_on(_: usize, _: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A picture put together from parts of 128 pixels that are translated from the last to the first.
fn in_parts(translator: &Translator, source: &Source, options: &PartOptions) -> Planes {
    let (width, height) = source.size();
    let parts = Parts { translator, canvas: source, options };
    let whole = Rect { x: 0, y: 0, width, height };
    let statistics = parts.statistics(&[whole], &mut going_on).expect("statistics");
    let text = serde_json::to_string(&statistics).expect("text");
    let statistics = serde_json::from_str::<Statistics>(&text).expect("statistics");
    let planes = Planes { channels: 3, height, width, values: vec![f32::NAN; 3 * width * height] };
    let mut values = Values { planes, seen: vec![false; width * height] };
    for y in (0..height).step_by(128).rev() {
        for x in (0..width).step_by(128).rev() {
            let part = Rect { x, y, width: 128.min(width - x), height: 128.min(height - y) };
            parts.translate(part, &statistics, &mut values, &mut going_on).expect("translated");
        }
    }
    assert!(values.seen.iter().all(|seen| *seen));
    values.planes
}

#[test]
fn exact_parts_give_the_picture_as_a_whole_and_usual_ones_come_near() {
    for (norm, upsampling) in [
        (NormKind::Batch, Upsampling::Transposed),
        (NormKind::Instance, Upsampling::Transposed),
        (NormKind::None, Upsampling::ResizeConv),
    ] {
        let translator = picture_model(norm, upsampling);
        let source = scene(300, 210);
        let whole = translator.translate(&source.planes(), &TranslateOptions::default());
        let of = |exact| {
            let options = PartOptions { window: 96, exact, translate: TranslateOptions::default() };
            difference(&in_parts(&translator, &source, &options), &whole)
        };
        assert!(of(true).1 < 0.1, "{norm:?}, {upsampling:?}: {:?}", of(true));
        assert!(of(false).0 < 1.0, "{norm:?}, {upsampling:?}: {:?}", of(false));
    }
}

#[test]
fn statistics_of_another_network_are_refused_and_work_stops_when_told() {
    let translator = picture_model(NormKind::Batch, Upsampling::Transposed);
    let source = scene(128, 128);
    let options = PartOptions { window: 96, ..Default::default() };
    let parts = Parts { translator: &translator, canvas: &source, options: &options };
    let whole = Rect { x: 0, y: 0, width: 128, height: 128 };
    let translate = |statistics: &Statistics| {
        let mut to = Picture::filled(128, 128, &[0; 3]);
        parts.translate(whole, statistics, &mut to, &mut going_on).expect_err("refused").to_string()
    };
    assert!(translate(&Statistics::default()).contains("down.1 is missing"));
    let other = UnetConfig { depth: 6, width: 8, ..Default::default() };
    let other = self::translator(other, SourceKind::Picture { channels: 3 });
    let parts_of_other = Parts { translator: &other, ..parts };
    let statistics = parts_of_other.statistics(&[whole], &mut going_on).expect("statistics");
    let error = translate(&statistics);
    assert!(error.contains("has 8 channels, found 16 and 16"), "{error}");
    let stop = |done: usize, _: usize| if done == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let stopped = parts.statistics(&[whole], &mut { stop });
    assert!(matches!(stopped, Err(TranslateError::Stopped)));
}

fn in_windows(translator: &Translator, source: &Source, options: &TranslateOptions, large: LargeOptions) -> Planes {
    let (width, height) = source.size();
    let planes = Planes { channels: 3, height, width, values: vec![f32::NAN; 3 * width * height] };
    let mut values = Values { planes, seen: vec![false; width * height] };
    let mut told = (0, 0);
    let mut progress = |done, total| {
        assert!(done >= told.0 && (told.1 == 0 || total == told.1));
        told = (done, total);
        ControlFlow::Continue(())
    };
    translator.translate_large(source, options, large, &mut values, &mut progress).expect("translated");
    assert!(told.0 == told.1 && values.seen.iter().all(|seen| *seen));
    values.planes
}

/// Mean and largest difference, where 255 is the whole range.
fn difference(a: &Planes, b: &Planes) -> (f64, f64) {
    let all = a.values.iter().zip(&b.values).map(|(a, b)| f64::from((a - b).abs()) * 127.5);
    let (sum, most) = all.fold((0.0, 0.0), |(sum, most): (f64, f64), x| (sum + x, most.max(x)));
    (sum / a.values.len() as f64, most)
}

#[test]
fn exact_windows_give_the_picture_as_a_whole() {
    let options = TranslateOptions::default();
    for (norm, upsampling) in [
        (NormKind::Batch, Upsampling::Transposed),
        (NormKind::Instance, Upsampling::Transposed),
        (NormKind::None, Upsampling::Transposed),
        (NormKind::Batch, Upsampling::ResizeConv),
    ] {
        let translator = picture_model(norm, upsampling);
        for (width, height, max_window) in [(300, 210, 64), (500, 64, 96), (129, 400, 128)] {
            let source = scene(width, height);
            let whole = translator.translate(&source.planes(), &options);
            let large = LargeOptions { max_window, seams: Seams::Exact };
            let (_, most) = difference(&in_windows(&translator, &source, &options, large), &whole);
            assert!(most < 0.1, "{norm:?}, {upsampling:?}, {width}x{height} in {max_window}: {most}");
        }
    }
}

#[test]
fn good_windows_come_near_and_agree_with_each_other_where_fast_ones_do_not_need_to() {
    let translator = picture_model(NormKind::Batch, Upsampling::Transposed);
    let (options, source) = (TranslateOptions::default(), scene(900, 700));
    let whole = translator.translate(&source.planes(), &options);
    let run = |seams| {
        difference(&in_windows(&translator, &source, &options, LargeOptions { max_window: 256, seams }), &whole).0
    };
    let (fast, good, exact) = (run(Seams::Fast), run(Seams::Good), run(Seams::Exact));
    assert!(exact < 0.01 && exact < good && good < fast, "{exact} {good} {fast}");
}

#[test]
fn with_running_statistics_good_is_exact() {
    let translator = picture_model(NormKind::Batch, Upsampling::Transposed);
    let options = TranslateOptions { test_mode: TestMode::Running, ..Default::default() };
    let source = scene(300, 210);
    let whole = translator.translate(&source.planes(), &options);
    let large = LargeOptions { max_window: 96, seams: Seams::Good };
    let (_, most) = difference(&in_windows(&translator, &source, &options, large), &whole);
    assert!(most < 0.1, "{most}");
}

#[test]
fn labels_with_edges_go_in_windows_too() {
    let config = UnetConfig { depth: 5, width: 4, in_channels: 4, ..Default::default() };
    let translator = translator(config, SourceKind::Labels { count: 3, instance_edges: true });
    let map = |divide: usize, count: usize| {
        let ids = (0..150 * 90).map(|at| ((at % 150 / divide + at / 150 / divide) % count) as u32);
        LabelMap::new(150, 90, ids.collect()).expect("ids of all pixels")
    };
    let source = Source::Labels { labels: map(13, 3), count: 3, instances: Some(map(7, 9)) };
    let options = TranslateOptions::default();
    let whole = translator.translate(&source.planes(), &options);
    let large = LargeOptions { max_window: 64, seams: Seams::Exact };
    let (_, most) = difference(&in_windows(&translator, &source, &options, large), &whole);
    assert!(most < 0.1, "{most}");
}

#[test]
fn a_picture_that_fits_is_translated_as_a_whole_and_what_cannot_be_is_an_error() {
    let translator = picture_model(NormKind::Batch, Upsampling::Transposed);
    let (options, source) = (TranslateOptions::default(), scene(100, 80));
    let large = |max_window| LargeOptions { max_window, seams: Seams::Good };
    let whole = translator.translate(&source.planes(), &options);
    assert_eq!(in_windows(&translator, &source, &options, large(100)), whole);
    assert_eq!(translator.borders((100, 80), large(100)), [Vec::<usize>::new(), Vec::new()]);
    let refuse = |options: &TranslateOptions, max_window| {
        let mut to = Picture::filled(100, 80, &[0; 3]);
        let done = translator.translate_large(&source, options, large(max_window), &mut to, &mut going_on);
        done.expect_err("cannot be").to_string()
    };
    let paper = TranslateOptions { test_mode: TestMode::Paper, ..options.clone() };
    assert!(refuse(&paper, 64).contains("100x80 pixels go in windows of 64"));
    assert_eq!(refuse(&options, 40), "the network needs windows of at least 48 pixels for this picture, found 40");
}

#[test]
fn padding_mirrors_without_repeating_the_edge_and_cropping_undoes_it() {
    let planes = Planes { channels: 1, height: 2, width: 3, values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] };
    let padded = pad_by_reflection(&planes, 4);
    assert_eq!((padded.height, padded.width), (4, 4));
    assert_eq!(padded.values, [1.0, 2.0, 3.0, 2.0, 4.0, 5.0, 6.0, 5.0, 1.0, 2.0, 3.0, 2.0, 4.0, 5.0, 6.0, 5.0]);
    assert_eq!(crop(&padded, 3, 2), planes);
}

#[test]
fn reflection_stays_inside_for_pictures_much_smaller_than_the_padding() {
    for side in 1..5 {
        assert!((0..100).all(|at| reflect(at, side) < side));
    }
    assert_eq!((0..7).map(|at| reflect(at, 3)).collect::<Vec<_>>(), [0, 1, 2, 1, 0, 1, 2]);
}
