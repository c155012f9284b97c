//! The hyperbolic tangent over whole tensors: the generator's last step.

use super::{
    lanes::{Lanes, Work, run},
    norm::unwritten,
    parallel::{Shared, parallel},
};

/// Values that one thread takes at a time.
const CHUNK: usize = 1 << 14;
/// Beyond this the tangent is 1 to the last place.
const MOST: f32 = 7.905;
/// A quotient of polynomials, odd over even: the minimax approximation of Eigen, error below 4e-7.
const ODD: [f32; 7] =
    [4.893_524_6e-3, 6.372_619_3e-4, 1.485_722_4e-5, 5.122_297e-8, -8.604_672e-11, 2.000_188e-13, -2.760_768_5e-16];
const EVEN: [f32; 4] = [4.893_525e-3, 2.268_434_6e-3, 1.185_347_1e-4, 1.198_258_4e-6];

/// The tangent of every value.
pub(super) fn forward(x: &[f32]) -> Vec<f32> {
    each([x, x], |from, to, count| Tangent { x: from[0], to, count })
}

/// `gradient * (1 - y^2)`, from the gradient and the tangent `y`.
pub(super) fn backward(gradient: &[f32], y: &[f32]) -> Vec<f32> {
    each([gradient, y], |from, to, count| Slope { gradient: from[0], y: from[1], to, count })
}

fn each<W: Work>(from: [&[f32]; 2], work: impl Fn([*const f32; 2], *mut f32, usize) -> W + Sync + Send) -> Vec<f32> {
    let len = from[0].len();
    assert_eq!(len, from[1].len(), "gradient and values of one tensor");
    let mut values = unwritten(len);
    let to = Shared::new(&mut values);
    parallel(len.div_ceil(CHUNK), |chunk| {
        let start = chunk * CHUNK;
        // SAFETY: chunks are disjoint parts of slices of one length.
        unsafe { run(work(from.map(|from| from.as_ptr().add(start)), to.get().add(start), CHUNK.min(len - start))) };
    });
    values
}

struct Tangent {
    x: *const f32,
    to: *mut f32,
    count: usize,
}

impl Work for Tangent {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for at in (0..self.count).step_by(L::COUNT) {
            let left = (self.count - at).min(L::COUNT);
            // SAFETY: `at` and `left` stay within `count`.
            unsafe {
                let x = L::load_up_to(self.x.add(at), left);
                // The bound comes first: `max` gives its second argument for what is no number.
                let x = L::splat(-MOST).max(L::splat(0.0).sub(L::splat(-MOST).max(L::splat(0.0).sub(x))));
                let square = x.mul(x);
                let polynomial = |factors: &[f32]| {
                    let (last, others) = factors.split_last().expect("a polynomial has factors");
                    others.iter().rev().fold(L::splat(*last), |sum, factor| sum.mul_add(square, L::splat(*factor)))
                };
                x.mul(polynomial(&ODD)).div(polynomial(&EVEN)).store_up_to(self.to.add(at), left);
            }
        }
    }
}

struct Slope {
    gradient: *const f32,
    y: *const f32,
    to: *mut f32,
    count: usize,
}

impl Work for Slope {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for at in (0..self.count).step_by(L::COUNT) {
            let left = (self.count - at).min(L::COUNT);
            // SAFETY: as above.
            unsafe {
                let y = L::load_up_to(self.y.add(at), left);
                let slope = L::splat(1.0).sub(y.mul(y));
                L::load_up_to(self.gradient.add(at), left).mul(slope).store_up_to(self.to.add(at), left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tangent_and_slope_are_those_of_double_precision() {
        let x = (-4000..=4000).map(|at| at as f32 / 317.0).chain([f32::INFINITY, -1e30]).collect::<Vec<_>>();
        let y = forward(&x);
        let slopes = backward(&vec![2.0; x.len()], &y);
        for ((x, y), slope) in x.iter().zip(&y).zip(slopes) {
            let expected = f64::from(*x).tanh();
            assert!((f64::from(*y) - expected).abs() < 4e-7, "tanh {x}: {y}");
            assert!((f64::from(slope) - 2.0 * (1.0 - expected * expected)).abs() < 2e-6, "slope at {x}: {slope}");
            assert!(y.abs() <= 1.0);
        }
        assert!(forward(&[f32::NAN])[0].is_nan());
    }
}
