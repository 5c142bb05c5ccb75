//! Groups of OpenMLS: the founder, one member who takes part, and others who are only in the tree.

use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::*;
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;

/// The suite with the primitives that ours has.
const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;

/// Somebody with a group.
struct Peer {
    provider: OpenMlsRustCrypto,
    signer: SignatureKeyPair,
    group: Option<MlsGroup>,
}

/// A founder and a member of a group.
pub struct Pair {
    founder: Peer,
    member: Peer,
    /// Where the next one to be removed is in the tree.
    next: u32,
}

impl Peer {
    fn new() -> (Self, KeyPackage) {
        let provider = OpenMlsRustCrypto::default();
        let signer = SignatureKeyPair::new(SUITE.signature_algorithm()).unwrap();
        let key_package = key_package(&provider, &signer);
        (Self { provider, signer, group: None }, key_package)
    }

    fn join(&mut self, welcome: MlsMessageOut) {
        let config = MlsGroupJoinConfig::builder().use_ratchet_tree_extension(true).build();
        let bytes = welcome.tls_serialize_detached().unwrap();
        let message = MlsMessageIn::tls_deserialize(&mut bytes.as_slice()).unwrap();
        let MlsMessageBodyIn::Welcome(welcome) = message.extract() else { unreachable!("a Welcome was made") };
        let staged = StagedWelcome::new_from_welcome(&self.provider, &config, welcome, None).unwrap();
        self.group = Some(staged.into_group(&self.provider).unwrap());
    }

    fn group(&mut self) -> &mut MlsGroup {
        self.group.as_mut().unwrap()
    }

    fn add(&mut self, key_packages: &[KeyPackage]) -> (Vec<u8>, MlsMessageOut) {
        let Self { provider, signer, group } = self;
        let group = group.as_mut().unwrap();
        let (commit, welcome, _) = group.add_members(provider, signer, key_packages).unwrap();
        group.merge_pending_commit(provider).unwrap();
        (commit.tls_serialize_detached().unwrap(), welcome)
    }

    /// New keys on the way from the own leaf to the root.
    fn update(&mut self) -> Vec<u8> {
        let Self { provider, signer, group } = self;
        let group = group.as_mut().unwrap();
        let bundle = group.self_update(provider, signer, LeafNodeParameters::default()).unwrap();
        let commit = bundle.into_commit().tls_serialize_detached().unwrap();
        group.merge_pending_commit(provider).unwrap();
        commit
    }

    fn take(&mut self, bytes: &[u8]) {
        let Self { provider, group, .. } = self;
        let group = group.as_mut().unwrap();
        let message = MlsMessageIn::tls_deserialize_exact(bytes).unwrap().try_into_protocol_message().unwrap();
        match group.process_message(provider, message).unwrap().into_content() {
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                group.merge_staged_commit(provider, *commit).unwrap();
            }
            ProcessedMessageContent::ApplicationMessage(message) => assert!(!message.into_bytes().is_empty()),
            _ => unreachable!("nothing else is sent"),
        }
    }
}

fn key_package(provider: &OpenMlsRustCrypto, signer: &SignatureKeyPair) -> KeyPackage {
    let credential = BasicCredential::new(signer.to_public_vec()).into();
    let credential = CredentialWithKey { credential, signature_key: signer.to_public_vec().into() };
    KeyPackage::builder().build(SUITE, provider, signer, credential).unwrap().key_package().clone()
}

impl Pair {
    fn found() -> (Peer, Peer, KeyPackage) {
        let (mut founder, _) = Peer::new();
        let (member, key) = Peer::new();
        let credential = BasicCredential::new(founder.signer.to_public_vec()).into();
        let credential = CredentialWithKey { credential, signature_key: founder.signer.to_public_vec().into() };
        let config = MlsGroupCreateConfig::builder().ciphersuite(SUITE).use_ratchet_tree_extension(true).build();
        founder.group = Some(MlsGroup::new(&founder.provider, &founder.signer, &config, credential).unwrap());
        (founder, member, key)
    }

    /// A group of `n` who were all added at once: no keys in the inner nodes but the founder's.
    pub fn cold(n: u64) -> Self {
        let (mut founder, mut member, key) = Self::found();
        let others = (2..n).map(|_| {
            let provider = OpenMlsRustCrypto::default();
            key_package(&provider, &SignatureKeyPair::new(SUITE.signature_algorithm()).unwrap())
        });
        let keys: Vec<KeyPackage> = std::iter::once(key).chain(others).collect();
        let (_, welcome) = founder.add(&keys);
        member.join(welcome);
        Self { founder, member, next: 2 }
    }

    /// A group of `n` in which everybody has committed since: all inner nodes have keys.
    pub fn warm(n: u64) -> Self {
        let (mut founder, mut member, key) = Self::found();
        let (_, welcome) = founder.add(&[key]);
        member.join(welcome);
        for _ in 2..n {
            let (mut other, key) = Peer::new();
            let (commit, welcome) = founder.add(&[key]);
            member.take(&commit);
            other.join(welcome);
            let update = other.update();
            founder.take(&update);
            member.take(&update);
        }
        let update = member.update();
        founder.take(&update);
        Self { founder, member, next: 2 }
    }

    /// The founder removes somebody: the commit, as it goes to everybody.
    pub fn remove_one(&mut self) -> Vec<u8> {
        let Peer { provider, signer, group } = &mut self.founder;
        let group = group.as_mut().unwrap();
        let (commit, _, _) = group.remove_members(provider, signer, &[LeafNodeIndex::new(self.next)]).unwrap();
        group.merge_pending_commit(provider).unwrap();
        self.next += 1;
        commit.tls_serialize_detached().unwrap()
    }

    /// The founder seals a message.
    pub fn seal(&mut self, text: &[u8]) -> Vec<u8> {
        let Peer { provider, signer, group } = &mut self.founder;
        let message = group.as_mut().unwrap().create_message(provider, signer, text).unwrap();
        message.tls_serialize_detached().unwrap()
    }

    /// The member takes a commit or a message.
    pub fn take(&mut self, bytes: &[u8]) {
        assert!(self.member.group().is_active());
        self.member.take(bytes);
    }
}
