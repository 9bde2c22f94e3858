//! The devices of a namespace with all that is counted at them: what the areas of link, ring and interrupts judge by.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::evidence::{Evidence, Moved};
use super::shell::shell;
use super::{Part, Place, Remedy, Span, Unread, Window};
use crate::counters::ethtool::Ethtool;
use crate::counters::ethtool_netlink::{self, Told};
use crate::counters::links::{self, Link};
use crate::counters::losses::{Trouble, receive_queue, trouble, without_queue};
use crate::counters::queue_packets;

/// All devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports {
    /// The devices.
    pub all: Vec<Port>,
    /// Why ethtool's netlink interface told nothing.
    pub untold: Option<String>,
}

/// A device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Port {
    /// What the kernel itself knows.
    pub link: Link,
    /// Its driver; absent for virtual devices.
    pub driver: Option<String>,
    /// What it counts, as far as anything is concluded from it.
    pub counters: Vec<(Group, String, u64)>,
    /// Packets of each receive queue, where its driver tells.
    pub queues: BTreeMap<u32, u64>,
    /// Its driver tells those by netlink, and not by names of its own.
    pub tells_queues: bool,
    /// What ethtool's netlink interface tells.
    pub told: Told,
    /// Whether UDP over IPv4 is spread over its queues by ports; absent where that isn't known, or nothing is spread.
    pub hashes_udp_ports: Option<bool>,
    /// The queue of each part of the hash.
    pub indirection: Vec<u32>,
    /// The MTU of the other end of a veth pair, where it may be asked.
    pub peer_mtu: Option<u32>,
}

/// Where a counter is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// By the kernel.
    Kernel,
    /// A standard group of ethtool.
    Standard(&'static str),
    /// Flow control.
    Pause,
    /// By the driver's own names.
    Driver,
}

impl Group {
    fn read_from(self, device: &str) -> String {
        match self {
            Self::Kernel => format!("ip -s -s link show {device}"),
            Self::Standard(group) => format!("ethtool -S {device} --groups {group}"),
            Self::Pause => format!("ethtool -I -a {device}"),
            Self::Driver => format!("ethtool -S {device}"),
        }
    }
}

impl Part for Ports {
    const FROM: &'static str = "rtnetlink and ethtool (ip -s link, ethtool -S)";

    fn read(_: &Place) -> Result<Self, Unread> {
        let refused = |error| Unread::io(Self::FROM, &error);
        let (mut told, untold) = match ethtool_netlink::read() {
            Ok(told) => (told, None),
            Err(error) => (BTreeMap::new(), Some(error.to_string())),
        };
        let ethtool = Ethtool::new().map_err(refused)?;
        let links = links::read().map_err(refused)?;
        let mut queues = queue_packets::read().unwrap_or_default();
        let mut peers = Peers { own: &links, others: BTreeMap::new() };
        let mut all = Vec::new();
        for link in &links {
            let told = told.remove(&link.index).unwrap_or_default();
            let mut port = Port { peer_mtu: peers.mtu_behind(link), ..port(told, link.clone(), &ethtool) };
            if port.queues.is_empty() {
                port.queues = queues.remove(&link.index).unwrap_or_default();
                port.tells_queues = !port.queues.is_empty();
            }
            all.push(port);
        }
        Ok(Self { all, untold })
    }
}

/// The links of this namespace, and of those that a veth pair leads to.
struct Peers<'a> {
    own: &'a [Link],
    others: BTreeMap<u32, Vec<Link>>,
}

impl Peers<'_> {
    /// More than that isn't asked: each namespace takes a question.
    const MOST: usize = 200;

    fn mtu_behind(&mut self, link: &Link) -> Option<u32> {
        let index = link.peer.filter(|_| link.kind.as_deref() == Some("veth"))?;
        let links = match link.peer_netns {
            None => self.own,
            Some(netns) => {
                if self.others.len() >= Self::MOST && !self.others.contains_key(&netns) {
                    return None;
                }
                self.others.entry(netns).or_insert_with(|| links::read_of(netns).unwrap_or_default())
            }
        };
        links.iter().find(|one| one.index == index).map(|peer| peer.mtu)
    }
}

/// What a driver doesn't tell is left out: many tell nothing at all.
fn port(told: Told, link: Link, ethtool: &Ethtool) -> Port {
    let mut port = Port { link, told, ..Port::default() };
    if port.link.is_hardware() {
        let name = &port.link.name;
        port.driver = ethtool.driver(name).ok();
        port.hashes_udp_ports = ethtool.hashes_udp_ports(name).ok().flatten();
        port.indirection = ethtool.indirection(name).unwrap_or_default();
        let counters = ethtool.read(name).unwrap_or_default();
        port.take(counters);
    }
    port.take_standard();
    port
}

impl Port {
    /// The driver's counters that anything is concluded from; those of its queues are added up.
    pub fn take(&mut self, counters: Vec<(String, u64)>) {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        // vmxnet3 has a line with the queue's number before what each queue counts, always by the same names.
        let mut numbered = None;
        for (name, value) in counters {
            if name == "Rx Queue#" {
                numbered = u32::try_from(value).ok();
            }
            if let Some(queue) = receive_queue(&name).or(numbered.filter(|_| name == "ucast pkts rx")) {
                self.queues.insert(queue, value);
            } else if trouble(&name).is_some() {
                let sum = sums.entry(without_queue(&name)).or_default();
                *sum = sum.saturating_add(value);
            }
        }
        self.counters.extend(sums.into_iter().map(|(name, sum)| (Group::Driver, name, sum)));
    }

    fn take_standard(&mut self) {
        let kernels =
            self.link.losses.iter().map(|(name, value)| (Group::Kernel, (*name).to_owned(), *value));
        let standard = self
            .told
            .standard
            .iter()
            .map(|(group, name, value)| (Group::Standard(group), (*name).to_owned(), *value));
        let pause = self.told.pause.unwrap_or_default();
        let paused = [("rx_pause_frames", pause.received), ("tx_pause_frames", pause.sent)];
        let paused =
            paused.into_iter().filter_map(|(name, count)| Some((Group::Pause, name.to_owned(), count?)));
        let all: Vec<_> =
            kernels.chain(standard).chain(paused).filter(|(_, name, _)| trouble(name).is_some()).collect();
        self.counters.splice(0..0, all);
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.link.name
    }

    /// Where the packets of its queues were read.
    pub fn queues_from(&self) -> String {
        if self.tells_queues {
            "netlink's family netdev (qstats-get)".into()
        } else {
            Group::Driver.read_from(self.name())
        }
    }

    /// Queues that receive; a driver that has no channels to tell of may still count what each got.
    pub fn receive_queues(&self) -> u32 {
        let channels = self.told.channels.unwrap_or_default();
        (channels.combined.0 + channels.receive.0).max(u32::try_from(self.queues.len()).unwrap_or(u32::MAX))
    }

    /// How many queues its table spreads packets over; none where it has no table.
    pub fn queues_in_table(&self) -> u32 {
        u32::try_from(self.indirection.iter().collect::<BTreeSet<_>>().len()).unwrap_or(u32::MAX)
    }

    /// A command about it, and how it stays so: a rule of udev, which finds the device by its address, whatever its name will be.
    pub fn remedy(
        &self,
        window: &Window,
        what: impl Into<String>,
        kind: &str,
        (before, after): (&str, &str),
    ) -> Remedy {
        let remedy =
            Remedy::command(what, format!("ethtool {before} {} {after}", shell(self.name()))).inside(window);
        if window.home.enter.is_some() || self.link.address.is_empty() {
            return remedy;
        }
        remedy.kept_by(self.rule(kind, &format!("RUN+=\"/usr/sbin/ethtool {before} $name {after}\"")))
    }

    /// A command that writes a rule of udev for this device.
    pub fn rule(&self, kind: &str, does: &str) -> String {
        let mut address = String::new();
        for byte in &self.link.address {
            let colon = if address.is_empty() { "" } else { ":" };
            let _ = write!(address, "{colon}{byte:02x}");
        }
        let rule = format!(
            "ACTION==\"add\", SUBSYSTEM==\"net\", DRIVERS==\"?*\", ATTR{{address}}==\"{address}\", {does}"
        );
        let file = format!("/etc/udev/rules.d/90-{}-{kind}.rules", self.name());
        format!("printf '%s\\n' {} > {}", shell(&rule), shell(&file))
    }

    /// How its link goes, in words: `1000 Mbit/s, full duplex, negotiated`.
    pub fn link_evidence(&self) -> Option<Evidence> {
        let modes = self.told.modes?;
        let duplex = if modes.is_half { "half" } else { "full" };
        let how = if modes.is_negotiated { "negotiated" } else { "fixed" };
        let value = format!("{} Mbit/s, {duplex} duplex, {how}", modes.speed?);
        Some(Evidence::value("link", value, format!("ethtool {}", self.name())))
    }
}

/// A device at both ends of the window.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    /// At the start; absent where it is new, or all since the boot counts.
    pub before: Option<&'a Port>,
    /// At the end.
    pub now: &'a Port,
    window: &'a Window<'a>,
}

/// The devices of a window.
pub fn pairs<'a>(window: &'a Window<'a>) -> Result<Vec<Pair<'a>>, Unread> {
    let (before, after) = window.both::<Ports>()?;
    // By the index: it keeps that whatever it is called meanwhile.
    let was = |now: &Port| before.all.iter().find(|port| port.link.index == now.link.index);
    Ok(after.all.iter().map(|now| Pair { before: was(now), now, window }).collect())
}

/// Those with a port.
pub fn hardware<'a>(window: &'a Window<'a>) -> Result<Vec<Pair<'a>>, Unread> {
    Ok(pairs(window)?.into_iter().filter(|pair| pair.now.link.is_hardware()).collect())
}

impl Pair<'_> {
    /// A counter of the kernel's own.
    pub fn kernel(&self, name: &str) -> Option<Moved> {
        self.moved(Group::Kernel, name)
    }

    /// None where it isn't known what was counted before the window: in a card that came meanwhile and has a past, by a driver that told nothing at the
    /// start, and by queues of which there are others now.
    fn moved(&self, group: Group, name: &str) -> Option<Moved> {
        let of = |port: &Port| {
            let found = port.counters.iter().find(|(one, own, _)| *one == group && own == name);
            found.map(|(.., value)| *value)
        };
        let now = of(self.now)?;
        let before = match self.before {
            Some(port) => of(port)?,
            None if self.now.link.is_hardware() && self.window.span == Span::Window => return None,
            None => 0,
        };
        let has_others = |port: &Port| {
            port.told.channels != self.now.told.channels || port.queues.len() != self.now.queues.len()
        };
        if group == Group::Driver && now < before && self.before.is_some_and(has_others) {
            return None;
        }
        Some(self.window.moved(name, (before, now), group.read_from(self.now.name())))
    }

    /// The counters that are a sign of this and moved.
    pub fn signs(&self, of: Trouble) -> Vec<Moved> {
        let names = self.now.counters.iter().filter(|(_, name, _)| trouble(name) == Some(of));
        let moved = names.filter_map(|(group, name, _)| self.moved(*group, name));
        moved.filter(|moved| moved.by() > 0).collect()
    }

    /// Packets received and sent, bytes received and sent.
    pub fn traffic(&self) -> [u64; 4] {
        let before = self.before.map_or([0; 4], |port| port.link.traffic);
        let now = self.now.link.traffic;
        [0, 1, 2, 3].map(|place| now[place].checked_sub(before[place]).unwrap_or(now[place]))
    }

    /// Packets of each receive queue.
    pub fn queues(&self) -> Vec<(u32, u64)> {
        let before = |queue| self.before.and_then(|port| port.queues.get(queue)).copied().unwrap_or(0);
        self.now
            .queues
            .iter()
            .map(|(queue, now)| (*queue, now.checked_sub(before(queue)).unwrap_or(*now)))
            .collect()
    }
}

/// How long a ring should be that had no room for so many, if it can be longer. Had all of them come at once, so much would have held them; less than
/// twice as much is hardly worth the restart.
pub fn longer((now, most): (u32, u32), without_room: u64) -> Option<u64> {
    let enough = u64::from(now).saturating_add(without_room).next_power_of_two().max(u64::from(now) * 2);
    (now < most).then_some(enough.min(most.into()))
}

/// Several places count the same: as much as the highest of them is certain.
pub fn most(signs: &[Moved]) -> u64 {
    signs.iter().map(Moved::by).max().unwrap_or(0)
}

#[cfg(test)]
pub mod made {
    use super::*;

    /// A network card `eth0` with its link up that received so many packets, and these counters of its driver.
    pub fn port(received: u64, counters: &[(&str, u64)]) -> Port {
        let link = Link {
            index: 2,
            name: "eth0".into(),
            flags: 0x41,
            address: vec![2, 0, 0, 0, 0, 7],
            mtu: 1500,
            carrier_changes: Some(2),
            traffic: [received, received, received * 1000, received * 1000],
            ..Link::default()
        };
        let mut port = Port { link, driver: Some("ixgbe".into()), ..Port::default() };
        port.take(counters.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect());
        port
    }

    /// Alone.
    pub fn ports(port: Port) -> Ports {
        Ports { all: vec![port], untold: None }
    }

    /// The same with what ethtool tells.
    pub fn told(port: Port, told: Told) -> Ports {
        let mut port = Port { told, ..port };
        port.take_standard();
        ports(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::all;
    use crate::doctor::made::Made;

    #[test]
    fn counters_of_queues_are_added_up_and_the_rest_is_left_out() {
        let port = made::port(
            0,
            &[
                ("rx_packets", 9),
                ("[0]: rx_discards", 3),
                ("[1]: rx_discards", 4),
                ("[1]: rx_ucast_packets", 5),
            ],
        );
        assert_eq!(port.counters, [(Group::Driver, "[*]: rx_discards".to_owned(), 7)]);
        assert_eq!(port.queues, BTreeMap::from([(1, 5)]));
        let of_queue = |queue, packets| {
            [("Rx Queue#", queue), ("ucast pkts rx", packets), ("pkts rx OOB", 2), ("rx buf alloc fail", 0)]
        };
        let port = made::port(0, &[of_queue(0, 7), of_queue(1, 9)].concat());
        assert_eq!(port.counters[0], (Group::Driver, "pkts rx OOB".to_owned(), 4));
        assert_eq!(port.queues, BTreeMap::from([(0, 7), (1, 9)]));
    }

    /// What `link-crc-errors` says.
    fn told(before: Ports, after: Ports) -> Vec<String> {
        let check = all().find(|check| check.name == "link-crc-errors").unwrap();
        let findings = Made::default().part(before, after).check(check).unwrap();
        findings.into_iter().map(|finding| finding.sentence).collect()
    }

    fn with_errors(errors: &[(&str, u64)]) -> Port {
        made::port(1000, errors)
    }

    #[test]
    fn what_was_before_is_not_lost_now() {
        let old = || made::ports(with_errors(&[("rx_crc_errors", 5000)]));
        let named = |name: &str| {
            let mut ports = old();
            ports.all[0].link.name = name.into();
            ports
        };
        assert_eq!(told(named("eth7"), old()), [""; 0], "it was renamed");
        assert_eq!(told(Ports::default(), old()), [""; 0], "it came with its past");
        assert_eq!(told(made::ports(with_errors(&[])), old()), [""; 0], "its driver told nothing then");
        let more = made::ports(with_errors(&[("rx_crc_errors", 5700)]));
        assert_eq!(told(old(), more).len(), 1);
    }

    #[test]
    fn queues_that_are_gone_take_their_counts_along() {
        let queues = |numbers: &[(&str, u64)]| made::ports(with_errors(numbers));
        let two =
            [("rx0_crc_errors", 3000), ("rx1_crc_errors", 2000), ("rx-0.packets", 1), ("rx-1.packets", 1)];
        let one = [("rx0_crc_errors", 3000), ("rx-0.packets", 1)];
        assert_eq!(told(queues(&two), queues(&one)), [""; 0]);
    }

    /// Where this host's card is one of virtio's, packets of its queues are told by names or by netlink.
    #[test]
    fn this_hosts_queues_are_known() {
        let ports = Ports::read(&Place::new("/")).unwrap();
        for port in ports.all.iter().filter(|port| port.driver.as_deref() == Some("virtio_net")) {
            assert!(!port.queues.is_empty(), "{port:?}");
        }
    }
}
