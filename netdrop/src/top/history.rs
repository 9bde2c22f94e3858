//! The last packets of each site, and the call chain of the last.

use std::collections::{HashMap, VecDeque};

use super::pane::site_key_of;
use crate::model::{Drop, Timestamp};
use crate::output::words::{DeviceName, NetnsName};
use crate::output::{told_context, told_packet};

/// Sites that are remembered at once.
const SITES: usize = 256;
/// Packets of each.
const PACKETS: usize = 16;

/// Of one site.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// The latest last.
    pub packets: VecDeque<Seen>,
    /// The latest call chain, as the kernel prints it; empty where none was asked for.
    pub stack: Vec<String>,
    /// Its source line.
    pub line: Option<String>,
    /// When the latest came, in drops seen.
    turn: u64,
}

/// A packet that was dropped.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When.
    pub time: Timestamp,
    /// How many drops it stands for.
    pub weight: u64,
    /// All that is known of it, in one line.
    pub text: String,
    /// Its device and namespace.
    pub place: String,
}

/// Of all sites.
#[derive(Debug, Clone, Default)]
pub struct History {
    sites: HashMap<String, Past>,
    turn: u64,
}

impl History {
    /// Takes a drop.
    pub fn record(&mut self, drop: &Drop<'_>) {
        self.turn += 1;
        let key = site_key_of(drop);
        if self.sites.len() >= SITES && !self.sites.contains_key(&key) {
            self.forget_oldest();
        }
        let past = self.sites.entry(key).or_default();
        past.turn = self.turn;
        if past.packets.len() >= PACKETS {
            past.packets.pop_front();
        }
        past.packets.push_back(Seen {
            time: drop.time,
            weight: drop.weight,
            text: text(drop),
            place: place(drop),
        });
        if past.stack != drop.context.stack && !drop.context.stack.is_empty() {
            past.stack = drop.context.stack.to_vec();
        }
        if past.line.is_none() {
            past.line = drop.site.source.as_ref().map(|source| source.line.clone());
        }
    }

    /// Of the site with this [key](site_key_of).
    pub fn of(&self, key: &str) -> Option<&Past> {
        self.sites.get(key)
    }

    /// How many sites it remembers.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.sites.len()
    }

    fn forget_oldest(&mut self) {
        let oldest = self.sites.iter().min_by_key(|(_, past)| past.turn).map(|(key, _)| key.clone());
        if let Some(key) = oldest {
            self.sites.remove(&key);
        }
    }
}

/// Addresses, protocol, flags, socket, owner.
fn text(drop: &Drop<'_>) -> String {
    let mut bytes = Vec::with_capacity(128);
    told_packet(drop.packet, &mut bytes);
    told_context(&drop.context, &mut bytes);
    String::from_utf8_lossy(&bytes).trim_start().to_owned()
}

fn place(drop: &Drop<'_>) -> String {
    let device = drop.device.map_or(String::new(), |device| format!(" dev {}", DeviceName(device)));
    let netns = drop.netns.map_or(String::new(), |netns| format!(" netns {}", NetnsName(netns)));
    device + &netns
}
