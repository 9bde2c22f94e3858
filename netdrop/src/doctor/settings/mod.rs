//! Settings: values in the wrong order, that fight each other, harm, or do nothing; what was set at boot and isn't so.
//!
//! The settings and what is odd about them are data (`knowledge/data/settings.rec`). Advice without evidence from this host is marked as hygiene, and is
//! never more than a piece of information.

mod condition;
mod files;
mod host;
mod odd;
mod ports;
#[cfg(test)]
mod tests;

use super::{Area, Check, Scope, Source, source};
use crate::doctor::parts::{Counters, Sysctls};
use host::Host;

pub const CHECKS: &[Check] = &[
    odd("settings-order", |window| odd::found(window, "settings-order")),
    odd("settings-fighting", |window| odd::found(window, "settings-fighting")),
    odd("settings-harmful", |window| odd::found(window, "settings-harmful")),
    odd("settings-useless", |window| odd::found(window, "settings-useless")),
    ports::CHECK,
    files::GONE,
    files::NOT_APPLIED,
];

const NEEDS: &[Source] = &[source::<Sysctls>(), source::<Host>(), source::<Counters>()];

/// A check that is made of rules.
const fn odd(
    name: &'static str,
    run: fn(&super::Window) -> Result<Vec<super::Finding>, super::Unread>,
) -> Check {
    Check { name, area: Area::Settings, scope: Scope::Netns, needs: NEEDS, run }
}
