//! From pictures and weights to points and back, a few tiles and channels at a time.

use super::{
    bilinear::{FromOutputs, FromTaps, ToOutputs, ToPoints, ToTaps, sandwich},
    geometry::{CHUNK, Geometry, KERNEL, Tile, Tiling},
    lanes::{Lanes, Work},
};

/// What all transforms of one convolution share; `M` outputs per tile, `R` taps per phase, `SIDE` points per axis.
#[derive(Clone, Copy)]
pub(super) struct Frame<const M: usize, const R: usize, const SIDE: usize> {
    pub geometry: Geometry,
    pub tiling: Tiling,
}

/// Points of `[point, tile, ...]` in memory, in floats.
#[derive(Clone, Copy)]
pub(super) struct Strides {
    pub point: usize,
    pub tile: usize,
}

/// The big side, read through `max(x, slope * x)`; channels last.
#[derive(Clone, Copy)]
pub(super) struct BigRead {
    pub values: *const f32,
    pub slope: f32,
}

/// The big side, added to, each contribution times the derivative of the activation at `before`.
#[derive(Clone, Copy)]
pub(super) struct BigWrite {
    pub values: *mut f32,
    pub before: Option<BigRead>,
}

/// Channels that lie in one tensor or, one after the other, in two; channels last in each.
#[derive(Clone, Copy)]
pub(super) struct Parts<P> {
    pub first: P,
    pub second: P,
    pub num_first: usize,
    pub num_second: usize,
}

impl<P: Copy> Parts<P> {
    /// The parts that channels `start..end` touch: the tensor, its channels, the first channel there, and how many.
    #[inline(always)]
    fn pieces(&self, start: usize, end: usize) -> [(P, usize, usize, usize); 2] {
        let split = self.num_first;
        let in_first = end.min(split).saturating_sub(start);
        let from = start.max(split);
        [
            (self.first, self.num_first, start.min(split), in_first),
            (self.second, self.num_second, from - split, end.saturating_sub(from)),
        ]
    }
}

/// The small side, read through `max(x, slope * x)`.
#[derive(Clone, Copy)]
pub(super) struct SmallRead {
    pub parts: Parts<*const f32>,
    pub slope: f32,
}

/// The small side, written: plus a bias for each channel, or times the derivative of the activation at `before`.
#[derive(Clone, Copy)]
pub(super) struct SmallWrite {
    pub parts: Parts<*mut f32>,
    pub before: Option<SmallRead>,
    pub bias: Option<*const f32>,
}

/// What threads share: pointers of which each thread uses places of its own.
macro_rules! shared {
    ($($name:ident)*) => {
        $(
            // SAFETY: what is behind the pointers outlives the passes of `convolve`, and threads write disjoint places.
            unsafe impl Send for $name {}
            // SAFETY: as above.
            unsafe impl Sync for $name {}
        )*
    };
}
shared!(BigRead BigWrite SmallRead SmallWrite);

/// A range of tiles and of channels.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub tile: usize,
    pub num_tiles: usize,
    pub channel: usize,
    pub num_channels: usize,
}

/// A distance between points that is no power of two: at such distances values would push each other out of the cache.
pub(super) const fn apart(floats: usize) -> usize {
    floats + 16
}

#[inline(always)]
unsafe fn load<L: Lanes, const FULL: bool>(from: *const f32, count: usize) -> L {
    unsafe { if FULL { L::load(from) } else { L::load_first(from, count) } }
}

#[inline(always)]
unsafe fn store<L: Lanes, const FULL: bool>(value: L, to: *mut f32, count: usize) {
    unsafe { if FULL { value.store(to) } else { value.store_first(to, count) } }
}

/// The values of all points of a tile, `step` floats apart.
#[inline(always)]
unsafe fn read_points<L: Lanes, const FULL: bool, const SIDE: usize>(
    from: *const f32,
    step: usize,
    count: usize,
) -> [[L; SIDE]; SIDE] {
    unsafe {
        let mut points = [[L::splat(0.0); SIDE]; SIDE];
        for (number, point) in points.as_flattened_mut().iter_mut().enumerate() {
            *point = load::<L, FULL>(from.add(number * step), count);
        }
        points
    }
}

#[inline(always)]
unsafe fn write_points<L: Lanes, const FULL: bool, const SIDE: usize>(
    points: &[[L; SIDE]; SIDE],
    to: *mut f32,
    step: usize,
    count: usize,
) {
    for (number, point) in points.as_flattened().iter().enumerate() {
        unsafe { store::<L, FULL>(*point, to.add(number * step), count) };
    }
}

#[inline(always)]
unsafe fn activate<L: Lanes>(x: L, slope: f32) -> L {
    unsafe { if slope == 1.0 { x } else { x.max(x.mul(L::splat(slope))) } }
}

/// `gradient` times the derivative of `max(x, slope * x)`.
#[inline(always)]
unsafe fn through<L: Lanes>(gradient: L, x: L, slope: f32) -> L {
    unsafe { x.select_positive(gradient, gradient.mul(L::splat(slope))) }
}

/// Calls `$full` for whole vectors of channels and `$part` for what is left.
macro_rules! by_vectors {
    ($lanes:ty, $count:expr, |$at:ident, $left:ident, $full:ident| $body:expr) => {
        let count = $count;
        let mut $at = 0;
        while $at + <$lanes>::COUNT <= count {
            let $left = <$lanes>::COUNT;
            const $full: bool = true;
            $body;
            $at += <$lanes>::COUNT;
        }
        if $at < count {
            let $left = count - $at;
            const $full: bool = false;
            $body;
        }
    };
}

impl<const M: usize, const R: usize, const SIDE: usize> Frame<M, R, SIDE> {
    pub const STRIDE: usize = KERNEL / R;
    /// Phases of the big side: what stride 2 sees of it from each of the four corners of a pixel square.
    pub const PHASES: usize = Self::STRIDE * Self::STRIDE;
    /// Products are added up over the points at once.
    pub const MERGED: bool = M == 1;
    /// Products to be kept apart.
    pub const PRODUCTS: usize = if Self::MERGED { 1 } else { SIDE * SIDE };
    /// Points whose values lie side by side in the depth of one product.
    pub const SPREAD: usize = if Self::MERGED { SIDE * SIDE } else { 1 };

    pub fn new(geometry: Geometry) -> Self {
        assert_eq!(geometry.stride, Self::STRIDE, "{R} taps for each phase belong to this stride");
        Self { geometry, tiling: Tiling::new(&geometry, M) }
    }

    /// Depth of a product over `channels` of the big side.
    pub const fn depth(channels: usize) -> usize {
        Self::SPREAD * Self::PHASES * channels
    }

    /// Floats from one point to the next in transformed weights, `[point, phase, big, CHUNK small]`.
    pub const fn prepared_point(num_big: usize) -> usize {
        let floats = Self::PHASES * num_big * CHUNK;
        if Self::MERGED { floats } else { apart(floats) }
    }

    /// Offsets of a tile's rows (or columns) on one axis of the big side; `None` lies outside.
    #[inline(always)]
    fn lines(first: usize, phase: usize, side: usize) -> [Option<usize>; SIDE] {
        let mut lines = [None; SIDE];
        let mut at = 0;
        while at < SIDE {
            let line = (Self::STRIDE * (first + at) + phase).wrapping_sub(1);
            lines[at] = if line < side { Some(line) } else { None };
            at += 1;
        }
        lines
    }

    /// Offsets in pixels of the values that a phase of a tile reads.
    #[inline(always)]
    fn window(&self, tile: Tile, phase: usize) -> [[Option<usize>; SIDE]; SIDE] {
        let [height, width] = self.geometry.big;
        let rows = Self::lines(tile.row, phase / Self::STRIDE, height);
        let columns = Self::lines(tile.column, phase % Self::STRIDE, width);
        rows.map(|row| {
            columns.map(|column| match (row, column) {
                (Some(row), Some(column)) => Some((tile.picture * height + row) * width + column),
                _ => None,
            })
        })
    }

    /// Offsets in pixels of the outputs of a tile.
    #[inline(always)]
    fn outputs(&self, tile: Tile) -> [[Option<usize>; M]; M] {
        let [height, width] = self.geometry.small();
        let mut outputs = [[None; M]; M];
        for (i, row) in outputs.iter_mut().enumerate() {
            for (j, output) in row.iter_mut().enumerate() {
                let (row, column) = (tile.row + i, tile.column + j);
                if row < height && column < width {
                    *output = Some((tile.picture * height + row) * width + column);
                }
            }
        }
        outputs
    }
}

/// Big side to points: `B' x B`. Writes `[point, tile, phase, channel]`.
#[derive(Clone, Copy)]
pub(super) struct Gather<const M: usize, const R: usize, const SIDE: usize> {
    pub frame: Frame<M, R, SIDE>,
    pub from: BigRead,
    pub range: Range,
    pub to: *mut f32,
    pub strides: Strides,
}

impl<const M: usize, const R: usize, const SIDE: usize> Work for Gather<M, R, SIDE> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Range { tile: first, num_tiles, channel, num_channels } = self.range;
        for number in 0..num_tiles {
            let tile = self.frame.tiling.tile(first + number, M);
            for phase in 0..Frame::<M, R, SIDE>::PHASES {
                let window = self.frame.window(tile, phase);
                // SAFETY: offsets of the window lie in the picture, those of the points in the destination.
                unsafe {
                    let to = self.to.add(number * self.strides.tile + phase * num_channels);
                    by_vectors!(L, num_channels, |at, left, FULL| {
                        self.vector::<L, FULL>(&window, channel + at, to.add(at), left);
                    });
                }
            }
        }
    }
}

impl<const M: usize, const R: usize, const SIDE: usize> Gather<M, R, SIDE> {
    #[inline(always)]
    unsafe fn vector<L: Lanes, const FULL: bool>(
        &self,
        window: &[[Option<usize>; SIDE]; SIDE],
        channel: usize,
        to: *mut f32,
        left: usize,
    ) {
        unsafe {
            let channels = self.frame.geometry.big_channels;
            let mut x = [[L::splat(0.0); SIDE]; SIDE];
            for i in 0..SIDE {
                for j in 0..SIDE {
                    if let Some(pixel) = window[i][j] {
                        let value = load::<L, FULL>(self.from.values.add(pixel * channels + channel), left);
                        x[i][j] = activate(value, self.from.slope);
                    }
                }
            }
            let points = if M == 1 { x } else { sandwich::<L, ToPoints<M, false>, SIDE, SIDE>(&x) };
            write_points::<L, FULL, SIDE>(&points, to, self.strides.point, left);
        }
    }
}

/// Points to the big side, added to what is there: `B v B'`. Reads `[point, tile, phase, channel]`.
#[derive(Clone, Copy)]
pub(super) struct Scatter<const M: usize, const R: usize, const SIDE: usize> {
    pub frame: Frame<M, R, SIDE>,
    pub from: *const f32,
    pub strides: Strides,
    pub range: Range,
    pub to: BigWrite,
}

impl<const M: usize, const R: usize, const SIDE: usize> Work for Scatter<M, R, SIDE> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Range { tile: first, num_tiles, channel, num_channels } = self.range;
        for number in 0..num_tiles {
            let tile = self.frame.tiling.tile(first + number, M);
            for phase in 0..Frame::<M, R, SIDE>::PHASES {
                let window = self.frame.window(tile, phase);
                // SAFETY: offsets of the window lie in the picture, those of the points in the source.
                unsafe {
                    let from = self.from.add(number * self.strides.tile + phase * num_channels);
                    by_vectors!(L, num_channels, |at, left, FULL| {
                        self.vector::<L, FULL>(&window, channel + at, from.add(at), left);
                    });
                }
            }
        }
    }
}

impl<const M: usize, const R: usize, const SIDE: usize> Scatter<M, R, SIDE> {
    #[inline(always)]
    unsafe fn vector<L: Lanes, const FULL: bool>(
        &self,
        window: &[[Option<usize>; SIDE]; SIDE],
        channel: usize,
        from: *const f32,
        left: usize,
    ) {
        unsafe {
            let channels = self.frame.geometry.big_channels;
            let points = read_points::<L, FULL, SIDE>(from, self.strides.point, left);
            let x = if M == 1 { points } else { sandwich::<L, ToPoints<M, true>, SIDE, SIDE>(&points) };
            for i in 0..SIDE {
                for j in 0..SIDE {
                    if let Some(pixel) = window[i][j] {
                        let offset = pixel * channels + channel;
                        let to = self.to.values.add(offset);
                        let value = match self.to.before {
                            Some(before) => {
                                through(x[i][j], load::<L, FULL>(before.values.add(offset), left), before.slope)
                            }
                            None => x[i][j],
                        };
                        store::<L, FULL>(load::<L, FULL>(to, left).add(value), to, left);
                    }
                }
            }
        }
    }
}

/// Small side to points: `A y A'`. Writes `[point, tile, channel]`, `CHUNK` floats for a tile.
#[derive(Clone, Copy)]
pub(super) struct Lift<const M: usize, const R: usize, const SIDE: usize> {
    pub frame: Frame<M, R, SIDE>,
    pub from: SmallRead,
    pub range: Range,
    pub to: *mut f32,
    /// Floats from one point to the next.
    pub point: usize,
}

impl<const M: usize, const R: usize, const SIDE: usize> Work for Lift<M, R, SIDE> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Range { tile: first, num_tiles, channel, num_channels } = self.range;
        let pieces = self.from.parts.pieces(channel, channel + num_channels);
        for number in 0..num_tiles {
            let outputs = self.frame.outputs(self.frame.tiling.tile(first + number, M));
            // SAFETY: offsets of outputs lie in the tensors, those of points in the destination.
            unsafe {
                let mut to = self.to.add(number * CHUNK);
                for (values, channels, start, count) in pieces {
                    by_vectors!(L, count, |at, left, FULL| {
                        let mut y = [[L::splat(0.0); M]; M];
                        for i in 0..M {
                            for j in 0..M {
                                if let Some(pixel) = outputs[i][j] {
                                    let from = values.add(pixel * channels + start + at);
                                    y[i][j] = activate(load::<L, FULL>(from, left), self.from.slope);
                                }
                            }
                        }
                        if M == 1 {
                            store::<L, FULL>(y[0][0], to.add(at), left);
                        } else {
                            let points = sandwich::<L, FromOutputs<R>, SIDE, M>(&y);
                            write_points::<L, FULL, SIDE>(&points, to.add(at), self.point, left);
                        }
                    });
                    to = to.add(count);
                }
            }
        }
    }
}

/// Points to the small side: `A' p A`. Reads `[point, tile, channel]`, `CHUNK` floats for a tile.
#[derive(Clone, Copy)]
pub(super) struct Lower<const M: usize, const R: usize, const SIDE: usize> {
    pub frame: Frame<M, R, SIDE>,
    pub from: *const f32,
    /// Floats from one point to the next.
    pub point: usize,
    pub range: Range,
    pub to: SmallWrite,
}

impl<const M: usize, const R: usize, const SIDE: usize> Work for Lower<M, R, SIDE> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Range { tile: first, num_tiles, channel, num_channels } = self.range;
        let pieces = self.to.parts.pieces(channel, channel + num_channels);
        let before = self.to.before.map(|read| (read.parts.pieces(channel, channel + num_channels), read.slope));
        for number in 0..num_tiles {
            let outputs = self.frame.outputs(self.frame.tiling.tile(first + number, M));
            // SAFETY: offsets of outputs lie in the tensors, those of points in the source.
            unsafe {
                let mut from = self.from.add(number * CHUNK);
                let mut done = channel;
                for (piece, (values, channels, start, count)) in pieces.into_iter().enumerate() {
                    by_vectors!(L, count, |at, left, FULL| {
                        let mut y = [[L::splat(0.0); M]; M];
                        if M == 1 {
                            y[0][0] = load::<L, FULL>(from.add(at), left);
                        } else {
                            let points = read_points::<L, FULL, SIDE>(from.add(at), self.point, left);
                            y = sandwich::<L, ToOutputs<R>, M, SIDE>(&points);
                        }
                        let bias = match self.to.bias {
                            Some(bias) => load::<L, FULL>(bias.add(done + at), left),
                            None => L::splat(0.0),
                        };
                        for i in 0..M {
                            for j in 0..M {
                                if let Some(pixel) = outputs[i][j] {
                                    let offset = pixel * channels + start + at;
                                    let value = match before {
                                        Some((pieces, slope)) => {
                                            let x = load::<L, FULL>(pieces[piece].0.add(offset), left);
                                            through(y[i][j], x, slope)
                                        }
                                        None => y[i][j].add(bias),
                                    };
                                    store::<L, FULL>(value, values.add(offset), left);
                                }
                            }
                        }
                    });
                    from = from.add(count);
                    done += count;
                }
            }
        }
    }
}

/// Channels of the small and of the big side whose weights are transformed together.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub small: usize,
    pub num_small: usize,
    pub big: usize,
    pub num_big: usize,
}

/// Weights to points for products that give the small side: `G w G'`. Writes `[point, phase, big, CHUNK small]`.
#[derive(Clone, Copy)]
pub(super) struct Prepare<const M: usize, const R: usize, const SIDE: usize> {
    pub geometry: Geometry,
    pub weights: *const f32,
    pub block: Block,
    pub to: *mut f32,
}

impl<const M: usize, const R: usize, const SIDE: usize> Work for Prepare<M, R, SIDE> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Block { small, num_small, big, num_big } = self.block;
        let phases = Frame::<M, R, SIDE>::PHASES;
        let stride = self.geometry.big_channels * KERNEL * KERNEL;
        let point = Frame::<M, R, SIDE>::prepared_point(num_big);
        for at in (0..num_small).step_by(L::COUNT) {
            for c in 0..num_big {
                // SAFETY: the block lies within the weights, and its points within the destination.
                unsafe {
                    let from = self.weights.add((small + at) * stride + (big + c) * KERNEL * KERNEL);
                    let taps = L::load_columns(from, stride, (num_small - at).min(L::COUNT));
                    for phase in 0..phases {
                        let points = points_of::<L, M, R, SIDE>(&taps, phase);
                        let to = self.to.add((phase * num_big + c) * CHUNK + at);
                        write_points::<L, true, SIDE>(&points, to, point, L::COUNT);
                    }
                }
            }
        }
    }
}

/// Weights to points for products that give the big side. Writes `[point, CHUNK small, row]`, or `[small, row]` with the points
/// merged into the row; a row holds phases and channels of the big side and is `row` floats long.
#[derive(Clone, Copy)]
pub(super) struct PrepareAdjoint<const M: usize, const R: usize, const SIDE: usize> {
    pub geometry: Geometry,
    pub weights: *const f32,
    pub block: Block,
    pub to: *mut f32,
    pub row: usize,
}

impl<const M: usize, const R: usize, const SIDE: usize> Work for PrepareAdjoint<M, R, SIDE> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Block { small, num_small, big, num_big } = self.block;
        let phases = Frame::<M, R, SIDE>::PHASES;
        let point = if Frame::<M, R, SIDE>::MERGED { phases * num_big } else { apart(CHUNK * self.row) };
        for s in 0..num_small {
            // SAFETY: the block lies within the weights, and its points within the destination.
            unsafe {
                let from = self.weights.add(((small + s) * self.geometry.big_channels + big) * KERNEL * KERNEL);
                by_vectors!(L, num_big, |at, left, FULL| {
                    let taps = L::load_columns(from.add(at * KERNEL * KERNEL), KERNEL * KERNEL, left);
                    for phase in 0..phases {
                        let points = points_of::<L, M, R, SIDE>(&taps, phase);
                        let to = self.to.add(s * self.row + phase * num_big + at);
                        write_points::<L, FULL, SIDE>(&points, to, point, left);
                    }
                });
            }
        }
    }
}

#[inline(always)]
unsafe fn points_of<L: Lanes, const M: usize, const R: usize, const SIDE: usize>(
    taps: &[L; KERNEL * KERNEL],
    phase: usize,
) -> [[L; SIDE]; SIDE] {
    unsafe {
        let stride = Frame::<M, R, SIDE>::STRIDE;
        let mut w = [[L::splat(0.0); R]; R];
        for i in 0..R {
            for j in 0..R {
                w[i][j] = taps[(phase / stride + stride * i) * KERNEL + phase % stride + stride * j];
            }
        }
        sandwich::<L, FromTaps<M>, SIDE, R>(&w)
    }
}

/// Points to the gradient of the weights: `G' u G`. Reads `[point, phase, big, CHUNK small]`.
#[derive(Clone, Copy)]
pub(super) struct Finish<const M: usize, const R: usize, const SIDE: usize> {
    pub geometry: Geometry,
    pub from: *const f32,
    pub block: Block,
    pub to: *mut f32,
}

impl<const M: usize, const R: usize, const SIDE: usize> Work for Finish<M, R, SIDE> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Block { small, num_small, big, num_big } = self.block;
        let phases = Frame::<M, R, SIDE>::PHASES;
        let step = Frame::<M, R, SIDE>::STRIDE;
        let stride = self.geometry.big_channels * KERNEL * KERNEL;
        let point = Frame::<M, R, SIDE>::prepared_point(num_big);
        for at in (0..num_small).step_by(L::COUNT) {
            for c in 0..num_big {
                // SAFETY: the block lies within the weights, and its points within the source.
                unsafe {
                    let mut taps = [L::splat(0.0); KERNEL * KERNEL];
                    for phase in 0..phases {
                        let from = self.from.add((phase * num_big + c) * CHUNK + at);
                        let points = read_points::<L, true, SIDE>(from, point, L::COUNT);
                        let w = sandwich::<L, ToTaps<M>, R, SIDE>(&points);
                        for i in 0..R {
                            for j in 0..R {
                                taps[(phase / step + step * i) * KERNEL + phase % step + step * j] = w[i][j];
                            }
                        }
                    }
                    let to = self.to.add((small + at) * stride + (big + c) * KERNEL * KERNEL);
                    L::store_columns(taps, to, stride, (num_small - at).min(L::COUNT));
                }
            }
        }
    }
}
