//! What a convolution may do with its weights beside reading them: keep their transform, or learn.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{AdamRates, flex::Values, parallel::Kept};

/// What the weights of a convolution are for.
#[derive(Clone, Debug, Default)]
pub enum WeightUse {
    /// To be read.
    #[default]
    Read,
    /// To be read many times without a change: their transform may be kept.
    Keep(Kept),
    /// To be moved by Adam, in the backward pass where that is possible.
    Learn(Learner),
}

/// Lets the backward pass of one convolution move its weights as soon as their gradient is there, block by block; the gradient as
/// a whole never exists. For weights that take part in one forward pass only.
///
/// The order: a forward pass, [`super::lend`], the backward pass, [`super::take_back`]. Backends that cannot do this leave what is
/// lent as it is, and the gradient comes out of the backward pass as usual.
#[derive(Clone, Debug, Default)]
pub struct Learner(Arc<Mutex<Learning>>);

#[derive(Debug, Default)]
struct Learning {
    uses: usize,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Nothing,
    Lent(Lent, AdamRates),
    Moved(Lent),
}

/// Weights and their moments.
#[derive(Debug)]
pub(super) struct Lent {
    pub values: Values,
    pub moments: [Values; 2],
}

impl Learner {
    fn state(&self) -> MutexGuard<'_, Learning> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more forward pass will come back.
    pub(super) fn count_use(&self) {
        self.state().uses += 1;
    }

    /// Whether the backward pass may move the weights: exactly one convolution waits for it.
    pub fn is_ready(&self) -> bool {
        self.state().uses == 1
    }

    pub(super) fn lend(&self, lent: Lent, rates: AdamRates) {
        self.state().state = State::Lent(lent, rates);
    }

    /// What was lent and not moved yet, for the one who moves it.
    pub(super) fn borrow(&self) -> Option<(Lent, AdamRates)> {
        let mut learning = self.state();
        match std::mem::take(&mut learning.state) {
            State::Lent(lent, rates) => Some((lent, rates)),
            other => {
                learning.state = other;
                None
            }
        }
    }

    pub(super) fn give_back(&self, moved: Lent) {
        self.state().state = State::Moved(moved);
    }

    /// What was lent, moved or not.
    pub(super) fn end(&self) -> Option<Lent> {
        match std::mem::take(&mut self.state().state) {
            State::Nothing => None,
            State::Lent(lent, _) | State::Moved(lent) => Some(lent),
        }
    }

    pub(super) fn has_loan(&self) -> bool {
        !matches!(self.state().state, State::Nothing)
    }

    pub(super) fn has_moved(&self) -> bool {
        matches!(self.state().state, State::Moved(_))
    }
}
