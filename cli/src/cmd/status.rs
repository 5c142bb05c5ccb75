//! `parlor status`: how the node does.

use parlor_api::{Relay, Status};

use crate::client::Client;
use crate::cmd::join;
use crate::display;
use crate::out::{Done, Look, Out};
use crate::table::Table;
use parlor_node::count;

/// Runs it.
///
/// # Errors
/// When no node answers.
pub fn run(node: &Client, out: &mut Out) -> Done {
    let status: Status = node.get("/status")?;
    if out.is_json() {
        return out.json(&status);
    }
    out.line(format!("account    {}  {}", status.account, display::neutral_line(&status.name)))?;
    out.line(format!("peer id    {}", status.peer_id))?;
    out.line(format!("local API  {}", status.api))?;
    for address in &status.listen {
        out.line(format!("listens on {address}"))?;
    }
    out.line(format!(
        "relays     {} of {}",
        status.relays.iter().filter(|r| r.connected).count(),
        status.relays.len()
    ))?;
    for relay in &status.relays {
        out.line(format!("           {}  {}", display::neutral_line(&relay.address), of_relay(relay)))?;
    }
    out.line(format!("peers      {}", status.peers.len()))?;
    for peer in &status.peers {
        let name = peer.name.as_deref().map(display::neutral_line).unwrap_or_default();
        let rtt = peer.rtt_ms.map(|ms| format!("{ms} ms")).unwrap_or_default();
        let way = if peer.direct { "" } else { "relayed" };
        out.line(format!("           {} {name} {rtt} {way}", peer.address).trim_end())?;
    }
    out.line(format!("outbox     {}", status.outbox))?;
    // Also those that contacts began, of which nothing more is told.
    let others = status.joining.iter().filter(|room| !status.joins.iter().any(|join| join.room == **room));
    match others.count() {
        0 => {}
        n => out.line(format!("joining    {n}: not answered yet"))?,
    }
    for join in &status.joins {
        out.line(format!("joining    {}", join::told(join)))?;
    }
    if !status.joins.is_empty() {
        out.line("           cancel one, or clear how it ended: parlor join --cancel ROOM")?;
    }
    for warning in &status.warnings {
        out.line(out.paint(Look::Bad, &format!("warning    {}", display::neutral_line(warning))))?;
    }
    let mut table = Table::new(&["room", "peers", "messages", "missing", "in sync"]);
    for room in status.rooms {
        let done = match (room.done, room.asking) {
            (true, _) => "yes",
            (false, true) => "no",
            (false, false) => "no: nobody who has the rest is connected",
        };
        table.row([room.name, room.peers.to_string(), room.have.to_string(), room.want.to_string(), done.into()]);
    }
    table.write(out, "no rooms yet: make one with `parlor room create NAME`")
}

/// How a relay does, in words.
fn of_relay(relay: &Relay) -> String {
    let mut parts = Vec::new();
    parts.push(if relay.connected { "connected" } else { "not connected" }.to_owned());
    parts.extend(relay.reserved.then(|| "reachable through it".to_owned()));
    match (relay.rooms, relay.mailbox) {
        (0, _) => {}
        (_, true) => parts.push("mailbox answers".to_owned()),
        (_, false) => parts.push("mailbox does not answer".to_owned()),
    }
    parts.extend((relay.waiting > 0).then(|| count(relay.waiting, "event waits for it", "events wait for it")));
    parts.extend(relay.error.as_ref().map(|error| display::neutral_line(error)));
    parts.join(", ")
}
