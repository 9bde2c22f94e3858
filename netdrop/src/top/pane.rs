//! The panes, and what each tells of a row of a summary.

use crate::model::{Drop, Row};
use crate::output::words::{Address, DeviceName, NetnsName, Place, Plain};

/// A list of the screen: the same drops, told apart by different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pane {
    /// By place in the kernel's code and reason.
    Sites,
    /// By reason.
    Reasons,
    /// By addresses and ports; estimated from details.
    Flows,
    /// By network device.
    Devices,
    /// By network namespace.
    Namespaces,
    /// By the process that has the socket; estimated from details.
    Owners,
    /// Segments that TCP sent again, and resets, by connection; where TCP is followed.
    Tcp,
}

/// What stands in place of something that no row tells.
const NONE: &str = "-";

impl Pane {
    /// All of them, in the order of their number keys.
    pub const ALL: [Self; 7] =
        [Self::Sites, Self::Reasons, Self::Flows, Self::Devices, Self::Namespaces, Self::Owners, Self::Tcp];

    /// Those that are shown: the last one where TCP is followed.
    pub const fn shown(tcp: bool) -> &'static [Self] {
        const ALL: &[Pane] = &Pane::ALL;
        const DROPS: &[Pane] = ALL.split_at(Pane::ALL.len() - 1).0;
        if tcp { ALL } else { DROPS }
    }

    /// Its title.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Sites => "Sites",
            Self::Reasons => "Reasons",
            Self::Flows => "Flows",
            Self::Devices => "Devices",
            Self::Namespaces => "Namespaces",
            Self::Owners => "Owners",
            Self::Tcp => "TCP",
        }
    }

    /// Its place among all.
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|pane| *pane == self).unwrap_or(0)
    }

    /// The titles of its columns of text. The first two are always shown, the others as far as there is room.
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Sites => &["REASON", "FUNCTION", "DEVICE", "NETNS", "PROTO", "CLASS", "LINE"],
            Self::Reasons => &["REASON", "CLASS", "FUNCTION"],
            Self::Flows => &["SOURCE", "DESTINATION", "PROTO", "REASON", "FUNCTION"],
            Self::Devices => &["DEVICE", "NETNS", "REASON"],
            Self::Namespaces => &["NETNS", "REASON", "RUNS"],
            Self::Owners => &["OWNER", "CONTAINER", "REASON"],
            Self::Tcp => &["EVENT", "REMOTE", "LOCAL", "OWNER"],
        }
    }

    /// Whether its rows come from sampled details.
    pub const fn is_estimated(self) -> bool {
        matches!(self, Self::Flows | Self::Owners)
    }

    /// What a row belongs to in this pane, and what it says in each column.
    pub fn tell(self, row: &Row) -> (String, Vec<String>) {
        if row.other {
            return ("other".into(), vec!["(all others)".into()]);
        }
        let told = Told(row);
        match self {
            Self::Sites => (
                site_key(row),
                vec![
                    told.reason(),
                    told.function(),
                    told.device(),
                    told.netns(),
                    told.protocol(),
                    told.class(),
                    told.line(),
                ],
            ),
            Self::Reasons => (told.reason(), vec![told.reason(), told.class(), told.function()]),
            Self::Flows => {
                let [source, destination] = [row.source, row.destination]
                    .map(|end| end.map_or_else(|| NONE.to_owned(), |end| Address(end).to_string()));
                let protocol = told.protocol();
                let key = format!("{} {source} {destination} {protocol}", site_key(row));
                (key, vec![source, destination, protocol, told.reason(), told.function()])
            }
            Self::Tcp => {
                let [local, remote] = [row.source, row.destination]
                    .map(|end| end.map_or_else(|| NONE.to_owned(), |end| Address(end).to_string()));
                let event = row.function.clone().unwrap_or_default();
                let owner = row.owner.as_ref().map(ToString::to_string).unwrap_or_default();
                let key = format!("{event} {local} {remote}");
                (key, vec![Plain(&event).to_string(), remote, local, Plain(&owner).to_string()])
            }
            Self::Devices => {
                let netns = row.netns.as_ref().map_or(0, |netns| netns.inode);
                let device = row.device.as_ref().map_or(0, |device| device.index);
                (format!("{netns} {device}"), vec![told.device(), told.netns(), told.reason()])
            }
            Self::Namespaces => {
                let inode = row.netns.as_ref().map_or(0, |netns| netns.inode);
                (inode.to_string(), vec![told.netns(), told.reason(), told.runs()])
            }
            Self::Owners => {
                let owner = row.owner.as_ref().map(ToString::to_string);
                let owner = owner.map_or_else(|| "(unknown)".to_owned(), |owner| Plain(&owner).to_string());
                let workload = row.workload.as_ref().map(ToString::to_string);
                let workload = workload.map_or_else(String::new, |workload| Plain(&workload).to_string());
                (format!("{owner} {workload}"), vec![owner, workload, told.reason()])
            }
        }
    }
}

/// What tells the rows of the sites apart: the address and the reason.
pub fn site_key(row: &Row) -> String {
    let address = row.site.as_ref().map_or(0, |site| site.address);
    let function = row.function.as_deref().unwrap_or_default();
    let reason = row.reason.as_ref().map_or("", |reason| &reason.name);
    format!("{address:x}{function} {reason}")
}

/// The same of a drop.
pub fn site_key_of(drop: &Drop<'_>) -> String {
    format!("{:x} {}", drop.site.address, drop.reason.map_or("", |reason| &reason.name))
}

/// A row in words.
struct Told<'a>(&'a Row);

impl Told<'_> {
    fn reason(&self) -> String {
        self.0.reason.as_ref().map_or_else(|| NONE.into(), |reason| Plain(&reason.name).to_string())
    }

    fn function(&self) -> String {
        match (&self.0.site, &self.0.function) {
            (Some(site), _) => Place(site).to_string(),
            (None, Some(function)) => Plain(function).to_string(),
            (None, None) => NONE.into(),
        }
    }

    fn device(&self) -> String {
        self.0.device.as_ref().map_or_else(|| NONE.into(), |device| DeviceName(device).to_string())
    }

    fn netns(&self) -> String {
        self.0.netns.as_ref().map_or_else(|| NONE.into(), |netns| NetnsName(netns).to_string())
    }

    /// What runs in the namespace, where that isn't its name already.
    fn runs(&self) -> String {
        let workload = self.0.netns.as_ref().map(|netns| netns.workload.to_string()).unwrap_or_default();
        Plain(&workload).to_string()
    }

    fn protocol(&self) -> String {
        self.0.protocol.map_or_else(String::new, |protocol| protocol.to_string())
    }

    fn class(&self) -> String {
        self.0.class.map_or_else(String::new, |class| class.to_string())
    }

    fn line(&self) -> String {
        let source = self.0.site.as_ref().and_then(|site| site.source.as_ref());
        source.map_or_else(String::new, |source| Plain(&source.line).to_string())
    }
}
