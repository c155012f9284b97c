//! How near a fake is to its target: L1, PSNR and SSIM, all on values scaled to [0, 1].

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::pixel::Planes;

/// Side of the Gaussian window of SSIM (Wang et al. 2004).
const WINDOW: usize = 11;
/// Spread of the Gaussian window of SSIM, in pixels.
const SPREAD: f64 = 1.5;
/// The constants of SSIM for values in [0, 1].
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;
/// PSNR of equal pictures would be infinite; this floor under the squared error gives 120 dB.
const LEAST_SQUARED_ERROR: f64 = 1e-12;

/// Nearness of one fake, or the mean over several.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean absolute difference, 0 (equal) to 1.
    pub l1: f64,
    /// Peak signal-to-noise ratio in dB, at most 120.
    pub psnr: f64,
    /// Structural similarity, mean over channels and over the pixels whose window lies inside, -1 to 1.
    pub ssim: f64,
}

impl Scores {
    /// Means over pictures; `None` without any.
    pub fn mean(scores: &[Self]) -> Option<Self> {
        let count = scores.len() as f64;
        let mean = |value: fn(&Self) -> f64| scores.iter().map(value).sum::<f64>() / count;
        (!scores.is_empty()).then(|| Self { l1: mean(|s| s.l1), psnr: mean(|s| s.psnr), ssim: mean(|s| s.ssim) })
    }
}

/// Compares a fake with its target.
///
/// # Shapes
/// - `fake`, `target`: `[channels, height, width]`, values in `[-1, 1]`, clamped before comparing
///
/// # Panics
/// When the shapes differ.
pub fn compare(fake: &Planes, target: &Planes) -> Scores {
    let shape = |planes: &Planes| (planes.channels, planes.height, planes.width);
    assert_eq!(shape(fake), shape(target), "fake and target have one shape");
    let unit = |values: &[f32]| {
        values.iter().map(|value| (f64::from(*value).clamp(-1.0, 1.0) + 1.0) / 2.0).collect::<Vec<_>>()
    };
    let (a, b) = (unit(&fake.values), unit(&target.values));
    let count = a.len().max(1) as f64;
    let differences = || a.iter().zip(&b).map(|(a, b)| a - b);
    let l1 = differences().map(f64::abs).sum::<f64>() / count;
    let squared = differences().map(|difference| difference * difference).sum::<f64>() / count;
    let psnr = -10.0 * squared.max(LEAST_SQUARED_ERROR).log10();
    let plane = fake.height * fake.width;
    let ssim = a
        .par_chunks(plane.max(1))
        .zip(b.par_chunks(plane.max(1)))
        .map(|(a, b)| ssim_of_plane(a, b, fake.width, fake.height))
        .collect::<Vec<_>>();
    Scores { l1, psnr, ssim: ssim.iter().sum::<f64>() / ssim.len().max(1) as f64 }
}

/// SSIM of one channel. Pictures smaller than the window use a window of their own size.
fn ssim_of_plane(a: &[f64], b: &[f64], width: usize, height: usize) -> f64 {
    let products = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).collect::<Vec<_>>();
    let smooth = |values: &[f64]| blur(values, width, height);
    let (mean_a, mean_b) = (smooth(a), smooth(b));
    let (aa, bb, ab) = (smooth(&products(a, a)), smooth(&products(b, b)), smooth(&products(a, b)));
    let sum = (0..mean_a.len()).map(|at| {
        let (ma, mb) = (mean_a[at], mean_b[at]);
        let (var_a, var_b, covariance) = (aa[at] - ma * ma, bb[at] - mb * mb, ab[at] - ma * mb);
        let numerator = (2.0 * ma * mb + C1) * (2.0 * covariance + C2);
        numerator / ((ma * ma + mb * mb + C1) * (var_a + var_b + C2))
    });
    sum.sum::<f64>() / mean_a.len() as f64
}

/// Gaussian mean around every pixel whose window lies inside the picture.
fn blur(values: &[f64], width: usize, height: usize) -> Vec<f64> {
    let (across, down) = (gaussian(WINDOW.min(width)), gaussian(WINDOW.min(height)));
    let inner_width = width - across.len() + 1;
    let rows = values
        .chunks_exact(width)
        .flat_map(|row| row.windows(across.len()).map(|part| part.iter().zip(&across).map(|(v, w)| v * w).sum::<f64>()))
        .collect::<Vec<_>>();
    let mut result = Vec::with_capacity(inner_width * (height - down.len() + 1));
    for top in 0..=height - down.len() {
        let column =
            |x: usize| down.iter().enumerate().map(|(y, w)| rows[(top + y) * inner_width + x] * w).sum::<f64>();
        result.extend((0..inner_width).map(column));
    }
    result
}

fn gaussian(side: usize) -> Vec<f64> {
    let middle = (side as f64 - 1.0) / 2.0;
    let weight = |at: usize| (-((at as f64 - middle) / SPREAD).powi(2) / 2.0).exp();
    let sum = (0..side).map(weight).sum::<f64>();
    (0..side).map(|at| weight(at) / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planes(value: impl Fn(usize, usize, usize) -> f32) -> Planes {
        let (channels, height, width) = (3, 20, 24);
        let at = |i: usize| value(i / (height * width), i / width % height, i % width);
        Planes { channels, height, width, values: (0..channels * height * width).map(at).collect() }
    }

    #[test]
    fn equal_pictures_have_the_best_scores() {
        let picture = planes(|c, y, x| ((c * 7 + y * 3 + x) % 11) as f32 / 5.5 - 1.0);
        assert_eq!(compare(&picture, &picture), Scores { l1: 0.0, psnr: 120.0, ssim: 1.0 });
    }

    #[test]
    fn a_constant_offset_has_known_l1_and_psnr() {
        let scores = compare(&planes(|_, _, _| 0.2), &planes(|_, _, _| 0.0));
        assert!((scores.l1 - 0.1).abs() < 1e-7);
        assert!((scores.psnr - 20.0).abs() < 1e-5);
    }

    #[test]
    fn ssim_equals_the_reference_implementation_on_a_formula_picture() {
        // scikit-image 0.26: structural_similarity(a, b, data_range=1, gaussian_weights=True, sigma=1.5,
        // use_sample_covariance=False, channel_axis=0) on the same formulas in f64.
        let a = planes(|c, y, x| ((c * 31 + y * 17 + x * 5) % 64) as f32 / 32.0 - 1.0);
        let b = planes(|c, y, x| ((c * 13 + y * 11 + x * 7) % 64) as f32 / 32.0 - 1.0);
        assert!((compare(&a, &b).ssim - SSIM_OF_FORMULAS).abs() < 1e-6, "{}", compare(&a, &b).ssim);
    }

    const SSIM_OF_FORMULAS: f64 = 0.042_648_583_660_725_07;

    #[test]
    fn pictures_smaller_than_the_window_are_compared_too() {
        let small = Planes { channels: 1, height: 2, width: 3, values: vec![0.0, 0.5, -0.5, 0.1, 0.2, 0.3] };
        assert!((compare(&small, &small).ssim - 1.0).abs() < 1e-12);
    }
}
