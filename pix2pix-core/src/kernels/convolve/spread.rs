//! From the small side to the big one.

use super::{
    Output, Weights,
    blocks::{SLAB, part, steps},
};
use crate::kernels::{
    geometry::CHUNK,
    lanes::run,
    parallel::{Buffer, Shared, parallel, with_scratch},
    product::Product,
    transforms::{Block, Frame, Lift, PrepareAdjoint, Range, Read, Scatter, Write, apart},
};

impl<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> Frame<M, R, SIDE, HALF> {
    pub(super) fn spread(&self, from: Read, weights: Weights<'_>, mut to: Output<'_>) {
        begin(&mut to);
        let to = to.write();
        let kept = weights.kept.and_then(|kept| {
            let size = self.num_small() * self.num_big() * self.adjoint_size();
            if !self.is_worth_keeping(size) {
                return None;
            }
            kept.values([M, usize::from(HALF), 1], size, || self.prepare_adjoint(weights.values, Buffer::to_keep))
        });
        if self.by_tiles() {
            match kept {
                Some(kept) => self.spread_by_tiles(from, kept.as_ptr(), to),
                None => self.spread_by_tiles(from, self.prepare_adjoint(weights.values, Buffer::new).as_ptr(), to),
            }
        } else {
            self.spread_by_weights(from, weights.values, kept.as_ref().map(|kept| kept.as_ptr()), to);
        }
    }

    /// Points of the big side that some tiles and a chunk of the small side give, of which one chunk holds `stride` tiles: added
    /// to sums.
    unsafe fn into_big(sums: *mut f32, points: *const f32, tiles: [usize; 2], block: Block, prepared: *const f32) {
        let row = Self::row(block.num_big);
        let of_point = Self::small_row::<false>();
        let [num_tiles, stride] = tiles;
        let first = Product {
            c: sums,
            c_row: row,
            a: points,
            a_row: of_point,
            a_step: 1,
            b: prepared,
            b_step: row,
            rows: num_tiles,
            columns: row,
            depth: Self::small_depth(block.num_small),
            accumulate: block.small > 0,
        };
        let away = [apart(num_tiles * row), apart(stride * of_point), apart(Self::small_depth(CHUNK) * row)];
        // SAFETY: product, tile and block lie within what the callers below have set aside.
        unsafe { Self::multiply(first, away) }
    }

    fn spread_by_tiles(&self, from: Read, prepared: *const f32, to: Write) {
        let prepared = Shared::read(prepared);
        let size = self.tiles_in_cache().min(self.tiling.count);
        // Rows of tiles overlap with the next ones: bands that do not touch go together.
        let per_band = size.div_ceil(self.tiling.columns).max(Self::rows_apart());
        let bands = self.tiling.rows.div_ceil(per_band);
        let of_row = Self::small_row::<false>();
        let work = |picture: usize, band: usize| {
            let (row, rows) = part(band, per_band, self.tiling.rows);
            let base = (picture * self.tiling.rows + row) * self.tiling.columns;
            for (first, num_tiles) in steps(rows * self.tiling.columns, size) {
                let tile = base + first;
                let of_chunk = Self::all_points(num_tiles, of_row);
                let most = Self::row(Self::BIG.min(self.geometry.big_channels));
                let sizes = [self.num_small() * of_chunk, Self::all_points(num_tiles, most)];
                with_scratch(sizes, |[points, sums]| {
                    for chunk in 0..self.num_small() {
                        let (channel, num_channels) = self.small_part(chunk);
                        let range = Range { tile, num_tiles, channel, num_channels };
                        let point = apart(num_tiles * of_row);
                        // SAFETY: chunks lie one behind the other in this thread's memory.
                        unsafe {
                            let to = points.add(chunk * of_chunk);
                            run(Lift::<M, R, SIDE, HALF, false> { frame: *self, from, range, to, point });
                        }
                    }
                    for at in 0..self.num_big() {
                        for chunk in 0..self.num_small() {
                            let number = chunk * self.num_big() + at;
                            // SAFETY: as above; prepared weights lie block by block.
                            unsafe {
                                let points = points.add(chunk * of_chunk);
                                let prepared = prepared.get().add(number * self.adjoint_size());
                                Self::into_big(sums, points, [num_tiles; 2], self.block(chunk, at), prepared);
                            }
                        }
                        // SAFETY: threads have bands of their own.
                        unsafe { self.scatter(sums, [tile, num_tiles], at, to) };
                    }
                });
            }
        };
        for parity in 0..2 {
            let of_parity = (bands + 1 - parity) / 2;
            let count = self.geometry.batch * of_parity;
            parallel(count, |number| work(number / of_parity, number % of_parity * 2 + parity));
        }
    }

    unsafe fn scatter(&self, from: *const f32, tiles: [usize; 2], block: usize, to: Write) {
        let [tile, num_tiles] = tiles;
        let (channel, num_channels) = self.big_part(block);
        let strides = Self::strides(num_tiles, Self::row(num_channels));
        let range = Range { tile, num_tiles, channel, num_channels };
        // SAFETY: the caller's.
        unsafe { run(Scatter { frame: *self, from, strides, range, to }) };
    }

    fn spread_by_weights(&self, from: Read, weights: &[f32], kept: Option<*const f32>, to: Write) {
        let total = self.tiling.count;
        let held = self.tiles_held().min(total);
        let of_row = Self::small_row::<false>();
        let of_chunk = |num_tiles| Self::all_points(num_tiles, of_row);
        let mut points = Buffer::new(self.num_small() * of_chunk(held));
        let kept = kept.map(Shared::read);
        for (tile, num_tiles) in steps(total, held) {
            self.lift_all::<false>(from, [tile, num_tiles], &mut points);
            let points = Shared::new(points.as_mut_slice());
            // A thread has its channels of the big side for itself, and goes through all tiles.
            parallel(self.num_big(), |at| {
                let row = Self::row(self.big_part(at).1);
                let own = if kept.is_some() { 0 } else { self.adjoint_size() };
                for (first, count) in steps(num_tiles, SLAB) {
                    with_scratch([Self::all_points(count, row), own], |[sums, own]| {
                        for chunk in 0..self.num_small() {
                            let block = self.block(chunk, at);
                            // SAFETY: chunks lie one behind the other, products in each, tiles in these.
                            unsafe {
                                let prepared = match kept {
                                    Some(kept) => kept.get().add((chunk * self.num_big() + at) * self.adjoint_size()),
                                    None => {
                                        let (geometry, weights) = (self.geometry, weights.as_ptr());
                                        let to = own;
                                        run(PrepareAdjoint::<M, R, SIDE, HALF> { geometry, weights, block, to, row });
                                        own
                                    }
                                };
                                let points = points.get().add(chunk * of_chunk(num_tiles) + first * of_row);
                                Self::into_big(sums, points, [count, num_tiles], block, prepared);
                            }
                        }
                        // SAFETY: threads have channels of their own.
                        unsafe { self.scatter(sums, [tile + first, count], at, to) };
                    });
                }
            });
        }
    }

    /// Rows of tiles that a band needs so that the next but one does not touch what the band writes.
    const fn rows_apart() -> usize {
        (SIDE - 1).div_ceil(M)
    }
}

/// Sets every pixel to the bias, or to zero.
pub(super) fn begin(to: &mut Output<'_>) {
    let mut first = 0;
    for (part, channels) in to.parts.iter_mut().zip(to.channels) {
        if let Some(values) = part {
            match to.bias {
                Some(bias) => {
                    let bias = &bias[first..][..channels];
                    values.chunks_exact_mut(channels).for_each(|pixel| pixel.copy_from_slice(bias));
                }
                None => values.fill(0.0),
            }
        }
        first += channels;
    }
}
