//! `netdrop doctor` on this machine as it is: how much longer than its window it takes, from exec to its end.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::sample::Sample;

/// What passes between the two readings is no cost.
const WINDOW: Duration = Duration::from_secs(1);

/// In milliseconds.
pub fn over_its_window(netdrop: &Path, rounds: u16) -> Result<Option<Sample>> {
    println!("the doctor");
    let took: Vec<f64> = (0..rounds).map(|_| once(netdrop)).collect::<Result<_>>()?;
    Ok(Sample::new(took))
}

fn once(netdrop: &Path) -> Result<f64> {
    let window = format!("{}s", WINDOW.as_secs());
    let start = Instant::now();
    let status = Command::new(netdrop)
        .args(["doctor", "--format", "json", "--window", &window])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {}", netdrop.display()))?;
    ensure!(status.success(), "netdrop doctor ended with {status}");
    Ok(start.elapsed().saturating_sub(WINDOW).as_secs_f64() * 1000.0)
}
