//! What stands before the node: the home's lock, the socket of the local API, and the door.

use std::net::SocketAddr;

use parlor_api::{Code, Problem};
use parlor_storage::private;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::account::rng;
use crate::app::App;
use crate::bus::rfc3339;
use crate::clock::now_ms;
use crate::config::Config;
use crate::door::{Ask, Door};
use crate::home::{ApiFile, Home};
use crate::http::{self, Switch, Tokens};

/// What is there before a node runs, and goes on with it.
pub(super) struct Front {
    pub(super) lock: private::Lock,
    pub(super) door: Door,
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) api: SocketAddr,
    /// Says true when all is to end.
    pub(super) stop: watch::Sender<bool>,
    serving: Serving,
    /// Says true when connections are to end.
    ended: watch::Receiver<bool>,
}

enum Serving {
    Not(TcpListener, watch::Sender<bool>),
    Since(Switch, JoinHandle<()>),
    Over,
}

impl Front {
    /// Listens for the local API of a home whose lock this is. Nothing is answered before [`serve`](Self::serve).
    ///
    /// # Errors
    /// `port_in_use`, `bad_config`, `home_denied`, `home_damaged`, `disk_full`.
    pub(super) async fn bind(config: &Config, lock: private::Lock) -> Result<Self, Problem> {
        let listener = http::bind(config.api).await?;
        let api = listener.local_addr().map_err(|e| Problem::new(Code::Internal, e.to_string()))?;
        let (stop, (ending, ended)) = (watch::Sender::new(false), watch::channel(false));
        let (door, asks) =
            Door::new(config.home.clone(), tokens(&config.home)?, format!("http://{api}"), stop.clone())?;
        Ok(Self { lock, door, asks, api, stop, serving: Serving::Not(listener, ending), ended })
    }

    /// Answers as a home does whose node does not run yet.
    ///
    /// # Errors
    /// `home_denied`, `disk_full`.
    pub(super) fn serve_waiting(&mut self, home: &Home) -> Result<(), Problem> {
        self.serve(http::waiting(self.door.clone(), self.api.port()));
        self.announce(home)
    }

    /// Answers as the node of this home. When it fails all is as before: nobody is told of a node that does not run.
    ///
    /// # Errors
    /// `home_denied`, `home_damaged`, `disk_full`.
    pub(super) fn serve_node(&mut self, app: App, home: &Home) -> Result<(), Problem> {
        let announced = self.announce(home);
        match &self.serving {
            Serving::Not(..) => announced?,
            // Where the API is was said when it began, and a disk that is full by now is no reason not to open.
            Serving::Since(..) | Serving::Over => drop(announced.inspect_err(|problem| {
                tracing::warn!(%problem, "the file that says where the API is could not be written anew");
            })),
        }
        self.door.opened()?;
        self.serve(http::router(app, self.door.clone(), self.api.port(), self.ended.clone()));
        Ok(())
    }

    fn serve(&mut self, router: axum::Router) {
        self.serving = match std::mem::replace(&mut self.serving, Serving::Over) {
            Serving::Not(listener, ending) => {
                let switch = Switch::new(router);
                let mut stopping = self.stop.subscribe();
                let shutdown = async move { drop(stopping.wait_for(|stopping| *stopping).await) };
                let server = tokio::spawn(http::serve(listener, switch.clone(), shutdown, ending));
                Serving::Since(switch, server)
            }
            Serving::Since(switch, server) => {
                switch.set(router);
                Serving::Since(switch, server)
            }
            Serving::Over => Serving::Over,
        };
    }

    /// The task that serves, to be waited for after a stop.
    pub(super) fn server(&mut self) -> JoinHandle<()> {
        match std::mem::replace(&mut self.serving, Serving::Over) {
            Serving::Since(_, server) => server,
            Serving::Not(..) | Serving::Over => tokio::spawn(async {}),
        }
    }

    /// Writes where the API is.
    fn announce(&self, home: &Home) -> Result<(), Problem> {
        let api = format!("http://{}", self.api);
        home.write_api(&ApiFile { api, pid: std::process::id(), started_at: rfc3339(now_ms()) })
    }
}

/// The token of the home, made if there is none.
fn tokens(home: &Home) -> Result<Tokens, Problem> {
    let mut fresh = Zeroizing::new([0; 32]);
    rand::Rng::fill_bytes(&mut rng(), fresh.as_mut_slice());
    Ok(Tokens::new(home.token_or(&fresh)?))
}
