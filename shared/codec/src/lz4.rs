//! LZ4 frames.  The blocks are `lz4_flex`'s; the frame around them is ours, so that several threads can share one.
//!
//! One *frame* per object, always: wal-g reads the first frame only and calls that success
//! (spec/crypto-compression.md §2).  The form is wal-g's too: independent blocks of 4 MiB at most, a content
//! checksum, no content size.  See <https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md> for the format itself.

mod decode;
mod encode;

pub(crate) use decode::Decoder;
pub(crate) use encode::Encoder;

/// What a frame begins with, little-endian.
const MAGIC: u32 = 0x184d_2204;
/// Frames to be skipped begin with this, in the upper 28 bits.
const SKIPPABLE: u32 = 0x184d_2a50;
/// The form of old, whose frames have no end of their own.
const LEGACY: u32 = 0x184c_2102;
/// In a block's length: the block is stored as it is.
const STORED: u32 = 1 << 31;

/// Bytes of content in a block that is written.  The header allows 4 MiB, as wal-g's does; shorter ones stay in a core's
/// cache and touch few fresh pages: a quarter less CPU for 0.3 % (tables) to 1 % (WAL) more bytes.
const BLOCK: usize = 256 << 10;

fn header_check(descriptor: &[u8]) -> u8 {
    let [_, second, ..] = twox_hash::XxHash32::oneshot(0, descriptor).to_le_bytes();
    second
}
