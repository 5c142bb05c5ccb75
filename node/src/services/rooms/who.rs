//! Whom and what users mean: an account by its id, a unique beginning of one, or `@name`; an invite by its id or a beginning.

use parlor_api::{Code, Problem};
use parlor_proto::AccountId;
use parlor_proto::room::InviteInfo;

use super::entry::Turn;
use crate::app::Answer;
use crate::limits::ID_PREFIX_MIN;

/// Accounts named in the hint of an ambiguous name.
const NAMED_MAX: usize = 5;

impl Turn<'_> {
    /// The member that a user means: by account, a unique beginning of it, or `@name`.
    pub(super) fn member_named(&self, who: &str) -> Answer<AccountId> {
        let members: Vec<_> = self.entry.room.members().into_iter().map(|member| member.account).collect();
        self.pick(&members, who)?.ok_or_else(|| no_member(who))
    }

    /// As [`member_named`](Self::member_named); if no member fits, somebody who was one.
    pub(super) fn known(&self, who: &str) -> Answer<AccountId> {
        match self.member_named(who) {
            Err(problem) if problem.code == Code::MemberNotFound => {
                self.pick(&self.entry.room.accounts(), who)?.ok_or(problem)
            }
            found => found,
        }
    }

    /// The one of `accounts` that a user means, each called as the room calls it.
    ///
    /// # Errors
    /// As [`pick`].
    pub(super) fn pick(&self, accounts: &[AccountId], who: &str) -> Answer<Option<AccountId>> {
        pick(accounts.iter().map(|account| (*account, self.typed_name_of(account))), who)
    }

    /// The invite that a user means.
    pub(super) fn invite_named(&self, text: &str) -> Answer<InviteInfo> {
        let lower = text.to_ascii_lowercase();
        let fits = |id: &str| text.len() >= ID_PREFIX_MIN && id.starts_with(&lower);
        let found: Vec<_> = self.entry.room.invites().into_iter().filter(|info| fits(&info.id.to_string())).collect();
        match <[_; 1]>::try_from(found) {
            Ok([info]) => Ok(info),
            Err(none) if none.is_empty() => Err(Problem::of(Code::InviteNotFound)),
            Err(_) => Err(Problem::new(Code::Ambiguous, "more than one invite fits").hint("type more of its id")),
        }
    }
}

/// The one of these accounts, with what they are called, that a user means.
///
/// # Errors
/// `ambiguous` with the candidates.
pub(super) fn pick(accounts: impl Iterator<Item = (AccountId, String)>, who: &str) -> Answer<Option<AccountId>> {
    let lower = who.to_ascii_lowercase();
    let meant = |(account, called): &(AccountId, String)| match who.strip_prefix('@') {
        Some(name) => called == name,
        None => who.len() >= ID_PREFIX_MIN && account.to_string().starts_with(&lower),
    };
    let found: Vec<_> = accounts.filter(meant).collect();
    match found.as_slice() {
        [] => Ok(None),
        [(one, _)] => Ok(Some(*one)),
        several => {
            let short = |account: &AccountId| account.to_string().chars().take(16).collect::<String>();
            let named = several.iter().take(NAMED_MAX);
            let lines: Vec<_> = named.map(|(account, called)| format!("{} ({called})", short(account))).collect();
            Err(Problem::new(Code::Ambiguous, "more than one account fits")
                .hint(format!("name the account: {}", lines.join(", "))))
        }
    }
}

/// No member is meant.
pub(super) fn no_member(who: &str) -> Problem {
    Problem::new(Code::MemberNotFound, format!("there is no member {who} in this room"))
}
