//! Dropout whose masks are a pure function of a seed, so that a resumed run draws what an uninterrupted one would have.

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use crate::seed;

/// The seed of all dropout masks of one forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropoutSeed(pub u64);

/// Sets each value to zero with probability 1/2 and doubles the rest (the reference's `Dropout(0.5)`).
///
/// # Shapes
/// - `x`: `[batch, channels, height, width]`
/// - returns: the same shape
pub(super) fn dropout(x: Tensor<4>, seed: DropoutSeed, layer: u64) -> Tensor<4> {
    let mask = mask(x.dims(), seed, layer, &x.device());
    x * mask
}

/// Zeros and twos, one per value; 64 of them from each draw.
fn mask(dims: [usize; 4], seed: DropoutSeed, layer: u64, device: &Device) -> Tensor<4> {
    let mut rng = seed::rng(seed.0, "dropout", layer);
    let count = dims.iter().product::<usize>();
    let mut values = Vec::with_capacity(count);
    while values.len() < count {
        let bits = rng.next_u64();
        let wanted = (count - values.len()).min(64);
        values.extend((0..wanted).map(|bit| if (bits >> bit) & 1 == 1 { 2.0_f32 } else { 0.0 }));
    }
    Tensor::from_data(TensorData::new(values, dims), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_half_of_the_values_survive_doubled_and_the_seed_decides_which() {
        let device = Device::flex();
        let ones = Tensor::<4>::ones([1, 8, 16, 16], &device);
        let run = |seed| -> Vec<f32> {
            dropout(ones.clone(), DropoutSeed(seed), 3).into_data().try_into_vec().expect("f32 values")
        };
        let first = run(1);
        assert!(first.iter().all(|&value| value == 0.0 || value == 2.0));
        let kept = first.iter().filter(|&&value| value == 2.0).count();
        assert!((900..1150).contains(&kept), "{kept} of 2048 kept");
        assert_eq!(first, run(1));
        assert_ne!(first, run(2));
    }
}
