//! Mailboxes over lines: durable, pushed, within their limits, and hostile clients beside honest ones.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures::FutureExt;
use parlor_crypto::{Secret, SigningKey};
use parlor_net::{Line, LineKind};
use parlor_proto::mailbox::proof::{name_of, prove};
use parlor_proto::mailbox::{Ask, BlobId, BoxKind, ClientFrame, Entry, Refusal, RelayId, Reply, ServerFrame, limits};
use parlor_proto::wire::Blob;

use crate::relay::{DEADLINE, TestRelay, frame, over, relay, relay_in};

/// A client that speaks frames.
struct Client {
    line: Line,
    nonce: [u8; 32],
    relay: RelayId,
    number: u32,
    /// Pushes that came between answers.
    pushed: VecDeque<ServerFrame>,
}

async fn client(relay: &TestRelay, who: u8, source: &str) -> Client {
    let mut line = relay.line(LineKind::Mailbox, who, source);
    let ServerFrame::Hello { nonce, .. } = ServerFrame::decode(&frame(&mut line).await).unwrap() else {
        panic!("no hello");
    };
    let relay = RelayId::new(relay.relay.key()).unwrap();
    Client { line, nonce, relay, number: 0, pushed: VecDeque::new() }
}

fn key(n: u32) -> SigningKey {
    let mut seed = [3; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    SigningKey::from_seed(&Secret::new(seed))
}

fn blob(n: u32, size: usize) -> Vec<u8> {
    let mut blob = vec![0xb7; size];
    blob[..4].copy_from_slice(&n.to_be_bytes());
    blob
}

impl Client {
    async fn send(&mut self, ask: Ask) -> u32 {
        self.number += 1;
        let frame = ClientFrame { number: self.number, ask };
        self.line.send(frame.encode().into()).await.unwrap();
        self.number
    }

    /// The next answer, of whichever request.
    async fn answer(&mut self) -> (u32, Reply) {
        loop {
            match ServerFrame::decode(&frame(&mut self.line).await).unwrap() {
                ServerFrame::Reply { number, reply } => return (number, reply),
                other => self.pushed.push_back(other),
            }
        }
    }

    async fn ask(&mut self, ask: Ask) -> Reply {
        let number = self.send(ask).await;
        let (answered, reply) = self.answer().await;
        assert_eq!(answered, number);
        reply
    }

    async fn open(&mut self, slot: u16, room: u32) -> Reply {
        let key = key(room);
        let proof = Some(prove(BoxKind::Room, &key, &self.nonce, &self.relay));
        self.ask(Ask::Open { slot, name: name_of(BoxKind::Room, &key), proof }).await
    }

    async fn put(&mut self, slot: u16, blob: Vec<u8>) -> Reply {
        self.ask(Ask::Put { slot, blob: Blob(blob) }).await
    }

    async fn list(&mut self, slot: u16, after: u64) -> Vec<Entry> {
        match self.ask(Ask::List { slot, after, limit: 100 }).await {
            Reply::Listed { entries, .. } => entries,
            other => panic!("{other:?}"),
        }
    }

    async fn push(&mut self) -> ServerFrame {
        match self.pushed.pop_front() {
            Some(frame) => frame,
            None => ServerFrame::decode(&frame(&mut self.line).await).unwrap(),
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_pushed_listed_and_read_also_after_a_restart() {
    let relay = relay("").await;
    let mut alice = client(&relay, 1, "192.0.2.1").await;
    let mut bob = client(&relay, 2, "192.0.2.2").await;
    for client in [&mut alice, &mut bob] {
        assert_eq!(client.open(0, 1).await, Reply::Done);
    }
    assert_eq!(bob.ask(Ask::Subscribe { slot: 0, inline: true }).await, Reply::Done);
    let sent = blob(7, 512);
    let Reply::Stored { at } = alice.put(0, sent.clone()).await else { panic!("not stored") };
    let ServerFrame::Push { entry, blob: Some(pushed), .. } = bob.push().await else { panic!("no push") };
    assert_eq!((entry.at, entry.id, pushed.0), (at, BlobId::of(&sent), sent.clone()));

    let relay = relay_in(relay.stop().await, "").await;
    let mut carol = client(&relay, 3, "192.0.2.3").await;
    assert_eq!(carol.open(4, 1).await, Reply::Done);
    let listed = carol.list(4, 0).await;
    assert_eq!(listed.iter().map(|it| (it.at, it.id)).collect::<Vec<_>>(), [(at, entry.id)]);
    assert_eq!(carol.ask(Ask::Get { slot: 4, id: entry.id }).await, Reply::Blob(Some(Blob(sent))));
    let mut stranger = client(&relay, 4, "192.0.2.4").await;
    let name = name_of(BoxKind::Room, &key(1));
    assert_eq!(stranger.ask(Ask::Open { slot: 0, name, proof: None }).await, Reply::Refused(Refusal::NotAllowed));
    let replayed = Some(prove(BoxKind::Room, &key(1), &carol.nonce, &carol.relay));
    assert_eq!(stranger.ask(Ask::Open { slot: 0, name, proof: replayed }).await, Reply::Refused(Refusal::Proof));
    relay.stop().await;
}

#[tokio::test]
async fn a_stop_in_the_middle_of_puts_loses_none_that_was_acknowledged() {
    let relay = relay("").await;
    let mut alice = client(&relay, 1, "192.0.2.1").await;
    assert_eq!(alice.open(0, 1).await, Reply::Done);
    for n in 0..u32::from(limits::WINDOW) {
        alice.send(Ask::Put { slot: 0, blob: Blob(blob(n, 4_096)) }).await;
    }
    let dir = {
        // Both at once: the relay is told to stop while puts are under way.
        relay.stopped.send_replace(true);
        relay.stop().await
    };
    let mut acknowledged = Vec::new();
    while let Ok(Some(frame)) = tokio::time::timeout(DEADLINE, alice.line.recv()).await {
        if let ServerFrame::Reply { reply: Reply::Stored { at }, .. } = ServerFrame::decode(&frame).unwrap() {
            acknowledged.push(at);
        }
    }
    let relay = relay_in(dir, "").await;
    let mut bob = client(&relay, 2, "192.0.2.2").await;
    assert_eq!(bob.open(0, 1).await, Reply::Done);
    let listed: Vec<u64> = bob.list(0, 0).await.iter().map(|it| it.at).collect();
    let lost: Vec<_> = acknowledged.iter().filter(|at| !listed.contains(at)).collect();
    assert!(lost.is_empty(), "{lost:?} of {acknowledged:?}");
    relay.stop().await;
}

#[tokio::test]
async fn who_puts_too_much_is_told_when_to_come_again_and_others_put_on() {
    // Four of the largest, as they count.
    let at_once = 4 * (65_536 + parlor_storage::limits::MAIL_BLOB_COST);
    let relay = relay(&format!("[limits]\nput_bytes_at_once = {at_once}\nput_bytes_per_day = 1048576\n")).await;
    let mut flooder = client(&relay, 1, "203.0.113.9").await;
    let mut again = client(&relay, 9, "203.0.113.9").await;
    let mut honest = client(&relay, 2, "192.0.2.2").await;
    for (client, room) in [(&mut flooder, 1), (&mut again, 2), (&mut honest, 3)] {
        assert_eq!(client.open(0, room).await, Reply::Done);
    }
    let mut stored = 0;
    let refused = loop {
        match flooder.put(0, blob(stored, 65_536)).await {
            Reply::Stored { .. } => stored += 1,
            other => break other,
        }
    };
    assert_eq!(stored, 4);
    assert!(matches!(refused, Reply::Refused(Refusal::Quota { retry_ms }) if retry_ms > 1_000), "{refused:?}");
    let other_line = again.put(0, blob(0, 65_536)).await;
    assert!(
        matches!(other_line, Reply::Refused(Refusal::Quota { .. })),
        "another peer id at one address: {other_line:?}"
    );
    assert!(matches!(honest.put(0, blob(0, 65_536)).await, Reply::Stored { .. }));
    relay.stop().await;
}

#[tokio::test]
async fn who_makes_boxes_without_end_is_stopped_and_goes_on_with_those_he_has() {
    let relay = relay("[limits]\nboxes_per_day = 0\n").await;
    let allowed = parlor_bootstrap::limits::BOXES_BURST;
    let source: std::net::IpAddr = "203.0.113.9".parse().unwrap();
    let used = u64::from(allowed - 2);
    relay.relay.guard.take(Some(source), parlor_bootstrap::guard::Use::NewBox, used, Instant::now()).unwrap();
    let mut flooder = client(&relay, 1, "203.0.113.9").await;
    let mut answers = Vec::new();
    for room in 0..4 {
        assert_eq!(flooder.open(room as u16, room).await, Reply::Done);
        answers.push(matches!(flooder.put(room as u16, blob(room, 512)).await, Reply::Stored { .. }));
    }
    assert_eq!(answers, [true, true, false, false]);
    // Nor does it help to ask again, on this line or another one.
    let again = flooder.put(3, blob(3, 512)).await;
    assert!(matches!(again, Reply::Refused(Refusal::Quota { .. })), "{again:?}");
    let mut other = client(&relay, 2, "203.0.113.9").await;
    assert_eq!(other.open(0, 3).await, Reply::Done);
    for n in 0..4 {
        other.send(Ask::Put { slot: 0, blob: Blob(blob(n, 512)) }).await;
    }
    for _ in 0..4 {
        let (_, reply) = other.answer().await;
        assert!(matches!(reply, Reply::Refused(Refusal::Quota { .. })), "{reply:?}");
    }
    assert!(matches!(flooder.put(0, blob(99, 512)).await, Reply::Stored { .. }));
    relay.stop().await;
}

#[tokio::test]
async fn puts_at_once_into_a_new_box_are_one_box() {
    let relay = relay("[limits]\nboxes_per_day = 0\n").await;
    let source: std::net::IpAddr = "203.0.113.9".parse().unwrap();
    let used = u64::from(parlor_bootstrap::limits::BOXES_BURST - 1);
    relay.relay.guard.take(Some(source), parlor_bootstrap::guard::Use::NewBox, used, Instant::now()).unwrap();
    let mut author = client(&relay, 1, "203.0.113.9").await;
    assert_eq!(author.open(0, 1).await, Reply::Done);
    for n in 0..16 {
        author.send(Ask::Put { slot: 0, blob: Blob(blob(n, 512)) }).await;
    }
    for _ in 0..16 {
        let (_, reply) = author.answer().await;
        assert!(matches!(reply, Reply::Stored { .. }), "{reply:?}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn what_was_not_stored_or_was_there_already_costs_no_quota() {
    // Room for one blob, and a quota for three that never comes back.
    let settings = "[limits]\nmailbox_bytes = 8192\nput_bytes_at_once = 20000\nput_bytes_per_day = 0\n";
    let relay = relay(settings).await;
    let mut alice = client(&relay, 1, "192.0.2.1").await;
    assert_eq!(alice.open(0, 1).await, Reply::Done);
    let first = blob(1, 4_096);
    let Reply::Stored { at } = alice.put(0, first.clone()).await else { panic!("not stored") };
    for n in 0..20 {
        let full = alice.put(0, blob(2, 4_096)).await;
        assert!(matches!(full, Reply::Refused(Refusal::Busy { .. })), "{n}: {full:?}");
        assert_eq!(alice.put(0, first.clone()).await, Reply::Stored { at }, "{n}");
    }
    let faults = &relay.relay.look().await.faults;
    assert!(faults.iter().any(|it| it.contains("mailboxes are full")), "{faults:?}");
    let name = name_of(BoxKind::Room, &key(1));
    relay.relay.mailboxes.remove(name, BlobId::of(&first)).await.unwrap();
    let again = alice.put(0, blob(2, 4_096)).await;
    assert!(matches!(again, Reply::Stored { .. }), "{again:?}");
    relay.stop().await;
}

#[tokio::test]
async fn who_opens_boxes_without_end_is_read_later_and_others_are_not() {
    let relay = relay("[limits]\nrequests_per_second = 0\n").await;
    let source: std::net::IpAddr = "203.0.113.9".parse().unwrap();
    let used = u64::from(parlor_bootstrap::limits::REQUESTS_BURST);
    relay.relay.guard.take(Some(source), parlor_bootstrap::guard::Use::Request, used, Instant::now()).unwrap();
    let mut flooder = client(&relay, 1, "203.0.113.9").await;
    let mut honest = client(&relay, 2, "192.0.2.2").await;
    let name = name_of(BoxKind::Room, &key(1));
    let wrong = Some(prove(BoxKind::Room, &key(2), &flooder.nonce, &flooder.relay));
    let guess = Ask::Open { slot: 0, name, proof: wrong };
    // What was read is answered; what follows waits, here for good.
    assert_eq!(flooder.ask(guess.clone()).await, Reply::Refused(Refusal::Proof));
    for _ in 0..4 {
        flooder.send(guess.clone()).await;
    }
    for room in 0..50 {
        assert_eq!(honest.open(room as u16, room).await, Reply::Done);
    }
    assert!(flooder.line.recv().now_or_never().is_none(), "more proofs were looked at");
    relay.stop().await;
}

#[tokio::test]
async fn all_mailboxes_together_are_bounded() {
    let relay = relay("[limits]\nmailbox_bytes = 8192\n").await;
    let mut alice = client(&relay, 1, "192.0.2.1").await;
    assert_eq!(alice.open(0, 1).await, Reply::Done);
    let mut stored = 0;
    while let Reply::Stored { .. } = alice.put(0, blob(stored, 4_096)).await {
        stored += 1;
        assert!(stored < 100, "no end");
    }
    assert!(stored >= 1);
    assert!(relay.relay.mailboxes.total().await.unwrap().bytes <= 8_192);
    relay.stop().await;
}

#[tokio::test]
async fn a_subscriber_who_reads_nothing_holds_up_nobody_and_is_told_that_he_missed_something() {
    let relay = relay("").await;
    let mut writer = client(&relay, 1, "192.0.2.1").await;
    let mut stalled = client(&relay, 2, "192.0.2.2").await;
    let mut honest = client(&relay, 3, "192.0.2.3").await;
    for client in [&mut writer, &mut stalled, &mut honest] {
        assert_eq!(client.open(0, 1).await, Reply::Done);
    }
    for client in [&mut stalled, &mut honest] {
        assert_eq!(client.ask(Ask::Subscribe { slot: 0, inline: true }).await, Reply::Done);
    }
    // More than fits all queues on the way to him.
    let n_puts = 400;
    for n in 0..n_puts {
        assert!(matches!(writer.put(0, blob(n, 4_096)).await, Reply::Stored { .. }), "{n}");
        assert!(matches!(honest.push().await, ServerFrame::Push { .. }), "{n}");
    }
    let mut pushed = 0;
    loop {
        match stalled.push().await {
            ServerFrame::Push { .. } => pushed += 1,
            ServerFrame::Behind { slot } => break assert_eq!(slot, 0),
            other => panic!("{other:?}"),
        }
        assert!(pushed < n_puts, "nothing was left out: the queues are not bounded");
    }
    relay.stop().await;
}

#[tokio::test]
async fn who_asks_all_he_may_before_he_reads_an_answer_is_heard_and_answered() {
    let relay = relay("").await;
    let mut alice = client(&relay, 1, "192.0.2.1").await;
    assert_eq!(alice.open(0, 1).await, Reply::Done);
    let large = blob(1, 65_536);
    assert!(matches!(alice.put(0, large.clone()).await, Reply::Stored { .. }));
    // The answers fill every queue on the way to her several times over.
    let n_asked = u32::from(limits::WINDOW);
    let asked = async {
        for _ in 0..n_asked {
            alice.send(Ask::Get { slot: 0, id: BlobId::of(&large) }).await;
        }
    };
    tokio::time::timeout(DEADLINE, asked).await.expect("the relay does not hear her");
    let mut answered = std::collections::BTreeSet::new();
    for _ in 0..n_asked {
        let (number, reply) = alice.answer().await;
        assert_eq!(reply, Reply::Blob(Some(Blob(large.clone()))));
        assert!(answered.insert(number), "{number} is answered twice");
    }
    assert!(matches!(alice.put(0, blob(2, 512)).await, Reply::Stored { .. }), "the line goes on");
    relay.stop().await;
}

#[tokio::test]
async fn nonsense_and_too_much_at_once_end_the_line_of_who_sent_it_and_no_other() {
    let relay = relay("").await;
    let mut honest = client(&relay, 1, "192.0.2.1").await;
    assert_eq!(honest.open(0, 1).await, Reply::Done);
    let nonsense: [&[u8]; 3] = [&[0xff; 70_000], &[1, 200, 1], &[0]];
    for bytes in nonsense {
        let mut mallory = client(&relay, 2, "192.0.2.1").await;
        mallory.line.send(bytes::Bytes::copy_from_slice(bytes)).await.unwrap();
        over(&mut mallory.line).await;
    }
    // Odd lengths are refused, and cost only the request.
    let mut odd = client(&relay, 3, "192.0.2.1").await;
    assert_eq!(odd.open(0, 1).await, Reply::Done);
    assert_eq!(odd.put(0, blob(0, 513)).await, Reply::Refused(Refusal::BadBlob));
    assert!(matches!(honest.put(0, blob(0, 512)).await, Reply::Stored { .. }));
    relay.stop().await;
}

#[tokio::test]
async fn with_a_token_only_who_shows_it_uses_the_mailboxes() {
    let relay = relay("token = 'correct-horse'").await;
    let mut guest = client(&relay, 1, "192.0.2.1").await;
    assert_eq!(guest.open(0, 1).await, Reply::Refused(Refusal::Token));
    assert_eq!(guest.ask(Ask::Token(Blob(b"correct-horse".to_vec()))).await, Reply::Done);
    assert_eq!(guest.open(0, 1).await, Reply::Done);
    assert!(matches!(guest.put(0, blob(0, 512)).await, Reply::Stored { .. }));
    let mut guesser = client(&relay, 2, "192.0.2.2").await;
    assert_eq!(guesser.ask(Ask::Token(Blob(b"correct-house".to_vec()))).await, Reply::Refused(Refusal::Token));
    over(&mut guesser.line).await;
    relay.stop().await;
}

/// Attack 53: more than the store's queue holds, each from a source that is within its limits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_sources_that_put_more_than_the_store_takes_at_once_nobody_else_is_refused_anything() {
    let relay = relay("").await;
    let mut floods = Vec::new();
    for n in 0..8_u8 {
        let mut flooder = client(&relay, 100 + n, &format!("203.0.113.{n}")).await;
        floods.push(tokio::spawn(async move {
            assert_eq!(flooder.open(0, 1_000 + u32::from(n)).await, Reply::Done);
            for k in 0..u32::from(limits::WINDOW) {
                flooder.send(Ask::Put { slot: 0, blob: Blob(blob(k, limits::MAX_BLOB)) }).await;
            }
            let mut replies = Vec::new();
            for _ in 0..limits::WINDOW {
                replies.push(flooder.answer().await.1);
            }
            replies
        }));
    }
    let mut honest = client(&relay, 1, "192.0.2.1").await;
    assert_eq!(honest.open(0, 1).await, Reply::Done);
    let mut n_put = 0;
    while n_put < 20 || floods.iter().any(|flood| !flood.is_finished()) {
        for n in n_put..n_put + 4 {
            honest.send(Ask::Put { slot: 0, blob: Blob(blob(n, 512)) }).await;
        }
        for _ in 0..4 {
            let (_, reply) = honest.answer().await;
            assert!(matches!(reply, Reply::Stored { .. }), "{n_put}: {reply:?}");
        }
        n_put += 4;
    }
    for flood in floods {
        let replies = flood.await.unwrap();
        assert!(replies.iter().all(|reply| matches!(reply, Reply::Stored { .. })), "they only wait for their turns");
    }
    relay.stop().await;
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

/// Attack 53: a flood beside an honest client. The flood is on lines of its own, as many as it may keep busy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_client_beside_a_flood_gets_all_its_answers_and_memory_stays_bounded() {
    let relay = relay("[limits]\nput_bytes_at_once = 4194304\n").await;
    let mut floods = Vec::new();
    for n in 0..24_u8 {
        let mut flooder = client(&relay, 100 + n, "203.0.113.9").await;
        floods.push(tokio::spawn(async move {
            if flooder.open(0, 1_000 + u32::from(n)).await != Reply::Done {
                return 0;
            }
            let mut refused = 0;
            // Who is refused is told after a second: so many at once as may be open.
            for round in 0..3 {
                for k in 0..u32::from(limits::WINDOW) {
                    let number = round * u32::from(limits::WINDOW) + k;
                    flooder.send(Ask::Put { slot: 0, blob: Blob(blob(number, 16_384)) }).await;
                }
                for _ in 0..limits::WINDOW {
                    let (_, reply) = flooder.answer().await;
                    refused += u32::from(matches!(reply, Reply::Refused(Refusal::Quota { .. } | Refusal::Busy { .. })));
                }
            }
            refused
        }));
    }
    let before = resident();
    let mut honest = client(&relay, 1, "192.0.2.1").await;
    assert_eq!(honest.open(0, 1).await, Reply::Done);
    let mut slowest = Duration::ZERO;
    for n in 0..50 {
        let began = Instant::now();
        assert!(matches!(honest.put(0, blob(n, 1_024)).await, Reply::Stored { .. }), "{n}");
        slowest = slowest.max(began.elapsed());
    }
    assert_eq!(honest.list(0, 0).await.len(), 50);
    let mut refused = 0;
    for flood in floods {
        refused += flood.await.unwrap();
    }
    assert!(refused > 4_000, "a flood of {} puts was refused {refused} times", 24 * 3 * limits::WINDOW);
    let after = resident();
    assert!(after < before + 256 * 1024 * 1024, "{before} bytes before, {after} after");
    println!("slowest of 50 honest puts beside the flood: {slowest:?}; {before} bytes before, {after} after");
    relay.stop().await;
}
