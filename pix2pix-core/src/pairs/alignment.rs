//! Whether source and target lie on each other, from their edges alone: what is in the pictures is not known here.
//!
//! Edges are divided by the mean edge around them, so that one highway does not outweigh a town of small streets. The
//! correlation of both pictures' edges is taken at every small shift; a pair lies wrong when its best shift stands out.

use image::{ImageBuffer, Luma, imageops::blur};

use crate::pixel::{Picture, resize::bicubic};

/// Side of the pictures that alignment is looked for on.
const SIDE: usize = 128;
/// Largest shift that is looked for, in pixels of those.
const MOST_SHIFT: usize = 16;
const NUM_SHIFTS: usize = 2 * MOST_SHIFT + 1;
/// Radius of the mean that edges are divided by, as a standard deviation.
const AROUND: f32 = 2.0;
/// Mean edge that counts as nothing but noise.
const FLAT: f32 = 0.01;
/// Shifts up to this are within what annotators and map makers are off anyway.
const NEAR: usize = 2;
/// By how many standard deviations the best shift must beat no shift. At 3, two in a hundred real satellite and map
/// pairs are flagged wrongly, and about six in ten of those that were shifted by 7 % are found.
const STANDS_OUT: f64 = 3.0;

/// Correlation of edges at every small shift.
#[derive(Clone, Debug)]
pub(super) struct Correlations(Vec<f64>);

impl Correlations {
    /// Those of a pair.
    pub fn of(source: &Picture, target: &Picture) -> Self {
        let (source, target) = (edges(source), edges(target));
        let shifts = (0..NUM_SHIFTS).flat_map(|y| (0..NUM_SHIFTS).map(move |x| (x, y)));
        Self(shifts.map(|(x, y)| correlation(&source, &target, x, y)).collect())
    }

    /// Adds those of another pair.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, value)| *sum += value);
    }

    /// The shift of the target, right and down as percentages of width and height, when one stands out.
    pub fn shift(&self) -> Option<(i32, i32)> {
        let (at, best) = self.0.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
        let from_middle = |at: usize| at as i32 - MOST_SHIFT as i32;
        let (x, y) = (from_middle(at % NUM_SHIFTS), from_middle(at / NUM_SHIFTS));
        let near = (MOST_SHIFT - NEAR / 2)..=(MOST_SHIFT + NEAR / 2);
        let unshifted = near.clone().flat_map(|y| near.clone().map(move |x| self.0[y * NUM_SHIFTS + x]));
        let unshifted = unshifted.fold(f64::NEG_INFINITY, f64::max);
        let count = self.0.len() as f64;
        let mean = self.0.iter().sum::<f64>() / count;
        let spread = (self.0.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        let far = x.unsigned_abs().max(y.unsigned_abs()) as usize > NEAR;
        let percent = |pixels: i32| (f64::from(pixels) * 100.0 / SIDE as f64).round() as i32;
        (far && best - unshifted > STANDS_OUT * spread).then(|| (percent(x), percent(y)))
    }
}

/// Gradient magnitudes of a small version, the strongest channel's, relative to those around.
fn edges(picture: &Picture) -> Vec<f32> {
    let small = bicubic(&picture.to_u8(), SIDE, SIDE);
    let value = |x: usize, y: usize, channel: usize| {
        f32::from(small.pixel(x.min(SIDE - 1), y.min(SIDE - 1))[channel]) / f32::from(u8::MAX)
    };
    let at = |x: usize, y: usize| {
        let of = |c: usize| {
            let across = value(x + 1, y, c) - value(x.saturating_sub(1), y, c);
            let down = value(x, y + 1, c) - value(x, y.saturating_sub(1), c);
            across.hypot(down)
        };
        (0..small.channels()).map(of).fold(0.0, f32::max)
    };
    let edges = ImageBuffer::<Luma<f32>, Vec<f32>>::from_fn(SIDE as u32, SIDE as u32, |x, y| {
        Luma([at(x as usize, y as usize)])
    });
    let around = blur(&edges, AROUND);
    edges.as_raw().iter().zip(around.as_raw()).map(|(edge, mean)| edge / (mean + FLAT)).collect()
}

/// Pearson correlation of the inner part of `a` with `b` shifted; the shift counts from the upper left of all.
fn correlation(a: &[f32], b: &[f32], shift_x: usize, shift_y: usize) -> f64 {
    const INNER: usize = SIDE - 2 * MOST_SHIFT;
    let mut sums = [0.0; 5];
    for row in 0..INNER {
        let a = &a[(row + MOST_SHIFT) * SIDE + MOST_SHIFT..][..INNER];
        let b = &b[(row + shift_y) * SIDE + shift_x..][..INNER];
        let ones = &[1.0; INNER];
        let row = [dot(a, ones), dot(b, ones), dot(a, a), dot(b, b), dot(a, b)];
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(value));
    }
    let [sum_a, sum_b, sum_aa, sum_bb, sum_ab] = sums.map(|sum| sum / (INNER * INNER) as f64);
    let spread = ((sum_aa - sum_a * sum_a) * (sum_bb - sum_b * sum_b)).sqrt();
    if spread > 0.0 { (sum_ab - sum_a * sum_b) / spread } else { 0.0 }
}

/// A sum of products over rows of a multiple of eight values, in eight lanes.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::synth::town_window;

    #[test]
    fn towns_fit_and_most_shifted_towns_are_found_with_their_shift() {
        let mut found = 0;
        for index in 0..8 {
            let (satellite, map) = town_window(5, index, (256, 256));
            assert_eq!(Correlations::of(&satellite, &map).shift(), None, "window {index}");
            let (source, target) = (satellite.crop(0, 18, 238, 238), map.crop(18, 0, 238, 238));
            // What is at x in the source is 18 pixels, 8 %, to the left and as far down in the target; roofs lean besides.
            if let Some((x, y)) = Correlations::of(&source, &target).shift() {
                assert!((-10..=-5).contains(&x) && (5..=10).contains(&y), "window {index}: {x} {y}");
                found += 1;
            }
        }
        assert!(found >= 5, "{found} of 8 found");
    }

    #[test]
    fn a_shift_of_all_pairs_is_in_their_sum() {
        let mut sum = Correlations(vec![0.0; NUM_SHIFTS * NUM_SHIFTS]);
        for index in 0..8 {
            let (satellite, map) = town_window(6, index, (160, 160));
            sum.add(&Correlations::of(&satellite.crop(0, 0, 152, 160), &map.crop(8, 0, 152, 160)));
        }
        assert!(sum.shift().is_some_and(|(x, y)| (-6..=-4).contains(&x) && y == 0), "{:?}", sum.shift());
    }
}
