//! A backup of the home, as a stream of bytes.

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use parlor_api::{Code, MakeBackup, Problem};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::{Answer, App};
use crate::backup::{self, BackupKey, Sink, Source};
use crate::clock::now_ms;
use crate::config::long_enough;
use crate::home;
use crate::limits::{BACKUP_QUEUE, BACKUP_STALL};

/// A piece of a backup on its way, or its end: without that it is not whole, whatever ended it.
type Piece = Answer<Option<Bytes>>;

/// Hands pieces over to who reads them.
struct Pieces {
    sender: mpsc::Sender<Piece>,
    runtime: Handle,
    /// How long one waits to be taken.
    patience: Duration,
}

impl Pieces {
    /// Blocks until there is space.
    fn hand_over(&self, piece: Piece) -> Result<(), Problem> {
        let sent = self.sender.send_timeout(piece, self.patience);
        self.runtime.block_on(sent).map_err(|_| Problem::new(Code::Stopping, "nobody takes the backup any more"))
    }
}

impl Sink for Pieces {
    fn take(&mut self, bytes: Vec<u8>) -> Result<(), Problem> {
        self.hand_over(Ok(Some(bytes.into())))
    }
}

/// The pieces up to the end; an error, if there is none.
fn until_the_end(pieces: mpsc::Receiver<Piece>) -> impl Stream<Item = Answer<Bytes>> + Send {
    stream::unfold(Some(pieces), |pieces| async move {
        let mut pieces = pieces?;
        match pieces.recv().await {
            Some(Ok(Some(bytes))) => Some((Ok(bytes), Some(pieces))),
            Some(Ok(None)) => None,
            Some(Err(problem)) => Some((Err(problem), None)),
            None => Some((Err(Problem::of(Code::Internal)), None)),
        }
    })
}

impl App {
    /// A backup of the home, sealed, while the node goes on. The stream ends with an error if it could not be made whole; dropping it
    /// gives it up.
    ///
    /// # Errors
    /// `conflict` on a device that was revoked; `bad_request` without a passphrase, `passphrase_short`, or with a recovery phrase that is none; `wrong_passphrase` for that of another account;
    /// `busy` while another one is being made.
    pub async fn backup(&self, request: MakeBackup) -> Answer<impl Stream<Item = Answer<Bytes>> + Send + use<>> {
        let key = match (request.passphrase, request.recovery) {
            (Some(text), None) => {
                let text = Zeroizing::new(text);
                long_enough(&text)?;
                BackupKey::Passphrase(text)
            }
            (None, Some(text)) => BackupKey::Recovery(Zeroizing::new(text)),
            _ => {
                return Err(Problem::new(
                    Code::BadRequest,
                    "a backup is sealed under a passphrase or the recovery phrase",
                )
                .hint("give one of both"));
            }
        };
        if self.is_revoked().await? {
            return Err(Problem::new(
                Code::Conflict,
                "this device was revoked: what is restored from its backup would be a device of the account again",
            )
            .hint("save what it holds with: parlor export ROOM --out FILE; make the backup on another device of the account"));
        }
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
        let (sender, pieces) = mpsc::channel(BACKUP_QUEUE);
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            let _one = one;
            let mut to = Pieces { sender, runtime, patience: BACKUP_STALL };
            let made = backup::write(&source, &key, &mut to);
            if let Err(problem) = &made {
                tracing::warn!(%problem, "a backup was not made");
            }
            // Nobody may be there any more.
            let _ = to.hand_over(made.map(|_| None));
        });
        // What is wrong with the request is answered as every request is.
        let mut pieces = Box::pin(until_the_end(pieces));
        let first = pieces.next().await.ok_or_else(|| Problem::of(Code::Internal))??;
        Ok(stream::iter([Ok(first)]).chain(pieces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(patience: Duration) -> (Pieces, mpsc::Receiver<Piece>) {
        let (sender, pieces) = mpsc::channel(BACKUP_QUEUE);
        (Pieces { sender, runtime: Handle::current(), patience }, pieces)
    }

    #[tokio::test]
    async fn a_backup_whose_maker_died_does_not_look_whole() {
        let (mut to, from) = pieces(BACKUP_STALL);
        let made = tokio::task::spawn_blocking(move || {
            to.take(b"some".to_vec()).unwrap();
            panic!("on purpose");
        });
        let got: Vec<_> = until_the_end(from).collect().await;
        assert!(made.await.is_err());
        let [Ok(some), Err(_)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(some.as_ref(), b"some");
    }

    #[tokio::test]
    async fn a_backup_that_was_ended_is_whole_and_one_that_failed_says_why() {
        let (mut to, from) = pieces(BACKUP_STALL);
        let whole = tokio::task::spawn_blocking(move || to.take(b"all".to_vec()).and_then(|()| to.hand_over(Ok(None))));
        let got: Vec<_> = until_the_end(from).collect().await;
        whole.await.unwrap().unwrap();
        assert_eq!(got, [Ok(Bytes::from_static(b"all"))]);
        let (to, from) = pieces(BACKUP_STALL);
        let failed = tokio::task::spawn_blocking(move || to.hand_over(Err(Problem::of(Code::Busy))));
        let got: Vec<_> = until_the_end(from).collect().await;
        failed.await.unwrap().unwrap();
        assert_eq!(got.len(), 1);
        assert!(got[0].as_ref().is_err_and(|problem| problem.code == Code::Busy));
    }

    #[tokio::test]
    async fn who_stops_taking_a_backup_keeps_nobody_else_from_making_one() {
        let (mut to, _from) = pieces(Duration::from_millis(10));
        let stalled = tokio::task::spawn_blocking(move || (0..=BACKUP_QUEUE).try_for_each(|_| to.take(vec![0])));
        assert_eq!(stalled.await.unwrap().unwrap_err().code, Code::Stopping);
    }
}
