//! A backup of the home, as a stream of bytes.

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use parlor_api::{Code, MakeBackup, Problem};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::{Answer, App};
use crate::backup::{self, BackupKey, Sink, Source};
use crate::clock::now_ms;
use crate::home;
use crate::limits::BACKUP_QUEUE;

/// Hands pieces over to who reads them.
struct Pieces(mpsc::Sender<Answer<Bytes>>);

impl Sink for Pieces {
    fn take(&mut self, bytes: Vec<u8>) -> Result<(), Problem> {
        let gone = |_| Problem::new(Code::Stopping, "nobody takes the backup any more");
        self.0.blocking_send(Ok(bytes.into())).map_err(gone)
    }
}

impl App {
    /// A backup of the home, sealed, while the node goes on. The stream ends with an error if it could not be made whole; dropping it
    /// gives it up.
    ///
    /// # Errors
    /// `bad_request` without a passphrase or with a recovery phrase that is none; `wrong_passphrase` for that of another account;
    /// `busy` while another one is being made.
    pub async fn backup(&self, request: MakeBackup) -> Answer<impl Stream<Item = Answer<Bytes>> + Send + use<>> {
        let key = match (request.passphrase, request.recovery) {
            (Some(text), None) => BackupKey::Passphrase(Zeroizing::new(text)),
            (None, Some(text)) => BackupKey::Recovery(Zeroizing::new(text)),
            _ => {
                return Err(Problem::new(
                    Code::BadRequest,
                    "a backup is sealed under a passphrase or the recovery phrase",
                )
                .hint("give one of both"));
            }
        };
        let one = self.node.backups.clone().try_acquire_owned();
        let one = one.map_err(|_| Problem::new(Code::Busy, "another backup is being made"))?;
        let context = &self.node.context;
        let config = home::read_small(&home::Home::at(&self.node.home).config_file())?.unwrap_or_default();
        let source = Source {
            store: context.store.clone(),
            account: context.identity.now().entrant().account,
            device: context.identity.device(),
            name: context.name.clone(),
            root: context.identity.root().to_seed(),
            locked: self.node.locked,
            config: String::from_utf8(config).map_err(|_| crate::home_damaged("config.toml is not UTF-8"))?,
            now_ms: now_ms(),
        };
        let (sender, mut pieces) = mpsc::channel(BACKUP_QUEUE);
        tokio::task::spawn_blocking(move || {
            let mut to = Pieces(sender);
            if let Err(problem) = backup::write(&source, &key, &mut to) {
                tracing::warn!(%problem, "a backup was not made");
                // Nobody may be there any more.
                let _ = to.0.blocking_send(Err(problem));
            }
            drop(one);
        });
        // What is wrong with the request is answered as every request is.
        let first = pieces.recv().await.ok_or_else(|| Problem::of(Code::Internal))??;
        let rest = stream::unfold(pieces, |mut pieces| async move { Some((pieces.recv().await?, pieces)) });
        Ok(stream::iter([Ok(first)]).chain(rest))
    }
}
