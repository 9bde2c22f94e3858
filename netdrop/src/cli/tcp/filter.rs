//! The filters that TCP's events have in common with drops.

use clap::Args;

use crate::filter::{Choice, Wanted};

/// Filters, evaluated in the kernel. A list means any of its values; different filters must all match.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Filters (a list: any of it; several filters: all; --not-…: all but these)")]
pub struct TcpFilters {
    /// Devices that the route goes by, in any namespace
    #[arg(long, value_name = "IF,…", value_delimiter = ',')]
    device: Vec<String>,
    /// Network namespaces: a name, an inode number, pid:N or self
    #[arg(long, value_name = "NETNS,…", value_delimiter = ',')]
    netns: Vec<String>,
    /// Addresses or prefixes, local or remote
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',')]
    host: Vec<String>,
    /// Addresses or prefixes that segments come from: local, but for resets received
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',')]
    src: Vec<String>,
    /// Addresses or prefixes that segments go to
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',')]
    dst: Vec<String>,
    /// Ports or ranges, local or remote
    #[arg(long, value_name = "N[-M],…", value_delimiter = ',')]
    port: Vec<String>,
    /// Source ports or ranges
    #[arg(long, value_name = "N[-M],…", value_delimiter = ',')]
    sport: Vec<String>,
    /// Destination ports or ranges
    #[arg(long, value_name = "N[-M],…", value_delimiter = ',')]
    dport: Vec<String>,
    /// Containers and pods, by name or id
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    container: Vec<String>,
    /// Processes that own the socket, by id or name
    #[arg(long, value_name = "PID|NAME,…", value_delimiter = ',')]
    owner: Vec<String>,
    /// All but these devices
    #[arg(long, value_name = "IF,…", value_delimiter = ',', hide_short_help = true)]
    not_device: Vec<String>,
    /// All but these namespaces
    #[arg(long, value_name = "NETNS,…", value_delimiter = ',', hide_short_help = true)]
    not_netns: Vec<String>,
    /// All but these addresses, local or remote
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',', hide_short_help = true)]
    not_host: Vec<String>,
    /// All but these source addresses
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',', hide_short_help = true)]
    not_src: Vec<String>,
    /// All but these destination addresses
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',', hide_short_help = true)]
    not_dst: Vec<String>,
    /// All but these ports, local or remote
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
    /// All but these processes' sockets
    #[arg(long, value_name = "PID|NAME,…", value_delimiter = ',', hide_short_help = true)]
    not_owner: Vec<String>,
    /// Print what each filter comes to, where it is evaluated and what it can miss, and end (--format json: a line each)
    #[arg(long)]
    pub explain_filter: bool,
}

impl TcpFilters {
    /// In the filter's own terms.
    pub fn wanted(&self) -> Wanted {
        let choice = |only: &[String], not: &[String]| Choice { only: only.to_vec(), not: not.to_vec() };
        Wanted {
            device: choice(&self.device, &self.not_device),
            netns: choice(&self.netns, &self.not_netns),
            host: choice(&self.host, &self.not_host),
            source: choice(&self.src, &self.not_src),
            destination: choice(&self.dst, &self.not_dst),
            port: choice(&self.port, &self.not_port),
            source_port: choice(&self.sport, &self.not_sport),
            destination_port: choice(&self.dport, &self.not_dport),
            container: choice(&self.container, &self.not_container),
            owner: choice(&self.owner, &self.not_owner),
            ..Wanted::default()
        }
    }
}
