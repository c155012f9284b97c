//! Work shared between threads, and memory that each thread keeps for itself.

use std::{
    cell::Cell,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use rayon::prelude::*;

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` with all operations of this room on this thread alone: for callers that have threads of their own.
pub fn alone<T>(work: impl FnOnce() -> T) -> T {
    let before = ALONE.replace(true);
    let result = work();
    ALONE.set(before);
    result
}

/// Runs `work` for every number below `count`, on all threads.
pub(super) fn parallel(count: usize, work: impl Fn(usize) + Sync + Send) {
    if count <= 1 || ALONE.get() {
        (0..count).for_each(work);
    } else {
        (0..count).into_par_iter().with_max_len(1).for_each(work);
    }
}

/// A pointer that several threads write through, each to places of its own.
#[derive(Clone, Copy)]
pub(super) struct Shared(*mut f32);

// SAFETY: whoever dereferences the pointer answers for the places being disjoint.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub fn new(values: &mut [f32]) -> Self {
        Self(values.as_mut_ptr())
    }

    /// A pointer that is only read through.
    pub fn read(values: *const f32) -> Self {
        Self(values.cast_mut())
    }

    pub fn get(self) -> *mut f32 {
        self.0
    }
}

/// Sixteen floats on a cache line of their own.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Buffers that wait for their next use.
static WAITING: Mutex<Vec<Vec<Line>>> = Mutex::new(Vec::new());
/// Most buffers that wait.
const MOST_WAITING: usize = 3;

/// Floats that begin on a cache line, for all threads. What they hold at first is not specified. The memory is used again.
#[derive(Debug)]
pub(super) struct Buffer(Vec<Line>);

impl Buffer {
    pub fn new(count: usize) -> Self {
        let lines = count.div_ceil(16);
        if lines == 0 {
            return Self(Vec::new());
        }
        let mut waiting = WAITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The smallest that is large enough; they are sorted by size.
        match waiting.iter().position(|buffer| buffer.len() >= lines) {
            Some(at) => Self(waiting.remove(at)),
            None => Self(vec![Line([0.0; 16]); lines]),
        }
    }

    /// The same in memory of its own size, to be held for long.
    pub fn to_keep(count: usize) -> Self {
        Self(vec![Line([0.0; 16]); count.div_ceil(16)])
    }

    pub fn as_ptr(&self) -> *const f32 {
        self.0.as_ptr().cast()
    }

    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: lines are sixteen floats without padding.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 16) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        if buffer.is_empty() {
            return;
        }
        let mut waiting = WAITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let at = waiting.partition_point(|other| other.len() < buffer.len());
        waiting.insert(at, buffer);
        if waiting.len() > MOST_WAITING {
            waiting.remove(0);
        }
    }
}

/// Bytes of transformed weights that may be kept, over all networks that share it.
#[derive(Clone, Debug)]
pub struct KeepRoom(Arc<AtomicUsize>);

impl KeepRoom {
    /// Room for so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Takes a part, if there is so much left.
    fn take(&self, bytes: usize) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }
}

/// The transformed weights of one layer, kept from one call to the next. The weights must not change meanwhile.
#[derive(Clone, Debug)]
pub struct Kept {
    room: KeepRoom,
    /// `None` inside when there was no room.
    values: Arc<OnceLock<Option<KeptFor>>>,
}

#[derive(Debug)]
struct KeptFor {
    key: [usize; 3],
    values: Buffer,
}

impl Kept {
    /// Nothing yet, and `room` for it.
    pub fn new(room: &KeepRoom) -> Self {
        Self { room: room.clone(), values: Arc::default() }
    }

    /// What `make` gave for this key the first time, when there was room for `floats`. Only one key is kept.
    pub(super) fn values(&self, key: [usize; 3], floats: usize, make: impl FnOnce() -> Buffer) -> Option<&Buffer> {
        let begin = || self.room.take(floats * size_of::<f32>()).then(|| KeptFor { key, values: make() });
        let kept = self.values.get_or_init(begin);
        kept.as_ref().filter(|kept| kept.key == key).map(|kept| &kept.values)
    }
}

thread_local! {
    static KEPT: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// Lends this thread's own memory, cut into parts of the given sizes, each on a cache line.
pub(super) fn with_scratch<const N: usize>(sizes: [usize; N], work: impl FnOnce([*mut f32; N])) {
    let mut buffer = KEPT.take();
    let lines = sizes.iter().map(|size| size.div_ceil(16)).sum();
    if buffer.len() < lines {
        buffer = vec![Line([0.0; 16]); lines];
    }
    let mut rest = buffer.as_mut_ptr().cast::<f32>();
    let parts = sizes.map(|size| {
        let part = rest;
        // SAFETY: the buffer holds the sum of the rounded sizes.
        rest = unsafe { rest.add(size.next_multiple_of(16)) };
        part
    });
    work(parts);
    KEPT.set(buffer);
}

#[cfg(test)]
impl Kept {
    /// Whether anything is kept.
    pub(super) fn is_filled(&self) -> bool {
        matches!(self.values.get(), Some(Some(_)))
    }
}
