//! How the allocator keeps memory: no safe crate has this call.
#![allow(unsafe_code)]

use std::thread::available_parallelism;

/// So many processors share a heap.
const PROCESSORS: usize = 4;

/// Has all threads share few heaps. By default glibc makes one for nearly every thread; buffers of a megabyte come and
/// go in each of them, and what is free in one serves no other: under load that held three times as much memory. Before
/// the first other thread.
pub fn share() {
    let processors = available_parallelism().map_or(1, usize::from);
    let heaps = i32::try_from(processors / PROCESSORS).unwrap_or(i32::MAX).max(1);
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number of the allocator, and no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, heaps);
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = heaps;
}
