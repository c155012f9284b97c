//! Batches ahead of the trainer: decoded and augmented on rayon, bounded, in an order that only the seed decides.

use std::{
    collections::{BTreeMap, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use rand::RngExt as _;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    DecodedPair, Pair, PairPath, PairsConfig, PairsError, SourcePixels,
    augment::{AugmentConfig, augment},
    read::read_pair,
};
use crate::{pixel::Picture, seed};

/// How pairs are loaded. `Default` is the paper's batch of 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderConfig {
    /// Pairs of a batch.
    pub batch_size: usize,
    /// Threads that decode; as many as the machine has cores without it. Batches do not depend on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_threads: Option<usize>,
    /// Batches that may be ready or in work before they are asked for.
    pub batches_ahead: usize,
    /// Decoded pairs are kept in this much memory, in MiB, and not read again; 0 for none.
    pub cache_mib: usize,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self { batch_size: 1, num_threads: None, batches_ahead: 8, cache_mib: 0 }
    }
}

/// Loads the pairs of a training set, epoch by epoch.
pub struct Loader {
    shared: Arc<Shared>,
    pool: rayon::ThreadPool,
    config: LoaderConfig,
}

struct Shared {
    paths: Vec<PairPath>,
    pairs: PairsConfig,
    augment: AugmentConfig,
    seed: u64,
    cache: Cache,
}

impl Loader {
    /// Prepares loading; `pairs` has its channels settled ([`super::PairSet::reading`]).
    ///
    /// # Errors
    /// Threads that the system does not give.
    ///
    /// # Panics
    /// When there are no paths or the batch size is zero.
    pub fn new(
        paths: Vec<PairPath>,
        pairs: PairsConfig,
        augment: AugmentConfig,
        config: LoaderConfig,
        seed: u64,
    ) -> Result<Self, PairsError> {
        assert!(!paths.is_empty() && config.batch_size > 0, "there are pairs to load, and batches hold some");
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(config.num_threads.unwrap_or(0))
            .thread_name(|index| format!("loader {index}"))
            .build()
            .map_err(|error| PairsError::Worker { reason: error.to_string() })?;
        let cache = Cache { limit: config.cache_mib << 20, kept: Mutex::default() };
        Ok(Self { shared: Arc::new(Shared { paths, pairs, augment, seed, cache }), pool, config })
    }

    /// Batches of an epoch; the last one may be smaller.
    pub fn num_batches(&self) -> usize {
        self.shared.paths.len().div_ceil(self.config.batch_size)
    }

    /// The batches of an epoch from `first_batch` on, in the order that the seed gives this epoch.
    pub fn epoch(&self, epoch: u64, first_batch: usize) -> EpochIter<'_> {
        let (sender, receiver) = channel();
        let mut iter = EpochIter {
            loader: self,
            order: shuffled(self.shared.paths.len(), self.shared.seed, epoch),
            epoch,
            next_start: first_batch,
            next_give: first_batch,
            sender,
            receiver,
            arrived: BTreeMap::new(),
            cancelled: Arc::new(AtomicBool::new(false)),
        };
        for _ in 0..self.config.batches_ahead.max(1) {
            iter.start_next();
        }
        iter
    }
}

/// A permutation of `0..count` (Fisher and Yates).
fn shuffled(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order = (0..count).collect::<Vec<_>>();
    let mut rng = seed::rng(seed, "shuffle", epoch);
    for last in (1..count).rev() {
        order.swap(last, rng.random_range(0..=last));
    }
    order
}

type Batch = Result<Vec<Pair>, PairsError>;

/// The batches of one epoch. Dropping it stops the work that has not begun.
pub struct EpochIter<'a> {
    loader: &'a Loader,
    order: Vec<usize>,
    epoch: u64,
    next_start: usize,
    next_give: usize,
    sender: Sender<(usize, Batch)>,
    receiver: Receiver<(usize, Batch)>,
    arrived: BTreeMap<usize, Batch>,
    cancelled: Arc<AtomicBool>,
}

impl EpochIter<'_> {
    fn start_next(&mut self) {
        let batch = self.next_start;
        if batch >= self.loader.num_batches() {
            return;
        }
        self.next_start += 1;
        let size = self.loader.config.batch_size;
        let first = batch * size;
        let members = self.order[first..(first + size).min(self.order.len())].to_vec();
        let (shared, sender) = (Arc::clone(&self.loader.shared), self.sender.clone());
        let (cancelled, epoch) = (Arc::clone(&self.cancelled), self.epoch);
        self.loader.pool.spawn(move || {
            if cancelled.load(Ordering::Relaxed) {
                return;
            }
            let load = |(place, &member): (usize, &usize)| shared.load(member, epoch, (first + place) as u64);
            let loaded = catch_unwind(AssertUnwindSafe(|| members.par_iter().enumerate().map(load).collect::<Batch>()));
            let result = loaded.unwrap_or_else(|panic| {
                let said = panic.downcast_ref::<String>().map(String::as_str);
                let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
                Err(PairsError::Worker { reason: said.to_owned() })
            });
            // Nobody listens any more when the epoch was dropped.
            drop(sender.send((batch, result)));
        });
    }
}

impl Iterator for EpochIter<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        if self.next_give >= self.loader.num_batches() {
            return None;
        }
        while !self.arrived.contains_key(&self.next_give) {
            // This iterator holds a sender itself: receiving fails only after it is gone.
            let (batch, result) = self.receiver.recv().ok()?;
            self.arrived.insert(batch, result);
        }
        let batch = self.arrived.remove(&self.next_give);
        self.next_give += 1;
        self.start_next();
        batch
    }
}

impl Drop for EpochIter<'_> {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn load(&self, member: usize, epoch: u64, place: u64) -> Result<Pair, PairsError> {
        let decoded = match self.cache.get(member) {
            Some(decoded) => decoded,
            None => {
                let decoded = Arc::new(read_pair(&self.paths[member], &self.pairs)?);
                self.cache.keep(member, &decoded);
                decoded
            }
        };
        let draw_seed = seed::mix(seed::mix(self.seed, "augmentation of epoch", epoch), "place", place);
        augment(&decoded, &self.augment, draw_seed)
    }
}

/// Decoded pairs, as many as fit.
struct Cache {
    limit: usize,
    kept: Mutex<(usize, HashMap<usize, Arc<DecodedPair>>)>,
}

impl Cache {
    fn get(&self, member: usize) -> Option<Arc<DecodedPair>> {
        if self.limit == 0 {
            return None;
        }
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).1.get(&member).cloned()
    }

    fn keep(&self, member: usize, pair: &Arc<DecodedPair>) {
        let size = num_bytes(pair);
        if size > self.limit {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 + size <= self.limit && kept.1.insert(member, Arc::clone(pair)).is_none() {
            kept.0 += size;
        }
    }
}

fn num_bytes(pair: &DecodedPair) -> usize {
    let of =
        |picture: &Picture| picture.width() * picture.height() * picture.channels() * usize::from(picture.bits()) / 8;
    let source = match &pair.source {
        SourcePixels::Picture(picture) => of(picture),
        SourcePixels::Labels { labels, instances, .. } => {
            size_of_val(labels.ids()) * (1 + usize::from(instances.is_some()))
        }
    };
    source + of(&pair.target)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        pairs::{PairFiles, Split},
        pixel::encode::write_picture,
    };

    fn paths(folder: &Path, count: usize) -> Vec<PairPath> {
        let path_of = |index: usize| {
            let values = (0..40 * 20 * 3).map(|i| ((i * (index + 3)) % 256) as u8).collect();
            let path = folder.join(format!("{index}.png"));
            write_picture(&path, &Picture::from_u8(40, 20, 3, values).expect("a picture"), &[]).expect("written");
            PairPath { name: index.to_string(), split: Split::Train, files: PairFiles::SideBySide { path } }
        };
        (0..count).map(path_of).collect()
    }

    fn loader(paths: &[PairPath], num_threads: usize, cache_mib: usize) -> Loader {
        let augment = AugmentConfig { width: 16, height: 16, ..Default::default() };
        let config = LoaderConfig { batch_size: 3, num_threads: Some(num_threads), batches_ahead: 2, cache_mib };
        Loader::new(paths.to_vec(), PairsConfig::default(), augment, config, 7).expect("threads")
    }

    fn epochs(loader: &Loader) -> Vec<Vec<Pair>> {
        (0..2)
            .flat_map(|epoch| loader.epoch(epoch, 0).map(|batch| batch.expect("a batch")).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn batches_are_the_same_whatever_the_number_of_threads_and_with_a_cache() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let paths = paths(folder.path(), 10);
        let expected = epochs(&loader(&paths, 1, 0));
        assert_eq!(expected.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 3, 1, 3, 3, 3, 1]);
        for (threads, cache) in [(2, 0), (5, 0), (2, 64)] {
            assert_eq!(epochs(&loader(&paths, threads, cache)), expected, "{threads} threads, {cache} MiB");
        }
    }

    #[test]
    fn an_epoch_shows_every_pair_once_in_an_order_of_its_own() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let loader = loader(&paths(folder.path(), 10), 2, 0);
        let names =
            |epoch| loader.epoch(epoch, 0).flat_map(|b| b.expect("a batch")).map(|p| p.name).collect::<Vec<_>>();
        let (first, second) = (names(0), names(1));
        assert_ne!(first, second);
        let mut sorted = first;
        sorted.sort();
        assert_eq!(sorted, (0..10).map(|i| i.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn an_epoch_begun_in_the_middle_goes_on_where_it_was_left() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let loader = loader(&paths(folder.path(), 10), 2, 0);
        let whole = loader.epoch(1, 0).map(|batch| batch.expect("a batch")).collect::<Vec<_>>();
        let rest = loader.epoch(1, 2).map(|batch| batch.expect("a batch")).collect::<Vec<_>>();
        assert_eq!(rest, whole[2..]);
    }

    #[test]
    fn a_bad_file_is_an_error_of_its_batch_and_dropping_an_epoch_ends_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let paths = paths(folder.path(), 10);
        std::fs::write(folder.path().join("4.png"), b"no picture").expect("written");
        let loader = loader(&paths, 2, 0);
        let results = loader.epoch(0, 0).collect::<Vec<_>>();
        let errors = results.iter().filter_map(|batch| batch.as_ref().err()).map(ToString::to_string);
        let errors = errors.collect::<Vec<_>>();
        assert!(errors.len() == 1 && errors[0].contains("4.png"), "{errors:?}");
        let mut epoch = loader.epoch(0, 0);
        drop(epoch.next());
        drop(epoch);
        drop(loader);
    }
}
