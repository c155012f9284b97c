use proptest::prelude::*;

use super::{
    super::geometry::{KERNEL, TAPS},
    *,
};
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
    for at in 0..g.batch * height * width * TAPS {
        let (pixel, tap) = (at / TAPS, at % TAPS);
        let (picture, i, j) = (pixel / (height * width), pixel / width % height, pixel % width);
        let row = (g.stride * i + tap / KERNEL).wrapping_sub(1);
        let column = (g.stride * j + tap % KERNEL).wrapping_sub(1);
        if row >= g.big[0] || column >= g.big[1] {
            continue;
        }
        let from = (picture * g.big[0] + row) * g.big[1] + column;
        for s in 0..g.small_channels {
            for b in 0..g.big_channels {
                let weight = (s * g.big_channels + b) * TAPS + tap;
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

/// One side in two tensors; the other tensor may be empty.
struct Halves {
    parts: [Vec<f32>; 2],
    channels: [usize; 2],
}

impl Halves {
    fn new(values: &[f32], channels: usize, first: usize) -> Self {
        Self { parts: split(values, channels, first), channels: [first, channels - first] }
    }

    fn input(&self, slope: f32) -> Input<'_> {
        Input { parts: [&self.parts[0], &self.parts[1]], channels: self.channels, slope }
    }

    /// A place for as many values as here.
    fn unwritten(&self) -> [Vec<f32>; 2] {
        [0, 1].map(|at| vec![f32::NAN; self.parts[at].len()])
    }

    fn output<'a>(&self, to: &'a mut [Vec<f32>; 2]) -> Output<'a> {
        let [one, two] = to;
        Output { parts: [Some(one), Some(two)], channels: self.channels, before: None, bias: None }
    }

    fn joined(&self, parts: &[Vec<f32>; 2]) -> Vec<f32> {
        let [first, second] = self.channels;
        let pixels = (parts[0].len() + parts[1].len()) / (first + second);
        let of_pixel = |at: usize| {
            parts[0][at * first..][..first]
                .iter()
                .chain(&parts[1][at * second..][..second])
                .copied()
                .collect::<Vec<_>>()
        };
        (0..pixels).flat_map(of_pixel).collect()
    }
}

const fn read(values: &[f32]) -> Weights<'_> {
    Weights { values, kept: None }
}

fn all_passes_agree(g: &Geometry, scheme: Scheme) {
    let (x, y, w) = (values(g.big_len(), 1), values(g.small_len(), 2), values(g.num_weights(), 3));
    let [small, big, weights] = naive(g, &x, &y, &w, [0.2, 0.0]);
    // F(4,2) and F(4,4) lose about a digit; bfloat16 has three.
    let most = match scheme {
        Scheme { half: true, .. } => 0.15,
        Scheme { tile: 4, .. } => 2e-4,
        _ => 2e-5,
    };
    let of_small = Halves::new(&y, g.small_channels, g.small_channels / 3);
    let of_big = Halves::new(&x, g.big_channels, g.big_channels / 2);
    let mut found = of_small.unwritten();
    correlate(g, scheme, of_big.input(0.2), read(&w), of_small.output(&mut found));
    let found = error(&of_small.joined(&found), &small);
    assert!(found < most, "{g:?}, {scheme:?}: correlate {found}");
    let mut found = of_big.unwritten();
    spread(g, scheme, of_small.input(0.0), read(&w), of_big.output(&mut found));
    let found = error(&of_big.joined(&found), &big);
    assert!(found < most, "{g:?}, {scheme:?}: spread {found}");
    let mut found = vec![f32::NAN; w.len()];
    weigh(g, scheme, of_big.input(0.2), of_small.input(0.0), Learned::Gradient(&mut found));
    let found = error(&found, &weights);
    assert!(found < most, "{g:?}, {scheme:?}: weigh {found}");
}

/// Stride, outputs per tile, bfloat16.
const ALGORITHMS: [(usize, Scheme); 7] = {
    const fn of(tile: usize, half: bool) -> Scheme {
        Scheme { tile, half }
    }
    [
        (2, of(1, false)),
        (2, of(2, false)),
        (2, of(4, false)),
        (1, of(1, false)),
        (1, of(4, false)),
        (2, of(2, true)),
        (2, of(3, true)),
    ]
};

#[test]
fn all_algorithms_equal_the_definition_at_the_sizes_that_divide_the_work_differently() {
    // Odd channels; two pictures and oblong; threads by tiles; threads by weights; several blocks of each. Miri is a thousand times as slow.
    let sizes: &[(usize, [usize; 2], usize, usize)] = if cfg!(miri) {
        &[(1, [4, 6], 2, 3), (1, [22, 22], 1, 1)]
    } else {
        &[
            (1, [8, 8], 3, 5),
            (2, [12, 20], 17, 33),
            (2, [66, 34], 20, 40),
            (3, [4, 4], 64, 16),
            (2, [6, 4], 150, 40),
            (70, [2, 2], 66, 35),
        ]
    };
    for (stride, scheme) in ALGORITHMS {
        for &(batch, big, big_channels, small_channels) in sizes {
            all_passes_agree(&Geometry { batch, big, big_channels, small_channels, stride }, scheme);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes hours")]
fn bfloat16_is_as_exact_as_its_eight_bits_allow_over_many_sums() {
    let g = Geometry { batch: 1, big: [48, 48], big_channels: 96, small_channels: 64, stride: 2 };
    let (x, y, w) = (values(g.big_len(), 1), values(g.small_len(), 2), values(g.num_weights(), 3));
    let expected = naive(&g, &x, &y, &w, [1.0, 1.0]);
    let rms = |values: &[f64]| (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt();
    let relative = |found: &[f32], expected: &[f64]| {
        let off = found.iter().zip(expected).map(|(a, b)| f64::from(*a) - b).collect::<Vec<_>>();
        rms(&off) / rms(expected)
    };
    for tile in [2, 3] {
        let scheme = Scheme { tile, half: true };
        let (of_big, of_small) = (Input::one(&x, 96, 1.0), Input::one(&y, 64, 1.0));
        let [mut small, mut big, mut weights] = [g.small_len(), g.big_len(), w.len()].map(|len| vec![f32::NAN; len]);
        correlate(&g, scheme, of_big, read(&w), Output::one(&mut small, 64));
        spread(&g, scheme, of_small, read(&w), Output::one(&mut big, 96));
        weigh(&g, scheme, of_big, of_small, Learned::Gradient(&mut weights));
        for (found, expected) in [&small, &big, &weights].into_iter().zip(&expected) {
            let found = relative(found, expected);
            assert!((1e-4..8e-3).contains(&found), "F({tile},2): {found}");
        }
    }
}

#[test]
fn adam_in_the_gradient_equals_adam_after_it() {
    for (stride, scheme) in ALGORITHMS {
        let sizes = if cfg!(miri) { &[([4, 6], 1, 2)][..] } else { &[([10, 14], 19, 37), ([34, 34], 8, 4)] };
        for &(big, big_channels, small_channels) in sizes {
            let g = Geometry { batch: 2, big, big_channels, small_channels, stride };
            let (x, y) = (values(g.big_len(), 1), values(g.small_len(), 2));
            let (of_big, of_small) = (Input::one(&x, big_channels, 1.0), Input::one(&y, small_channels, 1.0));
            let rates = AdamRates { step: 1e-2, root: 1.1, beta1: 0.5, beta2: 0.9, epsilon: 1e-8 };
            let begin = || [3, 4, 5].map(|seed| values(g.num_weights(), seed).into_iter().map(f32::abs).collect());
            let mut gradient = vec![f32::NAN; g.num_weights()];
            weigh(&g, scheme, of_big, of_small, Learned::Gradient(&mut gradient));
            let [mut w, mut first, mut second]: [Vec<f32>; 3] = begin();
            super::super::adam::update(&mut w, &gradient, [&mut first, &mut second], rates);
            let [mut found, mut found_first, mut found_second]: [Vec<f32>; 3] = begin();
            let moments = [&mut found_first[..], &mut found_second[..]];
            weigh(&g, scheme, of_big, of_small, Learned::Adam { values: &mut found, moments, rates });
            assert!(w == found && first == found_first && second == found_second, "{g:?}, {scheme:?}");
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes hours")]
fn kept_weights_change_nothing_and_stop_at_their_room() {
    use super::super::parallel::KeepRoom;
    for (stride, scheme) in ALGORITHMS {
        for big in [[8, 8], [66, 34]] {
            let g = Geometry { batch: 1, big, big_channels: 32, small_channels: 64, stride };
            let (x, y, w) = (values(g.big_len(), 1), values(g.small_len(), 2), values(g.num_weights(), 3));
            let run = |kept: [Option<&Kept>; 2]| {
                let [mut small, mut big] = [g.small_len(), g.big_len()].map(|len| vec![f32::NAN; len]);
                let of = |kept| Weights { values: &w, kept };
                correlate(&g, scheme, Input::one(&x, 32, 0.2), of(kept[0]), Output::one(&mut small, 64));
                spread(&g, scheme, Input::one(&y, 64, 0.0), of(kept[1]), Output::one(&mut big, 32));
                (small, big)
            };
            let plain = run([None, None]);
            let (large, none) = (KeepRoom::new(1 << 24), KeepRoom::new(0));
            let kept = [Kept::new(&large), Kept::new(&large)];
            let full = [Kept::new(&none), Kept::new(&none)];
            for of in [&kept, &kept, &full] {
                assert!(plain == run([Some(&of[0]), Some(&of[1])]), "{g:?}, {scheme:?}");
            }
            // For a few tiles, points that are many more than taps are slower to read than to make. Of taps nothing is made.
            let is_worth_it = scheme.tile > 1 && (big[0] > 8 || scheme.tile == 2 || scheme.half);
            assert!(kept.iter().all(|kept| kept.is_filled() == is_worth_it), "{g:?}, {scheme:?}");
            assert!(!full.iter().any(Kept::is_filled));
            // A layer that goes the other way with the same weights is none of what was kept.
            assert!(plain == run([Some(&kept[1]), Some(&kept[0])]));
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes hours")]
fn an_unwanted_part_is_left_out_and_the_other_is_the_same() {
    for (stride, scheme) in ALGORITHMS {
        let g = Geometry { batch: 1, big: [12, 40], big_channels: 21, small_channels: 40, stride };
        let (x, y, w) = (values(g.big_len(), 1), values(g.small_len(), 2), values(g.num_weights(), 3));
        let (of_big, of_small) = (Halves::new(&x, 21, 4), Halves::new(&y, 40, 7));
        let mut whole = of_big.unwritten();
        spread(&g, scheme, of_small.input(1.0), read(&w), of_big.output(&mut whole));
        let mut part = of_big.unwritten();
        let mut to = of_big.output(&mut part);
        to.parts[0] = None;
        spread(&g, scheme, of_small.input(1.0), read(&w), to);
        assert!(whole[1] == part[1] && part[0].iter().all(|x| x.is_nan()), "{scheme:?}");
        let mut whole = of_small.unwritten();
        correlate(&g, scheme, of_big.input(1.0), read(&w), of_small.output(&mut whole));
        let mut part = of_small.unwritten();
        let mut to = of_small.output(&mut part);
        to.parts[1] = None;
        correlate(&g, scheme, of_big.input(1.0), read(&w), to);
        assert!(whole[0] == part[0] && part[1].iter().all(|x| x.is_nan()), "{scheme:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    #[cfg_attr(miri, ignore = "takes hours")]
    fn any_shape_equals_the_definition(
        which in 0_usize..7, batch in 1_usize..3, height in 2_usize..14, width in 2_usize..14,
        big_channels in 1_usize..40, small_channels in 1_usize..40,
    ) {
        let (stride, scheme) = ALGORITHMS[which];
        let big = if stride == 2 { [2 * height, 2 * width] } else { [height + 1, width + 1] };
        all_passes_agree(&Geometry { batch, big, big_channels, small_channels, stride }, scheme);
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let mut all = Vec::new();
            for (stride, scheme) in ALGORITHMS {
                let [big_channels, small_channels] = if cfg!(miri) { [1, 2] } else { [40, 36] };
                let big = if cfg!(miri) { [6, 4] } else { [40, 28] };
                let g = Geometry { batch: 2, big, big_channels, small_channels, stride };
                let (x, y, w) = (values(g.big_len(), 1), values(g.small_len(), 2), values(g.num_weights(), 3));
                let (of_big, of_small) = (Input::one(&x, big_channels, 0.2), Input::one(&y, small_channels, 0.0));
                let [mut small, mut big, mut weights] =
                    [g.small_len(), g.big_len(), w.len()].map(|len| vec![f32::NAN; len]);
                correlate(&g, scheme, of_big, read(&w), Output::one(&mut small, small_channels));
                spread(&g, scheme, of_small, read(&w), Output::one(&mut big, big_channels));
                weigh(&g, scheme, of_big, of_small, Learned::Gradient(&mut weights));
                all.push((small, big, weights));
            }
            all
        })
    };
    let alone = run(1);
    assert!(alone == run(2) && (cfg!(miri) || alone == run(5)));
}

#[test]
#[cfg_attr(miri, ignore = "takes hours")]
fn a_bias_is_added_and_a_gradient_goes_through_the_activation() {
    let g = Geometry { batch: 2, big: [12, 8], big_channels: 9, small_channels: 7, stride: 2 };
    let (x, y, w) = (values(g.big_len(), 1), values(g.small_len(), 2), values(g.num_weights(), 3));
    let [small, big, _] = naive(&g, &x, &y, &w, [1.0, 1.0]);
    let (bias_small, bias_big) = (values(7, 4), values(9, 5));
    for tile in [1, 2, 4] {
        let scheme = Scheme { tile, half: false };
        let mut found = vec![f32::NAN; g.small_len()];
        let to = Output { bias: Some(&bias_small), ..Output::one(&mut found, 7) };
        correlate(&g, scheme, Input::one(&x, 9, 1.0), read(&w), to);
        let expected = small.iter().enumerate().map(|(at, v)| v + f64::from(bias_small[at % 7]));
        assert!(error(&found, &expected.collect::<Vec<_>>()) < 2e-4);
        let mut found = vec![f32::NAN; g.small_len()];
        let to = Output { before: Some(Input::one(&y, 7, 0.2)), ..Output::one(&mut found, 7) };
        correlate(&g, scheme, Input::one(&x, 9, 1.0), read(&w), to);
        let expected = small.iter().zip(&y).map(|(v, y)| if *y > 0.0 { *v } else { f64::from(0.2_f32) * v });
        assert!(error(&found, &expected.collect::<Vec<_>>()) < 2e-4);
        let mut found = vec![f32::NAN; g.big_len()];
        let to = Output { bias: Some(&bias_big), ..Output::one(&mut found, 9) };
        spread(&g, scheme, Input::one(&y, 7, 1.0), read(&w), to);
        let expected = big.iter().enumerate().map(|(at, v)| v + f64::from(bias_big[at % 9]));
        assert!(error(&found, &expected.collect::<Vec<_>>()) < 2e-4);
        let mut found = vec![f32::NAN; g.big_len()];
        let to = Output { before: Some(Input::one(&x, 9, 0.0)), ..Output::one(&mut found, 9) };
        spread(&g, scheme, Input::one(&y, 7, 1.0), read(&w), to);
        let expected = big.iter().zip(&x).map(|(v, x)| if *x > 0.0 { *v } else { 0.0 });
        assert!(error(&found, &expected.collect::<Vec<_>>()) < 2e-4);
    }
}

/// The products of the direct algorithm, with the half block that is left of 48 columns.
#[test]
fn products_equal_their_definition() {
    use super::super::{
        lanes::run,
        product::{Dots, Product},
    };
    for (rows, columns, depth) in [(1, 16, 16), (7, 48, 32), (13, 80, 48)] {
        let (a, b) = (values(rows * depth, 1), values(depth * columns, 2));
        let turned = (0..columns * depth).map(|at| b[at % depth * columns + at / depth]).collect::<Vec<_>>();
        let exact = (0..rows * columns).map(|at| {
            let (row, column) = (at / columns, at % columns);
            (0..depth).map(|k| f64::from(a[row * depth + k]) * f64::from(b[k * columns + column])).sum::<f64>()
        });
        let expected = exact.map(|x| x + 1.0).collect::<Vec<_>>();
        let mut found = [vec![1.0_f32; rows * columns], vec![1.0_f32; rows * columns]];
        let [by_rows, by_dots] = found.each_mut().map(|found| found.as_mut_ptr());
        // SAFETY: the matrices are as long as their strides and sizes say.
        unsafe {
            run(Product::<false> {
                c: by_rows,
                c_row: columns,
                a: a.as_ptr(),
                a_row: depth,
                a_step: 1,
                b: b.as_ptr(),
                b_step: columns,
                rows,
                columns,
                depth,
                accumulate: true,
            });
            run(Dots {
                c: by_dots,
                c_row: columns,
                a: a.as_ptr(),
                a_row: depth,
                b: turned.as_ptr(),
                b_row: depth,
                rows,
                columns,
                depth,
                accumulate: true,
            });
        }
        for found in found {
            let found = error(&found, &expected);
            assert!(found < 1e-5, "{rows} x {columns} x {depth}: {found}");
        }
    }
}
