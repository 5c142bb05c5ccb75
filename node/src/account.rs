//! The account of a home: its keys, sealed in one file.
//!
//! `HOME/account` is the vault file ([`parlor_crypto::vault`], [`FILE_LEN`] bytes) followed by the keys, sealed under the
//! vault's purpose `account`. Without a passphrase the vault opens with `HOME/account.key`, 32 bytes of mode 0600. The
//! same vault gives the store its key. The recovery phrase is not in it: it is shown once, when the account is made.
//!
//! An account that is half made does not exist: the key file is written first, the account file, which says that there
//! is an account, last and atomically.

use std::sync::{Arc, PoisonError, RwLock};

use parlor_api::{Code, Problem};
use parlor_crypto::account::Inception;
use parlor_crypto::contact::{ContactKey, ContactSecret};
use parlor_crypto::secret::exposed;
use parlor_crypto::vault::{FILE_LEN, Stretch, Unlock, Vault, VaultError};
use parlor_crypto::{Secret, SigningKey, phrase};
use parlor_proto::identity::Identity;
use parlor_proto::profile;
use parlor_proto::{AccountId, DeviceId, codec};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::Passphrase;
use crate::home::{self, Home};
use crate::launch::NewAccount;

/// Longest name of an account, in bytes: it is shown in lists, and travels in every certificate.
pub(crate) const NAME_MAX: usize = 64;

/// What the keys are sealed for.
const PURPOSE: &str = "account";

/// The system's random generator. A system without random numbers cannot run a node: it panics, and the process ends.
pub(crate) fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// An account with its keys, opened.
pub(crate) struct Account {
    keys: Keys,
    identity: Arc<Identity>,
    /// The vault that sealed it.
    vault: Vault,
}

/// The files of a new account, before they are on the disk.
pub(crate) struct Files {
    /// What opens it, if no passphrase does.
    key: Option<Secret>,
    account: Vec<u8>,
}

/// What `HOME/account` holds, sealed.
#[derive(Serialize, Deserialize)]
struct Keys {
    /// Format, from 1.
    version: u8,
    name: String,
    /// The root key of the present generation: certifies further devices of the account.
    #[serde(with = "exposed")]
    root: Secret,
    /// The libp2p key of this install.
    #[serde(with = "exposed")]
    transport: Secret,
    /// Papers and device keys: [`Identity::to_bytes`].
    identity: Zeroizing<Vec<u8>>,
}

/// Where the root seed of an account that is made in a home comes from.
pub(crate) enum Origin {
    /// It is a new one.
    New,
    /// It is a new one whose phrase was shown already.
    Spelled(Zeroizing<String>),
    /// The account exists, and this is a new device of it: its recovery phrase.
    Recovered(Zeroizing<String>),
}

/// Who this node is, for all its services. Account, device and signing key never change; leaf keys are replaced.
pub(crate) struct Me {
    account: AccountId,
    device: DeviceId,
    signing: SigningKey,
    root: SigningKey,
    now: RwLock<Arc<Identity>>,
}

impl Me {
    pub(crate) fn new(account: &Account) -> Self {
        let (identity, root) = (account.identity(), SigningKey::from_seed(&account.keys.root));
        let (account, device) = (identity.account(), identity.device());
        Self { account, device, signing: identity.signing_key().clone(), root, now: RwLock::new(identity) }
    }

    /// The identity with the leaf keys of now. Not to be kept: rooms are told of another one.
    pub(crate) fn now(&self) -> Arc<Identity> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes an identity with another leaf key, which is stored already.
    pub(crate) fn replace(&self, identity: Arc<Identity>) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    pub(crate) fn account(&self) -> AccountId {
        self.account
    }

    pub(crate) fn device(&self) -> DeviceId {
        self.device
    }

    pub(crate) fn signing_key(&self) -> &SigningKey {
        &self.signing
    }

    /// The root key of the account: it certifies devices and revokes them, nothing else.
    pub(crate) fn root(&self) -> &SigningKey {
        &self.root
    }
}

impl Account {
    /// Makes the account of a home. See [`crate::launch::init_account`].
    pub(crate) fn make(
        home: &Home,
        name: &str,
        passphrase: &Passphrase,
        origin: Origin,
        now_ms: u64,
    ) -> Result<NewAccount, Problem> {
        let name = chosen_name(name)?;
        let name = name.as_str();
        if home.has_account() {
            let problem = Problem::new(Code::AlreadyExists, "this home has an account already");
            return Err(problem.hint("use it, or name another home with --home DIR"));
        }
        must_be_whole(home)?;
        passphrase.must_be_long()?;
        let parse = |text: &str| {
            phrase::parse(text).map_err(|error| {
                Problem::new(Code::BadRequest, format!("the recovery phrase can not be used: {error}"))
            })
        };
        let made = match origin {
            Origin::New => Identity::create(name, now_ms, &mut rng()),
            Origin::Spelled(text) => {
                let seed = parse(&text)?;
                Identity::add_device(&seed, name, 1, now_ms, &mut rng()).map(|identity| (seed, identity))
            }
            Origin::Recovered(text) => {
                let seed = parse(&text)?;
                Identity::add_device(&seed, name, now_ms, now_ms, &mut rng()).map(|identity| (seed, identity))
            }
        };
        let (seed, identity) =
            made.map_err(|error| Problem::new(Code::BadRequest, format!("the name can not be used: {error}")))?;
        let keys = Keys {
            version: Keys::VERSION,
            name: name.to_owned(),
            root: seed.root_key(0).to_seed(),
            transport: Secret::random(&mut rng()),
            identity: identity.to_bytes(),
        };
        let made = NewAccount {
            account: identity.account().to_string(),
            device: identity.device().to_string(),
            name: name.to_owned(),
            recovery_phrase: phrase::spell(&seed),
        };
        keys.seal(home, passphrase)?.1.write(home)?;
        Ok(made)
    }

    /// The account of a home that a backup was made of: a new device of it, certified by its root key. Nothing is written yet.
    pub(crate) fn restore(
        home: &Home,
        name: &str,
        passphrase: &Passphrase,
        account: Inception,
        root: &Secret,
        now_ms: u64,
    ) -> Result<(Self, Files), Problem> {
        let name = checked_name(name)?;
        let key = SigningKey::from_seed(root);
        let made = Identity::add_device_of(account, &key, name, now_ms, now_ms, &mut rng());
        let identity = made.map_err(|_| crate::backup::damaged("the keys of the account do not belong together"))?;
        let keys = Keys {
            version: Keys::VERSION,
            name: name.to_owned(),
            root: root.clone(),
            transport: Secret::random(&mut rng()),
            identity: identity.to_bytes(),
        };
        let (vault, files) = keys.seal(home, passphrase)?;
        Ok((Self { keys, identity: Arc::new(identity), vault }, files))
    }

    /// Whether the account of a home opens with a passphrase only.
    ///
    /// # Errors
    /// `home_damaged`, `home_denied`.
    pub(crate) fn wants_passphrase(home: &Home) -> Result<bool, Problem> {
        let file = home::read_small(&home.account_file())?.ok_or_else(|| damaged(home))?;
        let (lock, _) = file.split_at_checked(FILE_LEN).ok_or_else(|| damaged(home))?;
        let wants = Vault::wants(lock).map_err(|error| vault_problem(home, error))?;
        Ok(wants == parlor_crypto::vault::Lock::Passphrase)
    }

    /// Opens the account of a home. Blocks for the time of Argon2id when there is a passphrase.
    ///
    /// # Errors
    /// `no_account`, `wrong_passphrase`, `passphrase_needed`, `home_damaged`, `home_denied`.
    pub(crate) fn open(home: &Home, passphrase: &Passphrase) -> Result<Self, Problem> {
        must_be_whole(home)?;
        let path = home.account_file();
        let Some(file) = home::read_small(&path)? else {
            let problem = Problem::new(Code::NoAccount, format!("there is no account in {}", home.dir().display()));
            return Err(problem.hint("make one with: parlor init --name NAME"));
        };
        let (lock, sealed) = file.split_at_checked(FILE_LEN).ok_or_else(|| damaged(home))?;
        let wants = Vault::wants(lock).map_err(|error| vault_problem(home, error))?;
        let vault = match (wants, passphrase.read()?) {
            (parlor_crypto::vault::Lock::Passphrase, Some(text)) => Vault::unlock(lock, Unlock::Passphrase(&text)),
            (parlor_crypto::vault::Lock::Passphrase, None) => Err(VaultError::WantsPassphrase),
            (parlor_crypto::vault::Lock::KeyFile, _) => {
                let opened = Vault::unlock(lock, Unlock::KeyFile(&read_key(home)?));
                // Nobody typed it, so a key that does not fit is a changed file and no wrong passphrase.
                if opened.as_ref().err() == Some(&VaultError::WrongKey) {
                    return Err(bad_key(home, "does not fit the account: it is damaged, or of another home"));
                }
                opened
            }
        };
        let vault = vault.map_err(|error| vault_problem(home, error))?;
        let plain = vault.sealing_key(PURPOSE).open(&[], sealed).map_err(|_| damaged(home))?;
        let plain = Zeroizing::new(plain);
        let keys: Keys = codec::decode(&plain, plain.len()).map_err(|_| damaged(home))?;
        if keys.version != Keys::VERSION {
            let problem = Problem::new(Code::HomeDamaged, format!("{} has a newer format", path.display()));
            return Err(problem.hint("start the newest parlor that this home was used with"));
        }
        let identity = Identity::from_bytes(&keys.identity).map_err(|_| damaged(home))?;
        Ok(Self { keys, identity: Arc::new(identity), vault })
    }

    /// Name of the account.
    pub(crate) fn name(&self) -> &str {
        &self.keys.name
    }

    /// Papers and device keys, as every room uses them.
    pub(crate) fn identity(&self) -> Arc<Identity> {
        self.identity.clone()
    }

    /// The key that signs names at relays: that of the root.
    pub(crate) fn root_key(&self) -> SigningKey {
        SigningKey::from_seed(&self.keys.root)
    }

    /// The contact key, with the root's word for it.
    pub(crate) fn contact_keys(&self) -> crate::services::contacts::Keys {
        let secret = ContactSecret::of_root(&self.keys.root);
        let public = ContactKey::issue(&self.root_key(), &self.identity.account().0, &secret);
        crate::services::contacts::Keys { secret, public }
    }

    /// When the leaf key is to be replaced, milliseconds since 1970.
    pub(crate) fn leaf_due_ms(&self) -> u64 {
        self.identity.leaf_due_ms()
    }

    /// Replaces the leaf key if it is time, and destroys old ones. The new one is on disk when this returns; only then may others
    /// be told. `None` while the present one is young enough. Blocks.
    ///
    /// # Errors
    /// `home_denied`, `disk_full`, `home_damaged`; the old one goes on.
    pub(crate) fn renew_leaf(&mut self, home: &Home, now_ms: u64) -> Result<Option<Arc<Identity>>, Problem> {
        let Some(next) = self.identity.renewed(now_ms, &mut rng()) else { return Ok(None) };
        let path = home.account_file();
        let stored = home::read_small(&path)?.ok_or_else(|| damaged(home))?;
        // The lock stays as it is: it needs the passphrase, which nobody types again.
        let (lock, _) = stored.split_at_checked(FILE_LEN).ok_or_else(|| damaged(home))?;
        let mut file = lock.to_vec();
        let before = std::mem::replace(&mut self.keys.identity, next.to_bytes());
        self.keys.seal_into(&self.vault, &mut file);
        if let Err(problem) = home::write_private(&path, &file) {
            self.keys.identity = before;
            return Err(problem);
        }
        self.identity = Arc::new(next);
        Ok(Some(self.identity.clone()))
    }

    /// Seed of the libp2p key.
    pub(crate) fn transport_seed(&self) -> [u8; 32] {
        *self.keys.transport.expose()
    }

    /// The vault, which seals the store too.
    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }
}

impl Files {
    /// Writes them: from here on there is an account.
    pub(crate) fn write(&self, home: &Home) -> Result<(), Problem> {
        if let Some(key) = &self.key {
            home::write_private(&home.key_file(), key.expose())?;
        }
        home::write_private(&home.account_file(), &self.account)
    }
}

impl Keys {
    const VERSION: u8 = 1;

    /// The account of a home that has none, under a new vault.
    fn seal(&self, home: &Home, passphrase: &Passphrase) -> Result<(Vault, Files), Problem> {
        let (vault, text) = (Vault::generate(&mut rng()), passphrase.read()?);
        let key = Secret::random(&mut rng());
        let with = text.as_ref().map_or(Unlock::KeyFile(&key), |text| Unlock::Passphrase(text));
        let file = vault.lock(&mut rng(), with, Stretch::RECOMMENDED);
        let key = Some(key).filter(|_| text.is_none());
        let mut account = file.map_err(|error| vault_problem(home, error))?;
        self.seal_into(&vault, &mut account);
        Ok((vault, Files { key, account }))
    }

    /// Adds them, sealed, to what stands in `file`.
    fn seal_into(&self, vault: &Vault, file: &mut Vec<u8>) {
        let plain = Zeroizing::new(codec::encode(self));
        vault.sealing_key(PURPOSE).seal_into(&mut rng(), &[], &plain, file);
    }
}

/// Where a backup is being restored, or that was broken off, there is no home yet. Where the store of an account is and the account is
/// not, somebody took it away: another one would overwrite the key that opens both.
pub(crate) fn must_be_whole(home: &Home) -> Result<(), Problem> {
    if !home.restoring_file().exists() {
        let rests = home.store_made_file().exists() || home.store_dir().exists();
        if rests && !home.has_account() {
            let what = format!("{} is missing, and what it opens is there", home.account_file().display());
            return Err(Problem::new(Code::HomeDamaged, what).hint(
                "put the file back from a copy of this home, restore a backup, or name another home with --home DIR",
            ));
        }
        return Ok(());
    }
    let what = format!("{} is no home yet: a backup was being restored into it", home.dir().display());
    Err(Problem::new(Code::NoAccount, what).hint("restore it again: parlor backup restore FILE"))
}

/// A name that somebody chooses: what a profile takes, too.
fn chosen_name(name: &str) -> Result<String, Problem> {
    checked_name(name)?;
    profile::name(name).map_err(|error| {
        let problem = Problem::new(Code::BadRequest, format!("the name can not be used: {error}"));
        problem
            .hint("give another one with --name; whatever is in it has to be seen, in letters of one script each word")
    })
}

/// A name that an account had before: only what no account could have.
fn checked_name(name: &str) -> Result<&str, Problem> {
    let name = name.trim();
    let wrong = |what: &str| Err(Problem::new(Code::BadRequest, format!("the name {what}")));
    match name.len() {
        0 => wrong("is empty"),
        n if n > NAME_MAX => wrong("is longer than 64 bytes"),
        _ if name.chars().any(char::is_control) => wrong("holds control characters"),
        _ => Ok(name),
    }
}

fn bad_key(home: &Home, what: &str) -> Problem {
    let problem = Problem::new(Code::HomeDamaged, format!("{} {what}", home.key_file().display()));
    problem.hint("restore the file from a backup: without it nothing in this home can be read")
}

fn read_key(home: &Home) -> Result<Secret, Problem> {
    let path = home.key_file();
    let wrong = |what: &str| bad_key(home, what);
    let bytes = Zeroizing::new(home::read_small(&path)?.ok_or_else(|| wrong("is missing"))?);
    let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| wrong("is damaged"))?;
    Ok(Secret::new(key))
}

fn vault_problem(home: &Home, error: VaultError) -> Problem {
    match error {
        VaultError::WrongKey => Problem::of(Code::WrongPassphrase)
            .hint("type it again; capitals and spaces count. If it is lost, the recovery phrase restores the account"),
        VaultError::WantsPassphrase => Problem::of(Code::PassphraseNeeded).hint("give it with --passphrase-file FILE"),
        VaultError::PassphraseLength => Problem::new(Code::Usage, error.to_string()),
        VaultError::Version { .. } => Problem::new(Code::HomeDamaged, error.to_string()).hint("update parlor"),
        VaultError::Damaged | VaultError::WantsKeyFile | VaultError::Parameters => damaged(home),
    }
}

fn damaged(home: &Home) -> Problem {
    let problem = Problem::new(Code::HomeDamaged, format!("{} is damaged", home.account_file().display()));
    problem.hint("restore the file from a backup; nothing was changed")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn a_new_account_takes_no_name_that_a_profile_does_not_take() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        home.create().unwrap();
        let make = |name: &str| Account::make(&home, name, &Passphrase::None, Origin::New, NOW);
        // A letter of another script, nothing to read aloud, characters that turn others, parentheses.
        for name in ["\u{410}lice", "!!!", "Al\u{202e}ice", "Alice (2)", " "] {
            assert_eq!(make(name).err().unwrap().code, Code::BadRequest, "{name:?}");
        }
        assert!(!home.has_account());
        make("  Alice   Müller ").unwrap();
        assert_eq!(Account::open(&home, &Passphrase::None).unwrap().name(), "Alice Müller");
    }

    #[test]
    fn a_new_leaf_key_is_on_disk_before_anybody_hears_of_it_and_opens_with_the_same_passphrase() {
        for passphrase in [Passphrase::None, Passphrase::Given(Zeroizing::new("correct horse".into()))] {
            let dir = tempfile::tempdir().unwrap();
            let home = Home::at(dir.path());
            home.create().unwrap();
            Account::make(&home, "alice", &passphrase, Origin::New, NOW).unwrap();
            let mut account = Account::open(&home, &passphrase).unwrap();
            assert!(account.renew_leaf(&home, NOW + 1).unwrap().is_none(), "young enough");
            let due_ms = account.leaf_due_ms();
            let renewed = account.renew_leaf(&home, due_ms).unwrap().unwrap();
            let again = Account::open(&home, &passphrase).unwrap();
            assert_eq!(again.identity().entrant(), renewed.entrant());
            assert_eq!((again.identity().leafs().len(), again.name()), (2, "alice"));
            assert_eq!(again.transport_seed(), account.transport_seed());
        }
    }

    #[test]
    fn when_the_disk_refuses_the_old_leaf_key_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        home.create().unwrap();
        Account::make(&home, "alice", &Passphrase::None, Origin::New, NOW).unwrap();
        let mut account = Account::open(&home, &Passphrase::None).unwrap();
        let before = account.identity();
        std::fs::rename(dir.path().join("home"), dir.path().join("moved")).unwrap();
        assert!(account.renew_leaf(&home, account.leaf_due_ms()).is_err());
        assert_eq!(account.identity().entrant(), before.entrant());
        std::fs::rename(dir.path().join("moved"), dir.path().join("home")).unwrap();
        assert!(account.renew_leaf(&home, account.leaf_due_ms()).unwrap().is_some());
    }
}
