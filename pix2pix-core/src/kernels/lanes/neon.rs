//! NEON, which every 64-bit ARM processor has.

use std::arch::aarch64::*;

use super::{Lanes, Work};

/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
pub(super) unsafe fn run_neon(work: impl Work) {
    unsafe { work.run::<Neon>() }
}

/// Two registers: as in the other implementations, one value that is spread over a register then serves four products.
#[derive(Clone, Copy)]
pub(in super::super) struct Neon([float32x4_t; 2]);

impl Neon {
    #[inline(always)]
    unsafe fn zip(self, other: Self, f: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> Self {
        Self([f(self.0[0], other.0[0]), f(self.0[1], other.0[1])])
    }
}

impl Lanes for Neon {
    const COUNT: usize = 8;
    const ROWS: usize = 6;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([unsafe { vdupq_n_f32(value) }; 2])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { [vld1q_f32(from), vld1q_f32(from.add(4))] })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe {
            vst1q_f32(to, self.0[0]);
            vst1q_f32(to.add(4), self.0[1]);
        }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        unsafe {
            if count < 4 {
                Self([load_first(from, count), vdupq_n_f32(0.0)])
            } else {
                Self([vld1q_f32(from), load_first(from.add(4), count - 4)])
            }
        }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        unsafe {
            if count < 4 {
                store_first(self.0[0], to, count);
            } else {
                vst1q_f32(to, self.0[0]);
                store_first(self.0[1], to.add(4), count - 4);
            }
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { self.zip(other, |a, b| vaddq_f32(a, b)) }
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        unsafe { self.zip(other, |a, b| vsubq_f32(a, b)) }
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        unsafe { self.zip(other, |a, b| vmulq_f32(a, b)) }
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        unsafe { self.zip(other, |a, b| vdivq_f32(a, b)) }
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(self.0.map(|x| unsafe { vsqrtq_f32(x) }))
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // The instruction of this name treats NaN and the sign of zero differently from the other implementations.
        unsafe { self.zip(other, |a, b| vbslq_f32(vcgtq_f32(a, b), a, b)) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        let [a, b] = self.0;
        let [fa, fb] = factor.0;
        let [ta, tb] = term.0;
        Self(unsafe { [vfmaq_f32(ta, a, fa), vfmaq_f32(tb, b, fb)] })
    }
    #[inline(always)]
    unsafe fn select_positive(self, yes: Self, no: Self) -> Self {
        unsafe {
            let [a, b] = self.0.map(|x| vcgtzq_f32(x));
            Self([vbslq_f32(a, yes.0[0], no.0[0]), vbslq_f32(b, yes.0[1], no.0[1])])
        }
    }
    #[inline(always)]
    unsafe fn pair(self, other: Self) -> Self {
        // The nearest: half of the last place is added, a little less where that makes it even.
        let round = |x| unsafe {
            let bits = vreinterpretq_u32_f32(x);
            let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
            vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)))
        };
        unsafe {
            self.zip(other, |a, b| {
                let high = vandq_u32(round(b), vdupq_n_u32(0xffff_0000));
                vreinterpretq_f32_u32(vorrq_u32(vshrq_n_u32::<16>(round(a)), high))
            })
        }
    }
    #[inline(always)]
    unsafe fn dot_pairs(self, other: Self, term: Self) -> Self {
        let low = |x| unsafe { vreinterpretq_f32_u32(vshlq_n_u32::<16>(vreinterpretq_u32_f32(x))) };
        let high = |x| unsafe { vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(0xffff_0000))) };
        let [a, b] = [0, 1].map(|half| {
            let (x, y, sum) = (self.0[half], other.0[half], term.0[half]);
            // SAFETY: the processor has NEON.
            unsafe { vfmaq_f32(vfmaq_f32(sum, low(x), low(y)), high(x), high(y)) }
        });
        Self([a, b])
    }
    #[inline(always)]
    unsafe fn load_columns(from: *const f32, stride: usize, count: usize) -> [Self; 16] {
        unsafe {
            let zero = vdupq_n_f32(0.0);
            let mut columns = [Self([zero; 2]); 16];
            for half in 0..2 {
                for quarter in 0..4 {
                    let mut rows = [zero; 4];
                    for (at, row) in rows.iter_mut().enumerate() {
                        if 4 * half + at < count {
                            *row = vld1q_f32(from.add((4 * half + at) * stride + 4 * quarter));
                        }
                    }
                    for (at, column) in transpose(rows).into_iter().enumerate() {
                        columns[4 * quarter + at].0[half] = column;
                    }
                }
            }
            columns
        }
    }
    #[inline(always)]
    unsafe fn store_columns(columns: [Self; 16], to: *mut f32, stride: usize, count: usize) {
        unsafe {
            for half in 0..2 {
                for quarter in 0..4 {
                    let part = [0, 1, 2, 3].map(|at| columns[4 * quarter + at].0[half]);
                    for (at, row) in transpose(part).into_iter().enumerate() {
                        if 4 * half + at < count {
                            vst1q_f32(to.add((4 * half + at) * stride + 4 * quarter), row);
                        }
                    }
                }
            }
        }
    }
}

/// The first `count` of four floats, zero behind them.
#[inline(always)]
unsafe fn load_first(from: *const f32, count: usize) -> float32x4_t {
    unsafe {
        match count {
            0 => vdupq_n_f32(0.0),
            1 => vld1q_lane_f32::<0>(from, vdupq_n_f32(0.0)),
            2 => vcombine_f32(vld1_f32(from), vdup_n_f32(0.0)),
            3 => vld1q_lane_f32::<2>(from.add(2), vcombine_f32(vld1_f32(from), vdup_n_f32(0.0))),
            _ => vld1q_f32(from),
        }
    }
}

#[inline(always)]
unsafe fn store_first(value: float32x4_t, to: *mut f32, count: usize) {
    unsafe {
        match count {
            0 => {}
            1 => vst1q_lane_f32::<0>(to, value),
            2 => vst1_f32(to, vget_low_f32(value)),
            3 => {
                vst1_f32(to, vget_low_f32(value));
                vst1q_lane_f32::<2>(to.add(2), value);
            }
            _ => vst1q_f32(to, value),
        }
    }
}

/// Exchanges rows and columns of 4x4 floats.
#[inline(always)]
unsafe fn transpose([a, b, c, d]: [float32x4_t; 4]) -> [float32x4_t; 4] {
    unsafe {
        let [even, even2] = [vzip1q_f32(a, c), vzip2q_f32(a, c)];
        let [odd, odd2] = [vzip1q_f32(b, d), vzip2q_f32(b, d)];
        [vzip1q_f32(even, odd), vzip2q_f32(even, odd), vzip1q_f32(even2, odd2), vzip2q_f32(even2, odd2)]
    }
}
