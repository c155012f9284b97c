//! The bilinear algorithm behind all convolutions here: a picture tile, a kernel and their correlation are each a matrix product
//! away from a form in which correlating is multiplying point by point (Winograd 1980; Lavin and Gray 2016).
//!
//! With `m` outputs and `r` taps a tile reads `side = m + r - 1` values. `y = A' [(G g) . (B' x)]` in one dimension, the same on
//! rows and columns in two. The matrices come from the points of Toom and Cook, computed by the compiler.

use super::lanes::Lanes;

/// The longest side of a tile.
pub(super) const MOST_SIDE: usize = 7;

/// Points in the order of use; the last row of every matrix belongs to infinity.
const POINTS: [f64; MOST_SIDE - 1] = [0.0, 1.0, -1.0, 0.5, -2.0, -0.5];

/// Calls a body with `$at` a constant from 0 to 6, as far as the condition holds.
macro_rules! unrolled {
    ($at:ident < $end:expr => $body:block) => {
        unrolled!(@ $at $end, $body, 0 1 2 3 4 5 6)
    };
    (@ $at:ident $end:expr, $body:block, $($number:literal)*) => {
        $( if const { $number < $end } { const $at: usize = $number; $body } )*
    };
}

/// A matrix that the compiler knows.
pub(super) trait Transform<const OUT: usize, const IN: usize> {
    const MATRIX: [[f32; IN]; OUT];
}

/// `B'`, or with `ADJOINT` its transpose `B`: a tile of the picture to its points.
pub(super) struct ToPoints<const M: usize, const ADJOINT: bool>;
/// `A'`, products of the points to outputs.
pub(super) struct ToOutputs<const R: usize>;
/// `A`.
pub(super) struct FromOutputs<const R: usize>;
/// `G`, taps to points.
pub(super) struct FromTaps<const M: usize>;
/// `G'`.
pub(super) struct ToTaps<const M: usize>;

impl<const M: usize, const SIDE: usize> Transform<SIDE, SIDE> for ToPoints<M, false> {
    const MATRIX: [[f32; SIDE]; SIDE] = input::<M, SIDE>();
}
impl<const M: usize, const SIDE: usize> Transform<SIDE, SIDE> for ToPoints<M, true> {
    const MATRIX: [[f32; SIDE]; SIDE] = transposed(input::<M, SIDE>());
}
impl<const M: usize, const R: usize, const SIDE: usize> Transform<M, SIDE> for ToOutputs<R> {
    const MATRIX: [[f32; SIDE]; M] = output::<M, SIDE>();
}
impl<const M: usize, const R: usize, const SIDE: usize> Transform<SIDE, M> for FromOutputs<R> {
    const MATRIX: [[f32; M]; SIDE] = transposed(output::<M, SIDE>());
}
impl<const M: usize, const R: usize, const SIDE: usize> Transform<SIDE, R> for FromTaps<M> {
    const MATRIX: [[f32; R]; SIDE] = kernel::<M, R, SIDE>();
}
impl<const M: usize, const R: usize, const SIDE: usize> Transform<R, SIDE> for ToTaps<M> {
    const MATRIX: [[f32; SIDE]; R] = transposed(kernel::<M, R, SIDE>());
}

const fn transposed<const ROWS: usize, const COLUMNS: usize>(matrix: [[f32; COLUMNS]; ROWS]) -> [[f32; ROWS]; COLUMNS] {
    let mut result = [[0.0; ROWS]; COLUMNS];
    let mut row = 0;
    while row < ROWS {
        let mut column = 0;
        while column < COLUMNS {
            result[column][row] = matrix[row][column];
            column += 1;
        }
        row += 1;
    }
    result
}

const fn power(base: f64, exponent: usize) -> f64 {
    let mut result = 1.0;
    let mut done = 0;
    while done < exponent {
        result *= base;
        done += 1;
    }
    result
}

/// Coefficients, lowest first, of the product of `x - point` over all finite points but `left_out`.
const fn polynomial<const SIDE: usize>(left_out: usize) -> [f32; SIDE] {
    let mut coefficients = [0.0_f64; SIDE];
    coefficients[0] = 1.0;
    let mut degree = 0;
    let mut at = 0;
    while at < SIDE - 1 {
        if at != left_out {
            degree += 1;
            let mut place = degree;
            while place > 0 {
                coefficients[place] = coefficients[place - 1] - POINTS[at] * coefficients[place];
                place -= 1;
            }
            coefficients[0] *= -POINTS[at];
        }
        at += 1;
    }
    let mut result = [0.0; SIDE];
    let mut place = 0;
    while place < SIDE {
        result[place] = coefficients[place] as f32;
        place += 1;
    }
    result
}

const fn input<const M: usize, const SIDE: usize>() -> [[f32; SIDE]; SIDE] {
    let mut matrix = [[0.0; SIDE]; SIDE];
    let mut row = 0;
    while row < SIDE {
        // Infinity leaves no finite point out.
        matrix[row] = polynomial::<SIDE>(row);
        row += 1;
    }
    matrix
}

const fn output<const M: usize, const SIDE: usize>() -> [[f32; SIDE]; M] {
    let mut matrix = [[0.0; SIDE]; M];
    let mut row = 0;
    while row < M {
        let mut column = 0;
        while column < SIDE {
            matrix[row][column] = if column < SIDE - 1 {
                power(POINTS[column], row) as f32
            } else if row == M - 1 {
                1.0
            } else {
                0.0
            };
            column += 1;
        }
        row += 1;
    }
    matrix
}

const fn kernel<const M: usize, const R: usize, const SIDE: usize>() -> [[f32; R]; SIDE] {
    let mut matrix = [[0.0; R]; SIDE];
    let mut row = 0;
    while row < SIDE {
        let mut column = 0;
        while column < R {
            matrix[row][column] = if row < SIDE - 1 {
                let mut scale = 1.0;
                let mut other = 0;
                while other < SIDE - 1 {
                    if other != row {
                        scale *= POINTS[row] - POINTS[other];
                    }
                    other += 1;
                }
                (power(POINTS[row], column) / scale) as f32
            } else if column == R - 1 {
                1.0
            } else {
                0.0
            };
            column += 1;
        }
        row += 1;
    }
    matrix
}

/// What a row of a matrix asks to be done with a value.
#[derive(PartialEq)]
enum Step {
    Skip,
    Begin,
    BeginScaled(f32),
    Add,
    Subtract,
    AddScaled(f32),
}

const fn step<const OUT: usize, const IN: usize>(matrix: [[f32; IN]; OUT], row: usize, place: usize) -> Step {
    // The compiler asks for places behind the end too, in code that it leaves out.
    if row >= OUT || place >= IN || matrix[row][place] == 0.0 {
        return Step::Skip;
    }
    let mut first = true;
    let mut before = 0;
    while before < place {
        first &= matrix[row][before] == 0.0;
        before += 1;
    }
    let factor = matrix[row][place];
    match (first, factor) {
        (true, 1.0) => Step::Begin,
        (true, _) => Step::BeginScaled(factor),
        (false, 1.0) => Step::Add,
        (false, -1.0) => Step::Subtract,
        (false, _) => Step::AddScaled(factor),
    }
}

/// One row of a matrix applied to vectors: what the compiler sees is a line of sums without zeros and ones.
#[inline(always)]
unsafe fn combine<L: Lanes, T: Transform<OUT, IN>, const OUT: usize, const IN: usize, const ROW: usize>(
    x: &[L; IN],
) -> L {
    let mut sum = unsafe { L::splat(0.0) };
    unrolled!(AT < IN => {
        sum = unsafe {
            match const { step(T::MATRIX, ROW, AT) } {
                Step::Skip => sum,
                Step::Begin => x[AT],
                Step::BeginScaled(factor) => x[AT].mul(L::splat(factor)),
                Step::Add => sum.add(x[AT]),
                Step::Subtract => sum.sub(x[AT]),
                Step::AddScaled(factor) => x[AT].mul_add(L::splat(factor), sum),
            }
        };
    });
    sum
}

/// `matrix * x * matrix'`.
#[inline(always)]
pub(super) unsafe fn sandwich<L: Lanes, T: Transform<OUT, IN>, const OUT: usize, const IN: usize>(
    x: &[[L; IN]; IN],
) -> [[L; OUT]; OUT] {
    unsafe {
        // The transpose of `matrix * x`, whose rows the matrix meets next.
        let mut half = [[L::splat(0.0); IN]; OUT];
        for at in 0..IN {
            let column = x.map(|row| row[at]);
            unrolled!(ROW < OUT => { half[ROW][at] = combine::<L, T, OUT, IN, ROW>(&column); });
        }
        let mut result = [[L::splat(0.0); OUT]; OUT];
        for (row, half) in result.iter_mut().zip(&half) {
            unrolled!(COLUMN < OUT => { row[COLUMN] = combine::<L, T, OUT, IN, COLUMN>(half); });
        }
        result
    }
}
