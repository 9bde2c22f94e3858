//! A check, and the table of all.

use super::finding::Finding;
use super::{
    Area, Source, Unread, Window, application, conntrack, interrupts, link, neighbour, netfilter, qdisc,
    ring, routing, settings, softirq, tcp, udp,
};
use crate::kernel::near::closest;
use crate::knowledge;

/// What a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What the host has once: CPUs, tables that all namespaces share. Made once, whatever namespaces are looked at.
    Host,
    /// What each network namespace has its own of.
    Netns,
}

/// From what was read to what is wrong: a pure function with a name.
#[derive(Debug)]
pub struct Check {
    /// What it looks for, in words joined by dashes, the area first; `netdrop explain` knows it by this name.
    pub name: &'static str,
    /// Where on a packet's way.
    pub area: Area,
    /// How often it is made.
    pub scope: Scope,
    /// What must be read for it.
    pub needs: &'static [Source],
    /// The check itself: nothing where nothing is wrong; an error where what it can't do without couldn't be read.
    pub run: fn(&Window) -> Result<Vec<Finding>, Unread>,
}

/// Which namespaces are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All that are given; the first for the whole host too.
    All,
    /// The first for what concerns the whole host alone: it is where netdrop is, and others are asked for.
    FirstForHost,
}

impl Check {
    /// Whether it is made in the namespace at that place.
    pub fn is_due(&self, index: usize, extent: Extent) -> bool {
        match self.scope {
            Scope::Host => index == 0,
            Scope::Netns => index > 0 || extent == Extent::All,
        }
    }

    /// What it looks for, in one sentence: its record in the knowledge base.
    pub fn about(&self) -> &'static str {
        knowledge::check(self.name).map_or("", knowledge::Entry::meaning)
    }
}

/// The areas' checks, along a packet's way.
const AREAS: &[&[Check]] = &[
    link::CHECKS,
    ring::CHECKS,
    interrupts::CHECKS,
    softirq::CHECKS,
    neighbour::CHECKS,
    conntrack::CHECKS,
    netfilter::CHECKS,
    routing::CHECKS,
    qdisc::CHECKS,
    udp::CHECKS,
    tcp::CHECKS,
    application::CHECKS,
    settings::CHECKS,
];

/// All checks, along a packet's way.
pub fn all() -> impl Iterator<Item = &'static Check> {
    AREAS.iter().copied().flatten()
}

/// No area and no check of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no area or check `{name}`{}; `netdrop doctor --list` shows all", near.map_or(String::new(), |near| format!("; did you mean `{near}`?")))]
pub struct UnknownCheck {
    /// What was asked for.
    pub name: String,
    /// What is most like it.
    pub near: Option<&'static str>,
}

/// The checks of these areas, or of these names; all where none is given.
///
/// # Errors
/// When there is no area and no check of a name.
pub fn chosen(only: &[String]) -> Result<Vec<&'static Check>, UnknownCheck> {
    let is = |check: &Check, name: &str| check.name == name || check.area.as_str() == name;
    for name in only {
        if !all().any(|check| is(check, name)) {
            let names = all().flat_map(|check| [check.area.as_str(), check.name]);
            return Err(UnknownCheck { name: name.clone(), near: closest(name, names) });
        }
    }
    Ok(all().filter(|check| only.is_empty() || only.iter().any(|name| is(check, name))).collect())
}
