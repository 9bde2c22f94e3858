//! What tells the series of a metric apart.

use serde::{Deserialize, Serialize};

use crate::model::Row;

/// An attribute of a row. Addresses and ports are none: there is no end of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// The kernel's reason; of hardware the trap's name.
    Reason,
    /// The kind of loss.
    Class,
    /// Who defines the reason.
    Subsystem,
    /// The kernel function that dropped.
    Function,
    /// The module that holds it.
    Module,
    /// The network device.
    Device,
    /// TCP, UDP …
    Transport,
    /// IPv4, IPv6, ARP.
    Type,
    /// The network namespace.
    Netns,
    /// The container that the packet was for or from.
    Container,
    /// Its pod.
    Pod,
    /// The systemd unit, where there is no container.
    Unit,
}

impl Label {
    /// Those that are used unless told otherwise.
    pub const DEFAULT: [Self; 6] =
        [Self::Reason, Self::Class, Self::Function, Self::Device, Self::Transport, Self::Type];

    /// The attribute's key: OpenTelemetry's semantic conventions where they have one.
    pub fn key(self) -> &'static str {
        match self {
            Self::Reason => "netdrop.reason",
            Self::Class => "netdrop.class",
            Self::Subsystem => "netdrop.subsystem",
            Self::Function => "code.function.name",
            Self::Module => "netdrop.module",
            Self::Device => "network.interface.name",
            Self::Transport => "network.transport",
            Self::Type => "network.type",
            Self::Netns => "netdrop.netns",
            Self::Container => "container.id",
            Self::Pod => "k8s.pod.uid",
            Self::Unit => "netdrop.systemd.unit",
        }
    }

    /// Its value; absent where it is unknown or the rows don't tell it.
    pub(super) fn value(self, row: &Row) -> Option<String> {
        let trap = || row.site.as_ref()?.trap.as_ref();
        let workload = || row.workload.as_deref().or_else(|| Some(&*row.netns.as_ref()?.workload));
        match self {
            Self::Reason => match &row.reason {
                Some(reason) => Some(reason.name.clone()),
                None => trap().map(|trap| trap.name.clone()).filter(|name| !name.is_empty()),
            },
            Self::Class => row.class.map(|class| class.as_str().to_owned()),
            Self::Subsystem => row.reason.as_ref().map(|reason| reason.subsystem.clone()),
            Self::Function => row.function().map(str::to_owned),
            Self::Module => row.site.as_ref()?.module.clone(),
            Self::Device => row.device.as_ref()?.name.clone(),
            Self::Transport => row.protocol.filter(|protocol| protocol.ip.is_some()).map(|ip| ip.to_string()),
            Self::Type => {
                row.protocol.and_then(crate::model::Protocol::family).map(|family| family.as_str().to_owned())
            }
            Self::Netns => {
                let netns = row.netns.as_ref()?;
                Some(netns.name.clone().unwrap_or_else(|| netns.inode.to_string()))
            }
            Self::Container => workload()?.container.as_ref().map(|container| container.id.clone()),
            Self::Pod => workload()?.pod.as_ref().map(|pod| pod.uid.clone()),
            Self::Unit => workload()?.unit.clone(),
        }
    }
}
