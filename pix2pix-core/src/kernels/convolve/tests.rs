use proptest::prelude::*;

use super::*;
use crate::seed;

fn values(count: usize, seed: u64) -> Vec<f32> {
    use rand::RngExt;
    let mut rng = seed::rng(seed, "values", 0);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn activated(x: f32, slope: f32) -> f64 {
    f64::from(if x > 0.0 { x } else { slope * x })
}

/// All three passes by their definition, in double precision: small side, big side, weights.
fn naive(g: &Geometry, x: &[f32], y: &[f32], w: &[f32], slopes: [f32; 2]) -> [Vec<f64>; 3] {
    let [height, width] = g.small();
    let mut found = [g.small_len(), g.big_len(), w.len()].map(|len| vec![0.0; len]);
    let [small, big, weights] = &mut found;
    for at in 0..g.batch * height * width * KERNEL * KERNEL {
        let (pixel, tap) = (at / (KERNEL * KERNEL), at % (KERNEL * KERNEL));
        let (picture, i, j) = (pixel / (height * width), pixel / width % height, pixel % width);
        let row = (g.stride * i + tap / KERNEL).wrapping_sub(1);
        let column = (g.stride * j + tap % KERNEL).wrapping_sub(1);
        if row >= g.big[0] || column >= g.big[1] {
            continue;
        }
        let from = (picture * g.big[0] + row) * g.big[1] + column;
        for s in 0..g.small_channels {
            for b in 0..g.big_channels {
                let weight = (s * g.big_channels + b) * KERNEL * KERNEL + tap;
                let (s, b) = (pixel * g.small_channels + s, from * g.big_channels + b);
                small[s] += activated(x[b], slopes[0]) * f64::from(w[weight]);
                big[b] += activated(y[s], slopes[1]) * f64::from(w[weight]);
                weights[weight] += activated(x[b], slopes[0]) * activated(y[s], slopes[1]);
            }
        }
    }
    found
}

/// The largest error relative to the root mean square of what was expected.
fn error(found: &[f32], expected: &[f64]) -> f64 {
    let square = expected.iter().map(|x| x * x).sum::<f64>() / expected.len() as f64;
    let errors = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs());
    errors.fold(0.0, f64::max) / square.sqrt().max(1e-30)
}

/// Channels of the small side in two tensors.
fn split(y: &[f32], channels: usize, first: usize) -> [Vec<f32>; 2] {
    let mut parts = [Vec::new(), Vec::new()];
    for pixel in y.chunks_exact(channels) {
        parts[0].extend_from_slice(&pixel[..first]);
        parts[1].extend_from_slice(&pixel[first..]);
    }
    parts
}

fn all_passes_agree(g: &Geometry, tile: usize) {
    let (x, y, w) = (values(g.big_len(), 1), values(g.small_len(), 2), values(g.num_weights(), 3));
    let [small, big, weights] = naive(g, &x, &y, &w, [0.2, 0.0]);
    // F(4,2) and F(4,4) lose about a digit.
    let most = if tile == 4 { 2e-4 } else { 2e-5 };
    let first = g.small_channels / 3;
    let parts = split(&y, g.small_channels, first);
    let of_small = Input { parts: [&parts[0], &parts[1]], channels: [first, g.small_channels - first], slope: 0.0 };
    let of_big = Input::one(&x, g.big_channels, 0.2);
    let mut found = vec![f32::NAN; g.small_len()];
    correlate(g, tile, of_big, &w, Output::one(&mut found, g.small_channels));
    assert!(error(&found, &small) < most, "{g:?}, tile {tile}: correlate {}", error(&found, &small));
    let mut found = vec![f32::NAN; g.big_len()];
    spread(g, tile, of_small, &w, Output::one(&mut found, g.big_channels));
    assert!(error(&found, &big) < most, "{g:?}, tile {tile}: spread {}", error(&found, &big));
    let mut found = vec![f32::NAN; w.len()];
    weigh(g, tile, of_big, of_small, &mut found);
    assert!(error(&found, &weights) < most, "{g:?}, tile {tile}: weigh {}", error(&found, &weights));
}

const ALGORITHMS: [(usize, usize); 5] = [(2, 1), (2, 2), (2, 4), (1, 1), (1, 4)];

#[test]
fn all_algorithms_equal_the_definition_at_the_sizes_that_divide_the_work_differently() {
    for (stride, tile) in ALGORITHMS {
        // Odd channels; two pictures and oblong; threads by tiles; threads by weights.
        for (batch, big, big_channels, small_channels) in
            [(1, [8, 8], 3, 5), (2, [12, 20], 17, 33), (2, [66, 34], 20, 40), (3, [4, 4], 64, 16)]
        {
            all_passes_agree(&Geometry { batch, big, big_channels, small_channels, stride }, tile);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_shape_equals_the_definition(
        which in 0_usize..5, batch in 1_usize..3, height in 2_usize..14, width in 2_usize..14,
        big_channels in 1_usize..40, small_channels in 1_usize..40,
    ) {
        let (stride, tile) = ALGORITHMS[which];
        let big = if stride == 2 { [2 * height, 2 * width] } else { [height + 1, width + 1] };
        all_passes_agree(&Geometry { batch, big, big_channels, small_channels, stride }, tile);
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let mut all = Vec::new();
            for (stride, tile) in ALGORITHMS {
                let g = Geometry { batch: 2, big: [40, 28], big_channels: 40, small_channels: 36, stride };
                let (x, y, w) = (values(g.big_len(), 1), values(g.small_len(), 2), values(g.num_weights(), 3));
                let (of_big, of_small) = (Input::one(&x, 40, 0.2), Input::one(&y, 36, 0.0));
                let [mut small, mut big, mut weights] =
                    [g.small_len(), g.big_len(), w.len()].map(|len| vec![f32::NAN; len]);
                correlate(&g, tile, of_big, &w, Output::one(&mut small, 36));
                spread(&g, tile, of_small, &w, Output::one(&mut big, 40));
                weigh(&g, tile, of_big, of_small, &mut weights);
                all.push((small, big, weights));
            }
            all
        })
    };
    let alone = run(1);
    assert!(alone == run(2) && alone == run(5));
}

#[test]
fn a_bias_is_added_and_a_gradient_goes_through_the_activation() {
    let g = Geometry { batch: 2, big: [12, 8], big_channels: 9, small_channels: 7, stride: 2 };
    let (x, y, w) = (values(g.big_len(), 1), values(g.small_len(), 2), values(g.num_weights(), 3));
    let [small, big, _] = naive(&g, &x, &y, &w, [1.0, 1.0]);
    let (bias_small, bias_big) = (values(7, 4), values(9, 5));
    for tile in [1, 2, 4] {
        let mut found = vec![f32::NAN; g.small_len()];
        let to = Output { bias: Some(&bias_small), ..Output::one(&mut found, 7) };
        correlate(&g, tile, Input::one(&x, 9, 1.0), &w, to);
        let expected = small.iter().enumerate().map(|(at, v)| v + f64::from(bias_small[at % 7]));
        assert!(error(&found, &expected.collect::<Vec<_>>()) < 2e-4);
        let mut found = vec![f32::NAN; g.small_len()];
        let to = Output { before: Some(Input::one(&y, 7, 0.2)), ..Output::one(&mut found, 7) };
        correlate(&g, tile, Input::one(&x, 9, 1.0), &w, to);
        let expected = small.iter().zip(&y).map(|(v, y)| if *y > 0.0 { *v } else { f64::from(0.2_f32) * v });
        assert!(error(&found, &expected.collect::<Vec<_>>()) < 2e-4);
        let mut found = vec![f32::NAN; g.big_len()];
        let to = Output { bias: Some(&bias_big), ..Output::one(&mut found, 9) };
        spread(&g, tile, Input::one(&y, 7, 1.0), &w, to);
        let expected = big.iter().enumerate().map(|(at, v)| v + f64::from(bias_big[at % 9]));
        assert!(error(&found, &expected.collect::<Vec<_>>()) < 2e-4);
        let mut found = vec![f32::NAN; g.big_len()];
        let to = Output { before: Some(Input::one(&x, 9, 0.0)), ..Output::one(&mut found, 9) };
        spread(&g, tile, Input::one(&y, 7, 1.0), &w, to);
        let expected = big.iter().zip(&x).map(|(v, x)| if *x > 0.0 { *v } else { 0.0 });
        assert!(error(&found, &expected.collect::<Vec<_>>()) < 2e-4);
    }
}
