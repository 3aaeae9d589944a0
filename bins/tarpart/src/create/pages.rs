//! Page checksums, verified in the same pass that stores the pages (spec/tar.md §6).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use pg::page::{Verdict, verify};

/// Bytes in a page.
pub(crate) const PAGE: usize = 8192;
/// Pages in one file of a relation: 1 GiB (`RELSEG_SIZE`).
const PAGES_IN_FILE: u32 = 131_072;
/// How often a page that looks wrong is read again: the server may be writing it.
const TRIES: u32 = 8;

/// The pages of one file of a relation.
pub(crate) struct Pages {
    /// Number of the file's first page in the relation.
    first: u32,
    /// Number in this file of the page that comes next.
    next: u32,
    /// Numbers in this file of pages that are corrupt.
    pub corrupt: Vec<u32>,
}

impl Pages {
    /// The pages of the file that is called `name`: `16384`, or `16384.3` for the fourth file of a relation.
    pub(crate) fn of(name: &[u8]) -> Self {
        let number = name.rsplit(|&c| c == b'.').next().filter(|n| n.len() < name.len());
        let number = number.and_then(|n| std::str::from_utf8(n).ok()).and_then(|n| n.parse().ok()).unwrap_or(0_u32);
        Self { first: number.wrapping_mul(PAGES_IN_FILE), next: 0, corrupt: Vec::new() }
    }

    /// Looks at `block`, whole pages that were read from `file` behind those looked at before.  A page that looks
    /// wrong is read again, and replaced in `block` by what is then there.
    ///
    /// # Errors
    /// That of reading again.
    pub(crate) fn look(&mut self, block: &mut [u8], file: &File) -> io::Result<()> {
        for page in block.chunks_exact_mut(PAGE) {
            if !sound(page, self.first.wrapping_add(self.next)) && !self.read_again(page, file)? {
                self.corrupt.push(self.next);
            }
            self.next += 1;
        }
        Ok(())
    }

    fn read_again(&self, page: &mut [u8], file: &File) -> io::Result<bool> {
        let mut fresh = [0; PAGE];
        for attempt in 0..TRIES {
            std::thread::sleep(Duration::from_millis(u64::from(attempt) * 5));
            match file.read_exact_at(&mut fresh, u64::from(self.next) * PAGE as u64) {
                Ok(()) if sound(&fresh, self.first.wrapping_add(self.next)) => {
                    page.copy_from_slice(&fresh);
                    return Ok(true);
                }
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    page.fill(0); // cut off meanwhile: WAL says so as well
                    return Ok(true);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

fn sound(page: &[u8], number: u32) -> bool {
    matches!(verify(page, number), Verdict::New | Verdict::Ok | Verdict::NoChecksum)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page as the server would write it, as far as the checks look.
    fn page(number: u32) -> Vec<u8> {
        let mut page = vec![0_u8; PAGE];
        page[4] = 1; // an LSN
        page[12..14].copy_from_slice(&24_u16.to_le_bytes());
        page[14..16].copy_from_slice(&8000_u16.to_le_bytes());
        page[16..18].copy_from_slice(&8192_u16.to_le_bytes());
        page[18..20].copy_from_slice(&(8192_u16 + 4).to_le_bytes());
        let sum = pg::page::checksum(&page, number);
        page[8..10].copy_from_slice(&sum.to_le_bytes());
        page
    }

    #[test]
    fn a_page_is_sound_under_its_own_number_only() {
        let mut block = [page(2 * PAGES_IN_FILE), page(2 * PAGES_IN_FILE + 1), vec![0; PAGE]].concat();
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&block, 0).expect("written");
        let mut pages = Pages::of(b"16384.2");
        pages.look(&mut block, &file).expect("read");
        assert_eq!(pages.corrupt, [0_u32; 0]);
        let mut pages = Pages::of(b"16384");
        pages.look(&mut block, &file).expect("read");
        assert_eq!(pages.corrupt, [0, 1]);
    }

    #[test]
    fn a_torn_page_that_is_whole_at_the_second_look_is_taken_so() {
        let whole = page(0);
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&whole, 0).expect("written");
        let mut torn = whole.clone();
        torn[5000] ^= 1;
        let mut pages = Pages::of(b"16384");
        pages.look(&mut torn, &file).expect("read");
        assert!(pages.corrupt.is_empty() && torn == whole);
    }
}
