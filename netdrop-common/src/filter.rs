//! What the user wants to see, as the program evaluates it.
//!
//! A drop passes when no negated rule matches it and, for each group that has rules, one of them does.

/// The most rules of one kind.
pub const MAX_RULES: usize = 32;

/// The groups of rules: within one it's *or*, between them *and*.
pub mod group {
    /// A negated rule: what it matches is left out.
    pub const EXCLUDE: u32 = 0;
    /// `--reason`, `--class`.
    pub const REASON: u32 = 1;
    /// `--function`.
    pub const FUNCTION: u32 = 1 << 1;
    /// `--device`.
    pub const DEVICE: u32 = 1 << 2;
    /// `--netns`.
    pub const NETNS: u32 = 1 << 3;
    /// `--proto`.
    pub const PROTOCOL: u32 = 1 << 4;
    /// `--host`.
    pub const HOST: u32 = 1 << 5;
    /// `--src`.
    pub const SOURCE: u32 = 1 << 6;
    /// `--dst`.
    pub const DESTINATION: u32 = 1 << 7;
    /// `--port`.
    pub const PORT: u32 = 1 << 8;
    /// `--sport`.
    pub const SOURCE_PORT: u32 = 1 << 9;
    /// `--dport`.
    pub const DESTINATION_PORT: u32 = 1 << 10;
    /// `--container`.
    pub const CONTAINER: u32 = 1 << 11;
    /// `--owner`.
    pub const OWNER: u32 = 1 << 12;
    /// `--scope`.
    pub const SCOPE: u32 = 1 << 13;
}

/// Value in the map of reasons: it passes.
pub const REASON_INCLUDED: u32 = 1;
/// Value in the map of reasons: it's left out.
pub const REASON_EXCLUDED: u32 = 2;
/// Value in the map of reasons: the site decides, as the reason says nothing.
pub const REASON_BY_SITE: u32 = 3;
/// How many pieces the kernel's code may be cut into by what is decided of drops there; a power of two.
pub const MAX_PIECES: usize = 1024;

/// Kinds of [`OwnerKey`], which are bits of [`Filter::owners`]: a cgroup (v2) by its id.
pub const OWNER_CGROUP: u32 = 1;
/// A network namespace by its inode.
pub const OWNER_NETNS: u32 = 1 << 1;
/// A socket by its inode.
pub const OWNER_SOCKET: u32 = 1 << 2;
/// A process by its id: a TCP connection is its own that connected or accepted it.
pub const OWNER_TASK: u32 = 1 << 3;
/// Bit of a value in the map of owners: what belongs to it is left out. The others are the groups that it matches.
pub const OWNER_EXCLUDED: u32 = 1 << 31;

/// Key of the map of owners: what a drop may belong to. User space keeps it up to date while the program runs.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct OwnerKey {
    /// The number; never 0.
    pub id: u64,
    /// What it is the number of: one of `OWNER_*`.
    pub kind: u64,
}

/// A piece of the kernel's code, from here to the next one's start: what is decided of drops there whose reason says nothing.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Piece {
    /// Address of its first byte: 0 of the first piece, all ones behind the last.
    pub start: u64,
    /// [`REASON_INCLUDED`], [`REASON_EXCLUDED`] or 0.
    pub verdict: u64,
}
/// The rule looks at the source.
pub const SIDE_SOURCE: u32 = 1;
/// The rule looks at the destination.
pub const SIDE_DESTINATION: u32 = 2;
/// The rule looks at both; one must match.
pub const SIDE_EITHER: u32 = 3;

/// A function's code: `start < site <= end`, as a site is a return address.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct FunctionRule {
    /// First address.
    pub start: u64,
    /// One past the last.
    pub end: u64,
}

/// A device by its name or, where the packet no longer points to its device, by index and namespace.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct DeviceRule {
    /// `net_device.name`, filled with zeros; all zero when the rule is by index.
    pub name: [u64; 2],
    /// Interface index; 0 when the rule is by name.
    pub ifindex: u32,
    /// Namespace that the index is of.
    pub netns: u32,
}

/// A network namespace.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct NetnsRule {
    /// Inode number.
    pub inode: u32,
}

/// A protocol.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ProtocolRule {
    /// `EtherType`; 0 for any.
    pub ethertype: u16,
    /// IP protocol; [`ProtocolRule::ANY`] for any.
    pub ip_protocol: u16,
}

impl ProtocolRule {
    /// Any IP protocol, or none.
    pub const ANY: u16 = u16::MAX;
}

/// An IP prefix; IPv4 as IPv4-mapped IPv6 (`::ffff:a.b.c.d`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct AddressRule {
    /// The prefix, as words in memory order.
    pub address: [u32; 4],
    /// Its mask.
    pub mask: [u32; 4],
}

/// A range of ports, ends included.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct PortRule {
    /// First.
    pub first: u16,
    /// Last.
    pub last: u16,
}

/// All rules, patched in before load as a read-only constant. A kind without rules is pruned by the verifier.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Filter {
    /// The groups that must match.
    pub required: u32,
    /// 1 when the map of reasons is to be asked.
    pub reasons: u32,
    /// How many of each kind are in use: functions, devices, namespaces, protocols, addresses, ports.
    pub functions: u32,
    /// See `functions`.
    pub devices: u32,
    /// See `functions`.
    pub namespaces: u32,
    /// See `functions`.
    pub protocols: u32,
    /// See `functions`.
    pub addresses: u32,
    /// See `functions`.
    pub ports: u32,
    /// 1 when the pieces of code are to be asked.
    pub sites: u32,
    /// The kinds of [`OwnerKey`] that are to be asked.
    pub owners: u32,
    /// Function rules.
    pub function: [Rule<FunctionRule>; MAX_RULES],
    /// Device rules.
    pub device: [Rule<DeviceRule>; MAX_RULES],
    /// Namespace rules.
    pub netns: [Rule<NetnsRule>; MAX_RULES],
    /// Protocol rules.
    pub protocol: [Rule<ProtocolRule>; MAX_RULES],
    /// Address rules.
    pub address: [Rule<AddressRule>; MAX_RULES],
    /// Port rules.
    pub port: [Rule<PortRule>; MAX_RULES],
}

/// A rule with the group that it belongs to.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Rule<T> {
    /// What it matches.
    pub matches: T,
    /// One of [`group`].
    pub group: u32,
    /// For addresses and ports: [`SIDE_SOURCE`], [`SIDE_DESTINATION`] or [`SIDE_EITHER`].
    pub side: u32,
}

impl Filter {
    /// Whether there is any rule: without, the program asks for nothing else of the filter.
    pub const fn is_active(&self) -> bool {
        let Self { reasons, functions, devices, namespaces, protocols, addresses, ports, owners, .. } = *self;
        reasons + functions + devices + namespaces + protocols + addresses + ports + owners != 0
    }

    /// Lets everything pass.
    pub const NONE: Self = Self {
        required: 0,
        reasons: 0,
        functions: 0,
        devices: 0,
        namespaces: 0,
        protocols: 0,
        addresses: 0,
        ports: 0,
        sites: 0,
        owners: 0,
        function: [Rule { matches: FunctionRule { start: 0, end: 0 }, group: 0, side: 0 }; MAX_RULES],
        device: [Rule { matches: DeviceRule { name: [0; 2], ifindex: 0, netns: 0 }, group: 0, side: 0 };
            MAX_RULES],
        netns: [Rule { matches: NetnsRule { inode: 0 }, group: 0, side: 0 }; MAX_RULES],
        protocol: [Rule { matches: ProtocolRule { ethertype: 0, ip_protocol: 0 }, group: 0, side: 0 };
            MAX_RULES],
        address: [Rule { matches: AddressRule { address: [0; 4], mask: [0; 4] }, group: 0, side: 0 };
            MAX_RULES],
        port: [Rule { matches: PortRule { first: 0, last: 0 }, group: 0, side: 0 }; MAX_RULES],
    };
}
