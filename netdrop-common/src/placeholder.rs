//! What stands in the program for numbers that only the running kernel knows. The loader writes them into the
//! instructions, as libbpf does with CO-RE relocations: they cost no load, and the verifier knows them.

/// Immediate of a `mov`: this plus a member's number in [`crate::Layout`] stands for the member's offset.
pub const LAYOUT: i32 = 0x6e64_0000;
/// Immediate of a `mov`: this plus a member's number in [`crate::Settings`] stands for the setting.
pub const SETTINGS: i32 = 0x6e64_0100;
/// Offset of a load: this plus a member's number in [`crate::Layout`] stands for the member's offset.
pub const LOAD: i16 = 0x6e00;
/// Number of a helper that doesn't exist: calls to it become calls of the kernel's `bpf_rdonly_cast`.
pub const RDONLY_CAST: i32 = 0x7fff_0001;
/// Immediate of a `mov`: this plus a member's number in [`crate::tcp::TcpLayout`] stands for the member's offset.
pub const TCP_LAYOUT: i32 = 0x6e64_0200;
/// Immediate of a `mov`: this plus a member's number in [`crate::tcp::TcpSettings`] stands for the setting.
pub const TCP_SETTINGS: i32 = 0x6e64_0300;
/// Offset of a load: this plus a member's number in [`crate::tcp::TcpLayout`] stands for the member's offset.
pub const TCP_LOAD: i16 = 0x6c00;
