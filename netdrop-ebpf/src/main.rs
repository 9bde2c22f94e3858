//! netdrop's eBPF side: counts every drop, streams the details of a fair sample.
//!
//! `drops`, `devlink` and `qdisc` have the programs; the way of a drop is `key → filter → count → sample → event`.
//! User space writes settings and offsets into the instructions, and the verifier knows the filters: what is off, or what the
//! kernel lacks, it prunes.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod constants;
mod count;
mod devlink;
mod drops;
mod event;
mod filter;
mod key;
mod memory;
mod packet;
mod qdisc;
mod ring;
mod rules;
mod sample;
mod socket;
mod stack;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier proves that no path gets here: nothing in the program can panic.
    loop {}
}

/// Both licences allow the GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
