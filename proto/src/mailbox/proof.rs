//! Proofs: a signature with the key of a box over the nonce and the name of the relay at the other end of the line.
//!
//! `Sign(box key, "mailbox", nonce[32] || kind u8 || box key[32] || relay peer id)`. The nonce is the relay's and fresh, so
//! a proof can not be played again; the name of the relay is the one that the transport proved, so a relay that is given a
//! proof can not use it at another (attack 55).

use parlor_crypto::{PublicKey, Signature, SigningKey, label};

use super::name::{BoxKind, BoxName, RelayId};

/// The box of this kind that `key` proves.
pub fn name_of(kind: BoxKind, key: &SigningKey) -> BoxName {
    BoxName { kind, key: key.public_bytes() }
}

/// Proves a box of this kind to a relay, on the line with this nonce.
pub fn prove(kind: BoxKind, key: &SigningKey, nonce: &[u8; 32], relay: &RelayId) -> Signature {
    key.sign(label::SIGN_MAILBOX, &[nonce, &name_of(kind, key).to_bytes(), relay.as_bytes()])
}

/// Whether `proof` proves `name` to this relay on the line with this nonce.
pub fn is_proved(name: &BoxName, proof: &Signature, nonce: &[u8; 32], relay: &RelayId) -> bool {
    let parts: [&[u8]; 3] = [nonce, &name.to_bytes(), relay.as_bytes()];
    PublicKey::parse(&name.key).is_ok_and(|key| key.verify(label::SIGN_MAILBOX, &parts, proof).is_ok())
}

#[cfg(test)]
mod tests {
    use parlor_crypto::Secret;

    use super::*;

    #[test]
    fn a_proof_holds_for_one_box_line_and_relay() {
        let key = SigningKey::from_seed(&Secret::new([1; 32]));
        let relay = RelayId::new(b"relay").unwrap();
        let name = name_of(BoxKind::Room, &key);
        let proof = prove(BoxKind::Room, &key, &[2; 32], &relay);
        assert!(is_proved(&name, &proof, &[2; 32], &relay));
        assert!(!is_proved(&name, &proof, &[3; 32], &relay), "another line");
        assert!(!is_proved(&name, &proof, &[2; 32], &RelayId::new(b"relay2").unwrap()), "another relay");
        assert!(!is_proved(&BoxName { kind: BoxKind::Door, ..name }, &proof, &[2; 32], &relay), "another kind");
        let other = name_of(BoxKind::Room, &SigningKey::from_seed(&Secret::new([4; 32])));
        assert!(!is_proved(&other, &proof, &[2; 32], &relay), "another box");
        // The identity point, for which the plain equation accepts a signature over anything.
        let mut weak = [0; 32];
        weak[0] = 1;
        let mut zero = [0; 64];
        zero[0] = 1;
        assert!(!is_proved(&BoxName { kind: BoxKind::Room, key: weak }, &Signature(zero), &[2; 32], &relay));
    }
}
