//! Adam in one pass over values, moments and gradient.

use super::{
    lanes::{Lanes, Work, run},
    parallel::{Shared, parallel},
};

/// Values that one thread updates at a time.
const CHUNK: usize = 1 << 16;

/// What is the same for all parameters of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamRates {
    /// Learning rate over the first moment's bias correction.
    pub step: f32,
    /// One over the root of the second moment's bias correction.
    pub root: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
}

/// `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g^2`, `value -= step m / (root sqrt(v) + epsilon)`.
///
/// # Panics
/// When lengths differ.
pub(super) fn update(values: &mut [f32], gradient: &[f32], moments: [&mut [f32]; 2], rates: AdamRates) {
    let [first, second] = moments;
    let len = values.len();
    assert!(gradient.len() == len && first.len() == len && second.len() == len, "parameters and moments of one length");
    let (values, first, second) = (Shared::new(values), Shared::new(first), Shared::new(second));
    parallel(len.div_ceil(CHUNK), |chunk| {
        let start = chunk * CHUNK;
        let count = CHUNK.min(len - start);
        // SAFETY: chunks are disjoint parts of slices of one length.
        unsafe {
            run(Update {
                values: values.get().add(start),
                gradient: gradient.as_ptr().add(start),
                first: first.get().add(start),
                second: second.get().add(start),
                count,
                rates,
            });
        }
    });
}

/// Some adjacent parameters.
pub(super) struct Update {
    pub values: *mut f32,
    pub gradient: *const f32,
    pub first: *mut f32,
    pub second: *mut f32,
    pub count: usize,
    pub rates: AdamRates,
}

impl Work for Update {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let AdamRates { step, root, beta1, beta2, epsilon } = self.rates;
        for at in (0..self.count).step_by(L::COUNT) {
            let left = (self.count - at).min(L::COUNT);
            // SAFETY: `at` and `left` stay within `count`.
            unsafe {
                let gradient = L::load_up_to(self.gradient.add(at), left);
                let first = L::load_up_to(self.first.add(at), left);
                let second = L::load_up_to(self.second.add(at), left);
                let first = first.mul(L::splat(beta1)).add(gradient.mul(L::splat(1.0 - beta1)));
                let second = second.mul(L::splat(beta2)).add(gradient.mul(gradient).mul(L::splat(1.0 - beta2)));
                let root = second.sqrt().mul(L::splat(root)).add(L::splat(epsilon));
                let values = L::load_up_to(self.values.add(at), left);
                let moved = first.mul(L::splat(step)).div(root);
                values.sub(moved).store_up_to(self.values.add(at), left);
                first.store_up_to(self.first.add(at), left);
                second.store_up_to(self.second.add(at), left);
            }
        }
    }
}
