//! What the workers of the rooms service are told.

use std::sync::Arc;

use parlor_api::{
    Banned, CreateInvite, CreatePoll, Draft, Invite, Member, Message, OwnDevice, Page, ReadAnswer, Receipts,
    RemoveMembers, Removed, Request, Room as RoomView, SendAnswer, SendRequest, SetDraft, SetRole, UpdateAttention,
    UpdateRoom, Version,
};
use parlor_net::{GossipToken, PeerId};
use parlor_proto::body::Group;
use parlor_proto::control::NewDevice;
use parlor_proto::file::FileRef;
use parlor_proto::identity::Identity;
use parlor_proto::join::Answer as JoinAnswer;
use parlor_proto::mailbox::Mail;
use parlor_proto::room::{Outcome, Room};
use parlor_proto::sync::{Connection, Side};
use parlor_proto::{AccountId, DeviceId, EventId, RoomId};
use parlor_storage::{Due, Position};
use tokio::sync::oneshot;

use super::groups::PeopleOf;
use super::outbox_words::Waits;
use super::seen::Seen;
use super::waiting::Discarded;
use crate::app::{Anchor, Answer, Say};
use crate::services::contacts::Acquaintance;
use crate::services::mailboxes::{Became, Stretch, Tips};

/// Where an answer goes. Nobody may be waiting any more; that is no error.
pub(super) type Reply<T> = oneshot::Sender<Answer<T>>;

/// What a worker is told.
pub(super) enum Command {
    /// A connection has this room on both sides.
    Opened(Opened),
    /// A frame of the session with this peer.
    Frame { room: RoomId, peer: PeerId, bytes: Vec<u8> },
    /// The session with this peer is over.
    Closed { room: RoomId, peer: PeerId },
    /// Something on a topic of the room.
    Gossip { room: RoomId, data: bytes::Bytes, source: PeerId, token: GossipToken },
    /// A stranger knocks: does one of the rooms know the invite?
    Knock(Knock),
    /// Begin to hold a room that was just made, or that let us in.
    Begin { room: Box<Room>, outcome: Box<Outcome>, reply: Reply<()> },
    /// Something of mailboxes.
    Mailbox { room: RoomId, command: MailboxCommand },
    /// The time of these messages is over.
    Fade { room: RoomId, due: Vec<Due>, reply: Reply<()> },
    /// Something a client wants of a room.
    Wish { room: RoomId, wish: Wish },
    /// Our leaf key is another.
    Renewed(Arc<Identity>),
    /// We listen elsewhere now.
    Moved,
    /// Everybody else in the rooms here.
    People { reply: Reply<Vec<(AccountId, String)>> },
    /// What the rooms here know of a member.
    Acquaintance { account: AccountId, reply: Reply<Option<Acquaintance>> },
    /// What the book of contacts says is different.
    Refresh,
    /// What we tell of ourselves, or whom, is different.
    Profess,
    /// The outbox of this worker's rooms, with what is not written yet.
    Outbox { bodies: bool, reply: Reply<Vec<Waits>> },
    /// Try the message of this name now, or all.
    Retry { message: Option<String>, reply: Reply<Vec<String>> },
    /// Give up the message of this name, or all.
    Discard { message: Option<String>, reply: Reply<Vec<Discarded>> },
    /// Finish what is under way and end.
    Stop { done: oneshot::Sender<()> },
}

/// A session that begins.
pub(crate) struct Opened {
    /// Room.
    pub(crate) room: RoomId,
    /// With whom.
    pub(crate) peer: PeerId,
    /// Its channel on the connection.
    pub(crate) channel: u16,
    /// Names the connection.
    pub(crate) connection: Connection,
    /// Protocol version.
    pub(crate) version: u16,
    /// Our end.
    pub(crate) side: Side,
}

/// A stranger's knock.
pub(crate) struct Knock {
    /// Who, as the transport knows him; of one that lay at a door, the door.
    pub(crate) peer: PeerId,
    /// The room at whose door it lay, if it did.
    pub(crate) at_door: Option<RoomId>,
    /// What he sent.
    pub(crate) data: bytes::Bytes,
    /// The answer for him.
    pub(crate) reply: oneshot::Sender<Result<Knocked, NoAnswer>>,
}

/// Why a knock gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// It opens nothing here, and never will.
    Strange,
    /// Nobody could look at it, or write what it asks for: later perhaps.
    NotNow,
}

/// The answer to a knock.
#[derive(Debug)]
pub(crate) struct Knocked {
    /// As it goes to the joiner.
    pub(crate) bytes: Vec<u8>,
    /// What it says.
    pub(crate) end: KnockEnd,
    /// The leaf key of who is in: the events of the room are left for him, sealed for it.
    pub(crate) came: Option<[u8; 32]>,
}

impl Knocked {
    /// The answer with its bytes.
    pub(super) fn of(answer: &JoinAnswer, bytes: Vec<u8>) -> Self {
        let end = match answer {
            JoinAnswer::Welcome(_) => KnockEnd::In,
            JoinAnswer::Pending { .. } => KnockEnd::Pending,
            JoinAnswer::Refused(why) if why.is_passing() => KnockEnd::Passing,
            JoinAnswer::Refused(_) => KnockEnd::Refused,
        };
        Self { bytes, end, came: None }
    }
}

/// What the answer to a knock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KnockEnd {
    /// He is in.
    In,
    /// He is not, and will not be.
    Refused,
    /// A person has to approve.
    Pending,
    /// Not by us, or not now.
    Passing,
}

/// What the mailboxes service tells and asks of a room.
pub(super) enum MailboxCommand {
    /// Take in what came out of a mailbox.
    Came { mails: Vec<Vec<Mail>>, reply: oneshot::Sender<Vec<Became>> },
    /// What of ours comes after these places?
    Stretches { after: Tips, reply: oneshot::Sender<Vec<Stretch>> },
    /// A mailbox has our messages up to here.
    Stored { seq: u64 },
    /// The relays have what was left at the door of an instant invite.
    Left { invite: EventId },
    /// A mailbox was read to its end.
    CaughtUp,
    /// All control events.
    Snapshot { reply: oneshot::Sender<Vec<Mail>> },
}

/// What a client wants of one room.
pub(super) enum Wish {
    Show(Reply<RoomView>),
    Members(Reply<Vec<Member>>),
    Invites(Reply<Vec<Invite>>),
    CreateInvite(CreateInvite, Vec<parlor_proto::link::Address>, Reply<Invite>),
    Revoke(String, Reply<Invite>),
    Update(UpdateRoom, Reply<RoomView>),
    Leave(bool, Reply<()>),
    Send(Vec<SendRequest>, Reply<Vec<SendAnswer>>),
    Message(EventId, Reply<Message>),
    Files(EventId, Reply<Vec<FileRef>>),
    Seen(Vec<Position>, bool, Reply<Vec<Seen>>),
    Exported(Option<Position>, usize, Reply<super::export::Stretch>),
    History(Anchor, u32, bool, Reply<Page<Message>>),
    Say(EventId, Say, Option<String>, Reply<Message>),
    Ask(CreatePoll, Reply<SendAnswer>),
    Pins(Reply<Vec<Message>>),
    Edits(EventId, Reply<Vec<Version>>),
    Thread(EventId, Option<String>, u32, Reply<Page<Message>>),
    Read(Option<EventId>, Reply<ReadAnswer>),
    Receipts(EventId, Reply<Receipts>),
    Typing(bool, Reply<()>),
    Attend(UpdateAttention, Reply<RoomView>),
    Draft(Reply<Draft>),
    SetDraft(SetDraft, Reply<Draft>),
    Requests(Reply<Vec<Request>>),
    Approve(String, Reply<Request>),
    Refuse(String, Reply<Request>),
    SetRole(String, SetRole, Reply<Member>),
    Remove(String, RemoveMembers, bool, Reply<Removed>),
    RemoveJoined(String, RemoveMembers, Reply<Removed>),
    Unban(String, Reply<Banned>),
    OwnDevices(Reply<Vec<OwnDevice>>),
    RevokeDevice(DeviceId, Reply<()>),
    Introduce(Vec<NewDevice>, Reply<()>),
    Invite(Group, String, Reply<SendAnswer>),
    PeopleOf(Vec<AccountId>, Reply<PeopleOf>),
}

impl Wish {
    /// Whether it makes an event.
    pub(super) fn writes(&self) -> bool {
        match self {
            Self::CreateInvite(..) | Self::Revoke(..) | Self::Update(..) | Self::Leave(..) | Self::Approve(..) => true,
            Self::SetRole(..) | Self::Remove(..) | Self::RemoveJoined(..) | Self::Unban(..) | Self::Send(..) => true,
            Self::RevokeDevice(..) | Self::Introduce(..) | Self::Say(..) | Self::Ask(..) | Self::Invite(..) => true,
            Self::OwnDevices(_)
            | Self::Receipts(..)
            | Self::Typing(..)
            | Self::Files(..)
            | Self::Seen(..)
            | Self::Exported(..) => false,
            Self::Attend(..) | Self::Draft(_) | Self::SetDraft(..) => false,
            Self::Pins(_) | Self::Edits(..) | Self::Thread(..) | Self::PeopleOf(..) => false,
            Self::Show(_) | Self::Members(_) | Self::Invites(_) | Self::Message(..) => false,
            Self::History(..) | Self::Read(..) | Self::Requests(_) | Self::Refuse(..) => false,
        }
    }

    /// Answers that there is no such room.
    pub(super) fn refuse(self, problem: parlor_api::Problem) {
        match self {
            Self::Show(reply) | Self::Update(_, reply) | Self::Attend(_, reply) => drop(reply.send(Err(problem))),
            Self::Members(reply) => drop(reply.send(Err(problem))),
            Self::Invites(reply) => drop(reply.send(Err(problem))),
            Self::CreateInvite(_, _, reply) | Self::Revoke(_, reply) => drop(reply.send(Err(problem))),
            Self::Leave(_, reply)
            | Self::RevokeDevice(_, reply)
            | Self::Introduce(_, reply)
            | Self::Typing(_, reply) => drop(reply.send(Err(problem))),
            Self::OwnDevices(reply) => drop(reply.send(Err(problem))),
            Self::Files(_, reply) => drop(reply.send(Err(problem))),
            Self::Seen(_, _, reply) => drop(reply.send(Err(problem))),
            Self::Exported(_, _, reply) => drop(reply.send(Err(problem))),
            Self::Send(_, reply) => drop(reply.send(Err(problem))),
            Self::Message(_, reply) | Self::Say(_, _, _, reply) => drop(reply.send(Err(problem))),
            Self::History(_, _, _, reply) | Self::Thread(_, _, _, reply) => drop(reply.send(Err(problem))),
            Self::Ask(_, reply) => drop(reply.send(Err(problem))),
            Self::Pins(reply) => drop(reply.send(Err(problem))),
            Self::Edits(_, reply) => drop(reply.send(Err(problem))),
            Self::Read(_, reply) => drop(reply.send(Err(problem))),
            Self::Receipts(_, reply) => drop(reply.send(Err(problem))),
            Self::Draft(reply) | Self::SetDraft(_, reply) => drop(reply.send(Err(problem))),
            Self::Requests(reply) => drop(reply.send(Err(problem))),
            Self::Approve(_, reply) | Self::Refuse(_, reply) => drop(reply.send(Err(problem))),
            Self::SetRole(_, _, reply) => drop(reply.send(Err(problem))),
            Self::Remove(_, _, _, reply) | Self::RemoveJoined(_, _, reply) => drop(reply.send(Err(problem))),
            Self::Unban(_, reply) => drop(reply.send(Err(problem))),
            Self::Invite(_, _, reply) => drop(reply.send(Err(problem))),
            Self::PeopleOf(_, reply) => drop(reply.send(Err(problem))),
        }
    }
}
