//! Telling somebody of a group that was made for him: a link for him alone, and that in the direct chat.

use parlor_api::{Code, CreateInvite, Problem};
use parlor_proto::body::Group;
use parlor_proto::control::Direct;

use super::book::{Invited, Known};
use crate::app::Answer;
use crate::limits::GROUP_INVITE_MS;
use crate::services::joins::to_link;
use crate::services::rooms::{Context, Rooms};

/// How far somebody was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// There is a link for him, which is to be durable before he hears of it.
    Linked(String),
    /// It is in the direct chat.
    Told,
}

/// Invites somebody: first a link for him alone, then that in the direct chat.
pub(super) async fn tell(context: &Context, rooms: &Rooms, known: &Known, invited: &Invited) -> Answer<Step> {
    let chat = Direct::room_of(&context.identity.account(), &invited.account);
    // First of all: a link that nobody can be told of is one too many.
    if context.directory.get(&chat).is_none_or(|summary| summary.item.role.role().is_none()) {
        return Err(Problem::new(Code::Busy, "there is no direct chat yet"));
    }
    let Some(link) = invited.link.clone() else {
        let request =
            CreateInvite { expires_in: Some(GROUP_INVITE_MS / 1_000), uses: Some(1), ..CreateInvite::default() };
        let ours = context.peers.to_give(parlor_proto::binding::MAX_ADDRESSES);
        let addresses = ours.iter().filter_map(to_link).collect();
        let invite = rooms.create_invite(known.room, request, addresses).await?;
        return invite.link.map(Step::Linked).ok_or_else(|| Problem::of(Code::Internal));
    };
    let group = Group { link, name: known.name.clone(), people: known.people.clone() };
    let client_id = format!("group:{}:{}:{}", known.room, invited.account, invited.times);
    match rooms.invite_into(chat, group, client_id).await {
        // An earlier run ended between the two: he was told by another link, which holds.
        Err(problem) if problem.code == Code::Conflict => Ok(Step::Told),
        told => told.map(|_| Step::Told),
    }
}
