//! Cable, module and port: what a switch engineer reads from port counters.

mod allowance;
mod collisions;
mod crc;
mod discards;
mod flapping;
mod framing;
mod length;
mod pause;
mod saturated;
mod speed;
mod storm;
mod symbols;

use super::ports::{Pair, hardware, most};
use super::{Check, Finding, Remedy, Severity, Unread, Window};
use crate::counters::losses::Trouble;
use crate::doctor::Moved;
use crate::doctor::shell::shell;

pub const CHECKS: &[Check] = &[
    crc::CHECK,
    framing::CHECK,
    length::CHECK,
    symbols::CHECK,
    collisions::CHECK,
    speed::CHECK,
    flapping::CHECK,
    pause::RECEIVED,
    pause::SENT,
    discards::CHECK,
    storm::CHECK,
    saturated::CHECK,
    allowance::CHECK,
];

/// A finding for each device at which a sign of trouble moved, by how much beside what it received.
fn damaged(
    window: &Window,
    of: Trouble,
    told: impl Fn(&Pair, u64, Vec<Moved>) -> Finding,
) -> Result<Vec<Finding>, Unread> {
    let mut findings = Vec::new();
    for pair in hardware(window)? {
        let signs = pair.signs(of);
        let lost = most(&signs);
        if lost > 0 {
            let finding = told(&pair, lost, signs).losing(window.rate(lost));
            findings.push(Finding { severity: Severity::of_loss(lost, pair.traffic()[0]), ..finding });
        }
    }
    Ok(findings)
}

/// What a damaged signal is looked into by. Copper has no module to ask.
fn look_at_module(pair: &Pair, window: &Window) -> Remedy {
    let what = "Look at the module's light, temperature and alarms, if it has one.";
    Remedy::command(what, format!("ethtool -m {}", shell(pair.now.name()))).inside(window)
}
