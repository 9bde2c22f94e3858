//! The bytes of BTF: header and type records (`include/uapi/linux/btf.h`, Documentation/bpf/btf.rst).

use super::error::BtfError;

const MAGIC: u16 = 0xeb9f;
const HEADER: usize = 24;
/// Since 7.1 a header may name a third section that gives the record sizes of each kind.
const HEADER_WITH_LAYOUT: usize = 32;
/// `struct btf_type`: name offset, info, size or type.
pub(super) const RECORD: usize = 12;

/// A type's kind: `BTF_KIND_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Void,
    Int,
    Pointer,
    Array,
    Struct,
    Union,
    Enum,
    Forward,
    Typedef,
    /// const, volatile, restrict, type tag: the same type with an adjective.
    Modifier,
    Function,
    Prototype,
    Variable,
    Section,
    Float,
    DeclarationTag,
    Enum64,
    /// Known by size only.
    Other,
}

impl Kind {
    const fn new(kind: u32) -> Self {
        match kind {
            0 => Self::Void,
            1 => Self::Int,
            2 => Self::Pointer,
            3 => Self::Array,
            4 => Self::Struct,
            5 => Self::Union,
            6 => Self::Enum,
            7 => Self::Forward,
            8 => Self::Typedef,
            9..=11 | 18 => Self::Modifier,
            12 => Self::Function,
            13 => Self::Prototype,
            14 => Self::Variable,
            15 => Self::Section,
            16 => Self::Float,
            17 => Self::DeclarationTag,
            19 => Self::Enum64,
            _ => Self::Other,
        }
    }

    pub(super) const fn is_composite(self) -> bool {
        matches!(self, Self::Struct | Self::Union)
    }

    /// Bytes that follow the record: a fixed part, and a part for each of its `vlen` elements.
    const fn tail(self) -> Option<(usize, usize)> {
        Some(match self {
            Self::Pointer | Self::Forward | Self::Typedef | Self::Modifier | Self::Function | Self::Float => {
                (0, 0)
            }
            Self::Int | Self::Variable | Self::DeclarationTag => (4, 0),
            Self::Array => (12, 0),
            Self::Struct | Self::Union | Self::Enum64 | Self::Section => (0, 12),
            Self::Enum | Self::Prototype => (0, 8),
            Self::Void | Self::Other => return None,
        })
    }
}

/// One type record, borrowed from the section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Type<'a> {
    pub id: u32,
    /// Offset into the string section; 0 is anonymous.
    pub name: u32,
    pub kind: Kind,
    /// `BTF_INFO_KFLAG`: bit-field sizes in a struct, signedness in an enum.
    pub flag: bool,
    pub elements: u32,
    /// Size in bytes, or the id of the type referred to, by kind.
    pub size_or_type: u32,
    pub tail: &'a [u8],
}

impl Type<'_> {
    pub(super) const VOID: Type<'static> =
        Type { id: 0, name: 0, kind: Kind::Void, flag: false, elements: 0, size_or_type: 0, tail: &[] };

    /// The tail as records of `N` words each.
    pub(super) fn words<const N: usize>(&self) -> impl Iterator<Item = [u32; N]> {
        self.tail.chunks_exact(4 * N).map(|chunk| std::array::from_fn(|i| word(chunk, 4 * i).unwrap_or(0)))
    }
}

/// The sections that a header points to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sections<'a> {
    pub types: &'a [u8],
    pub strings: &'a [u8],
    layout: &'a [u8],
}

impl<'a> Sections<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        let cut = || BtfError::Truncated("header");
        let magic = bytes.first_chunk::<2>().copied().ok_or_else(cut)?;
        match u16::from_ne_bytes(magic) {
            MAGIC => {}
            other if other.swap_bytes() == MAGIC => {
                return Err(BtfError::Header("it was made for the other byte order"));
            }
            _ => return Err(BtfError::Header("the magic number is wrong")),
        }
        if bytes.get(2) != Some(&1) {
            return Err(BtfError::Header("its version is not 1"));
        }
        let length = size(word(bytes, 4).ok_or_else(cut)?);
        if length < HEADER {
            return Err(BtfError::Header("its header is too short"));
        }
        let body = bytes.get(length..).ok_or_else(cut)?;
        let section = |at: usize, name| {
            let (offset, length) =
                word(bytes, at).zip(word(bytes, at + 4)).ok_or(BtfError::Truncated(name))?;
            let rest = body.get(size(offset)..).ok_or(BtfError::Truncated(name))?;
            rest.get(..size(length)).ok_or(BtfError::Truncated(name))
        };
        let layout = if length >= HEADER_WITH_LAYOUT { section(24, "layout section")? } else { &[] };
        Ok(Self { types: section(8, "type section")?, strings: section(16, "string section")?, layout })
    }

    /// The record at byte `at`, and where the next one starts.
    pub(super) fn record(&self, id: u32, at: usize) -> Result<(Type<'a>, usize), BtfError> {
        let cut = BtfError::Truncated("type section");
        let head =
            self.types.get(at..).and_then(|rest| rest.first_chunk::<RECORD>()).ok_or_else(|| cut.clone())?;
        let field = |at: usize| word(head, at).unwrap_or(0);
        let info = field(4);
        // The kind and the element count have grown into bits that older kernels leave zero.
        let (number, elements) = ((info >> 24) & 0x7f, info & 0x00ff_ffff);
        let kind = Kind::new(number);
        let unknown = BtfError::UnknownKind { id, kind: number };
        let (fixed, each) = kind.tail().or_else(|| self.described(number)).ok_or(unknown)?;
        let start = at + RECORD;
        let end = start + fixed + each * size(elements);
        let tail = self.types.get(start..end).ok_or(cut)?;
        let flag = info >> 31 == 1;
        Ok((Type { id, name: field(0), kind, flag, elements, size_or_type: field(8), tail }, end))
    }

    /// Record sizes as the blob itself states them: `struct btf_layout { u8 info_sz, elem_sz; u16 flags; }`.
    fn described(&self, kind: u32) -> Option<(usize, usize)> {
        let entry = self.layout.get(4 * size(kind)..)?.first_chunk::<4>()?;
        Some((usize::from(entry[0]), usize::from(entry[1])))
    }
}

/// The native-endian word at byte `at`.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|chunk| u32::from_ne_bytes(*chunk))
}

/// A 32-bit size or offset as a `usize`; eBPF hosts have at least 32 bits.
pub(super) const fn size(value: u32) -> usize {
    value as usize
}
