//! `global/pg_control`: whose cluster a directory is, and how it was built.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use crate::{Error, Lsn, Major, SegmentSize, crc32c};

/// What `pg_control` says of a cluster.
///
/// `ControlFileData` in catalog/pg_control.h of PostgreSQL 9.6 to 18 on a 64-bit little-endian
/// machine. The file is 8192 bytes long; the struct ends with a CRC-32C of what is before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlFile {
    /// Made by initdb from the time; the same on all standbys of a cluster.
    pub system_identifier: u64,
    /// `PG_CONTROL_VERSION`: 960, 1002, 1100, 1201, 1300 (13 to 16), 1700, 1800.
    pub control_version: u32,
    /// `CATALOG_VERSION_NO`, a date and a number.
    pub catalog_version: u32,
    /// The server's major version; `None` where the catalogue version is of no release.
    pub major: Option<Major>,
    /// Running, shut down, in recovery.
    pub state: State,
    /// When the file was last written, in seconds since 1970.
    pub time: i64,
    /// The newest checkpoint's record.
    pub checkpoint: Lsn,
    /// Where recovery from that checkpoint begins.
    pub redo: Lsn,
    /// The timeline of that checkpoint.
    pub timeline: u32,
    /// Bytes in a data page: 8192 unless compiled otherwise.
    pub block_size: u32,
    /// Pages in a file of a large relation: 131072, which is 1 GiB, unless compiled otherwise.
    pub relation_segment_blocks: u32,
    /// Bytes in a WAL page: 8192 unless compiled otherwise.
    pub wal_block_size: u32,
    /// Bytes in a WAL segment.
    pub segment_size: SegmentSize,
    /// 0: data pages carry no checksums; 1: they do.
    pub data_checksum_version: u32,
}

/// `DBState` in catalog/pg_control.h, the same numbers in 9.6 to 18.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // each variant is named as there
pub enum State {
    StartingUp,
    ShutDown,
    ShutDownInRecovery,
    ShuttingDown,
    InCrashRecovery,
    InArchiveRecovery,
    InProduction,
}

/// Where the fields are that move between versions; the rest is fixed or lies behind `float`.
struct Layout {
    /// `checkPointCopy`, of which `redo` is the first member and the timeline the second.
    checkpoint: usize,
    /// `floatFormat`, the double 1234567.0, with the sizes right behind it.
    float: usize,
    /// `crc`, the last member.
    crc: usize,
}

impl Layout {
    fn of(control_version: u32) -> Option<Layout> {
        let (checkpoint, float, crc) = match control_version {
            960 => (48, 208, 256),                // with prevCheckPoint, no nonce yet
            1002 => (48, 208, 288),               // with mock_authentication_nonce
            1100 => (40, 200, 280),               // without prevCheckPoint
            1201 | 1300 | 1700 => (40, 208, 288), // max_wal_senders; 1700 puts wal_level into a hole
            1800 => (40, 208, 292),               // default_char_signedness
            _ => return None,
        };
        Some(Layout { checkpoint, float, crc })
    }
}

impl ControlFile {
    /// The size of the file in bytes (`PG_CONTROL_FILE_SIZE`; before 10 `PG_CONTROL_SIZE`).
    pub const SIZE: usize = 8192;

    /// Reads `global/pg_control` in a data directory, which its server may be writing: a torn read is
    /// repeated a few times.
    ///
    /// The kind of the error is [`ErrorKind::InvalidData`] for a damaged file and
    /// [`ErrorKind::Unsupported`] for one of an unknown version, else that of the system.
    pub fn read(data_directory: &Path) -> io::Result<ControlFile> {
        let path = data_directory.join("global/pg_control");
        let mut tries = 0;
        loop {
            let mut content = Vec::with_capacity(512);
            File::open(&path)?.take(512).read_to_end(&mut content)?;
            match ControlFile::parse(&content) {
                Ok(control) => return Ok(control),
                Err(Error::Corrupt(_)) if tries < 10 => std::thread::sleep(Duration::from_millis(20)),
                Err(error @ Error::Unsupported(_)) => return Err(io::Error::new(ErrorKind::Unsupported, error)),
                Err(error) => return Err(io::Error::new(ErrorKind::InvalidData, error)),
            }
            tries += 1;
        }
    }

    /// Reads the file's content, of which the first 296 bytes are enough.
    ///
    /// [`Error::Corrupt`] where the CRC is wrong (a torn read of a running server's file as well:
    /// read again), [`Error::Unsupported`] for a version, byte order or build that is not known.
    pub fn parse(bytes: &[u8]) -> Result<ControlFile, Error> {
        let at = Fields { bytes };
        let control_version = at.u32(8)?;
        let Some(layout) = Layout::of(control_version) else {
            return Err(match control_version {
                0 => Error::corrupt("pg_control is empty"),
                // The version read in the wrong byte order has its low half in the high one.
                swapped if swapped & 0xFFFF == 0 => {
                    Error::Unsupported("pg_control was written by a big-endian machine".to_owned())
                }
                other => Error::Unsupported(format!(
                    "pg_control has version {other}; known are 960 to 1800, PostgreSQL 9.6 to {}",
                    Major::NEWEST
                )),
            });
        };
        let (stored, computed) = (at.u32(layout.crc)?, crc32c(at.slice(0, layout.crc)?));
        if stored != computed {
            return Err(Error::Corrupt(format!("pg_control has CRC {stored:08X}, its content has {computed:08X}")));
        }
        if at.u64(layout.float)? != 1_234_567.0_f64.to_bits() {
            return Err(Error::Unsupported("pg_control is of a machine with another layout of numbers".to_owned()));
        }
        let behind = |distance| at.u32(layout.float + distance);
        let catalog_version = at.u32(12)?;
        Ok(ControlFile {
            system_identifier: at.u64(0)?,
            control_version,
            catalog_version,
            major: major(control_version, catalog_version),
            state: State::of(at.u32(16)?)?,
            time: at.u64(24)? as i64,
            checkpoint: Lsn(at.u64(32)?),
            redo: Lsn(at.u64(layout.checkpoint)?),
            timeline: at.u32(layout.checkpoint + 8)?,
            block_size: behind(8)?,
            relation_segment_blocks: behind(12)?,
            wal_block_size: behind(16)?,
            segment_size: SegmentSize::new(behind(20)?.into())
                .map_err(|e| Error::Corrupt(format!("in pg_control: {e}")))?,
            data_checksum_version: behind(44)?,
        })
    }
}

impl State {
    fn of(number: u32) -> Result<State, Error> {
        use State::*;
        [StartingUp, ShutDown, ShutDownInRecovery, ShuttingDown, InCrashRecovery, InArchiveRecovery, InProduction]
            .get(number as usize)
            .copied()
            .ok_or_else(|| Error::Corrupt(format!("pg_control has the unknown state {number}")))
    }
}

/// The catalogue versions of the releases; minor releases never change them (catversion.h).
fn major(control_version: u32, catalog_version: u32) -> Option<Major> {
    Some(match (control_version, catalog_version) {
        (960, 201_608_131) => Major::V9_6,
        (1002, 201_707_211) => Major::V10,
        (1100, 201_809_051) => Major::V11,
        (1201, 201_909_212) => Major::V12,
        (1300, 202_007_201) => Major::V13,
        (1300, 202_107_181) => Major::V14,
        (1300, 202_209_061) => Major::V15,
        (1300, 202_307_071) => Major::V16,
        (1700, 202_406_281) => Major::V17,
        (1800, 202_506_291) => Major::V18,
        _ => return None,
    })
}

/// Little-endian numbers at fixed places; past the end is [`Error::Corrupt`].
struct Fields<'a> {
    bytes: &'a [u8],
}

impl Fields<'_> {
    fn slice(&self, at: usize, length: usize) -> Result<&[u8], Error> {
        let cut = || Error::Corrupt(format!("pg_control ends after {} bytes", self.bytes.len()));
        self.bytes.get(at..at + length).ok_or_else(cut)
    }

    fn u32(&self, at: usize) -> Result<u32, Error> {
        Ok(self.slice(at, 4)?.iter().rev().fold(0, |n, &b| n << 8 | u32::from(b)))
    }

    fn u64(&self, at: usize) -> Result<u64, Error> {
        Ok(self.slice(at, 8)?.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [(Major, &[u8]); 9] = [
        (Major::V10, include_bytes!("../tests/data/pg_control.10")),
        (Major::V11, include_bytes!("../tests/data/pg_control.11")),
        (Major::V12, include_bytes!("../tests/data/pg_control.12")),
        (Major::V13, include_bytes!("../tests/data/pg_control.13")),
        (Major::V14, include_bytes!("../tests/data/pg_control.14")),
        (Major::V15, include_bytes!("../tests/data/pg_control.15")),
        (Major::V16, include_bytes!("../tests/data/pg_control.16")),
        (Major::V17, include_bytes!("../tests/data/pg_control.17")),
        (Major::V18, include_bytes!("../tests/data/pg_control.18")),
    ];

    fn file(major: Major) -> ControlFile {
        let (_, bytes) = FILES.iter().find(|(m, _)| *m == major).expect("in the table");
        ControlFile::parse(bytes).expect("a real file")
    }

    #[test]
    fn the_files_of_nine_majors_are_read() {
        for (major, bytes) in FILES {
            let control = ControlFile::parse(bytes).unwrap_or_else(|e| panic!("{major}: {e}"));
            assert_eq!(control.major, Some(major));
            let sizes = (control.block_size, control.relation_segment_blocks, control.wal_block_size, control.timeline);
            assert_eq!(sizes, (8192, 131_072, 8192, 1), "{major}");
            assert!(control.time > 1_790_000_000, "{major}");
        }
    }

    // What pg_controldata of the same version says; 11 and 18: the server that made them.
    #[test]
    fn the_values_are_those_that_pg_controldata_prints() {
        let ten = file(Major::V10);
        assert_eq!((ten.system_identifier, ten.state), (7_711_182_877_627_097_650, State::InProduction));
        assert_eq!((ten.checkpoint, ten.redo), (Lsn(0x200_0060), Lsn(0x200_0028)));
        let eleven = file(Major::V11);
        assert_eq!((eleven.system_identifier, eleven.state), (7_711_210_833_246_748_181, State::ShutDown));
        assert_eq!((eleven.redo, eleven.data_checksum_version), (Lsn(0x186_6D98), 1));
        let fourteen = file(Major::V14);
        assert_eq!((fourteen.state, fourteen.segment_size.bytes()), (State::InArchiveRecovery, 1 << 20));
        assert_eq!((fourteen.checkpoint, fourteen.redo), (Lsn(0xA0_0060), Lsn(0xA0_0028)));
        let fifteen = file(Major::V15);
        assert_eq!((fifteen.system_identifier, fifteen.data_checksum_version), (7_711_183_061_238_868_958, 1));
        assert_eq!(fifteen.segment_size, SegmentSize::DEFAULT);
        let eighteen = file(Major::V18);
        assert_eq!((eighteen.system_identifier, eighteen.checkpoint), (7_711_210_838_771_863_097, Lsn(0x174_B250)));
    }

    #[test]
    fn nine_six_is_read_as_its_header_lays_it_out() {
        // No server of 9.6 was at hand: 10's file with 9.6's version, its extra flag and no nonce.
        let mut bytes = FILES[0].1[..260].to_vec();
        bytes[8..12].copy_from_slice(&960_u32.to_le_bytes());
        bytes[12..16].copy_from_slice(&201_608_131_u32.to_le_bytes());
        bytes[248..251].fill(1); // enableIntTimes, float4ByVal, float8ByVal
        let crc = crc32c(&bytes[..256]);
        bytes[256..].copy_from_slice(&crc.to_le_bytes());
        let control = ControlFile::parse(&bytes).unwrap();
        assert_eq!((control.control_version, control.catalog_version), (960, 201_608_131));
        assert_eq!((control.major, control.redo), (Some(Major::V9_6), Lsn(0x200_0028)));
    }

    #[test]
    fn every_flipped_bit_of_a_file_is_noticed() {
        let (_, bytes) = FILES[5];
        for bit in 0..8 * 292 {
            let mut changed = bytes.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(ControlFile::parse(&changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_file_that_was_cut_or_is_of_another_version_is_refused() {
        let (_, bytes) = FILES[5];
        for length in 0..292 {
            assert!(matches!(ControlFile::parse(&bytes[..length]), Err(Error::Corrupt(_))), "{length}");
        }
        let mut newer = bytes.to_vec();
        newer[8..12].copy_from_slice(&1900_u32.to_le_bytes());
        assert!(matches!(ControlFile::parse(&newer), Err(Error::Unsupported(_))));
        newer[8..12].copy_from_slice(&1300_u32.to_be_bytes());
        assert!(matches!(ControlFile::parse(&newer), Err(Error::Unsupported(e)) if e.contains("big-endian")));
    }
}
