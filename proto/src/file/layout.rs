//! How a file of some size is cut.

use parlor_crypto::file::{CHUNK_LEN, Part, Place, padded_size};

use crate::limits::MAX_FILE;

/// Most chunks of names, and the slots before the content: 4 GiB are 16,384 chunks, whose names fill two.
pub const NAMES_MAX: u32 = 2;

/// Names in a whole chunk.
const NAMES_PER_CHUNK: u32 = CHUNK_LEN as u32 / 32;

/// The chunks of a file of a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    size: u64,
    content: u32,
}

impl Layout {
    /// Of a file of `size` bytes; `None` for more than [`MAX_FILE`].
    pub fn of(size: u64) -> Option<Self> {
        if size > MAX_FILE {
            return None;
        }
        let content = u32::try_from(padded_size(size).div_ceil(CHUNK_LEN as u64)).ok()?;
        Some(Self { size, content })
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many chunks the content has.
    pub fn n_content(&self) -> u32 {
        self.content
    }

    /// How many chunks their names have.
    pub fn n_names(&self) -> u32 {
        self.content.div_ceil(NAMES_PER_CHUNK)
    }

    /// How many chunks there are in all.
    pub fn n_slots(&self) -> u32 {
        self.n_names() + self.content
    }

    /// One beyond the last slot.
    pub fn end(&self) -> u32 {
        NAMES_MAX + self.content
    }

    /// All slots, names first.
    pub fn slots(&self) -> impl Iterator<Item = u32> + use<> {
        (0..self.n_names()).chain(NAMES_MAX..self.end())
    }

    /// What stands in a slot; `None` where nothing does.
    pub fn place(&self, slot: u32) -> Option<Place> {
        let (part, index, n) = match slot.checked_sub(NAMES_MAX) {
            None => (Part::Names, slot, self.n_names()),
            Some(index) => (Part::Content, index, self.content),
        };
        (index < n).then_some(Place { part, index, last: index + 1 == n })
    }

    /// Bytes of the chunk in a slot before it is sealed; 0 where there is none.
    pub fn plain_len(&self, slot: u32) -> usize {
        let Some(place) = self.place(slot) else { return 0 };
        let whole = match place.part {
            Part::Names => u64::from(self.content) * 32,
            Part::Content => padded_size(self.size),
        };
        let before = u64::from(place.index) * CHUNK_LEN as u64;
        // At most CHUNK_LEN.
        whole.saturating_sub(before).min(CHUNK_LEN as u64) as usize
    }

    /// Of the chunk in a slot, how many bytes are of the file and no padding.
    pub fn file_len(&self, slot: u32) -> usize {
        let Some(index) = slot.checked_sub(NAMES_MAX) else { return 0 };
        self.size.saturating_sub(u64::from(index) * CHUNK_LEN as u64).min(CHUNK_LEN as u64) as usize
    }

    /// The slot of the content in which the byte at `offset` of the file stands, and where in it.
    pub fn find(&self, offset: u64) -> (u32, usize) {
        let index = offset / CHUNK_LEN as u64;
        // Files have at most 2^14 chunks; an offset beyond points behind the end.
        let slot = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(NAMES_MAX);
        (slot, (offset % CHUNK_LEN as u64) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chunks_of_a_layout_hold_the_padded_file_and_its_names() {
        let chunk = CHUNK_LEN as u64;
        for size in [0, 1, 32, 33, chunk - 1, chunk, chunk + 1, 100 * chunk, 8_192 * chunk, 8_193 * chunk, MAX_FILE] {
            let layout = Layout::of(size).unwrap();
            let content: u64 = (NAMES_MAX..layout.end()).map(|slot| layout.plain_len(slot) as u64).sum();
            let names: u64 = (0..layout.n_names()).map(|slot| layout.plain_len(slot) as u64).sum();
            let file: u64 = (NAMES_MAX..layout.end()).map(|slot| layout.file_len(slot) as u64).sum();
            assert_eq!((content, names, file), (padded_size(size), u64::from(layout.n_content()) * 32, size), "{size}");
            assert!(layout.n_names() <= NAMES_MAX, "{size}");
            assert_eq!(layout.slots().count() as u32, layout.n_slots());
            assert!(layout.slots().all(|slot| layout.plain_len(slot) > 0 && layout.place(slot).is_some()));
            let lasts = layout.slots().filter(|slot| layout.place(*slot).unwrap().last).count();
            assert_eq!(lasts, 2, "{size}");
            assert_eq!((layout.place(layout.end()), layout.plain_len(u32::MAX)), (None, 0));
        }
        assert_eq!(Layout::of(MAX_FILE + 1), None);
        assert_eq!(Layout::of(MAX_FILE).unwrap().n_content(), 16_384);
        assert_eq!(Layout::of(chunk).unwrap().find(chunk - 1), (NAMES_MAX, CHUNK_LEN - 1));
        assert_eq!(Layout::of(chunk).unwrap().place(1), None, "a small file has one chunk of names");
    }
}
