//! From pictures and weights to points and back, a few tiles and channels at a time.

use super::{
    geometry::{CHUNK, Geometry, KERNEL, Tile, Tiling},
    lanes::Lanes,
};

pub(super) use sides::{Gather, Lift, Lower, Range, Scatter};
pub(super) use taps::{Fold, Put, Take, Unfold};
pub(super) use weights::{Block, Finish, Prepare, PrepareAdjoint};

/// What all transforms of one convolution share; `M` outputs per tile, `R` taps per phase, `SIDE` points per axis.
///
/// With `HALF` products take bfloat16: two values that a product adds up make a word of 32 bits. Where it adds up channels these
/// are two phases of the big side, or two channels of the small side; where it adds up tiles (`OVER_TILES` of the transforms), the
/// same point of two tiles.
#[derive(Clone, Copy)]
pub(super) struct Frame<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> {
    pub geometry: Geometry,
    pub tiling: Tiling,
}

/// Points of `[point, tile, ...]` in memory, in floats.
#[derive(Clone, Copy)]
pub(super) struct Strides {
    pub point: usize,
    pub tile: usize,
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
    /// The parts that a range of channels touches: the tensor, its channels, the first channel there, and how many.
    #[inline(always)]
    fn pieces(&self, range: Range) -> [(P, usize, usize, usize); 2] {
        let (start, end) = (range.channel, range.channel + range.num_channels);
        let split = self.num_first;
        let in_first = end.min(split).saturating_sub(start);
        let from = start.max(split);
        [
            (self.first, self.num_first, start.min(split), in_first),
            (self.second, self.num_second, from - split, end.saturating_sub(from)),
        ]
    }
}

/// A side, read through `max(x, slope * x)`.
#[derive(Clone, Copy)]
pub(super) struct Read {
    pub parts: Parts<*const f32>,
    pub slope: f32,
}

/// A side, written: plus a bias for each channel, or times the derivative of the activation at `before`. A part may be null:
/// nobody wants it.
#[derive(Clone, Copy)]
pub(super) struct Write {
    pub parts: Parts<*mut f32>,
    pub before: Option<Read>,
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
shared!(Read Write);

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

/// Puts the points of two values together.
#[inline(always)]
unsafe fn pair<L: Lanes, const SIDE: usize>(points: &mut [[L; SIDE]; SIDE], others: &[[L; SIDE]; SIDE]) {
    for (point, other) in points.as_flattened_mut().iter_mut().zip(others.as_flattened()) {
        // SAFETY: the instructions of `L` exist.
        *point = unsafe { point.pair(*other) };
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

/// Calls the body for whole vectors of channels, with `$full`, and for what is left, without.
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

mod sides;
mod taps;
mod weights;

impl<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> Frame<M, R, SIDE, HALF> {
    pub const STRIDE: usize = KERNEL / R;
    /// Phases of the big side: what stride 2 sees of it from each of the four corners of a pixel square.
    pub const PHASES: usize = Self::STRIDE * Self::STRIDE;
    /// Products, one for each point.
    pub const PRODUCTS: usize = SIDE * SIDE;

    pub fn new(geometry: Geometry) -> Self {
        assert_eq!(geometry.stride, Self::STRIDE, "{R} taps for each phase belong to this stride");
        Self { geometry, tiling: Tiling::new(&geometry, M) }
    }

    /// Values of a tile that one product takes over `channels` of the big side.
    pub const fn values(channels: usize) -> usize {
        Self::PHASES * channels
    }

    /// Depth of a product over `channels` of the big side, in words of 32 bits.
    pub const fn depth(channels: usize) -> usize {
        if HALF { Self::values(channels) / 2 } else { Self::values(channels) }
    }

    /// Depth of a product over `channels` of the small side.
    pub const fn small_depth(channels: usize) -> usize {
        if HALF && channels > CHUNK / 2 { CHUNK / 2 } else { channels }
    }

    /// Floats from one point to the next in transformed weights, `[point, phase and channel, CHUNK small]`, for products of this
    /// depth.
    pub const fn weights_point(depth: usize) -> usize {
        apart(depth * CHUNK)
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
