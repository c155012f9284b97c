//! AVX-512, and AVX2 with FMA.

use std::arch::x86_64::*;

use super::{Lanes, Work};

/// # Safety
/// The processor has AVX-512 F and DQ.
#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
pub(super) unsafe fn run_avx512(work: impl Work) {
    unsafe { work.run::<Avx512<false>>() }
}

/// # Safety
/// The processor has AVX-512 F, DQ and BF16.
#[target_feature(enable = "avx512f,avx512dq,avx512bf16,avx2,fma")]
pub(super) unsafe fn run_avx512_pairs(work: impl Work) {
    unsafe { work.run::<Avx512<true>>() }
}

/// # Safety
/// The processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run_avx2(work: impl Work) {
    unsafe { work.run::<Avx2>() }
}

/// `PAIRS` where the processor multiplies pairs of bfloat16 itself.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx512<const PAIRS: bool>(__m512);

#[inline(always)]
fn first(count: usize) -> __mmask16 {
    if count >= 16 { u16::MAX } else { (1_u16 << count) - 1 }
}

impl<const PAIRS: bool> Lanes for Avx512<PAIRS> {
    const COUNT: usize = 16;
    const ROWS: usize = 12;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self(unsafe { _mm512_set1_ps(value) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { _mm512_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        Self(unsafe { _mm512_maskz_loadu_ps(first(count), from) })
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        unsafe { _mm512_mask_storeu_ps(to, first(count), self.0) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        Self(unsafe { _mm512_div_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(unsafe { _mm512_sqrt_ps(self.0) })
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, term.0) })
    }
    #[inline(always)]
    unsafe fn select_positive(self, yes: Self, no: Self) -> Self {
        unsafe {
            let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, _mm512_setzero_ps());
            Self(_mm512_mask_blend_ps(positive, no.0, yes.0))
        }
    }
    #[inline(always)]
    unsafe fn pair(self, other: Self) -> Self {
        unsafe {
            // The nearest: half of the last place is added, a little less where that makes it even.
            let round = |x: __m512| {
                let bits = _mm512_castps_si512(x);
                let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
                _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)))
            };
            let low = _mm512_srli_epi32::<16>(round(self.0));
            let high = _mm512_and_si512(round(other.0), _mm512_set1_epi32(-0x1_0000));
            Self(_mm512_castsi512_ps(_mm512_or_si512(low, high)))
        }
    }
    #[inline(always)]
    unsafe fn dot_pairs(self, other: Self, term: Self) -> Self {
        unsafe {
            let (a, b) = (_mm512_castps_si512(self.0), _mm512_castps_si512(other.0));
            if PAIRS {
                let pairs = |x: __m512i| std::mem::transmute::<__m512i, __m512bh>(x);
                return Self(_mm512_dpbf16_ps(term.0, pairs(a), pairs(b)));
            }
            let low = |x| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(x));
            let high = |x| _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(-0x1_0000)));
            Self(_mm512_fmadd_ps(high(a), high(b), _mm512_fmadd_ps(low(a), low(b), term.0)))
        }
    }
    #[inline(always)]
    unsafe fn load_columns(from: *const f32, stride: usize, count: usize) -> [Self; 16] {
        unsafe {
            let mut rows = [_mm512_setzero_ps(); 16];
            for (at, row) in rows.iter_mut().enumerate() {
                if at < count {
                    *row = _mm512_loadu_ps(from.add(at * stride));
                }
            }
            transpose(rows).map(Self)
        }
    }
    #[inline(always)]
    unsafe fn store_columns(columns: [Self; 16], to: *mut f32, stride: usize, count: usize) {
        unsafe {
            for (at, row) in transpose(columns.map(|column| column.0)).into_iter().enumerate() {
                if at < count {
                    _mm512_storeu_ps(to.add(at * stride), row);
                }
            }
        }
    }
}

/// Exchanges rows and columns of 16x16 floats: pairs, fours, then quarters of vectors.
#[inline(always)]
unsafe fn transpose(rows: [__m512; 16]) -> [__m512; 16] {
    unsafe {
        let mut fours = [_mm512_setzero_ps(); 16];
        for group in 0..4 {
            let [a, b, c, d] = [0, 1, 2, 3].map(|at| rows[4 * group + at]);
            let pairs = [
                _mm512_unpacklo_ps(a, b),
                _mm512_unpackhi_ps(a, b),
                _mm512_unpacklo_ps(c, d),
                _mm512_unpackhi_ps(c, d),
            ];
            fours[4 * group] = _mm512_shuffle_ps::<0x44>(pairs[0], pairs[2]);
            fours[4 * group + 1] = _mm512_shuffle_ps::<0xee>(pairs[0], pairs[2]);
            fours[4 * group + 2] = _mm512_shuffle_ps::<0x44>(pairs[1], pairs[3]);
            fours[4 * group + 3] = _mm512_shuffle_ps::<0xee>(pairs[1], pairs[3]);
        }
        let mut columns = [_mm512_setzero_ps(); 16];
        for at in 0..4 {
            let [a, b, c, d] = [0, 1, 2, 3].map(|group| fours[4 * group + at]);
            let low = _mm512_shuffle_f32x4::<0x88>(a, b);
            let high = _mm512_shuffle_f32x4::<0xdd>(a, b);
            let low2 = _mm512_shuffle_f32x4::<0x88>(c, d);
            let high2 = _mm512_shuffle_f32x4::<0xdd>(c, d);
            columns[at] = _mm512_shuffle_f32x4::<0x88>(low, low2);
            columns[at + 4] = _mm512_shuffle_f32x4::<0x88>(high, high2);
            columns[at + 8] = _mm512_shuffle_f32x4::<0xdd>(low, low2);
            columns[at + 12] = _mm512_shuffle_f32x4::<0xdd>(high, high2);
        }
        columns
    }
}

#[derive(Clone, Copy)]
pub(in super::super) struct Avx2(__m256);

#[inline(always)]
unsafe fn first_of_eight(count: usize) -> __m256i {
    static ONES_THEN_ZEROS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    let skipped = 8 - if count < 8 { count } else { 8 };
    unsafe { _mm256_loadu_si256(ONES_THEN_ZEROS.as_ptr().add(skipped).cast()) }
}

impl Lanes for Avx2 {
    const COUNT: usize = 8;
    const ROWS: usize = 6;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self(unsafe { _mm256_set1_ps(value) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { _mm256_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm256_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        Self(unsafe { _mm256_maskload_ps(from, first_of_eight(count)) })
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        unsafe { _mm256_maskstore_ps(to, first_of_eight(count), self.0) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(unsafe { _mm256_add_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(unsafe { _mm256_sub_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(unsafe { _mm256_mul_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        Self(unsafe { _mm256_div_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(unsafe { _mm256_sqrt_ps(self.0) })
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        Self(unsafe { _mm256_max_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, term.0) })
    }
    #[inline(always)]
    unsafe fn select_positive(self, yes: Self, no: Self) -> Self {
        unsafe {
            let positive = _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, _mm256_setzero_ps());
            Self(_mm256_blendv_ps(no.0, yes.0, positive))
        }
    }
    #[inline(always)]
    unsafe fn pair(self, other: Self) -> Self {
        unsafe {
            // As with AVX-512.
            let round = |x: __m256| {
                let bits = _mm256_castps_si256(x);
                let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
                _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)))
            };
            let low = _mm256_srli_epi32::<16>(round(self.0));
            let high = _mm256_and_si256(round(other.0), _mm256_set1_epi32(-0x1_0000));
            Self(_mm256_castsi256_ps(_mm256_or_si256(low, high)))
        }
    }
    #[inline(always)]
    unsafe fn dot_pairs(self, other: Self, term: Self) -> Self {
        unsafe {
            let (a, b) = (_mm256_castps_si256(self.0), _mm256_castps_si256(other.0));
            let low = |x| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(x));
            let high = |x| _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32(-0x1_0000)));
            Self(_mm256_fmadd_ps(high(a), high(b), _mm256_fmadd_ps(low(a), low(b), term.0)))
        }
    }
    #[inline(always)]
    unsafe fn load_columns(from: *const f32, stride: usize, count: usize) -> [Self; 16] {
        unsafe {
            let mut columns = [Self(_mm256_setzero_ps()); 16];
            for half in 0..2 {
                let mut rows = [_mm256_setzero_ps(); 8];
                for (at, row) in rows.iter_mut().enumerate() {
                    if at < count {
                        *row = _mm256_loadu_ps(from.add(at * stride + 8 * half));
                    }
                }
                for (at, column) in transpose_eight(rows).into_iter().enumerate() {
                    columns[8 * half + at] = Self(column);
                }
            }
            columns
        }
    }
    #[inline(always)]
    unsafe fn store_columns(columns: [Self; 16], to: *mut f32, stride: usize, count: usize) {
        unsafe {
            for half in 0..2 {
                let mut part = [_mm256_setzero_ps(); 8];
                for (at, column) in part.iter_mut().enumerate() {
                    *column = columns[8 * half + at].0;
                }
                for (at, row) in transpose_eight(part).into_iter().enumerate() {
                    if at < count {
                        _mm256_storeu_ps(to.add(at * stride + 8 * half), row);
                    }
                }
            }
        }
    }
}

/// Exchanges rows and columns of 8x8 floats.
#[inline(always)]
unsafe fn transpose_eight(rows: [__m256; 8]) -> [__m256; 8] {
    unsafe {
        let mut fours = [_mm256_setzero_ps(); 8];
        for group in 0..2 {
            let [a, b, c, d] = [0, 1, 2, 3].map(|at| rows[4 * group + at]);
            let pairs = [
                _mm256_unpacklo_ps(a, b),
                _mm256_unpackhi_ps(a, b),
                _mm256_unpacklo_ps(c, d),
                _mm256_unpackhi_ps(c, d),
            ];
            fours[4 * group] = _mm256_shuffle_ps::<0x44>(pairs[0], pairs[2]);
            fours[4 * group + 1] = _mm256_shuffle_ps::<0xee>(pairs[0], pairs[2]);
            fours[4 * group + 2] = _mm256_shuffle_ps::<0x44>(pairs[1], pairs[3]);
            fours[4 * group + 3] = _mm256_shuffle_ps::<0xee>(pairs[1], pairs[3]);
        }
        let mut columns = [_mm256_setzero_ps(); 8];
        for at in 0..4 {
            columns[at] = _mm256_permute2f128_ps::<0x20>(fours[at], fours[4 + at]);
            columns[at + 4] = _mm256_permute2f128_ps::<0x31>(fours[at], fours[4 + at]);
        }
        columns
    }
}
