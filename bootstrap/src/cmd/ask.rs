//! What the operator asks a running relay: `stats`, `names`, `ban`.

use parlor_bootstrap::admin::{self, Command};
use parlor_bootstrap::config::Config;
use parlor_bootstrap::limits::ADMIN_PAGE;
use parlor_bootstrap::problem::{Code, Problem};
use parlor_bootstrap::relay::Stats;
use serde_json::Value;

use crate::args::{BanCommand, Globals, NamesCommand, StatsArgs};
use crate::out::{Done, Fail, Out};

fn ask(globals: &Globals, command: &Command) -> Result<Value, Fail> {
    Ok(admin::ask(&Config::data_dir(&globals.told())?, command)?)
}

/// How the relay does.
///
/// # Errors
/// It does not answer; with `--healthy`, something is wrong with it.
pub fn stats(args: StatsArgs, globals: &Globals, out: Out) -> Done {
    let value = ask(globals, &Command::Stats)?;
    let stats: Stats = serde_json::from_value(value.clone()).map_err(Problem::internal)?;
    if out.json {
        out.json(&value)?;
    } else {
        show(&stats, out)?;
    }
    if args.healthy && !stats.faults.is_empty() {
        let what = format!("the relay is failing: {}", stats.faults.join(", "));
        return Err(Problem::new(Code::Internal, what).hint("look into its log").into());
    }
    Ok(())
}

/// By what nodes use it.
///
/// # Errors
/// It does not answer.
pub fn address(globals: &Globals, out: Out) -> Done {
    let value = ask(globals, &Command::Address)?;
    if out.json {
        return out.json(&value);
    }
    for text in value["relay"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        out.line(text)?;
    }
    Ok(())
}

fn show(stats: &Stats, out: Out) -> Done {
    out.line(format!("{} {} ({}), up {}", stats.peer_id, stats.status, stats.version, uptime(stats.uptime)))?;
    for fault in &stats.faults {
        out.line(format!("  FAULT        {fault}"))?;
    }
    let away = if stats.peers_away.is_empty() { String::new() } else { format!(", {} away", stats.peers_away.len()) };
    let rows = [
        ("access", if stats.open { "open".to_owned() } else { "token".to_owned() }),
        ("connections", stats.connections.to_string()),
        ("reservations", stats.reservations.to_string()),
        ("circuits", stats.circuits.to_string()),
        ("lines", stats.lines.to_string()),
        ("relays", format!("{} connected{away}, {} told to nodes", stats.peers.len(), stats.peers_known.len())),
        (
            "mailboxes",
            format!(
                "{} blobs, {}; with what each takes beside {} of {}",
                stats.mailbox_blobs,
                size(stats.mailbox_bytes),
                size(stats.mailbox_counted_bytes),
                size(stats.mailbox_max_bytes)
            ),
        ),
        ("names", stats.names.to_string()),
        ("bans", stats.bans.to_string()),
        ("disk", format!("{} used, {} free", size(stats.data_bytes), size(stats.disk_free_bytes))),
        ("memory", size(stats.memory_bytes)),
        ("open files", format!("{} of {}", stats.open_files, stats.open_files_max)),
    ];
    for (name, text) in rows {
        out.line(format!("  {name:<12} {text}"))?;
    }
    for (title, list) in [("listens on", &stats.listen), ("known as", &stats.external)] {
        for address in list {
            out.line(format!("  {title:<12} {address}"))?;
        }
    }
    Ok(())
}

/// Names.
///
/// # Errors
/// It does not answer, or there is no such name.
pub fn names(command: Option<NamesCommand>, globals: &Globals, out: Out) -> Done {
    match command.unwrap_or(NamesCommand::List { after: None, limit: None }) {
        NamesCommand::List { after, limit } => list_names(after, limit.unwrap_or(usize::MAX), globals, out),
        NamesCommand::Show { name } => {
            let value = ask(globals, &Command::Name { name })?;
            if out.json {
                return out.json(&value);
            }
            for key in ["name", "account", "since", "changed_at", "card_bytes"] {
                out.line(format!("  {key:<12} {}", text(&value, key)))?;
            }
            Ok(())
        }
        NamesCommand::Remove { name } => {
            let value = ask(globals, &Command::RemoveName { name })?;
            if out.json { out.json(&value) } else { out.line(format!("{} is free", text(&value, "name"))) }
        }
    }
}

fn list_names(mut after: Option<String>, mut left: usize, globals: &Globals, out: Out) -> Done {
    loop {
        let limit = left.min(ADMIN_PAGE);
        let value = ask(globals, &Command::Names { after: after.clone(), limit })?;
        let page = value.as_array().cloned().unwrap_or_default();
        for row in &page {
            if out.json {
                out.json(row)?;
            } else {
                out.line(format!("{:<32} {}  since {}", text(row, "name"), text(row, "account"), text(row, "since")))?;
            }
        }
        left -= page.len().min(left);
        after = page.last().map(|row| text(row, "name"));
        if left == 0 || page.len() < limit {
            return Ok(());
        }
    }
}

/// Bans.
///
/// # Errors
/// It does not answer, or nobody is meant.
pub fn ban(command: Option<BanCommand>, globals: &Globals, out: Out) -> Done {
    match command.unwrap_or(BanCommand::List) {
        BanCommand::List => list_bans(globals, out),
        BanCommand::Add { who, duration, reason } => {
            let seconds = duration.as_deref().map(seconds).transpose()?;
            let value = ask(globals, &Command::Ban { who, seconds, reason })?;
            if out.json { out.json(&value) } else { out.line(ban_row(&value)) }
        }
        BanCommand::Remove { who } => {
            let value = ask(globals, &Command::Unban { who })?;
            if out.json { out.json(&value) } else { out.line(format!("{} may come again", text(&value, "who"))) }
        }
    }
}

fn list_bans(globals: &Globals, out: Out) -> Done {
    let mut skip = 0;
    loop {
        let value = ask(globals, &Command::Bans { skip })?;
        let page = value.as_array().cloned().unwrap_or_default();
        for row in &page {
            if out.json { out.json(row)? } else { out.line(ban_row(row))? }
        }
        skip += page.len();
        if page.len() < ADMIN_PAGE {
            return Ok(());
        }
    }
}

fn ban_row(row: &Value) -> String {
    let until = row["until"].as_str().map_or_else(|| "for good".to_owned(), |until| format!("until {until}"));
    let reason = text(row, "reason");
    // What the operator typed may come from others' texts.
    let reason: String = reason.chars().filter(|c| !c.is_control()).collect();
    format!("{:<54} {until}  {reason}", text(row, "who")).trim_end().to_owned()
}

fn text(row: &Value, key: &str) -> String {
    match &row[key] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The seconds of `30s`, `30m`, `12h`, `7d`, `2w`.
fn seconds(text: &str) -> Result<u64, Problem> {
    let wrong = || {
        Problem::new(Code::Usage, format!("{text} is no duration"))
            .hint("use a number with s, m, h, d or w, such as 7d")
    };
    let (digits, unit) = text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 24 * 3_600,
        "w" => 7 * 24 * 3_600,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).filter(|seconds| *seconds > 0).ok_or_else(wrong)
}

fn size(bytes: u64) -> String {
    let (mut amount, mut unit) = (bytes as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if amount < 1_024.0 {
            break;
        }
        (amount, unit) = (amount / 1_024.0, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") }
}

fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_understood_and_shown() {
        assert_eq!(
            ["30s", "2m", "12h", "7d", "1w"].map(|it| seconds(it).unwrap()),
            [30, 120, 43_200, 604_800, 604_800]
        );
        for wrong in ["", "7", "d", "0d", "-1d", "7 d", "7é", "99999999999999999999w", "18446744073709551615w"] {
            assert_eq!(seconds(wrong).unwrap_err().code, Code::Usage, "{wrong}");
        }
        assert_eq!([0, 1_023, 1_536, 3 << 30].map(size), ["0 B", "1023 B", "1.5 KiB", "3.0 GiB"]);
        assert_eq!([5, 61, 3_700, 90_061].map(uptime), ["5 s", "1 min", "1 h 1 min", "1 d 1 h"]);
    }
}
