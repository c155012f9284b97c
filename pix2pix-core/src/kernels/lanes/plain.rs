//! Four floats in plain code, which the compiler makes vectors of where it can.

use super::Lanes;

/// Four floats in plain code.
#[derive(Clone, Copy)]
pub(in super::super) struct Plain([f32; 4]);

impl Plain {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut result = self.0;
        for (a, b) in result.iter_mut().zip(other.0) {
            *a = f(*a, b);
        }
        Self(result)
    }
}

impl Lanes for Plain {
    const COUNT: usize = 4;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        let mut values = [0.0; 4];
        for (at, value) in values.iter_mut().enumerate().take(count) {
            *value = unsafe { *from.add(at) };
        }
        Self(values)
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        for (at, value) in self.0.into_iter().enumerate().take(count) {
            unsafe { *to.add(at) = value };
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(self.0.map(f32::sqrt))
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        // Without the instruction a fused product is a library call; two roundings are the portable meaning.
        self.zip(factor, |a, b| a * b).zip(term, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn select_positive(self, yes: Self, no: Self) -> Self {
        let mut result = no.0;
        for ((value, yes), x) in result.iter_mut().zip(yes.0).zip(self.0) {
            if x > 0.0 {
                *value = yes;
            }
        }
        Self(result)
    }
    #[inline(always)]
    unsafe fn pair(self, other: Self) -> Self {
        self.zip(other, |low, high| f32::from_bits(bfloat16(high) << 16 | bfloat16(low)))
    }
    #[inline(always)]
    unsafe fn dot_pairs(self, other: Self, term: Self) -> Self {
        let low = |word: f32| f32::from_bits(word.to_bits() << 16);
        let high = |word: f32| f32::from_bits(word.to_bits() & 0xffff_0000);
        let sum = self.zip(other, |a, b| low(a) * low(b)).zip(term, |a, b| a + b);
        self.zip(other, |a, b| high(a) * high(b)).zip(sum, |a, b| a + b)
    }
}

/// The upper half of a float, rounded to nearest even. Infinities stay; a NaN may become one of either.
#[inline(always)]
fn bfloat16(value: f32) -> u32 {
    let bits = value.to_bits();
    bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16
}
