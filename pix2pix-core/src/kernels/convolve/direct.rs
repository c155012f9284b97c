//! The direct algorithm, for layers with few outputs: these are mostly weights, which are used where they lie.

use super::{
    Learned, Output,
    blocks::{SLAB, steps},
    spread::begin,
    weigh::Destination,
};
use crate::kernels::{
    geometry::{CHUNK, Geometry, TAPS, Tiling},
    lanes::run,
    parallel::{Buffer, Shared, parallel, with_scratch},
    product::{Dots, Product},
    transforms::{Fold, Put, Range, Read, Take, Unfold, Write, apart},
};

/// Floats of a row of weights that are used together.
const DEPTH: usize = 2048;
/// Channels of the big side for one thread.
const BLOCK: usize = 64;
/// Rows that a product takes at a time: of weights where there are few outputs, of the gradient.
const ROWS: usize = 12;
/// Outputs that one thread takes apart.
const TAKEN: usize = 4;

/// One convolution.
#[derive(Clone, Copy)]
pub(super) struct Direct {
    geometry: Geometry,
    tiling: Tiling,
}

impl Direct {
    pub fn new(geometry: Geometry) -> Self {
        Self { geometry, tiling: Tiling::new(&geometry, 1) }
    }

    /// Floats of a row of weights.
    fn depth(&self) -> usize {
        self.geometry.big_channels * TAPS
    }

    /// What lies under the kernel for all outputs, and the floats from one to the next.
    fn unfold(&self, from: Read) -> (Buffer, usize) {
        let row = apart(self.depth());
        self.rows(row, |tile, num_tiles, to| {
            let range = Range { tile, num_tiles, channel: 0, num_channels: self.geometry.big_channels };
            // SAFETY: every output has a row of its own.
            unsafe { run(Unfold { geometry: self.geometry, tiling: self.tiling, from, range, to, row }) };
        })
    }

    /// The values of all outputs, and the floats from one to the next.
    fn take(&self, from: Read) -> (Buffer, usize) {
        let row = apart(self.geometry.small_channels);
        self.rows(row, |tile, num_tiles, to| {
            let range = Range { tile, num_tiles, channel: 0, num_channels: self.geometry.small_channels };
            // SAFETY: as above.
            unsafe { run(Take { from, range, to, row }) };
        })
    }

    fn rows(&self, row: usize, work: impl Fn(usize, usize, *mut f32) + Sync + Send) -> (Buffer, usize) {
        let total = self.tiling.count;
        let mut buffer = Buffer::new(total * row);
        let shared = Shared::new(buffer.as_mut_slice());
        parallel(total.div_ceil(TAKEN), |number| {
            let tile = number * TAKEN;
            // SAFETY: the buffer has a row for every output.
            let to = unsafe { shared.get().add(tile * row) };
            work(tile, TAKEN.min(total - tile), to);
        });
        (buffer, row)
    }

    pub fn correlate(&self, from: Read, weights: &[f32], to: Write) {
        let (total, depth) = (self.tiling.count, self.depth());
        let (taps, row) = self.unfold(from);
        let (taps, weights) = (Shared::read(taps.as_ptr()), Shared::read(weights.as_ptr()));
        parallel(self.geometry.small_channels.div_ceil(CHUNK), |chunk| {
            let channel = chunk * CHUNK;
            let num_channels = CHUNK.min(self.geometry.small_channels - channel);
            with_scratch([total * CHUNK], |[sums]| {
                for (first, count) in steps(depth, DEPTH) {
                    // SAFETY: rows of taps and of weights are `depth` long, sums this thread's.
                    unsafe {
                        run(Dots {
                            c: sums,
                            c_row: CHUNK,
                            a: taps.get().add(first),
                            a_row: row,
                            b: weights.get().add(channel * depth + first),
                            b_row: depth,
                            rows: total,
                            columns: num_channels,
                            depth: count,
                            accumulate: first > 0,
                        });
                    }
                }
                let range = Range { tile: 0, num_tiles: total, channel, num_channels };
                // SAFETY: threads have channels of their own.
                unsafe { run(Put { from: sums, row: CHUNK, range, to }) };
            });
        });
    }

    pub fn spread(&self, from: Read, weights: &[f32], mut to: Output<'_>) {
        begin(&mut to);
        let to = to.write();
        let (total, depth) = (self.tiling.count, self.depth());
        let (values, row) = self.take(from);
        let (values, weights) = (Shared::read(values.as_ptr()), Shared::read(weights.as_ptr()));
        parallel(self.geometry.big_channels.div_ceil(BLOCK), |block| {
            let channel = block * BLOCK;
            let num_channels = BLOCK.min(self.geometry.big_channels - channel);
            let sums_row = apart(BLOCK * TAPS);
            let at_once = if total <= ROWS { ROWS } else { CHUNK };
            for (tile, num_tiles) in steps(total, SLAB) {
                with_scratch([num_tiles * sums_row], |[sums]| {
                    for (small, count) in steps(self.geometry.small_channels, at_once) {
                        // SAFETY: rows of values are as long as the small side has channels, sums this thread's; of weights, rows
                        // and channels lie within.
                        unsafe {
                            run(Product::<false> {
                                c: sums,
                                c_row: sums_row,
                                a: values.get().add(tile * row + small),
                                a_row: row,
                                a_step: 1,
                                b: weights.get().add(small * depth + channel * TAPS),
                                b_step: depth,
                                rows: num_tiles,
                                columns: num_channels * TAPS,
                                depth: count,
                                accumulate: small > 0,
                            });
                        }
                    }
                    let (geometry, tiling) = (self.geometry, self.tiling);
                    let range = Range { tile, num_tiles, channel, num_channels };
                    // SAFETY: threads have channels of their own.
                    unsafe { run(Fold { geometry, tiling, from: sums, row: sums_row, range, to }) };
                });
            }
        });
    }

    pub fn weigh(&self, big: Read, small: Read, weights: Learned<'_>) {
        let (total, depth) = (self.tiling.count, self.depth());
        let ((taps, taps_row), (values, values_row)) = (self.unfold(big), self.take(small));
        let (taps, values) = (Shared::read(taps.as_ptr()), Shared::read(values.as_ptr()));
        let to = Destination::new(weights);
        let (num_big, num_small) =
            (self.geometry.big_channels.div_ceil(BLOCK), self.geometry.small_channels.div_ceil(CHUNK));
        parallel(num_big * num_small, |number| {
            let (channel, small) = (number % num_big * BLOCK, number / num_big * CHUNK);
            let columns = BLOCK.min(self.geometry.big_channels - channel) * TAPS;
            let row = apart(BLOCK * TAPS);
            with_scratch([ROWS * row], |[gradient]| {
                for (first, count) in steps(CHUNK.min(self.geometry.small_channels - small), ROWS) {
                    // SAFETY: rows of taps are `depth` long, those of values as long as the small side has channels; every block has its own weights.
                    unsafe {
                        run(Product::<false> {
                            c: gradient,
                            c_row: row,
                            a: values.get().add(small + first),
                            a_row: 1,
                            a_step: values_row,
                            b: taps.get().add(channel * TAPS),
                            b_step: taps_row,
                            rows: count,
                            columns,
                            depth: total,
                            accumulate: false,
                        });
                        for at in 0..count {
                            let first = (small + first + at) * depth + channel * TAPS;
                            to.take(gradient.add(at * row), first, columns);
                        }
                    }
                }
            });
        });
    }
}
