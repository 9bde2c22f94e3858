//! Drops explained in full: with socket, owner and call chain, at a steady pace, by netdrop on one core.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::unistd::{SysconfVar, sysconf};
use serde_json::Value;

use super::flood::Flood;
use super::running::Running;
use super::tool::explaining;

/// Drops a second.
pub const RATE: u64 = 100_000;
const SECONDS: u64 = 3;
/// Why the kernel drops them.
const REASON: &str = "SOCKET_RCVBUFF";

/// What one run showed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explained {
    /// Of one core, while the drops came.
    pub cpu: f64,
    /// Drops without a line.
    pub lost: u64,
    /// Lines without socket, owner or call chain.
    pub incomplete: u64,
}

/// Paces drops at a socket that nobody reads, and reads what netdrop wrote of them.
pub fn measure(netdrop: &Path, flood: &Flood, folder: &Path) -> Result<Explained> {
    let packets = RATE * SECONDS;
    let lines = folder.join("explained.json");
    let running = Running::start(&explaining(netdrop, &lines), flood, folder)?;
    let before = cpu_time(running.id())?;
    let took = flood.send_unread(packets, RATE)?;
    let cpu = cpu_time(running.id())?.saturating_sub(before).as_secs_f64() / took.as_secs_f64();
    // What it lost stands in the file: nothing but that is on its standard output.
    running.end()?;
    let mut explained = read(&lines, packets)?;
    explained.cpu = cpu;
    fs::remove_file(&lines).context("cannot remove what netdrop wrote")?;
    Ok(explained)
}

/// Adds up what the lines say. Drops of others may be among them.
fn read(lines: &Path, packets: u64) -> Result<Explained> {
    let file = File::open(lines).with_context(|| format!("cannot read {}", lines.display()))?;
    let mut explained = Explained::default();
    let (mut complete, mut counted) = (0, None);
    for line in BufReader::with_capacity(1 << 20, file).lines() {
        let line = line.context("what netdrop wrote is not text")?;
        if line.starts_with(r#"{"v":1,"kind":"drop""#) && line.contains(&format!(r#""reason":"{REASON}""#)) {
            let has = |member: &str| line.contains(member);
            let whole = has(r#""socket":{"#) && has(r#""owner":{"pid""#) && has(r#""stack":["#);
            complete += u64::from(whole);
            explained.incomplete += u64::from(!whole);
        } else if line.starts_with(r#"{"v":1,"kind":"end""#) {
            counted = Some(count(&line)?);
        }
    }
    let counted = counted.context("netdrop wrote no end")?;
    ensure!(counted >= packets, "netdrop counted {counted} of {packets} drops");
    explained.lost = counted.saturating_sub(complete + explained.incomplete);
    Ok(explained)
}

/// The exact count in netdrop's last line.
fn count(end: &str) -> Result<u64> {
    let end: Value = serde_json::from_str(end).context("netdrop's last line is no JSON")?;
    let rows = end["rows"].as_array().into_iter().flatten();
    Ok(rows.filter(|row| row["reason"] == REASON).filter_map(|row| row["count"].as_u64()).sum())
}

/// User and system time of a process so far.
fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let ticks = ticks(&stat).with_context(|| format!("{path} tells no times"))?;
    let a_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100);
    #[expect(clippy::cast_sign_loss, reason = "a clock has a positive number of ticks")]
    Ok(Duration::from_secs_f64(ticks as f64 / a_second as u64 as f64))
}

/// `utime` and `stime` of `proc_pid_stat(5)`: the 14th and 15th words, of which the second, the command's name, may hold blanks.
fn ticks(stat: &str) -> Option<u64> {
    let mut words = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(words.next()?.parse::<u64>().ok()? + words.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        assert_eq!(ticks("1 (a) b) S 1 1 1 0 -1 4 1 0 0 0 54 17 0 0 20"), Some(71));
        assert_eq!(ticks("1 (a"), None);
    }

    #[test]
    fn what_is_incomplete_or_missing_is_told() {
        let whole =
            r#"{"v":1,"kind":"drop","reason":"SOCKET_RCVBUFF","socket":{"owner":{"pid":1}},"stack":["f"]}"#;
        let file = tempfile::NamedTempFile::new().unwrap();
        let without = whole.replace("owner", "o");
        let other = whole.replace("SOCKET_RCVBUFF", "NO_SOCKET");
        let write = |end: &str| {
            fs::write(file.path(), [whole, &without, &other, end].join("\n")).unwrap();
        };
        write(
            r#"{"v":1,"kind":"end","rows":[{"reason":"NO_SOCKET","count":9},{"reason":"SOCKET_RCVBUFF","count":3}]}"#,
        );
        let explained = read(file.path(), 3).unwrap();
        assert_eq!((explained.incomplete, explained.lost), (1, 1));
        assert!(read(file.path(), 4).is_err(), "fewer than were sent");
        write("");
        assert!(read(file.path(), 3).is_err(), "no end");
    }
}
