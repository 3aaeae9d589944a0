//! What of a data directory belongs into a backup, by name and place.
//!
//! Two lists made one: what PostgreSQL documents for a base backup ("Backing Up The Data Directory", 9.6 to 18;
//! basebackup.c), and what WAL-G leaves out (spec/tar.md §2).  One difference is deliberate: WAL-G drops `log`,
//! `pg_wal` and the like at any depth, here they count only where PostgreSQL has them, at the top; a directory
//! `log` of an extension further down is data.  `pgsql_tmp…` and `pg_internal.init…` count everywhere.

/// What kind of directory a name stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The data directory itself.
    Top,
    /// `global`: relations and `pg_control`.
    Global,
    /// `base`, or `PG_…` of a tablespace: one directory per database.
    Databases,
    /// A directory of one database: relations.
    Database,
    /// `pg_tblspc`.
    Tablespaces,
    /// What a link in `pg_tblspc` leads to, or an in-place tablespace.
    Tablespace,
    /// Another directory with the server's data: `pg_xact` and the like.
    Data,
    /// A directory of somebody else.
    Other,
}

/// What becomes of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Stored, a directory with its content, which stands in this place.
    Keep(Place),
    /// A directory that is stored empty; anything else of that name is left out.
    Hollow,
    /// Left out.
    Skip,
}

/// At the top: directories that are stored empty.
const HOLLOW: &[&[u8]] = &[
    b"log",
    b"pg_dynshmem",
    b"pg_log",
    b"pg_notify",
    b"pg_replslot",
    b"pg_serial",
    b"pg_snapshots",
    b"pg_stat_tmp",
    b"pg_subtrans",
    b"pg_wal",
    b"pg_xlog",
];

/// At the top: what is left out.  `recovery.signal` is kept, as WAL-G does.
const SKIP: &[&[u8]] = &[
    b"backup_label",
    b"backup_label.old",
    b"backup_manifest",
    b"current_logfiles.tmp",
    b"postgresql.auto.conf.tmp",
    b"postmaster.opts",
    b"postmaster.pid",
    b"recovery.conf",
    b"standby.signal",
    b"tablespace_map",
    b"tablespace_map.old",
];

/// At the top: directories without which the server has no data.  In them a symbolic link would hide some of it.
const DATA: &[&[u8]] =
    &[b"pg_clog", b"pg_commit_ts", b"pg_logical", b"pg_multixact", b"pg_stat", b"pg_twophase", b"pg_xact"];

impl Place {
    /// What becomes of `name` in a directory of this kind.  Links of tablespaces are not asked about here.
    pub fn rule(self, name: &[u8]) -> Rule {
        if name.starts_with(b"pgsql_tmp") {
            return Rule::Hollow;
        }
        if name.starts_with(b"pg_internal.init") {
            return Rule::Skip;
        }
        match self {
            Self::Top if HOLLOW.contains(&name) => Rule::Hollow,
            Self::Top if SKIP.contains(&name) => Rule::Skip,
            Self::Top => Rule::Keep(match name {
                b"base" => Self::Databases,
                b"global" => Self::Global,
                b"pg_tblspc" => Self::Tablespaces,
                name if DATA.contains(&name) => Self::Data,
                _ => Self::Other,
            }),
            Self::Databases => Rule::Keep(if is_number(name) { Self::Database } else { Self::Data }),
            Self::Database if is_temporary(name) => Rule::Skip,
            Self::Tablespaces => Rule::Keep(if is_number(name) { Self::Tablespace } else { Self::Other }),
            Self::Tablespace => Rule::Keep(Self::Databases),
            Self::Global | Self::Database | Self::Data => Rule::Keep(Self::Data),
            Self::Other => Rule::Keep(Self::Other),
        }
    }

    /// Whether files of relations stand in such a directory.
    pub const fn has_relations(self) -> bool {
        matches!(self, Self::Global | Self::Database)
    }

    /// Whether what stands here is the server's data, so that a symbolic link among it would hide some.
    pub const fn is_data(self) -> bool {
        !matches!(self, Self::Top | Self::Tablespaces | Self::Other)
    }
}

/// Whether the name is a number, as an OID or a relfilenode is written.
pub fn is_number(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_digit)
}

/// The number of a relation and its fork, empty for the main one, from `NUMBER[_FORK][.SEGMENT]`
/// (`parse_filename_for_nontemp_relation` in storage/file/reinit.c).
pub fn relation(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let name = match name.iter().position(|&b| b == b'.') {
        Some(dot) if is_number(&name[dot + 1..]) => &name[..dot],
        Some(_) => return None,
        None => name,
    };
    let (number, fork): (_, &[u8]) = match name.iter().position(|&b| b == b'_') {
        Some(line) => (&name[..line], &name[line + 1..]),
        None => (name, b""),
    };
    let known = matches!(fork, b"" | b"fsm" | b"vm" | b"init") && (fork.is_empty() == (number.len() == name.len()));
    (is_number(number) && known).then_some((number, fork))
}

/// Whether the name is a temporary relation's: `tBACKEND_NUMBER[_FORK][.SEGMENT]` (`looks_like_temp_rel_name` in
/// storage/file/fd.c).
fn is_temporary(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b"t") else { return false };
    let Some(line) = rest.iter().position(|&b| b == b'_') else { return false };
    is_number(&rest[..line]) && relation(&rest[line + 1..]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relation_is_a_number_a_fork_and_a_segment() {
        for (name, number, fork) in
            [("16384", "16384", ""), ("1.12", "1", ""), ("2_fsm", "2", "fsm"), ("3_init.1", "3", "init")]
        {
            assert_eq!(relation(name.as_bytes()), Some((number.as_bytes(), fork.as_bytes())), "{name}");
        }
        for name in ["", ".", "1.", ".1", "1.a", "1_", "_fsm", "1_xxx", "1_fsm_vm", "1.2.3", "PG_VERSION", "t1_2", "1a"]
        {
            assert_eq!(relation(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn temporary_relations_are_left_out_of_databases_only() {
        for name in ["t3_16384", "t12_16384_fsm", "t3_1_vm.2", "t3_1.1"] {
            assert_eq!(Place::Database.rule(name.as_bytes()), Rule::Skip, "{name}");
            assert_ne!(Place::Other.rule(name.as_bytes()), Rule::Skip, "{name}");
        }
        for name in ["t3", "t_1", "t3_", "t3_x", "ta_1", "t3_1_xx", "test_1", "3_1"] {
            assert_eq!(Place::Database.rule(name.as_bytes()), Rule::Keep(Place::Data), "{name}");
        }
    }

    #[test]
    fn names_of_the_top_mean_nothing_further_down() {
        assert_eq!(Place::Top.rule(b"log"), Rule::Hollow);
        assert_eq!(Place::Other.rule(b"log"), Rule::Keep(Place::Other));
        assert_eq!(Place::Top.rule(b"standby.signal"), Rule::Skip);
        assert_eq!(Place::Data.rule(b"standby.signal"), Rule::Keep(Place::Data));
        assert_eq!(Place::Top.rule(b"recovery.signal"), Rule::Keep(Place::Other));
    }

    #[test]
    fn temporary_files_are_left_out_everywhere() {
        for place in [Place::Databases, Place::Database, Place::Other, Place::Data] {
            assert_eq!(place.rule(b"pgsql_tmp"), Rule::Hollow);
            assert_eq!(place.rule(b"pgsql_tmp123.0.sharedfileset"), Rule::Hollow);
            assert_eq!(place.rule(b"pg_internal.init.4711"), Rule::Skip);
        }
    }
}
