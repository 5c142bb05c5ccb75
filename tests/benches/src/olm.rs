//! Megolm as it gets a new key: one session, whose key goes to each device over an Olm session that stands already.

use vodozemac::megolm::{GroupSession, InboundGroupSession, SessionConfig as GroupConfig, SessionKey};
use vodozemac::olm::{Account, OlmMessage, Session, SessionConfig};

/// Who sends, with a session to each other device, and the first of those.
pub struct Senders {
    sessions: Vec<Session>,
    first: Session,
}

impl Senders {
    /// Sessions to `n - 1` devices, each of which has answered once.
    pub fn new(n: u64) -> Self {
        let us = Account::new();
        let pairs: Vec<_> = (1..n).map(|_| pair(&us)).collect();
        let (sessions, mut theirs): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        Self { sessions, first: theirs.swap_remove(0) }
    }

    /// A new session, its key sealed for each device.
    pub fn new_key(&mut self) -> Vec<Vec<u8>> {
        let key = GroupSession::new(GroupConfig::version_1()).session_key().to_bytes();
        self.sessions.iter_mut().map(|session| session.encrypt(&key).unwrap().to_parts().1).collect()
    }

    /// The first device opens the key and makes its end of the session.
    pub fn take(&mut self, sealed: &[u8]) {
        let message = OlmMessage::from_parts(1, sealed).unwrap();
        let key = SessionKey::from_bytes(&self.first.decrypt(&message).unwrap()).unwrap();
        let session = InboundGroupSession::new(&key, GroupConfig::version_1());
        assert!(!session.session_id().is_empty());
    }
}

/// A session of ours and its other end.
fn pair(us: &Account) -> (Session, Session) {
    let mut them = Account::new();
    them.generate_one_time_keys(1);
    let key = *them.one_time_keys().values().next().unwrap();
    let config = SessionConfig::version_1();
    let mut ours = us.create_outbound_session(config, them.curve25519_key(), key).unwrap();
    let OlmMessage::PreKey(first) = ours.encrypt("hello").unwrap() else { unreachable!("the first message") };
    let mut theirs = them.create_inbound_session(config, us.curve25519_key(), &first).unwrap().session;
    let answer = theirs.encrypt("hello").unwrap();
    ours.decrypt(&answer).unwrap();
    (ours, theirs)
}
