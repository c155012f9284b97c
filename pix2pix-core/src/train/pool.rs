//! The image pool (Shrivastava et al. 2017): the discriminator also sees fakes of earlier steps.

use burn::tensor::Tensor;
use rand::RngExt as _;

use crate::{checkpoint::Entry, seed};

/// Earlier pairs of source and fake, at most a fixed number. Size 0, the paper's, passes everything through.
#[derive(Clone, Debug)]
pub struct ImagePool {
    capacity: usize,
    stored: Vec<[Tensor<4>; 2]>,
}

impl ImagePool {
    /// An empty pool.
    pub const fn new(capacity: usize) -> Self {
        Self { capacity, stored: Vec::new() }
    }

    /// A pool with what a checkpoint kept of it.
    pub const fn restored(capacity: usize, stored: Vec<[Tensor<4>; 2]>) -> Self {
        Self { capacity, stored }
    }

    /// Gives for each picture of the batch either itself or, half of the time once the pool is full, an earlier one, which it
    /// replaces there. `draw_seed` decides.
    ///
    /// # Shapes
    /// - `source`, `fake`: `[batch, channels, height, width]`, without autodiff
    /// - returns: the same shapes
    pub fn query(&mut self, source: Tensor<4>, fake: Tensor<4>, draw_seed: u64) -> [Tensor<4>; 2] {
        if self.capacity == 0 {
            return [source, fake];
        }
        let [batch, ..] = source.dims();
        let chosen = (0..batch).map(|at| {
            let current = [source.clone().narrow(0, at, 1), fake.clone().narrow(0, at, 1)];
            if self.stored.len() < self.capacity {
                self.stored.push(current.clone());
                return current;
            }
            let mut rng = seed::rng(draw_seed, "pool", at as u64);
            if rng.random::<bool>() {
                let place = rng.random_range(0..self.capacity);
                return std::mem::replace(&mut self.stored[place], current);
            }
            current
        });
        let (sources, fakes) = chosen.map(|[source, fake]| (source, fake)).unzip();
        [Tensor::cat(sources, 0), Tensor::cat(fakes, 0)]
    }

    /// The stored pictures as tensors for a checkpoint, named `pool.INDEX.source` and `pool.INDEX.fake`.
    pub fn entries(&self) -> Vec<Entry> {
        let pairs = self.stored.iter().enumerate().flat_map(|(index, pair)| {
            ["source", "fake"].into_iter().zip(pair).map(move |(part, tensor)| {
                let tensor = tensor.clone();
                Entry {
                    name: format!("pool.{index:06}.{part}"),
                    shape: tensor.dims().to_vec(),
                    fetch: Box::new(move || tensor.into_data()),
                }
            })
        });
        pairs.collect()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn picture(value: f32) -> Tensor<4> {
        Tensor::full([1, 1, 1, 1], value, &Device::flex())
    }

    fn run(capacity: usize, count: u64) -> Vec<f32> {
        let mut pool = ImagePool::new(capacity);
        let given = (0..count).map(|step| {
            let [source, fake] = pool.query(picture(-(step as f32)), picture(step as f32), step);
            let (source, fake) = (source.into_scalar::<f32>(), fake.into_scalar::<f32>());
            assert_eq!(source, -fake, "source and fake stay together");
            fake
        });
        given.collect()
    }

    #[test]
    fn size_zero_passes_everything_through() {
        assert_eq!(run(0, 4), [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn a_full_pool_gives_earlier_pictures_about_half_of_the_time_and_each_only_once() {
        let given = run(10, 400);
        assert!(given[..10].iter().enumerate().all(|(step, &value)| value == step as f32));
        let earlier = given.iter().enumerate().filter(|(step, value)| **value != *step as f32).count();
        assert!((150..250).contains(&earlier), "{earlier} of 390");
        assert_eq!(given, run(10, 400));
    }
}
