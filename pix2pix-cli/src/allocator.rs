//! How long freed memory waits for its next use.

use std::ffi::c_long;

/// Training and loading free and take megabytes at every step, which the system's allocator hands back and clears anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The allocator's option for how many milliseconds freed memory waits before it goes back to the system. It has this number in
/// both versions of mimalloc that there are.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
/// Milliseconds for a picture: several times as long as a step takes for it on two cores. It is the allocator's own delay.
const DELAY: usize = 1000;
/// Pixels of the picture that is meant.
const PIXELS: usize = 256 * 256;
/// Milliseconds at most.
const LONGEST: usize = 60_000;

/// Keeps freed memory for some steps of `pixels` pixels each, over the batch: every step takes the memory again that the one before
/// has freed, and handing it back within a step means that the system clears it each time. `MIMALLOC_PURGE_DELAY` says otherwise.
///
/// To be called while this is the only thread.
#[expect(unsafe_code, reason = "the allocator has no safe way to be told")]
pub fn keep_freed_memory(pixels: usize) {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_some() {
        return;
    }
    let milliseconds = (DELAY * pixels.div_ceil(PIXELS)).min(LONGEST);
    // SAFETY: the function may not run beside others that read or write options; the caller says that there is no other thread.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, c_long::try_from(milliseconds).unwrap_or(c_long::MAX)) };
}
