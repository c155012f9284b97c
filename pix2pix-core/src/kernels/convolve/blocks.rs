//! How the work of a convolution is cut for caches and threads.

use crate::kernels::{
    geometry::CHUNK,
    lanes::{run, run_pairs},
    parallel::{Buffer, Shared, parallel},
    product::Product,
    transforms::{Block, Frame, Gather, Lift, Prepare, PrepareAdjoint, Range, Read, Strides, apart},
};

/// Floats of points that a thread keeps in its cache at a time.
const CACHE: usize = 96 * 1024;
/// Most tiles that meet one block of weights in cache.
pub(super) const SLAB: usize = 64;
/// Floats of points that are held at once for all threads together.
const HELD: usize = 16 * 1024 * 1024;
/// Transformed weights beyond this many floats are not worth passing through memory.
const MOST_PREPARED: usize = 2 * 1024 * 1024;
/// Kept weights that are this many times as long as the weights themselves are not worth it.
const MOST_KEPT: f64 = 2.5;
/// Tiles that one thread transforms at a time.
const TRANSFORMED: usize = 16;
const _: () = assert!(TRANSFORMED.is_multiple_of(2), "pairs of tiles do not cross threads");

/// Numbers from `start` in steps, each with what is left up to the step.
pub(super) fn steps(total: usize, step: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..total).step_by(step).map(move |start| (start, step.min(total - start)))
}

/// A part of `total`, by number.
pub(super) fn part(number: usize, step: usize, total: usize) -> (usize, usize) {
    let start = number * step;
    (start, step.min(total - start))
}

impl<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> Frame<M, R, SIDE, HALF> {
    /// Channels of the big side in a block of weights: a block of points fits half of a cache.
    pub(super) const BIG: usize = if Self::PHASES == 4 { 16 } else { 32 };
    /// Floats of a block of transformed weights.
    pub(super) const PREPARED: usize = SIDE * SIDE * Self::weights_point(Self::depth(Self::BIG));

    pub(super) fn num_big(&self) -> usize {
        self.geometry.big_channels.div_ceil(Self::BIG)
    }

    pub(super) fn num_small(&self) -> usize {
        self.geometry.small_channels.div_ceil(CHUNK)
    }

    /// First channel and number of channels of a block of the big side.
    pub(super) fn big_part(&self, number: usize) -> (usize, usize) {
        part(number, Self::BIG, self.geometry.big_channels)
    }

    /// The same of a chunk of the small side.
    pub(super) fn small_part(&self, number: usize) -> (usize, usize) {
        part(number, CHUNK, self.geometry.small_channels)
    }

    pub(super) fn block(&self, small: usize, big: usize) -> Block {
        let ((small, num_small), (big, num_big)) = (self.small_part(small), self.big_part(big));
        Block { small, num_small, big, num_big }
    }

    /// Where points of the big side lie: `[point, row, phase, channel]`.
    pub(super) const fn strides(num_rows: usize, row: usize) -> Strides {
        Strides { point: apart(num_rows * row), tile: row }
    }

    /// Runs a product of all points.
    ///
    /// # Safety
    /// All matrices lie in memory, `c` in memory that no other thread touches; from one product to the next they are
    /// `[c, a, b]` floats away.
    pub(super) unsafe fn multiply(first: Product<HALF>, away: [usize; 3]) {
        let [of_c, of_a, of_b] = away;
        for number in 0..Self::PRODUCTS {
            // SAFETY: the caller's.
            unsafe {
                let product = Product {
                    c: first.c.add(number * of_c),
                    a: first.a.add(number * of_a),
                    b: first.b.add(number * of_b),
                    ..first
                };
                if HALF { run_pairs(product) } else { run(product) }
            }
        }
    }

    /// All transformed weights for `correlate`, block by block.
    pub(super) fn prepare(&self, weights: &[f32], memory: impl Fn(usize) -> Buffer) -> Buffer {
        self.all_blocks(memory, Self::PREPARED, |block, to| {
            let (geometry, weights) = (self.geometry, weights.as_ptr());
            // SAFETY: blocks lie within the weights, and each has a place of its own.
            unsafe { run(Prepare::<M, R, SIDE, HALF> { geometry, weights, block, to }) };
        })
    }

    /// The same for `spread`.
    pub(super) fn prepare_adjoint(&self, weights: &[f32], memory: impl Fn(usize) -> Buffer) -> Buffer {
        self.all_blocks(memory, self.adjoint_size(), |block, to| {
            let (geometry, weights, row) = (self.geometry, weights.as_ptr(), Self::row(block.num_big));
            // SAFETY: as above.
            unsafe { run(PrepareAdjoint::<M, R, SIDE, HALF> { geometry, weights, block, to, row }) };
        })
    }

    /// A buffer in which every block of weights has `size` floats, that `work` writes.
    fn all_blocks(
        &self,
        memory: impl Fn(usize) -> Buffer,
        size: usize,
        work: impl Fn(Block, *mut f32) + Sync + Send,
    ) -> Buffer {
        let (num_small, num_big) = (self.num_small(), self.num_big());
        let mut buffer = memory(num_small * num_big * size);
        let shared = Shared::new(buffer.as_mut_slice());
        parallel(num_small * num_big, |number| {
            // SAFETY: the buffer has this many places.
            let to = unsafe { shared.get().add(number * size) };
            work(self.block(number / num_big, number % num_big), to);
        });
        buffer
    }

    /// Floats of a row of points that a product writes.
    pub(super) fn row(num_big: usize) -> usize {
        Self::values(num_big).next_multiple_of(CHUNK)
    }

    /// Floats of a block of transformed weights for `spread`.
    pub(super) fn adjoint_size(&self) -> usize {
        let row = Self::row(Self::BIG.min(self.geometry.big_channels));
        Self::PRODUCTS * apart(Self::small_depth(CHUNK) * row)
    }

    /// Floats of the points of a tile on both sides.
    fn points_of_tile(&self) -> [usize; 2] {
        [Self::depth(self.geometry.big_channels), Self::small_depth(CHUNK) * self.num_small()]
            .map(|floats| floats * Self::PRODUCTS)
    }

    /// Tiles that fit a cache with all their channels.
    pub(super) fn tiles_in_cache(&self) -> usize {
        let [big, small] = self.points_of_tile();
        (CACHE / (big + small)).next_multiple_of(12).clamp(12, 240)
    }

    /// Whether threads take tiles rather than weights.
    pub(super) fn by_tiles(&self) -> bool {
        self.tiling.count >= 32 && self.num_small() * self.num_big() * Self::PREPARED <= MOST_PREPARED
    }

    /// Whether kept weights of so many floats are read faster than weights are transformed: what threads go through by weights
    /// comes from memory, and there points must not be many more than taps.
    pub(super) fn is_worth_keeping(&self, floats: usize) -> bool {
        self.by_tiles() || floats as f64 <= MOST_KEPT * self.geometry.num_weights() as f64
    }

    /// Tiles whose points are held at once.
    pub(super) fn tiles_held(&self) -> usize {
        let [big, small] = self.points_of_tile();
        (HELD / big.max(small)).next_multiple_of(SLAB).max(SLAB)
    }

    /// Points of the big side for some tiles, `[block, point, row, phase, channel]`; a row is a tile or two.
    pub(super) fn gather_all<const OVER_TILES: bool>(&self, from: Read, tiles: [usize; 2], to: &mut Buffer) {
        let shared = Shared::new(to.as_mut_slice());
        let [tile, num_tiles] = tiles;
        let (groups, num_rows) = (num_tiles.div_ceil(TRANSFORMED), Self::rows_of::<OVER_TILES>(num_tiles));
        parallel(groups * self.num_big(), |number| {
            let (block, group) = (number / groups, number % groups);
            let (channel, num_channels) = self.big_part(block);
            let (first, count) = part(group, TRANSFORMED, num_tiles);
            let strides = Self::strides(num_rows, Self::big_row::<OVER_TILES>(num_channels));
            let range = Range { tile: tile + first, num_tiles: count, channel, num_channels };
            let block = block * Self::all_points(num_rows, Self::big_row::<OVER_TILES>(Self::BIG));
            let offset = block + Self::rows_of::<OVER_TILES>(first) * strides.tile;
            // SAFETY: every block and tile has a place of its own.
            unsafe {
                let to = shared.get().add(offset);
                run(Gather::<M, R, SIDE, HALF, OVER_TILES> { frame: *self, from, range, to, strides });
            }
        });
    }

    /// Points of the small side for some tiles, `[chunk, point, row, channel]`.
    pub(super) fn lift_all<const OVER_TILES: bool>(&self, from: Read, tiles: [usize; 2], to: &mut Buffer) {
        let shared = Shared::new(to.as_mut_slice());
        let [tile, num_tiles] = tiles;
        let (groups, num_rows) = (num_tiles.div_ceil(TRANSFORMED), Self::rows_of::<OVER_TILES>(num_tiles));
        let row = Self::small_row::<OVER_TILES>();
        parallel(groups * self.num_small(), |number| {
            let (chunk, group) = (number / groups, number % groups);
            let (channel, num_channels) = self.small_part(chunk);
            let (first, count) = part(group, TRANSFORMED, num_tiles);
            let range = Range { tile: tile + first, num_tiles: count, channel, num_channels };
            let offset = chunk * Self::all_points(num_rows, row) + Self::rows_of::<OVER_TILES>(first) * row;
            // SAFETY: every chunk and tile has a place of its own.
            unsafe {
                let to = shared.get().add(offset);
                run(Lift::<M, R, SIDE, HALF, OVER_TILES> {
                    frame: *self,
                    from,
                    range,
                    to,
                    point: apart(num_rows * row),
                });
            }
        });
    }

    /// Rows of points that some tiles make.
    pub(super) const fn rows_of<const OVER_TILES: bool>(num_tiles: usize) -> usize {
        if HALF && OVER_TILES { num_tiles.div_ceil(2) } else { num_tiles }
    }

    /// Floats of a row of points over channels of the big side.
    pub(super) const fn big_row<const OVER_TILES: bool>(num_channels: usize) -> usize {
        if OVER_TILES { Self::values(num_channels) } else { Self::depth(num_channels) }
    }

    /// Floats of a row of points of a chunk of the small side.
    pub(super) const fn small_row<const OVER_TILES: bool>() -> usize {
        if HALF && !OVER_TILES { CHUNK / 2 } else { CHUNK }
    }

    /// Floats of all points of some channels.
    pub(super) const fn all_points(num_rows: usize, row: usize) -> usize {
        Self::PRODUCTS * apart(num_rows * row)
    }
}
