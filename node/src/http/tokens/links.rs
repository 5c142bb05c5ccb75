//! Signed links: a path that opens without a header for a quarter of an hour, for images, films and downloads.
//!
//! `WHO.UNTIL.MAC`: the session or token that asked (`h`, `sID`, `tID`), the second of this run in which it ends, and a keyed
//! BLAKE3 of both and the path, under a key that lives as long as the node. So a link opens one path, and never more than whoever
//! asked for it may see at that moment.

use std::time::Duration;

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::grant::Who;
use crate::http::limits;

/// Makes and opens links.
pub(super) struct Links {
    key: Zeroizing<[u8; 32]>,
    began: Instant,
}

/// Why a link does not open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// Its time is over.
    Old,
    /// It was never made.
    Wrong,
}

impl Links {
    pub(super) fn new() -> Self {
        Self { key: Zeroizing::new(rand::random()), began: Instant::now() }
    }

    /// `path` with a signature behind.
    pub(super) fn sign(&self, who: &Who, path: &str) -> String {
        let until = (self.now() + limits::LINK_TIME).as_secs();
        let who = word(who);
        let mac = self.mac(&who, until, path).to_hex();
        format!("{path}?signed={who}.{until:x}.{mac}")
    }

    /// Who asked for the link to `path` with this signature.
    pub(super) fn open(&self, path: &str, signed: &str) -> Result<Who, Closed> {
        let mut parts = signed.splitn(3, '.');
        let (Some(who), Some(until), Some(mac)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Closed::Wrong);
        };
        let until = u64::from_str_radix(until, 16).map_err(|_| Closed::Wrong)?;
        let mac = blake3::Hash::from_hex(mac).map_err(|_| Closed::Wrong)?;
        // Hashes compare in constant time.
        if self.mac(who, until, path) != mac {
            return Err(Closed::Wrong);
        }
        if self.now() >= Duration::from_secs(until) {
            return Err(Closed::Old);
        }
        whose(who).ok_or(Closed::Wrong)
    }

    fn mac(&self, who: &str, until: u64, path: &str) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        // Neither word holds a zero byte.
        hasher.update(who.as_bytes()).update(&[0]).update(&until.to_be_bytes()).update(path.as_bytes());
        hasher.finalize()
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

fn word(who: &Who) -> String {
    match who {
        Who::Home => "h".to_owned(),
        Who::Session(id) => format!("s{id}"),
        Who::Script(id) => format!("t{id}"),
    }
}

fn whose(word: &str) -> Option<Who> {
    match word.split_at_checked(1)? {
        ("h", "") => Some(Who::Home),
        ("s", id) => Some(Who::Session(id.to_owned())),
        ("t", id) => Some(Who::Script(id.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/api/v1/rooms/a/messages/b/files/0";

    fn signature(link: &str) -> &str {
        link.strip_prefix(PATH).and_then(|rest| rest.strip_prefix("?signed=")).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_opens_its_path_for_its_time_and_for_who_asked() {
        let links = Links::new();
        for who in [Who::Home, Who::Session("5e55".into()), Who::Script("70".into())] {
            let link = links.sign(&who, PATH);
            assert_eq!(links.open(PATH, signature(&link)), Ok(who));
        }
        let link = links.sign(&Who::Home, PATH);
        tokio::time::advance(limits::LINK_TIME).await;
        assert_eq!(links.open(PATH, signature(&link)), Err(Closed::Old));
    }

    #[tokio::test]
    async fn no_other_link_can_be_made_of_one() {
        let links = Links::new();
        let link = links.sign(&Who::Session("a".into()), PATH);
        let signed = signature(&link).to_owned();
        assert_eq!(links.open("/api/v1/rooms/a/messages/b/files/1", &signed), Err(Closed::Wrong));
        assert_eq!(links.open("/api/v1/rooms/a/messages/b/files/0/preview", &signed), Err(Closed::Wrong));
        assert_eq!(Links::new().open(PATH, &signed), Err(Closed::Wrong), "another run");
        for (at, old) in signed.char_indices() {
            let new = if old == '1' { '2' } else { '1' };
            let mut changed = signed.clone();
            changed.replace_range(at..=at, &new.to_string());
            assert_eq!(links.open(PATH, &changed), Err(Closed::Wrong), "{changed}");
        }
        for junk in ["", ".", "..", "h.0", "h.0.", "h..00", "sé.1.zz", &"f".repeat(4096)] {
            assert_eq!(links.open(PATH, junk), Err(Closed::Wrong), "{junk}");
        }
    }
}
