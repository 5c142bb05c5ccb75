//! Static validity: what makes a control event acceptable, from itself and its ancestors alone.

/// Why an event breaks the rules, whatever else happened in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The payload is not one of its kind.
    #[error("malformed payload")]
    Payload,
    /// `lamport` is not one more than the greatest before it (attack 27).
    #[error("lamport number out of order")]
    Lamport,
    /// `prev` is not the event before it in its log.
    #[error("does not continue its log")]
    Prev,
    /// The author's device is not certified for an account of the room in the event's past.
    #[error("author not certified")]
    Author,
    /// The grant it is made under is not in its past, or not the author's.
    #[error("made under a grant that is not the author's")]
    Auth,
    /// The grant lacks the permission.
    #[error("the grant lacks the permission")]
    Permission,
    /// It gives more than its author has (attenuation).
    #[error("gives more than its author has")]
    Attenuation,
    /// It names something that is not in its past.
    #[error("names something that is not in its past")]
    Reference,
    /// Papers or signatures of a newcomer do not hold.
    #[error("the newcomer's papers do not hold")]
    Papers,
    /// The invite was not open at the time of the Admit.
    #[error("the invite was not open")]
    Window,
    /// A device or leaf key that belongs to somebody else already.
    #[error("a key that belongs to another device or account")]
    KeyTaken,
    /// The genesis contradicts itself.
    #[error("genesis contradicts itself")]
    Genesis,
    /// A message whose clock is not after that of the message before it.
    #[error("clock not after the message before")]
    Clock,
    /// A message under an epoch that is not in its past, or older than the one its author used before.
    #[error("epoch not in the past of the message, or older than before")]
    Epoch,
    /// A message in a slice that an admission had closed, or with a generation that is not its place in the slice (attack 25).
    #[error("slice or generation out of order")]
    Generation,
}
