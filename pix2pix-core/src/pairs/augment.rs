//! One draw per pair, applied to both halves: resize, crop, flips, turns; colour jitter of the source only.
//!
//! Follows the reference: resize to 286/256 of the crop with Pillow's bicubic, a random crop, a horizontal flip.

use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use super::{DecodedPair, Pair, PairsError, SourcePixels};
use crate::{
    pixel::{
        Picture, Rect, Samples,
        resize::{bicubic_region, nearest_labels_region},
    },
    seed,
};

/// Size of training pictures and what is done to them. `Default` is the paper at 256 px.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentConfig {
    /// Width of the crop, in pixels.
    pub width: usize,
    /// Height of the crop, in pixels.
    pub height: usize,
    /// Size after resizing over the size of the crop.
    pub load_scale: f64,
    /// Whether pictures are resized at all; if not, crops are cut from full size.
    pub resize: bool,
    /// Left and right exchanged half of the time.
    pub flip_horizontal: bool,
    /// Top and bottom exchanged half of the time; for pictures from above.
    pub flip_vertical: bool,
    /// Turned by a random number of quarter turns; for pictures from above. Oblong crops turn by half turns only.
    pub quarter_turns: bool,
    /// Brightness, contrast and saturation of the source are scaled by up to this much, 0 to below 1; 0 for not at all.
    pub source_jitter: f64,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            width: 256,
            height: 256,
            load_scale: 286.0 / 256.0,
            resize: true,
            flip_horizontal: true,
            flip_vertical: false,
            quarter_turns: false,
            source_jitter: 0.0,
        }
    }
}

/// What was drawn for one pair.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Draw {
    /// Offset of the crop as a fraction of the room it has.
    offset: [f64; 2],
    flip_horizontal: bool,
    flip_vertical: bool,
    turns: u8,
    /// Factors of brightness, contrast and saturation.
    jitter: Option<[f32; 3]>,
}

impl Draw {
    fn new(config: &AugmentConfig, draw_seed: u64) -> Self {
        let mut rng = seed::rng(draw_seed, "augment", 0);
        let offset = [rng.random(), rng.random()];
        let flip_horizontal = rng.random::<bool>() && config.flip_horizontal;
        let flip_vertical = rng.random::<bool>() && config.flip_vertical;
        let turns = rng.random_range(0..4_u8);
        let turns = match (config.quarter_turns, config.width == config.height) {
            (false, _) => 0,
            (true, true) => turns,
            (true, false) => turns / 2 * 2,
        };
        let strength = config.source_jitter;
        let factors = std::array::from_fn(|_| (1.0 + strength * (2.0 * rng.random::<f64>() - 1.0)) as f32);
        Self { offset, flip_horizontal, flip_vertical, turns, jitter: (strength > 0.0).then_some(factors) }
    }
}

/// A training pair: resized, cropped, turned as `draw_seed` decides.
///
/// # Errors
/// Without resizing: pictures smaller than the crop, or halves of different sizes.
pub fn augment(pair: &DecodedPair, config: &AugmentConfig, draw_seed: u64) -> Result<Pair, PairsError> {
    let draw = Draw::new(config, draw_seed);
    let (width, height) = (config.width, config.height);
    let size = pair.source.size();
    let whole = if config.resize {
        let load = |side: usize| ((side as f64 * config.load_scale).round() as usize).max(side);
        (load(width), load(height))
    } else {
        let target = (pair.target.width(), pair.target.height());
        if size != target {
            return Err(PairsError::Sizes {
                name: pair.name.clone(),
                what: "the source",
                size,
                other: "the target",
                other_size: target,
            });
        }
        if size.0 < width || size.1 < height {
            return Err(PairsError::SmallerThanCrop { name: pair.name.clone(), size, crop: (width, height) });
        }
        size
    };
    // Uniform over all offsets, the last one included.
    let offset = |room: usize, fraction: f64| (((room + 1) as f64 * fraction) as usize).min(room);
    let part =
        Rect { x: offset(whole.0 - width, draw.offset[0]), y: offset(whole.1 - height, draw.offset[1]), width, height };
    Ok(render(pair, whole, part, &draw))
}

/// A pair as validation and tests see it: resized to the crop's size, nothing cut off or turned.
///
/// # Errors
/// Without resizing: as [`augment`]; the crop is the middle then.
pub fn fit(pair: &DecodedPair, config: &AugmentConfig) -> Result<Pair, PairsError> {
    let draw = Draw { offset: [0.5; 2], flip_horizontal: false, flip_vertical: false, turns: 0, jitter: None };
    if !config.resize {
        let still = AugmentConfig {
            flip_horizontal: false,
            flip_vertical: false,
            quarter_turns: false,
            source_jitter: 0.0,
            ..config.clone()
        };
        // The sizes are checked there; the middle is drawn here.
        augment(pair, &still, 0)?;
        let (whole, width, height) = (pair.source.size(), config.width, config.height);
        let part = Rect { x: (whole.0 - width) / 2, y: (whole.1 - height) / 2, width, height };
        return Ok(render(pair, whole, part, &draw));
    }
    let part = Rect { x: 0, y: 0, width: config.width, height: config.height };
    Ok(render(pair, (config.width, config.height), part, &draw))
}

fn render(pair: &DecodedPair, whole: (usize, usize), part: Rect, draw: &Draw) -> Pair {
    let turn = |mut picture: Picture| {
        if draw.flip_horizontal {
            picture = picture.flip_horizontal();
        }
        if draw.flip_vertical {
            picture = picture.flip_vertical();
        }
        if draw.turns > 0 { picture.rotate_quarter(draw.turns) } else { picture }
    };
    let source = match &pair.source {
        SourcePixels::Picture(picture) => {
            let picture = turn(bicubic_region(picture, whole, part));
            match draw.jitter {
                Some(factors) => jitter(&picture, factors).to_planes(),
                None => picture.to_planes(),
            }
        }
        SourcePixels::Labels { labels, instances, count } => {
            let turned = |map| {
                let mut map = nearest_labels_region(map, whole, part);
                if draw.flip_horizontal {
                    map = map.flip_horizontal();
                }
                if draw.flip_vertical {
                    map = map.flip_vertical();
                }
                map.rotate_quarter(draw.turns)
            };
            turned(labels).one_hot(*count, instances.as_ref().map(turned).as_ref())
        }
    };
    let target = turn(bicubic_region(&pair.target, whole, part)).to_planes();
    Pair { name: pair.name.clone(), source, target }
}

/// Scales brightness, then contrast about the mean luminance, then saturation about each pixel's luminance.
fn jitter(picture: &Picture, [brightness, contrast, saturation]: [f32; 3]) -> Picture {
    let channels = picture.channels();
    let scale = |values: &mut dyn Iterator<Item = f32>, max: f32| -> Vec<f32> {
        let bright = values.map(|value| (value * brightness).min(max)).collect::<Vec<_>>();
        let luminance = |pixel: &[f32]| match pixel {
            [red, green, blue] => 0.299 * red + 0.587 * green + 0.114 * blue,
            gray => gray[0],
        };
        let pixels = (bright.len() / channels) as f32;
        let mean = bright.chunks_exact(channels).map(luminance).sum::<f32>() / pixels;
        let contrasted = bright.iter().map(|value| mean + (value - mean) * contrast).collect::<Vec<_>>();
        contrasted
            .chunks_exact(channels)
            .flat_map(|pixel| {
                let gray = luminance(pixel);
                pixel.iter().map(move |value| (gray + (value - gray) * saturation).clamp(0.0, max).round())
            })
            .collect()
    };
    let samples = match picture.samples() {
        Samples::U8(values) => {
            let scaled = scale(&mut values.iter().map(|&value| f32::from(value)), 255.0);
            Samples::U8(scaled.into_iter().map(|value| value as u8).collect())
        }
        Samples::U16(values) => {
            let scaled = scale(&mut values.iter().map(|&value| f32::from(value)), 65_535.0);
            Samples::U16(scaled.into_iter().map(|value| value as u16).collect())
        }
    };
    Picture::new(picture.width(), picture.height(), channels, samples).expect("as many values as before")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::LabelMap;

    /// Both halves hold the same gradient, so that whatever happens to one must happen to the other.
    fn pair(width: usize, height: usize) -> DecodedPair {
        let values = (0..width * height).flat_map(|i| [(i % width * 3) as u8, (i / width * 5) as u8, 77]).collect();
        let picture = Picture::from_u8(width, height, 3, values).expect("a picture");
        DecodedPair { name: "x".into(), source: SourcePixels::Picture(picture.clone()), target: picture }
    }

    fn small() -> AugmentConfig {
        AugmentConfig { width: 32, height: 32, ..Default::default() }
    }

    #[test]
    fn crop_flips_and_turns_move_source_and_target_together() {
        let config = AugmentConfig { flip_vertical: true, quarter_turns: true, ..small() };
        let drawn = (0..40).map(|draw_seed| augment(&pair(64, 48), &config, draw_seed).expect("a pair"));
        let drawn = drawn.collect::<Vec<_>>();
        assert!(drawn.iter().all(|pair| pair.source == pair.target));
        assert!(drawn.iter().all(|pair| (pair.source.width, pair.source.height) == (32, 32)));
        let first = &drawn[0];
        assert!(drawn.iter().filter(|pair| pair.source != first.source).count() > 30);
    }

    #[test]
    fn a_flip_happens_about_half_of_the_time_and_never_when_switched_off() {
        let leftmost_is_dark = |config: &AugmentConfig, draw_seed| {
            let planes = augment(&pair(64, 64), config, draw_seed).expect("a pair").source;
            planes.values[0] < planes.values[31]
        };
        let kept = (0..200).filter(|&draw_seed| leftmost_is_dark(&small(), draw_seed)).count();
        assert!((70..130).contains(&kept), "{kept} of 200");
        let never = AugmentConfig { flip_horizontal: false, ..small() };
        assert!((0..50).all(|draw_seed| leftmost_is_dark(&never, draw_seed)));
    }

    #[test]
    fn the_same_seed_draws_the_same_and_offsets_reach_both_ends() {
        let config = AugmentConfig { flip_horizontal: false, resize: false, ..small() };
        let corner = |draw_seed| augment(&pair(40, 33), &config, draw_seed).expect("a pair").source.values[0];
        assert_eq!(corner(5), corner(5));
        let mut corners = (0..300).map(corner).map(|value| ((value + 1.0) * 127.5).round() as i32).collect::<Vec<_>>();
        corners.sort_unstable();
        corners.dedup();
        assert_eq!(corners, (0..=8).map(|x| x * 3).collect::<Vec<_>>());
    }

    #[test]
    fn jitter_changes_the_source_only() {
        let config = AugmentConfig { source_jitter: 0.3, flip_horizontal: false, ..small() };
        let plain = AugmentConfig { source_jitter: 0.0, ..config.clone() };
        let (jittered, plain) =
            (augment(&pair(64, 64), &config, 3).expect("a pair"), augment(&pair(64, 64), &plain, 3).expect("a pair"));
        assert_eq!(jittered.target, plain.target);
        assert_ne!(jittered.source, plain.source);
    }

    #[test]
    fn labels_stay_ids_and_edges_are_drawn_after_resizing() {
        let ids = (0..64 * 64).map(|i| u32::from(i % 64 >= 32)).collect::<Vec<_>>();
        let labels = LabelMap::new(64, 64, ids).expect("a map");
        let target = Picture::filled(64, 64, &[1, 2, 3]);
        let source = SourcePixels::Labels { instances: Some(labels.clone()), labels, count: 2 };
        let pair = DecodedPair { name: "x".into(), source, target };
        let fitted = fit(&pair, &small()).expect("a pair");
        assert_eq!(fitted.source.channels, 3);
        assert!(fitted.source.values.iter().all(|&value| value == 0.0 || value == 1.0));
        // One border at full height and two pixels wide, however large the map was.
        let edges = fitted.source.values[2 * 32 * 32..].iter().sum::<f32>();
        assert_eq!(edges, 64.0);
    }

    #[test]
    fn without_resizing_small_and_unequal_pictures_are_errors() {
        let config = AugmentConfig { resize: false, ..small() };
        assert!(matches!(augment(&pair(31, 64), &config, 0), Err(PairsError::SmallerThanCrop { .. })));
        assert!(matches!(fit(&pair(31, 64), &config), Err(PairsError::SmallerThanCrop { .. })));
        let unequal = DecodedPair { target: Picture::filled(65, 64, &[0; 3]), ..pair(64, 64) };
        assert!(matches!(augment(&unequal, &config, 0), Err(PairsError::Sizes { .. })));
        assert!(augment(&unequal, &small(), 0).is_ok());
    }
}
