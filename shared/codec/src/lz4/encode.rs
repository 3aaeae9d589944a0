//! Writing a frame, its blocks compressed by several threads.

use std::hash::Hasher;
use std::io::{Read, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use lz4_flex::block::{compress_into, get_maximum_output_size};
use twox_hash::XxHash32;

use super::{BLOCK, MAGIC, STORED, header_check};
use crate::{Encode, Error, fill};

/// Version 1, independent blocks, content checksum; blocks of 4 MiB at most: as wal-g writes.
const DESCRIPTOR: [u8; 2] = [0x64, 0x70];

/// A frame that is being written.
pub(crate) struct Encoder<W> {
    output: W,
    threads: usize,
    begun: bool,
    any: bool,
    check: XxHash32,
}

impl<W: Write + Send> Encoder<W> {
    pub(crate) fn new(output: W, threads: usize) -> Self {
        Self { output, threads: threads.max(1), begun: false, any: false, check: XxHash32::with_seed(0) }
    }

    fn begin(&mut self) -> Result<(), Error> {
        if !self.begun {
            self.begun = true;
            let mut header = MAGIC.to_le_bytes().to_vec();
            header.extend(DESCRIPTOR);
            header.push(header_check(&DESCRIPTOR));
            self.output.write_all(&header).map_err(Error::Output)?;
        }
        Ok(())
    }
}

/// What the threads take turns at: reading in order, and the check over what was read.
struct Intake<'a> {
    input: &'a mut (dyn Read + Send),
    check: &'a mut XxHash32,
    next: u64,
    ended: bool,
}

/// And writing in the same order.
struct Outlet<'a, W> {
    output: &'a mut W,
    next: u64,
    failed: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One thread's work: read a block when it is its turn, compress it beside the others, write it when it is its turn.
fn work<W: Write>(intake: &Mutex<Intake<'_>>, outlet: &Mutex<Outlet<'_, W>>, turn: &Condvar) -> Result<(), Error> {
    let mut plain = vec![0; BLOCK];
    let mut packed = vec![0; 4 + get_maximum_output_size(BLOCK)];
    let result = loop {
        let (number, filled) = {
            let mut intake = lock(intake);
            if intake.ended {
                break Ok(());
            }
            let filled = match fill(intake.input, &mut plain) {
                Ok(filled) => filled,
                Err(error) => {
                    intake.ended = true;
                    break Err(error);
                }
            };
            intake.ended = filled < BLOCK;
            if filled == 0 {
                break Ok(());
            }
            intake.check.write(&plain[..filled]);
            intake.next += 1;
            (intake.next - 1, filled)
        };
        let block = pack(&plain[..filled], &mut packed);
        let mut outlet = lock(outlet);
        while outlet.next != number && !outlet.failed {
            outlet = turn.wait(outlet).unwrap_or_else(PoisonError::into_inner);
        }
        if outlet.failed {
            break Ok(()); // the thread that failed says why
        }
        let written = block.iter().try_for_each(|piece| outlet.output.write_all(piece));
        outlet.next += 1;
        turn.notify_all();
        if let Err(error) = written {
            outlet.failed = true;
            break Err(Error::Output(error));
        }
    };
    if result.is_err() {
        lock(outlet).failed = true;
        turn.notify_all();
    }
    result
}

/// The pieces of a block as they are written: its length, then its bytes, stored where that is shorter.
fn pack<'a>(plain: &'a [u8], packed: &'a mut [u8]) -> [&'a [u8]; 2] {
    let length = compress_into(plain, &mut packed[4..]).unwrap_or(usize::MAX);
    if length < plain.len() {
        packed[..4].copy_from_slice(&length_word(length, 0));
        [&packed[..4 + length], &[]]
    } else {
        packed[..4].copy_from_slice(&length_word(plain.len(), STORED));
        [&packed[..4], plain]
    }
}

fn length_word(length: usize, flag: u32) -> [u8; 4] {
    (u32::try_from(length).unwrap_or(0) | flag).to_le_bytes()
}

impl<W: Write + Send> Encode for Encoder<W> {
    fn pump(&mut self, input: &mut (dyn Read + Send)) -> Result<(), Error> {
        self.begin()?;
        let intake = Mutex::new(Intake { input, check: &mut self.check, next: 0, ended: false });
        let outlet = Mutex::new(Outlet { output: &mut self.output, next: 0, failed: false });
        let turn = Condvar::new();
        let result = std::thread::scope(|scope| {
            let others: Vec<_> = (1..self.threads).map(|_| scope.spawn(|| work(&intake, &outlet, &turn))).collect();
            let mut result = work(&intake, &outlet, &turn);
            for other in others {
                let ended = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                result = result.and(ended);
            }
            result
        });
        self.any |= lock(&outlet).next > 0;
        result
    }

    fn finish(mut self: Box<Self>) -> Result<(), Error> {
        self.begin()?;
        let mut end = Vec::with_capacity(12);
        if !self.any {
            end.extend(STORED.to_le_bytes()); // wal-g's empty frame holds one empty stored block
        }
        end.extend([0; 4]);
        end.extend(self.check.finish_32().to_le_bytes());
        self.output.write_all(&end).and_then(|()| self.output.flush()).map_err(Error::Output)
    }
}
