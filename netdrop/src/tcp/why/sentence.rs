//! A flow's story in one sentence.

use super::{Because, DropsAt, Story};
use crate::output::words::Plain;
use crate::units::thousands;

/// Places that a sentence names.
const NAMED: usize = 2;

impl Story {
    /// In one sentence, without a full stop.
    pub fn sentence(&self) -> String {
        let about = if self.estimated { "~" } else { "" };
        let retransmits = plural(about, self.retransmits, "retransmit");
        match (self.because, self.failed) {
            (Because::Failed, failed) => {
                format!("{}, {}", plural(about, failed, "failed attempt"), self.rest())
            }
            (_, 0) => format!("{retransmits}, {}", self.rest()),
            (_, failed) => {
                format!("{retransmits} and {about}{} that failed, {}", thousands(failed), self.rest())
            }
        }
    }

    fn rest(&self) -> String {
        let none = if self.whole {
            "no drop on this host"
        } else {
            "no drop on this host among those told in detail"
        };
        match self.because {
            Because::DroppedHere => self.dropped(),
            Because::PartlyDroppedHere(explained) => format!(
                "but only {}: {explained} of {} explained",
                self.dropped(),
                thousands(self.retransmits)
            ),
            Because::Failed if self.drops.iter().any(DropsAt::is_loss) => self.dropped(),
            Because::Failed => format!("the segments couldn't leave this host; {none}"),
            Because::ZeroWindow => "the peer's window is zero: its program doesn't read".into(),
            Because::Spurious(duplicates) => format!(
                "sent in vain: the peer, on this host too, had the data already ({} as TCP_OLD_DATA)",
                plural("", duplicates, "drop")
            ),
            Because::LossProbes => {
                format!("tail loss probes alone: nothing shows that anything was lost; {none}")
            }
            Because::NoAnswerToSyn => {
                format!("the peer doesn't answer the SYN (it is away, or its accept queue is full); {none}")
            }
            Because::NoAnswerToSynAck => format!("the peer doesn't answer the SYN-ACK; {none}"),
            Because::LostBeyond => format!("{none}: lost beyond it"),
        }
    }

    /// `12 drops at tcp_v4_rcv (SOCKET_BACKLOG) on this host`.
    fn dropped(&self) -> String {
        let losses: Vec<&DropsAt> = self.drops.iter().filter(|at| at.is_loss()).collect();
        let estimated = !self.whole || losses.iter().any(|at| at.estimated);
        let about = if estimated { "~" } else { "" };
        let packets = losses.iter().map(|at| at.packets).sum();
        let segments = losses.iter().map(|at| at.segments).sum();
        let drops = plural(about, packets, "drop");
        let drops = if segments > packets {
            format!("{drops} ({about}{} segments)", thousands(segments))
        } else {
            drops
        };
        let of_peer =
            if losses.iter().all(|at| at.source == self.flow.remote) { " of the peer's packets" } else { "" };
        if let [at] = losses[..] {
            return format!("{drops}{of_peer} at {} on this host{}", place(at), self.elsewhere(at));
        }
        let named: Vec<_> = losses
            .iter()
            .take(NAMED)
            .map(|at| format!("{about}{} at {}{}", thousands(at.packets), place(at), self.elsewhere(at)))
            .collect();
        let more = losses.len() - named.len();
        let more = if more > 0 { format!(", and {more} more places") } else { String::new() };
        format!("{drops}{of_peer} on this host: {}{more}", named.join(", "))
    }

    /// The namespace of a drop, where it is another than the flow's.
    fn elsewhere(&self, at: &DropsAt) -> String {
        let netns = at.netns.as_ref().filter(|netns| netns.inode != self.flow.netns && self.flow.netns != 0);
        netns
            .map_or_else(String::new, |netns| format!(" in netns {}", crate::output::words::NetnsName(netns)))
    }

    /// What `netdrop explain` can be asked about the place of most losses: its reason, else its function.
    pub fn hint(&self) -> Option<&str> {
        let at = self.drops.iter().find(|at| at.is_loss())?;
        let reason = at.reason.as_deref().filter(|reason| *reason != "NOT_SPECIFIED");
        Some(reason.unwrap_or(&at.function))
    }
}

/// `tcp_v4_rcv (SOCKET_BACKLOG)`
fn place(at: &DropsAt) -> String {
    match &at.reason {
        Some(reason) => format!("{} ({})", Plain(&at.function), Plain(reason)),
        None => Plain(&at.function).to_string(),
    }
}

/// `1 drop`, `~12 drops`
fn plural(about: &str, count: u64, what: &str) -> String {
    format!("{about}{} {what}{}", thousands(count), if count == 1 { "" } else { "s" })
}
