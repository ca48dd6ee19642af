//! Asking for memory before it is needed, so that it is there by then.

/// Bytes that come to a processor's cache at once.
const LINE: usize = 64;

/// Has what `value` is made of brought into the cache, and does not wait for it. Where the processor knows no such thing nothing happens.
#[inline(always)]
#[expect(unsafe_code, reason = "the instruction has no safe name yet")]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..size_of::<T>()).step_by(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let line = std::ptr::from_ref(value).cast::<i8>().wrapping_add(at);
        // SAFETY: it reads nothing; of any address whatever, it is a hint.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (value, LINE);
}
