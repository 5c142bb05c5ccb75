//! The store against a model in memory: any sequence of commits, refusals and reopenings reads the same from both.

use std::collections::{BTreeMap, BTreeSet};

use parlor_crypto::Secret;
use parlor_proto::annotation::{Remark, Slot};
use parlor_proto::ids::{DeviceId, EventId};
use parlor_storage::{Batch, CommitError, ControlRow, Cursor, LogKind, MessageRow, Namespace, Store, Want};
use proptest::prelude::*;

use crate::common::{batch, control, device, event_id, message, open, room};

const ROOMS: u8 = 2;
const DEVICES: u8 = 3;

/// One change in a batch, small enough that they meet.
#[derive(Debug, Clone)]
enum Change {
    Message {
        device: u8,
        jitter: u64,
        keyed: bool,
        len: usize,
    },
    Control {
        device: u8,
    },
    /// The same event again, or one that does not fit.
    Wrong {
        device: u8,
        gap: bool,
    },
    Again {
        device: u8,
    },
    Key {
        device: u8,
        seq: u64,
    },
    Aside {
        device: u8,
        seq: u64,
    },
    Erase {
        device: u8,
        seq: u64,
    },
    Remark {
        place: u8,
        key: u8,
        rank: u64,
    },
    Put {
        key: u8,
        len: usize,
    },
    Delete {
        key: u8,
    },
    Record {
        value: u8,
    },
    Forget,
}

#[derive(Debug, Clone)]
enum Step {
    Commit(u8, Vec<Change>),
    Reopen,
}

fn change() -> impl Strategy<Value = Change> {
    let device = 0..DEVICES;
    prop_oneof![
        8 => (device.clone(), 0_u64..4, any::<bool>(), prop_oneof![9 => 10_usize..400, 1 => 4_000_usize..20_000])
            .prop_map(|(device, jitter, keyed, len)| Change::Message { device, jitter, keyed, len }),
        3 => device.clone().prop_map(|device| Change::Control { device }),
        1 => (device.clone(), any::<bool>()).prop_map(|(device, gap)| Change::Wrong { device, gap }),
        1 => device.clone().prop_map(|device| Change::Again { device }),
        2 => (device.clone(), 1_u64..12).prop_map(|(device, seq)| Change::Key { device, seq }),
        2 => (device.clone(), 1_u64..12).prop_map(|(device, seq)| Change::Aside { device, seq }),
        1 => (device, 1_u64..12).prop_map(|(device, seq)| Change::Erase { device, seq }),
        3 => (0_u8..3, 0_u8..5, 0_u64..20).prop_map(|(place, key, rank)| Change::Remark { place, key, rank }),
        2 => (0_u8..4, prop_oneof![0_usize..100, 4_000_usize..9_000]).prop_map(|(key, len)| Change::Put { key, len }),
        1 => (0_u8..4).prop_map(|key| Change::Delete { key }),
        1 => any::<u8>().prop_map(|value| Change::Record { value }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        9 => (1..=ROOMS, prop::collection::vec(change(), 0..12)).prop_map(|(room, changes)| Step::Commit(room, changes)),
        1 => (1..=ROOMS).prop_map(|room| Step::Commit(room, vec![Change::Forget])),
        2 => Just(Step::Reopen),
    ]
}

/// A list, and how many entries its places hold.
const LIST: &[u8] = b"list";
const MOST: u8 = 3;

fn remark(place: u8, key: u8, rank: u64) -> Remark {
    Remark {
        list: LIST.to_vec(),
        slot: Slot::Named(vec![place]),
        key: vec![key],
        rank,
        id: EventId([key; 32]),
        most: MOST,
        value: [&[place, key][..], &rank.to_be_bytes()].concat(),
    }
}

/// What a room should hold.
#[derive(Debug, Clone, Default)]
struct Model {
    record: Option<Vec<u8>>,
    messages: BTreeMap<(u8, u64), MessageRow>,
    control: Vec<ControlRow>,
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Messages that are no lines.
    asides: BTreeSet<EventId>,
    /// Entries by place and key.
    remarks: BTreeMap<(u8, u8), u64>,
}

impl Model {
    fn tip(&self, device_number: u8) -> u64 {
        self.messages.keys().filter(|(device, _)| *device == device_number).map(|(_, seq)| *seq).max().unwrap_or(0)
    }

    fn control_tip(&self, device_number: u8) -> u64 {
        self.control.iter().filter(|row| row.device == device(device_number)).count() as u64
    }

    /// Applies the changes and makes the batch of them; the model afterwards, or none if the store must refuse.
    fn apply(mut self, number: u8, changes: &[Change]) -> (Batch, Option<Self>) {
        let mut all = batch(number);
        let mut refused = false;
        for change in changes {
            match change {
                Change::Message { device, jitter, keyed, len } => {
                    let seq = self.tip(*device) + 1;
                    let mut row = message(number, *device, seq, 10 * seq + jitter, *len);
                    row.hlc += jitter * 3;
                    row.key = keyed.then(|| Secret::new(row.id.0));
                    all.message(row.clone());
                    self.messages.insert((*device, seq), row);
                }
                Change::Control { device } => {
                    let row = control(number, *device, self.control_tip(*device) + 1);
                    all.control(row.clone());
                    self.control.push(row);
                }
                Change::Wrong { device, gap } => {
                    let tip = self.tip(*device);
                    let mut row = message(number, *device, if *gap { tip + 2 } else { tip.max(1) }, 5, 20);
                    row.id = EventId([0xee; 32]);
                    refused |= *gap || tip > 0;
                    if refused {
                        all.message(row);
                    }
                }
                Change::Again { device } => {
                    if let Some(row) = self.messages.get(&(*device, self.tip(*device))) {
                        all.message(row.clone());
                    }
                }
                Change::Key { device, seq } => {
                    let id = event_id(LogKind::Message, number, *device, *seq);
                    all.message_key(id, Secret::new([*seq as u8; 32]));
                    if let Some(row) = self.messages.get_mut(&(*device, *seq)) {
                        row.key.get_or_insert(Secret::new([*seq as u8; 32]));
                    }
                }
                Change::Aside { device, seq } => {
                    let id = event_id(LogKind::Message, number, *device, *seq);
                    all.aside(id);
                    if self.messages.contains_key(&(*device, *seq)) {
                        self.asides.insert(id);
                    }
                }
                Change::Erase { device, seq } => {
                    all.erase(event_id(LogKind::Message, number, *device, *seq));
                    if let Some(row) = self.messages.get_mut(&(*device, *seq)) {
                        row.key = Some(Secret::new([0; 32]));
                    }
                }
                Change::Remark { place, key, rank } => {
                    all.remark(remark(*place, *key, *rank), None);
                    let known = self.remarks.entry((*place, *key)).or_insert(*rank);
                    *known = (*known).max(*rank);
                }
                Change::Put { key, len } => {
                    all.put(Namespace::Keys, &[*key], vec![*key; *len]);
                    self.values.insert(vec![*key], vec![*key; *len]);
                }
                Change::Delete { key } => {
                    all.delete(Namespace::Keys, &[*key]);
                    self.values.remove(&vec![*key]);
                }
                Change::Record { value } => {
                    all.room(vec![*value]);
                    self.record = Some(vec![*value]);
                }
                Change::Forget => {
                    all.forget_room();
                    self = Self::default();
                }
            }
        }
        (all, (!refused).then_some(self))
    }

    fn agrees(&self, store: &Store, number: u8) {
        let id = room(number);
        assert_eq!(store.count(&id).unwrap(), self.messages.len() as u64);
        assert_eq!(store.control(&id).unwrap(), self.control);
        let values: Vec<_> = self.values.clone().into_iter().collect();
        assert_eq!(store.scan(Some(&id), Namespace::Keys, b"").unwrap(), values);
        let record = store.rooms().unwrap().into_iter().find(|(found, _)| *found == id).map(|(_, record)| record);
        assert_eq!(record, self.record);
        let mut unread = 0;
        for row in self.messages.values() {
            assert_eq!(store.message(&id, &row.id).unwrap().as_ref(), Some(row));
            unread += usize::from(row.key.is_none());
        }
        let listed = store.unreadable(&id, None, 1_000).unwrap();
        assert_eq!(listed.len(), unread);
        assert!(listed.iter().all(|row| row.row.key.is_none()));
        let mut kept: Vec<_> = store.remarks(&id, LIST, 1_000).unwrap().into_iter().map(|row| row.value).collect();
        kept.sort_unstable();
        assert_eq!(kept, self.remarks_kept());
        store.audit().unwrap();
        self.timeline_agrees(store, number);
        self.log_agrees(store, number);
    }

    /// What the places hold: of each the greatest few.
    fn remarks_kept(&self) -> Vec<Vec<u8>> {
        let mut places: BTreeMap<u8, Vec<(u64, u8)>> = BTreeMap::new();
        for ((place, key), rank) in &self.remarks {
            places.entry(*place).or_default().push((*rank, *key));
        }
        let mut kept: Vec<_> = places
            .into_iter()
            .flat_map(|(place, mut entries)| {
                // The id of an entry is made of its key: of equal ranks the greater key stays.
                entries.sort_unstable_by(|a, b| b.cmp(a));
                entries.truncate(usize::from(MOST));
                entries.into_iter().map(move |(rank, key)| remark(place, key, rank).value)
            })
            .collect();
        kept.sort_unstable();
        kept
    }

    fn timeline_agrees(&self, store: &Store, number: u8) {
        let page = store.page(&room(number), Cursor::Newest, 1_000).unwrap();
        assert!(page.rows.is_sorted_by(|newer, older| newer.position > older.position));
        let lines = self.messages.values().filter(|row| !self.asides.contains(&row.id));
        let mut orders: Vec<u64> = lines.map(|row| row.order).collect();
        orders.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(page.rows.iter().map(|row| row.row.order).collect::<Vec<_>>(), orders);
        for (index, row) in page.rows.iter().enumerate().step_by(3) {
            let before = store.page(&room(number), Cursor::Before(row.position), 4).unwrap();
            assert_eq!(before.rows, page.rows[index + 1..].iter().take(4).cloned().collect::<Vec<_>>());
            let after = store.page(&room(number), Cursor::After(row.position), 4).unwrap();
            assert_eq!(after.rows, page.rows[index.saturating_sub(4)..index]);
        }
    }

    fn log_agrees(&self, store: &Store, number: u8) {
        let wants = [0, 1, 2].map(|number| Want { device: device(number), from: 2, to: u64::MAX });
        let mut expected: Vec<(u64, DeviceId, u64)> =
            self.messages.values().filter(|row| row.seq >= 2).map(|row| (row.hlc, row.device, row.seq)).collect();
        let found = store.missing(&room(number), LogKind::Message, &wants, usize::MAX).unwrap();
        let mut found: Vec<_> = found.into_iter().map(|row| (row.rank, row.device, row.seq)).collect();
        // The clocks of this model may step back within a log; then only the set is defined.
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_store_reads_as_the_model(steps in prop::collection::vec(step(), 1..25)) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        let mut models = vec![Model::default(); usize::from(ROOMS) + 1];
        for step in steps {
            match step {
                Step::Reopen => {
                    store.close();
                    store = open(dir.path());
                }
                Step::Commit(number, changes) => {
                    let before = models[usize::from(number)].clone();
                    let (all, after) = before.apply(number, &changes);
                    match (store.commit_blocking(all), after) {
                        (Ok(()), Some(after)) => models[usize::from(number)] = after,
                        (Err(CommitError::Conflict { .. }), None) => {}
                        (answer, after) => panic!("answered {answer:?}, expected {:?}", after.is_some()),
                    }
                }
            }
        }
        for number in 1..=ROOMS {
            models[usize::from(number)].agrees(&store, number);
        }
    }
}
