//! Gauges of processes: processor time, memory, and bytes on TCP connections. Linux only; elsewhere they answer zero.

use std::collections::HashSet;
use std::process::Command;

/// Clock ticks a second in `/proc/PID/stat`: 100 on every Linux of today.
const TICKS: f64 = 100.0;
/// Bytes of IPv4 and TCP headers with time stamps around the data of each segment.
const HEADERS: u64 = 52;

/// Processor seconds that a process has used, in all its threads.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold spaces: fields are counted behind it; 14 and 15 are user and system time.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |at: usize| fields.split_whitespace().nth(at).and_then(|field| field.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / TICKS
}

/// Bytes of the files in a folder and below.
///
/// # Errors
/// It can not be read.
pub fn disk(folder: &std::path::Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { disk(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}

/// Resident memory of a process in bytes, now and at its peak.
pub fn memory(pid: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    (kib("VmRSS:").unwrap_or(0) * 1024, kib("VmHWM:").unwrap_or(0) * 1024)
}

/// The peak of this process is from now on.
pub fn forget_peak() {
    // Where the kernel does not allow it the peak stays that of the whole run, which flatters nobody.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// What a connection has carried since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes of data in both directions, without headers.
    pub data: u64,
    /// The same with the headers of IP and TCP, and segments that hold no data.
    pub wire: u64,
}

/// Which connections of this machine are meant.
pub enum Which<'a> {
    /// Those with one of these ports at either end; each is counted at one end.
    Ports(&'a HashSet<u16>),
    /// Those of a process.
    Process(u32),
}

/// What TCP connections have carried, as the kernel counts it.
pub fn tcp(which: &Which<'_>) -> Carried {
    let output = Command::new("ss").args(["-tinpHO"]).output().map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    let mut sum = Carried::default();
    let mut counted: HashSet<[&str; 2]> = HashSet::new();
    for line in text.lines() {
        let mut fields = line.split_whitespace().skip(3);
        let (Some(local), Some(remote)) = (fields.next(), fields.next()) else { continue };
        let meant = match which {
            Which::Ports(ports) => [local, remote].into_iter().filter_map(port).any(|port| ports.contains(&port)),
            Which::Process(pid) => line.contains(&format!("pid={pid},")),
        };
        let mut ends = [local, remote];
        ends.sort_unstable();
        if !meant || !counted.insert(ends) {
            continue;
        }
        let count = |name: &str| {
            let field = line.split_whitespace().find_map(|field| field.strip_prefix(name));
            field.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
        };
        let data = count("bytes_sent:") + count("bytes_received:");
        sum.data += data;
        sum.wire += data + HEADERS * (count("segs_out:") + count("segs_in:"));
    }
    sum
}

fn port(address: &str) -> Option<u16> {
    address.rsplit(':').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gauges_of_this_process_show_something() {
        let me = std::process::id();
        let (now, peak) = memory(me);
        assert!(now > 0 && peak >= now);
        assert!(cpu_seconds(me) >= 0.0);
    }
}
