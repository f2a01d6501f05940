//! A block of page-aligned memory that the kernel reads or writes while we hold only an offset.

use std::io;
use std::ptr::NonNull;

/// Anonymous memory, mapped for the life of the value, resident from the start so that no
/// packet pays for a page fault. Zeroed when made.
#[derive(Debug)]
pub(crate) struct Region {
    base: NonNull<u8>,
    len: usize,
}

impl Region {
    /// Maps `len` bytes (0 counts as 1).
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let len = len.max(1);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice aliases
        // nothing.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, kind, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the range is the mapping just made. Both are wishes: without them pages come
        // at first touch, and small.
        unsafe {
            libc::madvise(base, len, libc::MADV_HUGEPAGE);
            libc::madvise(base, len, libc::MADV_POPULATE_WRITE);
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, len })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address of byte `at`, for the kernel. Panics past the end.
    pub(crate) fn at(&self, at: usize) -> *mut u8 {
        assert!(at < self.len);
        // SAFETY: `at` is inside the mapping.
        unsafe { self.base.as_ptr().add(at) }
    }

    /// `len` bytes from `at`. Panics past the end.
    ///
    /// The caller must hold the range: nothing the kernel may still write.
    pub(crate) fn slice_mut(&mut self, at: usize, len: usize) -> &mut [u8] {
        assert!(at <= self.len && len <= self.len - at);
        // SAFETY: the range is inside the mapping, initialised (anonymous pages are zero), and
        // borrowed from `self` exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(at), len) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` and nobody borrows from it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
