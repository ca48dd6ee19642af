//! The heap in large pages. What is remembered is looked up here and there in tables of some megabytes, and with pages of four kibibytes the processor
//! takes as long to find out where a page is as to read what it is asked for.

/// Address space by which the heap grows at once; only what is used of it becomes memory.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const STEP: usize = 64 << 20;

/// Has the heap grow in such steps, and asks the kernel for large pages for the first of them. Where the C library or the kernel knows no such thing, or
/// gives none, all is as it would be.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the allocator and the heap are told so by calls of the C library")]
pub(super) fn prefer_large_pages() {
    const STEP_INT: libc::c_int = STEP as libc::c_int;
    // SAFETY: these calls change how the allocator grows and nothing that it holds; no other thread runs yet.
    let begin = unsafe {
        // What is larger than half a step is mapped by itself, and what is free past two of them goes back. To set one of the three stops the
        // allocator from setting the others as it goes.
        libc::mallopt(libc::M_MMAP_THRESHOLD, STEP_INT / 2);
        libc::mallopt(libc::M_TRIM_THRESHOLD, STEP_INT * 2);
        libc::mallopt(libc::M_TOP_PAD, STEP_INT);
        libc::sbrk(0)
    };
    // More than a heap has left at first, so that it grows.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(STEP / 64)));
    // SAFETY: the end is asked for; and the advice changes no memory, and is refused where it names what is not ours.
    unsafe {
        let end = libc::sbrk(0);
        libc::madvise(begin, end.addr().saturating_sub(begin.addr()), libc::MADV_HUGEPAGE);
    }
}

/// The same elsewhere: nothing.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) const fn prefer_large_pages() {}
