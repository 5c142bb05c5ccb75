//! The contact key of an account: what strangers seal a first letter to, and what two accounts agree on.
//!
//! ```text
//! seed     KDF(root key, "contact", "", 32)                         every device of the account has it
//! key      Ed25519 of the seed: signs for the account's inbox mailbox
//! agree    X25519: the same secret scalar; the public half is the Montgomery form of the Ed25519 key (RFC 7748 4.1)
//! sig      by the account's root over account[32] || key[32], label "contact key"
//! pair     KDF(X25519(mine, theirs), "direct", lower account || higher account, 32)
//! ```
//! One key of 32 bytes serves both, so that a card fits a QR code. Signatures carry a label and the agreement goes through
//! HKDF with another, so neither says anything about the other.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::account::{CertError, Inception};
use crate::leaf::{LeafPublic, LeafSecret};
use crate::secret::Secret;
use crate::sign::{KeyError, PublicKey, Signature, SigningKey};
use crate::{kdf, label};

/// An account's own contact key. Wiped when dropped.
#[derive(Clone)]
pub struct ContactSecret {
    sign: SigningKey,
    agree: LeafSecret,
}

/// An account's contact key, with its root's word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContactKey {
    /// The Ed25519 key: names the inbox mailbox.
    pub key: [u8; 32],
    /// The root's signature.
    pub sig: Signature,
}

impl ContactSecret {
    /// The contact key of the account with this root key.
    pub fn of_root(root: &Secret) -> Self {
        let sign = SigningKey::from_seed(&kdf::derive(root, label::KDF_CONTACT, &[]));
        let agree = LeafSecret::from_secret(&sign.to_scalar());
        Self { sign, agree }
    }

    /// Signs for the inbox mailbox.
    pub const fn signing_key(&self) -> &SigningKey {
        &self.sign
    }

    /// Opens what was sealed to the key.
    pub const fn leaf(&self) -> &LeafSecret {
        &self.agree
    }

    /// What only the two accounts know, for what they do together.
    ///
    /// # Errors
    /// [`KeyError`] for a key of theirs that gives no shared secret, or is our own.
    pub fn pair(&self, ours: &[u8; 32], theirs: &[u8; 32], key: &ContactPublic) -> Result<Secret, KeyError> {
        if ours == theirs || key.0.as_bytes() == self.agree.public().as_bytes() {
            return Err(KeyError);
        }
        let shared = self.agree.agree(&key.0)?;
        Ok(kdf::derive(&shared, label::KDF_DIRECT, &[ours.min(theirs), ours.max(theirs)]))
    }
}

impl fmt::Debug for ContactSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContactSecret(of {:?})", self.sign.public())
    }
}

/// Somebody's contact key, checked and in the form that is sealed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContactPublic(LeafPublic);

impl ContactPublic {
    /// The X25519 form.
    pub const fn leaf(&self) -> &LeafPublic {
        &self.0
    }
}

impl ContactKey {
    /// The root's word for the contact key of its account.
    pub fn issue(root: &SigningKey, account: &[u8; 32], secret: &ContactSecret) -> Self {
        let key = secret.sign.public_bytes();
        Self { key, sig: root.sign(label::SIGN_CONTACT_KEY, &[account, &key]) }
    }

    /// Checks the root's word; answers the key.
    ///
    /// # Errors
    /// [`CertError`] says what does not hold.
    pub fn verify(&self, account: &Inception) -> Result<ContactPublic, CertError> {
        account.root()?.verify(label::SIGN_CONTACT_KEY, &[&account.account(), &self.key], &self.sig)?;
        let key = PublicKey::parse(&self.key)?;
        Ok(ContactPublic(LeafPublic::parse(&key.to_montgomery())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::RootSeed;
    use crate::hpke;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn person(n: u8) -> (RootSeed, Inception, ContactSecret, ContactKey) {
        let seed = RootSeed::from_secret(Secret::new([n; 32]));
        let root = seed.root_key(0);
        let secret = ContactSecret::of_root(&root.to_seed());
        let inception = seed.inception();
        let key = ContactKey::issue(&root, &inception.account(), &secret);
        (seed, inception, secret, key)
    }

    #[test]
    fn two_accounts_agree_on_one_secret_and_a_third_has_another() {
        let [(_, a, alice, alice_key), (_, b, bob, bob_key), (_, e, eve, _)] = [1, 2, 3].map(person);
        let (a, b, e) = ((a, a.account()), (b, b.account()), (e, e.account()));
        let (of_alice, of_bob) = (alice_key.verify(&a.0).unwrap(), bob_key.verify(&b.0).unwrap());
        let here = alice.pair(&a.1, &b.1, &of_bob).unwrap();
        assert_eq!(here, bob.pair(&b.1, &a.1, &of_alice).unwrap());
        assert_ne!(here, eve.pair(&e.1, &a.1, &of_alice).unwrap());
        assert_ne!(here, alice.pair(&a.1, &e.1, &of_bob).unwrap(), "bound to the accounts");
        assert!(alice.pair(&a.1, &a.1, &of_alice).is_err(), "nobody talks to himself");
    }

    #[test]
    fn what_is_sealed_to_the_public_form_opens_with_the_secret_one() {
        let (_, inception, secret, key) = person(1);
        let rng = &mut StdRng::seed_from_u64(1);
        let public = key.verify(&inception).unwrap();
        let sealed = hpke::seal_box(rng, "test", b"", public.leaf(), b"", b"hello");
        assert_eq!(hpke::open_box("test", b"", secret.leaf(), b"", &sealed).unwrap().as_slice(), b"hello");
    }

    #[test]
    fn a_key_that_the_root_did_not_sign_or_that_is_another_accounts_is_refused() {
        let [(_, alice, _, mut key), (_, bob, _, bobs)] = [1, 2].map(person);
        assert!(key.verify(&bob).is_err());
        key.key = bobs.key;
        assert!(key.verify(&alice).is_err());
    }

    #[test]
    fn keys_of_low_order_are_refused_even_if_a_root_signs_them() {
        let (seed, inception, ..) = person(1);
        let mut identity = [0; 32];
        identity[0] = 1;
        for key in [[0; 32], identity] {
            let sig = seed.root_key(0).sign(label::SIGN_CONTACT_KEY, &[&inception.account(), &key]);
            assert!(ContactKey { key, sig }.verify(&inception).is_err());
        }
    }
}
