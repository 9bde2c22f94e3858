//! What devices counted, and how much of it netdrop can have seen as well.

use std::collections::{BTreeMap, HashMap};

use super::{Cause, Window};
use crate::counters::links::XdpMode;
use crate::counters::losses::{Loss, LossKind, loss, without_queue};
use crate::counters::snapshot::DeviceCounters;
use crate::model::{CounterSource, DeviceCount};

/// Counters that moved, device by device, the kernel's own before the driver's.
pub fn counts(window: &Window<'_>) -> Vec<DeviceCount> {
    window.after.devices.iter().flat_map(|device| of_device(window, device)).collect()
}

fn of_device(window: &Window<'_>, device: &DeviceCounters) -> Vec<DeviceCount> {
    let same =
        |one: &&DeviceCounters| one.link.index == device.link.index && one.link.name == device.link.name;
    let before = window.before.devices.iter().find(same);
    let link = moved_link(device, before);
    let driver = moved_driver(device, before, &link);
    let link = link.into_iter().map(|(name, grown)| (name.to_owned(), grown, CounterSource::Link));
    let driver = driver.into_iter().map(|(name, grown)| (name, grown, CounterSource::Driver));
    link.chain(driver).map(|(name, grown, source)| count(window, device, name, grown, source)).collect()
}

/// A counter's growth and what it means.
type Grown = (u64, Loss);

fn moved_link(device: &DeviceCounters, before: Option<&DeviceCounters>) -> Vec<(&'static str, Grown)> {
    let earlier: HashMap<&str, u64> =
        before.map(|before| before.link.losses.iter().copied().collect()).unwrap_or_default();
    let moved: Vec<(&'static str, Grown)> = device
        .link
        .losses
        .iter()
        .filter_map(|(name, now)| Some((*name, (growth(*now, earlier.get(name).copied()), loss(name)?))))
        .filter(|(_, (growth, _))| *growth > 0)
        .collect();
    // A sum that its parts explain says nothing more.
    let parts = |name: &str| -> u64 {
        let parts = moved
            .iter()
            .filter(|(part, (_, loss))| part[..3] == name[..3] && loss.kind == LossKind::Hardware);
        parts.map(|(_, (growth, _))| *growth).sum()
    };
    let is_new =
        |(name, (growth, loss)): &(&str, Grown)| loss.kind != LossKind::Total || *growth > parts(name);
    moved.iter().copied().filter(|one| is_new(one)).collect()
}

/// The driver's counters, summed over queues. What the kernel's own or the driver's total say already is left out.
fn moved_driver(
    device: &DeviceCounters,
    before: Option<&DeviceCounters>,
    link: &[(&'static str, Grown)],
) -> Vec<(String, Grown)> {
    let earlier: HashMap<&str, u64> = before
        .map(|before| before.driver.iter().map(|(name, value)| (name.as_str(), *value)).collect())
        .unwrap_or_default();
    let mut summed: BTreeMap<String, Grown> = BTreeMap::new();
    for (name, now) in &device.driver {
        let (growth, Some(loss)) = (growth(*now, earlier.get(name.as_str()).copied()), loss(name)) else {
            continue;
        };
        if growth > 0 {
            let sum = summed.entry(without_queue(name)).or_insert((0, loss));
            sum.0 = sum.0.saturating_add(growth);
        }
    }
    let said = |name: &str, grown: u64| {
        link.iter().any(|(other, (growth, _))| *other == name && *growth == grown)
            || name.contains('*')
                && summed.get(&name.replace('*', "")).is_some_and(|(total, _)| *total == grown)
    };
    // A driver's sum that its parts explain says nothing more, either.
    let explained = |(grown, loss): &Grown| {
        let mut parts = summed.values().filter(|(_, part)| part.kind != LossKind::Total);
        loss.kind == LossKind::Total && parts.any(|(growth, _)| growth == grown)
    };
    summed
        .iter()
        .filter(|(name, grown)| !said(name, grown.0) && !explained(grown))
        .map(|(name, grown)| (name.clone(), *grown))
        .collect()
}

/// A smaller number is a counter that was reset.
fn growth(now: u64, before: Option<u64>) -> u64 {
    let before = before.unwrap_or(0);
    if before <= now { now - before } else { now }
}

fn count(
    window: &Window<'_>,
    device: &DeviceCounters,
    counter: String,
    (count, loss): Grown,
    source: CounterSource,
) -> DeviceCount {
    let here = window.drops.iter().filter(|one| one.ifindex == device.link.index);
    let seen: Option<u64> = match loss.kind {
        LossKind::Stack => Some(here.map(|one| one.packets).sum()),
        LossKind::Xdp => Some(here.filter(|one| one.cause == Cause::Xdp).map(|one| one.packets).sum()),
        LossKind::Hardware | LossKind::Total => None,
    };
    let in_driver = device.link.xdp.iter().find(|xdp| xdp.mode != XdpMode::Generic);
    DeviceCount {
        device: window.device(device.link.index),
        netns: Some(window.netns.clone()),
        counter,
        source,
        count,
        meaning: loss.meaning.to_owned(),
        also_seen: seen.map(|seen| seen.min(count)),
        program: in_driver.filter(|_| loss.kind == LossKind::Xdp).map(|xdp| window.program(xdp.id)),
    }
}
