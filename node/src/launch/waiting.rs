//! A home whose node waits for the page: for an account to be made, or for its passphrase.

use parlor_api::{Code, Problem, WebCode, WebState};
use tokio::sync::watch;

use super::front::Front;
use super::{Running, open, run};
use crate::config::{Config, Overrides};

/// A home whose local API answers, and whose node does not run yet.
pub struct Waiting {
    config: Config,
    told: Overrides,
    front: Front,
}

/// Serves the page of a home that has no account, or one that is locked with a passphrase: it makes or restores the one and unlocks the
/// other ([`Waiting::opened`]). `told` is what stands above the settings of a home that is restored.
///
/// # Errors
/// `home_locked`, `home_denied`, `home_damaged`, `port_in_use`, `disk_full`.
pub async fn wait(config: Config, told: Overrides) -> Result<Waiting, Problem> {
    config.home.create()?;
    let lock = config.home.lock()?;
    let mut front = Front::bind(&config, lock).await?;
    front.serve_waiting(&config.home)?;
    Ok(Waiting { config, told, front })
}

impl Waiting {
    /// Address of the local API.
    pub fn api(&self) -> String {
        format!("http://{}", self.front.api)
    }

    /// What the page has to do: `New` or `Locked`.
    pub fn state(&self) -> WebState {
        self.front.door.state()
    }

    /// A link that opens the page, once, within a minute.
    ///
    /// # Errors
    /// `busy`.
    pub fn web(&self) -> Result<WebCode, Problem> {
        self.front.door.link()
    }

    /// What ends the waiting when it is told true, and the node that came of it.
    pub fn stopper(&self) -> watch::Sender<bool> {
        self.front.stop.clone()
    }

    /// Waits until the page opened the account, and answers the node that runs then; `None` when it was stopped before.
    ///
    /// # Errors
    /// None but those of the page's answers, which it is told itself.
    pub async fn opened(mut self) -> Result<Option<Running>, Problem> {
        let mut stopping = self.front.stop.subscribe();
        loop {
            let asked = tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => None,
                asked = self.front.asks.recv() => asked,
            };
            let Some(ask) = asked else {
                // Whoever made an account or restored one meanwhile asks in vain for its node.
                self.front.asks.close();
                while self.front.asks.recv().await.is_some() {}
                let server = self.front.server();
                self.front.door.stop();
                let _ = server.await;
                // What is being restored ends before somebody else may have the home.
                self.front.door.idle().await;
                self.config.home.remove_api();
                return Ok(None);
            };
            if ask.reply.is_closed() {
                continue;
            }
            let started = match if ask.restored { self.read_settings() } else { Ok(()) } {
                Ok(()) => {
                    self.config.passphrase = ask.passphrase;
                    self.start().await
                }
                Err(problem) => Err(problem),
            };
            match started {
                Ok(parts) => {
                    let _ = ask.reply.send(Ok(()));
                    return Ok(Some(Running::new(parts, self.config.home, self.front)));
                }
                Err(problem) => {
                    if problem.code != Code::WrongPassphrase {
                        tracing::warn!(%problem, "the node could not start");
                    }
                    let _ = ask.reply.send(Err(problem));
                }
            }
        }
    }

    /// Takes over the settings that came with a backup. Where the page is served stays as it is: it is open.
    fn read_settings(&mut self) -> Result<(), Problem> {
        let (home, told) = (self.config.home.clone(), self.told.clone());
        let Config { api, desktop, carriers, .. } = self.config;
        self.config = Config { api, desktop, carriers, ..Config::load(home, told)? };
        Ok(())
    }

    async fn start(&mut self) -> Result<super::Parts, Problem> {
        let (account, store) = open(&self.config).await?;
        run(&self.config, &mut self.front, account, store).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parlor_api::{CheckedWord, Setup};

    use super::*;
    use crate::{Home, Passphrase};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_of_the_api_that_can_not_be_written_keeps_nobody_out_of_his_home() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        let passphrase = || zeroize::Zeroizing::new("correct horse battery".to_owned());
        crate::init_account(&home, "ann", &Passphrase::Given(passphrase())).unwrap();
        let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
        let config = || Config { listen: listen.clone(), mdns: false, ..Config::new(home.clone()) };
        let waiting = wait(config(), Overrides::default()).await.unwrap();
        let (door, in_the_way) = (waiting.front.door.clone(), home.dir().join("api.json"));
        std::fs::remove_file(&in_the_way).unwrap();
        std::fs::create_dir_all(in_the_way.join("full")).unwrap();
        let opened = tokio::spawn(waiting.opened());
        door.unlock(passphrase()).await.expect("the API is where it was");
        let node = opened.await.unwrap().unwrap().unwrap();
        assert!(node.app.list_rooms().await.unwrap().is_empty());
        node.stop().await.unwrap();
        // Who is not told yet where it is has to be, and what ran by then gives the home back.
        let config = Config { passphrase: Passphrase::Given(passphrase()), ..config() };
        assert!(crate::start(config.clone()).await.is_err());
        std::fs::remove_dir_all(&in_the_way).unwrap();
        crate::start(config).await.expect("nobody has the home").stop().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_stops_it_while_an_account_is_made_waits_for_nothing_that_does_not_come() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        for _ in 0..4 {
            let config = Config { mdns: false, ..Config::new(home.clone()) };
            let waiting = wait(config, Overrides::default()).await.unwrap();
            let (door, stop) = (waiting.front.door.clone(), waiting.stopper());
            let words = door.phrase().unwrap().words;
            let check = [1, 5, 9].map(|place| CheckedWord { place, word: words[place as usize - 1].clone() });
            let setup = Setup { name: "ann".to_owned(), check: check.to_vec(), passphrase: None, recovery: None };
            let making = tokio::spawn(async move { door.setup(setup).await });
            stop.send_replace(true);
            let ended = tokio::time::timeout(Duration::from_secs(60), waiting.opened()).await;
            assert!(ended.expect("it ends").is_ok());
            let _ = making.await.unwrap();
            drop(home.lock().expect("nobody has the home"));
            let _ = std::fs::remove_dir_all(home.dir());
        }
    }
}
