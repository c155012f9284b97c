//! The class of every pixel: the one whose colour looks nearest.
//!
//! Distances are taken in CIELAB (CIE 15:2004, white point D65) as straight lines, the CIE 1976 colour difference,
//! after the transfer curve and primaries of sRGB (IEC 61966-2-1). Knows nothing of regions.

use std::sync::atomic::{AtomicU8, Ordering};

use rayon::prelude::*;

use super::{
    Palette, VectorError,
    labels::{Labels, NO_CLASS, num_pixels},
};
use crate::pixel::{Picture, Samples};

/// sRGB's linear red, green and blue to CIE XYZ, a row for each.
const TO_XYZ: [[f64; 3]; 3] = [
    [0.412_456_4, 0.357_576_1, 0.180_437_5],
    [0.212_672_9, 0.715_152_2, 0.072_175_0],
    [0.019_333_9, 0.119_192_0, 0.950_304_1],
];

/// The class of every pixel, [`NO_CLASS`] where the opacity is 0. Of colours equally near, the one first in the palette
/// is taken.
pub(super) fn classify(picture: &Picture, opacity: Option<&[u8]>, palette: &Palette) -> Result<Labels, VectorError> {
    let (width, height, channels) = (picture.width(), picture.height(), picture.channels());
    let expected = num_pixels(width, height)?;
    let values = match picture.samples() {
        Samples::U8(values) if matches!(channels, 1 | 3) => values,
        Samples::U8(_) => return Err(VectorError::Kind { channels, bits: 8 }),
        Samples::U16(_) => return Err(VectorError::Kind { channels, bits: 16 }),
    };
    if let Some(found) = opacity.map(<[u8]>::len).filter(|&found| found != expected) {
        return Err(VectorError::Length { what: "opacity", found, expected });
    }
    let nearest = Nearest::new(palette);
    let mut classes = vec![NO_CLASS; expected];
    classes.par_chunks_exact_mut(width).enumerate().for_each(|(y, row)| {
        let values = &values[y * width * channels..][..width * channels];
        let opacity = opacity.map(|opacity| &opacity[y * width..][..width]);
        let mut last = ([0; 3], nearest.class([0; 3]));
        for (x, class) in row.iter_mut().enumerate() {
            if opacity.is_some_and(|opacity| opacity[x] == 0) {
                continue;
            }
            let color = if channels == 3 { [0, 1, 2].map(|channel| values[x * 3 + channel]) } else { [values[x]; 3] };
            if color != last.0 {
                last = (color, nearest.class(color));
            }
            *class = last.1;
        }
    });
    Labels::new(width, height, classes)
}

/// Finds the nearest colour, once for each colour that is asked for.
struct Nearest {
    linear: Vec<f64>,
    colors: Vec<([f64; 3], u8)>,
    /// For every colour 1 more than its class, 0 where it has not been looked for. Whoever fills a place writes the
    /// same value.
    known: Vec<AtomicU8>,
}

impl Nearest {
    fn new(palette: &Palette) -> Self {
        let linear: Vec<f64> = (0..=u8::MAX).map(|value| to_linear(f64::from(value) / 255.0)).collect();
        let classes = palette.classes().iter().zip(0..);
        let colors = classes.flat_map(|(class, at)| class.colors.iter().map(move |color| (color.0, at)));
        let colors = colors.map(|(color, at)| (to_lab(&linear, color), at)).collect();
        Self { linear, colors, known: (0..1 << 24).map(|_| AtomicU8::new(0)).collect() }
    }

    fn class(&self, color: [u8; 3]) -> u8 {
        let [red, green, blue] = color.map(usize::from);
        let known = &self.known[red << 16 | green << 8 | blue];
        match known.load(Ordering::Relaxed) {
            0 => {
                let class = self.search(color);
                known.store(class + 1, Ordering::Relaxed);
                class
            }
            class => class - 1,
        }
    }

    fn search(&self, color: [u8; 3]) -> u8 {
        let [l, a, b] = to_lab(&self.linear, color);
        let mut best = (f64::INFINITY, 0);
        for &([l2, a2, b2], class) in &self.colors {
            let distance = (l - l2).powi(2) + (a - a2).powi(2) + (b - b2).powi(2);
            if distance < best.0 {
                best = (distance, class);
            }
        }
        best.1
    }
}

fn to_linear(value: f64) -> f64 {
    if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

/// Lightness, green to red and blue to yellow of a colour of sRGB.
fn to_lab(linear: &[f64], color: [u8; 3]) -> [f64; 3] {
    let light = color.map(|value| linear[usize::from(value)]);
    let [x, y, z] = TO_XYZ.map(|row| {
        // The white point is what full red, green and blue add up to, so that grays have no hue.
        let value = (row[0] * light[0] + row[1] * light[1] + row[2] * light[2]) / row.iter().sum::<f64>();
        let (small, slope) = (216.0 / 24_389.0, 24_389.0 / 27.0);
        if value > small { value.cbrt() } else { (slope * value + 16.0) / 116.0 }
    });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::palette::*, *};

    fn palette(colors: &[[u8; 3]]) -> Palette {
        let class = |(at, &color): (usize, &[u8; 3])| Class {
            name: format!("class {at}"),
            colors: vec![Color(color)],
            keep: true,
            min_area: None,
        };
        Palette::new(colors.iter().enumerate().map(class).collect()).expect("a good palette")
    }

    #[test]
    fn known_colours_have_their_published_places_in_lab() {
        let linear: Vec<f64> = (0..=u8::MAX).map(|value| to_linear(f64::from(value) / 255.0)).collect();
        let known = [
            ([255, 255, 255], [100.0, 0.0, 0.0]),
            ([0, 0, 0], [0.0, 0.0, 0.0]),
            ([255, 0, 0], [53.24, 80.09, 67.20]),
            ([0, 255, 0], [87.73, -86.18, 83.18]),
            ([0, 0, 255], [32.30, 79.19, -107.86]),
            ([128, 128, 128], [53.59, 0.0, 0.0]),
        ];
        for (color, lab) in known {
            let found = to_lab(&linear, color);
            let far = found.iter().zip(lab).map(|(found, known)| (found - known).abs()).fold(0.0, f64::max);
            assert!(far < 0.01, "{color:?} lies at {found:?}, known is {lab:?}");
        }
    }

    #[test]
    fn a_class_has_several_colours_and_no_data_has_no_class() {
        let class = |name: &str, colors: &[[u8; 3]]| Class {
            name: name.into(),
            colors: colors.iter().copied().map(Color).collect(),
            keep: true,
            min_area: None,
        };
        let palette =
            Palette::new(vec![class("road", &[[255, 255, 255], [250, 200, 80]]), class("water", &[[160, 200, 230]])]);
        let values = vec![250, 250, 250, 240, 205, 90, 150, 190, 230, 150, 190, 230];
        let picture = Picture::from_u8(4, 1, 3, values).expect("four pixels");
        let labels = classify(&picture, Some(&[255, 1, 255, 0]), &palette.expect("a good palette"));
        assert_eq!(labels.expect("classified").classes(), [0, 0, 1, NO_CLASS]);
    }

    #[test]
    fn gray_pictures_have_gray_colours() {
        let picture = Picture::from_u8(4, 1, 1, vec![0, 70, 180, 255]).expect("four pixels");
        let labels = classify(&picture, None, &palette(&[[10; 3], [240; 3]])).expect("classified");
        assert_eq!(labels.classes(), [0, 0, 1, 1]);
    }

    #[test]
    fn pictures_of_another_kind_and_opacity_of_another_size_are_errors() {
        let palette = palette(&[[0; 3]]);
        let deep = Picture::new(2, 1, 1, Samples::U16(vec![0; 2])).expect("two pixels");
        assert!(matches!(classify(&deep, None, &palette), Err(VectorError::Kind { channels: 1, bits: 16 })));
        let two = Picture::from_u8(2, 1, 2, vec![0; 4]).expect("two pixels");
        assert!(matches!(classify(&two, None, &palette), Err(VectorError::Kind { channels: 2, bits: 8 })));
        let picture = Picture::from_u8(2, 1, 1, vec![0; 2]).expect("two pixels");
        let error = classify(&picture, Some(&[1]), &palette).expect_err("one is missing");
        assert_eq!(error.to_string(), "1 values of opacity were found, 2 pixels are expected");
    }

    proptest! {
        #[test]
        fn every_pixel_gets_what_a_plain_double_loop_finds(
            colors in prop::collection::hash_set(prop::array::uniform3(any::<u8>()), 1..20),
            values in prop::collection::vec(any::<u8>(), 3 * 60),
        ) {
            let colors: Vec<_> = colors.into_iter().collect();
            let picture = Picture::from_u8(10, 6, 3, values.clone()).expect("sixty pixels");
            let labels = classify(&picture, None, &palette(&colors)).expect("classified");
            let linear: Vec<f64> = (0..=u8::MAX).map(|value| to_linear(f64::from(value) / 255.0)).collect();
            for (pixel, &class) in values.chunks_exact(3).zip(labels.classes()) {
                let here = to_lab(&linear, [pixel[0], pixel[1], pixel[2]]);
                let distance = |color: &[u8; 3]| -> f64 {
                    to_lab(&linear, *color).iter().zip(here).map(|(one, other)| (one - other).powi(2)).sum()
                };
                let mut best = 0;
                for at in 1..colors.len() {
                    if distance(&colors[at]) < distance(&colors[best]) {
                        best = at;
                    }
                }
                prop_assert_eq!(usize::from(class), best);
            }
        }
    }
}
