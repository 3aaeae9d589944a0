//! WAL-G's repository layout: keys, sentinel, metadata, order of backups - pure, no I/O.
//!
//! The facts are those of the repositories that wal-g v0.2.9 to v3.0.9 wrote (`tests/fixtures.rs` reads
//! real ones). Reading is lenient, as those versions differ; writing is exactly what
//! v3.0.9 writes, byte for byte. Nothing here opens, prints or asks the clock: readers and texts
//! come from the caller.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backup;
mod error;
mod files;
mod identity;
mod json;
pub mod key;
mod metadata;
mod name;
mod order;
mod select;
mod sentinel;
mod spec;
pub mod time;

pub use backup::Backup;
pub use error::Error;
pub use files::{FileFlags, visit_files};
pub use identity::{Identity, Known};
pub use json::{to_indented_text, to_text};
pub use metadata::Metadata;
pub use name::{BackupName, first_segment};
pub use order::sort;
pub use select::{Target, select};
pub use sentinel::{Delta, Sentinel};
pub use spec::{Spec, Tablespace};
