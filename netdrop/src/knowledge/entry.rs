//! One record of the knowledge base.

use super::{Class, base};

/// What a record tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A drop reason, by its name without `SKB_DROP_REASON_`.
    Reason,
    /// A function of the kernel that drops.
    Function,
    /// A packet trap of hardware (devlink-trap), by its name.
    Trap,
    /// Why TCP sent a reset, by its name without `SK_RST_REASON_`. It is no drop, and has no class.
    Reset,
    /// A check of the doctor's. It is no drop either.
    Check,
    /// A setting of the network, by its name with dots: `net.ipv4.tcp_rmem`.
    Setting,
}

impl Kind {
    /// Whether it tells of drops, and so has a class.
    pub const fn is_drop(self) -> bool {
        !matches!(self, Self::Reset | Self::Check | Self::Setting)
    }

    /// As it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reason => "reason",
            Self::Function => "function",
            Self::Trap => "trap",
            Self::Reset => "reset",
            Self::Check => "check",
            Self::Setting => "setting",
        }
    }
}

/// What is known about one reason, function, trap, reset or check: the text of its record, whose fields are found when they are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    pub(super) subsystem: &'static str,
    pub(super) record: &'static str,
}

/// Something to do: a command, what it shows or changes, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// A command for a shell; words in capitals stand for what is different everywhere.
    pub command: Option<&'static str>,
    /// What to look at, or a piece of advice.
    pub note: Option<&'static str>,
}

/// A place in the kernel's sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The file, from the root of the kernel's tree.
    pub file: &'static str,
    /// The function in it.
    pub function: Option<&'static str>,
}

impl Entry {
    /// Reason, function, trap, reset or check.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The part of the kernel that defines the reason: `core`, `mac80211`, `openvswitch`, `qdisc`; `core` for functions,
    /// `devlink` for traps, `tcp` for resets, `doctor` for checks.
    pub const fn subsystem(&self) -> &'static str {
        self.subsystem
    }

    /// The class; [`Class::Unknown`] where the causes are of different ones, and for resets and checks, which have none.
    pub fn class(&self) -> Class {
        self.field("Class").and_then(|name| name.parse().ok()).unwrap_or(Class::Unknown)
    }

    /// A setting's value in a kernel that nobody set anything in.
    pub fn default(&self) -> Option<&'static str> {
        self.field("Default")
    }

    /// Whether a setting is the whole host's, and not a network namespace's.
    pub fn is_of_host(&self) -> bool {
        self.field("Scope") == Some("host")
    }

    /// Which values of a setting are odd: lines for the doctor.
    pub fn rules(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.fields("Rule")
    }

    /// What it means, in one sentence.
    pub fn meaning(&self) -> &'static str {
        self.field("Meaning").unwrap_or_default()
    }

    /// Why such a drop is no loss, and when it is not normal; lifecycle drops have this in place of causes and remedies.
    pub fn normal(&self) -> Option<&'static str> {
        self.list("Normal").first().copied()
    }

    /// The usual causes, one sentence each.
    pub fn causes(&self) -> Vec<&'static str> {
        self.list("Cause")
    }

    /// How to find out which cause it is.
    pub fn confirm(&self) -> Vec<Step> {
        self.list("Confirm").into_iter().map(Step::parse).collect()
    }

    /// What helps.
    pub fn remedy(&self) -> Vec<Step> {
        self.list("Remedy").into_iter().map(Step::parse).collect()
    }

    /// What to think of before the remedy.
    pub fn caution(&self) -> Option<&'static str> {
        self.list("Caution").first().copied()
    }

    /// Where the kernel drops so.
    pub fn sources(&self) -> Vec<Source> {
        let source = |text: &'static str| match text.split_once(' ') {
            Some((file, function)) => Source { file, function: Some(function) },
            None => Source { file: text, function: None },
        };
        self.fields("Source").map(source).collect()
    }

    /// The record whose causes and remedies hold here too, where this one has none of its own.
    pub fn like(&self) -> Option<&'static Self> {
        let name = self.field("Like")?;
        match self.kind {
            Kind::Reset => base::reset(name),
            Kind::Check => base::check(name),
            _ => base::reason(name).or_else(|| base::site(name)).or_else(|| base::trap(name)),
        }
    }

    /// All values of a field; another record's where this one has none and is like that one.
    fn list(&self, field: &'static str) -> Vec<&'static str> {
        let own: Vec<_> = self.fields(field).collect();
        match self.like() {
            Some(like) if own.is_empty() => like.list(field),
            _ => own,
        }
    }

    pub(super) fn field(&self, name: &'static str) -> Option<&'static str> {
        self.fields(name).next()
    }

    pub(super) fn fields(&self, name: &'static str) -> impl Iterator<Item = &'static str> + use<> {
        self.record.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Step {
    /// Reads `$ command # note`, `$ command` or advice.
    fn parse(text: &'static str) -> Self {
        match text.strip_prefix("$ ").map(|command| command.split_once(" # ").ok_or(command)) {
            Some(Ok((command, note))) => Self { command: Some(command), note: Some(note) },
            Some(Err(command)) => Self { command: Some(command), note: None },
            None => Self { command: None, note: Some(text) },
        }
    }
}
