//! Other counters of the kernel, read at the start and at the end of a run, never while drops are read: which rule dropped
//! them, and what devices counted by themselves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use netdrop_common::CounterKey;
use nix::sched::{CloneFlags, setns};

use crate::aggregate::Names;
use crate::attribute::{Cause, Dropped, Split, Verdicts, Window, attribute, cause};
use crate::counters::snapshot::{self, Depth, Snapshot};
use crate::decode::count_key;
use crate::kernel::netns::Namespaces;
use crate::model::{Attribution, CountKey, Counts, Drop, Family, Verdict};
use crate::probe::program_name;

/// The thread's own namespace.
const OWN: &str = "/proc/thread-self/ns/net";

/// Snapshots by their namespaces.
type Snapshots = BTreeMap<u32, Snapshot>;

/// A namespace: its inode, the path that enters it (none for one's own), and what is asked in it.
type Place = (u32, Option<PathBuf>, Depth);

/// Reads the counters at the start, and again at the end.
#[derive(Debug)]
pub struct Witness {
    with_rules: bool,
    before: Before,
    /// Where netfilter dropped, as far as details told.
    verdicts: Verdicts,
    after: Snapshots,
    /// Namespaces with drops by rules that can't be asked any more.
    gone: Vec<u32>,
}

#[derive(Debug)]
enum Before {
    Reading(JoinHandle<Snapshots>),
    Read(Snapshots),
}

impl Witness {
    /// Reads nothing: there will be no end to compare with.
    pub fn absent() -> Self {
        Self::of(false, Before::Read(Snapshots::new()))
    }

    /// Starts to read, on a thread of its own. With rules every namespace that can be entered is asked, and `nft` and
    /// `iptables-save` are run in each; without, only this one's devices.
    pub fn start(with_rules: bool) -> Self {
        let reading = thread::Builder::new().name("counters".into()).spawn(move || {
            let depth = if with_rules { Depth::Rules } else { Depth::Devices };
            snapshots(places(with_rules, |_| depth))
        });
        Self::of(with_rules, reading.map_or_else(|_| Before::Read(Snapshots::new()), Before::Reading))
    }

    fn of(with_rules: bool, before: Before) -> Self {
        Self { with_rules, before, verdicts: Verdicts::default(), after: Snapshots::new(), gone: Vec::new() }
    }

    /// Waits until the first reading is done, where it must enclose the run: rules are found by what they counted. What
    /// devices counted is told all the same when the reading comes some milliseconds late.
    pub fn ready(&mut self) {
        if self.with_rules {
            self.before = Before::Read(self.before.take());
        }
    }

    /// Takes a drop with its details, which was counted under `key`.
    pub fn see(&mut self, key: &CounterKey, drop: &Drop<'_>) {
        if self.with_rules
            && let Some(verdict) = drop.context.verdict
        {
            self.verdicts.record(count_key(key), verdict, drop.weight);
        }
    }

    /// Reads again, before they count what comes after the end. `counters` are netdrop's own: they tell in which namespaces
    /// the words of rules will be wanted.
    pub fn read_again(&mut self, counters: impl Iterator<Item = (CountKey, Counts)>, names: &mut impl Names) {
        let ruled = counters.filter(|(key, _)| self.with_rules && decided_by(key, names) != Cause::Other);
        let ruled: BTreeSet<u32> = ruled.map(|(key, _)| key.netns).collect();
        let depth = |netns| if ruled.contains(&netns) { Depth::RulesWithText } else { Depth::Devices };
        self.after = snapshots(places(self.with_rules, depth));
        self.gone = ruled.into_iter().filter(|inode| !self.after.contains_key(inode)).collect();
    }

    /// Compares both readings with what netdrop counted in between.
    pub fn testify(
        &mut self,
        counters: impl Iterator<Item = (CountKey, Counts)>,
        names: &mut impl Names,
    ) -> Attribution {
        let drops = dropped(counters, &self.verdicts, names);
        let (before, after) = (self.before.take(), std::mem::take(&mut self.after));
        let programs = program_names(&after);
        let mut attribution = Attribution::default();
        for (inode, after) in &after {
            let here: Vec<Dropped> = drops.iter().filter(|one| one.netns == *inode).cloned().collect();
            let netns = names.netns(*inode);
            let nothing = Snapshot::default();
            let before = before.get(inode).unwrap_or(&nothing);
            let window = Window { netns: &netns, before, after, drops: &here, programs: &programs };
            attribution.extend(attribute(&window, self.with_rules));
        }
        attribution.notes.extend(self.gone.iter().map(|inode| {
            format!("netns {inode} is gone or can't be entered: what dropped there has no name.")
        }));
        attribution
    }
}

impl Before {
    fn take(&mut self) -> Snapshots {
        match std::mem::replace(self, Self::Read(Snapshots::new())) {
            Self::Reading(thread) => thread.join().unwrap_or_default(),
            Self::Read(snapshots) => snapshots,
        }
    }
}

/// This namespace, and with rules all others that can be seen.
fn places(with_rules: bool, depth: impl Fn(u32) -> Depth) -> Vec<Place> {
    // The number of a namespace is that of its file.
    let own = fs::metadata(OWN).ok().and_then(|file| u32::try_from(file.ino()).ok()).unwrap_or(0);
    let mut places = vec![(own, None, depth(own))];
    if with_rules {
        let mut namespaces = Namespaces::new("/");
        namespaces.refresh();
        let others = namespaces.iter().filter(|(inode, _)| *inode != own);
        places.extend(
            others.filter_map(|(inode, _)| {
                Some((inode, Some(namespaces.path(inode)?.to_owned()), depth(inode)))
            }),
        );
    }
    places
}

/// Asks one namespace after another, on a thread that enters them; those that can't be entered are left out.
fn snapshots(places: Vec<Place>) -> Snapshots {
    let asking = thread::Builder::new().name("netns".into()).spawn(move || {
        let mut snapshots = Snapshots::new();
        for (inode, path, depth) in places {
            let entered = path.is_none_or(|path| {
                File::open(path).is_ok_and(|file| setns(file, CloneFlags::CLONE_NEWNET).is_ok())
            });
            if entered {
                snapshots.insert(inode, snapshot::read(depth));
            }
        }
        snapshots
    });
    asking.map_or_else(|_| Snapshots::new(), |thread| thread.join().unwrap_or_default())
}

/// The names of all programs at devices.
fn program_names(snapshots: &Snapshots) -> BTreeMap<u32, String> {
    let mut ids = BTreeSet::new();
    for snapshot in snapshots.values() {
        ids.extend(snapshot.tcx.iter().map(|program| program.id));
        ids.extend(snapshot.classifiers.iter().filter_map(|filter| filter.program));
        ids.extend(snapshot.devices.iter().flat_map(|device| &device.link.xdp).map(|program| program.id));
    }
    ids.into_iter().filter_map(|id| Some((id, program_name(id)?))).collect()
}

fn decided_by(key: &CountKey, names: &mut impl Names) -> Cause {
    let reason = key.reason.map(|number| names.reason(number));
    let site = names.site(key.address);
    cause(reason.as_ref().map(|reason| reason.name.as_str()), site.function.as_deref())
}

/// What counted drops are told apart by, places included.
type Kind = (u32, u32, Cause, Option<Family>, BTreeSet<Verdict>);

/// The counted drops by what decided them and, as far as `verdicts` knows, where.
fn dropped(
    counters: impl Iterator<Item = (CountKey, Counts)>,
    verdicts: &Verdicts,
    names: &mut impl Names,
) -> Vec<Dropped> {
    // A counter has a part on each CPU.
    let mut sums: HashMap<CountKey, u64> = HashMap::new();
    for (key, counts) in counters {
        *sums.entry(key).or_default() += counts.packets;
    }
    let mut kinds: HashMap<Kind, Dropped> = HashMap::new();
    for (key, packets) in sums {
        let cause = decided_by(&key, names);
        let by_netfilter = cause == Cause::Netfilter;
        let split = if by_netfilter { verdicts.split(&key, packets) } else { Split::default() };
        let (netns, ifindex, family) = (key.netns, key.ifindex, key.protocol.family());
        let kind = kinds.entry((netns, ifindex, cause, family, split.shares.keys().copied().collect()));
        let none = Dropped { netns, ifindex, cause, family, split: Split::default(), packets: 0 };
        let dropped = kind.or_insert(none);
        dropped.packets += packets;
        dropped.split += split;
    }
    kinds.into_values().collect()
}
