//! lz4 frames against the reference program and against their own damage.

use std::io::Write;
use std::process::{Command, Stdio};

use codec::{Blocks, Error, Method, decoder, encoder};

fn pack(plain: &[u8], threads: usize) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut stream = encoder(Method::Lz4, threads, &mut packed).expect("built");
    stream.pump(&mut &plain[..]).expect("packed");
    stream.finish().expect("finished");
    packed
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, Error> {
    let mut plain = Vec::new();
    decoder(Method::Lz4, packed)?.pump(&mut Blocks::new(&mut plain))?;
    Ok(plain)
}

/// Bytes that compress somewhat, the same on every run.
fn sample(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let word = state.to_le_bytes();
        bytes.extend_from_slice(&word[..if state & 1 == 0 { 8 } else { 2 }]);
        bytes.extend_from_slice(b"walpipe ");
    }
    bytes.truncate(length);
    bytes
}

/// Runs `lz4` with `words`; `None` where the program is not installed.
fn lz4(words: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let started = Command::new("lz4").args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = started else {
        assert!(std::env::var("WALPIPE_TEST_REQUIRE").map_or(true, |r| !r.contains("lz4")), "lz4 is required");
        eprintln!("SKIP: no lz4 program");
        return None;
    };
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("waited");
    let _ = writer.join();
    output.status.success().then_some(output.stdout)
}

#[test]
fn an_empty_input_is_the_frame_that_wal_g_writes() {
    let frame = [0x04, 0x22, 0x4d, 0x18, 0x64, 0x70, 0xb9, 0, 0, 0, 0x80, 0, 0, 0, 0, 0x05, 0x5d, 0xcc, 0x02];
    assert_eq!(pack(b"", 1), frame);
    assert_eq!(unpack(&frame).expect("whole"), b"");
}

#[test]
fn one_frame_comes_of_any_number_of_threads_and_is_the_same() {
    let plain = sample((13 << 20) + 5);
    let one = pack(&plain, 1);
    assert_eq!(one[..7], [0x04, 0x22, 0x4d, 0x18, 0x64, 0x70, 0xb9]);
    for threads in [2, 3, 8] {
        assert!(pack(&plain, threads) == one, "{threads} threads");
    }
    assert!(unpack(&one).expect("whole") == plain);
}

#[test]
fn the_reference_program_reads_what_is_written() {
    for length in [0, 1, 4 << 20, (4 << 20) + 1, 9 << 20] {
        let plain = sample(length);
        if let Some(read) = lz4(&["-dc"], &pack(&plain, 2)) {
            assert!(read == plain, "{length}");
        }
    }
}

#[test]
fn every_form_of_frame_that_the_reference_program_writes_is_read() {
    let plain = sample((5 << 20) + 77);
    for words in [
        &["-c"][..],
        &["-c", "-9"],
        &["-c", "-BD"],
        &["-c", "-BD", "-B4"],
        &["-c", "-BI", "-B5"],
        &["-c", "-BX"],
        &["-c", "--no-frame-crc"],
        &["-c", "-BD", "-B4", "-BX", "-12"],
    ] {
        if let Some(packed) = lz4(words, &plain) {
            assert!(unpack(&packed).expect("whole") == plain, "{words:?}");
        }
    }
}

#[test]
fn frames_one_after_the_other_and_frames_to_skip_are_read() {
    let mut packed = vec![0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    packed.extend(pack(b"one", 1));
    packed.extend(pack(b" two", 1));
    assert_eq!(unpack(&packed).expect("whole"), b"one two");
}

#[test]
fn a_cut_at_any_offset_is_an_error() {
    let packed = pack(&sample(900), 1);
    for length in 0..packed.len() {
        assert!(unpack(&packed[..length]).is_err(), "cut to {length} of {}", packed.len());
    }
}

#[test]
fn a_flipped_bit_anywhere_never_gives_other_bytes() {
    let plain = sample(900);
    let packed = pack(&plain, 1);
    let mut refused = 0;
    for at in 0..packed.len() * 8 {
        let mut bad = packed.clone();
        bad[at / 8] ^= 1 << (at % 8);
        match unpack(&bad) {
            Err(_) => refused += 1,
            Ok(same) => assert!(same == plain, "bit {at}"), // a match may stand elsewhere with the same bytes
        }
    }
    assert!(refused * 10 > packed.len() * 8 * 9, "{refused}");
}

#[test]
fn what_follows_the_frame_is_an_error() {
    let mut packed = pack(b"x", 1);
    packed.push(0);
    assert!(matches!(unpack(&packed), Err(Error::Corrupt(_))));
}

#[test]
fn a_reader_that_is_gone_ends_all_threads() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    struct OnlyHeader(usize);
    impl Write for OnlyHeader {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            if self.0 > 7 { Gone.write(bytes) } else { Ok(bytes.len()) }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let plain = sample(40 << 20);
    let mut stream = encoder(Method::Lz4, 4, OnlyHeader(0)).expect("built");
    assert!(matches!(stream.pump(&mut &plain[..]), Err(Error::Output(_))));
}
