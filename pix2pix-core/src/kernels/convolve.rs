//! Convolutions, transposed convolutions and their gradients, as three passes of one bilinear algorithm.
//!
//! [`correlate`] goes from the big side to the small one (a convolution; the gradient of a transposed one), [`spread`] back (a
//! transposed convolution; the gradient of a convolution), [`weigh`] meets both in the gradient of the weights. Where there are
//! many tiles, a thread takes some of them through all steps while they stay in its cache; where there are few, and many
//! weights, it takes some of the weights. Every value is summed by one thread in one order, so results do not depend on their
//! number.

use super::{
    geometry::{CHUNK, Geometry, KERNEL},
    lanes::run,
    parallel::{Buffer, Shared, parallel, with_scratch},
    product::Product,
    transforms::{
        BigRead, BigWrite, Block, Finish, Frame, Gather, Lift, Lower, Parts, Prepare, PrepareAdjoint, Range, Scatter,
        SmallRead, SmallWrite, Strides, apart,
    },
};

/// Floats of points that a thread keeps in its cache at a time.
const CACHE: usize = 96 * 1024;
/// Most tiles that meet one block of weights in cache.
const SLAB: usize = 64;
/// Floats of points that are held at once for all threads together.
const HELD: usize = 16 * 1024 * 1024;
/// Transformed weights beyond this many floats are not worth passing through memory.
const MOST_PREPARED: usize = 2 * 1024 * 1024;
/// Tiles that one thread transforms at a time.
const TRANSFORMED: usize = 16;

/// Values on one side, channels last, in one tensor or two.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// First the values of the first channels, then of the others, where these lie in a tensor of their own.
    pub parts: [&'a [f32]; 2],
    /// Channels of each part.
    pub channels: [usize; 2],
    /// What is read is `max(x, slope * x)`: 1 leaves values as they are, 0 is a ReLU.
    pub slope: f32,
}

impl<'a> Input<'a> {
    /// One tensor.
    pub fn one(values: &'a [f32], channels: usize, slope: f32) -> Self {
        Self { parts: [values, &[]], channels: [channels, 0], slope }
    }

    fn small(self) -> SmallRead {
        let [first, second] = self.parts.map(<[f32]>::as_ptr);
        let [num_first, num_second] = self.channels;
        SmallRead { parts: Parts { first, second, num_first, num_second }, slope: self.slope }
    }

    fn big(self) -> BigRead {
        assert_eq!(self.channels[1], 0, "the big side lies in one tensor");
        BigRead { values: self.parts[0].as_ptr(), slope: self.slope }
    }

    fn check(&self, len: usize, channels: usize) {
        let [first, second] = self.channels;
        assert_eq!(first + second, channels, "channels of an input");
        let pixels = len / channels;
        assert_eq!(self.parts[0].len(), pixels * first, "values of an input");
        assert_eq!(self.parts[1].len(), pixels * second, "values of an input");
    }
}

/// Values to be written, channels last, in one tensor or two.
#[derive(Debug)]
pub struct Output<'a> {
    /// As in [`Input`].
    pub parts: [&'a mut [f32]; 2],
    /// Channels of each part.
    pub channels: [usize; 2],
    /// What is written is a gradient and goes through the activation of this input.
    pub before: Option<Input<'a>>,
    /// Added to each channel. Not together with `before`.
    pub bias: Option<&'a [f32]>,
}

impl<'a> Output<'a> {
    /// One tensor.
    pub fn one(values: &'a mut [f32], channels: usize) -> Self {
        Self { parts: [values, &mut []], channels: [channels, 0], before: None, bias: None }
    }

    fn check(&self, len: usize, channels: usize) {
        let [first, second] = self.channels;
        assert_eq!(first + second, channels, "channels of an output");
        let pixels = len / channels;
        assert_eq!(self.parts[0].len(), pixels * first, "values of an output");
        assert_eq!(self.parts[1].len(), pixels * second, "values of an output");
        if let Some(before) = &self.before {
            before.check(len, channels);
            assert_eq!(before.channels, self.channels, "a gradient has the parts of its input");
        }
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), channels, "one bias for each channel");
            assert!(self.before.is_none(), "a gradient has no bias");
        }
    }
}

macro_rules! with_scheme {
    ($geometry:expr, $tile:expr, $pass:ident($($argument:expr),*)) => {
        match ($geometry.stride, $tile) {
            (2, 1) => $pass::<1, 2, 2>($($argument),*),
            (2, 2) => $pass::<2, 2, 3>($($argument),*),
            (2, 4) => $pass::<4, 2, 5>($($argument),*),
            (1, 1) => $pass::<1, 4, 4>($($argument),*),
            (1, 4) => $pass::<4, 4, 7>($($argument),*),
            (stride, tile) => panic!("no algorithm for stride {stride} and {tile} outputs per tile"),
        }
    };
}

/// From the big side to the small one.
///
/// # Shapes
/// - `big`: `[batch, height, width, big_channels]`
/// - `weights`: `[small_channels, big_channels, 4, 4]`
/// - `small`: `[batch, height', width', small_channels]`, overwritten
///
/// # Panics
/// When lengths do not fit the geometry, or `tile` is none of the algorithms (1, 2, 4 for stride 2; 1, 4 for stride 1).
pub fn correlate(geometry: &Geometry, tile: usize, big: Input<'_>, weights: &[f32], small: Output<'_>) {
    big.check(geometry.big_len(), geometry.big_channels);
    small.check(geometry.small_len(), geometry.small_channels);
    assert_eq!(weights.len(), geometry.num_weights(), "number of weights");
    with_scheme!(geometry, tile, correlate_by(geometry, big, weights, small));
}

/// From the small side to the big one: the adjoint of [`correlate`]. Shapes and panics as there; `big` is overwritten.
pub fn spread(geometry: &Geometry, tile: usize, small: Input<'_>, weights: &[f32], big: Output<'_>) {
    small.check(geometry.small_len(), geometry.small_channels);
    big.check(geometry.big_len(), geometry.big_channels);
    assert_eq!(big.channels[1], 0, "the big side lies in one tensor");
    assert_eq!(weights.len(), geometry.num_weights(), "number of weights");
    with_scheme!(geometry, tile, spread_by(geometry, small, weights, big));
}

/// The gradient of the weights, from both sides: of one the values, of the other the gradient. Shapes and panics as in
/// [`correlate`]; `weights` is overwritten.
pub fn weigh(geometry: &Geometry, tile: usize, big: Input<'_>, small: Input<'_>, weights: &mut [f32]) {
    big.check(geometry.big_len(), geometry.big_channels);
    small.check(geometry.small_len(), geometry.small_channels);
    assert_eq!(weights.len(), geometry.num_weights(), "number of weights");
    with_scheme!(geometry, tile, weigh_by(geometry, big, small, weights));
}

/// Numbers from `start` in steps, each with what is left up to the step.
fn steps(total: usize, step: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..total).step_by(step).map(move |start| (start, step.min(total - start)))
}

/// A part of `total`, by number.
fn part(number: usize, step: usize, total: usize) -> (usize, usize) {
    let start = number * step;
    (start, step.min(total - start))
}

/// How the channels of the big side are cut for one algorithm.
impl<const M: usize, const R: usize, const SIDE: usize> Frame<M, R, SIDE> {
    /// Channels of the big side in a block of weights: a block of points fits half of a cache.
    const BIG: usize = if Self::PHASES == 4 { 16 } else { 32 };
    /// Floats of a block of transformed weights.
    const PREPARED: usize = SIDE * SIDE * Self::prepared_point(Self::BIG);

    fn num_big(&self) -> usize {
        self.geometry.big_channels.div_ceil(Self::BIG)
    }

    fn num_small(&self) -> usize {
        self.geometry.small_channels.div_ceil(CHUNK)
    }

    /// Where points of the big side lie: `[point, tile, phase, channel]`, or all points within a tile when they are merged.
    fn strides(num_tiles: usize, num_channels: usize, row: usize) -> Strides {
        if Self::MERGED {
            Strides { point: Self::PHASES * num_channels, tile: row }
        } else {
            Strides { point: apart(num_tiles * row), tile: row }
        }
    }

    fn block(&self, small: usize, big: usize) -> Block {
        let (small, num_small) = part(small, CHUNK, self.geometry.small_channels);
        let (big, num_big) = part(big, Self::BIG, self.geometry.big_channels);
        Block { small, num_small, big, num_big }
    }

    /// All transformed weights for [`correlate`], block by block.
    fn prepare(&self, weights: &[f32]) -> Buffer {
        let (num_small, num_big) = (self.num_small(), self.num_big());
        let mut buffer = Buffer::new(num_small * num_big * Self::PREPARED);
        let shared = Shared::new(buffer.as_mut_slice());
        parallel(num_small * num_big, |number| {
            let block = self.block(number / num_big, number % num_big);
            // SAFETY: every block has a place of its own.
            let to = unsafe { shared.get().add(number * Self::PREPARED) };
            run(Prepare::<M, R, SIDE> { geometry: self.geometry, weights: weights.as_ptr(), block, to });
        });
        buffer
    }

    /// The same for [`spread`].
    fn prepare_adjoint(&self, weights: &[f32]) -> Buffer {
        let (num_small, num_big) = (self.num_small(), self.num_big());
        let size = self.adjoint_size();
        let mut buffer = Buffer::new(num_small * num_big * size);
        let shared = Shared::new(buffer.as_mut_slice());
        parallel(num_small * num_big, |number| {
            let block = self.block(number / num_big, number % num_big);
            // SAFETY: every block has a place of its own.
            let to = unsafe { shared.get().add(number * size) };
            let row = Self::row(block.num_big);
            run(PrepareAdjoint::<M, R, SIDE> { geometry: self.geometry, weights: weights.as_ptr(), block, to, row });
        });
        buffer
    }

    /// Floats of a row of points that a product writes.
    fn row(num_big: usize) -> usize {
        Self::depth(num_big).next_multiple_of(CHUNK)
    }

    fn adjoint_size(&self) -> usize {
        Self::PRODUCTS * apart(CHUNK * Self::row(Self::BIG.min(self.geometry.big_channels)))
    }

    /// Tiles that fit a cache with all their channels.
    fn tiles_in_cache(&self) -> usize {
        let of_big = Self::depth(self.geometry.big_channels) * Self::PRODUCTS;
        let of_small = self.geometry.small_channels * Self::PRODUCTS;
        (CACHE / (of_big + of_small)).next_multiple_of(12).clamp(12, 240)
    }

    /// Whether threads take tiles rather than weights.
    fn by_tiles(&self) -> bool {
        self.tiling.count >= 32 && self.num_small() * self.num_big() * Self::PREPARED <= MOST_PREPARED
    }

    /// Tiles whose points are held at once.
    fn tiles_held(&self) -> usize {
        let of_big = Self::depth(self.geometry.big_channels) * Self::PRODUCTS;
        let of_small = self.geometry.small_channels * Self::PRODUCTS;
        (HELD / of_big.max(of_small)).next_multiple_of(SLAB).max(SLAB)
    }

    /// Points of the big side for some tiles, `[block, point, tile, phase, channel]`.
    fn gather_all(&self, from: BigRead, tile: usize, num_tiles: usize, buffer: &mut Buffer) {
        let shared = Shared::new(buffer.as_mut_slice());
        let groups = num_tiles.div_ceil(TRANSFORMED);
        parallel(groups * self.num_big(), |number| {
            let (channel, num_channels) = part(number / groups, Self::BIG, self.geometry.big_channels);
            let (first, count) = part(number % groups, TRANSFORMED, num_tiles);
            let strides = Self::strides(num_tiles, num_channels, Self::depth(num_channels));
            // SAFETY: every block and tile has a place of its own.
            let to = unsafe { shared.get().add(number / groups * Self::big_block(num_tiles) + first * strides.tile) };
            let range = Range { tile: tile + first, num_tiles: count, channel, num_channels };
            run(Gather { frame: *self, from, range, to, strides });
        });
    }

    /// Points of the small side for some tiles, `[chunk, point, tile, channel]`.
    fn lift_all(&self, from: SmallRead, tile: usize, num_tiles: usize, buffer: &mut Buffer) {
        let shared = Shared::new(buffer.as_mut_slice());
        let groups = num_tiles.div_ceil(TRANSFORMED);
        parallel(groups * self.num_small(), |number| {
            let (channel, num_channels) = part(number / groups, CHUNK, self.geometry.small_channels);
            let (first, count) = part(number % groups, TRANSFORMED, num_tiles);
            let chunk = number / groups * Self::small_chunk(num_tiles);
            // SAFETY: every chunk and tile has a place of its own.
            let to = unsafe { shared.get().add(chunk + first * CHUNK) };
            let range = Range { tile: tile + first, num_tiles: count, channel, num_channels };
            run(Lift { frame: *self, from, range, to, point: apart(num_tiles * CHUNK) });
        });
    }

    /// Floats of the points of a block of the big side.
    fn big_block(num_tiles: usize) -> usize {
        Self::PRODUCTS * apart(num_tiles * Self::depth(Self::BIG))
    }

    /// Floats of the points of a chunk of the small side.
    fn small_chunk(num_tiles: usize) -> usize {
        Self::PRODUCTS * apart(num_tiles * CHUNK)
    }

    fn big_points(&self, num_tiles: usize) -> usize {
        self.num_big() * Self::big_block(num_tiles)
    }

    fn small_points(&self, num_tiles: usize) -> usize {
        self.num_small() * Self::small_chunk(num_tiles)
    }
}

fn correlate_by<const M: usize, const R: usize, const SIDE: usize>(
    geometry: &Geometry,
    big: Input<'_>,
    weights: &[f32],
    small: Output<'_>,
) {
    let frame = Frame::<M, R, SIDE>::new(*geometry);
    let products = Frame::<M, R, SIDE>::PRODUCTS;
    let from = big.big();
    let [first, second] = small.parts;
    let to = SmallWrite {
        parts: Parts {
            first: first.as_mut_ptr(),
            second: second.as_mut_ptr(),
            num_first: small.channels[0],
            num_second: small.channels[1],
        },
        before: small.before.map(Input::small),
        bias: small.bias.map(<[f32]>::as_ptr),
    };
    // Products of a block of weights with the points of some tiles, added to the sums of a chunk of the small side.
    let multiply = |sums: *mut f32, points: *const f32, num_tiles: usize, block: Block, prepared: *const f32| {
        let depth = Frame::<M, R, SIDE>::depth(block.num_big);
        for product in 0..products {
            // SAFETY: product, tile and block lie within what the callers below have set aside.
            unsafe {
                run(Product {
                    c: sums.add(product * apart(num_tiles * CHUNK)),
                    c_row: CHUNK,
                    a: points.add(product * apart(num_tiles * depth)),
                    a_row: depth,
                    a_step: 1,
                    b: prepared.add(product * Frame::<M, R, SIDE>::prepared_point(block.num_big)),
                    b_step: CHUNK,
                    rows: num_tiles,
                    columns: CHUNK,
                    depth,
                    accumulate: block.big > 0,
                });
            }
        }
    };
    let total = frame.tiling.count;
    if frame.by_tiles() {
        let mut prepared = frame.prepare(weights);
        let prepared = Shared::new(prepared.as_mut_slice());
        let size = frame.tiles_in_cache().min(total);
        parallel(total.div_ceil(size), |number| {
            let (tile, num_tiles) = part(number, size, total);
            with_scratch(
                [frame.big_points(num_tiles), Frame::<M, R, SIDE>::small_chunk(num_tiles)],
                |[points, sums]| {
                    for at in 0..frame.num_big() {
                        let (channel, num_channels) = part(at, Frame::<M, R, SIDE>::BIG, geometry.big_channels);
                        let strides = Frame::<M, R, SIDE>::strides(
                            num_tiles,
                            num_channels,
                            Frame::<M, R, SIDE>::depth(num_channels),
                        );
                        // SAFETY: blocks lie one behind the other in this thread's memory.
                        let to = unsafe { points.add(at * Frame::<M, R, SIDE>::big_block(num_tiles)) };
                        let range = Range { tile, num_tiles, channel, num_channels };
                        run(Gather { frame, from, range, to, strides });
                    }
                    for chunk in 0..frame.num_small() {
                        for at in 0..frame.num_big() {
                            let block = frame.block(chunk, at);
                            // SAFETY: as above; prepared weights lie block by block.
                            unsafe {
                                let points = points.add(at * Frame::<M, R, SIDE>::big_block(num_tiles));
                                let number = chunk * frame.num_big() + at;
                                let prepared = prepared.get().add(number * Frame::<M, R, SIDE>::PREPARED);
                                multiply(sums, points, num_tiles, block, prepared);
                            }
                        }
                        let (channel, num_channels) = part(chunk, CHUNK, geometry.small_channels);
                        let range = Range { tile, num_tiles, channel, num_channels };
                        run(Lower { frame, from: sums, point: apart(num_tiles * CHUNK), range, to });
                    }
                },
            );
        });
        return;
    }
    let held = frame.tiles_held().min(total);
    let mut points = Buffer::new(frame.big_points(held));
    for (tile, num_tiles) in steps(total, held) {
        frame.gather_all(from, tile, num_tiles, &mut points);
        let points = Shared::new(points.as_mut_slice());
        let slabs = num_tiles.div_ceil(SLAB);
        parallel(frame.num_small() * slabs, |number| {
            let chunk = number / slabs;
            let (first, count) = part(number % slabs, SLAB, num_tiles);
            with_scratch(
                [Frame::<M, R, SIDE>::small_chunk(count), Frame::<M, R, SIDE>::PREPARED],
                |[sums, prepared]| {
                    for at in 0..frame.num_big() {
                        let block = frame.block(chunk, at);
                        let depth = Frame::<M, R, SIDE>::depth(block.num_big);
                        run(Prepare::<M, R, SIDE> {
                            geometry: *geometry,
                            weights: weights.as_ptr(),
                            block,
                            to: prepared,
                        });
                        for product in 0..products {
                            // SAFETY: blocks of points lie one behind the other, products in each, tiles in these.
                            unsafe {
                                let base = at * Frame::<M, R, SIDE>::big_block(num_tiles);
                                run(Product {
                                    c: sums.add(product * apart(count * CHUNK)),
                                    c_row: CHUNK,
                                    a: points.get().add(base + product * apart(num_tiles * depth) + first * depth),
                                    a_row: depth,
                                    a_step: 1,
                                    b: prepared.add(product * Frame::<M, R, SIDE>::prepared_point(block.num_big)),
                                    b_step: CHUNK,
                                    rows: count,
                                    columns: CHUNK,
                                    depth,
                                    accumulate: block.big > 0,
                                });
                            }
                        }
                    }
                    let (channel, num_channels) = part(chunk, CHUNK, geometry.small_channels);
                    let range = Range { tile: tile + first, num_tiles: count, channel, num_channels };
                    run(Lower { frame, from: sums, point: apart(count * CHUNK), range, to });
                },
            );
        });
    }
}

fn spread_by<const M: usize, const R: usize, const SIDE: usize>(
    geometry: &Geometry,
    small: Input<'_>,
    weights: &[f32],
    big: Output<'_>,
) {
    let frame = Frame::<M, R, SIDE>::new(*geometry);
    let products = Frame::<M, R, SIDE>::PRODUCTS;
    let from = small.small();
    let [values, _] = big.parts;
    begin(values, big.bias);
    let to = BigWrite { values: values.as_mut_ptr(), before: big.before.map(Input::big) };
    let total = frame.tiling.count;
    // Points of the big side that some tiles and a chunk of the small side give: added to sums.
    let multiply = |sums: *mut f32, points: *const f32, tiles: [usize; 2], block: Block, prepared: *const f32| {
        let row = Frame::<M, R, SIDE>::row(block.num_big);
        let [num_tiles, stride] = tiles;
        for product in 0..products {
            // SAFETY: product, tile and block lie within what the callers below have set aside.
            unsafe {
                run(Product {
                    c: sums.add(product * apart(num_tiles * row)),
                    c_row: row,
                    a: points.add(product * apart(stride * CHUNK)),
                    a_row: CHUNK,
                    a_step: 1,
                    b: prepared.add(product * apart(CHUNK * row)),
                    b_step: row,
                    rows: num_tiles,
                    columns: row,
                    depth: block.num_small,
                    accumulate: block.small > 0,
                });
            }
        }
    };
    if frame.by_tiles() {
        let mut prepared = frame.prepare_adjoint(weights);
        let prepared = Shared::new(prepared.as_mut_slice());
        let size = frame.tiles_in_cache().min(total);
        // Rows of tiles overlap with the next ones: bands that do not touch go together.
        let per_band = size.div_ceil(frame.tiling.columns).max(Frame::<M, R, SIDE>::rows_apart());
        let bands = frame.tiling.rows.div_ceil(per_band);
        let work = |picture: usize, band: usize| {
            let (row, rows) = part(band, per_band, frame.tiling.rows);
            let base = (picture * frame.tiling.rows + row) * frame.tiling.columns;
            for (first, num_tiles) in steps(rows * frame.tiling.columns, size) {
                let tile = base + first;
                let row = Frame::<M, R, SIDE>::row(Frame::<M, R, SIDE>::BIG.min(geometry.big_channels));
                with_scratch([frame.small_points(num_tiles), products * apart(num_tiles * row)], |[points, sums]| {
                    for chunk in 0..frame.num_small() {
                        let (channel, num_channels) = part(chunk, CHUNK, geometry.small_channels);
                        // SAFETY: chunks lie one behind the other in this thread's memory.
                        let to = unsafe { points.add(chunk * Frame::<M, R, SIDE>::small_chunk(num_tiles)) };
                        let range = Range { tile, num_tiles, channel, num_channels };
                        run(Lift { frame, from, range, to, point: apart(num_tiles * CHUNK) });
                    }
                    for at in 0..frame.num_big() {
                        for chunk in 0..frame.num_small() {
                            let block = frame.block(chunk, at);
                            // SAFETY: as above; prepared weights lie block by block.
                            unsafe {
                                let points = points.add(chunk * Frame::<M, R, SIDE>::small_chunk(num_tiles));
                                let number = chunk * frame.num_big() + at;
                                let prepared = prepared.get().add(number * frame.adjoint_size());
                                multiply(sums, points, [num_tiles, num_tiles], block, prepared);
                            }
                        }
                        let (channel, num_channels) = part(at, Frame::<M, R, SIDE>::BIG, geometry.big_channels);
                        let row = Frame::<M, R, SIDE>::row(num_channels);
                        let strides = Frame::<M, R, SIDE>::strides(num_tiles, num_channels, row);
                        let range = Range { tile, num_tiles, channel, num_channels };
                        run(Scatter { frame, from: sums, strides, range, to });
                    }
                });
            }
        };
        for parity in 0..2 {
            let of_parity = (bands + 1 - parity) / 2;
            parallel(geometry.batch * of_parity, |number| work(number / of_parity, number % of_parity * 2 + parity));
        }
        return;
    }
    let held = frame.tiles_held().min(total);
    let mut points = Buffer::new(frame.small_points(held));
    for (tile, num_tiles) in steps(total, held) {
        frame.lift_all(from, tile, num_tiles, &mut points);
        let points = Shared::new(points.as_mut_slice());
        // A thread has its channels of the big side for itself, and goes through all tiles.
        parallel(frame.num_big(), |at| {
            let (channel, num_channels) = part(at, Frame::<M, R, SIDE>::BIG, geometry.big_channels);
            let row = Frame::<M, R, SIDE>::row(num_channels);
            for (first, count) in steps(num_tiles, SLAB) {
                with_scratch([products * apart(count * row), frame.adjoint_size()], |[sums, prepared]| {
                    for chunk in 0..frame.num_small() {
                        let block = frame.block(chunk, at);
                        run(PrepareAdjoint::<M, R, SIDE> {
                            geometry: *geometry,
                            weights: weights.as_ptr(),
                            block,
                            to: prepared,
                            row,
                        });
                        // SAFETY: chunks lie one behind the other, products in each, tiles in these.
                        let points = unsafe {
                            points.get().add(chunk * Frame::<M, R, SIDE>::small_chunk(num_tiles) + first * CHUNK)
                        };
                        multiply(sums, points, [count, num_tiles], block, prepared);
                    }
                    let strides = Frame::<M, R, SIDE>::strides(count, num_channels, row);
                    let range = Range { tile: tile + first, num_tiles: count, channel, num_channels };
                    run(Scatter { frame, from: sums, strides, range, to });
                });
            }
        });
    }
}

impl<const M: usize, const R: usize, const SIDE: usize> Frame<M, R, SIDE> {
    /// Rows of tiles that a band needs so that the next but one does not touch what the band writes.
    const fn rows_apart() -> usize {
        (SIDE - 1).div_ceil(M)
    }
}

/// Sets every pixel to the bias.
fn begin(values: &mut [f32], bias: Option<&[f32]>) {
    match bias {
        Some(bias) => values.chunks_exact_mut(bias.len()).for_each(|pixel| pixel.copy_from_slice(bias)),
        None => values.fill(0.0),
    }
}

fn weigh_by<const M: usize, const R: usize, const SIDE: usize>(
    geometry: &Geometry,
    big: Input<'_>,
    small: Input<'_>,
    weights: &mut [f32],
) {
    let frame = Frame::<M, R, SIDE>::new(*geometry);
    let products = Frame::<M, R, SIDE>::PRODUCTS;
    let (num_small, num_big) = (frame.num_small(), frame.num_big());
    let total = frame.tiling.count;
    let held = frame.tiles_held().min(total);
    let (mut of_big, mut of_small) = (Buffer::new(frame.big_points(held)), Buffer::new(frame.small_points(held)));
    let at_once = held >= total;
    let mut sums = Buffer::new(if at_once { 0 } else { num_small * num_big * Frame::<M, R, SIDE>::PREPARED });
    let sums = Shared::new(sums.as_mut_slice());
    let to = Shared::new(weights);
    for (tile, num_tiles) in steps(total, held) {
        frame.gather_all(big.big(), tile, num_tiles, &mut of_big);
        frame.lift_all(small.small(), tile, num_tiles, &mut of_small);
        let (of_big, of_small) = (Shared::new(of_big.as_mut_slice()), Shared::new(of_small.as_mut_slice()));
        parallel(num_small * num_big, |number| {
            let block = frame.block(number / num_big, number % num_big);
            let depth = Frame::<M, R, SIDE>::depth(block.num_big);
            let scratch = if at_once { Frame::<M, R, SIDE>::PREPARED } else { 0 };
            with_scratch([scratch], |[own]| {
                // SAFETY: every block has its own sums.
                let sums =
                    if at_once { own } else { unsafe { sums.get().add(number * Frame::<M, R, SIDE>::PREPARED) } };
                for product in 0..products {
                    // SAFETY: blocks and chunks of points lie one behind the other, products in each, tiles in these.
                    unsafe {
                        let base = number % num_big * Frame::<M, R, SIDE>::big_block(num_tiles);
                        let chunk = number / num_big * Frame::<M, R, SIDE>::small_chunk(num_tiles);
                        run(Product {
                            c: sums.add(product * Frame::<M, R, SIDE>::prepared_point(block.num_big)),
                            c_row: CHUNK,
                            a: of_big.get().add(base + product * apart(num_tiles * depth)),
                            a_row: 1,
                            a_step: depth,
                            b: of_small.get().add(chunk + product * apart(num_tiles * CHUNK)),
                            b_step: CHUNK,
                            rows: depth,
                            columns: CHUNK,
                            depth: num_tiles,
                            accumulate: tile > 0,
                        });
                    }
                }
                if tile + num_tiles == total {
                    run(Finish::<M, R, SIDE> { geometry: *geometry, from: sums, block, to: to.get() });
                }
            });
        });
    }
}

const _: () = assert!(KERNEL == 4);

#[cfg(test)]
mod tests;
