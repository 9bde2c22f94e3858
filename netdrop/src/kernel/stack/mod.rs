//! The kernel call chain of a drop: addresses as a stack walk gives them, made into names from the site on.
//!
//! A walk starts in netdrop's own program. Above the site stand the program, the tracepoint that ran it, and the functions
//! whose work is to free packets; none of them says anything about the drop.

mod verdict;

use std::fmt;

pub use verdict::verdict;

use super::symbols::{Resolved, Symbols};

/// What kallsyms calls the module of BPF programs and trampolines (`kernel/bpf/core.c`, `bpf_get_kallsym`).
const BPF: &str = "bpf";

/// An address of a call chain: where a call returns to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackFrame<'s> {
    /// The address.
    pub address: u64,
    /// The function that it lies in, where there is one.
    pub symbol: Option<Resolved<'s>>,
}

impl StackFrame<'_> {
    /// The BPF program that it lies in.
    pub fn bpf_program(&self) -> Option<BpfProgram<'_>> {
        BpfProgram::of(self.symbol?)
    }

    /// The function's name without what the compiler added: `ip_rcv` of `ip_rcv.isra.0`.
    pub fn function(&self) -> Option<&str> {
        self.symbol.map(|symbol| source_name(symbol.name))
    }

    /// Whether it belongs to how the drop was seen and the packet freed, not to why.
    fn is_machinery(&self) -> bool {
        let Some(symbol) = self.symbol else { return false };
        let name = source_name(symbol.name);
        let starts =
            ["__bpf_prog_run", "bpf_trace_run", "bpf_trampoline_", "bpf_dispatcher_", "bpf_get_stack"];
        symbol.module == Some(BPF)
            || starts.iter().any(|start| name.starts_with(start))
            || matches!(
                name,
                // The tracepoint (include/linux/tracepoint.h, include/trace/bpf_probe.h).
                "__bpf_trace_kfree_skb" | "__traceiter_kfree_skb" | "trace_kfree_skb"
                // What calls it (net/core/skbuff.c), under its names since 5.10. Each tells the tracepoint its caller as the site.
                | "kfree_skb" | "kfree_skb_reason" | "__kfree_skb_reason" | "sk_skb_reason_drop"
                | "__sk_skb_reason_drop" | "kfree_skb_list" | "kfree_skb_list_reason"
            )
    }
}

/// As the kernel prints it: `nft_do_chain+0x1a3 [nf_tables]`; a bare address where nothing is known.
impl fmt::Display for StackFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Resolved { name, offset, module }) = self.symbol else {
            return write!(f, "{:#x}", self.address);
        };
        write!(f, "{name}+{offset:#x}")?;
        module.map_or(Ok(()), |module| write!(f, " [{module}]"))
    }
}

/// A BPF program, as kallsyms names it: `bpf_prog_6deef7357e7b4530_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BpfProgram<'s> {
    /// The hash of its instructions, 16 digits, as `bpftool prog` shows it.
    pub tag: &'s str,
    /// Its name; a program may have none.
    pub name: Option<&'s str>,
}

impl<'s> BpfProgram<'s> {
    /// Of a symbol of the kernel's, where it is a program's.
    pub fn of(symbol: Resolved<'s>) -> Option<Self> {
        let program = symbol.name.strip_prefix("bpf_prog_").filter(|_| symbol.module == Some(BPF))?;
        let (tag, name) = match program.split_once('_') {
            Some((tag, name)) => (tag, Some(name)),
            None => (program, None),
        };
        let is_tag = tag.len() == 16 && tag.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_tag.then_some(Self { tag, name })
    }
}

/// The call chain from the site on: `addresses` as the stack walk gave them, the innermost first.
///
/// `site` is the tracepoint's `location`. Where the walk passes through it, the chain starts there, whatever stands above. It doesn't
/// where the freeing function was jumped to, or where the site is a function that is told (`net_tx_action`): then what is
/// known to be machinery is removed.
pub fn from_site<'s>(addresses: &[u64], site: u64, symbols: &'s Symbols) -> Vec<StackFrame<'s>> {
    let frame = |address: &u64| StackFrame { address: *address, symbol: symbols.resolve(*address) };
    if let Some(at) = addresses.iter().position(|address| *address == site) {
        return addresses[at..].iter().map(frame).collect();
    }
    let frames: Vec<_> = addresses.iter().map(frame).collect();
    // Programs have no names with net.core.bpf_jit_kallsyms=0.
    let above = frames.iter().take_while(|frame| frame.symbol.is_none() || frame.is_machinery());
    let last = above.enumerate().filter(|(_, frame)| frame.is_machinery()).last();
    frames[last.map_or(0, |(at, _)| at + 1)..].to_vec()
}

/// A symbol as the source has it.
fn source_name(symbol: &str) -> &str {
    symbol.split_once('.').map_or(symbol, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const KALLSYMS: &str = "\
ffffffff81000000 T bpf_trace_run4
ffffffff81001000 T __bpf_trace_kfree_skb
ffffffff81002000 T __traceiter_kfree_skb
ffffffff81003000 T sk_skb_reason_drop
ffffffff81004000 T kfree_skb_list_reason
ffffffff81005000 t __udp4_lib_rcv.isra.0
ffffffff81006000 T ip_local_deliver
ffffffff81007000 t net_tx_action
ffffffff81008000 T bpf_get_stackid_raw_tp
ffffffff81009000 T end
ffffffffc0000000 t nft_do_chain\t[nf_tables]
ffffffffc0100000 t bpf_prog_6deef7357e7b4530_netdrop\t[bpf]
ffffffffc0101000 t bpf_prog_0123456789abcdef\t[bpf]
ffffffffc0102000 t bpf_trampoline_6442\t[bpf]
";
    const PROGRAM: u64 = 0xffff_ffff_c010_0010;
    const OTHER_PROGRAM: u64 = 0xffff_ffff_c010_1010;
    const TRAMPOLINE: u64 = 0xffff_ffff_c010_2010;
    const RUN: u64 = 0xffff_ffff_8100_0010;
    const BPF_TRACE: u64 = 0xffff_ffff_8100_1010;
    const ITERATE: u64 = 0xffff_ffff_8100_2010;
    const DROP: u64 = 0xffff_ffff_8100_3010;
    const DROP_LIST: u64 = 0xffff_ffff_8100_4010;
    const UDP: u64 = 0xffff_ffff_8100_5010;
    const DELIVER: u64 = 0xffff_ffff_8100_6010;
    const TX: u64 = 0xffff_ffff_8100_7010;
    const TX_START: u64 = 0xffff_ffff_8100_7000;
    const STACK_ID: u64 = 0xffff_ffff_8100_8010;
    const NFT: u64 = 0xffff_ffff_c000_0010;
    const NAMELESS: u64 = 0x1000;

    #[rstest]
    #[case::raw_tracepoint(&[PROGRAM, RUN, BPF_TRACE, ITERATE, DROP, UDP, DELIVER], UDP, "__udp4_lib_rcv.isra.0+0x10 ip_local_deliver+0x10")]
    #[case::helper_frames(&[STACK_ID, PROGRAM, RUN, ITERATE, DROP, UDP], 0, "__udp4_lib_rcv.isra.0+0x10")]
    #[case::jumped_to(&[PROGRAM, RUN, ITERATE, DROP, DELIVER], UDP, "ip_local_deliver+0x10")]
    #[case::list(&[PROGRAM, RUN, ITERATE, DROP_LIST, TX], 0, "net_tx_action+0x10")]
    #[case::told_site(&[PROGRAM, RUN, BPF_TRACE, ITERATE, TX, DELIVER], TX_START, "net_tx_action+0x10 ip_local_deliver+0x10")]
    #[case::nameless_program(&[NAMELESS, RUN, ITERATE, DROP, UDP], 0, "__udp4_lib_rcv.isra.0+0x10")]
    #[case::trampoline(&[PROGRAM, TRAMPOLINE, DROP, UDP], 0, "__udp4_lib_rcv.isra.0+0x10")]
    #[case::program_below_the_site_stays(&[PROGRAM, RUN, ITERATE, DROP, UDP, OTHER_PROGRAM, DELIVER], 0,
        "__udp4_lib_rcv.isra.0+0x10 bpf_prog_0123456789abcdef+0x10 [bpf] ip_local_deliver+0x10")]
    #[case::site_in_a_module(&[PROGRAM, RUN, ITERATE, DROP, NFT], NFT, "nft_do_chain+0x10 [nf_tables]")]
    #[case::nameless_site_stays(&[PROGRAM, DROP, NAMELESS, DELIVER], 0, "0x1000 ip_local_deliver+0x10")]
    #[case::nothing_but_nameless(&[NAMELESS, NAMELESS], 0, "0x1000 0x1000")]
    #[case::cut_short(&[PROGRAM, RUN], UDP, "")]
    #[case::empty(&[], UDP, "")]
    fn the_chain_starts_at_the_site(#[case] addresses: &[u64], #[case] site: u64, #[case] expected: &str) {
        let symbols = Symbols::read(KALLSYMS.as_bytes()).unwrap();
        let frames = from_site(addresses, site, &symbols);
        let shown: Vec<String> = frames.iter().map(ToString::to_string).collect();
        assert_eq!(shown.join(" "), expected);
    }

    #[rstest]
    #[case(PROGRAM, Some(("6deef7357e7b4530", Some("netdrop"))))]
    #[case(OTHER_PROGRAM, Some(("0123456789abcdef", None)))]
    #[case::trampoline(TRAMPOLINE, None)]
    #[case::function(UDP, None)]
    #[case::nameless(NAMELESS, None)]
    fn a_bpf_program_is_named(#[case] address: u64, #[case] expected: Option<(&str, Option<&str>)>) {
        let symbols = Symbols::read(KALLSYMS.as_bytes()).unwrap();
        let frame = StackFrame { address, symbol: symbols.resolve(address) };
        assert_eq!(frame.bpf_program().map(|program| (program.tag, program.name)), expected);
    }
}
