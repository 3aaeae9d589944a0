//! No input makes a parser panic, or take what is not what it looks for.

#![allow(clippy::unwrap_used)]

use pg::{BackupLabel, ControlFile, History, Lsn, SegmentName, WalName, page, wal::SegmentHeader};

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below.max(1)
    }
}

#[test]
fn changed_cut_and_joined_bytes_never_panic() {
    let seeds: [&[u8]; 6] = [
        include_bytes!("data/pg_control.15"),
        include_bytes!("data/page.12"),
        b"1\t0/909848\tat restore point \"rp1\"\n\n2\t0/C00090\tx\n",
        b"START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nSTOP WAL LOCATION: 0/20000F8 (file 000000010000000000000002)\n",
        b"000000010000000000000002.00000028.backup",
        b"\x10\xd1\x06\x00\x01\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\0\xde\xeb\x26\x7b\x23\xa0\x03\x6b\0\0\0\x01\0\x20\0\0",
    ];
    let mut numbers = Numbers(3);
    for round in 0..60_000 {
        let mut bytes = seeds[round % seeds.len()].to_vec();
        for _ in 0..numbers.next(6) {
            let at = numbers.next(bytes.len());
            match numbers.next(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, numbers.next(256) as u8),
                _ if bytes.is_empty() => {}
                _ => bytes[at] ^= 1 << numbers.next(8),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let _ = (ControlFile::parse(&bytes), History::parse(3, &bytes), SegmentHeader::parse(&bytes));
        let _ =
            BackupLabel::parse(&bytes).map(|label| label.check_name(label.start_segment, numbers.next(1 << 30) as u32));
        let _ = (page::Header::of(&bytes), page::verify(&bytes, round as u32), page::checksum(&bytes, round as u32));
        // What is taken for a name or a position is printed as it was, but for the case and zeros of an LSN.
        if let Ok(name) = text.parse::<WalName>() {
            assert_eq!(name.to_string(), text);
        }
        if let Ok(name) = text.parse::<SegmentName>() {
            assert_eq!(name.to_string(), text);
        }
        if let Ok(lsn) = text.parse::<Lsn>() {
            assert_eq!(lsn.to_string().parse(), Ok(lsn));
        }
    }
}
