//! WAL-G's repository layout: keys, sentinel, metadata, order of backups - pure, no I/O
