//! What the direct algorithm reads and writes: for every output the values under the kernel, in the order of the weights.

use super::{Range, Read, Write, activate, load, store, through};
use crate::kernels::{
    geometry::{Geometry, KERNEL, TAPS, Tile, Tiling},
    lanes::{Lanes, Work},
};

/// Offsets in pixels of the values under the kernel; `None` lies outside the picture.
#[inline(always)]
fn window(geometry: &Geometry, tile: Tile) -> [Option<usize>; TAPS] {
    let [height, width] = geometry.big;
    let mut window = [None; TAPS];
    for (tap, pixel) in window.iter_mut().enumerate() {
        let row = (tile.row * geometry.stride + tap / KERNEL).wrapping_sub(1);
        let column = (tile.column * geometry.stride + tap % KERNEL).wrapping_sub(1);
        if row < height && column < width {
            *pixel = Some((tile.picture * height + row) * width + column);
        }
    }
    window
}

/// Big side to `[output, channel, tap]`.
#[derive(Clone, Copy)]
pub(in super::super) struct Unfold {
    pub geometry: Geometry,
    pub tiling: Tiling,
    pub from: Read,
    pub range: Range,
    pub to: *mut f32,
    /// Floats from one output to the next.
    pub row: usize,
}

impl Work for Unfold {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for number in 0..self.range.num_tiles {
            let window = window(&self.geometry, self.tiling.tile(self.range.tile + number, 1));
            // SAFETY: offsets of the window lie in the picture, rows in the destination.
            unsafe {
                let mut to = self.to.add(number * self.row);
                for (values, channels, start, count) in self.from.parts.pieces(self.range) {
                    by_vectors!(L, count, |at, left, FULL| {
                        let mut taps = [L::splat(0.0); TAPS];
                        for (tap, pixel) in taps.iter_mut().zip(window) {
                            if let Some(pixel) = pixel {
                                let value = load::<L, FULL>(values.add(pixel * channels + start + at), left);
                                *tap = activate(value, self.from.slope);
                            }
                        }
                        L::store_columns(taps, to.add(at * TAPS), TAPS, left);
                    });
                    to = to.add(count * TAPS);
                }
            }
        }
    }
}

/// `[output, channel, tap]` to the big side, added to what is there.
#[derive(Clone, Copy)]
pub(in super::super) struct Fold {
    pub geometry: Geometry,
    pub tiling: Tiling,
    pub from: *const f32,
    /// Floats from one output to the next.
    pub row: usize,
    pub range: Range,
    pub to: Write,
}

impl Work for Fold {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let before = self.to.before.map(|read| (read.parts.pieces(self.range), read.slope));
        for number in 0..self.range.num_tiles {
            let window = window(&self.geometry, self.tiling.tile(self.range.tile + number, 1));
            // SAFETY: offsets of the window lie in the picture, rows in the source.
            unsafe {
                let mut from = self.from.add(number * self.row);
                for (piece, (values, channels, start, count)) in
                    self.to.parts.pieces(self.range).into_iter().enumerate()
                {
                    let wanted = if values.is_null() { 0 } else { count };
                    by_vectors!(L, wanted, |at, left, FULL| {
                        let taps = L::load_columns(from.add(at * TAPS), TAPS, left);
                        for (tap, pixel) in taps.into_iter().zip(window) {
                            if let Some(pixel) = pixel {
                                let offset = pixel * channels + start + at;
                                let value = match before {
                                    Some((pieces, slope)) => {
                                        through(tap, load::<L, FULL>(pieces[piece].0.add(offset), left), slope)
                                    }
                                    None => tap,
                                };
                                let to = values.add(offset);
                                store::<L, FULL>(load::<L, FULL>(to, left).add(value), to, left);
                            }
                        }
                    });
                    from = from.add(count * TAPS);
                }
            }
        }
    }
}

/// Small side to `[output, channel]`.
#[derive(Clone, Copy)]
pub(in super::super) struct Take {
    pub from: Read,
    pub range: Range,
    pub to: *mut f32,
    /// Floats from one output to the next.
    pub row: usize,
}

impl Work for Take {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for number in 0..self.range.num_tiles {
            // SAFETY: outputs lie in the tensors, rows in the destination.
            unsafe {
                let mut to = self.to.add(number * self.row);
                for (values, channels, start, count) in self.from.parts.pieces(self.range) {
                    by_vectors!(L, count, |at, left, FULL| {
                        let from = values.add((self.range.tile + number) * channels + start + at);
                        store::<L, FULL>(activate(load::<L, FULL>(from, left), self.from.slope), to.add(at), left);
                    });
                    to = to.add(count);
                }
            }
        }
    }
}

/// `[output, channel]` to the small side.
#[derive(Clone, Copy)]
pub(in super::super) struct Put {
    pub from: *const f32,
    /// Floats from one output to the next.
    pub row: usize,
    pub range: Range,
    pub to: Write,
}

impl Work for Put {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let before = self.to.before.map(|read| (read.parts.pieces(self.range), read.slope));
        for number in 0..self.range.num_tiles {
            // SAFETY: outputs lie in the tensors, rows in the source.
            unsafe {
                let mut from = self.from.add(number * self.row);
                let mut done = self.range.channel;
                for (piece, (values, channels, start, count)) in
                    self.to.parts.pieces(self.range).into_iter().enumerate()
                {
                    let wanted = if values.is_null() { 0 } else { count };
                    by_vectors!(L, wanted, |at, left, FULL| {
                        let offset = (self.range.tile + number) * channels + start + at;
                        let y = load::<L, FULL>(from.add(at), left);
                        let value = match (before, self.to.bias) {
                            (Some((pieces, slope)), _) => {
                                through(y, load::<L, FULL>(pieces[piece].0.add(offset), left), slope)
                            }
                            (None, Some(bias)) => y.add(load::<L, FULL>(bias.add(done + at), left)),
                            (None, None) => y,
                        };
                        store::<L, FULL>(value, values.add(offset), left);
                    });
                    from = from.add(count);
                    done += count;
                }
            }
        }
    }
}
