//! netdrop's programs on TCP's tracepoints: a file a family. The way of an event is `count → filter → sample → event`.
//!
//! A binary of its own, so that the program that counts drops stays what it is; what both do alike they share file by file.
//! Nearly all is read by probing: these events are rare beside segments, and the kernels' typed loads end at `struct sock`.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

#[path = "../constants.rs"]
#[expect(dead_code, reason = "shared with the program on drops")]
mod constants;
#[path = "../memory.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "shared with the program on drops")]
mod memory;
#[path = "../packet.rs"]
#[expect(dead_code, reason = "shared with the program on drops")]
mod packet;
#[path = "../rules.rs"]
mod rules;
#[path = "../socket.rs"]
#[expect(dead_code, reason = "shared with the program on drops")]
mod socket;

mod connection;
mod count;
mod ends;
mod event;
mod filter;
mod member;
mod numbers;
mod program;
mod reset;
mod retransmit;
mod rtt;
mod state;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier proves that no path gets here: nothing in the programs can panic.
    loop {}
}

/// Both licences allow the GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
