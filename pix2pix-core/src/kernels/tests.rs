//! The hand-written operations against the composed ones, and their gradients against numerical ones.

use burn::tensor::{Device, Distribution, Tensor, TensorData, Tolerance};

use super::*;

const DOWN: Direction = Direction::Down { stride: 2 };
const SAME: Direction = Direction::Down { stride: 1 };

fn random<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    use rand::RngExt;
    let mut rng = crate::seed::rng(seed, "tensor", 0);
    let values = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0_f32)).collect::<Vec<_>>();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// What a block is made of; leaves of the graph.
struct Leaves {
    x: Tensor<4>,
    skip: Option<Tensor<4>>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
}

fn leaves(direction: Direction, channels: [usize; 3], size: [usize; 2], device: &Device) -> Leaves {
    let [of_x, of_skip, out] = channels;
    let [height, width] = size;
    let input = of_x + of_skip;
    let weight = if direction == Direction::Up { [input, out, 4, 4] } else { [out, input, 4, 4] };
    Leaves {
        x: random([2, of_x, height, width], 1, device).require_grad(),
        skip: (of_skip > 0).then(|| random([2, of_skip, height, width], 2, device).require_grad()),
        weight: (random(weight, 3, device) * 0.2).detach().require_grad(),
        bias: (of_skip != 33).then(|| random([out], 4, device).require_grad()),
    }
}

/// A loss that weighs every value of a block differently, by our operations or by burn's.
fn loss(leaves: &Leaves, spec: BlockSpec, group: Group, ours: bool) -> Tensor<1> {
    let Leaves { x, skip, weight, bias } = leaves;
    let (x, weight) = (x.clone(), weight.clone());
    let result = if ours {
        let z = convolve(x, skip.clone(), weight, bias.clone(), spec, WeightUse::Read);
        normalised(z, None, None, group).output
    } else {
        let x = skip.clone().map_or(x.clone(), |skip| Tensor::cat(vec![skip, x], 1));
        let x = burn::tensor::activation::leaky_relu(x, f64::from(spec.slope));
        let z = match spec.direction {
            Direction::Down { stride } => {
                let options = burn::tensor::ops::ConvOptions::new([stride; 2], [1, 1], [1, 1], 1);
                burn::tensor::module::conv2d(x, weight, bias.clone(), options)
            }
            Direction::Up => {
                let options = burn::tensor::ops::ConvTransposeOptions::new([2, 2], [1, 1], [0, 0], [1, 1], 1);
                burn::tensor::module::conv_transpose2d(x, weight, bias.clone(), options)
            }
        };
        let dims: [usize; 4] = z.dims();
        let axes: &[usize] = if group == Group::Batch { &[0, 2, 3] } else { &[2, 3] };
        let mean = |x: Tensor<4>| axes.iter().fold(x, |x, &axis| x.mean_dim(axis));
        let off = z.clone() - mean(z).expand(dims);
        let deviation = (mean(off.clone().square()) + EPSILON).sqrt();
        off / deviation.expand(dims)
    };
    let weights = random(result.dims(), 9, &result.device().without_autodiff());
    let weights = if result.device().is_autodiff() { weights.autodiff() } else { weights };
    (result.square() * weights).sum()
}

#[test]
fn values_and_gradients_equal_those_of_the_composed_operations() {
    let device = Device::flex().autodiff();
    for (direction, channels, size, slope) in [
        (DOWN, [3, 0, 10], [24, 40], 1.0),
        (DOWN, [40, 0, 33], [32, 24], 0.2),
        (DOWN, [3, 4, 10], [24, 16], 0.2),
        (SAME, [20, 0, 9], [13, 17], 0.2),
        (Direction::Up, [12, 21, 17], [9, 14], 0.0),
        (Direction::Up, [64, 0, 3], [16, 16], 0.0),
        (Direction::Up, [33, 33, 40], [1, 2], 0.0),
    ] {
        for group in [Group::Batch, Group::Picture] {
            let leaves = leaves(direction, channels, size, &device);
            let spec = BlockSpec { direction, slope, precision: Precision::F32 };
            let (ours, theirs) = (loss(&leaves, spec, group, true), loss(&leaves, spec, group, false));
            let scale = theirs.clone().abs().into_scalar::<f32>().max(1.0);
            assert!((ours.clone() - theirs.clone()).abs().into_scalar::<f32>() < 1e-3 * scale, "{spec:?}");
            let (ours, theirs) = (ours.backward(), theirs.backward());
            let close = |a: TensorData, b: TensorData| {
                let most = b.iter::<f32>().fold(0.0_f32, |most, x| most.max(x.abs()));
                a.assert_approx_eq::<f32>(&b, Tolerance::absolute(2e-4 * most.max(1e-3)));
            };
            let of = |tensor: &Tensor<4>| {
                close(
                    tensor.grad(&ours).expect("tracked").into_data(),
                    tensor.grad(&theirs).expect("tracked").into_data(),
                );
            };
            of(&leaves.x);
            of(&leaves.weight);
            leaves.skip.iter().for_each(of);
            if let Some(bias) = &leaves.bias {
                // A norm takes a bias out again: its gradient is zero but for rounding.
                let found = bias.grad(&ours).expect("tracked").abs().max().into_scalar::<f32>();
                assert!(found < 1e-2, "{found}");
            }
        }
    }
}

#[test]
fn gradients_equal_numerical_ones() {
    // Without a norm the loss is quadratic in each input, so wide steps are exact where no activation changes sides.
    let device = Device::flex().autodiff();
    let plain = Device::flex();
    for (direction, channels, size) in [
        (DOWN, [3, 0, 5], [8, 12]),
        (DOWN, [9, 0, 8], [24, 24]),
        (SAME, [8, 0, 8], [9, 9]),
        (Direction::Up, [4, 5, 3], [4, 6]),
    ] {
        let spec = BlockSpec { direction, slope: 0.2, precision: Precision::F32 };
        let leaves = leaves(direction, channels, size, &device);
        let run = |x: Tensor<4>, skip: Option<Tensor<4>>, weight: Tensor<4>, bias: Option<Tensor<1>>| {
            let result = convolve(x, skip, weight, bias, spec, WeightUse::Read);
            let weights = random(result.dims(), 9, &plain);
            let weights = if result.device().is_autodiff() { weights.autodiff() } else { weights };
            (result * weights).sum()
        };
        let bias = leaves.bias.clone();
        let gradients = run(leaves.x.clone(), leaves.skip.clone(), leaves.weight.clone(), bias.clone()).backward();
        let [x, weight] = [&leaves.x, &leaves.weight].map(|tensor| tensor.clone().without_autodiff());
        let skip = leaves.skip.clone().map(Tensor::without_autodiff);
        let bias = bias.map(Tensor::without_autodiff);
        let value = |x: &Tensor<4>, skip: &Option<Tensor<4>>, weight: &Tensor<4>| {
            run(x.clone(), skip.clone(), weight.clone(), bias.clone()).into_scalar::<f32>()
        };
        let moved = |tensor: &Tensor<4>, at: usize, by: f32| {
            let shape = tensor.dims();
            let mut values = tensor.to_data().iter::<f32>().collect::<Vec<_>>();
            values[at] += by;
            Tensor::<4>::from_data(TensorData::new(values, shape), &plain)
        };
        let check = |gradient: Tensor<4>, of: &Tensor<4>, value: &dyn Fn(&Tensor<4>) -> f32, what: &str| {
            let gradient = gradient.into_data().iter::<f32>().collect::<Vec<_>>();
            let values = of.to_data().iter::<f32>().collect::<Vec<_>>();
            let step = 1e-2;
            let places = (0..values.len()).step_by((values.len() / 23).max(1));
            for at in places.filter(|&at| what == "weight" || values[at].abs() > 2.0 * step) {
                let found = (value(&moved(of, at, step)) - value(&moved(of, at, -step))) / (2.0 * step);
                assert!((found - gradient[at]).abs() < 2e-2, "{direction:?} {what} {at}: {found}, {}", gradient[at]);
            }
        };
        let of_x = leaves.x.grad(&gradients).expect("tracked");
        check(of_x, &x, &|x| value(x, &skip, &weight), "x");
        let of_weight = leaves.weight.grad(&gradients).expect("tracked");
        check(of_weight, &weight, &|weight| value(&x, &skip, weight), "weight");
        if let (Some(tracked), Some(plain)) = (&leaves.skip, &skip) {
            let of_skip = tracked.grad(&gradients).expect("tracked");
            check(of_skip, plain, &|skip| value(&x, &Some(skip.clone()), &weight), "skip");
        }
        if let Some(tracked) = &leaves.bias {
            let found = tracked.grad(&gradients).expect("tracked");
            let result = convolve(x.clone(), skip.clone(), weight.clone(), bias.clone(), spec, WeightUse::Read);
            let weights: Tensor<4> = random(result.dims(), 9, &plain);
            let [_, out, _, _] = weights.dims();
            let expected = weights.sum_dim(0).sum_dim(2).sum_dim(3).reshape([out]);
            found.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-3));
        }
    }
}

#[test]
fn gradients_of_a_norm_equal_numerical_ones() {
    let device = Device::flex().autodiff();
    let plain = Device::flex();
    for group in [Group::Batch, Group::Picture] {
        let shape = [2, 19, 3, 5];
        let x = random(shape, 1, &device).require_grad();
        let gain = (random([19], 2, &device) + 1.5).detach().require_grad();
        let offset = random([19], 3, &device).require_grad();
        let run = |x: Tensor<4>, gain: Tensor<1>, offset: Tensor<1>| {
            let weights = random(shape, 9, &plain);
            let weights = if x.device().is_autodiff() { weights.autodiff() } else { weights };
            (normalised(x, Some(gain), Some(offset), group).output * weights).sum()
        };
        let gradients = run(x.clone(), gain.clone(), offset.clone()).backward();
        let found = [
            x.grad(&gradients).expect("tracked").into_data(),
            gain.grad(&gradients).expect("tracked").into_data(),
            offset.grad(&gradients).expect("tracked").into_data(),
        ];
        let leaves = [x.into_data(), gain.into_data(), offset.into_data()];
        for (which, (gradient, leaf)) in found.iter().zip(&leaves).enumerate() {
            let gradient = gradient.iter::<f32>().collect::<Vec<_>>();
            for at in (0..gradient.len()).step_by(gradient.len() / 19) {
                let value = |by: f32| {
                    let mut data = leaves.clone();
                    let mut values = leaf.iter::<f32>().collect::<Vec<_>>();
                    values[at] += by;
                    data[which] = TensorData::new(values, leaf.shape());
                    let [x, gain, offset] = data;
                    let vector = |data| Tensor::<1>::from_data(data, &plain);
                    run(Tensor::from_data(x, &plain), vector(gain), vector(offset)).into_scalar::<f32>()
                };
                let numerical = (value(5e-3) - value(-5e-3)) / 1e-2;
                assert!((numerical - gradient[at]).abs() < 3e-2, "{which} {at}: {numerical}, {}", gradient[at]);
            }
        }
    }
}

#[test]
fn a_norm_of_many_values_far_from_zero_keeps_its_precision() {
    let device = Device::flex();
    let x = Tensor::<4>::random([1, 3, 256, 256], Distribution::Normal(1000.0, 1.0), &device);
    let result = normalised(x, None, None, Group::Batch);
    let variance = result.output.square().mean().into_scalar::<f32>();
    assert!((variance - 1.0).abs() < 1e-3, "{variance}");
}

#[test]
fn adam_by_hand_and_composed_agree_and_leave_shared_memory_alone() {
    let device = Device::flex();
    let rates = AdamRates { step: 1e-2, root: 1.3, beta1: 0.5, beta2: 0.9, epsilon: 1e-8 };
    let [values, gradient, first, second] = [1, 2, 3, 4].map(|seed| random([40_003], seed, &device));
    let second = second.abs();
    let kept = values.clone();
    let before = kept.to_data();
    let (ours, moments) = adam(values.clone(), gradient.clone(), [first.clone(), second.clone()], rates);
    let expected_first = first * 0.5 + gradient.clone() * 0.5;
    let expected_second = second * 0.9 + gradient.square() * 0.1;
    let moved = expected_first.clone() * 1e-2 / (expected_second.clone().sqrt() * 1.3 + 1e-8);
    for (found, expected) in
        [(ours, values - moved), (moments[0].clone(), expected_first), (moments[1].clone(), expected_second)]
    {
        found.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    }
    assert_eq!(kept.into_data(), before);
}
