//! PostgreSQL's formats: LSN, segment and timeline names, pages, pg_control, WAL page headers.
//!
//! Pure functions over bytes and text for PostgreSQL 9.6 to 18 on little-endian machines, which is
//! where every format fact here was checked: on files of real servers of 10 to 18, and for 9.6 on
//! its headers. Pure but for [`ControlFile::read`]; no panic on any input.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod control;
mod crc;
mod error;
mod history;
mod label;
mod lsn;
mod major;
mod name;
pub mod page;
mod segment;
pub mod wal;

pub use control::{ControlFile, State};
pub use crc::crc32c;
pub use error::Error;
pub use history::{History, Switch};
pub use label::BackupLabel;
pub use lsn::Lsn;
pub use major::Major;
pub use name::WalName;
pub use segment::{SegmentName, SegmentSize};
