//! All labels of keys, signatures and seals, in one list, so that no two uses share one.
//!
//! Labels are ASCII without a zero byte. In hashes, keys and signatures they stand after `"parlor/1 "`. A signature's
//! label ends in a zero byte, so none is the beginning of another. Hash labels are the [`crate::hash::Domain`]s.

/// Signature of an event header: `room_id || header`.
pub const SIGN_EVENT: &str = "event";
/// Signature of an invite link by its issuer.
pub const SIGN_LINK: &str = "link";
/// Signature of a device certificate by the account's root.
pub const SIGN_DEVICE_CERT: &str = "device cert";
/// Signature of a device over the account that it wants to be of.
pub const SIGN_DEVICE_WORD: &str = "device word";
/// Signature of a device revocation by the account's root.
pub const SIGN_DEVICE_REVOKE: &str = "device revoke";
/// Signature of a leaf record by its device.
pub const SIGN_LEAF: &str = "leaf";
/// Signature of a JoinRequest by the invite's key.
pub const SIGN_JOIN_INVITE: &str = "join invite";
/// Signature of a JoinRequest by the joining device.
pub const SIGN_JOIN_DEVICE: &str = "join device";
/// Signature of what an instant invite leaves at its door, by the device of its maker.
pub const SIGN_INSTANT: &str = "instant";
/// Signature of a delivery marker by its device.
pub const SIGN_MARKER: &str = "marker";
/// Signature that proves a device over a connection in the sync hello.
pub const SIGN_SYNC_PROOF: &str = "sync proof";
/// Signature that binds a device to a transport peer id.
pub const SIGN_PEER_BINDING: &str = "peer binding";
/// Signature of a profile record by its device.
pub const SIGN_PROFILE: &str = "profile";
/// Signature of the record that carries the picture of a profile.
pub const SIGN_PORTRAIT: &str = "portrait";
/// Signature of typing and presence, never stored.
pub const SIGN_PRESENCE: &str = "presence";
/// Signature with the key of a mailbox over the connection.
pub const SIGN_MAILBOX: &str = "mailbox";
/// Signature of a name at a relay by the account's root.
pub const SIGN_NAME: &str = "name";
/// Signature by the account's root that gives a name at a relay up, or to another account.
pub const SIGN_NAME_MOVE: &str = "name move";
/// Signature of a relay over a name it holds, with the date.
pub const SIGN_NAME_HELD: &str = "name held";

/// Signature of an account's contact key by its root.
pub const SIGN_CONTACT_KEY: &str = "contact key";
/// Signature of a letter between two accounts by the device that writes it.
pub const SIGN_LETTER: &str = "letter";

/// All signature labels.
pub const SIGNATURES: [&str; 21] = [
    SIGN_EVENT,
    SIGN_LINK,
    SIGN_DEVICE_CERT,
    SIGN_DEVICE_WORD,
    SIGN_DEVICE_REVOKE,
    SIGN_LEAF,
    SIGN_JOIN_INVITE,
    SIGN_JOIN_DEVICE,
    SIGN_INSTANT,
    SIGN_MARKER,
    SIGN_SYNC_PROOF,
    SIGN_PEER_BINDING,
    SIGN_PROFILE,
    SIGN_PORTRAIT,
    SIGN_PRESENCE,
    SIGN_MAILBOX,
    SIGN_NAME,
    SIGN_NAME_MOVE,
    SIGN_NAME_HELD,
    SIGN_CONTACT_KEY,
    SIGN_LETTER,
];

/// Commitment to an epoch secret, public in the Rotate.
pub const KDF_EPOCH_COMMIT: &str = "epoch commit";
/// Next slice of an epoch.
pub const KDF_SLICE: &str = "slice";
/// Commitment to a slice secret, public in an Admit.
pub const KDF_SLICE_COMMIT: &str = "slice commit";
/// First chain key of a sender in a slice.
pub const KDF_SENDER: &str = "sender";
/// Next chain key of a sender.
pub const KDF_CHAIN: &str = "chain";
/// Message key of a header.
pub const KDF_MESSAGE: &str = "msg";
/// Gossip wrap key of a slice.
pub const KDF_GOSSIP: &str = "gossip";
/// Key that profiles are sealed under, of a slice.
pub const KDF_PROFILE: &str = "profile";
/// Hint of a gossip wrap key.
pub const KDF_GOSSIP_HINT: &str = "gossip hint";
/// A block of randomness mixed with secrets.
pub const KDF_HEDGE: &str = "hedge";
/// Key that proves the mailbox of a slice or a door.
pub const KDF_MAILBOX: &str = "mailbox";
/// Key that seals what is put in the mailbox of a slice or a door.
pub const KDF_MAILBOX_SEAL: &str = "mailbox seal";
/// Key that proves the inbox of an account.
pub const KDF_INBOX: &str = "inbox";
/// X25519 key that requests in an inbox are sealed to.
pub const KDF_INBOX_BOX: &str = "inbox box";
/// Sync probe.
pub const KDF_PROBE: &str = "probe";
/// Key that encrypts the sync proof.
pub const KDF_PROOF: &str = "proof";
/// Key under which members find each other in the DHT of relays, for a day.
pub const KDF_PLACE: &str = "place";
/// When the day of such a key begins.
pub const KDF_PLACE_SHIFT: &str = "place shift";
/// Root key of a generation, from the recovery phrase.
pub const KDF_ROOT: &str = "root";
/// Signing key of an invite, from the link's seed.
pub const KDF_INVITE_SIGN: &str = "invite sign";
/// X25519 key of an invite, from the link's seed.
pub const KDF_INVITE_BOX: &str = "invite box";
/// Mailbox key of an invite's door, from the link's seed.
pub const KDF_INVITE_DOOR: &str = "invite door";
/// Key that seals what an instant invite leaves at its door, from the link's seed.
pub const KDF_INVITE_INSTANT: &str = "invite instant";
/// Signing key of the invite that the guests of an instant one come by, from the link's seed.
pub const KDF_GUEST_SIGN: &str = "guest sign";
/// Root of the account of a guest, from the link's seed.
pub const KDF_GUEST_ROOT: &str = "guest root";
/// Device key of a guest, from the link's seed.
pub const KDF_GUEST_DEVICE: &str = "guest device";
/// Leaf key of a guest, from the link's seed.
pub const KDF_GUEST_LEAF: &str = "guest leaf";
/// Sealing key of a vault's purpose.
pub const KDF_VAULT: &str = "vault";
/// What opens a backup in place of a passphrase, from the root seed.
pub const KDF_BACKUP: &str = "backup";
/// Blinding key of a vault's purpose.
pub const KDF_VAULT_BLIND: &str = "vault blind";
/// Contact key of an account, from its root key.
pub const KDF_CONTACT: &str = "contact";
/// What two accounts agree on, from their contact keys.
pub const KDF_DIRECT: &str = "direct";

/// Key of a chunk of a file.
pub const KDF_FILE_CHUNK: &str = "file chunk";
/// What a file is named by.
pub const KDF_FILE_ID: &str = "file id";

/// All KDF labels.
pub const KDFS: [&str; 34] = [
    KDF_EPOCH_COMMIT,
    KDF_SLICE,
    KDF_SLICE_COMMIT,
    KDF_SENDER,
    KDF_CHAIN,
    KDF_MESSAGE,
    KDF_GOSSIP,
    KDF_PROFILE,
    KDF_GOSSIP_HINT,
    KDF_HEDGE,
    KDF_MAILBOX,
    KDF_MAILBOX_SEAL,
    KDF_INBOX,
    KDF_INBOX_BOX,
    KDF_PROBE,
    KDF_PROOF,
    KDF_PLACE,
    KDF_PLACE_SHIFT,
    KDF_ROOT,
    KDF_INVITE_SIGN,
    KDF_INVITE_BOX,
    KDF_INVITE_DOOR,
    KDF_INVITE_INSTANT,
    KDF_GUEST_SIGN,
    KDF_GUEST_ROOT,
    KDF_GUEST_DEVICE,
    KDF_GUEST_LEAF,
    KDF_VAULT,
    KDF_BACKUP,
    KDF_VAULT_BLIND,
    KDF_CONTACT,
    KDF_DIRECT,
    KDF_FILE_CHUNK,
    KDF_FILE_ID,
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_uses_share_a_label() {
        assert_eq!(SIGNATURES.iter().collect::<HashSet<_>>().len(), SIGNATURES.len());
        assert_eq!(KDFS.iter().collect::<HashSet<_>>().len(), KDFS.len());
        assert!(SIGNATURES.iter().chain(&KDFS).all(|l| l.is_ascii() && !l.contains('\0') && l.len() <= 32));
    }
}
