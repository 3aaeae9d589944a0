//! Memory straight from the system, and straight back to it.

use std::io;
use std::ptr::NonNull;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// From this size on the system is asked for huge pages.
const HUGE: usize = 2 << 20;

/// Zeroed memory of its own pages.
#[derive(Debug)]
pub(crate) struct Pages {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: the memory is this value's alone, as a Box's is.
unsafe impl Send for Pages {}

impl Pages {
    /// `size` bytes, 1 at least.
    pub(crate) fn new(size: usize) -> io::Result<Self> {
        let size = size.max(1);
        // SAFETY: a new private mapping where the system has room for it touches nothing that exists.
        let start = unsafe {
            mmap_anonymous(std::ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)?
        };
        if size >= HUGE {
            // SAFETY: advice on huge pages changes no content.
            let _ = unsafe { madvise(start, size, Advice::LinuxHugepage) };
        }
        NonNull::new(start.cast()).map(|start| Self { start, size }).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    pub(crate) const fn len(&self) -> usize {
        self.size
    }
}

impl AsRef<[u8]> for Pages {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: mapped, readable, zeroed by the system, `size` bytes, and borrowed as `self` is.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.size) }
    }
}

impl AsMut<[u8]> for Pages {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, writable, and borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.size) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this size, and nobody borrows it any more.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.size) };
    }
}
