//! Weights to points, and the gradient of the weights back.

use super::{Frame, apart, pair, read_points, write_points};
use crate::kernels::{
    bilinear::{FromTaps, ToTaps, sandwich},
    geometry::{CHUNK, Geometry, KERNEL, TAPS},
    lanes::{Lanes, Work},
};

/// Channels of the small and of the big side whose weights are transformed together.
#[derive(Clone, Copy)]
pub(in super::super) struct Block {
    pub small: usize,
    pub num_small: usize,
    pub big: usize,
    pub num_big: usize,
}

/// Weights to points for products that give the small side: `G w G'`. Writes `[point, phase, big, CHUNK small]`; with `HALF` two
/// phases are a pair.
#[derive(Clone, Copy)]
pub(in super::super) struct Prepare<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> {
    pub geometry: Geometry,
    pub weights: *const f32,
    pub block: Block,
    pub to: *mut f32,
}

impl<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> Work for Prepare<M, R, SIDE, HALF> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Block { small, num_small, big, num_big } = self.block;
        let phases = Frame::<M, R, SIDE, HALF>::PHASES;
        let in_word = if HALF { 2 } else { 1 };
        let stride = self.geometry.big_channels * TAPS;
        let point = Frame::<M, R, SIDE, HALF>::weights_point(Frame::<M, R, SIDE, HALF>::depth(num_big));
        for at in (0..num_small).step_by(L::COUNT) {
            for c in 0..num_big {
                // SAFETY: the block lies within the weights, and its points within the destination.
                unsafe {
                    let from = self.weights.add((small + at) * stride + (big + c) * TAPS);
                    let taps = L::load_columns(from, stride, (num_small - at).min(L::COUNT));
                    for phase in (0..phases).step_by(in_word) {
                        let mut points = points_of::<L, M, R, SIDE>(&taps, phase);
                        if HALF {
                            pair(&mut points, &points_of::<L, M, R, SIDE>(&taps, phase + 1));
                        }
                        let to = self.to.add((phase / in_word * num_big + c) * CHUNK + at);
                        write_points::<L, true, SIDE>(&points, to, point, L::COUNT);
                    }
                }
            }
        }
    }
}

/// Weights to points for products that give the big side. Writes `[point, CHUNK small, row]`; a row holds phases and channels of
/// the big side and is `row` floats long. With `HALF` a channel of the small side and the one 16 behind it are a pair.
#[derive(Clone, Copy)]
pub(in super::super) struct PrepareAdjoint<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> {
    pub geometry: Geometry,
    pub weights: *const f32,
    pub block: Block,
    pub to: *mut f32,
    pub row: usize,
}

impl<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> Work for PrepareAdjoint<M, R, SIDE, HALF> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Block { small, num_small, big, num_big } = self.block;
        let phases = Frame::<M, R, SIDE, HALF>::PHASES;
        let depth = Frame::<M, R, SIDE, HALF>::small_depth(CHUNK);
        let point = apart(depth * self.row);
        let taps_of = |s: usize| {
            // SAFETY: the block lies within the weights.
            unsafe { self.weights.add(((small + s) * self.geometry.big_channels + big) * TAPS) }
        };
        for s in 0..Frame::<M, R, SIDE, HALF>::small_depth(num_small) {
            // SAFETY: the block lies within the weights, and its points within the destination.
            unsafe {
                by_vectors!(L, num_big, |at, left, FULL| {
                    let offset = at * TAPS;
                    let taps = L::load_columns(taps_of(s).add(offset), TAPS, left);
                    let other = s + CHUNK / 2;
                    let others = if HALF && other < num_small {
                        L::load_columns(taps_of(other).add(offset), TAPS, left)
                    } else {
                        [L::splat(0.0); TAPS]
                    };
                    for phase in 0..phases {
                        let mut points = points_of::<L, M, R, SIDE>(&taps, phase);
                        if HALF {
                            pair(&mut points, &points_of::<L, M, R, SIDE>(&others, phase));
                        }
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
    taps: &[L; TAPS],
    phase: usize,
) -> [[L; SIDE]; SIDE] {
    unsafe {
        let stride = KERNEL / R;
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
pub(in super::super) struct Finish<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> {
    pub from: *const f32,
    pub block: Block,
    /// The first weight of the block.
    pub to: *mut f32,
    /// Floats from one channel of the small side to the next.
    pub stride: usize,
}

impl<const M: usize, const R: usize, const SIDE: usize, const HALF: bool> Work for Finish<M, R, SIDE, HALF> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Block { num_small, num_big, .. } = self.block;
        let phases = Frame::<M, R, SIDE, HALF>::PHASES;
        let step = KERNEL / R;
        let point = Frame::<M, R, SIDE, HALF>::weights_point(Frame::<M, R, SIDE, HALF>::values(num_big));
        for at in (0..num_small).step_by(L::COUNT) {
            for c in 0..num_big {
                // SAFETY: the block lies within the weights, and its points within the source.
                unsafe {
                    let mut taps = [L::splat(0.0); TAPS];
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
                    let to = self.to.add(at * self.stride + c * TAPS);
                    L::store_columns(taps, to, self.stride, (num_small - at).min(L::COUNT));
                }
            }
        }
    }
}
