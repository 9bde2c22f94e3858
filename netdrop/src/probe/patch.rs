//! The running kernel's numbers into the program's instructions (netdrop-common's `placeholder`), as libbpf does with
//! CO-RE relocations.

use aya_obj::Object;
use aya_obj::generated::bpf_insn;
use netdrop_common::ABSENT;
use netdrop_common::placeholder::RDONLY_CAST;

/// What is written.
pub struct Numbers<'a> {
    /// Words that stand for immediates: the first one's placeholder, and they.
    pub immediates: &'a [(i32, &'a [u32])],
    /// Words that stand for the offsets of loads, likewise.
    pub loads: &'a [(i16, &'a [u32])],
    /// BTF type id of the kernel's `bpf_rdonly_cast`. Without one its calls stay what they are: a helper that doesn't
    /// exist, in branches that the verifier prunes.
    pub cast: Option<u32>,
    /// Whether other CPUs see stores in the order in which they were made.
    pub stores_ordered: bool,
}

/// x86 orders stores (Intel SDM, volume 3, 10.2.2).
pub const STORES_ORDERED: bool = cfg!(any(target_arch = "x86", target_arch = "x86_64"));

/// `BPF_ALU64 | BPF_MOV | BPF_K`.
const MOV: u8 = 0xb7;
/// `BPF_JMP | BPF_CALL`, and what its source register says of calls to kernel functions.
const CALL: u8 = 0x85;
const PSEUDO_KFUNC_CALL: u8 = 2;
/// `BPF_STX | BPF_ATOMIC | BPF_DW` with the immediate `BPF_XCHG`, and `BPF_STX | BPF_MEM | BPF_DW`.
const ATOMIC: u8 = 0xdb;
const EXCHANGE: i32 = 0xe1;
const STORE: u8 = 0x7b;
/// `BPF_LDX | BPF_MEM`, in the bits that aren't the size.
const LOAD_MEMORY: u8 = 0x61;
const NOT_SIZE: u8 = !0x18;

/// Exchanges every placeholder in the object.
pub fn patch(object: &mut Object, numbers: &Numbers<'_>) {
    for function in object.functions.values_mut() {
        for instruction in &mut function.instructions {
            numbers.write(instruction);
        }
    }
}

impl Numbers<'_> {
    fn write(&self, instruction: &mut bpf_insn) {
        if instruction.code == MOV {
            let value = |(first, words): &(i32, &[u32])| word(words, instruction.imm, *first);
            if let Some(value) = self.immediates.iter().find_map(value) {
                instruction.imm = value.cast_signed();
            }
        } else if instruction.code & NOT_SIZE == LOAD_MEMORY & NOT_SIZE {
            let offset =
                |(first, words): &(i16, &[u32])| word(words, instruction.off.into(), (*first).into());
            if let Some(offset) = self.loads.iter().find_map(offset) {
                // Loads of members that the kernel lacks are behind branches that are never taken.
                instruction.off =
                    if offset == ABSENT { 0 } else { i16::try_from(offset).unwrap_or(i16::MAX) };
            }
        } else if let (CALL, 0, RDONLY_CAST, Some(function)) =
            (instruction.code, instruction.src_reg(), instruction.imm, self.cast)
        {
            instruction.set_src_reg(PSEUDO_KFUNC_CALL);
            instruction.imm = function.cast_signed();
        } else if self.stores_ordered && instruction.code == ATOMIC && instruction.imm == EXCHANGE {
            instruction.code = STORE;
            instruction.imm = 0;
        }
    }
}

/// The word that the placeholder stands for, if it is one that counts from `first`.
fn word(words: &[u32], placeholder: i32, first: i32) -> Option<u32> {
    let number = usize::try_from(placeholder.checked_sub(first)?).ok()?;
    words.get(number).copied()
}

#[cfg(test)]
mod tests {
    use netdrop_common::placeholder::{LAYOUT, LOAD, SETTINGS};
    use netdrop_common::{Layout, Settings, words_of};

    use super::*;

    fn instruction(code: u8, off: i16, imm: i32) -> bpf_insn {
        bpf_insn { code, _bitfield_align_1: [], _bitfield_1: bpf_insn::new_bitfield_1(1, 0), off, imm }
    }

    /// A layout in which each member's offset is its number, and the second is absent.
    fn layout() -> Layout {
        let mut words = [0_u32; size_of::<Layout>() / 4];
        for (number, word) in words.iter_mut().enumerate() {
            *word = u32::try_from(number).unwrap();
        }
        words[1] = ABSENT;
        netdrop_common::read_plain(netdrop_common::bytes_of(&words)).unwrap()
    }

    #[test]
    fn placeholders_become_numbers_and_nothing_else_changes() {
        let layout = layout();
        let settings = Settings { snaplen: 96, ..Settings::default() };
        let snaplen = i32::try_from(std::mem::offset_of!(Settings, snaplen) / 4).unwrap();
        let members = i16::try_from(size_of::<Layout>() / 4).unwrap();
        let numbers = Numbers {
            immediates: &[(LAYOUT, words_of(&layout)), (SETTINGS, words_of(&settings))],
            loads: &[(LOAD, words_of(&layout))],
            cast: Some(4711),
            stores_ordered: true,
        };
        // What stands there before: code, offset, immediate; and after.
        let cases = [
            ((MOV, 0, LAYOUT + 5), (MOV, 0, 5)),
            ((MOV, 0, LAYOUT + 1), (MOV, 0, i32::MAX)),
            ((MOV, 0, SETTINGS + snaplen), (MOV, 0, 96)),
            ((MOV, 0, 7), (MOV, 0, 7)),
            ((MOV, 0, LAYOUT - 1), (MOV, 0, LAYOUT - 1)),
            ((MOV, 0, i32::MIN), (MOV, 0, i32::MIN)),
            // Loads of 4, 2, 1 and 8 bytes.
            ((0x61, LOAD + 5, 0), (0x61, 5, 0)),
            ((0x69, LOAD + 2, 0), (0x69, 2, 0)),
            ((0x71, LOAD, 0), (0x71, 0, 0)),
            ((0x79, LOAD + 1, 0), (0x79, 0, 0)),
            ((0x79, LOAD + members, 0), (0x79, LOAD + members, 0)),
            ((0x79, -8, 0), (0x79, -8, 0)),
            // A store, and an addition.
            ((0x63, LOAD + 5, 0), (0x63, LOAD + 5, 0)),
            ((0x07, 0, LAYOUT + 5), (0x07, 0, LAYOUT + 5)),
            ((CALL, 0, RDONLY_CAST), (CALL, 0, 4711)),
            ((CALL, 0, 5), (CALL, 0, 5)),
            // An exchange, and an atomic addition.
            ((ATOMIC, 0, EXCHANGE), (STORE, 0, 0)),
            ((ATOMIC, 0, 0), (ATOMIC, 0, 0)),
        ];
        for ((code, off, imm), expected) in cases {
            let mut patched = instruction(code, off, imm);
            numbers.write(&mut patched);
            assert_eq!((patched.code, patched.off, patched.imm), expected, "{code:#x} {off} {imm}");
        }
    }

    #[test]
    fn what_is_needed_stays() {
        let numbers = Numbers { immediates: &[], loads: &[], cast: None, stores_ordered: false };
        let mut call = instruction(CALL, 0, RDONLY_CAST);
        numbers.write(&mut call);
        assert_eq!((call.src_reg(), call.imm), (0, RDONLY_CAST));
        let mut exchange = instruction(ATOMIC, 0, EXCHANGE);
        numbers.write(&mut exchange);
        assert_eq!((exchange.code, exchange.imm), (ATOMIC, EXCHANGE), "needed where stores aren't ordered");
    }
}
