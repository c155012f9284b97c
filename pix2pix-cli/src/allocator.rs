//! How long freed memory waits for its next use.

use std::ffi::c_long;

/// Training and loading free and take megabytes at every step, which the system's allocator hands back and clears anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The allocator's option for how many milliseconds freed memory waits before it goes back to the system. It has this number in
/// both versions of mimalloc that there are.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
/// Milliseconds for a picture, about half a step on two cores: most of what a step frees it takes again sooner. With a fifth of it the
/// step takes longer, with ten times as much training holds 5 % more memory and the step is no shorter.
const DELAY: usize = 100;
/// Pixels of the picture that is meant.
const PIXELS: usize = 256 * 256;
/// Milliseconds at most.
const LONGEST: usize = 60_000;

/// Keeps freed memory for a time that suits steps of `pixels` pixels each, over the batch: a step takes the memory again that it has
/// freed, and handing it back before means that the system clears it each time. `MIMALLOC_PURGE_DELAY` says otherwise.
///
/// To be called while no other thread reads or sets the allocator's options.
#[expect(unsafe_code, reason = "the allocator has no safe way to be told")]
pub fn keep_freed_memory(pixels: usize) {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_some() {
        return;
    }
    let milliseconds = (DELAY * pixels.div_ceil(PIXELS)).min(LONGEST);
    // SAFETY: the function may not run beside others that read or write options; the caller says that none does.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, c_long::try_from(milliseconds).unwrap_or(c_long::MAX)) };
}
