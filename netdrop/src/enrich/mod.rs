//! From the kernel's numbers to names. Each is resolved once and remembered; nothing here runs in the kernel.

mod beyond;
mod clock;
mod resolver;
mod tcp;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

pub use beyond::{Beside, Beyond, Known, Named};
pub use clock::Clock;
use netdrop_common::{CounterKey, REASON_NONE, is_trap};
pub use resolver::KernelResolver;

use crate::aggregate::Names;
use crate::attribute::{Cause, cause};
use crate::decode::RawDrop;
use crate::kernel::devices::{self, Devices};
use crate::kernel::loaded::Loaded;
use crate::kernel::netns::Namespaces;
use crate::kernel::reasons::Reasons;
use crate::kernel::stack::{StackFrame, from_site, verdict};
use crate::kernel::symbols::{Resolved, Symbols, SymbolsError};
use crate::knowledge::class_of;
use crate::model::{Context, Device, Drop, Netns, Reason, Site, Source, Trap, Verdict};

/// An address that no symbol covers makes for a new reading of kallsyms at most so often.
const SYMBOLS_AGAIN: Duration = Duration::from_secs(10);
/// So does one that can be a module's, once other modules are loaded than at the last reading.
const MODULES_AGAIN: Duration = Duration::from_millis(100);

/// Call chains that are remembered from one interval to the next; more are named anew.
const CHAINS: usize = 16384;

/// Who knows what the sites of traps stand for; asked once for each.
pub trait TrapNames: std::fmt::Debug {
    /// The trap; `None` where that isn't known.
    fn trap(&mut self, site: u64) -> Option<Trap>;
}

/// Knows the names of this kernel.
#[derive(Debug)]
pub struct Enricher {
    root: PathBuf,
    clock: Clock,
    reasons: Reasons,
    namespaces: Namespaces,
    devices: Devices,
    symbols: Option<Arc<Symbols>>,
    symbols_read: Option<Instant>,
    traps: Option<Box<dyn TrapNames>>,
    sites: HashMap<u64, Arc<Site>>,
    /// Source lines by site, as far as they were looked up; absent where nobody looks for them.
    lines: Option<HashMap<u64, Option<Source>>>,
    named_reasons: HashMap<u32, Arc<Reason>>,
    /// What each counter's numbers mean; forgotten at each summary, as interfaces get other names.
    places: HashMap<CounterKey, Place>,
    /// Call chains by their number and site.
    chains: HashMap<(u32, u64), Chain>,
    /// Whether call chains are shown, and not asked for what they tell alone.
    shows_stacks: bool,
}

/// What a call chain tells.
#[derive(Debug, Clone, Default)]
struct Chain {
    /// Its frames in words, where they are shown.
    stack: Arc<[String]>,
    /// What it says of netfilter.
    verdict: Verdict,
}

/// A counter's numbers, named.
#[derive(Debug, Clone)]
struct Place {
    /// Whether netfilter dropped here: below other drops, its functions may just have come by.
    by_netfilter: bool,
    site: Arc<Site>,
    reason: Option<Arc<Reason>>,
    device: Option<Arc<Device>>,
    netns: Option<Arc<Netns>>,
}

impl Enricher {
    /// For the kernel whose file systems are mounted below `root`.
    pub fn new(root: impl Into<PathBuf>, reasons: Reasons) -> Self {
        let root = root.into();
        Self {
            clock: Clock::now(),
            namespaces: Namespaces::new(&root),
            devices: Devices::default(),
            reasons,
            root,
            symbols: None,
            symbols_read: None,
            traps: None,
            sites: HashMap::new(),
            lines: None,
            named_reasons: HashMap::new(),
            places: HashMap::new(),
            chains: HashMap::new(),
            shows_stacks: false,
        }
    }

    /// From here on, traps have names.
    pub fn with_traps(&mut self, traps: impl TrapNames + 'static) {
        self.traps = Some(Box::new(traps));
    }

    /// The folder below which this kernel's file systems are mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether kallsyms should be read (anew) before this address is named: see [`Enricher::learn`].
    pub fn wants_symbols(&self, address: u64) -> bool {
        if is_trap(address) || self.sites.contains_key(&address) {
            return false;
        }
        let Some(read) = self.symbols_read else { return true };
        let age = read.elapsed();
        age >= SYMBOLS_AGAIN && self.symbol(address).is_none()
            || age >= MODULES_AGAIN && self.is_of_other_modules(address)
    }

    /// Whether the symbols say nothing of this address: it may be a module's, and others were loaded when they were read. The
    /// next module often lies where one was that is gone.
    fn is_of_other_modules(&self, address: u64) -> bool {
        let Some(symbols) = &self.symbols else { return false };
        symbols.resolve(address).is_none_or(|symbol| symbol.module.is_some())
            && symbols.are_older_than(Loaded::read(&self.root))
    }

    /// Takes over what a reading of kallsyms gave. It isn't read here, because that takes a tenth of a second; without
    /// it functions stay unnamed.
    pub fn learn(&mut self, read: Result<Symbols, SymbolsError>) {
        let first = self.symbols_read.replace(Instant::now()).is_none();
        match read {
            Ok(symbols) => {
                self.symbols = Some(Arc::new(symbols));
                self.places.clear();
                self.chains.clear();
            }
            Err(error) if first => warn!("{error}"),
            Err(_) => {}
        }
    }

    /// The symbols that were read last.
    pub fn symbols(&self) -> Option<&Arc<Symbols>> {
        self.symbols.as_ref()
    }

    /// From here on, drops have their call chains in words.
    pub fn show_stacks(&mut self) {
        self.shows_stacks = true;
    }

    /// From here on, sites wait for their source lines: see [`Enricher::learn_line`].
    pub fn want_lines(&mut self) {
        self.lines.get_or_insert_default();
    }

    /// Whether the source line of this address, which has a name, should be looked up before it is shown.
    pub fn wants_line(&self, address: u64) -> bool {
        let is_due = self.lines.as_ref().is_some_and(|lines| !lines.contains_key(&address));
        is_due && self.symbol(address).is_some()
    }

    /// Takes over what a look-up gave; that nothing was found is remembered as well.
    pub fn learn_line(&mut self, address: u64, source: Option<Source>) {
        if let Some(lines) = &mut self.lines {
            lines.insert(address, source);
            self.sites.remove(&address);
            self.places.clear();
        }
    }

    /// Gives a drop its names and hands it on; `None` when its site wants [symbols](Enricher::wants_symbols) or its
    /// [line](Enricher::wants_line) first. `beyond` is asked for what belongs to it once that is so no more.
    pub fn enrich<T>(
        &mut self,
        raw: &RawDrop<'_>,
        beyond: &mut impl Beyond,
        take: impl FnOnce(&Drop<'_>) -> T,
    ) -> Option<T> {
        if !self.places.contains_key(&raw.key) {
            if self.wants_symbols(raw.key.site) || self.wants_line(raw.key.site) {
                return None;
            }
            let place = self.place(&raw.key, beyond);
            self.places.insert(raw.key, place);
        }
        let place = &self.places[&raw.key];
        let beside = beyond.of(raw, Known { site: &place.site, namespaces: &self.namespaces });
        let (chains, symbols) = (&mut self.chains, self.symbols.as_deref());
        let chain = chain(chains, self.shows_stacks, symbols, raw, beside.chain.as_deref());
        Some(take(&Drop {
            time: self.clock.wall_time(raw.time_ns),
            weight: raw.weight,
            site: &place.site,
            reason: place.reason.as_deref(),
            cpu: raw.cpu,
            device: place.device.as_deref(),
            netns: place.netns.as_deref(),
            packet: &raw.packet,
            header: raw.header,
            context: Context {
                socket: raw.socket.as_ref().or(beside.socket.as_ref()),
                owner: beside.owner.as_deref(),
                cpu_task: raw.task.as_ref(),
                stack: &chain.stack,
                verdict: place.by_netfilter.then_some(chain.verdict),
            },
        }))
    }

    /// The devices that there are now in these namespaces; none for one that is gone or can't be asked.
    pub fn devices_in(&mut self, namespaces: &HashSet<u32>) -> HashMap<u32, HashSet<u32>> {
        self.namespaces.refresh();
        let own = self.namespaces.own();
        self.devices.keep(|netns| self.namespaces.path(netns).is_some());
        let ask = |inode: &u32| {
            let path = self.namespaces.path(*inode);
            let path = if own == Some(*inode) { None } else { Some(path?) };
            let listed = devices::list(path).ok()?;
            Some((*inode, listed.into_iter().map(|(index, _)| index).collect()))
        };
        namespaces.iter().filter_map(ask).collect()
    }

    /// Reads the clock anew, before drops are looked at: it may have been set since.
    pub fn set_clock(&mut self) {
        self.clock = Clock::now();
    }

    /// Starts the next interval: names that may have changed are looked up anew.
    pub fn turn(&mut self) {
        self.places.clear();
        if self.chains.len() > CHAINS {
            self.chains.clear();
        }
    }

    fn place(&mut self, key: &CounterKey, beyond: &mut impl Beyond) -> Place {
        let site = self.site(key.site);
        let reason = (key.reason != REASON_NONE).then(|| self.reason(key.reason));
        let name = reason.as_ref().map(|reason| reason.name.as_str());
        Place {
            by_netfilter: cause(name, site.function.as_deref()) == Cause::Netfilter,
            site,
            reason,
            device: (key.ifindex != 0).then(|| self.device(key.netns, key.ifindex)),
            netns: (key.netns != 0).then(|| Named { enricher: self, beyond }.netns(key.netns)),
        }
    }

    /// The devices of a namespace that is gone are not those of the next one with its number.
    fn look_for(&mut self, netns: u32, now: Instant) {
        if self.namespaces.refresh_for(netns, now) {
            self.devices.keep(|known| known != netns);
        }
    }

    fn symbol(&self, address: u64) -> Option<Resolved<'_>> {
        self.symbols.as_ref()?.resolve(address)
    }

    fn resolve(&mut self, address: u64) -> Site {
        if is_trap(address) {
            let trap = self.traps.as_mut().and_then(|traps| traps.trap(address)).unwrap_or_default();
            return Site { address, trap: Some(trap), ..Site::default() };
        }
        let symbol = self.symbol(address).filter(|_| !self.is_of_other_modules(address));
        symbol.map_or(Site { address, ..Site::default() }, |symbol| Site {
            address,
            function: Some(symbol.name.to_owned()),
            offset: symbol.offset,
            module: symbol.module.map(str::to_owned),
            source: self.lines.as_ref().and_then(|lines| lines.get(&address)?.clone()),
            trap: None,
        })
    }
}

/// What the call chain tells; each is named once. Its frames are put in words where they are shown.
fn chain(
    named: &mut HashMap<(u32, u64), Chain>,
    shows_stacks: bool,
    symbols: Option<&Symbols>,
    raw: &RawDrop<'_>,
    addresses: Option<&[u64]>,
) -> Chain {
    let (Some(addresses), Some(symbols)) = (addresses, symbols) else { return Chain::default() };
    let site = raw.key.site;
    let known = named.entry((raw.stack, site)).or_insert_with(|| {
        let frames = from_site(addresses, site, symbols);
        let shown = frames.iter().filter(|_| shows_stacks);
        Chain {
            stack: shown.map(ToString::to_string).collect(),
            verdict: verdict(frames.iter().filter_map(StackFrame::function)).unwrap_or_default(),
        }
    });
    known.clone()
}

impl Names for Enricher {
    fn site(&mut self, address: u64) -> Arc<Site> {
        if let Some(site) = self.sites.get(&address) {
            return Arc::clone(site);
        }
        let site = Arc::new(self.resolve(address));
        // An address without a name may get one when its module's symbols are read.
        if site.function.is_some() || site.trap.is_some() {
            self.sites.insert(address, Arc::clone(&site));
        }
        site
    }

    fn reason(&mut self, number: u32) -> Arc<Reason> {
        if let Some(reason) = self.named_reasons.get(&number) {
            return Arc::clone(reason);
        }
        let name = self.reasons.name_or_search(number, &self.root);
        let subsystem = self.reasons.subsystem(number);
        let reason = Arc::new(Reason {
            number,
            class: class_of(Some(name.as_deref().unwrap_or_default()), None),
            name: name.map_or_else(|| format!("{number:#x}"), |name| name.to_string()),
            subsystem: subsystem.map_or_else(|| format!("{}", number >> 16), ToString::to_string),
        });
        self.named_reasons.insert(number, Arc::clone(&reason));
        reason
    }

    fn device(&mut self, netns: u32, ifindex: u32) -> Arc<Device> {
        let now = Instant::now();
        // An index means nothing outside of its namespace.
        let name = (netns != 0).then(|| {
            self.look_for(netns, now);
            self.devices.name(netns, ifindex, &self.namespaces, now)
        });
        Arc::new(Device { index: ifindex, name: name.flatten().map(|name| name.to_string()) })
    }

    fn netns(&mut self, inode: u32) -> Arc<Netns> {
        self.look_for(inode, Instant::now());
        Arc::new(Netns { inode, name: self.namespaces.name(inode).map(str::to_owned), ..Netns::default() })
    }
}
