//! The methods there are in repositories, by name, by an object's extension, by a stream's first bytes.

use std::fmt::{self, Display};

/// A method of compression that a repository may hold (spec/crypto-compression.md §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// LZ4 frames, WAL-G's default.
    Lz4,
    /// LZMA "alone".
    Lzma,
    /// Brotli.
    Brotli,
    /// Zstandard.
    Zstd,
    /// Gzip, only ever read.
    Gzip,
    /// lzop's format, only ever read: WAL-E wrote it.
    Lzo,
    /// The bytes as they are.
    None,
}

impl Method {
    /// All of them, in the order in which WAL-G looks for a WAL object (spec/wal.md §2.3).
    pub const ALL: [Self; 7] = [Self::Lz4, Self::Lzma, Self::Gzip, Self::Brotli, Self::Lzo, Self::Zstd, Self::None];

    /// The methods that this build can compress and decompress.
    pub const BUILT: [Self; 2] = [Self::Lz4, Self::None];

    /// The method that `WALG_COMPRESSION_METHOD` calls `name`; those that are only read have no name there.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Lz4, Self::Lzma, Self::Brotli, Self::Zstd, Self::None].into_iter().find(|m| m.to_string() == name)
    }

    /// The method by which the object `name` was compressed: the text after its last dot, where `tar`, nothing
    /// (a dangling dot, as v3.0.8 wrote), or no dot at all mean none.
    ///
    /// `None` for an extension that nobody wrote.
    #[must_use]
    pub fn of_object(name: &str) -> Option<Self> {
        match name.rsplit_once('.') {
            None | Some((_, "" | "tar" | "history" | "partial" | "backup")) => Some(Self::None),
            Some((_, extension)) => Self::of_extension(extension),
        }
    }

    /// The name of what the object `name` holds: without the extension that says its method, purely by the text.
    ///
    /// ```
    /// use codec::Method;
    /// assert_eq!(Method::content_name("00000002.history.br"), "00000002.history");
    /// assert_eq!(Method::content_name("00000002.history"), "00000002.history");
    /// assert_eq!(Method::content_name("000000010000000000000003."), "000000010000000000000003");
    /// assert_eq!(Method::content_name("000000010000000000000003.xz"), "000000010000000000000003.xz");
    /// ```
    #[must_use]
    pub fn content_name(name: &str) -> &str {
        match name.rsplit_once('.') {
            Some((content, extension)) if Self::of_extension(extension).is_some() => content,
            _ => name,
        }
    }

    /// By the text after the last dot, of which there may be none.
    fn of_extension(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.extension().trim_start_matches('.') == extension)
    }

    /// What an object's name ends in, with the dot; empty for none.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Lz4 => ".lz4",
            Self::Lzma => ".lzma",
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
            Self::Lzo => ".lzo",
            Self::None => "",
        }
    }

    /// The method whose streams begin like `start` (at least six bytes of it, where there are that many).
    ///
    /// Brotli has no mark and is never found; LZMA is by the header that WAL-G writes.
    #[must_use]
    pub fn sniff(start: &[u8]) -> Option<Self> {
        match start {
            [0x04, 0x22, 0x4d, 0x18, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Lz4),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0x89, b'L', b'Z', b'O', ..] => Some(Self::Lzo),
            [0x5d, 0, 0, _, _, ..] => Some(Self::Lzma),
            _ => None,
        }
    }
}

/// Whether `start` are the first bytes of an OpenPGP message as WAL-G writes it: a public-key encrypted
/// session key packet, version 3, in old or new form (RFC 4880 §4.2, §5.1).
#[must_use]
pub fn looks_encrypted(start: &[u8]) -> bool {
    match start {
        [0xc1, len, 3, ..] if *len < 192 => true,
        [0xc1, 192..=223, _, 3, ..] | [0x84, _, 3, ..] | [0x85, _, _, 3, ..] => true,
        _ => start.starts_with(b"-----BEGIN PGP MESSAGE"),
    }
}

impl Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lz4 => "lz4",
            Self::Lzma => "lzma",
            Self::Brotli => "brotli",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Lzo => "lzo",
            Self::None => "none",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objects_name_says_its_method() {
        assert_eq!(Method::of_object("part_001.tar.lz4"), Some(Method::Lz4));
        assert_eq!(Method::of_object("copy_0.tar.br"), Some(Method::Brotli));
        assert_eq!(Method::of_object("part_001.tar"), Some(Method::None));
        assert_eq!(Method::of_object("part_001.tar."), Some(Method::None));
        assert_eq!(Method::of_object("000000010000000000000001"), Some(Method::None));
        assert_eq!(Method::of_object("00000002.history"), Some(Method::None));
        assert_eq!(Method::of_object("x.tar.7z"), None);
    }

    #[test]
    fn every_extension_leads_back_to_its_method_and_to_the_name_before_it() {
        for name in ["000000010000000000000003", "00000002.history", "000000010000000000000003.00000028.backup"] {
            for method in Method::ALL {
                let object = format!("{name}{}", method.extension());
                assert_eq!((Method::content_name(&object), Method::of_object(&object)), (name, Some(method)));
            }
            assert_eq!(Method::content_name(&format!("{name}.")), name);
        }
    }

    #[test]
    fn a_name_in_the_settings_is_one_that_can_be_written() {
        assert_eq!(Method::named("brotli"), Some(Method::Brotli));
        assert_eq!(Method::named("gzip"), None);
        assert_eq!(Method::named("LZ4"), None);
    }
}
