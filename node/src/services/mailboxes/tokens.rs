//! Which token is shown to which relay.
//!
//! Ours, if the settings have one. Otherwise those of rooms, of which each may have been written by anybody who may write settings: one that
//! works stays, one that the relay refuses gives way to the next, and only a few are tried in an hour, since a relay shuts out
//! who guesses. What was never refused comes first, then what was refused longest ago: false tokens of some rooms put off the
//! true one of another, and do not keep it out.

use std::collections::BTreeMap;

use parlor_proto::access::AccessToken;
use parlor_proto::mailbox::RelayId;

use super::relays::Relay;

/// Tokens of rooms that one relay may refuse in [`FORGIVEN_MS`]: half of what a relay bears.
const TRIES: usize = 4;
/// A refused token may be right later: its operator changes it.
const FORGIVEN_MS: u64 = 60 * 60 * 1_000;

/// What is shown to relays.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    own: BTreeMap<RelayId, AccessToken>,
    tried: BTreeMap<RelayId, Tried>,
}

#[derive(Debug, Default)]
struct Tried {
    shown: Option<AccessToken>,
    /// Of the tokens that rooms have, those that were refused, and when last.
    refused: Vec<(AccessToken, u64)>,
    /// When any was refused within the hour, also one that no room has any more.
    tries: Vec<u64>,
}

impl Tokens {
    pub(super) fn new(own: &[Relay]) -> Self {
        let own = own.iter().filter_map(|relay| Some((relay.id()?, relay.token.clone()?))).collect();
        Self { own, tried: BTreeMap::new() }
    }

    /// The token to show to a relay from now on, of those that rooms have for it.
    pub(super) fn choose<'a>(
        &mut self,
        relay: &RelayId,
        of_rooms: impl Iterator<Item = &'a AccessToken> + Clone,
        now_ms: u64,
    ) -> Option<AccessToken> {
        if let Some(own) = self.own.get(relay) {
            return Some(own.clone());
        }
        let tried = self.tried.entry(relay.clone()).or_default();
        let recent = |at_ms: u64| now_ms.saturating_sub(at_ms) < FORGIVEN_MS;
        tried.tries.retain(|at_ms| recent(*at_ms));
        tried.refused.retain(|(refused, _)| of_rooms.clone().any(|token| token == refused));
        let refused =
            |token: &AccessToken| tried.refused.iter().find(|(other, _)| other == token).map(|(_, at_ms)| *at_ms);
        let may = |token: &&AccessToken| !refused(token).is_some_and(recent);
        let stays = tried.shown.as_ref().filter(|shown| of_rooms.clone().any(|token| token == *shown));
        let next =
            || of_rooms.clone().filter(may).min_by_key(|token| refused(token)).filter(|_| tried.tries.len() < TRIES);
        let chosen = stays.or_else(next).cloned();
        tried.shown.clone_from(&chosen);
        chosen
    }

    /// The relay refused what it was shown.
    pub(super) fn refused(&mut self, relay: &RelayId, now_ms: u64) {
        let Some(tried) = self.tried.get_mut(relay) else { return };
        if let Some(shown) = tried.shown.take() {
            tried.refused.retain(|(other, _)| *other != shown);
            tried.refused.push((shown, now_ms));
            tried.tries.push(now_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(n: usize) -> AccessToken {
        AccessToken::parse(&format!("token-of-room-{n}")).unwrap()
    }

    #[test]
    fn our_own_token_is_shown_whatever_rooms_say() {
        let peer = parlor_net::PeerId::from_seed(&[1; 32]);
        let relay = Relay { peer, addresses: Vec::new(), token: Some(token(0)) };
        let id = relay.id().unwrap();
        let mut tokens = Tokens::new(&[relay]);
        assert_eq!(tokens.choose(&id, [token(1)].iter(), 0), Some(token(0)));
        tokens.refused(&id, 0);
        assert_eq!(tokens.choose(&id, [token(1)].iter(), 0), Some(token(0)));
    }

    #[test]
    fn a_token_that_works_stays_and_false_ones_of_rooms_are_tried_a_few_times_an_hour() {
        let id = RelayId::new(parlor_net::PeerId::from_seed(&[1; 32]).as_key()).unwrap();
        let mut tokens = Tokens::default();
        let all: Vec<_> = (0..9).map(token).collect();
        assert_eq!(tokens.choose(&id, all[4..5].iter(), 0), Some(token(4)));
        assert_eq!(tokens.choose(&id, all.iter(), 0), Some(token(4)), "others do not take its place");
        assert_eq!(tokens.choose(&id, all[..3].iter(), 0), Some(token(0)), "it is of no room any more");
        let mut shown = 0;
        while tokens.choose(&id, all.iter(), 0).is_some() {
            tokens.refused(&id, 0);
            shown += 1;
        }
        assert_eq!(shown, TRIES);
        for n in 4..8 {
            let later = tokens.choose(&id, all.iter(), FORGIVEN_MS);
            assert_eq!(later, Some(token(n)), "those that were never shown come first");
            tokens.refused(&id, FORGIVEN_MS);
        }
        assert_eq!(tokens.choose(&id, [token(100)].iter(), FORGIVEN_MS), None, "a new token is a try like others");
    }
}
