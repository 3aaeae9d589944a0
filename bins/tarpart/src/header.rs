//! Headers of tar members as WAL-G writes them (spec/tar.md §3): ustar, and PAX records where something does not fit.

use std::collections::BTreeMap;

use tar::{EntryType, Header};

/// Bytes in a block of a tar.
pub(crate) const BLOCK: usize = 512;

/// The end of an archive: two blocks of zeros.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The largest size that eleven octal digits say.
const SIZE_MAX: u64 = 0o777_7777_7777;
/// The largest id that seven octal digits say.
const ID_MAX: u32 = 0o777_7777;

/// What a member's header says.
#[derive(Debug, Clone)]
pub(crate) struct Member<'a> {
    /// The name, byte for byte.
    pub name: &'a [u8],
    /// A file, a directory or a link.
    pub kind: EntryType,
    /// Bytes of content.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub uid: u32,
    pub gid: u32,
    /// Their names; empty if unknown.
    pub owner: &'a str,
    pub group: &'a str,
    /// Modification time, whole seconds since 1970; never negative.
    pub mtime: u64,
    /// What a link leads to; else empty.
    pub target: &'a [u8],
}

impl Member<'_> {
    /// The blocks that stand before the member's content.
    pub(crate) fn blocks(&self) -> Vec<u8> {
        let mut records = BTreeMap::new();
        let mut header = Header::new_ustar();
        header.set_entry_type(self.kind);
        header.set_mode(self.mode);
        header.set_mtime(self.mtime);
        header.set_size(fit(self.size, SIZE_MAX, "size", &mut records));
        header.set_uid(fit(self.uid.into(), ID_MAX.into(), "uid", &mut records));
        header.set_gid(fit(self.gid.into(), ID_MAX.into(), "gid", &mut records));
        if let Some(ustar) = header.as_ustar_mut() {
            ustar.set_device_major(0);
            ustar.set_device_minor(0);
            name(self.name, &mut ustar.name, Some(&mut ustar.prefix), "path", &mut records);
            name(self.target, &mut ustar.linkname, None, "linkpath", &mut records);
            name(self.owner.as_bytes(), &mut ustar.uname, None, "uname", &mut records);
            name(self.group.as_bytes(), &mut ustar.gname, None, "gname", &mut records);
        }
        header.set_cksum();
        let mut blocks = if records.is_empty() { Vec::new() } else { extension(self.name, &records) };
        blocks.extend_from_slice(header.as_bytes());
        blocks
    }
}

/// How many zero bytes follow a content of `size` bytes.
pub(crate) fn padding(size: u64) -> usize {
    let over = (size % BLOCK as u64) as usize; // below 512
    if over == 0 { 0 } else { BLOCK - over }
}

/// A number as the header says it, or as a PAX record where it has too few digits.
fn fit(value: u64, most: u64, key: &'static str, records: &mut BTreeMap<&'static str, Vec<u8>>) -> u64 {
    if value <= most {
        return value;
    }
    records.insert(key, value.to_string().into_bytes());
    0
}

/// A text as the header says it, or as a PAX record where it is too long or not ASCII.
///
/// What is not UTF-8 cannot be a PAX record, and stands in the header as it is.
fn name(
    text: &[u8],
    field: &mut [u8],
    prefix: Option<&mut [u8; 155]>,
    key: &'static str,
    records: &mut BTreeMap<&'static str, Vec<u8>>,
) {
    let plain = text.is_ascii() || std::str::from_utf8(text).is_err();
    if plain && text.len() <= field.len() {
        field[..text.len()].copy_from_slice(text);
        return;
    }
    if plain
        && let Some(prefix) = prefix
        && let Some(at) = split(text, field.len())
    {
        prefix[..at].copy_from_slice(&text[..at]);
        field[..text.len() - at - 1].copy_from_slice(&text[at + 1..]);
        return;
    }
    records.insert(key, text.to_vec());
    let ascii: Vec<u8> = text.iter().copied().filter(u8::is_ascii).take(field.len()).collect();
    field[..ascii.len()].copy_from_slice(&ascii);
}

/// Where a long name is split: at the last slash that leaves 155 bytes before it and `room` behind it at most.
fn split(name: &[u8], room: usize) -> Option<usize> {
    let last = name.iter().take(156).rposition(|&c| c == b'/')?;
    (last > 0 && name.len() - last - 1 <= room && last + 1 < name.len()).then_some(last)
}

/// The PAX member that stands before the one it is about.
fn extension(name: &[u8], records: &BTreeMap<&'static str, Vec<u8>>) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        body.extend(record(key, value));
    }
    let base = name.rsplit(|&c| c == b'/').next().unwrap_or_default();
    let mut short = b"PaxHeaders.0/".to_vec();
    short.extend(base.iter().copied().filter(u8::is_ascii).take(80));
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.set_size(body.len() as u64);
    header.set_mode(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    if let Some(ustar) = header.as_ustar_mut() {
        ustar.name[..short.len()].copy_from_slice(&short);
    }
    header.set_cksum();
    let mut blocks = header.as_bytes().to_vec();
    blocks.extend_from_slice(&body);
    blocks.resize(blocks.len() + padding(body.len() as u64), 0);
    blocks
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn read_back(member: &Member<'_>) -> (Vec<u8>, u64, u64, Vec<u8>) {
        let mut archive = member.blocks();
        archive.extend(END);
        let mut archive = tar::Archive::new(archive.chain(std::io::repeat(0)));
        let mut entries = archive.entries().expect("entries");
        let entry = entries.next().expect("an entry").expect("sound");
        let link = entry.link_name_bytes().map(|n| n.to_vec()).unwrap_or_default();
        let uid = entry.header().uid().expect("uid");
        (entry.path_bytes().to_vec(), entry.size(), uid, link)
    }

    fn file(name: &[u8]) -> Member<'_> {
        let kind = EntryType::Regular;
        Member { name, kind, size: 0, mode: 0o600, uid: 1, gid: 1, owner: "a", group: "b", mtime: 0, target: b"" }
    }

    #[test]
    fn names_of_any_length_and_alphabet_come_back() {
        let long = [b"/base/".to_vec(), vec![b'x'; 120], b"/".to_vec(), vec![b'y'; 90]].concat();
        let longer = [b"/".to_vec(), vec![b'z'; 255]].concat();
        for name in [&b"/"[..], b"/base/1/1259", &long, &longer, "/ünï 'x'".as_bytes(), b"/new\nline", b"/not\xffutf8"]
        {
            assert_eq!(read_back(&file(name)).0, name, "{:?}", String::from_utf8_lossy(name));
        }
    }

    #[test]
    fn a_short_name_is_plain_ustar_and_a_splittable_one_too() {
        assert_eq!(file(b"/base/1/1259").blocks().len(), BLOCK);
        let split = [b"/".to_vec(), vec![b'x'; 100], b"/".to_vec(), vec![b'y'; 90]].concat();
        assert_eq!(file(&split).blocks().len(), BLOCK);
        assert_eq!(&file(b"/a").blocks()[257..265], b"ustar\x0000");
    }

    #[test]
    fn sizes_over_8_gib_and_large_ids_come_back() {
        for size in [SIZE_MAX, SIZE_MAX + 1, 1 << 42] {
            assert_eq!(read_back(&Member { size, ..file(b"/f") }).1, size);
        }
        let member = Member { uid: 3_000_000, ..file(b"/f") };
        assert!(String::from_utf8_lossy(&member.blocks()).contains("15 uid=3000000\n"));
    }

    #[test]
    fn a_record_counts_its_own_digits() {
        assert_eq!(record("path", &[b'x'; 88]).len(), 97);
        assert!(record("path", &[b'x'; 90]).starts_with(b"99 path="));
        assert!(record("path", &[b'x'; 91]).starts_with(b"101 path="));
    }

    #[test]
    fn a_link_keeps_its_target() {
        let member = Member { kind: EntryType::Symlink, target: b"/etc/x", ..file(b"/l") };
        assert_eq!(read_back(&member).3, b"/etc/x");
    }
}
