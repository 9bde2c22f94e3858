//! The labels of `netdrop_drops_total`, as the settings choose them.

use serde::{Deserialize, Serialize};

use crate::aggregate::{By, Dimension};
use crate::knowledge::Class;
use crate::model::{Endpoint, Row, Workload};

/// What a series tells drops apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// The drop reason, without `SKB_DROP_REASON_`.
    Reason,
    /// Its class.
    Class,
    /// Who defines the reason: `core`, `openvswitch`, …
    Subsystem,
    /// The function that dropped; `trap:NAME` for what hardware dropped.
    Function,
    /// The network device.
    Device,
    /// The network namespace.
    Netns,
    /// The protocol.
    Protocol,
    /// The container, pod or unit that runs in the namespace.
    Container,
    /// The source address: estimated from sampled details.
    Source,
    /// The destination address: estimated from sampled details.
    Destination,
    /// The destination port: estimated from sampled details.
    Port,
}

impl Label {
    /// Those that are meant where nobody says so.
    pub const DEFAULT: [Self; 4] = [Self::Reason, Self::Class, Self::Function, Self::Device];

    /// Its name in a series.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reason => "reason",
            Self::Class => "class",
            Self::Subsystem => "subsystem",
            Self::Function => "function",
            Self::Device => "device",
            Self::Netns => "netns",
            Self::Protocol => "protocol",
            Self::Container => "container",
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Port => "port",
        }
    }

    /// What rows must tell apart for it, beyond what the kernel counts by.
    const fn dimension(self) -> Option<Dimension> {
        match self {
            Self::Source => Some(Dimension::Src),
            Self::Destination => Some(Dimension::Dst),
            Self::Port => Some(Dimension::Port),
            _ => None,
        }
    }

    /// Its value in a row; empty where that isn't known.
    pub(super) fn of(self, row: &Row) -> String {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        match self {
            Self::Reason => text(row.reason.as_ref().map(|reason| reason.name.as_str())),
            Self::Class => text(row.class.map(Class::as_str)),
            Self::Subsystem => text(row.reason.as_ref().map(|reason| reason.subsystem.as_str())),
            Self::Function => function(row),
            Self::Device => row.device.as_ref().map_or_else(String::new, |device| {
                device.name.clone().unwrap_or_else(|| format!("#{}", device.index))
            }),
            Self::Netns => row.netns.as_ref().map_or_else(String::new, |netns| {
                netns.name.clone().unwrap_or_else(|| netns.inode.to_string())
            }),
            Self::Protocol => row.protocol.map_or_else(String::new, |protocol| protocol.to_string()),
            Self::Container => {
                row.netns.as_ref().map_or_else(String::new, |netns| container(&netns.workload))
            }
            Self::Source => address(row.source),
            Self::Destination => address(row.destination),
            Self::Port => row.port.map_or_else(String::new, |port| port.to_string()),
        }
    }
}

/// What the summaries' rows must tell apart for these labels.
pub fn dimensions(labels: &[Label]) -> By {
    labels.iter().filter_map(|label| label.dimension()).fold(By::default(), By::with)
}

fn function(row: &Row) -> String {
    let trap = row.site.as_ref().and_then(|site| site.trap.as_ref());
    match (row.function(), trap, &row.site) {
        (Some(function), ..) => function.to_owned(),
        (None, Some(trap), _) => format!("trap:{}", trap.name),
        (None, None, Some(site)) if site.address != 0 => format!("{:#x}", site.address),
        _ => String::new(),
    }
}

fn container(workload: &Workload) -> String {
    let container = workload.container.as_ref();
    let pod = workload.pod.as_ref().and_then(|pod| pod.name.as_deref());
    let name = container.and_then(|container| container.name.as_deref()).or(pod);
    let id = container.map(|container| container.id.as_str());
    name.or(id).or(workload.unit.as_deref()).unwrap_or_default().to_owned()
}

fn address(endpoint: Option<Endpoint>) -> String {
    endpoint.map_or_else(String::new, |endpoint| endpoint.address.to_string())
}
