//! The flags that say which drops are wanted. All are evaluated in the kernel; those that aren't used cost nothing there.

use clap::Args;

use crate::filter::{Choice, Wanted};

/// Filters. A list means any of its values; different filters must all match. Their negations would double the help:
/// its heading tells of them, and the long help (`netdrop help watch`, the manual page) lists them.
#[derive(Debug, Default, Args)]
#[expect(clippy::doc_markdown, reason = "the comments are help texts, and terminals show backticks")]
#[command(next_help_heading = "Filters (a list: any of it; several filters: all; --not-…: all but these)")]
pub struct Filters {
    /// Drop reasons, as in NO_SOCKET
    #[arg(long, value_name = "REASON,…", value_delimiter = ',')]
    reason: Vec<String>,
    /// Classes: policy, congestion, no-receiver, malformed, routing, lifecycle, unknown; of a drop that says no reason
    /// (NOT_SPECIFIED) the function has one
    #[arg(long, value_name = "CLASS,…", value_delimiter = ',')]
    class: Vec<String>,
    /// Functions that drop, as in tcp_v4_rcv
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    function: Vec<String>,
    /// Network devices, in any namespace
    #[arg(long, value_name = "IF,…", value_delimiter = ',')]
    device: Vec<String>,
    /// Network namespaces: a name, an inode number, pid:N or self
    #[arg(long, value_name = "NETNS,…", value_delimiter = ',')]
    netns: Vec<String>,
    /// Protocols: tcp, udp, icmp, icmpv6, arp, …, an IP protocol's number or an EtherType (0x88cc)
    #[arg(long, value_name = "PROTO,…", value_delimiter = ',')]
    proto: Vec<String>,
    /// Addresses or prefixes of source or destination
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',')]
    host: Vec<String>,
    /// Addresses or prefixes of the source
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',')]
    src: Vec<String>,
    /// Addresses or prefixes of the destination
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',')]
    dst: Vec<String>,
    /// Ports or ranges of source or destination
    #[arg(long, value_name = "N[-M],…", value_delimiter = ',')]
    port: Vec<String>,
    /// Source ports
    #[arg(long, value_name = "N[-M],…", value_delimiter = ',')]
    sport: Vec<String>,
    /// Destination ports
    #[arg(long, value_name = "N[-M],…", value_delimiter = ',')]
    dport: Vec<String>,
    /// Containers or pods by name or id: drops of their sockets and, unless it is the host's, in their network namespace
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    container: Vec<String>,
    /// Processes, by id or command, that hold the drop's socket; sockets are looked for every 250 ms or so: younger ones are
    /// missed
    #[arg(long, value_name = "PID|NAME,…", value_delimiter = ',')]
    owner: Vec<String>,
    /// All but these reasons
    #[arg(long, value_name = "REASON,…", value_delimiter = ',', hide_short_help = true)]
    not_reason: Vec<String>,
    /// All but these classes
    #[arg(long, value_name = "CLASS,…", value_delimiter = ',', hide_short_help = true)]
    not_class: Vec<String>,
    /// All but these functions
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', hide_short_help = true)]
    not_function: Vec<String>,
    /// All but these devices
    #[arg(long, value_name = "IF,…", value_delimiter = ',', hide_short_help = true)]
    not_device: Vec<String>,
    /// All but these namespaces
    #[arg(long, value_name = "NETNS,…", value_delimiter = ',', hide_short_help = true)]
    not_netns: Vec<String>,
    /// All but these protocols
    #[arg(long, value_name = "PROTO,…", value_delimiter = ',', hide_short_help = true)]
    not_proto: Vec<String>,
    /// All but these addresses, source or destination
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',', hide_short_help = true)]
    not_host: Vec<String>,
    /// All but these source addresses
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',', hide_short_help = true)]
    not_src: Vec<String>,
    /// All but these destination addresses
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',', hide_short_help = true)]
    not_dst: Vec<String>,
    /// All but these ports, source or destination
    #[arg(long, value_name = "N[-M],…", value_delimiter = ',', hide_short_help = true)]
    not_port: Vec<String>,
    /// All but these source ports
    #[arg(long, value_name = "N[-M],…", value_delimiter = ',', hide_short_help = true)]
    not_sport: Vec<String>,
    /// All but these destination ports
    #[arg(long, value_name = "N[-M],…", value_delimiter = ',', hide_short_help = true)]
    not_dport: Vec<String>,
    /// All but these containers
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', hide_short_help = true)]
    not_container: Vec<String>,
    /// All but these processes' sockets; drops without a socket stay
    #[arg(long, value_name = "PID|NAME,…", value_delimiter = ',', hide_short_help = true)]
    not_owner: Vec<String>,
    /// Print what each filter comes to, where it is evaluated and what it can miss, and end (--format json: a line each)
    #[arg(long)]
    pub explain_filter: bool,
}

impl Filters {
    /// Whether reasons or classes are named that shall pass.
    pub fn choose_reasons(&self) -> bool {
        !self.reason.is_empty() || !self.class.is_empty()
    }

    /// In the filter's own terms.
    pub fn wanted(&self) -> Wanted {
        let choice = |only: &[String], not: &[String]| Choice { only: only.to_vec(), not: not.to_vec() };
        Wanted {
            reason: choice(&self.reason, &self.not_reason),
            class: choice(&self.class, &self.not_class),
            function: choice(&self.function, &self.not_function),
            device: choice(&self.device, &self.not_device),
            netns: choice(&self.netns, &self.not_netns),
            protocol: choice(&self.proto, &self.not_proto),
            host: choice(&self.host, &self.not_host),
            source: choice(&self.src, &self.not_src),
            destination: choice(&self.dst, &self.not_dst),
            port: choice(&self.port, &self.not_port),
            source_port: choice(&self.sport, &self.not_sport),
            destination_port: choice(&self.dport, &self.not_dport),
            container: choice(&self.container, &self.not_container),
            owner: choice(&self.owner, &self.not_owner),
            cgroup: None,
        }
    }
}
