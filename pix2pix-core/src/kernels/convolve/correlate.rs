//! From the big side to the small one.

use super::{
    Weights,
    blocks::{SLAB, part, steps},
};
use crate::kernels::{
    geometry::CHUNK,
    lanes::run,
    parallel::{Buffer, Shared, parallel, with_scratch},
    product::Product,
    transforms::{Block, Frame, Gather, Lower, Prepare, Range, Read, Write, apart},
};

impl<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> Frame<M, R, SIDE, HALF> {
    pub(super) fn correlate(&self, from: Read, weights: Weights<'_>, to: Write) {
        let kept = weights.kept.and_then(|kept| {
            let size = self.num_small() * self.num_big() * Self::PREPARED;
            if !self.is_worth_keeping(size) {
                return None;
            }
            kept.values([M, usize::from(HALF), 0], size, || self.prepare(weights.values, Buffer::to_keep))
        });
        if self.by_tiles() {
            match kept {
                Some(kept) => self.correlate_by_tiles(from, kept.as_ptr(), to),
                None => self.correlate_by_tiles(from, self.prepare(weights.values, Buffer::new).as_ptr(), to),
            }
        } else {
            self.correlate_by_weights(from, weights.values, kept.as_ref().map(|kept| kept.as_ptr()), to);
        }
    }

    /// Products of a block of weights with rows of points, of which one block holds `stride`, added to the sums of a chunk of
    /// the small side.
    unsafe fn into_small(sums: *mut f32, points: *const f32, rows: [usize; 2], block: Block, prepared: *const f32) {
        let depth = Self::depth(block.num_big);
        let [num_rows, stride] = rows;
        let first = Product {
            c: sums,
            c_row: CHUNK,
            a: points,
            a_row: depth,
            a_step: 1,
            b: prepared,
            b_step: CHUNK,
            rows: num_rows,
            columns: CHUNK,
            depth,
            accumulate: block.big > 0,
        };
        // SAFETY: product, tile and block lie within what the callers below have set aside.
        unsafe { Self::multiply(first, [apart(num_rows * CHUNK), apart(stride * depth), Self::weights_point(depth)]) }
    }

    fn correlate_by_tiles(&self, from: Read, prepared: *const f32, to: Write) {
        let prepared = Shared::read(prepared);
        let total = self.tiling.count;
        let size = self.tiles_in_cache().min(total);
        parallel(total.div_ceil(size), |number| {
            let (tile, num_tiles) = part(number, size, total);
            let of_block = Self::all_points(num_tiles, Self::depth(Self::BIG));
            let sizes = [self.num_big() * of_block, Self::all_points(num_tiles, CHUNK)];
            with_scratch(sizes, |[points, sums]| {
                for at in 0..self.num_big() {
                    let (channel, num_channels) = self.big_part(at);
                    let strides = Self::strides(num_tiles, Self::depth(num_channels));
                    let range = Range { tile, num_tiles, channel, num_channels };
                    // SAFETY: blocks lie one behind the other in this thread's memory.
                    unsafe {
                        let to = points.add(at * of_block);
                        run(Gather::<M, R, SIDE, HALF, false> { frame: *self, from, range, to, strides });
                    }
                }
                for chunk in 0..self.num_small() {
                    for at in 0..self.num_big() {
                        let number = chunk * self.num_big() + at;
                        // SAFETY: as above; prepared weights lie block by block.
                        unsafe {
                            let prepared = prepared.get().add(number * Self::PREPARED);
                            let points = points.add(at * of_block);
                            Self::into_small(sums, points, [num_tiles; 2], self.block(chunk, at), prepared);
                        }
                    }
                    let (channel, num_channels) = self.small_part(chunk);
                    let range = Range { tile, num_tiles, channel, num_channels };
                    let point = apart(num_tiles * CHUNK);
                    // SAFETY: threads have tiles of their own.
                    unsafe { run(Lower { frame: *self, from: sums, point, range, to }) };
                }
            });
        });
    }

    fn correlate_by_weights(&self, from: Read, weights: &[f32], kept: Option<*const f32>, to: Write) {
        let total = self.tiling.count;
        let held = self.tiles_held().min(total);
        let of_block = |num_tiles| Self::all_points(num_tiles, Self::depth(Self::BIG));
        let mut points = Buffer::new(self.num_big() * of_block(held));
        let kept = kept.map(Shared::read);
        for (tile, num_tiles) in steps(total, held) {
            self.gather_all::<false>(from, [tile, num_tiles], &mut points);
            let points = Shared::new(points.as_mut_slice());
            let slabs = num_tiles.div_ceil(SLAB);
            parallel(self.num_small() * slabs, |number| {
                let chunk = number / slabs;
                let (first, count) = part(number % slabs, SLAB, num_tiles);
                let own = if kept.is_some() { 0 } else { Self::PREPARED };
                with_scratch([Self::all_points(count, CHUNK), own], |[sums, own]| {
                    for at in 0..self.num_big() {
                        let block = self.block(chunk, at);
                        // SAFETY: blocks of points lie one behind the other, products in each, tiles in these.
                        unsafe {
                            let prepared = match kept {
                                Some(kept) => kept.get().add((chunk * self.num_big() + at) * Self::PREPARED),
                                None => {
                                    let (geometry, weights) = (self.geometry, weights.as_ptr());
                                    run(Prepare::<M, R, SIDE, HALF> { geometry, weights, block, to: own });
                                    own
                                }
                            };
                            let offset = at * of_block(num_tiles) + first * Self::depth(block.num_big);
                            let points = points.get().add(offset);
                            Self::into_small(sums, points, [count, num_tiles], block, prepared);
                        }
                    }
                    let (channel, num_channels) = self.small_part(chunk);
                    let range = Range { tile: tile + first, num_tiles: count, channel, num_channels };
                    // SAFETY: threads have channels and tiles of their own.
                    unsafe { run(Lower { frame: *self, from: sums, point: apart(count * CHUNK), range, to }) };
                });
            });
        }
    }
}
