//! Both sides to the gradient of the weights.

use super::{Learned, blocks::steps};
use crate::kernels::{
    AdamRates,
    adam::Update,
    geometry::{CHUNK, TAPS},
    lanes::run,
    parallel::{Buffer, Shared, parallel, with_scratch},
    product::Product,
    transforms::{Block, Finish, Frame, Read, apart},
};

/// Floats from one channel to the next in a block of gradients that is still to be used.
const ROW: usize = apart(CHUNK * TAPS);

impl<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> Frame<M, R, SIDE, HALF> {
    pub(super) fn weigh(&self, big: Read, small: Read, weights: Learned<'_>) {
        let (num_small, num_big) = (self.num_small(), self.num_big());
        let total = self.tiling.count;
        let held = self.tiles_held().min(total);
        let at_once = held >= total;
        let of_weights = SIDE * SIDE * Self::weights_point(Self::values(Self::BIG));
        let sizes = |num_tiles: usize| {
            let num_rows = Self::rows_of::<true>(num_tiles);
            [Self::all_points(num_rows, Self::values(Self::BIG)), Self::all_points(num_rows, CHUNK)]
        };
        let [of_block, of_chunk] = sizes(held);
        let (mut of_big, mut of_small) = (Buffer::new(num_big * of_block), Buffer::new(num_small * of_chunk));
        let mut sums = Buffer::new(if at_once { 0 } else { num_small * num_big * of_weights });
        let sums = Shared::new(sums.as_mut_slice());
        let to = Destination::new(weights);
        for (tile, num_tiles) in steps(total, held) {
            self.gather_all::<true>(big, [tile, num_tiles], &mut of_big);
            self.lift_all::<true>(small, [tile, num_tiles], &mut of_small);
            let (of_big, of_small) = (Shared::new(of_big.as_mut_slice()), Shared::new(of_small.as_mut_slice()));
            let [of_block, of_chunk] = sizes(num_tiles);
            let num_rows = Self::rows_of::<true>(num_tiles);
            parallel(num_small * num_big, |number| {
                let (chunk, at) = (number / num_big, number % num_big);
                let block = self.block(chunk, at);
                let depth = Self::values(block.num_big);
                with_scratch([if at_once { of_weights } else { 0 }, CHUNK * ROW], |[own, gradient]| {
                    // SAFETY: every block has its own sums and weights; blocks and chunks of points lie one behind the other,
                    // products in each, tiles in these.
                    unsafe {
                        let sums = if at_once { own } else { sums.get().add(number * of_weights) };
                        let first = Product {
                            c: sums,
                            c_row: CHUNK,
                            a: of_big.get().add(at * of_block),
                            a_row: 1,
                            a_step: depth,
                            b: of_small.get().add(chunk * of_chunk),
                            b_step: CHUNK,
                            rows: depth,
                            columns: CHUNK,
                            depth: num_rows,
                            accumulate: tile > 0,
                        };
                        let away = [Self::weights_point(depth), apart(num_rows * depth), apart(num_rows * CHUNK)];
                        Self::multiply(first, away);
                        if tile + num_tiles == total {
                            self.finish(sums, block, &to, gradient);
                        }
                    }
                });
            });
        }
    }

    /// Takes the sums of a block of weights to their gradient, and that to where it goes; `scratch` holds `CHUNK * ROW`.
    unsafe fn finish(&self, sums: *const f32, block: Block, to: &Destination, scratch: *mut f32) {
        let stride = self.geometry.big_channels * TAPS;
        let first = block.small * stride + block.big * TAPS;
        // SAFETY: the caller's; the block lies within the weights.
        unsafe {
            match to {
                Destination::Gradient(values) => {
                    let to = values.get().add(first);
                    run(Finish::<M, R, SIDE, HALF> { from: sums, block, to, stride });
                }
                Destination::Adam { .. } => {
                    run(Finish::<M, R, SIDE, HALF> { from: sums, block, to: scratch, stride: ROW });
                    for channel in 0..block.num_small {
                        let (gradient, first) = (scratch.add(channel * ROW), first + channel * stride);
                        to.take(gradient, first, block.num_big * TAPS);
                    }
                }
            }
        }
    }
}

/// [`Learned`], shared between threads.
pub(super) enum Destination {
    Gradient(Shared),
    Adam { values: Shared, moments: [Shared; 2], rates: AdamRates },
}

impl Destination {
    pub fn new(weights: Learned<'_>) -> Self {
        match weights {
            Learned::Gradient(values) => Self::Gradient(Shared::new(values)),
            Learned::Adam { values, moments, rates } => {
                Self::Adam { values: Shared::new(values), moments: moments.map(Shared::new), rates }
            }
        }
    }

    /// The gradient of `count` weights from `first` on.
    ///
    /// # Safety
    /// The weights from `first` to `first + count` exist, no other thread has them, and the gradient is as long.
    pub unsafe fn take(&self, gradient: *const f32, first: usize, count: usize) {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Self::Gradient(values) => values.get().add(first).copy_from_nonoverlapping(gradient, count),
                Self::Adam { values, moments: [first_moment, second_moment], rates } => run(Update {
                    values: values.get().add(first),
                    gradient,
                    first: first_moment.get().add(first),
                    second: second_moment.get().add(first),
                    count,
                    rates: *rates,
                }),
            }
        }
    }
}
