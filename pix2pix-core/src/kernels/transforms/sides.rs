//! Pictures to points and back.

use super::{Frame, Read, Strides, Write, activate, load, pair, read_points, store, through, write_points};
use crate::kernels::{
    bilinear::{FromOutputs, ToOutputs, ToPoints, sandwich},
    geometry::CHUNK,
    lanes::{Lanes, Work},
};

/// A range of tiles and of channels.
#[derive(Clone, Copy)]
pub(in super::super) struct Range {
    pub tile: usize,
    pub num_tiles: usize,
    pub channel: usize,
    pub num_channels: usize,
}

/// Offsets in pixels; `None` lies outside the picture.
type Window<const SIDE: usize> = [[Option<usize>; SIDE]; SIDE];

/// Big side to points: `B' x B`. Writes `[point, tile, phase, channel]`, tiles or phases by twos where
/// they make words.
#[derive(Clone, Copy)]
pub(in super::super) struct Gather<
    const M: usize,
    const R: usize,
    const SIDE: usize,
    const HALF: bool,
    const OVER_TILES: bool,
> {
    pub frame: Frame<M, R, SIDE, HALF>,
    pub from: Read,
    pub range: Range,
    pub to: *mut f32,
    pub strides: Strides,
}

impl<const M: usize, const R: usize, const SIDE: usize, const HALF: bool, const OVER_TILES: bool> Work
    for Gather<M, R, SIDE, HALF, OVER_TILES>
{
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Range { tile: first, num_tiles, num_channels, .. } = self.range;
        let phases = Frame::<M, R, SIDE, HALF>::PHASES;
        let window = |number: usize, phase: usize| {
            if number < num_tiles {
                self.frame.window(self.frame.tiling.tile(first + number, M), phase)
            } else {
                [[None; SIDE]; SIDE]
            }
        };
        let tiles_in_word = if HALF && OVER_TILES { 2 } else { 1 };
        let phases_in_word = if HALF && !OVER_TILES { 2 } else { 1 };
        for word in 0..num_tiles.div_ceil(tiles_in_word) {
            let number = word * tiles_in_word;
            for phase in (0..phases).step_by(phases_in_word) {
                // SAFETY: offsets of windows lie in the picture, those of the points in the destination.
                unsafe {
                    let to = self.to.add(word * self.strides.tile + phase / phases_in_word * num_channels);
                    let other = HALF.then(|| window(number + tiles_in_word - 1, phase + phases_in_word - 1));
                    self.word::<L>(&window(number, phase), other.as_ref(), to);
                }
            }
        }
    }
}

impl<const M: usize, const R: usize, const SIDE: usize, const HALF: bool, const OVER_TILES: bool>
    Gather<M, R, SIDE, HALF, OVER_TILES>
{
    /// The points of a window, or of two put together.
    #[inline(always)]
    unsafe fn word<L: Lanes>(&self, window: &Window<SIDE>, other: Option<&Window<SIDE>>, mut to: *mut f32) {
        for (values, channels, start, count) in self.from.parts.pieces(self.range) {
            // SAFETY: as in `run`.
            unsafe {
                by_vectors!(L, count, |at, left, FULL| {
                    let from = values.add(start + at);
                    let mut points = self.points::<L, FULL>(window, from, channels, left);
                    if let Some(other) = other {
                        pair(&mut points, &self.points::<L, FULL>(other, from, channels, left));
                    }
                    write_points::<L, FULL, SIDE>(&points, to.add(at), self.strides.point, left);
                });
                to = to.add(count);
            }
        }
    }

    #[inline(always)]
    unsafe fn points<L: Lanes, const FULL: bool>(
        &self,
        window: &Window<SIDE>,
        values: *const f32,
        channels: usize,
        left: usize,
    ) -> [[L; SIDE]; SIDE] {
        unsafe {
            let mut x = [[L::splat(0.0); SIDE]; SIDE];
            for i in 0..SIDE {
                for j in 0..SIDE {
                    if let Some(pixel) = window[i][j] {
                        x[i][j] = activate(load::<L, FULL>(values.add(pixel * channels), left), self.from.slope);
                    }
                }
            }
            sandwich::<L, ToPoints<M, false>, SIDE, SIDE>(&x)
        }
    }
}

/// Points to the big side, added to what is there: `B v B'`. Reads `[point, tile, phase, channel]`.
#[derive(Clone, Copy)]
pub(in super::super) struct Scatter<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> {
    pub frame: Frame<M, R, SIDE, HALF>,
    pub from: *const f32,
    pub strides: Strides,
    pub range: Range,
    pub to: Write,
}

impl<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> Work for Scatter<M, R, SIDE, HALF> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Range { tile: first, num_tiles, num_channels, .. } = self.range;
        let pieces = self.to.parts.pieces(self.range);
        let before = self.to.before.map(|read| (read.parts.pieces(self.range), read.slope));
        for number in 0..num_tiles {
            let tile = self.frame.tiling.tile(first + number, M);
            for phase in 0..Frame::<M, R, SIDE, HALF>::PHASES {
                let window = self.frame.window(tile, phase);
                // SAFETY: offsets of the window lie in the picture, those of the points in the source.
                unsafe {
                    let mut from = self.from.add(number * self.strides.tile + phase * num_channels);
                    for (piece, (values, channels, start, count)) in pieces.into_iter().enumerate() {
                        if !values.is_null() {
                            let before = before.map(|(pieces, slope)| (pieces[piece].0.add(start), slope));
                            let to = (values.add(start), channels, count);
                            self.piece::<L>(&window, from, to, before);
                        }
                        from = from.add(count);
                    }
                }
            }
        }
    }
}

impl<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> Scatter<M, R, SIDE, HALF> {
    /// Adds to `(values, channels, count)`.
    #[inline(always)]
    unsafe fn piece<L: Lanes>(
        &self,
        window: &Window<SIDE>,
        from: *const f32,
        to: (*mut f32, usize, usize),
        before: Option<(*const f32, f32)>,
    ) {
        let (values, channels, count) = to;
        // SAFETY: as in `run`.
        unsafe {
            by_vectors!(L, count, |at, left, FULL| {
                let points = read_points::<L, FULL, SIDE>(from.add(at), self.strides.point, left);
                let x = sandwich::<L, ToPoints<M, true>, SIDE, SIDE>(&points);
                for i in 0..SIDE {
                    for j in 0..SIDE {
                        if let Some(pixel) = window[i][j] {
                            let offset = pixel * channels + at;
                            let value = match before {
                                Some((before, slope)) => {
                                    through(x[i][j], load::<L, FULL>(before.add(offset), left), slope)
                                }
                                None => x[i][j],
                            };
                            let to = values.add(offset);
                            store::<L, FULL>(load::<L, FULL>(to, left).add(value), to, left);
                        }
                    }
                }
            });
        }
    }
}

/// Small side to points: `A y A'`. Writes `[point, tile, channel]`, `CHUNK` words for a tile or a pair of tiles, half of that for
/// pairs of channels, of which the second is 16 behind the first.
#[derive(Clone, Copy)]
pub(in super::super) struct Lift<
    const M: usize,
    const R: usize,
    const SIDE: usize,
    const HALF: bool,
    const OVER_TILES: bool,
> {
    pub frame: Frame<M, R, SIDE, HALF>,
    pub from: Read,
    pub range: Range,
    pub to: *mut f32,
    /// Floats from one point to the next.
    pub point: usize,
}

impl<const M: usize, const R: usize, const SIDE: usize, const HALF: bool, const OVER_TILES: bool> Work
    for Lift<M, R, SIDE, HALF, OVER_TILES>
{
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let num_tiles = self.range.num_tiles;
        // SAFETY: offsets of outputs lie in the tensors, those of points in the destination.
        unsafe {
            if !HALF {
                for number in 0..num_tiles {
                    self.tile::<L>(number, self.to.add(number * CHUNK), self.point);
                }
                return;
            }
            // Points of two halves that are put together, `[point, half, ...]`; zero where there is nothing.
            let half = if OVER_TILES { CHUNK } else { CHUNK / 2 };
            let mut points = [[[0.0_f32; 2 * CHUNK]; SIDE]; SIDE];
            let from = points.as_flattened_mut().as_flattened_mut().as_mut_ptr();
            let step = if OVER_TILES { 2 } else { 1 };
            for number in (0..num_tiles).step_by(step) {
                self.tile::<L>(number, from, 2 * CHUNK);
                if OVER_TILES {
                    if number + 1 < num_tiles {
                        self.tile::<L>(number + 1, from.add(CHUNK), 2 * CHUNK);
                    } else {
                        for point in 0..SIDE * SIDE {
                            from.add(point * 2 * CHUNK + CHUNK).write_bytes(0, CHUNK);
                        }
                    }
                }
                let to = self.to.add(number / step * half);
                for point in 0..SIDE * SIDE {
                    for at in (0..half).step_by(L::COUNT) {
                        let from = from.add(point * 2 * CHUNK + at);
                        L::load(from).pair(L::load(from.add(half))).store(to.add(point * self.point + at));
                    }
                }
            }
        }
    }
}

impl<const M: usize, const R: usize, const SIDE: usize, const HALF: bool, const OVER_TILES: bool>
    Lift<M, R, SIDE, HALF, OVER_TILES>
{
    /// The points of one tile, `point` floats apart.
    #[inline(always)]
    unsafe fn tile<L: Lanes>(&self, number: usize, mut to: *mut f32, point: usize) {
        let outputs = self.frame.outputs(self.frame.tiling.tile(self.range.tile + number, M));
        for (values, channels, start, count) in self.from.parts.pieces(self.range) {
            // SAFETY: as in `run`.
            unsafe {
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
                    let points = sandwich::<L, FromOutputs<R>, SIDE, M>(&y);
                    write_points::<L, FULL, SIDE>(&points, to.add(at), point, left);
                });
                to = to.add(count);
            }
        }
    }
}

/// Points to the small side: `A' p A`. Reads `[point, tile, channel]`, `CHUNK` floats for a tile.
#[derive(Clone, Copy)]
pub(in super::super) struct Lower<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> {
    pub frame: Frame<M, R, SIDE, HALF>,
    pub from: *const f32,
    /// Floats from one point to the next.
    pub point: usize,
    pub range: Range,
    pub to: Write,
}

impl<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> Work for Lower<M, R, SIDE, HALF> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Range { tile: first, num_tiles, channel, .. } = self.range;
        let pieces = self.to.parts.pieces(self.range);
        let before = self.to.before.map(|read| (read.parts.pieces(self.range), read.slope));
        for number in 0..num_tiles {
            let outputs = self.frame.outputs(self.frame.tiling.tile(first + number, M));
            // SAFETY: offsets of outputs lie in the tensors, those of points in the source.
            unsafe {
                let mut from = self.from.add(number * CHUNK);
                let mut done = channel;
                for (piece, (values, channels, start, count)) in pieces.into_iter().enumerate() {
                    let wanted = if values.is_null() { 0 } else { count };
                    by_vectors!(L, wanted, |at, left, FULL| {
                        let points = read_points::<L, FULL, SIDE>(from.add(at), self.point, left);
                        let y = sandwich::<L, ToOutputs<R>, M, SIDE>(&points);
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
