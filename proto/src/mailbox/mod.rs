//! Mailboxes at relays: boxes of sealed blobs that anybody who holds a key may read while nobody else is online.
//!
//! A relay is blind: it sees the public key that names a box, lengths of few classes, times and addresses, and nothing of
//! rooms, people or content. It is not trusted either: what it gives is checked by name and by seal, a box is kept at
//! several relays and read as their union, and what it claims is never a delivery.
//!
//! | module | noun |
//! |---|---|
//! | [`limits`] | every bound, with its reason |
//! | [`name`] | names of boxes, blobs, relays and their stores |
//! | [`blob`] | what is put in: padded to classes and sealed; bundles of events |
//! | [`frame`] | what goes over a line, and its canonical encoding |
//! | [`proof`] | showing a relay that a box is ours |
//! | [`session`] | the relay's side of one line, without I/O |
//! | [`client`] | our side: all relays and boxes together, without I/O |
//!
//! Formats and rules are in `docs/spec/mailbox.md`.

pub mod blob;
pub mod client;
pub mod frame;
pub mod limits;
pub mod name;
pub mod proof;
pub mod session;

pub use blob::{BlobError, Bundle, Mail, open_blob, open_inbox_blob, seal_blob, seal_inbox_blob};
pub use client::{BoxSetup, ClientError, Cursor, Fault, Mailboxes, Out};
pub use frame::{Ask, ClientFrame, Entry, Refusal, Reply, ServerFrame, Terms};
pub use name::{BlobId, BoxKind, BoxName, RelayId, StoreId};
pub use session::{Answer, Call, Session, SessionError, Step};
