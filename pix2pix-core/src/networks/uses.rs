//! What the weights of a network are for, layer by layer: to learn in the backward pass, or to be read again and again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use burn::module::ParamId;

use crate::kernels::{KeepRoom, Kept, Learner, WeightUse};

/// One purpose for all convolutions of one network. Layers appear as forward passes meet them.
#[derive(Debug)]
pub struct WeightUses {
    room: Option<KeepRoom>,
    layers: Mutex<HashMap<ParamId, WeightUse>>,
}

impl WeightUses {
    /// Weights that the next backward pass may move.
    pub fn learn() -> Self {
        Self { room: None, layers: Mutex::default() }
    }

    /// Weights that do not change any more: transformed ones are kept, up to so many bytes.
    pub fn keep(bytes: usize) -> Self {
        Self { room: Some(KeepRoom::new(bytes)), layers: Mutex::default() }
    }

    pub(super) fn of(&self, id: ParamId) -> WeightUse {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = || match &self.room {
            Some(room) => WeightUse::Keep(Kept::new(room)),
            None => WeightUse::Learn(Learner::default()),
        };
        layers.entry(id).or_insert_with(begin).clone()
    }

    /// The learner of a layer that a forward pass has met.
    pub fn learner(&self, id: ParamId) -> Option<Learner> {
        match self.layers.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            Some(WeightUse::Learn(learner)) => Some(learner.clone()),
            _ => None,
        }
    }
}
