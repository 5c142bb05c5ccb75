//! Names over lines: honest clients, squatters, guessers and nonsense.

use parlor_crypto::account::RootSeed;
use parlor_crypto::{Secret, SigningKey};
use parlor_net::{Line, LineKind};
use parlor_proto::access::AccessToken;
use parlor_proto::directory::{Answer, Ask, Client, Refusal};
use parlor_proto::name::{Handover, Name, NameRecord};

use crate::relay::{TestRelay, frame, over, relay, relay_in};

/// Settings under which this machine is treated like any other source.
const STRICT: &str = "[limits]\nloopback = true\n";

struct Desk {
    line: Line,
    client: Client,
    relay: [u8; 32],
    now_ms: u64,
}

async fn desk(relay: &TestRelay, client: u8, source: &str) -> Desk {
    let mut line = relay.line(LineKind::Directory, client, source);
    let key = *relay.relay.key();
    let mut client = Client::new(key);
    client.hear(&frame(&mut line).await).unwrap();
    let now_ms = client.greeting().unwrap().now_ms;
    Desk { line, client, relay: key, now_ms }
}

fn account(n: u32) -> RootSeed {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    RootSeed::from_secret(Secret::new(seed))
}

impl Desk {
    async fn ask(&mut self, ask: Ask) -> Answer {
        let (id, question) = self.client.ask(ask).unwrap();
        self.line.send(question.into()).await.unwrap();
        let (answered, answer) = self.client.hear(&frame(&mut self.line).await).unwrap().unwrap();
        assert_eq!(answered, id);
        answer
    }

    fn record(&self, who: u32, name: &str, later_ms: u64) -> NameRecord {
        let seed = account(who);
        let name: Name = name.parse().unwrap();
        let card = format!("card of {who}").into_bytes();
        NameRecord::sign(&self.relay, &seed.root_key(0), seed.inception(), name, card, self.now_ms + later_ms).unwrap()
    }

    async fn claim(&mut self, who: u32, name: &str) -> Answer {
        let record = self.record(who, name, 0);
        self.ask(Ask::Claim { record, handover: None }).await
    }

    async fn lookup(&mut self, name: &str) -> Answer {
        self.ask(Ask::Lookup(name.parse().unwrap())).await
    }

    fn handover(&self, who: u32, name: &str, to: Option<u32>) -> Handover {
        let to = to.map(|to| account(to).inception().account().into());
        let seed = account(who);
        let name = name.parse().unwrap();
        Handover::sign(&self.relay, &seed.root_key(0), seed.inception(), name, to, self.now_ms + 1).unwrap()
    }
}

fn is_held_by(answer: &Answer, who: u32) -> bool {
    matches!(answer, Answer::Held(held) if held.record.account() == account(who).inception().account().into())
}

#[tokio::test]
async fn a_name_is_claimed_found_handed_on_and_given_up_and_survives_a_restart() {
    let relay = relay("").await;
    let mut alice = desk(&relay, 1, "192.0.2.1").await;
    let mut bob = desk(&relay, 2, "192.0.2.2").await;
    assert!(is_held_by(&alice.claim(1, "alice").await, 1));
    assert_eq!(bob.claim(2, "alice").await, Answer::Refused(Refusal::Taken));
    assert_eq!(bob.claim(2, "a1ice").await, Answer::Refused(Refusal::Confusable));
    assert!(is_held_by(&bob.lookup("Alice").await, 1));
    assert_eq!(bob.lookup("carol").await, Answer::Unknown);

    let relay = relay_in(relay.stop().await, "").await;
    let mut bob = desk(&relay, 2, "192.0.2.2").await;
    assert!(is_held_by(&bob.lookup("alice").await, 1), "what was answered is durable");
    let stolen = bob.handover(2, "alice", Some(2));
    let record = bob.record(2, "alice", 0);
    let answer = bob.ask(Ask::Claim { record: record.clone(), handover: Some(stolen) }).await;
    assert_eq!(answer, Answer::Refused(Refusal::NotYours));
    let given = bob.handover(1, "alice", Some(2));
    assert!(is_held_by(&bob.ask(Ask::Claim { record, handover: Some(given) }).await, 2));
    let release = bob.handover(2, "alice", None);
    assert_eq!(bob.ask(Ask::Release(release)).await, Answer::Released);
    assert_eq!(bob.lookup("alice").await, Answer::Unknown);
    relay.stop().await;
}

#[tokio::test]
async fn squatters_get_a_few_names_and_an_honest_account_beside_them_gets_his() {
    let relay = relay(STRICT).await;
    let mut squatter = desk(&relay, 1, "203.0.113.9").await;
    let mut got = 0;
    for n in 0..40 {
        match squatter.claim(100 + n, &format!("squat{}{n}", "x".repeat(n as usize % 7))).await {
            Answer::Held(_) => got += 1,
            answer => assert_eq!(answer, Answer::Refused(Refusal::Later)),
        }
    }
    assert_eq!(got, parlor_bootstrap::limits::NAMES_BURST);
    let mut honest = desk(&relay, 2, "192.0.2.2").await;
    assert!(is_held_by(&honest.claim(2, "honest").await, 2));
    let mut lookups = 0;
    while squatter.lookup("honest").await != Answer::Refused(Refusal::Later) {
        lookups += 1;
        assert!(lookups < 10_000, "look-ups have no end");
    }
    assert!(is_held_by(&honest.lookup("honest").await, 2));
    relay.stop().await;
}

#[tokio::test]
async fn a_forged_claim_gets_nothing_and_uses_up_nobodys_names() {
    let relay = relay(STRICT).await;
    let mut mallory = desk(&relay, 1, "192.0.2.1").await;
    for _ in 0..8 {
        let mut record = mallory.record(1, "victim", 0);
        record.inception = account(2).inception();
        let answer = mallory.ask(Ask::Claim { record, handover: None }).await;
        assert_eq!(answer, Answer::Refused(Refusal::Invalid));
    }
    assert!(is_held_by(&mallory.claim(1, "mallory").await, 1));
    relay.stop().await;
}

#[tokio::test]
async fn with_a_token_everybody_looks_up_and_only_who_knows_it_claims() {
    let relay = relay("token = 'correct-horse'").await;
    let mut guest = desk(&relay, 1, "192.0.2.1").await;
    assert_eq!(guest.claim(1, "alice").await, Answer::Refused(Refusal::Locked));
    assert_eq!(guest.lookup("alice").await, Answer::Unknown);
    let token = AccessToken::parse("correct-horse").unwrap();
    assert_eq!(guest.ask(Ask::Unlock(token)).await, Answer::Unlocked);
    assert!(is_held_by(&guest.claim(1, "alice").await, 1));
    relay.stop().await;
}

#[tokio::test]
async fn who_guesses_tokens_loses_his_line_each_time_and_then_is_not_heard() {
    let relay = relay("token = 'correct-horse'").await;
    let source = "203.0.113.7";
    for n in 0..parlor_bootstrap::limits::WRONG_TOKENS {
        let mut guesser = desk(&relay, 1, source).await;
        let wrong = AccessToken::parse(&format!("wrong-guess-{n}")).unwrap();
        let (_, question) = guesser.client.ask(Ask::Unlock(wrong)).unwrap();
        guesser.line.send(question.into()).await.unwrap();
        over(&mut guesser.line).await;
    }
    let source = source.parse().unwrap();
    assert!(relay.relay.guard.line(Some(source), std::time::Instant::now()).is_none());
    assert!(relay.relay.guard.line(Some("192.0.2.2".parse().unwrap()), std::time::Instant::now()).is_some());
    relay.stop().await;
}

#[tokio::test]
async fn nonsense_ends_the_line_of_who_sent_it_and_no_other() {
    let relay = relay("").await;
    let mut honest = desk(&relay, 2, "192.0.2.1").await;
    let nonsense: [&[u8]; 4] = [&[0xff; 5_000], &[9, 9, 9, 9], &[1, 0], &[0]];
    for frame in nonsense {
        let mut mallory = desk(&relay, 1, "192.0.2.1").await;
        mallory.line.send(bytes::Bytes::copy_from_slice(frame)).await.unwrap();
        over(&mut mallory.line).await;
    }
    assert!(is_held_by(&honest.claim(2, "honest").await, 2));
    relay.stop().await;
}

#[tokio::test]
async fn the_relay_signs_with_the_key_in_its_address() {
    let relay = relay("").await;
    let mut alice = desk(&relay, 1, "192.0.2.1").await;
    let Answer::Held(held) = alice.claim(1, "alice").await else { panic!("not held") };
    let seed: [u8; 32] = std::fs::read(relay.dir.path().join("data/key")).unwrap().try_into().unwrap();
    let key = SigningKey::from_seed(&Secret::new(seed)).public_bytes();
    assert_eq!(relay.relay.peer.to_key(), key);
    held.verify(&key).unwrap();
    relay.stop().await;
}
