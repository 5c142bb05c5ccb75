//! What of the files of others has to go.

use std::time::SystemTime;

use parlor_proto::FileId;
use parlor_storage::{Held, Usage};

/// A file of somebody else, whole or in part, on the disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cached {
    pub(super) file: FileId,
    pub(super) usage: Usage,
    /// Somebody here asked for it: it goes after all that came by itself.
    pub(super) wished: bool,
    /// It is just being fetched, or came last: it counts, and stays.
    pub(super) stays: bool,
}

impl Cached {
    fn rank(&self) -> (bool, SystemTime, FileId) {
        (self.wished, self.usage.written, self.file)
    }
}

/// What goes, so that all take at most `cache` bytes, and parts of what comes by itself at most `parts`: the oldest first, and what
/// came by itself before what was asked for.
pub(super) fn surplus(mut cached: Vec<Cached>, cache: u64, parts: u64) -> Vec<FileId> {
    cached.sort_by_key(Cached::rank);
    let mut gone = Vec::new();
    let waits = |it: &Cached| it.usage.held == Held::Part && !it.wished;
    for (limit, counts) in [(parts, &waits as &dyn Fn(&Cached) -> bool), (cache, &|_| true)] {
        let mut all: u64 = cached.iter().filter(|it| counts(it)).map(|it| it.usage.bytes).sum();
        cached.retain(|it| {
            let goes = all > limit && counts(it) && !it.stays;
            if goes {
                all -= it.usage.bytes;
                gone.push(it.file);
            }
            !goes
        });
    }
    gone
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cached(n: u8, held: Held, bytes: u64) -> Cached {
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(n.into());
        Cached { file: FileId([n; 32]), usage: Usage { held, bytes, written }, wished: false, stays: false }
    }

    fn gone(cached: &[Cached], cache: u64, parts: u64) -> Vec<u8> {
        surplus(cached.to_vec(), cache, parts).iter().map(|file| file.0[0]).collect()
    }

    #[test]
    fn parts_count_and_what_came_by_itself_goes_before_what_was_asked_for() {
        let wished = |it: Cached| Cached { wished: true, ..it };
        let all = [
            wished(cached(1, Held::Whole, 10)),
            cached(4, Held::Part, 10),
            cached(3, Held::Whole, 10),
            wished(cached(2, Held::Part, 10)),
        ];
        assert!(gone(&all, 40, 100).is_empty());
        assert_eq!(gone(&all, 39, 100), [3]);
        assert_eq!(gone(&all, 20, 100), [3, 4]);
        assert_eq!(gone(&all, 19, 100), [3, 4, 1]);
        assert_eq!(gone(&all, 0, 100), [3, 4, 1, 2]);
    }

    #[test]
    fn pictures_that_never_get_whole_do_not_fill_the_disk() {
        // A member names many and keeps a chunk of each to himself.
        let mut all: Vec<_> = (10..110).map(|n| cached(n, Held::Part, 10)).collect();
        all.push(Cached { wished: true, ..cached(1, Held::Part, 1_000) });
        assert_eq!(gone(&all, u64::MAX, 50), (10..105).collect::<Vec<_>>());
        // What is being fetched counts and stays.
        all[0].stays = true;
        assert_eq!(gone(&all, u64::MAX, 50), (11..106).collect::<Vec<_>>());
        all.iter_mut().for_each(|it| it.stays = true);
        assert!(gone(&all, 0, 0).is_empty());
    }
}
