//! What is free goes back to the kernel: the C library keeps it for the next time, and a daemon's large work comes seldom.

/// From so many bytes on a piece of memory is the kernel's again as soon as it is free.
#[cfg(target_env = "gnu")]
const LARGE: nix::libc::c_int = 1 << 20;

/// Has what is large taken from the kernel and given back each time, from the process's start on. Without it the C library learns from the
/// first large piece to keep such pieces (`mallopt(3)`, the dynamic threshold), at the end of its arenas, where no trimming reaches them:
/// half of what a `watch` has at rest.
pub fn keep_little() {
    #[cfg(target_env = "gnu")]
    // SAFETY: numbers.
    unsafe {
        use nix::libc::{M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, mallopt};
        mallopt(M_MMAP_THRESHOLD, LARGE);
        mallopt(M_TRIM_THRESHOLD, LARGE);
    }
}

/// Gives freed memory back to the kernel, that of all threads (`malloc_trim(3)`): for work that comes seldom and takes much. Sorting
/// kallsyms takes twice what the table keeps; the doctor's readings are as long as the kernel's lists.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number and touches only what is free.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
