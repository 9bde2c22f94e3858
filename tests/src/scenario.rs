//! One row of the table: how packets are made to drop, and what must be reported.

use std::any::Any;
use std::collections::HashSet;
use std::sync::OnceLock;

use anyhow::{Context, Result};

use crate::lab::Lab;
use crate::runner::Bench;

type Send = Box<dyn FnMut(&Lab) -> Result<()>>;
type Test = Box<dyn Fn(&Bench) -> Result<()>>;

/// A scenario ready to send: everything up to the first packet has happened.
pub struct Stage {
    pub lab: Lab,
    send: Send,
    kept: Vec<Box<dyn Any>>,
}

impl Stage {
    /// Sockets that must outlive the watcher are moved into `send`.
    pub fn new(lab: Lab, send: impl FnMut(&Lab) -> Result<()> + 'static) -> Result<Self> {
        Ok(Self { lab, send: Box::new(send), kept: Vec::new() })
    }

    /// Keeps `thing` open until the watcher has ended.
    pub fn keep(&mut self, thing: impl Any) {
        self.kept.push(Box::new(thing));
    }

    /// Sends the packets.
    pub fn send(&mut self) -> Result<()> {
        (self.send)(&self.lab)
    }
}

/// The namespace in which the drop happens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum At {
    Receiver,
    Sender,
    /// The packet belongs to nobody any more: no device, no socket, no route.
    Nowhere,
}

/// What must be reported.
pub struct Expect {
    /// Packets, exactly.
    pub count: u64,
    /// Reasons that kernels give for it, the newest kernel's first: the first that a kernel knows is the one it must give.
    /// Kernels before 5.17 know none.
    pub reasons: &'static [&'static str],
    /// Where kernels knew the first of them before they gave it here: a reason that came together with its use here.
    pub since: &'static str,
    /// Functions that call `kfree_skb` for it, by kernel and inlining.
    pub functions: &'static [&'static str],
    /// The namespace.
    pub at: At,
    /// The device; `""` where the packet no longer has one.
    pub device: &'static str,
    /// The protocol of the counted row; `""` where it isn't judged.
    pub protocol: &'static str,
    /// JSON pointer and value that each `drop` line must hold; a value in `/packet`.
    pub packet: &'static [(&'static str, &'static str)],
}

impl Expect {
    /// What a kernel that knows these reasons must give; nothing where it gives no reasons at all.
    pub fn reason(&self, knows: impl Fn(&str) -> bool) -> Option<&'static str> {
        let is_given = self.since.is_empty() || knows(self.since);
        self.reasons.iter().copied().skip(usize::from(!is_given)).find(|reason| knows(reason))
    }
}

/// A scenario of the table.
pub struct Scenario {
    pub name: &'static str,
    pub prepare: fn(u64) -> Result<Stage>,
    pub expect: Expect,
}

/// A test of netdrop as a whole.
pub struct System {
    pub name: String,
    pub test: Test,
}

impl System {
    /// A test under this name.
    pub fn new(name: &str, test: impl Fn(&Bench) -> Result<()> + 'static) -> Self {
        Self { name: name.into(), test: Box::new(test) }
    }
}

/// A test's name, and what it does.
pub type Named = (&'static str, fn(&Bench) -> Result<()>);

/// Tests of netdrop as a whole.
pub fn systems<const N: usize>(tests: [Named; N]) -> Vec<Case> {
    tests.into_iter().map(|(name, test)| Case::System(System::new(name, test))).collect()
}

/// A case of the closing line.
pub enum Case {
    Scenario(Scenario),
    System(System),
}

impl Case {
    /// Its name, `subsystem-what`.
    pub fn name(&self) -> &str {
        match self {
            Self::Scenario(scenario) => scenario.name,
            Self::System(system) => &system.name,
        }
    }
}

/// The running kernel's type information. It is asked, not the kernel's version: distributions backport.
pub struct KernelTypes(&'static HashSet<Vec<u8>>);

impl KernelTypes {
    /// Reads it, once a run: in an emulated guest that takes as long as a scenario.
    pub fn read() -> Result<Self> {
        static NAMES: OnceLock<HashSet<Vec<u8>>> = OnceLock::new();
        if let Some(names) = NAMES.get() {
            return Ok(Self(names));
        }
        let bytes = std::fs::read("/sys/kernel/btf/vmlinux").context("can't read the kernel's BTF")?;
        // Names stand between zeros (kernel: Documentation/bpf/btf.rst, "String Encoding"); what else does is no name.
        Ok(Self(NAMES.get_or_init(|| bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect())))
    }

    /// Whether it holds the name of a type, a member or a parameter.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(name.as_bytes())
    }

    /// Whether the core or queueing disciplines have this drop reason.
    pub fn has_reason(&self, reason: &str) -> bool {
        // Those of queueing disciplines stand in an enum of their own (7.x), which names them in full.
        self.has(&format!("SKB_DROP_REASON_{reason}"))
            || (reason.starts_with("QDISC_DROP_") && self.has(reason))
    }

    /// Whether queueing disciplines tell this reason (`enum qdisc_drop_reason`), in place of the core's `QDISC_DROP`.
    pub fn has_qdisc_reason(&self, reason: &str) -> bool {
        reason.starts_with("QDISC_DROP_") && self.has(reason)
    }
}
