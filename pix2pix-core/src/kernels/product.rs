//! Products of matrices that lie in cache: the arithmetic of all convolutions.

use super::lanes::{Lanes, MOST_LANES, Work};

/// `c (+)= a * b`; with `HALF` every word of `a` and `b` is a pair of bfloat16, and depth counts pairs.
#[derive(Clone, Copy)]
pub(super) struct Product<const HALF: bool> {
    /// `[rows, columns]`, columns adjacent.
    pub c: *mut f32,
    pub c_row: usize,
    /// `[rows, depth]`, any strides.
    pub a: *const f32,
    pub a_row: usize,
    pub a_step: usize,
    /// `[depth, columns]`, columns adjacent.
    pub b: *const f32,
    pub b_step: usize,
    pub rows: usize,
    /// A multiple of 32; without `HALF` of 16.
    pub columns: usize,
    pub depth: usize,
    /// Add to `c` instead of replacing it.
    pub accumulate: bool,
}

impl<const HALF: bool> Product<HALF> {
    /// # Safety
    /// The matrices lie within memory that may be read, `c` within memory that only this call writes; the instructions of `L` exist.
    #[inline(always)]
    pub unsafe fn compute<L: Lanes>(self) {
        let width = 2 * L::COUNT;
        let groups = self.rows.div_ceil(L::ROWS);
        let mut column = 0;
        while column < self.columns {
            let mut row = 0;
            for group in 0..groups {
                // Groups of nearly equal size keep all of them efficient.
                let rows = (self.rows - row).div_ceil(groups - group);
                // Where vectors are as long as what is left, half of a block is.
                if !HALF && L::COUNT == MOST_LANES && self.columns - column < width {
                    unsafe { self.block::<L, 1>(row, rows, column) };
                } else {
                    unsafe { self.block::<L, 2>(row, rows, column) };
                }
                row += rows;
            }
            column += width;
        }
    }

    #[inline(always)]
    unsafe fn block<L: Lanes, const VECTORS: usize>(&self, row: usize, rows: usize, column: usize) {
        macro_rules! choose {
            ($($number:literal)*) => {
                match rows {
                    $( $number if $number <= L::ROWS => unsafe {
                        self.registers::<L, $number, VECTORS>(row, column);
                    }, )*
                    _ => {}
                }
            };
        }
        choose!(1 2 3 4 5 6 7 8 9 10 11 12);
    }

    /// `ROWS` rows by `VECTORS` vectors of columns, all in registers.
    #[inline(always)]
    unsafe fn registers<L: Lanes, const ROWS: usize, const VECTORS: usize>(&self, row: usize, column: usize) {
        unsafe {
            let c = self.c.add(row * self.c_row + column);
            let mut a = self.a.add(row * self.a_row);
            let mut b = self.b.add(column);
            let mut sums = [[L::splat(0.0); VECTORS]; ROWS];
            if self.accumulate {
                for (at, sums) in sums.iter_mut().enumerate() {
                    for (vector, sum) in sums.iter_mut().enumerate() {
                        *sum = L::load(c.add(at * self.c_row + vector * L::COUNT));
                    }
                }
            }
            for _ in 0..self.depth {
                let mut factors = [L::splat(0.0); VECTORS];
                for (vector, factor) in factors.iter_mut().enumerate() {
                    *factor = L::load(b.add(vector * L::COUNT));
                }
                for (at, sums) in sums.iter_mut().enumerate() {
                    let value = L::splat(*a.add(at * self.a_row));
                    for (sum, factor) in sums.iter_mut().zip(factors) {
                        *sum = if HALF { value.dot_pairs(factor, *sum) } else { value.mul_add(factor, *sum) };
                    }
                }
                // Wrapping: after the last row they may point behind the memory.
                a = a.wrapping_add(self.a_step);
                b = b.wrapping_add(self.b_step);
            }
            for (at, sums) in sums.into_iter().enumerate() {
                for (vector, sum) in sums.into_iter().enumerate() {
                    sum.store(c.add(at * self.c_row + vector * L::COUNT));
                }
            }
        }
    }
}

impl<const HALF: bool> Work for Product<HALF> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        unsafe { self.compute::<L>() }
    }
}

/// `c (+)= a * b'`: depth is adjacent in both.
#[derive(Clone, Copy)]
pub(super) struct Dots {
    /// `[rows, columns]`.
    pub c: *mut f32,
    pub c_row: usize,
    /// `[rows, depth]`.
    pub a: *const f32,
    pub a_row: usize,
    /// `[columns, depth]`.
    pub b: *const f32,
    pub b_row: usize,
    pub rows: usize,
    pub columns: usize,
    /// A multiple of 16.
    pub depth: usize,
    /// Add to `c` instead of replacing it.
    pub accumulate: bool,
}

impl Work for Dots {
    /// Six rows by four columns fit thirty-two registers, three by four the sixteen that every processor here has.
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let step = if L::ROWS == 12 { 6 } else { 3 };
        for row in (0..self.rows).step_by(step) {
            for column in (0..self.columns).step_by(4) {
                // SAFETY: the caller's.
                unsafe {
                    match self.columns - column {
                        1 => self.rows::<L, 1>(row, column, step),
                        2 => self.rows::<L, 2>(row, column, step),
                        3 => self.rows::<L, 3>(row, column, step),
                        _ => self.rows::<L, 4>(row, column, step),
                    }
                }
            }
        }
    }
}

/// As for [`Product::compute`], and `depth` is a multiple of 16.
impl Dots {
    #[inline(always)]
    unsafe fn rows<L: Lanes, const COLUMNS: usize>(&self, row: usize, column: usize, most: usize) {
        macro_rules! choose {
            ($($number:literal)*) => {
                match (self.rows - row).min(most) {
                    $( $number if $number <= L::ROWS => unsafe {
                        self.registers::<L, $number, COLUMNS>(row, column);
                    }, )*
                    _ => {}
                }
            };
        }
        choose!(1 2 3 4 5 6);
    }

    #[inline(always)]
    unsafe fn registers<L: Lanes, const ROWS: usize, const COLUMNS: usize>(&self, row: usize, column: usize) {
        // SAFETY: the caller's.
        unsafe {
            let (a, b) = (self.a.add(row * self.a_row), self.b.add(column * self.b_row));
            let mut sums = [[L::splat(0.0); COLUMNS]; ROWS];
            for at in (0..self.depth).step_by(L::COUNT) {
                let mut rows = [L::splat(0.0); ROWS];
                for (number, row) in rows.iter_mut().enumerate() {
                    *row = L::load(a.add(number * self.a_row + at));
                }
                for number in 0..COLUMNS {
                    let column = L::load(b.add(number * self.b_row + at));
                    for (sums, row) in sums.iter_mut().zip(rows) {
                        sums[number] = row.mul_add(column, sums[number]);
                    }
                }
            }
            // The lanes of all sums side by side are added up together.
            let mut lanes = [0.0_f32; 32 * MOST_LANES];
            let mut totals = [0.0_f32; 32];
            let (lanes, totals) = (lanes.as_mut_ptr(), totals.as_mut_ptr());
            for (number, sum) in sums.as_flattened().iter().enumerate() {
                sum.store(lanes.add(number * MOST_LANES));
            }
            for first in (0..ROWS * COLUMNS).step_by(L::COUNT) {
                let columns = L::load_columns(lanes.add(first * MOST_LANES), MOST_LANES, L::COUNT);
                let mut total = L::splat(0.0);
                for column in columns {
                    total = total.add(column);
                }
                total.store(totals.add(first));
            }
            for number in 0..ROWS * COLUMNS {
                let to = self.c.add((row + number / COLUMNS) * self.c_row + column + number % COLUMNS);
                let total = *totals.add(number);
                *to = if self.accumulate { *to + total } else { total };
            }
        }
    }
}
