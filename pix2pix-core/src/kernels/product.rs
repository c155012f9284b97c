//! Products of matrices that lie in cache: the arithmetic of all convolutions.

use super::lanes::{Lanes, Work};

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
    /// A multiple of `CHUNK`: what lies behind the last real column is computed and ignored.
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
                unsafe { self.block::<L>(row, rows, column) };
                row += rows;
            }
            column += width;
        }
    }

    #[inline(always)]
    unsafe fn block<L: Lanes>(&self, row: usize, rows: usize, column: usize) {
        macro_rules! choose {
            ($($number:literal)*) => {
                match rows {
                    $( $number if $number <= L::ROWS => unsafe { self.registers::<L, $number>(row, column) }, )*
                    _ => {}
                }
            };
        }
        choose!(1 2 3 4 5 6 7 8 9 10 11 12);
    }

    /// `ROWS` rows by two vectors of columns, all in registers.
    #[inline(always)]
    unsafe fn registers<L: Lanes, const ROWS: usize>(&self, row: usize, column: usize) {
        unsafe {
            let c = self.c.add(row * self.c_row + column);
            let mut a = self.a.add(row * self.a_row);
            let mut b = self.b.add(column);
            let mut sums = [[L::splat(0.0); 2]; ROWS];
            if self.accumulate {
                for (at, sum) in sums.iter_mut().enumerate() {
                    let from = c.add(at * self.c_row);
                    *sum = [L::load(from), L::load(from.add(L::COUNT))];
                }
            }
            for _ in 0..self.depth {
                let factors = [L::load(b), L::load(b.add(L::COUNT))];
                for (at, sum) in sums.iter_mut().enumerate() {
                    let value = L::splat(*a.add(at * self.a_row));
                    *sum = if HALF {
                        [value.dot_pairs(factors[0], sum[0]), value.dot_pairs(factors[1], sum[1])]
                    } else {
                        [value.mul_add(factors[0], sum[0]), value.mul_add(factors[1], sum[1])]
                    };
                }
                // Wrapping: after the last row they may point behind the memory.
                a = a.wrapping_add(self.a_step);
                b = b.wrapping_add(self.b_step);
            }
            for (at, sum) in sums.into_iter().enumerate() {
                let to = c.add(at * self.c_row);
                sum[0].store(to);
                sum[1].store(to.add(L::COUNT));
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
