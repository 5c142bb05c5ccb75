//! Who is given what of a file.

use parlor_api::{FileState, RoomItem, RoomKind, Standing, SyncState};
use parlor_crypto::vault::Vault;
use parlor_net::{Line, LineKind, PeerId};
use parlor_proto::body::Body;
use parlor_proto::file::{Ask, FileRef, Files as Message, Told};
use parlor_proto::outbox::{Entry, Failure, Stage};
use parlor_proto::{EventId, FileId, RoomId, codec};
use parlor_storage::{Batch, Held, Namespace, OpenOptions, Store};

use super::handle::{Files, Limits, Order};
use super::serve::{Lines, serve};
use super::table::Want;
use super::upload::{Incoming, take};
use crate::account::rng;
use crate::bus::Bus;
use crate::limits::{FILE_STRANGERS, UPLOADS_KEPT};
use crate::services::rooms::{Directory, Online, Summary};

const ROOM: RoomId = RoomId([1; 32]);
const MESSAGE: EventId = EventId([2; 32]);

struct World {
    dir: tempfile::TempDir,
    vault: Vault,
    store: Store,
    directory: Directory,
    files: Files,
}

fn peer(n: u8) -> PeerId {
    PeerId::from_seed(&[n; 32])
}

impl World {
    fn new(cache: u64) -> Self {
        Self::with(Limits { auto: 0, cache })
    }

    fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::generate(&mut rng());
        let options = OpenOptions { reserve_bytes: 0 };
        let store = Store::open(&dir.path().join("store"), &vault, options).unwrap();
        let directory = Directory::default();
        let beside = (store.clone(), Bus::new(1), directory.clone());
        let files = Files::load(&dir.path().join("blobs"), &vault, limits, beside).unwrap();
        Self { dir, vault, store, directory, files }
    }

    /// The members of the room who are connected.
    fn online(&self, peers: &[u8]) {
        let online = |n: &u8| Online { account: String::new(), name: String::new(), peer: peer(*n) };
        let item = RoomItem {
            room: ROOM.to_string(),
            name: String::new(),
            kind: RoomKind::Group,
            role: Standing::Left,
            gone: None,
            unread: 0,
            mentions: 0,
            first_unread: None,
            first_unread_order: None,
            attention: Default::default(),
            draft: false,
            members: 2,
            last_message: None,
            damaged: None,
        };
        let sync = SyncState {
            room: String::new(),
            name: String::new(),
            peers: 0,
            have: 0,
            want: 0,
            done: true,
            asking: false,
            early: 0,
        };
        let online = peers.iter().map(online).collect();
        self.directory.put(ROOM, Summary { item, sync, writable: true, online, cloned: false, has_mailbox: false });
    }

    async fn sealed(&self, content: &[u8]) -> FileRef {
        let incoming = Incoming { name: "a.bin".into(), mime: None, keep_metadata: false };
        let pieces: Vec<_> = content.chunks(10_000).map(|piece| Ok(bytes::Bytes::copy_from_slice(piece))).collect();
        let taken = take(&self.files, incoming, futures::stream::iter(pieces)).await.unwrap();
        self.files.upload(&taken.file.parse().unwrap()).unwrap()
    }

    /// A line of this peer to us, served.
    fn line(&self, n: u8) -> Line {
        let (here, there) = Line::pair(LineKind::Blob, peer(0), peer(n));
        tokio::spawn(serve(self.files.clone(), here));
        there
    }
}

async fn ask(line: &mut Line, ask: Ask) -> Vec<u8> {
    line.send(ask.encode().into()).await.unwrap();
    line.recv().await.unwrap().to_vec()
}

#[tokio::test]
async fn members_of_the_room_are_given_chunks_and_nobody_else_anything() {
    let world = World::new(u64::MAX);
    let content: Vec<u8> = (0..700_000_u32).map(|at| (at / 3) as u8).collect();
    let file = world.sealed(&content).await;
    let (id, layout) = (file.id(), file.layout().unwrap());
    world.online(&[7]);
    let mut member = world.line(7);
    assert_eq!(ask(&mut member, Ask::Have(id)).await, Told::Refused.encode(), "no message names it yet");
    world.files.seen((ROOM, MESSAGE), std::slice::from_ref(&file), true, true);
    assert_eq!(world.files.state(&id).0, FileState::Here);
    assert_eq!(ask(&mut member, Ask::Have(id)).await, Told::All.encode());
    let mut opened = Vec::new();
    for slot in layout.slots() {
        let answer = ask(&mut member, Ask::Chunk(slot)).await;
        let Ok(Told::Chunk(given, sealed)) = Told::decode(&answer) else { panic!("no chunk") };
        assert_eq!(given, slot);
        let plain = file.file_key().open(layout.place(slot).unwrap(), sealed.to_vec()).unwrap();
        opened.extend_from_slice(&plain[..layout.file_len(slot)]);
    }
    assert!(opened == content);
    assert_eq!(ask(&mut member, Ask::Chunk(layout.end())).await, Told::Lacks(layout.end()).encode());
    assert_eq!(ask(&mut member, Ask::Chunk(u32::MAX)).await, Told::Lacks(u32::MAX).encode());
    // Strangers, and whoever is a member no more.
    let mut stranger = world.line(8);
    assert_eq!(ask(&mut stranger, Ask::Have(id)).await, Told::Refused.encode());
    assert_eq!(ask(&mut stranger, Ask::Chunk(2)).await, Told::Refused.encode());
    world.online(&[]);
    assert_eq!(ask(&mut member, Ask::Chunk(2)).await, Told::Refused.encode(), "asked anew for each chunk");
}

#[tokio::test]
async fn a_line_on_which_rules_are_broken_is_over() {
    let world = World::new(u64::MAX);
    for broken in [Ask::Chunk(2).encode(), vec![9], Told::All.encode()] {
        let mut line = world.line(7);
        line.send(broken.into()).await.unwrap();
        assert_eq!(line.recv().await, None);
    }
}

#[tokio::test]
async fn strangers_have_few_lines_and_who_is_told_no_again_and_again_has_none() {
    let world = World::new(u64::MAX);
    let file = world.sealed(b"content").await;
    let id = file.id();
    world.files.seen((ROOM, MESSAGE), std::slice::from_ref(&file), true, true);
    world.online(&[7]);
    // Three times no ends a line; of a member too.
    for n in [7, 8] {
        let mut line = world.line(n);
        for _ in 0..3 {
            assert_eq!(ask(&mut line, Ask::Have(parlor_proto::FileId([9; 32]))).await, Told::Refused.encode());
        }
        assert_eq!(line.recv().await, None);
    }
    // But not now and then.
    let mut line = world.line(7);
    for _ in 0..3 {
        assert_eq!(ask(&mut line, Ask::Have(id)).await, Told::All.encode());
        assert_eq!(ask(&mut line, Ask::Have(parlor_proto::FileId([9; 32]))).await, Told::Refused.encode());
    }
    // However many lines strangers open, few stay, and a member gets one.
    let mut lines = Lines::new(world.files.clone());
    let mut open = |n| {
        let (here, there) = Line::pair(LineKind::Blob, peer(0), peer(n));
        lines.take(here);
        there
    };
    let mut strangers: Vec<_> = (0..32).map(|n| open(100 + n)).collect();
    assert_eq!(ask(&mut open(7), Ask::Have(id)).await, Told::All.encode());
    for (n, stranger) in strangers.iter_mut().enumerate() {
        let answer = match stranger.send(Ask::Have(id).encode().into()).await {
            Ok(()) => stranger.recv().await,
            Err(_) => None,
        };
        assert_eq!(answer.is_some(), n < FILE_STRANGERS, "{n}");
    }
    // A place is free again when its line is over.
    drop(strangers);
    while lines.over().await.is_some() {}
    let (here, mut there) = Line::pair(LineKind::Blob, peer(0), peer(8));
    lines.take(here);
    assert_eq!(ask(&mut there, Ask::Have(id)).await, Told::Refused.encode());
}

#[tokio::test]
async fn what_was_sealed_and_named_is_known_after_a_start() {
    let world = World::new(u64::MAX);
    let file = world.sealed(b"content").await;
    let place = super::Place { room: ROOM, message: MESSAGE, index: 0 };
    let mut batch = Batch::new(Some(ROOM));
    batch.room(vec![1]);
    let (key, value) = (super::row_key(&file.id(), &MESSAGE), super::row_value(0, &file, true));
    batch.put(Namespace::File, &key, value);
    world.store.commit(batch).await.unwrap();
    let wanted = parlor_proto::FileId([5; 32]);
    let want = Want { place, wished: true };
    world.files.note_want(wanted, want).await.unwrap();
    let beside = (world.store.clone(), Bus::new(1), world.directory.clone());
    let limits = Limits { auto: 0, cache: u64::MAX };
    let again = Files::load(&world.dir.path().join("blobs"), &world.vault, limits, beside).unwrap();
    assert_eq!(again.state(&file.id()).0, FileState::Here);
    assert_eq!(again.upload(&file.id()), Some(file.clone()));
    assert_eq!(wants(&again), [(wanted, want)]);
    // Uploads that nobody sent go after a week; what was sent stays.
    let unsent = world.sealed(b"never sent").await;
    world.files.seen((ROOM, MESSAGE), std::slice::from_ref(&file), true, true);
    world.files.forget_uploads(u64::MAX).await.unwrap();
    assert_eq!((world.files.upload(&file.id()), world.files.upload(&unsent.id())), (None, None));
    let held = |file: &FileRef| world.files.blobs().held(&file.id());
    assert_eq!((held(&file), held(&unsent)), (Held::Whole, Held::Nothing));
}

/// An entry of an outbox that names a file.
fn entry(nonce: u8, file: &FileRef, stage: Stage) -> Entry {
    let files = vec![file.clone()];
    let message = Message { text: String::new(), reply_to: None, mentions: Vec::new(), thread: None, files };
    let body = Body::File(Box::new(message)).encode();
    Entry { nonce: [nonce; 16], room: ROOM, body, submitted_ms: 1, stage }
}

#[tokio::test]
async fn a_file_that_waits_in_an_outbox_is_kept_for_as_long_as_it_waits() {
    let world = World::new(u64::MAX);
    let (unwritten, failed) = (world.sealed(b"no keys yet").await, world.sealed(b"may be tried again").await);
    let (written, unsent) = (world.sealed(b"written a moment ago").await, world.sealed(b"never sent").await);
    let never = Stage::Failed { failure: Failure::Store, event: None };
    let mut batch = Batch::new(Some(ROOM));
    batch.room(vec![1]);
    for entry in [entry(1, &unwritten, Stage::Unwritten), entry(2, &failed, never)] {
        batch.put(Namespace::Outbox, &entry.nonce, codec::encode(&entry));
    }
    batch.put(Namespace::File, &super::row_key(&written.id(), &MESSAGE), super::row_value(0, &written, true));
    world.store.commit(batch).await.unwrap();
    // Weeks later, also of a restart.
    let held = |file: &FileRef| world.files.blobs().held(&file.id());
    world.files.forget_uploads(u64::MAX).await.unwrap();
    for file in [&unwritten, &failed, &written] {
        assert_eq!(held(file), Held::Whole);
        assert!(world.files.upload(&file.id()).is_some(), "it can be sent once more");
    }
    assert_eq!((held(&unsent), world.files.upload(&unsent.id())), (Held::Nothing, None));
    let beside = (world.store.clone(), Bus::new(1), world.directory.clone());
    let limits = Limits { auto: 0, cache: u64::MAX };
    let again = Files::load(&world.dir.path().join("blobs"), &world.vault, limits, beside).unwrap();
    again.forget_uploads(u64::MAX).await.unwrap();
    assert_eq!((held(&unwritten), held(&failed)), (Held::Whole, Held::Whole));
    // One is written, the other is taken out.
    let mut batch = Batch::new(Some(ROOM));
    batch.delete(Namespace::Outbox, &[1; 16]);
    batch.delete(Namespace::Outbox, &[2; 16]);
    world.store.commit(batch).await.unwrap();
    world.files.seen((ROOM, MESSAGE), std::slice::from_ref(&unwritten), true, true);
    world.files.forget_uploads(u64::MAX).await.unwrap();
    assert_eq!((held(&unwritten), held(&failed)), (Held::Whole, Held::Nothing));
}

#[tokio::test]
async fn a_file_of_which_a_message_is_made_just_now_is_not_forgotten() {
    let world = World::new(u64::MAX);
    let file = world.sealed(b"a week old").await;
    let later = crate::clock::now_ms() + 1;
    // As the clock never stands still, this is after it.
    while crate::clock::now_ms() < later + 1 {
        tokio::task::yield_now().await;
    }
    assert!(world.files.upload(&file.id()).is_some());
    world.files.forget_uploads(later).await.unwrap();
    assert_eq!(world.files.blobs().held(&file.id()), Held::Whole);
    world.files.forget_uploads(u64::MAX).await.unwrap();
    assert_eq!(world.files.blobs().held(&file.id()), Held::Nothing);
}

#[tokio::test]
async fn only_files_that_were_not_sent_are_too_many() {
    let world = World::new(u64::MAX);
    let first = world.sealed(b"the first").await;
    let another = |n: usize| {
        let mut key = [7; 32];
        key[..8].copy_from_slice(&n.to_be_bytes());
        FileRef { key: parlor_crypto::Secret::new(key), ..first.clone() }
    };
    world.files.seen((ROOM, MESSAGE), std::slice::from_ref(&first), true, true);
    // Which is the oldest is said in milliseconds.
    let made_ms = crate::clock::now_ms();
    while crate::clock::now_ms() <= made_ms {
        tokio::task::yield_now().await;
    }
    for n in 0..UPLOADS_KEPT + 2 {
        assert!(!world.files.is_full(), "{n} were sent");
        let file = another(n);
        world.files.uploaded(file.clone()).await.unwrap();
        world.files.seen((ROOM, MESSAGE), &[file], true, true);
    }
    // A request that is made again soon finds them, and there is an end to what is remembered for it.
    assert!(world.files.upload(&another(UPLOADS_KEPT).id()).is_some());
    let kept = world.store.scan(None, Namespace::File, b"upload").unwrap().len();
    assert!((UPLOADS_KEPT..=UPLOADS_KEPT + 1).contains(&kept), "{kept} rows");
    assert_eq!(world.files.upload(&first.id()), None, "the oldest");
    assert_eq!(world.files.blobs().held(&first.id()), Held::Whole, "its message names it");
    for n in 0..UPLOADS_KEPT {
        assert!(!world.files.is_full());
        world.files.uploaded(another(1_000 + n)).await.unwrap();
    }
    assert!(world.files.is_full());
}

#[tokio::test]
async fn a_picture_of_a_message_that_is_not_shown_is_known_and_not_fetched_by_itself() {
    let world = World::with(Limits { auto: u64::MAX, cache: u64::MAX });
    let picture = async |content: &[u8]| {
        let file = FileRef { mime: "image/png".into(), ..world.sealed(content).await };
        world.files.blobs().remove(&file.id()).unwrap();
        file
    };
    let (hidden, shown) = (picture(b"hidden").await, picture(b"shown").await);
    world.files.seen((ROOM, MESSAGE), std::slice::from_ref(&hidden), false, false);
    assert_eq!(world.files.state(&hidden.id()).0, FileState::Remote);
    assert!(world.files.take().orders.is_empty());
    assert!(
        super::handle::layout(&world.files, &hidden.id()).is_some(),
        "whoever asks for it when it is shown has it fetched"
    );
    world.files.seen((ROOM, MESSAGE), std::slice::from_ref(&shown), false, true);
    assert_eq!(world.files.state(&shown.id()).0, FileState::Waiting);
    assert_eq!(
        wants(&world.files),
        [(shown.id(), Want { place: super::Place { room: ROOM, message: MESSAGE, index: 0 }, wished: false })]
    );
}

/// What is to be fetched.
fn wants(files: &Files) -> Vec<(parlor_proto::FileId, Want)> {
    let want = |order| if let Order::Want(file, want, _) = order { Some((file, want)) } else { None };
    files.take().orders.into_iter().filter_map(want).collect()
}

impl World {
    /// A file of which a chunk is here, and nothing names it.
    fn left(&self, n: u8) -> FileId {
        let id = FileId([n; 32]);
        self.files.blobs().part(&id).unwrap().write(0, b"chunk").unwrap();
        id
    }

    /// Nothing was written to the files for so many days.
    fn rest(&self, days: u64) {
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(days * 24 * 3_600);
        for folder in std::fs::read_dir(self.dir.path().join("blobs")).unwrap() {
            for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                let file = std::fs::File::options().write(true).open(file.unwrap().path()).unwrap();
                file.set_modified(then).unwrap();
            }
        }
    }

    fn start(&self) -> Files {
        let beside = (self.store.clone(), Bus::new(1), self.directory.clone());
        let limits = Limits { auto: 0, cache: u64::MAX };
        Files::load(&self.dir.path().join("blobs"), &self.vault, limits, beside).unwrap()
    }
}

#[tokio::test]
async fn chunks_that_nothing_names_are_gone_after_a_start_and_what_is_named_stays() {
    let world = World::new(u64::MAX);
    let (waits, received, left) = (world.sealed(b"waits").await.id(), world.left(8), world.left(9));
    let mut batch = Batch::new(Some(ROOM));
    batch.room(b"room".to_vec()).put(Namespace::File, &super::row_key(&received, &MESSAGE), b"unread".to_vec());
    world.store.commit(batch).await.unwrap();
    let held = |files: &Files| [waits, received, left].map(|id| files.blobs().held(&id));
    assert_eq!(held(&world.start()), [Held::Whole, Held::Part, Held::Part], "what is young is spared");
    world.rest(2);
    assert_eq!(held(&world.start()), [Held::Whole, Held::Part, Held::Nothing]);
}

/// A row of a room or of none.
type Row<'a> = (Option<RoomId>, Namespace, &'a [u8], Vec<u8>);

#[tokio::test]
async fn while_a_row_that_may_name_files_can_not_be_read_a_start_removes_nothing() {
    let newer = || {
        let body = Body::Unknown { kind: 200, content: b"files of tomorrow".to_vec() }.encode();
        codec::encode(&Entry { nonce: [1; 16], room: ROOM, body, submitted_ms: 1, stage: Stage::Unwritten })
    };
    let upload = [&b"upload"[..], &[3; 32]].concat();
    let rows: [Row<'_>; 6] = [
        (Some(ROOM), Namespace::Outbox, &[1; 16], b"damaged".to_vec()),
        (Some(ROOM), Namespace::Outbox, &[1; 16], newer()),
        (Some(ROOM), Namespace::Meta, crate::services::rooms::DRAFT, b"{\"files\":[{\"newer\":1}]}".to_vec()),
        (Some(ROOM), Namespace::File, b"a key of tomorrow", Vec::new()),
        (None, Namespace::File, &upload, b"damaged".to_vec()),
        (None, Namespace::File, b"a kind of tomorrow", Vec::new()),
    ];
    for (room, namespace, key, value) in rows {
        let world = World::new(u64::MAX);
        let (left, unsent) = (world.left(9), world.sealed(b"sealed a week ago").await.id());
        world.rest(30);
        let mut known = Batch::new(Some(ROOM));
        known.room(b"room".to_vec());
        world.store.commit(known).await.unwrap();
        let mut batch = Batch::new(room);
        batch.put(namespace, key, value);
        world.store.commit(batch).await.unwrap();
        assert_eq!(world.start().blobs().held(&left), Held::Part, "{namespace:?} {room:?}");
        // Nor does what is no more remembered go for good, while a message that waits may be made of it.
        world.files.forget_uploads(u64::MAX).await.unwrap();
        let spared = if room.is_some() { Held::Whole } else { Held::Nothing };
        assert_eq!(world.files.blobs().held(&unsent), spared, "{namespace:?} {room:?}");
        let mut batch = Batch::new(room);
        batch.delete(namespace, key);
        world.store.commit(batch).await.unwrap();
        assert_eq!(world.start().blobs().held(&left), Held::Nothing);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing() {
    let world = World::new(u64::MAX);
    let incoming = || Incoming { name: "a.bin".into(), mime: None, keep_metadata: false };
    let broken = || parlor_api::Problem::new(parlor_api::Code::BadRequest, "broke off");
    let pieces = vec![Ok(bytes::Bytes::from(vec![7; 600_000])), Err(broken())];
    let failed = take(&world.files, incoming(), futures::stream::iter(pieces)).await;
    assert_eq!(failed.unwrap_err().code, parlor_api::Code::BadRequest);
    assert_eq!(std::fs::read_dir(world.dir.path().join("blobs/new")).unwrap().count(), 0);
    let nameless = Incoming { name: " ".into(), ..incoming() };
    let failed = take(&world.files, nameless, futures::stream::iter(Vec::new())).await;
    assert_eq!(failed.unwrap_err().code, parlor_api::Code::BadRequest);
    let empty = take(&world.files, incoming(), futures::stream::iter(Vec::new())).await.unwrap();
    assert_eq!((empty.bytes, empty.mime.as_str()), (0, "application/octet-stream"));
}
