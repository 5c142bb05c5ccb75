//! What people do to the room itself: invites, roles, removals, bans, rules, epochs.

use std::sync::Arc;

use parlor_proto::AccountId;
use parlor_proto::control::{History, Policy, Role, Setting, Sponsor, Target};
use parlor_proto::link::{Caveats, Link};
use parlor_proto::room::{NewInvite, Outcome, Refusal, Removal, Room};
use rand::RngExt as _;

use crate::node::{Commit, Node, address};

impl Node {
    /// Makes an invite and its link, if the room lets us.
    pub(crate) fn invite(&mut self, uses: u32, roles: &[Role], now_ms: u64) -> Option<Link> {
        let now = self.clock(now_ms);
        let role = roles[self.rng.random_range(0..roles.len())];
        let new = NewInvite { expires_ms: Some(now + 3_600_000), uses: Some(uses), ..NewInvite::of(role) };
        let me = Arc::clone(&self.me);
        let mut rng = self.fork_rng();
        let room = self.running().room.as_mut()?;
        let (seed, outcome) = match room.invite(&new, now, &mut rng) {
            Ok(made) => made,
            Err(Refusal::NotMember | Refusal::NotPermitted(_) | Refusal::TooStrong | Refusal::Invite(_)) => {
                return None;
            }
            Err(Refusal::Cloned | Refusal::Held) => return None,
            Err(why) => panic!("invite: {why}"),
        };
        let id = room.id();
        let info = room.invites().into_iter().find(|info| info.invite_pk == seed.keys().sign.public_bytes())?;
        let caveats = Caveats {
            power: info.role.power(),
            perms: info.role.permissions(parlor_proto::control::RoomKind::Group),
            expires_ms: now + 3_600_000,
            max_uses: uses,
            sponsor: Sponsor::AnyMember,
        };
        self.commit(Commit { outcome, ..Commit::default() }, now);
        let addresses = [address(self.index)];
        Some(Link::issue(seed, id, caveats, me.signing_key(), [self.index as u8; 32], &addresses))
    }

    pub(crate) fn leave(&mut self, now_ms: u64) {
        self.change(now_ms, |room, now, _| room.leave(now));
    }

    /// Does something that the role of this node may or may not allow, to one of `accounts`.
    pub(crate) fn govern(&mut self, accounts: &[AccountId], may_forget: bool, now_ms: u64) {
        if !self.is_member() {
            return;
        }
        let whom = accounts[self.rng.random_range(0..accounts.len())];
        let what = self.rng.random_range(0..100);
        let coin: [bool; 3] = [0.3, 0.3, 0.15].map(|p| self.rng.random_bool(p));
        let roles = [Role::Admin, Role::Moderator, Role::Moderator, Role::Member, Role::Member, Role::Observer];
        let role = roles[self.rng.random_range(0..roles.len())];
        let pick: usize = self.rng.random_range(0..64);
        self.change(now_ms, |room, now, rng| match what {
            0..30 => room.grant_role(&whom, role, now),
            30..62 => {
                let [ban, cascade, purge] = coin;
                room.remove(&[Removal { target: Target::Account(whom), ban, cascade, purge }], now, rng)
            }
            62..68 => {
                let invites = room.invites();
                let Some(info) = invites.get(pick % invites.len().max(1)) else { return Ok(Outcome::default()) };
                let target = Target::Invite(info.id);
                room.remove(&[Removal { target, ban: false, cascade: coin[1], purge: false }], now, rng)
            }
            68..76 => {
                let banned = room.banned();
                let Some(ban) = banned.get(pick % banned.len().max(1)) else { return Ok(Outcome::default()) };
                room.unban(&ban.account, now)
            }
            76..84 => room.rotate(now, rng),
            84..90 if may_forget => {
                let history = if coin[0] { History::None } else { History::Full };
                room.set_policy(Policy { history }, now)
            }
            84..94 => room.set_state(vec![(Setting::Name, format!("room {pick}").into_bytes())], now),
            _ => {
                let invites = room.invites();
                let Some(info) = invites.get(pick % invites.len().max(1)) else { return Ok(Outcome::default()) };
                room.revoke(&info.id, now, rng)
            }
        });
    }

    /// Changes the room and commits that. A refusal changes nothing.
    pub(crate) fn change(
        &mut self,
        now_ms: u64,
        what: impl FnOnce(&mut Room, u64, &mut rand::rngs::StdRng) -> Result<Outcome, Refusal>,
    ) {
        let now = self.clock(now_ms);
        let mut rng = self.fork_rng();
        let Some(room) = self.running().room.as_mut() else { return };
        let before = room.control_frontier();
        match what(room, now, &mut rng) {
            Ok(outcome) => self.commit(Commit { outcome, ..Commit::default() }, now),
            Err(why) => {
                let expected = !matches!(why, Refusal::Limit | Refusal::Setting | Refusal::Body(_));
                assert!(expected, "node {}: {why}", self.index);
                assert_eq!(room.control_frontier(), before, "refused, and written all the same: {why}");
            }
        }
    }
}
