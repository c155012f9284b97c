//! Pairs become tensors on a device. Converts no values: planes already hold the network's range.

use burn::tensor::{Device, Tensor, TensorData};

use crate::{pairs::Pair, pixel::Planes};

/// Source and target of several pairs.
#[derive(Clone, Debug)]
pub struct PairBatch {
    /// `[batch, source_channels, height, width]`, values as in [`Planes`].
    pub source: Tensor<4>,
    /// `[batch, target_channels, height, width]`, values in `[-1, 1]`.
    pub target: Tensor<4>,
}

impl PairBatch {
    /// Moves pairs to a device.
    ///
    /// # Panics
    /// When there is no pair, or the pairs differ in size or channels: the loader gives pairs of one size.
    pub fn new(pairs: Vec<Pair>, device: &Device) -> Self {
        let (sources, targets) = pairs.into_iter().map(|pair| (pair.source, pair.target)).unzip();
        Self { source: stack(sources, device), target: stack(targets, device) }
    }
}

/// Planes of one size as one tensor.
///
/// # Shapes
/// - `planes`: n of `[channels, height, width]`
/// - returns: `[n, channels, height, width]`
///
/// # Panics
/// When there is none, or their sizes differ.
pub fn stack(planes: Vec<Planes>, device: &Device) -> Tensor<4> {
    let count = planes.len();
    let first = planes.first().expect("a batch holds at least one picture");
    let (channels, height, width) = (first.channels, first.height, first.width);
    let mut values = Vec::new();
    for part in planes {
        assert_eq!(
            (part.channels, part.height, part.width),
            (channels, height, width),
            "pictures of one batch have one size"
        );
        if values.is_empty() {
            values = part.values;
        } else {
            values.extend_from_slice(&part.values);
        }
    }
    Tensor::from_data(TensorData::new(values, [count, channels, height, width]), device)
}

/// Takes a batch of pictures back to the host.
///
/// # Shapes
/// - `tensor`: `[batch, channels, height, width]`
/// - returns: `batch` planes of `[channels, height, width]`
pub fn unstack(tensor: Tensor<4>) -> Vec<Planes> {
    let [_, channels, height, width] = tensor.dims();
    let values = tensor.into_data().convert::<f32>().try_into_vec::<f32>().expect("the data was converted to f32");
    values
        .chunks_exact(channels * height * width)
        .map(|part| Planes { channels, height, width, values: part.to_vec() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacking_and_unstacking_gives_the_pictures_back_in_order() {
        let picture = |offset: f32| Planes {
            channels: 2,
            height: 2,
            width: 3,
            values: (0..12).map(|i| i as f32 / 12.0 - offset).collect(),
        };
        let pictures = vec![picture(0.0), picture(0.5)];
        let tensor = stack(pictures.clone(), &Device::flex());
        assert_eq!(tensor.dims(), [2, 2, 2, 3]);
        assert_eq!(unstack(tensor), pictures);
    }
}
