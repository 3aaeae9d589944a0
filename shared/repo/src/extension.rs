//! What the name of an object says of its compression.

/// A compression that some version of WAL-G wrote or reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// LZ4 frames, `.lz4`: WAL-G's default.
    Lz4,
    /// LZMA "alone", `.lzma`.
    Lzma,
    /// `.br`.
    Brotli,
    /// `.zst`, since v3.0.0.
    Zstd,
    /// `.gz`, read only.
    Gzip,
    /// `.lzo`, WAL-E's, read only.
    Lzo,
    /// None: no extension, and in v3.0.8 a dangling dot.
    Plain,
}

use Compression::{Brotli, Gzip, Lz4, Lzma, Lzo, Zstd};

/// All with an extension, in the order in which WAL-G looks for a WAL file.
const EXTENSIONS: [(&str, Compression); 6] =
    [("lz4", Lz4), ("lzma", Lzma), ("gz", Gzip), ("br", Brotli), ("lzo", Lzo), ("zst", Zstd)];

impl Compression {
    /// By the text after the last dot of an object's name; `None` for what is no known extension.
    pub fn of_extension(extension: &str) -> Option<Compression> {
        EXTENSIONS.iter().find(|(known, _)| *known == extension).map(|(_, compression)| *compression)
    }

    /// The extension, without its dot; empty for [`Compression::Plain`].
    pub fn extension(self) -> &'static str {
        EXTENSIONS.iter().find(|(_, compression)| *compression == self).map_or("", |(extension, _)| extension)
    }

    /// How a part of a backup is compressed, by its object's name: `part_001.tar.lz4`,
    /// `part_001.tar`, `part_001.tar.`; `None` where the extension is not known.
    /// ```
    /// use repo::Compression;
    /// assert_eq!(Compression::of_part("copy_0.tar.zst"), Some(Compression::Zstd));
    /// assert_eq!(Compression::of_part("part_001.tar."), Some(Compression::Plain));
    /// assert_eq!(Compression::of_part("part_001.tar.xz"), None);
    /// ```
    pub fn of_part(name: &str) -> Option<Compression> {
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            None | Some("" | "tar") => Some(Compression::Plain),
            Some(extension) => Compression::of_extension(extension),
        }
    }
}

/// The names under which a WAL file may be stored, in the order in which WAL-G looks for it: each
/// extension, a dangling dot, no extension.
///
/// The caller's own compression is best asked first.
pub fn wal_candidates(name: &str) -> impl Iterator<Item = (String, Compression)> {
    let with = EXTENSIONS.iter().map(move |(extension, compression)| (format!("{name}.{extension}"), *compression));
    with.chain([(format!("{name}."), Compression::Plain), (name.to_owned(), Compression::Plain)])
}

/// The WAL file that the object `object` in `wal_005/` holds, and its compression.
///
/// Purely by the text: what is left may be no name of a WAL file (`foo.txt`).
/// ```
/// use repo::{Compression, wal_name};
/// assert_eq!(wal_name("00000002.history.br"), ("00000002.history", Compression::Brotli));
/// assert_eq!(wal_name("00000002.history"), ("00000002.history", Compression::Plain));
/// assert_eq!(wal_name("000000010000000000000003."), ("000000010000000000000003", Compression::Plain));
/// ```
pub fn wal_name(object: &str) -> (&str, Compression) {
    match object.rsplit_once('.') {
        Some((name, "")) => (name, Compression::Plain),
        Some((name, extension)) => match Compression::of_extension(extension) {
            Some(compression) => (name, compression),
            None => (object, Compression::Plain),
        },
        None => (object, Compression::Plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_candidate_leads_back_to_its_wal_file() {
        for name in ["000000010000000000000003", "00000002.history", "000000010000000000000003.00000028.backup"] {
            let candidates: Vec<_> = wal_candidates(name).collect();
            assert_eq!(candidates.len(), 8);
            for (object, compression) in candidates {
                assert_eq!(wal_name(&object), (name, compression));
            }
        }
    }

    #[test]
    fn extensions_go_both_ways() {
        for (extension, compression) in EXTENSIONS {
            assert_eq!(compression.extension(), extension);
            assert_eq!(Compression::of_part(&format!("part_001.tar.{extension}")), Some(compression));
        }
        assert_eq!(Compression::Plain.extension(), "");
        assert_eq!(Compression::of_part("part_001.tar"), Some(Compression::Plain));
    }
}
