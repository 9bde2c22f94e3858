//! Drop reasons: what the numbers that the kernel reports are called.
//!
//! Numbers move between releases, so the running kernel is asked: its BTF has the core's enum `skb_drop_reason`
//! (`include/net/dropreason-core.h`), the subsystems (`include/net/dropreason.h`: the upper 16 bits of a number), and
//! the enums of built-in subsystems; those of modules are in the modules' own BTF.

mod built_in;
mod format;
mod modules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::btf::{Btf, Enumerator};
use super::near::closest;

/// The ends of the names of the enums that are read: what a test's reduced BTF must keep.
pub const ENUM_SUFFIXES: &[&str] = &[REASONS, SUBSYSTEMS];
const REASONS: &str = "_drop_reason";
const SUBSYSTEMS: &str = "skb_drop_reason_subsys";
const CORE: &str = "skb_drop_reason";

/// Longest first: what stands before a reason's own name in the core's enum.
const PREFIXES: [&str; 2] = ["SKB_DROP_REASON_", "SKB_"];
/// Below `SKB_DROP_REASON_SUBSYS_MASK`.
const SUBSYSTEM_SHIFT: u32 = 16;

/// Where the names of the core's reasons come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The running kernel's BTF: names and numbers are its own.
    Btf,
    /// The format file of `skb:kfree_skb` in tracefs: the same, without subsystems.
    TracefsFormat,
    /// A table in this binary, for this release as published; a distribution may have changed it.
    BuiltIn,
    /// Nothing: reasons are numbers.
    None,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Btf => "the kernel's BTF",
            Self::TracefsFormat => "tracefs, events/skb/kfree_skb/format",
            Self::BuiltIn => "a built-in table for this release",
            Self::None => "nowhere: reasons are shown as numbers",
        })
    }
}

/// No reason of that name on this kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this kernel has no drop reason `{name}`{}", suggestion.as_ref().map_or(String::new(), |near| format!("; did you mean `{near}`?")))]
pub struct UnknownReason {
    /// What was asked for.
    pub name: String,
    /// The closest name there is.
    pub suggestion: Option<Arc<str>>,
}

/// The drop reasons of one kernel.
#[derive(Debug, Clone)]
pub struct Reasons {
    names: BTreeMap<u32, Arc<str>>,
    subsystems: BTreeMap<u16, Arc<str>>,
    source: Source,
    /// Subsystems whose modules were searched already.
    searched: BTreeSet<u16>,
}

impl Reasons {
    /// The best names to be had: BTF's, else those of the tracefs format file, else built-in ones for `release`
    /// (`uname -r`).
    pub fn load(btf: Option<&Btf>, format: Option<&str>, release: &str) -> Self {
        btf.and_then(Self::from_btf)
            .or_else(|| format.and_then(Self::from_format))
            .unwrap_or_else(|| Self::built_in(release))
    }

    /// Names from the kernel's BTF; `None` where it has no reasons (before 5.17).
    pub fn from_btf(btf: &Btf) -> Option<Self> {
        let mut reasons = Self::new(Source::Btf);
        for Enumerator { name, value } in btf.enum_values(SUBSYSTEMS).unwrap_or_default() {
            let name = name.rsplit_once("_SUBSYS_").map_or(name, |(_, name)| name);
            if let Ok(number) = u16::try_from(value)
                && name != "NUM"
            {
                reasons.subsystems.insert(number, name.to_ascii_lowercase().into());
            }
        }
        let core = btf.enum_values(CORE).ok()?;
        reasons.insert(0, &core);
        reasons.add_enums(btf);
        Some(reasons)
    }

    /// Names from `events/skb/kfree_skb/format` of tracefs; `None` where it lists no reasons.
    pub fn from_format(text: &str) -> Option<Self> {
        let names: BTreeMap<_, Arc<str>> =
            format::symbols(text, "reason").map(|(value, name)| (value, name.into())).collect();
        let names = names.into_iter().filter(|(_, name)| **name != *"MAX").collect::<BTreeMap<_, _>>();
        (!names.is_empty()).then(|| Self { names, ..Self::new(Source::TracefsFormat) })
    }

    /// Names as published with `release`; a release without a table leaves numbers.
    pub fn built_in(release: &str) -> Self {
        let names: BTreeMap<_, Arc<str>> =
            built_in::reasons(release).map(|(number, name)| (number, name.into())).collect();
        let source = if names.is_empty() { Source::None } else { Source::BuiltIn };
        Self { names, ..Self::new(source) }
    }

    fn new(source: Source) -> Self {
        let subsystems = BTreeMap::from([(0, "core".into())]);
        Self { names: BTreeMap::new(), subsystems, source, searched: BTreeSet::new() }
    }

    /// Takes the subsystem reasons from the enums of a (module's) BTF; says how many there were.
    pub fn add_enums(&mut self, btf: &Btf) -> usize {
        let before = self.names.len();
        let known: Vec<u16> = self.subsystems.keys().copied().filter(|number| *number != 0).collect();
        for one in btf.enums_ending_with(REASONS).unwrap_or_default() {
            for &number in &known {
                self.insert(number, &one.values);
            }
        }
        self.names.len() - before
    }

    /// Takes those values that belong to the subsystem and are reasons, no bounds or masks.
    fn insert(&mut self, subsystem: u16, values: &[Enumerator]) {
        for Enumerator { name, value } in values {
            let Ok(number) = u32::try_from(*value) else { continue };
            let marker = name.starts_with("__") || name.ends_with("_MAX") || name.ends_with("_SUBSYS_MASK");
            if !marker && subsystem_number(number) == subsystem {
                self.names.entry(number).or_insert_with(|| own_name(name).into());
            }
        }
    }

    /// The name of a reason: the core's without their prefix, a subsystem's as it writes them itself.
    pub fn name(&self, reason: u32) -> Option<&Arc<str>> {
        self.names.get(&reason)
    }

    /// The subsystem of a reason, in lower case: `core`, `mac80211_unusable`, `openvswitch`.
    pub fn subsystem(&self, reason: u32) -> Option<&Arc<str>> {
        self.subsystems.get(&subsystem_number(reason))
    }

    /// Finds a reason by name, in any case, with or without `SKB_DROP_REASON_`.
    pub fn number(&self, name: &str) -> Result<u32, UnknownReason> {
        let wanted = name.to_ascii_uppercase();
        // Some names begin like a prefix themselves: SKB_CSUM is what follows SKB_DROP_REASON_.
        self.numbered(&wanted).or_else(|| self.numbered(own_name(&wanted))).ok_or_else(|| {
            let suggestion = closest(own_name(&wanted), self.names.values().map(AsRef::as_ref));
            UnknownReason { name: name.to_owned(), suggestion: suggestion.map(Arc::from) }
        })
    }

    fn numbered(&self, wanted: &str) -> Option<u32> {
        self.names.iter().find(|(_, name)| ***name == *wanted).map(|(number, _)| *number)
    }

    /// All known reasons by number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Arc<str>)> {
        self.names.iter().map(|(number, name)| (*number, name))
    }

    /// All subsystems by number; `core` is 0.
    pub fn subsystems(&self) -> impl Iterator<Item = (u16, &Arc<str>)> {
        self.subsystems.iter().map(|(number, name)| (*number, name))
    }

    /// Where the core's names come from.
    pub const fn source(&self) -> Source {
        self.source
    }
}

/// The subsystem's number within a reason.
fn subsystem_number(reason: u32) -> u16 {
    u16::try_from(reason >> SUBSYSTEM_SHIFT).unwrap_or(0)
}

fn own_name(name: &str) -> &str {
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}
