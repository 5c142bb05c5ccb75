//! Sets of small numbers that share what they have in common.
//!
//! The past of an event is that of its parents and a little more, so sets are lists of chunks behind `Arc`s, copied when
//! written to: a past costs a pointer for every 1,024 events and the one or two chunks in which it differs. Full chunks
//! are all the same one.

use std::sync::{Arc, LazyLock};

/// Words in a chunk.
const WORDS: usize = 16;
/// Numbers in a chunk.
const BITS: usize = WORDS * 64;

type Chunk = [u64; WORDS];

static FULL: LazyLock<Arc<Chunk>> = LazyLock::new(|| Arc::new([u64::MAX; WORDS]));
static EMPTY: LazyLock<Arc<Chunk>> = LazyLock::new(|| Arc::new([0; WORDS]));

/// A set of small numbers: of events, or of devices. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set(Vec<Arc<Chunk>>);

impl Set {
    /// All numbers below `n`.
    pub fn below(n: usize) -> Self {
        let mut set = Self(vec![FULL.clone(); n / BITS]);
        (n - n % BITS..n).for_each(|number| set.put(number));
        set
    }

    /// Whether `n` is in it.
    pub fn has(&self, n: usize) -> bool {
        self.0.get(n / BITS).is_some_and(|chunk| chunk[n % BITS / 64] & (1 << (n % 64)) != 0)
    }

    /// Puts `n` in.
    pub fn put(&mut self, n: usize) {
        if self.0.len() <= n / BITS {
            self.0.resize(n / BITS + 1, EMPTY.clone());
        }
        if self.has(n) {
            return;
        }
        let chunk = Arc::make_mut(&mut self.0[n / BITS]);
        chunk[n % BITS / 64] |= 1 << (n % 64);
        if *chunk == **FULL {
            self.0[n / BITS] = FULL.clone();
        }
    }

    /// Takes `n` out.
    pub fn take(&mut self, n: usize) {
        if self.has(n) {
            Arc::make_mut(&mut self.0[n / BITS])[n % BITS / 64] &= !(1 << (n % 64));
        }
    }

    /// Puts all of `other` in.
    pub fn put_all(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), EMPTY.clone());
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            if Arc::ptr_eq(mine, theirs) || within(theirs, mine) {
                continue;
            }
            if within(mine, theirs) {
                *mine = theirs.clone();
                continue;
            }
            let chunk = Arc::make_mut(mine);
            chunk.iter_mut().zip(theirs.iter()).for_each(|(mine, theirs)| *mine |= theirs);
            if *chunk == **FULL {
                *mine = FULL.clone();
            }
        }
    }

    /// Whether everything in it is in `other`.
    pub fn within(&self, other: &Self) -> bool {
        let theirs = other.0.iter().chain(std::iter::repeat(&*EMPTY));
        self.0.iter().zip(theirs).all(|(mine, theirs)| Arc::ptr_eq(mine, theirs) || within(mine, theirs))
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.0.iter().flat_map(|chunk| chunk.iter()).map(|word| word.count_ones() as usize).sum()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|chunk| **chunk == **EMPTY)
    }

    /// The numbers in it, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().flat_map(|chunk| chunk.iter()).enumerate().flat_map(|(at, word)| numbers(at, *word))
    }

    /// The numbers in it that are not in `other`, ascending. What both share costs nothing.
    pub fn without<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let theirs = other.0.iter().chain(std::iter::repeat(&*EMPTY));
        let differing = self.0.iter().zip(theirs).enumerate().filter(|(_, (mine, theirs))| !Arc::ptr_eq(mine, theirs));
        differing.flat_map(|(at, (mine, theirs))| {
            let words = mine.iter().zip(theirs.iter()).enumerate();
            words.flat_map(move |(word, (mine, theirs))| numbers(at * WORDS + word, mine & !theirs))
        })
    }
}

fn within(mine: &Chunk, theirs: &Chunk) -> bool {
    mine.iter().zip(theirs).all(|(mine, theirs)| mine & !theirs == 0)
}

/// The numbers of the word at `at`.
fn numbers(at: usize, word: u64) -> impl Iterator<Item = usize> {
    let mut left = word;
    std::iter::from_fn(move || {
        let bit = left.trailing_zeros() as usize;
        left &= left.checked_sub(1)?;
        Some(at * 64 + bit)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_whatever_its_chunks_share() {
        let (mut set, mut model) = (Set::below(3_000), (0..3_000).collect::<BTreeSet<usize>>());
        let before = set.clone();
        for n in [5_000, 3_000, 7, 4_999, 9_216] {
            set.put(n);
            model.insert(n);
        }
        set.take(2_047);
        model.remove(&2_047);
        assert_eq!((before.len(), before.has(2_047)), (3_000, true));
        assert_eq!(set.iter().collect::<BTreeSet<_>>(), model);
        assert_eq!(set.without(&before).collect::<Vec<_>>(), [3_000, 4_999, 5_000, 9_216]);
        assert_eq!(before.without(&set).collect::<Vec<_>>(), [2_047]);
        assert!(!set.within(&before) && !before.within(&set));
        let mut both = before.clone();
        both.put_all(&set);
        assert!(set.within(&both) && before.within(&both));
        assert_eq!(both.len(), 3_004);
    }

    #[test]
    fn pasts_of_a_long_chain_share_their_chunks() {
        let mut past = Set::default();
        let pasts: Vec<Set> = (0..4_096)
            .map(|n| {
                past.put(n);
                past.clone()
            })
            .collect();
        let distinct: BTreeSet<_> = pasts.iter().flat_map(|set| &set.0).map(Arc::as_ptr).collect();
        assert!(distinct.len() <= pasts.len() + 1, "one chunk an event at most: {}", distinct.len());
    }
}
