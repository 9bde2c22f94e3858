//! Folded call chains, `function;function;function count` a line, the outermost first: what flame graph tools read.

use super::stacks::Stacks;
use super::{Output, append};
use crate::model::{Drop, Summary};

/// The folded format. Nothing is written before the end. Drops are counted by the weights of their details: what no detail stands
/// for is in none of the lines.
#[derive(Debug, Default)]
pub struct FoldedStacks {
    stacks: Stacks,
}

impl FoldedStacks {
    /// What was counted.
    pub fn stacks(&self) -> &Stacks {
        &self.stacks
    }
}

impl Output for FoldedStacks {
    fn drop(&mut self, drop: &Drop<'_>, _: &mut Vec<u8>) {
        self.stacks.add(drop);
    }

    fn summary(&mut self, _: &Summary, _: &mut Vec<u8>) {}

    fn end(&mut self, _: &Summary, out: &mut Vec<u8>) {
        for (chain, _, count) in self.stacks.iter() {
            append(out, format_args!("{} {count}\n", chain.join(";")));
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::samples::{self, written};
    use super::*;
    use crate::model::Context;

    #[test]
    fn chains_are_counted_by_weight_and_turned_round() {
        let mut folded = FoldedStacks::default();
        let parts = samples::udp();
        let stack: Vec<String> =
            ["__udp4_lib_rcv+0x4bc", "ip_rcv+0x12 [br;idge]", "net_rx_action\n+0xb3"].map(Into::into).into();
        for weight in [1, 41] {
            let context = Context { stack: &stack, ..Context::default() };
            folded.drop(&Drop { context, ..parts.drop(weight) }, &mut Vec::new());
        }
        folded.drop(&samples::full().drop(340), &mut Vec::new());
        folded.drop(&samples::trapped().drop(7), &mut Vec::new());
        folded.drop(&samples::bare().drop(2), &mut Vec::new());
        assert_snapshot!(written(|out| folded.end(&samples::end(), out)), @r"
        (unknown function) 2
        blackhole_route 7
        net_rx_action�;ip_rcv;__udp4_lib_rcv 42
        tcp_conn_request 340
        ");
        assert_eq!((folded.stacks().total(), folded.stacks().chainless()), (391, 349));
    }
}
