//! What else the kernel counts: the rules of its firewalls, its classifiers, its devices. One reader a file, bytes in and
//! a struct out; [`snapshot`] asks them all within one network namespace. Nothing here runs while drops are read.

pub mod cgroup;
pub mod chains;
pub mod classifiers;
pub mod command;
pub mod cpu_table;
pub mod devlink;
pub mod ethtool;
pub mod firewall;
pub mod inet_sockets;
pub mod iptables;
pub mod links;
pub mod losses;
pub mod neighbour_tables;
pub mod netlink;
pub mod nft;
pub mod nft_text;
pub mod pressure;
pub mod process;
pub mod protocols;
pub mod rule;
pub mod schedstat;
pub mod snapshot;
pub mod snmp;
pub mod softnet;
pub mod sysctl_conf;
pub mod tcp_limits;
pub mod tcp_sockets;
