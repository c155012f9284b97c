//! Vectors of 32-bit floats under one name: AVX-512, AVX2 with FMA, NEON, and plain arrays.
//!
//! A piece of work is written once, over [`Lanes`], and compiled for every instruction set that the target may have; which of
//! them runs is decided when the program runs. The functions of an implementation may only be called where its instructions
//! exist: [`run`] is the one place that establishes this.

#[cfg(all(target_arch = "aarch64", not(miri)))]
mod neon;
mod plain;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod x86;

use std::sync::atomic::{AtomicU8, Ordering};

use plain::Plain;

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

    /// Words of two bfloat16, the nearest to `self` in the lower half and to `other` in the upper one.
    unsafe fn pair(self, other: Self) -> Self;
    /// `term` plus the products of both halves of the words; bfloat16 widened to 32 bits, sums in 32 bits.
    unsafe fn dot_pairs(self, other: Self, term: Self) -> Self;

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
    /// AVX2 with FMA; on 64-bit ARM NEON.
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
        #[cfg(all(target_arch = "aarch64", not(miri)))]
        {
            if std::arch::is_aarch64_feature_detected!("neon") { Self::Wide } else { Self::Portable }
        }
        #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
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
///
/// # Safety
/// What the work asks of its pointers.
#[inline]
pub(super) unsafe fn run(work: impl Work) {
    match Simd::current() {
        // SAFETY: `Simd::current` is never above what this processor was found to have.
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        Simd::Widest => unsafe { x86::run_avx512(work) },
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        Simd::Wide => unsafe { x86::run_avx2(work) },
        #[cfg(all(target_arch = "aarch64", not(miri)))]
        Simd::Wide => unsafe { neon::run_neon(work) },
        // SAFETY: plain arrays need no instructions of their own.
        _ => unsafe { work.run::<Plain>() },
    }
}

/// The same for work on pairs of bfloat16, for which some processors have an instruction.
///
/// # Safety
/// As for [`run`].
#[inline]
pub(super) unsafe fn run_pairs(work: impl Work) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if Simd::current() == Simd::Widest && is_x86_feature_detected!("avx512bf16") {
        // SAFETY: the processor was asked.
        return unsafe { x86::run_avx512_pairs(work) };
    }
    // SAFETY: the caller's.
    unsafe { run(work) }
}

#[cfg(test)]
mod tests;
