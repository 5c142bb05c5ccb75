//! Whole nodes of one room in this process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use parlor_api::{CreateInvite, CreateRoom, JoinRequest, NoteKind, Role, Room, SendRequest};
use parlor_net::Carriers;
use parlor_node::app::Anchor;
use parlor_node::{App, Config, Home, Passphrase, Running};
use tempfile::TempDir;

/// How long a promise may take on a busy machine; no measure of speed.
const DEADLINE: Duration = Duration::from_secs(300);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// Nodes that join or start at a time.
const AT_ONCE: usize = 8;

/// A node, running or not.
pub(crate) struct Seat {
    pub(crate) name: String,
    home: PathBuf,
    node: Option<Running>,
}

/// People of one room.
pub(crate) struct Crowd {
    _folder: TempDir,
    pub(crate) seats: Vec<Seat>,
    pub(crate) room: String,
    started: Instant,
}

impl Seat {
    fn new(folder: &TempDir, number: usize) -> Self {
        let name = format!("Person {number}");
        let home = folder.path().join(format!("home-{number}"));
        parlor_node::init_account(&Home::at(&home), &name, &Passphrase::None).unwrap();
        Self { name, home, node: None }
    }

    pub(crate) async fn run(&mut self) {
        assert!(self.node.is_none(), "{} runs already", self.name);
        let config = Config {
            listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
            mdns: false,
            carriers: Carriers::Memory,
            ..Config::new(Home::at(&self.home))
        };
        self.node = Some(parlor_node::start(config).await.unwrap());
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(node) = self.node.take() {
            node.stop().await.unwrap();
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.node.is_some()
    }

    pub(crate) fn app(&self) -> &App {
        &self.node.as_ref().unwrap().app
    }
}

impl Crowd {
    /// `n` people in one room, which the first of them made.
    pub(crate) async fn gather(n: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("parlor-crowd-").tempdir().unwrap();
        let seats = (1..=n).map(|number| Seat::new(&folder, number)).collect();
        let mut crowd = Self { _folder: folder, seats, room: String::new(), started: Instant::now() };
        crowd.run_all().await;
        crowd.told("all nodes run");
        let owner = crowd.seats[0].app().clone();
        crowd.room = owner.create_room(CreateRoom::named("Everybody")).await.unwrap().room;
        let invite =
            CreateInvite { role: Role::Member, uses: Some(u32::try_from(n).unwrap()), ..CreateInvite::default() };
        let link = owner.create_invite(&crowd.room, invite).await.unwrap().link.unwrap();
        let joining = crowd.seats[1..].iter().map(|seat| {
            let request = JoinRequest { link: link.clone(), timeout: JoinRequest::TIMEOUT_MAX, once_asked: false };
            async move { seat.app().join(request).await.unwrap() }
        });
        stream::iter(joining).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
        crowd.told("all have joined");
        crowd
    }

    pub(crate) async fn run_all(&mut self) {
        let starting = self.seats.iter_mut().filter(|seat| !seat.runs()).map(Seat::run);
        stream::iter(starting).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    }

    pub(crate) async fn stop_all(&mut self) {
        stream::iter(self.seats.iter_mut().map(Seat::stop)).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    }

    /// How far the story is, for whoever looks at its speed.
    pub(crate) fn told(&self, what: &str) {
        println!("{what} after {:.1} s", self.started.elapsed().as_secs_f64());
    }

    pub(crate) async fn view(&self, seat: usize) -> Room {
        self.seats[seat].app().room(&self.room).await.unwrap()
    }

    pub(crate) async fn say(&self, seat: usize, text: &str) {
        let text = SendRequest { text: text.to_owned(), ..SendRequest::default() };
        self.seats[seat].app().send(&self.room, vec![text]).await.unwrap();
    }

    /// Names of the members, as this one sees them.
    pub(crate) async fn members(&self, seat: usize) -> BTreeSet<String> {
        let members = self.seats[seat].app().members(&self.room).await.unwrap();
        members.into_iter().map(|member| member.name).collect()
    }

    /// Texts of the newest page.
    pub(crate) async fn texts(&self, seat: usize) -> BTreeSet<String> {
        let page = self.seats[seat].app().history(&self.room, Anchor::Newest, 100, false).await.unwrap();
        page.items.into_iter().map(|message| message.text).collect()
    }

    /// How many epochs were made, as this one's log says.
    pub(crate) async fn epochs(&self, seat: usize) -> usize {
        let mut anchor = Anchor::Newest;
        let mut n = 0;
        loop {
            let page = self.seats[seat].app().history(&self.room, anchor, 100, true).await.unwrap();
            let keys =
                |message: &&parlor_api::Message| message.system.as_ref().is_some_and(|it| it.what == NoteKind::Keys);
            n += page.items.iter().filter(keys).count();
            match page.older {
                Some(older) => anchor = Anchor::Before(older),
                None => return n,
            }
        }
    }

    /// Waits until these see one and the same room, with keys to write under.
    pub(crate) async fn agree(&self, who: &[usize]) {
        let mut looks = 0;
        eventually("all see the same room", async || {
            let mut views = BTreeMap::<_, Vec<usize>>::new();
            for seat in who {
                let view = self.view(*seat).await;
                let key = (view.safe, view.members, view.epoch, view.fingerprint, view.control_frontier.len());
                views.entry(key).or_default().push(*seat);
            }
            looks += 1;
            if looks % 20 == 0 {
                views.iter().for_each(|(view, seats)| println!("{view:?} is seen by {seats:?}"));
            }
            (views.len() == 1 && views.keys().all(|view| view.0)).then_some(())
        })
        .await;
    }
}

/// Looks until `look` answers.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = look().await {
            return answer;
        }
        assert!(Instant::now() < end, "waited {} s in vain: {what}", DEADLINE.as_secs());
        tokio::time::sleep(PAUSE).await;
    }
}
