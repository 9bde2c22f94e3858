//! Who of several dropped so many packets, by what each of them counted.

use crate::model::{Certainty, RuleHit};
use crate::order::InOrder as _;

/// Traffic goes on while the snapshots are taken: counters may have grown by so much more than what netdrop counted.
const SLACK: u64 = 20;

/// One that could have dropped some of them.
#[derive(Debug, Clone)]
pub struct Suspect {
    /// What is told of it, certainty and numbers aside.
    pub hit: RuleHit,
    /// How many of the drops it can have made: those of its family and hook.
    pub possible: u64,
    /// By how much its counter grew.
    pub growth: Growth,
}

/// Growth of a counter, packets and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Packets that it dropped, no others.
    Dropped(u64, Option<u64>),
    /// Packets among which those that it dropped are.
    Passed(u64, Option<u64>),
    /// It doesn't count.
    Unknown,
}

/// Who it was, and how many drops nobody explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The surest first.
    pub hits: Vec<RuleHit>,
    /// Drops that the hits can't explain, however much of what came by they dropped.
    pub unexplained: u64,
}

/// Finds who of `suspects` made `drops`.
pub fn settle(drops: u64, suspects: Vec<Suspect>) -> Settled {
    let mut suspects: Vec<Suspect> = suspects.into_iter().filter(|suspect| suspect.possible > 0).collect();
    for suspect in &mut suspects {
        suspect.hit.drops = drops;
        if let Growth::Dropped(packets, bytes) | Growth::Passed(packets, bytes) = suspect.growth {
            (suspect.hit.packets, suspect.hit.bytes) = (Some(packets), bytes);
        }
    }
    let (counted, others): (Vec<Suspect>, Vec<Suspect>) = suspects
        .into_iter()
        // What did not move dropped nothing.
        .filter(|suspect| !matches!(suspect.growth, Growth::Dropped(0, _) | Growth::Passed(0, _)))
        .partition(|suspect| matches!(suspect.growth, Growth::Dropped(..)));
    let sum: u64 = counted.iter().map(Suspect::packets).fold(0, u64::saturating_add);
    let mut settled = if sum > drops.saturating_add(drops / SLACK) {
        Settled { hits: among(counted, drops), unexplained: 0 }
    } else {
        let certainty = if counted.len() == 1 && sum == drops { Certainty::Exact } else { Certainty::Part };
        let mut hits = with(counted, certainty);
        let rest = drops.saturating_sub(sum);
        let unexplained = rest - rest.min(others.iter().map(Suspect::most).fold(0, u64::saturating_add));
        if rest > 0 {
            let is_alone = others.len() == 1 && unexplained == 0;
            hits.extend(with(others, if is_alone { Certainty::Only } else { Certainty::Candidate }));
        }
        Settled { hits, unexplained }
    };
    settled.hits.order_by_key(Settled::order);
    settled
}

impl Settled {
    /// The surest first, and of these the ones that counted most.
    pub fn order(hit: &RuleHit) -> impl Ord + use<> {
        (hit.certainty, std::cmp::Reverse(hit.packets))
    }
}

impl Suspect {
    /// The most that it can have dropped.
    fn most(&self) -> u64 {
        match self.growth {
            Growth::Dropped(packets, _) | Growth::Passed(packets, _) => packets,
            Growth::Unknown => u64::MAX,
        }
    }

    fn packets(&self) -> u64 {
        self.hit.packets.unwrap_or(0)
    }
}

/// More moved than netdrop counted, as a filter left some out: those that moved by the very number, else all.
fn among(counted: Vec<Suspect>, drops: u64) -> Vec<RuleHit> {
    let fits = |suspect: &Suspect| [suspect.possible, drops].contains(&suspect.packets());
    let fitting: Vec<Suspect> = counted.iter().filter(|suspect| fits(suspect)).cloned().collect();
    match fitting.len() {
        0 => with(counted, Certainty::Candidate),
        1 => with(fitting, Certainty::Exact),
        _ => with(fitting, Certainty::Candidate),
    }
}

fn with(suspects: Vec<Suspect>, certainty: Certainty) -> Vec<RuleHit> {
    suspects.into_iter().map(|suspect| RuleHit { certainty, ..suspect.hit }).collect()
}
