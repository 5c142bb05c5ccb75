//! Promises of the joiner's machine.

use parlor_crypto::invite::InviteSeed;
use parlor_crypto::secret::SecretBytes;
use parlor_crypto::{CryptoRng, SigningKey};
use rand::rngs::StdRng;

use super::super::*;
use super::{ROOM, rng};
use crate::control::{JoinRequest, Permissions, Power, Sponsor};
use crate::identity::Identity;
use crate::link::{Address, Caveats, Host, Link, Transport};

fn seed() -> InviteSeed {
    InviteSeed::from_secret(SecretBytes::new([4; 16]))
}

pub(super) fn request(rng: &mut impl CryptoRng) -> JoinRequest {
    let (_, identity) = Identity::create("laptop", 1_000, rng).unwrap();
    JoinRequest::sign(&ROOM, &seed().keys().sign, identity.signing_key(), identity.entrant(), [8; 16])
}

fn address(n: u8) -> Address {
    Address { host: Host::Ip4([10, 0, 0, n]), transport: Transport::Tcp, port: 4_000 }
}

fn door(n: u8) -> Door {
    Door::Issuer(address(n))
}

struct Desk {
    joiner: Joiner,
    now_ms: u64,
    rng: StdRng,
    out: Vec<Out>,
}

impl Desk {
    fn new(deadline_ms: Option<u64>) -> Self {
        let mut rng = rng();
        let issuer = SigningKey::generate(&mut rng);
        let caveats = Caveats {
            power: Power(3),
            perms: Permissions(1),
            expires_ms: u64::MAX,
            max_uses: 1,
            sponsor: Sponsor::AnyMember,
        };
        let link = Link::issue(seed(), ROOM, caveats, &issuer, [1; 32], &[address(1), address(2)]);
        let (joiner, out) = Joiner::start(link, request(&mut rng), deadline_ms, 0);
        Self { joiner, now_ms: 0, rng, out }
    }

    fn tell(&mut self, input: In) {
        self.out = self.joiner.handle(input, self.now_ms, &mut self.rng);
    }

    /// Lets the next deadline pass.
    fn wait(&mut self) {
        self.now_ms = self.joiner.next_deadline().unwrap();
        self.tell(In::Tick);
    }

    /// A member answers the knock.
    fn answer(&mut self, answer: &Answer) {
        self.tell(In::Connected);
        let asked =
            self.out.iter().find_map(|out| if let Out::Ask { bytes, .. } = out { Some(bytes.clone()) } else { None });
        let invites = super::invites(seed().keys().sign.public_bytes());
        let knocker = Doorkeeper::default().open(b"joiner", &asked.unwrap(), invites, 0).unwrap();
        let sealed = knocker.knock.seal(answer, &mut self.rng);
        self.tell(In::Answered(sealed));
    }

    fn dials(&self) -> Option<&Door> {
        self.out.iter().find_map(|out| if let Out::Dial(door) = out { Some(door) } else { None })
    }
}

#[test]
fn the_first_member_who_answers_lets_the_joiner_in() {
    let mut desk = Desk::new(None);
    assert_eq!(desk.dials(), Some(&door(1)));
    desk.tell(In::DialFailed);
    assert_eq!(desk.dials(), Some(&door(2)));
    desk.answer(&Answer::Welcome(Blob(vec![1, 2])));
    assert!(desk.out.contains(&Out::Welcomed { door: door(2), welcome: vec![1, 2] }));
    assert_eq!(desk.joiner.state(), &State::Syncing);
    desk.tell(In::Ready);
    assert!(desk.out.contains(&Out::Joined(ROOM)));
    assert_eq!(desk.joiner.next_deadline(), None);
}

#[test]
fn silent_doors_are_given_up_and_tried_again_after_a_rest() {
    let mut desk = Desk::new(Some(100_000));
    desk.wait();
    assert_eq!(desk.dials(), Some(&door(2)));
    desk.tell(In::Connected);
    desk.wait();
    assert!(matches!(desk.joiner.state(), State::Resting { .. }));
    desk.wait();
    assert_eq!(desk.dials(), Some(&door(1)));
    while desk.joiner.next_deadline().is_some() {
        desk.wait();
    }
    assert_eq!(desk.now_ms, 100_000);
    assert_eq!(desk.joiner.state(), &State::Failed(Failure::Unreachable));
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    for refusal in [Refusal::UsedUp, Refusal::Expired, Refusal::Revoked, Refusal::Banned, Refusal::Declined] {
        let mut desk = Desk::new(None);
        desk.answer(&Answer::Refused(refusal));
        assert!(desk.out.contains(&Out::Failed(Failure::Refused(refusal))));
    }
}

#[test]
fn another_member_is_asked_when_one_may_not_admit() {
    let mut desk = Desk::new(Some(5_000));
    desk.answer(&Answer::Refused(Refusal::NotSponsor));
    assert_eq!(desk.dials(), Some(&door(2)));
    desk.tell(In::DialFailed);
    desk.wait();
    desk.now_ms = 5_000;
    desk.tell(In::Tick);
    assert_eq!(desk.joiner.state(), &State::Failed(Failure::Refused(Refusal::NotSponsor)));
}

#[test]
fn approval_is_waited_for_at_the_same_door() {
    let mut desk = Desk::new(Some(60_000));
    desk.tell(In::DialFailed);
    desk.answer(&Answer::Pending { held_by: 1 });
    assert_eq!(desk.joiner.state(), &State::Pending);
    desk.wait();
    assert_eq!(desk.dials(), Some(&door(2)), "who told us to wait is asked first");
    desk.answer(&Answer::Pending { held_by: 3 });
    assert_eq!(desk.joiner.held_by(), 3);
    desk.now_ms = 60_000;
    desk.tell(In::Tick);
    assert_eq!(desk.joiner.state(), &State::Failed(Failure::StillPending));
}

#[test]
fn a_stranger_at_the_address_and_a_bad_welcome_are_passed_by() {
    let mut desk = Desk::new(None);
    desk.tell(In::Connected);
    desk.tell(In::Answered(vec![9; 100]));
    assert_eq!(desk.dials(), Some(&door(2)));
    desk.answer(&Answer::Welcome(Blob(vec![0])));
    desk.tell(In::BadWelcome);
    assert!(matches!(desk.joiner.state(), State::Resting { .. }));
    desk.tell(In::Candidate(b"somebody near".to_vec()));
    assert_eq!(desk.dials(), Some(&Door::Peer(b"somebody near".to_vec())));
}

#[test]
fn inputs_out_of_turn_change_nothing() {
    let mut desk = Desk::new(None);
    for input in [In::Ready, In::BadWelcome, In::AskFailed, In::Answered(vec![1])] {
        desk.tell(input);
        assert_eq!((desk.joiner.state(), desk.out.len()), (&State::Dialling(door(1)), 0));
    }
    desk.tell(In::Cancel);
    assert!(desk.out.contains(&Out::Failed(Failure::Cancelled)));
    desk.tell(In::Connected);
    assert_eq!(desk.out, []);
}
