//! Group chats with several people at once.

use std::collections::BTreeMap;

use parlor_api::{
    Code, ContactState, GroupChat, GroupInvitation, GroupPerson, GroupState, JoinAnswer, MessageStatus, OpenGroup,
    Problem, SendRequest,
};
use parlor_proto::body::is_title;
use parlor_proto::limits::{MAX_GROUP, MAX_ROOM_NAME, MIN_GROUP};
use parlor_proto::{AccountId, RoomId};

use super::{Answer, App};
use crate::limits::CONTACT_KEY_WAIT;
use crate::services::groups::{self, Wanted};
use crate::services::rooms::checked_title;

impl App {
    /// Opens the group chat with these people: the first one of the same people, or a new one, into which each is invited in the
    /// direct chat with him. Whoever is no contact yet is asked first whether we may write.
    ///
    /// # Errors
    /// As [`open_direct`](Self::open_direct) for each of them; `bad_request` for too few or too many.
    pub async fn open_group(&self, request: OpenGroup) -> Answer<GroupChat> {
        let name = request.name.as_deref().map(checked_title).transpose()?.map(str::to_owned);
        let (us, mut people) = (self.node.context.identity.account(), BTreeMap::new());
        for who in &request.who {
            let who = self.whom(who).await?;
            let account = self.contacts().account_of(&self.node.rooms, &who).await?;
            if account == us {
                return Err(Problem::new(Code::BadRequest, "you are in the group anyway"));
            }
            people.insert(account, who);
            if people.len() >= MAX_GROUP {
                let most = MAX_GROUP - 1;
                return Err(Problem::new(Code::BadRequest, format!("a group begins with at most {most} others"))
                    .hint("make a room and invite people by a link: parlor room create NAME"));
            }
        }
        if people.len() + 1 < MIN_GROUP {
            return Err(Problem::new(Code::BadRequest, "a group is of two others at least")
                .hint("with one other there is the direct chat: parlor dm WHO"));
        }
        let mut all: Vec<AccountId> = people.keys().copied().chain([us]).collect();
        all.sort_unstable();
        // Who has the chat already asks nobody to be a contact for it.
        if self.node.groups.find(all.clone()).await?.is_none() {
            for who in people.values() {
                self.chat_with(who).await?;
            }
        }
        let name = name.unwrap_or_else(|| self.group_name(people.keys()));
        let (room, made) = self.node.groups.open(Wanted { people: all, name }).await?;
        let (message, status) = self.send_with(room, request.text).await?;
        let people = self.group_people(room, people.into_keys().collect()).await?;
        let name = self.node.context.directory.get(&room).map(|summary| summary.item.name).unwrap_or_default();
        Ok(GroupChat { room: room.to_string(), name, made, people, message, status })
    }

    /// Sends what was written when a chat was opened, if anything was.
    pub(super) async fn send_with(
        &self,
        room: RoomId,
        text: Option<String>,
    ) -> Answer<(Option<String>, Option<MessageStatus>)> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok((None, None)) };
        let sent = self.node.rooms.send(room, vec![SendRequest { text, ..SendRequest::default() }]).await?;
        Ok(sent.into_iter().next().map(|sent| (sent.message, sent.status)).unzip())
    }

    /// The direct chat with somebody, which is made if need be: his account, the room, his name, and how far we are.
    pub(super) async fn chat_with(&self, who: &str) -> Answer<(AccountId, RoomId, String, ContactState)> {
        let mut changes = self.contacts().changes();
        let deadline = tokio::time::Instant::now() + CONTACT_KEY_WAIT;
        loop {
            let (account, room, name, state) = self.contacts().open(who.to_owned()).await?;
            if let Some(room) = room {
                return Ok((account, room, name, state));
            }
            // Known from a room only: his node is being asked for his card.
            let wait = tokio::time::timeout_at(deadline, changes.changed()).await;
            if !matches!(wait, Ok(Ok(()))) {
                return Err(Problem::new(
                    Code::Unreachable,
                    format!("{name} could not be asked: the node is not online"),
                )
                .hint("try again when both are online, or ask for a contact card"));
            }
        }
    }

    /// The invitations into groups that wait for the user's word, newest first.
    pub async fn group_invitations(&self) -> Answer<Vec<GroupInvitation>> {
        self.node.groups.list().await
    }

    /// Comes in by an invitation that waits, named by its room, a unique beginning of it, or its name. Answers at once.
    ///
    /// # Errors
    /// `invite_not_found`, `ambiguous`.
    pub async fn accept_group(&self, invitation: &str) -> Answer<JoinAnswer> {
        self.node.groups.accept(invitation.to_owned()).await
    }

    /// Forgets an invitation that waits. Nobody is told.
    ///
    /// # Errors
    /// `invite_not_found`, `ambiguous`.
    pub async fn refuse_group(&self, invitation: &str) -> Answer<()> {
        self.node.groups.refuse(invitation.to_owned()).await
    }

    /// What a group is called after those who are in it, as they call themselves: what we call them is ours alone.
    fn group_name<'a>(&self, people: impl Iterator<Item = &'a AccountId>) -> String {
        let context = &self.node.context;
        let others = people.filter_map(|account| context.contacts.own_name(account));
        let mut names: Vec<String> = others.chain([context.name.clone()]).collect();
        names.sort_by_key(|name| name.to_lowercase());
        let plain = |c: char| if is_title(c.encode_utf8(&mut [0; 4])) { c } else { ' ' };
        let all: String = names.join(", ").chars().map(plain).collect();
        let mut end = all.len().min(MAX_ROOM_NAME);
        while !all.is_char_boundary(end) {
            end -= 1;
        }
        let name = all.get(..end).unwrap_or_default().trim();
        checked_title(name).map_or_else(|_| "Group".to_owned(), str::to_owned)
    }

    async fn group_people(&self, room: RoomId, people: Vec<AccountId>) -> Answer<Vec<GroupPerson>> {
        let inside = self.node.context.directory.get(&room).is_some();
        let company = match inside {
            true => self.node.rooms.company(room, people.clone()).await?,
            false => Default::default(),
        };
        let contacts = self.contacts();
        let asked: Vec<String> = contacts
            .list()
            .await?
            .into_iter()
            .filter(|it| it.state == ContactState::Asked)
            .map(|it| it.account)
            .collect();
        let state = |account: &AccountId| match () {
            () if company.members.contains(account) => GroupState::In,
            () if company.out.contains(account) => GroupState::Out,
            () if asked.contains(&account.to_string()) => GroupState::Asked,
            () => GroupState::Invited,
        };
        Ok(people.iter().map(|account| groups::person(contacts, account, state(account))).collect())
    }
}
