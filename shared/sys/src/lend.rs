//! Blocks lent to a pipe instead of being copied into it: vmsplice(2).

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::IoSlice;
use rustix::pipe::{IoSliceRaw, SpliceFlags, fcntl_getpipe_size, vmsplice};

/// Blocks start at a multiple of this, so that the system may use huge pages.
const ALIGN: usize = 2 << 20;
/// Shorter blocks are copied: a page that is lent costs more than its bytes.
const SHORT: usize = 32 << 10;

/// Two blocks that are lent to a pipe in turns.
///
/// The next stage must *read* from the pipe, or splice from it *into a file*: only then is a block free once as many
/// bytes have left the pipe as were pushed up to its end.  (A reader that splices into another pipe keeps the pages;
/// measured, it then sees the next block's bytes.)  So whoever starts this program must say what it does.
#[derive(Debug)]
pub struct Lender {
    pipe: OwnedFd,
    capacity: u64,
    blocks: [Block; 2],
    turn: usize,
    pushed: u64,
}

#[derive(Debug, Default)]
struct Block {
    memory: Vec<u8>,
    start: usize,
    size: usize,
    /// How many bytes had been pushed when this block's last byte was.
    end: u64,
}

impl Lender {
    /// Lends to `pipe`; `None` if it is no pipe.
    #[must_use]
    pub fn new(pipe: OwnedFd) -> Option<Self> {
        let capacity = fcntl_getpipe_size(&pipe).ok()? as u64;
        Some(Self { pipe, capacity, blocks: [Block::default(), Block::default()], turn: 0, pushed: 0 })
    }

    /// A block of `size` bytes to be filled; what it held has been read.
    ///
    /// # Errors
    /// `BrokenPipe` if the reader is gone.
    pub fn room(&mut self, size: usize) -> io::Result<&mut [u8]> {
        self.wait(self.blocks[self.turn].end)?;
        let block = &mut self.blocks[self.turn];
        if block.size < size {
            block.memory = vec![0; size + ALIGN];
            block.start = block.memory.as_ptr().align_offset(ALIGN).min(ALIGN);
            block.size = size;
        }
        Ok(&mut block.memory[block.start..block.start + size])
    }

    /// Pushes the first `length` bytes of the block that [`Lender::room`] gave.
    ///
    /// # Errors
    /// `BrokenPipe` if the reader is gone.
    pub fn commit(&mut self, length: usize) -> io::Result<()> {
        let block = &mut self.blocks[self.turn];
        let mut rest = &block.memory[block.start..block.start + length];
        if length < SHORT {
            while !rest.is_empty() {
                let written = rustix::io::retry_on_intr(|| rustix::io::write(&self.pipe, rest))?;
                rest = &rest[written..];
            }
        }
        while !rest.is_empty() {
            let piece = IoSlice::new(rest);
            // SAFETY: the memory is ours, initialised, and only read by the system.  It may still be referred to
            // after the call, by the pipe: it is neither written to (`room` waits until the reader has passed it)
            // nor does freeing it harm, for the pipe holds references to the pages, not to our addresses.
            let pushed = unsafe {
                let raw = [IoSliceRaw::from_slice(&piece)];
                rustix::io::retry_on_intr(|| vmsplice(&self.pipe, &raw, SpliceFlags::empty()))?
            };
            rest = &rest[pushed..];
        }
        self.pushed += length as u64;
        block.end = self.pushed;
        self.turn ^= 1;
        Ok(())
    }

    /// Waits until all bytes up to the one numbered `end` have left the pipe.
    fn wait(&self, end: u64) -> io::Result<()> {
        if end == 0 || self.pushed - end >= self.capacity {
            return Ok(()); // more came behind it than the pipe holds
        }
        let mut nap = Duration::from_micros(20);
        loop {
            let inside = rustix::io::ioctl_fionread(&self.pipe)?;
            if self.pushed - inside >= end {
                return Ok(());
            }
            let mut fds = [PollFd::new(&self.pipe, PollFlags::empty())];
            poll(&mut fds, Some(&rustix::event::Timespec::default()))?;
            if fds[0].revents().contains(PollFlags::ERR) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(2));
        }
    }
}

impl AsFd for Lender {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Write for Lender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(1 << 20);
        self.room(length)?[..length].copy_from_slice(&bytes[..length]);
        self.commit(length).map(|()| length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_slow_reader_sees_every_block_as_it_was_pushed() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let mut lender = Lender::new(writer.into()).expect("a pipe");
        let sizes = [40_000, 70_000, 1, 300_000, 33_000, 5_000_000, 40_000, 40_000, 40_000, 100];
        let checker = std::thread::spawn(move || {
            let mut reader = reader;
            for (number, size) in sizes.into_iter().enumerate() {
                let mut block = vec![0; size];
                for piece in block.chunks_mut(17_000) {
                    reader.read_exact(piece).expect("read");
                    std::thread::sleep(Duration::from_micros(300));
                }
                assert!(block.iter().all(|&byte| usize::from(byte) == number + 1), "block {number}");
            }
            reader.read(&mut [0]).expect("read")
        });
        for (number, size) in sizes.into_iter().enumerate() {
            lender.room(size).expect("room").fill(u8::try_from(number + 1).expect("small"));
            lender.commit(size).expect("pushed");
        }
        drop(lender);
        assert_eq!(checker.join().expect("checked"), 0);
    }

    #[test]
    fn a_reader_that_is_gone_is_a_broken_pipe() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let mut lender = Lender::new(writer.into()).expect("a pipe");
        lender.room(40_000).expect("room").fill(1);
        lender.commit(40_000).expect("pushed");
        lender.room(10_000).expect("room").fill(2);
        lender.commit(10_000).expect("pushed");
        drop(reader);
        assert_eq!(lender.room(10).err().map(|e| e.kind()), Some(io::ErrorKind::BrokenPipe));
    }

    #[test]
    fn what_is_no_pipe_is_refused() {
        assert!(Lender::new(std::fs::File::open("/dev/null").expect("opened").into()).is_none());
    }
}
