//! Vectors of 32-bit floats under one name: AVX-512, AVX2 with FMA, and plain arrays.
//!
//! A piece of work is written once, over [`Lanes`], and compiled for every instruction set that the target may have; which of
//! them runs is decided when the program runs. The functions of an implementation may only be called where its instructions
//! exist: [`run`] is the one place that establishes this.

use std::sync::atomic::{AtomicU8, Ordering};

/// The most lanes that any implementation has.
pub(super) const MOST_LANES: usize = 16;

/// A vector of floats. All functions need the instruction set of the implementation, and valid pointers.
pub(super) trait Lanes: Copy {
    /// Floats in a vector.
    const COUNT: usize;
    /// Rows of products that fit the registers, two vectors each.
    const ROWS: usize;

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// The first `count` floats, zero behind them.
    unsafe fn load_first(from: *const f32, count: usize) -> Self;
    unsafe fn store_first(self, to: *mut f32, count: usize);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn div(self, other: Self) -> Self;
    unsafe fn sqrt(self) -> Self;
    unsafe fn max(self, other: Self) -> Self;
    /// `self * factor + term`.
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self;
    /// `yes` where `self` is above zero, else `no`.
    unsafe fn select_positive(self, yes: Self, no: Self) -> Self;

    /// [`Self::load_first`] where a whole vector is the rule.
    #[inline(always)]
    unsafe fn load_up_to(from: *const f32, count: usize) -> Self {
        unsafe { if count == Self::COUNT { Self::load(from) } else { Self::load_first(from, count) } }
    }

    /// [`Self::store_first`] where a whole vector is the rule.
    #[inline(always)]
    unsafe fn store_up_to(self, to: *mut f32, count: usize) {
        unsafe { if count == Self::COUNT { self.store(to) } else { self.store_first(to, count) } }
    }

    /// Sixteen columns of a matrix whose rows are `stride` floats apart, one vector over the rows for each column.
    /// Rows from `count` on read as zero.
    #[inline(always)]
    unsafe fn load_columns(from: *const f32, stride: usize, count: usize) -> [Self; 16] {
        let mut turned = [[0.0_f32; MOST_LANES]; 16];
        for (number, column) in turned.iter_mut().enumerate() {
            for (row, value) in column.iter_mut().enumerate().take(count) {
                *value = unsafe { *from.add(row * stride + number) };
            }
        }
        turned.map(|column| unsafe { Self::load(column.as_ptr()) })
    }

    /// Puts back what [`Self::load_columns`] takes.
    #[inline(always)]
    unsafe fn store_columns(columns: [Self; 16], to: *mut f32, stride: usize, count: usize) {
        let mut turned = [[0.0_f32; MOST_LANES]; 16];
        for (column, turned) in columns.into_iter().zip(&mut turned) {
            unsafe { column.store(turned.as_mut_ptr()) };
        }
        for (number, column) in turned.into_iter().enumerate() {
            for (row, value) in column.into_iter().enumerate().take(count) {
                unsafe { *to.add(row * stride + number) = value };
            }
        }
    }
}

/// Work that is compiled for every instruction set.
pub(super) trait Work {
    /// # Safety
    /// The instructions of `L` exist. Implementations are `inline(always)`.
    unsafe fn run<L: Lanes>(self);
}

/// Which instructions are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Simd {
    /// Plain code, which the compiler vectorises for the least processor of the target.
    Portable = 1,
    /// AVX2 with FMA.
    Wide = 2,
    /// AVX-512.
    Widest = 3,
}

static LEVEL: AtomicU8 = AtomicU8::new(0);

impl Simd {
    /// The best that this processor has.
    pub fn best() -> Self {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            let wide = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let widest = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq");
            match (wide, widest) {
                (true, true) => Self::Widest,
                (true, false) => Self::Wide,
                _ => Self::Portable,
            }
        }
        #[cfg(any(miri, not(target_arch = "x86_64")))]
        Self::Portable
    }

    /// What is used now.
    pub fn current() -> Self {
        match LEVEL.load(Ordering::Relaxed) {
            1 => Self::Portable,
            2 => Self::Wide,
            3 => Self::Widest,
            _ => {
                let best = Self::best();
                LEVEL.store(best as u8, Ordering::Relaxed);
                best
            }
        }
    }

    /// Uses at most this, for the whole process.
    pub fn limit(self) {
        LEVEL.store(self.min(Self::best()) as u8, Ordering::Relaxed);
    }
}

/// Runs work with the instructions chosen.
#[inline]
pub(super) fn run(work: impl Work) {
    match Simd::current() {
        // SAFETY: `Simd::current` is never above what this processor was found to have.
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        Simd::Widest => unsafe { x86::run_avx512(work) },
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        Simd::Wide => unsafe { x86::run_avx2(work) },
        // SAFETY: plain arrays need no instructions of their own.
        _ => unsafe { work.run::<Plain>() },
    }
}

/// Four floats in plain code.
#[derive(Clone, Copy)]
pub(super) struct Plain([f32; 4]);

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
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Lanes, Work};

    /// # Safety
    /// The processor has AVX-512 F and DQ.
    #[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
    pub(super) unsafe fn run_avx512(work: impl Work) {
        unsafe { work.run::<Avx512>() }
    }

    /// # Safety
    /// The processor has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn run_avx2(work: impl Work) {
        unsafe { work.run::<Avx2>() }
    }

    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(__m512);

    #[inline(always)]
    fn first(count: usize) -> __mmask16 {
        if count >= 16 { u16::MAX } else { (1_u16 << count) - 1 }
    }

    impl Lanes for Avx512 {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that vectors do, on values that a test knows.
    struct Everything<'a>(&'a mut Vec<Vec<f32>>);

    impl Work for Everything<'_> {
        #[inline(always)]
        unsafe fn run<L: Lanes>(self) {
            let input = (0..512).map(|at| (at % 37) as f32 - 17.5).collect::<Vec<_>>();
            let mut out = vec![0.0; 16 * 16 + 7];
            // SAFETY: all places lie within the vectors.
            unsafe {
                for at in (0..16).step_by(L::COUNT) {
                    let (a, b) = (L::load(input.as_ptr().add(at)), L::load(input.as_ptr().add(40 + at)));
                    let all = [
                        a.add(b),
                        a.sub(b),
                        a.mul(b),
                        a.div(b),
                        a.mul(a).sqrt(),
                        a.max(b),
                        a.mul_add(b, L::splat(0.5)),
                        a.select_positive(b, L::splat(-3.0)),
                    ];
                    for (number, value) in all.into_iter().enumerate() {
                        value.store(out.as_mut_ptr().add(number * 16 + at));
                    }
                }
                self.0.push(out.clone());
                for count in 0..=L::COUNT {
                    let mut part = vec![9.0; L::COUNT];
                    L::load_first(input.as_ptr(), count).store(part.as_mut_ptr());
                    assert_eq!(part[..count], input[..count]);
                    assert!(part[count..].iter().all(|&x| x == 0.0));
                    let mut part = vec![9.0; L::COUNT];
                    L::load(input.as_ptr()).store_first(part.as_mut_ptr(), count);
                    assert_eq!(part[..count], input[..count]);
                    assert!(part[count..].iter().all(|&x| x == 9.0));
                    let columns = L::load_columns(input.as_ptr(), 19, count);
                    for (number, column) in columns.into_iter().enumerate() {
                        let mut values = vec![9.0; L::COUNT];
                        column.store(values.as_mut_ptr());
                        for (row, value) in values.into_iter().enumerate() {
                            assert_eq!(value, if row < count { input[row * 19 + number] } else { 0.0 });
                        }
                    }
                    let mut back = vec![9.0; 19 * L::COUNT];
                    L::store_columns(columns, back.as_mut_ptr(), 19, count);
                    for (at, value) in back.into_iter().enumerate() {
                        let written = at % 19 < 16 && at / 19 < count;
                        assert_eq!(value, if written { input[at] } else { 9.0 });
                    }
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_computes_the_same() {
        let mut found = Vec::new();
        // SAFETY: plain arrays need no instructions of their own.
        unsafe { Everything(&mut found).run::<Plain>() };
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            if Simd::best() >= Simd::Wide {
                // SAFETY: the processor was asked.
                unsafe { x86::run_avx2(Everything(&mut found)) };
            }
            if Simd::best() >= Simd::Widest {
                // SAFETY: as above.
                unsafe { x86::run_avx512(Everything(&mut found)) };
            }
        }
        for other in &found[1..] {
            for (a, b) in found[0].iter().zip(other) {
                assert!((a - b).abs() <= a.abs() * 1e-6, "{a} and {b}");
            }
        }
    }
}
