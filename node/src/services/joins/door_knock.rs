//! The request of a join as it waits in the mailbox of an invite's door.

use std::time::Duration;

use parlor_crypto::hedge::Hedged;
use parlor_proto::codec;
use parlor_proto::control::JoinRequest;
use parlor_proto::join::{Knock, knock};
use parlor_proto::link::Link;
use rand::SeedableRng as _;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::Whose;
use crate::account::rng;
use crate::services::mailboxes::{DoorNews, JoinDoor, Relay};
use crate::services::rooms::Context;

/// Whoever is online answers before: then nothing is left at a relay.
const FIRST_ASKED: Duration = Duration::from_secs(3);
/// By an instant link the request is left only when nobody came in by the link alone until then.
const NOT_INSTANT: Duration = Duration::from_secs(20);
/// Answers, and what else was read, that wait for the join.
const NEWS: usize = 64;

/// Signs a request to come in by this link.
pub(super) fn sign(context: &Context, link: &Link) -> JoinRequest {
    let me = context.identity.now();
    let mut nonce = [0; 16];
    rand::Rng::fill_bytes(&mut rng(), &mut nonce);
    JoinRequest::sign(&link.room(), &link.keys().sign, me.signing_key(), me.entrant(), nonce)
}

/// The request at the relays of the link.
pub(super) struct DoorKnock {
    /// Opens the answer.
    pub(super) knock: Knock,
    /// Where it waits.
    pub(super) door: JoinDoor,
    waits: Option<AbortHandle>,
}

impl DoorKnock {
    /// Leaves the request at the relays that the link names, after those who are online were asked. Made from the same request
    /// it is the same: after a restart it is not left twice, and the answer opens.
    pub(super) fn at(
        context: &Context,
        link: &Link,
        request: &JoinRequest,
        instant: bool,
        whose: Whose,
    ) -> (Self, mpsc::Receiver<DoorNews>) {
        let seed = context.identity.signing_key().to_seed();
        let mut zeros = rand::rngs::StdRng::from_seed([0; 32]);
        let mut rng = Hedged::new(&mut zeros, &[seed.expose(), b"knock", &codec::encode(request)]);
        let (knock, bytes) = knock(&request.invite_pk, request, &mut rng);
        let (news, heard) = mpsc::channel(NEWS);
        let mut relays = Relay::of_link(link);
        let ours = context.mailboxes.own();
        relays.retain(|relay| {
            let own = ours.iter().any(|own| own.peer == relay.peer);
            own || relay.addresses.iter().all(|address| whose.allows(context, address))
        });
        let door = link.keys().door.public_bytes();
        let door = JoinDoor { room: link.room(), relays, door, knock: bytes, leave: true, instant, news };
        let (at, mailboxes) = (door.clone(), context.mailboxes.clone());
        let knock_later = instant;
        let waits = (!door.relays.is_empty()).then(|| {
            let leave = async move {
                tokio::time::sleep(FIRST_ASKED).await;
                if knock_later {
                    mailboxes.knock(JoinDoor { leave: false, ..door.clone() });
                    tokio::time::sleep(NOT_INSTANT).await;
                }
                mailboxes.knock(door);
            };
            tokio::spawn(leave).abort_handle()
        });
        (Self { knock, door: at, waits }, heard)
    }
}

impl Drop for DoorKnock {
    fn drop(&mut self) {
        self.waits.iter().for_each(AbortHandle::abort);
    }
}
