//! The names that change between versions: 10 said WAL for xlog, 15 dropped exclusive backups and their words.

use pg::Major;

/// What the functions are called in one version.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// Starts a non-exclusive backup, fast, with the label `$1`; gives its position.
    pub start: &'static str,
    /// Stops it and does not wait for the archive (9.6 knows no such choice); gives lsn, labelfile, spcmapfile.
    pub stop: &'static str,
    /// Switches to the next segment; gives the position behind what the closed one holds.
    pub switch: &'static str,
    /// Gives the name of the segment of a position.
    pub file_name: &'static str,
    /// Gives the same as `file_name` among its columns.
    pub file_name_offset: &'static str,
    /// What a role that is no superuser must be granted for a backup.
    pub backup_rights: &'static [&'static str],
    /// The same for a switch.
    pub switch_rights: &'static [&'static str],
}

impl Dialect {
    /// That of a version.
    pub fn of(major: Major) -> Self {
        let fifteen = Self {
            start: "pg_backup_start($1, true)",
            stop: "pg_backup_stop(false)",
            switch: "pg_switch_wal()",
            file_name: "pg_walfile_name",
            file_name_offset: "pg_walfile_name_offset",
            backup_rights: &["pg_backup_start(text, boolean)", "pg_backup_stop(boolean)"],
            switch_rights: &["pg_create_restore_point(text)", "pg_switch_wal()"],
        };
        let ten = Self {
            start: "pg_start_backup($1, true, false)",
            stop: "pg_stop_backup(false, false)",
            backup_rights: &["pg_start_backup(text, boolean, boolean)", "pg_stop_backup(boolean, boolean)"],
            ..fifteen
        };
        match major {
            Major::V9_6 => Self {
                stop: "pg_stop_backup(false)",
                switch: "pg_switch_xlog()",
                file_name: "pg_xlogfile_name",
                file_name_offset: "pg_xlogfile_name_offset",
                backup_rights: &["pg_start_backup(text, boolean, boolean)", "pg_stop_backup(boolean)"],
                switch_rights: &["pg_create_restore_point(text)", "pg_switch_xlog()"],
                ..ten
            },
            Major::V10 | Major::V11 | Major::V12 | Major::V13 | Major::V14 => ten,
            Major::V15 | Major::V16 | Major::V17 | Major::V18 => fifteen,
        }
    }

    /// Starts a backup: its position, whether the server is a standby, and on a primary the segment's name.
    pub fn start_sql(&self) -> String {
        let Self { start, file_name_offset, .. } = self;
        format!(
            "SELECT lsn::text, pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN NULL \
             ELSE ({file_name_offset}(lsn)).file_name END FROM {start} lsn"
        )
    }

    /// Stops it: its position, label and map; as bytes, since text would be converted from the database's encoding, and
    /// the names in the map with it.
    pub fn stop_sql(&self) -> String {
        let bytes = |column| format!("convert_to({column}, getdatabaseencoding())");
        format!("SELECT lsn::text, {}, {} FROM {}", bytes("labelfile"), bytes("spcmapfile"), self.stop)
    }

    /// Switches: the position, and the timeline in eight hex digits.
    pub fn switch_sql(&self) -> String {
        format!("SELECT lsn::text, left({}(lsn), 8) FROM {} lsn", self.file_name, self.switch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No server of 9.6 is at hand for tests: its words stand here as its manual has them.
    #[test]
    fn nine_six_says_xlog_and_waits() {
        let old = Dialect::of(Major::V9_6);
        let start = "SELECT lsn::text, pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN NULL ELSE \
            (pg_xlogfile_name_offset(lsn)).file_name END FROM pg_start_backup($1, true, false) lsn";
        assert_eq!(old.start_sql(), start);
        assert!(old.stop_sql().ends_with(" FROM pg_stop_backup(false)"));
        assert_eq!(old.switch_sql(), "SELECT lsn::text, left(pg_xlogfile_name(lsn), 8) FROM pg_switch_xlog() lsn");
    }

    #[test]
    fn no_version_but_nine_six_waits_for_the_archive() {
        for number in [100_000, 110_000, 120_000, 130_000, 140_000, 150_000, 160_000, 170_000, 180_000] {
            let dialect = Major::of(number).map(Dialect::of).expect("known");
            assert!(["pg_stop_backup(false, false)", "pg_backup_stop(false)"].contains(&dialect.stop), "{number}");
        }
    }
}
