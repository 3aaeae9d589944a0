//! Blocks lent to a pipe instead of being copied into it: vmsplice(2).

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::IoSlice;
use rustix::pipe::{IoSliceRaw, SpliceFlags, fcntl_getpipe_size, vmsplice};

use crate::Pages;

/// Shorter pieces are copied: a page that is lent costs more than its bytes.
const SHORT: usize = 32 << 10;
/// So many blocks at most, however small they are beside the pipe.
const MOST: usize = 16;

/// Blocks that are lent to a pipe in turns: one, and as many more as the pipe turns out to hold.
///
/// The next stage must *read* from the pipe, or splice from it *into a file*: only then is a block free once as many
/// bytes have left the pipe as were pushed up to its end.  (A reader that splices into another pipe keeps the pages;
/// measured, it then sees the next block's bytes.)  So whoever starts this program must say what it does.
#[derive(Debug)]
pub struct Lender {
    pipe: OwnedFd,
    capacity: usize,
    blocks: Vec<Block>,
    turn: usize,
    pushed: u64,
}

#[derive(Debug)]
struct Block {
    memory: Pages,
    /// How many bytes had been pushed when this block's last byte was.
    end: u64,
}

impl Lender {
    /// Lends to `pipe`; `None` if it is no pipe.
    #[must_use]
    pub fn new(pipe: OwnedFd) -> Option<Self> {
        let capacity = fcntl_getpipe_size(&pipe).ok()?;
        Some(Self { pipe, capacity, blocks: Vec::new(), turn: 0, pushed: 0 })
    }

    /// A block of `size` bytes to be filled; what it held has been read.
    ///
    /// # Errors
    /// `BrokenPipe` if the reader is gone, `OutOfMemory`.
    pub fn room(&mut self, size: usize) -> io::Result<&mut [u8]> {
        let enough = self.capacity.div_ceil(size.max(1)) + 1;
        match self.blocks.get(self.turn).map(|block| block.end) {
            Some(end) if self.is_free(end)? => {}
            Some(end) if self.blocks.len() >= enough.clamp(2, MOST) => self.wait(end)?,
            _ => self.blocks.insert(self.turn, Block { memory: Pages::new(size)?, end: 0 }),
        }
        let block = &mut self.blocks[self.turn];
        if block.memory.len() < size {
            block.memory = Pages::new(size)?;
        }
        Ok(&mut block.memory.as_mut()[..size])
    }

    /// Pushes the first `length` bytes of the block that [`Lender::room`] gave.
    ///
    /// # Errors
    /// `BrokenPipe` if the reader is gone.
    pub fn commit(&mut self, length: usize) -> io::Result<()> {
        let block = &mut self.blocks[self.turn];
        let mut rest = &block.memory.as_ref()[..length];
        if length < SHORT {
            self.pushed += length as u64;
            return write(&self.pipe, rest); // the block is free as before
        }
        while !rest.is_empty() {
            let piece = IoSlice::new(rest);
            // SAFETY: the memory is ours, initialised, and only read by the system.  It may still be referred to
            // after the call, by the pipe: it is neither written to (`room` waits until the reader has passed it)
            // nor does freeing it harm, for `Pages` gives its pages back to the system, to which the pipe holds
            // references, and not to an allocator that would hand them out again.
            let pushed = unsafe {
                let raw = [IoSliceRaw::from_slice(&piece)];
                rustix::io::retry_on_intr(|| vmsplice(&self.pipe, &raw, SpliceFlags::empty()))?
            };
            rest = &rest[pushed..];
        }
        self.pushed += length as u64;
        block.end = self.pushed;
        self.turn = (self.turn + 1) % self.blocks.len();
        Ok(())
    }

    /// Whether all bytes up to the one numbered `end` have left the pipe.
    fn is_free(&self, end: u64) -> io::Result<bool> {
        Ok(end == 0 || self.pushed - rustix::io::ioctl_fionread(&self.pipe)? >= end)
    }

    /// Waits until they have.
    fn wait(&self, end: u64) -> io::Result<()> {
        let mut nap = Duration::from_micros(20);
        while !self.is_free(end)? {
            let mut fds = [PollFd::new(&self.pipe, PollFlags::empty())];
            poll(&mut fds, Some(&rustix::event::Timespec::default()))?;
            if fds[0].revents().contains(PollFlags::ERR) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(2));
        }
        Ok(())
    }
}

fn write(pipe: &OwnedFd, mut rest: &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(pipe, rest))?;
        rest = &rest[written..];
    }
    Ok(())
}

impl AsFd for Lender {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Write for Lender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() < SHORT {
            self.pushed += bytes.len() as u64;
            return write(&self.pipe, bytes).map(|()| bytes.len());
        }
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
        drop(reader);
        let pushed = lender.room(40_000).map(|room| room.fill(2)).and_then(|()| lender.commit(40_000));
        assert_eq!(pushed.err().map(|e| e.kind()), Some(io::ErrorKind::BrokenPipe));
    }

    #[test]
    fn what_is_no_pipe_is_refused() {
        assert!(Lender::new(std::fs::File::open("/dev/null").expect("opened").into()).is_none());
    }
}
